//! A small hand-made market: symbols at 10 USDT and 14 000 KRW, FX at 1 400, spreads of 2 bps, with a premium per symbol.

use engine::recover::State;
use engine::{Config, Core, Effect};
use journal::record::{Direction, ExitReason};
use journal::{Body, Entry};
use market::{Asset, Instrument, Member, Money, Price, Quantity, TickRule, Timestamp, Venue};
use recording::{Input, Record};

/// 2026-11-23T02:00:00Z.
pub const START: i64 = 1_795_392_000 + 7_200;
const UPBIT: u16 = 1;
const BINANCE: u16 = 2;

pub struct Driver {
    pub core: Core,
    pub at: Timestamp,
    pub entries: Vec<Entry>,
    pub records: Vec<Record>,
    pub effects: Vec<Effect>,
    pub names: Vec<&'static str>,
    pub ids: Vec<u64>,
    pub touch: Vec<Option<(String, String)>>,
    pub premium: Vec<f64>,
    pub size: Vec<f64>,
    pub fx: f64,
    /// The first second.
    pub start: i64,
    /// What a recovery from the journal gives: compared with the core after every input.
    pub recovered: State,
    /// A test reached inside the core: the journal cannot know of that.
    pub meddled: bool,
    /// How far each venue's clock is ahead of ours, milliseconds.
    pub ahead_ms: [i64; 2],
}

pub fn member(name: &str) -> Member {
    let asset = Asset::new(name).unwrap();
    let instrument = |venue: Venue| Instrument {
        venue,
        asset,
        code: if venue == Venue::Upbit { format!("KRW-{name}") } else { format!("{name}USDT") },
        tick: TickRule::Fixed(Price(1)),
        lot: if venue == Venue::Upbit { Quantity(1) } else { Quantity::parse("0.01").unwrap() },
        min_quantity: Quantity::ZERO,
        max_quantity: Quantity::ZERO,
        min_notional: if venue == Venue::Upbit { Money::from_int(5_000) } else { Money::from_int(5) },
    };
    Member {
        asset,
        upbit: instrument(Venue::Upbit),
        binance: instrument(Venue::Binance),
        turnover_usdt: Money::from_int(2_000_000),
    }
}

impl Driver {
    pub fn new(names: &[&'static str], config: &Config) -> Self {
        Self::from(START, names, config)
    }

    pub fn warm(&mut self) {
        self.up();
        self.candles();
        self.fx();
        for i in 0..self.names.len() {
            self.both(i);
        }
        self.idle(2);
        assert_eq!(self.snapshots_open(), 0);
    }

    pub fn bare(names: &[&'static str], config: &Config) -> Self {
        Self::bare_from(START, names, config)
    }

    /// As [`Self::new`], beginning at another second.
    pub fn from(start: i64, names: &[&'static str], config: &Config) -> Self {
        let mut d = Self::bare_from(start, names, config);
        d.warm();
        d
    }

    pub fn bare_from(start: i64, names: &[&'static str], config: &Config) -> Self {
        let at = Timestamp::from_secs(start);
        let session =
            Input::Session { run_id: "t.main".to_owned(), config: serde_json::to_string(config).unwrap() };
        let mut effects = Vec::new();
        let core = Core::start(1, at, &session, &mut effects).unwrap();
        let n = names.len();
        let mut d = Self {
            core,
            at,
            entries: Vec::new(),
            records: vec![Record { seq: 1, at, input: session }],
            effects: Vec::new(),
            names: names.to_vec(),
            ids: vec![100; n],
            touch: vec![None; n],
            premium: vec![0.0; n],
            size: vec![1_000.0; n],
            fx: 1_400.0,
            start,
            recovered: State::new(),
            meddled: false,
            ahead_ms: [0; 2],
        };
        d.take(effects);
        d
    }

    pub fn up(&mut self) {
        self.input(Input::ConnUp { conn: UPBIT, venue: Venue::Upbit });
        self.input(Input::ConnUp { conn: BINANCE, venue: Venue::Binance });
        let members = self.names.iter().map(|n| member(n)).collect();
        self.input(Input::Universe { asked: self.names.len() as u32, members });
    }

    fn take(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Record(entry) => {
                    assert_eq!(entry.seq, self.entries.len() as u64 + 1, "records have no hole");
                    if let Body::Note { level, text } = &entry.body {
                        assert_ne!(level, "error", "{text}");
                    }
                    self.recovered.fold(&entry).unwrap();
                    self.entries.push(entry);
                }
                other => self.effects.push(other),
            }
        }
        self.journal_says_it_all();
    }

    /// The journal cut here gives the state of the core that was not interrupted.
    fn journal_says_it_all(&self) {
        if self.meddled {
            return;
        }
        let (mut folded, mut kept) = (self.recovered.clone(), self.core.state());
        // The last record's input and instant: the core may have seen inputs since that recorded nothing.
        (kept.input_seq, kept.at) = (folded.input_seq, folded.at);
        folded.comparable(self.at);
        kept.comparable(self.at);
        assert_eq!(folded, kept, "after input {}", self.records.len());
    }

    /// Kills the process and goes on from `state`, which the journal gave.
    pub fn go_on(&mut self, state: State) {
        let Input::Session { run_id, config } = self.records[0].input.clone() else { panic!("no session") };
        self.effects.clear();
        self.recovered = state.clone();
        self.input(Input::Resume {
            run_id,
            config,
            after_seq: state.journal_seq,
            cut_records: 0,
            cut_bytes: 0,
            state: serde_json::to_string(&state).unwrap(),
        });
    }

    pub fn input(&mut self, input: Input) {
        let seq = self.records.len() as u64 + 1;
        let mut out = Vec::new();
        self.core.apply(seq, self.at, &input, &mut out);
        self.records.push(Record { seq, at: self.at, input });
        self.take(out);
        self.answer();
    }

    /// Answers snapshot requests at once with the current book.
    fn answer(&mut self) {
        let requests: Vec<_> =
            self.effects.extract_if(.., |e| matches!(e, Effect::RequestSnapshot { .. })).collect();
        for request in requests {
            if let Effect::RequestSnapshot { venue, asset, epoch } = request {
                let i = self.names.iter().position(|n| *n == asset.as_str()).unwrap();
                let Some((bid, ask)) = self.touch[i].clone() else { continue };
                let (size, id) = (self.size[i], self.ids[i]);
                let body = format!(
                    r#"{{"lastUpdateId":{id},"bids":[["{bid}","{size}"]],"asks":[["{ask}","{size}"]]}}"#
                );
                self.input(Input::Snapshot { venue, asset, epoch, payload: body.into_bytes().into() });
            }
        }
    }

    pub fn snapshots_open(&self) -> usize {
        self.effects.iter().filter(|e| matches!(e, Effect::RequestSnapshot { .. })).count()
    }

    pub fn frame(&mut self, venue: Venue, text: String) {
        let conn = if venue == Venue::Upbit { UPBIT } else { BINANCE };
        self.input(Input::Frame { conn, payload: text.into_bytes().into() });
    }

    fn upbit_text(&self, code: &str, mid: f64, half: f64, size: f64) -> String {
        let (bid, ask, ms) = (mid * (1.0 - half), mid * (1.0 + half), self.at.as_millis() + self.ahead_ms[0]);
        format!(
            r#"{{"type":"orderbook","code":"{code}","timestamp":{ms},"total_ask_size":{size},"total_bid_size":{size},"orderbook_units":[{{"ask_price":{ask:.4},"bid_price":{bid:.4},"ask_size":{size},"bid_size":{size}}}],"stream_type":"REALTIME","level":0}}"#
        )
    }

    pub fn fx(&mut self) {
        let text = self.upbit_text("KRW-USDT", self.fx, 0.0003, 50_000.0);
        self.frame(Venue::Upbit, text);
    }

    pub fn upbit(&mut self, i: usize) {
        let mid = 14_000.0 * (1.0 + self.premium[i] / 1e4);
        let text = self.upbit_text(&format!("KRW-{}", self.names[i]), mid, 0.0001, self.size[i]);
        self.frame(Venue::Upbit, text);
    }

    /// A diff with the touch at 10 USDT.
    pub fn binance(&mut self, i: usize) {
        self.diff(i, 1);
    }

    /// A diff that skips `step - 1` ids.
    pub fn diff(&mut self, i: usize, step: u64) {
        let (bid, ask) = (format!("{:.4}", 9.999), format!("{:.4}", 10.001));
        self.touch[i] = Some((bid.clone(), ask.clone()));
        self.ids[i] += step;
        let (id, name, size) = (self.ids[i], self.names[i], self.size[i]);
        let ms = self.at.as_millis() + self.ahead_ms[1];
        self.frame(
            Venue::Binance,
            format!(
                r#"{{"e":"depthUpdate","E":{ms},"s":"{name}USDT","U":{id},"u":{id},"b":[["{bid}","{size}"]],"a":[["{ask}","{size}"]]}}"#
            ),
        );
    }

    pub fn both(&mut self, i: usize) {
        self.upbit(i);
        self.binance(i);
    }

    /// The day of a second, `YYYY-MM-DD`: the tests live in three days.
    fn date(second: i64) -> &'static str {
        match second.div_euclid(86_400) - START.div_euclid(86_400) {
            -1 => "2026-11-22",
            0 => "2026-11-23",
            _ => "2026-11-24",
        }
    }

    /// One-minute candles of half an hour at no premium.
    pub fn candles(&mut self) {
        let minutes: Vec<i64> = (1..=31).rev().map(|m| self.start - m * 60).collect();
        let upbit = |price: f64| {
            let rows: Vec<String> = minutes
                .iter()
                .map(|t| {
                    let day = t.rem_euclid(86_400);
                    let date = Self::date(*t);
                    let (h, m) = (day / 3_600, day % 3_600 / 60);
                    format!(
                        r#"{{"market":"x","candle_date_time_utc":"{date}T{h:02}:{m:02}:00","opening_price":{price},"trade_price":{price}}}"#
                    )
                })
                .rev()
                .collect();
            format!("[{}]", rows.join(",")).into_bytes()
        };
        let binance: Vec<String> = minutes
            .iter()
            .map(|t| {
                format!(
                    r#"[{},"10","10","10","10.0000","1",{},"1",1,"1","1","0"]"#,
                    t * 1_000,
                    t * 1_000 + 59_999
                )
            })
            .collect();
        let binance = format!("[{}]", binance.join(",")).into_bytes();
        let fx = upbit(1_400.0);
        self.input(Input::Candles { venue: Venue::Upbit, asset: Asset::USDT, payload: fx.into() });
        for name in self.names.clone() {
            let asset = Asset::new(name).unwrap();
            let (krw, usdt) = (upbit(14_000.0), binance.clone());
            self.input(Input::Candles { venue: Venue::Upbit, asset, payload: krw.into() });
            self.input(Input::Candles { venue: Venue::Binance, asset, payload: usdt.into() });
        }
    }

    pub fn wait_ms(&mut self, ms: i64) {
        self.at = Timestamp(self.at.0 + ms * 1_000_000);
    }

    /// Frames of everything four times a second.
    pub fn idle(&mut self, seconds: i64) {
        for _ in 0..seconds * 4 {
            self.wait_ms(250);
            self.fx();
            for i in 0..self.names.len() {
                self.both(i);
            }
        }
    }

    pub fn find<T>(&self, pick: impl Fn(&Body) -> Option<T>) -> Vec<T> {
        self.entries.iter().filter_map(|e| pick(&e.body)).collect()
    }

    pub fn closed(&self) -> Vec<(ExitReason, Direction, f64)> {
        self.find(|b| match b {
            Body::Closed { reason, direction, net_usd, .. } => Some((*reason, *direction, net_usd.to_f64())),
            _ => None,
        })
    }

    pub fn decisions(&self) -> usize {
        self.find(|b| matches!(b, Body::Decision { .. }).then_some(())).len()
    }

    pub fn alerts(&self) -> Vec<String> {
        self.find(|b| match b {
            Body::Alert(alert) => Some(alert.rule_id().to_owned()),
            _ => None,
        })
    }

    /// Guard transitions of a rule: starts and ends.
    pub fn guard(&self, rule: &str) -> (usize, usize) {
        let of = |start: bool| {
            self.find(|b| matches!(b, Body::Guard(g) if g.rule == rule && g.start == start).then_some(()))
                .len()
        };
        (of(true), of(false))
    }

    pub fn end(&self) -> Option<(String, u32)> {
        self.find(|b| match b {
            Body::End { reason, open_positions } => Some((reason.clone(), *open_positions)),
            _ => None,
        })
        .pop()
    }

    /// Coin holdings less deposits of a symbol over both venues, in units.
    pub fn coin_off(&self, i: usize) -> [f64; 2] {
        let asset = Asset::new(self.names[i]).unwrap();
        Venue::ALL.map(|v| {
            let ledger = self.core.ledger();
            ledger.balance(v, asset).to_f64() - ledger.deposited(v, asset).to_f64()
        })
    }
}
