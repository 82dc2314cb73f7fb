//! Reading a folder of candles into [`PricePaths`].
//!
//! Layout (times in UTC, plain or gzipped CSV with a heading):
//!
//! ```text
//! DIR/upbit_krw_1m/BTC_KRW_1m_*.csv[.gz]      timestamp,open,high,low,close,volume
//! DIR/binance_spot_5m/BTCUSDT_5m_*.csv[.gz]   Open time,Open,High,Low,Close,Volume,Close time,Quote asset volume,...
//! DIR/fx or DIR/../fx/ecb_usdkrw_daily*.csv   Date,USD,KRW,USDKRW   (optional)
//! ```
//!
//! A symbol needs both of its files; several files of one symbol are read together.

use crate::model::paths::{PathError, PricePaths, Series};
use market::Asset;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

const UPBIT: &str = "upbit_krw_1m";
const BINANCE: &str = "binance_spot_5m";

/// Why a folder gives no price paths.
#[derive(Debug, thiserror::Error)]
pub enum PricesError {
    /// The folder or one of its two parts is not there.
    #[error(
        "{} is no folder of candles: {what}; it must hold {UPBIT}/BTC_KRW_1m_*.csv.gz and {BINANCE}/BTCUSDT_5m_*.csv.gz",
        dir.display()
    )]
    Layout {
        /// The folder.
        dir: PathBuf,
        /// What is missing.
        what: String,
    },
    /// A file cannot be read.
    #[error("{}: {source}; look at the file's permissions, or fetch it anew", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// A line is no candle.
    #[error("{} line {line}: {what}; fetch the file anew, or leave it out", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What is wrong.
        what: String,
    },
    /// The candles make no path.
    #[error("{}: {source}; give candles of both venues over the same days", dir.display())]
    Path {
        /// The folder.
        dir: PathBuf,
        /// Why.
        source: PathError,
    },
}

/// Reads the candles below `dir`; most traded symbols first.
///
/// # Errors
/// [`PricesError`].
pub fn read(dir: &Path) -> Result<PricePaths, PricesError> {
    let layout = |what: String| PricesError::Layout { dir: dir.to_owned(), what };
    let upbit = files(dir, UPBIT, "_KRW_1m")?;
    let binance = files(dir, BINANCE, "USDT_5m")?;
    let mut series = Vec::new();
    for (asset, krw_files) in &upbit {
        let Some(usdt_files) = binance.get(asset) else { continue };
        let (mut krw, mut usdt, mut turnover) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        for path in krw_files {
            candles(path, |row| krw.insert(row.minute, row.open))?;
        }
        for path in usdt_files {
            candles(path, |row| {
                turnover.extend(row.quote_volume);
                usdt.insert(row.minute, row.open)
            })?;
        }
        // 288 candles are a day.
        let turnover = turnover.iter().sum::<f64>() / turnover.len().max(1) as f64 * 288.0;
        series.push(Series { asset: *asset, krw, usdt, turnover });
    }
    if series.is_empty() {
        return Err(layout("no symbol has candles of both venues".to_owned()));
    }
    series.sort_by(|a, b| b.turnover.total_cmp(&a.turnover).then(a.asset.cmp(&b.asset)));
    let mut paths =
        PricePaths::new(series).map_err(|source| PricesError::Path { dir: dir.to_owned(), source })?;
    paths.ecb = central_bank(dir)?;
    Ok(paths)
}

/// The files of a part by asset: those whose name begins with a ticker and goes on with `marker`.
fn files(dir: &Path, part: &str, marker: &str) -> Result<BTreeMap<Asset, Vec<PathBuf>>, PricesError> {
    let layout = |what: String| PricesError::Layout { dir: dir.to_owned(), what };
    let folder = dir.join(part);
    let entries = std::fs::read_dir(&folder).map_err(|e| layout(format!("{part}: {e}")))?;
    let mut found: BTreeMap<Asset, Vec<PathBuf>> = BTreeMap::new();
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let is_table = name.ends_with(".csv") || name.ends_with(".csv.gz");
        let ticker = name.split_once(marker).filter(|_| is_table).and_then(|(t, _)| Asset::new(t).ok());
        if let Some(asset) = ticker {
            found.entry(asset).or_default().push(path);
        }
    }
    if found.is_empty() {
        return Err(layout(format!("{part} holds no file named like BTC{marker}_*.csv.gz")));
    }
    found.values_mut().for_each(|paths| paths.sort());
    Ok(found)
}

fn text(path: &Path) -> Result<String, PricesError> {
    let io = |source| PricesError::Io { path: path.to_owned(), source };
    let file = File::open(path).map_err(io)?;
    let mut text = String::new();
    if path.extension().is_some_and(|e| e == "gz") {
        flate2::read::MultiGzDecoder::new(file).read_to_string(&mut text).map_err(io)?;
    } else {
        let mut file = file;
        file.read_to_string(&mut text).map_err(io)?;
    }
    Ok(text)
}

struct Row {
    /// Minutes since 1970.
    minute: i64,
    open: f64,
    /// Turnover in the quote currency, where the file has it.
    quote_volume: Option<f64>,
}

fn candles<T>(path: &Path, mut take: impl FnMut(Row) -> T) -> Result<(), PricesError> {
    for (i, line) in text(path)?.lines().enumerate().skip(1) {
        let wrong = |what: String| PricesError::Line { path: path.to_owned(), line: i + 1, what };
        let cells: Vec<&str> = line.split(',').collect();
        let minute = cells.first().and_then(|t| minute(t));
        let open = cells.get(1).and_then(|t| t.parse::<f64>().ok()).filter(|p| p.is_finite() && *p > 0.0);
        let (Some(minute), Some(open)) = (minute, open) else {
            let shown: String = line.chars().take(60).collect();
            return Err(wrong(format!("{shown:?} does not begin with a time and a price")));
        };
        let quote_volume = cells.get(7).and_then(|t| t.parse().ok());
        take(Row { minute, open, quote_volume });
    }
    Ok(())
}

/// `2025-09-01 00:05:00`, UTC.
fn minute(text: &str) -> Option<i64> {
    let at: jiff::civil::DateTime = text.trim().replace(' ', "T").parse().ok()?;
    Some(at.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second().div_euclid(60))
}

/// The rates of the European Central Bank that lie beside the candles, by day since 1970; none where there is no file.
fn central_bank(dir: &Path) -> Result<BTreeMap<i64, f64>, PricesError> {
    let beside = dir.canonicalize().ok().and_then(|d| Some(d.parent()?.join("fx")));
    let mut rates = BTreeMap::new();
    for folder in [Some(dir.join("fx")), beside].into_iter().flatten() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.retain(|p| p.file_name().is_some_and(|n| n.to_string_lossy().starts_with("ecb_usdkrw_daily")));
        paths.sort();
        for path in paths {
            for (i, line) in text(&path)?.lines().enumerate().skip(1) {
                let cells: Vec<&str> = line.split(',').collect();
                let day = cells.first().and_then(|t| minute(&format!("{t} 00:00:00")));
                let rate = cells.get(3).and_then(|t| t.parse::<f64>().ok()).filter(|r| r.is_finite());
                let (Some(day), Some(rate)) = (day, rate) else {
                    let what = "not a date with a rate in the fourth column".to_owned();
                    return Err(PricesError::Line { path, line: i + 1, what });
                };
                rates.insert(day / 1_440, rate);
            }
        }
        if !rates.is_empty() {
            break;
        }
    }
    Ok(rates)
}
