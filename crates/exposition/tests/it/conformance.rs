//! The parser against the case files of other implementations.

use exposition::{Exposition, Family, Format, Kind, Sample, parse};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;

fn data() -> Option<PathBuf> {
    let root = std::env::var_os("ASSAY_TEST_DATA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        PathBuf::from,
    );
    let folder = root.join("prometheus");
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("SKIPPED: no {}; set ASSAY_TEST_DATA", folder.display());
    None
}

fn number(v: &Value) -> f64 {
    v.as_f64().unwrap_or_else(|| v.as_str().unwrap().parse().unwrap())
}

fn same(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan())
}

fn labels(v: &Value) -> BTreeMap<String, String> {
    v.as_object().unwrap().iter().map(|(k, v)| (k.clone(), v.as_str().unwrap().to_owned())).collect()
}

fn same_sample(case: &Value, family: &Family, sample: &Sample, format: Format) -> Result<(), String> {
    let mut name = sample.name.clone();
    // The Python parser of 0.0.4 gives counters OpenMetrics' names.
    if format == Format::Text004 && family.kind == Kind::Counter && !name.ends_with("_total") {
        name.push_str("_total");
    }
    if case["name"] != name.as_str() {
        return Err(format!("name {name} for {}", case["name"]));
    }
    if labels(&case["labels"]) != sample.labels.iter().cloned().collect() {
        return Err(format!("labels {:?} for {}", sample.labels, case["labels"]));
    }
    if !same(number(&case["value"]), sample.value) {
        return Err(format!("value {} for {}", sample.value, case["value"]));
    }
    let time = |t: &Value| (!t.is_null()).then(|| number(t));
    let close = |a: Option<f64>, b: Option<f64>| match (a, b) {
        (Some(a), Some(b)) => (a - b).abs() <= 1e-9 * b.abs().max(1.0),
        (a, b) => a.is_none() && b.is_none(),
    };
    if !close(time(&case["timestamp"]), sample.timestamp) {
        return Err(format!("timestamp {:?} for {}", sample.timestamp, case["timestamp"]));
    }
    match (&case["exemplar"], &sample.exemplar) {
        (Value::Null, None) => Ok(()),
        (want, Some(got))
            if !want.is_null()
                && labels(&want["labels"]) == got.labels.iter().cloned().collect()
                && same(number(&want["value"]), got.value)
                && close(time(&want["timestamp"]), got.timestamp) =>
        {
            Ok(())
        }
        (want, got) => Err(format!("exemplar {got:?} for {want}")),
    }
}

fn agrees(case: &Value, got: &Exposition, format: Format) -> Result<(), String> {
    let want = case["families"].as_array().unwrap();
    if want.len() != got.families.len() {
        return Err(format!("{} families for {}", got.families.len(), want.len()));
    }
    for (want, got) in want.iter().zip(&got.families) {
        // The Python parser of 0.0.4 gives counters OpenMetrics' names.
        let name = match (format, got.kind) {
            (Format::Text004, Kind::Counter) => got.name.strip_suffix("_total").unwrap_or(&got.name),
            _ => &got.name,
        };
        if want["name"] != name
            || want["type"] != got.kind.as_str()
            || want["help"] != got.help.as_deref().unwrap_or_default()
            || want["unit"] != got.unit.as_deref().unwrap_or_default()
        {
            return Err(format!(
                "family {} {:?} {:?} {:?} for {want}",
                got.name, got.kind, got.help, got.unit
            ));
        }
        let samples = want["samples"].as_array().unwrap();
        if samples.len() != got.samples.len() {
            return Err(format!("{} samples for {}", got.samples.len(), samples.len()));
        }
        for (w, s) in samples.iter().zip(&got.samples) {
            same_sample(w, got, s, format)?;
        }
    }
    Ok(())
}

fn run_cases(file: &str, format: Format) {
    let Some(folder) = data() else { return };
    let text = std::fs::read_to_string(folder.join(file)).unwrap();
    let (mut failed, mut run) = (Vec::new(), 0);
    for line in text.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let input = case["input"].as_str().unwrap();
        run += 1;
        let outcome = match (parse(input.as_bytes(), format), case["ok"].as_bool().unwrap()) {
            (Ok(got), true) => agrees(&case, &got, format),
            (Err(e), true) => Err(format!("refused: {e}")),
            (Ok(_), false) => Err(format!("accepted, expected {}", case["error"])),
            (Err(_), false) => Ok(()),
        };
        if let Err(what) = outcome {
            failed.push(format!("{input:?}: {what}"));
        }
    }
    assert!(run > 10);
    assert!(failed.is_empty(), "{} of {run} cases:\n{}", failed.len(), failed.join("\n"));
}

#[test]
fn text_cases_come_out_as_said() {
    run_cases("client_python_text_parser_cases.jsonl", Format::Text004);
}

#[test]
fn openmetrics_cases_come_out_as_said() {
    run_cases("client_python_openmetrics_parser_cases.jsonl", Format::OpenMetrics);
}

#[test]
fn openmetrics_suite_comes_out_as_said() {
    let Some(folder) = data() else { return };
    let (mut failed, mut run) = (Vec::new(), 0);
    let mut cases: Vec<_> =
        std::fs::read_dir(folder.join("openmetrics_parsers")).unwrap().map(|e| e.unwrap().path()).collect();
    cases.sort();
    for case in cases {
        let spec: Value = serde_json::from_slice(&std::fs::read(case.join("test.json")).unwrap()).unwrap();
        let text = std::fs::read(case.join(spec["file"].as_str().unwrap())).unwrap();
        let wanted = spec["shouldParse"].as_bool().unwrap();
        run += 1;
        let got = parse(&text, Format::OpenMetrics);
        if got.is_ok() != wanted {
            failed.push(format!("{}: wanted {wanted}, {:?}", case.display(), got.err()));
        }
    }
    assert!(run > 50);
    assert!(failed.is_empty(), "{} of {run}:\n{}", failed.len(), failed.join("\n"));
}

#[test]
fn whole_pages_are_read() {
    let Some(folder) = data() else { return };
    let page = std::fs::read(folder.join("node_exporter_e2e-output.txt")).unwrap();
    let lines = page.split(|b| *b == b'\n').filter(|l| !l.is_empty() && !l.starts_with(b"#")).count();
    let parsed = parse(&page, Format::Text004).unwrap();
    assert_eq!(parsed.samples().count(), lines);
    let page = std::fs::read(folder.join("common_testdata_text.prom")).unwrap();
    let lines = page.split(|b| *b == b'\n').filter(|l| !l.is_empty() && !l.starts_with(b"#")).count();
    let parsed = parse(&page, Format::Text004).unwrap();
    assert_eq!(parsed.samples().count(), lines);
    for entry in std::fs::read_dir(folder.join("node_exporter_textfile")).unwrap() {
        let path = entry.unwrap().path();
        let got = parse(&std::fs::read(&path).unwrap(), Format::Text004);
        assert!(got.is_ok(), "{}: {got:?}", path.display());
    }
}

#[test]
fn fuzz_corpus_comes_out_by_its_names() {
    let Some(folder) = data() else { return };
    let mut failed = Vec::new();
    for entry in std::fs::read_dir(folder.join("common_fuzz_corpus")).unwrap() {
        let path = entry.unwrap().path();
        let wanted = !path.file_name().unwrap().to_string_lossy().contains("error");
        let got = parse(&std::fs::read(&path).unwrap(), Format::Text004);
        if got.is_ok() != wanted {
            failed.push(format!("{}: {:?}", path.display(), got.err()));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
