//! The metrics of alerting; the queue's gauges live in `queue`. All counters but the by-rule one stand at 0 from the start, so that absence means a fault.

use std::collections::BTreeMap;

use catalogue::Severity;
use exposition::{Counter, Gauge, Histogram, Registry, RegistryError};

use crate::model::{AlertRecord, DeliveryRecord, Disposition, Status};
use crate::notifier::Reason;

/// Handles of every metric.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    registry: Registry,
    raised: BTreeMap<Severity, Counter>,
    pub(crate) throttled: Counter,
    notifiers: BTreeMap<String, PerNotifier>,
}

/// Handles of the metrics of one notifier.
#[derive(Debug, Clone)]
pub(crate) struct PerNotifier {
    pub(crate) sent: Counter,
    failed: BTreeMap<Reason, Counter>,
    pub(crate) retry: Counter,
    pub(crate) dlq: Counter,
    pub(crate) fallback: Counter,
    pub(crate) latency: Histogram,
    pub(crate) available: Gauge,
}

impl Metrics {
    pub(crate) fn new(registry: &Registry, notifiers: &[String]) -> Result<Self, RegistryError> {
        let mut raised = BTreeMap::new();
        for severity in Severity::ALL {
            raised.insert(
                severity,
                registry.counter("alert_raised_total", &[("severity", severity.as_str())])?,
            );
        }
        let mut map = BTreeMap::new();
        for name in notifiers {
            map.insert(name.clone(), PerNotifier::new(registry, name)?);
        }
        Ok(Self {
            registry: registry.clone(),
            raised,
            throttled: registry.counter("alert_throttled_total", &[])?,
            notifiers: map,
        })
    }

    pub(crate) fn raised(&self, severity: Severity) {
        if let Some(counter) = self.raised.get(&severity) {
            counter.inc();
        }
    }

    /// Counts an outcome of a rule: `deliver`, `throttled`, `aggregated`, `store_only` when it is taken in, `sent`, `failed`, `dlq` when a
    /// delivery settles.
    pub(crate) fn by_rule(&self, rule_id: &str, outcome: &str) {
        match self.registry.counter("alert_by_rule_total", &[("rule_id", rule_id), ("outcome", outcome)]) {
            Ok(counter) => counter.inc(),
            Err(e) => tracing::error!("alert_by_rule_total: {e}"),
        }
    }

    /// Counts what an earlier process of the run left in the store, so that a restart does not begin at zero.
    pub(crate) fn come_back(
        &mut self,
        alerts: &[AlertRecord],
        deliveries: &[DeliveryRecord],
    ) -> Result<(), RegistryError> {
        for alert in alerts {
            if let Some(severity) = Severity::ALL.into_iter().find(|s| s.as_str() == alert.severity) {
                self.raised(severity);
            }
            if alert.disposition == Disposition::Throttled {
                self.throttled.inc();
            }
            self.by_rule(&alert.rule_id, alert.disposition.as_str());
        }
        for delivery in deliveries {
            let rule = alerts.iter().find(|alert| alert.alert_id == delivery.alert_id);
            let rule = rule.map_or("", |alert| alert.rule_id.as_str());
            match delivery.status {
                Status::Sent => self.by_rule(rule, "sent"),
                Status::Failed => self.by_rule(rule, "failed"),
                Status::Dlq => self.by_rule(rule, "dlq"),
                _ => {}
            }
            let origin = delivery.fallback_of.and_then(|id| deliveries.iter().find(|d| d.delivery_id == id));
            if let Some(origin) = origin {
                self.notifier(&origin.notifier)?.fallback.inc();
            }
            self.notifier(&delivery.notifier)?.come_back(delivery);
        }
        Ok(())
    }

    /// The metrics of a notifier; made on the spot for one that is configured no more but still has rows.
    pub(crate) fn notifier(&mut self, name: &str) -> Result<&PerNotifier, RegistryError> {
        if !self.notifiers.contains_key(name) {
            self.notifiers.insert(name.to_owned(), PerNotifier::new(&self.registry, name)?);
        }
        self.notifiers.get(name).ok_or_else(|| RegistryError::UnknownMetric(name.to_owned()))
    }
}

impl PerNotifier {
    fn new(registry: &Registry, name: &str) -> Result<Self, RegistryError> {
        let label = [("notifier", name)];
        let mut failed = BTreeMap::new();
        for reason in Reason::ALL {
            let labels = [("notifier", name), ("reason", reason.as_str())];
            failed.insert(reason, registry.counter("alert_failed_total", &labels)?);
        }
        Ok(Self {
            sent: registry.counter("alert_sent_total", &label)?,
            failed,
            retry: registry.counter("alert_retry_total", &label)?,
            dlq: registry.counter("alert_dlq_total", &label)?,
            fallback: registry.counter("alert_fallback_total", &label)?,
            latency: registry.histogram("alert_delivery_latency_seconds", &label)?,
            available: registry.gauge("notifier_available", &label)?,
        })
    }

    fn come_back(&self, delivery: &DeliveryRecord) {
        (1..delivery.attempt).for_each(|_| self.retry.inc());
        let reason = delivery.last_error.as_deref().and_then(|text| text.split(':').next());
        let reason = Reason::ALL.into_iter().find(|known| Some(known.as_str()) == reason);
        if let Some(reason) = reason.filter(|_| matches!(delivery.status, Status::Failed | Status::Dlq)) {
            self.failed(reason);
        }
        match delivery.status {
            Status::Sent => {
                self.sent.inc();
                self.latency.observe(delivery.latency_ms.unwrap_or(0) as f64 / 1e3);
            }
            Status::Dlq => self.dlq.inc(),
            _ => {}
        }
    }

    pub(crate) fn failed(&self, reason: Reason) {
        if let Some(counter) = self.failed.get(&reason) {
            counter.inc();
        }
    }
}
