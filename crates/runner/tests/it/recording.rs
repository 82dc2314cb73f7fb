//! `assay record` against the local exchange: what it writes replays, in one piece and in parts.

use clap::Parser;
use market::{Book, Level, Side};
use runner::{RecordArgs, books::Books, info, record, replay_file};
use rustix::process::{Pid, Signal, kill_process};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

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

/// Not a test by itself: the recorder in a process of its own, for the ones below.
#[test]
#[ignore = "started as a child by the tests of signals"]
fn child() {
    let Ok(folder) = std::env::var("ASSAY_IT_FOLDER") else { return };
    let folder = Path::new(&folder);
    let (config, out) = (folder.join("assay.toml"), folder.join("market"));
    let place = ["--config", config.to_str().unwrap(), "--out", out.to_str().unwrap()];
    let words = ["--data-source", "local", "--symbols", "BTC,ETH,XRP", "--rotate-mb", "1"];
    assert_eq!(record(args(&[&words[..], &place[..]].concat())).unwrap(), 0);
}

/// Starts [`child`].
fn spawn_child(folder: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "recording_a_market::child", "--ignored"])
        .env("ASSAY_IT_FOLDER", folder)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// Waits until the recording shows every book and some blocks.
fn recorded_so_far(folder: &Path) -> info::Info {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        assert!(Instant::now() < deadline, "nothing was recorded");
        std::thread::sleep(Duration::from_millis(100));
        // It is being written while it is read: a torn tail is no damage.
        if let Ok(seen) = info::read(&folder.join("market"))
            && seen.books.binance_symbols().filter(|(_, live)| *live).count() == 3
            && seen.blocks >= 3
        {
            return seen;
        }
    }
}

/// A signal ends a recording in order: a whole last block, the end as its last record. A kill costs what stood behind the last whole
/// block and nothing else, and what is left replays and is served.
#[test]
fn a_signal_leaves_a_whole_last_block_and_a_kill_everything_before_it() {
    let exchange = crate::live::Exchange::start();
    for signal in [Signal::TERM, Signal::KILL] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("assay.toml"), &exchange.endpoints).unwrap();
        let mut child = spawn_child(folder.path());
        let before = recorded_so_far(folder.path());
        kill_process(Pid::from_raw(child.id() as i32).unwrap(), signal).unwrap();
        let ended = child.wait().unwrap();
        assert_eq!(ended.success(), signal == Signal::TERM, "{ended}");
        let out = folder.path().join("market");
        let seen = info::read(&out).unwrap();
        let text = info::render(&seen, true);
        assert!(seen.records >= before.records && seen.blocks >= before.blocks, "{text}");
        assert_eq!((seen.books.counts().gaps, seen.books.counts().unreadable), (0, 0), "{text}");
        let mut series = recording::series::Series::open(&out).unwrap();
        let (mut count, mut last) = (0, None);
        while let Some(record) = series.next_record().unwrap() {
            count += 1;
            assert_eq!(record.seq, count, "records without a hole");
            last = Some(record.input);
        }
        if signal == Signal::TERM {
            assert!(seen.problems.is_empty(), "{text}");
            assert_eq!(last, Some(recording::Input::Shutdown));
        } else {
            let torn = |problem: &recording::series::Problem| problem.to_string().contains("torn tail");
            assert!(seen.problems.len() <= 1 && seen.problems.iter().all(torn), "{text}");
        }
        let report = replay_file(&out, None, None, |_| {}).unwrap();
        assert_eq!(report.inputs, count);
        let path = out.clone();
        let playing = exchange::tape::Playing { path, speed: 1.0, looped: false };
        assert!(exchange::tape::Tape::open(playing).unwrap().listings().len() >= 3);
    }
}

/// The universe of a recording is refreshed as a run's is: who joins is recorded from then on, who leaves still is.
#[test]
fn a_recorded_universe_is_refreshed() {
    let script = "[[fault]]\nat_ms = 1500\nkind = \"halt\"\nasset = \"ETH\"\nlasts_ms = 60000\n";
    let exchange = crate::live::Exchange::following(exchange::Script::parse("script", script).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("assay.toml");
    let text = format!(
        "universe_refresh_s = 3\nuniverse_markets_s = 1\n{}\n[engine]\nuniverse_change_pct = 50\n",
        exchange.endpoints
    );
    std::fs::write(&config, text).unwrap();
    let out = folder.path().join("market");
    let words = ["--data-source", "local", "--topn-size", "4", "--duration-seconds", "9"];
    let place = ["--config", config.to_str().unwrap(), "--out", out.to_str().unwrap()];
    assert_eq!(record(args(&[&words[..], &place[..]].concat())).unwrap(), 0);
    let (mut universes, mut halts) = (Vec::new(), 0);
    let mut series = recording::series::Series::open(&out).unwrap();
    while let Some(record) = series.next_record().unwrap() {
        match record.input {
            recording::Input::Universe { members, .. } => {
                universes.push(members.iter().map(|m| m.asset.to_string()).collect::<Vec<_>>());
            }
            recording::Input::Halts { halted } => halts += halted.len(),
            _ => {}
        }
    }
    println!("{universes:?}");
    let (first, last) = (universes.first().unwrap(), universes.last().unwrap());
    assert!(first.contains(&"ETH".to_owned()) && !last.contains(&"ETH".to_owned()), "{universes:?}");
    assert!(halts > 0);
    let joined: Vec<&String> = last.iter().filter(|name| !first.contains(name)).collect();
    assert!(!joined.is_empty(), "{universes:?}");
    let seen = info::read(&out).unwrap();
    let text = info::render(&seen, true);
    for name in joined {
        assert!(seen.books.binance(&format!("{name}USDT")).is_some(), "{name}: {text}");
        assert!(seen.books.upbit(&format!("KRW-{name}")).is_some(), "{name}: {text}");
    }
    assert_eq!((seen.books.counts().gaps, seen.books.counts().downs), (0, 0), "{text}");
    assert_eq!(seen.books.members().len(), last.len());
    let report = replay_file(&out, None, None, |_| {}).unwrap();
    assert_eq!((report.inputs, report.problems.len()), (seen.records, 0));
}
