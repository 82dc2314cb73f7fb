//! The command `assay exchange`.

use crate::faults::Script;
use crate::model::{MarketKind, PlantedGap};
use crate::{ExchangeError, Options, Prices, start};
use std::fmt;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

/// Serves both venues on loopback.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// Symbols that trade on both venues.
    #[arg(long, default_value_t = 70)]
    pub symbols: usize,
    /// The market: with gaps worth trading, or with none.
    #[arg(long, value_enum, default_value_t = MarketKind::Edge)]
    pub market: MarketKind,
    /// Real price paths: a folder of candles (upbit_krw_1m/ and binance_spot_5m/) instead of a synthetic market.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["symbols", "market"])]
    pub prices: Option<PathBuf>,
    /// Where on the price paths to begin, UTC, such as "2025-09-03 12:00"; half an hour after their beginning when left out.
    #[arg(long, value_name = "TIME", requires = "prices")]
    pub from: Option<StartAt>,
    /// A recording as the market: a file, or the folder of its files. It begins when the first client subscribes.
    #[arg(long, value_name = "PATH", conflicts_with_all = ["symbols", "market", "prices", "gap"])]
    pub recording: Option<PathBuf>,
    /// How fast the recording is played: 2 is twice as fast as it was recorded.
    #[arg(long, value_name = "X", default_value_t = 1.0, requires = "recording")]
    pub speed: f64,
    /// At the recording's end, close all sockets and begin again.
    #[arg(long = "loop", requires = "recording")]
    pub looped: bool,
    /// The market's seed.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Plants a gap in the first member: BPS@SECONDS[:LASTS], seconds after the start; may be repeated.
    #[arg(long, value_name = "BPS@SECONDS[:LASTS]", allow_hyphen_values = true)]
    pub gap: Vec<GapArg>,
    /// Faults on a timeline: a TOML file (docs/exchange.md shows the format).
    #[arg(long, value_name = "FILE")]
    pub script: Option<PathBuf>,
    /// At least so many messages per second in all: sizes change until they are reached.
    #[arg(long, value_name = "MESSAGES_PER_SECOND", default_value_t = 0.0)]
    pub load: f64,
    /// The venues' servers speak TLS; the certificate of the authority that clients have to trust is written to this file.
    #[arg(long, value_name = "CA_FILE")]
    pub tls: Option<PathBuf>,
    /// Upbit's address.
    #[arg(long, default_value = "127.0.0.1:0")]
    pub upbit_addr: SocketAddr,
    /// Binance's address.
    #[arg(long, default_value = "127.0.0.1:0")]
    pub binance_addr: SocketAddr,
    /// The control API's address.
    #[arg(long, default_value = "127.0.0.1:0")]
    pub control_addr: SocketAddr,
}

/// A moment on the price paths, ms since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartAt(pub i64);

impl FromStr for StartAt {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("{text:?} is no time; write it in UTC, such as \"2025-09-03 12:00\"");
        let text = text.trim().trim_end_matches('Z').replace(' ', "T");
        let at = text
            .parse::<jiff::civil::DateTime>()
            .or_else(|_| text.parse::<jiff::civil::Date>().map(|day| day.at(0, 0, 0, 0)))
            .map_err(|_| wrong())?;
        let at = at.to_zoned(jiff::tz::TimeZone::UTC).map_err(|_| wrong())?;
        Ok(Self(at.timestamp().as_millisecond()))
    }
}

impl Args {
    /// The price paths that were asked for, read.
    ///
    /// # Errors
    /// A folder that holds no candles of both venues.
    pub fn read_prices(&self) -> Result<Option<Prices>, ExchangeError> {
        let Some(dir) = &self.prices else { return Ok(None) };
        let paths = Arc::new(crate::read_prices(dir)?);
        Ok(Some(Prices { paths, from_ms: self.from.map(|at| at.0) }))
    }
}

/// `80@12:3`: 80 bps, 12 s after the start, for 3 s (which is also the default).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GapArg(pub PlantedGap);

impl fmt::Display for GapArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PlantedGap { bps, at, lasts, .. } = &self.0;
        write!(f, "{bps}@{}:{}", at.as_secs_f64(), lasts.as_secs_f64())
    }
}

impl FromStr for GapArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("{text:?} is no gap; write BPS@SECONDS or BPS@SECONDS:LASTS, such as 80@12:3");
        let seconds = |t: &str| {
            t.parse::<f64>().ok().and_then(|s| Duration::try_from_secs_f64(s).ok()).ok_or_else(wrong)
        };
        let (bps, rest) = text.split_once('@').ok_or_else(wrong)?;
        let (at, lasts) = match rest.split_once(':') {
            Some((at, lasts)) => (seconds(at)?, seconds(lasts)?),
            None => (seconds(rest)?, Duration::from_secs(3)),
        };
        let bps = bps.parse::<f64>().ok().filter(|b| b.is_finite()).ok_or_else(wrong)?;
        Ok(Self(PlantedGap { asset: None, bps, at, lasts }))
    }
}

/// Serves until SIGTERM or SIGINT. Prints one line of JSON with the three addresses, and what the prices are, when it is
/// ready.
///
/// # Errors
/// An address in use, a market that cannot be made, no runtime or no standard output.
pub fn main(args: Args) -> Result<(), ExchangeError> {
    let prices = args.read_prices()?;
    let script = args.script.as_deref().map(Script::read).transpose()?.unwrap_or_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async move {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let server = start(Options {
            upbit: args.upbit_addr,
            binance: args.binance_addr,
            control: args.control_addr,
            prices,
            recording: args.recording.map(|path| crate::tape::Playing {
                path,
                speed: args.speed,
                looped: args.looped,
            }),
            symbols: args.symbols,
            market: args.market,
            seed: args.seed,
            planted: args.gap.iter().map(|g| g.0).collect(),
            script,
            load: args.load,
            tls: args.tls.is_some(),
        })
        .await?;
        let mut ready = serde_json::json!({
            "upbit": server.upbit, "binance": server.binance, "control": server.control,
        });
        if let Some(source) = &server.source {
            ready["prices"] = serde_json::json!(source);
        }
        if let (Some(path), Some(pem)) = (&args.tls, &server.ca_pem) {
            std::fs::write(path, pem)
                .map_err(|source| ExchangeError::CaFile { path: path.clone(), source })?;
            ready["ca_file"] = serde_json::json!(path);
        }
        let mut out = std::io::stdout().lock();
        writeln!(out, "{ready}")?;
        out.flush()?;
        drop(out);
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        server.shutdown().await;
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_a_moment_in_utc() {
        let at = |text: &str| text.parse::<StartAt>().map(|at| at.0);
        assert_eq!(at("2025-09-01 00:30"), Ok(1_756_686_600_000));
        assert_eq!(at("2025-09-01T00:30:00Z"), Ok(1_756_686_600_000));
        assert_eq!(at("2025-09-01"), Ok(1_756_684_800_000));
        assert!(at("yesterday").is_err());
    }

    #[test]
    fn gaps_are_read_or_refused() {
        let gap: GapArg = "-80@12.5:3".parse().unwrap();
        assert_eq!((gap.0.bps, gap.0.at.as_millis(), gap.0.lasts.as_secs()), (-80.0, 12_500, 3));
        assert_eq!(gap.to_string(), "-80@12.5:3");
        assert_eq!("40@1".parse::<GapArg>().unwrap().0.lasts.as_secs(), 3);
        for wrong in ["80", "x@1", "80@", "80@1:", "80@-1", "NaN@1"] {
            assert!(wrong.parse::<GapArg>().is_err(), "{wrong}");
        }
    }
}
