//! REST work in the background of a session: snapshots that the core asks for, candles that seed the levels, health
//! samples, budgets. Each answer becomes an input.
//!
//! Snapshots: 4 at a time, 500 levels a side (100 beyond 150 members), which covers 1 % around mid for all but the deepest
//! markets at a weight of 25: a whole Top 100 takes 2 500 of the 6 000 a minute. Candles: 200 minutes a market, KRW-USDT
//! first, one request at a time; the client's budget paces them.

use crate::hot::SnapshotRequest;
use bytes::Bytes;
use market::{Asset, Member, Timestamp, Venue};
use recording::Input;
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use venues::{Rest, RestError, Stats, VenueStats};

/// Snapshots under way at a time.
const AT_ONCE: usize = 4;
/// How often a venue's round trip is measured.
const HEALTH: Duration = Duration::from_secs(5);
/// Candles of a market.
const CANDLES: u16 = 200;
/// Attempts for a market's candles.
const CANDLE_ATTEMPTS: u32 = 4;
/// The wait after a failed snapshot whose answer names none.
const RETRY: Duration = Duration::from_secs(1);
/// Answers that wait for the core.
const QUEUE: usize = 1_024;

/// The work and its answers. Dropping it ends the work.
pub struct Requests {
    rest: Arc<Rest>,
    answers: mpsc::Receiver<(Instant, Input)>,
    tx: mpsc::Sender<(Instant, Input)>,
    permits: Arc<Semaphore>,
    symbols: BTreeMap<Asset, String>,
    depth: u16,
    tasks: Vec<JoinHandle<()>>,
    /// The snapshot under way, or waiting for its turn, of each symbol.
    snapshots: BTreeMap<Asset, JoinHandle<()>>,
    budgets: [Option<u16>; 2],
}

impl Requests {
    /// Starts candles and health samples on the current runtime.
    pub fn start(rest: Arc<Rest>, members: &[Member], fx_code: &str) -> Self {
        let (tx, answers) = mpsc::channel(QUEUE);
        let symbols: BTreeMap<Asset, String> =
            members.iter().map(|m| (m.asset, m.binance.code.clone())).collect();
        let mut markets = vec![(Asset::USDT, fx_code.to_owned(), None)];
        markets.extend(members.iter().map(|m| (m.asset, m.upbit.code.clone(), Some(m.binance.code.clone()))));
        let tasks = vec![
            tokio::spawn(candles(Arc::clone(&rest), markets, tx.clone())),
            tokio::spawn(health(Arc::clone(&rest), tx.clone())),
        ];
        let depth = if members.len() <= 150 { 500 } else { 100 };
        Self {
            rest,
            answers,
            tx,
            permits: Arc::new(Semaphore::new(AT_ONCE)),
            symbols,
            depth,
            tasks,
            snapshots: BTreeMap::new(),
            budgets: [None; 2],
        }
    }

    /// The next answer with the instant of its arrival.
    pub async fn answer(&mut self) -> Option<(Instant, Input)> {
        self.answers.recv().await
    }

    /// An answer that is there already. The stream of frames may never pause, and the answers must not wait for that.
    pub fn answer_now(&mut self) -> Option<(Instant, Input)> {
        self.answers.try_recv().ok()
    }

    /// Where answers of others go in.
    pub fn inputs(&self) -> mpsc::Sender<(Instant, Input)> {
        self.tx.clone()
    }

    /// Symbols that joined: their candles, those of the FX market before them, for the levels need the same minutes of it.
    pub fn join(&mut self, joined: &[Member], fx_code: &str) {
        self.symbols.extend(joined.iter().map(|m| (m.asset, m.binance.code.clone())));
        let mut markets = vec![(Asset::USDT, fx_code.to_owned(), None)];
        markets.extend(joined.iter().map(|m| (m.asset, m.upbit.code.clone(), Some(m.binance.code.clone()))));
        self.tasks.retain(|task| !task.is_finished());
        self.tasks.push(tokio::spawn(candles(Arc::clone(&self.rest), markets, self.tx.clone())));
    }

    /// Symbols that left: nothing is asked for them any more.
    pub fn leave(&mut self, left: &[Member]) {
        for member in left {
            self.symbols.remove(&member.asset);
            if let Some(task) = self.snapshots.remove(&member.asset) {
                task.abort();
            }
        }
    }

    /// Fetches a snapshot. One that is still waiting for its turn for the same symbol is of an older epoch: its answer
    /// would be ignored, so its request is not spent.
    pub fn snapshot(&mut self, request: SnapshotRequest) {
        let SnapshotRequest { venue, asset, epoch } = request;
        let symbol = self.symbols.get(&asset).filter(|_| venue == Venue::Binance).cloned();
        let Some(symbol) = symbol else {
            // Upbit sends whole books, so the core never asks there.
            tracing::error!(%venue, %asset, "there is no snapshot to ask for");
            return;
        };
        let (rest, tx, permits, depth) =
            (Arc::clone(&self.rest), self.tx.clone(), Arc::clone(&self.permits), self.depth);
        let task = tokio::spawn(async move {
            let Ok(_permit) = permits.acquire().await else { return };
            let input = match rest.binance_depth_raw(&symbol, depth).await {
                Ok(payload) => Input::Snapshot { venue, asset, epoch, payload },
                Err(error) => {
                    tracing::warn!(%asset, %error, "snapshot failed");
                    let (status, retry_after_ms) = refusal(&error);
                    Input::SnapshotFailed { venue, asset, epoch, status, retry_after_ms }
                }
            };
            // The session may be over: then nobody needs the answer.
            let _ = tx.send((Instant::now(), input)).await;
        });
        if let Some(older) = self.snapshots.insert(asset, task) {
            older.abort();
        }
    }

    /// What is left of the budgets, as inputs, where that has changed: the scarcest group of each venue.
    pub fn budgets(&mut self, stats: &Stats) -> Vec<Input> {
        let mut changed = Vec::new();
        for (venue, stats) in [(Venue::Upbit, &stats.upbit), (Venue::Binance, &stats.binance)] {
            let left_bps = left_bps(stats);
            if self.budgets[venue.index()].replace(left_bps) != Some(left_bps) {
                changed.push(Input::Budget { venue, left_bps });
            }
        }
        changed
    }
}

impl Drop for Requests {
    fn drop(&mut self) {
        for task in self.tasks.iter().chain(self.snapshots.values()) {
            task.abort();
        }
    }
}

fn left_bps(stats: &VenueStats) -> u16 {
    let left = stats.budget_left.iter().map(|(_, left)| *left).fold(1.0, f64::min);
    // Between 0 and 10 000 by the clamp.
    (left.clamp(0.0, 1.0) * 10_000.0) as u16
}

pub(crate) fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

/// Status (0 without an answer, 429 for a used-up budget) and wait of a failed request.
fn refusal(error: &RestError) -> (u16, u32) {
    let status = match error {
        RestError::Status { status, .. } | RestError::Blocked { status, .. } => *status,
        RestError::RateLimited { .. } => 429,
        RestError::Setup { .. } | RestError::Unreachable { .. } | RestError::Parse { .. } => 0,
    };
    let wait = error.retry_after(wall()).unwrap_or(RETRY);
    (status, u32::try_from(wait.as_millis()).unwrap_or(u32::MAX))
}

type Market = (Asset, String, Option<String>);

async fn candles(rest: Arc<Rest>, markets: Vec<Market>, tx: mpsc::Sender<(Instant, Input)>) {
    for (asset, code, symbol) in markets {
        let upbit = attempts(&code, || rest.upbit_candles_raw(&code, CANDLES)).await;
        if !send(&tx, Venue::Upbit, asset, upbit).await {
            return;
        }
        let Some(symbol) = symbol else { continue };
        let binance = attempts(&symbol, || rest.binance_klines_raw(&symbol, CANDLES)).await;
        if !send(&tx, Venue::Binance, asset, binance).await {
            return;
        }
    }
}

async fn send(
    tx: &mpsc::Sender<(Instant, Input)>,
    venue: Venue,
    asset: Asset,
    payload: Option<Bytes>,
) -> bool {
    let Some(payload) = payload else { return !tx.is_closed() };
    tx.send((Instant::now(), Input::Candles { venue, asset, payload })).await.is_ok()
}

async fn attempts<F: Future<Output = Result<Bytes, RestError>>>(
    code: &str,
    mut ask: impl FnMut() -> F,
) -> Option<Bytes> {
    for attempt in 1..=CANDLE_ATTEMPTS {
        match ask().await {
            Ok(payload) => return Some(payload),
            Err(error) => {
                let wait = error.retry_after(wall()).unwrap_or(RETRY).min(Duration::from_secs(60));
                if attempt == CANDLE_ATTEMPTS || error.is_terminal() {
                    // The level then waits for live data: slower, never wrong.
                    tracing::warn!(code, %error, "no candles: the level waits for live data");
                    return None;
                }
                tokio::time::sleep(wait).await;
            }
        }
    }
    None
}

async fn health(rest: Arc<Rest>, tx: mpsc::Sender<(Instant, Input)>) {
    loop {
        let started = Instant::now();
        let (upbit, binance) = tokio::join!(rest.upbit_time(), rest.binance_time());
        let samples =
            [(Venue::Upbit, upbit.map(|(_, rtt)| rtt)), (Venue::Binance, binance.map(|(_, rtt)| rtt))];
        for (venue, sample) in samples {
            let ok = sample.is_ok();
            // A failed request took at most what has passed since it was sent.
            let rtt = sample.unwrap_or_else(|_| started.elapsed());
            let rtt_us = u32::try_from(rtt.as_micros()).unwrap_or(u32::MAX);
            if tx.send((Instant::now(), Input::Health { venue, rtt_us, ok })).await.is_err() {
                return;
            }
        }
        tokio::time::sleep(HEALTH.saturating_sub(started.elapsed())).await;
    }
}
