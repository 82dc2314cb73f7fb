//! What a runner shows beside its memory and CPU, in virtual time: healthy, with everything that a healthy runner does now and then
//! (slow minutes, bursts of guards, losing streaks, failed deliveries, missed scrapes), or with one planted defect. Every excursion
//! of a healthy run stays inside what the rules' definitions allow, by construction and not by luck.

use catalogue::metric::LATENCY_BUCKETS;
use gate::evidence::{Found, LogCounters, OsSample, Sample, Scrape};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use std::collections::{BTreeMap, BTreeSet};

pub const CAPITAL_USD: f64 = 10_000.0;
const ARB: &str = "env=\"paper\",strategy=\"topn\",universe=\"top50\"";

/// What is wrong with a run, from a given second on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Defect {
    None,
    /// Memory rises by this many percent of its level per hour, and at least by this many MiB.
    Memory(f64, f64),
    /// Mean CPU, percent of one core.
    Cpu(f64),
    /// Three observations in a hundred take this many milliseconds.
    Latency(f64),
    Hang,
    Blind,
    DeadLetter,
    Notifier,
    /// The PnL falls below its peak by this many percent of the paper capital.
    Loss(f64),
    /// Every trade loses.
    Loser,
    /// No more round trips.
    Idle,
    /// A guard triggers every 50 s.
    Guards,
    /// Every delivery fails.
    Alerts,
}

/// A course of events, counted when the run is sampled.
pub struct Course {
    pub defect: Defect,
    pub from: f64,
    trades: Vec<(f64, bool)>,
    guards: Vec<f64>,
    /// Deliveries that ended, and whether they were sent.
    deliveries: Vec<(f64, bool)>,
    /// Slow passages: from, to, and what three observations in a hundred take, milliseconds.
    slow: Vec<(f64, f64, f64)>,
    /// Busy passages: from, to.
    busy: Vec<(f64, f64)>,
    /// Polls whose scrape failed.
    pub missed: BTreeSet<usize>,
    pnl: Vec<f64>,
}

fn pause(rng: &mut ChaCha8Rng, mean: f64, longest: f64) -> f64 {
    (-mean * (1.0 - rng.random::<f64>()).ln()).clamp(0.5, longest)
}

impl Course {
    /// A healthy course of `seconds`, on which `defect` is planted from `from` on.
    pub fn new(seconds: f64, poll: f64, defect: Defect, from: f64, rng: &mut ChaCha8Rng) -> Self {
        let mut course = Self {
            defect,
            from,
            trades: trades(seconds, rng),
            guards: guards(seconds, rng),
            deliveries: deliveries(seconds, rng),
            slow: Vec::new(),
            busy: Vec::new(),
            missed: BTreeSet::new(),
            pnl: Vec::new(),
        };
        let mut t = 0.0;
        while t < seconds {
            // Up to 4 of A4's 5 minutes, then a quarter of an hour without.
            t += pause(rng, 2_400.0, seconds) + 900.0;
            course.slow.push((t, t + rng.random_range(5.0..240.0), rng.random_range(105.0..700.0)));
        }
        t = 0.0;
        while t < seconds {
            // Up to 8 of A5's 10 minutes.
            t += pause(rng, 5_400.0, seconds) + 900.0;
            course.busy.push((t, t + rng.random_range(20.0..480.0)));
        }
        let polls = (seconds / poll) as usize;
        let mut k = 12;
        while k < polls {
            // One scrape or a few in a row, never as long as A9 asks for; and no defect is planted on one.
            k += 1 + pause(rng, 60.0, 1e6) as usize;
            let row = if rng.random_bool(0.8) { 1 } else { rng.random_range(2..=4) };
            course.missed.extend(k..k + row);
            k += row;
        }
        course.pnl = course.money(polls, poll, rng);
        course.plant(seconds);
        course
    }

    /// PnL at each poll: the trades' results, and marks that swing; never as far below its peak as A7 asks for.
    fn money(&self, polls: usize, poll: f64, rng: &mut ChaCha8Rng) -> Vec<f64> {
        let (mut banked, mut swing, mut peak, mut done) = (0.0_f64, 0.0_f64, 0.0_f64, 0);
        (0..=polls)
            .map(|k| {
                while self.trades.get(done).is_some_and(|(t, _)| *t <= k as f64 * poll) {
                    banked += if self.trades[done].1 { 1.6 } else { -2.1 };
                    done += 1;
                }
                swing = swing * 0.985 + rng.random_range(-1.0..1.0) * 60.0;
                let pnl = (banked + swing).max(peak - 0.095 * CAPITAL_USD);
                peak = peak.max(pnl);
                pnl
            })
            .collect()
    }

    fn plant(&mut self, seconds: f64) {
        let from = self.from;
        match self.defect {
            Defect::Loser => {
                self.trades.iter_mut().filter(|(t, _)| *t > from).for_each(|(_, won)| *won = false)
            }
            Defect::Idle => self.trades.retain(|(t, _)| *t <= from),
            Defect::Alerts => {
                self.deliveries.iter_mut().filter(|(t, _)| *t > from).for_each(|(_, ok)| *ok = false)
            }
            Defect::Guards => {
                let mut t = from + 1.0;
                while t < seconds {
                    self.guards.push(t);
                    t += 50.0;
                }
                self.guards.sort_by(f64::total_cmp);
            }
            _ => {}
        }
    }

    fn on(&self, t: f64, defect: impl Fn(Defect) -> bool) -> bool {
        t > self.from && defect(self.defect)
    }

    pub fn closed(&self, t: f64) -> (usize, usize) {
        let closed = self.trades.partition_point(|(at, _)| *at <= t);
        (closed, self.trades[..closed].iter().filter(|(_, won)| *won).count())
    }

    pub fn guards_until(&self, t: f64) -> usize {
        self.guards.partition_point(|at| *at <= t)
    }

    /// Sent and failed.
    pub fn delivered(&self, t: f64) -> (usize, usize) {
        let ended = self.deliveries.partition_point(|(at, _)| *at <= t);
        let sent = self.deliveries[..ended].iter().filter(|(_, ok)| *ok).count();
        (sent, ended - sent)
    }

    /// The samples of the run: `usage` is what the operating system says at each poll.
    pub fn samples(&self, usage: &[Option<OsSample>], poll: f64, rng: &mut ChaCha8Rng) -> Vec<Sample> {
        let level = usage.iter().flatten().map(|os| os.pss_bytes).min().unwrap() as f64;
        let mut loops = Loops::default();
        let mean = usage.iter().flatten().last().unwrap().cpu_seconds / (usage.len() as f64 * poll);
        let mut extra_cpu = 0.0;
        let mut out = Vec::with_capacity(usage.len());
        for (i, os) in usage.iter().enumerate() {
            let k = i + 1;
            let due = k as f64 * poll;
            // A poll is a little late, and a retry more so.
            let t = due + rng.random_range(0.0..0.05);
            loops.step(self, due, poll, rng);
            let os = os.map(|os| {
                let target = match self.defect {
                    Defect::Cpu(percent) if due > self.from => Some(percent),
                    _ if self.busy.iter().any(|(from, to)| (*from..*to).contains(&due)) => Some(88.0),
                    _ => None,
                };
                // On top of the noise, so that the noise stays.
                extra_cpu += target.map_or(0.0, |percent| (percent / 100.0 - mean) * poll);
                let ramp = match self.defect {
                    Defect::Memory(percent, mib) if due > self.from => {
                        let per_h = (level * percent / 100.0).max(mib * 1_048_576.0);
                        (per_h * (due - self.from) / 3_600.0) as u64
                    }
                    _ => 0,
                };
                OsSample {
                    cpu_seconds: os.cpu_seconds + extra_cpu,
                    pss_bytes: os.pss_bytes + ramp,
                    rss_bytes: os.rss_bytes + ramp,
                    peak_rss_bytes: os.peak_rss_bytes + ramp,
                    ..os
                }
            });
            let lost = self.missed.contains(&k) || self.on(due, |d| d == Defect::Blind);
            out.push(Sample {
                t,
                wall_ms: 1_790_000_000_000 + (t * 1e3) as i64,
                scrape: if lost {
                    Found::No("timeout".into())
                } else {
                    Found::Yes(self.page(due, k, &loops))
                },
                os: os.map_or_else(|| Found::No("a process ended while it was read".into()), Found::Yes),
                log: LogCounters { lines: k as u64 * 7, ..LogCounters::default() },
                kpi_rewrites: k as u64,
                kpi: BTreeMap::from([("paper_capital_usd".into(), CAPITAL_USD)]),
            });
        }
        out
    }

    fn page(&self, t: f64, k: usize, loops: &Loops) -> Scrape {
        let mut series = BTreeMap::new();
        let mut set = |name: String, value: f64| series.insert(name, value);
        let (closed, won) = self.closed(t);
        let (sent, failed) = self.delivered(t);
        let fall = match self.defect {
            Defect::Loss(percent) if t > self.from => percent / 100.0 * CAPITAL_USD,
            _ => 0.0,
        };
        let peak = self.pnl[..=k].iter().copied().fold(0.0, f64::max);
        let pnl = if fall > 0.0 { peak - fall } else { self.pnl[k] };
        set(format!("arb_topn_loop_iterations_total{{{ARB}}}"), loops.count as f64);
        for (edge, count) in LATENCY_BUCKETS.iter().zip(&loops.buckets) {
            set(format!("loop_latency_seconds_bucket{{le=\"{edge}\"}}"), *count as f64);
        }
        set("loop_latency_seconds_bucket{le=\"+Inf\"}".into(), loops.count as f64);
        set("loop_latency_seconds_count".into(), loops.count as f64);
        set("loop_latency_seconds_sum".into(), loops.sum);
        set(format!("arb_topn_round_trips_total{{{ARB}}}"), closed as f64);
        if closed > 0 {
            set(format!("arb_topn_win_rate{{{ARB}}}"), won as f64 / closed as f64 * 100.0);
        }
        for (n, reason) in ["take_profit", "stop_loss", "time_limit", "spread_reversal"].iter().enumerate() {
            let of = (closed + 3 - n) / 4;
            set(
                format!(
                    "arb_topn_exit_reasons_total{{env=\"paper\",reason=\"{reason}\",strategy=\"topn\",universe=\"top50\"}}"
                ),
                of as f64,
            );
        }
        set(format!("arb_topn_pnl_usd{{{ARB}}}"), pnl);
        set(format!("arb_topn_equity_usd{{{ARB}}}"), CAPITAL_USD + pnl);
        set(format!("arb_topn_drawdown_usd{{{ARB}}}"), peak - pnl);
        let guards = self.guards_until(t);
        for (n, kind) in ["exchange", "route", "symbol"].iter().enumerate() {
            let labels = format!(
                "env=\"paper\",guard_type=\"{kind}\",reason=\"bad_data\",strategy=\"topn\",universe=\"top50\""
            );
            set(format!("arb_topn_guard_triggers_total{{{labels}}}"), ((guards + 2 - n) / 3) as f64);
        }
        set("alert_sent_total{notifier=\"local_log\"}".into(), sent as f64);
        set("alert_failed_total{notifier=\"local_log\",reason=\"io\"}".into(), failed as f64);
        let letters = self.on(t, |d| d == Defect::DeadLetter);
        set("alert_dlq_total{notifier=\"local_log\"}".into(), f64::from(u8::from(letters)));
        // A notifier that fails now and then is not one that is gone.
        let available = match self.on(t, |d| d == Defect::Notifier) {
            true => 0.0,
            false if k % 97 < 3 => 0.5,
            false => 1.0,
        };
        set("notifier_available{notifier=\"local_log\"}".into(), available);
        set("process_start_time_seconds".into(), 1_790_000_000.0);
        Scrape { series }
    }
}

/// The loop's counters.
#[derive(Default)]
struct Loops {
    count: u64,
    buckets: [u64; LATENCY_BUCKETS.len()],
    sum: f64,
}

impl Loops {
    fn step(&mut self, course: &Course, t: f64, poll: f64, rng: &mut ChaCha8Rng) {
        if course.on(t, |d| d == Defect::Hang) {
            return;
        }
        let n = (poll * rng.random_range(60.0..900.0)) as u64;
        // Log-logistic with shape 2.5: a long tail, and quantiles that can be written down.
        let scale = rng.random_range(0.002..0.06) / 99_f64.powf(1.0 / 2.5);
        let slow = course.slow.iter().find(|(from, to, _)| (*from..*to).contains(&t));
        // A slow passage is slow in its tail: the run as a whole stays within H1.
        let tail = match course.defect {
            Defect::Latency(ms) if t > course.from => Some(ms / 1e3),
            _ => slow.map(|(_, _, ms)| ms / 1e3),
        };
        for (edge, count) in LATENCY_BUCKETS.iter().zip(&mut self.buckets) {
            let share = 1.0 / (1.0 + (edge / scale).powf(-2.5));
            let late = tail.map_or(share, |at| share * 0.97 + if *edge >= at { 0.03 } else { 0.0 });
            *count += (n as f64 * late) as u64;
        }
        self.count += n;
        self.sum += n as f64 * scale * 1.3;
    }
}

/// Round trips: never half an hour without one, seven winners in any ten, now and then a bad start that mends within B1's window.
fn trades(seconds: f64, rng: &mut ChaCha8Rng) -> Vec<(f64, bool)> {
    let mut out: Vec<(f64, bool)> = Vec::new();
    let bad_start = rng.random_bool(0.3);
    let (mut t, mut ten) = (0.0, Vec::new());
    while t < seconds {
        let n = out.len();
        t += if bad_start && (19..24).contains(&n) {
            pause(rng, 120.0, 400.0)
        } else {
            pause(rng, 200.0, 1_700.0)
        };
        if ten.is_empty() {
            ten = (0..10).map(|i| i < 7).collect();
            for i in (1..10).rev() {
                ten.swap(i, rng.random_range(0..=i));
            }
        }
        let won = match n {
            0..20 if bad_start => n.is_multiple_of(2) && n != 0,
            20..25 if bad_start => true,
            _ => ten.pop().unwrap(),
        };
        out.push((t, won));
    }
    out
}

/// Guard triggers in bursts, at most 48 in any hour.
fn guards(seconds: f64, rng: &mut ChaCha8Rng) -> Vec<f64> {
    let mut out: Vec<f64> = Vec::new();
    let mut t = 0.0;
    while t < seconds {
        t += pause(rng, 600.0, seconds);
        let mut at = t;
        for _ in 0..rng.random_range(1..12) {
            at += rng.random_range(0.1..20.0);
            let hour = out.len() - out.partition_point(|earlier| *earlier < at - 3_700.0);
            if hour < 48 {
                out.push(at);
            }
        }
        t = at;
    }
    out
}

/// Deliveries: now and then the first one fails, and nine that are sent make up for it within B4's window; later one in thirty fails,
/// and only while more than nine in ten were sent.
fn deliveries(seconds: f64, rng: &mut ChaCha8Rng) -> Vec<(f64, bool)> {
    let mut out = Vec::new();
    let bad_start = rng.random_bool(0.4);
    let (mut t, mut failed) = (rng.random_range(2.0..300.0), 0);
    while t < seconds {
        let n = out.len() + 1;
        let spare = (failed + 1) * 10 <= n;
        let ok = if bad_start && n == 1 { false } else { !(spare && rng.random_bool(1.0 / 30.0)) };
        failed += usize::from(!ok);
        out.push((t, ok));
        t += if bad_start && n < 11 { rng.random_range(20.0..150.0) } else { pause(rng, 240.0, 3_000.0) };
    }
    out
}
