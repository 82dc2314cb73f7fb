//! Real captures, imported, served by the local exchange and followed by the real clients over sockets: every symbol syncs without a
//! gap, the touch is the capture's at every step, and the end is the capture's end.

use crate::imports::data;
use exchange::tape::Playing;
use market::{Book, Level, Price, Quantity, Side, Timestamp, Venue};
use recording::series::Series;
use recording::{Input, Record};
use runner::books::{Books, filed_under};
use runner::import::{CaptureFormat, import_files};
use runner::info;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::mpsc;
use venues::upbit::stream::{Books as Spelled, Format};
use venues::{Endpoints, LevelBuffer, Rest, StreamEvent, StreamHandle, StreamSettings};

const PATIENCE: Duration = Duration::from_secs(60);

/// The exchange that plays `path`.
async fn serve(path: &Path, speed: f64, looped: bool) -> (exchange::Server, Endpoints) {
    let recording = Some(Playing { path: path.to_owned(), speed, looped });
    let options =
        exchange::Options { recording, ..exchange::Options::local(1, exchange::MarketKind::Calm, 1) };
    let server = exchange::start(options).await.unwrap();
    let endpoints = Endpoints::local(server.upbit, server.binance);
    (server, endpoints)
}

/// A client of one venue: a stream, requests for snapshots, and books that are kept by both.
struct Client {
    rest: Rest,
    books: Books,
    seq: u64,
    rx: mpsc::Receiver<venues::Stamped>,
    answers: (mpsc::UnboundedSender<Input>, mpsc::UnboundedReceiver<Input>),
    venue: Venue,
    downs: u64,
    _stream: StreamHandle,
}

/// What a step brought.
enum Seen {
    Frame(bytes::Bytes),
    Other,
}

impl Client {
    fn start(endpoints: &Endpoints, venue: Venue, set: Vec<String>, spelled: Spelled) -> Self {
        let (tx, rx) = mpsc::channel(1_024);
        let mut settings = StreamSettings::new(1);
        (settings.book_ticker, settings.upbit) = (true, spelled);
        let stream = match venue {
            Venue::Binance => venues::binance::stream::spawn_with(endpoints, &settings, 0, set, tx),
            Venue::Upbit => venues::upbit::stream::spawn_with(endpoints, &settings, 0, set, tx),
        };
        Self {
            rest: Rest::new(endpoints.clone()).unwrap(),
            books: Books::new(),
            seq: 0,
            rx,
            answers: mpsc::unbounded_channel(),
            venue,
            downs: 0,
            _stream: stream,
        }
    }

    /// Takes what comes next.
    async fn step(&mut self) -> Seen {
        let next = async {
            tokio::select! {
                biased;
                Some(answer) = self.answers.1.recv() => answer,
                event = self.rx.recv() => match event.unwrap().1 {
                    StreamEvent::Up { conn } => Input::ConnUp { conn, venue: self.venue },
                    StreamEvent::Down { conn, reason, .. } => {
                        self.downs += 1;
                        Input::ConnDown { conn, venue: self.venue, reason }
                    }
                    StreamEvent::Frame { conn, payload } => Input::Frame { conn, payload },
                    StreamEvent::Alive { conn } => Input::Alive { conn },
                },
            }
        };
        let input = tokio::time::timeout(PATIENCE, next).await.expect("nothing comes any more");
        self.seq += 1;
        let record = Record { seq: self.seq, at: Timestamp(self.seq as i64), input };
        self.books.on(&record);
        for symbol in self.books.take_wanted() {
            let (rest, tell) = (self.rest.clone(), self.answers.0.clone());
            let asset = filed_under(&symbol).unwrap();
            tokio::spawn(async move {
                let payload = rest.binance_depth_raw(&symbol, 5_000).await.unwrap();
                let _ = tell.send(Input::Snapshot { venue: Venue::Binance, asset, epoch: 0, payload });
            });
        }
        match record.input {
            Input::Frame { payload, .. } => Seen::Frame(payload),
            _ => Seen::Other,
        }
    }

    /// Whether every book stands where the recording ends.
    fn is_at(&self, end: &BTreeMap<String, u64>) -> bool {
        end.iter().all(|(symbol, id)| self.books.binance(symbol).is_some_and(|(_, last)| last == *id))
    }
}

/// Best bid and ask.
type Touch = [Option<Level>; 2];

fn touch(book: &Book) -> Touch {
    [Side::Bid, Side::Ask].map(|side| book.best(side))
}

fn levels(book: &Book, depth: usize) -> [Vec<Level>; 2] {
    [Side::Bid, Side::Ask].map(|side| book.iter(side).take(depth).collect())
}

/// The best quotes in a recording, by symbol and id.
fn quotes(path: &Path) -> BTreeMap<String, Vec<(u64, Touch)>> {
    let mut found: BTreeMap<String, Vec<(u64, Touch)>> = BTreeMap::new();
    let (mut series, mut buffer) = (Series::open(path).unwrap(), LevelBuffer::new());
    while let Some(record) = series.next_record().unwrap() {
        if let Input::Frame { payload, .. } = &record.input
            && let Ok(venues::binance::wire::Message::BookTicker(quote)) =
                venues::binance::wire::parse(payload, &mut buffer)
        {
            let both = [Some(quote.bid), Some(quote.ask)];
            found.entry(quote.symbol.to_owned()).or_default().push((quote.update_id, both));
        }
    }
    found
}

/// Where the Binance books of a recording end.
fn end_of(books: &Books) -> BTreeMap<String, u64> {
    books.binance_symbols().map(|(symbol, _)| (symbol.to_owned(), books.binance(symbol).unwrap().1)).collect()
}

struct Followed {
    books: Books,
    checks: u64,
}

/// Follows a served recording of Binance to its end, comparing the touch with the capture's quotes after every diff.
async fn follow(path: &Path, speed: f64) -> Followed {
    let recorded = info::read(path).unwrap();
    let (end, quotes) = (end_of(&recorded.books), quotes(path));
    let (server, endpoints) = serve(path, speed, false).await;
    let symbols: Vec<String> = end.keys().cloned().collect();
    let mut client = Client::start(&endpoints, Venue::Binance, symbols, Spelled::default());
    let (mut checks, mut last) = (0, BTreeMap::new());
    while !client.is_at(&end) {
        let Seen::Frame(_) = client.step().await else { continue };
        for (symbol, quotes) in &quotes {
            let Some((book, id)) = client.books.binance(symbol) else { continue };
            if last.insert(symbol.clone(), id) == Some(id) {
                continue;
            }
            // The newest quote with an id up to the book's: the two streams overtake each other.
            let at = quotes.partition_point(|(quote, _)| *quote <= id);
            if let Some((quote, wanted)) = at.checked_sub(1).and_then(|at| quotes.get(at)) {
                assert_eq!(touch(book), *wanted, "{symbol} at {id} against the quote {quote}");
                checks += 1;
            }
        }
    }
    let counts = client.books.counts();
    assert_eq!((counts.gaps, counts.crossed, counts.unreadable, client.downs), (0, 0, 0, 0), "{counts:?}");
    assert_eq!(client.books.binance_symbols().filter(|(_, live)| *live).count(), end.len());
    server.shutdown().await;
    for symbol in end.keys() {
        let (was, _) = recorded.books.binance(symbol).unwrap();
        let (is, _) = client.books.binance(symbol).unwrap();
        assert_eq!(levels(is, 500), levels(was, 500), "{symbol}");
    }
    Followed { books: client.books, checks }
}

fn imported(folder: &Path, format: CaptureFormat, files: &[PathBuf], rules: Option<&Path>) -> PathBuf {
    let out = folder.join("out.rec");
    import_files(format, files, rules, &out).unwrap();
    out
}

/// One symbol, with the numbers of the oracle.
async fn one_symbol(name: &str) {
    let (Some(capture), Some(expected)) =
        (data(&format!("binance/hftbacktest/{name}.gz")), data("binance/hftbacktest/EXPECTED.json"))
    else {
        return;
    };
    let expected: Value = serde_json::from_slice(&std::fs::read(expected).unwrap()).unwrap();
    let expected = &expected[name];
    let folder = tempfile::tempdir().unwrap();
    let recording = imported(folder.path(), CaptureFormat::Hftbacktest, &[capture], None);
    let followed = follow(&recording, 120.0).await;
    let (book, last) = followed.books.binance("BTCUSDT").unwrap();
    assert_eq!(last, expected["last_u"].as_u64().unwrap());
    for (side, best, depth) in
        [(Side::Bid, "final_best_bid", "levels_bid"), (Side::Ask, "final_best_ask", "levels_ask")]
    {
        let text = |i: usize| expected[best][i].as_str().unwrap();
        let wanted =
            Level { price: Price::parse(text(0)).unwrap(), quantity: Quantity::parse(text(1)).unwrap() };
        assert_eq!(book.best(side), Some(wanted));
        assert_eq!(book.depth(side) as u64, expected[depth].as_u64().unwrap(), "{side:?}");
    }
    // The client comes in a moment behind the beginning; what it missed came with its snapshot.
    let all = expected["depth_events_applied"].as_u64().unwrap();
    println!("{name}: {} of {all} touches compared", followed.checks);
    assert!(followed.checks > all / 2 && followed.checks <= all, "{}", followed.checks);
}

#[tokio::test]
async fn a_served_spot_capture_is_followed_to_the_expected_book() {
    one_symbol("spot_btcusdt_20240808").await;
}

#[tokio::test]
async fn a_served_usdm_capture_is_followed_to_the_expected_book() {
    one_symbol("usdm_btcusdt_20240808").await;
}

fn four_symbols(folder: &Path, prefix: &str, rules: Option<&str>) -> Option<PathBuf> {
    let name = |part: &str| data(&format!("binance/cryptofeed/{prefix}_{part}.txt"));
    let files = [name("ws")?, name("depth_snapshots_rest")?];
    let rules = rules.and_then(|name| data(&format!("binance/cryptofeed/{name}")));
    Some(imported(folder, CaptureFormat::Cryptofeed, &files, rules.as_deref()))
}

#[tokio::test]
async fn served_captures_of_four_symbols_sync_without_a_gap() {
    for (prefix, rules) in
        [("spot_20211012", Some("exchangeInfo_spot_20211012.json.gz")), ("usdm_20210722", None)]
    {
        let folder = tempfile::tempdir().unwrap();
        let Some(recording) = four_symbols(folder.path(), prefix, rules) else { return };
        let followed = follow(&recording, 15.0).await;
        assert_eq!(followed.books.binance_symbols().count(), 4);
    }
}

/// In a loop: the ids begin anew, so the connections are lost with every pass, and every pass ends with the same books.
#[tokio::test]
async fn a_looped_capture_ends_every_pass_with_its_books() {
    let folder = tempfile::tempdir().unwrap();
    let rules = Some("exchangeInfo_spot_20211012.json.gz");
    let Some(recording) = four_symbols(folder.path(), "spot_20211012", rules) else { return };
    let recorded = info::read(&recording).unwrap();
    let end = end_of(&recorded.books);
    let (server, endpoints) = serve(&recording, 5.0, true).await;
    let symbols: Vec<String> = end.keys().cloned().collect();
    let mut client = Client::start(&endpoints, Venue::Binance, symbols, Spelled::default());
    // On a machine that is busy a snapshot may come when its pass is over already: such a pass shows nothing.
    let mut whole = Vec::new();
    while whole.len() < 2 {
        let pass = client.downs;
        assert!(pass < 20, "no pass is seen to its end: {:?}", client.books.counts());
        while client.downs == pass && !client.is_at(&end) {
            client.step().await;
        }
        if client.downs > pass {
            continue;
        }
        for symbol in end.keys() {
            let (was, is) = (recorded.books.binance(symbol).unwrap(), client.books.binance(symbol).unwrap());
            assert_eq!(levels(is.0, 500), levels(was.0, 500), "{symbol} in pass {pass}");
        }
        whole.push(pass);
        while client.downs == pass {
            client.step().await;
        }
    }
    println!("passes seen to their end: {whole:?}");
    let counts = client.books.counts();
    assert_eq!((counts.gaps, counts.crossed, counts.unreadable), (0, 0, 0), "{counts:?}");
    server.shutdown().await;
}

/// Whether a frame is spelled as was asked.
fn is_spelled(frame: &[u8], format: Format) -> bool {
    let (list, short) = match format {
        Format::Default => (false, false),
        Format::Simple => (false, true),
        Format::JsonList => (true, false),
        Format::SimpleList => (true, true),
    };
    let text = std::str::from_utf8(frame).unwrap();
    text.starts_with('[') == list
        && text.contains("\"obu\"") == short
        && text.contains("\"orderbook_units\"") != short
}

#[tokio::test]
async fn a_served_upbit_capture_speaks_every_format_and_depth() {
    let Some(capture) = data("upbit/upbit_ws_SIMPLE_20210417_part1.jsonl") else { return };
    let folder = tempfile::tempdir().unwrap();
    let recording = imported(folder.path(), CaptureFormat::UpbitWs, &[capture], None);
    let recorded = info::read(&recording).unwrap();
    let codes: Vec<String> = recorded.books.upbit_codes().map(str::to_owned).collect();
    let (from, to) = recorded.books.span().unwrap();
    // A second for each of them, whatever the capture's length.
    let speed = (to.since(from) as f64 / 1e9).clamp(1.0, 1_000.0);
    for (format, depth) in Format::ALL.into_iter().zip([15u8, 5, 30, 1]) {
        let (server, endpoints) = serve(&recording, speed, false).await;
        let spelled = Spelled { format, depth };
        let mut client = Client::start(&endpoints, Venue::Upbit, codes.clone(), spelled);
        let same = |books: &Books, code: &String| {
            let was = levels(recorded.books.upbit(code).unwrap(), depth.into());
            books.upbit(code).is_some_and(|is| levels(is, 30) == was)
        };
        let mut frames = 0;
        while frames == 0 || !codes.iter().all(|code| same(&client.books, code)) {
            if let Seen::Frame(frame) = client.step().await
                && !frame.starts_with(b"{\"status\"")
            {
                assert!(is_spelled(&frame, format), "{format:?}: {}", String::from_utf8_lossy(&frame));
                frames += 1;
            }
        }
        let counts = client.books.counts();
        assert_eq!((counts.unreadable, counts.astray, client.downs), (0, 0, 0), "{format:?}: {counts:?}");
        server.shutdown().await;
    }
}
