//! Alerts that are no guard's: looked at once a second, raised when their condition begins, armed again when it is over. Those of
//! guards are raised with the guard's start (`judging`). After a restart the watch begins anew, like books and health.

use crate::core::Core;
use crate::guards::{Rule, Scope, rules};
use journal::Words;
use market::{Asset, NANOS_PER_SEC, Timestamp, Venue};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, VecDeque};

/// One hour, for the triggers of guards.
const HOUR_NS: i64 = 3_600 * NANOS_PER_SEC;
/// Fewer markets imply no rate: one thin book would be the judge of the rate.
const IMPLIED_MIN: usize = 3;
/// More triggers than this within an hour are told of as well as they can be.
const TRIGGERS_MAX: usize = 10_000;

/// Thresholds of alerts that are no guard's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AlertLimits {
    /// SYNC-EXPOSURE: exposure of all positions, percent of the capital.
    pub exposure_pct: f64,
    /// SYNC-IMBALANCE: coin of a symbol on one venue less that on the other, over both, 0 to 1.
    pub imbalance: f64,
    /// LOW-ACTIVITY: no round trip for so long, milliseconds; 0: never.
    pub quiet_ms: i64,
    /// FX-DEVIATION: distance of the rate from the median that the universe implies, percent.
    pub fx_deviation_pct: f64,
    /// FX-SOURCE-DOWN, FX-ALL-DOWN: nothing has carried the rate for so long, milliseconds.
    pub fx_down_ms: i64,
    /// RG-OVERACTIVE: triggers of guards within an hour.
    pub guard_triggers_per_h: u32,
}

impl Default for AlertLimits {
    fn default() -> Self {
        Self {
            exposure_pct: 80.0,
            imbalance: 0.5,
            quiet_ms: 1_800_000,
            fx_deviation_pct: 5.0,
            fx_down_ms: 30_000,
            guard_triggers_per_h: 50,
        }
    }
}

impl AlertLimits {
    /// The first key that is out of range.
    pub(crate) fn wrong(&self) -> Option<&'static str> {
        let figures = [
            ("alerts.exposure_pct", self.exposure_pct),
            ("alerts.imbalance", self.imbalance),
            ("alerts.fx_deviation_pct", self.fx_deviation_pct),
        ];
        let bad = figures.into_iter().find(|(_, x)| !(x.is_finite() && *x > 0.0)).map(|(key, _)| key);
        bad.or((self.quiet_ms < 0).then_some("alerts.quiet_ms"))
            .or((self.fx_down_ms <= 0).then_some("alerts.fx_down_ms"))
    }
}

/// What holds at the moment.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    exposed: bool,
    imbalanced: BTreeSet<Asset>,
    fx_off: bool,
    fx_carried: Option<Timestamp>,
    fx_down: bool,
    /// When the last round trip was closed, or the session began, or it was told of last.
    active: Option<Timestamp>,
    round_trips: u64,
    triggers: VecDeque<Timestamp>,
    overactive: bool,
}

impl Core {
    /// Once a second.
    pub(crate) fn watch(&mut self) {
        if self.stop.is_some() {
            return;
        }
        self.watch_exposure();
        self.watch_imbalance();
        self.watch_fx();
        self.watch_activity();
        self.watch_triggers();
    }

    /// A round trip was closed.
    pub(crate) fn watch_closed(&mut self) {
        self.watch.round_trips += 1;
        self.watch.active = Some(self.now);
    }

    fn watch_exposure(&mut self) {
        let capital = self.config.capital_usd.to_f64();
        let limit = self.config.alerts.exposure_pct;
        // A sum that does not fit is more than any limit.
        let pct = self.exposure_usd().map_or(f64::INFINITY, |usd| usd.to_f64() / capital * 100.0);
        let before = std::mem::replace(&mut self.watch.exposed, pct > limit);
        if pct > limit && !before {
            self.alert("SYNC-EXPOSURE", "Exposure is high", move || {
                Words::new(format!("open positions are {pct:.1} % of the capital, limit {limit:.1} %"))
            });
        }
    }

    fn watch_imbalance(&mut self) {
        let limit = self.config.alerts.imbalance;
        let mut begun = Vec::new();
        // Coin of a venue is there with its first price: before both have come, one side is empty and nothing is lopsided.
        for symbol in self.symbols.iter().filter(|s| s.active && s.deposited == [true, true]) {
            let asset = symbol.member.asset;
            let [a, b] = Venue::ALL.map(|venue| self.ledger.balance(venue, asset));
            let Some(share) = crate::score::imbalance(a, b) else { continue };
            if share.abs() <= limit {
                self.watch.imbalanced.remove(&asset);
            } else if self.watch.imbalanced.insert(asset) {
                begun.push((asset, share));
            }
        }
        for (asset, share) in begun {
            self.alert("SYNC-IMBALANCE", "Inventory is lopsided", move || {
                let side = if share > 0.0 { Venue::Upbit } else { Venue::Binance };
                Words::new(format!(
                    "{asset} lies on {side} by {:.0} % more than on the other venue, limit {:.0} %",
                    share.abs() * 100.0,
                    limit * 100.0
                ))
                .label("asset", asset)
            });
        }
    }

    /// The rate has one source, the KRW-USDT book: when nothing carries it, no source is left.
    fn watch_fx(&mut self) {
        let limit = self.config.alerts.fx_down_ms.saturating_mul(1_000_000);
        if self.fx.conn.is_some() || self.watch.fx_carried.is_none() {
            self.watch.fx_carried = Some(self.now);
        }
        let since = self.watch.fx_carried.map_or(0, |at| self.now.since(at));
        let before = std::mem::replace(&mut self.watch.fx_down, since >= limit);
        if since >= limit && !before {
            let said = move || format!("no connection has carried KRW-USDT for {} s", since / NANOS_PER_SEC);
            self.alert("FX-SOURCE-DOWN", "An FX source is down", move || {
                Words::new(said()).label("source", "upbit:KRW-USDT")
            });
            self.alert("FX-ALL-DOWN", "No FX source is left", move || {
                Words::new(format!("{}, and it is the only source of the rate", said()))
            });
        }
        self.watch_implied();
    }

    /// The rate against the median of what the members' prices imply: KRW on Upbit over USDT on Binance.
    fn watch_implied(&mut self) {
        let limit = self.config.alerts.fx_deviation_pct;
        let Some(fx) = self.fx.rate().map(|rate| rate.0.to_f64()) else { return };
        let mut implied: Vec<f64> = Vec::new();
        for symbol in self.symbols.iter().filter(|s| s.active) {
            let [krw, usdt] =
                [0, 1].map(|v| symbol.books[v].live().and(symbol.books[v].last_mid).map(|mid| mid.to_f64()));
            if let (Some(krw), Some(usdt)) = (krw, usdt.filter(|usdt| *usdt > 0.0)) {
                implied.push(krw / usdt);
            }
        }
        if implied.len() < IMPLIED_MIN {
            return;
        }
        implied.sort_unstable_by(f64::total_cmp);
        let median = implied[implied.len() / 2];
        let off = (fx / median - 1.0) * 100.0;
        let holds = off.abs() > limit;
        let before = std::mem::replace(&mut self.watch.fx_off, holds);
        if holds && !before {
            let markets = implied.len();
            self.alert("FX-DEVIATION", "The FX rate is off", move || {
                Words::new(format!(
                    "the rate is {fx:.2} KRW, the median of {markets} markets implies {median:.2}: {off:+.2} %, limit {limit:.1} %"
                ))
            });
        }
    }

    fn watch_activity(&mut self) {
        let limit = self.config.alerts.quiet_ms.saturating_mul(1_000_000);
        let Some(active) = self.watch.active.filter(|_| self.universe_set) else {
            self.watch.active = Some(self.now);
            return;
        };
        if limit > 0 && self.now.since(active) >= limit {
            self.watch.active = Some(self.now);
            let (seconds, closed) = (limit / NANOS_PER_SEC, self.watch.round_trips);
            self.alert("LOW-ACTIVITY", "Nothing is traded", move || {
                Words::new(format!(
                    "no round trip was closed for {seconds} s, {closed} since the start; the funnel says where pairs end"
                ))
            });
        }
    }

    fn watch_triggers(&mut self) {
        let from = self.now.0.saturating_sub(HOUR_NS);
        while self.watch.triggers.front().is_some_and(|at| at.0 <= from) {
            self.watch.triggers.pop_front();
        }
        let (count, limit) = (self.watch.triggers.len(), self.config.alerts.guard_triggers_per_h as usize);
        let before = std::mem::replace(&mut self.watch.overactive, count > limit);
        if count > limit && !before {
            self.alert("RG-OVERACTIVE", "Guards trigger too often", move || {
                Words::new(format!("{count} guard triggers within an hour, limit {limit}"))
            });
        }
    }

    /// A guard's start that has an alert of its own beside those that block.
    pub(crate) fn watch_guard(&mut self, finding: GuardFinding) {
        if self.watch.triggers.len() < TRIGGERS_MAX {
            self.watch.triggers.push_back(self.now);
        }
        let rule = finding.rule;
        if rule == rules::BUDGET {
            self.alert("RATE-LOW", "The request budget runs low", move || {
                Words { labels: Vec::new(), ..finding.words(" % left") }.label("venue", finding.scope)
            });
        } else if rule == rules::ROUTE_SCORE {
            let then = "; no entries on this route while it holds";
            self.alert("ROUTE-LOW-SCORE", "A route scores low", move || finding.words(then));
        } else if rule == rules::ROUTE_STREAK || rule == rules::CROSS_STREAK {
            let then = " losses in a row; no entries until the cooldown is over";
            self.alert("ROUTE-COOLDOWN", "A route cools down", move || finding.words(then));
        } else if rule.guard_type == "symbol" {
            let then = "; entries are halved or blocked while it holds";
            self.alert("SYMBOL-DEGRADED", "Symbol guard", move || finding.words(then));
        }
    }
}

/// Why a guard holds: what it saw, against its threshold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GuardFinding {
    pub(crate) rule: Rule,
    pub(crate) scope: Scope,
    pub(crate) observed: f64,
    pub(crate) threshold: f64,
}

impl GuardFinding {
    /// The figures, and what follows from them.
    pub(crate) fn words(&self, then: &str) -> Words {
        let Self { rule, scope, observed, threshold } = self;
        Words::new(format!("{} on {scope}: {observed:.3} against {threshold:.3}{then}", rule.name))
            .label("rule", rule.name)
            .label("scope", scope)
    }
}
