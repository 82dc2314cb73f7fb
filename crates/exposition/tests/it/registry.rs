//! The registry against the catalogue, and its pages against the parser.

use catalogue::{METRICS, MetricKind};
use exposition::{Common, Format, Kind, Registry, RegistryError, parse};
use std::sync::Arc;

fn registry() -> Registry {
    Registry::new(Common { env: "paper".to_owned(), universe: "top50".to_owned() })
}

/// A registry with one series of every metric.
fn full() -> Registry {
    let r = registry();
    for m in METRICS {
        let labels: Vec<(&str, &str)> = m.labels.iter().map(|l| (*l, "odd \"\\\n value")).collect();
        match m.kind {
            MetricKind::Counter => r.counter(m.name, &labels).unwrap().add(7),
            MetricKind::Gauge => r.gauge(m.name, &labels).unwrap().set(-0.125),
            MetricKind::Histogram => r.histogram(m.name, &labels).unwrap().observe(0.03),
        }
    }
    r
}

#[test]
fn every_metric_of_the_catalogue_is_exposed_in_both_formats() {
    let r = full();
    let text = parse(r.encode(Format::Text004).as_bytes(), Format::Text004).unwrap();
    let open = parse(r.encode(Format::OpenMetrics).as_bytes(), Format::OpenMetrics).unwrap();
    for m in METRICS {
        let kind = match m.kind {
            MetricKind::Counter => Kind::Counter,
            MetricKind::Gauge => Kind::Gauge,
            MetricKind::Histogram => Kind::Histogram,
        };
        let family = text.family(m.name).unwrap();
        assert_eq!((family.kind, family.help.as_deref()), (kind, Some(m.help)), "{}", m.name);
        let stripped = m.name.strip_suffix("_total").unwrap_or(m.name);
        let family = open.family(stripped).unwrap();
        assert_eq!((family.kind, family.help.as_deref()), (kind, Some(m.help)), "{}", m.name);
        let sample = &family.samples[0];
        assert!(m.labels.iter().all(|l| sample.label(l) == Some("odd \"\\\n value")));
        assert_eq!(sample.label("strategy"), m.common_labels.then_some("topn_arb"));
        assert_eq!(sample.label("universe"), m.common_labels.then_some("top50"));
    }
    let (mut a, mut b): (Vec<_>, Vec<_>) = (text.series().collect(), open.series().collect());
    a.sort_by(|x, y| x.0.cmp(&y.0));
    b.sort_by(|x, y| x.0.cmp(&y.0));
    assert_eq!(a, b, "series have the same names and values in both formats");
}

#[test]
fn text_004_has_counters_with_total_and_nothing_of_openmetrics() {
    let page = full().encode(Format::Text004);
    assert!(page.contains("# TYPE alert_throttled_total counter\nalert_throttled_total 7\n"));
    assert!(page.contains("# HELP alert_throttled_total "));
    assert!(!page.contains("# EOF") && !page.contains("# UNIT"));
    let page = full().encode(Format::OpenMetrics);
    assert!(page.contains("# TYPE alert_throttled counter\n"));
    assert!(page.contains("# UNIT process_cpu_seconds seconds\n"));
    assert!(page.ends_with("# EOF\n"));
}

#[test]
fn only_the_catalogue_is_accepted() {
    let r = registry();
    assert!(matches!(r.counter("made_up_total", &[]), Err(RegistryError::UnknownMetric(_))));
    assert!(matches!(r.gauge("alert_throttled_total", &[]), Err(RegistryError::WrongKind { .. })));
    assert!(matches!(
        r.counter("alert_throttled_total", &[("x", "1")]),
        Err(RegistryError::WrongLabels { .. })
    ));
    assert!(matches!(r.counter("alert_sent_total", &[]), Err(RegistryError::WrongLabels { .. })));
    let twice = [("notifier", "a"), ("notifier", "b")];
    assert!(matches!(r.counter("alert_sent_total", &twice), Err(RegistryError::WrongLabels { .. })));
    let one = r.counter("alert_failed_total", &[("notifier", "a"), ("reason", "io")]).unwrap();
    r.counter("alert_failed_total", &[("reason", "io"), ("notifier", "a")]).unwrap().inc();
    assert_eq!(one.get(), 1.0);
}

#[test]
fn totals_never_go_backwards_and_gauges_begin_without_a_value() {
    let r = registry();
    let c = r.counter("process_cpu_seconds_total", &[]).unwrap();
    c.set_total(2.5);
    c.set_total(1.0);
    c.set_total(f64::NAN);
    assert_eq!(c.get(), 2.5);
    let g = r.gauge("arb_topn_win_rate", &[]).unwrap();
    assert!(!r.encode(Format::Text004).contains("arb_topn_win_rate"));
    g.set(0.0);
    assert!(r.encode(Format::Text004).contains("} 0\n"));
    g.clear();
    assert_eq!(g.get(), None);
    assert!(!r.encode(Format::Text004).contains("arb_topn_win_rate"));
}

#[test]
fn histogram_edges_are_inclusive_and_quantiles_interpolate() {
    let h = registry().histogram("loop_latency_seconds", &[]).unwrap();
    assert_eq!(h.snapshot().quantile(0.99), None);
    for _ in 0..100 {
        h.observe(0.05);
    }
    let s = h.snapshot();
    let edge = s.bounds.iter().position(|b| *b == 0.05).unwrap();
    assert_eq!((s.cumulative[edge - 1], s.cumulative[edge], s.count), (0, 100, 100));
    assert!((s.quantile(0.5).unwrap() - 0.035).abs() < 1e-12);
    h.observe(7.0);
    assert_eq!(h.snapshot().quantile(1.0), Some(1.0));
    let later = h.snapshot().since(&s).unwrap();
    assert_eq!((later.count, later.sum), (1, h.snapshot().sum - s.sum));
    assert!(s.since(&h.snapshot()).is_none());
}

#[test]
fn nothing_is_lost_between_threads() {
    let r = registry();
    let h = Arc::new(r.histogram("loop_latency_seconds", &[]).unwrap());
    let c = r.counter("alert_throttled_total", &[]).unwrap();
    std::thread::scope(|s| {
        for _ in 0..4 {
            s.spawn(|| {
                for _ in 0..10_000 {
                    h.observe(0.25);
                    c.inc();
                }
            });
        }
    });
    assert_eq!((h.snapshot().count, h.snapshot().sum, c.get()), (40_000, 10_000.0, 40_000.0));
}

#[test]
fn negotiation() {
    let prometheus = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                      application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;q=0.4,*/*;q=0.1";
    assert_eq!(Format::negotiate(Some(prometheus)), Format::OpenMetrics);
    for text in
        [None, Some("*/*"), Some("text/plain"), Some("application/openmetrics-text;q=0"), Some("garbage,;;=")]
    {
        assert_eq!(Registry::negotiate(text), Format::Text004, "{text:?}");
    }
    let both = "application/openmetrics-text;q=0.3, text/plain;version=0.0.4;q=0.9";
    assert_eq!(Format::negotiate(Some(both)), Format::Text004);
    for f in [Format::Text004, Format::OpenMetrics] {
        assert_eq!(Format::from_content_type(f.content_type()), Some(f));
    }
}
