//! What faults and load do to a symbol of the market, from outside: standing still, halted, gone, jumped, busier.

use super::{Changes, Model, Symbol};

/// How a symbol is held. Arrays are by venue: Upbit, Binance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hold {
    /// Its book does not change.
    pub still: [bool; 2],
    /// Binance's status is HALT.
    pub halted: bool,
    /// It is on no list, and nothing is known of it.
    pub delisted: [bool; 2],
    /// It is listed, and nothing else is known of it.
    pub unknown: [bool; 2],
    /// Its price is so many times what it would be.
    pub factor: [f64; 2],
}

impl Default for Hold {
    fn default() -> Self {
        Self { still: [false; 2], halted: false, delisted: [false; 2], unknown: [false; 2], factor: [1.0; 2] }
    }
}

impl Symbol {
    /// How it is held.
    pub const fn held(&self) -> &Hold {
        &self.held
    }

    /// Holds it, or lets it go. A changed price shows in the symbol's next step.
    pub fn hold(&mut self, hold: Hold) {
        if self.held != hold {
            self.held = hold;
            self.disturbed = true;
        }
    }
}

impl Model {
    /// Changes sizes of a symbol's books once more, in no time: what a busier market would do.
    pub fn churn(&mut self, index: usize, changes: &mut Changes) {
        self.requote(index, changes);
        if !self.symbols[index].pending.is_empty() {
            changes.binance.push(index);
        }
    }
}
