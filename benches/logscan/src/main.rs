//! The log watch beside ripgrep, in one run: a log of one gigabyte as the engine writes it, with some errors and traces, is scanned by
//! the log watch and by `rg -c` with the same patterns; then the same bytes go through a pipe into the console log, counted.
//!
//! Other programs share the machine: the time compared is wall time, the best of three alternating rounds.
//! `cargo run --release -p bench-logscan [-- MEGABYTES]` in `benches`. Needs `rg` on the path for the comparison.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use validate::logwatch::{LevelRules, LogWatch, Stream, marks};
use validate::watch::output::{Output, Setup};

/// Rounds; the best of each side counts, because other programs run on the machine too.
const ROUNDS: usize = 3;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let megabytes: usize = std::env::args().nth(1).map_or(Ok(1_000), |text| text.parse())?;
    let folder = std::env::temp_dir().join(format!("logscan-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let result = measure(&folder, megabytes);
    std::fs::remove_dir_all(&folder)?;
    result
}

fn measure(folder: &Path, megabytes: usize) -> Result<(), Box<dyn std::error::Error>> {
    let block = engine_lines(32_000_000);
    let path = folder.join("engine.log");
    let mut file = File::create(&path)?;
    for _ in 0..megabytes.div_ceil(32) {
        file.write_all(&block)?;
    }
    drop(file);
    let bytes = std::fs::metadata(&path)?.len();
    let patterns = folder.join("patterns");
    std::fs::write(&patterns, in_one_line().join("\n"))?;

    let (mut ours, mut theirs) = (Duration::MAX, Duration::MAX);
    let mut said = String::new();
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let watch = scan(&path)?;
        ours = ours.min(began.elapsed());
        said = format!("{:?}", watch.counters());
        let began = Instant::now();
        let count = Command::new("rg").args(["-c", "-a", "-F", "-f"]).arg(&patterns).arg(&path).output();
        match count {
            Ok(_) => theirs = theirs.min(began.elapsed()),
            Err(e) => println!("rg cannot be run: {e}"),
        }
    }
    let rate = |took: Duration| bytes as f64 / 1e6 / took.as_secs_f64();
    println!("{} MB, {} patterns", bytes / 1_000_000, in_one_line().len());
    println!("scan: log watch {:.0} MB/s, rg -c {:.0} MB/s", rate(ours), rate(theirs));
    println!("scan: {:.2} times the speed of rg -c (bar: 0.5)", rate(ours) / rate(theirs));
    println!("scan: {said}");

    let mut best = Duration::MAX;
    for round in 0..ROUNDS {
        best = best.min(pipe(folder, &format!("round{round}"), &block, bytes)?);
    }
    println!("pipe to file with counters: {:.0} MB/s (bar: 300)", rate(best));
    Ok(())
}

/// The patterns that one line can hold: ripgrep looks at lines.
fn in_one_line() -> Vec<&'static str> {
    [&marks::STRUCTURE[..], &marks::FRAMES, &marks::PHRASES, &marks::LEVELS, &marks::OTHERS]
        .concat()
        .into_iter()
        .filter(|mark| !mark.contains('\n'))
        .collect()
}

fn scan(path: &Path) -> std::io::Result<LogWatch> {
    let mut watch = LogWatch::new();
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 1 << 20];
    let began = Instant::now();
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            break;
        }
        watch.feed(Stream::Out, &buffer[..n], began.elapsed().as_secs_f64());
        drop(watch.take_suspects());
    }
    watch.finish(began.elapsed().as_secs_f64());
    Ok(watch)
}

/// From the first byte written into the pipe until all of it is on file and counted.
fn pipe(folder: &Path, label: &str, block: &[u8], bytes: u64) -> std::io::Result<Duration> {
    let (reader, mut writer) = std::io::pipe()?;
    let began = Instant::now();
    let setup = Setup { folder, label, cap: 4 * bytes, rules: LevelRules::default(), began };
    let output = Output::start(Some(reader), None, setup)?;
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for _ in 0..bytes / block.len() as u64 {
                if writer.write_all(block).is_err() {
                    return;
                }
            }
        });
        while !output.is_closed() {
            std::thread::sleep(Duration::from_millis(1));
            drop(output.look(began.elapsed().as_secs_f64()));
        }
    });
    let took = began.elapsed();
    let (_, _, _, dropped) = output.finish(took.as_secs_f64());
    if dropped > 0 {
        println!("pipe: {dropped} bytes dropped");
    }
    std::fs::remove_file(folder.join(format!("{label}_console.log")))?;
    Ok(took)
}

/// Lines as the engine writes them: of 1 000, some 985 INFO and DEBUG, 10 WARN, 4 ERROR, now and then a trace.
fn engine_lines(size: usize) -> Vec<u8> {
    let mut text = String::with_capacity(size + 4_096);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut n = 0_u64;
    while text.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        n += 1;
        let (a, b) = (state % 1_000, state >> 40);
        let time =
            format!("2026-11-23T02:{:02}:{:02}.{:06}Z", n / 60_000 % 60, n / 1_000 % 60, n % 1_000_000);
        let _ = match a {
            0..400 => writeln!(
                text,
                "{time}  INFO runner::hot: Iteration [{n}] symbols=50 evaluated={b} opportunities=0 latency_ms=0.{a:03}"
            ),
            400..700 => writeln!(
                text,
                "{time} DEBUG venues::upbit::stream: book symbol=KRW-BTC bid=93{b} ask=93{b} depth=15 age_ms={a}"
            ),
            700..985 => writeln!(
                text,
                "{time}  INFO runner::writer: trade id={n} route=upbit>binance symbol=ETH side=buy qty=0.{b} net_usd=0.{a}"
            ),
            985..995 => writeln!(
                text,
                "{time}  WARN venues::binance::rest: slow answer took_ms={a} path=/api/v3/depth"
            ),
            995..999 => {
                writeln!(
                    text,
                    "{time} ERROR engine::legs: second leg refused: insufficient balance order={n} code={a}"
                )
            }
            _ if b % 20 == 0 => writeln!(
                text,
                "Traceback (most recent call last):\n  File \"/srv/bot/feed.py\", line {a}, in read\n    frame = await ws.recv()\n\
                 ConnectionClosed: code 1006"
            ),
            _ => writeln!(text, "{time} ERROR alerts::dispatch: delivery failed attempt=3 status=503"),
        };
    }
    text.truncate(size);
    text.push('\n');
    text.into_bytes()
}
