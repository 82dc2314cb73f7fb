//! Journals that lie about something else than money: told before the bookkeeper adds them up, so that every amount fits the lie.

use super::ledger::Break;
use journal::record::{ExitReason, Taken};
use journal::{Body, Entry};
use market::{Quantity, Side};
use std::collections::BTreeMap;

const SECOND_NS: i64 = 1_000_000_000;

/// The journal with the lie in it; the honest one for the errors that a ledger makes by itself.
pub fn told(entries: &[Entry], lie: Break) -> Vec<Entry> {
    let mut told = entries.to_vec();
    match lie {
        Break::TwoOrdersTakeOneLevel => return split(entries),
        Break::FilledBeforeArrival | Break::FilledBeyondItsLimit => orders(&mut told, lie),
        _ => {}
    }
    let mut trips = 0;
    for entry in &mut told {
        let at = entry.at;
        match &mut entry.body {
            Body::Order { arrives, .. } if lie == Break::ArrivesBeforeItWasSent => arrives.0 = at.0 - 1,
            Body::Fill { takes, levels, .. } => levels_of(levels, *takes == Side::Ask, lie),
            Body::Closed { opened_at, reason, .. } => {
                trips += 1;
                match lie {
                    Break::OpenedAtAnotherTime => opened_at.0 = at.0 + trips * 200 * SECOND_NS,
                    Break::ClosedForAnotherReason => *reason = another(*reason),
                    _ => {}
                }
            }
            _ => {}
        }
        edges(&mut entry.body, lie);
    }
    told
}

fn another(reason: ExitReason) -> ExitReason {
    if reason == ExitReason::TakeProfit { ExitReason::StopLoss } else { ExitReason::TakeProfit }
}

fn levels_of(levels: &mut Vec<Taken>, buys: bool, lie: Break) {
    match lie {
        Break::LevelListedTwice => {
            let halves = |level: &Taken| {
                let first = level.quantity.0 / 2;
                [first, level.quantity.0 - first].map(|n| Taken {
                    quantity: Quantity(n),
                    displayed: Quantity(n),
                    ..*level
                })
            };
            *levels = levels.iter().flat_map(halves).filter(|level| level.quantity.0 > 0).collect();
        }
        // More at the good price, and as much given back at a better one.
        Break::LevelGivenBack => {
            let Some(last) = levels.last_mut() else { return };
            let back = Quantity(last.quantity.0 / 2);
            last.quantity.0 += back.0;
            last.displayed = last.displayed.max(last.quantity);
            let mut price = last.price;
            price.0 = if buys { price.0 * 2 } else { (price.0 / 2).max(1) };
            if back.0 > 0 {
                levels.push(Taken { price, quantity: Quantity(-back.0), displayed: back });
            }
        }
        Break::LevelsOutOfOrder => levels.reverse(),
        _ => {}
    }
}

/// What orders that were filled said of themselves.
fn orders(told: &mut [Entry], lie: Break) {
    let mut filled = BTreeMap::new();
    for entry in told.iter() {
        if let Body::Fill { order, levels, .. } = &entry.body {
            filled.insert(*order, (entry.at, levels[0].price));
        }
    }
    for entry in told {
        let Body::Order { order, takes, arrives, limit, .. } = &mut entry.body else { continue };
        let Some((at, mut price)) = filled.get(order).copied() else { continue };
        if lie == Break::FilledBeforeArrival {
            arrives.0 = at.0 + 60 * SECOND_NS;
        } else {
            price.0 += if *takes == Side::Ask { -1 } else { 1 };
            *limit = Some(price);
        }
    }
}

/// Each order that was filled in whole out of one level becomes two of half the size, and the level has displayed as much to both.
fn split(entries: &[Entry]) -> Vec<Entry> {
    const SECOND: u64 = 1_000_000;
    let mut whole = BTreeMap::new();
    for entry in entries {
        if let Body::Fill { order, levels, .. } = &entry.body
            && levels.len() == 1
            && levels[0].quantity.0 > 1
        {
            whole.insert(*order, levels[0].quantity.0);
        }
    }
    let mut told = Vec::new();
    for entry in entries {
        let (mut first, mut second) = (entry.clone(), entry.clone());
        let halves = match (&mut first.body, &mut second.body) {
            (Body::Order { order, quantity: a, .. }, Body::Order { order: copy, quantity: b, .. })
                if whole.contains_key(order) =>
            {
                *copy += SECOND;
                let taken = whole[order];
                (a.0, b.0) = (taken / 2, taken - taken / 2);
                true
            }
            (
                Body::Fill { order, quantity: a, levels: la, .. },
                Body::Fill { order: copy, quantity: b, levels: lb, .. },
            ) if whole.contains_key(order) => {
                *copy += SECOND;
                let taken = whole[order];
                (a.0, b.0) = (taken / 2, taken - taken / 2);
                (la[0].quantity, lb[0].quantity) = (*a, *b);
                let shown = (*a).max(*b);
                (la[0].displayed, lb[0].displayed) = (shown, shown);
                true
            }
            _ => false,
        };
        told.push(first);
        if halves {
            told.push(second);
        }
    }
    told
}

/// Statistics of decisions, openings and results.
fn edges(body: &mut Body, lie: Break) {
    match (lie, body) {
        (Break::DecidedGapMadeUp, Body::Decision { gap_bps, .. }) => *gap_bps += 50.0,
        (Break::DecidedEdgeMadeUp, Body::Decision { edge_bps, .. }) => *edge_bps += 50.0,
        (Break::OpenedWithLess, Body::Opened { quantity, .. }) => quantity.0 /= 2,
        (Break::LegOfAnotherSize, Body::Opened { notional_usd, .. }) => notional_usd.0 *= 2,
        (Break::FilledGapMadeUp, Body::Opened { gap_bps, .. }) => *gap_bps += 50.0,
        (Break::PromiseLowered, Body::Opened { decided_edge_bps, .. }) => *decided_edge_bps -= 50.0,
        (Break::FilledEdgeMadeUp, Body::Opened { realised_edge_bps, .. }) => *realised_edge_bps += 50.0,
        (Break::PromisedDollarsMadeUp, Body::Opened { decided_edge_usd, .. }) => *decided_edge_usd -= 1.0,
        (Break::FilledDollarsMadeUp, Body::Opened { realised_edge_usd, .. }) => *realised_edge_usd += 1.0,
        (Break::TripPromiseLowered, Body::Closed { decided_edge_bps, .. }) => *decided_edge_bps -= 50.0,
        (Break::TripEdgeMadeUp, Body::Closed { realised_edge_bps, .. }) => *realised_edge_bps += 50.0,
        (Break::SlippageBpsMadeUp, Body::Closed { slippage_bps, .. }) => *slippage_bps -= 50.0,
        (Break::EdgeIsNoNumber, Body::Closed { realised_edge_bps, .. }) => *realised_edge_bps = f64::NAN,
        _ => {}
    }
}
