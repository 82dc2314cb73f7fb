//! A parsed page: families, samples, and the canonical name of a series. Reading lives in `parse`.

use crate::encode::escape;

/// Type of a metric family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Only rises, restarts at 0.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Cumulative buckets, sum and count.
    Histogram,
    /// Quantiles, sum and count.
    Summary,
    /// OpenMetrics: buckets of a current distribution.
    GaugeHistogram,
    /// OpenMetrics: labels are the information, the value is 1.
    Info,
    /// OpenMetrics: a set of booleans.
    StateSet,
    /// No type, or `untyped` / `unknown`.
    Unknown,
}

impl Kind {
    /// As in an OpenMetrics `# TYPE` line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Summary => "summary",
            Self::GaugeHistogram => "gaugehistogram",
            Self::Info => "info",
            Self::StateSet => "stateset",
            Self::Unknown => "unknown",
        }
    }
}

/// A page, families in order of appearance.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Exposition {
    /// Families.
    pub families: Vec<Family>,
    /// OpenMetrics: points at the nanosecond of an earlier point of their series. A series has one value at a time: the earlier
    /// point counts and stands in its family, these are kept apart and not lost.
    pub repeated: Vec<Sample>,
}

/// A metric family.
#[derive(Debug, Clone, PartialEq)]
pub struct Family {
    /// Name as in its `# TYPE` line: with `_total` for counters of 0.0.4, without in OpenMetrics.
    pub name: String,
    /// Type.
    pub kind: Kind,
    /// Help, unescaped; `None` without a `# HELP` line.
    pub help: Option<String>,
    /// Unit; `None` without a `# UNIT` line.
    pub unit: Option<String>,
    /// Samples in order of appearance.
    pub samples: Vec<Sample>,
}

/// One sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Full name with its suffix (`_bucket`, `_sum`, `_total`, ...).
    pub name: String,
    /// Labels sorted by name, values unescaped.
    pub labels: Vec<(String, String)>,
    /// Value, NaN and infinities as they are.
    pub value: f64,
    /// Seconds since the epoch, when the line carries a timestamp.
    pub timestamp: Option<f64>,
    /// OpenMetrics exemplar.
    pub exemplar: Option<Exemplar>,
}

/// An exemplar.
#[derive(Debug, Clone, PartialEq)]
pub struct Exemplar {
    /// Labels sorted by name.
    pub labels: Vec<(String, String)>,
    /// Value.
    pub value: f64,
    /// Seconds since the epoch.
    pub timestamp: Option<f64>,
}

impl Sample {
    /// `name{label="value",...}`, see [`canonical_name`].
    pub fn series(&self) -> String {
        canonical_name(&self.name, &self.labels)
    }

    /// The value of a label.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

impl Exposition {
    /// All series with their values under their canonical names, in order of appearance.
    pub fn series(&self) -> impl Iterator<Item = (String, f64)> + '_ {
        self.samples().map(|s| (s.series(), s.value))
    }

    /// All samples in order of appearance.
    pub fn samples(&self) -> impl Iterator<Item = &Sample> + '_ {
        self.families.iter().flat_map(|f| &f.samples)
    }

    /// The family of a name as in its `# TYPE` line.
    pub fn family(&self, name: &str) -> Option<&Family> {
        self.families.iter().find(|f| f.name == name)
    }
}

/// The canonical name of a series: `name{a="1",b="2"}`, labels sorted by name, values escaped, no braces without labels. A
/// name that needs quotes stands inside the braces: `{"my.name",a="1"}`.
pub fn canonical_name(name: &str, labels: &[(String, String)]) -> String {
    let mut out = String::with_capacity(64);
    let mut pairs: Vec<(&str, &str)> = labels.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    pairs.sort_unstable();
    write_series(&mut out, name, pairs.into_iter());
    out
}

/// Writes a canonical name from labels that are sorted.
pub(crate) fn write_series<'l>(
    out: &mut String,
    name: &str,
    mut labels: impl Iterator<Item = (&'l str, &'l str)>,
) {
    let mut before = "{";
    if is_plain(name, true) {
        out.push_str(name);
    } else {
        out.push_str("{\"");
        out.push_str(&escape(name));
        out.push('"');
        before = ",";
    }
    for (label, value) in labels.by_ref() {
        out.push_str(before);
        before = ",";
        if is_plain(label, false) {
            out.push_str(label);
        } else {
            out.push('"');
            out.push_str(&escape(label));
            out.push('"');
        }
        out.push_str("=\"");
        out.push_str(&escape(value));
        out.push('"');
    }
    if before == "," {
        out.push('}');
    }
}

/// True for a name that needs no quotes: `[a-zA-Z_][a-zA-Z0-9_]*`, metric names may also hold colons.
pub(crate) fn is_plain(name: &str, colons: bool) -> bool {
    let ok = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || (colons && b == b':');
    !name.is_empty() && name.bytes().all(ok) && !name.as_bytes()[0].is_ascii_digit()
}
