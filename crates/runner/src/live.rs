//! A live session: the venues' streams and REST answers, timers and signals become inputs of the core. One current-thread
//! runtime carries sockets and core; nothing else runs there.

use crate::clock::{Clock, rfc3339};
use crate::config::Effective;
use crate::error::RunError;
use crate::hot::{Hot, Outcome};
use crate::keeper::{Keeper, Schedule};
use crate::metrics::Metrics;
use crate::recorder::Recorder;
use crate::requests::Requests;
use crate::restart::Restart;
use crate::signals::Signals;
use crate::store;
use crate::streams::Streams;
use crate::universe::{self, Chosen};
use crate::writer::{ShellAlert, WriterHandle};
use market::{Member, Timestamp, Venue};
use recording::{ConnId, Input, Record};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};
use venues::{Endpoints, Rest, Stamped, StreamEvent};

/// Events that wait for the core.
const QUEUE: usize = 16_384;
/// Events handled before timers and signals are looked at again.
const BURST: usize = 256;
/// Answers handled after each burst.
const ANSWERS: usize = 16;
/// The core's own 1 s timer: it moves the progress signal even in silence.
const SECOND: Duration = Duration::from_secs(1);
/// How long closing everything may take at the end.
const CLOSING: Duration = Duration::from_secs(6);

/// What a session needs.
#[derive(Clone, Copy)]
pub struct Parts<'a> {
    /// Configuration.
    pub effective: &'a Effective,
    /// The clock.
    pub clock: &'a Clock,
    /// The writer thread.
    pub writer: &'a WriterHandle,
    /// The input log.
    pub recorder: Option<&'a Recorder>,
    /// Metrics.
    pub metrics: &'a Metrics,
    /// What a killed process left, when this one goes on with its session.
    pub back: Option<&'a Back>,
    /// Tells of the kill switch.
    pub kill: &'a watch::Receiver<Option<String>>,
}

/// What a killed process left.
#[derive(Debug)]
pub struct Back {
    /// Its journal.
    pub restart: Restart,
    /// The last record of its input log.
    pub last: Option<(u64, Timestamp)>,
}

/// Runs a session to its end.
///
/// # Errors
/// [`RunError`]; the core's records up to then are with the writer.
pub async fn run(parts: Parts<'_>, endpoints: Endpoints, signals: &mut Signals) -> Result<Outcome, RunError> {
    let end = parts.clock.start_instant() + Duration::from_secs(parts.effective.run_duration_seconds);
    let rest = Arc::new(Rest::new(endpoints.clone()).map_err(|e| RunError::Internal(e.to_string()))?);
    let config = &parts.effective.config;
    let known = parts.back.map(|back| members_of(&back.restart)).unwrap_or_default();
    let choose = async {
        if known.is_empty() {
            universe::choose(&rest, parts.effective.topn_size, &config.filters).await
        } else {
            universe::again(&rest, known).await
        }
    };
    let chosen = tokio::select! {
        chosen = choose => chosen?,
        () = signals.wait() => return Ok(Outcome::Signal),
    };
    let hot = Hot::start(first(parts)?, parts.writer, parts.recorder, parts.metrics)?;
    let (tx, rx) = mpsc::channel(QUEUE);
    // A position's market is watched to its end, even when it is no member any more.
    let watched = watched(&chosen, parts.back);
    let settings = config.streams.settings(config.engine.seed).sharing(&rest);
    let streams = Streams::open(&endpoints, &settings, &watched, &chosen.fx_code, &tx);
    drop(tx);
    let requests = Requests::start(Arc::clone(&rest), &watched, &chosen.fx_code);
    let keeper = keep(parts, &rest, watched.clone(), &requests)?;
    let mut session = Session {
        parts,
        hot,
        rest,
        streams,
        keeper,
        watched,
        fx_code: chosen.fx_code.clone(),
        rx,
        requests,
        end,
        started: false,
        blocked: [None; 2],
    };
    session.feed(Input::Universe {
        asked: parts.effective.topn_size,
        members: chosen.selection.members.clone(),
    });
    for (asset, why) in chosen.selection.out.iter().take(20) {
        tracing::debug!(%asset, why, "not in the universe");
    }
    tracing::info!(
        members = chosen.selection.members.len(),
        asked = parts.effective.topn_size,
        krw_per_usdt = %chosen.fx.0,
        "session starts"
    );
    session.drive(signals).await
}

/// The first input: a session's, or that of one which goes on.
fn first(parts: Parts<'_>) -> Result<Record, RunError> {
    let now = parts.clock.now();
    if let Some(Back { restart, last }) = parts.back {
        let (state, bytes) = (&restart.state, restart.cut_bytes);
        tracing::info!(
            after = state.journal_seq,
            positions = state.positions.len(),
            orders = state.orders.len(),
            cut_bytes = bytes,
            "the session of a killed process goes on"
        );
        return restart.first(parts.effective, *last, now);
    }
    let config = serde_json::to_string(&parts.effective.config.engine)
        .map_err(|e| RunError::Internal(format!("[engine]: {e}")))?;
    let input = Input::Session { run_id: parts.effective.run_id.clone(), config };
    Ok(Record { seq: 1, at: now, input })
}

/// The members of before the restart: a restart is no refresh of the universe.
fn members_of(restart: &Restart) -> Vec<Member> {
    let state = &restart.state;
    state.members.iter().filter_map(|i| Some(state.symbols.get(*i)?.member.clone())).collect()
}

/// The members, and what still has a position.
fn watched(chosen: &Chosen, back: Option<&Back>) -> Vec<Member> {
    let mut watched = chosen.selection.members.clone();
    let Some(Back { restart, .. }) = back else { return watched };
    for position in &restart.state.positions {
        let symbol = restart.state.symbols.get(position.symbol);
        if let Some(symbol) = symbol.filter(|s| !watched.iter().any(|m| m.asset == s.member.asset)) {
            watched.push(symbol.member.clone());
        }
    }
    watched
}

/// Starts the thread that keeps the universe up to date.
fn keep(
    parts: Parts<'_>,
    rest: &Rest,
    watched: Vec<Member>,
    requests: &Requests,
) -> Result<Keeper, RunError> {
    let config = &parts.effective.config;
    let every = |seconds: u64| (seconds > 0).then(|| Duration::from_secs(seconds));
    let schedule =
        Schedule { refresh: every(config.universe_refresh_s), markets: every(config.universe_markets_s) };
    let topn = parts.effective.topn_size;
    Keeper::start(rest, topn, &config.filters, schedule, watched, requests.inputs())
        .map_err(|e| RunError::Internal(format!("no thread for the universe: {e}")))
}

struct Session<'a> {
    parts: Parts<'a>,
    hot: Hot<'a>,
    rest: Arc<Rest>,
    streams: Streams,
    keeper: Keeper,
    /// Whose books are followed.
    watched: Vec<Member>,
    fx_code: String,
    rx: mpsc::Receiver<Stamped>,
    requests: Requests,
    end: Instant,
    started: bool,
    blocked: [Option<Timestamp>; 2],
}

impl Session<'_> {
    fn feed(&mut self, input: Input) {
        self.hot.feed(input, Instant::now(), self.parts.clock);
        self.ask();
    }

    /// Passes the core's requests on.
    fn ask(&mut self) {
        while let Some((joined, left)) = self.hot.changes.pop_front() {
            self.change(&joined, &left);
        }
        while let Some(request) = self.hot.requests.pop_front() {
            self.requests.snapshot(request);
        }
        while let Some(venue) = self.hot.resubscribe.pop() {
            self.streams.subscribe_again(venue);
        }
    }

    /// The universe has changed: books to follow, and books to drop.
    fn change(&mut self, joined: &[Member], left: &[Member]) {
        self.watched.retain(|m| !left.iter().any(|gone| gone.asset == m.asset));
        self.watched.extend(joined.iter().cloned());
        self.streams.change(joined, left);
        self.requests.join(&self.watched, joined, &self.fx_code);
        self.keeper.follow(self.watched.clone());
    }

    async fn drive(&mut self, signals: &mut Signals) -> Result<Outcome, RunError> {
        let mut second = Instant::now() + SECOND;
        let mut kill = self.parts.kill.clone();
        let mut outcome = None;
        let mut give_up = None;
        loop {
            let wake = self.wake(second, give_up.unwrap_or(self.end));
            tokio::select! {
                biased;
                () = signals.wait(), if outcome.is_none() => outcome = self.close(Outcome::Signal, &mut give_up),
                // It is stronger than an orderly end that is under way.
                reason = store::pulled(&mut kill), if outcome != Some(Outcome::KillSwitch) => {
                    outcome = self.kill(reason, &mut give_up);
                }
                event = self.rx.recv() => match event {
                    Some(event) => self.burst(event),
                    None => return Err(RunError::Internal("every stream task ended".to_owned())),
                },
                Some((received, input)) = self.requests.answer() => {
                    self.hot.feed(input, received, self.parts.clock);
                    self.ask();
                }
                () = tokio::time::sleep_until(wake.into()) => self.feed(Input::Tick),
            }
            self.answers();
            let now = Instant::now();
            if now >= second {
                self.timer_lag(now.saturating_duration_since(second));
                second = now + SECOND;
                self.each_second()?;
            }
            if outcome.is_none() && now >= self.end {
                outcome = self.close(Outcome::Duration, &mut give_up);
            }
            if self.hot.finished || give_up.is_some_and(|at| now >= at) {
                self.hot.show();
                if !self.hot.finished {
                    tracing::error!("not everything was closed within {} s", CLOSING.as_secs());
                }
                if self.hot.emergency {
                    return Ok(Outcome::Emergency);
                }
                return outcome.ok_or_else(|| RunError::Internal("the core ended by itself".to_owned()));
            }
        }
    }

    /// The next instant at which something is due.
    fn wake(&self, second: Instant, end: Instant) -> Instant {
        let wake = second.min(end);
        match self.hot.next_deadline() {
            // A deadline that has passed must not turn the loop into a spin.
            Some(at) => {
                wake.min(self.parts.clock.instant(at).max(Instant::now() + Duration::from_micros(100)))
            }
            None => wake,
        }
    }

    /// The orderly end begins: no entries from now on.
    fn close(&mut self, outcome: Outcome, give_up: &mut Option<Instant>) -> Option<Outcome> {
        tracing::info!("the run ends ({}): no entries from here on", outcome.as_str());
        *give_up = Some(Instant::now() + CLOSING);
        self.feed(Input::Shutdown);
        Some(outcome)
    }

    /// The kill switch: as an orderly end, and everything is closed for that reason.
    fn kill(&mut self, reason: String, give_up: &mut Option<Instant>) -> Option<Outcome> {
        tracing::warn!("the kill switch was pulled: {reason}");
        give_up.get_or_insert_with(|| Instant::now() + CLOSING);
        self.feed(Input::KillSwitch { reason });
        Some(Outcome::KillSwitch)
    }

    /// Handles an event and those that wait behind it.
    fn burst(&mut self, first: Stamped) {
        self.event(first);
        for _ in 1..BURST {
            match self.rx.try_recv() {
                Ok(event) => self.event(event),
                Err(_) => break,
            }
        }
    }

    /// Takes answers that have come: frames have the precedence, and under load they would have it for ever.
    fn answers(&mut self) {
        for _ in 0..ANSWERS {
            let Some((received, input)) = self.requests.answer_now() else { return };
            self.hot.feed(input, received, self.parts.clock);
            self.ask();
        }
    }

    fn event(&mut self, (received, event): Stamped) {
        let venue_of = |conn: &ConnId| Streams::venue_of(*conn);
        let input = match event {
            StreamEvent::Frame { conn, payload } => Input::Frame { conn, payload },
            StreamEvent::Alive { conn } => {
                self.parts.metrics.venues[venue_of(&conn).index()].alive.inc();
                Input::Alive { conn }
            }
            StreamEvent::Up { conn } => Input::ConnUp { conn, venue: venue_of(&conn) },
            StreamEvent::Down { conn, reason, next_attempt_ms } => {
                // The core's own line says the rest.
                tracing::debug!(conn, venue = %venue_of(&conn), next_attempt_ms, "connection lost");
                Input::ConnDown { conn, venue: venue_of(&conn), reason }
            }
        };
        if !self.started && matches!(input, Input::Frame { .. }) {
            self.started = true;
            self.parts.writer.alert(ShellAlert::drill("start"));
        }
        self.hot.feed(input, received, self.parts.clock);
        self.ask();
    }

    /// `RATE-429`, when a venue begins to refuse.
    fn refused(&mut self, venue: Venue, until: Option<Timestamp>) {
        let known = std::mem::replace(&mut self.blocked[venue.index()], until);
        if let (None, Some(until)) = (known, until) {
            self.parts.writer.alert(ShellAlert {
                rule_id: "RATE-429",
                title: format!("{venue} refuses requests"),
                message: format!("It answered 429 or 418: nothing is asked there before {}.", rfc3339(until)),
                label: ("venue", venue.to_string()),
            });
        }
    }

    /// The timer-lag probe: how late the second is noticed counts as queueing, so that a pause of the whole process shows
    /// even when nothing arrived. Timers of the runtime have a resolution of 1 ms.
    fn timer_lag(&self, lag: Duration) {
        self.parts.metrics.latency.observe(lag.as_secs_f64());
        self.parts.metrics.receive.observe(lag.as_secs_f64());
    }

    fn each_second(&mut self) -> Result<(), RunError> {
        if !self.started {
            // No data within a second: the drill does not wait for it.
            self.started = true;
            self.parts.writer.alert(ShellAlert::drill("start"));
        }
        if let Some(failure) = self.parts.writer.failure() {
            return Err(RunError::Internal(failure.to_owned()));
        }
        let stats = self.rest.stats();
        if let Err(error) = self.parts.metrics.rest(&stats) {
            tracing::error!(%error, "a metric is not exposed");
        }
        for (venue, stats) in [(Venue::Upbit, &stats.upbit), (Venue::Binance, &stats.binance)] {
            self.refused(venue, stats.blocked_until);
        }
        for input in self.requests.budgets(&stats) {
            self.feed(input);
        }
        self.hot.show();
        Ok(())
    }
}
