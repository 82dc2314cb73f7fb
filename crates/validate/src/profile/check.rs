//! Checks of a profile's text: known keys, right types and units, then whether the values make sense together.

use super::{Profile, ProfileError, Span, credentials, foreign, rules, stores};
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// One file of a chain of profiles: its values, and where each key and value stands.
#[derive(Debug, Clone)]
pub(super) struct Document {
    /// Its name: a path, or a built-in profile's name.
    pub(super) file: String,
    text: String,
    /// Its values, `extends` among them.
    pub(super) table: toml::Table,
    /// What it extends.
    pub(super) extends: Option<String>,
    places: Vec<(String, Place)>,
}

#[derive(Debug, Clone)]
struct Place {
    key: Range<usize>,
    value: Range<usize>,
}

impl Document {
    pub(super) fn parse(file: &str, text: &str) -> Result<Self, ProfileError> {
        let syntax = |e: toml::de::Error| {
            let help = "see https://toml.io, and `assay profile show d77-4` for an example".to_owned();
            let what = format!("this is no TOML: {}", e.message());
            ProfileError::at(file, text, e.span().unwrap_or(0..0), what, "here", Some(help))
        };
        let spanned = DeTable::parse(text).map_err(syntax)?;
        let table: toml::Table = toml::from_str(text).map_err(syntax)?;
        let mut places = Vec::new();
        collect(spanned.get_ref(), "", &mut places);
        let extends = table.get("extends").and_then(toml::Value::as_str).map(str::to_owned);
        Ok(Self { file: file.to_owned(), text: text.to_owned(), table, extends, places })
    }

    /// True when the document itself sets `path`.
    pub(super) fn has(&self, path: &str) -> bool {
        self.place(path).is_some()
    }

    fn place(&self, path: &str) -> Option<&Place> {
        self.places.iter().find(|(known, _)| known == path).map(|(_, place)| place)
    }

    pub(super) fn at_key(&self, path: &str, what: String, label: String, help: String) -> ProfileError {
        let span = self.place(path).map_or(0..0, |place| place.key.clone());
        ProfileError::at(&self.file, &self.text, span, what, label, Some(help))
    }

    pub(super) fn at_value(&self, path: &str, what: String, label: String, help: String) -> ProfileError {
        let span = self.place(path).map_or(0..0, |place| place.value.clone());
        ProfileError::at(&self.file, &self.text, span, what, label, Some(help))
    }
}

fn collect(table: &DeTable<'_>, above: &str, places: &mut Vec<(String, Place)>) {
    for (key, value) in table {
        let path = join(above, key.get_ref());
        places.push((path.clone(), Place { key: key.span(), value: value.span() }));
        descend(value, &path, places);
    }
}

fn descend(value: &Spanned<DeValue<'_>>, path: &str, places: &mut Vec<(String, Place)>) {
    if let DeValue::Table(table) = value.get_ref() {
        collect(table, path, places);
    }
}

pub(super) fn join(above: &str, key: &str) -> String {
    if above.is_empty() { key.to_owned() } else { format!("{above}.{key}") }
}

/// `extends` names nothing.
pub(super) fn no_parent(document: Option<&Document>, parent: &str, names: &[&str]) -> ProfileError {
    let what =
        format!("`extends` names {parent:?}, which is neither a built-in profile nor a file beside this one");
    let help = match nearest(parent, names) {
        Some(near) => format!("did you mean {near:?}? built in are {}", names.join(", ")),
        None => format!("built in are {}", names.join(", ")),
    };
    match document {
        Some(document) => document.at_value("extends", what, "unknown".to_owned(), help),
        None => ProfileError::plain(what, help),
    }
}

/// Checks every key and type of a user's document against what the built-in profiles have.
pub(super) fn keys(
    document: &Document,
    schema: &toml::Table,
    merged: &toml::Table,
) -> Result<(), ProfileError> {
    if let Some(other) = document.table.get("extends").filter(|value| !value.is_str()) {
        let what = format!("`extends` is {}, it must be text", kind(other));
        return Err(document.at_value(
            "extends",
            what,
            "here".to_owned(),
            "write extends = \"d77-4\"".to_owned(),
        ));
    }
    let own =
        merged.get("runner").and_then(|runner| runner.get("own_contract")).and_then(toml::Value::as_bool);
    let mut top = document.table.clone();
    top.remove("extends");
    table(document, &top, schema, "", own != Some(false))
}

fn table(
    doc: &Document,
    given: &toml::Table,
    schema: &toml::Table,
    above: &str,
    own: bool,
) -> Result<(), ProfileError> {
    for (key, value) in given {
        let path = join(above, key);
        let Some(expected) = schema.get(key) else { return Err(unknown(doc, &path, key, schema, above)) };
        // A foreign runner's configuration is its own affair.
        if path == "runner.config" && !own {
            continue;
        }
        // Rules have a language of their own: `super::rules`. The keys of these tables are severities and rules, `meaning` knows them.
        if path == "rules" || OPEN.contains(&path.as_str()) {
            continue;
        }
        match (value, expected) {
            (toml::Value::Table(given), toml::Value::Table(_)) if path == "runner.not_applicable" => {
                foreign::reasons(doc, given, &path)?;
            }
            (toml::Value::Table(given), toml::Value::Table(_)) if path == "runner.mapping" => {
                foreign::mapping(doc, given, &path)?;
            }
            (toml::Value::Table(given), toml::Value::Table(expected)) => {
                table(doc, given, expected, &path, own)?
            }
            _ => leaf(doc, &path, value, expected)?,
        }
    }
    Ok(())
}

/// Tables whose keys are no fixed names.
pub(super) const OPEN: [&str; 2] = ["alerts.routes", "alerts.throttle_s"];

fn unknown(doc: &Document, path: &str, key: &str, schema: &toml::Table, above: &str) -> ProfileError {
    let known: Vec<&str> = schema.keys().map(String::as_str).collect();
    let place = if above.is_empty() { "at the top level".to_owned() } else { format!("in [{above}]") };
    let near = nearest(key, &known).map(|near| format!("did you mean `{near}`? ")).unwrap_or_default();
    let help = format!("{near}{place} there are: {}", known.join(", "));
    doc.at_key(path, format!("unknown key `{key}` {place}"), "unknown key".to_owned(), help)
}

fn leaf(doc: &Document, path: &str, value: &toml::Value, expected: &toml::Value) -> Result<(), ProfileError> {
    use toml::Value::{Array, Float, Integer, String};
    let is_span = |value: &toml::Value| value.as_str().is_some_and(|text| text.parse::<Span>().is_ok());
    if is_span(expected) {
        return match value {
            String(text) => text.parse::<Span>().map(drop).map_err(|_| {
                let what = format!("`{path}` is {text:?}, which is no duration");
                doc.at_value(path, what, "wrong unit".to_owned(), DURATION.to_owned())
            }),
            other => {
                let what = format!("`{path}` is {}, it must be a duration", kind(other));
                Err(doc.at_value(path, what, "no unit".to_owned(), DURATION.to_owned()))
            }
        };
    }
    let fits = match (expected, value) {
        (Float(_), Integer(_)) => true,
        (Integer(_), Integer(n)) => *n >= 0,
        (Array(_), Array(items)) => items.iter().all(toml::Value::is_str),
        _ => std::mem::discriminant(expected) == std::mem::discriminant(value),
    };
    if fits {
        return choice(doc, path, value);
    }
    let must = match expected {
        Integer(_) => "a whole number, 0 or more".to_owned(),
        Array(_) => "a list of texts".to_owned(),
        other => kind(other).to_owned(),
    };
    let what = format!("`{path}` is {}, it must be {must}", kind(value));
    Err(doc.at_value(
        path,
        what,
        "wrong type".to_owned(),
        format!("the built-in profile has {path} = {expected}"),
    ))
}

/// Keys that take one of a few words.
pub(super) const CHOICES: [(&str, &[&str]); 5] = [
    ("data_source", &["real", "local"]),
    ("runner.progress", &["metric", "kpi_file"]),
    ("stores.alerts.kind", STORES),
    ("stores.state.kind", STORES),
    ("dashboard.source", &["console", "grafana"]),
];

const STORES: &[&str] = &["embedded", "url", "docker"];

/// Keys whose words are checked with the whole profile at hand.
pub(super) const WORDS: [(&str, &[&str]); 2] =
    [("runner.stop_signal", &["SIGTERM", "SIGINT"]), ("exchange.market", &["edge", "calm"])];

fn choice(doc: &Document, path: &str, value: &toml::Value) -> Result<(), ProfileError> {
    let Some((_, words)) = CHOICES.iter().find(|(key, _)| *key == path) else { return Ok(()) };
    let Some(word) = value.as_str().filter(|word| !words.contains(word)) else { return Ok(()) };
    let near = nearest(word, words).map(|near| format!("did you mean {near:?}? ")).unwrap_or_default();
    let help = format!("{near}it is one of {}", words.join(", "));
    Err(doc.at_value(
        path,
        format!("`{path}` is {word:?}, which it cannot be"),
        "unknown word".to_owned(),
        help,
    ))
}

const DURATION: &str = "write a whole number and ms, s, min or h, such as \"10 s\" or \"5 min\"";

pub(super) fn kind(value: &toml::Value) -> &'static str {
    match value {
        toml::Value::String(_) => "text",
        toml::Value::Integer(_) => "a whole number",
        toml::Value::Float(_) => "a number",
        toml::Value::Boolean(_) => "true or false",
        toml::Value::Datetime(_) => "a date",
        toml::Value::Array(_) => "a list",
        toml::Value::Table(_) => "a table",
    }
}

/// The known name that is nearest to a misspelt one, when one is near.
pub(super) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .map(|candidate| (distance(word, candidate), *candidate))
        .min()
        .filter(|(distance, candidate)| *distance <= 2.max(candidate.len() / 3))
        .map(|(_, candidate)| candidate)
}

/// Levenshtein's edit distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let cost = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// Checks the effective values. The place of a message is the file nearest to the user that sets the key.
pub(super) fn meaning(chain: &[Document], profile: &Profile) -> Result<(), ProfileError> {
    let wrong = |path: &str, what: String, help: &str| {
        Err(match chain.iter().find(|document| document.place(path).is_some()) {
            Some(document) => document.at_value(path, what, "here".to_owned(), help.to_owned()),
            None => ProfileError::plain(what, help),
        })
    };
    let plain = |c: char| c.is_alphanumeric() || "-_.".contains(c);
    if profile.name.is_empty() || profile.name.starts_with('.') || !profile.name.chars().all(plain) {
        let what = format!("`name` is {:?}, which cannot be the name of a folder", profile.name);
        return wrong("name", what, "use letters, digits, - and _: run folders are made under it");
    }
    // Without its line: that may show a password.
    let unseen = |path: &str, what: String, help: &str| {
        Err(match chain.iter().find_map(|document| Some((document, document.place(path)?))) {
            Some((document, place)) => {
                let line = document.text[..place.value.start].matches('\n').count() + 1;
                ProfileError::plain(format!("{}:{line}: {what}", document.file), help)
            }
            None => ProfileError::plain(what, help),
        })
    };
    if let Some((path, what, help)) = stores::wrong(&profile.stores) {
        return unseen(&path, what, help);
    }
    if let Some((path, help)) = credentials::found(profile) {
        let what = format!("`{path}` holds an address with a user name or a password in it");
        return unseen(&path, what, help);
    }
    if let Some(id) = profile.attestable.iter().find(|id| **id < catalogue::CriterionId::C6) {
        let what = format!("`attestable` lists {id}, which no person can attest");
        return wrong("attestable", what, "C1 to C5 are settled by evidence alone; C6 is always attestable");
    }
    if let Err((key, what)) = profile.alerts.check() {
        let help = "see the section [alerts] of `assay profile show d77-4`";
        return wrong(&format!("alerts.{key}"), format!("`alerts.{key}`: {what}"), help);
    }
    // A foreign runner's notifiers have the names that it gives them.
    let configured = profile.alerts.names();
    if let Some(notifier) =
        profile.notifiers.iter().find(|name| profile.runner.own_contract && !configured.contains(name))
    {
        let what = format!("the required notifier {notifier:?} is not configured");
        let help =
            format!("`alerts.notifiers` gives {}; \"configured\" stands for all", configured.join(", "));
        return wrong("notifiers", what, &help);
    }
    if !matches!(profile.runner.stop_signal.as_str(), "SIGTERM" | "SIGINT") {
        let what =
            format!("`runner.stop_signal` is {:?}, which is no stop signal", profile.runner.stop_signal);
        return wrong("runner.stop_signal", what, "it is \"SIGTERM\" or \"SIGINT\"");
    }
    for (path, addr) in
        [("runner.metrics_addr", &profile.runner.metrics_addr), ("console.addr", &profile.console.addr)]
    {
        if addr.parse::<std::net::SocketAddr>().is_err() {
            let what = format!("`{path}` is {addr:?}, which is no address");
            return wrong(
                path,
                what,
                "write an IP address and a port, such as \"127.0.0.1:9100\"; port 0 picks a free one",
            );
        }
    }
    if !["http://", "https://"].iter().any(|scheme| profile.dashboard.grafana_url.starts_with(scheme)) {
        let what =
            format!("`dashboard.grafana_url` is {:?}, which is no address", profile.dashboard.grafana_url);
        return wrong("dashboard.grafana_url", what, "write such as \"http://127.0.0.1:3000\"");
    }
    if profile.runner.command.is_empty() {
        return wrong(
            "runner.command",
            "`runner.command` is empty".to_owned(),
            "name the program and its arguments",
        );
    }
    let url = std::slice::from_ref(&profile.runner.metrics_url);
    for (path, words) in [("runner.command", profile.runner.command.as_slice()), ("runner.metrics_url", url)]
    {
        if let Some(bad) = words.iter().find_map(|word| unknown_placeholder(word)) {
            let known: Vec<String> = PLACEHOLDERS.iter().map(|(name, _)| format!("{{{name}}}")).collect();
            let help = format!("there are {}", known.join(", "));
            return wrong(path, format!("`{path}` has the unknown placeholder {{{bad}}}"), &help);
        }
    }
    if !profile.runner.own_contract
        && profile.runner.command.iter().any(|word| word.contains("{config_path}"))
    {
        let what = "{config_path} is written for a runner of our own contract only".to_owned();
        return wrong("runner.command", what, "give the runner the path of its own configuration file");
    }
    if let Some(name) = foreign::contradiction(profile) {
        let what = format!("`{name}` is mapped and declared not applicable");
        return wrong(&format!("runner.not_applicable.{name}"), what, "leave one of the two out");
    }
    if !(profile.time_scale.is_finite() && profile.time_scale >= 1.0) {
        let what = format!("`time_scale` is {}, it must be 1 or more", profile.time_scale);
        return wrong("time_scale", what, "10 makes an hour of 6 minutes; 1 is the true pace");
    }
    if let Some(exchange) =
        profile.exchange.as_ref().filter(|e| !matches!(e.market.as_str(), "edge" | "calm"))
    {
        let what = format!("`exchange.market` is {:?}, which is no market", exchange.market);
        return wrong("exchange.market", what, "it is \"edge\" or \"calm\"");
    }
    if let Some((path, what, help)) =
        rules::too_short(&profile.rules, profile.watch.poll, profile.measure.memory_min)
    {
        return wrong(&path, what, help);
    }
    spans(profile).map_or(Ok(()), |(path, what, help)| wrong(path, what, help))
}

/// What a command line may hold between braces, and what stands there when the runner is started. `launch` fills in these and no others.
pub(crate) const PLACEHOLDERS: [(&str, &str); 11] = [
    ("assay", "this executable"),
    ("duration_s", "the phase's duration in whole seconds"),
    ("topn", "the size of the universe"),
    ("data_source", "`real` or `local`"),
    ("kpi_path", "where the KPI file belongs"),
    ("metrics_addr", "host and port to serve metrics on"),
    ("runner_id", "the id of this runner in this run"),
    ("config_path", "the configuration file (our own contract only)"),
    ("phase_dir", "a folder of the phase, for the runner's own files"),
    ("phase", "`smoke`, `planted` or `main`"),
    ("profile_dir", "the folder of the profile"),
];

fn unknown_placeholder(word: &str) -> Option<&str> {
    let mut rest = word;
    while let Some((_, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}')?;
        if !PLACEHOLDERS.iter().any(|(known, _)| *known == name) {
            return Some(name);
        }
        rest = after;
    }
    None
}

/// Durations and sizes that make no sense, or not together.
fn spans(p: &Profile) -> Option<(&'static str, String, &'static str)> {
    let positive = [
        ("hour", p.hour),
        ("smoke.duration", p.smoke.duration),
        ("main.duration", p.main.duration),
        ("watch.poll", p.watch.poll),
        ("watch.scrape_timeout", p.watch.scrape_timeout),
        ("measure.memory_window", p.measure.memory_window),
        ("panels.core_every", p.panels.core_every),
        ("panels.alerting_every", p.panels.alerting_every),
        ("watch.interim_every", p.watch.interim_every),
        ("runner.stop_grace", p.runner.stop_grace),
    ];
    if let Some((path, _)) = positive.into_iter().find(|(_, span)| span.0.is_zero()) {
        return Some((path, format!("`{path}` is zero"), "it must be longer than nothing"));
    }
    let phases = [("smoke.duration", p.smoke.duration), ("main.duration", p.main.duration)];
    if let Some((path, span)) = phases.into_iter().find(|(_, span)| span.0.subsec_nanos() != 0) {
        return Some((path, format!("`{path}` is {span}"), "a runner is asked for whole seconds"));
    }
    if let Some((path, _)) =
        [("smoke.topn", p.smoke.topn), ("main.topn", p.main.topn)].into_iter().find(|(_, n)| *n == 0)
    {
        return Some((path, format!("`{path}` is 0"), "ask for at least one symbol"));
    }
    if !(p.measure.cpu_cores.is_finite() && p.measure.cpu_cores > 0.0) {
        return Some((
            "measure.cpu_cores",
            format!("`measure.cpu_cores` is {}", p.measure.cpu_cores),
            "it must be above 0",
        ));
    }
    let poll = p.watch.poll;
    if p.measure.memory_window <= poll {
        let what = format!(
            "`measure.memory_window` is {}, not longer than a poll ({poll})",
            p.measure.memory_window
        );
        return Some((
            "measure.memory_window",
            what,
            "a window needs several polls: lengthen it or shorten watch.poll",
        ));
    }
    if p.watch.scrape_timeout.0 * 2 > poll.0 {
        let what = format!(
            "`watch.scrape_timeout` is {}: two attempts do not fit in a poll ({poll})",
            p.watch.scrape_timeout
        );
        return Some(("watch.scrape_timeout", what, "shorten it to half a poll or less"));
    }
    if let Some(planted) = p.planted.as_ref().filter(|x| x.gap_at.0 + x.gap_lasts.0 >= x.duration.0) {
        let what = format!("the planted gap is not over within `planted.duration` ({})", planted.duration);
        return Some(("planted.duration", what, "lengthen it, or let the gap open earlier"));
    }
    None
}
