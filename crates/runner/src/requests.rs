//! REST work in the background of a session: candles that seed the levels, health samples, budgets. Each answer becomes an
//! input. Snapshots, which go before all of it, have their own schedule in [`crate::snapshots`].
//!
//! Candles: 200 minutes a market, KRW-USDT first, one request at a time; the client's budget paces them.

use crate::hot::SnapshotRequest;
use crate::snapshots::Snapshots;
use bytes::Bytes;
use market::{Asset, Member, Timestamp, Venue};
use recording::Input;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use venues::{Priority, Rest, RestError, Stats, VenueStats};

/// How often a venue's round trip is measured.
const HEALTH: Duration = Duration::from_secs(5);
/// Candles of a market.
const CANDLES: u16 = 200;
/// Attempts for a market's candles.
const CANDLE_ATTEMPTS: u32 = 4;
/// The wait after a failed request whose answer names none.
const RETRY: Duration = Duration::from_secs(1);
/// Answers that wait for the core.
const QUEUE: usize = 1_024;

/// The work and its answers. Dropping it ends the work.
pub struct Requests {
    rest: Arc<Rest>,
    tx: mpsc::Sender<(Instant, Input)>,
    answers: mpsc::Receiver<(Instant, Input)>,
    snapshots: Snapshots,
    tasks: Vec<JoinHandle<()>>,
    budgets: [Option<u16>; 2],
}

impl Requests {
    /// Starts candles and health samples on the current runtime.
    pub fn start(rest: Arc<Rest>, members: &[Member], fx_code: &str) -> Self {
        let (tx, answers) = mpsc::channel(QUEUE);
        let mut markets = vec![(Asset::USDT, fx_code.to_owned(), None)];
        markets.extend(members.iter().map(|m| (m.asset, m.upbit.code.clone(), Some(m.binance.code.clone()))));
        let tasks = vec![
            tokio::spawn(candles(rest.with_priority(Priority::Levels), markets, tx.clone())),
            tokio::spawn(health(rest.with_priority(Priority::Books), tx.clone())),
        ];
        let snapshots = Snapshots::start(&rest, members, tx.clone());
        Self { rest, tx, answers, snapshots, tasks, budgets: [None; 2] }
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

    /// The universe has changed: `watched` are those that are followed now, in rank order. Of those that joined the candles
    /// are asked for, those of the FX market before them, for the levels need the same minutes of it.
    pub fn join(&mut self, watched: &[Member], joined: &[Member], fx_code: &str) {
        self.snapshots.members(watched);
        if joined.is_empty() {
            return;
        }
        let mut markets = vec![(Asset::USDT, fx_code.to_owned(), None)];
        markets.extend(joined.iter().map(|m| (m.asset, m.upbit.code.clone(), Some(m.binance.code.clone()))));
        self.tasks.retain(|task| !task.is_finished());
        let rest = self.rest.with_priority(Priority::Levels);
        self.tasks.push(tokio::spawn(candles(rest, markets, self.tx.clone())));
    }

    /// Fetches a snapshot.
    pub fn snapshot(&mut self, request: SnapshotRequest) {
        self.snapshots.ask(request);
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
        for task in &self.tasks {
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

type Market = (Asset, String, Option<String>);

async fn candles(rest: Rest, markets: Vec<Market>, tx: mpsc::Sender<(Instant, Input)>) {
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

async fn health(rest: Rest, tx: mpsc::Sender<(Instant, Input)>) {
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
