use super::*;
use journal::record::{Direction, FxSource, FxUsed, Purpose, Terms};
use market::{Asset, FxRate, Price, Quantity, Side, Venue};
use serde_json::json;

fn usd(text: &str) -> Money {
    Money::parse(text).unwrap()
}

fn fx() -> FxUsed {
    FxUsed { rate: FxRate(Price::from_int(1_400)), age_ms: 5, source: FxSource::UpbitMid }
}

fn kpis(bodies: Vec<(i64, Body)>) -> Kpis {
    let mut kpis = Kpis::new();
    for (i, (secs, body)) in bodies.into_iter().enumerate() {
        let seq = i as u64 + 1;
        kpis.on(&Entry { seq, input_seq: seq, at: Timestamp::from_secs(secs), commit: true, body });
    }
    kpis
}

fn opened(position: u64) -> Body {
    Body::Opened {
        position,
        asset: Asset::new("XRP").unwrap(),
        direction: Direction::BuyUpbit,
        quantity: Quantity::from_int(100),
        notional_usd: usd("200"),
        gap_bps: 1.0,
        decided_edge_bps: 2.0,
        realised_edge_bps: 1.5,
        decided_edge_usd: 0.04,
        realised_edge_usd: 0.03,
    }
}

fn closed(position: u64, reason: ExitReason, gross: &str, net: &str) -> Body {
    let (gross_usd, net_usd) = (usd(gross), usd(net));
    Body::Closed {
        position,
        asset: Asset::new("XRP").unwrap(),
        direction: Direction::BuyUpbit,
        reason,
        opened_at: Timestamp(0),
        gross_usd,
        fees_usd: gross_usd.checked_sub(net_usd).unwrap(),
        net_usd,
        slippage_usd: Money::ZERO,
        slippage_bps: 0.0,
        decided_edge_bps: 2.0,
        realised_edge_bps: 1.0,
    }
}

fn fill(position: u64, takes: Side, notional: &str, fee: &str) -> Body {
    Body::Fill {
        order: 1,
        position,
        purpose: Purpose::Entry,
        venue: Venue::Upbit,
        asset: Asset::new("XRP").unwrap(),
        takes,
        levels: Vec::new(),
        quantity: Quantity::from_int(1),
        notional: usd(notional),
        fee: Quantity::parse(fee).unwrap(),
        fee_asset: Asset::KRW,
        fx: fx(),
    }
}

fn equity(pnl: &str) -> Body {
    Body::Equity {
        pnl_usd: usd(pnl),
        net_usd: Money::ZERO,
        drawdown_usd: Money::ZERO,
        fx_effect_usd: None,
        transfer_cost_usd: None,
        fx: fx(),
        marks: Vec::new(),
    }
}

fn guard(trigger: u64, start: bool, observed: f64, holds: &str) -> Body {
    Body::Guard(GuardEvent {
        trigger,
        guard_type: "symbol".to_owned(),
        rule: "exposure_block".to_owned(),
        scope: "XRP".to_owned(),
        verdict: "block".to_owned(),
        start,
        observed,
        threshold: 20.0,
        holds: holds.to_owned(),
        until: None,
        since: None,
    })
}

#[test]
fn an_empty_journal_has_counts_of_zero_and_reasons_for_the_rest() {
    let fields = kpis(Vec::new()).fields();
    let present = json!({
        "total_trades": 0, "entry_trades": 0, "exit_trades": 0, "round_trips_completed": 0, "guard_triggers": 0,
        "gross_pnl_usd": 0.0, "net_pnl_usd": 0.0, "position_limit_hits": 0, "emergency_stops": 0, "open_positions": 0,
        "guard_triggers_by_type": {"exchange": 0, "route": 0, "symbol": 0, "global": 0, "cross_exchange": 0},
    });
    for (field, value) in present.as_object().unwrap() {
        assert_eq!(&fields[field], value, "{field}");
    }
    let without = [
        ("win_rate_pct", "undefined: no closed trades"),
        ("avg_win_usd", "undefined: no winning trades"),
        ("avg_loss_usd", "undefined: no losing trades"),
        ("guard_false_positives_pct", "undefined: no guard triggers"),
        ("guard_block_duration_avg_s", "undefined: no guard triggers"),
        ("total_pnl_usd", "absent: the journal has no equity point"),
        ("max_drawdown_usd", "absent: the journal has no equity point"),
        ("paper_capital_usd", "absent: the journal has no start record"),
    ];
    for (field, why) in without {
        assert!(fields[field].is_null(), "{field}");
        assert_eq!(fields[&format!("{field}_reason")], why);
    }
    // Every KPI of the runner's that the journal knows is there.
    for kpi in catalogue::KPIS.iter().filter(|kpi| kpi.number <= 17) {
        assert!(fields.contains_key(kpi.field), "{}", kpi.field);
    }
}

#[test]
fn trades_add_up() {
    let terms = Terms {
        capital_usd: usd("10000"),
        upbit_fee_centibps: 500,
        binance_fee_centibps: 1_000,
        take_profit_bps: 25,
        time_limit_ms: 180_000,
        day_offset_s: None,
        withdrawal: None,
        guards: None,
    };
    let start = Body::Start {
        format: 1,
        run_id: "r".to_owned(),
        version: "v".to_owned(),
        terms,
        config: String::new(),
    };
    let unwound =
        Body::Unwound { position: 9, asset: Asset::new("XRP").unwrap(), orphan: true, net_usd: usd("-2") };
    let kpis = kpis(vec![
        (0, start),
        (1, opened(1)),
        (2, opened(2)),
        (3, closed(1, ExitReason::TakeProfit, "1.10000001", "0.50000001")),
        (4, opened(3)),
        (5, closed(3, ExitReason::StopLoss, "-1", "-1.6")),
        (6, opened(4)),
        (7, closed(4, ExitReason::TimeLimit, "0.6", "0")),
        (8, opened(5)),
        (9, closed(5, ExitReason::Shutdown, "4.6", "4")),
        // An orphan: bought for 1 400 and sold for 0.7 less in all, fees of 0.7 KRW each time.
        (10, fill(9, Side::Ask, "1400", "0.7")),
        (11, fill(9, Side::Bid, "1398.6", "0.7")),
        (12, unwound),
    ]);
    assert_eq!((kpis.entries(), kpis.exits(), kpis.open_positions()), (5, 4, 1));
    assert_eq!((kpis.wins(), kpis.losses(), kpis.round_trips()), (2, 2, 4));
    assert_eq!((kpis.round_trips_without_shutdown(), kpis.unwinds()), (3, 1));
    assert_eq!(kpis.net_usd(), usd("0.90000001"));
    // 5.30000001 of the closed, -2 + 0.001 of the unwound.
    assert_eq!(kpis.gross_usd(), usd("3.30100001"));
    let fields = kpis.fields();
    assert_eq!(fields["win_rate_pct"], json!(33.33333333));
    assert_eq!(fields["avg_win_usd"], json!(2.25));
    assert_eq!(fields["avg_loss_usd"], json!(-0.8));
    assert_eq!(fields["net_pnl_usd"], json!(0.90000001));
    assert_eq!(fields["total_trades"], 9);
    assert_eq!(fields["paper_capital_usd"], json!(10000.0));
    assert_eq!(
        fields["exit_reasons"],
        json!({"emergency": 0, "kill_switch": 0, "stop_loss": 1, "spread_reversal": 0, "time_limit": 1,
               "take_profit": 1, "shutdown": 1, "halt": 0})
    );
}

#[test]
fn shutdown_closes_alone_have_no_win_rate() {
    let kpis = kpis(vec![(0, opened(1)), (1, closed(1, ExitReason::Shutdown, "1", "1"))]);
    assert_eq!(kpis.win_rate_pct(), None);
    assert_eq!(kpis.fields()["win_rate_pct_reason"], "undefined: no closed trades");
}

#[test]
fn drawdown_is_the_largest_fall_from_a_peak() {
    let points = ["-1", "2", "5", "1.5", "4", "0.4", "9"];
    let kpis = kpis(points.iter().map(|pnl| (0, equity(pnl))).collect());
    assert_eq!((kpis.pnl_usd(), kpis.drawdown_usd()), (Some(usd("9")), Some(usd("4.6"))));
}

#[test]
fn guards_count_durations_and_false_positives() {
    let kpis = kpis(vec![
        (10, guard(1, true, 25.0, "above")),
        (11, guard(2, true, 25.0, "below")),
        (12, guard(3, true, f64::NAN, "above")),
        (13, guard(4, true, 20.0, "above")),
        (14, guard(1, false, 15.0, "above")),
        (21, guard(2, false, 15.0, "below")),
        (22, guard(77, false, 15.0, "below")),
        (23, Body::PositionLimit { asset: Asset::new("XRP").unwrap(), open: 10 }),
        (24, Body::EmergencyStop { daily_net_usd: usd("-800") }),
    ]);
    let fields = kpis.fields();
    assert_eq!(fields["guard_triggers"], 4);
    assert_eq!(fields["guard_triggers_by_type"]["symbol"], 4);
    assert_eq!(fields["guard_false_positives"], 3);
    assert_eq!(fields["guard_false_positives_pct"], json!(75.0));
    assert_eq!(fields["guard_block_duration_avg_s"], json!(7.0));
    assert_eq!(kpis.guard_blocked_seconds(), 14.0);
    assert_eq!(kpis.guard_triggers()[&("symbol".to_owned(), "exposure_block".to_owned())], 4);
    assert_eq!((kpis.position_limit_hits(), kpis.emergency_stops()), (1, 1));
}

#[test]
fn the_funnel_adds_the_totals_only() {
    let funnel = |asset, n| Body::Funnel { asset, counts: [("updates".to_owned(), n)].into() };
    let kpis = kpis(vec![(0, funnel(None, 3)), (1, funnel(Asset::new("XRP").ok(), 3)), (2, funnel(None, 4))]);
    assert_eq!(kpis.funnel()["updates"], 7);
    assert_eq!(kpis.fields()["funnel"], json!({"updates": 7}));
}
