//! What happens inside [`Core`]: inputs (`feed`), entries and exits (`trade`), orders and positions (`orders`), timers and
//! figures (`second`), the end (`stop`). This file holds how records and alerts come out.

mod feed;
mod orders;
mod resume;
mod second;
mod stop;
mod trade;

pub(crate) use orders::{book_fill, retry_pause_ms};

use crate::core::{Core, Effect};
use crate::funnel::Counts;
use crate::guards::{Rule, Scope, Verdict, rules};
use journal::{Body, Entry};
use std::collections::BTreeMap;

impl Core {
    /// Writes a record.
    pub(crate) fn record(&mut self, body: Body) {
        self.journal_seq += 1;
        let entry =
            Entry { seq: self.journal_seq, input_seq: self.input_seq, at: self.now, commit: false, body };
        self.out.push(Effect::Record(entry));
    }

    /// Writes a log line.
    pub(crate) fn note(&mut self, level: &str, text: String) {
        self.record(Body::Note { level: level.to_owned(), text });
    }

    /// Counts an internal step that must not fail, and says so.
    pub(crate) fn trouble(&mut self, text: String) {
        self.view.errors += 1;
        self.note("error", text);
    }

    /// Raises an alert.
    pub(crate) fn alert(&mut self, rule_id: &str, title: &str, message: String, labels: &[(&str, String)]) {
        self.alerts += 1;
        let key = labels.iter().fold(rule_id.to_owned(), |key, (_, value)| key + ":" + value);
        let labels: BTreeMap<String, String> =
            labels.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
        self.record(Body::Alert {
            alert_id: format!("{}-{}", self.run_id, self.alerts),
            rule_id: rule_id.to_owned(),
            title: title.to_owned(),
            message,
            labels,
            key,
        });
    }

    /// Counts for a symbol, the minute and the session at once.
    pub(crate) fn count(&mut self, symbol: usize, count: impl Fn(&mut Counts)) {
        count(&mut self.symbols[symbol].funnel);
        count(&mut self.funnel);
        count(&mut self.view.funnel);
    }

    /// Journals the guards' transitions since the last call, with the figures behind them, and raises their alerts.
    pub(crate) fn publish_guards(&mut self) {
        let events = self.guards.take_events();
        if events.is_empty() {
            return;
        }
        self.record_figures();
        for (rule, scope, event) in events {
            let start = event.start;
            let (observed, threshold) = (event.observed, event.threshold);
            self.record(Body::Guard(event));
            if start {
                self.alert_guard(rule, scope, observed, threshold);
            }
        }
        self.view.guard_triggers = self.guards.triggers();
    }

    fn alert_guard(&mut self, rule: Rule, scope: Scope, observed: f64, threshold: f64) {
        let figures = format!("{} on {scope}: {observed:.3} against {threshold:.3}", rule.name);
        let labels = [("rule", rule.name.to_owned()), ("scope", scope.to_string())];
        if rule == rules::EMERGENCY {
            // Has its own alert, with what is being done about it.
            return;
        }
        if rule == rules::FX_STALE {
            let message = format!("{figures} ms; entries are blocked until the KRW-USDT book moves again");
            self.alert("FX-STALE", "FX rate is stale", message, &labels);
        }
        let blocks = rule.verdict == Verdict::Block;
        match rule.guard_type {
            "exchange" if blocks => {
                let message = format!("{figures}; no entries while it holds");
                self.alert("RG-EXCHANGE-BLOCK", "Exchange guard blocks", message, &labels);
            }
            "global" if blocks => {
                let message = format!("{figures}; no entries while it holds");
                self.alert("RG-GLOBAL-BLOCK", "Global guard blocks", message, &labels);
            }
            _ => {}
        }
    }
}
