//! One test per fault of the venues, in virtual time: the client notices, what is affected is not traded meanwhile, the rest
//! streams on, and afterwards the books equal the server's. What is about sockets themselves meets the real client in
//! the runner's tests.

use crate::harness;
use crate::market_client::Client;
use engine::Config;
use exchange::{Fault, Injection, MarketKind, PlantedGap, Script};
use journal::Body;
use journal::record::Purpose;
use market::{Asset, Money, Venue};
use std::time::Duration;

const SYMBOLS: usize = 6;
/// When the faults of the scripts begin.
const BEGIN: Duration = Duration::from_secs(20);
/// Gaps worth trading open in both of these a second later, for eight seconds.
const AFFECTED: &str = "BTC";
const OTHER: &str = "ETH";

fn asset(name: &str) -> Asset {
    Asset::new(name).unwrap()
}

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A session that is up, with levels, at the instant at which the script's faults begin. A row of the script begins with the fault's
/// instant relative to that, in ms.
fn session(rows: &str) -> Client {
    let gap = |name: &str| PlantedGap { asset: Some(asset(name)), bps: 80.0, at: BEGIN + s(1), lasts: s(8) };
    let gaps = [gap(AFFECTED), gap(OTHER)];
    let config = Config {
        topn: SYMBOLS as u32,
        time_limit_ms: 2_000,
        entry_pause_ms: 500,
        cooldown_route_ms: 1_000,
        cooldown_cross_ms: 1_000,
        universe_change_pct: 50,
        ..Config::default()
    };
    let mut client = Client::start(SYMBOLS, MarketKind::Calm, 3, &gaps, 15, &config);
    client.seed_levels();
    let mut text = String::new();
    for row in rows.lines().map(str::trim).filter(|row| !row.is_empty()) {
        let (after, rest) = row.split_once(' ').unwrap();
        let at_ms = BEGIN.as_millis() as i64 + after.parse::<i64>().unwrap();
        text += &format!("[[fault]]\nat_ms = {at_ms}\n{}\n\n", rest.replace("; ", "\n"));
    }
    client.exchange.follow(Script::parse("script", &text).unwrap());
    client.come_up();
    client.run(BEGIN - client.now() - Duration::from_millis(50));
    assert_eq!(orders(&client, AFFECTED, Duration::ZERO).len(), 0, "traded before anything happened");
    client
}

/// When entries of an asset were sent, after `since`.
fn orders(client: &Client, name: &str, since: Duration) -> Vec<Duration> {
    let start = assay::generate::START_MS;
    let sent = client.entries().iter().filter_map(|entry| match &entry.body {
        Body::Order { purpose: Purpose::Entry, asset: of, .. } if *of == asset(name) => {
            Some(Duration::from_millis((entry.at.as_millis() - start).try_into().unwrap()))
        }
        _ => None,
    });
    sent.filter(|at| *at >= since).collect()
}

fn state(client: &Client, venue: Venue) -> &'static str {
    client.core().book_state(asset(AFFECTED), venue).unwrap()
}

fn others_live(client: &Client) -> bool {
    let others = client.assets().into_iter().filter(|a| *a != asset(AFFECTED));
    others.into_iter().all(|a| Venue::ALL.iter().all(|v| client.core().book_state(a, *v) == Some("live")))
}

fn resyncs(client: &Client) -> u64 {
    client.core().view().venues.iter().map(|v| v.resyncs).sum()
}

fn reconnects(client: &Client) -> u64 {
    client.core().view().venues.iter().map(|v| v.reconnects).sum()
}

fn errors(client: &Client) -> u64 {
    client.core().view().errors
}

type Metric = fn(&Client) -> u64;

/// A fault that costs one symbol its book at `venue`: noticed by `metric`; repaired after `at_least` at the earliest and ten seconds
/// later at the latest; the others stay Live and stream and trade on.
fn one_symbol(rows: &str, venue: Venue, metric: Metric, at_least: Duration) -> Client {
    let mut client = session(rows);
    let before = metric(&client);
    client.run_until("the book is in use no more", s(3), |c| state(c, venue) != "live");
    let noticed = client.now();
    client.run_until("the metric", s(2), |c| {
        // The view is refreshed each second.
        metric(c) > before || state(c, venue) == "live"
    });
    let frames = client.frames;
    client.run_until("the book is back", at_least + s(10), |c| {
        assert!(others_live(c), "another symbol suffers");
        state(c, venue) == "live"
    });
    let repaired = client.now();
    assert!(repaired - noticed >= at_least, "repaired after {:?}", repaired - noticed);
    if at_least > s(1) {
        for v in Venue::ALL {
            assert!(client.frames[v.index()] > frames[v.index()] + 10, "{v} does not stream on");
        }
        let traded = orders(&client, OTHER, noticed);
        assert!(!traded.is_empty(), "the other symbol was not traded during the repair");
    }
    client.run(s(12).saturating_sub(repaired - BEGIN));
    assert!(metric(&client) > before, "nothing counted it");
    let traded = orders(&client, AFFECTED, noticed);
    assert!(
        traded.iter().all(|at| *at >= repaired),
        "traded without a book: {traded:?}, back at {repaired:?}"
    );
    assert!(!traded.is_empty(), "never traded again, so that nothing shows that it was held back");
    equal(client, 2 * SYMBOLS)
}

fn equal(mut client: Client, books: usize) -> Client {
    assert_eq!(client.compare(), books, "not every book is Live afterwards");
    client
}

/// A fault of all of a venue: noticed by `metric`, nothing at all is traded until it is over.
fn whole_venue(rows: &str, venue: Venue, metric: Metric, at_least: Duration) -> Client {
    let mut client = session(rows);
    let before = metric(&client);
    let frames = client.frames;
    client.run_until("no book is in use", s(20), |c| c.live(venue) == 0);
    // Without a word of the venue it takes three seconds until its health says so.
    let noticed = client.now().min(BEGIN + s(4));
    client.run_until("every book is back", at_least + s(30), |c| {
        assert_eq!(c.live(venue.other()), SYMBOLS, "the other venue suffers");
        c.live(venue) == SYMBOLS
    });
    let repaired = client.now();
    assert!(repaired - BEGIN >= at_least, "repaired after {:?}", repaired - BEGIN);
    let other = venue.other().index();
    if repaired - BEGIN > s(1) {
        assert!(client.frames[other] > frames[other] + 10, "the other venue does not stream on");
    }
    client.run(s(5));
    assert!(metric(&client) > before, "nothing counted it");
    for name in [AFFECTED, OTHER] {
        let traded = orders(&client, name, noticed);
        assert!(
            traded.iter().all(|at| *at >= repaired),
            "{name}: traded without a book: {traded:?} {repaired:?}"
        );
    }
    equal(client, 2 * SYMBOLS)
}

/// A fault that must cost nothing: every book stays Live, and the affected symbol is traded.
fn harmless(rows: &str, fault: Fault) -> Client {
    let mut client = session(rows);
    let (resynced, lost) = (resyncs(&client), reconnects(&client));
    let until = client.now() + s(10);
    while client.now() < until {
        client.run(Duration::from_millis(50));
        for venue in Venue::ALL {
            assert_eq!(client.live(venue), SYMBOLS, "{venue} lost a book to what is harmless");
        }
    }
    assert!(client.exchange.met(fault) > 0, "it never happened");
    assert_eq!((resyncs(&client), reconnects(&client)), (resynced, lost));
    assert!(!orders(&client, AFFECTED, BEGIN).is_empty(), "not traded any more");
    equal(client, 2 * SYMBOLS)
}

/// Snapshots of the affected symbol take so long that its repair can be watched.
const SLOWLY: &str = "-1000 kind = 'snapshot_slow'; asset = 'BTC'; ms = 3500; lasts_ms = 4000";

#[test]
fn missing_diff() {
    harness::gives_way();
    one_symbol(
        &format!("{SLOWLY}\n0 kind = 'drop_diffs'; asset = 'BTC'; count = 1"),
        Venue::Binance,
        resyncs,
        s(3),
    );
}

#[test]
fn duplicated_diff() {
    harness::gives_way();
    harmless("0 kind = 'duplicate_diffs'; asset = 'BTC'; lasts_ms = 8000", Fault::DuplicateDiffs);
}

#[test]
fn reordered_diffs() {
    harness::gives_way();
    let rows = format!("{SLOWLY}\n0 kind = 'reorder_diffs'; asset = 'BTC'; count = 1");
    one_symbol(&rows, Venue::Binance, resyncs, s(3));
}

/// How often the journal says that a snapshot came to nothing, in these words.
fn said(client: &Client, words: &str) -> usize {
    client.notes().iter().filter(|text| text.contains(words)).count()
}

#[test]
fn snapshot_older_than_the_first_diff() {
    harness::gives_way();
    let rows = "-1000 kind = 'old_snapshot'; asset = 'BTC'; lasts_ms = 5000\n0 kind = 'drop_diffs'; asset = 'BTC'; count = 1";
    let client = one_symbol(rows, Venue::Binance, resyncs, s(3));
    let times =
        said(&client, "the snapshot of BTC on binance does not fit: snapshot older than the first diff");
    assert!((3..=6).contains(&times), "asked again {times} times in four seconds");
}

#[test]
fn snapshot_refused_with_429() {
    harness::gives_way();
    let rows = "-1000 kind = 'snapshot_refused'; asset = 'BTC'; lasts_ms = 5000\n0 kind = 'drop_diffs'; asset = 'BTC'; count = 1";
    let client = one_symbol(rows, Venue::Binance, resyncs, s(3));
    assert!(said(&client, "the snapshot of BTC on binance failed with status 429") >= 3);
    assert!(client.exchange.met(Fault::SnapshotRefused) <= 5, "asked faster than the venue allows");
}

#[test]
fn snapshot_refused_with_418() {
    harness::gives_way();
    let rows = "-1000 kind = 'snapshot_banned'; asset = 'BTC'; lasts_ms = 5000\n0 kind = 'drop_diffs'; asset = 'BTC'; count = 1";
    let client = one_symbol(rows, Venue::Binance, resyncs, s(3));
    assert!(said(&client, "the snapshot of BTC on binance failed with status 418") >= 1);
    assert_eq!(client.exchange.met(Fault::SnapshotBanned), 1, "asked during the ban");
}

#[test]
fn snapshot_failed_with_500() {
    harness::gives_way();
    let rows = "-1000 kind = 'snapshot_down'; asset = 'BTC'; lasts_ms = 5000\n0 kind = 'drop_diffs'; asset = 'BTC'; count = 1";
    let client = one_symbol(rows, Venue::Binance, resyncs, s(3));
    assert!(said(&client, "the snapshot of BTC on binance failed with status 500") >= 3);
}

#[test]
fn snapshot_too_slow() {
    harness::gives_way();
    let rows = "-1000 kind = 'snapshot_slow'; asset = 'BTC'; ms = 9000; lasts_ms = 2000\n0 kind = 'drop_diffs'; asset = 'BTC'; count = 1";
    let client = one_symbol(rows, Venue::Binance, resyncs, s(4));
    assert!(said(&client, "the snapshot of BTC on binance failed with status 0") >= 1);
}

#[test]
fn sockets_closed() {
    harness::gives_way();
    whole_venue("0 kind = 'close'; venue = 'upbit'", Venue::Upbit, reconnects, Duration::ZERO);
    whole_venue("0 kind = 'close'; venue = 'binance'", Venue::Binance, reconnects, Duration::ZERO);
}

#[test]
fn sockets_reset() {
    harness::gives_way();
    whole_venue("0 kind = 'reset'; venue = 'upbit'", Venue::Upbit, reconnects, Duration::ZERO);
    whole_venue("0 kind = 'reset'; venue = 'binance'", Venue::Binance, reconnects, Duration::ZERO);
}

#[test]
fn sockets_half_open() {
    harness::gives_way();
    whole_venue("0 kind = 'half_open'; venue = 'upbit'", Venue::Upbit, reconnects, s(5));
    whole_venue("0 kind = 'half_open'; venue = 'binance'", Venue::Binance, reconnects, s(5));
}

#[test]
fn day_close() {
    harness::gives_way();
    whole_venue("0 kind = 'day_close'", Venue::Binance, reconnects, Duration::ZERO);
}

#[test]
fn server_shutdown() {
    harness::gives_way();
    let mut client = session("0 kind = 'server_shutdown'");
    let before = reconnects(&client);
    // The client goes at once, and is not there any more when the venue closes.
    client.run(s(15));
    assert_eq!(reconnects(&client), before + 1);
    assert!(!orders(&client, AFFECTED, BEGIN).is_empty(), "not traded any more");
    equal(client, 2 * SYMBOLS);
}

#[test]
fn silent_venue() {
    harness::gives_way();
    for venue in Venue::ALL {
        let mut client = session(&format!("0 kind = 'silent'; venue = '{venue}'; lasts_ms = 9000"));
        let frames = client.frames;
        let seen = health_until(&mut client, venue, BEGIN + s(9));
        assert!(seen.contains(&"down"), "{venue}: {seen:?}");
        let other = venue.other().index();
        assert!(client.frames[other] > frames[other] + 100, "the other venue does not stream on");
        let late = orders(&client, AFFECTED, BEGIN + s(4));
        assert!(late.is_empty(), "{venue} is silent and traded: {late:?}");
        client.run(s(15));
        assert_eq!(client.core().view().venues[venue.index()].health, "healthy");
        assert_eq!(reconnects(&client), 0, "{venue} answers pings: the socket is kept");
        equal(client, 2 * SYMBOLS);
    }
}

#[test]
fn pings_unanswered() {
    harness::gives_way();
    // Data is a sign of life: a venue that only forgets its pongs is kept.
    let client = session("0 kind = 'ping_unanswered'; lasts_ms = 30000");
    let mut client = client;
    client.run(s(40));
    assert_eq!(reconnects(&client), 0);
    assert!(!orders(&client, AFFECTED, BEGIN).is_empty());
    equal(client, 2 * SYMBOLS);
    // One that sends nothing either is given up.
    for venue in Venue::ALL {
        let rows = format!(
            "0 kind = 'ping_unanswered'; venue = '{venue}'; lasts_ms = 20000\n0 kind = 'silent'; venue = '{venue}'; lasts_ms = 20000"
        );
        whole_venue(&rows, venue, reconnects, s(5));
    }
}

/// The venue's worst health until `until`, and whether anything was entered from `held` on.
fn health_until(client: &mut Client, venue: Venue, until: Duration) -> Vec<&'static str> {
    let mut seen = Vec::new();
    while client.now() < until {
        client.run(Duration::from_millis(250));
        let health = client.core().view().venues[venue.index()].health;
        if seen.last() != Some(&health) {
            seen.push(health);
        }
    }
    seen
}

#[test]
fn frozen_books_with_a_living_socket() {
    harness::gives_way();
    for venue in Venue::ALL {
        let mut client = session(&format!("0 kind = 'freeze'; venue = '{venue}'; lasts_ms = 30000"));
        let seen = health_until(&mut client, venue, BEGIN + s(29));
        assert!(seen.iter().any(|h| matches!(*h, "down" | "frozen")), "{venue}: {seen:?}");
        let late = orders(&client, AFFECTED, BEGIN + s(4));
        assert!(late.is_empty(), "{venue} is frozen and traded: {late:?}");
        assert_eq!(reconnects(&client), 0, "{venue}: the socket lives");
        client.run(s(10));
        assert_eq!(client.core().view().venues[venue.index()].health, "healthy");
        equal(client, 2 * SYMBOLS);
    }
}

#[test]
fn crossed_book() {
    harness::gives_way();
    let rows = format!("{SLOWLY}\n0 kind = 'crossed'; venue = 'binance'; asset = 'BTC'; count = 1");
    one_symbol(&rows, Venue::Binance, resyncs, s(3));
    let rows = "0 kind = 'crossed'; venue = 'upbit'; asset = 'BTC'; lasts_ms = 4000";
    let broken: Metric = |c| c.core().view().venues[0].books[3].into();
    one_symbol(rows, Venue::Upbit, |c| u64::from(c.now() > BEGIN), s(3));
    let mut client = session(rows);
    client.run(s(3));
    assert_eq!((broken(&client), state(&client, Venue::Upbit)), (1, "broken"));
}

#[test]
fn price_0_padding() {
    harness::gives_way();
    let mut client = session("0 kind = 'zero_padding'; asset = 'BTC'; lasts_ms = 8000");
    client.run(s(4));
    let [bids, asks] = client.core().levels(asset(AFFECTED), Venue::Upbit).unwrap();
    assert_eq!((bids.len(), asks.len()), (15, 3));
    assert!(bids.iter().chain(&asks).all(|level| level.price.0 > 0 && level.quantity.0 > 0));
    harmless("0 kind = 'zero_padding'; asset = 'BTC'; lasts_ms = 8000", Fault::ZeroPadding);
}

#[test]
fn malformed_frame() {
    harness::gives_way();
    let rows = format!("{SLOWLY}\n0 kind = 'malformed'; venue = 'binance'; asset = 'BTC'; count = 1");
    let client = one_symbol(&rows, Venue::Binance, resyncs, s(3));
    assert!(errors(&client) > 0);
    let client =
        harmless("0 kind = 'malformed'; venue = 'upbit'; asset = 'BTC'; count = 1", Fault::Malformed);
    assert_eq!(errors(&client), 1);
}

#[test]
fn truncated_frame() {
    harness::gives_way();
    let rows = format!("{SLOWLY}\n0 kind = 'truncated'; venue = 'binance'; asset = 'BTC'; count = 1");
    let client = one_symbol(&rows, Venue::Binance, resyncs, s(3));
    assert!(errors(&client) > 0);
    let client =
        harmless("0 kind = 'truncated'; venue = 'upbit'; asset = 'BTC'; count = 1", Fault::Truncated);
    assert_eq!(errors(&client), 1);
}

#[test]
fn huge_frame() {
    harness::gives_way();
    for venue in Venue::ALL {
        let rows = format!("0 kind = 'huge'; venue = '{venue}'; asset = 'BTC'; count = 1");
        whole_venue(&rows, venue, reconnects, Duration::ZERO);
    }
}

#[test]
fn frames_of_a_symbol_that_nobody_asked_for() {
    harness::gives_way();
    let client = harmless("0 kind = 'stray_frames'; lasts_ms = 8000", Fault::StrayFrames);
    assert_eq!(errors(&client), 0);
    assert_eq!(client.core().book_state(asset("ZZZZ"), Venue::Binance), None);
}

#[test]
fn unknown_symbol() {
    harness::gives_way();
    for venue in Venue::ALL {
        // The connection is lost, and the new subscription of one symbol is met with silence.
        let rows = format!(
            "0 kind = 'unknown_symbol'; venue = '{venue}'; asset = 'BTC'; lasts_ms = 12000\n100 kind = 'close'; venue = '{venue}'"
        );
        let mut client = session(&rows);
        client.run(s(11));
        assert_ne!(state(&client, venue), "live", "{venue} said nothing of it");
        assert!(others_live(&client), "{venue}");
        assert!(orders(&client, AFFECTED, BEGIN + Duration::from_millis(150)).is_empty(), "{venue}");
        assert!(!orders(&client, OTHER, BEGIN).is_empty(), "{venue}: the other symbol is not traded");
        client.run(s(30));
        equal(client, 2 * SYMBOLS);
    }
}

/// A subscription replaces the one before: a code that the venue does not know at that moment is dropped without a word, on a
/// connection that goes on. The book that stands there is no market.
#[test]
fn a_code_that_a_new_subscription_drops() {
    harness::gives_way();
    let mut client = session("0 kind = 'unknown_symbol'; venue = 'upbit'; asset = 'BTC'; lasts_ms = 25000");
    client.run(Duration::from_millis(100));
    // A member leaves, so the set is asked for anew; the affected code still streams until then.
    assert_eq!(state(&client, Venue::Upbit), "live");
    client.rank(|a| a != asset("XRP"));
    let dropped = client.now();
    assert_eq!(state(&client, Venue::Upbit), "stale", "nothing has shown yet that it is still subscribed to");
    let rest = |c: &Client| {
        let rest = c.assets().into_iter().filter(|a| ![asset(AFFECTED), asset("XRP")].contains(a));
        rest.into_iter().all(|a| Venue::ALL.iter().all(|v| c.core().book_state(a, *v) == Some("live")))
    };
    client.run_until("the others are back", s(1), rest);
    let frames = client.frames;
    // The gap of the affected symbol is open meanwhile.
    client.run(s(14));
    assert!(rest(&client), "another symbol suffers");
    assert_eq!(state(&client, Venue::Upbit), "stale");
    assert!(client.frames.iter().zip(frames).all(|(now, then)| *now > then + 100), "the others stream on");
    assert!(orders(&client, AFFECTED, dropped).is_empty(), "traded on a book that nothing keeps up to date");
    assert!(!orders(&client, OTHER, dropped).is_empty(), "the other symbol is not traded");
    client.run_until("the metric", s(4), |c| c.core().view().venues[0].silent == 1);
    assert_eq!(reconnects(&client), 0);
    // Known again: a later subscription brings it back.
    client.run_until("the book is back", s(60), |c| state(c, Venue::Upbit) == "live");
    client.run(s(3));
    assert_eq!(client.core().view().venues[0].silent, 0);
    client.rank(|_| true);
    client.run(s(10));
    equal(client, 2 * SYMBOLS);
}

/// The members without the affected one, as a refresh of the universe hands them over, and all of them.
fn refresh(client: &mut Client, all: bool) {
    client.refresh(|a| all || a != asset(AFFECTED));
}

#[test]
fn halt() {
    harness::gives_way();
    let mut client = session("0 kind = 'halt'; asset = 'BTC'; lasts_ms = 15000");
    client.run(Duration::from_millis(100));
    let info = client.exchange.get(Venue::Binance, "/api/v3/exchangeInfo", &[("symbol", "BTCUSDT")]);
    assert!(info.body.contains(r#""status":"HALT""#), "{}", info.body);
    refresh(&mut client, false);
    client.run(s(12));
    assert!(orders(&client, AFFECTED, BEGIN).is_empty(), "a halted market was traded");
    assert!(!orders(&client, OTHER, BEGIN).is_empty());
    client.run(s(4));
    refresh(&mut client, true);
    equal(client, 2 * SYMBOLS);
}

#[test]
fn a_market_leaves_the_list() {
    harness::gives_way();
    let mut client = session("0 kind = 'delist'; asset = 'BTC'; lasts_ms = 15000");
    client.run(Duration::from_millis(100));
    let markets = client.exchange.get(Venue::Upbit, "/v1/market/all", &[]);
    assert!(!markets.body.contains("KRW-BTC") && markets.body.contains("KRW-ETH"));
    let info = client.exchange.get(Venue::Binance, "/api/v3/depth", &[("symbol", "BTCUSDT")]);
    assert_eq!(info.status, 400);
    refresh(&mut client, false);
    client.run(s(12));
    assert!(orders(&client, AFFECTED, BEGIN).is_empty(), "a market that left was traded");
    assert!(!orders(&client, OTHER, BEGIN).is_empty());
    client.run(s(4));
    refresh(&mut client, true);
    client.run(s(5));
    equal(client, 2 * SYMBOLS);
}

#[test]
fn timestamps_backwards() {
    harness::gives_way();
    harmless("0 kind = 'time_backwards'; asset = 'BTC'; lasts_ms = 8000", Fault::TimeBackwards);
}

#[test]
fn timestamps_skewed() {
    harness::gives_way();
    for ms in [-2_000, 2_000] {
        let rows = format!("0 kind = 'time_skew'; ms = {ms}; lasts_ms = 8000");
        let mut client = session(&rows);
        client.run(s(20));
        assert!(client.exchange.met(Fault::TimeSkew) > 0);
        assert_eq!((reconnects(&client), resyncs(&client)), (0, 0));
        equal(client, 2 * SYMBOLS);
    }
}

#[test]
fn a_price_spike_of_30_percent() {
    harness::gives_way();
    for target in ["venue = 'upbit'; ", "venue = 'binance'; ", ""] {
        let mut client = session(&format!("0 kind = 'spike'; {target}asset = 'BTC'; lasts_ms = 7000"));
        client.run(s(8));
        let guarded: Vec<&str> = client
            .entries()
            .iter()
            .filter_map(|entry| match &entry.body {
                Body::Guard(guard) if guard.start && guard.scope.starts_with(AFFECTED) => {
                    Some(guard.rule.as_str())
                }
                _ => None,
            })
            .collect();
        let traded: Vec<_> =
            orders(&client, AFFECTED, BEGIN).into_iter().filter(|at| *at < BEGIN + s(7)).collect();
        // On both venues at once the price is the price: the guard halves the size. On one of them it is no price.
        assert!(guarded.contains(&"volatility"), "{target}: {guarded:?}");
        assert!(target.is_empty() || traded.is_empty(), "{target} traded into a spike: {traded:?}");
        assert!(!orders(&client, OTHER, BEGIN).is_empty(), "{target} the other symbol is not traded");
        client.run(s(5));
        equal(client, 2 * SYMBOLS);
    }
}

#[test]
fn latency_up_just_when_the_price_jumps() {
    harness::gives_way();
    // Binance shows the jump late: whoever compares the two books sees a gap that is not there.
    let mut client = session(
        "0 kind = 'jump_latency'; venue = 'binance'; ms = 1500; lasts_ms = 20000\n0 kind = 'spike'; asset = 'SOL'; venue = 'upbit'; bps = 100; lasts_ms = 20000",
    );
    let seen = health_until(&mut client, Venue::Binance, BEGIN + s(20));
    assert!(seen.contains(&"down"), "a second and a half of latency: {seen:?}");
    assert!(client.exchange.met(Fault::JumpLatency) > 0);
    client.run(s(30));
    assert_eq!(client.core().view().venues[1].health, "healthy");
    // What was entered before it was noticed met the book of its arrival, not the one that was shown.
    let earned: Vec<_> = client
        .entries()
        .iter()
        .filter_map(|entry| match entry.body {
            Body::Closed { asset: of, net_usd, .. } if of == asset("SOL") => Some(net_usd),
            _ => None,
        })
        .collect();
    assert!(earned.iter().all(|net| *net <= Money::ZERO), "earned by a gap that was not there: {earned:?}");
    equal(client, 2 * SYMBOLS);
}

#[test]
fn everything_cut_off() {
    harness::gives_way();
    let mut client = session("0 kind = 'cut'; lasts_ms = 6000");
    client.run_until("no book is in use", s(2), |c| Venue::ALL.iter().all(|v| c.live(*v) == 0));
    let noticed = client.now();
    client.come_up();
    assert!(client.now() - noticed > s(4));
    client.run(s(2));
    let traded = orders(&client, AFFECTED, noticed);
    assert!(traded.iter().all(|at| *at >= BEGIN + s(6)), "{traded:?}");
    assert!(reconnects(&client) >= 2);
    equal(client, 2 * SYMBOLS);
}

#[test]
fn rest_refused_banned_down_and_slow() {
    harness::gives_way();
    for kind in ["rest_refused", "rest_banned", "rest_down", "rest_slow"] {
        let mut client = session(&format!(
            "-1000 kind = '{kind}'; lasts_ms = 8000\n0 kind = 'drop_diffs'; asset = 'BTC'; count = 1"
        ));
        client.run_until("the book is in use no more", s(3), |c| state(c, Venue::Binance) != "live");
        let noticed = client.now();
        client.run_until("the book is back", s(30), |c| {
            assert!(others_live(c), "{kind}: another symbol suffers");
            state(c, Venue::Binance) == "live"
        });
        let repaired = client.now();
        let early: Vec<_> =
            orders(&client, AFFECTED, noticed).into_iter().filter(|at| *at < repaired).collect();
        assert!(early.is_empty(), "{kind}: traded without a book: {early:?}");
        equal(client, 2 * SYMBOLS);
    }
}

#[test]
fn a_fault_that_makes_no_sense_is_refused_with_what_to_do() {
    harness::gives_way();
    let mut client = session("");
    for (injection, word) in [
        (Injection::of(Fault::Halt), "needs a symbol"),
        (Injection::of(Fault::Silent).to(asset("NOPE")), "not traded here"),
        (Injection::of(Fault::Halt).to(Asset::USDT), "not traded at that venue"),
        (Injection::of(Fault::Close).times(2), "at once"),
    ] {
        let said = client.exchange.inject(injection).unwrap_err();
        assert!(said.contains(word), "{said}");
    }
}
