//! Answers of Binance's REST endpoints that list many symbols.

use crate::error::{FieldError, Problem, at};
use crate::text::{asset, money_truncated, scalar, string};
use crate::{Ticker, WireError};
use market::{Asset, Money, Price, Quantity};
use serde::Deserialize;
use serde_json::value::RawValue;

/// A symbol of `/api/v3/exchangeInfo` with the rules of a market order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BinanceSymbol {
    /// The symbol, upper case: `BTCUSDT`.
    pub symbol: String,
    /// The base asset.
    pub base: Asset,
    /// The quote asset.
    pub quote: Asset,
    /// True for status `TRADING`, false for every other, also unknown ones.
    pub trading: bool,
    /// `PRICE_FILTER.tickSize`.
    pub tick: Price,
    /// The quantity's step: the larger of `LOT_SIZE` and `MARKET_LOT_SIZE`.
    pub lot: Quantity,
    /// Smallest quantity of a market order: the larger of the two filters.
    pub min_qty: Quantity,
    /// Largest quantity of a market order: the smaller of the two filters.
    pub max_market_qty: Quantity,
    /// Smallest value of a market order in the quote asset (`NOTIONAL` or `MIN_NOTIONAL`); zero where the venue names
    /// no such rule, or does not apply it to market orders.
    pub min_notional: Money,
}

#[derive(Deserialize)]
struct Info<'a> {
    #[serde(borrow)]
    symbols: Vec<SymbolRow<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SymbolRow<'a> {
    #[serde(borrow)]
    symbol: &'a RawValue,
    #[serde(borrow)]
    status: Option<&'a RawValue>,
    #[serde(borrow)]
    contract_status: Option<&'a RawValue>,
    #[serde(borrow)]
    base_asset: &'a RawValue,
    #[serde(borrow)]
    quote_asset: &'a RawValue,
    #[serde(borrow)]
    filters: Vec<Filter<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Filter<'a> {
    #[serde(borrow)]
    filter_type: &'a RawValue,
    #[serde(borrow)]
    tick_size: Option<&'a RawValue>,
    #[serde(borrow)]
    step_size: Option<&'a RawValue>,
    #[serde(borrow)]
    min_qty: Option<&'a RawValue>,
    #[serde(borrow)]
    max_qty: Option<&'a RawValue>,
    #[serde(borrow)]
    min_notional: Option<&'a RawValue>,
    /// The name of `minNotional` on USD-M futures.
    #[serde(borrow)]
    notional: Option<&'a RawValue>,
    apply_to_market: Option<bool>,
    apply_min_to_market: Option<bool>,
}

/// Reads the symbols. Left out are those that cannot be traded here: a ticker that is none of ours (not ASCII, too
/// long), or no price or lot filter.
///
/// # Errors
/// [`WireError`].
pub fn parse_exchange_info(bytes: &[u8]) -> Result<Vec<BinanceSymbol>, WireError> {
    let info: Info<'_> = serde_json::from_slice(bytes).map_err(|e| WireError::json(&e, bytes))?;
    let mut symbols = Vec::with_capacity(info.symbols.len());
    for row in &info.symbols {
        symbols.extend(symbol(row).map_err(at(bytes))?);
    }
    Ok(symbols)
}

fn symbol(row: &SymbolRow<'_>) -> Result<Option<BinanceSymbol>, FieldError> {
    // Names in other scripts may be escaped: no string of ours either.
    let (Ok(name), Ok(base), Ok(quote)) =
        (string(row.symbol), string(row.base_asset), string(row.quote_asset))
    else {
        return Ok(None);
    };
    let (Some(base), Some(quote)) = (asset(base), asset(quote)) else { return Ok(None) };
    let filter = |name: &str| row.filters.iter().find(|f| string(f.filter_type) == Ok(name));
    let (Some(price), Some(lot)) = (filter("PRICE_FILTER"), filter("LOT_SIZE")) else { return Ok(None) };
    let Some(tick) = price.tick_size else { return Ok(None) };
    let tick = scalar(tick).map_err(|e| ("tickSize", e))?;
    let tick = Price::parse(tick).map_err(|e| ("tickSize", e.into()))?;
    let (step, min, max) = lot_rule(lot)?;
    let (market_step, market_min, market_max) = match filter("MARKET_LOT_SIZE") {
        Some(f) => lot_rule(f)?,
        None => (Quantity::ZERO, Quantity::ZERO, Quantity::ZERO),
    };
    let max_market_qty = match (max.is_zero(), market_max.is_zero()) {
        (_, true) => max,
        (true, false) => market_max,
        (false, false) => max.min(market_max),
    };
    let status = row.status.or(row.contract_status).ok_or(("status", Problem::Missing))?;
    Ok(Some(BinanceSymbol {
        symbol: name.to_owned(),
        base,
        quote,
        trading: string(status) == Ok("TRADING"),
        tick,
        lot: step.max(market_step),
        min_qty: min.max(market_min),
        max_market_qty,
        min_notional: min_notional(filter("NOTIONAL"), filter("MIN_NOTIONAL"))?,
    }))
}

fn lot_rule(filter: &Filter<'_>) -> Result<(Quantity, Quantity, Quantity), FieldError> {
    let read = |field, raw: Option<&RawValue>| {
        let text = scalar(raw.ok_or((field, Problem::Missing))?).map_err(|e| (field, e))?;
        Quantity::parse(text).map_err(|e| (field, Problem::from(e)))
    };
    Ok((
        read("stepSize", filter.step_size)?,
        read("minQty", filter.min_qty)?,
        read("maxQty", filter.max_qty)?,
    ))
}

fn min_notional(notional: Option<&Filter<'_>>, old: Option<&Filter<'_>>) -> Result<Money, FieldError> {
    let mut smallest = Money::ZERO;
    for filter in [notional, old].into_iter().flatten() {
        let applies = filter.apply_min_to_market.or(filter.apply_to_market).unwrap_or(true);
        if let (true, Some(raw)) = (applies, filter.min_notional.or(filter.notional)) {
            let text = scalar(raw).map_err(|e| ("minNotional", e))?;
            smallest = smallest.max(Money::parse(text).map_err(|e| ("minNotional", e.into()))?);
        }
    }
    Ok(smallest)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TickerRow<'a> {
    #[serde(borrow)]
    symbol: &'a RawValue,
    #[serde(borrow)]
    last_price: &'a RawValue,
    #[serde(borrow)]
    quote_volume: &'a RawValue,
}

/// Reads `/api/v3/ticker/24hr`: the symbols quoted in USDT.
///
/// # Errors
/// [`WireError`].
pub fn parse_tickers_usdt(bytes: &[u8]) -> Result<Vec<Ticker>, WireError> {
    let rows: Vec<TickerRow<'_>> = serde_json::from_slice(bytes).map_err(|e| WireError::json(&e, bytes))?;
    let mut tickers = Vec::new();
    for row in &rows {
        let base = string(row.symbol).ok().and_then(|s| s.strip_suffix("USDT")).and_then(asset);
        if let Some(base) = base {
            tickers.push(ticker(base, row).map_err(at(bytes))?);
        }
    }
    Ok(tickers)
}

fn ticker(asset: Asset, row: &TickerRow<'_>) -> Result<Ticker, FieldError> {
    let last = scalar(row.last_price).map_err(|e| ("lastPrice", e))?;
    let last = Price::parse(last).map_err(|e| ("lastPrice", e.into()))?;
    let turnover = scalar(row.quote_volume).map_err(|e| ("quoteVolume", e))?;
    let turnover_24h = money_truncated(turnover).map_err(|e| ("quoteVolume", e.into()))?;
    Ok(Ticker { asset, last, turnover_24h })
}
