//! What happens inside [`Core`]: inputs (`feed`), entries and exits (`trade`), orders and positions (`orders`), timers and
//! figures (`second`), guards (`judging`), shadow positions (`shadows`), streams that went wrong (`repair`), moving coin between
//! the venues (`rebalance`), the universe in mid-run (`refresh`), how long books were trusted (`trusting`), the end
//! (`stop`). This file holds how records and alerts come out.

mod feed;
mod judging;
mod orders;
mod rebalance;
mod refresh;
mod repair;
mod resume;
mod second;
mod shadows;
mod stop;
mod trade;
mod trusting;
mod watch;

pub use watch::AlertLimits;
pub(crate) use watch::Watch;

pub(crate) use orders::{book_fill, retry_pause_ms};

use crate::core::{Core, Effect};
use crate::funnel::Counts;
use journal::{Alert, Body, Entry, Words};

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

    /// Raises an alert. The words are found later, by the journal's writer.
    pub(crate) fn alert(
        &mut self,
        rule_id: &'static str,
        title: &'static str,
        words: impl Fn() -> Words + Send + Sync + 'static,
    ) {
        self.alerts += 1;
        let alert = Alert::raise((&self.run_id, self.alerts), rule_id, title, words);
        self.record(Body::Alert(alert));
    }

    /// Counts for a symbol, the minute and the session at once.
    pub(crate) fn count(&mut self, symbol: usize, count: impl Fn(&mut Counts)) {
        count(&mut self.symbols[symbol].funnel);
        count(&mut self.funnel);
        count(&mut self.view.funnel);
    }
}
