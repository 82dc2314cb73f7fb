//! The panels' evaluator over samples: what it answers, and when it says that there is no data.

use catalogue::{PANELS, Panel, PanelQuery};
use gate::evidence::Scrape;
use validate::watch::panels::{Window, label};

fn scrape(series: &[(&str, f64)]) -> Scrape {
    Scrape { series: series.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect() }
}

fn panel_with(wanted: impl Fn(&PanelQuery) -> bool) -> &'static Panel {
    PANELS.iter().find(|panel| panel.queries.iter().all(&wanted)).expect("the catalogue has such a panel")
}

const LATENCY: &str = "alert_delivery_latency_seconds";

fn latency_page(events: f64) -> Scrape {
    scrape(&[
        (&format!("{LATENCY}_bucket{{le=\"0.1\",notifier=\"local_log\"}}"), events),
        (&format!("{LATENCY}_bucket{{le=\"0.5\",notifier=\"local_log\"}}"), events * 2.0),
        (&format!("{LATENCY}_bucket{{le=\"+Inf\",notifier=\"local_log\"}}"), events * 2.0),
        (&format!("{LATENCY}_count{{notifier=\"local_log\"}}"), events * 2.0),
    ])
}

#[test]
fn every_panel_says_why_it_has_no_data_before_the_first_scrape() {
    let window = Window::new(3600.0, 1.0);
    for panel in PANELS {
        let answer = window.evaluate(panel);
        assert!(!answer.has_data, "{}", panel.id);
        assert_eq!(answer.problem.as_deref(), Some("no scrape yet"), "{}", panel.id);
    }
}

#[test]
fn a_metric_that_was_renamed_leaves_its_panels_without_data() {
    let mut window = Window::new(3600.0, 1.0);
    window.push(1.0, scrape(&[("something_else", 1.0)]), None);
    for panel in PANELS {
        assert!(!window.evaluate(panel).has_data, "{}", panel.id);
    }
}

#[test]
fn quantiles_come_from_the_increase_inside_the_range() {
    let is_latency =
        |query: &PanelQuery| matches!(query, PanelQuery::Quantile { metric, .. } if *metric == LATENCY);
    let panel = panel_with(is_latency);
    let mut window = Window::new(3600.0, 1.0);
    window.push(1.0, latency_page(1_000.0), None);
    window.push(2.0, latency_page(1_010.0), None);
    let answer = window.evaluate(panel);
    // Ten events below 0.1 s and ten between 0.1 and 0.5: the 95th percentile lies at 90 % of the second bucket.
    let value = answer.values.values().find(|value| (**value - 0.46).abs() < 1e-9);
    assert!(answer.has_data && value.is_some(), "{answer:?}");
}

#[test]
fn no_event_in_the_range_is_data_and_a_missing_histogram_is_not() {
    let panel =
        panel_with(|query| matches!(query, PanelQuery::Quantile { metric, .. } if *metric == LATENCY));
    let mut window = Window::new(3600.0, 1.0);
    window.push(1.0, latency_page(5.0), None);
    window.push(2.0, latency_page(5.0), None);
    let answer = window.evaluate(panel);
    assert!(answer.has_data && answer.values.is_empty(), "{answer:?}");
    window.push(3.0, scrape(&[("alert_sent_total{notifier=\"local_log\"}", 1.0)]), None);
    assert!(!window.evaluate(panel).has_data);
}

#[test]
fn nan_is_no_data() {
    let panel = panel_with(
        |query| matches!(query, PanelQuery::SumLatest { metric } if *metric == "arb_topn_pnl_usd"),
    );
    let mut window = Window::new(3600.0, 1.0);
    window.push(1.0, scrape(&[("arb_topn_pnl_usd", f64::NAN)]), None);
    assert!(!window.evaluate(panel).has_data);
    window.push(2.0, scrape(&[("arb_topn_pnl_usd", -3.0)]), None);
    assert!(window.evaluate(panel).has_data);
}

#[test]
fn a_reset_counter_counts_from_zero() {
    let per_minute = |query: &PanelQuery| matches!(query, PanelQuery::RatePerMinute { metric, .. } if *metric == "arb_topn_trades_total");
    let panel = panel_with(per_minute);
    let page = |n: f64| scrape(&[("arb_topn_trades_total{trade_type=\"entry\"}", n)]);
    let mut window = Window::new(3600.0, 1.0);
    window.push(0.0, page(100.0), None);
    window.push(30.0, page(4.0), None);
    let values = window.evaluate(panel).values;
    assert!(values.values().any(|value| (*value - 8.0).abs() < 1e-9), "{values:?}");
}

#[test]
fn labels_are_read_with_their_escapes() {
    let series = r#"x{a="1",b="two \"quoted\" and, comma",c="line\nbreak"}"#;
    assert_eq!(label(series, "a").as_deref(), Some("1"));
    assert_eq!(label(series, "b").as_deref(), Some("two \"quoted\" and, comma"));
    assert_eq!(label(series, "c").as_deref(), Some("line\nbreak"));
    assert_eq!(label(series, "d"), None);
    assert_eq!(label("x", "a"), None);
}
