//! What a session sees, for tests and tools that compare it with something else. Nothing decides by it.

use crate::core::Core;
use journal::record::Touch;
use market::{Asset, FxRate, Level, Side, Venue};

impl Core {
    /// The best bid and ask of an asset's Live book on `venue`; `None` without one.
    pub fn touch(&self, asset: Asset, venue: Venue) -> Option<Touch> {
        let symbol = &self.symbols[*self.by_asset.get(&asset)?];
        let book = Some(&symbol.books[venue.index()]).filter(|book| book.is_live())?;
        let (bid, ask) = (book.book.best(Side::Bid)?, book.book.best(Side::Ask)?);
        Some(Touch { bid: bid.price, bid_quantity: bid.quantity, ask: ask.price, ask_quantity: ask.quantity })
    }

    /// The levels of an asset's Live book on `venue`, best first: bids and asks; `None` without one.
    pub fn levels(&self, asset: Asset, venue: Venue) -> Option<[Vec<Level>; 2]> {
        let book = self.symbols[*self.by_asset.get(&asset)?].books[venue.index()].live()?;
        Some([Side::Bid, Side::Ask].map(|side| book.iter(side).collect()))
    }

    /// The state of an asset's book on `venue`, as metrics name it: `syncing`, `live`, `stale`, `broken`.
    pub fn book_state(&self, asset: Asset, venue: Venue) -> Option<&'static str> {
        Some(self.symbols[*self.by_asset.get(&asset)?].books[venue.index()].state.as_str())
    }

    /// The signal rate: KRW per USDT.
    pub fn signal_rate(&self) -> Option<FxRate> {
        self.fx.rate()
    }
}
