//! The lines of captures: what each of them is, in the order of its file.

use super::{CaptureFormat, ImportError};
use crate::books::filed_under;
use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use market::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// No line of a capture is longer: a file without line ends is no capture.
const MOST: u64 = 48 * 1024 * 1024;

/// What a line holds.
#[derive(Debug)]
pub(super) enum What {
    /// A message of the stream, byte for byte, and the symbol it is about where it names one.
    Frame {
        /// Symbol or code.
        symbol: Option<String>,
        /// The message.
        payload: Bytes,
    },
    /// A REST book.
    Snapshot {
        /// Its symbol, where the line names one.
        symbol: Option<String>,
        /// The body.
        payload: Bytes,
    },
    /// The stream was connected.
    Connect,
    /// Another REST answer.
    OtherAnswer,
}

/// A line.
#[derive(Debug)]
pub(super) struct Item {
    /// Its receive time.
    pub(super) at: Option<Timestamp>,
    /// It has no receive time of its own.
    pub(super) untimed: bool,
    pub(super) line: u64,
    pub(super) byte: u64,
    pub(super) what: What,
}

/// A capture's file.
pub(super) struct Lines {
    format: CaptureFormat,
    path: PathBuf,
    source: Box<dyn BufRead>,
    buffer: Vec<u8>,
    line: u64,
    blank: u64,
    /// Where the line begins, and where the next one does.
    byte: u64,
    next: u64,
}

fn source(path: &Path) -> Result<Box<dyn BufRead>, ImportError> {
    let read = |source| ImportError::Read { path: path.to_owned(), line: 0, byte: 0, source };
    let mut file = BufReader::with_capacity(1 << 20, File::open(path).map_err(read)?);
    let is_gzip = file.fill_buf().map_err(read)?.starts_with(&[0x1f, 0x8b]);
    Ok(if is_gzip {
        Box::new(BufReader::with_capacity(1 << 20, MultiGzDecoder::new(file)))
    } else {
        Box::new(file)
    })
}

/// A whole file, unpacked.
pub(super) fn read_whole(path: &Path) -> Result<Vec<u8>, ImportError> {
    let mut bytes = Vec::new();
    let read = |source| ImportError::Read { path: path.to_owned(), line: 0, byte: 0, source };
    source(path)?.take(MOST * 4).read_to_end(&mut bytes).map_err(read)?;
    Ok(bytes)
}

impl Lines {
    pub(super) fn open(format: CaptureFormat, path: &Path) -> Result<Self, ImportError> {
        let source = source(path)?;
        Ok(Self {
            format,
            path: path.to_owned(),
            source,
            buffer: Vec::new(),
            line: 0,
            blank: 0,
            byte: 0,
            next: 0,
        })
    }

    /// Lines read so far.
    pub(super) const fn lines(&self) -> u64 {
        self.line
    }

    /// Of those, empty ones.
    pub(super) const fn blank(&self) -> u64 {
        self.blank
    }

    fn wrong(&self, what: impl Into<String>) -> ImportError {
        ImportError::Line { path: self.path.clone(), line: self.line, byte: self.byte, what: what.into() }
    }

    pub(super) fn next_item(&mut self) -> Result<Option<Item>, ImportError> {
        loop {
            self.buffer.clear();
            self.byte = self.next;
            let read = (&mut self.source).take(MOST + 1).read_until(b'\n', &mut self.buffer);
            let read = read.map_err(|source| ImportError::Read {
                path: self.path.clone(),
                line: self.line,
                byte: self.byte,
                source,
            })? as u64;
            if read == 0 {
                return Ok(None);
            }
            self.line += 1;
            self.next += read;
            if read > MOST {
                return Err(self.wrong(format!("it is longer than {MOST} bytes")));
            }
            let text = std::str::from_utf8(&self.buffer).map_err(|e| self.wrong(e.to_string()))?;
            let text = text.trim_end_matches(['\n', '\r']);
            if text.trim().is_empty() {
                self.blank += 1;
                continue;
            }
            let parsed = match self.format {
                CaptureFormat::Hftbacktest => hftbacktest(text),
                CaptureFormat::Cryptofeed => cryptofeed(text),
                CaptureFormat::UpbitWs => upbit_ws(text),
            };
            let (at, untimed, what) = parsed.map_err(|what| self.wrong(what))?;
            let (line, byte) = (self.line, self.byte);
            return Ok(Some(Item { at, untimed, line, byte, what }));
        }
    }
}

type Parsed = Result<(Option<Timestamp>, bool, What), String>;

/// `1723161253937085768 {"stream":..}`; a line with `lastUpdateId` and no stream is a REST book.
fn hftbacktest(text: &str) -> Parsed {
    let (at, json) = text.split_once(' ').ok_or("it has no receive time and message")?;
    let nanos: i64 = at.parse().map_err(|_| format!("{at:?} is no time in nanoseconds"))?;
    Ok((Some(Timestamp(nanos)), false, message(json)?))
}

/// `1633998512.06: {..}`; `wss://.. <-> 1633998511.15`; `https://..?symbol=NKNUSDT -> 1633998512.32: {..}`.
fn cryptofeed(text: &str) -> Parsed {
    if text.starts_with("ws://") || text.starts_with("wss://") {
        let (_, at) = text.split_once(" <-> ").ok_or("an address without a connect time")?;
        return Ok((Some(seconds(at)?), false, What::Connect));
    }
    if text.starts_with("http://") || text.starts_with("https://") {
        let (url, answer) = text.split_once(" -> ").ok_or("an address without an answer")?;
        let (at, json) = answer.split_once(": ").ok_or("an answer without a time")?;
        let at = Some(seconds(at)?);
        if !url.contains("/depth?") {
            valid(json)?;
            return Ok((at, false, What::OtherAnswer));
        }
        let query = url.split_once('?').map_or("", |(_, query)| query);
        let symbol = query.split('&').find_map(|pair| pair.strip_prefix("symbol="));
        let symbol = symbol.ok_or("the address of a book names no symbol")?.to_ascii_uppercase();
        filed_under(&symbol).ok_or_else(|| format!("{symbol:?} is no symbol"))?;
        let payload = book(json)?;
        return Ok((at, false, What::Snapshot { symbol: Some(symbol), payload }));
    }
    let (at, json) = text.split_once(": ").ok_or("it has no receive time and message")?;
    Ok((Some(seconds(at)?), false, message(json)?))
}

#[derive(Deserialize)]
struct Captured<'a> {
    #[serde(borrow)]
    recv: Option<&'a RawValue>,
    #[serde(borrow)]
    raw: &'a RawValue,
}

#[derive(Deserialize)]
struct UpbitHead<'a> {
    #[serde(borrow, alias = "cd")]
    code: Option<Cow<'a, str>>,
    #[serde(alias = "tms")]
    timestamp: Option<i64>,
}

/// `{"recv":1618678263.01,"raw":{..}}`.
fn upbit_ws(text: &str) -> Parsed {
    let captured: Captured<'_> = serde_json::from_str(text).map_err(|e| e.to_string())?;
    let head: UpbitHead<'_> = serde_json::from_str(captured.raw.get()).map_err(|e| e.to_string())?;
    let recv = captured.recv.map(|recv| seconds(recv.get())).transpose()?;
    let at = recv.or_else(|| head.timestamp.map(Timestamp::from_millis));
    let payload = Bytes::copy_from_slice(captured.raw.get().as_bytes());
    Ok((at, recv.is_none(), What::Frame { symbol: head.code.map(Cow::into_owned), payload }))
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    stream: Option<Cow<'a, str>>,
    #[serde(borrow)]
    s: Option<Cow<'a, str>>,
    #[serde(rename = "lastUpdateId")]
    last_update_id: Option<u64>,
}

fn message(json: &str) -> Result<What, String> {
    let head: Head<'_> = serde_json::from_str(json).map_err(|e| e.to_string())?;
    if head.stream.is_none() && head.last_update_id.is_some() {
        return Ok(What::Snapshot { symbol: None, payload: book(json)? });
    }
    let of_stream =
        head.stream.as_deref().and_then(|name| Some(name.split_once('@')?.0.to_ascii_uppercase()));
    let symbol = of_stream.or_else(|| head.s.map(Cow::into_owned)).filter(|name| !name.is_empty());
    if let Some(symbol) = &symbol {
        filed_under(symbol).ok_or_else(|| format!("{symbol:?} is no symbol"))?;
    }
    Ok(What::Frame { symbol, payload: Bytes::copy_from_slice(json.as_bytes()) })
}

/// A REST book, which our own parser must understand: without it nothing behind it has a meaning.
fn book(json: &str) -> Result<Bytes, String> {
    let mut levels = venues::LevelBuffer::new();
    venues::binance::wire::parse_snapshot(json.as_bytes(), &mut levels)
        .map_err(|e| format!("a book that cannot be read: {e}"))?;
    Ok(Bytes::copy_from_slice(json.as_bytes()))
}

fn valid(json: &str) -> Result<(), String> {
    serde_json::from_str::<serde::de::IgnoredAny>(json).map(drop).map_err(|e| e.to_string())
}

/// Seconds since 1970 with a fraction, exactly; digits beyond the nanosecond are cut.
fn seconds(text: &str) -> Result<Timestamp, String> {
    let wrong = || format!("{text:?} is no time in seconds");
    let text = text.trim();
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) {
        return Err(wrong());
    }
    let nanos: i64 = format!("{fraction:0<9}").get(..9).and_then(|t| t.parse().ok()).ok_or_else(wrong)?;
    let whole: i64 = whole.parse().map_err(|_| wrong())?;
    whole.checked_mul(1_000_000_000).and_then(|n| n.checked_add(nanos)).map(Timestamp).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_read_exactly() {
        assert_eq!(seconds("1633998512.0633569"), Ok(Timestamp(1_633_998_512_063_356_900)));
        assert_eq!(seconds("1633998512"), Ok(Timestamp(1_633_998_512_000_000_000)));
        assert_eq!(seconds("1.1234567891"), Ok(Timestamp(1_123_456_789)));
        for wrong in ["", "x", "-1", "1e9", "1.-5", "99999999999999999999", "9999999999999.0"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
