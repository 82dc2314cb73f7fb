//! What the encoder writes is read back; damaged pages never bring the parser down and never pass for less than they are.

use catalogue::{METRICS, MetricKind};
use exposition::{Common, Exposition, Format, ParseError, Registry, canonical_name, parse, scan};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::PathBuf;

const FORMATS: [Format; 2] = [Format::Text004, Format::OpenMetrics];

/// One series: metric, label value, a number to set, add or observe.
type Set = (usize, String, f64);

fn registry(sets: &[Set]) -> Registry {
    let registry = Registry::new(Common { env: "e\"\\\n".to_owned(), universe: "\u{2603}".to_owned() });
    for (index, value, number) in sets {
        let metric = &METRICS[index % METRICS.len()];
        let labels: Vec<(&str, &str)> = metric.labels.iter().map(|l| (*l, value.as_str())).collect();
        match metric.kind {
            MetricKind::Counter => registry.counter(metric.name, &labels).unwrap().set_total(number.abs()),
            MetricKind::Gauge => registry.gauge(metric.name, &labels).unwrap().set(*number),
            MetricKind::Histogram => registry.histogram(metric.name, &labels).unwrap().observe(number.abs()),
        }
    }
    registry
}

/// What the registry holds, read from it and not from a page.
fn wanted(registry: &Registry, sets: &[Set]) -> BTreeMap<String, u64> {
    let mut all = BTreeMap::new();
    for (index, value, _) in sets {
        let metric = &METRICS[index % METRICS.len()];
        let labels: Vec<(&str, &str)> = metric.labels.iter().map(|l| (*l, value.as_str())).collect();
        // A label without a value is, to Prometheus and to the reader, no label.
        let mut full: Vec<(String, String)> = labels
            .iter()
            .filter(|(_, v)| !v.is_empty())
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect();
        if metric.common_labels {
            for (n, v) in [("env", "e\"\\\n"), ("universe", "\u{2603}"), ("strategy", "topn_arb")] {
                full.push((n.to_owned(), v.to_owned()));
            }
        }
        let name = canonical_name(metric.name, &full);
        match metric.kind {
            MetricKind::Counter => {
                all.insert(name, registry.counter(metric.name, &labels).unwrap().get().to_bits());
            }
            MetricKind::Gauge => {
                let value = registry.gauge(metric.name, &labels).unwrap().get();
                all.insert(name, value.unwrap().to_bits());
            }
            MetricKind::Histogram => {
                let state = registry.histogram(metric.name, &labels).unwrap().snapshot();
                let with = |suffix: &str| canonical_name(&format!("{}{suffix}", metric.name), &full);
                all.insert(with("_sum"), state.sum.to_bits());
                all.insert(with("_count"), (state.count as f64).to_bits());
            }
        }
    }
    all
}

fn found(page: &Exposition) -> BTreeMap<String, u64> {
    page.samples().filter(|s| !s.name.ends_with("_bucket")).map(|s| (s.series(), s.value.to_bits())).collect()
}

/// The place of an error lies in the page or right behind it.
fn check_place(text: &[u8], e: &ParseError) {
    let lines: Vec<&[u8]> = text.split(|b| *b == b'\n').collect();
    let line = usize::try_from(e.line).unwrap();
    assert!((1..=lines.len()).contains(&line), "{e} of {} lines", lines.len());
    assert!((1..=lines[line - 1].len() as u64 + 1).contains(&e.column), "{e} in {:?}", lines[line - 1]);
    assert!(!e.what.is_empty() && !e.what.contains('\n'), "{e:?}");
}

fn check(text: &[u8]) -> usize {
    let mut read = 0;
    for format in FORMATS {
        match parse(text, format) {
            Ok(page) => {
                read += 1;
                let mut count = 0;
                scan(text, format, |_| count += 1).unwrap();
                assert_eq!(page.samples().count() + page.repeated.len(), count);
                let lines = text.split(|b| *b == b'\n').map(<[u8]>::trim_ascii);
                assert_eq!(count, lines.filter(|l| !l.is_empty() && !l.starts_with(b"#")).count());
            }
            Err(e) => check_place(text, &e),
        }
    }
    read
}

fn arbitrary_sets() -> impl Strategy<Value = Vec<Set>> {
    let number = prop_oneof![
        any::<f64>().prop_filter("NaN is no reading", |n| !n.is_nan()),
        (-1e6f64..1e6),
        (0u32..1_000_000).prop_map(f64::from),
    ];
    proptest::collection::vec((0usize..500, ".{0,12}", number), 0..40)
}

proptest! {
    #[test]
    fn what_is_encoded_is_read_back(sets in arbitrary_sets()) {
        let registry = registry(&sets);
        let wanted = wanted(&registry, &sets);
        for format in FORMATS {
            let text = registry.encode(format);
            match parse(text.as_bytes(), format) {
                Ok(page) => prop_assert_eq!(&found(&page), &wanted),
                // Sums of the largest numbers leave what OpenMetrics lets a counter be.
                Err(e) => prop_assert!(text.contains("NaN"), "{e}\n{text}"),
            }
        }
    }

    #[test]
    fn a_damaged_page_is_an_error_or_a_whole_page(sets in arbitrary_sets(), places in proptest::collection::vec((any::<u32>(), any::<u8>()), 1..4)) {
        for format in FORMATS {
            let mut text = registry(&sets).encode(format).into_bytes();
            for (place, byte) in &places {
                if !text.is_empty() {
                    let at = *place as usize % text.len();
                    text[at] = *byte;
                }
            }
            check(&text);
        }
    }
}

/// A small generator with a fixed seed (xorshift64*), so that every run mutates alike.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % n.max(1)
    }
}

/// Pages of our own with every kind of line.
const SEEDS: [&str; 6] = [
    "# HELP a_total x\\n\\\\\n# TYPE a_total counter\na_total{b=\"c\\\"\",d=\"\"} 1 1000\na_total{b=\"e\"} +Inf\n",
    "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 1.5\nh_count 2\n# TYPE s summary\n\
     s{quantile=\"0.5\"} NaN\ns_sum 1\ns_count 1\n",
    " a {b = \"c\" , } 1\t2 \n# a comment\n\n{\"q.r\",\"s t\"=\"u\"} 1e-3\nz{,} 5\n",
    "# TYPE a counter\n# UNIT a \n# HELP a x\\\"\na_total{b=\"c\"} 1 2 # {d=\"e # \"} 0.5 1.25\na_created{b=\"c\"} 1\n# EOF\n",
    "# TYPE h histogram\nh_bucket{le=\"-1\"} 1 1\nh_bucket{le=\"+Inf\"} 2 1\n# TYPE g gaugehistogram\n\
     g_bucket{le=\"+Inf\"} 2\ng_gsum 3\ng_gcount 2\n# TYPE i info\ni_info{b=\"c\"} 1\n# TYPE t stateset\nt{t=\"x\"} 1\n# EOF\n",
    "# TYPE g gauge\ng 1 0.1\ng 2 0.1000000001\ng 3 1e3\n# TYPE s summary\ns{quantile=\"1\"} 2\n{\"q.r\"} 1\n# EOF",
];

const PIECES: [&str; 28] = [
    "{",
    "}",
    "\"",
    "=",
    ",",
    " ",
    "\t",
    "\n",
    "#",
    "\\",
    "# EOF\n",
    "# TYPE a gauge\n",
    "# HELP a ",
    "# UNIT a_s s\n",
    "le=\"+Inf\"",
    "_total",
    "_bucket",
    "_sum",
    "_count",
    "_info",
    "-1",
    "NaN",
    "+Inf",
    "1_0",
    "0x1",
    "1e400",
    " # {x=\"y\"} 1",
    "\u{2603}",
];

fn seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = SEEDS.iter().map(|s| s.as_bytes().to_vec()).collect();
    let root = std::env::var_os("ASSAY_TEST_DATA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        PathBuf::from,
    );
    let folder = root.join("prometheus");
    for file in ["client_python_openmetrics_parser_cases.jsonl", "client_python_text_parser_cases.jsonl"] {
        let Ok(text) = std::fs::read_to_string(folder.join(file)) else {
            eprintln!("SKIPPED: no {}; only the own pages are mutated", folder.join(file).display());
            continue;
        };
        let cases = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        seeds.extend(cases.map(|case| case["input"].as_str().unwrap().as_bytes().to_vec()));
    }
    seeds
}

#[test]
fn a_hundred_thousand_mutations_end_in_an_error_or_a_whole_page() {
    let seeds = seeds();
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut read = 0;
    for _ in 0..100_000 {
        let mut page = seeds[dice.below(seeds.len())].clone();
        for _ in 0..=dice.below(3) {
            let at = dice.below(page.len() + 1);
            match dice.below(5) {
                0 => page.truncate(at),
                1 => drop(page.drain(at..(at + 1 + dice.below(4)).min(page.len()).max(at))),
                2 => drop(page.splice(at..at, PIECES[dice.below(PIECES.len())].bytes())),
                3 if at < page.len() => page[at] = dice.below(256) as u8,
                _ => {
                    let other = &seeds[dice.below(seeds.len())];
                    let (from, len) = (dice.below(other.len() + 1), dice.below(40));
                    let part = other[from..(from + len).min(other.len())].to_vec();
                    drop(page.splice(at..at, part));
                }
            }
        }
        read += check(&page);
    }
    // Mutations that all fail alike would test little.
    assert!((5_000..100_000).contains(&read), "{read}");
}
