//! Our exposition parser beside `prom_text_format_parser`, on the same page in one run: nanoseconds per sample, their ratios,
//! and whether both read the same samples. `--page FILE` takes another page of text 0.0.4.

use exposition::{Format, parse, scan};
use prom_text_format_parser::{Metric, Type, ValueType, parse_scrape};
use std::hint::black_box;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

/// Runs of each; they alternate, so that what else the machine does hits all alike. The fastest counts: what makes a run slower
/// than that is not the parser.
const ROUNDS: usize = 60;

/// Name, sorted labels, value.
type Plain = (String, Vec<(String, String)>, f64);

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(what) => {
            eprintln!("bench-exposition: {what}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let path = page()?;
    let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let ours = parse(text.as_bytes(), Format::Text004).map_err(|e| e.to_string())?;
    let count = ours.samples().count();
    let lines = text.lines().filter(|l| !l.trim().is_empty() && !l.trim_start().starts_with('#')).count();
    println!("{}: {} lines, {count} samples of {lines} sample lines", path.display(), text.lines().count());
    if count != lines {
        return Err("a sample line is missing".to_owned());
    }
    let (mut scanned, mut parsed, mut peer) = (f64::MAX, f64::MAX, f64::MAX);
    for _ in 0..ROUNDS {
        scanned = scanned.min(time(|| {
            let mut sum = 0.0;
            let heads = scan(text.as_bytes(), Format::Text004, |point| sum += black_box(point).value);
            black_box((heads.is_ok(), sum));
        }));
        parsed = parsed.min(time(|| drop(black_box(parse(text.as_bytes(), Format::Text004)))));
        peer = peer.min(time(|| drop(black_box(parse_scrape(black_box(&text))))));
    }
    let each = |seconds: f64| seconds * 1e9 / count as f64;
    println!("{:<52}{:>10}{:>22}", "", "ns/sample", "times as fast as peer");
    for (what, seconds) in [
        ("exposition::scan (borrowed, all rules checked)", scanned),
        ("exposition::parse (owned, all rules checked)", parsed),
        ("prom_text_format_parser::parse_scrape", peer),
    ] {
        println!("{what:<52}{:>10.0}{:>22.1}", each(seconds), peer / seconds);
    }
    let (theirs, complaint) = parse_scrape(&text);
    if complaint.is_some() {
        println!(
            "the peer complains of families that have no samples, which the format allows, and reads the others"
        );
    }
    compare(plain(&ours), plain_peer(&theirs))
}

/// Seconds of one run, the release of its result included.
fn time(run: impl FnOnce()) -> f64 {
    let begun = Instant::now();
    run();
    begun.elapsed().as_secs_f64()
}

fn page() -> Result<PathBuf, String> {
    let mut args = std::env::args().skip(1);
    match (args.next().as_deref(), args.next()) {
        (Some("--page"), Some(path)) => return Ok(PathBuf::from(path)),
        (None, _) => {}
        _ => return Err("usage: bench-exposition [--page FILE]".to_owned()),
    }
    let data = std::env::var_os("ASSAY_TEST_DATA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        PathBuf::from,
    );
    Ok(data.join("prometheus/node_exporter_e2e-output.txt"))
}

fn plain(page: &exposition::Exposition) -> Vec<Plain> {
    page.samples().map(|s| (s.name.clone(), s.labels.clone(), s.value)).collect()
}

fn plain_peer(metrics: &[Metric]) -> Vec<Plain> {
    let mut all = Vec::new();
    for metric in metrics {
        for sample in &metric.samples {
            let suffix = match (sample.value.value_type, metric.kind) {
                (ValueType::Sum, _) => "_sum",
                (ValueType::Count, _) => "_count",
                (ValueType::Sample, Type::Histogram) => "_bucket",
                (ValueType::Sample, _) => "",
            };
            let mut labels: Vec<(String, String)> =
                sample.labels.iter().map(|l| (l.key.clone(), unescape(&l.value))).collect();
            labels.sort();
            all.push((format!("{}{suffix}", metric.name), labels, sample.value.value.as_f64()));
        }
    }
    all
}

/// The peer leaves escapes as they stand in the page.
fn unescape(value: &str) -> String {
    let mut out = String::new();
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match (c, chars.clone().next()) {
            ('\\', Some(next @ ('\\' | '"' | 'n'))) => {
                chars.next();
                out.push(if next == 'n' { '\n' } else { next });
            }
            _ => out.push(c),
        }
    }
    out
}

fn compare(mut ours: Vec<Plain>, mut theirs: Vec<Plain>) -> Result<(), String> {
    for list in [&mut ours, &mut theirs] {
        list.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
    }
    let is_same =
        |a: &Plain, b: &Plain| a.0 == b.0 && a.1 == b.1 && (a.2 == b.2 || (a.2.is_nan() && b.2.is_nan()));
    if ours.len() == theirs.len() && ours.iter().zip(&theirs).all(|(a, b)| is_same(a, b)) {
        println!("samples: all {} equal to the peer's", ours.len());
        return Ok(());
    }
    let first = ours.iter().zip(&theirs).find(|(a, b)| !is_same(a, b));
    Err(format!("{} samples, the peer {}; first difference: {first:?}", ours.len(), theirs.len()))
}
