//! Fixed words: exit codes, exit reasons, guard types, log phrases, funnel stages. Words that only one crate uses stay there.

/// Process exit codes of every `assay` command.
pub mod exit_codes {
    /// COMPLETE GO, and the success of commands that give no verdict.
    pub const COMPLETE_GO: u8 = 0;
    /// Our own runner ended itself by an emergency stop: an abort, not a crash.
    pub const RUNNER_EMERGENCY: u8 = 3;
    /// CONDITIONAL GO.
    pub const CONDITIONAL_GO: u8 = 10;
    /// CONDITIONAL GO WITH CONCERNS.
    pub const CONCERNS: u8 = 11;
    /// A rehearsal that would be a GO of any kind (`assay rehearse` itself gives 0 for that).
    pub const REHEARSAL_GO: u8 = 12;
    /// NO-GO.
    pub const NO_GO: u8 = 20;
    /// The run was aborted by a priority 1 rule; the decision is NO-GO.
    pub const ABORTED: u8 = 21;
    /// `rejudge` disagrees with the recorded decision, or `verify` finds a changed byte.
    pub const DISAGREES: u8 = 22;
    /// A required preflight check failed; no runner was started.
    pub const PREFLIGHT: u8 = 30;
    /// The smoke run failed; no main run was started.
    pub const SMOKE: u8 = 31;
    /// Wrong usage or an invalid configuration.
    pub const USAGE: u8 = 64;
    /// No such run or file.
    pub const NOT_FOUND: u8 = 66;
    /// An internal error: a bug of Assay's.
    pub const INTERNAL: u8 = 70;
    /// Interrupted by Ctrl-C (128 + SIGINT).
    pub const INTERRUPTED: u8 = 130;
    /// Ended by SIGTERM (128 + SIGTERM).
    pub const TERMINATED: u8 = 143;
}

/// Why a round trip was closed, as in `exit_reasons` and `arb_topn_exit_reasons_total{reason}`. [`UNWIND`] is counted apart.
pub const EXIT_REASONS: [&str; 8] = [
    "take_profit",
    "stop_loss",
    "time_limit",
    "spread_reversal",
    "emergency",
    "kill_switch",
    "shutdown",
    "halt",
];

/// The closing of a leg that never found its partner: not a round trip, so not one of [`EXIT_REASONS`].
pub const UNWIND: &str = "unwind";

/// Guard types, as in `guard_triggers_by_type` and `arb_topn_guard_triggers_total{guard_type}`.
pub const GUARD_TYPES: [&str; 5] = ["exchange", "route", "symbol", "global", "cross_exchange"];

/// Values of `arb_topn_trades_total{trade_type}`.
pub const TRADE_TYPES: [&str; 2] = ["entry", "exit"];

/// Values of `loop_stage_seconds{stage}`, in the order in which an event passes them.
pub const LOOP_STAGES: [&str; 5] = ["receive", "parse", "book", "decide", "fill"];

/// Opens the runner's progress line `Iteration [N]`, written once a minute and every 1 000 000 events.
pub const LOG_ITERATION: &str = "Iteration [";
/// Stands in a runner's log line whenever the limit on open positions held back an entry.
pub const LOG_POSITION_LIMIT: &str = "Position limit";
/// Stands in a runner's log line when everything is closed because the emergency loss was reached.
pub const LOG_EMERGENCY_STOP: &str = "Emergency stop";

/// Stages of the funnel from market data to a closed round trip, in order. `blocked` and `exited` are sums; the journal, the
/// KPI file and the report split them further as `blocked:<rule>` and `exited:<reason>`.
pub const FUNNEL_STAGES: [&str; 11] = [
    "updates",
    "evaluated",
    "gross_positive",
    "net_positive",
    "above_threshold",
    "blocked",
    "sent",
    "rejected",
    "partly_filled",
    "filled",
    "exited",
];
