//! What the judge is given: plain recorded values. `validate` writes them to the run folder as they arise and reads them
//! back for `judge` and `rejudge` alike, so that both judge the same thing.

use crate::rules::{RuleName, RuleSpec};
use catalogue::CriterionId;
use journal::Entry;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Everything about one run.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// Run id.
    pub run_id: String,
    /// The effective settings of the profile that judging needs.
    pub settings: Settings,
    /// The evidence class, derived by `validate`.
    pub class: EvidenceClass,
    /// The smoke, when it started.
    pub smoke: Option<PhaseEvidence>,
    /// The main run, when it started.
    pub main: Option<PhaseEvidence>,
    /// How the smoke's round trip was proven.
    pub round_trip_proof: RoundTripProof,
    /// Why the smoke did not pass, when it did not: no main run may follow.
    pub smoke_failed: Option<Vec<String>>,
    /// Every panel check of the main run, in order.
    pub panels: Vec<PanelCheck>,
    /// Why the run as a whole was interrupted, when it was (Ctrl-C, a killed orchestrator, sleep).
    pub interrupted: Option<String>,
    /// Who watched it.
    pub origin: Origin,
    /// Logical cores of the machine that it ran on; `None` when they are not on record.
    pub cores: Option<u32>,
    /// What persons attested afterwards, in order.
    pub attestations: Vec<Attested>,
    /// The command that starts such a run again.
    pub rerun: String,
}

/// Who watched the runner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Our own supervisor: exit status, clock and operating system figures are first-hand.
    Supervised,
    /// Nobody of ours: artefacts that were made elsewhere.
    Elsewhere,
}

/// One statement of a person about one criterion: one line of `attestations.jsonl`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Attested {
    /// Version of the line's format.
    pub format: u32,
    /// The criterion.
    pub criterion: CriterionId,
    /// The person.
    pub by: String,
    /// When, RFC 3339.
    pub at: String,
    /// The evidence: its path inside the run folder.
    pub evidence: String,
    /// SHA-256 of the evidence, lower-case hexadecimal.
    pub sha256: String,
    /// SHA-256 of the line before, empty for the first: a line cannot be taken out or put in between.
    pub previous: String,
}

/// Durations, cadences and limits of the effective profile, in seconds unless said otherwise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Profile name.
    pub profile: String,
    /// True when the profile is one of record (built in, or changed only where that is allowed).
    pub of_record: bool,
    /// What a `custom` profile changes; empty otherwise.
    pub custom_differences: Vec<String>,
    /// Planned length of the smoke.
    pub smoke_s: f64,
    /// Planned length of the main run.
    pub main_s: f64,
    /// Shortest main run that C1 accepts (3 600 in a profile of record).
    pub main_min_s: f64,
    /// What one "hour" of rates and slopes is: 3 600, or 60 in a rehearsal.
    pub hour_s: f64,
    /// Poll interval.
    pub poll_s: f64,
    /// Grace for the first scrape.
    pub start_grace_s: f64,
    /// Cores that 100 % CPU means.
    pub cpu_cores: f64,
    /// The watch rules, A1 excepted, which is driven by the process.
    pub rules: Vec<RuleSpec>,
    /// A6 and H3: settling time that is left out.
    pub memory_skip_s: f64,
    /// A6 and H3: least data after that.
    pub memory_min_s: f64,
    /// A6 and H3: width of the minima windows.
    pub memory_window_s: f64,
    /// Notifiers whose availability is required.
    pub notifiers: Vec<String>,
    /// What the runner cannot have: criterion, KPI field or evidence name, and the declared reason.
    pub not_applicable: BTreeMap<String, String>,
    /// True when the KPI file, metrics and journal are those of our own runner's contract.
    pub has_journal: bool,
    /// True when the runner offers metrics.
    pub has_metrics: bool,
    /// True when the runner has its own alerting (else C4 is judged on Assay's dispatcher, capped).
    pub has_alerts: bool,
    /// The progress signal is the KPI file's rewrites rather than a metric.
    pub progress_by_kpi_file: bool,
    /// Criteria beside C6 that a person may attest when they are inconclusive. Older profiles had no such list.
    #[serde(default)]
    pub attestable: Vec<CriterionId>,
}

impl Settings {
    /// The rule of a name.
    pub fn rule(&self, name: &RuleName) -> Option<&RuleSpec> {
        self.rules.iter().find(|spec| spec.name == *name)
    }

    /// True when a firing of this rule ends the run. A rule that the settings do not have does so by its catalogue entry,
    /// and a name that nobody knows does: it is on record as fired, and its settings are gone.
    pub fn aborts(&self, name: &RuleName) -> bool {
        match (self.rule(name), name.shipped()) {
            (Some(spec), _) => spec.aborts(),
            (None, Some(id)) => id.aborts(),
            (None, None) => true,
        }
    }
}

/// How strong the evidence is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", tag = "class")]
pub enum EvidenceClass {
    /// The real market, at its own pace, for the whole duration of a profile of record.
    Record,
    /// Anything else.
    Rehearsal {
        /// Why.
        why: String,
    },
    /// A foreign runner whose market cannot be observed.
    Declared {
        /// Why.
        why: String,
    },
}

/// How the smoke's round trip was proven.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", tag = "proof")]
pub enum RoundTripProof {
    /// The smoke itself completed one.
    Market,
    /// The planted gap was traded.
    Planted,
    /// Neither.
    None {
        /// Why.
        why: String,
    },
}

/// One phase in which a runner ran.
#[derive(Debug, Clone, PartialEq)]
pub struct PhaseEvidence {
    /// `smoke` or `main`.
    pub phase: String,
    /// Runner id, `<run_id>.main`.
    pub runner_id: String,
    /// Planned length in seconds.
    pub planned_s: f64,
    /// How it went, `None` when the phase has a start record and no end record (interrupted).
    pub end: Option<PhaseEnd>,
    /// The samples, in order.
    pub samples: Vec<Sample>,
    /// The KPI file as it stood after the end.
    pub kpi_file: Found<KpiFile>,
    /// The last scrape.
    pub final_scrape: Found<FinalScrape>,
    /// The runner's journal.
    pub journal: Found<Vec<Entry>>,
    /// Alert and delivery rows of this phase.
    pub alerts: Found<AlertRows>,
    /// The records of the runner's spools: alerts that are raised outside the engine, and stand in no journal.
    pub spooled: Found<Vec<Entry>>,
    /// What the log watch counted; it is written with the end record and lost without it.
    pub log: Found<LogFacts>,
    /// Rule state changes as recorded live.
    pub rule_events: Vec<RuleEvent>,
    /// The rows of a trade log; only of artefacts that were made elsewhere.
    pub trades: Found<Vec<TradeRow>>,
    /// The longest gaps between `Iteration [N]` lines of the console log, longest first.
    pub iteration_gaps: Found<Vec<IterationGap>>,
}

/// A gap between two `Iteration [N]` lines.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IterationGap {
    /// The time stamp of the line before it, as it was written.
    pub at: String,
    /// Its length in seconds, by the lines' own time stamps.
    pub seconds: f64,
    /// `N` of the line before it.
    pub from: u64,
    /// `N` of the line after it.
    pub to: u64,
}

/// One trade of a trade log that somebody else wrote.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TradeRow {
    /// Its prices, in the order of the row.
    pub prices: Vec<f64>,
    /// Its result, when the row has one.
    pub net: Option<f64>,
}

/// Something that was looked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Found<T> {
    /// It was there and whole.
    Yes(T),
    /// It was not: why.
    No(String),
}

impl<T> Found<T> {
    /// The value, when it was there.
    pub const fn get(&self) -> Option<&T> {
        match self {
            Self::Yes(value) => Some(value),
            Self::No(_) => None,
        }
    }
}

/// How a phase ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PhaseEnd {
    /// How long the runner lived, by the supervisor's monotonic clock.
    pub ran_s: f64,
    /// Exit code, when it exited.
    pub exit_code: Option<i32>,
    /// Signal number, when one killed it.
    pub signal: Option<i32>,
    /// Seconds after the phase's start at which the supervisor first asked it to stop; `None` when it ended by itself.
    pub stop_sent_s: Option<f64>,
    /// The abort, when a rule stopped it.
    pub abort: Option<Abort>,
    /// Aborting rules that fired after the first.
    pub later_causes: Vec<Abort>,
    /// The supervisor's own reason to call it interrupted (sleep of the machine, SIGSTOP, Ctrl-C).
    pub interrupted: Option<String>,
    /// True when it ignored the stop signal and had to be killed.
    pub killed_by_us: bool,
    /// Descendants that were still alive when the runner had ended, and were ended: names.
    pub leftovers: Vec<String>,
}

/// Why a run was aborted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Abort {
    /// `A1` .. `A9`, a user's rule, or `EMERGENCY-STOP`.
    pub cause: String,
    /// Seconds after the phase's start.
    pub at_s: f64,
    /// One sentence with the figures.
    pub text: String,
}

/// One poll: one line of `samples.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// Seconds since the phase's start, monotonic.
    pub t: f64,
    /// Wall time, milliseconds since the epoch.
    pub wall_ms: i64,
    /// The scrape.
    pub scrape: Found<Scrape>,
    /// The operating system's figures for the runner's whole group; `No` when it could not be read.
    pub os: Found<OsSample>,
    /// Log counters so far.
    pub log: LogCounters,
    /// How often the KPI file has been rewritten so far.
    pub kpi_rewrites: u64,
    /// Selected numeric fields of the KPI file at this instant (continuous figures and counters).
    pub kpi: BTreeMap<String, f64>,
}

/// The samples of one scrape that belong to the catalogue and carry no symbol label, by canonical series name:
/// `name{label="value",...}` with the labels sorted by name, no braces when there are none.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Scrape {
    /// Value by series.
    #[serde(with = "finite_map")]
    #[cfg_attr(feature = "schema", schemars(schema_with = "series_schema"))]
    pub series: BTreeMap<String, f64>,
}

#[cfg(feature = "schema")]
fn series_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "additionalProperties": { "anyOf": [{ "type": "number" }, { "enum": ["NaN", "inf", "-inf"] }] }
    })
}

/// JSON has no NaN and no infinity: those are written as text.
mod finite_map {
    use serde::de::{Error, Visitor};
    use serde::{Deserialize, Deserializer, Serializer};
    use serde_json::Value;
    use std::collections::BTreeMap;
    use std::fmt;

    pub(super) fn serialize<S: Serializer>(map: &BTreeMap<String, f64>, s: S) -> Result<S::Ok, S::Error> {
        s.collect_map(
            map.iter()
                .map(|(k, v)| (k, if v.is_finite() { Value::from(*v) } else { Value::from(v.to_string()) })),
        )
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<BTreeMap<String, f64>, D::Error> {
        Ok(BTreeMap::<String, Sampled>::deserialize(d)?.into_iter().map(|(k, v)| (k, v.0)).collect())
    }

    /// A number, or the text of one that is not finite. Read in one pass: a day of samples is some two million of them.
    struct Sampled(f64);

    impl<'de> Deserialize<'de> for Sampled {
        fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
            d.deserialize_any(NumberOrText)
        }
    }

    struct NumberOrText;

    impl Visitor<'_> for NumberOrText {
        type Value = Sampled;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a number, or the text of one")
        }

        fn visit_f64<E: Error>(self, value: f64) -> Result<Sampled, E> {
            Ok(Sampled(value))
        }

        fn visit_u64<E: Error>(self, value: u64) -> Result<Sampled, E> {
            Ok(Sampled(value as f64))
        }

        fn visit_i64<E: Error>(self, value: i64) -> Result<Sampled, E> {
            Ok(Sampled(value as f64))
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Sampled, E> {
            text.parse().map(Sampled).map_err(|_| E::custom("a sample is neither a number nor a text of one"))
        }
    }
}

/// The operating system's figures for the runner's group.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct OsSample {
    /// CPU seconds used so far, reaped children included.
    pub cpu_seconds: f64,
    /// Resident bytes now.
    pub rss_bytes: u64,
    /// Sum of the peaks (VmHWM) of the living processes, and at least the largest sum seen before.
    pub peak_rss_bytes: u64,
    /// Proportional set size.
    pub pss_bytes: u64,
    /// Threads.
    pub threads: u32,
    /// Open files.
    pub fds: u32,
    /// Processes in the group.
    pub processes: u32,
}

/// Log counters so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct LogCounters {
    /// Lines.
    pub lines: u64,
    /// ERROR lines.
    pub errors: u64,
    /// WARNING lines.
    pub warnings: u64,
    /// CRITICAL lines.
    pub criticals: u64,
    /// Lines that say DLQ.
    pub dlq: u64,
    /// 100 ms slots with an ERROR line.
    pub error_slots: u64,
    /// `Position limit` lines.
    pub position_limit: u64,
    /// `Emergency stop` lines.
    pub emergency_stop: u64,
    /// Crash blocks that are suspects so far.
    pub suspects: u64,
}

/// What the log watch found over a phase.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct LogFacts {
    /// The counters at the end.
    pub counters: LogCounters,
    /// Crash blocks with their classification.
    pub blocks: Vec<CrashBlock>,
    /// The commonest error lines with their counts, at most five.
    pub top_errors: Vec<(String, u64)>,
    /// Bytes dropped by the caps.
    pub dropped_bytes: u64,
}

/// A crash block.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CrashBlock {
    /// Seconds after the phase's start.
    pub at_s: f64,
    /// `rust`, `python`, `go`, `jvm`, `node`, `dotnet`, `php`, `ruby`, `dart`, `native`.
    pub language: String,
    /// `crash`, `worker_died`, `handled`.
    pub kind: String,
    /// The block whole.
    pub text: String,
    /// Up to 50 lines before it.
    pub before: Vec<String>,
}

/// A runner's KPI file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct KpiFile {
    /// Its fields under Assay's names (after a foreign runner's mapping).
    pub fields: BTreeMap<String, serde_json::Value>,
    /// What it says about `complete`; `None` when it does not say.
    pub complete: Option<bool>,
    /// The run id that it names.
    pub run_id: Option<String>,
}

/// The last scrape, with what identifies its source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct FinalScrape {
    /// All its catalogue series.
    pub scrape: Scrape,
    /// Seconds after the phase's start.
    pub t: f64,
    /// `run_id` of `assay_run_info`, when exposed.
    pub run_id: Option<String>,
    /// Whether the listening socket belongs to the runner's group; `None` when that could not be found out.
    pub socket_in_group: Option<bool>,
    /// Who owns the socket: `pid 123 (python3)`.
    pub socket_owner: Option<String>,
}

/// The rows of the alert store for one phase.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AlertRows {
    /// `alerts`.
    pub alerts: Vec<AlertRow>,
    /// `alert_deliveries`.
    pub deliveries: Vec<DeliveryRow>,
}

/// A row of `alerts`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AlertRow {
    /// Primary key.
    pub alert_id: String,
    /// Phase.
    pub phase: String,
    /// Rule.
    pub rule_id: String,
    /// `P0` .. `P3`.
    pub severity: String,
    /// Title.
    pub title: String,
    /// Milliseconds since the epoch.
    pub raised_at_ms: i64,
    /// `deliver`, `throttled`, `aggregated`, `store_only`.
    pub disposition: String,
}

/// A row of `alert_deliveries`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct DeliveryRow {
    /// Primary key.
    pub delivery_id: i64,
    /// Its alert.
    pub alert_id: String,
    /// Phase.
    pub phase: String,
    /// Notifier.
    pub notifier: String,
    /// `PENDING` .. `CANCELLED`.
    pub status: String,
    /// Attempts made.
    pub attempt: u32,
    /// Raised to acknowledged, milliseconds.
    pub latency_ms: Option<i64>,
    /// The last error.
    pub last_error: Option<String>,
    /// The delivery that this one replaces.
    pub fallback_of: Option<i64>,
}

/// One evaluation of one panel: one line of `panels.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PanelCheck {
    /// Seconds after the main phase's start.
    pub t: f64,
    /// Panel id of the catalogue.
    pub panel: String,
    /// True when it returned data (or "no event yet" with a counter at 0).
    pub has_data: bool,
    /// The values, by series or query.
    pub values: BTreeMap<String, f64>,
    /// `green`, `yellow`, `red`, or nothing when the panel has no thresholds.
    pub colour: Option<String>,
    /// The run id in the answer.
    pub run_id: Option<String>,
    /// The process start in the answer, seconds since the epoch.
    pub process_start: Option<f64>,
    /// A counter in the answer that must lie between its neighbouring samples: series and value.
    pub anchor: Option<(String, f64)>,
    /// Why there is no data, when there is none (an HTTP error included).
    pub problem: Option<String>,
    /// True when the dashboard was away: nothing is known of its panel. Absent means false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unanswered: bool,
    /// How old the answer's data was at `t`, seconds, where the dashboard stores it; absent where it is as new as the samples.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_s: Option<f64>,
}

impl PanelCheck {
    /// A question at `t` that brought nothing, for this reason.
    pub fn without_data(t: f64, panel: &str, problem: String) -> Self {
        Self {
            t,
            panel: panel.to_owned(),
            has_data: false,
            values: BTreeMap::new(),
            colour: None,
            run_id: None,
            process_start: None,
            anchor: None,
            problem: Some(problem),
            unanswered: false,
            age_s: None,
        }
    }
}

/// A change of a rule's state: one line of `rules.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RuleEvent {
    /// Seconds after the phase's start.
    pub t: f64,
    /// Rule.
    pub rule: RuleName,
    /// The new state.
    pub state: RuleState,
    /// The figures, one sentence.
    pub text: String,
}

/// The state of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum RuleState {
    /// The condition does not hold.
    Clear,
    /// It holds, not yet long enough.
    Pending,
    /// It fired.
    Fired,
    /// A sample is missing: neither satisfied nor cleared.
    Frozen,
    /// The signal does not exist (declared not applicable), or the rule is not built.
    Off,
}
