//! The KPIs of alerting: counters of the final scrape against the delivery table and the KPI file.

use super::{Desk, against, agreed, file_value, missing, verdict};
use crate::evidence::DeliveryRow;
use crate::scrape::{self, Histogram, near};
use crate::value::{CrossCheck, Value, figure};
use catalogue::{DELIVERY_BUCKETS, Kpi};
use std::collections::BTreeMap;

impl Desk<'_> {
    /// A KPI that is measured elsewhere may stand in the runner's final KPI file too: what it says there is shown, and
    /// must agree.
    pub(super) fn beside_file(&self, kpi: &Kpi, measured: (Value, CrossCheck)) -> (Value, CrossCheck) {
        let (value, check) = measured;
        let Ok(file) = &self.file else { return (value, check) };
        if !matches!(kpi.number, 23 | 25..=32) || file.complete != Some(true) {
            return (value, check);
        }
        let theirs = file_value(file, kpi.field);
        let close = match (&value, &theirs) {
            (Value::Measured(ours), Value::Measured(theirs)) => match kpi.number {
                // Slots of the writer's clock against slots of the reader's: a fifth, half a point, or two slots.
                23 => {
                    let slack = (0.2 * ours.max(*theirs)).max(0.5);
                    let slack = match &self.phase.end {
                        Some(end) => slack.max(20.0 / end.ran_s),
                        None => slack,
                    };
                    (ours - theirs).abs() <= slack
                }
                29 => (ours - theirs).abs() <= 0.01,
                32 => near(&DELIVERY_BUCKETS, *ours, *theirs),
                _ => ours == theirs,
            },
            (Value::Measured(_), Value::Undefined { .. }) | (Value::Undefined { .. }, Value::Measured(_)) => {
                false
            }
            // A share of samples against whatever window the runner takes: shown, not compared.
            _ => true,
        };
        let check = match check {
            _ if matches!(theirs, Value::Absent { .. }) => check,
            CrossCheck::Agreed { figure } if close => agreed(format!("{figure}, {theirs} (KPI file)")),
            CrossCheck::Agreed { .. } | CrossCheck::NotAvailable { .. } if !close => {
                verdict(false, &value, format!("{theirs} (KPI file)"))
            }
            other => other,
        };
        (value, check)
    }

    pub(super) fn alert_count(&self, metric: &str, of: impl Fn(&DeliveryRow) -> u64) -> (Value, CrossCheck) {
        let value = match self.metrics().map(|scrape| scrape::count(scrape, metric)) {
            Err(why) => Value::absent(why),
            Ok(None) => Value::absent(format!("{metric} is not in the final scrape")),
            Ok(Some(count)) => Value::Measured(count),
        };
        let check = match (&value, &self.rows) {
            (Value::Measured(_), Ok(rows)) => {
                let counted = rows.iter().map(|d| of(d)).sum::<u64>() as f64;
                against(&value, 0.0, &[Some(counted)], "delivery table")
            }
            (_, Err(why)) => missing(why.clone()),
            _ => missing("there is no value to compare"),
        };
        (value, check)
    }

    pub(super) fn success_rate(&self) -> (Value, CrossCheck) {
        let counts = self
            .metrics()
            .map(|s| scrape::count(s, "alert_sent_total").zip(scrape::count(s, "alert_failed_total")));
        let value = match counts {
            Err(why) => Value::absent(why),
            Ok(None) => Value::absent("alert_sent_total or alert_failed_total is not in the final scrape"),
            Ok(Some((sent, failed))) if sent + failed > 0.0 => {
                Value::Measured(sent / (sent + failed) * 100.0)
            }
            Ok(Some(_)) => Value::undefined("0 deliveries settled"),
        };
        let check = match &self.rows {
            Err(why) => missing(why.clone()),
            Ok(rows) => {
                let sent = rows.iter().filter(|d| d.status == "SENT").count() as f64;
                let failed = rows.iter().filter(|d| d.status == "FAILED" || d.status == "DLQ").count() as f64;
                let rate = (sent + failed > 0.0).then(|| sent / (sent + failed) * 100.0);
                against(&value, 0.01, &[rate], "delivery table")
            }
        };
        (value, check)
    }

    pub(super) fn availability(&self) -> (Value, CrossCheck) {
        let mut seen: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        let mut unread: BTreeMap<String, u64> = BTreeMap::new();
        for scrape in self.phase.samples.iter().filter_map(|s| s.scrape.get()) {
            for (series, value) in &scrape.series {
                let (name, labels) = scrape::parse_series(series);
                if name == "notifier_available"
                    && let Some((_, notifier)) = labels.into_iter().find(|(label, _)| label == "notifier")
                {
                    if !value.is_finite() {
                        *unread.entry(notifier.clone()).or_insert(0u64) += 1;
                    }
                    let counts = seen.entry(notifier).or_insert((0, 0));
                    counts.0 += u64::from(*value == 1.0);
                    counts.1 += 1;
                }
            }
        }
        for required in &self.evidence.settings.notifiers {
            if !seen.contains_key(required) {
                return (
                    Value::absent(format!("notifier_available of {required} was never scraped")),
                    missing("no value"),
                );
            }
        }
        if seen.is_empty() {
            return (Value::absent("notifier_available was never scraped"), missing("no value"));
        }
        // What was no number was no reading, and a share of the others would be kinder than the truth.
        if let Some((notifier, n)) = unread.into_iter().next() {
            let why = format!("notifier_available of {notifier} was no number in {n} scrapes");
            return (Value::absent(why), missing("no value"));
        }
        let shares: BTreeMap<String, f64> =
            seen.into_iter().map(|(name, (up, all))| (name, up as f64 / all as f64 * 100.0)).collect();
        let check = match &self.rows {
            Err(why) => missing(why.clone()),
            Ok(rows) => deliveries_bear_out(&shares, rows),
        };
        (Value::Map(shares), check)
    }

    pub(super) fn delivery_latency(&self) -> (Value, CrossCheck) {
        let histogram = match self.metrics() {
            Err(why) => return (Value::absent(why), missing("no value")),
            Ok(scrape) => Histogram::read(scrape, "alert_delivery_latency_seconds"),
        };
        let value = match &histogram {
            None => Value::absent("alert_delivery_latency_seconds is not in the final scrape"),
            Some(h) => h
                .quantile(0.95)
                .map_or_else(|| Value::undefined("0 deliveries acknowledged"), Value::Measured),
        };
        let check = match &self.rows {
            Err(why) => missing(why.clone()),
            Ok(rows) => {
                let mut table: Vec<f64> = rows
                    .iter()
                    .filter(|d| d.status == "SENT")
                    .filter_map(|d| d.latency_ms.map(|ms| ms as f64 / 1e3))
                    .collect();
                table.sort_by(f64::total_cmp);
                let rank = ((table.len() as f64 * 0.95).ceil() as usize).saturating_sub(1);
                match (&value, table.get(rank)) {
                    (Value::Measured(ours), Some(theirs)) => {
                        let agrees = near(&DELIVERY_BUCKETS, *ours, *theirs);
                        verdict(agrees, &value, format!("{} s (delivery table)", figure(*theirs)))
                    }
                    (Value::Undefined { .. }, None) => agreed("no delivery (delivery table)"),
                    (Value::Absent { .. }, _) => missing("there is no value to compare"),
                    (_, theirs) => {
                        let text = theirs.map_or("no delivery".to_owned(), |s| format!("{} s", figure(*s)));
                        verdict(false, &value, format!("{text} (delivery table)"))
                    }
                }
            }
        };
        (value, check)
    }
}

/// A notifier that was always available delivered something and failed nothing; the drills see to the first.
fn deliveries_bear_out(shares: &BTreeMap<String, f64>, rows: &[&DeliveryRow]) -> CrossCheck {
    let mut text = Vec::new();
    for (notifier, share) in shares {
        let of = |wanted: &[&str]| {
            rows.iter().filter(|d| d.notifier == *notifier && wanted.contains(&d.status.as_str())).count()
        };
        let (sent, lost) = (of(&["SENT"]), of(&["FAILED", "DLQ"]));
        text.push(format!("{notifier} {sent} sent, {lost} failed"));
        if sent + lost == 0 {
            return missing(format!("no delivery through {notifier} in this phase"));
        }
        if *share >= 100.0 && sent == 0 {
            let theirs = format!("{lost} deliveries through {notifier} failed and none was acknowledged");
            return CrossCheck::Disagreed { ours: format!("{notifier} {}", figure(*share)), theirs };
        }
    }
    agreed(format!("{} (delivery table)", text.join(", ")))
}
