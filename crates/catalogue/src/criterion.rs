//! The 16 criteria: identity, class, wording and headline. Checking them lives in the gate.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Identity of a criterion; in JSON its name, such as `"C1"`. Ordered as reported.
#[expect(missing_docs, reason = "the criterion of each id is described in `CRITERIA`")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum CriterionId {
    C1,
    C2,
    C3,
    C4,
    C5,
    C6,
    H1,
    H2,
    H3,
    H4,
    H5,
    H6,
    M1,
    M2,
    M3,
    M4,
}

/// Weight of a criterion in the decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// All must pass.
    Critical,
    /// The number of passes grades the decision.
    High,
    /// At least 3 must pass for COMPLETE GO.
    Medium,
}

/// Which line of the report's headline a criterion belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Headline {
    /// Did the software behave.
    System,
    /// Did the market pay.
    Strategy,
}

impl CriterionId {
    /// All criteria in the order of the report.
    pub const ALL: [Self; 16] = [
        Self::C1,
        Self::C2,
        Self::C3,
        Self::C4,
        Self::C5,
        Self::C6,
        Self::H1,
        Self::H2,
        Self::H3,
        Self::H4,
        Self::H5,
        Self::H6,
        Self::M1,
        Self::M2,
        Self::M3,
        Self::M4,
    ];

    /// The class, which is the id's letter.
    pub const fn class(self) -> Class {
        match self {
            Self::C1 | Self::C2 | Self::C3 | Self::C4 | Self::C5 | Self::C6 => Class::Critical,
            Self::H1 | Self::H2 | Self::H3 | Self::H4 | Self::H5 | Self::H6 => Class::High,
            Self::M1 | Self::M2 | Self::M3 | Self::M4 => Class::Medium,
        }
    }

    /// The id as written in reports and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::C1 => "C1",
            Self::C2 => "C2",
            Self::C3 => "C3",
            Self::C4 => "C4",
            Self::C5 => "C5",
            Self::C6 => "C6",
            Self::H1 => "H1",
            Self::H2 => "H2",
            Self::H3 => "H3",
            Self::H4 => "H4",
            Self::H5 => "H5",
            Self::H6 => "H6",
            Self::M1 => "M1",
            Self::M2 => "M2",
            Self::M3 => "M3",
            Self::M4 => "M4",
        }
    }

    /// Its definition.
    pub fn definition(self) -> &'static Criterion {
        // A test holds that CRITERIA stands in the order of this enum.
        &CRITERIA[self as usize]
    }
}

impl fmt::Display for CriterionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A text that names no criterion or rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownId(pub String);

impl fmt::Display for UnknownId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown id `{}`, run `assay catalogue` for the list", self.0)
    }
}

impl std::error::Error for UnknownId {}

impl FromStr for CriterionId {
    type Err = UnknownId;

    fn from_str(s: &str) -> Result<Self, UnknownId> {
        Self::ALL.into_iter().find(|id| id.as_str() == s).ok_or_else(|| UnknownId(s.to_owned()))
    }
}

/// One criterion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Criterion {
    /// Identity.
    pub id: CriterionId,
    /// English title.
    pub title: &'static str,
    /// Korean title.
    pub title_ko: &'static str,
    /// The whole sentence, threshold included.
    pub rule: &'static str,
    /// The threshold alone, shown beside the value.
    pub threshold: &'static str,
    /// Headline line.
    pub line: Headline,
}

/// The definition of a criterion.
pub fn criterion(id: CriterionId) -> &'static Criterion {
    id.definition()
}

use Headline::{Strategy, System};

/// The 16 criteria in the order of [`CriterionId::ALL`].
pub static CRITERIA: [Criterion; 16] = [
    Criterion {
        id: CriterionId::C1,
        title: "Full run on live market data",
        title_ko: "중단 없는 전체 시간 실행과 실시간 시세 수신",
        rule: "the main run lasted its profile's duration without interruption by the supervisor's clock, at least 60 min in \
               a profile of record, and after the start grace the books of both venues were Live for at least 90 % of \
               symbol-seconds",
        threshold: "full duration; books Live >= 90 %",
        line: System,
    },
    Criterion {
        id: CriterionId::C2,
        title: "All 32 KPIs collected",
        title_ko: "KPI 32개 전부 수집",
        rule: "no KPI is Absent and none Implausible",
        threshold: "0 absent, 0 implausible",
        line: System,
    },
    Criterion {
        id: CriterionId::C3,
        title: "No crash, no hang",
        title_ko: "크래시·행 없음",
        rule: "crashes and hangs = 0",
        threshold: "= 0",
        line: System,
    },
    Criterion {
        id: CriterionId::C4,
        title: "No alert lost",
        title_ko: "알림 유실 없음 (DLQ 0건)",
        rule: "DLQ = 0, with at least one alert delivered in this phase",
        threshold: "DLQ = 0; delivered >= 1",
        line: System,
    },
    Criterion {
        id: CriterionId::C5,
        title: "Metrics endpoint answered",
        title_ko: "메트릭 엔드포인트 응답",
        rule: "/metrics missed at most max(1, 1 %) of the polls outside the graces, and the final snapshot is this run's \
               runner",
        threshold: "missed <= max(1, 1 %)",
        line: System,
    },
    Criterion {
        id: CriterionId::C6,
        title: "Dashboard panels returned data",
        title_ko: "대시보드 모든 패널 데이터 표시",
        rule: "every panel of the configured dashboard, asked over HTTP, returned data of this run; \"no event yet\" is data \
               when the panel's counter is 0",
        threshold: "all panels",
        line: System,
    },
    Criterion {
        id: CriterionId::H1,
        title: "Loop latency p99",
        title_ko: "루프 지연 p99",
        rule: "loop latency p99 <= 80 ms",
        threshold: "<= 80 ms",
        line: System,
    },
    Criterion {
        id: CriterionId::H2,
        title: "Mean CPU",
        title_ko: "평균 CPU 사용률",
        rule: "mean CPU <= 70 %",
        threshold: "<= 70 %",
        line: System,
    },
    Criterion {
        id: CriterionId::H3,
        title: "Memory growth",
        title_ko: "메모리 증가율",
        rule: "memory_growth_pct_per_h <= 10, or growth under 8 MiB/h",
        threshold: "<= 10 %/h or < 8 MiB/h",
        line: System,
    },
    Criterion {
        id: CriterionId::H4,
        title: "Alert success rate",
        title_ko: "알림 전송 성공률",
        rule: "alert success rate >= 95 %",
        threshold: ">= 95 %",
        line: System,
    },
    Criterion {
        id: CriterionId::H5,
        title: "Guard false positives",
        title_ko: "가드 오탐률",
        rule: "guard false positives <= 5 % of the triggers; no block at all is PASS, marked so",
        threshold: "<= 5 %",
        line: System,
    },
    Criterion {
        id: CriterionId::H6,
        title: "Round trips",
        title_ko: "왕복 거래 수",
        rule: "round trips >= 10, `shutdown` closes not counted",
        threshold: ">= 10",
        line: Strategy,
    },
    Criterion {
        id: CriterionId::M1,
        title: "Win rate",
        title_ko: "승률",
        rule: "win rate 50 to 80 %",
        threshold: "50 to 80 %",
        line: Strategy,
    },
    Criterion {
        id: CriterionId::M2,
        title: "Net PnL",
        title_ko: "순손익",
        rule: "with >= 20 episodes, the lower end of the 95 % bootstrap interval of net PnL by episode > 0 is PASS, its upper \
               end < 0 is FAIL; anything else is INCONCLUSIVE",
        threshold: "95 % interval > 0; >= 20 episodes",
        line: Strategy,
    },
    Criterion {
        id: CriterionId::M3,
        title: "Exit reasons all seen",
        title_ko: "청산 사유 4종 모두 발생",
        rule: "take profit, stop loss, time limit and spread reversal all occurred; below 10 closes INCONCLUSIVE",
        threshold: "4 of 4; >= 10 closes",
        line: Strategy,
    },
    Criterion {
        id: CriterionId::M4,
        title: "Notifier availability",
        title_ko: "알림 채널 가용률",
        rule: "every notifier available 100 %",
        threshold: "= 100 %",
        line: System,
    },
];
