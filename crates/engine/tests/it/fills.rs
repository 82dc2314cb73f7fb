//! Orders against books (engine.md 6) over random markets with late messages: when an order fills, on which book, at what
//! price, how much, and what is refused and written down.

use crate::driver::{START, member};
use crate::exact::{BINANCE_ASKS, BINANCE_BIDS, Levels, Market, coin, usd};
use engine::Config;
use journal::Body;
use journal::record::{Direction, Purpose, Taken};
use market::{Money, Price, Quantity, Refusal, Rounding, Side, TickRule, Timestamp, Venue};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;

type Rows = Vec<(String, String)>;

/// A book as a venue sent it.
#[derive(Debug, Clone)]
struct Sent {
    arrived: Timestamp,
    sent_ms: i64,
    /// Bids, asks.
    sides: [Vec<(Price, Quantity)>; 2],
}

/// Up to four levels from `best` away from the other side, in steps of `tick`, with sizes that a leg of 20 coins exhausts
/// now and then.
fn rows(rng: &mut ChaCha8Rng, best: i64, away: i64, decimals: usize) -> Rows {
    (0..4)
        .map(|i| {
            let price = best + away * i * rng.random_range(1..3);
            let size = [0.5, 4.0, 9.0, 25.0, 300.0][rng.random_range(0..5)];
            let scale = 10i64.pow(decimals as u32);
            (format!("{}.{:0decimals$}", price / scale, price % scale), format!("{size}"))
        })
        .collect::<BTreeMap<_, _>>()
        .into_iter()
        .collect()
}

fn exact(rows: &Rows) -> Vec<(Price, Quantity)> {
    rows.iter().map(|(p, q)| (Price::parse(p).unwrap(), Quantity::parse(q).unwrap())).collect()
}

fn refs(rows: &Rows) -> Vec<(&str, &str)> {
    rows.iter().map(|(p, q)| (p.as_str(), q.as_str())).collect()
}

struct Run {
    market: Market,
    sent: [Vec<Sent>; 2],
}

/// A minute of random books. Each venue's messages come one way after they were sent, or up to 300 ms later, in order.
fn run(seed: u64) -> Run {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let config = Config { entry_pause_ms: 500, time_limit_ms: 4_000, bias_min_open: 99, ..Config::default() };
    let market = Market::calm(&["AAA"], &config);
    let from = market.at.as_millis();
    let one_way = [60, 90];
    // Arrival in microseconds and the time sent, per venue; the last digits make each instant its own.
    let mut frames = Vec::new();
    for venue in Venue::ALL {
        let (mut sent, mut last) = (from, 0);
        while sent < from + 60_000 {
            sent += rng.random_range(10..300);
            let late = if rng.random_bool(0.6) { 0 } else { rng.random_range(0..300) };
            let arrives =
                ((sent + one_way[venue.index()] + late) * 1_000 + frames.len() as i64 % 997).max(last + 3);
            last = arrives;
            frames.push((arrives, venue, sent));
        }
    }
    frames.sort_unstable();
    let mut run = Run { market, sent: [Vec::new(), Vec::new()] };
    let mut mids = [140_000i64, 10_000];
    for (arrives, venue, sent_ms) in frames {
        let m = &mut run.market;
        if venue == Venue::Upbit && rng.random_bool(0.05) {
            // On the same connection, sent together with this book and just ahead of it.
            m.at = Timestamp(arrives * 1_000 - 1_000).max(m.at);
            m.fx_sent(1_400, sent_ms);
        }
        m.at = Timestamp(arrives * 1_000).max(m.at);
        let (decimals, step) = if venue == Venue::Upbit { (1, 20) } else { (3, 2) };
        let mid = &mut mids[venue.index()];
        if rng.random_bool(0.1) {
            *mid = if venue == Venue::Upbit {
                rng.random_range(138_600..141_400)
            } else {
                rng.random_range(9_990..10_010)
            };
        }
        let mut bids = rows(&mut rng, *mid - step, -step, decimals);
        let asks = rows(&mut rng, *mid + step, step, decimals);
        bids.sort_by_key(|(p, _)| std::cmp::Reverse(Price::parse(p).unwrap()));
        let mut asks = asks;
        asks.sort_by_key(|(p, _)| Price::parse(p).unwrap());
        let n = bids.len().min(asks.len());
        bids.truncate(n);
        asks.truncate(n);
        let book = Sent { arrived: m.at, sent_ms, sides: [exact(&bids), exact(&asks)] };
        run.sent[venue.index()].push(book);
        match venue {
            Venue::Upbit => m.upbit_sent(0, &refs(&bids), &refs(&asks), sent_ms),
            Venue::Binance => m.binance_sent(0, &refs(&bids), &refs(&asks), sent_ms),
        }
    }
    run
}

#[derive(Debug, Clone, Copy)]
struct Order {
    decided: Timestamp,
    arrives: Timestamp,
    purpose: Purpose,
    venue: Venue,
    takes: Side,
    quantity: Quantity,
}

fn orders(m: &Market) -> BTreeMap<u64, Order> {
    let mut orders = BTreeMap::new();
    for entry in &m.entries {
        if let Body::Order { order, purpose, venue, takes, quantity, arrives, .. } = &entry.body {
            let (decided, arrives) = (entry.at, *arrives);
            let order_of = Order {
                decided,
                arrives,
                purpose: *purpose,
                venue: *venue,
                takes: *takes,
                quantity: *quantity,
            };
            orders.insert(*order, order_of);
        }
    }
    orders
}

/// The book that was there at `at`, and what was sent before and after it.
fn book_at(sent: &[Sent], at: Timestamp) -> Option<usize> {
    sent.partition_point(|book| book.arrived <= at).checked_sub(1)
}

/// The order met the first book sent at or after its arrival; or the last one before, when nothing new had been sent by
/// then and an update could have come back.
fn met(sent: &[Sent], order: &Order, at: Timestamp, one_way_ms: i64) -> Sent {
    assert_eq!(order.arrives, Timestamp(order.decided.0 + one_way_ms * 1_000_000), "{order:?}");
    assert!(at >= order.arrives, "{order:?} filled at {at:?}");
    let used = book_at(sent, at).unwrap();
    let sent_at = |i: usize| Timestamp(sent[i].sent_ms * 1_000_000);
    if sent_at(used) >= order.arrives {
        assert!(used == 0 || sent_at(used - 1) < order.arrives, "an earlier book was due: {order:?} {at:?}");
    } else {
        assert!(at.0 >= order.arrives.0 + one_way_ms * 1_000_000, "too early for a quiet book: {order:?}");
        let missed =
            sent[used + 1..].iter().find(|book| Timestamp(book.sent_ms * 1_000_000) <= order.arrives);
        assert!(missed.is_none(), "{order:?} filled at {at:?} on a book older than {missed:?}");
    }
    sent[used].clone()
}

fn check_levels(order: &Order, book: &Sent, levels: &[Taken], quantity: Quantity, notional: Money) {
    let side = &book.sides[usize::from(order.takes == Side::Ask)];
    let displayed: BTreeMap<Price, Quantity> = side.iter().copied().collect();
    for taken in levels {
        assert_eq!(displayed.get(&taken.price), Some(&taken.displayed), "{order:?} took what was not shown");
        assert!(taken.quantity.0 > 0 && taken.quantity <= taken.displayed);
    }
    let better =
        |a: &Taken, b: &Taken| if order.takes == Side::Ask { a.price < b.price } else { a.price > b.price };
    assert!(levels.windows(2).all(|pair| better(&pair[0], &pair[1])), "best first, each once: {levels:?}");
    assert_eq!(levels.iter().map(|t| t.quantity.0).sum::<i128>(), quantity.0);
    // No better than walking everything that was displayed.
    let (mut left, mut best) = (quantity.0, 0i128);
    for (price, size) in side {
        let take = left.min(size.0);
        let rounding = if order.takes == Side::Ask { Rounding::Ceil } else { Rounding::Floor };
        best += price.notional(Quantity(take), rounding).unwrap().0;
        left -= take;
    }
    assert_eq!(left, 0, "more than everything displayed");
    match order.takes {
        Side::Ask => assert!(notional.0 >= best, "bought cheaper than shown: {order:?}"),
        Side::Bid => assert!(notional.0 <= best, "sold dearer than shown: {order:?}"),
    }
}

#[test]
fn fills_come_no_earlier_on_no_older_book_and_at_no_better_price() {
    let (mut fills, mut partial, mut quiet, mut refused) = (0, 0, 0, 0);
    // A longer search: ASSAY_FILL_SEEDS=2000.
    let seeds = std::env::var("ASSAY_FILL_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(12);
    for seed in 0..seeds {
        let run = run(seed);
        let orders = orders(&run.market);
        for entry in &run.market.entries {
            match &entry.body {
                Body::Fill { order, levels, quantity, notional, .. } => {
                    let order = &orders[order];
                    let sent = &run.sent[order.venue.index()];
                    let book = met(sent, order, entry.at, [60, 90][order.venue.index()]);
                    check_levels(order, &book, levels, *quantity, *notional);
                    assert!(*quantity <= order.quantity, "{order:?}");
                    fills += 1;
                    partial += usize::from(*quantity < order.quantity);
                    quiet += usize::from(Timestamp(book.sent_ms * 1_000_000) < order.arrives);
                }
                Body::Rejected { order, refusal } => {
                    let order = &orders[order];
                    let sent = &run.sent[order.venue.index()];
                    let book = met(sent, order, entry.at, [60, 90][order.venue.index()]);
                    let side = &book.sides[usize::from(order.takes == Side::Ask)];
                    let shown: i128 = side.iter().map(|(_, q)| q.0).sum();
                    if *refusal == Refusal::BeyondBook {
                        assert!(order.venue == Venue::Upbit && order.quantity.0 > shown, "{order:?}");
                    }
                    // A market order of an entry that Upbit's book does not hold is always refused.
                    if order.venue == Venue::Upbit
                        && order.purpose == Purpose::Entry
                        && order.quantity.0 > shown
                    {
                        assert_eq!(*refusal, Refusal::BeyondBook);
                    }
                    refused += 1;
                }
                _ => {}
            }
        }
        run.market.replays();
    }
    // The market must have shown all of it, or the test says nothing.
    assert!(fills > 300 && partial > 20 && quiet > 10 && refused > 20, "{fills} {partial} {quiet} {refused}");
}

/// Upbit at a premium of 1 %, with the sizes of the caller.
fn premium(m: &mut Market, i: usize, bids: Levels<'_>) {
    m.wait_ms(250);
    m.binance(i, BINANCE_BIDS, BINANCE_ASKS);
    let asks: Vec<(&str, &str)> = bids.iter().map(|_| ("14168", "100000")).collect();
    m.upbit(i, bids, &asks[..1.min(asks.len())]);
}

#[test]
fn upbit_refuses_a_market_order_beyond_its_book_and_the_refusal_is_journalled() {
    let mut m = Market::calm(&["AAA"], &Config::default());
    premium(&mut m, 0, &[("14140", "25")]);
    assert_eq!(m.decided().len(), 1);
    m.wait_ms(120);
    m.upbit(0, &[("14140", "19.99")], &[("14168", "100")]);
    assert_eq!(m.refusals(), [Refusal::BeyondBook], "a market order is refused whole, not filled in part");
    assert!(m.filled().is_empty());
    assert_eq!(m.core.view().funnel.of(engine::funnel::Stage::Rejected), 1);
    m.replays();
}

#[test]
fn an_order_that_became_too_small_on_its_way_is_refused() {
    // 3.575 USD at Binance's mid of 10.00 are 0.35 coins: 0.35 x 14 292 KRW are 5 002.2 KRW, 0.35 x 14 280 are 4 998.
    let mut members = vec![member("AAA")];
    members[0].binance.min_notional = Money::from_int(3);
    let config = Config { leg_usd: usd("3.575"), ..Config::default() };
    let mut m = Market::of(members, &config);
    m.wait_ms(250);
    m.binance(0, BINANCE_BIDS, BINANCE_ASKS);
    m.upbit(0, &[("14292", "100")], &[("14320", "100")]);
    assert_eq!(m.decided().len(), 1);
    m.wait_ms(120);
    m.upbit(0, &[("14280", "100")], &[("14320", "100")]);
    assert_eq!(m.refusals(), [Refusal::BelowMinNotional]);
    // Below the minimum at the decision already: no entry, and the funnel says why.
    let mut m = Market::calm(&["AAA"], &config);
    m.wait_ms(250);
    m.binance(0, BINANCE_BIDS, BINANCE_ASKS);
    m.upbit(0, &[("14260", "100")], &[("14288", "100")]);
    assert_eq!(m.decided().len(), 0);
    assert!(m.core.view().funnel.by_name()["suppressed:order_size"] > 0);
}

#[test]
fn what_the_venue_would_have_to_take_is_held_against_its_largest_quantity() {
    // 20 coins fit, the 20.03 that must be bought for them do not: no order that is bound to be refused.
    let mut members = vec![member("AAA")];
    members[0].binance.max_quantity = coin("20.02");
    let mut m = Market::of(members.clone(), &Config::default());
    premium(&mut m, 0, &[("14140", "100")]);
    assert_eq!(m.decided().len(), 0);
    assert!(m.core.view().funnel.by_name()["suppressed:order_size"] > 0);
    members[0].binance.max_quantity = coin("20.03");
    let mut m = Market::of(members, &Config::default());
    premium(&mut m, 0, &[("14140", "100")]);
    assert_eq!(m.decided().len(), 1);
}

#[test]
fn two_entries_at_once_cannot_spend_the_same_cash() {
    // Cash for one leg per symbol; both buy on Binance in one instant and both cost 200.5003.
    let config = Config { inventory_legs: 1, ..Config::default() };
    let mut m = Market::calm(&["AAA", "BBB"], &config);
    m.wait_ms(250);
    for i in 0..2 {
        m.binance(i, BINANCE_BIDS, BINANCE_ASKS);
        // The coin deposit is 20 coins at the mid: enough to sell.
        m.upbit(i, &[("14140", "100")], &[("14168", "100")]);
    }
    // The second one sees that the first one's order is on its way to the same 400 USDT, and is none.
    let funnel = m.core.view().funnel.by_name();
    assert_eq!((m.decided().len(), funnel.get("suppressed:inventory")), (1, Some(&1)), "{funnel:?}");
    m.wait_ms(180);
    m.upbit(0, &[("14140", "100")], &[("14168", "100")]);
    m.binance(0, BINANCE_BIDS, BINANCE_ASKS);
    assert!(m.refusals().is_empty(), "{:?}", m.refusals());
    let usdt = m.core.ledger().balance(Venue::Binance, market::Asset::USDT);
    assert_eq!(usdt, coin("199.4997"), "400 less one purchase of 200.5003");
}

#[test]
fn completions_name_a_price_on_the_tick() {
    let mut members = vec![member("AAA")];
    members[0].upbit.tick = TickRule::KrwBands;
    members[0].binance.tick = TickRule::Fixed(Price::parse("0.01").unwrap());
    let mut m = Market::of(members, &Config::default());
    m.wait_ms(250);
    m.binance(0, BINANCE_BIDS, BINANCE_ASKS);
    m.upbit(0, &[("13830", "100")], &[("13860", "100")]);
    assert_eq!(m.decided()[0].0, Direction::BuyUpbit);
    m.wait_ms(180);
    m.upbit(0, &[("13830", "100")], &[("13860", "100")]);
    // 5 of 20 fill; the bound of the rest is 9.99 x 0.998 = 9.97002, on the tick 9.98: 9.97 is beyond it.
    m.binance(0, &[("9.99", "5")], BINANCE_ASKS);
    m.wait_ms(180);
    m.binance(0, &[("9.97", "100")], BINANCE_ASKS);
    assert_eq!(m.refusals(), [Refusal::NothingLeft], "nothing within the limit, and no limit off the tick");
    m.wait_ms(250);
    m.tick();
    m.wait_ms(180);
    m.binance(0, &[("9.98", "100")], BINANCE_ASKS);
    let done = m.filled().pop().unwrap();
    assert_eq!((done.purpose, done.quantity), (Purpose::Complete, coin("15")));
    assert!(m.at.0 > START);
}
