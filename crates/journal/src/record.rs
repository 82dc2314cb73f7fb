//! The records of the journal, format version 2 (version 1 had no commit marks, exits and touches). A documented artefact: the gate adds up from these and from nothing else.

use crate::alert::Alert;
#[cfg(feature = "schema")]
use crate::alert::AlertFields;
use crate::figures::GuardFigures;
pub use crate::parts::{
    Direction, ExitReason, FxSource, FxUsed, GuardEvent, Mark, Purpose, Quantiles, Taken, Terms, Touch,
};
use crate::percentiles::Spread;
pub use crate::trust::{BookCondition, TrustShares};
pub use crate::universe::{HaltEvent, Reason, UniverseRefresh};
pub use crate::withdrawal::{WithdrawalFee, WithdrawalTerms};
use market::{Asset, Member, Money, Price, Quantity, Refusal, Side, Timestamp, Venue};
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

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
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
    /// A refresh of the universe was taken: who joined, who left and who stayed against the ranking, and why. The members that
    /// came of it follow in a `universe` record.
    UniverseRefresh(Box<UniverseRefresh>),
    /// A venue's word on a symbol's market changed: halted, delisted, under a warning, or none of it any more.
    Halt(HaltEvent),
    /// How long a symbol's books were trusted, and why not for the rest, since the last such record of the symbol: with each
    /// minute, when it leaves, and at the end.
    Trust(Box<TrustShares>),
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
        /// What the way out of the matched quantity should bring before fees: sale minus purchase, USD. `None` without a usable book.
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
    /// An order was filled, wholly or in part; what was not filled is gone. An order has one fill or one refusal. How notional
    /// and fee are rounded stands in docs/money.md.
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
        /// The order whose fill changed it; 0 for deposits and transfers.
        order: u64,
        /// The transfer that changed it; 0 for deposits and fills.
        #[serde(default, skip_serializing_if = "is_zero")]
        transfer: u64,
    },
    /// Coin left a venue for the other one. It cannot be traded until it arrives, and is marked where it left until then.
    Transfer {
        /// Transfer id, unique within the run, from 1.
        transfer: u64,
        /// Asset.
        asset: Asset,
        /// The venue that it leaves; it goes to the other one.
        from: Venue,
        /// What leaves the balance, fee included.
        amount: Quantity,
        /// The withdrawal fee, in coin, out of `amount`.
        fee: Quantity,
        /// The fee at `price` and `fx`, USD, rounded up.
        fee_usd: Money,
        /// The sending venue's mark: the mid of its last Live book, in its own currency.
        price: Price,
        /// Imbalance that caused it: (Upbit's coin - Binance's) / both, without what open positions hold, -1 to 1.
        imbalance: f64,
        /// When the rest arrives.
        arrives: Timestamp,
        /// The rate for valuing the fee.
        fx: FxUsed,
    },
    /// What a transfer sent has arrived.
    TransferArrived {
        /// Its id.
        transfer: u64,
        /// Asset.
        asset: Asset,
        /// The venue that it reached.
        to: Venue,
        /// What arrived: the amount that left without the fee.
        amount: Quantity,
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
        /// The decided edge in USD: of the value of a leg at the decision. A statistic, no money.
        #[serde(default)]
        decided_edge_usd: f64,
        /// The realised edge in USD: of `notional_usd`.
        #[serde(default)]
        realised_edge_usd: f64,
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
        /// Decided against realised, USD: what latency and depth cost. The `gross_usd` of the decision, for the
        /// matched part of its quantity and rounded down, and of the exit together, less `gross_usd`; 0 when the exit had none.
        slippage_usd: Money,
        /// The same in basis points of the leg's value.
        #[serde(default)]
        slippage_bps: f64,
        /// The edge at the entry's decision, basis points: what the whole trip should bring after all fees.
        #[serde(default)]
        decided_edge_bps: f64,
        /// What it did bring: `net_usd` in basis points of the leg's value.
        #[serde(default)]
        realised_edge_bps: f64,
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
    /// What a round trip of a symbol needs: once its levels are seeded at the start.
    BreakEven {
        /// Asset.
        asset: Asset,
        /// Seconds of candles behind the levels.
        seconds: u64,
        /// The gap from which an entry pays four fees and the reserve when it leaves at the usual gap of the other direction,
        /// basis points, by direction (`buy_upbit`, `buy_binance`); `None` without a level.
        gap_bps: [Option<f64>; 2],
        /// One tick of each venue's price, Upbit's first, basis points. Above the stop loss a single tick can end a trade.
        tick_bps: [Option<f64>; 2],
    },
    /// Where gap, level and edge of a symbol stood over all evaluations since the process started: with each minute in which
    /// something was evaluated (`Edges` has the minute's own), and at the end.
    Percentiles {
        /// Asset.
        asset: Asset,
        /// By direction (`buy_upbit`, `buy_binance`).
        session: Box<[Spread; 2]>,
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
        /// Books Live per venue, at the last full second.
        live: [u32; 2],
        /// Members, at the last full second.
        members: u32,
        /// `healthy`, `degraded`, `down`, `frozen` per venue.
        health: [String; 2],
        /// Open positions.
        positions: u32,
        /// Exposure, USD.
        exposure_usd: Money,
        /// Net since the day boundary, USD.
        daily_net_usd: Money,
        /// The guards' own figures; `None` in a journal that does not say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        guards: Option<Box<GuardFigures>>,
    },
    /// A blocked intent lives on as a shadow position, which touches nothing: at the end of it one knows what the block saved
    /// or cost. One per symbol, direction and episode.
    ShadowOpened {
        /// Id of the shadow, unique within the run; not a position id.
        shadow: u64,
        /// Asset.
        asset: Asset,
        /// Direction.
        direction: Direction,
        /// The rules that blocked it.
        rules: Vec<String>,
        /// Base quantity intended per leg.
        quantity: Quantity,
        /// Value of a leg at the intent, USD.
        notional_usd: Money,
        /// Executable gap, basis points.
        gap_bps: f64,
        /// Edge, basis points.
        edge_bps: f64,
    },
    /// A shadow position ended.
    ShadowClosed {
        /// Its id.
        shadow: u64,
        /// Asset.
        asset: Asset,
        /// Direction.
        direction: Direction,
        /// Why it left; `None` when it never had both legs.
        reason: Option<ExitReason>,
        /// Before fees, USD; `None` when it has no result (see `net_usd`).
        gross_usd: Option<Money>,
        /// After fees, USD. `None` when the session ended, or patience did, before it could be closed or valued.
        net_usd: Option<Money>,
    },
    /// An equity point: each second and after each fill. Everything in USD at `fx`.
    Equity {
        /// Holdings minus deposits, both at these marks: what trading made.
        pnl_usd: Money,
        /// Closed round trips and unwinds, net.
        net_usd: Money,
        /// Largest fall of `pnl_usd` from its peak so far; the peak starts at 0.
        drawdown_usd: Money,
        /// The part of `pnl_usd` that the rate's moves made of the KRW that fills brought or took: that KRW at this rate less at
        /// the rates of the fills. The rest is what trading made. `None`: not told apart.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fx_effect_usd: Option<Money>,
        /// Withdrawal fees of transfers so far, each at its own mark and rate; inside `pnl_usd`. `None`: not told apart.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        transfer_cost_usd: Option<Money>,
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
    Alert(#[cfg_attr(feature = "schema", schemars(with = "AlertFields"))] Alert),
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
