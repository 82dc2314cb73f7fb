//! What a position says of itself beside its money: when it opened, of how much, why it left, and decided against realised edge. All of
//! it follows from other records: decisions, fills and results. The money is `book` and `results`.

use super::ProblemKind;
use super::book::Book;
use super::exact::{dollars_down, dollars_up, down};
use super::results::Leg;
use journal::record::{ExitReason, Purpose};
use journal::{Body, Entry};
use market::{Asset, Money, Quantity, Timestamp, Venue};
use std::collections::BTreeMap;

/// Basis points and USD are statistics in binary floating point, written out and read back: what two formulas of the same figure may
/// differ by, relative to its size (at least 1).
const TOLERANCE: f64 = 1e-7;

/// A decision, as far as later records repeat it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Decided {
    notional: i128,
    gap_bps: f64,
    edge_bps: f64,
}

/// A position's own statements.
#[derive(Debug, Default)]
pub(super) struct Said {
    decided: Option<Decided>,
    opened_at: Option<Timestamp>,
    /// Value of a leg as opened, from the fills.
    notional: Option<i128>,
    exit: Option<ExitReason>,
}

/// A field that an older journal lacks reads as 0: what such a record would be accused of counts once another one of its kind shows that
/// the journal has the field.
#[derive(Debug, Default)]
pub(super) struct Optional {
    present: bool,
    waiting: Vec<(u64, String)>,
}

#[derive(Debug, Default)]
pub(super) struct Edges {
    opened_usd: Optional,
    closed_bps: Optional,
    /// The coarser lot of both venues.
    lots: BTreeMap<Asset, i128>,
}

fn differs(said: f64, own: f64) -> bool {
    let distance = (said - own).abs();
    // Nothing that is no number is near anything.
    distance.is_nan() || distance > TOLERANCE * own.abs().max(1.0)
}

/// An amount in basis points of another; 0 of nothing.
fn bps_of(amount: i128, of: i128) -> f64 {
    if of > 0 { amount as f64 / of as f64 * 1e4 } else { 0.0 }
}

/// An edge in USD, to 1e-8.
fn edge_usd(bps: f64, notional: i128) -> f64 {
    (bps * Money(notional).to_f64() * 1e4).round() / 1e8
}

/// Coin of one side of the entry, and what it cost or brought, USD.
fn side(legs: &[Leg], buys: bool) -> Option<(i128, i128)> {
    let entry = |leg: &&Leg| matches!(leg.purpose, Purpose::Entry | Purpose::Complete) && leg.buys == buys;
    let (mut quantity, mut usd) = (0i128, 0i128);
    for leg in legs.iter().filter(entry) {
        let worth = if buys {
            dollars_up(leg.venue, leg.notional, leg.rate)?
        } else {
            dollars_down(leg.venue, leg.notional, leg.rate)?
        };
        (quantity, usd) = (quantity.checked_add(leg.quantity)?, usd.checked_add(worth)?);
    }
    Some((quantity, usd))
}

/// What both venues' coin have in common, in whole lots.
fn matched(legs: &[Leg], lot: Option<i128>) -> Option<i128> {
    let mut least = i128::MAX;
    for venue in Venue::ALL {
        let mut coin = 0i128;
        for leg in legs.iter().filter(|leg| leg.venue == venue) {
            coin = coin.checked_add(leg.coin()?)?;
        }
        least = least.min(coin.checked_abs()?);
    }
    match lot.filter(|lot| *lot > 0) {
        Some(lot) => down(least, lot)?.checked_mul(lot),
        None => Some(least),
    }
}

impl Book {
    /// The lots of the universe's members.
    pub(super) fn lots(&mut self, members: &[market::Member]) {
        let lot = |member: &market::Member| (member.asset, member.upbit.lot.max(member.binance.lot).0);
        self.edges.lots.extend(members.iter().map(lot));
    }

    pub(super) fn decision(&mut self, entry: &Entry) {
        let Body::Decision {
            position, notional_usd, gap_bps, opposite_level_bps, edge_bps, gross_usd, ..
        } = &entry.body
        else {
            return;
        };
        let id = *position;
        let said = &mut self.positions.entry(id).or_default().said;
        said.decided = Some(Decided { notional: notional_usd.0, gap_bps: *gap_bps, edge_bps: *edge_bps });
        let mut own = vec![("gap_bps", *gap_bps, bps_of(gross_usd.0, notional_usd.0))];
        if let Some(guards) = &self.terms.guards {
            let fees = self.terms.upbit_fee_centibps.saturating_add(self.terms.binance_fee_centibps);
            let fees = f64::from(fees) * 2.0 / 100.0;
            own.push(("edge_bps", *edge_bps, gap_bps + opposite_level_bps - fees - guards.reserve_bps));
        }
        for text in wrong(id, "decision", &own) {
            self.problem(ProblemKind::Result, entry.seq, text);
        }
    }

    pub(super) fn exit(&mut self, seq: u64, position: u64, reason: ExitReason) {
        let said = &mut self.positions.entry(position).or_default().said;
        if said.exit.replace(reason).is_some() {
            self.problem(ProblemKind::Result, seq, format!("position {position}: a second exit"));
        }
    }

    /// `None` when an amount does not fit.
    pub(super) fn opening(&mut self, entry: &Entry) -> Option<()> {
        let Body::Opened {
            position,
            asset,
            quantity,
            notional_usd,
            gap_bps,
            decided_edge_bps,
            realised_edge_bps,
            decided_edge_usd,
            realised_edge_usd,
            ..
        } = &entry.body
        else {
            return Some(());
        };
        let id = *position;
        let lot = self.edges.lots.get(asset).copied();
        let held = self.positions.entry(id).or_default();
        let again = held.said.opened_at.replace(entry.at).is_some();
        let (bought, bought_usd) = side(&held.legs, true)?;
        let (sold, sold_usd) = side(&held.legs, false)?;
        let both = matched(&held.legs, lot)?;
        let notional =
            if bought > 0 { down(bought_usd.checked_mul(quantity.0)?, bought)? } else { notional_usd.0 };
        held.said.notional = Some(notional);
        let decided = held.said.decided;
        let mut problems = Vec::new();
        if again {
            problems.push(format!("position {id}: opened a second time"));
        }
        // Without lots the record may say less, by rounding to them; never more.
        if quantity.0 <= 0 || quantity.0 > both || (lot.is_some() && quantity.0 != both) {
            problems
                .push(format!("position {id}: opened with {quantity}, its fills match {}", Quantity(both)));
        }
        if notional_usd.0 != notional {
            let own = Money(notional);
            problems.push(format!("position {id}: a leg of {notional_usd} USD, its fills give {own}"));
        }
        let price = |usd: i128, quantity: i128| usd as f64 / quantity as f64;
        let gap = (bought > 0 && sold > 0 && bought_usd > 0)
            .then(|| (price(sold_usd, sold) / price(bought_usd, bought) - 1.0) * 1e4);
        if let Some(gap) = gap {
            problems.extend(wrong(id, "opened", &[("gap_bps", *gap_bps, gap)]));
        }
        if let Some((decided, gap)) = decided.zip(gap) {
            let realised = decided.edge_bps + (gap - decided.gap_bps);
            problems.extend(wrong(
                id,
                "opened",
                &[
                    ("decided_edge_bps", *decided_edge_bps, decided.edge_bps),
                    ("realised_edge_bps", *realised_edge_bps, realised),
                ],
            ));
            let usd = [
                ("decided_edge_usd", *decided_edge_usd, edge_usd(decided.edge_bps, decided.notional)),
                ("realised_edge_usd", *realised_edge_usd, edge_usd(realised, notional)),
            ];
            self.edges.opened_usd.hold(entry.seq, id, "opened", &usd);
        }
        for text in problems {
            self.problem(ProblemKind::Result, entry.seq, text);
        }
        Some(())
    }

    /// Returns when the position opened, by the record of it.
    pub(super) fn closing(&mut self, entry: &Entry) -> Timestamp {
        let Body::Closed {
            position,
            reason,
            opened_at,
            net_usd,
            slippage_usd,
            slippage_bps,
            decided_edge_bps,
            realised_edge_bps,
            ..
        } = &entry.body
        else {
            return entry.at;
        };
        let id = *position;
        let Some(said) = self.positions.get(&id).map(|held| &held.said) else { return entry.at };
        let (decided, notional, exit) = (said.decided, said.notional, said.exit);
        // Nothing but its own record says when a position opened; one that never did has no time at all.
        let own = said.opened_at.unwrap_or(entry.at);
        if *opened_at != own {
            let (said, own) = (opened_at.0, own.0);
            let text = format!("position {id}: closed as opened at {said} ns, it was opened at {own} ns");
            self.problem(ProblemKind::Result, entry.seq, text);
        }
        if let Some(exit) = exit.filter(|exit| exit != reason) {
            let (said, own) = (reason.as_str(), exit.as_str());
            let text = format!("position {id}: closed by {said}, its exit was decided by {own}");
            self.problem(ProblemKind::Result, entry.seq, text);
        }
        if let Some((decided, notional)) = decided.zip(notional) {
            let bps = [
                ("slippage_bps", *slippage_bps, bps_of(slippage_usd.0, notional)),
                ("decided_edge_bps", *decided_edge_bps, decided.edge_bps),
                ("realised_edge_bps", *realised_edge_bps, bps_of(net_usd.0, notional)),
            ];
            self.edges.closed_bps.hold(entry.seq, id, "closed", &bps);
        }
        own
    }

    /// What waited for a journal to show that it has the fields.
    pub(super) fn finish_edges(&mut self) {
        for found in [&mut self.edges.opened_usd, &mut self.edges.closed_bps].map(std::mem::take) {
            for (seq, text) in found.waiting.into_iter().filter(|_| found.present) {
                self.problem(ProblemKind::Result, seq, text);
            }
        }
    }
}

impl Optional {
    fn hold(&mut self, seq: u64, id: u64, record: &str, figures: &[(&str, f64, f64)]) {
        self.present |= figures.iter().any(|(_, said, _)| *said != 0.0);
        self.waiting.extend(wrong(id, record, figures).map(|text| (seq, text)));
    }
}

/// Figures (name, as said, as recomputed) that differ.
fn wrong(id: u64, record: &str, figures: &[(&str, f64, f64)]) -> impl Iterator<Item = String> {
    let wrong = figures.iter().filter(|(_, said, own)| differs(*said, *own));
    let texts: Vec<String> = wrong
        .map(|(name, said, own)| format!("position {id}: {record}.{name} {said}, the records give {own}"))
        .collect();
    texts.into_iter()
}
