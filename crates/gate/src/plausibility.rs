//! The plausibility rules: what cannot be true. Each names what it needs and is off, shown as off, without it.

use crate::accounting::{Accounts, ProblemKind};
use crate::evidence::{Evidence, EvidenceClass, Found, PhaseEvidence, Scrape};
use crate::judge::{PlausibilityFinding, PlausibilityStatus, guarded};
use crate::kpis::file_value;
use crate::scrape::{parse_series, sum};
use crate::value::{CrossCheck, KpiResult, Value, figure};
use std::collections::BTreeMap;

/// The status of a rule whose checker broke down. It caps the decision.
pub(crate) const BROKE: &str = "its checker broke down";
const TRADING: &str = "total_trades, entry_trades, exit_trades, round_trips_completed, win_rate_pct, total_pnl_usd, \
                       gross_pnl_usd, net_pnl_usd, max_drawdown_usd, avg_win_usd, avg_loss_usd";
const RESULTS: &str = "total_pnl_usd, gross_pnl_usd, net_pnl_usd";
const SCRAPED: &str = "alert_sent_total, alert_failed_total, alert_retry_total, alert_dlq_total, alert_success_rate_pct, \
                       alert_fallback_total, alert_delivery_latency_p95_s";

/// What a rule says: off with a reason, clean with what was looked at, or violated with the figures and the KPIs.
enum Said {
    Off(String),
    Clean(String),
    Violated(String, String),
}

struct Sight<'a> {
    evidence: &'a Evidence,
    phase: &'a PhaseEvidence,
    accounts: Option<&'a Accounts>,
    kpis: &'a [KpiResult],
}

type Check = fn(&Sight<'_>) -> Said;

const RULES: [(&str, Check); 13] = [
    ("measured twice: CPU, peak memory, duration by supervisor and runner", measured_twice),
    ("recomputed: every trading KPI from the journal", recomputed),
    ("flat against movement", flat),
    ("identical outcomes", identical),
    ("counters that go backwards without a restart", backwards),
    ("rates beyond what the time allows", rates),
    ("parts that do not add up", parts),
    ("the same vector in smoke and main", cached),
    ("currency: notional, result and price of a trade", currency),
    ("both legs of a round trip on one venue", one_venue),
    ("a leg filled better than the book displayed", kinder),
    ("evidence class derived, not declared", class),
    ("identity: the snapshot's run id, or the socket's owner", identity),
];

pub(crate) fn check(
    evidence: &Evidence,
    phase: &PhaseEvidence,
    accounts: Option<&Accounts>,
    kpis: &[KpiResult],
) -> Vec<PlausibilityFinding> {
    let sight = Sight { evidence, phase, accounts, kpis };
    RULES
        .iter()
        .map(|(rule, check)| {
            let said = guarded(|| check(&sight)).unwrap_or_else(|| Said::Off(BROKE.to_owned()));
            let (status, figures, kpi) = match said {
                Said::Off(why) => (PlausibilityStatus::Off(why), String::new(), None),
                Said::Clean(figures) => (PlausibilityStatus::Clean, figures, None),
                Said::Violated(figures, kpi) => {
                    (PlausibilityStatus::Violated, figures, Some(kpi).filter(|k| !k.is_empty()))
                }
            };
            PlausibilityFinding { rule: (*rule).to_owned(), status, figures, kpi }
        })
        .collect()
}

/// Makes the KPIs that violated rules touch implausible.
pub(crate) fn convict(kpis: &mut [KpiResult], findings: &[PlausibilityFinding]) {
    for finding in findings.iter().filter(|f| f.status == PlausibilityStatus::Violated) {
        for field in finding.kpi.iter().flat_map(|fields| fields.split(", ")) {
            if let Some(kpi) = kpis.iter_mut().find(|k| k.field == field)
                && !matches!(
                    kpi.value,
                    Value::Absent { .. } | Value::NotApplicable { .. } | Value::Implausible { .. }
                )
            {
                kpi.value = Value::Implausible {
                    figures: format!("{} ({}: {})", kpi.value, finding.rule, finding.figures),
                };
            }
        }
    }
}

fn disagreeing(sight: &Sight<'_>, numbers: impl Fn(u8) -> bool) -> Option<Said> {
    let bad: Vec<&KpiResult> = sight
        .kpis
        .iter()
        .filter(|k| numbers(k.number) && matches!(k.cross_check, CrossCheck::Disagreed { .. }))
        .collect();
    let figures: Vec<String> = bad.iter().map(|k| format!("{}: {}", k.field, k.value)).collect();
    let fields: Vec<&str> = bad.iter().map(|k| k.field.as_str()).collect();
    (!bad.is_empty()).then(|| Said::Violated(figures.join("; "), fields.join(", ")))
}

fn measured_twice(sight: &Sight<'_>) -> Said {
    if let Some(said) = disagreeing(sight, |n| n == 21 || n == 22) {
        return said;
    }
    let both = sight
        .kpis
        .iter()
        .any(|k| matches!(k.number, 21 | 22) && matches!(k.cross_check, CrossCheck::Agreed { .. }));
    let duration = sight.phase.kpi_file.get().map(|file| (file.complete, file_value(file, "duration_s")));
    if let (Some((Some(true), Value::Measured(theirs))), Some(end)) = (duration, &sight.phase.end) {
        // The runner may count from its first to its last event; start and end take their time.
        let settings = &sight.evidence.settings;
        let slack = (0.2 * end.ran_s).max(2.0 + 3.0 * settings.poll_s + settings.start_grace_s);
        let text =
            format!("duration {} s by the runner, {} s by the supervisor", figure(theirs), figure(end.ran_s));
        return if (theirs - end.ran_s).abs() > slack {
            Said::Violated(text, "error_rate_pct".to_owned())
        } else {
            Said::Clean(text)
        };
    }
    if both {
        Said::Clean("CPU or memory agree".to_owned())
    } else {
        Said::Off("the runner reports no figure of its own".to_owned())
    }
}

fn recomputed(sight: &Sight<'_>) -> Said {
    if let Some(said) = disagreeing(sight, |n| matches!(n, 1..=11 | 14 | 15)) {
        return said;
    }
    let Some(accounts) = sight.accounts else {
        // The rule is off where a profile declares that there is no journal, not where the journal was lost or exchanged.
        let why = match &sight.phase.journal {
            Found::No(why) => why.as_str(),
            Found::Yes(_) => "it is damaged, or of another run",
        };
        return if sight.evidence.settings.has_journal && sight.phase.end.is_some() {
            Said::Violated(format!("the journal cannot be added up: {why}"), TRADING.to_owned())
        } else {
            Said::Off(format!("there is no journal to add up: {why}"))
        };
    };
    let complete = sight.phase.kpi_file.get().is_some_and(|file| file.complete == Some(true));
    if complete && accounts.end.is_none() {
        let text = "the KPI file says complete: true, and the journal has no end record";
        return Said::Violated(text.to_owned(), TRADING.to_owned());
    }
    let kinds = [
        ProblemKind::Sequence,
        ProblemKind::Arithmetic,
        ProblemKind::Balance,
        ProblemKind::Result,
        ProblemKind::Equity,
    ];
    match problems(accounts, &kinds) {
        Some(text) => Said::Violated(text, TRADING.to_owned()),
        None => Said::Clean(format!(
            "{} entries, {} closes, {} equity points",
            accounts.entries,
            accounts.closes.len(),
            accounts.equity_points
        )),
    }
}

fn problems(accounts: &Accounts, kinds: &[ProblemKind]) -> Option<String> {
    let found: Vec<&crate::accounting::Problem> =
        accounts.problems.iter().filter(|p| kinds.contains(&p.kind)).collect();
    let text: Vec<String> = found.iter().take(3).map(|p| p.text.clone()).collect();
    let more = if found.len() > 3 { format!("; and {} more", found.len() - 3) } else { String::new() };
    (!found.is_empty()).then(|| text.join("; ") + &more)
}

/// `(max - min)` of a list.
fn range(values: &[f64]) -> f64 {
    let max = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let min = values.iter().copied().fold(f64::INFINITY, f64::min);
    max - min
}

fn flat(sight: &Sight<'_>) -> Said {
    let cores = sight.evidence.settings.cpu_cores;
    let samples = &sight.phase.samples;
    let mut looked = Vec::new();
    let mut memory = (Vec::new(), Vec::new());
    let mut cpu = (Vec::new(), Vec::new());
    let mut last: Option<(f64, f64)> = None;
    for sample in samples {
        let Some(os) = sample.os.get() else { continue };
        let used = last.map(|(t, used)| (os.cpu_seconds - used) / (sample.t - t) / cores * 100.0);
        last = Some((sample.t, os.cpu_seconds));
        let Some(scrape) = sample.scrape.get() else { continue };
        let gauge = |name: &str| sum(scrape, name, &[]);
        let own = gauge("process_memory_usage_mb").or(gauge("process_resident_memory_bytes"));
        if let Some(own) = own {
            memory.0.push(own);
            memory.1.push(os.rss_bytes as f64 / 1e6);
        }
        if let Some((own, used)) =
            gauge("process_cpu_usage_percent").zip(used).filter(|(_, used)| used.is_finite())
        {
            cpu.0.push(own);
            cpu.1.push(used);
        }
    }
    // What moves by less than a megabyte or two points is noise.
    for (name, (own, theirs), floor, field) in
        [("memory", memory, 1.0, "memory_usage_mb"), ("CPU", cpu, 2.0, "cpu_usage_pct")]
    {
        if own.len() < 20 {
            continue;
        }
        let (flat, moved) = (range(&own), range(&theirs));
        let size = theirs.iter().copied().fold(0.0, f64::max);
        let text = format!(
            "{name}: the runner's own figure {} over {} samples, the supervisor's moved by {}",
            if flat == 0.0 { format!("stood at {}", figure(own[0])) } else { "moved".to_owned() },
            own.len(),
            figure(moved)
        );
        if flat == 0.0 && moved > floor && moved > 0.05 * size {
            return Said::Violated(text, field.to_owned());
        }
        looked.push(text);
    }
    if looked.is_empty() {
        Said::Off("fewer than 20 samples of the runner's own CPU or memory figure".to_owned())
    } else {
        Said::Clean(looked.join("; "))
    }
}

fn identical(sight: &Sight<'_>) -> Said {
    let Some(accounts) = sight.accounts else { return increments(sight) };
    let closes = &accounts.closes;
    if closes.len() < 20 {
        return Said::Off(format!("{} closed trades, 20 needed", closes.len()));
    }
    let mut by_net: BTreeMap<i128, Vec<&Vec<_>>> = BTreeMap::new();
    for close in closes {
        by_net.entry(close.net).or_default().push(&close.prices);
    }
    for (net, prices) in &by_net {
        if prices.len() >= 20 && prices.windows(2).any(|w| w[0] != w[1]) {
            let text = format!(
                "{} trades at distinct prices with the same net {}",
                prices.len(),
                market::Money(*net)
            );
            return Said::Violated(text, RESULTS.to_owned());
        }
    }
    if closes.windows(2).all(|w| w[0].prices == w[1].prices) {
        return Said::Violated(
            format!("{} trades at the very same prices", closes.len()),
            RESULTS.to_owned(),
        );
    }
    Said::Clean(format!("{} trades, {} distinct results", closes.len(), by_net.len()))
}

/// Fewest steps of PnL per round trip that must be equal; over all of them at least 20 round trips.
const FEWEST_STEPS: usize = 5;

/// Without a journal: equal increments of PnL per round trip, in the series of the KPI files or in that of the scrapes. Each series is
/// looked at by itself: figures of two moments make no increment.
fn increments(sight: &Sight<'_>) -> Said {
    let samples = &sight.phase.samples;
    let by_file = samples.iter().filter_map(|s| {
        let of = |field: &str| s.kpi.get(field).copied();
        Some((of("round_trips_completed")?, of("net_pnl_usd").or(of("total_pnl_usd"))?))
    });
    let by_scrape = samples.iter().filter_map(|s| {
        let of = |name: &str| sum(s.scrape.get()?, name, &[]);
        Some((of("arb_topn_round_trips_total")?, of("arb_topn_pnl_usd")?))
    });
    let (by_file, by_scrape) = (equal_steps(by_file.collect()), equal_steps(by_scrape.collect()));
    match (by_file, by_scrape) {
        (Said::Violated(figures, kpi), _) | (_, Said::Violated(figures, kpi)) => Said::Violated(figures, kpi),
        (Said::Clean(figures), _) | (_, Said::Clean(figures)) => Said::Clean(figures),
        (off, _) => off,
    }
}

/// What a series of `(round trips, PnL)` says of the result of each.
fn equal_steps(figures: Vec<(f64, f64)>) -> Said {
    let mut last: Option<(f64, f64)> = None;
    let mut steps: Vec<(i64, f64)> = Vec::new();
    for (trips, pnl) in figures {
        if let Some((before, pnl_before)) = last {
            if trips > before {
                // In millionths of a USD: floating point noise is no difference.
                let each = ((pnl - pnl_before) / (trips - before) * 1e6).round() as i64;
                steps.push((each, trips - before));
                last = Some((trips, pnl));
            }
        } else {
            last = Some((trips, pnl));
        }
    }
    // A step may hold many round trips: that the mean of each step is the same to the millionth is no weaker a sign than one by one.
    let seen: f64 = steps.iter().map(|(_, trips)| trips).sum();
    if seen < 20.0 || steps.len() < FEWEST_STEPS {
        return Said::Off(format!(
            "no journal, and {} round trips in {} steps of PnL in the samples, 20 in {FEWEST_STEPS} needed",
            figure(seen),
            steps.len()
        ));
    }
    let mut counts: BTreeMap<i64, (usize, f64)> = BTreeMap::new();
    for (each, trips) in &steps {
        let count = counts.entry(*each).or_insert((0, 0.0));
        *count = (count.0 + 1, count.1 + trips);
    }
    let same = |n: &(usize, f64)| n.0 >= FEWEST_STEPS && n.1 >= 20.0;
    match counts.iter().find(|(each, n)| same(n) && **each != 0) {
        Some((each, (_, n))) => Said::Violated(
            format!("{} round trips made exactly {} USD each", figure(*n), figure(*each as f64 / 1e6)),
            RESULTS.to_owned(),
        ),
        None => Said::Clean(format!("{} steps, {} distinct", steps.len(), counts.len())),
    }
}

fn scrapes<'a>(phase: &'a PhaseEvidence) -> Vec<(f64, &'a Scrape)> {
    let last = phase.final_scrape.get().map(|f| (f.t, &f.scrape));
    let mut all: Vec<(f64, &'a Scrape)> =
        phase.samples.iter().filter_map(|s| Some((s.t, s.scrape.get()?))).chain(last).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    all
}

fn is_counter(series: &str) -> bool {
    let (name, _) = parse_series(series);
    ["_total", "_bucket", "_count"].iter().any(|end| name.ends_with(end))
}

fn backwards(sight: &Sight<'_>) -> Said {
    let all = scrapes(sight.phase);
    if all.len() < 2 {
        return Said::Off("fewer than two scrapes".to_owned());
    }
    for pair in all.windows(2) {
        let start = |s: &Scrape| sum(s, "process_start_time_seconds", &[]);
        let (before, now) = (pair[0].1, pair[1].1);
        let text = |what: String| format!("at {} s: {what}", figure(pair[1].0));
        if let Some((a, b)) = start(before).zip(start(now))
            && (a - b).abs() > 0.01
        {
            // A phase is one process: a restart inside it means that something else is being scraped.
            let what = format!("the process start moved from {} to {}", figure(a), figure(b));
            return Said::Violated(text(what), SCRAPED.to_owned());
        }
        for (series, value) in now.series.iter().filter(|(series, _)| is_counter(series)) {
            if let Some(earlier) = before.series.get(series)
                && value < earlier
            {
                let what = format!("{series} fell from {} to {}", figure(*earlier), figure(*value));
                return Said::Violated(text(what), touched(series));
            }
        }
    }
    Said::Clean(format!("{} scrapes", all.len()))
}

/// The KPIs behind a counter.
fn touched(series: &str) -> String {
    let (name, _) = parse_series(series);
    match name {
        _ if name.starts_with("alert_") => SCRAPED.to_owned(),
        _ if name.starts_with("loop_latency") => {
            "loop_latency_avg_ms, loop_latency_p95_ms, loop_latency_p99_ms".to_owned()
        }
        "process_cpu_seconds_total" => "cpu_usage_pct".to_owned(),
        "arb_topn_guard_triggers_total" => "guard_triggers, guard_triggers_by_type".to_owned(),
        "arb_topn_position_limit_hits_total" => "position_limit_hits".to_owned(),
        "arb_topn_emergency_stops_total" => "emergency_stops".to_owned(),
        _ => "total_trades, round_trips_completed".to_owned(),
    }
}

fn rates(sight: &Sight<'_>) -> Said {
    let Some(end) = &sight.phase.end else { return Said::Off("the phase has no end record".to_owned()) };
    let slots = (end.ran_s * 10.0).ceil() + 20.0;
    let errors = sight.phase.log.get().map(|log| log.counters.error_slots as f64);
    if let Some(errors) = errors.filter(|errors| *errors > slots) {
        return Said::Violated(
            format!("{} error slots in {} slots", figure(errors), figure(slots)),
            "error_rate_pct".to_owned(),
        );
    }
    if let Some(Value::Measured(seconds)) =
        sight.phase.kpi_file.get().map(|file| file_value(file, "cpu_seconds"))
    {
        let threads = sight
            .phase
            .samples
            .iter()
            .filter_map(|s| s.os.get())
            .map(|os| os.threads)
            .max()
            .unwrap_or(1)
            .max(1);
        let most = (end.ran_s + 2.0) * f64::from(threads);
        if seconds > most {
            let text =
                format!("{} CPU seconds in {} s with {threads} threads", figure(seconds), figure(end.ran_s));
            return Said::Violated(text, "cpu_usage_pct".to_owned());
        }
    }
    Said::Clean(format!("{} s", figure(end.ran_s)))
}

fn parts(sight: &Sight<'_>) -> Said {
    let Some(file) = sight.phase.kpi_file.get() else { return Said::Off("there is no KPI file".to_owned()) };
    let number = |field: &str| file_value(file, field).number();
    let total = |field: &str| match file_value(file, field) {
        Value::Map(map) => Some(map.values().sum::<f64>()),
        _ => None,
    };
    let shutdown = match file_value(file, "exit_reasons") {
        Value::Map(map) => map.get("shutdown").copied().unwrap_or(0.0),
        _ => 0.0,
    };
    let (entries, exits, trips) =
        (number("entry_trades"), number("exit_trades"), number("round_trips_completed"));
    let mut looked = 0;
    let mut wrong: Vec<(String, &str)> = Vec::new();
    let mut equal = |name: &str, a: Option<f64>, b: Option<f64>, also: f64, fields: &'static str| {
        if let Some((a, b)) = a.zip(b) {
            looked += 1;
            if a != b && a != b - also {
                wrong.push((format!("{name}: {} against {}", figure(a), figure(b)), fields));
            }
        }
    };
    let opened = exits.zip(number("open_positions")).map(|(a, b)| a + b);
    equal("entries = exits + open positions", entries, opened, 0.0, "entry_trades, exit_trades");
    equal(
        "trades = entries + exits",
        number("total_trades"),
        entries.zip(exits).map(|(a, b)| a + b),
        0.0,
        "total_trades",
    );
    let decided = number("wins").zip(number("losses")).map(|(a, b)| a + b);
    // Win and loss counts may leave out the closes of the run's end, as the win rate does.
    equal("wins + losses = round trips", decided, trips, shutdown, "win_rate_pct, round_trips_completed");
    equal("exit reasons = round trips", total("exit_reasons"), trips, 0.0, "round_trips_completed");
    let triggers = number("guard_triggers");
    equal(
        "guard types = guard triggers",
        total("guard_triggers_by_type"),
        triggers,
        0.0,
        "guard_triggers, guard_triggers_by_type",
    );
    let share = number("guard_false_positives").zip(triggers).filter(|(_, all)| *all > 0.0);
    if let Some(((wrong_ones, all), percent)) = share.zip(number("guard_false_positives_pct")) {
        looked += 1;
        let ours = wrong_ones / all * 100.0;
        if (ours - percent).abs() > 0.01 {
            let text = format!("guard_false_positives_pct: {} against {}", figure(percent), figure(ours));
            wrong.push((text, "guard_false_positives"));
        }
    }
    if looked == 0 {
        return Said::Off("the KPI file has no parts to add up".to_owned());
    }
    if wrong.is_empty() {
        return Said::Clean(format!("{looked} sums"));
    }
    let (texts, fields): (Vec<String>, Vec<&str>) = wrong.into_iter().unzip();
    Said::Violated(texts.join("; "), fields.join(", "))
}

fn cached(sight: &Sight<'_>) -> Said {
    const CONTINUOUS: [&str; 10] = [
        "total_pnl_usd",
        "gross_pnl_usd",
        "net_pnl_usd",
        "max_drawdown_usd",
        "avg_win_usd",
        "avg_loss_usd",
        "guard_block_duration_avg_s",
        "loop_latency_avg_ms",
        "loop_latency_p95_ms",
        "loop_latency_p99_ms",
    ];
    let files = sight.evidence.smoke.as_ref().zip(sight.evidence.main.as_ref());
    let Some((smoke, main)) = files.and_then(|(a, b)| a.kpi_file.get().zip(b.kpi_file.get())) else {
        return Said::Off("smoke and main have no KPI file each".to_owned());
    };
    let pairs: Vec<(&str, f64, f64)> = CONTINUOUS
        .iter()
        .filter_map(|field| {
            Some((*field, file_value(smoke, field).number()?, file_value(main, field).number()?))
        })
        .filter(|(_, a, b)| *a != 0.0 || *b != 0.0)
        .collect();
    if pairs.len() < 3 {
        return Said::Off(format!("{} continuous KPIs that are not zero, 3 needed", pairs.len()));
    }
    let same = pairs.iter().all(|(_, a, b)| a == b);
    let text: Vec<String> =
        pairs.iter().map(|(field, a, b)| format!("{field} {} and {}", figure(*a), figure(*b))).collect();
    if same {
        let fields: Vec<&str> = pairs.iter().map(|p| p.0).collect();
        Said::Violated(text.join("; "), fields.join(", "))
    } else {
        Said::Clean(format!("{} figures compared", pairs.len()))
    }
}

fn by_kind(sight: &Sight<'_>, kind: ProblemKind) -> Said {
    match sight.accounts {
        None => Said::Off("there is no journal to look into".to_owned()),
        Some(accounts) => match problems(accounts, &[kind]) {
            Some(text) => Said::Violated(text, RESULTS.to_owned()),
            None => Said::Clean(format!("{} entries", accounts.entries)),
        },
    }
}

fn currency(sight: &Sight<'_>) -> Said {
    by_kind(sight, ProblemKind::Currency)
}

fn one_venue(sight: &Sight<'_>) -> Said {
    by_kind(sight, ProblemKind::Venue)
}

fn kinder(sight: &Sight<'_>) -> Said {
    by_kind(sight, ProblemKind::Kinder)
}

fn class(sight: &Sight<'_>) -> Said {
    let settings = &sight.evidence.settings;
    if sight.evidence.class != EvidenceClass::Record {
        return Said::Clean("not sold as a record".to_owned());
    }
    // How long it really ran is C1's question.
    let planned = settings.main_s;
    if !settings.of_record || planned < settings.main_min_s || settings.hour_s != 3_600.0 {
        let text = format!(
            "called a record, but profile {} is {} and plans {} s with an hour of {} s",
            settings.profile,
            if settings.of_record { "of record" } else { "not of record" },
            figure(planned),
            figure(settings.hour_s)
        );
        return Said::Violated(text, String::new());
    }
    Said::Clean(format!("profile {}", settings.profile))
}

fn identity(sight: &Sight<'_>) -> Said {
    let Some(last) = sight.phase.final_scrape.get() else {
        return Said::Off("there is no final snapshot".to_owned());
    };
    let owner = last.socket_owner.as_deref().unwrap_or("an unknown process");
    match (&last.run_id, last.socket_in_group) {
        (Some(id), _) if *id != sight.phase.runner_id => Said::Violated(
            format!("the final snapshot is of run {id}, answered by {owner}"),
            SCRAPED.to_owned(),
        ),
        (_, Some(false)) => {
            Said::Violated(format!("the socket of the final snapshot belongs to {owner}"), SCRAPED.to_owned())
        }
        (None, None) => Said::Off("the snapshot names no run and the socket's owner is unknown".to_owned()),
        _ => Said::Clean(format!("run {}", sight.phase.runner_id)),
    }
}
