//! Alerts, dead letters, notifiers, guards.

use super::{broken, healthy, rows};

rows! {
    a_dead_letter: broken("dlq").aborts("A2").judged("C4", "fail").reports("alert_dlq_total");
    a_dead_letter_in_the_smoke: broken("dlq").arg("--break-in", "smoke").arg("--break-after-seconds", "0.8").smoke_aborts("A2").judged("C4", "fail").reports("alert_dlq_total");
    a_dead_letter_that_only_the_table_has: broken("dlq").arg("--page-set", "alert_dlq_total=0").judged("C4", "fail").reports("C4");
    dead_letters_that_only_the_page_has: broken("plain").arg("--page-set", "alert_dlq_total=3").aborts("A2").judged("C4", "inconclusive").reports("alert_dlq_total = 3");
    deliveries_that_only_the_page_has: broken("plain").arg("--page-set", "alert_sent_total=40").judged("C2", "fail").kpi("alert_sent_total", "implausible").reports("delivery table");
    failures_that_the_page_hides: broken("plain").arg("--failures", "3").arg("--page-scale", "alert_failed_total=0").judged("C2", "fail").kpi("alert_failed_total", "implausible");
    a_low_success_rate: broken("plain").arg("--sent", "6").arg("--failures", "3").warned("B4").code(12).judged("H4", "fail").reports("B4");
    no_delivery_at_all: broken("plain").arg("--page-set", "alert_sent_total=0").arg("--break-after-seconds", "0").judged("C2", "fail");
    a_notifier_down: broken("plain").arg("--notifier", "down").aborts("A3").judged("M4", "fail").reports("A3");
    a_required_notifier_that_flaps: broken("plain").arg("--notifier", "flap").aborts("A3").judged("M4", "fail").reports("A3");
    a_notifier_that_is_half_there: broken("plain").arg("--page-set", "notifier_available=0.5").arg("--page-for-ms", "2000").code(12).judged("M4", "fail").reports("M4");
    a_notifier_down_in_the_smoke: broken("plain").arg("--notifier", "down").arg("--break-in", "smoke").arg("--break-after-seconds", "0.8").smoke_aborts("A3").reports("A3");
    overactive_guards: broken("plain").arg("--guards-per-s", "12").warned("B3").code(12).reports("B3");
    false_positives_of_guards: broken("plain").arg("--guards-per-s", "2").arg("--guard-false-share", "0.5").code(12).judged("H5", "fail").reports("H5");

    no_alerting_declared: healthy("plain").arg("--break-in", "any").arg("--page-drop", "alert_").arg("--page-drop", "notifier_available").without_alerts().judged("M4", "inconclusive").judged("H4", "inconclusive").reports("judged on Assay's own dispatcher");
    retries_and_no_dead_letter: healthy("plain").arg("--sent", "20").arg("--retried", "4");
    fallbacks: healthy("plain").arg("--sent", "60").arg("--fallbacks", "1");
    many_deliveries: healthy("plain").arg("--sent", "300");
    guards_that_block_lightly: healthy("plain").arg("--guards-per-s", "1");
    guards_without_false_positives: healthy("plain").arg("--guards-per-s", "2").arg("--guard-false-share", "0");
    guards_with_few_false_positives: healthy("plain").arg("--guards-per-s", "3").arg("--guard-false-share", "0.05");
}
