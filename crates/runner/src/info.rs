//! `assay recording info`: what is in a recording, and what is wrong with it.

use crate::books::{Books, Counts};
use crate::clock::rfc3339;
use crate::error::RunError;
use market::{Book, Side, Venue};
use recording::Input;
use recording::series::Problem;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// `assay recording info`.
#[derive(Debug, Clone, clap::Args)]
pub struct InfoArgs {
    /// The recording: a file, or the folder of its files.
    #[arg(value_name = "FILE|DIR")]
    pub path: PathBuf,
    /// Exit code 22 when anything is missing or damaged.
    #[arg(long)]
    pub verify: bool,
    /// Each symbol with its book at the end.
    #[arg(long)]
    pub books: bool,
}

/// What is in a recording.
#[derive(Debug)]
pub struct Info {
    /// Files.
    pub files: usize,
    /// Bytes in whole blocks.
    pub bytes: u64,
    /// Whole blocks.
    pub blocks: u64,
    /// Records.
    pub records: u64,
    /// Run id of the session.
    pub run_id: Option<String>,
    /// Records that a cap removed before the first one.
    pub removed: u64,
    /// What is missing or damaged.
    pub problems: Vec<Problem>,
    /// The books at the end, and what was counted on the way.
    pub books: Books,
    /// Frames of each connection.
    pub frames: std::collections::BTreeMap<recording::ConnId, u64>,
}

/// Reads a recording to its end. Damage in a single file ends the reading and is among the problems.
///
/// # Errors
/// [`RunError::NotFound`], [`RunError::Recording`] for what is no recording at all.
pub fn read(path: &Path) -> Result<Info, RunError> {
    let mut series = crate::replay::open(path)?;
    let mut info = Info {
        files: series.files(),
        bytes: 0,
        blocks: 0,
        records: 0,
        run_id: None,
        removed: 0,
        problems: Vec::new(),
        books: Books::new(),
        frames: std::collections::BTreeMap::new(),
    };
    loop {
        match series.next_record() {
            Ok(Some(record)) => {
                info.records += 1;
                match &record.input {
                    Input::Session { run_id, .. } | Input::Resume { run_id, .. } => {
                        info.run_id.get_or_insert_with(|| run_id.clone());
                    }
                    Input::Frame { conn, .. } => *info.frames.entry(*conn).or_default() += 1,
                    _ => {}
                }
                info.books.on(&record);
            }
            Ok(None) => break,
            Err(recording::file::FileError::Damaged { path, offset, what }) => {
                info.problems.push(Problem::Damaged { path, offset, what });
                break;
            }
            Err(error) => return Err(error.into()),
        }
    }
    info.problems.splice(0..0, series.problems().iter().cloned());
    (info.bytes, info.blocks, info.removed) = (series.bytes(), series.blocks(), series.removed());
    Ok(info)
}

/// Prints it. 22 with `--verify` when something is missing or damaged.
///
/// # Errors
/// As [`read`].
pub fn info(args: &InfoArgs) -> Result<u8, RunError> {
    let info = read(&args.path)?;
    print!("{}", render(&info, args.books));
    let bad = args.verify && !info.problems.is_empty();
    Ok(if bad { catalogue::exit_codes::DISAGREES } else { 0 })
}

/// As text.
pub fn render(info: &Info, books: bool) -> String {
    let mut out = String::new();
    let Counts {
        frames,
        frame_bytes,
        upbit_books,
        diffs_applied,
        quotes,
        snapshots,
        snapshots_unfit,
        snapshots_failed,
        gaps,
        crossed,
        downs,
        unreadable,
        astray,
        other,
    } = *info.books.counts();
    let mut line = |name: &str, text: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{name:<13}{text}");
    };
    line("session", info.run_id.clone().unwrap_or_else(|| "none".to_owned()));
    if let Some((first, last)) = info.books.span() {
        let seconds = last.secs_since(first);
        line("span", format!("{} to {}, {seconds:.3} s", rfc3339(first), rfc3339(last)));
    }
    line("files", format!("{}, {} blocks, {} bytes", info.files, info.blocks, info.bytes));
    line("records", info.records.to_string());
    if info.removed > 0 {
        line("", format!("begins behind record {}: older ones were removed at a cap", info.removed));
    }
    line("frames", format!("{frames}, {frame_bytes} bytes, {other} of them no books"));
    for (conn, venue) in info.books.connections() {
        let frames = info.frames.get(&conn).copied().unwrap_or(0);
        line("connection", format!("{conn} of {venue}: {frames} frames"));
    }
    line("universe", format!("{} members", info.books.members().len()));
    let live = info.books.binance_symbols().filter(|(_, live)| *live).count();
    let followed = info.books.binance_symbols().count();
    line(
        "binance",
        format!(
            "{followed} symbols, {live} books at the end, {diffs_applied} diffs applied, {quotes} best quotes"
        ),
    );
    line(
        "snapshots",
        format!("{snapshots}, {snapshots_unfit} did not fit their diffs, {snapshots_failed} requests failed"),
    );
    line("upbit", format!("{} codes, {upbit_books} books", info.books.upbit_codes().count()));
    line("gaps", format!("{gaps} in the ids, {downs} connections lost, {crossed} books crossed"));
    line("unread", format!("{unreadable} not understood, {astray} of a connection that was not up"));
    if info.problems.is_empty() {
        line("damage", "none: every block is whole and in order".to_owned());
    }
    for problem in &info.problems {
        line("damage", problem.to_string());
    }
    if books {
        out.push_str(&render_books(&info.books));
    }
    out
}

fn render_books(books: &Books) -> String {
    let mut out = String::new();
    let mut line = |venue: Venue, name: &str, text: String| {
        let _ = writeln!(out, "{:<13}{name:<14}{text}", venue.to_string());
    };
    for code in books.upbit_codes() {
        line(Venue::Upbit, code, books.upbit(code).map_or_else(String::new, touch));
    }
    for (symbol, _) in books.binance_symbols() {
        let text = match books.binance(symbol) {
            Some((book, id)) => format!("{}, last id {id}", touch(book)),
            None => "no book: a snapshot that fits its diffs is not in the recording".to_owned(),
        };
        line(Venue::Binance, symbol, text);
    }
    out
}

fn touch(book: &Book) -> String {
    let side = |side| match book.best(side) {
        Some(level) => format!("{} x {}", level.price, level.quantity),
        None => "nothing".to_owned(),
    };
    let (bids, asks) = (book.depth(Side::Bid), book.depth(Side::Ask));
    format!("{} | {}, {bids} and {asks} levels", side(Side::Bid), side(Side::Ask))
}
