//! Answers of Upbit's REST endpoints that list many markets.

use super::wire::{Unit, base_of, fill, quote_of};
use crate::error::{FieldError, Problem, at};
use crate::text::{millis, money_truncated, scalar, string};
use crate::{LevelBuffer, Ticker, WireError};
use market::{Asset, Book, Price, Timestamp};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// A line of `/v1/market/all?is_details=true`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpbitMarket {
    /// The market's code: `KRW-BTC`.
    pub code: String,
    /// The base asset.
    pub asset: Asset,
    /// The quote asset.
    pub quote: Asset,
    /// The venue warns of the market.
    pub warning: bool,
    /// The cautions in force, by the venue's names (`GLOBAL_PRICE_DIFFERENCES` and others).
    pub cautions: Vec<String>,
}

/// A book of `/v1/orderbook`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestOrderbook {
    /// The market's code.
    pub code: String,
    /// The base asset.
    pub asset: Asset,
    /// The venue's time.
    pub at: Timestamp,
    /// The book.
    pub book: Book,
}

#[derive(Deserialize)]
struct MarketRow<'a> {
    #[serde(borrow)]
    market: &'a RawValue,
    market_event: Option<MarketEvent>,
    #[serde(borrow)]
    market_warning: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct MarketEvent {
    warning: bool,
    caution: Option<BTreeMap<String, bool>>,
}

/// Reads the markets. Those whose ticker is none of ours (not ASCII, too long) are left out.
///
/// # Errors
/// [`WireError`].
pub fn parse_markets(bytes: &[u8]) -> Result<Vec<UpbitMarket>, WireError> {
    let rows: Vec<MarketRow<'_>> = rows(bytes)?;
    let mut markets = Vec::with_capacity(rows.len());
    for row in rows {
        let code = string(row.market).map_err(|e| WireError::new("market", e, bytes))?;
        let (Some(asset), Some(quote)) = (base_of(code), quote_of(code)) else { continue };
        // Before 2024 there was `market_warning`: `NONE` or `CAUTION`.
        let old = row.market_warning.is_some_and(|raw| string(raw) != Ok("NONE"));
        let (warning, cautions) = match row.market_event {
            Some(event) => (event.warning, event.caution.unwrap_or_default()),
            None => (false, BTreeMap::new()),
        };
        let cautions = cautions.into_iter().filter_map(|(name, on)| on.then_some(name)).collect();
        markets.push(UpbitMarket { code: code.to_owned(), asset, quote, warning: warning || old, cautions });
    }
    Ok(markets)
}

#[derive(Deserialize)]
struct TickerRow<'a> {
    #[serde(borrow)]
    market: &'a RawValue,
    #[serde(borrow)]
    trade_price: &'a RawValue,
    #[serde(borrow)]
    acc_trade_price_24h: &'a RawValue,
}

/// Reads `/v1/ticker` or `/v1/ticker/all`: the KRW markets of the answer.
///
/// # Errors
/// [`WireError`].
pub fn parse_tickers_krw(bytes: &[u8]) -> Result<Vec<Ticker>, WireError> {
    let rows: Vec<TickerRow<'_>> = rows(bytes)?;
    let mut tickers = Vec::with_capacity(rows.len());
    for row in rows {
        let code = string(row.market).map_err(|e| WireError::new("market", e, bytes))?;
        if quote_of(code) == Some(Asset::KRW) {
            tickers.extend(ticker(code, &row).map_err(at(bytes))?);
        }
    }
    Ok(tickers)
}

fn ticker(code: &str, row: &TickerRow<'_>) -> Result<Option<Ticker>, FieldError> {
    let Some(asset) = base_of(code) else { return Ok(None) };
    let last = scalar(row.trade_price).map_err(|e| ("trade_price", e))?;
    let last = Price::parse(last).map_err(|e| ("trade_price", e.into()))?;
    let turnover = scalar(row.acc_trade_price_24h).map_err(|e| ("acc_trade_price_24h", e))?;
    let turnover_24h = money_truncated(turnover).map_err(|e| ("acc_trade_price_24h", e.into()))?;
    Ok(Some(Ticker { asset, last, turnover_24h }))
}

#[derive(Deserialize)]
struct BookRow<'a> {
    #[serde(borrow)]
    market: &'a RawValue,
    #[serde(borrow)]
    timestamp: &'a RawValue,
    #[serde(borrow)]
    orderbook_units: Vec<Unit<'a>>,
}

/// Reads `/v1/orderbook`.
///
/// # Errors
/// [`WireError`].
pub fn parse_orderbooks(bytes: &[u8]) -> Result<Vec<RestOrderbook>, WireError> {
    let rows: Vec<BookRow<'_>> = rows(bytes)?;
    let mut levels = LevelBuffer::new();
    let mut books = Vec::with_capacity(rows.len());
    for row in rows {
        let code = string(row.market).map_err(|e| WireError::new("market", e, bytes))?;
        let Some(asset) = base_of(code) else { continue };
        levels.clear();
        fill(&row.orderbook_units, &mut levels).map_err(at(bytes))?;
        let mut book = Book::new();
        book.replace(levels.bids.iter().copied(), levels.asks.iter().copied());
        let time = millis(row.timestamp).map_err(|e| WireError::new("timestamp", e, bytes))?;
        books.push(RestOrderbook { code: code.to_owned(), asset, at: time, book });
    }
    Ok(books)
}

#[derive(Deserialize)]
struct InstrumentRow<'a> {
    #[serde(borrow)]
    market: &'a RawValue,
    #[serde(borrow)]
    tick_size: &'a RawValue,
}

/// Reads `/v1/orderbook/instruments`: the tick of each market at its present price.
///
/// # Errors
/// [`WireError`].
pub fn parse_instruments(bytes: &[u8]) -> Result<Vec<(Asset, Price)>, WireError> {
    let rows: Vec<InstrumentRow<'_>> = rows(bytes)?;
    let mut ticks = Vec::with_capacity(rows.len());
    for row in rows {
        let code = string(row.market).map_err(|e| WireError::new("market", e, bytes))?;
        let Some(asset) = base_of(code) else { continue };
        let tick = scalar(row.tick_size).map_err(|e| WireError::new("tick_size", e, bytes))?;
        let tick = Price::parse(tick).map_err(|e| WireError::new("tick_size", e, bytes))?;
        if tick.0 <= 0 {
            return Err(WireError::new("tick_size", Problem::Sign, bytes));
        }
        ticks.push((asset, tick));
    }
    Ok(ticks)
}

fn rows<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<Vec<T>, WireError> {
    serde_json::from_slice(bytes).map_err(|e| WireError::json(&e, bytes))
}
