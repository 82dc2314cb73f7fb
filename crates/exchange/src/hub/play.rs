//! Handing a recording on: each event to who listens to it, in the order and at the pace in which it was recorded.
//!
//! It stands at its beginning until somebody subscribes. Events of one symbol are as the venue wrote them; only the envelope and
//! Upbit's names, list and depth are what the subscriber asked for. Where the recording lost a connection, so do the clients; at
//! the end of a loop too, because the ids begin anew.

use super::{Connection, Subscriptions, UpbitView, World};
use crate::binance_wire;
use crate::control::Fault;
use crate::hub::BinanceView;
use crate::model::history::Candle;
use crate::tape::{Delivery, Tape};
use crate::upbit_wire::Format;
use axum::extract::ws::Message;
use bytes::Bytes;
use market::{Timestamp, Venue};
use std::time::Instant;

impl World {
    /// Lets the recording go on to where `now` is. Gives its time, ms since 1970.
    pub fn play(&mut self, now: Instant) -> Option<i64> {
        let mut tape = self.tape.take()?;
        let listened = self.connections.values().any(Connection::listens);
        if self.play_from.is_none() && listened {
            self.play_from = Some(now);
        }
        let began = tape.began();
        let mut at = began;
        if let Some(from) = self.play_from {
            let passed = now.saturating_duration_since(from).mul_f64(tape.playing().speed);
            at = began.plus(passed);
            self.play_to(&mut tape, at);
        }
        if tape.is_over() && tape.playing().looped && self.play_from.take().is_some() {
            self.disconnect_all();
            at = began;
            if let Err(error) = tape.rewind() {
                tracing::error!(%error, "the recording cannot be played again");
            }
        }
        self.tape = Some(tape);
        Some(at.as_millis())
    }

    fn play_to(&mut self, tape: &mut Tape, at: Timestamp) {
        loop {
            match tape.advance(at) {
                Ok(None) => return,
                Ok(Some(None)) => {}
                Ok(Some(Some(delivery))) => self.deliver(tape, delivery),
                Err(error) => {
                    tracing::error!(%error, "the recording ends here");
                    return;
                }
            }
        }
    }

    fn deliver(&mut self, tape: &Tape, delivery: Delivery) {
        let faults = self.faults.all(Instant::now());
        let held = faults.contains(&Fault::Silent) || faults.contains(&Fault::Freeze);
        let mut slow = Vec::new();
        match delivery {
            Delivery::Upbit(_) | Delivery::Binance(..) if held => {}
            Delivery::Upbit(i) => {
                let listeners = self.upbit[i].clone();
                for (view, id) in listeners {
                    let Some(message) = self.taped_book(tape, i, view, "REALTIME") else { continue };
                    self.pass(id, message, &mut slow);
                }
            }
            Delivery::Binance(_, BinanceView::Diff, _) if faults.contains(&Fault::DropDiffs) => {}
            Delivery::Binance(i, view, data) => {
                let code = self.model.symbols()[i].listing.binance.as_deref().unwrap_or_default();
                let stream = format!("{}@{}", code.to_ascii_lowercase(), view.name());
                let twice = view == BinanceView::Diff && faults.contains(&Fault::DuplicateDiffs);
                let listeners = self.binance[i].clone();
                for (_, combined, id) in listeners.into_iter().filter(|(v, ..)| *v == view) {
                    let text = if combined { binance_wire::envelope(&stream, &data) } else { data.clone() };
                    for _ in 0..=usize::from(twice) {
                        self.pass(id, Message::Text(text.clone().into()), &mut slow);
                    }
                }
            }
            Delivery::Down(venue) => {
                let of = |c: &Connection| {
                    matches!(c.subscriptions, Subscriptions::Upbit(_)) == (venue == Venue::Upbit)
                };
                slow.extend(self.connections.iter().filter(|(_, c)| of(c)).map(|(id, _)| *id));
            }
        }
        for id in slow {
            self.disconnect(id);
        }
    }

    fn pass(&mut self, id: u64, message: Message, slow: &mut Vec<u64>) {
        if let Some(connection) = self.connections.get(&id) {
            self.frames += 1;
            if connection.out.try_send(message).is_err() {
                slow.push(id);
            }
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
    pub fn send_taped_snapshot(&mut self, id: u64, i: usize, view: UpbitView) {
        let Some(tape) = &self.tape else { return };
        if let Some(message) = self.taped_book(tape, i, view, "SNAPSHOT") {
            self.frames += 1;
            self.send(id, message);
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
