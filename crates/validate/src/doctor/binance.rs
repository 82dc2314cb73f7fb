//! How Binance's answers are held against what is assumed of them.

use super::assumptions::{Not, Verdict, answer, first, frames, heard, json, lacks, no, read, rows};
use super::live::{Answer, Kind, Seen, shown, weight_of};
use serde_json::Value;
use std::time::Duration;
use venues::LevelBuffer;

pub(super) fn binance_time(seen: &Seen) -> Verdict {
    let body = json(seen, "binance_time")?;
    let Some(theirs) = body["serverTime"].as_i64() else { return Err(no(body.to_string())) };
    let answer = answer(seen, "binance_time")?;
    let half = i64::try_from(answer.rtt.as_millis() / 2).unwrap_or(i64::MAX);
    let skew = answer.at_ms - half - theirs;
    let found = format!("our clock is {skew:+} ms off, the answer took {} ms", answer.rtt.as_millis());
    if skew.abs() <= 1_000 { Ok(found) } else { Err(no(found)) }
}

pub(super) fn binance_info(seen: &Seen) -> Verdict {
    let body = json(seen, "binance_info")?;
    let symbols = body["symbols"].as_array().cloned().unwrap_or_default();
    let Some(btc) = symbols.iter().find(|s| s["symbol"] == "BTCUSDT") else {
        return Err(no(format!("no BTCUSDT among {} symbols", symbols.len())));
    };
    lacks(btc, &["status", "baseAsset", "quoteAsset", "filters"])?;
    let filters: Vec<&str> =
        btc["filters"].as_array().into_iter().flatten().filter_map(|f| f["filterType"].as_str()).collect();
    let notional = filters.contains(&"NOTIONAL") || filters.contains(&"MIN_NOTIONAL");
    if !(filters.contains(&"PRICE_FILTER") && filters.contains(&"LOT_SIZE") && notional) {
        return Err(no(format!("filters {filters:?}")));
    }
    read(venues::binance::tables::parse_exchange_info(&answer(seen, "binance_info")?.body))?;
    Ok(format!("{} symbols, BTCUSDT is {}", symbols.len(), btc["status"].as_str().unwrap_or("?")))
}

pub(super) fn binance_tickers(seen: &Seen) -> Verdict {
    let rows = rows(seen, "binance_tickers")?;
    lacks(&rows[0], &["symbol", "quoteVolume"])?;
    if !rows[0]["quoteVolume"].is_string() {
        return Err(no(format!("quoteVolume is {}", rows[0]["quoteVolume"])));
    }
    let usdt = read(venues::binance::tables::parse_tickers_usdt(&answer(seen, "binance_tickers")?.body))?;
    Ok(format!("{} tickers, {} in USDT", rows.len(), usdt.len()))
}

pub(super) fn binance_depth(seen: &Seen) -> Verdict {
    let body = json(seen, "binance_depth")?;
    lacks(&body, &["lastUpdateId", "bids", "asks"])?;
    let side = |name: &str| body[name].as_array().map_or(0, Vec::len);
    let text = body["bids"][0][0].is_string() && body["bids"][0][1].is_string();
    let found = format!("{} bids, {} asks, id {}", side("bids"), side("asks"), body["lastUpdateId"]);
    if !text || side("bids") > 100 || side("asks") > 100 {
        return Err(no(found));
    }
    let mut levels = LevelBuffer::new();
    read(venues::binance::wire::parse_snapshot(&answer(seen, "binance_depth")?.body, &mut levels))?;
    Ok(found)
}

pub(super) fn binance_klines(seen: &Seen) -> Verdict {
    let rows = rows(seen, "binance_klines")?;
    if rows[0].as_array().map_or(0, Vec::len) < 6 || !rows[0][0].is_i64() && !rows[0][0].is_u64() {
        return Err(no(shown(rows[0].to_string().as_bytes())));
    }
    let candles = read(venues::binance::wire::parse_klines(&answer(seen, "binance_klines")?.body))?;
    Ok(format!("{} klines", candles.len()))
}

pub(super) fn binance_unknown(seen: &Seen) -> Verdict {
    let answer = answer(seen, "binance_unknown")?;
    let code = serde_json::from_slice::<Value>(&answer.body).ok().and_then(|body| body["code"].as_i64());
    let found = format!("status {}: {}", answer.status, shown(&answer.body));
    if answer.status == 400 && code == Some(-1_121) { Ok(found) } else { Err(no(found)) }
}

fn used(answer: &Answer) -> Option<u32> {
    answer.headers.get("x-mbx-used-weight-1m")?.trim().parse().ok()
}

pub(super) fn binance_header(seen: &Seen) -> Verdict {
    let names = ["binance_time", "binance_depth", "binance_klines", "binance_depth_500"];
    let mut used_up = Vec::new();
    for name in names {
        let answer = answer(seen, name)?;
        let Some(weight) = used(answer) else { return Err(no(format!("{name} has no such header"))) };
        used_up.push(weight);
    }
    let text = format!("{used_up:?}");
    let falls = used_up.windows(2).filter(|pair| pair[1] < pair[0]).count();
    // A window that ends in between starts anew, once.
    if falls > 1 { Err(no(text)) } else { Ok(text) }
}

/// The growth of the used weight from one answer to the next is the weight of the second.
pub(super) fn binance_weights(seen: &Seen) -> Verdict {
    let order = [
        "binance_time",
        "binance_depth",
        "binance_klines",
        "binance_depth_500",
        "binance_info",
        "binance_tickers",
    ];
    let (mut found, mut wrong) = (Vec::new(), false);
    for pair in order.windows(2) {
        let (Some(before), Some(after)) = (used(answer(seen, pair[0])?), used(answer(seen, pair[1])?)) else {
            return Err(Not::Skipped("there is no such header".to_owned()));
        };
        let Some(grown) = after.checked_sub(before) else { continue };
        wrong |= Some(grown) != weight_of(pair[1]);
        found.push(format!("{} {grown}", pair[1].trim_start_matches("binance_")));
    }
    let text = found.join(", ");
    if wrong { Err(no(format!("{text}; others on this address may have asked meanwhile"))) } else { Ok(text) }
}

fn diffs(seen: &Seen) -> Result<Vec<Value>, Not> {
    let frames = frames(seen, "binance_raw")?;
    Ok(frames.into_iter().filter(|f| f["e"] == "depthUpdate" && f["s"] == "BTCUSDT").collect())
}

pub(super) fn binance_diff(seen: &Seen) -> Verdict {
    let frames = frames(seen, "binance_raw")?;
    let frame = first(&frames, "depthUpdate", |f| f["e"] == "depthUpdate")?;
    lacks(frame, &["E", "s", "U", "u", "b", "a"])?;
    let level = frame["b"].get(0).or_else(|| frame["a"].get(0));
    if level.is_some_and(|level| !level[0].is_string() || !level[1].is_string()) {
        return Err(no(shown(frame.to_string().as_bytes())));
    }
    let mut levels = LevelBuffer::new();
    for frame in heard(seen, "binance_raw")?.iter().filter(|h| h.kind == Kind::Text) {
        read(venues::binance::wire::parse(&frame.bytes, &mut levels).map(drop))?;
    }
    Ok(shown(frame.to_string().as_bytes()))
}

pub(super) fn binance_sequence(seen: &Seen) -> Verdict {
    let diffs = diffs(seen)?;
    if diffs.len() < 2 {
        return Err(Not::Skipped(format!("{} diffs came", diffs.len())));
    }
    let ids: Vec<(u64, u64)> =
        diffs.iter().filter_map(|d| Some((d["U"].as_u64()?, d["u"].as_u64()?))).collect();
    match ids.windows(2).find(|pair| pair[1].0 != pair[0].1 + 1) {
        None => Ok(format!("{} diffs without a gap", ids.len())),
        Some(pair) => Err(no(format!("U {} after u {}", pair[1].0, pair[0].1))),
    }
}

pub(super) fn binance_fits(seen: &Seen) -> Verdict {
    let snapshot = json(seen, "binance_depth")?["lastUpdateId"].as_u64();
    let diffs = diffs(seen)?;
    let (Some(snapshot), Some(first)) = (snapshot, diffs.first().and_then(|d| d["u"].as_u64())) else {
        return Err(Not::Skipped("no diff came".to_owned()));
    };
    // The snapshot was fetched before the socket was opened.
    if first >= snapshot {
        Ok(format!("snapshot {snapshot}, diff {first}"))
    } else {
        Err(no(format!("snapshot {snapshot}, a later diff {first}")))
    }
}

fn data(seen: &Seen, stream: &str) -> Result<Value, Not> {
    let frames = frames(seen, "binance_combined")?;
    Ok(first(&frames, stream, |f| f["stream"] == stream)?["data"].clone())
}

pub(super) fn binance_combined(seen: &Seen) -> Verdict {
    let frames = frames(seen, "binance_combined")?;
    first(&frames, "message", |f| f.get("stream").is_some() && f.get("data").is_some())?;
    let mut names: Vec<&str> = frames.iter().filter_map(|f| f["stream"].as_str()).collect();
    names.sort_unstable();
    names.dedup();
    Ok(names.join(", "))
}

pub(super) fn binance_partial(seen: &Seen) -> Verdict {
    let data = data(seen, "btcusdt@depth20@100ms")?;
    lacks(&data, &["lastUpdateId", "bids", "asks"])?;
    let side = |name: &str| data[name].as_array().map_or(0, Vec::len);
    let found = format!("{} bids, {} asks", side("bids"), side("asks"));
    if side("bids").max(side("asks")) > 20 { Err(no(found)) } else { Ok(found) }
}

pub(super) fn binance_book_ticker(seen: &Seen) -> Verdict {
    let data = data(seen, "btcusdt@bookTicker")?;
    lacks(&data, &["u", "s", "b", "B", "a", "A"])?;
    if data.get("e").is_some() || data.get("E").is_some() {
        return Err(no(format!("it has an event name or a time now: {data}")));
    }
    Ok(data.to_string())
}

pub(super) fn binance_subscribe(seen: &Seen) -> Verdict {
    let frames = frames(seen, "binance_raw")?;
    let answer = first(&frames, "answer with the id", |f| f["id"] == 7)?;
    if !answer["result"].is_null() || answer.get("error").is_some() {
        return Err(no(answer.to_string()));
    }
    first(&frames, "diff of ETHUSDT", |f| f["s"] == "ETHUSDT")?;
    Ok(answer.to_string())
}

pub(super) fn binance_ping(seen: &Seen) -> Verdict {
    let heard = heard(seen, "binance_combined")?;
    let closed = heard.iter().any(|h| h.kind == Kind::Close);
    let last = heard.last().map_or(Duration::ZERO, |h| h.after);
    match heard.iter().find(|h| h.kind == Kind::Ping) {
        Some(ping) if !closed => {
            Ok(format!("after {:.1} s, payload {:?}", ping.after.as_secs_f64(), shown(&ping.bytes)))
        }
        Some(_) => Err(no("the connection was closed after it")),
        None if last < Duration::from_secs(21) => Err(Not::Skipped(format!(
            "none within {:.0} s: listen longer with --listen 25",
            last.as_secs_f64()
        ))),
        None => Err(no(format!("none within {:.0} s", last.as_secs_f64()))),
    }
}
