//! Snapshots that the core asks for: gathered, put into rank order, asked for few at a time within what the budget leaves. How
//! they will be asked for is in the log before it happens.
//!
//! Depth: 500 levels a side, which covers 1 % around mid for all but the deepest markets at a weight of 25 (a whole Top 100
//! takes 2 500 of the 6 000 a minute); 100 levels at a weight of 5 beyond 150 members, and whenever the minute would not have
//! room left to fetch every book once more at that: a book with 100 levels now is worth more than one with 500 in a minute,
//! and after an outage all of them are needed.

use crate::hot::SnapshotRequest;
use crate::requests::wall;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use market::{Asset, Member, Venue};
use recording::Input;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use venues::binance::limits::depth_weight;
use venues::{Priority, Rest, RestError};

/// Under way at a time.
const AT_ONCE: usize = 4;
/// Requests that come within so long of the first are planned together.
const GATHER: Duration = Duration::from_millis(100);
/// So many at once are more than the usual repairs: their schedule is told.
const WAVE: usize = 5;
/// Levels a side, and when those do not fit.
const FULL: u16 = 500;
const QUICK: u16 = 100;
/// Beyond so many members all snapshots are quick ones.
const FULL_MEMBERS: usize = 150;
/// The wait after a failure whose answer names none; the core's own waits go on top.
const RETRY: Duration = Duration::from_millis(500);
/// Names in the log.
const NAMED: usize = 5;

/// The task that asks. Dropping it ends the task.
pub(crate) struct Snapshots {
    wanted: mpsc::UnboundedSender<Wanted>,
    task: JoinHandle<()>,
    /// Rank and symbol of each member.
    symbols: BTreeMap<Asset, (usize, String)>,
}

impl Snapshots {
    /// Starts the task on the current runtime; answers go to `answers`.
    pub(crate) fn start(rest: &Rest, members: &[Member], answers: mpsc::Sender<(Instant, Input)>) -> Self {
        let (wanted, received) = mpsc::unbounded_channel();
        let full = if members.len() <= FULL_MEMBERS { FULL } else { QUICK };
        let rest = rest.with_priority(Priority::Books);
        let task = tokio::spawn(dispatch(rest, full, received, answers));
        let mut snapshots = Self { wanted, task, symbols: BTreeMap::new() };
        snapshots.members(members);
        snapshots
    }

    /// Takes note of members, in rank order. Those of before keep their symbols.
    pub(crate) fn members(&mut self, members: &[Member]) {
        for (rank, member) in members.iter().enumerate() {
            self.symbols.insert(member.asset, (rank, member.binance.code.clone()));
        }
    }

    /// Asks for a snapshot. One of the same symbol that still waits for its turn is of an older epoch: its answer would be
    /// ignored, so its request is not spent.
    pub(crate) fn ask(&self, request: SnapshotRequest) {
        let SnapshotRequest { venue, asset, epoch } = request;
        let known = self.symbols.get(&asset).filter(|_| venue == Venue::Binance);
        let Some((rank, symbol)) = known.cloned() else {
            // Upbit sends whole books, so the core never asks there.
            tracing::error!(%venue, %asset, "there is no snapshot to ask for");
            return;
        };
        // After the end nobody needs the answer.
        let _ = self.wanted.send(Wanted { rank, asset, symbol, epoch, followed: self.symbols.len() });
    }
}

impl Drop for Snapshots {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    rank: usize,
    asset: Asset,
    symbol: String,
    epoch: u32,
    /// Books that are followed in all.
    followed: usize,
}

/// What waits, by rank.
#[derive(Debug, Default)]
struct Queue(BTreeMap<(usize, Asset), Wanted>);

impl Queue {
    fn push(&mut self, wanted: Wanted) {
        self.0.insert((wanted.rank, wanted.asset), wanted);
    }

    fn pop(&mut self) -> Option<Wanted> {
        self.0.pop_first().map(|(_, wanted)| wanted)
    }

    /// Levels a side, so that all that waits, with `more` beside it, fits into `room`, and every one of the `followed` books
    /// once more at the least.
    fn depth(&self, more: usize, followed: usize, full: u16, room: u32) -> u16 {
        let weight = |books: usize, levels: u16| books as u64 * u64::from(depth_weight(levels));
        let needed = weight(self.0.len() + more, full) + weight(followed, QUICK);
        if needed <= u64::from(room) { full } else { QUICK.min(full) }
    }

    /// Writes the schedule of what waits into the log.
    fn tell(&self, followed: usize, full: u16, room: u32) {
        let levels = self.depth(0, followed, full, room);
        let weight = self.0.len() as u64 * u64::from(depth_weight(levels));
        let over = weight.saturating_sub(u64::from(room));
        let minute = u64::from(BUDGET_80);
        let names: Vec<&str> = self.0.values().take(NAMED).map(|wanted| wanted.symbol.as_str()).collect();
        tracing::info!(
            venue = %Venue::Binance,
            books = self.0.len(),
            levels,
            weight,
            room,
            at_once = AT_ONCE,
            // What does not fit below 80 % now follows as the minute's window slides.
            last_within_s = 60 * over.div_ceil(minute),
            first = names.join(","),
            "snapshots are asked for in rank order, below 80 % of the request budget"
        );
    }
}

/// 80 % of Binance's weight a minute.
const BUDGET_80: u32 = 4_800;

async fn dispatch(
    rest: Rest,
    full: u16,
    mut wanted: mpsc::UnboundedReceiver<Wanted>,
    answers: mpsc::Sender<(Instant, Input)>,
) {
    let mut queue = Queue::default();
    let mut under_way = FuturesUnordered::new();
    let mut gather_until: Option<tokio::time::Instant> = None;
    let (mut followed, mut told) = (0, 0);
    loop {
        let gathered = gather_until.unwrap_or_else(tokio::time::Instant::now);
        tokio::select! {
            next = wanted.recv() => match next {
                Some(next) => {
                    followed = next.followed;
                    queue.push(next);
                    gather_until.get_or_insert_with(|| tokio::time::Instant::now() + GATHER);
                }
                None => return,
            },
            Some(input) = under_way.next(), if !under_way.is_empty() => {
                // The session may be over: then nobody needs the answer.
                if answers.send((Instant::now(), input)).await.is_err() {
                    return;
                }
            }
            () = tokio::time::sleep_until(gathered), if gather_until.is_some() => {
                gather_until = None;
                if queue.0.len() >= WAVE && queue.0.len() > told {
                    told = queue.0.len();
                    queue.tell(followed, full, rest.binance_room());
                }
            }
        }
        if queue.0.is_empty() && under_way.is_empty() {
            told = 0;
        }
        while gather_until.is_none() && under_way.len() < AT_ONCE {
            let Some(next) = queue.pop() else { break };
            let depth = queue.depth(1, followed, full, rest.binance_room());
            under_way.push(fetch(rest.clone(), next, depth));
        }
    }
}

async fn fetch(rest: Rest, wanted: Wanted, depth: u16) -> Input {
    let Wanted { asset, symbol, epoch, .. } = wanted;
    let venue = Venue::Binance;
    match rest.binance_depth_raw(&symbol, depth).await {
        Ok(payload) => Input::Snapshot { venue, asset, epoch, payload },
        Err(error) => {
            tracing::warn!(%asset, %error, "snapshot failed");
            let (status, retry_after_ms) = refusal(&error);
            Input::SnapshotFailed { venue, asset, epoch, status, retry_after_ms }
        }
    }
}

/// Status and wait of a failed request.
fn refusal(error: &RestError) -> (u16, u32) {
    let wait = error.retry_after(wall()).unwrap_or(RETRY);
    (error.status(), u32::try_from(wait.as_millis()).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(rank: usize, epoch: u32) -> Wanted {
        let asset = Asset::new(&format!("A{rank}")).unwrap();
        Wanted { rank, asset, symbol: format!("A{rank}USDT"), epoch, followed: 100 }
    }

    #[test]
    fn what_waits_goes_by_rank_and_an_older_epoch_is_not_asked_for() {
        let mut queue = Queue::default();
        for (rank, epoch) in [(2, 1), (0, 4), (1, 1), (0, 5)] {
            queue.push(wanted(rank, epoch));
        }
        let order: Vec<(usize, u32)> =
            std::iter::from_fn(|| queue.pop()).map(|wanted| (wanted.rank, wanted.epoch)).collect();
        assert_eq!(order, [(0, 5), (1, 1), (2, 1)]);
    }

    #[test]
    fn snapshots_are_smaller_when_the_minute_has_no_room_for_all() {
        let mut queue = Queue::default();
        (0..100).for_each(|rank| queue.push(wanted(rank, 1)));
        assert_eq!(queue.depth(0, 100, FULL, 4_800), FULL);
        assert_eq!(queue.depth(0, 100, FULL, 3_000), FULL);
        assert_eq!(queue.depth(0, 100, FULL, 2_999), QUICK, "no room for all of them once more");
        assert_eq!(queue.depth(0, 200, QUICK, 0), QUICK);
        assert_eq!(Queue::default().depth(1, 100, FULL, 525), FULL, "a single repair");
    }
}
