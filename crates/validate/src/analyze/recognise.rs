//! What a file is: by its content first, by its name where the content leaves it open.

use super::Input;
use super::trades::{self, is_trade};
use crate::archive::iterations;
use crate::archive::{AlertLine, hex};
use crate::logwatch::{LevelRules, LogWatch, Stream};
use crate::mapping::Mapping;
use gate::evidence::{AlertRows, CrashBlock, Found, LogFacts, Scrape, TradeRow};
use journal::Entry;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Folders are searched this deep.
const DEPTH: usize = 4;
/// No more files than this are looked at.
const MAX_FILES: usize = 10_000;
/// A file larger than this is not read; a log of that size belongs into a supervised run.
const MAX_BYTES: u64 = 512 << 20;

/// One version of a KPI file.
#[derive(Debug, Clone)]
pub(super) struct Version {
    pub(super) fields: BTreeMap<String, Value>,
    /// When it was written, seconds since the epoch; `None` when it does not say.
    pub(super) t: Option<f64>,
}

/// One metrics snapshot.
#[derive(Debug, Clone)]
pub(super) struct Snapshot {
    pub(super) scrape: Scrape,
    pub(super) run_id: Option<String>,
    pub(super) pid: Option<u64>,
    pub(super) t: Option<f64>,
}

/// Everything that was recognised.
#[derive(Debug, Default)]
pub(super) struct Finds {
    pub(super) versions: Vec<Version>,
    pub(super) snapshots: Vec<Snapshot>,
    pub(super) trades: Vec<TradeRow>,
    pub(super) journal: Option<Found<Vec<Entry>>>,
    pub(super) alerts: Option<AlertRows>,
    pub(super) log: Option<LogFacts>,
    pub(super) log_path: Option<PathBuf>,
    pub(super) inputs: Vec<Input>,
    /// What the names in all of them mean.
    mapping: Mapping,
}

impl Finds {
    pub(super) fn is_empty(&self) -> bool {
        self.versions.is_empty()
            && self.snapshots.is_empty()
            && self.trades.is_empty()
            && self.journal.is_none()
            && self.alerts.is_none()
            && self.log.is_none()
    }
}

type ReadError = (PathBuf, std::io::Error);

/// Looks at every file of a folder, or at the one file, and at the logs that were named.
pub(super) fn folder(dir: &Path, logs: &[PathBuf], mapping: &Mapping) -> Result<Finds, ReadError> {
    let mut paths = Vec::new();
    if dir.is_file() {
        paths.push(dir.to_owned());
    } else {
        walk(dir, DEPTH, &mut paths)?;
    }
    paths.extend(logs.iter().cloned());
    paths.sort_by_key(|path| natural(&path.to_string_lossy()));
    paths.dedup();
    let mut finds = Finds { mapping: mapping.clone(), ..Finds::default() };
    for path in paths {
        let forced = logs.contains(&path);
        file(&path, forced, &mut finds)?;
    }
    order(&mut finds.versions, |v| v.t);
    order(&mut finds.snapshots, |s| s.t);
    // A trade list inside the KPI file is the last version's; those before it are its beginnings.
    let listed = finds.versions.iter().rev().find_map(|v| trades::of_fields(&v.fields));
    finds.trades.extend(listed.unwrap_or_default());
    Ok(finds)
}

/// By time where all say when they were made; otherwise in the order of their names.
fn order<T>(items: &mut [T], t: impl Fn(&T) -> Option<f64>) {
    if items.iter().all(|item| t(item).is_some()) {
        items.sort_by(|a, b| t(a).partial_cmp(&t(b)).unwrap_or(std::cmp::Ordering::Equal));
    }
}

fn walk(dir: &Path, depth: usize, out: &mut Vec<PathBuf>) -> Result<(), ReadError> {
    let failed = |source| (dir.to_owned(), source);
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let kind = entry.file_type().map_err(failed)?;
        if kind.is_dir() && depth > 0 {
            walk(&entry.path(), depth - 1, out)?;
        } else if kind.is_file() && out.len() < MAX_FILES {
            out.push(entry.path());
        }
    }
    Ok(())
}

/// `kpi_2` before `kpi_10`: digits compare as numbers.
fn natural(name: &str) -> Vec<(String, u64)> {
    let mut parts = Vec::new();
    let mut rest = name;
    while !rest.is_empty() {
        let text_end = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let (text, after) = rest.split_at(text_end);
        let number_end = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
        let (digits, after) = after.split_at(number_end);
        parts.push((text.to_owned(), digits.parse().unwrap_or(u64::MAX)));
        rest = after;
    }
    parts
}

fn file(path: &Path, forced_log: bool, finds: &mut Finds) -> Result<(), ReadError> {
    let failed = |source| (path.to_owned(), source);
    let bytes = std::fs::metadata(path).map_err(failed)?.len();
    if bytes > MAX_BYTES {
        let kind = format!("ignored: {bytes} bytes, {MAX_BYTES} at most");
        finds.inputs.push(Input { path: path.display().to_string(), kind, bytes, sha256: String::new() });
        return Ok(());
    }
    let content = std::fs::read(path).map_err(failed)?;
    let kind = if forced_log { log(path, &content, finds) } else { content_of(path, &content, finds) };
    finds.inputs.push(Input {
        path: path.display().to_string(),
        kind,
        bytes,
        sha256: hex(&Sha256::digest(&content)),
    });
    Ok(())
}

/// Takes the content for what it is, and says what that was.
fn content_of(path: &Path, content: &[u8], finds: &mut Finds) -> String {
    let trimmed = content.trim_ascii();
    if trimmed.is_empty() {
        return "ignored: empty".to_owned();
    }
    if is_journal(trimmed) {
        let found = read_journal(path);
        let kind = if found.get().is_some() { "journal" } else { "journal, damaged" };
        finds.journal = Some(found);
        return kind.to_owned();
    }
    if matches!(trimmed[0], b'{' | b'[')
        && let Some(kind) = json(path, trimmed, finds)
    {
        return kind;
    }
    let name = path.file_name().map(|n| n.to_string_lossy().to_lowercase()).unwrap_or_default();
    let text = String::from_utf8_lossy(content);
    let page = name.ends_with(".prom") || name.contains("metrics") || text.contains("# TYPE ");
    if page {
        match snapshot(content, &finds.mapping) {
            Ok(found) => {
                finds.snapshots.push(found);
                return "metrics snapshot".to_owned();
            }
            Err(e) if !name.ends_with(".log") => return format!("ignored: no exposition page ({e})"),
            Err(_) => {}
        }
    }
    if let Some(rows) = trades::of_csv(&text) {
        finds.trades.extend(rows);
        return "trade log".to_owned();
    }
    if name.ends_with(".toml") || name.ends_with(".md") || name.ends_with(".html") || name.ends_with(".csv") {
        return "ignored: neither a KPI file, a snapshot, a log nor trades".to_owned();
    }
    if content.contains(&0) {
        return "ignored: binary".to_owned();
    }
    log(path, content, finds)
}

/// A record is eight hexadecimal digits, a space, and JSON.
fn is_journal(content: &[u8]) -> bool {
    content.len() > 10 && content[..8].iter().all(u8::is_ascii_hexdigit) && &content[8..10] == b" {"
}

fn read_journal(path: &Path) -> Found<Vec<Entry>> {
    match journal::file::Reader::open(path) {
        Err(e) => Found::No(e.to_string()),
        Ok(reader) => match reader.collect::<Result<Vec<_>, _>>() {
            Ok(entries) => Found::Yes(entries),
            Err(e) => Found::No(e.to_string()),
        },
    }
}

/// JSON or lines of JSON: versions of a KPI file, trades, alert rows. `None` when it is something else.
fn json(path: &Path, content: &[u8], finds: &mut Finds) -> Option<String> {
    let items: Vec<Value> = match serde_json::from_slice::<Value>(content) {
        Ok(Value::Array(items)) => items,
        Ok(one) => vec![one],
        Err(_) => {
            let lines: Vec<&[u8]> =
                content.split(|b| *b == b'\n').filter(|l| !l.trim_ascii().is_empty()).collect();
            let parsed: Vec<Value> =
                lines.iter().filter_map(|line| serde_json::from_slice(line).ok()).collect();
            // A log in JSON may hold a line that is none; half of them make it something else.
            if parsed.len() * 2 < lines.len() || parsed.len() < 2 {
                return named_kpi(path)
                    .then(|| "ignored: named like a KPI file, and not whole JSON".to_owned());
            }
            parsed
        }
    };
    let objects: Vec<&Map<String, Value>> = items.iter().filter_map(Value::as_object).collect();
    let rows = alert_rows(&items);
    if let Some(rows) = rows {
        finds.alerts = Some(rows);
        return Some("alert rows".to_owned());
    }
    let kpis: Vec<Version> = objects
        .iter()
        .filter_map(|object| {
            let mapped: Map<String, Value> =
                finds.mapping.kpi_fields((*object).clone()).into_iter().collect();
            kpi_fields(&mapped, named_kpi(path))
        })
        .map(|fields| Version { t: when(&fields), fields })
        .collect();
    if !kpis.is_empty() {
        let kind = match kpis.len() {
            1 => "kpi file".to_owned(),
            n => format!("kpi file, {n} versions"),
        };
        finds.versions.extend(kpis);
        return Some(kind);
    }
    let trades: Vec<TradeRow> = objects.iter().filter_map(|object| is_trade(object)).collect();
    if !trades.is_empty() && trades.len() * 2 >= objects.len() {
        finds.trades.extend(trades);
        return Some("trade log".to_owned());
    }
    // Lines of JSON with messages are a log.
    let message =
        |o: &&Map<String, Value>| ["message", "msg", "level", "event"].iter().any(|k| o.contains_key(*k));
    if objects.len() > 1 && objects.iter().any(message) {
        return Some(log(path, content, finds));
    }
    Some("ignored: JSON without a KPI field, a trade or an alert".to_owned())
}

fn named_kpi(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().to_lowercase().contains("kpi"))
}

/// The object's own fields, or those of an object inside it, when they are KPIs.
fn kpi_fields(object: &Map<String, Value>, named: bool) -> Option<BTreeMap<String, Value>> {
    let known =
        |map: &Map<String, Value>| catalogue::KPIS.iter().filter(|kpi| map.contains_key(kpi.field)).count();
    let least = if named { 1 } else { 2 };
    let copy = |map: &Map<String, Value>| map.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
    if known(object) >= least {
        return Some(started(copy(object)));
    }
    let inner = ["kpis", "kpi", "metrics", "results"].iter().find_map(|key| object.get(*key)?.as_object())?;
    (known(inner) >= least).then(|| {
        let mut fields: BTreeMap<String, Value> = copy(object);
        fields.extend(copy(inner));
        started(fields)
    })
}

/// The start of the process under the name that the metrics use, when the file says it under another.
fn started(mut fields: BTreeMap<String, Value>) -> BTreeMap<String, Value> {
    let name = "process_start_time_seconds";
    if !fields.contains_key(name)
        && let Some(t) =
            ["started_at", "start_time", "process_start"].iter().find_map(|k| instant(fields.get(*k)?))
    {
        fields.insert(name.to_owned(), Value::from(t));
    }
    fields
}

/// Seconds since the epoch of a number or a written instant.
fn instant(value: &Value) -> Option<f64> {
    let t = match value {
        Value::Number(n) => n.as_f64()?,
        Value::String(text) => iterations::seconds(text)?,
        _ => return None,
    };
    // Milliseconds where seconds would be the far future.
    let t = if t > 1e11 { t / 1e3 } else { t };
    (t > 1e9).then_some(t)
}

fn when(fields: &BTreeMap<String, Value>) -> Option<f64> {
    ["timestamp", "ts", "time", "updated_at", "written_at", "generated_at"]
        .iter()
        .find_map(|key| instant(fields.get(*key)?))
}

fn alert_rows(items: &[Value]) -> Option<AlertRows> {
    let lines: Vec<AlertLine> =
        items.iter().filter_map(|item| serde_json::from_value(item.clone()).ok()).collect();
    if lines.is_empty() || lines.len() != items.len() {
        return None;
    }
    let mut rows = AlertRows::default();
    for line in lines {
        match line {
            AlertLine::Alert(row) => rows.alerts.push(row),
            AlertLine::Delivery(row) => rows.deliveries.push(row),
            AlertLine::Covers { .. } => {}
        }
    }
    Some(rows)
}

fn snapshot(content: &[u8], mapping: &Mapping) -> Result<Snapshot, String> {
    let page = crate::watch::scrape::parse(content, None, mapping)?;
    let format = if content.trim_ascii_end().ends_with(b"# EOF") {
        exposition::Format::OpenMetrics
    } else {
        exposition::Format::Text004
    };
    let mut found = Snapshot { scrape: page.scrape, run_id: page.run_id, pid: None, t: None };
    let whole = exposition::parse(content, format).map_err(|e| e.to_string())?;
    for sample in whole.samples() {
        found.t = found.t.or(sample.timestamp.filter(|t| *t > 1e9));
        let label = |name: &str| sample.label(name).map(str::to_owned);
        if sample.name.ends_with("_info") {
            found.run_id = found.run_id.or(label("run_id"));
        }
        found.pid = found.pid.or_else(|| label("pid")?.parse().ok());
        if sample.name == "process_pid" && sample.value >= 1.0 {
            found.pid = found.pid.or(Some(sample.value as u64));
        }
    }
    Ok(found)
}

/// A log: what its lines say and how often, its crash blocks, the trades that it tells of.
fn log(path: &Path, content: &[u8], finds: &mut Finds) -> String {
    let rules = LevelRules::of_checked(&finds.mapping.log);
    let mut watch = LogWatch::new().and_rules(rules);
    let mut stamps: Vec<Option<f64>> = Vec::new();
    for (i, line) in content.split_inclusive(|b| *b == b'\n').enumerate() {
        let text = String::from_utf8_lossy(line);
        stamps.push(iterations::stamp(&text).map(|(_, t)| t));
        // The time that the watch is given is the number of the line: only the order is asked of it.
        watch.feed(Stream::Out, line, i as f64);
    }
    let lines = stamps.len();
    watch.finish(lines as f64);
    let first = stamps.iter().flatten().next().copied();
    let at = |line: usize| {
        let seen = stamps.iter().take(line + 1).rev().flatten().next().copied();
        // Without time stamps there is no instant; the block's place in the log is in the lines before it.
        seen.zip(first).map_or(0.0, |(t, first)| (t - first).max(0.0))
    };
    let mut blocks = Vec::new();
    for suspect in watch.take_suspects() {
        let line = suspect.at_s as usize;
        let ends_with_it = line + suspect.text.lines().count() + 2 >= lines;
        // What became of the process is known by what follows: nothing, or more of the same log.
        let kind = match (suspect.thread_died, ends_with_it) {
            (_, true) => "crash",
            (true, false) => "worker_died",
            (false, false) => "handled",
        };
        blocks.push(CrashBlock {
            at_s: at(line),
            language: suspect.language.to_string(),
            kind: kind.to_owned(),
            text: suspect.text,
            before: suspect.before,
        });
    }
    let mut counters = watch.counters();
    // Slots of 100 ms need time stamps that the watch was not given.
    counters.error_slots = 0;
    match &mut finds.log {
        Some(before) => {
            before.blocks.extend(blocks);
            before.counters.lines += counters.lines;
            before.counters.errors += counters.errors;
            before.counters.warnings += counters.warnings;
            before.counters.criticals += counters.criticals;
            before.counters.dlq += counters.dlq;
            before.counters.position_limit += counters.position_limit;
            before.counters.emergency_stop += counters.emergency_stop;
            before.counters.suspects += counters.suspects;
            before.top_errors.extend(watch.top_errors());
            before.top_errors.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
            before.top_errors.truncate(5);
        }
        None => {
            let top_errors = watch.top_errors();
            finds.log = Some(LogFacts { counters, blocks, top_errors, dropped_bytes: 0 });
            finds.log_path = Some(path.to_owned());
        }
    }
    let rows = trades::of_text(&String::from_utf8_lossy(content));
    let kind = match rows.len() {
        0 => "log".to_owned(),
        n => format!("log, with {n} trades"),
    };
    finds.trades.extend(rows);
    kind
}

#[cfg(test)]
mod tests {
    use super::natural;

    #[test]
    fn names_sort_as_people_count() {
        let mut names = ["kpi_10.json", "kpi_9.json", "kpi_100.json"];
        names.sort_by_key(|name| natural(name));
        assert_eq!(names, ["kpi_9.json", "kpi_10.json", "kpi_100.json"]);
    }
}
