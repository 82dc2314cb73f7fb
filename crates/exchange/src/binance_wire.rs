//! Binance's encodings: WebSocket events and REST bodies. Prices and quantities are strings with eight decimals.

use crate::model::Symbol;
use crate::model::history::Candle;
use crate::model::ladder::Rung;
use crate::model::listing::Kind;
use crate::spelling::fixed8;
use market::Side;
use std::io::Write as _;

fn quoted(out: &mut Vec<u8>, value: i64) {
    out.push(b'"');
    fixed8(out, value);
    out.push(b'"');
}

fn level(out: &mut Vec<u8>, rung: Rung) {
    out.push(b'[');
    quoted(out, rung.price);
    out.push(b',');
    quoted(out, rung.size);
    out.push(b']');
}

fn levels(out: &mut Vec<u8>, rungs: impl Iterator<Item = Rung>) {
    out.push(b'[');
    for (index, rung) in rungs.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        level(out, rung);
    }
    out.push(b']');
}

fn number(value: i64) -> String {
    let mut out = Vec::new();
    fixed8(&mut out, value);
    text(out)
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_default()
}

fn code(symbol: &Symbol) -> &str {
    symbol.listing.binance.as_deref().unwrap_or_default()
}

/// Puts an event into the envelope of a combined stream.
pub fn envelope(stream: &str, data: &str) -> String {
    format!(r#"{{"stream":"{stream}","data":{data}}}"#)
}

/// `<s>@depth`: what changed since the last event, quantities absolute, 0 for a level that is gone.
pub fn depth_update(symbol: &Symbol, event_ms: i64) -> String {
    depth_update_with(symbol, event_ms, None)
}

/// The same with a bid that the book does not have.
pub fn depth_update_with(symbol: &Symbol, event_ms: i64, bid: Option<Rung>) -> String {
    let mut changed = symbol.pending.clone();
    changed.sort_unstable_by_key(|(side, price)| match side {
        Side::Bid => (0, -price),
        Side::Ask => (1, *price),
    });
    changed.dedup();
    let mut out = Vec::with_capacity(128 + changed.len() * 40);
    let _ = write!(
        out,
        r#"{{"e":"depthUpdate","E":{event_ms},"s":"{}","U":{},"u":{},"b":"#,
        code(symbol),
        symbol.published_id + 1,
        symbol.update_id
    );
    for (index, side) in [Side::Bid, Side::Ask].into_iter().enumerate() {
        if side == Side::Ask {
            out.extend_from_slice(br#","a":"#);
        }
        let ladder = &symbol.binance[index];
        let of_side = changed.iter().filter(|(s, _)| *s == side);
        let added = bid.filter(|_| side == Side::Bid);
        let rungs = of_side.map(|(_, price)| Rung { price: *price, size: ladder.size_at(*price) });
        levels(&mut out, added.into_iter().chain(rungs));
    }
    out.push(b'}');
    text(out)
}

/// `<s>@bookTicker`.
pub fn book_ticker(symbol: &Symbol, rest: bool) -> String {
    const NONE: Rung = Rung { price: 0, size: 0 };
    let bid = symbol.binance[0].rungs().first().copied().unwrap_or(NONE);
    let ask = symbol.binance[1].rungs().first().copied().unwrap_or(NONE);
    let (b, bq, a, aq) = (number(bid.price), number(bid.size), number(ask.price), number(ask.size));
    let name = code(symbol);
    if rest {
        format!(r#"{{"symbol":"{name}","bidPrice":"{b}","bidQty":"{bq}","askPrice":"{a}","askQty":"{aq}"}}"#)
    } else {
        format!(r#"{{"u":{},"s":"{name}","b":"{b}","B":"{bq}","a":"{a}","A":"{aq}"}}"#, symbol.update_id)
    }
}

/// A partial book, and the body of `/api/v3/depth`.
pub fn book(symbol: &Symbol, depth: usize) -> String {
    let mut out = Vec::with_capacity(64 + depth * 80);
    let _ = write!(out, r#"{{"lastUpdateId":{},"bids":"#, symbol.update_id);
    levels(&mut out, symbol.binance[0].rungs().iter().take(depth).copied());
    out.extend_from_slice(br#","asks":"#);
    levels(&mut out, symbol.binance[1].rungs().iter().take(depth).copied());
    out.push(b'}');
    text(out)
}

/// One symbol of `/api/v3/exchangeInfo`.
pub fn symbol_info(symbol: &Symbol) -> String {
    let halted = symbol.listing.kind == Kind::Halted || symbol.held().halted;
    let status = if halted { "HALT" } else { "TRADING" };
    let (name, base) = (code(symbol), symbol.listing.asset);
    let (tick, lot) = (number(symbol.listing.tick), number(symbol.listing.lot));
    let most = number(symbol.listing.lot.saturating_mul(90_000_000));
    let most_at_market = number(symbol.listing.lot.saturating_mul(5_000_000));
    format!(
        r#"{{"symbol":"{name}","status":"{status}","baseAsset":"{base}","baseAssetPrecision":8,"quoteAsset":"USDT","quotePrecision":8,"quoteAssetPrecision":8,"baseCommissionPrecision":8,"quoteCommissionPrecision":8,"orderTypes":["LIMIT","LIMIT_MAKER","MARKET","STOP_LOSS","STOP_LOSS_LIMIT","TAKE_PROFIT","TAKE_PROFIT_LIMIT"],"icebergAllowed":true,"ocoAllowed":true,"quoteOrderQtyMarketAllowed":true,"allowTrailingStop":true,"cancelReplaceAllowed":true,"isSpotTradingAllowed":true,"isMarginTradingAllowed":true,"filters":[{{"filterType":"PRICE_FILTER","minPrice":"{tick}","maxPrice":"1000000.00000000","tickSize":"{tick}"}},{{"filterType":"LOT_SIZE","minQty":"{lot}","maxQty":"{most}","stepSize":"{lot}"}},{{"filterType":"ICEBERG_PARTS","limit":10}},{{"filterType":"MARKET_LOT_SIZE","minQty":"0.00000000","maxQty":"{most_at_market}","stepSize":"0.00000000"}},{{"filterType":"PERCENT_PRICE_BY_SIDE","bidMultiplierUp":"5","bidMultiplierDown":"0.2","askMultiplierUp":"5","askMultiplierDown":"0.2","avgPriceMins":5}},{{"filterType":"NOTIONAL","minNotional":"5.00000000","applyMinToMarket":true,"maxNotional":"9000000.00000000","applyMaxToMarket":false,"avgPriceMins":5}},{{"filterType":"MAX_NUM_ORDERS","maxNumOrders":200}}],"permissions":[],"permissionSets":[["SPOT"]]}}"#
    )
}

/// The body of `/api/v3/exchangeInfo`.
pub fn exchange_info(server_ms: i64, symbols: &[String]) -> String {
    format!(
        r#"{{"timezone":"UTC","serverTime":{server_ms},"rateLimits":[{{"rateLimitType":"REQUEST_WEIGHT","interval":"MINUTE","intervalNum":1,"limit":6000}},{{"rateLimitType":"RAW_REQUESTS","interval":"MINUTE","intervalNum":5,"limit":61000}}],"exchangeFilters":[],"symbols":[{}]}}"#,
        symbols.join(",")
    )
}

/// One symbol of `/api/v3/ticker/24hr`.
pub fn ticker_24h(symbol: &Symbol, now_ms: i64, day: &[Candle]) -> String {
    const NONE: Rung = Rung { price: 0, size: 0 };
    let bid = symbol.binance[0].rungs().first().copied().unwrap_or(NONE);
    let ask = symbol.binance[1].rungs().first().copied().unwrap_or(NONE);
    let last = day.first().map_or(bid.price, |c| c.close);
    let open = day.last().map_or(last, |c| c.open);
    let high = day.iter().map(|c| c.high).max().unwrap_or(last);
    let low = day.iter().map(|c| c.low).min().unwrap_or(last);
    let percent = (last - open) as f64 / open.max(1) as f64 * 100.0;
    let turnover = symbol.listing.turnover;
    let volume = turnover / (last.max(1) as f64 / 1e8);
    format!(
        r#"{{"symbol":"{}","priceChange":"{}","priceChangePercent":"{percent:.3}","weightedAvgPrice":"{}","prevClosePrice":"{}","lastPrice":"{}","lastQty":"{}","bidPrice":"{}","bidQty":"{}","askPrice":"{}","askQty":"{}","openPrice":"{}","highPrice":"{}","lowPrice":"{}","volume":"{volume:.8}","quoteVolume":"{turnover:.8}","openTime":{},"closeTime":{now_ms},"firstId":1,"lastId":100000,"count":100000}}"#,
        code(symbol),
        number(last - open),
        number((open + last) / 2),
        number(open),
        number(last),
        number(symbol.listing.lot),
        number(bid.price),
        number(bid.size),
        number(ask.price),
        number(ask.size),
        number(open),
        number(high),
        number(low),
        now_ms - 86_400_000,
    )
}

/// One row of `/api/v3/klines`.
pub fn kline(symbol: &Symbol, candle: &Candle) -> String {
    let ms = candle.minute * 60_000;
    let value = symbol.listing.turnover / 1_440.0;
    let volume = value / (candle.close.max(1) as f64 / 1e8);
    format!(
        r#"[{ms},"{}","{}","{}","{}","{volume:.8}",{},"{value:.8}",70,"{:.8}","{:.8}","0"]"#,
        number(candle.open),
        number(candle.high),
        number(candle.low),
        number(candle.close),
        ms + 59_999,
        volume / 2.0,
        value / 2.0,
    )
}
