//! Healthy processes of every kind.

use super::{healthy, rows};

rows! {
    plain: healthy("plain").reports("REHEARSAL");
    wants_sigint: healthy("sigint").set("runner.stop_signal", "'SIGINT'");
    ends_on_its_stop_signal_only: healthy("overrun");
    ends_a_bit_early: healthy("plain").arg("--end-shift-seconds", "-0.8").arg("--linger-ms", "300").without_alerts().judged("M4", "inconclusive").judged("H4", "inconclusive");
    ends_late_within_the_grace: healthy("plain").arg("--end-shift-seconds", "0.6");
    lingers_long: healthy("plain").arg("--linger-ms", "3000");
    does_not_linger: healthy("plain").arg("--linger-ms", "1").without_alerts().judged("M4", "inconclusive").judged("H4", "inconclusive");
    memory_as_a_saw_tooth: healthy("saw-tooth").heavy().set("main.duration", "\"16 s\"").set("watch.poll", "\"300 ms\"").set("watch.scrape_timeout", "\"150 ms\"")
        .set("measure.memory_window", "\"3 s\"").set("measure.memory_min", "\"8 s\"").set("rules.A6.over", "\"8 s\"");
    memory_that_warms_up: healthy("warm-up");
    children_come_and_go: healthy("children").arg("--kpi-drop", "memory_usage_mb").arg("--kpi-drop", "peak_rss_bytes");
    a_worker_is_started_again: healthy("worker").arg("--kpi-drop", "memory_usage_mb").arg("--kpi-drop", "peak_rss_bytes");
    many_threads: healthy("threads");
    many_open_files: healthy("files");
    a_daemon_left_at_the_end: healthy("grandchild").reports("outlived");
    cpu_at_half: healthy("plain").arg("--busy-ms", "10").heavy();
    latency_of_70_ms: healthy("plain").arg("--latency-ms", "70");
    a_panel_turns_yellow: healthy("plain").arg("--latency-ms", "60").arg("--break-after-seconds", "0");
    a_small_universe: healthy("plain").set("main.topn", "10").set("smoke.topn", "10");
    a_long_main_run: healthy("plain").set("main.duration", "\"14 s\"");
}
