//! The exchange without sockets and without a clock: the same market, encoders, dialogues, limits and faults as the servers,
//! asked and heard by calls. Ten minutes pass in seconds, and the same seed gives the same bytes.

use crate::binance::{self, Binance};
use crate::faults::{Fault, Faults, Injection, Script};
use crate::hub::{Outbox, Shared};
use crate::model::Model;
use crate::reply::Reply;
use crate::socket::{Dialogue, Ending};
use crate::upbit::{self, Upbit};
use axum::extract::ws::Message;
use bytes::Bytes;
use market::Venue;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What a client hears on a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A text or binary frame.
    Frame(Bytes),
    /// A ping, which wants a pong.
    Ping,
    /// The answer to a ping.
    Pong,
    /// The end, with a reason.
    Closed(String),
}

struct Socket {
    outbox: Outbox,
    dialogue: Box<dyn Dialogue>,
    unread: Vec<Said>,
    pongs: usize,
    closed: Option<String>,
    told: bool,
}

enum Said {
    Text(String),
    Ping,
    Pong,
}

/// The exchange in virtual time.
pub struct Virtual {
    shared: Arc<Shared>,
    sockets: BTreeMap<u64, Socket>,
}

impl Virtual {
    /// An exchange around `model`; `start_ms` is the venues' time at the start, since 1970.
    pub fn new(model: Model, start_ms: i64) -> Self {
        Self { shared: Shared::in_virtual_time(model, start_ms), sockets: BTreeMap::new() }
    }

    /// Follows a script from here on.
    pub fn follow(&mut self, script: Script) {
        self.shared.lock().script = script;
    }

    /// Time since the start.
    pub fn elapsed(&self) -> Duration {
        self.shared.uptime()
    }

    /// The venues' time in ms since 1970, by a right clock.
    pub fn now_ms(&self) -> i64 {
        self.shared.now_ms()
    }

    /// Looks at the market: the truth behind the streams.
    pub fn look<T>(&self, see: impl FnOnce(&Model) -> T) -> T {
        see(&self.shared.lock().model)
    }

    /// Looks at the faults.
    pub fn faults<T>(&self, see: impl FnOnce(&Faults) -> T) -> T {
        see(&self.shared.lock().faults)
    }

    /// Begins a fault.
    ///
    /// # Errors
    /// What is wrong with it and what to do.
    pub fn inject(&mut self, injection: Injection) -> Result<(), String> {
        self.shared.inject(injection)
    }

    /// Ends all faults, and those of the script that are still to come.
    pub fn restore(&mut self) {
        let mut world = self.shared.lock();
        world.restore();
        world.script.faults.clear();
    }

    /// Lets 50 ms pass.
    pub fn step(&mut self) {
        self.shared.step();
        if !self.shared.uptime().as_millis().is_multiple_of(1_000) {
            return;
        }
        let now = self.shared.now();
        for (id, socket) in &mut self.sockets {
            if socket.closed.is_some() {
                continue;
            }
            match socket.dialogue.second(now) {
                Ok(None) => {}
                Ok(Some(message)) => self.shared.lock().send(*id, message, self.shared.uptime()),
                Err(_) => {
                    socket.closed = Some("closed by the venue".to_owned());
                    self.shared.lock().disconnect(*id);
                }
            }
        }
    }

    /// Opens a connection; `streams` are Binance's combined ones.
    ///
    /// # Errors
    /// The answer to a connect that is refused.
    pub fn connect(&mut self, venue: Venue, streams: &str) -> Result<u64, Reply> {
        let subscriptions = match venue {
            Venue::Upbit => upbit::admit(&self.shared, false)?,
            Venue::Binance => binance::admit(&self.shared, streams, true)?,
        };
        let now = self.shared.now();
        let connected = self.shared.lock().connect(subscriptions, self.shared.uptime());
        let outbox = connected.ok_or_else(|| Reply::text(503, "market data is cut off"))?;
        let id = outbox.id;
        let dialogue: Box<dyn Dialogue> = match venue {
            Venue::Upbit => Box::new(Upbit::new(self.shared.clone(), id, now)),
            Venue::Binance => Box::new(Binance::new(self.shared.clone(), id, now)),
        };
        let socket = Socket { outbox, dialogue, unread: Vec::new(), pongs: 0, closed: None, told: false };
        self.sockets.insert(id, socket);
        Ok(id)
    }

    /// Gives up a connection.
    pub fn close(&mut self, id: u64) {
        self.sockets.remove(&id);
        self.shared.lock().disconnect(id);
    }

    /// Sends a text.
    pub fn say(&mut self, id: u64, text: &str) {
        self.send(id, Said::Text(text.to_owned()));
    }

    /// Sends a ping.
    pub fn ping(&mut self, id: u64) {
        self.send(id, Said::Ping);
    }

    fn send(&mut self, id: u64, said: Said) {
        if let Some(socket) = self.sockets.get_mut(&id) {
            socket.unread.push(said);
            self.read(id);
        }
    }

    fn read(&mut self, id: u64) {
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        if socket.unread.is_empty() || self.shared.is_deaf(id) {
            return;
        }
        // A dead or ended connection reads nothing any more.
        if self.shared.lock().subscriptions(id).is_none() {
            socket.unread.clear();
            return;
        }
        let now = self.shared.now();
        for said in std::mem::take(&mut socket.unread) {
            let verdict = match said {
                Said::Text(text) => socket.dialogue.text(&text, now),
                Said::Ping => {
                    socket.dialogue.alive(false, now);
                    socket.pongs += 1;
                    Ok(())
                }
                Said::Pong => {
                    socket.dialogue.alive(true, now);
                    Ok(())
                }
            };
            if verdict.is_err() {
                socket.closed = Some("closed by the venue".to_owned());
                self.shared.lock().disconnect(id);
                return;
            }
        }
    }

    /// What has come on a connection since the last time. Pings are answered as they are heard.
    pub fn hear(&mut self, id: u64, heard: &mut Vec<Heard>) {
        self.read(id);
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        let mut pongs = 0;
        while let Ok(message) = socket.outbox.messages.try_recv() {
            heard.push(match message {
                Message::Text(text) => Heard::Frame(text.into()),
                Message::Binary(bytes) => Heard::Frame(bytes),
                Message::Ping(_) => {
                    pongs += 1;
                    Heard::Ping
                }
                Message::Pong(_) | Message::Close(_) => continue,
            });
        }
        heard.extend(std::iter::repeat_n(Heard::Pong, std::mem::take(&mut socket.pongs)));
        if socket.closed.is_none() {
            socket.closed = match socket.outbox.closed.try_recv() {
                Ok(Ending::Drop) => Some("connection closed".to_owned()),
                Ok(Ending::Close { code, reason }) => Some(format!("closed by the venue: {code} {reason}")),
                Ok(Ending::Reset) => Some("connection reset".to_owned()),
                Ok(Ending::HalfOpen) => {
                    socket.told = true;
                    None
                }
                Err(tokio::sync::oneshot::error::TryRecvError::Closed) if !socket.told => {
                    Some("connection closed".to_owned())
                }
                Err(_) => None,
            };
        }
        if let Some(why) = socket.closed.clone().filter(|_| !socket.told) {
            socket.told = true;
            heard.push(Heard::Closed(why));
        }
        for _ in 0..pongs {
            self.send(id, Said::Pong);
        }
    }

    /// Asks a venue's REST server; the answer comes after its delay.
    pub fn get(&self, venue: Venue, path: &str, query: &[(&str, &str)]) -> Reply {
        let query = query.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        match venue {
            Venue::Upbit => upbit::answer(&self.shared, path, false, &query),
            Venue::Binance => binance::answer(&self.shared, path, &query),
        }
    }

    /// How often a fault has met something so far.
    pub fn met(&self, fault: Fault) -> u64 {
        self.shared.lock().faults.met().get(&fault).copied().unwrap_or(0)
    }
}
