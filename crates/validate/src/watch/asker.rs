//! Asking Grafana beside the watch: a thread of its own, so that a slow Grafana never holds up a poll. Orders go in, panel checks
//! and the exchanges behind them come out; the watch writes them down.

use super::panels::Scale;
use crate::grafana::{Client, Exchange, ask_panels};
use catalogue::Dashboard;
use gate::evidence::PanelCheck;
use std::sync::mpsc;
use std::time::{Duration, Instant};

enum Order {
    Panels(Dashboard, Scale),
    Mark { at_ms: i64, kind: &'static str, text: String },
}

/// What came of an order.
#[derive(Debug, Default)]
pub(super) struct Answered {
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
        Self { orders: Some(orders), answers }
    }

    /// Asks a dashboard's panels.
    pub(super) fn panels(&self, dashboard: Dashboard, scale: Scale) {
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
    pub(super) fn answers(&self) -> Vec<Answered> {
        self.answers.try_iter().collect()
    }

    /// No more orders: what comes in until all are done, or `patience` is over.
    pub(super) fn finish(&mut self, patience: Duration) -> Vec<Answered> {
        self.orders = None;
        let until = Instant::now() + patience;
        let mut all = Vec::new();
        while let Ok(answered) = self.answers.recv_timeout(until.saturating_duration_since(Instant::now())) {
            all.push(answered);
        }
        all
    }
}

fn follow(client: &mut Client, order: Order, began: Instant) -> Answered {
    let clock = || began.elapsed().as_secs_f64();
    match order {
        Order::Panels(dashboard, scale) => {
            Answered { checks: ask_panels(client, dashboard, &clock, scale), ..Answered::default() }
        }
        Order::Mark { at_ms, kind, text } => {
            let tags = [catalogue::grafana::ANNOTATION_TAG, kind];
            let marked = client.annotate(clock(), at_ms, &tags, &text);
            let note = marked.err().map(|e| format!("the {kind} is not marked on the dashboards: {e}"));
            Answered { note, ..Answered::default() }
        }
    }
}
