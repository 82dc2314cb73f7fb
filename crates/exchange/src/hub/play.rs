//! Handing a recording on: each event to who listens to it, in the order and at the pace in which it was recorded.
//!
//! It stands at its beginning until somebody subscribes. Events of one symbol are as the venue wrote them; only the envelope and
//! Upbit's names, list and depth are what the subscriber asked for. Where the recording lost a connection, so do the clients; at
//! the end of a loop too, because the ids begin anew.

use super::{Class, Connection, Subscriptions, Treatment, UpbitView, World};
use crate::binance_wire;
use crate::model::history::Candle;
use crate::socket::Ending;
use crate::tape::{Delivery, Tape};
use crate::upbit_wire::Format;
use axum::extract::ws::Message;
use bytes::Bytes;
use market::{Timestamp, Venue};
use std::time::Duration;

impl World {
    /// Lets the recording go on to where `now` is. Gives its time, ms since 1970.
    pub fn play(&mut self, now: Duration, now_ms: i64) -> Option<i64> {
        let mut tape = self.tape.take()?;
        self.follow(now, now_ms);
        let listened = self.connections.values().any(Connection::listens);
        if self.play_from.is_none() && listened {
            self.play_from = Some(now);
        }
        let began = tape.began();
        let mut at = began;
        if let Some(from) = self.play_from {
            let passed = now.saturating_sub(from).mul_f64(tape.playing().speed);
            at = began.plus(passed);
            self.play_to(&mut tape, at, now);
        }
        if tape.is_over() && tape.playing().looped && self.play_from.take().is_some() {
            let ids: Vec<u64> = self.connections.keys().copied().collect();
            self.end_all(&ids, Ending::Drop);
            at = began;
            if let Err(error) = tape.rewind() {
                tracing::error!(%error, "the recording cannot be played again");
            }
        }
        self.tape = Some(tape);
        self.send_late(now);
        for id in std::mem::take(&mut self.slow) {
            tracing::warn!(connection = id, "a client reads too slowly and is disconnected");
            self.disconnect(id);
        }
        Some(at.as_millis())
    }

    fn play_to(&mut self, tape: &mut Tape, at: Timestamp, now: Duration) {
        loop {
            match tape.advance(at) {
                Ok(None) => return,
                Ok(Some(None)) => {}
                Ok(Some(Some(delivery))) => self.hand_on(tape, delivery, now),
                Err(error) => {
                    tracing::error!(%error, "the recording ends here");
                    return;
                }
            }
        }
    }

    /// Faults of delivery meet a recorded message as any other; those that change a book's content do not.
    fn hand_on(&mut self, tape: &Tape, delivery: Delivery, now: Duration) {
        let still =
            |world: &Self, i: usize, venue: Venue| world.model.symbols()[i].held().still[venue.index()];
        match delivery {
            Delivery::Upbit(i) if !still(self, i, Venue::Upbit) => {
                let how = self.faults.message(Venue::Upbit, i, Class::Whole, now);
                for (view, id) in self.upbit[i].clone() {
                    if let Some(message) = self.taped_book(tape, i, view, "REALTIME") {
                        self.deliver(id, (i, Class::Whole), message, None, &how, now);
                    }
                }
            }
            Delivery::Binance(i, view, data) if !still(self, i, Venue::Binance) => {
                let code = self.model.symbols()[i].listing.binance.as_deref().unwrap_or_default();
                let stream = format!("{}@{}", code.to_ascii_lowercase(), view.name());
                let how = self.faults.message(Venue::Binance, i, view.class(), now);
                for (_, combined, id) in self.binance[i].clone().into_iter().filter(|(v, ..)| *v == view) {
                    let text = if combined { binance_wire::envelope(&stream, &data) } else { data.clone() };
                    self.deliver(id, (i, view.class()), Message::Text(text.into()), None, &how, now);
                }
            }
            Delivery::Down(venue) => {
                let meant = self.connections.iter().filter(|(_, c)| c.subscriptions.venue() == venue);
                let ids: Vec<u64> = meant.map(|(id, _)| *id).collect();
                self.end_all(&ids, Ending::Drop);
            }
            Delivery::Upbit(_) | Delivery::Binance(..) => {}
        }
    }

    fn taped_book(&self, tape: &Tape, i: usize, view: UpbitView, stream: &str) -> Option<Message> {
        let code = self.model.symbols()[i].listing.upbit.as_deref()?;
        let short = matches!(view.format, Format::Simple | Format::SimpleList);
        let listed = matches!(view.format, Format::JsonList | Format::SimpleList);
        let text = tape.upbit(i)?.frame(code, short, listed, view.depth, stream);
        Some(Message::Binary(Bytes::from(text)))
    }

    /// A book as the first frame of a subscription; nothing where the recording has none yet.
    pub fn send_taped_snapshot(
        &mut self,
        id: u64,
        i: usize,
        view: UpbitView,
        how: &Treatment,
        now: Duration,
    ) {
        let message = self.tape.as_ref().and_then(|tape| self.taped_book(tape, i, view, "SNAPSHOT"));
        if let Some(message) = message {
            self.deliver(id, (i, Class::Whole), message, None, how, now);
        }
    }

    /// KRW per USDT.
    pub fn fx_mid(&self) -> f64 {
        self.tape.as_ref().and_then(Tape::fx_mid).unwrap_or_else(|| self.model.fx_mid())
    }

    /// Upbit's newest `count` candles, newest first.
    pub fn upbit_candles(&self, i: usize, count: usize) -> Vec<Candle> {
        match &self.tape {
            Some(tape) => tape.candles(Venue::Upbit, i, count),
            None => self.model.upbit_candles(i, count),
        }
    }

    /// Binance's newest `count` candles, newest first.
    pub fn binance_candles(&self, i: usize, count: usize) -> Vec<Candle> {
        match &self.tape {
            Some(tape) => tape.candles(Venue::Binance, i, count),
            None => self.model.binance_candles(i, count),
        }
    }

    /// Candles as text: those that were recorded, and behind them those of the recorded books; newest first.
    pub fn candle_rows(
        &self,
        venue: Venue,
        i: usize,
        candles: &[Candle],
        spell: impl Fn(&Candle) -> String,
    ) -> Vec<(i64, String)> {
        let mut rows = self.tape.as_ref().map(|tape| tape.rows(venue, i).clone()).unwrap_or_default();
        for candle in candles {
            rows.entry(candle.minute).or_insert_with(|| spell(candle));
        }
        rows.into_iter().rev().collect()
    }
}

impl Connection {
    fn listens(&self) -> bool {
        match &self.subscriptions {
            Subscriptions::Upbit(views) => !views.is_empty(),
            Subscriptions::Binance { streams, .. } => !streams.is_empty(),
        }
    }
}
