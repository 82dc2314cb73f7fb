//! Results by day, for the recorded daily net: a day begins where the terms say.

use market::{NANOS_PER_SEC, Timestamp};

/// The running day. `None` in `offset_s`: the terms do not say where a day begins, and nothing is held against it.
#[derive(Debug, Default)]
pub(super) struct Days {
    offset_s: Option<i64>,
    day: Option<i64>,
    net: i128,
}

impl Days {
    /// Before the first result.
    pub(super) fn new(offset_s: Option<i64>) -> Self {
        Self { offset_s, ..Self::default() }
    }

    fn roll(&mut self, at: Timestamp) {
        let Some(offset) = self.offset_s else { return };
        let day = at.0.div_euclid(NANOS_PER_SEC).saturating_add(offset).div_euclid(86_400);
        if self.day != Some(day) {
            (self.day, self.net) = (Some(day), 0);
        }
    }

    /// A result, units of 1e-8 USD.
    pub(super) fn add(&mut self, at: Timestamp, net: i128) {
        self.roll(at);
        self.net = self.net.saturating_add(net);
    }

    /// Net since the day began; `None` when the terms do not say where that is.
    pub(super) fn net(&mut self, at: Timestamp) -> Option<i128> {
        self.roll(at);
        self.offset_s.map(|_| self.net)
    }
}
