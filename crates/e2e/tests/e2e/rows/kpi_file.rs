//! Broken KPI files and figures that cannot be true, and files that are right in an unusual way.

use super::{broken, healthy, rows};

rows! {
    missing: broken("no-kpi").judged("C2", "fail").kpi("total_trades", "absent").reports("never wrote its KPI file");
    missing_in_the_smoke: broken("no-kpi").arg("--break-in", "smoke").smoke_fails().reports("never wrote its KPI file");
    half: broken("half-kpi").judged("C2", "fail").kpi("total_trades", "absent").reports("not whole JSON");
    empty: broken("empty-kpi").judged("C2", "fail").kpi("total_trades", "absent").reports("not whole JSON");
    no_json: broken("plain").arg("--kpi-raw", "total_trades: 7").judged("C2", "fail").kpi("total_trades", "absent").reports("not whole JSON");
    an_array: broken("plain").arg("--kpi-raw", "[1, 2, 3]").judged("C2", "fail").kpi("total_trades", "absent").reports("not a JSON object");
    an_empty_object: broken("plain").arg("--kpi-raw", "{}").judged("C2", "fail").kpi("total_trades", "absent");
    not_a_number_in_json: broken("plain").arg("--kpi-raw", "{\"total_trades\": NaN}").judged("C2", "fail").reports("not whole JSON");
    a_field_missing: broken("plain").arg("--kpi-drop", "max_drawdown_usd").judged("C2", "fail").kpi("max_drawdown_usd", "absent").reports("max_drawdown_usd");
    text_for_a_number: broken("plain").arg("--kpi-set", "net_pnl_usd=\"12.5\"").judged("C2", "fail").kpi("net_pnl_usd", "absent").reports("net_pnl_usd");
    nan_as_text: broken("plain").arg("--kpi-set", "avg_win_usd=\"NaN\"").judged("C2", "fail").kpi("avg_win_usd", "absent");
    true_for_a_number: broken("plain").arg("--kpi-set", "emergency_stops=true").judged("C2", "fail").kpi("emergency_stops", "absent");
    null_without_a_reason: broken("plain").arg("--kpi-set", "avg_loss_usd=null").judged("C2", "fail").kpi("avg_loss_usd", "absent");
    a_blank_reason: broken("plain").arg("--kpi-set", "avg_loss_usd=null").arg("--kpi-set", "avg_loss_usd_reason=\"\"").judged("C2", "fail").kpi("avg_loss_usd", "absent");
    said_to_be_absent: broken("plain").arg("--kpi-set", "max_drawdown_usd=null").arg("--kpi-set", "max_drawdown_usd_reason=\"absent: not measured\"").judged("C2", "fail").kpi("max_drawdown_usd", "absent").reports("not measured");
    a_map_with_text: broken("plain").arg("--kpi-set", "guard_triggers_by_type={\"exchange\":\"none\"}").judged("C2", "fail").kpi("guard_triggers_by_type", "absent");
    stale: broken("stale-kpi").judged("C2", "fail").reports("complete: false");
    constant: broken("constant-kpi").judged("C2", "fail");
    of_another_run: broken("plain").arg("--kpi-set", "run_id=\"20200101-000000-dead.main\"").judged("C2", "fail").kpi("total_trades", "absent").reports("of run 20200101-000000-dead.main");
    complete_false_at_the_end: broken("plain").arg("--kpi-set", "complete=false").judged("C2", "fail").reports("complete: false");
    complete_false_in_the_smoke: broken("plain").arg("--kpi-set", "complete=false").arg("--break-in", "smoke").smoke_fails().reports("does not say complete: true");
    negative_counts: broken("plain").arg("--kpi-set", "total_trades=-4").judged("C2", "fail");
    a_negative_count_alone: broken("plain").arg("--kpi-set", "position_limit_hits=-1").judged("C2", "fail").kpi("position_limit_hits", "implausible");
    half_a_trade: broken("plain").arg("--kpi-scale", "entry_trades=0.3").judged("C2", "fail").implausible("parts that do not add up");
    a_win_rate_above_100: broken("plain").arg("--kpi-set", "win_rate_pct=120").judged("C2", "fail");
    trades_that_the_metrics_deny: broken("plain").arg("--kpi-scale", "entry_trades=2").arg("--kpi-scale", "exit_trades=2").arg("--kpi-scale", "total_trades=2")
        .arg("--kpi-scale", "round_trips_completed=2").judged("C2", "fail");
    guards_that_the_metrics_deny: broken("plain").arg("--kpi-set", "guard_triggers=7").arg("--kpi-set", "guard_triggers_by_type={\"symbol\":7}").judged("C2", "fail").kpi("guard_triggers", "implausible").reports("(metrics)");
    guard_types_that_do_not_add_up: broken("plain").arg("--guards-per-s", "2").arg("--kpi-set", "guard_triggers_by_type={\"symbol\":1}").judged("C2", "fail").implausible("parts that do not add up");
    limit_hits_that_nothing_shows: broken("plain").arg("--kpi-set", "position_limit_hits=4").judged("C2", "fail").kpi("position_limit_hits", "implausible");
    emergency_stops_that_nothing_shows: broken("plain").arg("--kpi-set", "emergency_stops=1").judged("C2", "fail").kpi("emergency_stops", "implausible");
    a_latency_that_the_histogram_denies: broken("plain").arg("--latency-ms", "60").arg("--break-after-seconds", "0").arg("--kpi-set", "loop_latency_p99_ms=2").judged("C2", "fail").kpi("loop_latency_p99_ms", "implausible").reports("loop_latency_p99_ms");
    cpu_constant_35: broken("plain").arg("--kpi-set", "cpu_usage_pct=35").judged("C2", "fail").kpi("cpu_usage_pct", "implausible").reports("35 %");
    memory_constant_150: broken("plain").arg("--kpi-set", "memory_usage_mb=150").judged("C2", "fail").kpi("memory_usage_mb", "implausible").reports("150 MB");
    cpu_in_another_unit: broken("plain").arg("--busy-ms", "8").arg("--kpi-scale", "cpu_usage_pct=0.01").judged("C2", "fail").kpi("cpu_usage_pct", "implausible");
    cpu_seconds_in_milliseconds: broken("plain").arg("--busy-ms", "8").arg("--kpi-scale", "cpu_seconds=1000").judged("C2", "fail").kpi("cpu_usage_pct", "implausible");
    memory_in_kilobytes: broken("plain").arg("--kpi-scale", "memory_usage_mb=1000").judged("C2", "fail").kpi("memory_usage_mb", "implausible");
    memory_in_mebibytes_of_bits: broken("plain").arg("--kpi-scale", "peak_rss_bytes=8").judged("C2", "fail").kpi("memory_usage_mb", "implausible");
    cpu_seconds_that_are_not_true: broken("cpu-lie").judged("C2", "fail").kpi("cpu_usage_pct", "implausible").reports("cpu_usage_pct");
    metrics_with_a_constant_cpu: broken("plain").arg("--busy-ms", "6").arg("--page-set", "process_cpu_seconds_total=1").arg("--break-after-seconds", "0").judged("C2", "fail").kpi("cpu_usage_pct", "implausible");
    a_memory_gauge_that_stands: broken("saw-tooth").set("main.duration", "\"18 s\"").set("rules.A6.over", "\"60 s\"").arg("--page-set", "process_memory_usage_mb=150").arg("--break-after-seconds", "0").arg("--kpi-drop", "memory_usage_mb").arg("--kpi-drop", "peak_rss_bytes")
        .judged("C2", "fail").implausible("flat against movement").reports("150");
    a_clock_that_jumps: broken("plain").arg("--kpi-set", "duration_s=3608").judged("C2", "fail").implausible("measured twice").reports("3608");
    a_clock_that_stands: broken("plain").arg("--kpi-set", "duration_s=0.5").judged("C2", "fail").implausible("measured twice");
    crashes_denied: broken("worker-panic").arg("--kpi-set", "crash_hang_count=0").aborts("A1").judged("C3", "fail");
    entries_that_never_were_exits: broken("plain").arg("--kpi-set", "open_positions=5").judged("C2", "fail").implausible("parts that do not add up").reports("entries = exits + open positions");
    exit_reasons_that_do_not_add_up: broken("plain").arg("--kpi-set", "exit_reasons={\"take_profit\":40,\"stop_loss\":1,\"time_limit\":1,\"spread_reversal\":1}").judged("C2", "fail").implausible("parts that do not add up").reports("exit reasons = round trips");
    wins_and_losses_that_do_not_add_up: broken("plain").arg("--kpi-set", "wins=99").judged("C2", "fail").implausible("parts that do not add up").reports("wins + losses = round trips");

    more_fields_than_asked: healthy("plain").arg("--kpi-set", "sharpe=1.5").arg("--kpi-set", "notes={\"a\":[1,2]}");
    numbers_as_floats: healthy("plain").arg("--kpi-scale", "total_trades=1.0").arg("--kpi-scale", "entry_trades=1.0").arg("--kpi-scale", "round_trips_completed=1.0");
    numbers_with_exponents: healthy("plain").arg("--kpi-set", "position_limit_hits=0e0").arg("--kpi-set", "emergency_stops=0.0");
    rewritten_very_often: healthy("plain").arg("--kpi-interval-ms", "20");
    a_late_first_file: healthy("late-kpi");
    no_run_id: healthy("plain").arg("--kpi-drop", "run_id");
    no_figures_of_its_own_process: healthy("plain").arg("--kpi-drop", "cpu_seconds").arg("--kpi-drop", "cpu_usage_pct").arg("--kpi-drop", "memory_usage_mb").arg("--kpi-drop", "peak_rss_bytes");
    progress_by_its_rewrites: healthy("plain").set("runner.progress", "'kpi_file'");
}
