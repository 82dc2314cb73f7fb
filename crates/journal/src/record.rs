//! The records of the journal, format version 2 (version 1 had no commit marks, exits and touches). A documented artefact: the gate adds up from these and from nothing else.

use market::{Asset, FxRate, Member, Money, Price, Quantity, Refusal, Side, Timestamp, Venue};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version of the record format.
pub const FORMAT: u32 = 2;

/// One record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// 1, 2, 3, ... without a hole.
    pub seq: u64,
    /// The input that caused it.
    pub input_seq: u64,
    /// The instant of that input (or of the deadline that fired inside it).
    pub at: Timestamp,
    /// True on the last record of an input: what follows the last commit of a killed process is half an input's effects, was
    /// never published, and is cut when the session comes back.
    #[serde(default, skip_serializing_if = "is_false")]
    pub commit: bool,
    /// What happened.
    pub body: Body,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

/// The two directions of an arbitrage, named by where the asset is bought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Buy on Upbit, sell on Binance.
    BuyUpbit,
    /// Buy on Binance, sell on Upbit.
    BuyBinance,
}

impl Direction {
    /// Both, in order.
    pub const ALL: [Self; 2] = [Self::BuyUpbit, Self::BuyBinance];

    /// Where the entry buys.
    pub const fn buys_on(self) -> Venue {
        match self {
            Self::BuyUpbit => Venue::Upbit,
            Self::BuyBinance => Venue::Binance,
        }
    }

    /// The other direction.
    pub const fn opposite(self) -> Self {
        match self {
            Self::BuyUpbit => Self::BuyBinance,
            Self::BuyBinance => Self::BuyUpbit,
        }
    }

    /// 0 or 1.
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// Why a position was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ExitReason {
    /// Emergency stop (daily loss of -800 USD).
    Emergency,
    /// The kill switch.
    KillSwitch,
    /// The gap moved against the position by the stop.
    StopLoss,
    /// The gap crossed its level.
    SpreadReversal,
    /// Out of time.
    TimeLimit,
    /// Net of the whole round trip at or above the target.
    TakeProfit,
    /// The end of the run.
    Shutdown,
}

impl ExitReason {
    /// All, in the order in which they are checked.
    pub const ALL: [Self; 7] = [
        Self::Emergency,
        Self::KillSwitch,
        Self::StopLoss,
        Self::SpreadReversal,
        Self::TimeLimit,
        Self::TakeProfit,
        Self::Shutdown,
    ];

    /// The name in metrics and reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Emergency => "emergency",
            Self::KillSwitch => "kill_switch",
            Self::StopLoss => "stop_loss",
            Self::SpreadReversal => "spread_reversal",
            Self::TimeLimit => "time_limit",
            Self::TakeProfit => "take_profit",
            Self::Shutdown => "shutdown",
        }
    }
}

/// What an order is part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// A leg of an entry.
    Entry,
    /// A leg of an exit.
    Exit,
    /// Completing the missing leg.
    Complete,
    /// Unwinding an unmatched leg.
    Unwind,
}

/// The rate that a conversion used, with its age and origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct FxUsed {
    /// KRW per USDT.
    pub rate: FxRate,
    /// Age of the book behind it, milliseconds.
    pub age_ms: i64,
    /// Where it came from.
    pub source: FxSource,
}

/// The origin of an FX rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum FxSource {
    /// 10 s size-weighted mid of Upbit's KRW-USDT book: signals and valuation.
    UpbitMid,
    /// The side of Upbit's KRW-USDT book that a conversion would take.
    UpbitSide,
}

/// A level that a fill took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Taken {
    /// Price.
    pub price: Price,
    /// Taken there.
    pub quantity: Quantity,
    /// Displayed there at the fill instant, before liquidity memory.
    pub displayed: Quantity,
}

/// Quantiles of samples, by nearest rank.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Quantiles {
    /// 5th percentile.
    pub p05: f64,
    /// Median.
    pub p50: f64,
    /// 95th percentile.
    pub p95: f64,
    /// Largest.
    pub max: f64,
}

/// The best bid and ask that a venue displayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Touch {
    /// Best bid, the venue's own currency.
    pub bid: Price,
    /// Displayed there.
    pub bid_quantity: Quantity,
    /// Best ask.
    pub ask: Price,
    /// Displayed there.
    pub ask_quantity: Quantity,
}

/// The price of an asset on both venues at a mark: the mid of the last Live book.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Mark {
    /// Asset.
    pub asset: Asset,
    /// KRW, `None` when there never was a Live book.
    pub upbit: Option<Price>,
    /// USDT.
    pub binance: Option<Price>,
}

/// The terms under which the session trades: what the gate needs to add up by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// Paper capital for all percent rules, USD.
    pub capital_usd: Money,
    /// Upbit's taker fee in hundredths of a basis point (500 = 5 bps), taken in KRW, rounded up to 1e-8 KRW.
    pub upbit_fee_centibps: u32,
    /// Binance's taker fee in hundredths of a basis point, taken in the received asset, rounded up to 1e-8.
    pub binance_fee_centibps: u32,
    /// Take profit, share of notional in basis points.
    pub take_profit_bps: u32,
    /// Time limit of a position, milliseconds.
    pub time_limit_ms: i64,
}

/// Why a figure was recorded: the thresholds that guards compare.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct GuardEvent {
    /// The trigger: unique within the run; `end` carries the id of its start.
    pub trigger: u64,
    /// `exchange`, `route`, `symbol`, `global`, `cross_exchange`.
    pub guard_type: String,
    /// The rule within the type, such as `exposure_block`, `daily_loss`, `fx_stale`, `health_down`.
    pub rule: String,
    /// What it applies to: `*`, a venue, an asset, an asset and direction.
    pub scope: String,
    /// `degrade`, `cooldown`, `block`.
    pub verdict: String,
    /// True when it starts, false when it ends.
    pub start: bool,
    /// The figure that was looked at.
    pub observed: f64,
    /// What it was compared with.
    pub threshold: f64,
    /// `above` or `below`: on which side of the threshold the condition holds.
    pub holds: String,
}

/// What happened. The name of the variant is the record's kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Body {
    /// The session began.
    Start {
        /// Format version of the journal.
        format: u32,
        /// Runner id.
        run_id: String,
        /// Version of the engine.
        version: String,
        /// Terms of trade.
        terms: Terms,
        /// The engine's effective configuration as JSON text: every constant of the simulation, and what a restart must
        /// agree with. Empty where the writer states none.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        config: String,
    },
    /// The session came back after its process had been killed: everything before was read from this journal, what stood
    /// behind the last commit was cut.
    Resumed {
        /// Version of the engine that goes on.
        version: String,
        /// The last record that was kept: this one has the next number.
        after_seq: u64,
        /// Whole records behind the last commit that were cut: part of an input, never published.
        cut_records: u64,
        /// Bytes that were cut, those of a torn last line included.
        cut_bytes: u64,
        /// Positions that came back, in whatever phase.
        positions: u32,
        /// Orders that came back: sent, neither filled nor refused. Each meets the first Live book at or after its arrival.
        orders: u32,
    },
    /// The universe was set.
    Universe {
        /// How many were asked for.
        asked: u32,
        /// The members, in rank order.
        members: Vec<Member>,
    },
    /// A paper deposit: the starting inventory, and what a symbol that joins later brings.
    Deposit {
        /// Venue.
        venue: Venue,
        /// Asset.
        asset: Asset,
        /// Amount.
        amount: Quantity,
    },
    /// An entry was decided.
    Decision {
        /// Position id.
        position: u64,
        /// Asset.
        asset: Asset,
        /// Direction.
        direction: Direction,
        /// Base quantity intended per leg.
        quantity: Quantity,
        /// Value of a leg in USD at the decision.
        notional_usd: Money,
        /// Executable gap in basis points.
        gap_bps: f64,
        /// Level of this direction.
        level_bps: f64,
        /// Level of the opposite direction: what leaving usually brings.
        opposite_level_bps: f64,
        /// Edge after four fees and reserve.
        edge_bps: f64,
        /// Average executable price per venue (Upbit, Binance) in its own currency: bounds of a completion count from here.
        prices: [Price; 2],
        /// What the entry should bring before fees: sale minus purchase, USD.
        gross_usd: Money,
        /// The touch of both books, Upbit's first.
        touch: [Option<Touch>; 2],
        /// The signal rate.
        fx: FxUsed,
    },
    /// The touch gap of the way out was measured: at the fill instant, or, when a book was not usable then, at the first
    /// moment that both were. The stop loss counts from here.
    Anchored {
        /// Position id.
        position: u64,
        /// The gap, basis points.
        out_bps: f64,
    },
    /// An exit was decided; its orders follow once both books are usable.
    Exit {
        /// Position id.
        position: u64,
        /// Asset.
        asset: Asset,
        /// Why.
        reason: ExitReason,
        /// Touch gap of the way out at the fill instant, basis points.
        out_at_open_bps: Option<f64>,
        /// The same now.
        out_bps: Option<f64>,
        /// Touch gap of the position's own direction now, basis points.
        in_bps: Option<f64>,
        /// The level of the position's own direction, basis points.
        level_bps: Option<f64>,
        /// Net of the whole round trip if it were closed now by walking the books, basis points of the leg's value.
        net_bps: Option<f64>,
        /// What the way out should bring before fees: sale minus purchase, USD. `None` without a usable book.
        gross_usd: Option<Money>,
        /// The touch of both books as last seen, Upbit's first.
        touch: [Option<Touch>; 2],
    },
    /// An order was sent.
    Order {
        /// Order id.
        order: u64,
        /// Its position.
        position: u64,
        /// What for.
        purpose: Purpose,
        /// Venue.
        venue: Venue,
        /// Asset.
        asset: Asset,
        /// The book side that it takes: a buy takes `ask`, a sell takes `bid`.
        takes: Side,
        /// Base quantity.
        quantity: Quantity,
        /// The instant at or after which it meets the venue's book.
        arrives: Timestamp,
        /// The worst price that it accepts, in the venue's currency; absent for a market order.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit: Option<Price>,
    },
    /// An order was refused, or met nothing.
    Rejected {
        /// Order id.
        order: u64,
        /// Why.
        refusal: Refusal,
    },
    /// An order was filled, wholly or in part.
    Fill {
        /// Order id.
        order: u64,
        /// Its position.
        position: u64,
        /// What for.
        purpose: Purpose,
        /// Venue.
        venue: Venue,
        /// Asset.
        asset: Asset,
        /// The side that was taken: `ask` is a buy.
        takes: Side,
        /// Levels taken.
        levels: Vec<Taken>,
        /// Base quantity filled, before a fee in the base asset.
        quantity: Quantity,
        /// Quote amount before fees.
        notional: Money,
        /// Fee, in units of `fee_asset`.
        fee: Quantity,
        /// The asset that the fee was taken in.
        fee_asset: Asset,
        /// The rate for valuing this fill in USD.
        fx: FxUsed,
    },
    /// A paper balance changed.
    Balance {
        /// Venue.
        venue: Venue,
        /// Asset.
        asset: Asset,
        /// By how much.
        change: Quantity,
        /// What it is now.
        balance: Quantity,
        /// The order whose fill changed it; 0 for deposits.
        order: u64,
    },
    /// Both legs of the entry are filled: a position is open.
    Opened {
        /// Position id.
        position: u64,
        /// Asset.
        asset: Asset,
        /// Direction.
        direction: Direction,
        /// Matched base quantity.
        quantity: Quantity,
        /// Value per leg, USD.
        notional_usd: Money,
        /// Realised executable gap of the entry fills.
        gap_bps: f64,
        /// The edge at the decision.
        decided_edge_bps: f64,
        /// The edge of the fills as they were.
        realised_edge_bps: f64,
    },
    /// A round trip is complete.
    Closed {
        /// Position id.
        position: u64,
        /// Asset.
        asset: Asset,
        /// Direction of the entry.
        direction: Direction,
        /// Why.
        reason: ExitReason,
        /// Entry fills complete, nanoseconds since the epoch.
        opened_at: Timestamp,
        /// Before fees, USD.
        gross_usd: Money,
        /// All fees, USD.
        fees_usd: Money,
        /// After fees, USD: `gross - fees`.
        net_usd: Money,
        /// Decided against realised, USD: what latency and depth cost.
        slippage_usd: Money,
    },
    /// An entry that never became a position ended: its unmatched leg was unwound (or it filled nothing at all).
    Unwound {
        /// Position id.
        position: u64,
        /// Asset.
        asset: Asset,
        /// True when a leg had filled and was undone at cost.
        orphan: bool,
        /// Result, USD (fees included).
        net_usd: Money,
    },
    /// A guard's transition.
    Guard(GuardEvent),
    /// The funnel since the last such record, by stage. `asset` is `None` for the total.
    Funnel {
        /// Asset, or the total.
        asset: Option<Asset>,
        /// Counts by stage (`catalogue::FUNNEL_STAGES`, and `blocked:<rule>`, `suppressed:<why>`).
        counts: BTreeMap<String, u64>,
    },
    /// What the gaps and edges of an asset were in one direction since the last such record: once a minute, and at the end.
    Edges {
        /// Asset.
        asset: Asset,
        /// Direction.
        direction: Direction,
        /// Seconds that were sampled: those with two Live books and a rate.
        samples: u32,
        /// Executable gap for a leg, basis points; one sample a second.
        gap_bps: Option<Box<Quantiles>>,
        /// The level of this direction now, basis points.
        level_bps: Option<f64>,
        /// The level of the opposite direction now, basis points: what leaving usually brings.
        opposite_level_bps: Option<f64>,
        /// Edge, basis points; one sample a second, of those with a level.
        edge_bps: Option<Box<Quantiles>>,
        /// The best edge of all evaluations, basis points.
        best_edge_bps: Option<f64>,
        /// When it was seen.
        best_at: Option<Timestamp>,
        /// Four taker fees and the reserve, basis points: `edge = gap + opposite level - costs`.
        costs_bps: f64,
        /// An entry needs an edge of at least this, basis points.
        threshold_bps: f64,
    },
    /// The figures that guards look at: each second, and with each transition.
    Figures {
        /// The signal rate; `None` while there is none.
        fx: Option<FxUsed>,
        /// Books Live per venue.
        live: [u32; 2],
        /// Members.
        members: u32,
        /// `healthy`, `degraded`, `down`, `frozen` per venue.
        health: [String; 2],
        /// Open positions.
        positions: u32,
        /// Exposure, USD.
        exposure_usd: Money,
        /// Net since the day boundary, USD.
        daily_net_usd: Money,
    },
    /// An equity point: each second and after each fill. Everything in USD at `fx`.
    Equity {
        /// Holdings minus deposits, both at these marks: what trading made.
        pnl_usd: Money,
        /// Closed round trips and unwinds, net.
        net_usd: Money,
        /// Largest fall of `pnl_usd` from its peak so far.
        drawdown_usd: Money,
        /// The rate.
        fx: FxUsed,
        /// Marks of the assets whose holding differs from their deposits.
        marks: Vec<Mark>,
    },
    /// `Position limit` was met: pacing, no guard trigger.
    PositionLimit {
        /// Asset.
        asset: Asset,
        /// Open positions.
        open: u32,
    },
    /// The emergency stop latched.
    EmergencyStop {
        /// Daily result that did it, USD.
        daily_net_usd: Money,
    },
    /// An alert was raised by the core.
    Alert {
        /// `<run id>-<n>`: the same in a replay.
        alert_id: String,
        /// Rule id of the catalogue.
        rule_id: String,
        /// One line.
        title: String,
        /// What happened and what to look at.
        message: String,
        /// Labels.
        labels: BTreeMap<String, String>,
        /// Alerts with the same key may be coalesced.
        key: String,
    },
    /// Something worth a log line: a resync, a gap, a reconnect, a book that broke.
    Note {
        /// `info`, `warning` or `error`.
        level: String,
        /// The line.
        text: String,
    },
    /// The session ended in order.
    End {
        /// `shutdown` (the duration is over, or a signal: the shell knows which), `emergency_stop`, `kill_switch`.
        reason: String,
        /// Positions still open, marked and reported as unrealised.
        open_positions: u32,
    },
}
