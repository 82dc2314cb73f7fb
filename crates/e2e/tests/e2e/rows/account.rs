//! What the trades come to.

use super::{broken, healthy, rows};

rows! {
    every_trade_the_same: broken("plain").arg("--script", "same").arg("--trade-every-ms", "200").arg("--kpi-interval-ms", "200").set("main.duration", "\"20 s\"").judged("C2", "fail").implausible("identical outcomes").reports("exactly 1.25 USD");
    cached_results: broken("plain").arg("--break-in", "any")
        .arg("--kpi-set", "total_pnl_usd=12.25").arg("--kpi-set", "gross_pnl_usd=13.5").arg("--kpi-set", "net_pnl_usd=12.25").arg("--kpi-set", "max_drawdown_usd=1.75")
        .arg("--kpi-set", "avg_win_usd=1.5").arg("--kpi-set", "avg_loss_usd=-0.5").arg("--kpi-set", "loop_latency_avg_ms=0.39").arg("--kpi-set", "loop_latency_p95_ms=0.48").arg("--kpi-set", "loop_latency_p99_ms=0.49")
        .judged("C2", "fail").implausible("the same vector in smoke and main");
    no_round_trips_but_entries: broken("plain").arg("--script", "stuck").arg("--linger-ms", "1").without_alerts().warned("B2").code(12).judged("H6", "fail").reports("B2");
    trades_that_cease: broken("plain").arg("--script", "dry").warned("B2").code(12).judged("H6", "fail").reports("B2");
    a_low_win_rate: broken("plain").arg("--script", "losing").warned("B1").code(12).judged("M1", "fail").reports("B1");
    a_fall_of_pnl: broken("plain").arg("--script", "drop").aborts("A7").reports("A7");

    half_of_them_win: healthy("plain").arg("--script", "half");
    four_of_five_win: healthy("plain").arg("--script", "eighty");
    a_quiet_market: healthy("plain").arg("--script", "quiet");
    few_trades: healthy("plain").arg("--script", "few").judged("H6", "fail").judged("M1", "fail").warned("B2").reports("SYSTEM");
    no_trades_at_all: healthy("plain").arg("--script", "nothing").arg("--break-in", "any").judged("H6", "fail").judged("M1", "inconclusive").kpi("win_rate_pct", "undefined").kpi("avg_loss_usd", "undefined").warned("B2").reports("SYSTEM");
    no_trades_in_the_smoke: healthy("plain").arg("--script", "nothing").arg("--break-in", "smoke").set("rules.B2.over", "\"8 s\"");
    orders_and_no_round_trip_in_the_smoke: broken("plain").arg("--break-in", "smoke").arg("--kpi-set", "round_trips_completed=0").smoke_fails().reports("no round trip was completed");
    many_trades: healthy("plain").arg("--trade-every-ms", "170");
}
