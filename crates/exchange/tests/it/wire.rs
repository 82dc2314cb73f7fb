//! Frames against recorded ones: the same keys in the same order, the same spelling of numbers.

use exchange::model::ladder::Rung;
use exchange::{Format, orderbook_frame};
use std::path::PathBuf;

fn data() -> Option<PathBuf> {
    let root = std::env::var_os("ASSAY_TEST_DATA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        PathBuf::from,
    );
    let found = root.is_dir();
    if !found {
        eprintln!("SKIPPED: no test data at {}; set ASSAY_TEST_DATA", root.display());
    }
    found.then_some(root)
}

/// A text with all values cut out: what is left are keys, order and punctuation.
fn skeleton(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        out.push(c);
        if c == ':' && !matches!(chars.peek(), Some('{' | '[')) {
            while chars.peek().is_some_and(|c| !matches!(c, ',' | '}' | ']')) {
                chars.next();
            }
        }
    }
    out
}

fn raw_frame(line: &str) -> &str {
    let from = line.find(r#""raw":"#).unwrap() + 6;
    line[from..].trim_end().strip_suffix('}').unwrap()
}

fn scaled(text: &str) -> i64 {
    market::Price::parse(text).unwrap().0
}

fn rung(price: &str, size: &str) -> Rung {
    Rung { price: scaled(price), size: scaled(size) }
}

#[test]
fn recorded_order_book_frames_have_this_shape() {
    let Some(root) = data() else { return };
    let golden = std::fs::read_to_string(root.join("upbit/golden_frames.jsonl")).unwrap();
    let bids = [rung("116538000", "0.08120946"), rung("116537000", "0.01129382")];
    let asks = [rung("116539000", "0.02054761"), rung("116542000", "0.0007772")];
    let mut compared = 0;
    for line in golden.lines().filter(|l| l.contains("2-of-30-units")) {
        let format = if line.contains("SIMPLE") { Format::Simple } else { Format::Default };
        let ours = orderbook_frame(format, "KRW-BTC", 1_790_134_742_106, &bids, &asks, 2, "SNAPSHOT");
        let ours = String::from_utf8(ours).unwrap();
        assert_eq!(skeleton(&ours), skeleton(raw_frame(line)));
        compared += 1;
    }
    assert_eq!(compared, 2);
}

#[test]
fn numbers_are_spelled_as_on_the_wire() {
    let bids = [rung("116534000", "0.00079276")];
    let asks = [rung("116606000", "0.06288509"), rung("116609000", "0.0005")];
    let text = |format| {
        String::from_utf8(orderbook_frame(format, "KRW-BTC", 1_790_134_773_006, &bids, &asks, 5, "REALTIME"))
            .unwrap()
    };
    assert_eq!(
        text(Format::Simple),
        r#"{"ty":"orderbook","cd":"KRW-BTC","tms":1790134773006,"tas":0.06338509,"tbs":0.00079276,"obu":[{"ap":116606000,"bp":116534000,"as":0.06288509,"bs":7.9276E-4},{"ap":116609000,"bp":0,"as":5.0E-4,"bs":0.0}],"st":"REALTIME","lv":0}"#
    );
    assert_eq!(
        text(Format::Default),
        r#"{"type":"orderbook","code":"KRW-BTC","timestamp":1790134773006,"total_ask_size":0.06338509,"total_bid_size":0.00079276,"orderbook_units":[{"ask_price":1.16606E8,"bid_price":1.16534E8,"ask_size":0.06288509,"bid_size":0.00079276},{"ask_price":1.16609E8,"bid_price":0.0,"ask_size":0.0005,"bid_size":0}],"stream_type":"REALTIME","level":0}"#
    );
    assert!(text(Format::SimpleList).starts_with(r#"[{"ty""#));
    assert!(text(Format::JsonList).ends_with("}]"));
}
