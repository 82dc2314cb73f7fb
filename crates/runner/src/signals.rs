//! SIGTERM and SIGINT.

use crate::error::RunError;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Both signals.
#[derive(Debug)]
pub struct Signals {
    term: Signal,
    int: Signal,
}

impl Signals {
    /// Listens from now on: from here a signal no longer kills the process. Needs a runtime.
    ///
    /// # Errors
    /// [`RunError::Internal`] when the system refuses.
    pub fn listen() -> Result<Self, RunError> {
        let listen =
            |kind| signal(kind).map_err(|e| RunError::Internal(format!("cannot listen for signals: {e}")));
        Ok(Self { term: listen(SignalKind::terminate())?, int: listen(SignalKind::interrupt())? })
    }

    /// Waits for either.
    pub async fn wait(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.int.recv() => {}
        }
    }
}
