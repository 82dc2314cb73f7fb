//! A model that walks real price paths: where it stands on them, its past candles, its KRW-USDT book.

use super::history::Candle;
use super::ladder::Shape;
use super::listing::{self, Kind};
use super::noise::Noise;
use super::paths::{PricePaths, Spot};
use super::{Changes, KRW, MarketKind, Model, PlantedGap, STEP, Symbol, UPBIT_LEVELS, nearest};
use crate::ExchangeError;
use market::Side;
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;

/// The path before the start that a client can ask for as candles at least: what seeds a level.
pub const LEAD_MS: i64 = 30 * 60_000;
/// The tick of KRW-USDT, some 4 bps: an exception among Upbit's ticks.
const FX_TICK: i64 = KRW / 2;
/// Value of both best levels of KRW-USDT together, in KRW; what lies behind holds as much per level.
const FX_TOUCH: f64 = 3e8;
const MINUTE_MS: i64 = 60_000;

/// Where a model stands on price paths.
#[derive(Clone, Debug)]
pub(super) struct Track {
    paths: Arc<PricePaths>,
    /// The paths' time at virtual zero, ms since 1970.
    from_ms: i64,
    /// The venue's time at virtual zero, ms since 1970.
    start_ms: i64,
}

/// What the prices of a market are, for status and report.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Source {
    /// The symbols.
    pub symbols: Vec<String>,
    /// The paths' time at the start, UTC.
    pub from: String,
    /// The paths' last common instant, UTC; from there on the prices stand.
    pub until: String,
    /// Five-minute instants that all candles have in common.
    pub instants: usize,
    /// What stands for KRW-USDT.
    pub krw_usdt: &'static str,
    /// KRW per USDT at the start.
    pub krw_usdt_at_start: f64,
    /// The European Central Bank's USD/KRW of that day, or of the last working day before it.
    pub ecb_usd_krw: Option<f64>,
}

/// How the rate of real price paths came about.
pub const KRW_USDT: &str = "median over the symbols of Upbit KRW / Binance USDT at each common five-minute instant, straight in between";

impl Track {
    fn at(&self, elapsed: Duration) -> i64 {
        self.from_ms + elapsed.as_millis() as i64
    }

    pub(super) fn fx(&self, elapsed: Duration) -> f64 {
        self.paths.fx(self.at(elapsed))
    }

    fn spot(&self, index: usize, elapsed: Duration) -> Option<Spot> {
        (index < self.paths.paths().len()).then(|| self.paths.spot(index, self.at(elapsed)))
    }

    /// Upbit's candles before the venue's minute `first`, newest first.
    pub(super) fn upbit_past(&self, index: usize, symbol: &Symbol, count: usize, first: i64) -> Vec<Candle> {
        let is_member = index < self.paths.paths().len();
        let price = |ms| if is_member { self.paths.spot(index, ms).krw } else { self.paths.fx(ms) };
        self.past(count, first, |ms| {
            let price = price(ms);
            nearest(price, symbol.upbit_tick(price))
        })
    }

    /// Binance's candles before the venue's minute `first`, newest first.
    pub(super) fn binance_past(
        &self,
        index: usize,
        symbol: &Symbol,
        count: usize,
        first: i64,
    ) -> Vec<Candle> {
        self.past(count, first, |ms| nearest(self.paths.spot(index, ms).usdt, symbol.listing.tick))
    }

    /// The path by minutes of the venue; what lies before the first instant is not made up.
    fn past(&self, count: usize, first: i64, price: impl Fn(i64) -> i64) -> Vec<Candle> {
        let shift = self.from_ms - self.start_ms;
        (1..=count as i64)
            .map(|back| first - back)
            .take_while(|minute| minute * MINUTE_MS + shift >= self.paths.first_ms())
            .map(|minute| {
                let from = minute * MINUTE_MS + shift;
                // The path has corners at its own full minutes only.
                let corner = (from.div_euclid(MINUTE_MS) + 1) * MINUTE_MS;
                let (open, middle, close) = (price(from), price(corner), price(from + MINUTE_MS - 1));
                Candle {
                    minute,
                    open,
                    high: open.max(middle).max(close),
                    low: open.min(middle).min(close),
                    close,
                }
            })
            .collect()
    }
}

impl Model {
    /// A market that walks `paths` from `from_ms` (ms since 1970, on the paths; half an hour after their beginning when left
    /// out). `start_ms` is the venue's time then. The seed draws what candles do not have: sizes and message times.
    ///
    /// # Errors
    /// A start that does not lie on the paths, a planted gap for an unknown asset or of a mad size.
    pub fn walking(
        paths: Arc<PricePaths>,
        from_ms: Option<i64>,
        seed: u64,
        start_ms: i64,
        planted: &[PlantedGap],
    ) -> Result<Self, ExchangeError> {
        let from_ms = from_ms.unwrap_or(paths.first_ms() + LEAD_MS);
        check(&paths, from_ms)?;
        let members: Vec<_> = paths
            .paths()
            .iter()
            .enumerate()
            .map(|(i, path)| (path.asset, paths.spot(i, from_ms).usdt, path.turnover))
            .collect();
        let listed = listing::of_paths(&members, seed).map_err(|_| ExchangeError::Symbols(members.len()))?;
        let mut model = Self {
            kind: MarketKind::Calm,
            seed,
            start_ms,
            steps: 0,
            noise: Noise::new(seed, 2),
            common: 0.0,
            fx_bid: 0,
            symbols: listed
                .into_iter()
                .enumerate()
                .map(|(i, l)| Symbol::new(l, seed, 100 + i as u64))
                .collect(),
            planted: Vec::new(),
            track: Some(Track { paths, from_ms, start_ms }),
            touched: Vec::new(),
        };
        for symbol in model.symbols.iter_mut().filter(|symbol| symbol.listing.kind == Kind::Fx) {
            symbol.krw_tick = Some(FX_TICK);
        }
        model.walk();
        model.open(planted)?;
        Ok(model)
    }

    /// What the prices are, when they are real price paths.
    pub fn source(&self) -> Option<Source> {
        let Track { paths, from_ms, .. } = self.track.as_ref()?;
        Some(Source {
            symbols: paths.paths().iter().map(|path| path.asset.to_string()).collect(),
            from: utc(*from_ms),
            until: utc(paths.last_ms()),
            instants: paths.common().len(),
            krw_usdt: KRW_USDT,
            krw_usdt_at_start: (paths.fx(*from_ms) * 1e4).round() / 1e4,
            ecb_usd_krw: paths.ecb(*from_ms),
        })
    }

    /// Puts every symbol where its path stands now.
    pub(super) fn walk(&mut self) {
        let elapsed = self.elapsed();
        let Some(track) = &self.track else { return };
        for (index, symbol) in self.symbols.iter_mut().enumerate() {
            symbol.spot = track.spot(index, elapsed);
        }
    }

    /// Goes to virtual time `to` at once and quotes the symbols `which` there, both venues of each, so that no gap comes of
    /// it; the others keep their books. For real price paths, which need no steps in between. A time that has passed stays.
    pub fn leap(&mut self, to: Duration, which: &[usize], changes: &mut Changes) {
        self.steps = self.steps.max((to.as_millis() / STEP.as_millis()) as u64);
        changes.upbit.clear();
        changes.binance.clear();
        changes.tops.clear();
        self.open_and_close_gaps();
        self.walk();
        for index in which.iter().copied() {
            self.requote(index, changes);
            if !self.symbols[index].pending.is_empty() {
                changes.binance.push(index);
            }
        }
    }
}

/// Whether `paths` can begin at `from_ms` since 1970.
///
/// # Errors
/// [`ExchangeError::From`].
pub fn check(paths: &PricePaths, from_ms: i64) -> Result<(), ExchangeError> {
    let (first, last) = (paths.first_ms() + LEAD_MS, paths.last_ms());
    if (first..last).contains(&from_ms) {
        return Ok(());
    }
    Err(ExchangeError::From { asked: utc(from_ms), first: utc(first), last: utc(last) })
}

/// `2025-09-01 00:30 UTC` of ms since 1970.
pub fn utc(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms)
        .map_or_else(|_| format!("{ms} ms after 1970"), |t| t.strftime("%Y-%m-%d %H:%M UTC").to_string())
}

/// Quotes KRW-USDT so that the size-weighted middle of its best levels is the rate, whose fractions its tick cannot show.
pub(super) fn quote_fx(symbol: &mut Symbol, rate: f64, touched: &mut Vec<(Side, i64)>) {
    let ticks = rate / (FX_TICK as f64 / 1e8);
    let (below, share) = (ticks.floor(), ticks.fract());
    // Near a tick the rate stands between its two neighbours, so that neither best level is thin.
    let (bid, ask, share) = if share < 0.15 {
        (below - 1.0, below + 1.0, f64::midpoint(share, 1.0))
    } else if share > 0.85 {
        (below, below + 2.0, share / 2.0)
    } else {
        (below, below + 1.0, share)
    };
    let shape = Shape {
        tick: FX_TICK,
        every: 1,
        levels: UPBIT_LEVELS,
        value: FX_TOUCH / 2.0,
        touch: FX_TOUCH * 0.1,
        lot: 1,
    };
    let coins = FX_TOUCH / rate;
    // The middle weighs the bid by the ask's size: a rate near the ask has much on the bid.
    for (ladder, ticks, part) in
        symbol.upbit.iter_mut().zip([(bid, share), (ask, 1.0 - share)]).map(|(l, (t, p))| (l, t, p))
    {
        ladder.move_to(ticks as i64 * FX_TICK, &shape, &mut symbol.noise, touched);
        ladder.resize_best((coins * part * 1e8).round() as i64, touched);
    }
}
