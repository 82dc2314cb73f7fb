//! The gate's own accounting: every trading KPI added up again from the journal's fills, deposits and equity marks. It
//! shares no code with the ledger that wrote the journal: fees follow from the recorded terms, roundings from docs/money.md, and
//! what follows from the records must equal to the last unit.

mod book;
mod days;
mod edges;
mod equity;
mod exact;
mod fills;
mod flows;
mod guards;
mod kindness;
mod results;
mod shadows;

pub use book::account;
pub use shadows::{Results, ShadowTable};

pub(crate) use book::usd;
use journal::record::ExitReason;
use market::{Timestamp, Venue};
use std::collections::BTreeMap;

/// What kind of check failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProblemKind {
    /// Sequence numbers, run id, format.
    Sequence,
    /// A fee or a notional that the terms and levels do not give.
    Arithmetic,
    /// Balances that do not add up, or below zero.
    Balance,
    /// A result, or what a record says of a position, that its fills and decisions do not give.
    Result,
    /// An equity point that holdings and marks do not give.
    Equity,
    /// Filled better than the book displayed, before the order arrived, or beyond its limit.
    Kinder,
    /// Both legs on one venue, or in one direction.
    Venue,
    /// Currency of a fee, or prices of the two venues that no rate explains.
    Currency,
}

/// A failed check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Kind.
    pub kind: ProblemKind,
    /// Sequence number of the record.
    pub seq: u64,
    /// The figures.
    pub text: String,
}

/// A closed round trip.
#[derive(Debug, Clone, PartialEq)]
pub struct Close {
    /// Position id.
    pub position: u64,
    /// Why it was closed.
    pub reason: ExitReason,
    /// When it opened, by the record of its opening.
    pub opened_at: Timestamp,
    /// Closed.
    pub closed_at: Timestamp,
    /// Net, units of 1e-8 USD, verified against the fills.
    pub net: i128,
    /// Prices of its fills.
    pub prices: Vec<(Venue, i128)>,
    /// Quantities of its fills, in the same order, units of 1e-8.
    pub quantities: Vec<i128>,
    /// All fees of its fills, each in its own asset, units of 1e-8: only whether there were any is asked of it.
    pub fees: i128,
}

/// A guard trigger.
#[derive(Debug, Clone, PartialEq)]
pub struct Trigger {
    /// Guard type.
    pub guard_type: String,
    /// `degrade`, `cooldown`, `block`.
    pub verdict: String,
    /// When it began.
    pub from: Timestamp,
    /// When it ended, `None` when it never did.
    pub to: Option<Timestamp>,
    /// False when the condition does not hold for the recomputed figure (see `guards`).
    pub holds: bool,
    /// `type/rule scope: observed ... threshold ...`.
    pub text: String,
}

/// What the journal adds up to. Amounts in units of 1e-8 USD, exact.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Accounts {
    /// Run id of the start record.
    pub run_id: String,
    /// Positions opened.
    pub entries: u64,
    /// Round trips in order of closing.
    pub closes: Vec<Close>,
    /// Unwound entries.
    pub unwinds: u64,
    /// Net of closes and unwinds.
    pub net: i128,
    /// Gross of closes.
    pub gross_closed: i128,
    /// Gross of unwinds, from their fills.
    pub gross_unwound: i128,
    /// Decided against realised gross of closes.
    pub slippage: i128,
    /// Total at the last equity point that could be recomputed.
    pub total: Option<i128>,
    /// The part of it that the rate's moves made of the KRW of fills.
    pub fx_effect: Option<i128>,
    /// Withdrawal fees of transfers, inside the total.
    pub transfer_cost: i128,
    /// Largest fall from a peak over the recomputed points; the peak starts at 0.
    pub drawdown: i128,
    /// Equity points that could be recomputed.
    pub equity_points: u64,
    /// Equity points that lacked a mark and could not.
    pub equity_skipped: u64,
    /// Guard triggers.
    pub triggers: Vec<Trigger>,
    /// `Position limit` records.
    pub position_limits: u64,
    /// Emergency stops.
    pub emergency_stops: u64,
    /// The funnel's totals.
    pub funnel: BTreeMap<String, u64>,
    /// Members of the universe at the last record; `None` without a record.
    pub members: Option<u64>,
    /// Most members for which both venues had that many books Live at once.
    pub live_both: u64,
    /// Orders sent.
    pub orders: u64,
    /// Instant of the last record.
    pub last_at: Timestamp,
    /// End record: reason and open positions.
    pub end: Option<(String, u32)>,
    /// Blocked intents that lived on, beside the taken trades; `None` without any.
    pub shadows: Option<ShadowTable>,
    /// Failed checks.
    pub problems: Vec<Problem>,
}

/// Why a journal cannot be added up at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    /// It is empty or begins with something else.
    #[error("the journal does not begin with a start record")]
    NoStart,
    /// An amount does not fit.
    #[error("record {0} holds an amount that does not fit; the journal is damaged")]
    TooLarge(u64),
}

impl Accounts {
    /// Round trips without those that the end of the run closed.
    pub fn without_shutdown(&self) -> impl Iterator<Item = &Close> {
        self.closes.iter().filter(|c| c.reason != ExitReason::Shutdown)
    }

    /// Exit reasons with their counts.
    pub fn exit_reasons(&self) -> BTreeMap<String, f64> {
        let mut reasons = BTreeMap::new();
        for close in &self.closes {
            *reasons.entry(close.reason.as_str().to_owned()).or_insert(0.0) += 1.0;
        }
        reasons
    }

    /// Guard triggers whose condition does not hold when it is recomputed.
    pub fn false_positives(&self) -> u64 {
        self.triggers.iter().filter(|t| !t.holds).count() as u64
    }

    /// Net results by episode: trades that overlap or lie within 60 s, whatever their symbol.
    pub fn episodes(&self) -> Vec<f64> {
        const APART_NS: i64 = 60_000_000_000;
        let mut closes: Vec<&Close> = self.closes.iter().collect();
        closes.sort_by_key(|c| (c.opened_at, c.closed_at, c.position));
        let mut episodes: Vec<(Timestamp, i128)> = Vec::new();
        for close in closes {
            match episodes.last_mut() {
                Some((until, net)) if close.opened_at.since(*until) <= APART_NS => {
                    *until = (*until).max(close.closed_at);
                    *net = net.saturating_add(close.net);
                }
                _ => episodes.push((close.closed_at, close.net)),
            }
        }
        episodes.into_iter().map(|(_, net)| usd(net)).collect()
    }

    /// Mean net of winners (`true`) or losers. `None` when there is none.
    pub fn mean_net<'a>(closes: impl Iterator<Item = &'a Close>, winners: bool) -> Option<f64> {
        let nets: Vec<f64> = closes.filter(|c| (c.net > 0) == winners).map(|c| usd(c.net)).collect();
        (!nets.is_empty()).then(|| nets.iter().sum::<f64>() / nets.len() as f64)
    }
}
