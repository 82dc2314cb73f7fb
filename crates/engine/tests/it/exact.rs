//! A second hand-made market whose books are exact decimals with several levels, so that a test can say what a trade must
//! bring to the last unit. It starts calm: Upbit 13 986 / 14 014 KRW, Binance 9.99 / 10.01 USDT, 1 400 KRW per USDT, half
//! an hour of candles in the middle. Both spreads are 20 bps, so that both levels are -20 bps.
//! Frames come one way (the configured latency) after the venue sent them.

use crate::driver::{START, member};
use engine::{Config, Core, Effect};
use journal::record::{Direction, ExitReason, Purpose};
use journal::{Body, Entry};
use market::{Asset, Member, Money, Quantity, Refusal, Timestamp, Venue};
use recording::{Input, Record};

pub const UPBIT: u16 = 1;
pub const BINANCE: u16 = 2;

/// Price and size of each level, best first.
pub type Levels<'a> = &'a [(&'a str, &'a str)];

/// Deep sides of the calm market.
pub const UPBIT_BIDS: Levels<'static> = &[("13986", "100000")];
pub const UPBIT_ASKS: Levels<'static> = &[("14014", "100000")];
pub const BINANCE_BIDS: Levels<'static> = &[("9.99", "100000")];
pub const BINANCE_ASKS: Levels<'static> = &[("10.01", "100000")];

#[derive(Debug, Clone, Default)]
struct Side {
    levels: Vec<(String, String)>,
}

impl Side {
    fn of(levels: Levels<'_>) -> Self {
        Self { levels: levels.iter().map(|(p, q)| ((*p).to_owned(), (*q).to_owned())).collect() }
    }

    fn json(&self) -> String {
        let rows: Vec<String> = self.levels.iter().map(|(p, q)| format!(r#"["{p}","{q}"]"#)).collect();
        format!("[{}]", rows.join(","))
    }

    /// The rows of a diff that leads from `self` to `to`.
    fn diff(&self, to: &Self) -> String {
        let gone = self.levels.iter().filter(|(p, _)| !to.levels.iter().any(|(q, _)| p == q));
        let mut rows: Vec<String> = gone.map(|(p, _)| format!(r#"["{p}","0"]"#)).collect();
        rows.extend(to.levels.iter().map(|(p, q)| format!(r#"["{p}","{q}"]"#)));
        format!("[{}]", rows.join(","))
    }
}

/// A fill as the journal has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Filled {
    pub at_ms: i64,
    pub venue: Venue,
    pub purpose: Purpose,
    pub takes: market::Side,
    pub quantity: Quantity,
    pub notional: Money,
    pub fee: Quantity,
    pub levels: usize,
}

pub struct Market {
    pub core: Core,
    pub at: Timestamp,
    pub entries: Vec<Entry>,
    pub records: Vec<Record>,
    pub effects: Vec<Effect>,
    pub members: Vec<Member>,
    /// Binance's sides, bids and asks, per symbol.
    shown: Vec<[Side; 2]>,
    ids: Vec<u64>,
    /// One way per venue, milliseconds.
    one_way_ms: [i64; 2],
}

impl Market {
    /// The calm market with `names`, two seconds old.
    pub fn calm(names: &[&'static str], config: &Config) -> Self {
        Self::of(names.iter().map(|name| member(name)).collect(), config)
    }

    /// As [`Self::calm`], with instruments of the caller.
    pub fn of(members: Vec<Member>, config: &Config) -> Self {
        Self::with(members, config, |session, at, out| Core::start(1, at, session, out).unwrap())
    }

    /// As [`Self::of`], with a core that the caller starts.
    pub fn with(
        members: Vec<Member>,
        config: &Config,
        start: impl FnOnce(&Input, Timestamp, &mut Vec<Effect>) -> Core,
    ) -> Self {
        let mut m = Self::bare(members, config, start);
        m.candles(31, "14000");
        m.calm_for(2);
        let live = m.members.len() as u32;
        assert_eq!(m.core.view().venues[1].books[1], live, "every book is live");
        m
    }

    /// Connected, with a universe, without candles and books.
    pub fn bare(
        members: Vec<Member>,
        config: &Config,
        start: impl FnOnce(&Input, Timestamp, &mut Vec<Effect>) -> Core,
    ) -> Self {
        let at = Timestamp::from_secs(START);
        let one_way_ms = Venue::ALL.map(|v| i64::from(config.latency_us.of(v)) / 1_000);
        let config = serde_json::to_string(config).unwrap();
        let session = Input::Session { run_id: "t.main".to_owned(), config };
        let mut effects = Vec::new();
        let core = start(&session, at, &mut effects);
        let n = members.len();
        let mut m = Self {
            core,
            at,
            entries: Vec::new(),
            records: vec![Record { seq: 1, at, input: session }],
            effects: Vec::new(),
            members: members.clone(),
            shown: vec![[Side::of(BINANCE_BIDS), Side::of(BINANCE_ASKS)]; n],
            ids: vec![100; n],
            one_way_ms,
        };
        m.take(effects);
        m.input(Input::ConnUp { conn: UPBIT, venue: Venue::Upbit });
        m.input(Input::ConnUp { conn: BINANCE, venue: Venue::Binance });
        m.input(Input::Universe { asked: n as u32, members });
        m
    }

    fn take(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Record(entry) => {
                    if let Body::Note { level, text } = &entry.body {
                        assert_ne!(level, "error", "{text}");
                    }
                    self.entries.push(entry);
                }
                Effect::RequestSnapshot { venue, asset, epoch } => {
                    let i = self.members.iter().position(|m| m.asset == asset).unwrap();
                    let [bids, asks] = &self.shown[i];
                    let (id, bids, asks) = (self.ids[i], bids.json(), asks.json());
                    let body = format!(r#"{{"lastUpdateId":{id},"bids":{bids},"asks":{asks}}}"#);
                    self.input(Input::Snapshot { venue, asset, epoch, payload: body.into_bytes().into() });
                }
                other => self.effects.push(other),
            }
        }
    }

    pub fn input(&mut self, input: Input) {
        let seq = self.records.len() as u64 + 1;
        let mut out = Vec::new();
        self.core.apply(seq, self.at, &input, &mut out);
        self.records.push(Record { seq, at: self.at, input });
        self.take(out);
    }

    pub fn wait_ms(&mut self, ms: i64) {
        self.at = Timestamp(self.at.0 + ms * 1_000_000);
    }

    pub fn tick(&mut self) {
        self.input(Input::Tick);
    }

    fn whole(&mut self, code: &str, bids: Levels<'_>, asks: Levels<'_>, venue_ms: i64) {
        assert_eq!(bids.len(), asks.len(), "a unit has both sides");
        let unit = |((bid, bid_size), (ask, ask_size)): (&(&str, &str), &(&str, &str))| {
            format!(r#"{{"ask_price":{ask},"bid_price":{bid},"ask_size":{ask_size},"bid_size":{bid_size}}}"#)
        };
        let units: Vec<String> = bids.iter().zip(asks).map(unit).collect();
        let text = format!(
            r#"{{"type":"orderbook","code":"{code}","timestamp":{venue_ms},"total_ask_size":1,"total_bid_size":1,"orderbook_units":[{}],"stream_type":"REALTIME","level":0}}"#,
            units.join(",")
        );
        self.input(Input::Frame { conn: UPBIT, payload: text.into_bytes().into() });
    }

    /// When a frame that comes now was sent.
    pub fn sent_ms(&self, venue: Venue) -> i64 {
        self.at.as_millis() - self.one_way_ms[venue.index()]
    }

    /// The KRW-USDT book one won to either side of `mid`.
    pub fn fx(&mut self, mid: i64) {
        self.fx_sent(mid, self.sent_ms(Venue::Upbit));
    }

    /// As [`Self::fx`], with the venue's own time.
    pub fn fx_sent(&mut self, mid: i64, venue_ms: i64) {
        let (bid, ask) = ((mid - 1).to_string(), (mid + 1).to_string());
        self.fx_book(&bid, &ask, venue_ms);
    }

    /// The KRW-USDT book with equal sizes: its weighted mid is in the middle.
    pub fn fx_book(&mut self, bid: &str, ask: &str, venue_ms: i64) {
        self.whole("KRW-USDT", &[(bid, "50000")], &[(ask, "50000")], venue_ms);
    }

    pub fn upbit(&mut self, i: usize, bids: Levels<'_>, asks: Levels<'_>) {
        self.upbit_sent(i, bids, asks, self.sent_ms(Venue::Upbit));
    }

    /// As [`Self::upbit`], with the venue's own time.
    pub fn upbit_sent(&mut self, i: usize, bids: Levels<'_>, asks: Levels<'_>, venue_ms: i64) {
        let code = self.members[i].upbit.code.clone();
        self.whole(&code, bids, asks, venue_ms);
    }

    pub fn binance(&mut self, i: usize, bids: Levels<'_>, asks: Levels<'_>) {
        self.binance_sent(i, bids, asks, self.sent_ms(Venue::Binance));
    }

    /// As [`Self::binance`], with the venue's own time.
    pub fn binance_sent(&mut self, i: usize, bids: Levels<'_>, asks: Levels<'_>, venue_ms: i64) {
        let to = [Side::of(bids), Side::of(asks)];
        let [b, a] = [0, 1].map(|s: usize| self.shown[i][s].diff(&to[s]));
        self.shown[i] = to;
        self.ids[i] += 1;
        let (id, code) = (self.ids[i], &self.members[i].binance.code);
        let text =
            format!(r#"{{"e":"depthUpdate","E":{venue_ms},"s":"{code}","U":{id},"u":{id},"b":{b},"a":{a}}}"#);
        self.input(Input::Frame { conn: BINANCE, payload: text.into_bytes().into() });
    }

    /// The calm books of a symbol.
    pub fn calm_book(&mut self, i: usize) {
        self.upbit(i, UPBIT_BIDS, UPBIT_ASKS);
        self.binance(i, BINANCE_BIDS, BINANCE_ASKS);
    }

    /// Calm books of everything four times a second.
    pub fn calm_for(&mut self, seconds: i64) {
        for _ in 0..seconds * 4 {
            self.wait_ms(250);
            self.fx(1_400);
            for i in 0..self.members.len() {
                self.calm_book(i);
            }
        }
    }

    /// One-minute candles of both venues up to the start: Upbit's coins at `krw`, Binance's at 10, the rate at 1 400.
    pub fn candles(&mut self, minutes: i64, krw: &str) {
        let minutes: Vec<i64> = (1..=minutes).rev().map(|m| START - m * 60).collect();
        let upbit = |price: &str| {
            let row = |t: &i64| {
                let day = t.rem_euclid(86_400);
                let (h, m) = (day / 3_600, day % 3_600 / 60);
                format!(
                    r#"{{"market":"x","candle_date_time_utc":"2026-11-23T{h:02}:{m:02}:00","opening_price":{price},"trade_price":{price}}}"#
                )
            };
            format!("[{}]", minutes.iter().rev().map(row).collect::<Vec<_>>().join(",")).into_bytes()
        };
        let row = |t: &i64| {
            let (from, to) = (t * 1_000, t * 1_000 + 59_999);
            format!(r#"[{from},"10","10","10","10.0000","1",{to},"1",1,"1","1","0"]"#)
        };
        let binance = format!("[{}]", minutes.iter().map(row).collect::<Vec<_>>().join(",")).into_bytes();
        let payload = upbit("1400").into();
        self.input(Input::Candles { venue: Venue::Upbit, asset: Asset::USDT, payload });
        for asset in self.members.iter().map(|m| m.asset).collect::<Vec<_>>() {
            let (krw, usdt) = (upbit(krw).into(), binance.clone().into());
            self.input(Input::Candles { venue: Venue::Upbit, asset, payload: krw });
            self.input(Input::Candles { venue: Venue::Binance, asset, payload: usdt });
        }
    }

    pub fn find<T>(&self, pick: impl Fn(&Body) -> Option<T>) -> Vec<T> {
        self.entries.iter().filter_map(|e| pick(&e.body)).collect()
    }

    /// The decisions: direction, quantity, what they should bring before fees, edge.
    pub fn decided(&self) -> Vec<(Direction, Quantity, Money, f64)> {
        self.find(|b| match b {
            Body::Decision { direction, quantity, gross_usd, edge_bps, .. } => {
                Some((*direction, *quantity, *gross_usd, *edge_bps))
            }
            _ => None,
        })
    }

    /// The closed trips: reason, gross, fees, net, slippage.
    pub fn closed(&self) -> Vec<(ExitReason, Money, Money, Money, Money)> {
        self.find(|b| match b {
            Body::Closed { reason, gross_usd, fees_usd, net_usd, slippage_usd, .. } => {
                Some((*reason, *gross_usd, *fees_usd, *net_usd, *slippage_usd))
            }
            _ => None,
        })
    }

    pub fn reasons(&self) -> Vec<ExitReason> {
        self.closed().iter().map(|c| c.0).collect()
    }

    pub fn unwound(&self) -> Vec<(bool, Money)> {
        self.find(|b| match b {
            Body::Unwound { orphan, net_usd, .. } => Some((*orphan, *net_usd)),
            _ => None,
        })
    }

    pub fn refusals(&self) -> Vec<Refusal> {
        self.find(|b| if let Body::Rejected { refusal, .. } = b { Some(*refusal) } else { None })
    }

    pub fn filled(&self) -> Vec<Filled> {
        let fill = |e: &Entry| match &e.body {
            Body::Fill { venue, purpose, takes, quantity, notional, fee, levels, .. } => Some(Filled {
                at_ms: e.at.as_millis() - START * 1_000,
                venue: *venue,
                purpose: *purpose,
                takes: *takes,
                quantity: *quantity,
                notional: *notional,
                fee: *fee,
                levels: levels.len(),
            }),
            _ => None,
        };
        self.entries.iter().filter_map(fill).collect()
    }

    pub fn end(&self) -> Option<(String, u32)> {
        self.find(|b| match b {
            Body::End { reason, open_positions } => Some((reason.clone(), *open_positions)),
            _ => None,
        })
        .pop()
    }

    /// What trading made at the last equity point.
    pub fn pnl(&self) -> Money {
        self.find(|b| if let Body::Equity { pnl_usd, .. } = b { Some(*pnl_usd) } else { None }).pop().unwrap()
    }

    /// Change of a balance since the deposits.
    pub fn change(&self, venue: Venue, asset: Asset) -> Quantity {
        let ledger = self.core.ledger();
        Quantity(ledger.balance(venue, asset).0 - ledger.deposited(venue, asset).0)
    }

    /// The log once more through a fresh core: the same journal, byte for byte.
    pub fn replays(&self) {
        let mut again = Vec::new();
        engine::replay(self.records.clone().into_iter(), |e| again.push(serde_json::to_string(&e).unwrap()))
            .unwrap();
        let first: Vec<String> = self.entries.iter().map(|e| serde_json::to_string(e).unwrap()).collect();
        assert_eq!(first, again);
    }
}

pub fn usd(text: &str) -> Money {
    Money::parse(text).unwrap()
}

pub fn coin(text: &str) -> Quantity {
    Quantity::parse(text).unwrap()
}
