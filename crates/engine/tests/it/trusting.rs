//! For what share of the time the books were trusted: an outage of known length gives the known share.

use crate::driver::Driver;
use engine::{Config, replay};
use journal::record::{BookCondition, TrustShares};
use journal::{Body, Entry};
use market::Venue;
use recording::Input;
use std::collections::BTreeMap;

const S: i64 = 1_000_000_000;

fn shares(entries: &[Entry]) -> Vec<TrustShares> {
    let trust = |entry: &Entry| match &entry.body {
        Body::Trust(shares) => Some((**shares).clone()),
        _ => None,
    };
    entries.iter().filter_map(trust).collect()
}

/// The sums of a symbol over all records, and the span that they cover; every record's own sums are checked.
fn sums(d: &Driver, name: &str) -> ([BTreeMap<BookCondition, i64>; 2], i64, i64) {
    let (mut times, mut both, mut span) = (<[BTreeMap<BookCondition, i64>; 2]>::default(), 0, 0);
    for entry in &d.entries {
        let Body::Trust(shares) = &entry.body else { continue };
        if shares.asset.as_str() != name {
            continue;
        }
        let own = entry.at.since(shares.from);
        for venue in Venue::ALL {
            assert_eq!(shares.of(venue).values().sum::<i64>(), own, "the times add up to the span");
            for (condition, ns) in shares.of(venue) {
                *times[venue.index()].entry(*condition).or_default() += ns;
            }
        }
        both += shares.both_ns;
        span += own;
    }
    (times, both, span)
}

/// Frames of everything four times a second; every book changes with each.
fn idle(d: &mut Driver, seconds: i64) {
    for _ in 0..seconds * 4 {
        d.wait_ms(250);
        stir(d);
        d.fx();
        for i in 0..d.names.len() {
            d.both(i);
        }
    }
}

fn stir(d: &mut Driver) {
    d.size.iter_mut().for_each(|size| *size = if *size > 1_000.0 { 1_000.0 } else { 1_001.0 });
}

fn ended(d: &mut Driver) {
    d.input(Input::Shutdown);
    assert!(d.end().is_some());
}

#[test]
fn an_outage_of_known_length_gives_the_known_share() {
    let mut d = Driver::new(&["AAA", "BBB"], &Config::default());
    let joined = d.entries.iter().find(|e| matches!(e.body, Body::Universe { .. })).unwrap().at;
    idle(&mut d, 30);
    // Binance's connection is gone for 12 s; Upbit's goes on.
    d.input(Input::ConnDown { conn: 2, venue: Venue::Binance, reason: "planted".to_owned() });
    for _ in 0..48 {
        d.wait_ms(250);
        stir(&mut d);
        d.fx();
        d.upbit(0);
        d.upbit(1);
    }
    d.input(Input::ConnUp { conn: 2, venue: Venue::Binance });
    d.both(0);
    d.wait_ms(500);
    d.both(1);
    idle(&mut d, 80);
    ended(&mut d);
    let whole = d.entries.last().unwrap().at.since(joined);
    let (times, both, span) = sums(&d, "AAA");
    assert_eq!(span, whole, "no instant is left out");
    let [upbit, binance] = &times;
    assert_eq!(binance.get(&BookCondition::Disconnected), Some(&(12 * S)), "{binance:?}");
    assert_eq!(binance.get(&BookCondition::Resyncing), None, "the snapshot came with the first diff");
    assert_eq!(upbit.keys().collect::<Vec<_>>(), [&BookCondition::Trusted], "{upbit:?}");
    // Health is judged once a second: it finds within one that the venue is back.
    let found_late = binance.get(&BookCondition::VenueDown).copied().unwrap_or(0);
    assert!(found_late <= S, "{binance:?}");
    assert_eq!(both, whole - 12 * S - found_late);
    // The other symbol's first diff came half a second later.
    let (times, ..) = sums(&d, "BBB");
    assert_eq!(times[1].get(&BookCondition::Disconnected), Some(&(12 * S + S / 2)));
    let share = d.core.view().trust.iter().find(|(asset, _)| asset.as_str() == "AAA").unwrap().1.unwrap();
    assert!((share - both as f64 / whole as f64).abs() < 1e-9, "{share}");
    let told: i64 = d.core.view().venues.iter().map(|v| v.book_ns.iter().sum::<i64>()).sum();
    assert_eq!(told, 4 * whole, "two symbols on two venues");
}

#[test]
fn a_gap_a_crossed_book_and_a_frozen_venue_have_names_of_their_own() {
    let mut d = Driver::new(&["AAA"], &Config::default());
    idle(&mut d, 5);
    // Diffs are lost and the snapshot takes two seconds.
    let kept = d.touch[0].take();
    d.ids[0] += 7;
    let id = d.ids[0] + 1;
    d.ids[0] = id;
    let ms = d.at.as_millis();
    let diff = format!(
        r#"{{"e":"depthUpdate","E":{ms},"s":"AAAUSDT","U":{id},"u":{id},"b":[["9.9990","1000"]],"a":[["10.0010","1000"]]}}"#
    );
    d.frame(Venue::Binance, diff);
    d.wait_ms(2_000);
    d.touch[0] = kept;
    d.input(Input::ConnDown { conn: 2, venue: Venue::Binance, reason: "planted".to_owned() });
    d.input(Input::ConnUp { conn: 2, venue: Venue::Binance });
    idle(&mut d, 3);
    // Upbit's book is crossed for a second.
    let ms = d.at.as_millis() + 1;
    d.frame(
        Venue::Upbit,
        format!(
            r#"{{"type":"orderbook","code":"KRW-AAA","timestamp":{ms},"total_ask_size":1,"total_bid_size":1,"orderbook_units":[{{"ask_price":13000,"bid_price":14000,"ask_size":1,"bid_size":1}}],"stream_type":"REALTIME","level":0}}"#
        ),
    );
    d.wait_ms(1_000);
    d.both(0);
    idle(&mut d, 2);
    // Binance lives (the answers come) and no book moves for 15 s: found after 10 s.
    for _ in 0..60 {
        d.wait_ms(250);
        stir(&mut d);
        d.fx();
        d.upbit(0);
        d.input(Input::Alive { conn: 2 });
    }
    idle(&mut d, 3);
    ended(&mut d);
    let ([upbit, binance], ..) = sums(&d, "AAA");
    assert_eq!(binance.get(&BookCondition::Repairing), Some(&(2 * S)), "{binance:?}");
    assert_eq!(upbit.get(&BookCondition::Crossed), Some(&S), "{upbit:?}");
    let down = |c| binance.get(&c).copied().unwrap_or(0);
    let frozen = down(BookCondition::VenueFrozen) + down(BookCondition::VenueDown);
    assert!(frozen >= 4 * S, "{binance:?}");
}

#[test]
fn a_replay_gives_the_same_times() {
    let mut d = Driver::new(&["AAA"], &Config::default());
    idle(&mut d, 65);
    ended(&mut d);
    let mut again = Vec::new();
    replay(d.records.iter().cloned(), |entry| again.push(entry)).unwrap();
    assert_eq!(shares(&again), shares(&d.entries));
    assert!(shares(&again).len() >= 2);
}
