//! Recovery in virtual time: a journal cut at every commit says what the core that was not interrupted is, and a session
//! that is killed again and again, losing the end of its journal each time, replays from its input log to the journal it has.

use crate::virtual_market::Session;
use engine::legs::Phase;
use engine::recover::{Cuts, State};
use engine::replay_with;
use exchange::MarketKind;
use journal::{Body, file};
use rand::{Rng, SeedableRng};
use recording::Input;
use std::collections::BTreeSet;

/// Sessions of each test: a few, or as many as `ASSAY_SESSIONS` says.
fn seeds() -> u64 {
    std::env::var("ASSAY_SESSIONS").ok().and_then(|n| n.parse().ok()).unwrap_or(2)
}

/// Compares the fold with the core after an input, and notes what there was to recover.
fn journal_says_it_all(session: &Session, seen: &mut BTreeSet<&'static str>) {
    if session.entries.last().is_none_or(|entry| entry.input_seq != session.seq) {
        return;
    }
    let (mut folded, mut kept) = (session.recovered.clone(), session.core.state());
    (kept.input_seq, kept.at) = (folded.input_seq, folded.at);
    folded.comparable(session.now());
    kept.comparable(session.now());
    assert!(folded == kept, "after input {}: {folded:#?}\nis not {kept:#?}", session.seq);
    for position in &kept.positions {
        seen.insert(match position.phase {
            Phase::Entering if position.unwinds > 0 => "an unwind under way",
            Phase::Entering => "an entry under way",
            Phase::Open => "an open position",
            Phase::Exiting if position.outstanding > 0 => "an exit under way",
            Phase::Exiting => "an exit decided",
        });
    }
    for order in &kept.orders {
        seen.insert(if order.limit.is_some() { "a completion under way" } else { "an order under way" });
    }
    if kept.guards.values().any(|guard| guard.until.is_some()) {
        seen.insert("a cooldown");
    }
    if !kept.guards.is_empty() {
        seen.insert("a guard");
    }
}

#[test]
fn a_journal_cut_at_any_commit_gives_the_state_of_the_core() {
    let mut seen = BTreeSet::new();
    for seed in 0..seeds() {
        let mut session = Session::start(MarketKind::Edge, 500 + seed, 40, &[]);
        session.looks = journal_says_it_all;
        session.go(30);
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

/// Kills the process of a session: the last `lost` inputs that recorded anything did not reach the journal, and another one
/// goes on from it.
fn kill_and_go_on(session: &mut Session, lost: usize) {
    let commits: Vec<usize> =
        session.entries.iter().enumerate().filter(|(_, e)| e.commit).map(|(i, _)| i).collect();
    let keep = commits[commits.len().saturating_sub(1 + lost)];
    let cut = session.entries.len() - keep - 1;
    session.entries.truncate(keep + 1);
    let mut state = State::new();
    session.entries.iter().for_each(|entry| state.fold(entry).unwrap());
    session.recovered = state.clone();
    session.forget_requests();
    let Input::Session { run_id, config } = session.log[0].input.clone() else { panic!("no session") };
    session.feed(&Input::Resume {
        run_id,
        config,
        after_seq: state.journal_seq,
        cut_records: cut as u64,
        cut_bytes: 0,
        state: serde_json::to_string(&state).unwrap(),
    });
    session.open();
}

#[test]
fn a_session_killed_again_and_again_replays_to_its_journal() {
    for seed in 0..seeds() {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
        let mut session = Session::start(MarketKind::Edge, 600 + seed, 40, &[]);
        session.looks = journal_says_it_all;
        let (mut positions, mut orders) = (0, 0);
        for _ in 0..12 {
            for _ in 0..rng.random_range(20..80) {
                session.step();
            }
            kill_and_go_on(&mut session, rng.random_range(0..6));
            let back = session.entries.iter().rev().find_map(|entry| match &entry.body {
                Body::Resumed { positions, orders, .. } => Some((*positions, *orders)),
                _ => None,
            });
            let (p, o) = back.unwrap();
            (positions, orders) = (positions + p, orders + o);
        }
        assert!(positions > 0, "seed {seed}: no kill met a position");
        session.go(5);
        println!("seed {seed}: {positions} positions and {orders} orders came back");

        let accounts = gate::account(&session.entries).unwrap();
        assert!(accounts.problems.is_empty(), "seed {seed}: {:?}", accounts.problems);
        let left = session.core.state().positions;
        assert!(left.is_empty(), "seed {seed}: {left:#?}");

        let mut cuts = Cuts::none();
        session.log.iter().for_each(|record| cuts.look(record));
        assert_eq!(cuts.restarts(), 12);
        let (mut live, mut replayed) = (Vec::new(), Vec::new());
        session.entries.iter().for_each(|entry| file::encode(entry, &mut live));
        replay_with(session.log.iter().cloned(), &cuts, |entry| file::encode(&entry, &mut replayed)).unwrap();
        assert!(live == replayed, "seed {seed}: the replay differs from the journal");
    }
}
