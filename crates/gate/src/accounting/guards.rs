//! The figures behind guard triggers, counted again from the journal's trades: losses in a row, daily results, directional bias, FX.
//!
//! A trigger is a false positive when its condition does not hold for our own figure, whatever figure it states. What no record of the
//! journal shows (the health of a venue, a gap that was never traded) is judged by the stated figures: [`Figures::own`] says `None`.

use journal::record::{Direction, ExitReason, GuardEvent};
use market::{Asset, SCALE, Timestamp};
use std::collections::BTreeMap;

const DAY_NS: i64 = 86_400_000_000_000;
/// Korea's day begins nine hours before that of UTC; which one counts is the runner's configuration.
const KST_NS: i64 = 9 * 3_600_000_000_000;

/// What was seen so far.
#[derive(Debug, Default)]
pub(super) struct Figures {
    /// Losses in a row by `ETH:buy_upbit`.
    routes: BTreeMap<String, u32>,
    /// Losses in a row over all.
    all: u32,
    /// Results with their instants, units of 1e-8 USD.
    results: Vec<(Timestamp, i128)>,
    open: BTreeMap<u64, Direction>,
    /// Entries that were decided and neither opened nor ended.
    pending: BTreeMap<u64, ()>,
    /// The last rate, KRW per USDT.
    fx: Option<f64>,
}

/// `ETH:buy_upbit`, as scopes are written.
fn route(asset: Asset, direction: Direction) -> String {
    format!("{asset}:{}", route_side(direction))
}

impl Figures {
    pub(super) fn decided(&mut self, position: u64) {
        self.pending.insert(position, ());
    }

    pub(super) fn opened(&mut self, position: u64, direction: Direction) {
        self.pending.remove(&position);
        self.open.insert(position, direction);
    }

    pub(super) fn closed(
        &mut self,
        at: Timestamp,
        position: u64,
        what: (Asset, Direction),
        reason: ExitReason,
        net: i128,
    ) {
        self.open.remove(&position);
        self.results.push((at, net));
        if reason == ExitReason::Shutdown {
            return;
        }
        let streak = self.routes.entry(route(what.0, what.1)).or_insert(0);
        if net > 0 {
            (*streak, self.all) = (0, 0);
        } else {
            *streak = streak.saturating_add(1);
            self.all = self.all.saturating_add(1);
        }
    }

    pub(super) fn unwound(&mut self, at: Timestamp, position: u64, net: i128) {
        self.pending.remove(&position);
        self.open.remove(&position);
        self.results.push((at, net));
    }

    pub(super) fn rate(&mut self, rate: i128) {
        self.fx = Some(rate as f64 / SCALE as f64);
    }

    /// Our own figures for the condition of a trigger, any of which may be the one that is meant; `None` when the journal has none. A
    /// streak that triggered starts anew.
    pub(super) fn own(&mut self, at: Timestamp, event: &GuardEvent) -> Option<Vec<f64>> {
        match event.rule.as_str() {
            "route_loss_streak" => Some(vec![f64::from(self.routes.remove(&event.scope).unwrap_or(0))]),
            "cross_loss_streak" => Some(vec![f64::from(std::mem::take(&mut self.all))]),
            "daily_loss" | "emergency_stop" => Some(vec![self.since(at, 0), self.since(at, KST_NS)]),
            "directional_bias" if self.pending.is_empty() => {
                let all = self.open.len();
                let same = self.open.values().filter(|d| route_side(**d) == event.scope).count();
                Some(vec![if all == 0 { 0.0 } else { same as f64 / all as f64 }])
            }
            // The rate is recorded once a second and moves in between.
            "fx_low" => self.fx.map(|fx| vec![fx * 0.98]),
            "fx_high" => self.fx.map(|fx| vec![fx * 1.02]),
            _ => None,
        }
    }

    /// Net since the day boundary, USD.
    fn since(&self, at: Timestamp, offset: i64) -> f64 {
        let day = |at: Timestamp| at.0.saturating_add(offset).div_euclid(DAY_NS);
        let today = day(at);
        let net = self.results.iter().filter(|(t, _)| day(*t) == today).map(|(_, net)| net);
        net.fold(0i128, |sum, net| sum.saturating_add(*net)) as f64 / SCALE as f64
    }
}

fn route_side(direction: Direction) -> &'static str {
    match direction {
        Direction::BuyUpbit => "buy_upbit",
        Direction::BuyBinance => "buy_binance",
    }
}
