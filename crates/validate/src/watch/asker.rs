//! Asking Grafana beside the watch: a thread of its own, so that a slow Grafana never holds up a poll. Orders go in, panel checks
//! and the exchanges behind them come out; the watch writes them down.

use super::panels::Scale;
use crate::grafana::{Client, Exchange, ask_panels};
use catalogue::{Dashboard, PANELS};
use gate::evidence::PanelCheck;
use std::collections::VecDeque;
use std::sync::mpsc;
use std::time::{Duration, Instant};

enum Order {
    Panels(Dashboard, Scale),
    Mark { at_ms: i64, kind: &'static str, text: String },
}

/// What came of an order.
#[derive(Debug, Default)]
pub(super) struct Answered {
    /// True for a dashboard, not for a mark.
    is_round: bool,
    /// The checks of a dashboard.
    pub(super) checks: Vec<PanelCheck>,
    /// What was asked and answered.
    pub(super) exchanges: Vec<Exchange>,
    /// Something for the monitor's log.
    pub(super) note: Option<String>,
}

/// The thread's handles.
#[derive(Debug)]
pub(super) struct Asker {
    orders: Option<mpsc::Sender<Order>>,
    answers: mpsc::Receiver<Answered>,
    began: Instant,
    /// Rounds that were ordered and not answered, in order, with the seconds after the phase's start. They are answered in that order.
    open: VecDeque<(Dashboard, f64)>,
}

impl Asker {
    /// Starts the thread. `began` is the phase's start, from which times are counted.
    pub(super) fn start(url: &str, began: Instant) -> Self {
        let (orders, inbox) = mpsc::channel();
        let (outbox, answers) = mpsc::channel();
        let url = url.to_owned();
        std::thread::spawn(move || {
            let mut client = match Client::from_env(&url) {
                Ok(client) => client,
                Err(e) => {
                    let _ = outbox.send(Answered {
                        note: Some(format!("Grafana cannot be asked: {e}")),
                        ..Answered::default()
                    });
                    return;
                }
            };
            for order in inbox {
                let mut answered = follow(&mut client, order, began);
                answered.exchanges = client.take_exchanges();
                if outbox.send(answered).is_err() {
                    return;
                }
            }
        });
        Self::of(orders, answers, began)
    }

    const fn of(orders: mpsc::Sender<Order>, answers: mpsc::Receiver<Answered>, began: Instant) -> Self {
        Self { orders: Some(orders), answers, began, open: VecDeque::new() }
    }

    /// Asks a dashboard's panels.
    pub(super) fn panels(&mut self, dashboard: Dashboard, scale: Scale) {
        self.open.push_back((dashboard, self.began.elapsed().as_secs_f64()));
        self.order(Order::Panels(dashboard, scale));
    }

    /// Marks this moment on the dashboards: `start`, `abort` or `end`.
    pub(super) fn mark(&self, kind: &'static str, text: String) {
        self.order(Order::Mark { at_ms: jiff::Timestamp::now().as_millisecond(), kind, text });
    }

    fn order(&self, order: Order) {
        // A thread that is gone has said why.
        let _ = self.orders.as_ref().map(|orders| orders.send(order));
    }

    /// What has come in.
    pub(super) fn answers(&mut self) -> Vec<Answered> {
        let all: Vec<Answered> = self.answers.try_iter().collect();
        self.settle(&all);
        all
    }

    /// No more orders: what comes in until all are done, or `patience` is over. A round that nobody answered by then is answered for: each of
    /// its panels was asked, and nothing is known of it.
    pub(super) fn finish(&mut self, patience: Duration) -> Vec<Answered> {
        self.orders = None;
        let until = Instant::now() + patience;
        let mut all = Vec::new();
        while let Ok(answered) = self.answers.recv_timeout(until.saturating_duration_since(Instant::now())) {
            all.push(answered);
        }
        self.settle(&all);
        let now = self.began.elapsed().as_secs_f64();
        all.extend(std::mem::take(&mut self.open).into_iter().map(|round| unanswered(round, now)));
        all
    }

    fn settle(&mut self, answered: &[Answered]) {
        let rounds = answered.iter().filter(|answered| answered.is_round).count();
        self.open.drain(..rounds.min(self.open.len()));
    }
}

/// A round that was asked for at `asked` and given up at `now`. It stands there as the newest: an earlier answer is not the last word.
fn unanswered((dashboard, asked): (Dashboard, f64), now: f64) -> Answered {
    let why = format!("asked at {asked:.1} s, no answer within {:.1} s", now - asked);
    let panels = PANELS.iter().filter(|panel| panel.dashboard == dashboard);
    let check = |panel: &catalogue::Panel| PanelCheck {
        unanswered: true,
        ..PanelCheck::without_data(now, panel.id, why.clone())
    };
    let name = format!("{dashboard:?}").to_lowercase();
    Answered {
        is_round: true,
        checks: panels.map(check).collect(),
        note: Some(format!("Grafana: the {name} dashboard was {why}")),
        ..Answered::default()
    }
}

fn follow(client: &mut Client, order: Order, began: Instant) -> Answered {
    let clock = || began.elapsed().as_secs_f64();
    match order {
        Order::Panels(dashboard, scale) => {
            let checks = ask_panels(client, dashboard, &clock, scale);
            Answered { is_round: true, checks, ..Answered::default() }
        }
        Order::Mark { at_ms, kind, text } => {
            let tags = [catalogue::grafana::ANNOTATION_TAG, kind];
            let marked = client.annotate(clock(), at_ms, &tags, &text);
            let note = marked.err().map(|e| format!("the {kind} is not marked on the dashboards: {e}"));
            Answered { note, ..Answered::default() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCALE: Scale = Scale { capital_usd: None, cpu_cores: 1.0 };

    fn panels(dashboard: Dashboard) -> usize {
        PANELS.iter().filter(|panel| panel.dashboard == dashboard).count()
    }

    #[test]
    fn a_round_that_nobody_answers_leaves_a_check_of_each_panel() {
        let (orders, inbox) = mpsc::channel();
        let (outbox, answers) = mpsc::channel();
        let mut asker = Asker::of(orders, answers, Instant::now());
        asker.mark("start", "x".to_owned());
        asker.panels(Dashboard::Core, SCALE);
        asker.panels(Dashboard::Alerting, SCALE);
        // The mark and the first round are answered; then it hangs.
        outbox.send(Answered::default()).unwrap();
        outbox.send(Answered { is_round: true, ..Answered::default() }).unwrap();
        assert_eq!(asker.answers().len(), 2);
        let given_up = asker.finish(Duration::ZERO);
        assert_eq!(given_up.len(), 1);
        let checks = &given_up[0].checks;
        assert_eq!(checks.len(), panels(Dashboard::Alerting));
        for check in checks {
            assert!(check.unanswered && !check.has_data, "{check:?}");
            assert!(check.problem.as_ref().unwrap().contains("no answer within"), "{check:?}");
        }
        assert!(given_up[0].note.as_ref().unwrap().contains("the alerting dashboard was asked at"));
        drop(inbox);
    }

    #[test]
    fn a_thread_that_is_gone_answers_nothing_and_that_is_on_record() {
        let (orders, inbox) = mpsc::channel();
        let (_, answers) = mpsc::channel();
        drop(inbox);
        let mut asker = Asker::of(orders, answers, Instant::now());
        asker.panels(Dashboard::Core, SCALE);
        assert_eq!(asker.finish(Duration::from_secs(60))[0].checks.len(), panels(Dashboard::Core));
    }

    #[test]
    fn what_was_answered_leaves_nothing_open() {
        let (orders, inbox) = mpsc::channel();
        let (outbox, answers) = mpsc::channel();
        let mut asker = Asker::of(orders, answers, Instant::now());
        asker.panels(Dashboard::Core, SCALE);
        outbox.send(Answered { is_round: true, ..Answered::default() }).unwrap();
        drop((outbox, inbox));
        assert_eq!(asker.finish(Duration::from_secs(60)).len(), 1);
    }
}
