//! Routing: which notifiers an alert goes to, in which order, and when. Pure; names and times are arguments.

use std::collections::BTreeMap;
use std::time::Duration;

use catalogue::{Severity, alert_rule};
use market::Timestamp;

use crate::config::{EMAIL, LOCAL_LOG, SLACK, TELEGRAM};
use crate::model::Alert;
use crate::store::Plan;

/// Ends the run id in the ids of alerts that the dispatcher itself raises.
pub(crate) const OWN: &str = ".dispatcher";
/// The label of NOTIFIER-DEGRADED that names who is not to deliver it.
pub(crate) const DEGRADED: &str = "notifier";

/// Chains of notifier names by severity: the first is tried, each next one takes over when the one before gave up. A
/// severity without a chain is stored only, or waits for its batch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Routes {
    production: bool,
    chains: BTreeMap<Severity, Vec<String>>,
    batch: Option<Batch>,
    throttle_s: BTreeMap<String, u32>,
    overflow: u32,
}

/// What has no chain goes into one message at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The notifier.
    pub to: String,
    /// How often.
    pub every: Duration,
}

/// The way of an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Way {
    /// To each notifier at once, and to no other instead.
    Everyone,
    /// To the first of these, then to the next.
    Chain(Vec<String>),
    /// With others, to the first of these.
    Batch(Vec<String>),
    /// Nowhere.
    Stored,
}

impl Routes {
    /// The default of paper trading: P0 to P2 through all configured notifiers in their order, P3 stored.
    pub const fn paper() -> Self {
        Self {
            production: false,
            chains: BTreeMap::new(),
            batch: None,
            throttle_s: BTreeMap::new(),
            overflow: 0,
        }
    }

    /// The default of production: P0 and P1 to Telegram, then Slack, then email, then what else is configured; P2 and P3 stored.
    pub const fn production() -> Self {
        Self {
            production: true,
            chains: BTreeMap::new(),
            batch: None,
            throttle_s: BTreeMap::new(),
            overflow: 0,
        }
    }

    /// Explicit chains instead of the default's, for the severities that are named; `local_log` is added to the end of each
    /// chain that is not empty when it is configured.
    #[must_use]
    pub fn with_chains(mut self, chains: BTreeMap<Severity, Vec<String>>) -> Self {
        self.chains = chains;
        self
    }

    /// Severities without a chain wait for a batch.
    #[must_use]
    pub fn with_batch(mut self, batch: Option<Batch>) -> Self {
        self.batch = batch;
        self
    }

    /// Throttles of rules, seconds, instead of the catalogue's.
    #[must_use]
    pub fn with_throttle(mut self, throttle_s: BTreeMap<String, u32>) -> Self {
        self.throttle_s = throttle_s;
        self
    }

    /// When so many alerts of one rule and key wait to be delivered, the next ones are counted into one summary. 0: never.
    #[must_use]
    pub const fn with_overflow(mut self, overflow: u32) -> Self {
        self.overflow = overflow;
        self
    }

    pub(crate) const fn overflow(&self) -> u32 {
        self.overflow
    }

    /// The chain of a severity among the notifiers that exist, `local_log` last. Empty means stored only.
    pub fn chain(&self, severity: Severity, notifiers: &[String]) -> Vec<String> {
        let wanted: Vec<String> = match self.chains.get(&severity) {
            Some(chain) => chain.clone(),
            None if self.production => production(severity, notifiers),
            None if severity == Severity::P3 => Vec::new(),
            None => notifiers.to_vec(),
        };
        ended(wanted, notifiers)
    }

    /// Where an alert goes.
    pub(crate) fn way(
        &self,
        rule_id: &str,
        severity: Severity,
        labels: &BTreeMap<String, String>,
        notifiers: &[String],
    ) -> Way {
        if alert_rule(rule_id).is_some_and(|r| r.past_routing) {
            return Way::Everyone;
        }
        // Through another channel than the one that is down, whatever its severity's route.
        if let Some(degraded) = labels.get(DEGRADED).filter(|_| rule_id == "NOTIFIER-DEGRADED") {
            let mut chain = self.chain(Severity::P0, notifiers);
            chain.retain(|name| name != degraded);
            return if chain.is_empty() { Way::Stored } else { Way::Chain(chain) };
        }
        let chain = self.chain(severity, notifiers);
        if !chain.is_empty() {
            return Way::Chain(chain);
        }
        match &self.batch {
            Some(batch) if notifiers.contains(&batch.to) => {
                Way::Batch(ended(vec![batch.to.clone()], notifiers))
            }
            _ => Way::Stored,
        }
    }

    /// How an alert is stored.
    pub(crate) fn plan(&self, alert: &Alert, notifiers: &[String], now: Timestamp) -> Plan {
        let first = |chain: Vec<String>| chain.into_iter().take(1).collect();
        let way = self.way(&alert.rule_id, alert.severity, &alert.labels, notifiers);
        let (notifiers, due, seconds) = match way {
            Way::Everyone => {
                let notifiers = notifiers.to_vec();
                return Plan { throttle: Duration::ZERO, notifiers, due: now, overflow: 0 };
            }
            Way::Chain(chain) => (first(chain), now, self.throttle(&alert.rule_id)),
            Way::Batch(chain) => (first(chain), self.next_batch(now), self.throttle(&alert.rule_id)),
            Way::Stored => (Vec::new(), now, self.throttle(&alert.rule_id)),
        };
        Plan { throttle: Duration::from_secs(seconds.into()), notifiers, due, overflow: self.overflow }
    }

    /// How the summary of an overflow is stored: like those that it stands for, but for certain.
    pub(crate) fn summary_plan(&self, summary: &Alert, notifiers: &[String], now: Timestamp) -> Plan {
        Plan { throttle: Duration::ZERO, overflow: 0, ..self.plan(summary, notifiers, now) }
    }

    fn throttle(&self, rule_id: &str) -> u32 {
        let given = self.throttle_s.get(rule_id).copied();
        given.unwrap_or_else(|| alert_rule(rule_id).map_or(0, |r| r.throttle_s))
    }

    /// Batches leave at whole multiples of their interval: one message, however many alerts there were.
    fn next_batch(&self, now: Timestamp) -> Timestamp {
        let every = self.batch.as_ref().map_or(Duration::ZERO, |b| b.every);
        let every = i64::try_from(every.as_nanos()).unwrap_or(i64::MAX).max(1);
        Timestamp((now.0.div_euclid(every)).saturating_add(1).saturating_mul(every))
    }
}

/// Only what exists, each once, with the local log behind it.
fn ended(wanted: Vec<String>, notifiers: &[String]) -> Vec<String> {
    let has_log = notifiers.iter().any(|n| n == LOCAL_LOG) && !wanted.is_empty();
    let mut chain: Vec<String> = Vec::new();
    for name in wanted {
        if name != LOCAL_LOG && notifiers.contains(&name) && !chain.contains(&name) {
            chain.push(name);
        }
    }
    if has_log {
        chain.push(LOCAL_LOG.to_owned());
    }
    chain
}

fn production(severity: Severity, notifiers: &[String]) -> Vec<String> {
    if severity > Severity::P1 {
        return Vec::new();
    }
    let named = [TELEGRAM, SLACK, EMAIL].map(str::to_owned);
    let others = notifiers.iter().filter(|n| !named.contains(n)).cloned();
    named.iter().cloned().chain(others).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|n| (*n).to_owned()).collect()
    }

    /// The tables of docs/alerts.md.
    #[test]
    fn defaults_of_production_and_paper() {
        let all = names(&["email", "webhook", "slack", "telegram", "local_log"]);
        let production = Routes::production();
        let urgent = names(&["telegram", "slack", "email", "webhook", "local_log"]);
        assert_eq!(production.chain(Severity::P0, &all), urgent);
        assert_eq!(production.chain(Severity::P1, &all), urgent);
        assert!(production.chain(Severity::P2, &all).is_empty());
        assert!(production.chain(Severity::P3, &all).is_empty());
        let paper = Routes::paper();
        for severity in [Severity::P0, Severity::P1, Severity::P2] {
            assert_eq!(paper.chain(severity, &all), all);
        }
        assert!(paper.chain(Severity::P3, &all).is_empty());
        assert_eq!(production.chain(Severity::P0, &names(&["slack"])), names(&["slack"]));
    }

    #[test]
    fn own_chains_end_in_the_local_log_and_skip_what_is_not_configured() {
        let routes = Routes::paper().with_chains(BTreeMap::from([
            (Severity::P0, names(&["local_log", "email", "slack", "email"])),
            (Severity::P1, Vec::new()),
        ]));
        let all = names(&["email", "local_log"]);
        assert_eq!(routes.chain(Severity::P0, &all), names(&["email", "local_log"]));
        assert!(routes.chain(Severity::P1, &all).is_empty());
        assert_eq!(routes.chain(Severity::P2, &all), all);
        assert_eq!(routes.chain(Severity::P0, &names(&["email"])), names(&["email"]), "switched off");
    }

    #[test]
    fn what_has_no_chain_waits_for_its_batch() {
        let every = Duration::from_secs(300);
        let routes = Routes::production().with_batch(Some(Batch { to: "slack".to_owned(), every }));
        let all = names(&["telegram", "slack", "local_log"]);
        let way = |rule: &str, severity| routes.way(rule, severity, &BTreeMap::new(), &all);
        assert_eq!(way("RATE-LOW", Severity::P2), Way::Batch(names(&["slack", "local_log"])));
        assert_eq!(way("HEALTH-DOWN", Severity::P1), Way::Chain(names(&["telegram", "slack", "local_log"])));
        assert_eq!(way("DRILL", Severity::P3), Way::Everyone);
        assert_eq!(routes.next_batch(Timestamp(301_000_000_000)), Timestamp(600_000_000_000));
        assert_eq!(routes.next_batch(Timestamp(600_000_000_000)), Timestamp(900_000_000_000));
    }

    #[test]
    fn a_degraded_notifier_does_not_tell_of_itself() {
        let labels = BTreeMap::from([("notifier".to_owned(), "telegram".to_owned())]);
        let way = |all: &[&str]| Routes::paper().way("NOTIFIER-DEGRADED", Severity::P3, &labels, &names(all));
        assert_eq!(way(&["telegram", "slack", "local_log"]), Way::Chain(names(&["slack", "local_log"])));
        assert_eq!(way(&["telegram"]), Way::Stored);
    }
}
