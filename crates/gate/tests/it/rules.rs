//! The rule engine in virtual time: every rule fires, not one tick early, recovers, gap, reset, NaN.

use crate::fixture::{os, sample, scrape, settings};
use catalogue::RuleId;
use gate::evidence::{CrashBlock, Found, RuleState, Sample};
use gate::{ProcessEvent, RuleEngine};

fn engine() -> RuleEngine {
    RuleEngine::new(&settings(), 3_600.0)
}

fn state(engine: &RuleEngine, rule: RuleId) -> RuleState {
    engine.states().into_iter().find(|s| s.rule == rule).unwrap().state
}

fn cause(engine: &RuleEngine) -> Option<&str> {
    engine.first_abort().map(|a| a.cause.as_str())
}

fn blind(t: f64) -> Sample {
    Sample { scrape: Found::No("timeout".into()), ..sample(t) }
}

fn set(sample: &mut Sample, name: &str, value: f64) {
    let Found::Yes(scrape) = &mut sample.scrape else { panic!("no scrape") };
    scrape.series.insert(name.into(), value);
}

/// A sample whose loop took 200 ms every time since the start.
fn slow(t: f64) -> Sample {
    let mut sample = sample(t);
    for edge in ["0.001", "0.002", "0.05", "0.08", "0.1"] {
        set(&mut sample, &format!("loop_latency_seconds_bucket{{le=\"{edge}\"}}"), 0.0);
    }
    sample
}

fn busy(t: f64, percent: f64) -> Sample {
    let mut sample = sample(t);
    sample.os = Found::Yes(gate::evidence::OsSample { cpu_seconds: t * percent / 100.0, ..os(t) });
    sample
}

fn feed(engine: &mut RuleEngine, from: u32, to: u32, make: impl Fn(f64) -> Sample) {
    for t in (from..=to).step_by(10) {
        engine.on_sample(&make(t.into()));
    }
}

#[test]
fn a_healthy_hour_fires_nothing() {
    let mut engine = engine();
    assert!(engine.initial().is_empty(), "no rule is off");
    feed(&mut engine, 10, 3_600, sample);
    assert_eq!(cause(&engine), None);
    assert!(engine.warned().is_empty());
    let exited = ProcessEvent::Exited { code: Some(0), signal: None, after_stop: false };
    assert!(engine.on_process(3_599.5, &exited).is_empty(), "an exit within a second of the end is on time");
}

#[test]
fn a1_crash_exit_signal_and_early_end() {
    let exited = |code, signal, after_stop| ProcessEvent::Exited { code, signal, after_stop };
    for (t, event, expected) in [
        (100.0, exited(Some(1), None, false), Some("A1")),
        (3_700.0, exited(Some(1), None, false), Some("A1")),
        (100.0, exited(None, Some(11), false), Some("A1")),
        (3_598.9, exited(Some(0), None, false), Some("A1")),
        (3_599.0, exited(Some(0), None, false), None),
        (100.0, exited(Some(3), None, false), Some("EMERGENCY-STOP")),
        (100.0, exited(Some(1), None, true), None),
    ] {
        let mut engine = engine();
        engine.on_process(t, &event);
        assert_eq!(cause(&engine), expected, "{t} {event:?}");
    }
    let block = CrashBlock {
        at_s: 5.0,
        language: "rust".into(),
        kind: "worker_died".into(),
        text: "thread 'x' panicked".into(),
        before: vec![],
    };
    let mut one = engine();
    one.on_process(5.0, &ProcessEvent::WorkerDied(block.clone()));
    assert_eq!(cause(&one), Some("A1"));
    let mut stopped = engine();
    stopped.on_process(5.0, &ProcessEvent::StopSent);
    stopped.on_process(6.0, &ProcessEvent::Crash(block));
    assert_eq!(cause(&stopped), None, "after our own stop nothing is a crash");
}

#[test]
fn a2_at_once_and_a_nan_freezes() {
    let mut engine = engine();
    engine.on_sample(&sample(10.0));
    let mut odd = sample(20.0);
    set(&mut odd, "alert_dlq_total{notifier=\"local_log\"}", f64::NAN);
    engine.on_sample(&odd);
    assert_eq!(state(&engine, RuleId::A2), RuleState::Frozen);
    let mut bad = sample(30.0);
    set(&mut bad, "alert_dlq_total{notifier=\"local_log\"}", 1.0);
    let events = engine.on_sample(&bad);
    assert!(events.iter().any(|e| e.rule == RuleId::A2 && e.state == RuleState::Fired));
    assert_eq!(cause(&engine), Some("A2"));
}

#[test]
fn a4_needs_every_sample_of_the_span() {
    let mut engine = engine();
    feed(&mut engine, 10, 310, slow);
    // The first violating sample is at 20: the first scrape has nothing to be compared with.
    assert_eq!(state(&engine, RuleId::A4), RuleState::Pending);
    engine.on_sample(&slow(320.0));
    assert_eq!(cause(&engine), Some("A4"));
}

#[test]
fn a4_recovers_freezes_over_a_gap_and_after_a_reset() {
    let mut recovering = engine();
    feed(&mut recovering, 10, 300, slow);
    recovering.on_sample(&{
        let mut s = slow(310.0);
        for edge in ["0.001", "0.002", "0.05", "0.08", "0.1"] {
            set(&mut s, &format!("loop_latency_seconds_bucket{{le=\"{edge}\"}}"), 1_000.0);
        }
        s
    });
    assert_eq!(state(&recovering, RuleId::A4), RuleState::Clear);

    let mut gap = engine();
    feed(&mut gap, 10, 200, slow);
    gap.on_sample(&blind(210.0));
    assert_eq!(state(&gap, RuleId::A4), RuleState::Frozen);
    feed(&mut gap, 220, 330, slow);
    assert_eq!(cause(&gap), None, "the 20 s that were not watched do not count");
    feed(&mut gap, 340, 340, slow);
    assert_eq!(cause(&gap), Some("A4"));

    let mut reset = engine();
    feed(&mut reset, 10, 200, slow);
    reset.on_sample(&Sample { t: 210.0, ..slow(5.0) });
    assert_eq!(state(&reset, RuleId::A4), RuleState::Frozen, "a reset is no sample");
    let mut nan = engine();
    nan.on_sample(&slow(10.0));
    let mut odd = slow(20.0);
    set(&mut odd, "loop_latency_seconds_bucket{le=\"+Inf\"}", f64::NAN);
    nan.on_sample(&odd);
    assert_eq!(state(&nan, RuleId::A4), RuleState::Frozen);
}

#[test]
fn a5_fires_after_its_span_and_recovers() {
    let mut engine = engine();
    feed(&mut engine, 10, 610, |t| busy(t, 90.0));
    assert_eq!(state(&engine, RuleId::A5), RuleState::Pending);
    engine.on_sample(&busy(620.0, 90.0));
    assert_eq!(cause(&engine), Some("A5"));

    let mut calm = self::engine();
    feed(&mut calm, 10, 600, |t| busy(t, 90.0));
    calm.on_sample(&{
        let mut s = busy(610.0, 0.0);
        s.os = Found::Yes(gate::evidence::OsSample { cpu_seconds: 541.0, ..os(610.0) });
        s
    });
    assert_eq!(state(&calm, RuleId::A5), RuleState::Clear);
    let mut gap = self::engine();
    feed(&mut gap, 10, 300, |t| busy(t, 90.0));
    gap.on_sample(&Sample { os: Found::No("gone".into()), ..sample(310.0) });
    assert_eq!(state(&gap, RuleId::A5), RuleState::Frozen);
    feed(&mut gap, 320, 630, |t| busy(t, 90.0));
    assert_eq!(cause(&gap), None);
    feed(&mut gap, 640, 640, |t| busy(t, 90.0));
    assert_eq!(cause(&gap), Some("A5"));
}

#[test]
fn a8_counts_watched_time_without_progress() {
    let still = |t: f64| {
        let mut s = sample(t);
        set(&mut s, "arb_topn_loop_iterations_total", 10_000.0);
        s
    };
    let mut engine = engine();
    feed(&mut engine, 10, 100, sample);
    feed(&mut engine, 110, 150, still);
    assert_eq!(cause(&engine), None);
    // Iterations stood at 10 000 from the sample at 100 on.
    engine.on_sample(&still(160.0));
    assert_eq!(cause(&engine), Some("A8"));

    let mut moving = self::engine();
    feed(&mut moving, 10, 100, sample);
    feed(&mut moving, 110, 150, still);
    feed(&mut moving, 160, 300, sample);
    assert_eq!(cause(&moving), None);
    let mut reset = self::engine();
    feed(&mut reset, 10, 100, sample);
    feed(&mut reset, 110, 150, still);
    let mut low = sample(160.0);
    set(&mut low, "arb_topn_loop_iterations_total", 5.0);
    reset.on_sample(&low);
    assert_eq!(state(&reset, RuleId::A8), RuleState::Clear, "a reset is movement: the clock begins anew");
    assert_eq!(cause(&reset), None);
}

#[test]
fn a9_counts_from_the_grace_and_missing_samples_do_not_stop_it() {
    let mut engine = engine();
    for t in 1..90 {
        engine.on_tick(t.into());
    }
    assert_eq!(cause(&engine), None);
    engine.on_tick(90.0);
    assert_eq!(cause(&engine), Some("A9"));

    let mut seen = self::engine();
    feed(&mut seen, 10, 100, sample);
    feed(&mut seen, 110, 150, blind);
    assert_eq!(state(&seen, RuleId::A9), RuleState::Pending);
    seen.on_tick(159.9);
    assert_eq!(cause(&seen), None);
    seen.on_sample(&sample(159.95));
    assert_eq!(state(&seen, RuleId::A9), RuleState::Clear);
    feed(&mut seen, 170, 220, blind);
    assert_eq!(cause(&seen), Some("A9"));
}

#[test]
fn hang_comes_before_blindness_and_the_rest() {
    let mut settings = settings();
    settings.progress_by_kpi_file = true;
    let mut engine = RuleEngine::new(&settings, 3_600.0);
    for t in (30..=90).step_by(10) {
        let mut s = blind(t.into());
        s.kpi_rewrites = 3;
        engine.on_sample(&s);
    }
    assert_eq!(cause(&engine), Some("A8"));
    assert_eq!(engine.later().iter().map(|a| a.cause.as_str()).collect::<Vec<_>>(), ["A9"]);
}

#[test]
fn b2_needs_the_whole_span_and_only_warns() {
    let still = |t: f64| {
        let mut s = sample(t);
        s.scrape = Found::Yes(scrape(t, 1.0, 0.0));
        s
    };
    let mut engine = engine();
    feed(&mut engine, 10, 1_800, still);
    assert!(engine.warned().is_empty());
    engine.on_sample(&still(1_810.0));
    assert_eq!(engine.warned(), [RuleId::B2]);
    assert_eq!(cause(&engine), None);
    engine.on_sample(&sample(1_920.0));
    assert_eq!(state(&engine, RuleId::B2), RuleState::Clear);
    assert_eq!(engine.warned(), [RuleId::B2], "what fired stays on record");
}
