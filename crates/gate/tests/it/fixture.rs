//! A healthy run made of plain values: an hour, 24 round trips, 20 guard triggers, two drills.

use gate::evidence::*;
use gate::rules::{Action, Comparison, Condition, RuleName, RuleSpec, Signal, Window};
use journal::record::{Direction, ExitReason, FxSource, FxUsed, GuardEvent, Mark, Purpose, Taken, Terms};
use journal::{Body, Entry};
use market::{Asset, FxRate, Money, Price, Quantity, SCALE, Side, Timestamp, Venue};
use serde_json::json;
use std::collections::BTreeMap;

pub const RUN: &str = "run-1";
const RATE: i128 = 1_400;
const PROCESS_START: f64 = 1_800_000_000.5;

pub fn settings() -> Settings {
    Settings {
        profile: "d77-4".into(),
        of_record: true,
        custom_differences: vec![],
        smoke_s: 60.0,
        main_s: 3_600.0,
        main_min_s: 3_600.0,
        hour_s: 3_600.0,
        poll_s: 10.0,
        start_grace_s: 30.0,
        cpu_cores: 1.0,
        rules: rules(),
        memory_skip_s: 600.0,
        memory_min_s: 1_200.0,
        memory_window_s: 120.0,
        notifiers: vec!["local_log".into()],
        not_applicable: BTreeMap::new(),
        has_journal: true,
        has_metrics: true,
        has_alerts: true,
        progress_by_kpi_file: false,
        attestable: vec![],
    }
}

/// The rules of the profile of record.
pub fn rules() -> Vec<RuleSpec> {
    use Comparison::{Above, AtLeast, AtMost, Below};
    let when = |signal, comparison, threshold| Condition { signal, comparison, threshold };
    let rule = |name: &str, when, window, action| RuleSpec {
        name: RuleName::new(name),
        when,
        and: None,
        window,
        min_events: None,
        grace_s: None,
        action,
    };
    let abort = |name, when, window| rule(name, when, window, Action::Abort);
    let warn = |name, when, window| rule(name, when, window, Action::Warn);
    vec![
        abort("A2", when(Signal::AlertDlq, Above, 0.0), Window::AtOnce),
        abort("A3", when(Signal::NotifierAvailability, AtMost, 0.0), Window::AtOnce),
        abort("A4", when(Signal::LoopLatencyP99Ms, Above, 100.0), Window::For(300.0)),
        abort("A5", when(Signal::CpuPct, Above, 80.0), Window::For(600.0)),
        RuleSpec {
            and: Some(when(Signal::MemoryGrowthMibPerH, Above, 8.0)),
            ..abort("A6", when(Signal::MemoryGrowthPctPerH, Above, 10.0), Window::Over(1_200.0))
        },
        abort("A7", when(Signal::PnlFallPct, AtLeast, 10.0), Window::AtOnce),
        abort("A8", when(Signal::Progress, AtMost, 0.0), Window::For(60.0)),
        abort("A9", when(Signal::Scrapes, AtMost, 0.0), Window::For(60.0)),
        RuleSpec {
            min_events: Some(20.0),
            ..warn("B1", when(Signal::WinRatePct, Below, 50.0), Window::For(1_800.0))
        },
        warn("B2", when(Signal::RoundTrips, AtMost, 0.0), Window::Over(1_800.0)),
        RuleSpec {
            min_events: Some(50.0),
            ..warn("B3", when(Signal::GuardTriggersPerH, Above, 50.0), Window::Within(3_600.0))
        },
        warn("B4", when(Signal::AlertSuccessRatePct, Below, 90.0), Window::For(1_800.0)),
    ]
}

pub fn evidence() -> Evidence {
    let main = phase("main", 3_600.0, 24);
    let panels = catalogue::PANELS
        .iter()
        .map(|panel| PanelCheck {
            t: 3_000.0,
            panel: panel.id.into(),
            has_data: true,
            values: BTreeMap::new(),
            colour: None,
            run_id: Some(main.runner_id.clone()),
            process_start: Some(PROCESS_START),
            anchor: Some(("arb_topn_loop_iterations_total".into(), 300_000.0)),
            problem: None,
            unanswered: false,
            age_s: None,
        })
        .collect();
    Evidence {
        run_id: RUN.into(),
        settings: settings(),
        class: EvidenceClass::Record,
        smoke: Some(phase("smoke", 60.0, 1)),
        main: Some(main),
        round_trip_proof: RoundTripProof::Market,
        smoke_failed: None,
        panels,
        interrupted: None,
        origin: Origin::Supervised,
        cores: Some(4),
        attestations: vec![],
        rerun: "assay validate --profile d77-4".into(),
    }
}

/// The scrape of a healthy runner at `t` with `trips` round trips done.
pub fn scrape(t: f64, trips: f64, guards: f64) -> Scrape {
    let n = (t * 100.0).floor();
    let mut series = BTreeMap::new();
    let mut set = |name: &str, value: f64| {
        series.insert(name.to_owned(), value);
    };
    set("arb_topn_loop_iterations_total", n);
    set("arb_topn_round_trips_total", trips);
    set("arb_topn_exit_reasons_total{reason=\"take_profit\"}", trips);
    if trips > 0.0 {
        set("arb_topn_win_rate", 62.5);
    }
    set("arb_topn_pnl_usd", trips);
    set("arb_topn_position_limit_hits_total", 0.0);
    set("arb_topn_emergency_stops_total", 0.0);
    set("arb_topn_guard_triggers_total{guard_type=\"route\",reason=\"bad_data\"}", guards);
    for (edge, share) in
        [("0.001", 0.9), ("0.002", 0.98), ("0.05", 1.0), ("0.08", 1.0), ("0.1", 1.0), ("+Inf", 1.0)]
    {
        set(&format!("loop_latency_seconds_bucket{{le=\"{edge}\"}}"), (n * share).floor());
    }
    set("loop_latency_seconds_sum", n * 0.0006);
    set("loop_latency_seconds_count", n);
    for venue in ["upbit", "binance"] {
        set(&format!("venue_books{{state=\"live\",venue=\"{venue}\"}}"), 49.0);
        set(&format!("venue_books{{state=\"syncing\",venue=\"{venue}\"}}"), 1.0);
    }
    for (name, value) in [("sent", 2.0), ("retry", 0.0), ("dlq", 0.0), ("fallback", 0.0)] {
        set(&format!("alert_{name}_total{{notifier=\"local_log\"}}"), value);
    }
    set("alert_failed_total{notifier=\"local_log\",reason=\"io\"}", 0.0);
    set("alert_delivery_latency_seconds_bucket{le=\"0.01\",notifier=\"local_log\"}", 2.0);
    set("alert_delivery_latency_seconds_bucket{le=\"+Inf\",notifier=\"local_log\"}", 2.0);
    set("notifier_available{notifier=\"local_log\"}", 1.0);
    set("process_start_time_seconds", PROCESS_START);
    set("process_cpu_seconds_total", t * 0.2);
    set("process_memory_usage_mb", 110.0 + (t / 100.0) % 3.0);
    Scrape { series }
}

pub fn os(t: f64) -> OsSample {
    OsSample {
        cpu_seconds: t * 0.21,
        rss_bytes: 110_000_000 + (t as u64 % 7) * 500_000,
        peak_rss_bytes: 120_000_000,
        pss_bytes: 100_000_000 + (t as u64 % 11) * 100_000,
        threads: 4,
        fds: 40,
        processes: 1,
    }
}

pub fn sample(t: f64) -> Sample {
    Sample {
        t,
        wall_ms: 0,
        scrape: Found::Yes(scrape(t, (t / 120.0).floor(), 0.0)),
        os: Found::Yes(os(t)),
        log: LogCounters::default(),
        kpi_rewrites: t as u64 / 10,
        kpi: BTreeMap::from([("paper_capital_usd".to_owned(), 10_000.0)]),
    }
}

pub fn phase(name: &str, planned: f64, trades: u32) -> PhaseEvidence {
    let runner_id = format!("{RUN}.{name}");
    let guards = if name == "main" { 20 } else { 0 };
    let desk = Desk::trade(&runner_id, trades, guards);
    let samples = (1..=(planned / 10.0) as u32)
        .map(|i| {
            let t = f64::from(i) * 10.0;
            let mut sample = sample(t);
            sample.scrape = Found::Yes(scrape(t, (t / 120.0).floor().min(trades.into()), f64::from(guards)));
            sample
        })
        .collect();
    PhaseEvidence {
        phase: name.into(),
        runner_id: runner_id.clone(),
        planned_s: planned,
        end: Some(PhaseEnd {
            ran_s: planned + 0.4,
            exit_code: Some(0),
            signal: None,
            stop_sent_s: None,
            abort: None,
            later_causes: vec![],
            interrupted: None,
            killed_by_us: false,
            leftovers: vec![],
        }),
        samples,
        kpi_file: Found::Yes(desk.kpi_file(&runner_id, planned, guards)),
        final_scrape: Found::Yes(FinalScrape {
            scrape: scrape(planned, trades.into(), guards.into()),
            t: planned,
            run_id: Some(runner_id),
            socket_in_group: Some(true),
            socket_owner: Some("pid 7 (runner)".into()),
        }),
        journal: Found::Yes(desk.entries),
        alerts: Found::Yes(alert_rows(name)),
        spooled: Found::Yes(vec![]),
        log: Found::Yes(LogFacts::default()),
        rule_events: vec![],
        trades: Found::No("there is no trade log".into()),
        iteration_gaps: Found::No("there is no console log".into()),
    }
}

fn alert_rows(phase: &str) -> AlertRows {
    let alert = |n: i64| AlertRow {
        alert_id: format!("a-{n}"),
        phase: phase.into(),
        rule_id: "DRILL".into(),
        severity: "P3".into(),
        title: "drill".into(),
        raised_at_ms: 0,
        disposition: "deliver".into(),
    };
    let delivery = |n: i64| DeliveryRow {
        delivery_id: n,
        alert_id: format!("a-{n}"),
        phase: phase.into(),
        notifier: "local_log".into(),
        status: "SENT".into(),
        attempt: 1,
        latency_ms: Some(8),
        last_error: None,
        fallback_of: None,
    };
    AlertRows { alerts: vec![alert(1), alert(2)], deliveries: vec![delivery(1), delivery(2)] }
}

/// A bookkeeper of its own: the gate's accounting must come to the same figures.
pub struct Desk {
    pub entries: Vec<Entry>,
    held: BTreeMap<(Venue, Asset), i128>,
    start: BTreeMap<(Venue, Asset), i128>,
    at: i64,
    order: u64,
    nets: Vec<(i128, ExitReason)>,
    gross: i128,
    pnl: i128,
    peak: i128,
    drawdown: i128,
}

/// A division that says where it rounds to.
fn down(a: i128, b: i128) -> i128 {
    a.div_euclid(b)
}

fn up(a: i128, b: i128) -> i128 {
    -down(-a, b)
}

fn coin() -> Asset {
    Asset::new("ETH").unwrap()
}

fn fx() -> FxUsed {
    FxUsed { rate: FxRate(Price((RATE * SCALE) as i64)), age_ms: 5, source: FxSource::UpbitMid }
}

impl Desk {
    pub fn trade(runner_id: &str, trades: u32, guards: u32) -> Self {
        let mut desk = Self {
            entries: vec![],
            held: BTreeMap::new(),
            start: BTreeMap::new(),
            at: 1_800_000_000_000_000_000,
            order: 0,
            nets: vec![],
            gross: 0,
            pnl: 0,
            peak: 0,
            drawdown: 0,
        };
        let terms = Terms {
            capital_usd: Money(10_000 * SCALE),
            upbit_fee_centibps: 500,
            binance_fee_centibps: 1_000,
            take_profit_bps: 25,
            time_limit_ms: 180_000,
            day_offset_s: Some(0),
            withdrawal: None,
            guards: None,
        };
        desk.push(Body::Start {
            format: 1,
            run_id: runner_id.into(),
            version: "1".into(),
            terms,
            config: String::new(),
        });
        for (venue, asset, amount) in [
            (Venue::Upbit, Asset::KRW, 10_000_000),
            (Venue::Binance, Asset::USDT, 10_000),
            (Venue::Upbit, coin(), 10),
            (Venue::Binance, coin(), 10),
        ] {
            let amount = Quantity(amount * SCALE);
            desk.held.insert((venue, asset), amount.0);
            desk.start.insert((venue, asset), amount.0);
            desk.push(Body::Deposit { venue, asset, amount });
            desk.push(Body::Balance { venue, asset, change: amount, balance: amount, order: 0, transfer: 0 });
        }
        for trigger in 0..guards {
            for start in [true, false] {
                desk.at += 1_000_000_000;
                desk.push(Body::Guard(GuardEvent {
                    trigger: trigger.into(),
                    guard_type: "route".into(),
                    rule: "bad_data".into(),
                    scope: "ETH".into(),
                    verdict: "block".into(),
                    start,
                    observed: 600.0,
                    threshold: 500.0,
                    holds: "above".into(),
                    until: None,
                    since: None,
                }));
            }
        }
        for i in 0..trades {
            desk.round_trip(u64::from(i) + 1);
            desk.at += 90_000_000_000;
        }
        let counts =
            [("updates", 9_000), ("evaluated", 4_000), ("gross_positive", 100), ("above_threshold", 30)];
        let counts = counts.iter().map(|(stage, n)| ((*stage).to_owned(), *n)).collect();
        desk.push(Body::Funnel { asset: None, counts });
        desk.push(Body::End { reason: "duration".into(), open_positions: 0 });
        desk
    }

    fn push(&mut self, body: Body) {
        let seq = self.entries.len() as u64 + 1;
        self.entries.push(Entry { seq, input_seq: seq, at: Timestamp(self.at), commit: true, body });
    }

    /// Returns cash flow after fee and fee in 1e-8 USD, and what the fill left of the coin.
    fn fill(
        &mut self,
        position: u64,
        purpose: Purpose,
        venue: Venue,
        buys: bool,
        price: i128,
        quantity: i128,
    ) -> (i128, i128, i128) {
        self.order += 1;
        let notional = if buys { up(price * quantity, SCALE) } else { down(price * quantity, SCALE) };
        let centibps = if venue == Venue::Upbit { 500 } else { 1_000 };
        let in_base = venue == Venue::Binance && buys;
        let fee = ((if in_base { quantity } else { notional }) * centibps + 999_999) / 1_000_000;
        let quantity_of = Quantity(quantity);
        self.push(Body::Fill {
            order: self.order,
            position,
            purpose,
            venue,
            asset: coin(),
            takes: if buys { Side::Ask } else { Side::Bid },
            levels: vec![Taken {
                price: Price(price as i64),
                quantity: quantity_of,
                displayed: Quantity(quantity * 3),
            }],
            quantity: quantity_of,
            notional: Money(notional),
            fee: Quantity(fee),
            fee_asset: if in_base { coin() } else { venue.quote() },
            fx: fx(),
        });
        let base = if buys { quantity - if in_base { fee } else { 0 } } else { -quantity };
        let quote = if buys { -notional } else { notional } - if in_base { 0 } else { fee };
        for (asset, change) in [(coin(), base), (venue.quote(), quote)] {
            let held = self.held.get_mut(&(venue, asset)).unwrap();
            *held += change;
            let balance = Quantity(*held);
            let (change, order) = (Quantity(change), self.order);
            self.push(Body::Balance { venue, asset, change, balance, order, transfer: 0 });
        }
        let rate = if venue == Venue::Upbit { RATE } else { 1 };
        let fee_quote = if in_base { up(notional * fee, quantity) } else { fee };
        (down(quote, rate), up(fee_quote, rate), base)
    }

    fn round_trip(&mut self, id: u64) {
        let usd = 1_000 * SCALE + i128::from(id) * SCALE / 10;
        let quantity = SCALE / 5;
        let bought = quantity * 1_000_000 / 999_000 + 1;
        // One in three loses.
        let sold_at = if id.is_multiple_of(3) {
            usd + usd / 1_000
        } else {
            usd + usd / 100 + i128::from(id) * SCALE / 100
        };
        let opened_at = Timestamp(self.at);
        let legs = [
            self.fill(id, Purpose::Entry, Venue::Binance, true, usd, bought),
            self.fill(id, Purpose::Entry, Venue::Upbit, false, sold_at * RATE, quantity),
        ];
        // What was bought at `usd`, fee included, for the matched part of it; the sale at its own price.
        let notional = down(up(usd * bought, SCALE) * quantity, bought);
        self.push(Body::Opened {
            position: id,
            asset: coin(),
            direction: Direction::BuyBinance,
            quantity: Quantity(quantity),
            notional_usd: Money(notional),
            gap_bps: (sold_at as f64 / usd as f64 - 1.0) * 1e4,
            decided_edge_bps: 60.0,
            realised_edge_bps: 60.0,
            decided_edge_usd: 1.2,
            realised_edge_usd: 1.2,
        });
        self.at += 30_000_000_000;
        let exits = [
            self.fill(id, Purpose::Exit, Venue::Binance, false, usd, quantity),
            self.fill(id, Purpose::Exit, Venue::Upbit, true, usd * RATE, quantity),
        ];
        let all = [legs, exits].concat();
        let fees: i128 = all.iter().map(|l| l.1).sum();
        // What is left of the coin on Binance counts at the price of the last fill there; Upbit is even.
        let left = legs[0].2 + exits[0].2;
        assert_eq!(legs[1].2 + exits[1].2, 0);
        let worth = down(down(usd * quantity, SCALE) * left, quantity);
        let net = all.iter().map(|l| l.0).sum::<i128>() + worth;
        let gross = net + fees;
        let reasons =
            [ExitReason::TakeProfit, ExitReason::StopLoss, ExitReason::TimeLimit, ExitReason::SpreadReversal];
        let reason = reasons[id as usize % 4];
        self.push(Body::Closed {
            position: id,
            asset: coin(),
            direction: Direction::BuyBinance,
            reason,
            opened_at,
            gross_usd: Money(gross),
            fees_usd: Money(fees),
            net_usd: Money(net),
            slippage_usd: Money(0),
            slippage_bps: 0.0,
            decided_edge_bps: 60.0,
            realised_edge_bps: 60.0,
        });
        self.nets.push((net, reason));
        self.gross += gross;
        self.equity(usd);
    }

    fn equity(&mut self, usd: i128) {
        let (mut krw, mut usdt) = (0, 0);
        for (key, held) in &self.held {
            let change = held - self.start[key];
            match key {
                (_, asset) if *asset == Asset::KRW => krw += change,
                (_, asset) if *asset == Asset::USDT => usdt += change,
                (Venue::Upbit, _) => krw += down(change * usd * RATE, SCALE),
                (Venue::Binance, _) => usdt += down(change * usd, SCALE),
            }
        }
        self.pnl = down(krw, RATE) + usdt;
        self.peak = self.peak.max(self.pnl);
        self.drawdown = self.drawdown.max(self.peak - self.pnl);
        let net = self.nets.iter().map(|n| n.0).sum();
        let mark =
            Mark { asset: coin(), upbit: Some(Price((usd * RATE) as i64)), binance: Some(Price(usd as i64)) };
        self.push(Body::Equity {
            pnl_usd: Money(self.pnl),
            net_usd: Money(net),
            drawdown_usd: Money(self.drawdown),
            fx_effect_usd: None,
            transfer_cost_usd: Some(Money(0)),
            fx: fx(),
            marks: vec![mark],
        });
    }

    fn kpi_file(&self, runner_id: &str, planned: f64, guards: u32) -> KpiFile {
        let n = self.nets.len();
        let usd = |units: i128| units as f64 / SCALE as f64;
        let of = |wins: bool| -> Vec<f64> {
            self.nets.iter().filter(|x| (x.0 > 0) == wins).map(|x| usd(x.0)).collect()
        };
        let mean = |values: &[f64]| match values.len() {
            0 => serde_json::Value::Null,
            n => json!(values.iter().sum::<f64>() / n as f64),
        };
        let (wins, losses) = (of(true), of(false));
        let mut reasons: BTreeMap<&str, u64> = BTreeMap::new();
        for (_, reason) in &self.nets {
            *reasons.entry(reason.as_str()).or_insert(0) += 1;
        }
        let file = json!({
            "total_trades": 2 * n, "entry_trades": n, "exit_trades": n, "round_trips_completed": n,
            "win_rate_pct": if n > 0 { json!(wins.len() as f64 / n as f64 * 100.0) } else { json!(null) },
            "win_rate_pct_reason": "undefined: 0 closed trades",
            "total_pnl_usd": usd(self.pnl), "gross_pnl_usd": usd(self.gross),
            "net_pnl_usd": usd(self.nets.iter().map(|x| x.0).sum()),
            "max_drawdown_usd": usd(self.drawdown),
            "avg_win_usd": mean(&wins), "avg_win_usd_reason": "undefined: 0 winners",
            "avg_loss_usd": mean(&losses), "avg_loss_usd_reason": "undefined: 0 losers",
            "guard_triggers": guards, "guard_triggers_by_type": {"route": guards},
            "guard_false_positives": 0,
            "guard_block_duration_avg_s": if guards > 0 { json!(1.0) } else { json!(null) },
            "guard_block_duration_avg_s_reason": "undefined: 0 blocks",
            "position_limit_hits": 0, "emergency_stops": 0,
            "loop_latency_avg_ms": 0.6 + planned * 1e-6, "loop_latency_p95_ms": 1.6, "loop_latency_p99_ms": 5.0,
            "error_rate_pct": 0.0, "error_lines": 0, "error_slots": 0, "slots": planned * 10.0,
            "cpu_seconds": planned * 0.2, "peak_rss_bytes": 118_000_000, "duration_s": planned,
            "wins": wins.len(), "losses": losses.len(), "exit_reasons": reasons, "open_positions": 0,
            "paper_capital_usd": 10_000, "stop_reason": "duration",
        });
        let serde_json::Value::Object(map) = file else { unreachable!() };
        KpiFile { fields: map.into_iter().collect(), complete: Some(true), run_id: Some(runner_id.into()) }
    }
}
