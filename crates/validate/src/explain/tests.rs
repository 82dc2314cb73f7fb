//! The stories of a short session on real prices with a planted gap (`tests/session.jsonl`: its records about ETH, two trades
//! added by hand), word for word. `ASSAY_WRITE_GOLDEN=1` writes the texts anew.

use super::*;
use crate::terminal::Paint;
use journal::file::Writer;
use std::path::Path;

fn entries() -> Vec<Entry> {
    include_str!("tests/session.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The session as a journal.
fn session(dir: &Path) -> Source {
    written(dir, &entries())
}

fn written(dir: &Path, entries: &[Entry]) -> Source {
    let path = dir.join("journal.log");
    Writer::append(&path).unwrap().write_batch(entries).unwrap();
    journal_at(&path)
}

#[track_caller]
fn is_golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/explain/tests").join(name);
    if std::env::var_os("ASSAY_WRITE_GOLDEN").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, golden, "{name} differs; see the head of this file");
}

#[test]
fn a_round_trip_is_told_to_the_last_cent() {
    let dir = tempfile::tempdir().unwrap();
    let story = trade(&session(dir.path()), 1).unwrap();
    is_golden("trade_1.txt", &text::trade(&story, Paint(false)));
    let Ended::Closed { gross_usd, fees_usd, net_usd, .. } = &story.ended else {
        panic!("{:?}", story.ended)
    };
    let fees: i128 = story.legs.iter().map(|leg| leg.fee_usd.unwrap().0).sum();
    assert_eq!(fees, fees_usd.0, "the legs' fees are the trade's");
    assert_eq!(gross_usd.0 - fees_usd.0, net_usd.0);
    assert!((story.decided.reserve_bps - 3.0).abs() < 1e-9 && (story.decided.fees_bps - 30.0).abs() < 1e-9);
    let json = serde_json::to_value(&story).unwrap();
    assert_eq!(json["ended"]["closed"]["reason"], "take_profit");
    assert_eq!(json["orders"].as_array().unwrap().len(), 4);
}

#[test]
fn an_orphan_leg_is_told_with_its_levels_its_refusal_and_the_guard_that_held() {
    let dir = tempfile::tempdir().unwrap();
    let story = trade(&session(dir.path()), 2).unwrap();
    is_golden("trade_2.txt", &text::trade(&story, Paint(false)));
    assert_eq!(story.guards.len(), 1);
    assert_eq!((story.guards[0].began_ms, story.guards[0].ended_ms), (-4_000.0, Some(1_000.0)));
    let painted = text::trade(&story, Paint(true));
    assert!(painted.contains("\u{1b}[1;31m-0.2219 USD\u{1b}[0m"), "{painted}");
}

/// Trade 2 buys ETH on Binance: a block of another symbol, of the other direction or of another symbol's route is none of its own.
#[test]
fn guards_of_other_symbols_and_directions_are_not_the_trades() {
    let dir = tempfile::tempdir().unwrap();
    let mut entries = entries();
    let of = |position: u64| move |entry: &Entry| matches!(entry.body, journal::Body::Decision { position: id, .. } if id == position);
    let held = entries.iter().position(|entry| matches!(entry.body, journal::Body::Guard(_))).unwrap();
    let scopes = ["DOT:buy_upbit", "DOT:buy_binance", "ETH:buy_upbit", "ETHFI", "BTC", "buy_upbit"];
    let own = ["ETH:buy_binance", "*", "upbit", "buy_binance"];
    let event = |trigger: usize, scope: &str| {
        let mut entry = entries[held].clone();
        if let journal::Body::Guard(event) = &mut entry.body {
            (event.trigger, event.scope) = (100 + trigger as u64, scope.to_owned());
        }
        entry
    };
    let more: Vec<Entry> = scopes.iter().chain(&own).enumerate().map(|(i, scope)| event(i, scope)).collect();
    // Those of others begin once more while the trade lives.
    let later: Vec<Entry> = scopes.iter().enumerate().map(|(i, scope)| event(50 + i, scope)).collect();
    let at = entries.iter().position(of(2)).unwrap();
    entries.splice(at + 1..at + 1, later);
    entries.splice(at..at, more);
    let story = trade(&written(dir.path(), &entries), 2).unwrap();
    let told: Vec<&str> = story.guards.iter().map(|guard| guard.scope.as_str()).collect();
    assert_eq!(told, ["ETH", "ETH:buy_binance", "*", "upbit", "buy_binance"]);
}

#[test]
fn coin_that_earlier_trades_left_is_no_rounding_of_this_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut entries = entries();
    for entry in &mut entries {
        if let journal::Body::Fill { order: 4, quantity, .. } = &mut entry.body {
            quantity.0 += 10_000;
        }
    }
    let story = trade(&written(dir.path(), &entries), 1).unwrap();
    let told = text::trade(&story, Paint(false));
    assert!(!told.contains("left over") && !told.contains("by rounding to lots"), "{told}");
    let line = told.lines().find(|line| line.contains("taken along")).unwrap();
    assert!(
        line.ends_with("0.0000458 ETH that earlier trades of it had left, counted at its last price"),
        "{line}"
    );
}

#[test]
fn a_trade_that_the_journal_leaves_open_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let story = trade(&session(dir.path()), 3).unwrap();
    let told = text::trade(&story, Paint(false));
    assert!(told.contains("still open where the journal ends") && told.contains("no Live book"), "{told}");
}

#[test]
fn a_symbol_is_told_with_its_funnel_its_nearest_miss_and_its_trades() {
    let dir = tempfile::tempdir().unwrap();
    let source = session(dir.path());
    let story = symbol(&source, Asset::new("ETH").unwrap()).unwrap();
    is_golden("symbol.txt", &symbol_text::symbol(&story, Paint(false)));
    let of_minutes: u64 = story.minutes.iter().filter_map(|minute| minute.counts.get("evaluated")).sum();
    assert_eq!(story.funnel["evaluated"], of_minutes);
    let quiet = symbol(&source, Asset::new("XRP").unwrap()).unwrap();
    assert_eq!(quiet.why, "nothing of it ever arrived");
}

#[test]
fn what_there_is_not_is_said_with_what_there_is() {
    let dir = tempfile::tempdir().unwrap();
    let source = session(dir.path());
    let said = |error: ExplainError| error.to_string();
    let no_trade = said(trade(&source, 9).unwrap_err());
    assert!(no_trade.ends_with("there are 1 (ETH), 2 (ETH), 3 (BTC)"), "{no_trade}");
    let no_symbol = said(symbol(&source, Asset::new("DOGE").unwrap()).unwrap_err());
    assert!(no_symbol.ends_with("the members are BTC, ETH, XRP"), "{no_symbol}");
    let empty = dir.path().join("empty.log");
    std::fs::write(&empty, "").unwrap();
    assert!(said(trade(&journal_at(&empty), 1).unwrap_err()).contains("holds no record yet"));
    std::fs::write(&empty, "00000000 {}\n").unwrap();
    assert!(said(trade(&journal_at(&empty), 1).unwrap_err()).contains("its checksum does not match"));
    let run = RunDir(dir.path().join("run"));
    assert!(matches!(self::source(&run, None), Err(ExplainError::NoJournal(_))));
}

#[test]
fn a_run_answers_with_its_main_journal_or_the_phase_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let run = RunDir(dir.path().to_owned());
    let mut phases = String::new();
    for phase in ["smoke", "planted", "main"] {
        let start = serde_json::json!({ "start": {
            "phase": phase, "label": phase, "runner_id": phase, "planned_s": 60.0, "at": "2026-01-01T00:00:00Z",
        }});
        phases += &format!("{start}\n");
        std::fs::create_dir_all(run.journal_dir(phase)).unwrap();
        std::fs::write(run.journal_dir(phase).join("journal.log"), "").unwrap();
    }
    std::fs::write(run.path(archive::names::PHASES), phases).unwrap();
    let of = |phase: Option<&str>| self::source(&run, phase).map(|source| source.phase.unwrap());
    assert_eq!(of(None).unwrap(), "main");
    assert_eq!(of(Some("planted")).unwrap(), "planted");
    let wrong = of(Some("soak")).unwrap_err().to_string();
    assert!(wrong.ends_with("there are those of smoke, planted, main"), "{wrong}");
}
