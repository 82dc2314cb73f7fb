//! The catalogue is complete, free of contradictions, and renders.

use std::{collections::BTreeSet, fmt::Debug};

use catalogue::{
    ALERT_RULES, Appears, CRITERIA, Class, Colour, CriterionId, DELIVERY_BUCKETS, Dashboard, EXIT_REASONS,
    FUNNEL_STAGES, GUARD_TYPES, Headline, KPIS, KpiGroup, LATENCY_BUCKETS, LOOP_STAGES, METRICS, MetricKind,
    PANELS, PanelQuery, RULES, RuleId, Severity, Unit, alert_rule, kpi, metric, panel, render,
};

fn assert_unique<T: Ord + Debug>(items: impl IntoIterator<Item = T>) {
    let mut seen = BTreeSet::new();
    for item in items {
        assert!(!seen.contains(&item), "defined twice: {item:?}");
        seen.insert(item);
    }
}

fn is_label(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !text.starts_with("__")
}

#[test]
fn kpis_are_numbered_grouped_and_unique() {
    let numbers: Vec<u8> = KPIS.iter().map(|k| k.number).collect();
    assert_eq!(numbers, (1..=32).collect::<Vec<u8>>());
    assert_unique(KPIS.iter().map(|k| k.field));
    for k in &KPIS {
        let group = match k.number {
            1..=11 => KpiGroup::Trading,
            12..=17 => KpiGroup::Risk,
            18..=24 => KpiGroup::Performance,
            _ => KpiGroup::Alerting,
        };
        assert_eq!(k.group, group, "{}", k.field);
        assert_eq!(kpi(k.field).map(|found| found.number), Some(k.number));
        let unit_of_suffix = [
            ("_usd", Unit::Usd),
            ("_pct", Unit::Percent),
            ("_ms", Unit::Milliseconds),
            ("_s", Unit::Seconds),
            ("_mb", Unit::Megabytes),
        ];
        for (suffix, unit) in unit_of_suffix {
            assert!(!k.field.ends_with(suffix) || k.unit == unit, "{} is in {}", k.field, k.unit);
        }
        assert!(
            !k.title.is_empty() && !k.title_ko.is_empty() && !k.how.is_empty() && !k.cross_check.is_empty()
        );
    }
    assert_eq!(kpi("profit"), None);
}

#[test]
fn criteria_stand_in_order_with_class_and_headline() {
    assert_eq!(CRITERIA.map(|c| c.id), CriterionId::ALL);
    let count = |class| CriterionId::ALL.iter().filter(|id| id.class() == class).count();
    assert_eq!((count(Class::Critical), count(Class::High), count(Class::Medium)), (6, 6, 4));
    let strategy: Vec<&str> =
        CRITERIA.iter().filter(|c| c.line == Headline::Strategy).map(|c| c.id.as_str()).collect();
    assert_eq!(strategy, ["H6", "M1", "M2", "M3"]);
    for id in CriterionId::ALL {
        assert_eq!(id.definition().id, id);
        assert_eq!(id.as_str().parse(), Ok(id));
        assert_eq!(serde_json::to_string(&id).unwrap(), format!("\"{id}\""));
        assert_eq!(serde_json::from_str::<CriterionId>(&format!("\"{id}\"")).unwrap(), id);
    }
    assert!("C7".parse::<CriterionId>().is_err());
}

#[test]
fn rules_stand_in_order_and_say_what_is_built() {
    assert_eq!(RULES.map(|r| r.id), RuleId::ALL);
    let built: Vec<&str> = RULES.iter().filter(|r| r.built).map(|r| r.id.as_str()).collect();
    assert_eq!(built.len(), RULES.len());
    for id in RuleId::ALL {
        assert_eq!(id.definition().id, id);
        assert_eq!(id.definition().priority == 1, id.aborts());
        assert_eq!(id.as_str().starts_with('A'), id.aborts());
        assert_eq!(id.as_str().parse(), Ok(id));
        assert_eq!(serde_json::to_string(&id).unwrap(), format!("\"{id}\""));
    }
    let mut ticked = RuleId::TICK_ORDER;
    ticked.sort();
    assert_eq!(ticked, RuleId::ALL);
    assert_eq!(RuleId::TICK_ORDER[..3], [RuleId::A1, RuleId::A8, RuleId::A9]);
}

#[test]
fn metrics_are_unique_and_legal() {
    assert_unique(METRICS.iter().map(|m| m.name));
    for m in METRICS {
        assert!(is_label(m.name), "{}", m.name);
        assert_eq!(m.name.ends_with("_total"), m.kind == MetricKind::Counter, "{}", m.name);
        assert_eq!(!m.buckets.is_empty(), m.kind == MetricKind::Histogram, "{}", m.name);
        assert!(m.buckets.windows(2).all(|w| w[0] < w[1]), "{}: edges rise", m.name);
        assert_eq!(m.common_labels, m.name.starts_with("arb_topn_"), "{}", m.name);
        assert!(m.labels.iter().all(|l| is_label(l) && *l != "le"), "{}", m.name);
        let common: &[&str] = if m.common_labels { &catalogue::COMMON_LABELS } else { &[] };
        assert_unique(common.iter().chain(m.labels));
        assert_eq!(metric(m.name).map(|found| found.name), Some(m.name));
    }
    // 11 of run, loop and process, 23 of trading, 11 of venues, 12 of alerting.
    assert_eq!(METRICS.len(), 11 + 23 + 11 + 12);
}

#[test]
fn an_edge_stands_at_every_latency_threshold() {
    for edge in [1e-6, 0.05, 0.08, 0.1, 1.0] {
        assert!(LATENCY_BUCKETS.contains(&edge), "{edge}");
    }
    assert!(DELIVERY_BUCKETS.contains(&3.0));
}

#[test]
fn alert_counters_exist_from_the_start_but_the_one_by_rule() {
    for m in METRICS.iter().filter(|m| m.name.starts_with("alert_") && m.kind == MetricKind::Counter) {
        assert_eq!(m.appears == Appears::WithFirstEvent, m.name == "alert_by_rule_total", "{}", m.name);
    }
}

#[test]
fn panels_ask_for_what_exists() {
    assert_unique(PANELS.iter().map(|p| p.id));
    for p in PANELS {
        let prefix = if p.dashboard == Dashboard::Core { "core_" } else { "alerting_" };
        assert!(p.id.starts_with(prefix) && is_label(p.id), "{}", p.id);
        assert_eq!(panel(p.id).map(|found| found.id), Some(p.id));
        assert!(!p.queries.is_empty(), "{}", p.id);
        let asked: BTreeSet<&str> = p.queries.iter().flat_map(PanelQuery::metrics).collect();
        assert_eq!(asked, p.required_metrics.iter().copied().collect(), "{}", p.id);
        for query in p.queries {
            check_query(p.id, query);
        }
        if let Some(name) = p.counter_when_empty {
            let counter = metric(name).unwrap();
            assert_eq!(
                (counter.kind, counter.appears),
                (MetricKind::Counter, Appears::FromStart),
                "{}",
                p.id
            );
        }
        assert!(p.thresholds.is_none_or(|c| c.query < p.queries.len()), "{}", p.id);
    }
}

fn check_query(id: &str, query: &PanelQuery) {
    for name in query.metrics() {
        let m = metric(name).unwrap_or_else(|| panic!("{id}: no metric {name}"));
        let label = match query {
            PanelQuery::SumBy { label, .. } => Some(*label),
            PanelQuery::RatePerSecond { by, .. }
            | PanelQuery::RatePerMinute { by, .. }
            | PanelQuery::IncreasePerHour { by, .. } => *by,
            _ => None,
        };
        assert!(label.is_none_or(|l| m.labels.contains(&l)), "{id}: {name} has no label {label:?}");
        let is_counter_question = matches!(
            query,
            PanelQuery::RatePerSecond { .. }
                | PanelQuery::RatePerMinute { .. }
                | PanelQuery::IncreasePerHour { .. }
        );
        assert!(!is_counter_question || m.kind == MetricKind::Counter, "{id}: {name}");
        let is_quantile = matches!(query, PanelQuery::Quantile { .. });
        assert_eq!(is_quantile, m.kind == MetricKind::Histogram, "{id}: {name}");
    }
}

#[test]
fn colours_follow_the_table_at_their_edges() {
    use Colour::{Green, Red, Yellow};
    let check = |id: &str, cases: &[(f64, Colour)]| {
        let colours = panel(id).unwrap().thresholds.unwrap();
        for &(value, colour) in cases {
            assert_eq!(colours.colour(value), Some(colour), "{id} at {value}");
        }
        assert_eq!(colours.colour(f64::NAN), None, "{id}");
    };
    check("core_current_pnl", &[(0.0, Green), (4.9, Green), (5.0, Yellow), (9.9, Yellow), (10.0, Red)]);
    check("core_win_rate", &[(100.0, Green), (70.0, Green), (69.9, Yellow), (50.0, Yellow), (49.9, Red)]);
    check("core_loop_latency", &[(0.049, Green), (0.05, Yellow), (0.1, Yellow), (0.101, Red)]);
    check("core_cpu", &[(49.9, Green), (50.0, Yellow), (80.0, Yellow), (80.1, Red)]);
    check("core_guard_triggers", &[(9.0, Green), (10.0, Yellow), (50.0, Yellow), (51.0, Red)]);
    check("alerting_success_rate", &[(0.95, Green), (0.949, Yellow), (0.9, Yellow), (0.899, Red)]);
    check("alerting_dlq", &[(0.0, Green), (1.0, Red)]);
    check("alerting_notifiers", &[(1.0, Green), (0.5, Yellow), (0.0, Red)]);
    let coloured = PANELS.iter().filter(|p| p.thresholds.is_some()).count();
    assert_eq!(coloured, 8, "the table has 8 rows");
}

#[test]
fn queries_read_as_promql() {
    let check = |query: PanelQuery, expected: &str| assert_eq!(query.promql(), expected);
    check(PanelQuery::Latest { metric: "x", labels: &[] }, "x");
    check(PanelQuery::Latest { metric: "x", labels: &[("a", "b"), ("c", "d")] }, r#"x{a="b",c="d"}"#);
    check(PanelQuery::SumLatest { metric: "x" }, "sum(x)");
    check(PanelQuery::SumBy { metric: "x", label: "a" }, "sum by (a) (x)");
    check(PanelQuery::RatePerSecond { metric: "x_total", by: None }, "sum (rate(x_total[1m]))");
    check(
        PanelQuery::RatePerMinute { metric: "x_total", by: Some("a") },
        "sum by (a) (rate(x_total[1m])) * 60",
    );
    check(PanelQuery::IncreasePerHour { metric: "x_total", by: None }, "sum (increase(x_total[1h]))");
    check(
        PanelQuery::Quantile { metric: "x_seconds", q: 0.99 },
        "histogram_quantile(0.99, sum by (le) (rate(x_seconds_bucket[5m])))",
    );
    check(PanelQuery::Ratio { num: "a", den: &["a", "b"] }, "sum(a) / (sum(a) + sum(b))");
}

#[test]
fn alert_rules_are_unique_and_throttled_as_documented() {
    assert_unique(ALERT_RULES.iter().map(|r| r.id));
    assert_eq!(ALERT_RULES.len(), 34);
    let count = |severity| ALERT_RULES.iter().filter(|r| r.severity == severity).count();
    assert_eq!(Severity::ALL.map(count), [8, 10, 14, 2]);
    for r in ALERT_RULES {
        assert_eq!(r.past_routing, r.id.starts_with("GATE-") || r.id == "DRILL", "{}", r.id);
        assert_eq!(r.runbook, r.id.to_lowercase());
        assert_eq!(alert_rule(r.id).map(|found| found.id), Some(r.id));
    }
    assert!(Severity::P0 < Severity::P3);
    assert_eq!(serde_json::to_string(&Severity::P1).unwrap(), "\"P1\"");
}

#[test]
fn words_are_unique() {
    assert_unique(EXIT_REASONS);
    assert_unique(GUARD_TYPES);
    assert_unique(FUNNEL_STAGES);
    assert_unique(LOOP_STAGES);
    assert!(!EXIT_REASONS.contains(&catalogue::UNWIND));
}

#[test]
fn renders_as_json() {
    let text = render::json().unwrap();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let lengths = ["kpis", "criteria", "rules", "metrics", "panels", "alert_rules"]
        .map(|key| value[key].as_array().unwrap().len());
    assert_eq!(lengths, [32, 16, 13, METRICS.len(), PANELS.len(), 34]);
    assert_eq!(value["kpis"][7]["field"], "net_pnl_usd");
    assert_eq!(value["kpis"][7]["unit"], Unit::Usd.name());
    assert_eq!(value["kpis"][7]["title_ko"], "순손익");
    assert_eq!(value["criteria"][0]["id"], "C1");
    assert_eq!(value["panels"][0]["promql"][0], "sum(arb_topn_pnl_usd)");
}

#[test]
fn renders_as_markdown() {
    let text = render::markdown();
    let headings: Vec<&str> = text.lines().filter_map(|l| l.strip_prefix("## ")).collect();
    assert_eq!(headings, ["KPIs", "Criteria", "Watch rules", "Metrics", "Panels", "Alert rules"]);
    assert!(
        text.contains("| 20 | `loop_latency_p99_ms` | Loop latency p99 | 루프 지연 p99 | milliseconds |")
    );
    assert!(text.contains("| A6 | 1 | Memory growth |") && !text.contains("not built yet"));
    let mut width = 0;
    for line in text.lines() {
        let cells = line.replace("\\|", "").matches('|').count();
        if cells == 0 {
            width = 0;
        } else {
            assert!(width == 0 || width == cells, "ragged table: {line}");
            width = cells;
        }
    }
}
