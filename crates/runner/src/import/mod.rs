//! `assay import`: captures of other programs as recordings of ours.
//!
//! What lives here: merging the files by time, the universe, what is counted. What does not: how a line of each format is read
//! (`lines`). Two passes over the files, so that a capture larger than memory can be imported and nothing is written before
//! every line has been read. A line that is not understood ends the import with its file, number and byte: nothing is left out.

mod lines;

use crate::books::filed_under;
use crate::error::RunError;
use lines::{Item, Lines, What};
use market::{Asset, Instrument, Member, Money, Price, Quantity, TickRule, Timestamp, Venue};
use recording::file::Writer;
use recording::{ConnId, Input, Record};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use venues::BinanceSymbol;

/// The formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum CaptureFormat {
    /// hftbacktest's collector: a line is `<receive time, ns> <JSON>`, snapshots among the frames.
    Hftbacktest,
    /// cryptofeed's raw capture: `<receive time, s>: <JSON>`, REST answers as `<URL> -> <time>: <JSON>`, often in a second file.
    Cryptofeed,
    /// JSON lines of Upbit frames: `{"recv":<s>,"raw":{..}}`.
    UpbitWs,
}

impl CaptureFormat {
    const fn venue(self) -> Venue {
        match self {
            Self::Hftbacktest | Self::Cryptofeed => Venue::Binance,
            Self::UpbitWs => Venue::Upbit,
        }
    }
}

/// `assay import`.
#[derive(Debug, Clone, clap::Args)]
pub struct ImportArgs {
    /// The capture's format.
    #[arg(value_enum, value_name = "FORMAT")]
    pub format: CaptureFormat,
    /// Its files, plain or gzipped; those of one capture together.
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// The recording to write; it must not exist.
    #[arg(short, long, value_name = "OUT")]
    pub out: PathBuf,
    /// Binance's exchangeInfo of that time (JSON, plain or gzipped): ticks, lots and minimums of the symbols.
    #[arg(long, value_name = "FILE")]
    pub exchange_info: Option<PathBuf>,
}

/// Why a capture was not imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A file cannot be read, or its compression is damaged.
    #[error(
        "{}: reading stopped behind line {line} (byte {byte} of its text): {source}; fetch the file anew, or cut it there",
        path.display()
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// The last whole line, from 1.
        line: u64,
        /// Bytes read before.
        byte: u64,
        /// The cause.
        source: std::io::Error,
    },
    /// A line is not what the format says.
    #[error(
        "{} line {line} (byte {byte} of its text): {what}; nothing was imported: cut or mend that line, or name another format",
        path.display()
    )]
    Line {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: u64,
        /// Where it begins.
        byte: u64,
        /// What is wrong.
        what: String,
    },
    /// The output is there.
    #[error("{} exists already: a recording is never overwritten; choose another file", .0.display())]
    Exists(PathBuf),
    /// Nothing to import.
    #[error("there is no frame in the capture: name the files that hold the stream's lines")]
    Empty,
    /// The list of symbols cannot be read.
    #[error("{} is no exchangeInfo of Binance: {what}; name the body of /api/v3/exchangeInfo", path.display())]
    ExchangeInfo {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
}

/// What was imported, all of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Imported {
    /// Lines read.
    pub lines: u64,
    /// Of those, empty ones.
    pub blank: u64,
    /// Frames.
    pub frames: u64,
    /// REST snapshots.
    pub snapshots: u64,
    /// Connects that the capture shows.
    pub connects: u64,
    /// REST answers that are no order books: they have no place in a recording.
    pub other_answers: u64,
    /// Receive times that went backwards: set to the time before them, the order of lines kept.
    pub clamped: u64,
    /// Lines without a receive time of their own: the venue's, or that of the line before.
    pub untimed: u64,
    /// Symbols or codes seen.
    pub symbols: BTreeSet<String>,
    /// Members of the universe.
    pub members: u32,
    /// Records written.
    pub records: u64,
    /// Bytes written.
    pub bytes: u64,
}

/// Imports and says what came over.
///
/// # Errors
/// [`RunError::Import`], [`RunError::Recording`].
pub fn import(args: &ImportArgs) -> Result<u8, RunError> {
    let done = import_files(args.format, &args.files, args.exchange_info.as_deref(), &args.out)?;
    println!(
        "{}: {} frames and {} snapshots of {} symbols, {} records, {:.1} MB",
        args.out.display(),
        done.frames,
        done.snapshots,
        done.symbols.len(),
        done.records,
        done.bytes as f64 / 1e6
    );
    println!(
        "{} lines: {} frames, {} snapshots, {} connects, {} other answers, {} blank; {} times went backwards, {} had none",
        done.lines,
        done.frames,
        done.snapshots,
        done.connects,
        done.other_answers,
        done.blank,
        done.clamped,
        done.untimed
    );
    println!("`assay recording info {}` shows what is in it", args.out.display());
    Ok(0)
}

/// Imports a capture into `out`.
///
/// # Errors
/// As [`import`]; `out` is not there then.
pub fn import_files(
    format: CaptureFormat,
    files: &[PathBuf],
    exchange_info: Option<&Path>,
    out: &Path,
) -> Result<Imported, RunError> {
    if out.exists() {
        return Err(ImportError::Exists(out.to_owned()).into());
    }
    let listed = exchange_info.map(read_exchange_info).transpose()?.unwrap_or_default();
    let first = look(format, files)?;
    if first.done.frames == 0 {
        return Err(ImportError::Empty.into());
    }
    let aside = aside(out);
    let written = write(format, files, &first, &listed, &aside);
    let finished = written.and_then(|done| {
        std::fs::rename(&aside, out).map_err(RunError::io("rename to", out))?;
        Ok(done)
    });
    if finished.is_err() {
        // What is half written is no recording.
        let _ = std::fs::remove_file(&aside);
    }
    finished
}

fn aside(out: &Path) -> PathBuf {
    let mut name = out.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    out.with_file_name(name)
}

/// What the first pass found.
struct First {
    done: Imported,
    began: Timestamp,
    /// Which files hold frames: each is a connection.
    streams: Vec<bool>,
    /// The only symbol of a file, whose snapshots do not name theirs.
    only: Vec<Option<String>>,
}

/// Reads everything once: every line is understood, or the import ends here.
fn look(format: CaptureFormat, files: &[PathBuf]) -> Result<First, RunError> {
    let mut first = First {
        done: Imported::default(),
        began: Timestamp(i64::MAX),
        streams: Vec::new(),
        only: Vec::new(),
    };
    for path in files {
        let mut lines = Lines::open(format, path)?;
        let mut symbols = BTreeSet::new();
        let (mut frames, mut nameless, mut last) = (0u64, None, None);
        while let Some(item) = lines.next_item()? {
            let at = item.at.or(last).unwrap_or(Timestamp(0));
            first.done.untimed += u64::from(item.untimed);
            first.done.clamped += u64::from(last.is_some_and(|last| at < last));
            last = last.max(Some(at));
            first.began = first.began.min(at);
            match item.what {
                What::Frame { symbol, .. } => {
                    frames += 1;
                    symbols.extend(symbol);
                }
                What::Snapshot { symbol, .. } => {
                    first.done.snapshots += 1;
                    if symbol.is_none() {
                        nameless = nameless.or(Some((item.line, item.byte)));
                    }
                    symbols.extend(symbol);
                }
                What::Connect => first.done.connects += 1,
                What::OtherAnswer => first.done.other_answers += 1,
            }
        }
        first.done.frames += frames;
        (first.done.lines, first.done.blank) =
            (first.done.lines + lines.lines(), first.done.blank + lines.blank());
        let only = symbols.first().filter(|_| symbols.len() == 1).cloned();
        if let (Some((line, byte)), None) = (nameless, &only) {
            let what = format!("a snapshot without a symbol in a file of {} symbols", symbols.len());
            return Err(ImportError::Line { path: path.clone(), line, byte, what }.into());
        }
        first.streams.push(frames > 0);
        first.only.push(only);
        first.done.symbols.extend(symbols);
    }
    Ok(first)
}

fn write(
    format: CaptureFormat,
    files: &[PathBuf],
    first: &First,
    listed: &BTreeMap<String, BinanceSymbol>,
    path: &Path,
) -> Result<Imported, RunError> {
    let members = members(format, &first.done.symbols, listed);
    let mut done = Imported { members: members.len() as u32, ..first.done.clone() };
    let config = serde_json::to_string(&engine::Config::default())
        .map_err(|e| RunError::Internal(format!("[engine]: {e}")))?;
    // What an import that was killed left behind is no recording.
    let _ = std::fs::remove_file(path);
    let mut out = Out { writer: Writer::create(path)?, seq: 0, last: first.began };
    out.push(first.began, Input::Session { run_id: "import".to_owned(), config })?;
    out.push(first.began, Input::Universe { asked: done.members, members })?;
    let mut heads = Vec::new();
    for path in files {
        let mut lines = Lines::open(format, path)?;
        let head = lines.next_item()?;
        heads.push((lines, head));
    }
    let mut up = vec![false; files.len()];
    let mut last = vec![first.began; files.len()];
    // The file whose next line is the oldest; of equals the first, so that the order of arguments decides.
    while let Some(i) = (0..heads.len())
        .filter(|i| heads[*i].1.is_some())
        .min_by_key(|i| heads[*i].1.as_ref().and_then(|item| item.at).unwrap_or(last[*i]).max(last[*i]))
    {
        let (lines, head) = &mut heads[i];
        let Some(item) = head.take() else { break };
        *head = lines.next_item()?;
        last[i] = item.at.unwrap_or(last[i]).max(last[i]);
        let conn = i as ConnId;
        let connects = matches!(item.what, What::Connect);
        if first.streams[i] && !connects && !up[i] && matches!(item.what, What::Frame { .. }) {
            out.push(last[i], Input::ConnUp { conn, venue: format.venue() })?;
            up[i] = true;
        }
        match input(item, conn, &first.only[i]) {
            Some(input) => out.push(last[i], input)?,
            None if connects && first.streams[i] => {
                if up[i] {
                    let reason = "the capture connected anew".to_owned();
                    out.push(last[i], Input::ConnDown { conn, venue: format.venue(), reason })?;
                }
                up[i] = true;
                out.push(last[i], Input::ConnUp { conn, venue: format.venue() })?;
            }
            None => {}
        }
    }
    out.writer.sync()?;
    (done.records, done.bytes) = (out.seq, out.writer.written());
    Ok(done)
}

fn input(item: Item, conn: ConnId, only: &Option<String>) -> Option<Input> {
    match item.what {
        What::Frame { payload, .. } => Some(Input::Frame { conn, payload }),
        What::Snapshot { symbol, payload } => {
            // The first pass has looked: one of them is there. A symbol that is no ticker was an error there.
            let asset = filed_under(&symbol.or_else(|| only.clone())?)?;
            Some(Input::Snapshot { venue: Venue::Binance, asset, epoch: 0, payload })
        }
        What::Connect | What::OtherAnswer => None,
    }
}

struct Out {
    writer: Writer,
    seq: u64,
    last: Timestamp,
}

impl Out {
    fn push(&mut self, at: Timestamp, input: Input) -> Result<(), RunError> {
        self.seq += 1;
        self.last = self.last.max(at);
        Ok(self.writer.push(&Record { seq: self.seq, at: self.last, input })?)
    }
}

fn read_exchange_info(path: &Path) -> Result<BTreeMap<String, BinanceSymbol>, RunError> {
    let bytes = lines::read_whole(path)?;
    let wrong = |what: String| ImportError::ExchangeInfo { path: path.to_owned(), what };
    let listed = venues::binance::tables::parse_exchange_info(&bytes).map_err(|e| wrong(e.to_string()))?;
    Ok(listed.into_iter().map(|symbol| (symbol.symbol.clone(), symbol)).collect())
}

/// The universe of a capture: its symbols against USDT, or its codes against KRW. Without a list of symbols their steps are
/// the smallest there are: a capture does not tell them.
fn members(
    format: CaptureFormat,
    symbols: &BTreeSet<String>,
    listed: &BTreeMap<String, BinanceSymbol>,
) -> Vec<Member> {
    let base = |name: &String| match format.venue() {
        Venue::Binance => Asset::new(name.strip_suffix("USDT")?).ok(),
        Venue::Upbit => Asset::new(name.strip_prefix("KRW-")?).ok().filter(|a| *a != Asset::USDT),
    };
    let assets: BTreeSet<Asset> = symbols.iter().filter_map(base).collect();
    assets.into_iter().map(|asset| member(asset, listed)).collect()
}

fn member(asset: Asset, listed: &BTreeMap<String, BinanceSymbol>) -> Member {
    let code = format!("{asset}USDT");
    let known = listed.get(&code);
    let instrument = |venue, code: String, tick| Instrument {
        venue,
        asset,
        code,
        tick,
        lot: Quantity(1),
        min_quantity: Quantity::ZERO,
        max_quantity: Quantity::ZERO,
        min_notional: Money::ZERO,
    };
    let mut binance =
        instrument(Venue::Binance, code, TickRule::Fixed(known.map_or(Price(1), |symbol| symbol.tick)));
    if let Some(symbol) = known {
        binance.lot = symbol.lot;
        binance.min_quantity = symbol.min_qty;
        binance.max_quantity = symbol.max_market_qty;
        binance.min_notional = symbol.min_notional;
    }
    let upbit = instrument(Venue::Upbit, format!("KRW-{asset}"), TickRule::KrwBands);
    Member { asset, upbit, binance, turnover_usdt: Money::ZERO }
}
