//! Where the time of an input goes, for the shell to measure: the core reads no clock, so it says which stage begins and the
//! shell looks at its own. Nothing is decided by it, and a core without a probe does the same.

use crate::core::Core;

/// A stage of the service time (`loop_stage_seconds` less `receive`, which lies before the core).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// From the bytes of a frame or an answer to its values.
    Parse,
    /// Sequence rules, the book, its liquidity memory.
    Book,
    /// Everything else: timers, figures, guards, edge, entries, exits.
    Decide,
    /// Executing the orders that are due, their bookings included.
    Fill,
}

impl Stage {
    /// All, in the order of an input's way.
    pub const ALL: [Self; 4] = [Self::Parse, Self::Book, Self::Decide, Self::Fill];

    /// The value of the label `stage`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Parse => "parse",
            Self::Book => "book",
            Self::Decide => "decide",
            Self::Fill => "fill",
        }
    }
}

/// Hears where the core is. The calls come from the thread that applies inputs and must not block.
pub trait Probe: std::fmt::Debug + Send {
    /// What follows belongs to `stage`, until the next call. A stage can come several times in one input.
    fn enter(&mut self, stage: Stage);

    /// The input is done.
    fn done(&mut self);
}

impl Core {
    /// From now on, this hears where the core is.
    pub fn set_probe(&mut self, probe: Box<dyn Probe>) {
        self.probe = Some(probe);
    }

    pub(crate) fn mark(&mut self, stage: Stage) {
        if let Some(probe) = &mut self.probe {
            probe.enter(stage);
        }
    }

    pub(crate) fn input_done(&mut self) {
        if let Some(probe) = &mut self.probe {
            probe.done();
        }
    }
}
