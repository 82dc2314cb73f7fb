//! The worker: claims deliveries, sends, records, falls back, probes. Decisions on retries live in the machine, those on chains in
//! the routes.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use catalogue::Severity;
use exposition::Registry;
use market::Timestamp;

use crate::config::AlertConfig;
use crate::dispatcher::Clock;
use crate::machine::{Circuit, Machine, Next};
use crate::metrics::Metrics;
use crate::model::{Alert, AlertError, AlertRecord};
use crate::notifier::{Notifier, Reason, SendError, digest};
use crate::own::Own;
use crate::queue::Queue;
use crate::routes::{Routes, Way};
use crate::store::{Claim, Lane, Store};

/// A lease is the timeout and this.
const LEASE_MARGIN: Duration = Duration::from_secs(10);
/// How often it is looked for what a silent dispatcher left.
const ADOPT_EVERY: Duration = Duration::from_secs(10);
/// After the start, and after an outage of the store, others are given this long to say that they live.
const ADOPT_GRACE: Duration = Duration::from_secs(60);
/// Alerts of one message of a batch; the rest goes into the next.
const BATCH_MOST: usize = 500;

/// Sends deliveries. Driven by its owner; the clock is asked after each effect, since effects take time.
pub struct Worker {
    store: Store,
    metrics: Metrics,
    machine: Machine,
    routes: Routes,
    notifiers: Vec<(Box<dyn Notifier>, Circuit)>,
    /// Of all lanes.
    names: Vec<String>,
    lane: Share,
    own: Arc<Own>,
    run_id: String,
    phase: String,
    env: String,
    lease: Duration,
    probe_every: Duration,
    probe_at: Timestamp,
    clock: Clock,
    /// Claimed, and no attempt was made: what was no part of a batch, and what could not be sent because the store went away.
    held: VecDeque<Claim>,
    adopt_at: Timestamp,
    queue: Arc<Queue>,
    /// Attempts whose outcome the store has not taken: it is told them again before anything else is sent.
    unrecorded: VecDeque<Attempt>,
    fell_back: bool,
}

/// An attempt that was made.
#[derive(Debug, Clone)]
struct Attempt {
    claim: Claim,
    /// Who takes over.
    next: Option<String>,
    result: Result<(), SendError>,
    ended: Timestamp,
}

/// Whose deliveries a worker takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Share {
    /// Everybody's: the only worker.
    All,
    /// Its notifier's.
    Own,
    /// Its notifier's, and those of notifiers that nobody has.
    OwnAndStrays,
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker")
            .field("notifiers", &self.names)
            .field("lane", &self.lane)
            .finish_non_exhaustive()
    }
}

impl Worker {
    /// The only worker of its store: it sends for all notifiers, one after the other. Nothing is sent or probed before the first step.
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
        let shared = (Arc::new(Own::open(config)?), Arc::new(Queue::new(registry)?));
        Self::build(config, registry, (notifiers, names, Share::All), clock, shared)
    }

    /// One of several workers, one for each notifier, so that a slow one holds up no other. `names` are all of them; the first takes
    /// what belongs to none.
    pub(crate) fn lane(
        config: &AlertConfig,
        registry: &Registry,
        (notifier, names): (Box<dyn Notifier>, &[String]),
        clock: Clock,
        shared: (Arc<Own>, Arc<Queue>),
    ) -> Result<Self, AlertError> {
        let is_first = names.first().is_some_and(|name| name == notifier.name());
        let share = if is_first { Share::OwnAndStrays } else { Share::Own };
        Self::build(config, registry, (vec![notifier], names.to_vec(), share), clock, shared)
    }

    fn build(
        config: &AlertConfig,
        registry: &Registry,
        (notifiers, names, lane): (Vec<Box<dyn Notifier>>, Vec<String>, Share),
        clock: Clock,
        (own, queue): (Arc<Own>, Arc<Queue>),
    ) -> Result<Self, AlertError> {
        Ok(Self {
            store: Store::of(config)?,
            metrics: Metrics::new(registry, &names)?,
            machine: Machine::new(config.retry),
            routes: config.routes.clone(),
            notifiers: notifiers.into_iter().map(|n| (n, Circuit::default())).collect(),
            names,
            lane,
            own,
            run_id: config.run_id.clone(),
            phase: config.phase.clone(),
            env: config.env.clone(),
            lease: config.retry.timeout + LEASE_MARGIN,
            probe_every: config.probe_every,
            probe_at: Timestamp(i64::MIN),
            held: VecDeque::new(),
            adopt_at: clock().plus(ADOPT_GRACE),
            queue,
            clock,
            unrecorded: VecDeque::new(),
            fell_back: false,
        })
    }

    /// Probes when that is due, then makes at most one attempt: of a delivery, or of a batch of them. False when nothing was due.
    ///
    /// # Errors
    /// [`AlertError`]; a delivery that was under way comes back when its lease ends.
    pub fn step(&mut self) -> Result<bool, AlertError> {
        let stepped = self.try_step();
        if stepped.is_err() {
            self.adopt_at = (self.clock)().plus(ADOPT_GRACE);
        }
        stepped
    }

    fn try_step(&mut self) -> Result<bool, AlertError> {
        self.probe_when_due()?;
        self.record_all()?;
        let Some(claim) = self.next_claim()? else { return self.adopt() };
        let mut claims = vec![claim];
        match self.gather(&mut claims).and_then(|()| self.nexts(&claims)) {
            Ok(nexts) => self.attempt(&claims, nexts).map(|_| true),
            Err(e) => {
                // No attempt was made: they are tried when the store is back. A row that cannot be read is left to its lease.
                if e.is_store_lost() {
                    self.held.extend(claims);
                }
                Err(e)
            }
        }
    }

    /// To a delivery that leaves with others, the others.
    fn gather(&mut self, claims: &mut Vec<Claim>) -> Result<(), AlertError> {
        let Some(first) = claims.first().cloned() else { return Ok(()) };
        if !self.is_batched(&first)? {
            return Ok(());
        }
        while claims.len() < BATCH_MOST {
            let Some(next) = self.next_claim()? else { break };
            if next.delivery.notifier == first.delivery.notifier && self.is_batched(&next)? {
                claims.push(next);
            } else {
                self.held.push_back(next);
                break;
            }
        }
        Ok(())
    }

    fn nexts(&self, claims: &[Claim]) -> Result<Vec<Option<String>>, AlertError> {
        claims.iter().map(|claim| self.next_of_chain(claim)).collect()
    }

    fn next_claim(&mut self) -> Result<Option<Claim>, AlertError> {
        let now = (self.clock)();
        while let Some(held) = self.held.pop_front() {
            // A lease that ends before an attempt does would let somebody else begin one.
            let needed = now.plus(self.lease.saturating_sub(LEASE_MARGIN));
            if held.delivery.lease_until >= Some(needed) {
                return Ok(Some(held));
            }
            self.put_back(held)?;
        }
        let ask = |lane| self.store.claim(&self.run_id, &self.phase, now, self.lease, lane);
        let own = self.notifiers.first().map(|(n, _)| n.name());
        match (self.lane, own) {
            (Share::All, _) | (_, None) => ask(Lane::All),
            (Share::Own, Some(name)) => ask(Lane::Only(name)),
            (Share::OwnAndStrays, Some(name)) => match ask(Lane::Only(name))? {
                Some(claim) => Ok(Some(claim)),
                None => ask(Lane::AllBut(&self.names)),
            },
        }
    }

    /// A claim without an attempt counts for nothing.
    fn put_back(&mut self, claim: Claim) -> Result<(), AlertError> {
        let put = self.store.put_back(&claim, None, claim.delivery.next_attempt_at);
        if put.is_err() {
            self.held.push_front(claim);
        }
        put
    }

    /// Ends: what is claimed and was not tried goes back. When the store is away it comes back by itself when its lease ends.
    pub(crate) fn leave(&mut self) {
        if let Err(e) = self.record_all() {
            tracing::warn!(
                "deliveries that were made are not on record, and are made again when their lease ends: {e}"
            );
        }
        while let Some(held) = self.held.pop_front() {
            if let Err(e) = self.put_back(held) {
                tracing::warn!("claimed deliveries come back when their lease ends: {e}");
                return;
            }
        }
    }

    /// Sends one delivery of a dispatcher that has been silent for long, through a notifier that works. It arrives, or it goes back: its
    /// chain is not ours, and nobody here gives it up.
    fn adopt(&mut self) -> Result<bool, AlertError> {
        let now = (self.clock)();
        if now < self.adopt_at {
            return Ok(false);
        }
        self.adopt_at = now.plus(ADOPT_EVERY);
        let works = |c: &Circuit| c.availability(now) >= 1.0;
        let names: Vec<String> =
            self.notifiers.iter().filter(|(_, c)| works(c)).map(|(n, _)| n.name().to_owned()).collect();
        if names.is_empty() {
            return Ok(false);
        }
        let Some(claim) = self.store.adopt(&self.run_id, &self.phase, now, self.lease, &names)? else {
            return Ok(false);
        };
        let (id, run_id) = (claim.delivery.delivery_id, &claim.delivery.run_id);
        tracing::warn!("delivery {id} of run {run_id} is sent here: its dispatcher has been silent for long");
        if self.attempt(&[claim], vec![None])? {
            self.adopt_at = now;
        }
        Ok(true)
    }

    /// True for a delivery that leaves with others in one message.
    fn is_batched(&self, claim: &Claim) -> Result<bool, AlertError> {
        Ok(match self.way(&claim.alert)? {
            Way::Batch(chain) => chain.first() == Some(&claim.delivery.notifier),
            _ => false,
        })
    }

    fn way(&self, alert: &AlertRecord) -> Result<Way, AlertError> {
        Ok(self.routes.way(&alert.rule_id, severity(alert)?, &alert.labels, &self.names))
    }

    /// Makes waiting batches due: at the end there is no next interval.
    ///
    /// # Errors
    /// [`AlertError::Store`].
    pub fn flush_batches(&mut self) -> Result<usize, AlertError> {
        let now = (self.clock)();
        self.store.flush_waiting(&self.run_id, &self.phase, now)
    }

    /// True once after deliveries fell back to other notifiers: their workers have something to do.
    pub(crate) fn take_fell_back(&mut self) -> bool {
        std::mem::take(&mut self.fell_back)
    }

    /// Sets `alert_queue_depth` and `alert_oldest_pending_seconds`; how many deliveries are open.
    ///
    /// # Errors
    /// [`AlertError::Store`]; what is known grows older meanwhile.
    pub fn measure(&mut self) -> Result<u64, AlertError> {
        match self.store.open_deliveries(&self.run_id, &self.phase) {
            Ok(open) => {
                self.queue.stored(open, (self.clock)());
                Ok(open.deliveries)
            }
            Err(e) => {
                self.age_queue();
                Err(e)
            }
        }
    }

    /// The store cannot be asked.
    pub(crate) fn age_queue(&self) {
        self.queue.age((self.clock)());
    }

    /// Probes every notifier when its turn has come.
    pub(crate) fn probe_when_due(&mut self) -> Result<(), AlertError> {
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
            let now = (self.clock)();
            let opened = circuit.note_probe(result.is_ok(), now);
            if let Err(e) = &result {
                tracing::warn!("notifier {} does not answer its probe: {e}", notifier.name());
                if opened {
                    self.own.degraded(notifier.name(), &e.to_string(), now);
                }
            }
            self.metrics.notifier(notifier.name())?.available.set(circuit.availability(now));
        }
        Ok(())
    }

    /// One attempt for all of these: they go to the same notifier, in one message when they are several. True when it arrived.
    fn attempt(&mut self, claims: &[Claim], nexts: Vec<Option<String>>) -> Result<bool, AlertError> {
        let result = self.send(claims, nexts.iter().all(Option::is_some))?;
        let (now, arrived) = ((self.clock)(), result.is_ok());
        for (claim, next) in claims.iter().zip(nexts) {
            let (claim, result) = (claim.clone(), result.clone());
            self.unrecorded.push_back(Attempt { claim, next, result, ended: now });
        }
        self.record_all().map(|()| arrived)
    }

    /// Tells the store how attempts ended, in their order. What it cannot take now is told again: an attempt is not made twice because
    /// the store was away for less than a lease.
    fn record_all(&mut self) -> Result<(), AlertError> {
        while let Some(attempt) = self.unrecorded.pop_front() {
            match self.record(&attempt.claim, attempt.next.as_deref(), &attempt.result, attempt.ended) {
                Ok(true) => {}
                Ok(false) => {
                    let id = attempt.claim.delivery.delivery_id;
                    tracing::warn!("delivery {id} lost its lease while it was being sent");
                }
                Err(e) => {
                    self.unrecorded.push_front(attempt);
                    return Err(e);
                }
            }
        }
        Ok(())
    }

    /// Records what became of an attempt; false when the lease had been lost meanwhile.
    fn record(
        &mut self,
        claim: &Claim,
        next: Option<&str>,
        result: &Result<(), SendError>,
        now: Timestamp,
    ) -> Result<bool, AlertError> {
        let own = claim.delivery.run_id == self.run_id && claim.delivery.phase == self.phase;
        if let (false, Err(e)) = (own, result) {
            return self.store.put_back(claim, Some(&e.to_string()), now).map(|()| true);
        }
        let metrics = self.metrics.notifier(&claim.delivery.notifier)?.clone();
        let what = self.machine.after(claim.delivery.delivery_id, claim.delivery.attempt, result, now);
        let recorded = match (what, result) {
            (Next::Sent, _) | (_, Ok(())) => {
                let latency = now.since(claim.alert.raised_at).max(0);
                let recorded = self.store.sent(claim, latency / 1_000_000, now)?;
                if recorded && own {
                    metrics.sent.inc();
                    metrics.latency.observe(latency as f64 / 1e9);
                    self.metrics.by_rule(&claim.alert.rule_id, "sent");
                }
                recorded
            }
            (Next::Retry(at), Err(e)) => self.store.retry(claim, &e.to_string(), at)?,
            (Next::GiveUp, Err(e)) => {
                let recorded = self.store.give_up(claim, &e.to_string(), next, now)?;
                self.fell_back |= recorded && next.is_some();
                if recorded && own {
                    self.count_give_up(claim, e, next)?;
                }
                recorded
            }
        };
        // Counted once, when the store has it.
        if own && claim.delivery.attempt > 1 {
            metrics.retry.inc();
        }
        Ok(recorded)
    }

    fn send(&mut self, claims: &[Claim], has_next: bool) -> Result<Result<(), SendError>, AlertError> {
        let Some(first) = claims.first() else { return Ok(Ok(())) };
        let name = first.delivery.notifier.as_str();
        let Some((notifier, circuit)) = self.notifiers.iter_mut().find(|(n, _)| n.name() == name) else {
            return Ok(Err(SendError::new(Reason::NotConfigured, "not configured any more")));
        };
        // The last of a chain is tried in any case: there is nobody else.
        if has_next && circuit.is_open((self.clock)()) {
            return Ok(Err(SendError::new(Reason::CircuitOpen, "failed too often in a row")));
        }
        let mut alerts =
            claims.iter().map(|c| message(&c.alert, &self.env)).collect::<Result<Vec<_>, _>>()?;
        let alert = if alerts.len() > 1 { digest(&alerts) } else { alerts.pop() };
        let Some(alert) = alert else { return Ok(Ok(())) };
        let result = notifier.send(&alert);
        let now = (self.clock)();
        // That a neighbour's alert is refused says nothing of the notifier, as ours are concerned.
        let own = first.delivery.run_id == self.run_id && first.delivery.phase == self.phase;
        if own || result.is_ok() {
            if circuit.note(result.is_ok(), now)
                && let Err(e) = &result
            {
                self.own.degraded(name, &e.to_string(), now);
            }
            self.metrics.notifier(name)?.available.set(circuit.availability(now));
        }
        Ok(result)
    }

    /// The notifier that takes over: the next of the chain that has no row of this alert yet.
    fn next_of_chain(&self, claim: &Claim) -> Result<Option<String>, AlertError> {
        let chain = match self.way(&claim.alert)? {
            Way::Chain(chain) | Way::Batch(chain) => chain,
            Way::Everyone | Way::Stored => return Ok(None),
        };
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
