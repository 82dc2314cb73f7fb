//! What the records of the journal are made of: directions, reasons, rates, touches, marks, terms. The records
//! themselves are in [`crate::record`], which hands these on.

use crate::figures::GuardTerms;
use crate::withdrawal::WithdrawalTerms;
use market::{Asset, FxRate, Money, Price, Quantity, Timestamp, Venue};
use serde::{Deserialize, Serialize};

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
    /// The symbol's market was halted, delisted or put under a warning.
    Halt,
}

impl ExitReason {
    /// All, in the order in which they are checked.
    pub const ALL: [Self; 8] = [
        Self::Emergency,
        Self::KillSwitch,
        Self::StopLoss,
        Self::SpreadReversal,
        Self::TimeLimit,
        Self::TakeProfit,
        Self::Shutdown,
        Self::Halt,
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
            Self::Halt => "halt",
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    /// Seconds added to UTC before days are counted for daily limits: 0 is UTC, 32 400 Seoul. `None`: not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub day_offset_s: Option<i64>,
    /// What moving coin between the venues costs. `None`: nothing is moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawal: Option<WithdrawalTerms>,
    /// What the guards compare with; `None` in a journal that does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guards: Option<Box<GuardTerms>>,
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
    /// At the start of a cooldown: when it will be over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// At the end: when it started, so that the block lasted from then until this record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
}
