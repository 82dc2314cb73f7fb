//! Request budgets as the venues enforce them: fixed windows, then a ban for those who go on. Time is an argument.
//!
//! The venues count per IP address; every client on loopback is one address here.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// What a request may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Served; what has been used in this window, with this request.
    Served {
        /// Requests or weight used in the window.
        used: u32,
    },
    /// 429 until the window ends.
    TooMany {
        /// Time to the window's end.
        retry: Duration,
    },
    /// 418: it went on after 429.
    Banned {
        /// Time to the ban's end.
        retry: Duration,
    },
}

/// One budget.
#[derive(Clone, Debug)]
pub struct Budget {
    limit: u32,
    window: Duration,
    first_ban: Duration,
    opened: Option<Instant>,
    used: u32,
    refused: u32,
    bans: u32,
    banned_until: Option<Instant>,
}

/// Refusals in a row that make a ban.
const PATIENCE: u32 = 30;

impl Budget {
    /// `limit` per `window`; the first ban takes `first_ban`, each further one twice as long.
    pub fn new(limit: u32, window: Duration, first_ban: Duration) -> Self {
        Self { limit, window, first_ban, opened: None, used: 0, refused: 0, bans: 0, banned_until: None }
    }

    /// Asks for `weight` at `now`.
    pub fn take(&mut self, weight: u32, now: Instant) -> Decision {
        if let Some(until) = self.banned_until {
            if now < until {
                return Decision::Banned { retry: until - now };
            }
            self.banned_until = None;
            self.refused = 0;
        }
        let opened = match self.opened {
            Some(t) if now.duration_since(t) < self.window => t,
            _ => {
                self.used = 0;
                *self.opened.insert(now)
            }
        };
        if self.used + weight <= self.limit {
            self.used += weight;
            self.refused = 0;
            return Decision::Served { used: self.used };
        }
        self.refused += 1;
        if self.refused > PATIENCE {
            let length = self.first_ban * 2u32.saturating_pow(self.bans.min(10));
            self.bans += 1;
            self.banned_until = Some(now + length);
            return Decision::Banned { retry: length };
        }
        Decision::TooMany { retry: self.window.saturating_sub(now.duration_since(opened)) }
    }

    /// What the window allows.
    pub fn limit(&self) -> u32 {
        self.limit
    }
}

/// All budgets of both venues.
#[derive(Clone, Debug)]
pub struct Limits {
    upbit: BTreeMap<&'static str, Budget>,
    /// Upbit: requests that carry an `Origin` header.
    pub upbit_origin: Budget,
    /// Upbit: WebSocket connects.
    pub upbit_connects: Budget,
    /// Binance: request weight.
    pub binance: Budget,
    /// Binance: WebSocket connects.
    pub binance_connects: Budget,
}

impl Limits {
    /// The venues' published limits.
    pub fn new() -> Self {
        let second = Duration::from_secs(1);
        let minutes = |n: u64| Duration::from_secs(60 * n);
        Self {
            upbit: BTreeMap::new(),
            upbit_origin: Budget::new(1, second * 10, second * 10),
            upbit_connects: Budget::new(5, second, second * 10),
            binance: Budget::new(6_000, minutes(1), minutes(2)),
            binance_connects: Budget::new(300, minutes(5), minutes(2)),
        }
    }

    /// Upbit's budget of a group: 10 per second each.
    pub fn upbit(&mut self, group: &'static str) -> &mut Budget {
        let second = Duration::from_secs(1);
        self.upbit.entry(group).or_insert_with(|| Budget::new(10, second, second * 10))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_fills_refuses_bans_and_recovers() {
        let second = Duration::from_secs(1);
        let mut budget = Budget::new(10, second, second * 10);
        let start = Instant::now();
        for used in 1..=10 {
            assert_eq!(budget.take(1, start), Decision::Served { used });
        }
        assert!(matches!(budget.take(1, start), Decision::TooMany { .. }));
        assert_eq!(budget.take(1, start + second), Decision::Served { used: 1 });
        for _ in 0..PATIENCE + 9 {
            budget.take(1, start + second);
        }
        assert_eq!(budget.take(1, start + second), Decision::Banned { retry: second * 10 });
        assert_eq!(budget.take(1, start + second * 11), Decision::Served { used: 1 });
    }
}
