//! Which connection follows which market: one of Upbit, and as many of Binance as the streams of a connection demand. When the
//! universe changes, those that stay go on on their connection.

use market::{Member, Venue};
use recording::ConnId;
use std::collections::BTreeMap;
use tokio::sync::mpsc;
use venues::binance::stream::{spawn_with, symbols_per_connection};
use venues::{Endpoints, Stamped, StreamHandle, StreamSettings};

/// A connection with what it follows.
struct Following {
    handle: StreamHandle,
    set: Vec<String>,
}

/// The connections of a session: 0 is Upbit's, the others are Binance's. Dropping it ends them.
pub struct Streams {
    endpoints: Endpoints,
    settings: StreamSettings,
    /// Weak, so that the session sees when every connection's task has ended.
    tx: mpsc::WeakSender<Stamped>,
    upbit: Following,
    binance: BTreeMap<ConnId, Following>,
}

impl Streams {
    /// Opens the connections.
    pub fn open(
        endpoints: &Endpoints,
        settings: &StreamSettings,
        members: &[Member],
        fx_code: &str,
        tx: &mpsc::Sender<Stamped>,
    ) -> Self {
        let mut codes: Vec<String> = members.iter().map(|m| m.upbit.code.clone()).collect();
        codes.push(fx_code.to_owned());
        let upbit = Following {
            handle: venues::upbit::stream::spawn_with(endpoints, settings, 0, codes.clone(), tx.clone()),
            set: codes,
        };
        let symbols: Vec<String> = members.iter().map(|m| m.binance.code.clone()).collect();
        let binance = (1..)
            .zip(symbols.chunks(symbols_per_connection(settings.book_ticker)))
            .map(|(conn, part)| {
                let handle = spawn_with(endpoints, settings, conn, part.to_vec(), tx.clone());
                (conn, Following { handle, set: part.to_vec() })
            })
            .collect();
        Self { endpoints: endpoints.clone(), settings: settings.clone(), tx: tx.downgrade(), upbit, binance }
    }

    /// The venue of a connection.
    pub const fn venue_of(conn: ConnId) -> Venue {
        if conn == 0 { Venue::Upbit } else { Venue::Binance }
    }

    /// Subscribes to the same once more on every connection of a venue.
    pub fn subscribe_again(&self, venue: Venue) {
        match venue {
            Venue::Upbit => self.upbit.handle.subscribe_again(),
            Venue::Binance => self.binance.values().for_each(|following| following.handle.subscribe_again()),
        }
    }

    /// Follows those who joined and no longer those who left.
    pub fn change(&mut self, joined: &[Member], left: &[Member]) {
        let upbit = &mut self.upbit;
        upbit.set.retain(|code| !left.iter().any(|m| m.upbit.code == *code));
        upbit.set.extend(joined.iter().map(|m| m.upbit.code.clone()));
        upbit.handle.follow(upbit.set.clone());
        for following in self.binance.values_mut() {
            following.set.retain(|symbol| !left.iter().any(|m| m.binance.code == *symbol));
        }
        let most = symbols_per_connection(self.settings.book_ticker);
        let mut new: Vec<String> = joined.iter().map(|m| m.binance.code.clone()).collect();
        for following in self.binance.values_mut() {
            let room = most.saturating_sub(following.set.len()).min(new.len());
            following.set.extend(new.drain(..room));
            following.handle.follow(following.set.clone());
        }
        let Some(tx) = self.tx.upgrade() else { return };
        for part in new.chunks(most) {
            let conn = self.binance.keys().next_back().map_or(1, |last| last + 1);
            let handle = spawn_with(&self.endpoints, &self.settings, conn, part.to_vec(), tx.clone());
            self.binance.insert(conn, Following { handle, set: part.to_vec() });
        }
    }
}
