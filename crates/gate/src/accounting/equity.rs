//! Equity points recomputed exactly from holdings and marks: PnL, FX effect, drawdown, and the net of the results.

use super::exact::{dollars_down, times_down};
use super::flows::Flows;
use journal::record::{FxUsed, Mark, Touch};
use market::{Asset, Money, Venue};
use std::collections::BTreeMap;

/// An equity point as recorded, units of 1e-8 USD.
#[derive(Debug, Clone)]
pub(super) struct Point {
    pub seq: u64,
    pub pnl: i128,
    pub net: i128,
    pub drawdown: i128,
    pub fx_effect: Option<i128>,
    pub transfer_cost: Option<i128>,
    pub fx: FxUsed,
    pub marks: Vec<Mark>,
}

impl Point {
    fn mark(&self, venue: Venue, asset: Asset) -> Option<i128> {
        let mark = self.marks.iter().find(|mark| mark.asset == asset)?;
        let price = if venue == Venue::Upbit { mark.upbit } else { mark.binance };
        price.map(|price| i128::from(price.0))
    }
}

/// A point's figures as the books give them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Worth {
    pub pnl: i128,
    pub fx_effect: i128,
    pub transfer_cost: i128,
}

/// What a point can be held against.
#[derive(Debug, Default)]
pub(super) struct Equity {
    /// The KRW that fills brought or took, each fill's at its own rate, USD.
    krw_at_fills: i128,
    pub peak: i128,
    pub drawdown: i128,
    /// Bounds of a mark that a record just before gave: a fill took this price or worse, a decision saw this touch.
    bounds: BTreeMap<(Venue, Asset), (i128, i128)>,
}

impl Equity {
    /// A fill moved KRW. `None` when it does not fit, or the rate is not positive.
    pub(super) fn krw(&mut self, change: i128, rate: i128) -> Option<()> {
        let usd = dollars_down(Venue::Upbit, change, rate)?;
        self.krw_at_fills = self.krw_at_fills.checked_add(usd)?;
        Some(())
    }

    /// A fill took `price` first: the mid of that book is not beyond it.
    pub(super) fn taken(&mut self, venue: Venue, asset: Asset, buys: bool, price: i128) {
        let bounds = if buys { (i128::MIN, price) } else { (price, i128::MAX) };
        self.bounds.insert((venue, asset), bounds);
    }

    /// A decision saw these Live books: their mid is the mark.
    pub(super) fn seen(&mut self, asset: Asset, touch: &[Option<Touch>; 2]) {
        for (venue, touch) in Venue::ALL.into_iter().zip(touch) {
            if let Some(touch) = touch {
                let mid = (i128::from(touch.bid.0) + i128::from(touch.ask.0)).div_euclid(2);
                self.bounds.insert((venue, asset), (mid, mid));
            }
        }
    }

    /// Books may have moved since.
    pub(super) fn forget(&mut self) {
        self.bounds.clear();
    }

    /// Marks of a point that lie outside what a record just before saw.
    pub(super) fn stale_marks(&mut self, point: &Point) -> Vec<String> {
        let bounds = std::mem::take(&mut self.bounds);
        let outside = bounds.into_iter().filter_map(|((venue, asset), (low, high))| {
            let mark = point.mark(venue, asset)?;
            (mark < low || mark > high).then(|| {
                let seen = if mark < low { low } else { high };
                format!("{asset} on {venue} marked at {}, the book stood at {}", Money(mark), Money(seen))
            })
        });
        outside.collect()
    }

    /// A point's figures. `Some(None)`: a mark that is needed is missing. `None`: a figure does not fit.
    pub(super) fn worth(&self, flows: &Flows, point: &Point) -> Option<Option<Worth>> {
        let rate = i128::from(point.fx.rate.0.0);
        let (mut quote, mut krw) = ([0i128; 2], 0i128);
        for ((venue, asset), change) in flows.changes()? {
            let value = if asset == venue.quote() {
                change
            } else {
                let Some(mark) = point.mark(venue, asset) else { return Some(None) };
                times_down(change, mark)?
            };
            if asset == Asset::KRW {
                krw = change;
            }
            let sum = &mut quote[venue.index()];
            *sum = sum.checked_add(value)?;
        }
        let [upbit, binance] = quote;
        let pnl = dollars_down(Venue::Upbit, upbit, rate)?.checked_add(binance)?;
        let fx_effect = dollars_down(Venue::Upbit, krw, rate)?.checked_sub(self.krw_at_fills)?;
        Some(Some(Worth { pnl, fx_effect, transfer_cost: flows.transfer_cost }))
    }

    /// Takes a point's PnL into peak and drawdown.
    pub(super) fn accept(&mut self, pnl: i128) {
        self.peak = self.peak.max(pnl);
        self.drawdown = self.drawdown.max(self.peak.saturating_sub(pnl));
    }
}
