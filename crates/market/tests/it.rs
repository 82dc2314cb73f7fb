//! The exact numbers, books and instrument rules at their boundary.

use market::{
    Asset, Book, DecimalError, FxRate, Instrument, Level, Money, Price, Quantity, Refusal, Rounding, Side,
    TickRule, Venue, parse_scaled, upbit_krw_tick,
};
use proptest::prelude::*;

fn check(text: &str, expected: Result<i128, DecimalError>) {
    assert_eq!(parse_scaled(text.as_bytes()), expected, "{text}");
}

#[test]
fn decimals_as_venues_spell_them() {
    check("61685.99000000", Ok(6_168_599_000_000));
    check("1.16539E8", Ok(11_653_900_000_000_000));
    check("7.9276E-4", Ok(79_276));
    check("1e-8", Ok(1));
    check("-0.5", Ok(-50_000_000));
    check("+.5", Ok(50_000_000));
    check("0", Ok(0));
    check("0e400", Ok(0));
    check("0.000000010000", Ok(1));
    check("12345678901234567", Ok(1_234_567_890_123_456_700_000_000));
}

#[test]
fn what_does_not_fit_is_an_error_and_never_a_wrap() {
    check("0.000000001", Err(DecimalError::TooPrecise));
    check("1e-9", Err(DecimalError::TooPrecise));
    check("1e40", Err(DecimalError::TooLarge));
    check("1e99999", Err(DecimalError::TooLarge));
    check("99999999999999999999999999999999999999999", Err(DecimalError::TooLarge));
    for text in ["", "-", ".", "1.2.3", "1e", "e5", "0x10", "NaN", "1 ", " 1", "1_000", "--1", "1e+-3"] {
        check(text, Err(DecimalError::Syntax));
    }
    assert_eq!(Price::parse("92233720368.54775808"), Err(DecimalError::TooLarge));
    assert_eq!(Price::parse("92233720368.54775807"), Ok(Price(i64::MAX)));
}

#[test]
fn one_level_of_a_cheap_coin_does_not_overflow() {
    let price = Price::parse("0.0009").unwrap();
    let quantity = Quantity::parse("5000000000000").unwrap();
    assert_eq!(
        price.notional(quantity, Rounding::Floor),
        Some(Money::from_int(i32::MAX)).map(|_| Money::parse("4500000000").unwrap())
    );
}

proptest! {
    #[test]
    fn every_number_survives_its_own_spelling(value in any::<i64>()) {
        let price = Price(value);
        prop_assert_eq!(Price::parse(&price.to_string()), Ok(price));
        prop_assert_eq!(serde_json::from_str::<Price>(&serde_json::to_string(&price).unwrap()).unwrap(), price);
    }

    #[test]
    fn floor_and_ceil_enclose_the_product(price in 1i64..1_000_000_000_000_000_000, quantity in 1i128..1_000_000_000_000_000_000) {
        let (price, quantity) = (Price(price), Quantity(quantity));
        let (floor, ceil) = (price.notional(quantity, Rounding::Floor).unwrap(), price.notional(quantity, Rounding::Ceil).unwrap());
        let exact = i128::from(price.0) * quantity.0;
        prop_assert!(floor.0 * market::SCALE <= exact && exact <= ceil.0 * market::SCALE);
        prop_assert!(ceil.0 - floor.0 <= 1);
    }

    #[test]
    fn rounding_to_a_step_is_a_multiple_within_one_step(quantity in any::<i64>(), step in 1i64..1_000_000_000) {
        let (quantity, step) = (Quantity(quantity.into()), Quantity(step.into()));
        for rounding in [Rounding::Floor, Rounding::Ceil] {
            let rounded = quantity.to_step(step, rounding).unwrap();
            prop_assert_eq!(rounded.0 % step.0, 0);
            prop_assert!((rounded.0 - quantity.0).abs() < step.0);
            let on_its_side = if rounding == Rounding::Floor { rounded <= quantity } else { rounded >= quantity };
            prop_assert!(on_its_side);
        }
    }

    /// The sorted vector against the plainest book there is.
    #[test]
    fn a_book_equals_a_map(changes in prop::collection::vec((any::<bool>(), 1i64..60, 0i128..4), 0..300)) {
        let mut book = Book::new();
        let mut oracle = [std::collections::BTreeMap::new(), std::collections::BTreeMap::new()];
        for (ask, price, quantity) in changes {
            let side = if ask { Side::Ask } else { Side::Bid };
            book.set(side, Price(price), Quantity(quantity));
            let levels = &mut oracle[usize::from(ask)];
            if quantity > 0 { levels.insert(price, quantity); } else { levels.remove(&price); }
        }
        let level = |(p, q): (&i64, &i128)| Level { price: Price(*p), quantity: Quantity(*q) };
        prop_assert_eq!(book.iter(Side::Bid).collect::<Vec<_>>(), oracle[0].iter().rev().map(level).collect::<Vec<_>>());
        prop_assert_eq!(book.iter(Side::Ask).collect::<Vec<_>>(), oracle[1].iter().map(level).collect::<Vec<_>>());
        for price in 1..60 {
            prop_assert_eq!(book.quantity_at(Side::Ask, Price(price)).0, *oracle[1].get(&price).unwrap_or(&0));
            prop_assert_eq!(book.quantity_at(Side::Bid, Price(price)).0, *oracle[0].get(&price).unwrap_or(&0));
        }
    }
}

#[test]
fn walking_takes_the_best_levels_first_and_stops_at_the_end() {
    let level =
        |p: &str, q: &str| Level { price: Price::parse(p).unwrap(), quantity: Quantity::parse(q).unwrap() };
    let mut book = Book::new();
    book.replace(
        [level("99", "1"), level("98", "5"), level("0", "0")],
        [level("102", "5"), level("101", "1")],
    );
    assert_eq!(book.depth(Side::Bid), 2, "padding is left out");
    let walk = book.walk(Side::Ask, Quantity::parse("2").unwrap()).unwrap();
    assert_eq!((walk.notional, walk.worst), (Money::from_int(203), Price::from_int(102)));
    let walk = book.walk(Side::Bid, Quantity::parse("100").unwrap()).unwrap();
    assert_eq!((walk.quantity, walk.notional), (Quantity::from_int(6), Money::from_int(589)));
    assert_eq!(book.mid(), Some(Price::from_int(100)));
    assert!(!book.is_crossed());
}

#[test]
fn krw_ticks_change_at_the_bands() {
    for (price, tick) in [
        ("2000000", "1000"),
        ("1000000", "1000"),
        ("999999", "500"),
        ("50000", "50"),
        ("1500", "1"),
        ("150", "1"),
        ("99.9", "0.1"),
        ("0.00002", "0.0000001"),
        ("0.000009", "0.00000001"),
    ] {
        assert_eq!(upbit_krw_tick(Price::parse(price).unwrap()), Price::parse(tick).unwrap(), "{price}");
    }
    assert_eq!(
        Price::parse("1234.5").unwrap().to_tick(Price::from_int(1), Rounding::Floor),
        Price::parse("1234").ok()
    );
}

#[test]
fn an_order_is_refused_by_the_first_rule_it_breaks() {
    let btc = Instrument {
        venue: Venue::Binance,
        asset: Asset::new("BTC").unwrap(),
        code: "BTCUSDT".to_owned(),
        tick: TickRule::Fixed(Price(1_000_000)),
        lot: Quantity::parse("0.00001").unwrap(),
        min_quantity: Quantity::parse("0.00001").unwrap(),
        max_quantity: Quantity::from_int(100),
        min_notional: Money::from_int(5),
    };
    let check = |quantity: &str, notional: i32| {
        btc.check(Quantity::parse(quantity).unwrap(), Money::from_int(notional))
    };
    assert_eq!(check("0.01", 600), Ok(()));
    assert_eq!(check("0", 600), Err(Refusal::BelowMinQuantity));
    assert_eq!(check("101", 600), Err(Refusal::AboveMaxQuantity));
    assert_eq!(check("0.010001", 600), Err(Refusal::OffLot));
    assert_eq!(check("0.01", 4), Err(Refusal::BelowMinNotional));
}

#[test]
fn fx_converts_both_ways_within_one_unit() {
    let rate = FxRate(Price::parse("1391.5").unwrap());
    let usd = rate.krw_to_usd(Money::from_int(1_391_500), Rounding::Floor).unwrap();
    assert_eq!(usd, Money::from_int(1000));
    assert_eq!(rate.usd_to_krw(usd, Rounding::Floor), Some(Money::from_int(1_391_500)));
    assert_eq!(FxRate(Price::ZERO).krw_to_usd(usd, Rounding::Floor), None);
}

#[test]
fn tickers() {
    assert_eq!(Asset::new("1000SATS").unwrap().as_str(), "1000SATS");
    assert!(Asset::new("").is_err());
    assert!(Asset::new("BTC USDT").is_err());
    assert!(Asset::new("ABCDEFGHIJKLMNOP").is_err());
    assert_eq!(serde_json::to_string(&Asset::KRW).unwrap(), "\"KRW\"");
}
