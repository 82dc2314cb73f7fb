//! Finding what is wrong with the stream behind a book, and repairing it: codes that stay silent, books that differ from the
//! venue's best quotes, venue time that stands still, and how long a failed snapshot waits for its next attempt.

use crate::core::{Core, Effect};
use journal::Words;
use market::{Asset, NANOS_PER_SEC, Timestamp, Venue};
use recording::ConnId;
use venues::binance::wire::BookTicker;

/// Names in one line of the log.
const NAMED: usize = 10;

impl Core {
    /// A best quote of Binance.
    pub(crate) fn on_quote(&mut self, quote: &BookTicker<'_>) {
        let Some(asset) = quote.symbol.strip_suffix("USDT").and_then(|base| Asset::new(base).ok()) else {
            return;
        };
        let Some(i) = self.followed(asset) else { return };
        let now = self.now;
        self.symbols[i].books[Venue::Binance.index()].on_quote(quote, now);
    }

    /// Once a second: books that have differed from the venue's quotes for too long start over.
    pub(crate) fn check_quotes(&mut self) {
        let limit_ns = self.config.feed.cross_check_ms.saturating_mul(1_000_000);
        if limit_ns == 0 {
            return;
        }
        let (now, v) = (self.now, Venue::Binance.index());
        for i in 0..self.symbols.len() {
            let Some(why) = self.symbols[i].books[v].disagrees(now, limit_ns) else { continue };
            self.symbols[i].books[v].start_over();
            self.view.venues[v].mismatches += 1;
            self.tell_resync(i, Venue::Binance, why);
        }
    }

    /// Once a second: codes that were asked for and have never come. The shell is asked to subscribe again: at first after
    /// `silent_ms`, then at doubling distances.
    pub(crate) fn check_silent(&mut self) {
        for venue in Venue::ALL {
            let v = venue.index();
            let since =
                self.conns.values().filter(|conn| conn.venue == venue).map(|conn| (conn.up, conn.since));
            // Which connection carries a code is known only once something came: all must have had their time.
            let Some(up_since) =
                since.map(|(up, since)| up.then_some(since)).reduce(|a, b| Some(a?.max(b?))).flatten()
            else {
                continue;
            };
            let limit_ns = self.config.feed.silent_ms.saturating_mul(1_000_000);
            let (now, mut silent, mut fresh) = (self.now, 0, Vec::new());
            for symbol in self.symbols.iter_mut().filter(|symbol| symbol.active) {
                let book = &mut symbol.books[v];
                let asked = up_since.max(symbol.joined).max(book.asked_again.unwrap_or(up_since));
                let is_silent = !book.heard && now.since(asked) >= limit_ns;
                silent += u32::from(is_silent);
                if is_silent && !book.silent {
                    fresh.push(symbol.member.instrument(venue).code.clone());
                }
                book.silent = is_silent;
            }
            self.view.venues[v].silent = silent;
            self.tell_silent(venue, &fresh);
            self.ask_silent_again(venue, silent);
        }
    }

    fn tell_silent(&mut self, venue: Venue, codes: &[String]) {
        if codes.is_empty() {
            return;
        }
        let more =
            if codes.len() > NAMED { format!(" and {} more", codes.len() - NAMED) } else { String::new() };
        let names = codes.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
        let seconds = self.config.feed.silent_ms / 1_000;
        self.note(
            "warning",
            format!(
                "{venue} has sent nothing for {names}{more} in {seconds} s: unknown codes are met with silence; \
                 subscribing again, look whether the venue still lists them"
            ),
        );
    }

    fn ask_silent_again(&mut self, venue: Venue, silent: u32) {
        let again = &mut self.again[venue.index()];
        if silent == 0 {
            *again = (None, 0);
            return;
        }
        let (at, times) = *again;
        if at.is_none_or(|at| at <= self.now) {
            let wait_s = (30i64 << times.min(5)).saturating_mul(NANOS_PER_SEC);
            *again = (Some(Timestamp(self.now.0.saturating_add(wait_s))), times.saturating_add(1));
            self.out.push(Effect::Resubscribe { venue });
            self.subscription_replaced(venue);
        }
    }

    /// A subscription is asked for that replaces the one before it. Only Upbit's does; what Binance is asked for comes on top.
    pub(crate) fn subscription_replaced(&mut self, venue: Venue) {
        if venue != Venue::Upbit {
            return;
        }
        let now = self.now;
        for symbol in self.symbols.iter_mut().filter(|symbol| symbol.watched) {
            symbol.books[venue.index()].subscribed_again(now);
        }
        self.track_all();
    }

    /// Once a second: does the venue's time move on each connection that brings frames?
    pub(crate) fn check_times(&mut self) {
        let limit = self.config.feed.time_stopped_ms.saturating_mul(1_000_000);
        let now = self.now;
        let mut stopped: Vec<(ConnId, Venue)> = Vec::new();
        for (id, conn) in self.conns.iter_mut().filter(|(_, conn)| conn.up) {
            let Some(newest) = conn.newest.take() else { continue };
            // Against the second before, not the newest ever: one message of the future must not stop the time.
            if conn.newest_before.replace(newest).is_none_or(|before| newest > before) {
                conn.moved = now;
            }
            let was = std::mem::replace(&mut conn.stopped, now.since(conn.moved) >= limit);
            if conn.stopped && !was {
                stopped.push((*id, conn.venue));
            }
        }
        for (id, venue) in stopped {
            for symbol in &mut self.symbols {
                let book = &mut symbol.books[venue.index()];
                if book.conn == Some(id) {
                    book.time_stopped();
                }
            }
            let seconds = limit / NANOS_PER_SEC;
            self.alert("WS-STALE", "Venue time stands still", move || {
                Words::new(format!(
                    "the venue's time on connection {id} of {venue} has not moved for {seconds} s"
                ))
                .label("venue", venue)
            });
        }
    }

    /// Takes note of the venue's time on a connection; true while it stands still.
    pub(crate) fn on_venue_time(&mut self, conn: ConnId, at: Timestamp) -> bool {
        let Some(known) = self.conns.get_mut(&conn) else { return false };
        known.newest = Some(known.newest.map_or(at, |newest| newest.max(at)));
        known.stopped
    }

    /// When a snapshot that failed is asked for again: at doubling distances, less up to a quarter drawn from the session's
    /// seed, so that books that fell together do not ask together; not before `least_ms`, which the venue named.
    pub(crate) fn retry_snapshot(&mut self, i: usize, venue: Venue, least_ms: i64) {
        let (first, last) = (self.config.feed.retry_ms, self.config.feed.retry_max_ms);
        let book = &mut self.symbols[i].books[venue.index()];
        let wait = first.saturating_mul(1 << book.attempts.min(16)).min(last);
        book.attempts = book.attempts.saturating_add(1);
        let drawn = mix(self.config.seed ^ (i as u64) << 40 ^ u64::from(book.epoch));
        let spread = (wait / 4).saturating_mul((drawn % 1_024) as i64) / 1_024;
        let after_ms = (wait - spread).max(least_ms);
        let at = Timestamp(self.now.0.saturating_add(after_ms.saturating_mul(1_000_000)));
        book.retry_at = Some(at);
        self.next_retry = Some(self.next_retry.map_or(at, |next| next.min(at)));
    }

    /// Counts, logs and alerts that a book starts over.
    pub(crate) fn tell_resync(&mut self, i: usize, venue: Venue, why: &str) {
        let asset = self.symbols[i].member.asset;
        self.view.venues[venue.index()].resyncs += 1;
        self.note("warning", format!("{venue} {asset} starts over: {why}"));
        let why = why.to_owned();
        self.alert("BOOK-RESYNC", "Book resync", move || {
            Words::new(format!(
                "the book of {asset} on {venue} starts over ({why}); no edge of it until the snapshot fits"
            ))
            .label("venue", venue)
            .label("asset", asset)
        });
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014).
const fn mix(seed: u64) -> u64 {
    let z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
