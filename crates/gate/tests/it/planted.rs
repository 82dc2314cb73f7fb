//! Planted faulty guards: each shows up among the false positives with its exact rate, and honest sessions of the engine show
//! none. The sessions are the engine's; the judgement shares no code with it.

use crate::driver::Driver;
use crate::scenarios::{calm, cases};
use catalogue::CriterionId;
use gate::accounting::Accounts;
use gate::evidence::Found;
use gate::{Simple, Value, account};
use journal::record::GuardEvent;
use journal::{Body, Entry};
use rand::{Rng, SeedableRng};

fn judged(entries: &[Entry]) -> Accounts {
    let accounts = account(entries).unwrap();
    assert_eq!(accounts.problems, []);
    accounts
}

fn rate(accounts: &Accounts) -> (u64, usize) {
    (accounts.false_positives(), accounts.triggers.len())
}

/// False positives and triggers as the engine's own KPIs have them.
fn stated(entries: &[Entry]) -> (u64, u64) {
    let mut kpis = engine::kpi::Kpis::new();
    entries.iter().for_each(|entry| kpis.on(entry));
    let fields = kpis.fields();
    (fields["guard_false_positives"].as_u64().unwrap(), fields["guard_triggers"].as_u64().unwrap())
}

fn starts(entries: &[Entry], rule: &str) -> u64 {
    entries.iter().filter(|e| matches!(&e.body, Body::Guard(g) if g.start && g.rule == rule)).count() as u64
}

#[test]
fn honest_sessions_have_no_false_positive_and_a_moved_threshold_makes_all_of_its_rule_one() {
    for case in cases() {
        let mut entries = case.play().entries;
        let honest = judged(&entries);
        let wrong: Vec<&String> = honest.triggers.iter().filter(|t| !t.holds).map(|t| &t.text).collect();
        assert!(wrong.is_empty(), "{}: {wrong:?}", case.rule);
        assert_eq!(stated(&entries), (0, honest.triggers.len() as u64), "{}", case.rule);
        // The engine compared with something else than its terms say: the events still state what it compared with.
        let rule = engine::guards::rule_of(case.rule).unwrap();
        let Body::Start { terms, .. } = &mut entries[0].body else { panic!("no start") };
        let never = if rule.above { 1e15 } else { -1e15 };
        terms.guards.as_mut().unwrap().thresholds.insert(case.rule.to_owned(), never).unwrap();
        let (wrong, all) = rate(&judged(&entries));
        assert_eq!((wrong, all), (starts(&entries, case.rule), honest.triggers.len()), "{}", case.rule);
        assert_eq!(stated(&entries), (wrong, all as u64), "{}: the KPI file says so, too", case.rule);
        assert!(wrong > 0, "{}", case.rule);
    }
}

/// A guard that triggers without its condition and states `observed`.
fn planted(rule: &engine::guards::Rule, scope: &str, trigger: u64, start: bool, observed: f64) -> Body {
    Body::Guard(GuardEvent {
        trigger,
        guard_type: rule.guard_type.to_owned(),
        rule: rule.name.to_owned(),
        scope: scope.to_owned(),
        verdict: rule.verdict.as_str().to_owned(),
        start,
        observed: if start { observed } else { 0.0 },
        threshold: 0.0,
        holds: if rule.above { "above" } else { "below" }.to_owned(),
        until: None,
        since: None,
    })
}

/// Writes `body` behind the first figures at or after the middle of the journal.
fn insert(entries: &mut Vec<Entry>, bodies: impl IntoIterator<Item = Body>) {
    let middle = entries.len() / 2;
    let at = entries[middle..].iter().position(|e| matches!(e.body, Body::Figures { .. })).unwrap() + middle;
    let like = entries[at].clone();
    let new = bodies.into_iter().map(|body| Entry { body, ..like.clone() });
    entries.splice(at + 1..at + 1, new.collect::<Vec<_>>());
    for (i, entry) in entries.iter_mut().enumerate() {
        entry.seq = i as u64 + 1;
    }
}

/// A session with honest triggers: a gap of bad data, a budget that runs low, and trades.
fn session() -> Vec<Entry> {
    let mut d = Driver::new(&["AAA", "BBB"], &engine::Config::default());
    calm(&mut d, 20);
    d.premium = vec![3_000.0, 0.0];
    calm(&mut d, 2);
    d.premium = vec![0.0, 0.0];
    calm(&mut d, 70);
    d.premium = vec![0.0, 60.0];
    calm(&mut d, 3);
    d.premium = vec![0.0, -30.0];
    calm(&mut d, 5);
    d.entries
}

#[test]
fn a_planted_trigger_of_any_rule_is_found_with_its_exact_rate() {
    let honest = session();
    let (none, all) = rate(&judged(&honest));
    assert!(none == 0 && all >= 2, "{none} of {all}");
    for rule in engine::guards::rules::ALL {
        let scope = match (rule.guard_type, rule.name) {
            ("exchange", _) => "binance",
            ("route", _) | (_, "inventory_imbalance") => "BBB:buy_binance",
            ("symbol", _) => "BBB",
            (_, "directional_bias") => "buy_upbit",
            _ => "*",
        };
        let terms = engine::guards::Thresholds::new(&engine::Config::default());
        // It lies about its figure, or it is honest about it and triggers all the same.
        let beyond = if rule.above { 1e9 } else { -1e9 };
        for (observed, in_kpi_file) in [(beyond, 0), (terms.of(rule), 3)] {
            let mut entries = honest.clone();
            for trigger in [1_001, 1_002, 1_003] {
                let guard = |start| planted(&rule, scope, trigger, start, observed);
                insert(&mut entries, [guard(true), guard(false)]);
            }
            assert_eq!(rate(&judged(&entries)), (3, all + 3), "{}", rule.name);
            // The KPI file believes figures; where it differs from the recount, KPI 14 is implausible with both.
            assert_eq!(stated(&entries), (in_kpi_file, all as u64 + 3), "{}", rule.name);
        }
    }
}

#[test]
fn a_stated_figure_is_not_believed_and_not_needed() {
    let mut entries = session();
    let all = judged(&entries).triggers.len();
    for entry in &mut entries {
        if let Body::Guard(guard) = &mut entry.body {
            (guard.observed, guard.threshold) = (0.0, 0.0);
        }
    }
    assert_eq!(rate(&judged(&entries)), (0, all));
    // Without the figures behind them, nothing shows that the conditions held.
    for entry in &mut entries {
        if let Body::Figures { guards, .. } = &mut entry.body {
            *guards = None;
        }
    }
    let accounts = judged(&entries);
    assert!(accounts.false_positives() > 0);
    assert!(accounts.triggers.iter().any(|t| t.text.ends_with("no figure of it in the journal")));
}

#[test]
fn random_trouble_gives_honest_triggers_of_every_kind() {
    let mut kinds: std::collections::BTreeMap<String, u32> = std::collections::BTreeMap::new();
    let mut shadows = 0;
    for seed in 0..sessions() {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
        let entries = crate::scenarios::trouble(|below| rng.random_range(0..below)).entries;
        let accounts = account(&entries).unwrap();
        for trigger in &accounts.triggers {
            assert!(trigger.holds, "seed {seed}: {}", trigger.text);
            *kinds.entry(trigger.text.split(' ').next().unwrap().to_owned()).or_default() += 1;
        }
        assert_eq!(stated(&entries), (0, accounts.triggers.len() as u64), "seed {seed}");
        let table = accounts.shadows.unwrap_or_default();
        let written = |pick: fn(&Body) -> bool| entries.iter().filter(|e| pick(&e.body)).count() as u64;
        let opened = written(|b| matches!(b, Body::ShadowOpened { .. }));
        let valued = written(|b| matches!(b, Body::ShadowClosed { net_usd: Some(_), .. }));
        assert_eq!((table.shadows.n, table.shadows.n + table.unfinished), (valued, opened), "seed {seed}");
        let ended = |b: &Body| matches!(b, Body::Closed { .. } | Body::Unwound { .. });
        assert_eq!(table.taken.n, entries.iter().filter(|e| ended(&e.body)).count() as u64, "seed {seed}");
        shadows += valued;
    }
    eprintln!("{kinds:?}, {shadows} shadows");
    assert!(kinds.len() >= 15 && shadows > 20, "{kinds:?}, {shadows} shadows");
}

/// More with `ASSAY_GUARD_SESSIONS`.
fn sessions() -> u64 {
    std::env::var("ASSAY_GUARD_SESSIONS").ok().and_then(|n| n.parse().ok()).unwrap_or(6)
}

#[test]
fn kpi_14_and_its_criterion_say_the_exact_rate() {
    let with = |in_file: u64| {
        let mut evidence = crate::fixture::evidence();
        let main = evidence.main.as_mut().unwrap();
        let Found::Yes(entries) = &mut main.journal else { panic!("no journal") };
        let guards = entries.iter_mut().filter_map(|entry| match &mut entry.body {
            Body::Guard(guard) if guard.start => Some(guard),
            _ => None,
        });
        guards.take(2).for_each(|guard| guard.observed = 10.0);
        let Found::Yes(file) = &mut main.kpi_file else { panic!("no KPI file") };
        file.fields.insert("guard_false_positives".to_owned(), in_file.into());
        gate::judge(&evidence)
    };
    let analysis = with(2);
    let kpi = analysis.kpis.iter().find(|kpi| kpi.number == 14).unwrap();
    assert_eq!(kpi.value, Value::Measured(2.0));
    let h5 = analysis.criteria.iter().find(|c| c.id == CriterionId::H5).unwrap();
    assert_eq!((h5.outcome.simple(), h5.value.as_str()), (Simple::Fail, "2 of 20 triggers, 10 %"));
    // A file that hides one of them is found out.
    let hidden = with(1);
    let kpi = hidden.kpis.iter().find(|kpi| kpi.number == 14).unwrap();
    assert!(matches!(&kpi.value, Value::Implausible { .. }), "{:?}", kpi.value);
}
