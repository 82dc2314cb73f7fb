//! The market of a rehearsal and of the planted proof: `assay exchange` as a guarded child.

use crate::archive::{PriceSource, RunDir};
use crate::profile::{Planted, Profile};
use crate::supervise::{ChildError, Guarded, Launch};
use serde::Deserialize;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

/// How long the exchange may take until it says where it listens.
const START: Duration = Duration::from_secs(10);

/// Why there is no market.
#[derive(Debug, thiserror::Error)]
pub enum MarketError {
    /// It could not be started.
    #[error("cannot start the local exchange: {0}")]
    Start(#[from] ChildError),
    /// It did not come up.
    #[error("the local exchange did not come up within {} s: {why}; see exchange.log in the run folder", START.as_secs())]
    NotUp {
        /// What it said instead.
        why: String,
    },
}

/// A local exchange under guard: it ends when this is dropped, or when we die.
#[derive(Debug)]
pub struct LocalExchange {
    /// Its base URLs.
    pub endpoints: venues::Endpoints,
    /// Its control API.
    pub control: SocketAddr,
    /// What its prices are, when they are real price paths.
    pub prices: Option<PriceSource>,
    _child: Guarded,
}

#[derive(Deserialize)]
struct Ready {
    upbit: SocketAddr,
    binance: SocketAddr,
    control: SocketAddr,
    prices: Option<PriceSource>,
}

/// Starts the profile's market; `None` when the profile uses the venues.
///
/// # Errors
/// [`MarketError`].
pub fn start(
    profile: &Profile,
    program: &Path,
    dir: &RunDir,
    locks: &[PathBuf],
) -> Result<Option<LocalExchange>, MarketError> {
    let Some(exchange) = &profile.exchange else { return Ok(None) };
    let mut args = vec!["--seed".to_owned(), exchange.seed.to_string()];
    match &exchange.prices {
        None => args.extend([
            "--market".to_owned(),
            exchange.market.clone(),
            "--symbols".to_owned(),
            exchange.symbols.to_string(),
        ]),
        Some(dir) => {
            args.extend(["--prices".to_owned(), dir.display().to_string()]);
            args.extend(exchange.from.iter().flat_map(|from| ["--from".to_owned(), from.clone()]));
        }
    }
    args.extend(exchange.gaps.iter().map(|gap| format!("--gap={gap}")));
    launch(program, args, &dir.path("exchange.log"), locks).map(Some)
}

/// Starts a calm market with one gap that opens and closes.
///
/// # Errors
/// [`MarketError`].
pub fn start_planted(
    planted: &Planted,
    program: &Path,
    dir: &RunDir,
    locks: &[PathBuf],
) -> Result<LocalExchange, MarketError> {
    let gap = format!("{}@{}:{}", planted.gap_bps, planted.gap_at.secs(), planted.gap_lasts.secs());
    let args = ["--market", "calm", "--symbols", "30", "--seed", "1", "--gap"].map(str::to_owned);
    launch(program, args.into_iter().chain([gap]).collect(), &dir.path("exchange_planted.log"), locks)
}

fn launch(
    program: &Path,
    args: Vec<String>,
    log: &Path,
    locks: &[PathBuf],
) -> Result<LocalExchange, MarketError> {
    let program = program.to_string_lossy().into_owned();
    let launch = Launch {
        guardian: program.clone().into(),
        args: std::iter::once("exchange".to_owned()).chain(args).collect(),
        program,
        env: Vec::new(),
        cwd: None,
        hold: locks.to_vec(),
    };
    let mut child = Guarded::start(&launch, |_| {})?;
    let (tx, ready) = mpsc::channel();
    if let Some(stdout) = child.stdout.take() {
        std::thread::spawn(move || {
            let mut lines = BufReader::new(stdout);
            let mut first = String::new();
            let _ = lines.read_line(&mut first);
            let _ = tx.send(first);
            let _ = std::io::copy(&mut lines, &mut std::io::sink());
        });
    }
    if let Some(mut stderr) = child.stderr.take() {
        let log = log.to_owned();
        std::thread::spawn(move || {
            let mut text = Vec::new();
            let mut chunk = [0; 8192];
            while let Ok(n) = stderr.read(&mut chunk) {
                if n == 0 {
                    break;
                }
                if text.len() < 1 << 20 {
                    text.extend_from_slice(&chunk[..n]);
                    let _ = std::fs::write(&log, &text);
                }
            }
        });
    }
    let line = ready.recv_timeout(START).map_err(|e| MarketError::NotUp { why: e.to_string() })?;
    let ready: Ready = serde_json::from_str(&line)
        .map_err(|e| MarketError::NotUp { why: format!("{:?} ({e})", line.trim_end()) })?;
    Ok(LocalExchange {
        endpoints: venues::Endpoints::local(ready.upbit, ready.binance),
        control: ready.control,
        prices: ready.prices,
        _child: child,
    })
}
