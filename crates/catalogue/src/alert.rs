//! Alert rules: ids, severities, throttles. Routing, throttling and delivery live in the dispatcher; thresholds named in
//! `when` are the defaults of the profile.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Severity of an alert. Ordered most severe first: `P0 < P1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Severity {
    /// Critical.
    P0,
    /// High.
    P1,
    /// Medium.
    P2,
    /// Low.
    P3,
}

impl Severity {
    /// All severities, most severe first.
    pub const ALL: [Self; 4] = [Self::P0, Self::P1, Self::P2, Self::P3];

    /// As in labels, tables and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::P0 => "P0",
            Self::P1 => "P1",
            Self::P2 => "P2",
            Self::P3 => "P3",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One alert rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct AlertRule {
    /// Stable id.
    pub id: &'static str,
    /// Severity.
    pub severity: Severity,
    /// The condition, with default thresholds.
    pub when: &'static str,
    /// Seconds for which a repetition with the same aggregation key is throttled; 0 never throttles.
    pub throttle_s: u32,
    /// True for alerts that go to the notifiers past routing and throttle.
    pub past_routing: bool,
    /// Anchor in `docs/runbook.md`.
    pub runbook: &'static str,
}

/// The alert rule of an id.
pub fn alert_rule(id: &str) -> Option<&'static AlertRule> {
    ALERT_RULES.iter().find(|r| r.id == id)
}

use Severity::{P0, P1, P2, P3};

/// All alert rules.
pub static ALERT_RULES: &[AlertRule] = &[
    a("SYS-REDIS-LOST", P0, 0, "sys-redis-lost", "state store lost"),
    a("SYS-DB-LOST", P0, 0, "sys-db-lost", "alert store lost (spooled to disk meanwhile)"),
    a("RG-GLOBAL-BLOCK", P0, 0, "rg-global-block", "a global guard blocks (pacing does not count)"),
    a("RG-EMERGENCY-STOP", P0, 0, "rg-emergency-stop", "emergency stop"),
    a("HEALTH-FROZEN", P0, 300, "health-frozen", "a venue is frozen"),
    a("FX-ALL-DOWN", P0, 60, "fx-all-down", "no FX source is left"),
    a(
        "FX-DEVIATION",
        P0,
        60,
        "fx-deviation",
        "the FX rate is more than 5 % off the median rate that the universe implies",
    ),
    a("HEALTH-DOWN", P1, 300, "health-down", "a venue is down"),
    a("RATE-429", P1, 60, "rate-429", "a venue answered 429 or 418"),
    a("UNIVERSE-EMPTY", P1, 300, "universe-empty", "no symbol passes the filters"),
    a("SYNC-EXPOSURE", P1, 300, "sync-exposure", "exposure > 80 %"),
    a("SYNC-REBALANCE-FAILED", P1, 600, "sync-rebalance-failed", "3 rebalances failed"),
    a("RG-EXCHANGE-BLOCK", P1, 600, "rg-exchange-block", "an exchange guard blocks"),
    a("ENGINE-LATENCY", P1, 300, "engine-latency", "loop latency p99 > 100 ms, sustained"),
    a("WS-RECONNECT-STORM", P1, 300, "ws-reconnect-storm", "more than 5 reconnects in 60 s"),
    a("LEG-ORPHANED", P1, 0, "leg-orphaned", "a leg could be neither completed nor unwound in time"),
    a("RATE-LOW", P2, 60, "rate-low", "request budget < 20 %"),
    a("HEALTH-DEGRADED", P2, 120, "health-degraded", "a venue is degraded"),
    a("ROUTE-LOW-SCORE", P2, 300, "route-low-score", "a route's score is too low"),
    a("ROUTE-COOLDOWN", P2, 300, "route-cooldown", "a route is in cooldown"),
    a(
        "SYMBOL-DEGRADED",
        P2,
        300,
        "symbol-degraded",
        "a symbol guard halves or blocks, or a market is halted, delisted or under warning",
    ),
    a("SYNC-IMBALANCE", P2, 300, "sync-imbalance", "inventory imbalance > 50 %"),
    a("FX-SOURCE-DOWN", P2, 300, "fx-source-down", "an FX source has been down for 30 s"),
    a("FX-STALE", P2, 300, "fx-stale", "the FX rate is older than 60 s"),
    a("WS-STALE", P2, 300, "ws-stale", "no message for 60 s"),
    a("BOOK-RESYNC", P2, 300, "book-resync", "a gap in a book's sequence"),
    a("STATE-SAVE-FAILED", P2, 120, "state-save-failed", "a journal or state write failed and was retried"),
    a("MEMORY-HIGH", P2, 600, "memory-high", "memory growth > 10 %/h"),
    a("LOW-ACTIVITY", P2, 600, "low-activity", "no round trip for 30 min"),
    a(
        "NOTIFIER-DEGRADED",
        P3,
        300,
        "notifier-degraded",
        "a notifier's circuit opened; sent through another channel",
    ),
    a("RG-OVERACTIVE", P1, 600, "rg-overactive", "more than 50 guard triggers per hour"),
    direct("GATE-ABORT", P0, "gate-abort", "the validator aborts a run"),
    direct("GATE-VERDICT", P2, "gate-verdict", "the verdict with its three reasons and the manifest's head"),
    direct(
        "DRILL",
        P3,
        "drill",
        "raised by the runner itself after start and before its end, once per notifier",
    ),
];

const fn a(
    id: &'static str,
    severity: Severity,
    throttle_s: u32,
    runbook: &'static str,
    when: &'static str,
) -> AlertRule {
    AlertRule { id, severity, when, throttle_s, past_routing: false, runbook }
}

const fn direct(
    id: &'static str,
    severity: Severity,
    runbook: &'static str,
    when: &'static str,
) -> AlertRule {
    AlertRule { id, severity, when, throttle_s: 0, past_routing: true, runbook }
}
