//! Where a phase stands, for a terminal, a log line and the console.

use super::panels::label;
use gate::RuleStatus;
use gate::evidence::{RuleState, Scrape};
use serde::Serialize;

/// Where a phase stands.
#[derive(Debug, Clone, Serialize)]
pub struct PhaseStatus {
    /// `smoke`, `planted`, `main`.
    pub phase: String,
    /// Seconds since its start.
    pub elapsed_s: f64,
    /// Planned seconds.
    pub planned_s: f64,
    /// Round trips so far; `None` before the first scrape.
    pub round_trips: Option<f64>,
    /// PnL in USD.
    pub pnl_usd: Option<f64>,
    /// Win rate in percent, once there is one.
    pub win_rate_pct: Option<f64>,
    /// Open positions.
    pub open_positions: Option<f64>,
    /// Books Live and books in all.
    pub books: Option<(f64, f64)>,
    /// CPU in percent, by the runner's own gauge.
    pub cpu_pct: Option<f64>,
    /// Alerts sent.
    pub alerts_sent: Option<f64>,
    /// Polls made, scrapes missed.
    pub polls: (u64, u64),
    /// The rules.
    pub rules: Vec<RuleStatus>,
}

/// Somebody who is told how it goes.
pub trait Progress {
    /// A new status, at every poll.
    fn update(&mut self, status: &PhaseStatus);
    /// A line of interim KPIs, once a minute.
    fn interim(&mut self, line: &str);
    /// Something happened.
    fn note(&mut self, text: &str);
}

impl PhaseStatus {
    /// Reads the interim figures from a scrape.
    pub fn new(
        phase: &str,
        elapsed_s: f64,
        planned_s: f64,
        scrape: Option<&Scrape>,
        rules: Vec<RuleStatus>,
        polls: (u64, u64),
    ) -> Self {
        let sum = |metric: &str| {
            let with_labels = format!("{metric}{{");
            scrape?
                .series
                .iter()
                .filter(|(name, _)| *name == metric || name.starts_with(&with_labels))
                .map(|(_, value)| *value)
                .reduce(|a, b| a + b)
        };
        let books = scrape.and_then(|scrape| {
            let all = scrape.series.iter().filter(|(name, _)| name.starts_with("venue_books{"));
            let (mut live, mut total) = (0.0, 0.0);
            for (name, value) in all {
                total += value;
                if label(name, "state").as_deref() == Some("live") {
                    live += value;
                }
            }
            (total > 0.0).then_some((live, total))
        });
        Self {
            phase: phase.to_owned(),
            elapsed_s,
            planned_s,
            round_trips: sum("arb_topn_round_trips_total"),
            pnl_usd: sum("arb_topn_pnl_usd"),
            win_rate_pct: sum("arb_topn_win_rate").filter(|rate| rate.is_finite()),
            open_positions: sum("arb_topn_active_positions"),
            books,
            cpu_pct: sum("process_cpu_usage_percent"),
            alerts_sent: sum("alert_sent_total"),
            polls,
            rules,
        }
    }

    /// The figures in one line.
    pub fn line(&self) -> String {
        let show =
            |value: Option<f64>, digits: usize| value.map_or("-".to_owned(), |v| format!("{v:.digits$}"));
        format!(
            "{} {:.0}/{:.0} s  round trips {}  PnL {} USD  win rate {} %  open {}  books live {}  CPU {} %  alerts {}",
            self.phase,
            self.elapsed_s,
            self.planned_s,
            show(self.round_trips, 0),
            show(self.pnl_usd, 2),
            show(self.win_rate_pct, 0),
            show(self.open_positions, 0),
            self.books.map_or("-".to_owned(), |(live, all)| format!("{live:.0}/{all:.0}")),
            show(self.cpu_pct, 0),
            show(self.alerts_sent, 0),
        )
    }

    /// The rules that are pending or have fired, one short text each.
    pub fn pending(&self) -> Vec<String> {
        self.rules
            .iter()
            .filter(|rule| matches!(rule.state, RuleState::Pending | RuleState::Fired | RuleState::Frozen))
            .map(|rule| format!("{} {:?}: {}", rule.rule, rule.state, rule.text).to_lowercase())
            .collect()
    }
}
