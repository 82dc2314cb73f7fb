//! How an alert is written for a person: one line of title, the message, where it comes from. No notifier's markup lives here.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use market::Timestamp;

use crate::model::Alert;

/// Lines of a batch's message; what is behind them is counted.
const DIGEST_LINES: usize = 100;
/// Where the runbook's sections are, relative to whatever the reader has of the documentation.
const RUNBOOK: &str = "docs/runbook.md";

/// `[P0] title (RULE, env)`.
pub(super) fn subject(alert: &Alert) -> String {
    let title = alert.title.replace(['\r', '\n'], " ");
    format!("[{}] {title} ({}, {})", alert.severity, alert.rule_id, alert.env)
}

/// The body in plain text: message, labels, and where to look.
pub(super) fn body(alert: &Alert) -> String {
    let mut out = format!("{}\n", alert.message.trim_end());
    for (name, value) in &alert.labels {
        // Writing to a String cannot fail.
        let _ = write!(out, "\n{name}: {value}");
    }
    let _ = write!(
        out,
        "\nrun {} phase {} source {}\nraised {} id {}",
        alert.run_id,
        alert.phase,
        alert.source,
        utc(alert.raised_at),
        alert.alert_id
    );
    if let Some(rule) = catalogue::alert_rule(&alert.rule_id) {
        let _ = write!(out, "\n{RUNBOOK}#{}", rule.runbook);
    }
    out
}

/// RFC 3339, UTC.
pub(super) fn utc(at: Timestamp) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(at.0)).map_or_else(|_| at.0.to_string(), |t| t.to_string())
}

/// Several alerts as one: a line per rule and key with its count, the most severe first. It is as severe as the most severe of
/// them, and its id tells which they are: the first and how many. Empty when there is none.
pub fn digest(alerts: &[Alert]) -> Option<Alert> {
    let first = alerts.first()?;
    let severity = alerts.iter().map(|a| a.severity).min()?;
    let mut groups: BTreeMap<(catalogue::Severity, &str, &str), (usize, &Alert)> = BTreeMap::new();
    for alert in alerts {
        let group = groups.entry((alert.severity, &alert.rule_id, &alert.key)).or_insert((0, alert));
        *group = (group.0 + 1, alert);
    }
    let mut message = String::new();
    for (n, ((severity, rule, _), (count, newest))) in groups.iter().enumerate() {
        if n == DIGEST_LINES {
            let _ = write!(message, "... and {} more kinds; the alert store has them all", groups.len() - n);
            break;
        }
        let times = if *count > 1 { format!(" ({count} times)") } else { String::new() };
        let said = newest.message.lines().next().unwrap_or_default();
        let _ = writeln!(message, "[{severity}] {rule} {}{times}: {said}", newest.title);
    }
    let from = alerts.iter().map(|a| a.raised_at).min()?;
    Some(Alert {
        alert_id: format!("batch-{}-{}", first.alert_id, alerts.len()),
        rule_id: "BATCH".to_owned(),
        severity,
        source: "dispatcher".to_owned(),
        title: format!("{} alerts since {}", alerts.len(), utc(from)),
        message: message.trim_end().to_owned(),
        labels: BTreeMap::from([("count".to_owned(), alerts.len().to_string())]),
        key: String::new(),
        raised_at: from,
        ..first.clone()
    })
}

/// Cuts a text into pieces of which `cost` is at most `most`, at line ends where there are any, else at characters. Nothing is lost.
pub(super) fn split(text: &str, most: usize, cost: impl Fn(char) -> usize) -> Vec<String> {
    let mut out = Vec::new();
    let mut rest = text;
    loop {
        let mut spent = 0;
        let mut cut = rest.len();
        for (at, c) in rest.char_indices() {
            spent += cost(c);
            if spent > most {
                cut = at;
                break;
            }
        }
        if cut == rest.len() {
            out.push(rest.to_owned());
            return out;
        }
        // A line end in the last half: pieces stay long.
        let line = rest[..cut].rfind('\n').map(|at| at + 1).filter(|at| *at > cut / 2);
        let at = line.unwrap_or(cut.max(rest.chars().next().map_or(1, char::len_utf8)));
        out.push(rest[..at].to_owned());
        rest = &rest[at..];
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use catalogue::Severity;

    pub(crate) fn alert(message: &str) -> Alert {
        Alert {
            alert_id: "r.main-7".to_owned(),
            run_id: "r.main".to_owned(),
            phase: "main".to_owned(),
            env: "paper".to_owned(),
            rule_id: "HEALTH-DOWN".to_owned(),
            severity: Severity::P1,
            source: "engine".to_owned(),
            title: "Venue down".to_owned(),
            message: message.to_owned(),
            labels: BTreeMap::from([("venue".to_owned(), "upbit".to_owned())]),
            key: "venue=upbit".to_owned(),
            raised_at: Timestamp(1_700_000_000_000_000_000),
        }
    }

    #[test]
    fn an_alert_reads_like_this() {
        let alert = alert("no message for 3 s");
        assert_eq!(subject(&alert), "[P1] Venue down (HEALTH-DOWN, paper)");
        let expected = "no message for 3 s\n\nvenue: upbit\nrun r.main phase main source engine\n\
                        raised 2023-11-14T22:13:20Z id r.main-7\ndocs/runbook.md#health-down";
        assert_eq!(body(&alert), expected);
    }

    #[test]
    fn a_batch_counts_what_is_alike() {
        let mut low = alert("m\nn");
        low.severity = Severity::P3;
        low.rule_id = "LOW".to_owned();
        let batch = digest(&[low.clone(), alert("x"), low]).unwrap();
        assert_eq!(batch.message, "[P1] HEALTH-DOWN Venue down: x\n[P3] LOW Venue down (2 times): m");
        assert_eq!((batch.severity, batch.title.starts_with("3 alerts")), (Severity::P1, true));
        assert_eq!(batch.alert_id, "batch-r.main-7-3");
        assert_eq!(digest(&[]), None);
    }

    #[test]
    fn pieces_fit_and_nothing_is_lost() {
        let text = "가나다\nabc😀def\n".repeat(50);
        for most in [4, 7, 30, 5_000] {
            let pieces = split(&text, most, char::len_utf16);
            assert_eq!(pieces.concat(), text);
            assert!(pieces.iter().all(|p| p.encode_utf16().count() <= most), "{most}");
        }
        assert_eq!(split("", 5, |_| 1), [""]);
    }
}
