//! `assay record`: the market part of a run without an engine. All connections into one ordered log in the recording format.
//!
//! What it writes is what a run's input log holds, so that `assay replay` reads it: a session with the engine's configuration,
//! the universe, connections, frames, snapshots, candles, health, budgets. Snapshots are asked for by the books beside the log
//! (`books`), and carry epoch 0. The universe is refreshed as a run refreshes it, unless the symbols were named: who joins is
//! followed from then on; who leaves is recorded on, because an engine that replays the log may hold a position there.

use crate::args::{DataSource, RecordArgs};
use crate::clock::{Clock, rfc3339};
use crate::config;
use crate::error::RunError;
use crate::hot::SnapshotRequest;
use crate::keeper::{Keeper, Schedule};
use crate::recorder::{Recorder, RecorderStats};
use crate::requests::Requests;
use crate::rolling::{Progress, Rolling, Shown};
use crate::session;
use crate::signals::Signals;
use crate::streams::Streams;
use crate::universe::{self, Chosen};
use engine::universe::{Found, turnover};
use market::{Asset, Member, Timestamp, Venue};
use recording::series::{Limits, SeriesWriter};
use recording::{Input, LeftOut, Record};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use venues::{Endpoints, Rest, Stamped, StreamEvent};

const MB: u64 = 1_000_000;
/// A file is full at this size.
const ROTATE_MB: u64 = 256;
/// Events that wait for the log.
const QUEUE: usize = 16_384;
/// After a snapshot that did not fit, or failed without saying how long to wait.
const RETRY: Duration = Duration::from_secs(1);

/// Records until its duration is over or a signal comes.
///
/// # Errors
/// [`RunError`]; what was recorded up to then is in the folder.
pub fn record(args: RecordArgs) -> Result<u8, RunError> {
    let clock = Clock::start();
    crate::logs::install(args.log_format);
    let result = start(&args, clock);
    if let Err(error) = &result {
        tracing::error!(%error, exit_code = error.exit_code(), "the recording failed");
    }
    crate::logs::flush();
    result
}

fn limits(args: &RecordArgs) -> Result<Limits, RunError> {
    let usual = args.cap_mb.map_or(ROTATE_MB, |cap| (cap / 4).clamp(1, ROTATE_MB));
    let rotate = args.rotate_mb.unwrap_or(usual);
    if args.cap_mb.is_some_and(|cap| rotate.saturating_mul(2) > cap) {
        return Err(RunError::Config(format!(
            "--cap-mb must be at least twice --rotate-mb ({rotate}): what goes at the cap is the oldest whole file"
        )));
    }
    Ok(Limits {
        rotate_bytes: rotate.saturating_mul(MB),
        rotate_every: Duration::from_secs(args.rotate_minutes.saturating_mul(60)),
        cap_bytes: args.cap_mb.map(|cap| cap.saturating_mul(MB)),
    })
}

fn start(args: &RecordArgs, clock: Clock) -> Result<u8, RunError> {
    let limits = limits(args)?;
    let mut config = config::load(args.config.as_deref())?;
    config.engine.topn = u32::try_from(args.symbols.len()).ok().filter(|n| *n > 0).unwrap_or(args.topn_size);
    config.engine.check().map_err(|e| RunError::Config(format!("[engine] {e}")))?;
    let endpoints = match args.data_source {
        DataSource::Real => Endpoints::real(),
        DataSource::Local => session::endpoints(&config)?,
        DataSource::Replay => {
            let why = "a recording is no market to record: --data-source is real or local";
            return Err(RunError::Config(why.to_owned()));
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| RunError::Internal(format!("no runtime: {e}")))?;
    runtime.block_on(async {
        let mut signals = Signals::listen()?;
        let rest = Arc::new(Rest::new(endpoints.clone()).map_err(|e| RunError::Internal(e.to_string()))?);
        let choose = async {
            if args.symbols.is_empty() {
                universe::choose(&rest, args.topn_size, &config.filters).await
            } else {
                universe::named(&rest, &args.symbols).await
            }
        };
        let chosen = tokio::select! {
            chosen = choose => chosen?,
            () = signals.wait() => return Ok(0),
        };
        let market = Market::open(args, clock, limits, &config, chosen, rest, &endpoints)?;
        market.follow(args, &mut signals).await
    })
}

/// The market being recorded.
struct Market {
    clock: Clock,
    recorder: Recorder,
    stats: Arc<RecorderStats>,
    shown: Shown,
    seq: u64,
    last: Timestamp,
    rest: Arc<Rest>,
    requests: Requests,
    assets: BTreeMap<String, Asset>,
    /// The universe.
    members: Vec<Member>,
    /// Those and the ones that left: all are recorded.
    followed: Vec<Member>,
    change_pct: u32,
    fx_code: String,
    keeper: Keeper,
    rx: mpsc::Receiver<Stamped>,
    wanted: mpsc::UnboundedReceiver<String>,
    /// Snapshots to ask for again, and when.
    later: BTreeMap<Asset, Instant>,
    /// When each was asked for last: a market that never fits must not become a tight loop of requests.
    asked: BTreeMap<Asset, Instant>,
    streams: Streams,
}

impl Market {
    fn open(
        args: &RecordArgs,
        clock: Clock,
        limits: Limits,
        config: &config::FileConfig,
        chosen: Chosen,
        rest: Arc<Rest>,
        endpoints: &Endpoints,
    ) -> Result<Self, RunError> {
        let (tell, wanted) = mpsc::unbounded_channel();
        let shown = Shown::default();
        let series = SeriesWriter::create(&args.out, limits)?;
        let recorder = Recorder::rolling(Rolling::new(series).telling(tell, Arc::clone(&shown)))?;
        let members = chosen.selection.members;
        let (tx, rx) = mpsc::channel(QUEUE);
        let settings = config.streams.settings(config.engine.seed).sharing(&rest);
        let streams = Streams::open(endpoints, &settings, &members, &chosen.fx_code, &tx);
        let requests = Requests::start(Arc::clone(&rest), &members, &chosen.fx_code);
        let keeper = keep(config, args.symbols.is_empty(), &rest, &members, &requests)?;
        let mut market = Self {
            clock,
            stats: recorder.stats(),
            recorder,
            shown,
            seq: 0,
            last: clock.started(),
            rest,
            requests,
            assets: members.iter().map(|m| (m.binance.code.clone(), m.asset)).collect(),
            members: members.clone(),
            followed: members.clone(),
            change_pct: config.engine.universe_change_pct,
            fx_code: chosen.fx_code,
            keeper,
            rx,
            wanted,
            later: BTreeMap::new(),
            asked: BTreeMap::new(),
            streams,
        };
        let run_id = format!("recording-{}", rfc3339(clock.started()).replace([':', '-', '.'], ""));
        let text = serde_json::to_string(&config.engine)
            .map_err(|e| RunError::Internal(format!("[engine]: {e}")))?;
        tracing::info!(
            out = %args.out.display(),
            members = members.len(),
            run_id,
            "recording begins"
        );
        market.push(Input::Session { run_id, config: text }, Instant::now());
        market.push(Input::Universe { asked: config.engine.topn, members }, Instant::now());
        Ok(market)
    }

    /// The next record of the log.
    fn push(&mut self, input: Input, received: Instant) {
        self.seq += 1;
        self.last = self.clock.at(received).max(self.last);
        self.recorder.push(Record { seq: self.seq, at: self.last, input });
    }

    async fn follow(mut self, args: &RecordArgs, signals: &mut Signals) -> Result<u8, RunError> {
        let begun = Instant::now();
        let end = args.duration_seconds.map(|s| begun + Duration::from_secs(s));
        let mut second = tokio::time::interval(Duration::from_secs(1));
        second.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut status =
            Status { every: Duration::from_secs(args.status_seconds), at: begun, frames: 0, bytes: 0 };
        loop {
            tokio::select! {
                biased;
                () = signals.wait() => break,
                _ = second.tick() => {
                    self.each_second();
                    if self.stats.failed.load(Relaxed) {
                        return Err(RunError::Internal(format!(
                            "{} cannot be written any more: make room there; what was recorded can be read",
                            args.out.display()
                        )));
                    }
                    status.show(&self);
                    if end.is_some_and(|end| Instant::now() >= end) {
                        break;
                    }
                }
                Some(symbol) = self.wanted.recv() => self.want(&symbol),
                Some((received, input)) = self.requests.answer() => self.answer(input, received),
                event = self.rx.recv() => match event {
                    Some(event) => self.event(event),
                    None => return Err(RunError::Internal("every stream task ended".to_owned())),
                },
            }
        }
        self.push(Input::Shutdown, Instant::now());
        let Self { recorder, shown, .. } = self;
        recorder.finish();
        let Progress { counts, totals, .. } = *shown.lock().unwrap_or_else(PoisonError::into_inner);
        tracing::info!(
            records = totals.records,
            frames = counts.frames,
            bytes = totals.bytes,
            files = totals.files,
            gaps = counts.gaps,
            removed_files = totals.removed_files,
            "the recording is whole: it ended in order"
        );
        Ok(0)
    }

    fn event(&mut self, (received, event): Stamped) {
        let input = match event {
            StreamEvent::Frame { conn, payload } => Input::Frame { conn, payload },
            StreamEvent::Alive { conn } => Input::Alive { conn },
            StreamEvent::Up { conn } => {
                let venue = Streams::venue_of(conn);
                tracing::info!(conn, %venue, "connected");
                Input::ConnUp { conn, venue }
            }
            StreamEvent::Down { conn, reason, next_attempt_ms } => {
                let venue = Streams::venue_of(conn);
                tracing::warn!(conn, %venue, reason, next_attempt_ms, "connection lost");
                Input::ConnDown { conn, venue, reason }
            }
        };
        self.push(input, received);
    }

    fn answer(&mut self, input: Input, received: Instant) {
        if let Input::Refresh { asked, ranked, out } = &input {
            self.refresh(*asked, ranked, out, received);
            return;
        }
        if let Input::SnapshotFailed { asset, retry_after_ms, .. } = &input {
            let wait = Duration::from_millis((*retry_after_ms).into()).max(RETRY);
            self.later.insert(*asset, Instant::now() + wait);
        }
        self.push(input, received);
    }

    /// A new ranking. Nobody holds a position here, so the ranking and the share that may change decide alone.
    fn refresh(&mut self, asked: u32, ranked: &[Member], out: &[LeftOut], received: Instant) {
        let found = Found { asked, ranked, out, change_pct: self.change_pct };
        let turnover = turnover(&self.members, &BTreeSet::new(), found);
        if turnover.joined.is_empty() && turnover.left.is_empty() {
            return;
        }
        let known = |asset: Asset| self.followed.iter().any(|member| member.asset == asset);
        let new: Vec<Member> = turnover.joined.iter().filter(|m| !known(m.asset)).cloned().collect();
        tracing::info!(
            joined = ?turnover.joined.iter().map(|m| m.asset.to_string()).collect::<Vec<_>>(),
            left = ?turnover.left.iter().map(|(asset, _)| asset.to_string()).collect::<Vec<_>>(),
            members = turnover.members.len(),
            recorded = self.followed.len() + new.len(),
            "the universe has changed"
        );
        self.members = turnover.members;
        self.assets.extend(new.iter().map(|m| (m.binance.code.clone(), m.asset)));
        self.followed.extend(new.iter().cloned());
        self.push(Input::Universe { asked, members: self.members.clone() }, received);
        self.streams.change(&new, &[]);
        self.requests.join(&self.followed, &new, &self.fx_code);
        self.keeper.follow(self.followed.clone());
    }

    /// A book wants a snapshot: now, or when the last request for it lies far enough back.
    fn want(&mut self, symbol: &str) {
        let Some(asset) = self.assets.get(symbol).copied() else { return };
        match self.asked.get(&asset) {
            Some(at) if at.elapsed() < RETRY => {
                self.later.insert(asset, *at + RETRY);
            }
            _ => self.ask(asset),
        }
    }

    fn ask(&mut self, asset: Asset) {
        self.later.remove(&asset);
        self.asked.insert(asset, Instant::now());
        self.requests.snapshot(SnapshotRequest { venue: Venue::Binance, asset, epoch: 0 });
    }

    fn each_second(&mut self) {
        let now = Instant::now();
        let due: Vec<Asset> =
            self.later.iter().filter(|(_, at)| **at <= now).map(|(asset, _)| *asset).collect();
        for asset in due {
            self.ask(asset);
        }
        let stats = self.rest.stats();
        for input in self.requests.budgets(&stats) {
            self.push(input, now);
        }
        self.push(Input::Tick, now);
    }
}

/// Starts asking what becomes of the markets, and for a new ranking where the symbols were not named.
fn keep(
    config: &config::FileConfig,
    ranked: bool,
    rest: &Rest,
    members: &[Member],
    requests: &Requests,
) -> Result<Keeper, RunError> {
    let every = |seconds: u64| (seconds > 0).then(|| Duration::from_secs(seconds));
    let schedule = Schedule {
        refresh: every(config.universe_refresh_s).filter(|_| ranked),
        markets: every(config.universe_markets_s),
    };
    Keeper::start(rest, config.engine.topn, &config.filters, schedule, members.to_vec(), requests.inputs())
        .map_err(|e| RunError::Internal(format!("no thread for the universe: {e}")))
}

/// The status line.
struct Status {
    every: Duration,
    at: Instant,
    frames: u64,
    bytes: u64,
}

impl Status {
    fn show(&mut self, market: &Market) {
        let elapsed = self.at.elapsed();
        if elapsed < self.every {
            return;
        }
        let Progress { counts, totals, live } = *market.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 / elapsed.as_secs_f64();
        tracing::info!(
            frames = counts.frames,
            frames_per_s = rate(counts.frames, self.frames).round(),
            bytes = totals.bytes,
            bytes_per_s = rate(totals.bytes, self.bytes).round(),
            gaps = counts.gaps,
            downs = counts.downs,
            live = format!("{live}/{}", market.assets.len()),
            files = totals.files,
            removed_files = totals.removed_files,
            waits = market.stats.waits.load(Relaxed),
            "recording"
        );
        *self = Self { every: self.every, at: Instant::now(), frames: counts.frames, bytes: totals.bytes };
    }
}
