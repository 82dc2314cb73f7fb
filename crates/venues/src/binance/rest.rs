//! Binance's REST endpoints.

use super::limits::{EXCHANGE_INFO_WEIGHT, KLINES_WEIGHT, TICKERS_WEIGHT, TIME_WEIGHT, depth_weight};
use super::tables::{self, BinanceSymbol};
use crate::RestError;
use crate::error::Problem;
use crate::rest::{Charge, Rest};
use crate::{LevelBuffer, Ticker, WireError};
use bytes::Bytes;
use market::{Timestamp, Venue};
use serde::Deserialize;
use std::time::Duration;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ServerTime {
    server_time: i64,
}

impl Rest {
    /// Every symbol of Binance spot with its rules.
    ///
    /// # Errors
    /// [`RestError`].
    pub async fn binance_exchange_info(&self) -> Result<Vec<BinanceSymbol>, RestError> {
        let answer = self.get("/api/v3/exchangeInfo", Charge::Binance(EXCHANGE_INFO_WEIGHT)).await?;
        answer.read(self, Venue::Binance, tables::parse_exchange_info)
    }

    /// The rules and states of some symbols of Binance spot. One that the venue does not know makes it refuse them all with
    /// status 400.
    ///
    /// # Errors
    /// [`RestError`].
    pub async fn binance_exchange_info_of(
        &self,
        symbols: &[String],
    ) -> Result<Vec<BinanceSymbol>, RestError> {
        let path = format!("/api/v3/exchangeInfo?symbols=%5B%22{}%22%5D", symbols.join("%22,%22"));
        let answer = self.get(&path, Charge::Binance(EXCHANGE_INFO_WEIGHT)).await?;
        answer.read(self, Venue::Binance, tables::parse_exchange_info)
    }

    /// The tickers of all symbols quoted in USDT; turnover in USDT.
    ///
    /// # Errors
    /// [`RestError`].
    pub async fn binance_tickers(&self) -> Result<Vec<Ticker>, RestError> {
        let answer = self.get("/api/v3/ticker/24hr", Charge::Binance(TICKERS_WEIGHT)).await?;
        answer.read(self, Venue::Binance, tables::parse_tickers_usdt)
    }

    /// A snapshot of `symbol` with up to `limit` levels, as sent: [`super::wire::parse_snapshot`] reads it.
    ///
    /// # Errors
    /// [`RestError`].
    pub async fn binance_depth_raw(&self, symbol: &str, limit: u16) -> Result<Bytes, RestError> {
        let path = format!("/api/v3/depth?symbol={symbol}&limit={limit}");
        let answer = self.get(&path, Charge::Binance(depth_weight(limit))).await?;
        // What cannot be read is an error of the request, not a surprise for whoever replays it.
        let mut levels = LevelBuffer::new();
        answer.read(self, Venue::Binance, |bytes| super::wire::parse_snapshot(bytes, &mut levels))?;
        Ok(answer.body)
    }

    /// One-minute klines of `symbol`, as sent: [`super::wire::parse_klines`] reads them.
    ///
    /// # Errors
    /// [`RestError`].
    pub async fn binance_klines_raw(&self, symbol: &str, limit: u16) -> Result<Bytes, RestError> {
        let path = format!("/api/v3/klines?symbol={symbol}&interval=1m&limit={limit}");
        let answer = self.get(&path, Charge::Binance(KLINES_WEIGHT)).await?;
        answer.read(self, Venue::Binance, super::wire::parse_klines)?;
        Ok(answer.body)
    }

    /// The venue's time and the round trip.
    ///
    /// # Errors
    /// [`RestError`].
    pub async fn binance_time(&self) -> Result<(Timestamp, Duration), RestError> {
        let answer = self.get("/api/v3/time", Charge::Binance(TIME_WEIGHT)).await?;
        let time = answer.read(self, Venue::Binance, |bytes| {
            let time: ServerTime = serde_json::from_slice(bytes)
                .map_err(|e| WireError::new("serverTime", Problem::Json(e.to_string()), bytes))?;
            Ok(Timestamp::from_millis(time.server_time))
        })?;
        Ok((time, answer.rtt))
    }
}
