//! Broken endpoints and pages, and those that are as good as ours.

use super::{broken, healthy, rows};

rows! {
    never_listens: broken("no-metrics").aborts("A9").reports("no successful scrape");
    never_listens_in_the_smoke: broken("no-metrics").arg("--break-in", "smoke").set("smoke.duration", "\"6 s\"").smoke_aborts("A9").reports("no successful scrape");
    late_beyond_the_grace: broken("plain").arg("--page-late-ms", "3900").set("smoke.duration", "\"5 s\"").judged("C5", "fail").reports("polls missed");
    status_500: broken("plain").arg("--page-status", "500").aborts("A9").reports("no successful scrape");
    status_500_for_two_seconds: broken("plain").arg("--page-status", "500").arg("--page-for-ms", "1900").set("rules.A9.for", "\"6 s\"").judged("C5", "fail").reports("polls missed");
    slower_than_the_timeout: broken("plain").arg("--page-delay-ms", "900").aborts("A9").reports("no successful scrape");
    takes_connections_and_is_silent: broken("page-silent").aborts("A9").reports("no successful scrape");
    cut_short: broken("page-truncated").aborts("A9").reports("no successful scrape");
    ends_in_the_middle_of_a_line: broken("page-half").aborts("A9").reports("no successful scrape");
    of_100_mb: broken("page-huge").heavy().aborts("A9").reports("no successful scrape");
    no_such_syntax: broken("plain").arg("--page-add", "this is {no metric").aborts("A9").reports("no successful scrape");
    a_series_twice: broken("plain").arg("--page-add", "alert_queue_depth 0").aborts("A9").reports("no successful scrape");
    a_value_that_is_no_number: broken("plain").arg("--page-set", "alert_queue_depth=zero").aborts("A9").reports("no successful scrape");
    an_html_page: broken("plain").arg("--page-add", "<html><body>502 Bad Gateway</body></html>").aborts("A9").reports("no successful scrape");
    of_another_run: broken("plain").arg("--page-drop", "assay_run_info").arg("--break-after-seconds", "0").arg("--page-add", "# TYPE assay_run_info gauge\\nassay_run_info{run_id=\"20200101-000000-dead.main\",version=\"1\",data_source=\"local\",evidence=\"rehearsal\"} 1")
        .judged("C5", "fail").implausible("identity").reports("is of run 20200101-000000-dead.main");
    counters_begin_anew: broken("page-reset").judged("C2", "fail").implausible("counters that go backwards").reports("process start moved");
    a_counter_goes_backwards: broken("plain").arg("--page-scale", "arb_topn_trades_total=0.4").judged("C2", "fail").implausible("counters that go backwards").reports("fell from");
    an_alert_counter_goes_backwards: broken("plain").arg("--page-scale", "alert_sent_total=0").judged("C2", "fail").implausible("counters that go backwards").reports("alert_sent_total");
    a_histogram_goes_backwards: broken("plain").arg("--page-scale", "loop_latency_seconds=0.3").judged("C2", "fail").implausible("counters that go backwards").reports("loop_latency_seconds");
    nan_of_the_dead_letters: broken("plain").arg("--page-set", "alert_dlq_total=NaN").judged("C2", "fail").kpi("alert_dlq_total", "absent");
    nan_of_the_notifier: broken("plain").arg("--page-set", "notifier_available=NaN").judged("M4", "fail").judged("C6", "fail").reports("notifier");
    nan_of_the_books: broken("plain").arg("--page-set", "venue_books=NaN").judged("C1", "inconclusive");
    lacks_the_loop_latency: broken("plain").arg("--page-drop", "loop_latency_seconds").judged("C6", "fail").reports("C6");
    lacks_the_sent_alerts: broken("plain").arg("--page-drop", "alert_sent_total").judged("C2", "fail").kpi("alert_sent_total", "absent").reports("alert_sent_total");
    lacks_the_dead_letters: broken("plain").arg("--page-drop", "alert_dlq_total").judged("C2", "fail").judged("C4", "inconclusive").kpi("alert_dlq_total", "absent");
    lacks_the_notifier: broken("plain").arg("--page-drop", "notifier_available").judged("C2", "fail").kpi("notifier_availability_pct", "absent");
    lacks_the_delivery_latency: broken("plain").arg("--page-drop", "alert_delivery_latency_seconds").judged("C2", "fail").kpi("alert_delivery_latency_p95_s", "absent");
    lacks_the_books: broken("plain").arg("--page-drop", "venue_books").judged("C1", "inconclusive").reports("venue_books");
    lacks_premium_and_edge: broken("plain").arg("--page-drop", "arb_topn_premium_bps").arg("--page-drop", "arb_topn_edge_bps").judged("C6", "fail").reports("premium");
    lacks_the_iterations: broken("plain").arg("--page-drop", "arb_topn_loop_iterations_total").judged("C6", "fail").reports("iterations");
    books_half_live: broken("plain").arg("--books-live", "0.5").arg("--break-after-seconds", "1.5").judged("C1", "fail").reports("Live");
    books_not_live_in_the_smoke: broken("plain").arg("--books-live", "0.5").arg("--break-in", "smoke").arg("--break-after-seconds", "0").smoke_fails().reports("books were Live");
    no_books_in_the_smoke: broken("plain").arg("--page-drop", "venue_books").arg("--break-in", "smoke").smoke_fails().reports("no market data");

    open_metrics: healthy("page-open-metrics");
    open_metrics_with_exemplars: healthy("page-exemplars");
    labels_in_another_order: healthy("page-labels");
    two_thousand_foreign_series: healthy("page-big");
    foreign_metrics_of_all_types: healthy("plain").arg("--page-add", "# TYPE bot_quantiles summary\\nbot_quantiles{quantile=\"0.5\"} NaN\\nbot_quantiles_sum 0\\nbot_quantiles_count 0\\n# TYPE bot_limit gauge\\nbot_limit +Inf\\nbot_untyped 1e-9\\n");
    time_stamps: healthy("plain").arg("--page-add", "bot_stamped 1 1700000000000");
    a_missed_scrape: healthy("plain").arg("--page-status", "503").arg("--page-for-ms", "350").arg("--break-after-seconds", "4").set("main.duration", "\"16 s\"");
    a_slow_scrape: healthy("plain").arg("--page-delay-ms", "900").arg("--page-for-ms", "350").arg("--break-after-seconds", "4").set("main.duration", "\"16 s\"");
    a_slow_start: healthy("plain").arg("--page-late-ms", "700");
    a_slow_start_and_a_missed_scrape: healthy("slow-start").set("main.duration", "\"16 s\"");
    over_ipv_6: healthy("plain").set("runner.metrics_addr", "'[::1]:0'");
}
