//! What the fake prints: its log lines in several styles, texts given on the command line, floods.

use super::plan::LogStyle;
use std::io::Write;
use std::sync::OnceLock;
use std::time::Duration;

static STYLE: OnceLock<LogStyle> = OnceLock::new();

/// Sets the style of all lines, once.
pub(super) fn set_style(style: LogStyle) {
    let _ = STYLE.set(style);
}

/// A line of the log.
pub(super) fn say(level: &str, text: &str) {
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ");
    let style = STYLE.get().copied().unwrap_or(LogStyle::Plain);
    let line = match style {
        LogStyle::Nothing => return,
        LogStyle::Plain | LogStyle::Stderr => format!("{now} {level} {text}\n"),
        LogStyle::Crlf => format!("{now} {level} {text}\r\n"),
        LogStyle::Json => {
            let record =
                serde_json::json!({"ts": now.to_string(), "level": level.to_lowercase(), "msg": text});
            format!("{record}\n")
        }
        LogStyle::Logfmt => format!("ts={now} level={} msg={text:?}\n", level.to_lowercase()),
        LogStyle::Korean => format!("{now} {level} 순환 알림: {text} (오류 없음, 예외 처리 완료)\n"),
        LogStyle::Long => format!("{now} {level} {text} {}\n", "0123456789abcdef".repeat(1_250)),
        LogStyle::Words => format!(
            "{now} {level} {text}; error budget untouched, exception table loaded, no panic, fatal=0 crash=none, traceback off\n"
        ),
    };
    // A reader that has gone away is no reason to fall over.
    if style == LogStyle::Stderr {
        let _ = std::io::stderr().lock().write_all(line.as_bytes());
    } else {
        let _ = std::io::stdout().lock().write_all(line.as_bytes());
    }
}

/// Turns `\n`, `\r`, `\t`, `\0`, `\\` and `\xNN` into what they mean.
pub(super) fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&b, after)) = rest.split_first() {
        rest = after;
        let (b'\\', Some((&code, after))) = (b, rest.split_first()) else {
            out.push(b);
            continue;
        };
        rest = after;
        match code {
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'0' => out.push(0),
            b'x' if rest.len() >= 2 => {
                let hex = std::str::from_utf8(&rest[..2]).ok().and_then(|h| u8::from_str_radix(h, 16).ok());
                out.extend(hex);
                rest = &rest[2..];
            }
            other => out.push(other),
        }
    }
    out
}

/// Writes bytes to standard output or error, in pieces of `piece` bytes with a pause between them when that is not 0.
pub(super) fn print(bytes: &[u8], to_err: bool, piece: usize) {
    let size = if piece == 0 { bytes.len().max(1) } else { piece };
    for chunk in bytes.chunks(size) {
        if to_err {
            let _ = std::io::stderr().lock().write_all(chunk);
        } else {
            let mut out = std::io::stdout().lock();
            let _ = out.write_all(chunk).and_then(|()| out.flush());
        }
        if piece > 0 {
            std::thread::sleep(Duration::from_millis(3));
        }
    }
}

/// Prints so many megabytes of ordinary lines on a thread of its own.
pub(super) fn flood(megabytes: u64) {
    std::thread::spawn(move || {
        let line =
            "2026-01-02T03:04:05.678Z DEBUG book KRW-XRP bid 812.3 ask 812.4 depth 15 sequence 123456789\n";
        let block = line.repeat(65_536 / line.len());
        let mut left = megabytes * 1_000_000;
        let mut out = std::io::stdout();
        while left > 0 && out.write_all(block.as_bytes()).is_ok() {
            left = left.saturating_sub(block.len() as u64);
        }
    });
}

/// What a healthy program prints when it deals with an exception, and when it quotes somebody else's.
pub(super) fn handled() {
    let trace = "Traceback (most recent call last):\n  File \"/opt/bot/feed.py\", line 88, in poll\n    frame = \
                 self.queue.get_nowait()\n  File \"/usr/lib/python3.11/queue.py\", line 199, in get_nowait\n    return \
                 self.get(block=False)\n_queue.Empty\n";
    print(trace.as_bytes(), true, 0);
    say("WARNING", "feed: empty queue, asked again (1 of 3)");
    say("INFO", "peer said: \"Traceback (most recent call last):\" in its status field");
    say("INFO", "documentation: > thread 'main' panicked at src/main.rs:1:1: is what a crash looks like");
}
