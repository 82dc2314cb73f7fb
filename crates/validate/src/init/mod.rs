//! `assay init`: a first profile for a bot that runs already, from what it shows: its metrics page, its KPI file, its log.
//!
//! It guesses by name and unit, and says so: every line is for a person to read. What it did not find stands there as a comment, to
//! be mapped or declared. [`guess`] pairs names; nothing here judges anything.

mod guess;
mod write;

use crate::logwatch::LevelRules;
use crate::mapping::MetricSource;
use crate::watch::scrape::Http;
use std::path::PathBuf;
use std::time::Duration;

/// Where to look.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The command that starts it.
    pub command: Option<String>,
    /// A running process: its command line is taken when none is given.
    pub pid: Option<u32>,
    /// Its metrics page.
    pub metrics_url: Option<String>,
    /// Its result file.
    pub kpi: Option<PathBuf>,
    /// Some of its log.
    pub log: Option<PathBuf>,
}

/// Why no profile could be made.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// There is nothing to begin with.
    #[error(
        "there is neither a command nor a process; give --command \"python3 bot.py\", or --pid N of the running bot"
    )]
    NoCommand,
    /// The process is not there.
    #[error(
        "process {pid} has no readable command line: {source}; check the id with `ps`, or give --command"
    )]
    Process {
        /// Its id.
        pid: u32,
        /// The cause.
        source: std::io::Error,
    },
    /// An address with a password.
    #[error(
        "the {0} holds an address with a user name or a password in it, and a profile is copied into every run folder; give the address alone, \
         and hand the credentials over in the environment"
    )]
    Credentials(&'static str),
    /// The metrics page.
    #[error("cannot read the metrics: {0}; is the bot running, and is this its address?")]
    Metrics(String),
    /// A file.
    #[error("cannot read {}: {why}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

/// What a bot shows of itself.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Seen {
    pub(crate) command: Vec<String>,
    pub(crate) metrics_url: Option<String>,
    /// Metrics that were recognised: Assay's name and the source.
    pub(crate) metrics: Vec<(&'static str, MetricSource)>,
    pub(crate) other_metrics: Vec<String>,
    /// KPI fields that were recognised: Assay's name, the path, the scale.
    pub(crate) fields: Option<Vec<(&'static str, String, f64)>>,
    pub(crate) other_fields: Vec<String>,
    /// Lines of the log, and those whose level the usual rules recognise.
    pub(crate) log: Option<(usize, usize)>,
    pub(crate) log_line: Option<String>,
}

/// Bytes of a log that are looked at.
const LOG_BYTES: usize = 1024 * 1024;
/// How long the metrics page may take.
const SCRAPE: Duration = Duration::from_secs(5);

/// Looks at a bot and writes a profile for it, as text that `assay profile check` accepts.
///
/// # Errors
/// [`InitError`].
pub fn profile(sources: &Sources) -> Result<String, InitError> {
    Ok(write::profile(&look(sources)?))
}

fn look(sources: &Sources) -> Result<Seen, InitError> {
    let mut seen =
        Seen { command: command(sources)?, metrics_url: sources.metrics_url.clone(), ..Seen::default() };
    for (what, words) in
        [("command", seen.command.as_slice()), ("metrics URL", sources.metrics_url.as_slice())]
    {
        if words.iter().any(|word| crate::profile::credentials::holds(word)) {
            return Err(InitError::Credentials(what));
        }
    }
    if let Some(url) = &sources.metrics_url {
        let (status, kind, body) = metrics_page(url)?;
        if status != 200 {
            return Err(InitError::Metrics(format!("{url} answers with HTTP status {status}")));
        }
        let format = kind.as_deref().and_then(exposition::Format::from_content_type);
        let page = exposition::parse(&body, format.unwrap_or(exposition::Format::Text004))
            .map_err(|e| InitError::Metrics(format!("{url}: {e}")))?;
        (seen.metrics, seen.other_metrics) = guess::metrics(&page);
    }
    if let Some(path) = &sources.kpi {
        let bytes = read(path)?;
        let json: serde_json::Value = serde_json::from_slice(&bytes)
            .map_err(|e| InitError::File { path: path.clone(), why: format!("not JSON ({e})") })?;
        let (found, rest) = guess::fields(&json);
        (seen.fields, seen.other_fields) = (Some(found), rest);
    }
    if let Some(path) = &sources.log {
        let bytes = read(path)?;
        let bytes = &bytes[..bytes.len().min(LOG_BYTES)];
        let rules = LevelRules::default();
        let lines: Vec<&[u8]> = bytes.split(|b| *b == b'\n').filter(|line| !line.is_empty()).collect();
        let known = lines.iter().filter(|line| rules.has_level(line)).count();
        seen.log = Some((lines.len(), known));
        let unknown = lines.iter().find(|line| !rules.has_level(line));
        seen.log_line = unknown.map(|line| String::from_utf8_lossy(line).chars().take(100).collect());
    }
    Ok(seen)
}

fn metrics_page(url: &str) -> Result<(u16, Option<String>, Vec<u8>), InitError> {
    let http = Http::new().map_err(|e| InitError::Metrics(e.to_string()))?;
    http.get(url, SCRAPE).map_err(InitError::Metrics)
}

fn read(path: &PathBuf) -> Result<Vec<u8>, InitError> {
    std::fs::read(path).map_err(|e| InitError::File { path: path.clone(), why: e.to_string() })
}

/// The command's words: as given, or those of the running process.
fn command(sources: &Sources) -> Result<Vec<String>, InitError> {
    if let Some(text) = sources.command.as_deref().filter(|text| !text.trim().is_empty()) {
        return Ok(words(text));
    }
    let Some(pid) = sources.pid else { return Err(InitError::NoCommand) };
    let bytes =
        std::fs::read(format!("/proc/{pid}/cmdline")).map_err(|source| InitError::Process { pid, source })?;
    let words: Vec<String> = bytes
        .split(|b| *b == 0)
        .filter(|word| !word.is_empty())
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect();
    if words.is_empty() {
        let source = std::io::Error::other("it is empty (a kernel thread, or a process that has ended)");
        return Err(InitError::Process { pid, source });
    }
    Ok(words)
}

/// Words apart at spaces; what stands between quotes is one word. No other shell syntax: a profile starts no shell.
fn words(text: &str) -> Vec<String> {
    let (mut words, mut word, mut open, mut quote) = (Vec::new(), String::new(), false, None);
    for c in text.chars() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (Some(_), c) => word.push(c),
            (None, '"' | '\'') => (quote, open) = (Some(c), true),
            (None, c) if c.is_whitespace() => {
                if open || !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                open = false;
            }
            (None, c) => word.push(c),
        }
    }
    if open || !word.is_empty() {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn quotes_hold_words_together() {
        assert_eq!(
            words("python3 'my bot.py'  --name \"\" -x"),
            ["python3", "my bot.py", "--name", "", "-x"]
        );
    }
}
