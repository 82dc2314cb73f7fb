//! The fake's state: a scripted account whose figures add up, scripted latencies and guards, its alerts. Its process figures are
//! read from `/proc`.

use super::Args;
use super::plan::Script;
use super::process::{self, Usage};
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

/// Upper edges in seconds, with one at every threshold of the loop latency.
const LOOP_EDGES: [f64; 16] =
    [1e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 5e-3, 0.01, 0.02, 0.05, 0.08, 0.1, 1.0];
/// Upper edges in seconds.
const DELIVERY_EDGES: [f64; 6] = [0.005, 0.1, 0.5, 1.0, 3.0, 10.0];
/// How long a position is held.
const HOLD: Duration = Duration::from_millis(150);
/// When the first one is opened.
const FIRST: Duration = Duration::from_millis(300);
/// How long a guard blocks, in seconds.
const BLOCK_S: f64 = 0.1;

/// A histogram with cumulative counts.
#[derive(Debug)]
pub(super) struct Histogram {
    pub(super) edges: Vec<f64>,
    pub(super) cumulative: Vec<u64>,
    pub(super) count: u64,
    pub(super) sum: f64,
}

impl Histogram {
    fn new(edges: &[f64]) -> Self {
        Self { edges: edges.to_vec(), cumulative: vec![0; edges.len()], count: 0, sum: 0.0 }
    }

    fn observe(&mut self, seconds: f64) {
        for (edge, count) in self.edges.iter().zip(&mut self.cumulative) {
            *count += u64::from(seconds <= *edge);
        }
        self.count += 1;
        self.sum += seconds;
    }

    /// Linear inside the bucket that holds the rank; the highest edge beyond it.
    pub(super) fn quantile(&self, q: f64) -> Option<f64> {
        if self.count == 0 {
            return None;
        }
        let rank = q * self.count as f64;
        let (mut lower, mut below) = (0.0, 0.0);
        for (edge, count) in self.edges.iter().zip(&self.cumulative) {
            let count = *count as f64;
            if count >= rank && count > below {
                return Some(lower + (edge - lower) * (rank - below) / (count - below));
            }
            (lower, below) = (*edge, count);
        }
        Some(lower)
    }

    pub(super) fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / self.count as f64)
    }
}

/// Everything that it reports.
#[derive(Debug)]
pub(super) struct State {
    pub(super) run_id: String,
    pub(super) topn: u32,
    pub(super) iterations: u64,
    pub(super) latency: Histogram,
    pub(super) delivery: Histogram,
    pub(super) sent: u64,
    pub(super) dlq: u64,
    pub(super) entries: u64,
    pub(super) reasons: BTreeMap<&'static str, u64>,
    pub(super) won_usd: f64,
    pub(super) lost_usd: f64,
    pub(super) wins: u64,
    pub(super) losses: u64,
    pub(super) wins_without_shutdown: u64,
    pub(super) fees_usd: f64,
    pub(super) drawdown_usd: f64,
    pub(super) stop_reason: Option<&'static str>,
    pub(super) usage: Option<Usage>,
    pub(super) cpu_percent: Option<f64>,
    peak_usd: f64,
    open_since: Option<Duration>,
    trade_every: Duration,
    next_entry: Duration,
    seen_cpu: Option<(Instant, f64)>,
    frozen: bool,
    pub(super) failed: u64,
    pub(super) retried: u64,
    pub(super) fallbacks: u64,
    pub(super) guards: BTreeMap<&'static str, u64>,
    next_guard: Duration,
    script: Script,
    fall_due: bool,
}

/// Paper capital in USD.
pub(super) const CAPITAL_USD: f64 = 10_000.0;
/// Notional of a leg in USD.
pub(super) const LEG_USD: f64 = 200.0;

impl State {
    pub(super) fn new(args: &Args) -> Self {
        Self {
            run_id: args.run_id.clone(),
            topn: args.topn_size,
            iterations: 0,
            latency: Histogram::new(&LOOP_EDGES),
            delivery: Histogram::new(&DELIVERY_EDGES),
            sent: 0,
            dlq: 0,
            entries: 0,
            reasons: BTreeMap::new(),
            won_usd: 0.0,
            lost_usd: 0.0,
            wins: 0,
            losses: 0,
            wins_without_shutdown: 0,
            fees_usd: 0.0,
            drawdown_usd: 0.0,
            stop_reason: None,
            usage: process::read(),
            cpu_percent: None,
            peak_usd: 0.0,
            open_since: None,
            trade_every: Duration::from_millis(args.trade_every_ms),
            next_entry: FIRST,
            seen_cpu: None,
            frozen: false,
            failed: 0,
            retried: 0,
            fallbacks: 0,
            guards: BTreeMap::new(),
            next_guard: Duration::ZERO,
            script: if args.is_broken_phase() { args.script } else { Script::Mixed },
            fall_due: false,
        }
    }

    /// One turn of the loop: the script's trade and guard when they are due, and a scripted latency, so that a busy machine does
    /// not decide how a test comes out.
    pub(super) fn iterate(&mut self, args: &Args, elapsed: Duration, duration: Duration) {
        self.iterations += 1;
        let due = args.is_broken_phase() && elapsed.as_secs_f64() >= args.break_after_seconds;
        if due && args.script == Script::Drop && self.losses_beyond(1_000.0) == 0 {
            self.fall_due = true;
        }
        let hold = if self.script == Script::Stuck { duration } else { HOLD };
        if self.open_since.is_some_and(|since| elapsed >= since + hold) {
            self.close(None);
        }
        let wanted = match self.script {
            Script::Nothing => false,
            Script::Few => self.entries < 2,
            Script::Dry => !due,
            _ => true,
        };
        if wanted && self.open_since.is_none() && elapsed >= self.next_entry && elapsed + HOLD < duration {
            self.open_since = Some(elapsed);
            self.next_entry = elapsed + self.trade_every;
            self.entries += 1;
        }
        if due && args.guards_per_s > 0.0 && elapsed >= self.next_guard {
            self.next_guard = elapsed + Duration::from_secs_f64(1.0 / args.guards_per_s);
            let kind = if self.guard_triggers().is_multiple_of(2) { "symbol" } else { "route" };
            *self.guards.entry(kind).or_insert(0) += 1;
        }
        let most = if due { args.latency_ms } else { 0.4 } / 1e3;
        self.latency.observe(most * (0.95 + 0.05 * self.draw(self.iterations)));
    }

    pub(super) fn guard_triggers(&self) -> u64 {
        self.guards.values().sum()
    }

    pub(super) fn blocked_s(&self) -> f64 {
        self.guard_triggers() as f64 * BLOCK_S
    }

    /// Mean length of a block in seconds.
    pub(super) fn mean_block_s(&self) -> Option<f64> {
        (self.guard_triggers() > 0).then_some(BLOCK_S)
    }

    fn losses_beyond(&self, usd: f64) -> u64 {
        u64::from(self.drawdown_usd > usd)
    }

    /// Drawn from the run id and the number of the trade: varied, and different in every run.
    fn draw(&self, n: u64) -> f64 {
        let mut hasher = DefaultHasher::new();
        (&self.run_id, n).hash(&mut hasher);
        (hasher.finish() % 100_000) as f64 / 100_000.0
    }

    fn close(&mut self, reason: Option<&'static str>) {
        self.open_since = None;
        let n = self.exits() + 1;
        let falls = std::mem::take(&mut self.fall_due);
        let wins = !falls
            && match self.script {
                Script::Half => n % 2 == 1,
                Script::Eighty => n % 5 != 1,
                Script::Losing => n.is_multiple_of(4),
                Script::Same => true,
                _ => !n.is_multiple_of(3),
            };
        // Winners make between 0.20 and 2.20 USD; the others lose 0.10 to 1.10.
        let net = match self.script {
            _ if falls => -1_500.0,
            Script::Same => 1.25,
            Script::Quiet if wins => 0.01 + 0.01 * self.draw(n),
            Script::Quiet => -0.01 * (0.5 + self.draw(n)),
            _ if wins => 0.2 + 2.0 * self.draw(n),
            _ => -0.1 - self.draw(n),
        };
        let market_reason = match (wins, self.exits() % 2) {
            (true, 0) => "spread_reversal",
            (true, _) => "take_profit",
            (false, 0) => "stop_loss",
            (false, _) => "time_limit",
        };
        *self.reasons.entry(reason.unwrap_or(market_reason)).or_insert(0) += 1;
        // Four fills of a leg each, at 10 and 5 basis points.
        self.fees_usd += LEG_USD * (0.001 + 0.0005) * 2.0;
        if wins {
            self.wins += 1;
            self.won_usd += net;
            self.wins_without_shutdown += u64::from(reason.is_none());
        } else {
            self.losses += 1;
            self.lost_usd += net;
        }
        self.peak_usd = self.peak_usd.max(self.net_usd());
        self.drawdown_usd = self.drawdown_usd.max(self.peak_usd - self.net_usd());
    }

    pub(super) fn net_usd(&self) -> f64 {
        self.won_usd + self.lost_usd
    }

    pub(super) fn fall_usd(&self) -> f64 {
        self.peak_usd - self.net_usd()
    }

    pub(super) fn exits(&self) -> u64 {
        self.wins + self.losses
    }

    pub(super) fn open_positions(&self) -> u64 {
        self.entries - self.exits()
    }

    /// Winners among the closes in percent, those of the shutdown left out.
    pub(super) fn win_rate_pct(&self) -> Option<f64> {
        let closed = self.exits() - self.reasons.get("shutdown").copied().unwrap_or(0);
        (closed > 0).then(|| self.wins_without_shutdown as f64 * 100.0 / closed as f64)
    }

    pub(super) fn iterations_and_trips(&self) -> (u64, u64) {
        (self.iterations, self.exits())
    }

    pub(super) fn delivered(&mut self, took: Duration) {
        self.sent += 1;
        self.delivery.observe(took.as_secs_f64());
    }

    pub(super) fn dead_letter(&mut self) {
        self.dlq += 1;
    }

    /// Deliveries that were given up, the dead letters among them.
    pub(super) fn not_delivered(&self) -> u64 {
        self.failed + self.fallbacks + self.dlq
    }

    pub(super) fn retries(&self) -> u64 {
        self.retried + self.dlq * 3
    }

    pub(super) fn raised(&self) -> u64 {
        self.sent + self.failed + self.dlq
    }

    pub(super) fn stop(&mut self, reason: &'static str) {
        if self.open_since.is_some() {
            self.close(Some("shutdown"));
        }
        self.stop_reason = Some(reason);
    }

    /// Reads the process's figures again.
    pub(super) fn observe_process(&mut self) {
        self.usage = process::read();
        let Some(usage) = self.usage else { return };
        let now = Instant::now();
        if let Some((then, before)) = self.seen_cpu {
            let span = now.duration_since(then).as_secs_f64();
            // Ticks are 10 ms: a shorter span says nothing.
            if span < 0.2 {
                return;
            }
            self.cpu_percent = Some((usage.cpu_seconds - before) / span * 100.0);
        }
        self.seen_cpu = Some((now, usage.cpu_seconds));
    }

    /// From now on the account and the loop stand still.
    pub(super) fn freeze(&mut self) {
        self.frozen = true;
    }

    pub(super) fn is_frozen(&self) -> bool {
        self.frozen
    }
}
