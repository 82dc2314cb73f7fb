//! The text of a first profile. It is checked like any other before it is printed: what it says, the check accepts.

use super::Seen;
use crate::mapping::MetricSource;
use catalogue::{Appears, KPIS, METRICS};
use std::fmt::Write as _;

/// A text as TOML writes it.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

pub(super) fn profile(seen: &Seen) -> String {
    let mut out = String::from(
        "# A first profile, made by `assay init` from what the bot showed. Names were paired by their words and units: read every line.\n\
         # Lines behind `#` are what was not found: map it above, or take the mark away and write the true reason.\n\
         # Then: assay profile check FILE, and assay validate --profile FILE --mode smoke-only\n\n\
         extends = \"d77-4\"\n\nname = \"my-bot\"\nabout = \"A bot of ours.\"\nnotifiers = []\n\n[runner]\n",
    );
    // Writing to a String cannot fail.
    let words: Vec<String> =
        seen.command.iter().map(|word| format!("    {},", quoted(&escaped(word)))).collect();
    let _ = write!(
        out,
        "# Put the placeholders where the bot takes them: {{duration_s}}, {{kpi_path}}, {{metrics_addr}}, {{runner_id}} and, when it asks\n\
         # for them, {{topn}}, {{data_source}}, {{phase}}, {{phase_dir}}. Without {{kpi_path}} there is no KPI file to judge.\n\
         command = [\n{}\n]\nown_contract = false\n",
        words.join("\n")
    );
    let progress = seen.metrics.iter().any(|(ours, _)| *ours == "arb_topn_loop_iterations_total");
    let _ = writeln!(out, "progress = \"{}\"", if progress { "metric" } else { "kpi_file" });
    if let Some(url) = &seen.metrics_url {
        let addr = url.split_once("://").and_then(|(_, rest)| rest.split('/').next()).unwrap_or_default();
        if addr.parse::<std::net::SocketAddr>().is_ok() {
            let path =
                url.split_once("://").and_then(|(_, rest)| rest.split_once('/')).map_or("", |(_, path)| path);
            let _ = writeln!(out, "metrics_addr = {}", quoted(addr));
            let _ = writeln!(out, "metrics_url = {}", quoted(&format!("http://{{metrics_addr}}/{path}")));
        } else {
            let _ = writeln!(out, "metrics_url = {}", quoted(url));
        }
    }
    metrics(&mut out, seen);
    fields(&mut out, seen);
    log(&mut out, seen);
    lacking(&mut out, seen);
    out
}

/// A word of a command line: braces of its own would be taken for placeholders.
fn escaped(word: &str) -> String {
    word.replace(['{', '}'], "_")
}

fn metrics(out: &mut String, seen: &Seen) {
    out.push_str("\n[runner.mapping.metrics]\n");
    for (ours, source) in &seen.metrics {
        let _ = writeln!(out, "{ours} = {}", written(source));
    }
    if !seen.other_metrics.is_empty() {
        let _ = writeln!(out, "# Not recognised: {}", seen.other_metrics.join(", "));
    }
}

fn written(source: &MetricSource) -> String {
    if *source == MetricSource::plain(&source.name) {
        return quoted(&source.name);
    }
    let mut parts = vec![format!("name = {}", quoted(&source.name))];
    if !source.labels.is_empty() {
        let labels: Vec<String> =
            source.labels.iter().map(|(ours, theirs)| format!("{ours} = {}", quoted(theirs))).collect();
        parts.push(format!("labels = {{ {} }}", labels.join(", ")));
    }
    if source.scale != 1.0 {
        parts.push(format!("scale = {}", number(source.scale)));
    }
    format!("{{ {} }}", parts.join(", "))
}

fn number(scale: f64) -> String {
    toml::Value::Float(scale).to_string()
}

fn fields(out: &mut String, seen: &Seen) {
    out.push_str("\n[runner.mapping.kpi]\n");
    for (ours, path, scale) in seen.fields.iter().flatten() {
        let _ = if *scale == 1.0 {
            writeln!(out, "{ours} = {}", quoted(path))
        } else {
            writeln!(out, "{ours} = {{ field = {}, scale = {} }}", quoted(path), number(*scale))
        };
    }
    if !seen.other_fields.is_empty() {
        let _ = writeln!(out, "# Not recognised: {}", seen.other_fields.join(", "));
    }
}

fn log(out: &mut String, seen: &Seen) {
    out.push_str("\n[runner.mapping.log]\n");
    match seen.log {
        None => out.push_str("# No log was looked at (--log FILE).\n"),
        Some((lines, known)) => {
            let _ =
                writeln!(out, "# {known} of {lines} lines have a level that is recognised without a rule.");
        }
    }
    if let Some(line) = &seen.log_line {
        let _ = writeln!(out, "# One that has none: {}", line.replace(['\r', '\t'], " "));
        out.push_str("# level = '^\\S+ \\[(?P<level>[A-Z]+)\\]'\n# error = [\"E\"]\n");
    }
}

fn lacking(out: &mut String, seen: &Seen) {
    out.push_str("\n[runner.not_applicable]\njournal = \"the bot keeps no journal of Assay's format\"\n");
    out.push_str("# alerts = \"the bot sends no alerts\"\n");
    if seen.metrics_url.is_none() {
        out.push_str("# No metrics page was looked at (--metrics-url URL). Without one a run ends NO-GO at best, not proven:\n");
        out.push_str("# metrics = \"the bot serves none\"\n");
    }
    let known = |name: &str| seen.metrics.iter().any(|(ours, _)| *ours == name);
    for metric in METRICS.iter().filter(|m| seen.metrics_url.is_some() && m.appears == Appears::FromStart) {
        if !known(metric.name) && !metric.name.starts_with("alert") && !metric.name.starts_with("notifier") {
            let _ = writeln!(out, "# {} = \"why not\"", metric.name);
        }
    }
    let found = |name: &str| seen.fields.iter().flatten().any(|(ours, ..)| *ours == name);
    for kpi in KPIS.iter().filter(|kpi| kpi.number <= 20 && !found(kpi.field)) {
        let _ = writeln!(out, "# {} = \"why not\"", kpi.field);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::load_text;

    #[test]
    fn what_is_written_is_accepted() {
        let mut info = MetricSource::plain("bot_info");
        info.labels.insert("run_id".to_owned(), "session".to_owned());
        let seen = Seen {
            command: vec!["python3".to_owned(), "a \"quoted\" {word}.py".to_owned()],
            metrics_url: Some("http://127.0.0.1:8000/metrics".to_owned()),
            metrics: vec![
                ("arb_topn_pnl_usd", MetricSource { scale: 0.01, ..MetricSource::plain("bot_pnl_cents") }),
                ("assay_run_info", info),
            ],
            other_metrics: vec!["bot_colour".to_owned()],
            fields: Some(vec![
                ("net_pnl_usd", "pnl.net".to_owned(), 0.01),
                ("win_rate_pct", "hits".to_owned(), 1.0),
            ]),
            other_fields: vec!["mood".to_owned()],
            log: Some((10, 3)),
            log_line: Some("E| boom".to_owned()),
        };
        for seen in [seen, Seen { command: vec!["bot".to_owned()], ..Seen::default() }] {
            let text = profile(&seen);
            let loaded = load_text("mine.toml", &text).unwrap_or_else(|e| panic!("{}\n{text}", e.render()));
            assert!(loaded.of_record, "{:?}", loaded.differences);
        }
    }
}
