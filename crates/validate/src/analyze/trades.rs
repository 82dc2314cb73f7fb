//! Trades in whatever another hand wrote: lists in a KPI file, CSV, lines of JSON, `name=value` in a log.
//!
//! A row counts as a trade when it has prices and a result under the usual names. Only the plausibility rule "identical outcomes" looks at
//! them: they are not added up, for nothing shows that they are all.

use gate::evidence::{Found, TradeRow};
use regex::Regex;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

/// A larger console log is not searched for trades.
const MAX_BYTES: u64 = 64 << 20;

/// `entry=101.5`, `PnL: -2.50 USD`, `sell @ 101`: a name and a number.
static PAIR: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r#"([A-Za-z][A-Za-z_]*)"?\s*(?:[=:@]\s*|\s)\s*[$\u{20a9}"+]?(-?\d+(?:\.\d+)?)"#).ok()
});

/// What a line of text that tells of a finished trade is called.
const TRADE_WORDS: [&str; 5] = ["trade", "round trip", "round_trip", "closed", "filled"];

fn is_price(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.ends_with("price")
        || name.starts_with("price")
        || matches!(name.as_str(), "entry" | "exit" | "buy" | "sell" | "open" | "close")
}

fn is_net(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let plain = name.trim_end_matches("_usd").trim_end_matches("_usdt").trim_end_matches("_krw");
    matches!(
        plain,
        "pnl" | "net" | "net_pnl" | "profit" | "realized_pnl" | "realised_pnl" | "result" | "net_profit"
    )
}

fn row<'a>(pairs: impl Iterator<Item = (&'a str, f64)>) -> TradeRow {
    let mut row = TradeRow { prices: Vec::new(), net: None };
    for (name, value) in pairs {
        if is_net(name) {
            row.net = row.net.or(Some(value));
        } else if is_price(name) {
            row.prices.push(value);
        }
    }
    row
}

/// A JSON object that is a trade.
pub(super) fn is_trade(object: &Map<String, Value>) -> Option<TradeRow> {
    let number = |value: &Value| match value {
        Value::Number(n) => n.as_f64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    let found = row(object.iter().filter_map(|(k, v)| Some((k.as_str(), number(v)?))));
    (found.net.is_some() || found.prices.len() >= 2).then_some(found)
}

/// The trades that a KPI file lists.
pub(super) fn of_fields(fields: &BTreeMap<String, Value>) -> Option<Vec<TradeRow>> {
    ["trades", "trade_log", "closed_trades", "trade_history"].iter().find_map(|key| {
        let rows: Vec<TradeRow> =
            fields.get(*key)?.as_array()?.iter().filter_map(|item| is_trade(item.as_object()?)).collect();
        (!rows.is_empty()).then_some(rows)
    })
}

/// A table with a head that names prices and results. `None` when it is something else.
pub(super) fn of_csv(text: &str) -> Option<Vec<TradeRow>> {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    let head = lines.next()?;
    let glue = [',', ';', '\t'].into_iter().find(|glue| head.contains(*glue))?;
    let names: Vec<&str> = head.split(glue).map(|name| name.trim().trim_matches('"')).collect();
    let words = names.iter().all(|name| name.parse::<f64>().is_err());
    if !words || !names.iter().any(|n| is_net(n)) || !names.iter().any(|n| is_price(n)) {
        return None;
    }
    let rows = lines
        .map(|line| {
            let cells = line.split(glue).map(|cell| cell.trim().trim_matches('"').parse::<f64>());
            row(names.iter().copied().zip(cells).filter_map(|(name, cell)| Some((name, cell.ok()?))))
        })
        .collect();
    Some(rows)
}

/// Lines of a log that tell of a finished trade, with at least two prices and a result.
pub(super) fn of_text(text: &str) -> Vec<TradeRow> {
    text.lines().filter_map(of_line).collect()
}

fn of_line(line: &str) -> Option<TradeRow> {
    let lower = line.to_ascii_lowercase();
    // The interim line of a loop repeats figures without a trade behind each.
    if lower.contains("iteration [") || !TRADE_WORDS.iter().any(|word| lower.contains(word)) {
        return None;
    }
    let pairs = PAIR
        .as_ref()?
        .captures_iter(line)
        .filter_map(|found| Some((found.get(1)?.as_str(), found.get(2)?.as_str().parse::<f64>().ok()?)));
    let found = row(pairs);
    (found.prices.len() >= 2 && found.net.is_some()).then_some(found)
}

/// The trades that a supervised runner's console log tells of.
pub(crate) fn of_log(path: &Path) -> Found<Vec<TradeRow>> {
    match std::fs::metadata(path) {
        Err(e) => return Found::No(format!("the console log cannot be read: {e}")),
        Ok(about) if about.len() > MAX_BYTES => {
            return Found::No(format!("the console log of {} bytes is not searched for trades", about.len()));
        }
        Ok(_) => {}
    }
    match std::fs::read(path) {
        Err(e) => Found::No(format!("the console log cannot be read: {e}")),
        Ok(bytes) => match of_text(&String::from_utf8_lossy(&bytes)) {
            rows if rows.is_empty() => {
                Found::No("the console log tells of no trade with prices and a result".to_owned())
            }
            rows => Found::Yes(rows),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trades_are_read_from_several_hands() {
        let expected = TradeRow { prices: vec![100.0, 101.5], net: Some(2.5) };
        for line in [
            "2026-01-02 03:04:05,123 INFO TRADE #7 buy=100.0 sell=101.5 pnl=2.5",
            "INFO round trip closed: entry_price: 100.0, exit_price: 101.5, net_pnl_usd: 2.5",
            r#"{"event":"trade","entry_price":100.0,"exit_price":101.5,"pnl":2.5}"#,
            "trade BUY @ 100.0 SELL @ 101.5 PNL 2.5 USD",
        ] {
            assert_eq!(of_line(line), Some(expected.clone()), "{line}");
        }
        for line in [
            "Iteration [7] trade pnl=0.0 buy=1 sell=2",
            "price=3 pnl=0.0",
            "trade rejected",
            "closed connection 7",
        ] {
            assert_eq!(of_line(line), None, "{line}");
        }
        let csv = of_csv("id,entry_price,exit_price,pnl\n1,100.0,101.5,2.5\n").unwrap();
        assert_eq!(csv, [expected]);
        assert_eq!(of_csv("a,b\n1,2\n"), None);
    }
}
