//! Upbit's REST endpoints.

use super::limits::Group;
use super::tables::{self, RestOrderbook, UpbitMarket};
use crate::RestError;
use crate::rest::{Charge, Rest};
use crate::text::http_date;
use crate::{Candle, Ticker, WireError};
use bytes::Bytes;
use market::{Asset, Book, Price, Timestamp, Venue};
use std::time::Duration;

/// Markets per request: the address stays well below the length that servers accept.
const BATCH: usize = 100;

impl Rest {
    /// Every market of Upbit, of all quotes.
    ///
    /// # Errors
    /// [`RestError`].
    pub async fn upbit_markets(&self) -> Result<Vec<UpbitMarket>, RestError> {
        let path = "/v1/market/all?is_details=true";
        self.get(path, Charge::Upbit(Group::Market)).await?.read(self, Venue::Upbit, tables::parse_markets)
    }

    /// The tickers of all KRW markets; turnover in KRW.
    ///
    /// # Errors
    /// [`RestError`].
    pub async fn upbit_tickers_krw(&self) -> Result<Vec<Ticker>, RestError> {
        let path = "/v1/ticker/all?quote_currencies=KRW";
        self.get(path, Charge::Upbit(Group::Ticker)).await?.read(
            self,
            Venue::Upbit,
            tables::parse_tickers_krw,
        )
    }

    /// The books of `codes`, in batches. A market that the venue leaves out is left out.
    ///
    /// # Errors
    /// [`RestError`] of the first batch that fails.
    pub async fn upbit_orderbooks(&self, codes: &[String]) -> Result<Vec<(Asset, Book)>, RestError> {
        let mut books = Vec::with_capacity(codes.len());
        for batch in codes.chunks(BATCH) {
            let path = format!("/v1/orderbook?markets={}&count=30", batch.join(","));
            let answer = self.get(&path, Charge::Upbit(Group::Orderbook)).await?;
            let rows: Vec<RestOrderbook> = answer.read(self, Venue::Upbit, tables::parse_orderbooks)?;
            books.extend(rows.into_iter().map(|row| (row.asset, row.book)));
        }
        Ok(books)
    }

    /// The tick of each of `codes` at its present price, in batches.
    ///
    /// # Errors
    /// [`RestError`] of the first batch that fails.
    pub async fn upbit_instruments(&self, codes: &[String]) -> Result<Vec<(Asset, Price)>, RestError> {
        let mut ticks = Vec::with_capacity(codes.len());
        for batch in codes.chunks(BATCH) {
            let path = format!("/v1/orderbook/instruments?markets={}", batch.join(","));
            let answer = self.get(&path, Charge::Upbit(Group::Orderbook)).await?;
            ticks.extend(answer.read(self, Venue::Upbit, tables::parse_instruments)?);
        }
        Ok(ticks)
    }

    /// One-minute candles of `code`, at most 200, as sent: [`super::wire::parse_candles`] reads them.
    ///
    /// # Errors
    /// [`RestError`].
    pub async fn upbit_candles_raw(&self, code: &str, count: u16) -> Result<Bytes, RestError> {
        let path = format!("/v1/candles/minutes/1?market={code}&count={}", count.clamp(1, 200));
        let answer = self.get(&path, Charge::Upbit(Group::Candle)).await?;
        // What cannot be read is an error of the request, not a surprise for whoever replays it.
        answer.read(self, Venue::Upbit, |bytes| -> Result<Vec<Candle>, WireError> {
            super::wire::parse_candles(bytes)
        })?;
        Ok(answer.body)
    }

    /// The venue's time by the `Date` header (whole seconds; `None` when there is no such header) and the round trip.
    ///
    /// # Errors
    /// [`RestError`].
    pub async fn upbit_time(&self) -> Result<(Option<Timestamp>, Duration), RestError> {
        let answer = self.get("/v1/ticker?markets=KRW-BTC", Charge::Upbit(Group::Ticker)).await?;
        let date = answer.headers.get("date").and_then(|value| value.to_str().ok()).and_then(http_date);
        Ok((date, answer.rtt))
    }
}
