//! A recording as the market: what was recorded, read again with a parser of our own, so that one misreading of the clients'
//! parsers cannot cancel another. Numbers stay the text that the venue wrote.
//!
//! What lives here: the recorded state, moved record by record, and REST bodies of it. What does not: delivery to connections
//! (`hub::play`), the recording's format (`recording`).
//!
//! A Binance book is known from the first recorded snapshot that fits its diffs until a hole in their ids; in between the server
//! does not know it either and answers 503. It begins where every book that comes within the first minute is known.

use crate::ExchangeError;
use crate::hub::BinanceView;
use crate::model::history::{Candle, Live};
use crate::model::listing::{Kind, Listing};
use market::{Asset, Member, Price, Quantity, Timestamp, Venue};
use recording::series::Series;
use recording::{ConnId, Input, Record};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Books that come within this time of the first record are waited for.
const LEAD_NS: i64 = 60_000_000_000;
/// Diffs kept for a snapshot that has not come.
const WAITING: usize = 4_000;

type Pair<'a> = (Cow<'a, str>, Cow<'a, str>);

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    stream: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    e: Option<Cow<'a, str>>,
    #[serde(borrow)]
    s: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Diff<'a> {
    #[serde(rename = "U")]
    first: u64,
    #[serde(rename = "u")]
    last: u64,
    pu: Option<u64>,
    #[serde(borrow, rename = "b")]
    bids: Vec<Pair<'a>>,
    #[serde(borrow, rename = "a")]
    asks: Vec<Pair<'a>>,
}

#[derive(Deserialize)]
struct RestBook<'a> {
    #[serde(rename = "lastUpdateId")]
    id: u64,
    #[serde(borrow)]
    bids: Vec<Pair<'a>>,
    #[serde(borrow)]
    asks: Vec<Pair<'a>>,
}

#[derive(Deserialize)]
struct Unit<'a> {
    #[serde(borrow, alias = "ask_price")]
    ap: &'a RawValue,
    #[serde(borrow, alias = "bid_price")]
    bp: &'a RawValue,
    #[serde(borrow, alias = "ask_size", rename = "as")]
    ask: &'a RawValue,
    #[serde(borrow, alias = "bid_size", rename = "bs")]
    bid: &'a RawValue,
}

#[derive(Deserialize)]
struct UpbitFrame<'a> {
    #[serde(borrow, alias = "type")]
    ty: Option<Cow<'a, str>>,
    #[serde(borrow, alias = "code")]
    cd: Option<Cow<'a, str>>,
    #[serde(alias = "timestamp")]
    tms: Option<i64>,
    #[serde(borrow, alias = "total_ask_size")]
    tas: Option<&'a RawValue>,
    #[serde(borrow, alias = "total_bid_size")]
    tbs: Option<&'a RawValue>,
    #[serde(borrow, alias = "orderbook_units")]
    obu: Option<Vec<Unit<'a>>>,
}

/// An Upbit book as it was written.
#[derive(Debug, Clone)]
pub struct Whole {
    at_ms: i64,
    totals: [String; 2],
    /// Ask price, bid price, ask size, bid size.
    units: Vec<[String; 4]>,
}

/// A Binance book: levels by price, as they were written.
#[derive(Debug, Default)]
struct Depth {
    id: Option<u64>,
    bids: BTreeMap<Price, [String; 2]>,
    asks: BTreeMap<Price, [String; 2]>,
    waiting: Vec<Waiting>,
    /// The next diff is the first behind a snapshot.
    fresh: bool,
    seen: bool,
}

#[derive(Debug)]
struct Waiting {
    ids: (u64, u64, Option<u64>),
    levels: [Vec<[String; 2]>; 2],
}

/// A market of both venues.
#[derive(Debug, Default)]
struct Tracked {
    upbit: Option<Whole>,
    depth: Depth,
    member: Option<Member>,
    /// Recorded candles, and those of the books' middles since.
    rows: [BTreeMap<i64, String>; 2],
    live: [Live; 2],
}

/// Something to hand on.
#[derive(Debug)]
pub enum Delivery {
    /// The newest book of an Upbit market.
    Upbit(usize),
    /// An event of a Binance stream.
    Binance(usize, BinanceView, String),
    /// A connection of the recording was lost.
    Down(Venue),
}

/// What of a recording to play.
#[derive(Debug, Clone, PartialEq)]
pub struct Playing {
    /// File or folder.
    pub path: PathBuf,
    /// 2: twice as fast as it was recorded.
    pub speed: f64,
    /// From the beginning again at the end.
    pub looped: bool,
}

/// A recording, at some place.
#[derive(Debug)]
pub struct Tape {
    playing: Playing,
    series: Series,
    next: Option<Record>,
    conns: BTreeMap<ConnId, Venue>,
    codes: [BTreeMap<String, usize>; 2],
    markets: Vec<Tracked>,
    /// Records before the beginning.
    lead: u64,
    began: Timestamp,
    /// Records handed on so far.
    pub played: u64,
    /// Frames that are no books of the listed markets: they are not served.
    pub unserved: u64,
}

fn base(code: &str, venue: Venue) -> Option<String> {
    match venue {
        Venue::Upbit => code.strip_prefix("KRW-").map(str::to_owned),
        // What trades against something else goes by its whole name.
        Venue::Binance => {
            Some(code.strip_suffix("USDT").filter(|b| !b.is_empty()).unwrap_or(code).to_owned())
        }
    }
}

impl Tape {
    /// Reads the recording once to its end, and stands at its beginning then.
    ///
    /// # Errors
    /// [`ExchangeError::Recording`], [`ExchangeError::NoMarket`].
    pub fn open(playing: Playing) -> Result<Self, ExchangeError> {
        let mut tape = Self::at_start(&playing, [BTreeMap::new(), BTreeMap::new()], Vec::new())?;
        let (mut count, mut lead, mut known, mut first) = (0u64, 0u64, BTreeSet::new(), None);
        while let Some(record) = tape.series.next_record()? {
            count += 1;
            tape.list(&record);
            let first = *first.get_or_insert(record.at);
            tape.apply(&record);
            if record.at.since(first) > LEAD_NS {
                continue;
            }
            for (i, market) in tape.markets.iter().enumerate() {
                let news = [market.upbit.is_some(), market.depth.id.is_some()];
                for (venue, is_known) in Venue::ALL.into_iter().zip(news) {
                    if is_known && known.insert((i, venue.index())) {
                        lead = count;
                    }
                }
            }
        }
        if known.is_empty() {
            return Err(ExchangeError::NoMarket(playing.path));
        }
        let markets = tape.markets.iter().map(|m| Tracked { member: m.member.clone(), ..Tracked::default() });
        let (markets, codes) = (markets.collect(), std::mem::take(&mut tape.codes));
        let mut tape = Self::at_start(&playing, codes, markets)?;
        tape.lead = lead;
        tape.rewind()?;
        Ok(tape)
    }

    fn at_start(
        playing: &Playing,
        codes: [BTreeMap<String, usize>; 2],
        markets: Vec<Tracked>,
    ) -> Result<Self, ExchangeError> {
        Ok(Self {
            series: Series::open(&playing.path)?,
            playing: playing.clone(),
            next: None,
            conns: BTreeMap::new(),
            codes,
            markets,
            lead: 0,
            began: Timestamp(0),
            played: 0,
            unserved: 0,
        })
    }

    /// Back to the beginning.
    ///
    /// # Errors
    /// [`ExchangeError::Recording`].
    pub fn rewind(&mut self) -> Result<(), ExchangeError> {
        self.series = Series::open(&self.playing.path)?;
        self.conns.clear();
        for market in &mut self.markets {
            *market = Tracked { member: market.member.take(), ..Tracked::default() };
        }
        for _ in 0..self.lead {
            if let Some(record) = self.series.next_record()? {
                self.began = record.at;
                self.apply(&record);
            }
        }
        self.next = self.series.next_record()?;
        Ok(())
    }

    /// Its time at the beginning.
    pub const fn began(&self) -> Timestamp {
        self.began
    }

    /// What is played, and how.
    pub const fn playing(&self) -> &Playing {
        &self.playing
    }

    /// Whether everything was handed on.
    pub const fn is_over(&self) -> bool {
        self.next.is_none()
    }

    /// Moves on by one record, if it is due at `now`.
    ///
    /// # Errors
    /// [`ExchangeError::Recording`].
    pub fn advance(&mut self, now: Timestamp) -> Result<Option<Option<Delivery>>, ExchangeError> {
        let Some(record) = self.next.take_if(|record| record.at <= now) else { return Ok(None) };
        self.next = self.series.next_record()?;
        self.played += 1;
        Ok(Some(self.apply(&record)))
    }

    /// The listed markets, for the servers' tables.
    pub fn listings(&self) -> Vec<Listing> {
        let code = |venue: Venue, i| {
            let mut codes = self.codes[venue.index()].iter();
            codes.find(|(_, index)| **index == i).map(|(code, _)| code.clone())
        };
        let listing = |(i, market): (usize, &Tracked)| {
            let (upbit, binance) = (code(Venue::Upbit, i), code(Venue::Binance, i));
            let name = upbit.as_ref().and_then(|c| base(c, Venue::Upbit));
            let name = name.or_else(|| binance.as_ref().and_then(|c| base(c, Venue::Binance)));
            let asset = name.and_then(|name| Asset::new(&name).ok()).unwrap_or(Asset::USDT);
            let member = market.member.as_ref();
            let tick = member.map_or(1, |m| m.binance.tick.at(Price(i64::MAX)).0);
            let lot = member.and_then(|m| i64::try_from(m.binance.lot.0).ok()).unwrap_or(1);
            Listing {
                asset,
                kind: if asset == Asset::USDT { Kind::Fx } else { Kind::Member },
                upbit,
                binance,
                start: 1.0,
                tick: tick.max(1),
                lot: lot.max(1),
                half_spread: 0.0,
                depth: 0.0,
                // The recording has the smaller turnover of both venues, and the servers' Upbit has seven tenths of Binance's.
                turnover: member.map_or(0.0, |m| m.turnover_usdt.to_f64() / 0.7),
                activity: 0.0,
            }
        };
        self.markets.iter().enumerate().map(listing).collect()
    }

    /// Enters the markets that a record names.
    fn list(&mut self, record: &Record) {
        match &record.input {
            Input::Universe { members, .. } => {
                for member in members {
                    let i = self.index(Venue::Binance, &member.binance.code, true);
                    self.codes[Venue::Upbit.index()].insert(member.upbit.code.clone(), i);
                    self.markets[i].member = Some(member.clone());
                }
            }
            Input::Frame { conn, payload } => match self.conns.get(conn) {
                Some(Venue::Upbit) => {
                    if let Ok(frame) = serde_json::from_slice::<UpbitFrame<'_>>(payload)
                        && let (Some(code), true) = (&frame.cd, frame.obu.is_some())
                    {
                        self.index(Venue::Upbit, code, false);
                    }
                }
                Some(Venue::Binance) => {
                    if let Some((symbol, BinanceView::Diff, _)) = binance_event(payload) {
                        self.index(Venue::Binance, &symbol, false);
                    }
                }
                None => {}
            },
            _ => {}
        }
    }

    fn index(&mut self, venue: Venue, code: &str, alone: bool) -> usize {
        if let Some(i) = self.codes[venue.index()].get(code) {
            return *i;
        }
        let other = if venue == Venue::Upbit { Venue::Binance } else { Venue::Upbit };
        let wanted = base(code, venue);
        let known = self.codes[other.index()]
            .iter()
            .find(|(c, _)| !alone && wanted.is_some() && base(c, other) == wanted)
            .map(|(_, i)| *i);
        let i = known.unwrap_or_else(|| {
            self.markets.push(Tracked::default());
            self.markets.len() - 1
        });
        self.codes[venue.index()].insert(code.to_owned(), i);
        i
    }

    fn apply(&mut self, record: &Record) -> Option<Delivery> {
        match &record.input {
            Input::ConnUp { conn, venue } => {
                self.conns.insert(*conn, *venue);
                None
            }
            Input::ConnDown { conn, venue, .. } => {
                self.conns.remove(conn);
                if *venue == Venue::Binance {
                    // What changed meanwhile is not in the recording.
                    self.markets.iter_mut().for_each(|market| market.depth.forget());
                }
                Some(Delivery::Down(*venue))
            }
            Input::Frame { conn, payload } => match self.conns.get(conn)? {
                Venue::Upbit => self.upbit_frame(record.at, payload),
                Venue::Binance => self.binance_frame(record.at, payload),
            },
            Input::Snapshot { asset, payload, .. } => {
                let codes = &self.codes[Venue::Binance.index()];
                let i = *codes.get(&format!("{asset}USDT")).or_else(|| codes.get(asset.as_str()))?;
                let book: RestBook<'_> = serde_json::from_slice(payload).ok()?;
                self.markets[i].depth.on_rest(&book);
                self.middle(i, Venue::Binance, record.at);
                None
            }
            Input::Candles { venue, asset, payload } => {
                let code = match venue {
                    Venue::Upbit => format!("KRW-{asset}"),
                    Venue::Binance => format!("{asset}USDT"),
                };
                let i = *self.codes[venue.index()].get(&code)?;
                self.markets[i].rows[venue.index()] = candle_rows(*venue, payload);
                None
            }
            _ => None,
        }
    }

    fn upbit_frame(&mut self, at: Timestamp, payload: &[u8]) -> Option<Delivery> {
        let frame: UpbitFrame<'_> = serde_json::from_slice(payload).ok()?;
        let i = frame.cd.as_ref().and_then(|code| self.codes[Venue::Upbit.index()].get(code.as_ref()));
        let is_book = frame.ty.as_deref() == Some("orderbook");
        let (Some(i), Some(units), true) = (i.copied(), frame.obu, is_book) else {
            self.unserved += 1;
            return None;
        };
        let text = |raw: &RawValue| raw.get().to_owned();
        let total = |raw: Option<&RawValue>| raw.map_or_else(|| "0".to_owned(), text);
        self.markets[i].upbit = Some(Whole {
            at_ms: frame.tms?,
            totals: [total(frame.tas), total(frame.tbs)],
            units: units.iter().map(|u| [text(u.ap), text(u.bp), text(u.ask), text(u.bid)]).collect(),
        });
        self.middle(i, Venue::Upbit, at);
        Some(Delivery::Upbit(i))
    }

    fn binance_frame(&mut self, at: Timestamp, payload: &[u8]) -> Option<Delivery> {
        let event = binance_event(payload);
        let i = event.as_ref().and_then(|(symbol, ..)| self.codes[Venue::Binance.index()].get(symbol));
        let (Some((_, view, data)), Some(i)) = (&event, i.copied()) else {
            self.unserved += 1;
            return None;
        };
        if *view == BinanceView::Diff {
            self.markets[i].depth.on_diff(&serde_json::from_str(data).ok()?);
            self.middle(i, Venue::Binance, at);
        }
        Some(Delivery::Binance(i, *view, (*data).to_owned()))
    }

    /// The candles of the minute go on.
    fn middle(&mut self, i: usize, venue: Venue, at: Timestamp) {
        let market = &mut self.markets[i];
        let middle = match venue {
            Venue::Upbit => market.upbit.as_ref().and_then(Whole::middle),
            Venue::Binance => market.depth.middle(),
        };
        if let Some(price) = middle {
            market.live[venue.index()].record(at.as_millis().div_euclid(60_000), price);
        }
    }

    /// KRW per USDT, the middle of its book.
    pub fn fx_mid(&self) -> Option<f64> {
        let i = self.codes[Venue::Upbit.index()].get("KRW-USDT")?;
        Some(self.markets[*i].upbit.as_ref()?.middle()? as f64 / 1e8)
    }

    /// Candles of the books' middles, newest first.
    pub fn candles(&self, venue: Venue, i: usize, count: usize) -> Vec<Candle> {
        self.markets[i].live[venue.index()].newest(count, i64::MIN, &[])
    }

    /// Recorded candles by minute, as the venue wrote them.
    pub fn rows(&self, venue: Venue, i: usize) -> &BTreeMap<i64, String> {
        &self.markets[i].rows[venue.index()]
    }

    /// Upbit's tick at the book.
    pub fn upbit_tick(&self, i: usize) -> Option<i64> {
        let market = &self.markets[i];
        let middle = Price(market.upbit.as_ref()?.middle()?);
        Some(
            market
                .member
                .as_ref()
                .map_or_else(|| market::upbit_krw_tick(middle), |m| m.upbit.tick.at(middle))
                .0,
        )
    }

    /// An Upbit book.
    pub fn upbit(&self, i: usize) -> Option<&Whole> {
        self.markets[i].upbit.as_ref()
    }

    /// The body of `/api/v3/depth`; `None` while the book is not known.
    pub fn depth(&self, i: usize, levels: usize) -> Option<String> {
        let depth = &self.markets[i].depth;
        let id = depth.id?;
        let side = |levels: Vec<&[String; 2]>| {
            let rows: Vec<String> = levels.iter().map(|[p, q]| format!(r#"["{p}","{q}"]"#)).collect();
            rows.join(",")
        };
        let bids = side(depth.bids.values().rev().take(levels).collect());
        let asks = side(depth.asks.values().take(levels).collect());
        Some(format!(r#"{{"lastUpdateId":{id},"bids":[{bids}],"asks":[{asks}]}}"#))
    }

    /// Best bid and ask with sizes, as written.
    pub fn top(&self, i: usize) -> Option<[&str; 4]> {
        let depth = &self.markets[i].depth;
        let ([b, bq], [a, aq]) = (depth.bids.values().next_back()?, depth.asks.values().next()?);
        depth.id.map(|_| [b.as_str(), bq, a, aq])
    }
}

impl Whole {
    fn middle(&self) -> Option<i64> {
        let unit = self.units.first()?;
        let price = |text: &str| Price::parse(text).ok().filter(|p| p.0 > 0);
        Some((price(&unit[0])?.0 / 2) + (price(&unit[1])?.0 / 2))
    }

    /// An orderbook frame of `depth` units, in short names or long ones.
    pub fn frame(&self, code: &str, short: bool, listed: bool, depth: usize, stream: &str) -> String {
        let names: [&str; 12] = if short {
            ["ty", "cd", "tms", "tas", "tbs", "obu", "ap", "bp", "as", "bs", "st", "lv"]
        } else {
            [
                "type",
                "code",
                "timestamp",
                "total_ask_size",
                "total_bid_size",
                "orderbook_units",
                "ask_price",
                "bid_price",
                "ask_size",
                "bid_size",
                "stream_type",
                "level",
            ]
        };
        let [ty, cd, tms, tas, tbs, obu, .., st, lv] = names;
        let ([asks, bids], at) = (&self.totals, self.at_ms);
        let units = self.units(&names[6..10], depth);
        let text = format!(
            r#"{{"{ty}":"orderbook","{cd}":"{code}","{tms}":{at},"{tas}":{asks},"{tbs}":{bids},"{obu}":[{units}],"{st}":"{stream}","{lv}":0}}"#
        );
        if listed { format!("[{text}]") } else { text }
    }

    /// An element of `/v1/orderbook`.
    pub fn rest(&self, code: &str, depth: usize) -> String {
        let ([asks, bids], at) = (&self.totals, self.at_ms);
        let units = self.units(&["ask_price", "bid_price", "ask_size", "bid_size"], depth);
        format!(
            r#"{{"market":"{code}","timestamp":{at},"total_ask_size":{asks},"total_bid_size":{bids},"orderbook_units":[{units}],"level":0}}"#
        )
    }

    fn units(&self, names: &[&str], depth: usize) -> String {
        let unit = |values: &[String; 4]| {
            let fields: Vec<String> =
                names.iter().zip(values).map(|(name, value)| format!(r#""{name}":{value}"#)).collect();
            format!("{{{}}}", fields.join(","))
        };
        self.units.iter().take(depth).map(unit).collect::<Vec<_>>().join(",")
    }
}

fn own(pairs: &[Pair<'_>]) -> Vec<[String; 2]> {
    pairs.iter().map(|(p, q)| [p.to_string(), q.to_string()]).collect()
}

fn put(side: &mut BTreeMap<Price, [String; 2]>, levels: Vec<[String; 2]>) {
    for level in levels {
        let Ok(price) = Price::parse(&level[0]) else { continue };
        if Quantity::parse(&level[1]).is_ok_and(|quantity| quantity.0 == 0) {
            side.remove(&price);
        } else {
            side.insert(price, level);
        }
    }
}

impl Depth {
    fn forget(&mut self) {
        *self = Self { seen: self.seen, ..Self::default() };
    }

    fn middle(&self) -> Option<i64> {
        self.id?;
        Some(self.bids.keys().next_back()?.0 / 2 + self.asks.keys().next()?.0 / 2)
    }

    fn on_diff(&mut self, diff: &Diff<'_>) {
        self.seen = true;
        let waiting =
            Waiting { ids: (diff.first, diff.last, diff.pu), levels: [own(&diff.bids), own(&diff.asks)] };
        if self.id.is_none() {
            self.waiting.push(waiting);
            if self.waiting.len() > WAITING {
                self.waiting.drain(..WAITING / 2);
            }
            return;
        }
        self.take(waiting);
    }

    /// The venue's rules: spot by `U` and `u`, USD-M by `pu`.
    fn take(&mut self, next: Waiting) {
        let Some(id) = self.id else { return };
        let (first, last, pu) = next.ids;
        let (old, follows) = match pu {
            None => (last <= id, first <= id + 1),
            Some(_) if self.fresh => (last < id, first <= id),
            Some(pu) => (last <= id, pu == id),
        };
        if old {
            return;
        }
        if !follows {
            self.forget();
            self.waiting.push(next);
            return;
        }
        let [bids, asks] = next.levels;
        put(&mut self.bids, bids);
        put(&mut self.asks, asks);
        (self.id, self.fresh) = (Some(last), false);
    }

    fn on_rest(&mut self, book: &RestBook<'_>) {
        if self.id.is_some() || self.waiting.first().is_some_and(|diff| book.id < diff.ids.0) {
            return;
        }
        let waiting = std::mem::take(&mut self.waiting);
        (self.id, self.fresh) = (Some(book.id), true);
        (self.bids, self.asks) = (BTreeMap::new(), BTreeMap::new());
        put(&mut self.bids, own(&book.bids));
        put(&mut self.asks, own(&book.asks));
        for diff in waiting {
            if self.id.is_some() {
                self.take(diff);
            } else {
                self.waiting.push(diff);
            }
        }
    }
}

/// Symbol, stream and event of a frame, combined or raw.
fn binance_event(payload: &[u8]) -> Option<(String, BinanceView, &str)> {
    let text = std::str::from_utf8(payload).ok()?;
    let envelope: Envelope<'_> = serde_json::from_str(text).ok()?;
    if let (Some(stream), Some(data)) = (envelope.stream, envelope.data) {
        let (symbol, view) = stream.split_once('@')?;
        let view = match view {
            "depth" | "depth@0ms" | "depth@100ms" | "depth@250ms" | "depth@500ms" => BinanceView::Diff,
            other => BinanceView::parse(other)?,
        };
        return Some((symbol.to_ascii_uppercase(), view, data.get()));
    }
    let event: Event<'_> = serde_json::from_str(text).ok()?;
    let view = (event.e.as_deref() == Some("depthUpdate")).then_some(BinanceView::Diff)?;
    Some((event.s?.into_owned(), view, text))
}

/// Recorded candles by their minute.
fn candle_rows(venue: Venue, payload: &[u8]) -> BTreeMap<i64, String> {
    let rows: Vec<&RawValue> = serde_json::from_slice(payload).unwrap_or_default();
    let minute = |row: &str| -> Option<i64> {
        match venue {
            Venue::Binance => {
                let at: i64 = row.trim_start_matches('[').split(',').next()?.trim().parse().ok()?;
                Some(at.div_euclid(60_000))
            }
            Venue::Upbit => {
                let row: serde_json::Value = serde_json::from_str(row).ok()?;
                let text = format!("{}Z", row.get("candle_date_time_utc")?.as_str()?);
                Some(text.parse::<jiff::Timestamp>().ok()?.as_second().div_euclid(60))
            }
        }
    };
    rows.iter().filter_map(|row| Some((minute(row.get())?, row.get().to_owned()))).collect()
}

/// Whether there is a recording at `path`, said before anything is served.
///
/// # Errors
/// [`ExchangeError::Recording`].
pub fn check(path: &Path) -> Result<(), ExchangeError> {
    Series::open(path).map(drop).map_err(ExchangeError::from)
}
