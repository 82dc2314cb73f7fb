//! C4: no alert was lost. Conservation per alert: raised = delivered + dlq + throttled + aggregated + store_only + pending, where raised
//! is what the journal and the spools say, and the rest is what the tables of the alert store say.
//!
//! What was raised and is in no table is lost. What is still open at the end is neither delivered nor lost: it proves nothing.

use super::{Bench, Finding, passed, said, unmeasured, why_not};
use crate::evidence::{AlertRows, DeliveryRow};
use crate::kpis::{artefact, runner_deliveries};
use crate::value::{Outcome, Value, counted};
use journal::{Body, Entry};
use std::collections::{BTreeMap, BTreeSet};

/// So many ids are named.
const NAMED: usize = 3;

/// What the tables say of the alerts that were raised.
#[derive(Default)]
struct Balance<'a> {
    /// Ids of the table.
    raised: BTreeSet<&'a str>,
    delivered: usize,
    dead: usize,
    throttled: usize,
    aggregated: usize,
    store_only: usize,
    open: usize,
    cancelled: usize,
    /// Raised, and in no table.
    lost: Vec<&'a str>,
    /// To be delivered, and nobody was to deliver it.
    unsent: Vec<&'a str>,
    /// Given up by a notifier, and nobody took over.
    dropped: BTreeSet<&'a str>,
    /// Alerts that nobody got and nobody will.
    gone: usize,
    /// Alerts whose notifiers all gave up, and which are no dead letters.
    given_up: usize,
    /// Open deliveries by notifier.
    waiting: BTreeMap<&'a str, usize>,
    /// Deliveries that an operator cancelled.
    discarded: usize,
}

impl<'a> Balance<'a> {
    fn of(rows: &'a AlertRows, deliveries: &[&'a DeliveryRow], raised: &'a [Raised]) -> Self {
        let mut balance = Self::default();
        let mut by_alert: BTreeMap<&str, Vec<&DeliveryRow>> = BTreeMap::new();
        let taken_over: BTreeSet<i64> = deliveries.iter().filter_map(|row| row.fallback_of).collect();
        for row in deliveries {
            by_alert.entry(&row.alert_id).or_default().push(row);
            match row.status.as_str() {
                "SENT" | "DLQ" => {}
                "CANCELLED" => balance.discarded += 1,
                "FAILED" if taken_over.contains(&row.delivery_id) => {}
                "FAILED" => {
                    balance.dropped.insert(&row.alert_id);
                }
                _ => *balance.waiting.entry(&row.notifier).or_default() += 1,
            }
        }
        // The same name alone says too little: a run that was begun anew under an old id has alerts of the same ids.
        let known: BTreeSet<(&str, i64)> =
            rows.alerts.iter().map(|row| (raised_as(&row.alert_id), row.raised_at_ms)).collect();
        let mut lost = BTreeSet::new();
        for alert in raised {
            if !known.contains(&(alert.id.as_str(), alert.at_ms)) {
                lost.insert(alert.id.as_str());
            }
        }
        balance.lost = lost.into_iter().collect();
        balance.gone = balance.lost.len();
        for alert in rows.alerts.iter().filter(|row| !row.rule_id.starts_with("GATE-")) {
            balance.raised.insert(&alert.alert_id);
            match alert.disposition.as_str() {
                "throttled" => balance.throttled += 1,
                "aggregated" => balance.aggregated += 1,
                "store_only" => balance.store_only += 1,
                _ => match by_alert.get(alert.alert_id.as_str()) {
                    None => {
                        balance.unsent.push(&alert.alert_id);
                        balance.gone += 1;
                    }
                    Some(deliveries) => *balance.fate(deliveries) += 1,
                },
            }
        }
        balance
    }

    /// Where an alert with these deliveries counts: the worst of them.
    fn fate(&mut self, deliveries: &[&DeliveryRow]) -> &mut usize {
        let any = |wanted: &[&str]| deliveries.iter().any(|row| wanted.contains(&row.status.as_str()));
        if any(&["DLQ"]) {
            &mut self.dead
        } else if deliveries.iter().any(|row| is_open(row)) {
            &mut self.open
        } else if any(&["SENT"]) {
            &mut self.delivered
        } else if any(&["CANCELLED"]) {
            &mut self.cancelled
        } else {
            &mut self.given_up
        }
    }

    /// What is lost, a sentence for each kind. A table that another's runner fills may know `FAILED` as an end; in ours somebody takes over.
    fn losses(&self, ours: bool) -> Vec<String> {
        let named = |ids: &[&str], one: &str, many: &str| {
            (!ids.is_empty()).then(|| {
                let more = if ids.len() > NAMED { ", ..." } else { "" };
                let first = ids[..ids.len().min(NAMED)].join(", ");
                format!("{} ({first}{more})", counted(ids.len() as f64, one, many))
            })
        };
        let dropped: Vec<&str> = self.dropped.iter().copied().filter(|_| ours).collect();
        [
            named(&self.lost, "alert raised and never stored", "alerts raised and never stored"),
            named(&self.unsent, "alert without any delivery", "alerts without any delivery"),
            named(&dropped, "alert given up and not taken over", "alerts given up and not taken over"),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// What is neither delivered nor lost.
    fn pending(&self) -> Option<String> {
        let open: usize = self.waiting.values().sum();
        let by: Vec<String> = self.waiting.iter().map(|(notifier, n)| format!("{notifier} {n}")).collect();
        (open > 0).then(|| {
            format!(
                "{} still open at the end ({}): neither delivered nor lost",
                counted(open as f64, "delivery", "deliveries"),
                by.join(", ")
            )
        })
    }

    /// The sum.
    fn sum(&self) -> String {
        let more = |n: usize, what: &str| if n > 0 { format!(" + {n} {what}") } else { String::new() };
        let rare =
            more(self.cancelled, "cancelled") + &more(self.given_up, "given up") + &more(self.gone, "lost");
        format!(
            "{} raised = {} delivered + {} dead + {} throttled + {} aggregated + {} stored only + {} open{rare}",
            self.raised.len() + self.lost.len(),
            self.delivered,
            self.dead,
            self.throttled,
            self.aggregated,
            self.store_only,
            self.open,
        )
    }

    fn note(&self) -> Option<String> {
        (self.discarded > 0).then(|| {
            format!("{} cancelled by an operator", counted(self.discarded as f64, "delivery", "deliveries"))
        })
    }
}

fn is_open(row: &DeliveryRow) -> bool {
    !matches!(row.status.as_str(), "SENT" | "DLQ" | "CANCELLED" | "FAILED")
}

/// An alert of the journal or of a spool.
struct Raised {
    id: String,
    at_ms: i64,
}

/// The alerts of whole inputs: what stands behind the last one was perhaps never finished, and a restart would cut it.
fn alerts(entries: &[Entry]) -> impl Iterator<Item = Raised> {
    let whole = entries.iter().rposition(|entry| entry.commit).map_or(0, |last| last + 1);
    entries[..whole].iter().filter_map(|entry| match &entry.body {
        Body::Alert(alert) => {
            Some(Raised { id: alert.fields().alert_id.clone(), at_ms: entry.at.as_millis() })
        }
        _ => None,
    })
}

/// The id under which it was raised. The store tells alerts of an earlier run of the same name from this one's by `~` and a digest.
fn raised_as(stored: &str) -> &str {
    stored.split_once('~').map_or(stored, |(id, _)| id)
}

impl Bench<'_> {
    pub(super) fn no_alert_lost(&self) -> Finding {
        let sources = ["alerts.jsonl".to_owned(), artefact(self.phase, "metrics_final.prom")];
        let own = self.evidence.settings.has_alerts;
        let stored = !self.evidence.settings.not_applicable.contains_key("alert_store");
        let metric =
            if own { self.value(28) } else { Value::NotApplicable { declared: "no alerting".to_owned() } };
        let dead = |dlq: usize| dlq > 0 || metric.number().is_some_and(|dlq| dlq > 0.0);
        let Some(rows) = self.phase.alerts.get() else {
            if own && !stored && !dead(0) {
                return self.no_alert_lost_by_metrics(&metric).from(&sources);
            }
            if dead(0) {
                let text = format!("DLQ {metric}, ? in the table, ? delivered");
                return said(Outcome::Fail, text).from(&sources);
            }
            let why = format!("no delivery table: {}", why_not(&self.phase.alerts));
            return said(Outcome::inconclusive(why.clone()), why).from(&sources);
        };
        let deliveries = if own { runner_deliveries(rows) } else { rows.deliveries.iter().collect() };
        let of = |status: &str| deliveries.iter().filter(|d| d.status == status).count();
        let (sent, dlq) = (of("SENT"), of("DLQ"));
        if own && !stored && sent == 0 && !dead(dlq) {
            return self.no_alert_lost_by_metrics(&metric).from(&sources);
        }
        // Another's alerting, of which only the deliveries are shown, raises elsewhere than our runner does.
        let raised = if own && stored { self.raised() } else { Ok(Vec::new()) };
        let balance = Balance::of(rows, &deliveries, raised.as_ref().map(Vec::as_slice).unwrap_or_default());
        let mut text = format!("DLQ {metric}, {dlq} in the table, {sent} delivered; {}", balance.sum());
        let losses = balance.losses(self.evidence.settings.has_journal);
        let outcome = if dead(dlq) || !losses.is_empty() {
            Outcome::Fail
        } else if own && metric.number().is_none() {
            unmeasured(&metric)
        } else if sent == 0 {
            Outcome::Fail
        } else if let Some(open) = balance.pending() {
            Outcome::inconclusive(open)
        } else {
            match &raised {
                Err(why) => Outcome::inconclusive(format!("what was raised is not known: {why}")),
                Ok(_) => passed(true),
            }
        };
        for loss in losses {
            text = format!("{loss}; {text}");
        }
        let finding = said(outcome, text).from(&sources);
        match balance.note() {
            Some(note) => finding.noted(note),
            None if own => finding,
            None => finding.noted("judged on Assay's own dispatcher"),
        }
    }

    /// What was raised; none when the runner keeps no journal. Why they are not known, when they are not.
    fn raised(&self) -> Result<Vec<Raised>, String> {
        if !self.evidence.settings.has_journal {
            return Ok(Vec::new());
        }
        let journal = self.phase.journal.get().ok_or_else(|| why_not(&self.phase.journal).to_owned())?;
        let spooled = self.phase.spooled.get().ok_or_else(|| why_not(&self.phase.spooled).to_owned())?;
        let stranger = journal.iter().find_map(|entry| match &entry.body {
            Body::Start { run_id, .. } if *run_id != self.phase.runner_id => Some(run_id),
            _ => None,
        });
        if let Some(run) = stranger {
            return Err(format!("the journal is of run {run}, not {}", self.phase.runner_id));
        }
        Ok(alerts(journal).chain(alerts(spooled)).collect())
    }

    /// C4 of a runner whose alerting keeps no table: its own counters are all there is.
    fn no_alert_lost_by_metrics(&self, dlq: &Value) -> Finding {
        let sent = self.value(25);
        let text = format!("DLQ {dlq}, {sent} delivered");
        match (dlq.number(), sent.number()) {
            (Some(_), Some(sent)) => {
                said(passed(sent >= 1.0), text).noted("no delivery table: by the runner's own counters")
            }
            (None, _) => said(unmeasured(dlq), text),
            (_, None) => said(unmeasured(&sent), text),
        }
    }
}
