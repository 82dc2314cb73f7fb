//! Writing a registry in the Prometheus text format 0.0.4
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>) and in OpenMetrics 1.0
//! (<https://prometheus.io/docs/specs/om/open_metrics_spec/>), and choosing between them.

use std::fmt::Write as _;

use catalogue::{Metric, MetricKind, Unit};

use crate::Registry;
use crate::registry::Cell;

/// An exposition format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus text format 0.0.4.
    Text004,
    /// OpenMetrics 1.0 text.
    OpenMetrics,
}

impl Format {
    /// The `Content-Type` to answer with.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text004 => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// The format that a `Content-Type` names: any `text/plain` is 0.0.4 (old exporters leave the version out); `None` for
    /// anything else.
    pub fn from_content_type(value: &str) -> Option<Self> {
        match value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
            "application/openmetrics-text" => Some(Self::OpenMetrics),
            "text/plain" => Some(Self::Text004),
            _ => None,
        }
    }

    /// The format for an `Accept` header: OpenMetrics when it is named with a weight above 0 and not below that of
    /// `text/plain`; otherwise, and without a header, text 0.0.4.
    pub fn negotiate(accept: Option<&str>) -> Self {
        let (mut open_metrics, mut text) = (0.0f64, 0.0f64);
        for part in accept.unwrap_or_default().split(',') {
            let mut fields = part.split(';').map(str::trim);
            let media = fields.next().unwrap_or_default().to_ascii_lowercase();
            let mut weight = 1.0;
            let mut known_version = true;
            for field in fields {
                match field.split_once('=').map(|(k, v)| (k.trim(), v.trim())) {
                    Some(("q", q)) => weight = q.parse().unwrap_or(0.0),
                    Some(("version", v)) => known_version = matches!(v, "1.0.0" | "0.0.1" | "0.0.4"),
                    _ => {}
                }
            }
            match media.as_str() {
                "application/openmetrics-text" if known_version => open_metrics = open_metrics.max(weight),
                "text/plain" if known_version => text = text.max(weight),
                _ => {}
            }
        }
        if open_metrics > 0.0 && open_metrics >= text { Self::OpenMetrics } else { Self::Text004 }
    }
}

pub(crate) fn encode(registry: &Registry, format: Format) -> String {
    let mut out = String::with_capacity(16 * 1024);
    let mut current = "";
    registry.for_each(|metric, labels, cell| {
        // A gauge without a value has no series, and a metric without series has no header.
        if matches!(cell, Cell::Gauge(g) if g.get().is_none()) {
            return;
        }
        if current != metric.name {
            header(&mut out, metric, format);
            current = metric.name;
        }
        match cell {
            Cell::Counter(c) => sample(&mut out, metric.name, "", labels, None, &number(c.get())),
            Cell::Gauge(g) => {
                if let Some(value) = g.get() {
                    sample(&mut out, metric.name, "", labels, None, &number(value));
                }
            }
            Cell::Histogram(h) => {
                let s = h.snapshot();
                for (i, count) in s.cumulative.iter().enumerate() {
                    let edge = s.bounds.get(i).map_or_else(|| "+Inf".to_owned(), |b| edge(*b));
                    sample(&mut out, metric.name, "_bucket", labels, Some(&edge), &count.to_string());
                }
                sample(&mut out, metric.name, "_sum", labels, None, &number(s.sum));
                sample(&mut out, metric.name, "_count", labels, None, &s.count.to_string());
            }
        }
    });
    if format == Format::OpenMetrics {
        out.push_str("# EOF\n");
    }
    out
}

fn header(out: &mut String, metric: &Metric, format: Format) {
    let mut family = metric.name;
    if format == Format::OpenMetrics && metric.kind == MetricKind::Counter {
        family = family.strip_suffix("_total").unwrap_or(family);
    }
    let kind = metric.kind.as_str();
    // Writing to a String cannot fail.
    let _ = match format {
        Format::Text004 => {
            let help = metric.help.replace('\\', "\\\\").replace('\n', "\\n");
            write!(out, "# HELP {family} {help}\n# TYPE {family} {kind}\n")
        }
        Format::OpenMetrics => {
            let _ = writeln!(out, "# TYPE {family} {kind}");
            // A unit is only allowed as the name's suffix.
            let unit = match metric.unit {
                Unit::Seconds | Unit::UnixSeconds => "seconds",
                Unit::Bytes => "bytes",
                _ => "",
            };
            if !unit.is_empty() && family.strip_suffix(unit).is_some_and(|f| f.ends_with('_')) {
                let _ = writeln!(out, "# UNIT {family} {unit}");
            }
            writeln!(out, "# HELP {family} {}", escape(metric.help))
        }
    };
}

fn sample(
    out: &mut String,
    name: &str,
    suffix: &str,
    labels: &[(&'static str, &str)],
    le: Option<&str>,
    value: &str,
) {
    out.push_str(name);
    out.push_str(suffix);
    let mut separator = '{';
    for (name, value) in labels.iter().copied().chain(le.map(|edge| ("le", edge))) {
        // An empty value is no label: both formats say so. A metric whose series carry one of two labels has it empty.
        if value.is_empty() {
            continue;
        }
        out.push(separator);
        separator = ',';
        let _ = write!(out, "{name}=\"{}\"", escape(value));
    }
    if separator == ',' {
        out.push('}');
    }
    out.push(' ');
    out.push_str(value);
    out.push('\n');
}

/// Escapes a label value (and OpenMetrics help): backslash, double quote, line feed.
pub(crate) fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn number(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned()
    } else if value != 0.0 && !(1e-6..1e17).contains(&value.abs()) {
        format!("{value:e}")
    } else {
        value.to_string()
    }
}

/// A bucket edge in OpenMetrics' canonical form (1.0, 0.005, 1e-05), used in both formats so that series have one name.
fn edge(value: f64) -> String {
    if value != 0.0 && !(1e-4..1e10).contains(&value.abs()) {
        let text = format!("{value:e}");
        let Some((mantissa, exponent)) = text.split_once('e') else { return text };
        let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |d| ('-', d));
        return format!("{mantissa}e{sign}{digits:0>2}");
    }
    let text = value.to_string();
    if text.contains('.') { text } else { text + ".0" }
}
