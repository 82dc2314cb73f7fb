//! What the core shows once a second, on its way from the hot thread to the metrics.

use engine::View;
use engine::recover::Latest;
use market::Venue;

/// States of a book, as in `venue_books{state}`.
pub const BOOK_STATES: [&str; 4] = engine::view::BOOK_STATES;
/// Bytes of a price level in memory.
const LEVEL_BYTES: u64 = size_of::<market::Level>() as u64;

/// A reading of the core's view.
#[derive(Debug, Clone, Default)]
pub struct Screen {
    /// The view.
    pub view: View,
    /// Ages of the Live books per venue, seconds.
    pub book_ages: [Vec<f64>; 2],
    /// Levels that all books hold now.
    pub levels: u64,
    /// For the state store.
    pub latest: Latest,
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

    /// What the levels of all books hold now, bytes.
    pub fn book_bytes(&self) -> u64 {
        self.levels * LEVEL_BYTES
    }
}
