//! What wakes a watching loop: the guardian's events, the log readers, a person's wish to stop. One channel for all of them, so that
//! the loop sleeps until something happens or the next thing is due.

use super::guardian::Event;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

/// Something happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Wake {
    /// The guardian said something; `None` when it is gone.
    Child(Option<Event>),
    /// The log holds something that may be a crash.
    Log,
    /// A person asked to stop.
    Interrupt,
}

#[derive(Debug, Default)]
struct Shared {
    asked: AtomicU32,
    listener: Mutex<Option<mpsc::Sender<Wake>>>,
}

/// How often a person has asked us to stop (Ctrl-C, SIGTERM, `assay stop`), and who is told at once.
#[derive(Debug, Clone, Default)]
pub struct Interrupts(Arc<Shared>);

impl Interrupts {
    /// Nobody has asked yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Once more: wakes whoever listens. Returns how often it was by now.
    pub fn ask(&self) -> u32 {
        let n = self.0.asked.fetch_add(1, Ordering::SeqCst) + 1;
        let listener = self.0.listener.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(listener) = listener.as_ref() {
            let _ = listener.send(Wake::Interrupt);
        }
        n
    }

    /// How often it was asked.
    pub fn asked(&self) -> u32 {
        self.0.asked.load(Ordering::SeqCst)
    }

    /// From now on this channel is woken, in place of the one before.
    pub fn listen(&self, listener: mpsc::Sender<Wake>) {
        *self.0.listener.lock().unwrap_or_else(PoisonError::into_inner) = Some(listener);
    }
}
