//! The 32 KPIs: number, field name, unit, where the value comes from and what it is checked against. The values themselves
//! and their states (measured, undefined, absent, ...) live in the gate.

use serde::{Deserialize, Serialize};

use crate::Unit;

/// The four groups in which KPIs are reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KpiGroup {
    /// KPIs 1 to 11.
    Trading,
    /// KPIs 12 to 17.
    Risk,
    /// KPIs 18 to 24.
    Performance,
    /// KPIs 25 to 32.
    Alerting,
}

impl KpiGroup {
    /// All groups in the order of the report.
    pub const ALL: [Self; 4] = [Self::Trading, Self::Risk, Self::Performance, Self::Alerting];

    /// English heading.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Trading => "Trading",
            Self::Risk => "Risk",
            Self::Performance => "Performance",
            Self::Alerting => "Alerting",
        }
    }

    /// Korean heading.
    pub const fn title_ko(self) -> &'static str {
        match self {
            Self::Trading => "거래",
            Self::Risk => "리스크",
            Self::Performance => "성능",
            Self::Alerting => "알림",
        }
    }
}

/// Who measures a KPI in the first place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The runner's KPI file.
    Runner,
    /// The validator's own observation of the process group and its log.
    Supervisor,
    /// Scrapes of the runner's metrics endpoint.
    Scrape,
    /// The delivery table of the alert store.
    Store,
    /// Computed from other KPIs.
    Derived,
}

impl Source {
    /// The name of the source, the same as in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Runner => "runner",
            Self::Supervisor => "supervisor",
            Self::Scrape => "scrape",
            Self::Store => "store",
            Self::Derived => "derived",
        }
    }
}

/// One KPI.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Kpi {
    /// 1 to 32, the order of every report.
    pub number: u8,
    /// Field name in the KPI file and in `analysis_result.json`.
    pub field: &'static str,
    /// Group of the report.
    pub group: KpiGroup,
    /// Unit of the value.
    pub unit: Unit,
    /// English title.
    pub title: &'static str,
    /// Korean title.
    pub title_ko: &'static str,
    /// How the value is made.
    pub how: &'static str,
    /// Who measures it.
    pub source: Source,
    /// What it is compared with, and how closely it must agree.
    pub cross_check: &'static str,
    /// A reading aid shown beside the value; it judges nothing.
    pub aid: Option<&'static str>,
}

/// The KPI of a field name.
pub fn kpi(field: &str) -> Option<&'static Kpi> {
    KPIS.iter().find(|k| k.field == field)
}

use KpiGroup::{Alerting, Performance, Risk, Trading};
use Source::{Derived, Runner, Scrape, Supervisor};

const JOURNAL: &str = "journal";
const TABLE: &str = "delivery table, rows of this phase";
const LATENCY: &str = "scrape, same or neighbouring bucket";

/// The 32 KPIs in order of their numbers.
pub static KPIS: [Kpi; 32] = [
    k(
        1,
        "total_trades",
        Trading,
        Unit::Count,
        "Trades",
        "총 거래 수",
        "entries plus exits",
        Runner,
        JOURNAL,
        None,
    ),
    k(
        2,
        "entry_trades",
        Trading,
        Unit::Count,
        "Entry trades",
        "진입 거래 수",
        "entries with both legs filled; unwinds are counted apart",
        Runner,
        JOURNAL,
        None,
    ),
    k(
        3,
        "exit_trades",
        Trading,
        Unit::Count,
        "Exit trades",
        "청산 거래 수",
        "exits with both legs closed",
        Runner,
        JOURNAL,
        None,
    ),
    k(
        4,
        "round_trips_completed",
        Trading,
        Unit::Count,
        "Completed round trips",
        "완료된 왕복 거래",
        "entries whose legs are closed, whatever the reason",
        Runner,
        JOURNAL,
        None,
    ),
    k(
        5,
        "win_rate_pct",
        Trading,
        Unit::Percent,
        "Win rate",
        "승률",
        "round trips with net > 0 / closed round trips, `shutdown` closes left out",
        Runner,
        JOURNAL,
        None,
    ),
    k(
        6,
        "total_pnl_usd",
        Trading,
        Unit::Usd,
        "Total PnL",
        "총손익",
        "net PnL plus FX effect, against holding the initial inventory",
        Runner,
        JOURNAL,
        None,
    ),
    k(
        7,
        "gross_pnl_usd",
        Trading,
        Unit::Usd,
        "Gross PnL",
        "수수료 차감 전 손익",
        "PnL against holding, before fees",
        Runner,
        JOURNAL,
        None,
    ),
    k(
        8,
        "net_pnl_usd",
        Trading,
        Unit::Usd,
        "Net PnL",
        "순손익",
        "PnL against holding, after fees",
        Runner,
        JOURNAL,
        None,
    ),
    k(
        9,
        "max_drawdown_usd",
        Trading,
        Unit::Usd,
        "Maximum drawdown",
        "최대 낙폭",
        "largest fall from a peak over the equity points",
        Runner,
        JOURNAL,
        None,
    ),
    k(
        10,
        "avg_win_usd",
        Trading,
        Unit::Usd,
        "Average win",
        "평균 이익",
        "mean net of the winners (net > 0)",
        Runner,
        JOURNAL,
        None,
    ),
    k(
        11,
        "avg_loss_usd",
        Trading,
        Unit::Usd,
        "Average loss",
        "평균 손실",
        "mean net of the losers (net <= 0)",
        Runner,
        JOURNAL,
        None,
    ),
    k(
        12,
        "guard_triggers",
        Risk,
        Unit::Count,
        "Guard triggers",
        "가드 발동 횟수",
        "transitions into a block or degrade per rule and scope; pacing is none",
        Runner,
        "metrics; sum of guard_triggers_by_type",
        Some("< 50/h"),
    ),
    k(
        13,
        "guard_triggers_by_type",
        Risk,
        Unit::Map,
        "Guard triggers by type",
        "유형별 가드 발동 횟수",
        "count per exchange, route, symbol, global, cross_exchange",
        Runner,
        "metrics; sum equals guard_triggers",
        None,
    ),
    k(
        14,
        "guard_false_positives",
        Risk,
        Unit::Count,
        "Guard false positives",
        "가드 오탐",
        "triggers whose stated condition does not hold when recomputed from the journal; also in percent of all triggers",
        Runner,
        JOURNAL,
        Some("<= 5 % of the triggers"),
    ),
    k(
        15,
        "guard_block_duration_avg_s",
        Risk,
        Unit::Seconds,
        "Average guard block",
        "가드 평균 차단 시간",
        "mean time from block to release",
        Runner,
        JOURNAL,
        None,
    ),
    k(
        16,
        "position_limit_hits",
        Risk,
        Unit::Count,
        "Position limit hits",
        "포지션 한도 도달 횟수",
        "entries held back by the limit on open positions",
        Runner,
        "metrics; log phrase `Position limit`",
        None,
    ),
    k(
        17,
        "emergency_stops",
        Risk,
        Unit::Count,
        "Emergency stops",
        "비상 정지 횟수",
        "emergency stops: close all, latch, exit 3",
        Runner,
        "metrics; log phrase `Emergency stop`",
        None,
    ),
    k(
        18,
        "loop_latency_avg_ms",
        Performance,
        Unit::Milliseconds,
        "Loop latency, mean",
        "루프 지연 평균",
        "mean of the loop latency histogram",
        Runner,
        LATENCY,
        Some("< 25 ms"),
    ),
    k(
        19,
        "loop_latency_p95_ms",
        Performance,
        Unit::Milliseconds,
        "Loop latency p95",
        "루프 지연 p95",
        "95th percentile of the loop latency histogram",
        Runner,
        LATENCY,
        Some("< 30 ms"),
    ),
    k(
        20,
        "loop_latency_p99_ms",
        Performance,
        Unit::Milliseconds,
        "Loop latency p99",
        "루프 지연 p99",
        "99th percentile of the loop latency histogram",
        Runner,
        LATENCY,
        None,
    ),
    k(
        21,
        "cpu_usage_pct",
        Performance,
        Unit::Percent,
        "CPU usage",
        "CPU 사용률",
        "CPU seconds of the process group over the run, in percent of `cpu_cores`",
        Supervisor,
        "the runner's counter over the same instants, 20 % or 2 points",
        None,
    ),
    k(
        22,
        "memory_usage_mb",
        Performance,
        Unit::Megabytes,
        "Peak memory",
        "최대 메모리 사용량",
        "peak RSS (VmHWM) summed over the process group",
        Supervisor,
        "the same measure by the runner, 20 %",
        None,
    ),
    k(
        23,
        "error_rate_pct",
        Performance,
        Unit::Percent,
        "Error rate",
        "오류율",
        "100 ms slots with an ERROR line / all slots",
        Supervisor,
        "the runner's count of ERROR lines",
        Some("< 1 %"),
    ),
    k(
        24,
        "crash_hang_count",
        Performance,
        Unit::Count,
        "Crashes and hangs",
        "크래시·행 횟수",
        "crashes, hangs, unexplained non-zero exits and signals",
        Supervisor,
        "exit status, log",
        None,
    ),
    k(
        25,
        "alert_sent_total",
        Alerting,
        Unit::Count,
        "Alerts sent",
        "알림 전송 성공",
        "deliveries acknowledged by a notifier",
        Scrape,
        TABLE,
        None,
    ),
    k(
        26,
        "alert_failed_total",
        Alerting,
        Unit::Count,
        "Alerts failed",
        "알림 전송 실패",
        "deliveries that ended FAILED or DLQ",
        Scrape,
        TABLE,
        None,
    ),
    k(
        27,
        "alert_retry_total",
        Alerting,
        Unit::Count,
        "Alert retries",
        "알림 재시도",
        "attempts after the first of a delivery",
        Scrape,
        TABLE,
        None,
    ),
    k(
        28,
        "alert_dlq_total",
        Alerting,
        Unit::Count,
        "Dead letters",
        "DLQ 적재 알림",
        "deliveries that ended in the dead letters",
        Scrape,
        TABLE,
        None,
    ),
    k(
        29,
        "alert_success_rate_pct",
        Alerting,
        Unit::Percent,
        "Alert success rate",
        "알림 전송 성공률",
        "sent / (sent + failed), settled deliveries only",
        Derived,
        TABLE,
        None,
    ),
    k(
        30,
        "notifier_availability_pct",
        Alerting,
        Unit::Percent,
        "Notifier availability",
        "알림 채널 가용률",
        "share of samples at 1.0, per notifier",
        Scrape,
        "probes",
        None,
    ),
    k(
        31,
        "alert_fallback_total",
        Alerting,
        Unit::Count,
        "Alert fallbacks",
        "대체 채널 전환 횟수",
        "deliveries taken over by the next notifier of a chain",
        Scrape,
        TABLE,
        Some("< 5 %"),
    ),
    k(
        32,
        "alert_delivery_latency_p95_s",
        Alerting,
        Unit::Seconds,
        "Alert delivery latency p95",
        "알림 전달 지연 p95",
        "95th percentile from raised to acknowledged",
        Scrape,
        "delivery table, same or neighbouring bucket",
        Some("< 3 s"),
    ),
];

#[expect(
    clippy::too_many_arguments,
    reason = "a row of the table above; named fields would quadruple its length"
)]
const fn k(
    number: u8,
    field: &'static str,
    group: KpiGroup,
    unit: Unit,
    title: &'static str,
    title_ko: &'static str,
    how: &'static str,
    source: Source,
    cross_check: &'static str,
    aid: Option<&'static str>,
) -> Kpi {
    Kpi { number, field, group, unit, title, title_ko, how, source, cross_check, aid }
}
