//! Streams that go wrong: what the venue's best quotes say against a book, codes that stay silent, clocks that differ or stand
//! still, snapshots that fail; each with its repair.

use crate::driver::{Driver, START};
use engine::{Config, Core, Effect};
use journal::Body;
use market::{Timestamp, Venue};
use recording::Input;

fn notes(d: &Driver, part: &str) -> Vec<String> {
    d.find(|body| match body {
        Body::Note { text, .. } if text.contains(part) => Some(text.clone()),
        _ => None,
    })
}

fn live(core: &Core) -> [u32; 2] {
    [0, 1].map(|v| core.view().venues[v].books[1])
}

/// The venue's best quote of a symbol; `size` is what the book shows when they agree.
fn quote(d: &mut Driver, i: usize, size: f64) {
    let (bid, ask) = d.touch[i].clone().unwrap();
    let (id, name) = (d.ids[i], d.names[i]);
    let text = format!(r#"{{"u":{id},"s":"{name}USDT","b":"{bid}","B":"{size}","a":"{ask}","A":"{size}"}}"#);
    d.frame(Venue::Binance, text);
}

#[test]
fn a_book_that_differs_from_the_venues_quotes_for_long_starts_over() {
    let mut d = Driver::new(&["AAA", "BBB"], &Config::default());
    for _ in 0..40 {
        d.wait_ms(250);
        d.fx();
        for i in 0..2 {
            d.both(i);
            quote(&mut d, i, 1_000.0);
        }
    }
    assert_eq!(d.core.view().venues[1].mismatches, 0, "quotes that agree");
    // A change that never reached us, although no id is missing: the venue shows 700, we show 1 000.
    for step in 0..20 {
        d.wait_ms(250);
        d.fx();
        for i in 0..2 {
            d.both(i);
            quote(&mut d, i, if i == 0 { 700.0 } else { 1_000.0 });
        }
        if step == 8 {
            assert_eq!(d.core.view().venues[1].mismatches, 0, "not yet lasting");
        }
    }
    let view = d.core.view();
    assert_eq!((view.venues[1].mismatches, view.venues[1].resyncs), (1, 1));
    assert_eq!(notes(&d, "binance AAA starts over: its touch differs").len(), 1);
    assert!(d.alerts().contains(&"BOOK-RESYNC".to_owned()));
    // The snapshot brings what the venue has.
    d.size[0] = 700.0;
    for _ in 0..20 {
        d.wait_ms(250);
        d.fx();
        for i in 0..2 {
            d.both(i);
            let size = d.size[i];
            quote(&mut d, i, size);
        }
    }
    assert_eq!(live(&d.core), [2, 2]);
    assert!(d.core.view().venues[1].mismatches <= 2);
    let before = d.core.view().venues[1].mismatches;
    for _ in 0..40 {
        d.wait_ms(250);
        d.fx();
        (0..2).for_each(|i| d.both(i));
        quote(&mut d, 0, 700.0);
    }
    assert_eq!(d.core.view().venues[1].mismatches, before);
}

#[test]
fn diffs_that_stop_while_the_quotes_go_on_take_the_book_out_of_use() {
    let mut d = Driver::new(&["AAA", "BBB"], &Config::default());
    for _ in 0..20 {
        d.wait_ms(250);
        d.fx();
        d.both(1);
        d.upbit(0);
        d.ids[0] += 1;
        quote(&mut d, 0, 1_000.0);
    }
    assert_eq!(d.core.view().venues[1].mismatches, 1);
    assert_eq!(live(&d.core), [2, 1]);
    // No loop of snapshots: it waits for the diffs.
    d.idle(1);
    assert_eq!(live(&d.core), [2, 2]);
}

#[test]
fn a_code_that_is_met_with_silence_is_named_counted_and_asked_for_again() {
    let mut d = Driver::bare(&["AAA", "NOPE"], &Config::default());
    d.up();
    d.candles();
    for _ in 0..4 * 60 {
        d.wait_ms(250);
        d.fx();
        d.both(0);
    }
    let view = d.core.view();
    assert_eq!([view.venues[0].silent, view.venues[1].silent], [1, 1]);
    assert_eq!(notes(&d, "upbit has sent nothing for KRW-NOPE in 15 s").len(), 1);
    assert_eq!(notes(&d, "binance has sent nothing for NOPEUSDT in 15 s").len(), 1);
    let again = d.effects.iter().filter(|e| matches!(e, Effect::Resubscribe { venue: Venue::Upbit })).count();
    assert_eq!(again, 2, "after 15 s and after 30 s more");
    d.idle(2);
    assert_eq!(d.core.view().venues[0].silent, 0);
    assert_eq!(live(&d.core), [2, 2]);
}

/// Venue clocks hours ahead or behind change nothing but the times they write: the books live, and the decisions are the same.
#[test]
fn venue_times_ahead_of_or_behind_the_local_clock_harm_nothing() {
    let run = |ahead_ms: [i64; 2]| {
        let mut d = Driver::bare(&["AAA", "BBB"], &Config::default());
        d.ahead_ms = ahead_ms;
        d.warm();
        d.idle(20);
        assert_eq!(live(&d.core), [2, 2], "{ahead_ms:?}");
        d.premium[0] = 150.0;
        d.idle(5);
        d.premium[0] = 0.0;
        d.idle(30);
        assert_eq!(live(&d.core), [2, 2], "{ahead_ms:?}");
        let view = d.core.view();
        assert_eq!((view.errors, view.clamped), (0, 0));
        (d.decisions(), d.closed())
    };
    let level = run([0, 0]);
    assert!(level.0 > 0 && !level.1.is_empty(), "{level:?}");
    for ahead in
        [[1_270, 0], [0, 1_270], [-1_270, -1_270], [3_600_000, -3_600_000], [-86_400_000, 86_400_000]]
    {
        assert_eq!(run(ahead), level, "{ahead:?}");
    }
}

#[test]
fn a_venue_time_that_stands_still_makes_its_books_stale_until_it_moves() {
    let mut d = Driver::new(&["AAA", "BBB"], &Config::default());
    d.idle(3);
    for _ in 0..4 * 15 {
        d.wait_ms(250);
        // Frames go on, and Binance's clock does not.
        d.ahead_ms[1] -= 250;
        d.fx();
        (0..2).for_each(|i| d.both(i));
    }
    assert_eq!(live(&d.core), [2, 0]);
    assert!(d.alerts().contains(&"WS-STALE".to_owned()));
    d.idle(3);
    assert_eq!(live(&d.core), [2, 2]);
    // One message of the far future stops nothing.
    d.ahead_ms[0] += 3_600_000;
    d.upbit(0);
    d.ahead_ms[0] -= 3_600_000;
    d.idle(30);
    assert_eq!(live(&d.core), [2, 2]);
}

/// A core whose snapshots all fail, and when it asks.
#[test]
fn failed_snapshots_are_asked_for_at_growing_distances_that_differ_from_book_to_book() {
    let asked = |seed: u64| {
        let config = Config { seed, ..Config::default() };
        let mut d = Driver::bare(&["AAA", "BBB"], &config);
        d.meddled = true;
        let mut asked: Vec<Vec<i64>> = vec![Vec::new(); 2];
        d.up();
        d.touch = vec![None; 2];
        let mut seq = d.records.len() as u64;
        let mut out = Vec::new();
        for ms in 0..120_000i64 {
            let at = Timestamp::from_millis(START * 1_000 + ms);
            let mut inputs = vec![Input::Tick];
            if ms == 0 {
                for name in ["AAA", "BBB"] {
                    let text =
                        format!(r#"{{"e":"depthUpdate","E":1,"s":"{name}USDT","U":1,"u":1,"b":[],"a":[]}}"#);
                    inputs.push(Input::Frame { conn: 2, payload: text.into_bytes().into() });
                }
            }
            while let Some(input) = inputs.pop() {
                seq += 1;
                d.core.apply(seq, at, &input, &mut out);
                for effect in out.drain(..) {
                    if let Effect::RequestSnapshot { venue, asset, epoch } = effect {
                        asked[usize::from(asset.as_str() == "BBB")].push(ms);
                        inputs.push(Input::SnapshotFailed {
                            venue,
                            asset,
                            epoch,
                            status: 500,
                            retry_after_ms: 0,
                        });
                        // An answer of an older epoch is ignored.
                        let old = epoch - 1;
                        inputs.push(Input::SnapshotFailed {
                            venue,
                            asset,
                            epoch: old,
                            status: 500,
                            retry_after_ms: 0,
                        });
                    }
                }
            }
        }
        asked
    };
    let times = asked(1);
    for of_book in &times {
        let waits: Vec<i64> = of_book.windows(2).map(|two| two[1] - two[0]).collect();
        assert!(waits[0] >= 750 && waits[0] <= 1_000, "{waits:?}");
        assert!(waits[4] >= 12_000 && waits.iter().all(|wait| *wait <= 30_000), "{waits:?}");
        assert!(waits.windows(2).take(4).all(|two| two[1] > two[0]), "{waits:?}");
    }
    assert_ne!(times[0], times[1], "books that fell together do not ask together");
    assert_eq!(times, asked(1), "the same seed draws the same");
    assert_ne!(times, asked(2));
}

#[test]
fn a_refused_subscription_is_named_with_its_next_step() {
    let mut d = Driver::new(&["AAA"], &Config::default());
    let mut out = Vec::new();
    let text = r#"{"error":{"name":"NO_CODES","message":"코드 필드가 존재하지 않습니다."}}"#;
    let seq = d.records.len() as u64 + 1;
    d.core.apply(seq, d.at, &Input::Frame { conn: 1, payload: text.as_bytes().into() }, &mut out);
    let said = out.iter().any(|effect| matches!(effect, Effect::Record(entry)
        if matches!(&entry.body, Body::Note { level, text } if level == "error" && text.contains("NO_CODES") && text.contains("universe"))));
    assert!(said, "{out:?}");
}

#[test]
fn lists_of_several_books_are_read() {
    let mut d = Driver::new(&["AAA", "BBB"], &Config::default());
    let ms = d.at.as_millis() + 5;
    let unit = |price: f64| format!(r#"{{"ap":{},"bp":{price},"as":3,"bs":4}}"#, price + 1.0);
    let book = |code: &str, price: f64| {
        format!(r#"{{"ty":"orderbook","cd":"{code}","tms":{ms},"obu":[{}],"st":"REALTIME"}}"#, unit(price))
    };
    let before = d.core.view().venues[0].messages;
    d.frame(Venue::Upbit, format!("[{},{}]", book("KRW-AAA", 14_000.0), book("KRW-BBB", 14_100.0)));
    assert_eq!(d.core.view().errors, 0);
    d.idle(1);
    assert!(d.core.view().venues[0].messages > before && live(&d.core) == [2, 2]);
}
