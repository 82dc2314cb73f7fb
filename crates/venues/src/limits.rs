//! Budgets of requests: sliding windows with time as an argument. The numbers stand in each venue's `limits`.

use market::Timestamp;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// At most `limit` units of weight in any window of `window`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Units of weight.
    pub limit: u32,
    /// Length of the window.
    pub window: Duration,
}

/// What a venue counts together.
pub trait Group: Copy + Ord + std::fmt::Debug + 'static {
    /// Every group of the venue.
    const ALL: &'static [Self];
    /// The group's name in metrics.
    fn as_str(self) -> &'static str;
    /// What the venue allows.
    fn rules(self) -> &'static [Rule];
}

/// Token accounting of one venue.
///
/// Windows slide, although venues count in fixed ones: what is allowed here is allowed there whatever the phase. Use
/// by others on the same address, known from headers, is entered as if it had been ours.
#[derive(Debug, Clone)]
pub struct Budget<G> {
    used: BTreeMap<G, VecDeque<(Timestamp, u32)>>,
    blocked_until: Option<Timestamp>,
}

impl<G: Group> Default for Budget<G> {
    fn default() -> Self {
        Self::new()
    }
}

impl<G: Group> Budget<G> {
    /// A full budget.
    pub fn new() -> Self {
        Self { used: G::ALL.iter().map(|g| (*g, VecDeque::new())).collect(), blocked_until: None }
    }

    /// Takes `weight`, using at most `share` (0 to 1) of each limit. A weight beyond the share passes only through an
    /// empty window.
    ///
    /// # Errors
    /// The earliest time at which it may pass; the end of time for a weight beyond the limit itself.
    pub fn try_take(&mut self, group: G, weight: u32, now: Timestamp, share: f64) -> Result<(), Timestamp> {
        if let Some(until) = self.blocked_until {
            if now < until {
                return Err(until);
            }
            self.blocked_until = None;
        }
        let log = self.used.entry(group).or_default();
        let mut earliest = now;
        for rule in group.rules() {
            if weight > rule.limit {
                return Err(Timestamp(i64::MAX));
            }
            let cap = cap(*rule, share).max(weight);
            let mut used = used_in(log, *rule, now);
            for (at, taken) in log.iter() {
                if used + weight <= cap {
                    break;
                }
                let leaves = at.plus(rule.window);
                if leaves > now {
                    used -= taken;
                    earliest = earliest.max(leaves);
                }
            }
        }
        if earliest > now {
            return Err(earliest);
        }
        log.push_back((now, weight));
        let longest = group.rules().iter().map(|r| r.window).max().unwrap_or_default();
        while log.front().is_some_and(|(at, _)| at.plus(longest) <= now) {
            log.pop_front();
        }
        Ok(())
    }

    /// Takes note of what the venue says was used within `rule` (an element of the group's rules): the difference to
    /// our own count is someone else's use.
    pub fn observe_used(&mut self, group: G, rule: Rule, used: u32, now: Timestamp) {
        let log = self.used.entry(group).or_default();
        let ours = used_in(log, rule, now);
        if used > ours {
            log.push_back((now, used - ours));
        }
    }

    /// The venue refused (429, 418): nothing is asked before `until`.
    pub fn punished(&mut self, until: Timestamp) {
        self.blocked_until = Some(self.blocked_until.map_or(until, |old| old.max(until)));
    }

    /// Until when nothing may be asked, when that is the case at `now`.
    pub fn blocked_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.blocked_until.filter(|until| *until > now)
    }

    /// How much of a group's budget is left at `now`, 0 to 1: the scarcest of its rules.
    pub fn ratio_left(&self, group: G, now: Timestamp) -> f64 {
        if self.blocked_until(now).is_some() {
            return 0.0;
        }
        let left = |rule: &Rule| {
            let used = self.used.get(&group).map_or(0, |log| used_in(log, *rule, now));
            f64::from(rule.limit.saturating_sub(used)) / f64::from(rule.limit)
        };
        group.rules().iter().map(left).fold(1.0, f64::min)
    }
}

fn cap(rule: Rule, share: f64) -> u32 {
    // Truncation is meant: a share never exceeds itself.
    (f64::from(rule.limit) * share.clamp(0.0, 1.0)) as u32
}

fn used_in(log: &VecDeque<(Timestamp, u32)>, rule: Rule, now: Timestamp) -> u32 {
    log.iter().rev().take_while(|(at, _)| at.plus(rule.window) > now).map(|(_, w)| w).sum()
}
