//! The 13 watch rules of a running validation. Windows, signals and their evaluation live in the validator and the profile.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

pub use crate::criterion::UnknownId;

/// Identity of a watch rule; in JSON its name, such as `"A1"`. The A rules abort, the B rules warn and cap the decision.
#[expect(missing_docs, reason = "the rule of each id is described in `RULES`")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum RuleId {
    A1,
    A2,
    A3,
    A4,
    A5,
    A6,
    A7,
    A8,
    A9,
    B1,
    B2,
    B3,
    B4,
}

impl RuleId {
    /// All rules in order of their ids.
    pub const ALL: [Self; 13] = [
        Self::A1,
        Self::A2,
        Self::A3,
        Self::A4,
        Self::A5,
        Self::A6,
        Self::A7,
        Self::A8,
        Self::A9,
        Self::B1,
        Self::B2,
        Self::B3,
        Self::B4,
    ];

    /// All rules in the order in which they are looked at within one tick: A1, A8, A9, then the rest.
    pub const TICK_ORDER: [Self; 13] = [
        Self::A1,
        Self::A8,
        Self::A9,
        Self::A2,
        Self::A3,
        Self::A4,
        Self::A5,
        Self::A6,
        Self::A7,
        Self::B1,
        Self::B2,
        Self::B3,
        Self::B4,
    ];

    /// The id as written in reports and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::A1 => "A1",
            Self::A2 => "A2",
            Self::A3 => "A3",
            Self::A4 => "A4",
            Self::A5 => "A5",
            Self::A6 => "A6",
            Self::A7 => "A7",
            Self::A8 => "A8",
            Self::A9 => "A9",
            Self::B1 => "B1",
            Self::B2 => "B2",
            Self::B3 => "B3",
            Self::B4 => "B4",
        }
    }

    /// Its definition.
    pub fn definition(self) -> &'static Rule {
        // A test holds that RULES stands in the order of this enum.
        &RULES[self as usize]
    }

    /// True when a firing ends the run (priority 1).
    pub const fn aborts(self) -> bool {
        !matches!(self, Self::B1 | Self::B2 | Self::B3 | Self::B4)
    }
}

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for RuleId {
    type Err = UnknownId;

    fn from_str(s: &str) -> Result<Self, UnknownId> {
        Self::ALL.into_iter().find(|id| id.as_str() == s).ok_or_else(|| UnknownId(s.to_owned()))
    }
}

/// One watch rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// Identity.
    pub id: RuleId,
    /// 1 stops the runner, 2 warns and caps the decision.
    pub priority: u8,
    /// English title.
    pub title: &'static str,
    /// Korean title.
    pub title_ko: &'static str,
    /// Condition and window with the values of the profile of record.
    pub condition: &'static str,
    /// False when this version does not evaluate the rule: it is shown as such and caps the decision.
    pub built: bool,
    /// Anchor in `docs/runbook.md`.
    pub runbook: &'static str,
}

/// The definition of a rule.
pub fn rule(id: RuleId) -> &'static Rule {
    id.definition()
}

/// The 13 rules in the order of [`RuleId::ALL`].
pub static RULES: [Rule; 13] = [
    Rule {
        id: RuleId::A1,
        priority: 1,
        title: "Crash",
        title_ko: "크래시",
        condition: "CRASH or WORKER_DIED; non-zero exit, signal, or exit before duration - 1 s, none of it after our own stop \
                    signal; at once",
        built: true,
        runbook: "a1",
    },
    Rule {
        id: RuleId::A2,
        priority: 1,
        title: "Dead letters",
        title_ko: "DLQ 발생",
        condition: "alert_dlq_total > 0; at once",
        built: true,
        runbook: "a2",
    },
    Rule {
        id: RuleId::A3,
        priority: 1,
        title: "Notifier down",
        title_ko: "알림 채널 중단",
        condition: "a required notifier at 0.0; at once",
        built: true,
        runbook: "a3",
    },
    Rule {
        id: RuleId::A4,
        priority: 1,
        title: "Loop latency",
        title_ko: "루프 지연 초과",
        condition: "loop latency p99 > 100 ms for 5 min",
        built: true,
        runbook: "a4",
    },
    Rule {
        id: RuleId::A5,
        priority: 1,
        title: "CPU",
        title_ko: "CPU 과부하",
        condition: "CPU > 80 % of the profile's cpu_cores for 10 min",
        built: true,
        runbook: "a5",
    },
    Rule {
        id: RuleId::A6,
        priority: 1,
        title: "Memory growth",
        title_ko: "메모리 증가",
        condition: "memory growth > 10 %/h and > 8 MiB/h over 20 min",
        built: true,
        runbook: "a6",
    },
    Rule {
        id: RuleId::A7,
        priority: 1,
        title: "PnL drop",
        title_ko: "손익 급락",
        condition: "PnL down 10 % or more of paper capital from its peak; at once",
        built: true,
        runbook: "a7",
    },
    Rule {
        id: RuleId::A8,
        priority: 1,
        title: "Hang",
        title_ko: "행 (진행 정지)",
        condition: "no progress of the declared progress signal for 60 s while the process lives",
        built: true,
        runbook: "a8",
    },
    Rule {
        id: RuleId::A9,
        priority: 1,
        title: "Blind",
        title_ko: "관측 불가",
        condition: "no successful scrape for 60 s",
        built: true,
        runbook: "a9",
    },
    Rule {
        id: RuleId::B1,
        priority: 2,
        title: "Low win rate",
        title_ko: "승률 저조",
        condition: "win rate < 50 % with >= 20 closed trades for 30 min",
        built: true,
        runbook: "b1",
    },
    Rule {
        id: RuleId::B2,
        priority: 2,
        title: "No round trips",
        title_ko: "왕복 거래 정체",
        condition: "round trips unchanged over 30 min",
        built: true,
        runbook: "b2",
    },
    Rule {
        id: RuleId::B3,
        priority: 2,
        title: "Overactive guards",
        title_ko: "가드 과다 발동",
        condition: "guard triggers > 50 per hour within 1 h",
        built: true,
        runbook: "b3",
    },
    Rule {
        id: RuleId::B4,
        priority: 2,
        title: "Low alert success rate",
        title_ko: "알림 성공률 저조",
        condition: "alert success rate < 90 % for 30 min",
        built: true,
        runbook: "b4",
    },
];
