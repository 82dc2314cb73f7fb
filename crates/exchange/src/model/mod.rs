//! The seeded synthetic market: pure, in virtual time, the same for the same seed.
//!
//! `p_i` is the fair price in USDT (a common factor, own noise, jumps). Binance's middle is `p_i`; Upbit's is
//! `p_i * fx * (1 + premium_i)`, where `fx` is the middle of the KRW-USDT book itself, so that its tick makes no gaps.
//! Best prices are rounded away from the middle, so an executable gap never exceeds the premium. Both books of a symbol
//! change in the same step. With price paths ([`Model::walking`]) prices and rate are those of [`paths`] instead, gaps come
//! on top of them, and spreads, depths and message rates stay synthetic. What does not live here: sockets, clocks, encodings.

pub mod history;
mod hold;
pub mod ladder;
pub mod listing;
pub mod noise;
pub mod paths;
pub mod premium;
pub mod track;

pub use hold::Hold;

use history::{Candle, Live};
use ladder::{Ladder, Shape};
use listing::{Kind, Listing};
use market::{Asset, Price, Side, upbit_krw_tick};
use noise::Noise;
use premium::{Premium, ou};
use std::time::Duration;

/// Virtual time per step.
pub const STEP: Duration = Duration::from_millis(50);
const DT: f64 = 0.05;
/// Levels per side of a Binance book.
pub const BINANCE_LEVELS: usize = 160;
/// Levels per side of an Upbit book: what that venue shows.
pub const UPBIT_LEVELS: usize = 30;
const FX_START: i64 = 1_390;
const FX_MEAN_SECONDS_PER_TICK: f64 = 180.0;
const KRW: i64 = 100_000_000;

/// Which premium the market has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum MarketKind {
    /// Small noise and episodes that are worth trading.
    Edge,
    /// Small noise only: nothing ever comes near the costs.
    Calm,
}

impl MarketKind {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Edge => "edge",
            Self::Calm => "calm",
        }
    }
}

/// A gap put into the market by hand.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PlantedGap {
    /// Whose; `None` is the first member.
    pub asset: Option<Asset>,
    /// Above zero: Upbit dearer than its usual premium by so many basis points.
    pub bps: f64,
    /// When it opens, after the start.
    pub at: Duration,
    /// How long it stays.
    pub lasts: Duration,
}

/// One symbol: what is fixed, its state and its books.
#[derive(Clone, Debug)]
pub struct Symbol {
    /// What is fixed.
    pub listing: Listing,
    /// Upbit's book: bids, asks. Empty when it is not listed there.
    pub upbit: [Ladder; 2],
    /// Binance's book: bids, asks. Empty when it is not listed there.
    pub binance: [Ladder; 2],
    /// Binance's id of the last book change.
    pub update_id: u64,
    /// The last id that a diff event has carried.
    pub published_id: u64,
    /// Binance's changes since the last diff event.
    pub pending: Vec<(Side, i64)>,
    noise: Noise,
    premium: Premium,
    own: f64,
    /// Where a real price path stands, instead of the synthetic price.
    spot: Option<paths::Spot>,
    /// Upbit's tick where it is none of the bands'.
    krw_tick: Option<i64>,
    quoted: (f64, f64),
    held: Hold,
    /// How it is held has changed since the last quote.
    disturbed: bool,
    upbit_live: Live,
    binance_live: Live,
}

/// What a step changed, as indices of symbols.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// Upbit books that changed.
    pub upbit: Vec<usize>,
    /// Binance symbols whose diff event is due and not empty.
    pub binance: Vec<usize>,
    /// Binance symbols whose best price or size changed.
    pub tops: Vec<usize>,
}

/// The market.
#[derive(Clone, Debug)]
pub struct Model {
    kind: MarketKind,
    seed: u64,
    start_ms: i64,
    steps: u64,
    noise: Noise,
    common: f64,
    fx_bid: i64,
    symbols: Vec<Symbol>,
    planted: Vec<(usize, f64, Duration, Duration)>,
    track: Option<track::Track>,
    touched: Vec<(Side, i64)>,
}

impl Model {
    /// A market of `symbols` members (1 to 1 000). `start_ms` is the wall clock of virtual time zero in ms since 1970; it
    /// only dates candles.
    ///
    /// # Errors
    /// A number of symbols out of range, a planted gap for an unknown asset or of a mad size.
    pub fn new(
        symbols: usize,
        kind: MarketKind,
        seed: u64,
        start_ms: i64,
        planted: &[PlantedGap],
    ) -> Result<Self, crate::ExchangeError> {
        if !(1..=1_000).contains(&symbols) {
            return Err(crate::ExchangeError::Symbols(symbols));
        }
        let listed = listing::listings(symbols, seed).map_err(|_| crate::ExchangeError::Symbols(symbols))?;
        let symbols =
            listed.into_iter().enumerate().map(|(i, l)| Symbol::new(l, seed, 100 + i as u64)).collect();
        let mut model = Self::bare(kind, seed, start_ms, symbols);
        model.open(planted)?;
        Ok(model)
    }

    /// Markets without books of their own: a recording's.
    pub fn listing_only(listed: Vec<Listing>, start_ms: i64) -> Self {
        let symbols = listed.into_iter().map(|listing| Symbol::new(listing, 0, 100)).collect();
        Self::bare(MarketKind::Calm, 0, start_ms, symbols)
    }

    /// Symbols whose books are still empty.
    fn bare(kind: MarketKind, seed: u64, start_ms: i64, symbols: Vec<Symbol>) -> Self {
        Self {
            kind,
            seed,
            start_ms,
            steps: 0,
            noise: Noise::new(seed, 2),
            common: 0.0,
            fx_bid: FX_START,
            symbols,
            planted: Vec::new(),
            track: None,
            touched: Vec::new(),
        }
    }

    /// Plants the gaps and puts up the first books.
    fn open(&mut self, planted: &[PlantedGap]) -> Result<(), crate::ExchangeError> {
        for gap in planted {
            self.plant(*gap)?;
        }
        let mut changes = Changes::default();
        for index in 0..self.symbols.len() {
            self.requote(index, &mut changes);
            self.symbols[index].pending.clear();
            self.symbols[index].published_id = self.symbols[index].update_id;
        }
        Ok(())
    }

    /// Plants a gap; `at` is virtual time since the start.
    ///
    /// # Errors
    /// An unknown asset, a mad size.
    pub fn plant(&mut self, gap: PlantedGap) -> Result<Asset, crate::ExchangeError> {
        if !gap.bps.is_finite() || gap.bps.abs() > 5_000.0 {
            return Err(crate::ExchangeError::GapSize(gap.bps));
        }
        let wanted = gap.asset.unwrap_or(self.symbols[0].listing.asset);
        let index = self
            .symbols
            .iter()
            .position(|s| s.listing.asset == wanted && s.listing.is_member())
            .ok_or(crate::ExchangeError::UnknownAsset(wanted))?;
        self.planted.push((index, gap.bps, gap.at, gap.at.saturating_add(gap.lasts)));
        Ok(wanted)
    }

    /// `edge`, `calm`, or `prices` for real price paths.
    pub fn market_name(&self) -> &'static str {
        if self.track.is_some() { "prices" } else { self.kind.name() }
    }

    /// The seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Virtual time since the start.
    pub fn elapsed(&self) -> Duration {
        STEP * u32::try_from(self.steps).unwrap_or(u32::MAX)
    }

    /// All symbols: the members first.
    pub fn symbols(&self) -> &[Symbol] {
        &self.symbols
    }

    /// One symbol, to mark its diff as published.
    pub fn symbol_mut(&mut self, index: usize) -> &mut Symbol {
        &mut self.symbols[index]
    }

    /// The middle of the KRW-USDT book.
    pub fn fx_mid(&self) -> f64 {
        self.track.as_ref().map_or(self.fx_bid as f64 + 0.5, |track| track.fx(self.elapsed()))
    }

    /// Lets 50 ms pass.
    pub fn step(&mut self, changes: &mut Changes) {
        self.steps += 1;
        changes.upbit.clear();
        changes.binance.clear();
        changes.tops.clear();
        self.open_and_close_gaps();
        let fx_moved = self.track.is_none() && {
            self.move_common();
            self.move_fx()
        };
        self.walk();
        for index in 0..self.symbols.len() {
            let due = (self.steps + index as u64).is_multiple_of(2);
            self.step_symbol(index, due, fx_moved, changes);
        }
    }

    fn step_symbol(&mut self, index: usize, due: bool, fx_moved: bool, changes: &mut Changes) {
        let episodes = self.kind == MarketKind::Edge;
        let common = self.common;
        let symbol = &mut self.symbols[index];
        let listed = symbol.listing.kind;
        if symbol.spot.is_none() && !matches!(listed, Kind::Fx | Kind::Stable) {
            symbol.drift();
            symbol.premium.step(DT, episodes && listed == Kind::Member, &mut symbol.noise);
        }
        let activity = symbol.listing.activity;
        let active = symbol.noise.uniform() < if due { activity } else { activity * 0.4 };
        if !due && !fx_moved {
            // Between two diff events only sizes move, so that a snapshot can fall inside an event's id range.
            if active && symbol.has_live_binance() {
                symbol.wander_binance(1, &mut self.touched);
                symbol.note(&mut self.touched, index, changes);
            }
            return;
        }
        let (price, share) = symbol.quoted;
        let now = symbol.fair(common);
        let moved = (now / price - 1.0).abs() > 1.5e-4 || (symbol.premium_bps() - share).abs() > 1.5;
        if active || moved || fx_moved || std::mem::take(&mut symbol.disturbed) {
            self.requote(index, changes);
        }
        if !self.symbols[index].pending.is_empty() {
            changes.binance.push(index);
        }
    }

    fn open_and_close_gaps(&mut self) {
        let now = self.elapsed();
        if self.planted.is_empty() {
            return;
        }
        for (index, ..) in &self.planted {
            self.symbols[*index].premium.planted = 0.0;
        }
        for (index, bps, from, to) in &self.planted {
            if *from <= now && now < *to {
                self.symbols[*index].premium.planted += bps;
            }
        }
        self.planted.retain(|(.., to)| now < *to);
    }

    fn move_common(&mut self) {
        // 0.8 bps per root second, and a jump every minute or so.
        let shock = self.noise.bell();
        self.common = ou(self.common, 0.0, 0.008, 20_000.0, DT, shock);
        if self.noise.uniform() < DT / 60.0 {
            self.common += self.noise.sign() * self.noise.between(2e-4, 8e-4);
        }
        self.common = self.common.clamp(-0.03, 0.03);
    }

    fn move_fx(&mut self) -> bool {
        if self.noise.uniform() >= DT / FX_MEAN_SECONDS_PER_TICK {
            return false;
        }
        let up = self.noise.uniform() < 0.5 - (self.fx_bid - FX_START) as f64 * 0.1;
        self.fx_bid += if up { 1 } else { -1 };
        true
    }

    fn requote(&mut self, index: usize, changes: &mut Changes) {
        let fx_mid = self.fx_mid();
        let minute = self.minute();
        let common = self.common;
        let symbol = &mut self.symbols[index];
        let [krw, usdt] = symbol.held.factor;
        let fx_bid = (self.fx_bid as f64 * krw).round() as i64;
        let price = symbol.fair(common);
        symbol.quoted = (price, symbol.premium_bps());
        if symbol.listing.upbit.is_some() && !symbol.held.still[0] {
            let is_fx = symbol.listing.kind == Kind::Fx;
            let middle = krw
                * match symbol.spot {
                    _ if is_fx => fx_mid,
                    Some(spot) => spot.krw * symbol.share(),
                    None => symbol.quoted.0 * fx_mid * symbol.share(),
                };
            if is_fx && self.track.is_some() {
                track::quote_fx(symbol, middle, &mut self.touched);
            } else {
                let fixed = is_fx.then_some((fx_bid * KRW, (fx_bid + 1) * KRW));
                symbol.quote_upbit(middle, fixed, fx_mid, &mut self.touched);
            }
            if !self.touched.is_empty() {
                changes.upbit.push(index);
                self.touched.clear();
            }
            symbol.upbit_live.record(minute, nearest(middle, symbol.upbit_tick(middle)));
        }
        if symbol.has_live_binance() || (symbol.listing.binance.is_some() && symbol.update_id == 0) {
            symbol.quote_binance(price * usdt, &mut self.touched);
            symbol.note(&mut self.touched, index, changes);
            symbol.binance_live.record(minute, nearest(price * usdt, symbol.listing.tick));
        }
    }

    fn minute(&self) -> i64 {
        (self.start_ms + self.elapsed().as_millis() as i64).div_euclid(60_000)
    }

    /// Keeps so many one-minute candles of each market from now on, instead of a day of them: for whoever measures what else grows.
    pub fn keep_candles(&mut self, count: usize) {
        for symbol in &mut self.symbols {
            symbol.upbit_live.keep(count);
            symbol.binance_live.keep(count);
        }
    }

    /// Upbit's newest `count` one-minute candles, newest first.
    pub fn upbit_candles(&self, index: usize, count: usize) -> Vec<Candle> {
        let symbol = &self.symbols[index];
        let first = self.start_ms.div_euclid(60_000);
        if let Some(track) = &self.track {
            let past = track.upbit_past(index, symbol, count, first);
            return symbol.upbit_live.newest(count, first, &past);
        }
        let (end, premium) = match symbol.listing.kind {
            // The last trade of a minute is at the bid or at the ask: in turn.
            Kind::Fx => return symbol.upbit_live.newest(count, first, &fx_past(count, first)),
            Kind::Stable => (symbol.listing.start * (FX_START as f64 + 0.5), 0.0),
            _ => (symbol.listing.start * (FX_START as f64 + 0.5), symbol.base_level()),
        };
        let tick = |price: f64| symbol.upbit_tick(price);
        let stream = 10_000 + index as u64;
        let past = history::past(self.seed, stream, count, first, end, Some(premium), tick);
        symbol.upbit_live.newest(count, first, &past)
    }

    /// Binance's newest `count` one-minute candles, newest first.
    pub fn binance_candles(&self, index: usize, count: usize) -> Vec<Candle> {
        let symbol = &self.symbols[index];
        let first = self.start_ms.div_euclid(60_000);
        if let Some(track) = &self.track {
            let past = track.binance_past(index, symbol, count, first);
            return symbol.binance_live.newest(count, first, &past);
        }
        let stream = 10_000 + index as u64;
        let tick = symbol.listing.tick;
        let past = history::past(self.seed, stream, count, first, symbol.listing.start, None, |_| tick);
        symbol.binance_live.newest(count, first, &past)
    }
}

fn fx_past(count: usize, first: i64) -> Vec<Candle> {
    (1..=count as i64)
        .map(|back| {
            let (close, open) = (FX_START + back % 2, FX_START + (back + 1) % 2);
            Candle {
                minute: first - back,
                open: open * KRW,
                high: (FX_START + 1) * KRW,
                low: FX_START * KRW,
                close: close * KRW,
            }
        })
        .collect()
}

fn nearest(price: f64, tick: i64) -> i64 {
    ((price * 1e8 / tick as f64).round() as i64).max(1) * tick
}

/// Best bid and ask around `middle`, rounded away from it and never crossed.
fn best(middle: f64, half: f64, tick: i64) -> (i64, i64) {
    let unit = tick as f64 / 1e8;
    // A coarse tick is the spread by itself.
    let half = if unit / middle > 2e-4 { 2e-6 } else { half };
    let bid = ((middle * (1.0 - half) / unit).floor() as i64).max(1);
    let ask = ((middle * (1.0 + half) / unit).ceil() as i64).max(bid + 1);
    (bid * tick, ask * tick)
}

impl Symbol {
    fn new(listing: Listing, seed: u64, stream: u64) -> Self {
        let mut noise = Noise::new(seed, stream);
        let mut premium = Premium::new(&mut noise);
        if matches!(listing.kind, Kind::Fx | Kind::Stable) {
            premium = Premium::flat();
        }
        let book = || [Ladder::new(Side::Bid), Ladder::new(Side::Ask)];
        Self {
            quoted: (listing.start, 0.0),
            listing,
            upbit: book(),
            binance: book(),
            update_id: 0,
            published_id: 0,
            pending: Vec::new(),
            noise,
            premium,
            own: 0.0,
            spot: None,
            krw_tick: None,
            held: Hold::default(),
            disturbed: false,
            upbit_live: Live::default(),
            binance_live: Live::default(),
        }
    }

    /// The premium's level now, in bps.
    pub fn level_bps(&self) -> f64 {
        self.premium.level()
    }

    /// The whole premium now, in bps; of a real price path only what was planted on top of it.
    pub fn premium_bps(&self) -> f64 {
        if self.spot.is_some() { self.premium.planted } else { self.premium.total() }
    }

    /// How many episodes have begun.
    pub fn episodes(&self) -> u64 {
        self.premium.episodes()
    }

    /// Upbit's tick at `price` KRW.
    pub fn upbit_tick(&self, price: f64) -> i64 {
        self.krw_tick.unwrap_or_else(|| upbit_krw_tick(Price((price * 1e8) as i64)).0)
    }

    fn base_level(&self) -> f64 {
        self.premium.base()
    }

    fn share(&self) -> f64 {
        1.0 + self.quoted.1 * 1e-4
    }

    fn fair(&self, common: f64) -> f64 {
        if let Some(spot) = self.spot {
            return spot.usdt;
        }
        match self.listing.kind {
            Kind::Fx | Kind::Stable => self.listing.start,
            _ => self.listing.start * (1.0 + common + self.own),
        }
    }

    fn has_live_binance(&self) -> bool {
        self.listing.binance.is_some() && self.listing.kind != Kind::Halted && !self.held.still[1]
    }

    fn drift(&mut self) {
        // 0.7 bps per root second, and a jump every ten minutes or so.
        let shock = self.noise.bell();
        self.own = ou(self.own, 0.0, 0.006, 15_000.0, DT, shock);
        if self.noise.uniform() < DT / 600.0 {
            self.own += self.noise.sign() * self.noise.between(2e-4, 8e-4);
        }
        self.own = self.own.clamp(-0.03, 0.03);
    }

    fn quote_upbit(
        &mut self,
        middle: f64,
        fixed: Option<(i64, i64)>,
        fx: f64,
        touched: &mut Vec<(Side, i64)>,
    ) {
        let tick = self.upbit_tick(middle);
        let prices = fixed.unwrap_or_else(|| best(middle, self.listing.half_spread, tick));
        let step = tick as f64 / 1e8 / middle * 1e4;
        let every = ((3.2 / step).round() as i64).max(1);
        let value = self.listing.depth * fx * 0.01 * (step * every as f64);
        // Near symmetric sizes keep the size-weighted middle of the FX book at its plain middle.
        let (value, touch, count) = if fixed.is_some() { (1.5e8, 1.45e8, 4) } else { (value, 500.0 * fx, 3) };
        let shape = Shape { tick, every, levels: UPBIT_LEVELS, value, touch, lot: 1 };
        for (ladder, price) in self.upbit.iter_mut().zip([prices.0, prices.1]) {
            ladder.move_to(price, &shape, &mut self.noise, touched);
            ladder.wander(count, &shape, &mut self.noise, touched);
        }
    }

    fn binance_shape(&self) -> Shape {
        let tick = self.listing.tick;
        let step = tick as f64 / 1e8 / self.listing.start * 1e4;
        let every = ((1.2 / step).round() as i64).max(1);
        let value = self.listing.depth * 0.01 * (step * every as f64);
        Shape { tick, every, levels: BINANCE_LEVELS, value, touch: 500.0, lot: self.listing.lot }
    }

    fn quote_binance(&mut self, middle: f64, touched: &mut Vec<(Side, i64)>) {
        let shape = self.binance_shape();
        let (bid, ask) = best(middle, self.listing.half_spread * 0.8, shape.tick);
        for (ladder, price) in self.binance.iter_mut().zip([bid, ask]) {
            ladder.move_to(price, &shape, &mut self.noise, touched);
        }
        self.wander_binance(3, touched);
    }

    fn wander_binance(&mut self, count: usize, touched: &mut Vec<(Side, i64)>) {
        let shape = self.binance_shape();
        for ladder in &mut self.binance {
            ladder.wander(count, &shape, &mut self.noise, touched);
        }
    }

    /// Enters Binance changes: every one gets an id.
    fn note(&mut self, touched: &mut Vec<(Side, i64)>, index: usize, changes: &mut Changes) {
        if touched.is_empty() {
            return;
        }
        self.update_id += touched.len() as u64;
        let tops = [self.binance[0].rungs().first(), self.binance[1].rungs().first()];
        let top = touched.iter().any(|(_, p)| tops.iter().any(|t| t.is_some_and(|r| r.price == *p)));
        // A best level that went away leaves a new best behind, which may be an old level.
        let gone = touched.iter().any(|(side, p)| match side {
            Side::Bid => tops[0].is_some_and(|r| *p > r.price),
            Side::Ask => tops[1].is_some_and(|r| *p < r.price),
        });
        if top || gone {
            changes.tops.push(index);
        }
        self.pending.append(touched);
    }
}
