//! The paper broker: orders under way, and what a venue does with one that arrives.
//!
//! An order reaches the venue after its one-way latency and fills on the first book whose venue time is at or after that
//! instant. A quiet symbol sends no new book: its book counts as current once an update could have come back, which is
//! one more latency later, and once its stream has shown something of at least that instant ([`Broker::next_deadline`],
//! [`Broker::overdue`]): a stream that lags or stalls is no quiet symbol, and its old book must not fill anything. Fees,
//! latency, liquidity and refusals are open models in files of their own. The broker moves no balances:
//! [`crate::ledger::Ledger::apply`] does.

use crate::fees::FeeModel;
use crate::latency::LatencyModel;
use crate::ledger::Ledger;
use crate::liquidity::LiquidityModel;
use crate::rejection::{RejectionModel, VenueRules};
use journal::record::{Purpose, Taken};
use market::{Asset, Book, Instrument, Money, Price, Quantity, Refusal, Side, Timestamp, Venue};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// An order under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// 1, 2, 3, ... within the run.
    pub id: u64,
    /// The position that it belongs to.
    pub position: u64,
    /// What for.
    pub purpose: Purpose,
    /// Venue.
    pub venue: Venue,
    /// Base asset.
    pub asset: Asset,
    /// The book side that it takes: a buy takes asks.
    pub takes: Side,
    /// Base quantity.
    pub quantity: Quantity,
    /// When it was decided.
    pub decided_at: Timestamp,
    /// When it meets the venue's book.
    pub arrives: Timestamp,
    /// The worst price it accepts; `None` is a market order.
    pub limit: Option<Price>,
}

/// What an order took: at least something, at most its quantity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filled {
    /// The order.
    pub order: Order,
    /// Levels taken, best first.
    pub levels: Vec<Taken>,
    /// Base quantity, before a fee in the base asset.
    pub quantity: Quantity,
    /// Quote amount, before fees.
    pub notional: Money,
    /// Fee, in units of `fee_asset`.
    pub fee: Quantity,
    /// The asset that the fee was taken in.
    pub fee_asset: Asset,
}

#[derive(Debug, Clone, Copy)]
struct Pending {
    order: Order,
    /// When a book that has not changed since counts as the one the order met.
    current_at: Timestamp,
    /// That instant has passed and the stream had not come so far: a message wakes it, not the clock.
    waits: bool,
}

/// The queue of orders and the venue's models.
#[derive(Debug)]
pub struct Broker {
    fees: Box<dyn FeeModel>,
    latency: Box<dyn LatencyModel>,
    rejection: Box<dyn RejectionModel>,
    /// In order of id.
    queue: Vec<Pending>,
    last_id: u64,
    /// Room for the levels of the next fill, see [`Self::give_back`].
    spare: Vec<Taken>,
}

impl Broker {
    /// A broker with the venues' own rules of refusal.
    pub fn new(fees: impl FeeModel + 'static, latency: impl LatencyModel + 'static) -> Self {
        Self::with(Box::new(fees), Box::new(latency), Box::new(VenueRules))
    }

    /// A broker with these models; liquidity belongs to the books.
    pub fn with(
        fees: Box<dyn FeeModel>,
        latency: Box<dyn LatencyModel>,
        rejection: Box<dyn RejectionModel>,
    ) -> Self {
        Self {
            fees,
            latency,
            rejection,
            queue: Vec::with_capacity(16),
            last_id: 0,
            spare: Vec::with_capacity(32),
        }
    }

    /// The fee model.
    pub fn fees(&self) -> &dyn FeeModel {
        &*self.fees
    }

    /// A request to `venue` was answered after this long: what a latency model may draw from.
    pub fn on_round_trip(&mut self, venue: Venue, round_trip: Duration) {
        self.latency.on_round_trip(venue, round_trip);
    }

    /// Goes on after `id`: a restarted session continues the numbering of its journal. Never goes back.
    pub fn continue_after(&mut self, id: u64) {
        self.last_id = self.last_id.max(id);
    }

    /// Sends an order at `now`.
    #[expect(
        clippy::too_many_arguments,
        reason = "an order has that many properties; a struct would only repeat `Order`"
    )]
    pub fn submit(
        &mut self,
        position: u64,
        purpose: Purpose,
        venue: Venue,
        asset: Asset,
        takes: Side,
        quantity: Quantity,
        limit: Option<Price>,
        now: Timestamp,
    ) -> Order {
        self.last_id += 1;
        let id = self.last_id;
        let one_way = self.latency.one_way(venue, id);
        let arrives = now.plus(one_way);
        let order =
            Order { id, position, purpose, venue, asset, takes, quantity, decided_at: now, arrives, limit };
        self.queue.push(Pending { order, current_at: arrives.plus(one_way), waits: false });
        order
    }

    /// The earliest instant at which an order meets a book that did not change meanwhile. Orders that wait for their
    /// venue's stream have none.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.queue.iter().filter(|pending| !pending.waits).map(|pending| pending.current_at).min()
    }

    /// True while an order waits for its venue's stream: ask [`Self::overdue`] again after each message.
    pub fn is_waiting(&self) -> bool {
        self.queue.iter().any(|pending| pending.waits)
    }

    /// Moves the orders that meet a book of `venue_time` into `out`, in order of id.
    pub fn due(&mut self, venue: Venue, asset: Asset, venue_time: Timestamp, out: &mut Vec<Order>) {
        self.extract(out, |pending| {
            let order = &pending.order;
            order.venue == venue && order.asset == asset && order.arrives <= venue_time
        });
    }

    /// Moves the orders whose book stayed quiet until `now` into `out`, in order of id: they meet the book as it is.
    /// `shown` says whether the stream behind an order's book has come to the order's arrival; the others wait on.
    pub fn overdue(&mut self, now: Timestamp, shown: impl Fn(&Order) -> bool, out: &mut Vec<Order>) {
        for pending in self.queue.iter_mut().filter(|pending| pending.current_at <= now) {
            pending.waits = !shown(&pending.order);
        }
        self.extract(out, |pending| pending.current_at <= now && !pending.waits);
    }

    /// Decides what the venue does with an order that has arrived. What was taken is remembered in `memory`; balances are
    /// looked at, not changed.
    ///
    /// # Errors
    /// The order and why it was refused; nothing was taken then. An order that meets no liquidity at all is
    /// [`Refusal::NoBook`] without a book and [`Refusal::NothingLeft`] when all of it was taken before or lies beyond its limit; figures that do not fit an exact number are
    /// [`Refusal::AboveMaxQuantity`].
    pub fn execute(
        &mut self,
        order: Order,
        instrument: &Instrument,
        book: Option<&Book>,
        memory: &mut dyn LiquidityModel,
        ledger: &Ledger,
    ) -> Result<Filled, (Order, Refusal)> {
        let mut levels = std::mem::take(&mut self.spare);
        match self.fill(&order, instrument, book, memory, ledger, &mut levels) {
            Ok((quantity, notional, fee, fee_asset)) => {
                memory.commit(order.takes, &levels);
                Ok(Filled { order, levels, quantity, notional, fee, fee_asset })
            }
            Err(refusal) => {
                self.give_back(levels);
                Err((order, refusal))
            }
        }
    }

    /// The levels of a fill that nobody keeps: the next one is written where they were.
    pub fn give_back(&mut self, mut levels: Vec<Taken>) {
        levels.clear();
        self.spare = levels;
    }

    /// The orders under way, in order of id.
    pub fn orders(&self) -> impl Iterator<Item = &Order> + '_ {
        self.queue.iter().map(|pending| &pending.order)
    }

    /// The id of the last order sent.
    pub const fn last_id(&self) -> u64 {
        self.last_id
    }

    /// Number of orders under way.
    pub fn pending(&self) -> usize {
        self.queue.len()
    }

    /// Forgets the orders of a position that have not arrived.
    pub fn cancel_position(&mut self, position: u64) {
        self.queue.retain(|pending| pending.order.position != position);
    }

    fn extract(&mut self, out: &mut Vec<Order>, goes: impl Fn(&Pending) -> bool) {
        out.extend(self.queue.extract_if(.., |pending| goes(pending)).map(|pending| pending.order));
    }

    fn fill(
        &self,
        order: &Order,
        instrument: &Instrument,
        book: Option<&Book>,
        memory: &dyn LiquidityModel,
        ledger: &Ledger,
        levels: &mut Vec<Taken>,
    ) -> Result<(Quantity, Money, Quantity, Asset), Refusal> {
        let book = book.ok_or(Refusal::NoBook)?;
        let displayed = book.walk(order.takes, order.quantity).ok_or(Refusal::AboveMaxQuantity)?;
        self.rejection.check(order, instrument, &displayed)?;
        // The venue knows nothing of our memory: it looks at the displayed cost, and for a sale at the whole quantity.
        self.covered(order, order.quantity, displayed.quantity, displayed.notional, ledger)?;
        let (quantity, notional) = memory
            .plan(book, order.takes, order.quantity, order.limit, levels)
            .ok_or(Refusal::AboveMaxQuantity)?;
        if quantity.0 <= 0 {
            return Err(Refusal::NothingLeft);
        }
        let (fee, fee_asset) = self.covered(order, quantity, quantity, notional, ledger)?;
        Ok((quantity, notional, fee, fee_asset))
    }

    /// Whether the balance covers selling `sold`, or buying `bought` for `notional`, with the fee; returns the fee.
    fn covered(
        &self,
        order: &Order,
        sold: Quantity,
        bought: Quantity,
        notional: Money,
        ledger: &Ledger,
    ) -> Result<(Quantity, Asset), Refusal> {
        let (fee, fee_asset) = self
            .fees
            .fee(order.venue, order.takes, order.asset, bought, notional)
            .ok_or(Refusal::AboveMaxQuantity)?;
        let (asset, mut needed) = match order.takes {
            Side::Ask => (order.venue.quote(), Quantity(notional.0)),
            Side::Bid => (order.asset, sold),
        };
        if fee_asset == asset {
            needed = needed.checked_add(fee).ok_or(Refusal::AboveMaxQuantity)?;
        }
        if ledger.covers(order.venue, asset, needed) {
            Ok((fee, fee_asset))
        } else {
            Err(Refusal::InsufficientBalance)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fees::TakerFees;
    use crate::latency::ConstantLatency;
    use crate::liquidity::LiquidityMemory;
    use market::{Level, TickRule};

    fn venues_own() -> Broker {
        Broker::new(TakerFees::default(), ConstantLatency::default())
    }

    fn q(text: &str) -> Quantity {
        Quantity::parse(text).unwrap()
    }

    fn coin() -> Asset {
        Asset::new("XRP").unwrap()
    }

    fn instrument(venue: Venue) -> Instrument {
        Instrument {
            venue,
            asset: coin(),
            code: "X".to_owned(),
            tick: TickRule::Fixed(Price::from_int(1)),
            lot: q("0.1"),
            min_quantity: q("0.1"),
            max_quantity: q("1000"),
            min_notional: Money::from_int(5),
        }
    }

    fn book() -> Book {
        let level =
            |price: i32, quantity: &str| Level { price: Price::from_int(price), quantity: q(quantity) };
        let mut book = Book::new();
        book.replace([level(99, "2"), level(98, "3")], [level(100, "2"), level(101, "3")]);
        book
    }

    fn ledger() -> Ledger {
        let mut ledger = Ledger::new();
        for venue in Venue::ALL {
            ledger.deposit(venue, venue.quote(), q("10000")).unwrap();
            ledger.deposit(venue, coin(), q("100")).unwrap();
        }
        ledger
    }

    struct Bench {
        broker: Broker,
        memory: LiquidityMemory,
        ledger: Ledger,
    }

    impl Bench {
        fn new() -> Self {
            Self { broker: venues_own(), memory: LiquidityMemory::new(), ledger: ledger() }
        }

        fn run(
            &mut self,
            venue: Venue,
            takes: Side,
            quantity: &str,
            limit: Option<i32>,
        ) -> Result<Filled, Refusal> {
            self.run_on(venue, takes, quantity, limit, Some(&book()))
        }

        fn run_on(
            &mut self,
            venue: Venue,
            takes: Side,
            quantity: &str,
            limit: Option<i32>,
            book: Option<&Book>,
        ) -> Result<Filled, Refusal> {
            let limit = limit.map(Price::from_int);
            let order =
                self.broker.submit(1, Purpose::Entry, venue, coin(), takes, q(quantity), limit, Timestamp(0));
            let (memory, ledger) = (&mut self.memory, &self.ledger);
            self.broker
                .execute(order, &instrument(venue), book, memory, ledger)
                .map_err(|(_, refusal)| refusal)
        }
    }

    #[test]
    fn orders_meet_the_first_book_at_or_after_their_arrival() {
        let mut broker = venues_own();
        let at = Timestamp::from_millis;
        let mut out = Vec::new();
        for (position, venue) in
            [(1, Venue::Binance), (1, Venue::Upbit), (2, Venue::Upbit), (3, Venue::Upbit)]
        {
            broker.submit(position, Purpose::Entry, venue, coin(), Side::Ask, q("1"), None, at(1_000));
        }
        assert_eq!((broker.pending(), broker.next_deadline()), (4, Some(at(1_120))));
        broker.due(Venue::Upbit, coin(), at(1_059), &mut out);
        broker.due(Venue::Upbit, Asset::USDT, at(1_060), &mut out);
        assert!(out.is_empty());
        broker.cancel_position(3);
        broker.due(Venue::Upbit, coin(), at(1_060), &mut out);
        assert_eq!(out.iter().map(|order| order.id).collect::<Vec<_>>(), [2, 3]);
        assert_eq!((out[0].arrives, out[0].decided_at), (at(1_060), at(1_000)));
        assert_eq!(broker.next_deadline(), Some(at(1_180)));
        out.clear();
        broker.overdue(at(1_179), |_| true, &mut out);
        assert!(out.is_empty());
        // The stream has not come so far: no deadline any more, a message wakes it.
        broker.overdue(at(1_180), |_| false, &mut out);
        assert_eq!((out.len(), broker.next_deadline(), broker.is_waiting()), (0, None, true));
        broker.overdue(at(1_500), |order| order.venue == Venue::Binance, &mut out);
        assert_eq!((out.len(), out[0].id, broker.pending(), broker.next_deadline()), (1, 1, 0, None));
        broker.continue_after(40);
        broker.continue_after(7);
        assert_eq!(
            broker.submit(9, Purpose::Exit, Venue::Upbit, coin(), Side::Bid, q("1"), None, at(0)).id,
            41
        );
    }

    #[test]
    fn fills_walk_the_book_and_carry_their_fee() {
        let mut bench = Bench::new();
        let filled = bench.run(Venue::Upbit, Side::Ask, "3", None).unwrap();
        assert_eq!(
            (filled.quantity, filled.notional, filled.levels.len()),
            (q("3"), Money::from_int(301), 2)
        );
        assert_eq!((filled.fee, filled.fee_asset), (q("0.1505"), Asset::KRW));
        let mut bench = Bench::new();
        let filled = bench.run(Venue::Binance, Side::Ask, "2", None).unwrap();
        assert_eq!((filled.fee, filled.fee_asset), (q("0.002"), coin()));
    }

    #[test]
    fn partial_is_partial_and_twice_is_not_double() {
        let mut bench = Bench::new();
        assert_eq!(bench.run(Venue::Binance, Side::Bid, "4", None).unwrap().quantity, q("4"));
        assert_eq!(bench.run(Venue::Binance, Side::Bid, "4", None).unwrap().quantity, q("1"));
        assert_eq!(bench.run(Venue::Binance, Side::Bid, "4", None), Err(Refusal::NothingLeft));
        let mut bench = Bench::new();
        assert_eq!(bench.run(Venue::Binance, Side::Ask, "4", Some(100)).unwrap().quantity, q("2"));
        assert_eq!(bench.run(Venue::Binance, Side::Ask, "4", Some(99)), Err(Refusal::NothingLeft));
    }

    #[test]
    fn refusals_take_nothing() {
        let mut bench = Bench::new();
        let cases = [
            (Venue::Upbit, "5.1", Refusal::BeyondBook),
            (Venue::Upbit, "0", Refusal::BelowMinQuantity),
            (Venue::Binance, "1000.1", Refusal::AboveMaxQuantity),
            (Venue::Binance, "1.05", Refusal::OffLot),
        ];
        for (venue, quantity, refusal) in cases {
            assert_eq!(bench.run(venue, Side::Ask, quantity, None), Err(refusal));
        }
        assert_eq!(bench.run_on(Venue::Upbit, Side::Ask, "1", None, None), Err(Refusal::NoBook));
        assert_eq!(
            bench.run_on(Venue::Upbit, Side::Ask, "1", None, Some(&Book::new())),
            Err(Refusal::NoBook)
        );
        // A limit must be a price that the venue knows: ticks are 1 here.
        let mut broker = venues_own();
        let half = Some(Price(Price::from_int(100).0 + Price::from_int(1).0 / 2));
        let order = broker.submit(
            1,
            Purpose::Complete,
            Venue::Binance,
            coin(),
            Side::Ask,
            q("1"),
            half,
            Timestamp(0),
        );
        let venue = instrument(Venue::Binance);
        let refused = broker.execute(order, &venue, Some(&book()), &mut bench.memory, &bench.ledger);
        assert_eq!(refused, Err((order, Refusal::OffTick)));
        // Beyond the book with a limit is no market order: it takes what is there.
        assert_eq!(bench.run(Venue::Upbit, Side::Bid, "6", Some(98)).unwrap().quantity, q("5"));
        assert_eq!(bench.memory.levels(), 2);
        let mut small = instrument(Venue::Binance);
        small.min_notional = Money::from_int(101);
        let order = bench.broker.submit(
            1,
            Purpose::Entry,
            Venue::Binance,
            coin(),
            Side::Ask,
            q("1"),
            None,
            Timestamp(0),
        );
        let refused = bench.broker.execute(order, &small, Some(&book()), &mut bench.memory, &bench.ledger);
        assert_eq!(refused, Err((order, Refusal::BelowMinNotional)));
    }

    #[test]
    fn the_balance_covers_the_fee_too() {
        let mut bench = Bench::new();
        bench.ledger = Ledger::new();
        bench.ledger.deposit(Venue::Upbit, Asset::KRW, q("200")).unwrap();
        bench.ledger.deposit(Venue::Binance, Asset::USDT, q("200")).unwrap();
        bench.ledger.deposit(Venue::Binance, coin(), q("1")).unwrap();
        // Upbit's fee comes on top, Binance's out of the coin.
        assert_eq!(bench.run(Venue::Upbit, Side::Ask, "2", None), Err(Refusal::InsufficientBalance));
        assert_eq!(bench.memory.levels(), 0);
        assert!(bench.run(Venue::Binance, Side::Ask, "2", None).is_ok());
        assert_eq!(bench.run(Venue::Binance, Side::Bid, "1.1", None), Err(Refusal::InsufficientBalance));
        // Displayed at 100 it would be covered, but that level is ours already and 101 is not covered.
        assert_eq!(bench.run(Venue::Binance, Side::Ask, "2", None), Err(Refusal::InsufficientBalance));
        bench.ledger.deposit(Venue::Upbit, Asset::KRW, q("0.1")).unwrap();
        bench.memory = LiquidityMemory::new();
        assert!(bench.run(Venue::Upbit, Side::Ask, "2", None).is_ok());
    }
}
