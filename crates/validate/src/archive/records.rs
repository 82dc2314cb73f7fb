//! The small records of a run folder: `metadata.json`, the lines of `phases.jsonl`, the phase tags of `samples.jsonl` and `rules.jsonl`.

use crate::profile::Profile;
use gate::evidence::{EvidenceClass, LogFacts, PhaseEnd, RoundTripProof, Settings};
use serde::{Deserialize, Serialize};

/// Version of every JSON artefact of this crate. 2: rules are spelled out (`old` reads 1).
pub const FORMAT: u32 = 2;

/// `metadata.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    /// Format version.
    pub format: u32,
    /// Run id.
    pub run_id: String,
    /// Start, RFC 3339.
    pub started_at: String,
    /// Version of Assay.
    pub version: String,
    /// `full`, `smoke-only`, or `monitor` of a process that was only watched.
    pub mode: String,
    /// The effective profile.
    #[cfg_attr(feature = "schema", schemars(with = "serde_json::Map<String, serde_json::Value>"))]
    pub profile: Profile,
    /// SHA-256 of the effective profile.
    pub profile_hash: String,
    /// What judging needs of it.
    pub settings: Settings,
    /// Effective base URLs of the market data.
    pub endpoints: Vec<String>,
    /// The evidence class as far as it is known at the start; the final one is derived from this and the phases.
    pub class: EvidenceClass,
    /// Machine.
    pub machine: Machine,
    /// What the prices of the local exchange were, when they were real price paths.
    #[serde(default)]
    pub prices: Option<PriceSource>,
    /// The command that starts such a run again; `None` in the records of older versions.
    #[serde(default)]
    pub rerun: Option<String>,
}

/// Real price paths, as the local exchange says that it walked them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PriceSource {
    /// The symbols.
    pub symbols: Vec<String>,
    /// The paths' time at the start, UTC.
    pub from: String,
    /// The paths' last common instant, UTC; from there on the prices stood.
    pub until: String,
    /// Five-minute instants that all candles have in common.
    pub instants: u64,
    /// What stood for KRW-USDT, of which there is no series.
    pub krw_usdt: String,
    /// KRW per USDT at the start.
    pub krw_usdt_at_start: f64,
    /// The European Central Bank's USD/KRW of that day, or of the last working day before it.
    pub ecb_usd_krw: Option<f64>,
}

/// The machine that a run ran on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// Operating system and kernel.
    pub os: String,
    /// Logical cores; `None` when they could not be counted.
    pub cores: Option<u32>,
    /// Memory, bytes; `None` when it could not be read.
    pub memory_bytes: Option<u64>,
}

/// A line of `samples.jsonl` and `rules.jsonl`: which phase, and what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Tagged<T> {
    /// `smoke` or `main`.
    pub phase: String,
    /// The record.
    pub record: T,
}

/// The start of a phase.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PhaseStart {
    /// `smoke`, `planted`, `main`; `smoke.2` of a second attempt.
    pub phase: String,
    /// File label, `smoke_60s`.
    pub label: String,
    /// Runner id.
    pub runner_id: String,
    /// Asked duration in seconds.
    pub planned_s: f64,
    /// Wall time, RFC 3339.
    pub at: String,
}

/// A line of `phases.jsonl`. A start without an end is an interruption.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "a run has a handful of these")]
pub enum PhaseRecord {
    /// A runner was started.
    Start(PhaseStart),
    /// It ended, and what was collected.
    End {
        /// Phase.
        phase: String,
        /// How it ended.
        end: PhaseEnd,
        /// Log facts.
        log: LogFacts,
        /// Remote addresses that the group's sockets were connected to, beyond loopback.
        remote: Vec<String>,
        /// The last successful scrape's identity: `run_id`, socket owner.
        identity: Option<Identity>,
    },
    /// How the smoke's round trip was proven.
    Proof(RoundTripProof),
    /// The smoke did not pass: why.
    SmokeFailed {
        /// Reasons.
        reasons: Vec<String>,
    },
    /// The supervisor was killed before the main run, and phases 1 to 3 begin again. Nothing before this line counts for the run.
    Resumed {
        /// The attempt that begins: 2, 3, ...
        attempt: u32,
        /// Wall time, RFC 3339.
        at: String,
    },
    /// The run was interrupted as a whole.
    Interrupted {
        /// Why.
        why: String,
    },
}

/// What identified the source of the last scrape.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// Seconds after the phase's start.
    pub t: f64,
    /// `run_id` label of `assay_run_info`.
    pub run_id: Option<String>,
    /// Whether the listening socket belongs to the runner's group.
    pub socket_in_group: Option<bool>,
    /// Its owner.
    pub socket_owner: Option<String>,
}
