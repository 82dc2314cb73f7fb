//! Random sessions of the engine: a seeded market of symbols from 0.00002 USDT to 95 000, with thin books, gaps of both signs,
//! lost frames and connections, rate moves, changes of the universe, a day boundary near, and each kind of end. Every
//! figure is drawn from the seed; nothing is aimed at a particular outcome.

use engine::{Config, Core, DayOffset, Effect, PerVenue, Rebalance};
use journal::{Body, Entry};
use market::{Asset, Instrument, Member, Money, Price, Quantity, SCALE, TickRule, Timestamp, Venue};
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use recording::Input;
use std::collections::BTreeMap;

/// 2026-11-24T00:00:00Z.
const MIDNIGHT: i64 = 1_795_478_400;
const UPBIT: u16 = 1;
const BINANCE: u16 = 2;
/// USDT, and the power of ten of a tick in 1e-8 USDT.
const PRICES: [(f64, u32); 6] = [(0.00002, 0), (0.0123, 3), (1.0, 4), (37.5, 6), (2_900.0, 6), (95_000.0, 6)];

/// Bids and asks, best first: price and quantity in 1e-8.
type Sides = [Vec<(i64, i128)>; 2];

struct Symbol {
    member: Member,
    usdt: f64,
    tick: i64,
    premium: f64,
    size_usd: f64,
    id: u64,
    binance: Sides,
    upbit: Sides,
}

/// What a price may give at most over its history: its first display and every rise.
#[derive(Default)]
struct Budget {
    last: i128,
    allowed: i128,
    filled: i128,
}

pub struct Session {
    pub core: Core,
    pub entries: Vec<Entry>,
    pub config: Config,
    rng: ChaCha8Rng,
    pub at: Timestamp,
    seq: u64,
    symbols: Vec<Symbol>,
    fx: f64,
    wanted: Vec<(Asset, u32)>,
    budgets: BTreeMap<(Venue, Asset, usize, i64), Budget>,
}

fn config(rng: &mut ChaCha8Rng) -> Config {
    let pick = |rng: &mut ChaCha8Rng, from: &[i64]| *from.choose(rng).unwrap();
    let usd = |n: i64| Money(i128::from(n) * SCALE / 100);
    let latency = *[(0, 0), (60_000, 90_000), (400_000, 250_000)].choose(rng).unwrap();
    let fees = *[(500, 1_000), (500, 1_000), (0, 0), (139, 750), (2_500, 4_000)].choose(rng).unwrap();
    let mut config = Config {
        leg_usd: usd(pick(rng, &[20_000, 20_000, 5_000, 100_000])),
        inventory_legs: rng.random_range(1..7),
        min_edge_bps: rng.random_range(-15.0..6.0),
        reserve_bps: 0.0,
        fees_centibps: PerVenue { upbit: fees.0, binance: fees.1 },
        latency_us: PerVenue { upbit: latency.0, binance: latency.1 },
        take_profit_bps: pick(rng, &[5, 25]) as u32,
        time_limit_ms: pick(rng, &[1_500, 4_000, 180_000]),
        entry_pause_ms: pick(rng, &[0, 500]),
        symbol_degrade_pct: 40.0,
        symbol_block_pct: 60.0,
        daily_loss_usd: usd(pick(rng, &[30_000, 500])),
        emergency_loss_usd: usd(pick(rng, &[80_000, 80_000, 200])),
        cooldown_route_ms: 1_000,
        cooldown_cross_ms: 2_000,
        bias: 1.0,
        level_window_ms: 20_000,
        level_exclude_ms: 500,
        level_min_ms: 0,
        complete_ms: pick(rng, &[200, 1_000]),
        complete_bps: pick(rng, &[2, 20]) as u32,
        unwind_attempts: pick(rng, &[1, 3]) as u32,
        close_within_ms: pick(rng, &[700, 5_000]),
        rebalance: *[Rebalance::Transfer, Rebalance::Transfer, Rebalance::Block, Rebalance::Off]
            .choose(rng)
            .unwrap(),
        rebalance_at: *[0.001, 0.01, 0.3].choose(rng).unwrap(),
        transfer_delay_ms: pick(rng, &[0, 1_300, 6_000, 600_000]),
        withdrawal_fee_usd: usd(pick(rng, &[0, 1, 20])),
        day_offset: *[DayOffset::Utc, DayOffset::Kst].choose(rng).unwrap(),
        ..Config::default()
    };
    if rng.random_bool(0.5) {
        let fees = PerVenue { upbit: Quantity(12_345), binance: Quantity(1) };
        config.withdrawal_fees.insert(Asset::new("S0").unwrap(), fees);
    }
    config
}

impl Session {
    /// Plays the session of a seed to its end.
    pub fn play(seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let config = config(&mut rng);
        // Up to half a minute before midnight in one of the two places.
        let midnight = MIDNIGHT - *[0, 9 * 3_600].choose(&mut rng).unwrap();
        let at = Timestamp(midnight * 1_000_000_000 - rng.random_range(0..30_000_000_000i64));
        let input = Input::Session {
            run_id: format!("random-{seed}"),
            config: serde_json::to_string(&config).unwrap(),
        };
        let mut effects = Vec::new();
        let core = Core::start(1, at, &input, &mut effects).unwrap();
        let n = rng.random_range(1..5);
        let fx = rng.random_range(1_250.0..1_500.0);
        let leg = config.leg_usd.to_f64();
        let symbols = (0..n).map(|i| symbol(i, leg, &mut rng)).collect();
        let mut session = Self {
            core,
            entries: Vec::new(),
            config,
            rng,
            at,
            seq: 1,
            symbols,
            fx,
            wanted: Vec::new(),
            budgets: BTreeMap::new(),
        };
        session.take(effects);
        session.run();
        session
    }

    /// Binance's lot of a symbol.
    pub fn lot(&self, asset: Asset) -> Quantity {
        self.symbols.iter().find(|s| s.member.asset == asset).unwrap().member.binance.lot
    }

    fn run(&mut self) {
        self.input(Input::ConnUp { conn: UPBIT, venue: Venue::Upbit });
        self.input(Input::ConnUp { conn: BINANCE, venue: Venue::Binance });
        // A symbol or two may join later.
        let first = self.rng.random_range(1..=self.symbols.len());
        self.universe(0, first);
        let steps = self.rng.random_range(60..160);
        let joins = self.rng.random_range(20..steps);
        for step in 0..steps {
            if step == joins {
                let from = usize::from(self.rng.random_bool(0.3));
                self.universe(from, self.symbols.len());
            }
            self.step();
        }
        let end = match self.rng.random_range(0..4) {
            0 => Some(Input::KillSwitch { reason: "random".to_owned() }),
            1 => None,
            _ => Some(Input::Shutdown),
        };
        if let Some(end) = end {
            self.input(end);
            for _ in 0..24 {
                self.step();
            }
        }
    }

    fn universe(&mut self, from: usize, to: usize) {
        let members: Vec<Member> = self.symbols[from..to].iter().map(|s| s.member.clone()).collect();
        self.input(Input::Universe { asked: members.len() as u32, members });
    }

    /// Time passes, the market moves, and most of it is seen.
    fn step(&mut self) {
        let ms = *[20, 130, 250, 250, 400, 1_700].choose(&mut self.rng).unwrap();
        self.at = Timestamp(self.at.0 + ms * 1_000_000 + self.rng.random_range(0..2) * 137_000);
        let rng = &mut self.rng;
        self.fx *= 1.0 + rng.random_range(-0.0002..0.0002);
        if rng.random_bool(0.02) {
            self.fx *= 1.0 + rng.random_range(-0.01..0.01);
        }
        if rng.random_bool(0.02) {
            let (conn, venue) = *[(UPBIT, Venue::Upbit), (BINANCE, Venue::Binance)].choose(rng).unwrap();
            self.input(Input::ConnDown { conn, venue, reason: "random".to_owned() });
            self.at = Timestamp(self.at.0 + self.rng.random_range(1..900) * 1_000_000);
            self.input(Input::ConnUp { conn, venue });
        }
        if self.rng.random_bool(0.9) {
            self.fx_frame();
        }
        for i in 0..self.symbols.len() {
            let rng = &mut self.rng;
            let symbol = &mut self.symbols[i];
            symbol.usdt *= 1.0 + rng.random_range(-0.0003..0.0003);
            if rng.random_bool(0.15) {
                symbol.premium = rng.random_range(-90.0..90.0);
            }
            if rng.random_bool(0.2) {
                symbol.size_usd =
                    self.config.leg_usd.to_f64() * [0.05, 0.3, 0.8, 3.0, 40.0].choose(rng).unwrap();
            }
            let (upbit, binance) = (rng.random_bool(0.8), rng.random_bool(0.8));
            if upbit {
                self.upbit_frame(i);
            }
            if binance {
                self.binance_frame(i);
            }
        }
        self.input(Input::Tick);
        for (asset, epoch) in std::mem::take(&mut self.wanted) {
            self.snapshot(asset, epoch);
        }
    }

    fn sides(&mut self, i: usize, mid: f64, tick: i64) -> Sides {
        let symbol = &self.symbols[i];
        let (size, usdt, rng) = (symbol.size_usd, symbol.usdt, &mut self.rng);
        let mid = ((mid * 1e8) as i64 / tick).max(10);
        let levels = rng.random_range(1..6);
        let mut side = |sign: i64| {
            let mut at = mid + sign;
            (0..levels)
                .map(|_| {
                    let level = at * tick;
                    at += sign * rng.random_range(1..4);
                    let quantity = size / usdt * rng.random_range(0.3..1.5) * 1e8;
                    (level.max(1), (quantity as i128).max(1))
                })
                .filter(|(price, _)| *price > 1)
                .collect::<Vec<_>>()
        };
        [side(-1), side(1)]
    }

    fn upbit_frame(&mut self, i: usize) {
        let symbol = &self.symbols[i];
        let mid = symbol.usdt * self.fx * (1.0 + symbol.premium / 1e4);
        // Upbit's ticks are coarser in KRW than Binance's in USDT, by about the rate.
        let sides = self.sides(i, mid, symbol.tick.saturating_mul(1_000));
        let [mut bids, mut asks] = sides;
        let n = bids.len().min(asks.len());
        if n == 0 {
            return;
        }
        bids.truncate(n);
        asks.truncate(n);
        let units: Vec<String> = bids
            .iter()
            .zip(&asks)
            .map(|(bid, ask)| {
                let [ap, bp] = [ask.0, bid.0].map(Price);
                let [aq, bq] = [ask.1, bid.1].map(Quantity);
                format!(r#"{{"ask_price":{ap},"bid_price":{bp},"ask_size":{aq},"bid_size":{bq}}}"#)
            })
            .collect();
        let (asset, ms) = (self.symbols[i].member.asset, self.at.as_millis());
        let sides = [bids, asks];
        self.symbols[i].upbit = sides.clone();
        self.displayed(Venue::Upbit, asset, &sides);
        let text = format!(
            r#"{{"type":"orderbook","code":"KRW-{asset}","timestamp":{ms},"total_ask_size":1,"total_bid_size":1,"orderbook_units":[{}],"stream_type":"REALTIME","level":0}}"#,
            units.join(",")
        );
        self.input(Input::Frame { conn: UPBIT, payload: text.into_bytes().into() });
    }

    fn fx_frame(&mut self) {
        let (bid, ask, ms) = (self.fx.floor(), self.fx.floor() + 1.0, self.at.as_millis());
        let (a, b) = (self.rng.random_range(1..90_000), self.rng.random_range(1..90_000));
        let text = format!(
            r#"{{"type":"orderbook","code":"KRW-USDT","timestamp":{ms},"total_ask_size":1,"total_bid_size":1,"orderbook_units":[{{"ask_price":{ask},"bid_price":{bid},"ask_size":{a},"bid_size":{b}}}],"stream_type":"REALTIME","level":0}}"#
        );
        self.input(Input::Frame { conn: UPBIT, payload: text.into_bytes().into() });
    }

    /// A diff from the levels before to the new ones; now and then the venue's ids run on without us.
    fn binance_frame(&mut self, i: usize) {
        let symbol = &self.symbols[i];
        let sides = self.sides(i, symbol.usdt, symbol.tick);
        if sides.iter().any(Vec::is_empty) {
            return;
        }
        let step = if self.rng.random_bool(0.01) { 3 } else { 1 };
        let symbol = &mut self.symbols[i];
        symbol.id += step;
        let (id, asset, ms) = (symbol.id, symbol.member.asset, self.at.as_millis());
        let changes = |old: &[(i64, i128)], new: &[(i64, i128)]| {
            let gone = old.iter().filter(|(p, _)| !new.iter().any(|(q, _)| p == q)).map(|(p, _)| (*p, 0));
            let rows: Vec<String> = new
                .iter()
                .copied()
                .chain(gone)
                .map(|(p, q)| format!(r#"["{}","{}"]"#, Price(p), Quantity(q)))
                .collect();
            rows.join(",")
        };
        let bids = changes(&symbol.binance[0], &sides[0]);
        let asks = changes(&symbol.binance[1], &sides[1]);
        symbol.binance = sides.clone();
        self.displayed(Venue::Binance, asset, &sides);
        let text = format!(
            r#"{{"e":"depthUpdate","E":{ms},"s":"{asset}USDT","U":{id},"u":{id},"b":[{bids}],"a":[{asks}]}}"#
        );
        self.input(Input::Frame { conn: BINANCE, payload: text.into_bytes().into() });
    }

    fn snapshot(&mut self, asset: Asset, epoch: u32) {
        let Some(symbol) = self.symbols.iter().find(|s| s.member.asset == asset) else { return };
        let venue = Venue::Binance;
        if self.rng.random_bool(0.05) {
            self.input(Input::SnapshotFailed { venue, asset, epoch, status: 503, retry_after_ms: 0 });
            return;
        }
        let rows = |levels: &[(i64, i128)]| {
            let rows: Vec<String> =
                levels.iter().map(|(p, q)| format!(r#"["{}","{}"]"#, Price(*p), Quantity(*q))).collect();
            rows.join(",")
        };
        let [bids, asks] = &symbol.binance;
        let body =
            format!(r#"{{"lastUpdateId":{},"bids":[{}],"asks":[{}]}}"#, symbol.id, rows(bids), rows(asks));
        self.input(Input::Snapshot { venue, asset, epoch, payload: body.into_bytes().into() });
    }

    /// What each price may give from now on.
    fn displayed(&mut self, venue: Venue, asset: Asset, sides: &Sides) {
        for (s, levels) in sides.iter().enumerate() {
            let worst = levels.last().map_or(0, |level| level.0);
            let inside = |price: i64| if s == 0 { price >= worst } else { price <= worst };
            for ((.., price), budget) in
                self.budgets.range_mut((venue, asset, s, i64::MIN)..=(venue, asset, s, i64::MAX))
            {
                if inside(*price) && !levels.iter().any(|level| level.0 == *price) {
                    budget.last = 0;
                }
            }
            for (price, quantity) in levels {
                let budget = self.budgets.entry((venue, asset, s, *price)).or_default();
                budget.allowed += (quantity - budget.last).max(0);
                budget.last = *quantity;
            }
        }
    }

    fn input(&mut self, input: Input) {
        self.seq += 1;
        let mut effects = Vec::new();
        self.core.apply(self.seq, self.at, &input, &mut effects);
        self.take(effects);
    }

    fn take(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Record(entry) => self.record(entry),
                Effect::RequestSnapshot { asset, epoch, .. } => self.wanted.push((asset, epoch)),
                Effect::Watch { .. }
                | Effect::Resubscribe { .. }
                | Effect::Finished
                | Effect::EmergencyExit => {}
            }
        }
    }

    fn record(&mut self, entry: Entry) {
        match &entry.body {
            Body::Note { level, text } => assert_ne!(level, "error", "{text}"),
            Body::Fill { venue, asset, takes, levels, .. } => {
                for level in levels {
                    let side = usize::from(*takes == market::Side::Ask);
                    let budget = self.budgets.entry((*venue, *asset, side, level.price.0)).or_default();
                    budget.filled += level.quantity.0;
                    assert!(
                        budget.filled <= budget.allowed,
                        "{asset} on {venue} at {}: {} taken of {} ever displayed",
                        level.price,
                        Quantity(budget.filled),
                        Quantity(budget.allowed)
                    );
                }
            }
            _ => {}
        }
        self.entries.push(entry);
    }
}

fn symbol(i: usize, leg_usd: f64, rng: &mut ChaCha8Rng) -> Symbol {
    let (usdt, power) = *PRICES.choose(rng).unwrap();
    let asset = Asset::new(&format!("S{i}")).unwrap();
    // The largest power of ten that is worth at most this share of a leg.
    let share = *[0.0005, 0.02, 0.15].choose(rng).unwrap();
    let lot = Quantity(10i128.pow((leg_usd * share / usdt * 1e8).log10().floor() as u32));
    let instrument = |venue: Venue| Instrument {
        venue,
        asset,
        code: if venue == Venue::Upbit { format!("KRW-{asset}") } else { format!("{asset}USDT") },
        tick: TickRule::Fixed(Price(1)),
        lot: if venue == Venue::Upbit { Quantity(1) } else { lot },
        min_quantity: Quantity::ZERO,
        max_quantity: Quantity::ZERO,
        min_notional: if venue == Venue::Upbit { Money::from_int(5_000) } else { Money::from_int(5) },
    };
    Symbol {
        member: Member {
            asset,
            upbit: instrument(Venue::Upbit),
            binance: instrument(Venue::Binance),
            turnover_usdt: Money::from_int(2_000_000),
        },
        usdt,
        tick: 10i64.pow(power),
        // The same worth is another amount of coin on each venue: what is deposited may be out of balance.
        premium: *[0.0, 0.0, -300.0, 450.0].choose(rng).unwrap(),
        size_usd: leg_usd * 3.0,
        id: 100,
        binance: Sides::default(),
        upbit: Sides::default(),
    }
}
