//! `assay record` against the local exchange: what it writes replays, in one piece and in parts.

use clap::Parser;
use market::{Book, Level, Side};
use runner::{RecordArgs, books::Books, info, record, replay_file};
use std::path::Path;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: RecordArgs,
}

fn args(words: &[&str]) -> RecordArgs {
    Line::try_parse_from(std::iter::once("record").chain(words.iter().copied())).unwrap().args
}

#[test]
fn a_recorded_market_has_no_gaps_and_replays_to_the_same_journal_twice() {
    let exchange = crate::live::Exchange::start();
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("assay.toml");
    std::fs::write(&config, &exchange.endpoints).unwrap();
    let out = folder.path().join("market");
    let words =
        ["--data-source", "local", "--duration-seconds", "6", "--rotate-mb", "1", "--status-seconds", "2"];
    let place =
        ["--config", config.to_str().unwrap(), "--out", out.to_str().unwrap(), "--symbols", "BTC,ETH,XRP"];
    assert_eq!(record(args(&[&words[..], &place[..]].concat())).unwrap(), 0);

    let seen = info::read(&out).unwrap();
    let text = info::render(&seen, true);
    println!("{text}");
    let counts = seen.books.counts();
    assert!(seen.problems.is_empty() && counts.gaps == 0 && counts.unreadable == 0, "{text}");
    assert!(counts.frames > 100 && counts.snapshots >= 3, "{text}");
    assert!(seen.books.binance_symbols().all(|(_, live)| live), "{text}");
    assert_eq!(seen.books.upbit_codes().count(), 4, "with the FX market: {text}");
    assert_eq!(seen.books.members().len(), 3);

    served_again(folder.path(), &out, &seen.books);

    let journal = folder.path().join("journal.log");
    let mut live = 0;
    let report = replay_file(&out, Some(&journal), None, |_| live += 1).unwrap();
    assert_eq!((report.inputs, report.problems.len(), report.removed), (seen.records, 0, 0));
    assert_eq!(replay_file(&out, None, Some(&journal), |_| {}).unwrap().records, report.records);
    // The folder is somebody's now.
    let error = record(args(&[&words[..], &place[..]].concat())).unwrap_err();
    assert_eq!(error.exit_code(), 64);
    let unknown = folder.path().join("other");
    let place =
        ["--config", config.to_str().unwrap(), "--out", unknown.to_str().unwrap(), "--symbols", "NOPE"];
    let error = record(args(&[&words[..], &place[..]].concat())).unwrap_err();
    assert!(error.to_string().contains("NOPE"), "{error}");
}

fn levels(book: &Book, depth: usize) -> [Vec<Level>; 2] {
    [Side::Bid, Side::Ask].map(|side| book.iter(side).take(depth).collect())
}

/// The recording as a market: the real clients sync with it without a gap, and end with the books that it ends with.
fn served_again(folder: &Path, recorded: &Path, books: &Books) {
    let path = recorded.to_owned();
    let exchange =
        crate::live::Exchange::playing(exchange::tape::Playing { path, speed: 2.0, looped: false });
    let config = folder.join("served.toml");
    std::fs::write(&config, &exchange.endpoints).unwrap();
    let out = folder.join("served");
    let words = ["--data-source", "local", "--duration-seconds", "7", "--symbols", "BTC,ETH,XRP"];
    let place = ["--config", config.to_str().unwrap(), "--out", out.to_str().unwrap()];
    assert_eq!(record(args(&[&words[..], &place[..]].concat())).unwrap(), 0);
    let served = info::read(&out).unwrap();
    let text = info::render(&served, true);
    println!("{text}");
    let counts = served.books.counts();
    assert_eq!((counts.gaps, counts.unreadable, counts.downs), (0, 0, 0), "{text}");
    for (symbol, _) in books.binance_symbols() {
        let (was, id) = books.binance(symbol).unwrap();
        let (is, last) = served.books.binance(symbol).unwrap_or_else(|| panic!("{symbol}: {text}"));
        assert_eq!(last, id, "{symbol}");
        // Snapshots ask for 500 levels a side.
        assert_eq!(levels(is, 100), levels(was, 100), "{symbol}");
    }
    for code in books.upbit_codes() {
        let (was, is) = (books.upbit(code).unwrap(), served.books.upbit(code).unwrap());
        assert_eq!(levels(is, 15), levels(was, 15), "{code}");
    }
}
