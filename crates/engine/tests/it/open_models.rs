//! Fees, latency, liquidity and refusals are open: a session runs with somebody else's models through the core.

use crate::driver::member;
use crate::exact::{BINANCE_ASKS, BINANCE_BIDS, Market, UPBIT_ASKS, UPBIT_BIDS, coin};
use engine::broker::Order;
use engine::fees::FeeModel;
use engine::latency::LatencyModel;
use engine::liquidity::LiquidityModel;
use engine::rejection::RejectionModel;
use engine::{Config, Core, LatencySource, Models};
use journal::Body;
use journal::record::{Purpose, Taken};
use market::{Asset, Book, Instrument, Money, Price, Quantity, Refusal, Rounding, Side, Venue, Walk};
use recording::Input;
use std::collections::BTreeSet;
use std::time::Duration;

/// 20 bps in the quote currency on both venues.
#[derive(Debug)]
struct Flat;

impl FeeModel for Flat {
    fn fee(
        &self,
        venue: Venue,
        _: Side,
        _: Asset,
        _: Quantity,
        notional: Money,
    ) -> Option<(Quantity, Asset)> {
        Some((Quantity(notional.ratio(2, 1_000, Rounding::Ceil)?.0), venue.quote()))
    }

    fn gross_up(&self, _: Venue, wanted: Quantity, _: Quantity) -> Option<Quantity> {
        Some(wanted)
    }

    fn bps(&self, _: Venue) -> f64 {
        20.0
    }
}

/// Each order takes a millisecond more than the one before.
#[derive(Debug)]
struct Slower;

impl LatencyModel for Slower {
    fn one_way(&mut self, _: Venue, order: u64) -> Duration {
        Duration::from_millis(100 + order)
    }
}

/// A market that never runs dry: what was taken is there again.
#[derive(Debug)]
struct Bottomless;

impl LiquidityModel for Bottomless {
    fn fresh(&self) -> Box<dyn LiquidityModel> {
        Box::new(Self)
    }

    fn on_book(&mut self, _: &Book) {}

    fn left(&self, _: Side, _: Price, displayed: Quantity) -> Quantity {
        displayed
    }

    fn plan(
        &self,
        book: &Book,
        side: Side,
        quantity: Quantity,
        _: Option<Price>,
        out: &mut Vec<Taken>,
    ) -> Option<(Quantity, Money)> {
        out.clear();
        let best = book.best(side)?;
        let quantity = quantity.min(best.quantity);
        out.push(Taken { price: best.price, quantity, displayed: best.quantity });
        Some((quantity, best.price.notional(quantity, Rounding::Ceil)?))
    }

    fn commit(&mut self, _: Side, _: &[Taken]) {}
}

/// Refuses the first order of an exit on Binance, for no reason that the venue's rules know.
#[derive(Debug)]
struct Moody;

impl RejectionModel for Moody {
    fn check(&self, order: &Order, _: &Instrument, _: &Walk) -> Result<(), Refusal> {
        if order.venue == Venue::Binance && order.purpose == Purpose::Exit {
            Err(Refusal::OffLot)
        } else {
            Ok(())
        }
    }
}

fn show(m: &mut Market, upbit: [&str; 2], size: &str, ms: i64) {
    for _ in 0..ms / 50 {
        m.wait_ms(50);
        m.fx(1_400);
        m.binance(0, &[("9.99", size)], &[("10.01", size)]);
        m.upbit(0, &[(upbit[0], size)], &[(upbit[1], size)]);
    }
}

#[test]
fn a_session_runs_with_other_models_of_all_four() {
    let config = Config { entry_pause_ms: 1_000, bias_min_open: 99, ..Config::default() };
    let with = |models: fn(&Config) -> Models| {
        let members = vec![member("AAA")];
        let mut m = Market::with(members, &config, |session, at, out| {
            Core::start_with(1, at, session, models, out).unwrap()
        });
        // 25 coins are shown on every side and never more: one leg of 20 fits, a second one does not. Gap 199 bps.
        show(&mut m, ["14294", "14322"], "25", 3_000);
        let entered = m.core.view().entries;
        m.binance(0, BINANCE_BIDS, BINANCE_ASKS);
        m.upbit(0, UPBIT_BIDS, UPBIT_ASKS);
        show(&mut m, ["13986", "14014"], "100000", 2_000);
        (m, entered)
    };
    let (own, entered) = with(Models::of);
    assert_eq!((entered, own.closed().len()), (1, 1), "what was taken stays taken");
    own.replays();

    let (m, entered) = with(|_| Models {
        fees: Box::new(Flat),
        latency: Box::new(Slower),
        liquidity: Box::new(Bottomless),
        rejection: Box::new(Moody),
    });
    assert_eq!(entered, 3, "a bottomless market takes one leg after the other");
    let fills = m.filled();
    // Buys are not grossed up, fees are 20 bps of the notional in the quote currency.
    for fill in fills.iter().filter(|f| f.purpose == Purpose::Entry) {
        assert_eq!(fill.quantity, coin("20"));
        assert_eq!(fill.fee.0, fill.notional.ratio(2, 1_000, Rounding::Ceil).unwrap().0);
    }
    let ways = m.entries.iter().filter_map(|e| match e.body {
        Body::Order { order, arrives, .. } => Some((order, arrives.0 - e.at.0)),
        _ => None,
    });
    for (order, way) in ways {
        assert_eq!(way, (100 + order as i64) * 1_000_000);
    }
    // Every first sale on Binance is refused and done by a completion.
    assert_eq!(m.refusals(), [Refusal::OffLot; 3]);
    assert_eq!(m.closed().len(), 3);
    let completed =
        fills.iter().filter(|f| f.purpose == Purpose::Complete && f.venue == Venue::Binance).count();
    assert_eq!(completed, 3);
    // The edge counts the model's fees: gap - 20 - 4 x 20 - 3.
    let gap = (14_294.0 / 1_400.0 / 10.01 - 1.0) * 1e4;
    assert!((m.decided()[0].3 - (gap - 103.0)).abs() < 0.1, "{} for a gap of {gap}", m.decided()[0].3);
}

/// The latencies of a session that measures, and its journal.
fn measured(seed: u64) -> (BTreeSet<i64>, Vec<String>) {
    let config = Config {
        latency: LatencySource::Measured,
        seed,
        entry_pause_ms: 0,
        time_limit_ms: 1_000,
        ..Config::default()
    };
    let mut m = Market::calm(&["AAA"], &config);
    for rtt_us in [90_000, 100_000, 110_000, 130_000, 170_000] {
        for venue in Venue::ALL {
            m.input(Input::Health { venue, rtt_us, ok: true });
            // A request that failed says nothing of an order's way.
            m.input(Input::Health { venue, rtt_us: 5_000_000, ok: false });
        }
    }
    show(&mut m, ["14294", "14322"], "100000", 20_000);
    m.replays();
    let ways = m.entries.iter().filter_map(|e| match e.body {
        Body::Order { arrives, .. } => Some((arrives.0 - e.at.0) / 1_000),
        _ => None,
    });
    (ways.collect(), m.entries.iter().map(|e| serde_json::to_string(e).unwrap()).collect())
}

#[test]
fn measured_latencies_are_drawn_from_the_log_and_replay() {
    let (ways, journal) = measured(1);
    assert_eq!(ways, BTreeSet::from([45_000, 50_000, 55_000, 65_000, 85_000]), "each half round trip occurs");
    assert_eq!(measured(1).1, journal, "the same seed gives the same journal");
    assert_ne!(measured(2).1, journal, "another seed draws otherwise");
}
