//! The worker: claims deliveries, sends, records, falls back, probes. Decisions on retries live in the machine.

use std::collections::BTreeMap;
use std::time::Duration;

use catalogue::{Severity, alert_rule};
use exposition::Registry;
use market::Timestamp;

use crate::config::{AlertConfig, Routes};
use crate::dispatcher::Clock;
use crate::machine::{Circuit, Machine, Next};
use crate::metrics::Metrics;
use crate::model::{Alert, AlertError, AlertRecord};
use crate::notifier::{Notifier, Reason, SendError};
use crate::store::{Claim, Lane, Store};

/// A lease is the timeout and this.
const LEASE_MARGIN: Duration = Duration::from_secs(10);

/// Sends deliveries. Driven by its owner; the clock is asked after each effect, since effects take time.
pub struct Worker {
    store: Store,
    metrics: Metrics,
    machine: Machine,
    routes: Routes,
    notifiers: Vec<(Box<dyn Notifier>, Circuit)>,
    names: Vec<String>,
    run_id: String,
    phase: String,
    env: String,
    lease: Duration,
    probe_every: Duration,
    probe_at: Timestamp,
    clock: Clock,
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").field("notifiers", &self.names).finish_non_exhaustive()
    }
}

impl Worker {
    /// Opens the store. Nothing is sent or probed before the first step.
    ///
    /// # Errors
    /// [`AlertError`].
    pub fn new(
        config: &AlertConfig,
        registry: &Registry,
        notifiers: Vec<Box<dyn Notifier>>,
        clock: Clock,
    ) -> Result<Self, AlertError> {
        let names: Vec<String> = notifiers.iter().map(|n| n.name().to_owned()).collect();
        Ok(Self {
            store: Store::of(config)?,
            metrics: Metrics::new(registry, &names)?,
            machine: Machine::new(config.retry),
            routes: config.routes.clone(),
            notifiers: notifiers.into_iter().map(|n| (n, Circuit::default())).collect(),
            names,
            run_id: config.run_id.clone(),
            phase: config.phase.clone(),
            env: config.env.clone(),
            lease: config.retry.timeout + LEASE_MARGIN,
            probe_every: config.probe_every,
            probe_at: Timestamp(i64::MIN),
            clock,
        })
    }

    /// Probes when that is due, then makes at most one attempt. False when nothing was due.
    ///
    /// # Errors
    /// [`AlertError`]; a delivery that was under way comes back when its lease ends.
    pub fn step(&mut self) -> Result<bool, AlertError> {
        self.probe_when_due()?;
        let now = (self.clock)();
        let claim = self.store.claim(&self.run_id, &self.phase, now, self.lease, Lane::All)?;
        match claim {
            Some(claim) => self.attempt(&claim).map(|()| true),
            None => Ok(false),
        }
    }

    /// Sets `alert_queue_depth` and `alert_oldest_pending_seconds`; how many deliveries are open.
    ///
    /// # Errors
    /// [`AlertError::Store`].
    pub fn measure(&mut self) -> Result<u64, AlertError> {
        let open = self.store.open_deliveries(&self.run_id, &self.phase)?;
        self.metrics.queue_depth.set(open.deliveries as f64);
        let age = open.oldest.map_or(0.0, |raised| (self.clock)().secs_since(raised).max(0.0));
        self.metrics.oldest_pending.set(age);
        Ok(open.deliveries)
    }

    /// Probes every notifier whose turn has come.
    fn probe_when_due(&mut self) -> Result<(), AlertError> {
        let now = (self.clock)();
        if now < self.probe_at {
            for (notifier, circuit) in &self.notifiers {
                self.metrics.notifier(notifier.name())?.available.set(circuit.availability(now));
            }
            return Ok(());
        }
        self.probe_at = now.plus(self.probe_every);
        for (notifier, circuit) in &mut self.notifiers {
            let result = notifier.probe();
            if let Err(e) = &result {
                tracing::warn!("notifier {} does not answer its probe: {e}", notifier.name());
            }
            let now = (self.clock)();
            circuit.note(result.is_ok(), now);
            self.metrics.notifier(notifier.name())?.available.set(circuit.availability(now));
        }
        Ok(())
    }

    fn attempt(&mut self, claim: &Claim) -> Result<(), AlertError> {
        let name = claim.delivery.notifier.as_str();
        let next = self.next_of_chain(claim)?;
        let result = self.send(claim, next.is_some())?;
        let now = (self.clock)();
        let own = claim.delivery.run_id == self.run_id && claim.delivery.phase == self.phase;
        let metrics = self.metrics.notifier(name)?.clone();
        if own && claim.delivery.attempt > 1 {
            metrics.retry.inc();
        }
        let rule = claim.alert.rule_id.as_str();
        let recorded = match (
            self.machine.after(claim.delivery.delivery_id, claim.delivery.attempt, &result, now),
            &result,
        ) {
            (Next::Sent, _) | (_, Ok(())) => {
                let latency = now.since(claim.alert.raised_at).max(0);
                let recorded = self.store.sent(claim, latency / 1_000_000, now)?;
                if recorded && own {
                    metrics.sent.inc();
                    metrics.latency.observe(latency as f64 / 1e9);
                    self.metrics.by_rule(rule, "sent");
                }
                recorded
            }
            (Next::Retry(at), Err(e)) => self.store.retry(claim, &e.to_string(), at)?,
            (Next::GiveUp, Err(e)) => {
                let recorded = self.store.give_up(claim, &e.to_string(), next.as_deref(), now)?;
                if recorded && own {
                    self.count_give_up(claim, e, next.as_deref())?;
                }
                recorded
            }
        };
        if !recorded {
            tracing::warn!("delivery {} lost its lease while it was being sent", claim.delivery.delivery_id);
        }
        Ok(())
    }

    fn send(&mut self, claim: &Claim, has_next: bool) -> Result<Result<(), SendError>, AlertError> {
        let name = claim.delivery.notifier.as_str();
        let Some((notifier, circuit)) = self.notifiers.iter_mut().find(|(n, _)| n.name() == name) else {
            return Ok(Err(SendError::new(Reason::NotConfigured, "not configured any more")));
        };
        // The last of a chain is tried in any case: there is nobody else.
        if has_next && circuit.is_open((self.clock)()) {
            return Ok(Err(SendError::new(Reason::CircuitOpen, "failed too often in a row")));
        }
        let alert = message(&claim.alert, &self.env)?;
        let result = notifier.send(&alert);
        let now = (self.clock)();
        if circuit.note(result.is_ok(), now) {
            tracing::error!("notifier {name} failed 5 times in a row, its circuit is open");
        }
        self.metrics.notifier(name)?.available.set(circuit.availability(now));
        Ok(result)
    }

    /// The notifier that takes over: the next of the chain that has no row of this alert yet.
    fn next_of_chain(&self, claim: &Claim) -> Result<Option<String>, AlertError> {
        if alert_rule(&claim.alert.rule_id).is_some_and(|r| r.past_routing) {
            return Ok(None);
        }
        let chain = self.routes.chain(severity(&claim.alert)?, &self.names);
        // A notifier that is configured no more stands before the whole chain.
        let behind = chain.iter().position(|n| *n == claim.delivery.notifier).map_or(0, |i| i + 1);
        for name in chain.into_iter().skip(behind) {
            if !self.store.has_delivery(&claim.alert.alert_id, &name)? {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }

    fn count_give_up(
        &mut self,
        claim: &Claim,
        error: &SendError,
        next: Option<&str>,
    ) -> Result<(), AlertError> {
        let name = claim.delivery.notifier.as_str();
        let metrics = self.metrics.notifier(name)?;
        metrics.failed(error.reason);
        match next {
            Some(next) => {
                metrics.fallback.inc();
                self.metrics.by_rule(&claim.alert.rule_id, "failed");
                tracing::warn!("alert {}: {name} gave up ({error}), {next} takes over", claim.alert.alert_id);
            }
            None => {
                metrics.dlq.inc();
                self.metrics.by_rule(&claim.alert.rule_id, "dlq");
                tracing::error!("alert {} is in the dead letters: {name}: {error}", claim.alert.alert_id);
            }
        }
        Ok(())
    }

    /// Availability of each notifier, for tests and screens.
    pub fn availability(&self) -> BTreeMap<String, f64> {
        let now = (self.clock)();
        self.notifiers.iter().map(|(n, c)| (n.name().to_owned(), c.availability(now))).collect()
    }
}

fn severity(alert: &AlertRecord) -> Result<Severity, AlertError> {
    Severity::ALL
        .into_iter()
        .find(|s| s.as_str() == alert.severity)
        .ok_or_else(|| AlertError::BadRow(format!("unknown severity `{}`", alert.severity)))
}

fn message(row: &AlertRecord, env: &str) -> Result<Alert, AlertError> {
    Ok(Alert {
        alert_id: row.alert_id.clone(),
        run_id: row.run_id.clone(),
        phase: row.phase.clone(),
        env: env.to_owned(),
        rule_id: row.rule_id.clone(),
        severity: severity(row)?,
        source: row.source.clone(),
        title: row.title.clone(),
        message: row.message.clone(),
        labels: row.labels.clone(),
        key: row.aggregation_key.clone(),
        raised_at: row.raised_at,
    })
}
