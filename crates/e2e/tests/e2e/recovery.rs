//! Recovery in virtual time: a journal cut at every commit says what the core that was not interrupted is, and a session
//! that is killed again and again, losing the end of its journal each time, replays from its input log to the journal it has.

use crate::harness;
use assay::generate::{GenerateError, Sink, VirtualMarket, Wanted};
use engine::legs::Phase;
use engine::recover::{Cuts, State};
use engine::{Config, Core, Effect, replay_with};
use exchange::MarketKind;
use journal::{Body, Entry, file};
use rand::{Rng, SeedableRng};
use recording::{Input, Record};
use std::collections::BTreeSet;
use std::time::Duration;

/// Sessions of each test: a few, or as many as `ASSAY_SESSIONS` says.
fn seeds() -> u64 {
    std::env::var("ASSAY_SESSIONS").ok().and_then(|n| n.parse().ok()).unwrap_or(2)
}

/// A session whose journal is folded as it grows, and compared with the core after every input that recorded anything.
#[derive(Default)]
struct Killable {
    core: Option<Core>,
    entries: Vec<Entry>,
    log: Vec<Record>,
    recovered: State,
    /// What there was to recover.
    seen: BTreeSet<&'static str>,
}

impl Sink for Killable {
    fn take(&mut self, record: Record) -> Result<Vec<Wanted>, GenerateError> {
        let mut effects = Vec::new();
        match &mut self.core {
            Some(core) => core.apply(record.seq, record.at, &record.input, &mut effects),
            None => self.core = Some(Core::start(record.seq, record.at, &record.input, &mut effects)?),
        }
        self.log.push(record);
        let before = self.entries.len();
        let mut wanted = Vec::new();
        for effect in effects {
            match effect {
                Effect::Record(entry) => {
                    self.recovered.fold(&entry).unwrap();
                    self.entries.push(entry);
                }
                Effect::RequestSnapshot { asset, epoch, .. } => wanted.push((asset, epoch)),
                Effect::Watch { .. }
                | Effect::Resubscribe { .. }
                | Effect::Finished
                | Effect::EmergencyExit => {}
            }
        }
        if self.entries.len() > before {
            self.journal_says_it_all();
        }
        Ok(wanted)
    }
}

impl Killable {
    /// Compares the fold with the core, and notes what there was to recover.
    fn journal_says_it_all(&mut self) {
        let now = self.log.last().unwrap().at;
        let (mut folded, mut kept) = (self.recovered.clone(), self.core.as_ref().unwrap().state());
        (kept.input_seq, kept.at) = (folded.input_seq, folded.at);
        folded.comparable(now);
        kept.comparable(now);
        assert!(folded == kept, "after input {}: {folded:#?}\nis not {kept:#?}", self.log.len());
        for position in &kept.positions {
            self.seen.insert(match position.phase {
                Phase::Entering if position.unwinds > 0 => "an unwind under way",
                Phase::Entering => "an entry under way",
                Phase::Open => "an open position",
                Phase::Exiting if position.outstanding > 0 => "an exit under way",
                Phase::Exiting => "an exit decided",
            });
        }
        for order in &kept.orders {
            let what = if order.limit.is_some() { "a completion under way" } else { "an order under way" };
            self.seen.insert(what);
        }
        if kept.guards.values().any(|guard| guard.until.is_some()) {
            self.seen.insert("a cooldown");
        }
    }

    /// Kills the process: the last `lost` inputs that recorded anything did not reach the journal. What the next one begins
    /// with.
    fn kill(&mut self, lost: usize) -> Input {
        let commits: Vec<usize> =
            self.entries.iter().enumerate().filter(|(_, e)| e.commit).map(|(i, _)| i).collect();
        let keep = commits[commits.len().saturating_sub(1 + lost)];
        let cut_records = (self.entries.len() - keep - 1) as u64;
        self.entries.truncate(keep + 1);
        let mut state = State::new();
        self.entries.iter().for_each(|entry| state.fold(entry).unwrap());
        self.recovered = state.clone();
        let Input::Session { run_id, config } = self.log[0].input.clone() else { panic!("no session") };
        let (after_seq, text) = (state.journal_seq, serde_json::to_string(&state).unwrap());
        Input::Resume { run_id, config, after_seq, cut_records, cut_bytes: 0, state: text }
    }
}

fn market(seed: u64) -> VirtualMarket<Killable> {
    let config = Config {
        topn: 40,
        time_limit_ms: 5_000,
        entry_pause_ms: 1_000,
        cooldown_route_ms: 5_000,
        cooldown_cross_ms: 15_000,
        ..Config::default()
    };
    let run_id = format!("recovery-{seed}");
    VirtualMarket::synthetic(40, MarketKind::Edge, seed, &[], &run_id, &config, Killable::default()).unwrap()
}

#[test]
fn a_journal_cut_at_any_commit_gives_the_state_of_the_core() {
    harness::gives_way();
    let mut seen = BTreeSet::new();
    for seed in 0..seeds() {
        let mut market = market(500 + seed);
        market.run(Duration::from_secs(30), |_| {}).unwrap();
        market.end().unwrap();
        let mut session = market.into_sink();
        // Through the text, as the input log carries it.
        let text = serde_json::to_string(&session.recovered).unwrap();
        let mut back: State = serde_json::from_str(&text).unwrap();
        back.config = session.recovered.config.clone();
        assert_eq!(back, session.recovered);
        seen.append(&mut session.seen);
    }
    for what in
        ["an entry under way", "an open position", "an exit under way", "an order under way", "a cooldown"]
    {
        assert!(seen.contains(what), "never seen: {what}; only {seen:?}");
    }
}

#[test]
fn a_session_killed_again_and_again_replays_to_its_journal() {
    harness::gives_way();
    for seed in 0..seeds() {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
        let mut market = market(600 + seed);
        let (mut positions, mut orders) = (0, 0);
        for _ in 0..12 {
            for _ in 0..rng.random_range(20..80) {
                market.step().unwrap();
            }
            let resume = market.sink_mut().kill(rng.random_range(0..6));
            market.go_on(resume).unwrap();
            let back = market.sink().entries.iter().rev().find_map(|entry| match &entry.body {
                Body::Resumed { positions, orders, .. } => Some((*positions, *orders)),
                _ => None,
            });
            let (p, o) = back.unwrap();
            (positions, orders) = (positions + p, orders + o);
        }
        assert!(positions > 0, "seed {seed}: no kill met a position");
        let until = market.model().elapsed() + Duration::from_secs(5);
        market.run(until, |_| {}).unwrap();
        market.end().unwrap();
        let session = market.into_sink();
        println!("seed {seed}: {positions} positions and {orders} orders came back");

        let accounts = gate::account(&session.entries).unwrap();
        assert!(accounts.problems.is_empty(), "seed {seed}: {:?}", accounts.problems);
        let left = session.core.unwrap().state().positions;
        assert!(left.is_empty(), "seed {seed}: {left:#?}");

        let mut cuts = Cuts::none();
        session.log.iter().for_each(|record| cuts.look(record));
        assert_eq!(cuts.restarts(), 12);
        let (mut live, mut replayed) = (Vec::new(), Vec::new());
        session.entries.iter().for_each(|entry| file::encode(entry, &mut live));
        replay_with(session.log.into_iter(), &cuts, |entry| file::encode(&entry, &mut replayed)).unwrap();
        assert!(live == replayed, "seed {seed}: the replay differs from the journal");
    }
}
