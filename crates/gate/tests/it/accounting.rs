//! The accounting adds up what the fixture's bookkeeper did, and finds each mutation.

use crate::fixture::Desk;
use gate::account;
use gate::accounting::ProblemKind;
use journal::{Body, Entry};
use market::{Money, Quantity, Venue};

fn entries() -> Vec<Entry> {
    Desk::trade("run-1.main", 24, 4).entries
}

fn kinds(entries: &[Entry]) -> Vec<ProblemKind> {
    let mut kinds: Vec<_> = account(entries).unwrap().problems.iter().map(|p| p.kind).collect();
    kinds.sort();
    kinds.dedup();
    kinds
}

/// Changes the first record that `change` accepts.
fn mutated(mut change: impl FnMut(&mut Body) -> bool) -> Vec<Entry> {
    let mut entries = entries();
    assert!(entries.iter_mut().any(|e| change(&mut e.body)), "nothing was changed");
    entries
}

macro_rules! changed {
    ($pattern:pat => $($change:tt)*) => {
        mutated(|body| {
            if let $pattern = body {
                $($change)*;
                true
            } else {
                false
            }
        })
    };
}

#[test]
fn the_books_of_an_honest_session_balance() {
    let accounts = account(&entries()).unwrap();
    assert_eq!(accounts.problems, []);
    assert_eq!((accounts.entries, accounts.closes.len()), (24, 24));
    assert!(accounts.net > 10 * market::SCALE && accounts.gross_closed > accounts.net);
    assert_eq!(accounts.episodes().len(), 24);
    assert_eq!((accounts.triggers.len(), accounts.false_positives()), (4, 0));
}

#[test]
fn every_mutation_is_found() {
    let fee = changed!(Body::Fill { fee, .. } => fee.0 /= 2);
    assert!(kinds(&fee).contains(&ProblemKind::Arithmetic));
    let notional = changed!(Body::Fill { notional, .. } => notional.0 += 100_000);
    assert!(kinds(&notional).contains(&ProblemKind::Arithmetic));
    let swapped = changed!(Body::Fill { takes, .. } => *takes = if *takes == market::Side::Ask { market::Side::Bid } else { market::Side::Ask });
    assert!(kinds(&swapped).contains(&ProblemKind::Venue));
    let net =
        changed!(Body::Closed { net_usd, gross_usd, .. } => net_usd.0 += 1_000_000; gross_usd.0 += 1_000_000);
    assert!(kinds(&net).contains(&ProblemKind::Result));
    let fees = changed!(Body::Closed { fees_usd, gross_usd, .. } => fees_usd.0 += 1_000_000; gross_usd.0 += 1_000_000);
    assert_eq!(kinds(&fees), [ProblemKind::Result]);
    let balance = changed!(Body::Balance { balance, order: 1.., .. } => balance.0 += 1);
    assert!(kinds(&balance).contains(&ProblemKind::Balance));
    let equity = changed!(Body::Equity { pnl_usd, .. } => *pnl_usd = Money(pnl_usd.0 + 1_000_000));
    assert_eq!(kinds(&equity), [ProblemKind::Equity]);
    let kinder = changed!(Body::Fill { levels, .. } => levels[0].displayed = Quantity(1));
    assert_eq!(kinds(&kinder), [ProblemKind::Kinder]);
    let won = changed!(Body::Fill { venue: Venue::Upbit, fx, .. } => fx.rate.0.0 /= 1_400);
    assert!(kinds(&won).contains(&ProblemKind::Currency));
    let mut hole = entries();
    hole.remove(30);
    assert!(kinds(&hole).contains(&ProblemKind::Sequence));
    assert!(account(&entries()[1..]).is_err());
}

#[test]
fn both_legs_on_one_venue_are_found() {
    let mut entries = entries();
    for entry in &mut entries {
        if let Body::Fill { position: 1, venue, .. } = &mut entry.body {
            *venue = Venue::Binance;
        }
    }
    assert!(kinds(&entries).contains(&ProblemKind::Venue));
}

#[test]
fn a_condition_that_does_not_hold_is_a_false_positive() {
    let entries = changed!(Body::Guard(g) => g.observed = 10.0);
    assert_eq!(account(&entries).unwrap().false_positives(), 1);
}
