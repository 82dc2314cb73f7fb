//! The panels of both dashboards, as one table. What a panel, a query and a colour are is defined in `panel`.

use crate::{
    Basis, Colours,
    Dashboard::{self, Alerting, Core},
    Panel,
    PanelQuery::{
        self, IncreasePerHour, Latest, Quantile, RatePerMinute, RatePerSecond, Ratio, SumBy, SumLatest,
    },
    Unit,
};

const fn latest(metric: &'static str) -> PanelQuery {
    Latest { metric, labels: &[] }
}

/// Thresholds on the value of query 0, both edges yellow.
const fn bands(
    higher_is_worse: bool,
    yellow_at: f64,
    red_at: f64,
    green: &'static str,
    yellow: &'static str,
    red: &'static str,
) -> Colours {
    Colours {
        green,
        yellow,
        red,
        higher_is_worse,
        yellow_at,
        yellow_inclusive: higher_is_worse,
        red_at,
        red_inclusive: false,
        query: 0,
        basis: Basis::Value,
    }
}

const fn plain(
    id: &'static str,
    dashboard: Dashboard,
    title: &'static str,
    title_ko: &'static str,
    unit: Unit,
    queries: &'static [PanelQuery],
    required_metrics: &'static [&'static str],
) -> Panel {
    Panel {
        id,
        dashboard,
        title,
        title_ko,
        unit,
        queries,
        thresholds: None,
        counter_when_empty: None,
        required_metrics,
    }
}

const fn coloured(panel: Panel, colours: Colours) -> Panel {
    Panel { thresholds: Some(colours), ..panel }
}

const fn empty_at(panel: Panel, counter: &'static str) -> Panel {
    Panel { counter_when_empty: Some(counter), ..panel }
}

/// All panels, in the order in which they are shown.
pub static PANELS: &[Panel] = &[
    plain(
        "core_total_pnl",
        Core,
        "Total PnL",
        "총손익",
        Unit::Usd,
        &[SumLatest { metric: "arb_topn_pnl_usd" }],
        &["arb_topn_pnl_usd"],
    ),
    coloured(
        plain(
            "core_current_pnl",
            Core,
            "PnL from its peak",
            "현재 손익 (고점 대비 하락)",
            Unit::Usd,
            &[latest("arb_topn_drawdown_usd"), latest("arb_topn_pnl_usd")],
            &["arb_topn_drawdown_usd", "arb_topn_pnl_usd"],
        ),
        Colours {
            red_inclusive: true,
            basis: Basis::PercentOfPaperCapital,
            ..bands(true, 5.0, 10.0, "level or rising", "down 5 to 10 %", "down 10 % or more")
        },
    ),
    plain(
        "core_trades_per_minute",
        Core,
        "Trades per minute",
        "분당 거래 수",
        Unit::PerMinute,
        &[RatePerMinute { metric: "arb_topn_trades_total", by: Some("trade_type") }],
        &["arb_topn_trades_total"],
    ),
    empty_at(
        coloured(
            plain(
                "core_win_rate",
                Core,
                "Win rate",
                "승률",
                Unit::Percent,
                &[latest("arb_topn_win_rate")],
                &["arb_topn_win_rate"],
            ),
            bands(false, 70.0, 50.0, ">= 70 %", "50 to 69 %", "< 50 %"),
        ),
        "arb_topn_round_trips_total",
    ),
    plain(
        "core_active_positions",
        Core,
        "Active positions",
        "보유 포지션",
        Unit::Count,
        &[SumLatest { metric: "arb_topn_active_positions" }],
        &["arb_topn_active_positions"],
    ),
    coloured(
        plain(
            "core_loop_latency",
            Core,
            "Loop latency p50, p95, p99",
            "루프 지연 p50·p95·p99",
            Unit::Seconds,
            &[
                Quantile { metric: "loop_latency_seconds", q: 0.5 },
                Quantile { metric: "loop_latency_seconds", q: 0.95 },
                Quantile { metric: "loop_latency_seconds", q: 0.99 },
            ],
            &["loop_latency_seconds"],
        ),
        Colours { query: 2, ..bands(true, 0.05, 0.1, "< 50 ms", "50 to 100 ms", "> 100 ms") },
    ),
    coloured(
        plain(
            "core_cpu",
            Core,
            "CPU",
            "CPU 사용률",
            Unit::Percent,
            &[latest("process_cpu_usage_percent")],
            &["process_cpu_usage_percent"],
        ),
        bands(true, 50.0, 80.0, "< 50 %", "50 to 80 %", "> 80 %"),
    ),
    plain(
        "core_memory",
        Core,
        "Memory",
        "메모리 사용량",
        Unit::Megabytes,
        &[latest("process_memory_usage_mb")],
        &["process_memory_usage_mb"],
    ),
    empty_at(
        coloured(
            plain(
                "core_guard_triggers",
                Core,
                "Guard triggers per hour",
                "시간당 가드 발동",
                Unit::PerHour,
                &[
                    IncreasePerHour { metric: "arb_topn_guard_triggers_total", by: None },
                    IncreasePerHour { metric: "arb_topn_guard_triggers_total", by: Some("guard_type") },
                ],
                &["arb_topn_guard_triggers_total"],
            ),
            bands(true, 10.0, 50.0, "< 10", "10 to 50", "> 50"),
        ),
        "arb_topn_guard_triggers_total",
    ),
    empty_at(
        plain(
            "core_alerts_by_severity",
            Core,
            "Alerts by severity",
            "심각도별 알림",
            Unit::Count,
            &[SumBy { metric: "arb_topn_alerts_total", label: "severity" }],
            &["arb_topn_alerts_total"],
        ),
        "alert_raised_total",
    ),
    plain(
        "core_round_trips",
        Core,
        "Round trips",
        "왕복 거래",
        Unit::Count,
        &[SumLatest { metric: "arb_topn_round_trips_total" }],
        &["arb_topn_round_trips_total"],
    ),
    empty_at(
        plain(
            "core_exit_reasons",
            Core,
            "Exit reasons",
            "청산 사유",
            Unit::Count,
            &[SumBy { metric: "arb_topn_exit_reasons_total", label: "reason" }],
            &["arb_topn_exit_reasons_total"],
        ),
        "arb_topn_round_trips_total",
    ),
    plain(
        "core_funnel",
        Core,
        "Funnel",
        "거래 퍼널",
        Unit::Count,
        &[SumBy { metric: "arb_topn_funnel_total", label: "stage" }],
        &["arb_topn_funnel_total"],
    ),
    plain(
        "core_premium",
        Core,
        "Premium and spread",
        "프리미엄과 스프레드",
        Unit::Bps,
        &[
            // The quantiles: a series per symbol would bury them.
            Latest { metric: "arb_topn_premium_bps", labels: &[("symbol", "")] },
            Latest { metric: "arb_topn_edge_bps", labels: &[("symbol", "")] },
        ],
        &["arb_topn_premium_bps", "arb_topn_edge_bps"],
    ),
    plain(
        "core_venue_books",
        Core,
        "Venue book states",
        "거래소별 호가창 상태",
        Unit::Count,
        &[latest("venue_books")],
        &["venue_books"],
    ),
    plain(
        "core_fx_rate",
        Core,
        "FX rate",
        "환율",
        Unit::Rate,
        &[latest("arb_topn_fx_rate")],
        &["arb_topn_fx_rate"],
    ),
    plain(
        "core_fx_age",
        Core,
        "FX age",
        "환율 경과 시간",
        Unit::Seconds,
        &[latest("arb_topn_fx_age_seconds")],
        &["arb_topn_fx_age_seconds"],
    ),
    plain(
        "core_iterations",
        Core,
        "Iterations per second",
        "초당 루프 반복",
        Unit::PerSecond,
        &[RatePerSecond { metric: "arb_topn_loop_iterations_total", by: None }],
        &["arb_topn_loop_iterations_total"],
    ),
    plain(
        "core_run_info",
        Core,
        "Run info",
        "실행 정보",
        Unit::Info,
        &[latest("assay_run_info")],
        &["assay_run_info"],
    ),
    plain(
        "alerting_volume",
        Alerting,
        "Alerts per minute by outcome",
        "결과별 분당 알림",
        Unit::PerMinute,
        &[
            RatePerMinute { metric: "alert_sent_total", by: None },
            RatePerMinute { metric: "alert_failed_total", by: None },
            RatePerMinute { metric: "alert_retry_total", by: None },
            RatePerMinute { metric: "alert_dlq_total", by: None },
            RatePerMinute { metric: "alert_throttled_total", by: None },
        ],
        &[
            "alert_sent_total",
            "alert_failed_total",
            "alert_retry_total",
            "alert_dlq_total",
            "alert_throttled_total",
        ],
    ),
    empty_at(
        coloured(
            plain(
                "alerting_success_rate",
                Alerting,
                "Alert success rate",
                "알림 전송 성공률",
                Unit::Ratio,
                &[Ratio { num: "alert_sent_total", den: &["alert_sent_total", "alert_failed_total"] }],
                &["alert_sent_total", "alert_failed_total"],
            ),
            bands(false, 0.95, 0.9, ">= 95 %", "90 to 95 %", "< 90 %"),
        ),
        "alert_sent_total",
    ),
    plain(
        "alerting_sent",
        Alerting,
        "Sent by notifier",
        "채널별 전송 성공",
        Unit::Count,
        &[SumBy { metric: "alert_sent_total", label: "notifier" }],
        &["alert_sent_total"],
    ),
    empty_at(
        plain(
            "alerting_failed",
            Alerting,
            "Failed by notifier and reason",
            "채널·사유별 전송 실패",
            Unit::Count,
            &[latest("alert_failed_total")],
            &["alert_failed_total"],
        ),
        "alert_failed_total",
    ),
    coloured(
        plain(
            "alerting_notifiers",
            Alerting,
            "Notifier availability",
            "알림 채널 가용성",
            Unit::Ratio,
            &[latest("notifier_available")],
            &["notifier_available"],
        ),
        Colours { red_inclusive: true, ..bands(false, 1.0, 0.0, "1.0", "between", "0.0") },
    ),
    empty_at(
        plain(
            "alerting_latency",
            Alerting,
            "Delivery latency p95, p99",
            "알림 전달 지연 p95·p99",
            Unit::Seconds,
            &[
                Quantile { metric: "alert_delivery_latency_seconds", q: 0.95 },
                Quantile { metric: "alert_delivery_latency_seconds", q: 0.99 },
            ],
            &["alert_delivery_latency_seconds"],
        ),
        "alert_sent_total",
    ),
    plain(
        "alerting_fallback",
        Alerting,
        "Fallbacks",
        "대체 채널 전환",
        Unit::Count,
        &[SumBy { metric: "alert_fallback_total", label: "notifier" }],
        &["alert_fallback_total"],
    ),
    plain(
        "alerting_retry",
        Alerting,
        "Retries",
        "재시도",
        Unit::Count,
        &[SumBy { metric: "alert_retry_total", label: "notifier" }],
        &["alert_retry_total"],
    ),
    coloured(
        plain(
            "alerting_dlq",
            Alerting,
            "Dead letters",
            "DLQ",
            Unit::Count,
            &[SumLatest { metric: "alert_dlq_total" }],
            &["alert_dlq_total"],
        ),
        bands(true, 0.0, 0.0, "0", "", "> 0"),
    ),
    empty_at(
        plain(
            "alerting_by_rule",
            Alerting,
            "Alerts by rule",
            "규칙별 알림",
            Unit::Count,
            &[SumBy { metric: "alert_by_rule_total", label: "rule_id" }],
            &["alert_by_rule_total"],
        ),
        "alert_raised_total",
    ),
    plain(
        "alerting_queue_depth",
        Alerting,
        "Queue depth",
        "대기열 길이",
        Unit::Count,
        &[latest("alert_queue_depth")],
        &["alert_queue_depth"],
    ),
    plain(
        "alerting_oldest_pending",
        Alerting,
        "Oldest pending",
        "최장 대기 시간",
        Unit::Seconds,
        &[latest("alert_oldest_pending_seconds")],
        &["alert_oldest_pending_seconds"],
    ),
];
