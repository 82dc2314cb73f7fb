use super::*;
use market::{Level, Price, Quantity, TickRule};
use proptest::prelude::*;

const FX: FxRate = FxRate(Price::from_int(1_400));

fn asset(ticker: &str) -> Asset {
    Asset::new(ticker).unwrap()
}

fn instrument(venue: Venue, asset: Asset) -> Instrument {
    Instrument {
        venue,
        asset,
        code: format!("{asset}"),
        tick: TickRule::Fixed(Price(1)),
        lot: Quantity(1),
        min_quantity: Quantity::ZERO,
        max_quantity: Quantity::ZERO,
        min_notional: Money::ZERO,
    }
}

/// A touch of `spread` (in units of 1e-4 of the price) with `value` on either side.
fn book(price: i32, value: i32, spread: i64) -> Book {
    let tick = i64::from(price) * 10_000 / 2;
    let at = |price: Price| Level {
        price,
        quantity: Money::from_int(value).quantity_at(price, Rounding::Ceil).unwrap(),
    };
    let mid = Price::from_int(price);
    let mut book = Book::new();
    book.replace([at(Price(mid.0 - tick * spread))], [at(Price(mid.0 + tick * spread))]);
    book
}

/// `turnover` in million USDT, `value` per side in thousand USDT, `spread` in bps.
fn candidate(ticker: &str, turnover: i32, value: i32, spread: i64) -> Candidate {
    Candidate {
        asset: asset(ticker),
        upbit: instrument(Venue::Upbit, asset(ticker)),
        binance: instrument(Venue::Binance, asset(ticker)),
        upbit_turnover_usdt: Money::from_int(turnover * 1_000_000),
        binance_turnover_usdt: Money::from_int(900_000_000),
        books: Some([book(14_000, value * 1_000 * 1_400, spread), book(10, value * 1_000, spread)]),
        warning: false,
        trading: true,
    }
}

fn members(selection: &Selection) -> Vec<&str> {
    selection.members.iter().map(|member| member.asset.as_str()).collect()
}

fn why<'a>(selection: &'a Selection, ticker: &str) -> &'a str {
    &selection.out.iter().find(|(out, _)| *out == asset(ticker)).unwrap().1
}

#[test]
fn score_weighs_the_ranks_and_ties_go_by_ticker() {
    // Ranks volume, liquidity, spread: A 1 3 3 = 2.2, B 2 1 1 = 1.4, C 3 2 2 = 2.4.
    let candidates = [candidate("C", 10, 80, 5), candidate("A", 30, 60, 9), candidate("B", 20, 90, 2)];
    let selection = select(&candidates, FX, 10, &Filters::default());
    assert_eq!(members(&selection), ["B", "A", "C"]);
    assert_eq!(selection.members[0].turnover_usdt, Money::from_int(20_000_000));
    let selection = select(&candidates, FX, 2, &Filters::default());
    assert_eq!(members(&selection), ["B", "A"]);
    assert_eq!(why(&selection, "C"), "rank 3 of 2 asked, score 2.4");
    let same = [candidate("Z", 10, 80, 5), candidate("Y", 10, 80, 5)];
    assert_eq!(members(&select(&same, FX, 1, &Filters::default())), ["Y"]);
}

#[test]
fn every_filter_says_why() {
    let mut warned = candidate("WARN", 10, 80, 5);
    warned.warning = true;
    let mut halted = candidate("HALT", 10, 80, 5);
    halted.trading = false;
    let mut unseen = candidate("UNSEEN", 10, 80, 5);
    unseen.books = None;
    let mut crossed = candidate("CROSS", 10, 80, 5);
    crossed.books = Some([book(14_000, 80_000 * 1_400, -5), book(10, 80_000, 5)]);
    let mut empty = candidate("EMPTY", 10, 80, 5);
    empty.books = Some([book(14_000, 80_000 * 1_400, 5), Book::new()]);
    let mut thin = candidate("THIN", 10, 80, 5);
    thin.books = Some([book(14_000, 40_000 * 1_400, 5), book(10, 80_000, 5)]);
    let mut far = candidate("FAR", 10, 80, 5);
    far.books.as_mut().unwrap()[0].set(Side::Ask, Price::from_int(14_200), Quantity::from_int(1_000_000));
    let candidates = [
        warned,
        halted,
        unseen,
        crossed,
        empty,
        thin,
        far,
        candidate("SMALL", 0, 80, 5),
        candidate("WIDE", 10, 80, 51),
        candidate("USDC", 10, 80, 5),
        candidate("1000SATS", 10, 80, 5),
        candidate("1MBABYDOGE", 10, 80, 5),
        candidate("FARUP", 10, 80, 5),
        candidate("1INCH", 10, 80, 5),
        candidate("JUP", 10, 80, 5),
    ];
    let selection = select(&candidates, FX, 100, &Filters::default());
    assert_eq!(members(&selection), ["1INCH", "FAR", "JUP"]);
    let expected = [
        ("WARN", "warning"),
        ("HALT", "not trading"),
        ("UNSEEN", "no books"),
        ("CROSS", "crossed"),
        ("EMPTY", "empty side"),
        ("THIN", "thinnest side"),
        ("SMALL", "turnover"),
        ("WIDE", "spread"),
        ("USDC", "list of excluded"),
        ("1000SATS", "multiple"),
        ("1MBABYDOGE", "multiple"),
        ("FARUP", "leveraged"),
    ];
    assert_eq!(selection.out.len(), expected.len());
    for (ticker, part) in expected {
        assert!(why(&selection, ticker).contains(part), "{ticker}: {}", why(&selection, ticker));
    }
    let mut more = Filters::default();
    more.also_excluded.insert(asset("JUP"));
    assert_eq!(members(&select(&candidates, FX, 100, &more)), ["1INCH", "FAR"]);
    // Without a rate nothing can be valued.
    assert!(select(&candidates, FxRate(Price::ZERO), 100, &Filters::default()).members.is_empty());
}

#[test]
fn liquidity_counts_what_lies_within_one_percent() {
    let level = |price: i32, quantity: i32| Level {
        price: Price::from_int(price),
        quantity: Quantity::from_int(quantity),
    };
    let mut deep = Book::new();
    deep.replace(
        [level(999, 10), level(990, 10), level(989, 10)],
        [level(1_001, 10), level(1_010, 9), level(1_011, 99)],
    );
    assert_eq!(depth_within_percent(&deep, Side::Bid), Some(Money::from_int(19_890)));
    assert_eq!(depth_within_percent(&deep, Side::Ask), Some(Money::from_int(19_100)));
    // The same numbers in KRW are the smaller side.
    assert_eq!(liquidity_usdt(&[deep.clone(), deep], FX), Some(Money::parse("13.64285714").unwrap()));
}

#[test]
fn prerank_asks_for_a_third_more_than_wanted() {
    let candidates: Vec<_> = (10..40).map(|i| candidate(&format!("T{i}"), i, 80, 5)).collect();
    let ranked = prerank(&candidates, &Filters::default(), 10);
    assert_eq!((ranked.len(), ranked[0], ranked[12]), (13, asset("T39"), asset("T27")));
    assert_eq!(prerank(&candidates, &Filters::default(), 1).len(), 2);
    assert_eq!(prerank(&candidates, &Filters::default(), 100).len(), 30);
}

proptest! {
    #[test]
    fn the_order_of_candidates_does_not_matter(
        figures in prop::collection::vec((0i32..4, 40i32..60, 1i64..60), 1..12),
        topn in 1u32..12,
        turn in 0usize..12,
    ) {
        let mut candidates: Vec<_> =
            figures.iter().enumerate().map(|(i, (t, v, s))| candidate(&format!("T{i}"), *t, *v, *s)).collect();
        let filters = Filters::default();
        let first = select(&candidates, FX, topn, &filters);
        let ranked = prerank(&candidates, &filters, topn);
        let turn = turn % candidates.len();
        candidates.rotate_left(turn);
        prop_assert_eq!(&select(&candidates, FX, topn, &filters), &first);
        prop_assert_eq!(prerank(&candidates, &filters, topn), ranked);
        prop_assert_eq!(first.members.len() + first.out.len(), candidates.len());
        prop_assert!(first.members.len() <= topn as usize);
    }
}

#[test]
fn filters_read_from_a_configuration() {
    let filters: Filters =
        serde_json::from_str(r#"{"also_excluded": ["LUNA"], "min_turnover_usdt": "5"}"#).unwrap();
    assert_eq!(filters.min_turnover_usdt, Money::from_int(5));
    assert!(filters.also_excluded.contains(&asset("LUNA")) && filters.excluded.contains(&asset("USDC")));
    assert!(serde_json::from_str::<Filters>(r#"{"exclude": []}"#).is_err());
}

fn set(tickers: &[&str]) -> BTreeSet<Asset> {
    tickers.iter().map(|ticker| asset(ticker)).collect()
}

#[test]
fn tickers_of_different_assets_are_out_by_name_before_their_books_are_asked_for() {
    let candidates = [candidate("AAA", 10, 80, 5), candidate("BBB", 20, 80, 5)];
    let filters = Filters { different_assets: set(&["BBB", "NOWHERE"]), ..Filters::default() };
    let selection = select(&candidates, FX, 10, &filters);
    assert_eq!(members(&selection), ["AAA"]);
    assert_eq!(why(&selection, "BBB"), "on the list of tickers that mean different assets on the two venues");
    // For good: no rank brings it back, and no request is spent on it.
    assert!(!selection.beyond.contains(&asset("BBB")));
    assert_eq!(prerank(&candidates, &filters, 10), [asset("AAA")]);
    // Without the list the greater turnover ranks first.
    assert_eq!(members(&select(&candidates, FX, 10, &Filters::default())), ["BBB", "AAA"]);
}

#[test]
fn assets_that_cannot_be_moved_are_out_by_name() {
    let candidates = [candidate("AAA", 10, 80, 5), candidate("BBB", 20, 80, 5)];
    let filters = Filters { transfers_suspended: set(&["AAA"]), ..Filters::default() };
    let selection = select(&candidates, FX, 10, &filters);
    assert_eq!(members(&selection), ["BBB"]);
    assert_eq!(why(&selection, "AAA"), "on the list of assets whose deposits or withdrawals are suspended");
    assert_eq!(prerank(&candidates, &filters, 10), [asset("BBB")]);
}

#[test]
fn a_mapped_ticker_is_let_in_and_every_other_filter_still_holds() {
    let names = ["BTC", "1000SATS", "1MBABYDOGE", "BTCUP", "BTC3L", "1000CAT"];
    let mut candidates: Vec<_> = names.iter().map(|name| candidate(name, 10, 80, 5)).collect();
    let mapped = set(&["1000SATS", "BTCUP", "1000CAT"]);
    let filters = Filters { mapped: mapped.clone(), ..Filters::default() };
    candidates[5].warning = true;
    let selection = select(&candidates, FX, 10, &filters);
    assert_eq!(members(&selection), ["1000SATS", "BTC", "BTCUP"]);
    assert!(
        why(&selection, "1MBABYDOGE").contains("multiple") && why(&selection, "BTC3L").contains("leveraged")
    );
    assert!(why(&selection, "1000CAT").contains("warning"), "mapped is no pardon");
    // The lists of exclusions come first.
    let filters = Filters { different_assets: set(&["1000SATS"]), mapped, ..Filters::default() };
    assert!(why(&select(&candidates, FX, 10, &filters), "1000SATS").contains("different assets"));
}

#[test]
fn the_lists_are_read_from_a_configuration_and_are_empty_by_default() {
    let text = r#"{"different_assets": ["AAA"], "transfers_suspended": ["BBB"], "mapped": ["1000SATS"]}"#;
    let filters: Filters = serde_json::from_str(text).unwrap();
    assert_eq!(filters.different_assets, set(&["AAA"]));
    assert_eq!((filters.transfers_suspended, filters.mapped), (set(&["BBB"]), set(&["1000SATS"])));
    let none = Filters::default();
    assert!(
        none.different_assets.is_empty() && none.transfers_suspended.is_empty() && none.mapped.is_empty()
    );
    assert!(serde_json::from_str::<Filters>(r#"{"mapped": ["no ticker"]}"#).is_err());
}
