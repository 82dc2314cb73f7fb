//! What the core shows once a second, on its way from the hot thread to the metrics.

use engine::View;
use market::Venue;

/// States of a book, as in `venue_books{state}`.
pub const BOOK_STATES: [&str; 4] = engine::view::BOOK_STATES;
/// Bytes of a price level in memory.
const LEVEL_BYTES: u64 = size_of::<market::Level>() as u64;
/// Levels of an Upbit book at most, both sides.
const UPBIT_LEVELS: u64 = 2 * 30;

/// A reading of the core's view.
#[derive(Debug, Clone, Default)]
pub struct Screen {
    /// The view.
    pub view: View,
    /// Ages of the Live books per venue, seconds.
    pub book_ages: [Vec<f64>; 2],
    /// Levels that a Binance book keeps per side.
    pub book_levels: u32,
}

impl Screen {
    /// Books of a venue that are Live.
    pub fn live(&self, venue: Venue) -> u32 {
        self.view.venues[venue.index()].books[1]
    }

    /// Books of a venue, whatever their state.
    pub fn books(&self, venue: Venue) -> u32 {
        self.view.venues[venue.index()].books.iter().sum()
    }

    /// The most that the books' levels can take: every book at its full depth. What they hold now is not counted, because
    /// counting it would cost the hot thread more than it tells.
    pub fn book_capacity_bytes(&self) -> u64 {
        let binance = u64::from(self.books(Venue::Binance)) * 2 * u64::from(self.book_levels);
        (u64::from(self.books(Venue::Upbit)) * UPBIT_LEVELS + binance) * LEVEL_BYTES
    }
}
