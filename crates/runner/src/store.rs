//! The run's state store: small files beside its journal, for those outside the process. Nothing decides by what is written
//! here, and nothing comes back from it after a kill: that is the journal's business.
//!
//! - `state.json`: positions, guards that hold, FX and results, rewritten once a second, of what the journal holds already.
//! - `kill_switch.json`: written by `assay stop`, looked at four times a second; the session closes what is open and ends.
//!
//! A thread of its own, so that a slow disk delays nobody. The loss of the store is told (`STATE-SAVE-FAILED`) and survived; it
//! is tried again each second.

use crate::error::RunError;
use crate::process::write_atomic;
use engine::recover::Latest;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Version of both files' format.
pub const FORMAT: u32 = 1;
/// How often the kill switch is looked at.
const LOOK: Duration = Duration::from_millis(250);
/// How long `assay stop` waits until the run has seen the switch.
const SEEN_WITHIN: Duration = Duration::from_secs(5);
const STATE: &str = "state.json";
const KILL: &str = "kill_switch.json";

/// `state.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// Version of the format.
    pub format: u32,
    /// The run.
    pub run_id: String,
    /// The process that wrote it.
    pub pid: u32,
    /// Why the kill switch was pulled, once the run has seen it.
    pub kill_switch: Option<String>,
    /// Where the session stands; `None` before its first second.
    pub latest: Option<Latest>,
}

/// `kill_switch.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kill {
    run_id: String,
    reason: String,
}

/// Whether the store can be used now, for the writer's alerts.
#[derive(Debug, Default)]
pub struct Health {
    lost: AtomicBool,
}

impl Health {
    /// True while the last attempt failed.
    pub fn is_lost(&self) -> bool {
        self.lost.load(Relaxed)
    }
}

/// The thread.
#[derive(Debug)]
pub struct Store {
    sender: Option<SyncSender<Latest>>,
    thread: Option<JoinHandle<()>>,
    kill: watch::Receiver<Option<String>>,
    health: Arc<Health>,
}

/// Hands the newest state over; the newest only counts, so a busy thread drops it.
#[derive(Debug, Clone)]
pub struct Sink {
    sender: SyncSender<Latest>,
    /// Whether the store works.
    pub health: Arc<Health>,
}

impl Sink {
    /// Hands a state over.
    pub fn put(&self, latest: Latest) {
        // Full or ended: the next second brings a newer one.
        let _ = self.sender.try_send(latest);
    }
}

impl Store {
    /// Starts the thread. A kill switch that an earlier process of the run left is one.
    ///
    /// # Errors
    /// [`RunError::Internal`] without a thread.
    pub fn start(folder: &Path, run_id: &str) -> Result<Self, RunError> {
        let (sender, receiver) = sync_channel(1);
        let (tell, kill) = watch::channel(None);
        let health = Arc::new(Health::default());
        let mut thread = Thread {
            folder: folder.to_owned(),
            document: Document {
                format: FORMAT,
                run_id: run_id.to_owned(),
                pid: std::process::id(),
                kill_switch: None,
                latest: None,
            },
            tell,
            health: Arc::clone(&health),
        };
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || thread.run(&receiver))
            .map_err(|e| RunError::Internal(format!("no thread for the state store: {e}")))?;
        Ok(Self { sender: Some(sender), thread: Some(thread), kill, health })
    }

    /// For the journal's writer.
    pub fn sink(&self) -> Option<Sink> {
        let sender = self.sender.clone()?;
        Some(Sink { sender, health: Arc::clone(&self.health) })
    }

    /// Tells of the kill switch.
    pub fn kill_switch(&self) -> watch::Receiver<Option<String>> {
        self.kill.clone()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.sender = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Waits for the kill switch; for ever when nobody pulls it.
pub async fn pulled(kill: &mut watch::Receiver<Option<String>>) -> String {
    loop {
        if let Some(reason) = kill.borrow_and_update().clone() {
            return reason;
        }
        if kill.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

struct Thread {
    folder: PathBuf,
    document: Document,
    tell: watch::Sender<Option<String>>,
    health: Arc<Health>,
}

impl Thread {
    fn run(&mut self, receiver: &Receiver<Latest>) {
        self.look();
        self.save();
        let mut looked = Instant::now();
        loop {
            let latest = receiver.recv_timeout(LOOK.saturating_sub(looked.elapsed()));
            if looked.elapsed() >= LOOK {
                looked = Instant::now();
                self.look();
            }
            match latest {
                Ok(latest) => {
                    self.document.latest = Some(latest);
                    self.save();
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn look(&mut self) {
        if self.document.kill_switch.is_some() {
            return;
        }
        let Some(kill) = read::<Kill>(&self.folder.join(KILL)) else { return };
        if kill.run_id != self.document.run_id {
            return;
        }
        self.document.kill_switch = Some(kill.reason.clone());
        self.tell.send_replace(Some(kill.reason));
        self.save();
    }

    fn save(&mut self) {
        let path = self.folder.join(STATE);
        let text = serde_json::to_vec_pretty(&self.document).map_err(std::io::Error::other);
        let result = text.and_then(|text| write_atomic(&path, &text));
        let was_lost = self.health.lost.swap(result.is_err(), Relaxed);
        match result {
            Err(error) if !was_lost => {
                tracing::error!(%error, path = %path.display(), "the state store is lost")
            }
            Ok(()) if was_lost => tracing::info!(path = %path.display(), "the state store is back"),
            _ => {}
        }
    }
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

/// The run whose state store is in a folder.
pub fn run_in(folder: &Path) -> Option<Document> {
    read(&folder.join(STATE))
}

/// Pulls the kill switch of the run in `folder` and waits until it was seen. Gives the time that took.
///
/// # Errors
/// [`RunError::NotFound`] when no state store is there, [`RunError::Config`] when it is another run's, [`RunError::Io`],
/// [`RunError::Internal`] when nobody saw it: the switch stays, and the run will see it when it comes back.
pub fn pull_kill_switch(folder: &Path, run_id: &str, reason: &str) -> Result<Duration, RunError> {
    let path = folder.join(STATE);
    let document = run_in(folder).ok_or_else(|| RunError::NotFound(path.clone()))?;
    if document.run_id != run_id {
        let text = format!("{} is the state of run {}, not of {run_id}", path.display(), document.run_id);
        return Err(RunError::Config(text));
    }
    let kill = Kill { run_id: run_id.to_owned(), reason: reason.to_owned() };
    let text = serde_json::to_vec(&kill).map_err(|e| RunError::Internal(format!("the kill switch: {e}")))?;
    let path = folder.join(KILL);
    let begun = Instant::now();
    write_atomic(&path, &text).map_err(RunError::io("write", &path))?;
    while begun.elapsed() < SEEN_WITHIN {
        if run_in(folder).is_some_and(|document| document.kill_switch.is_some()) {
            return Ok(begun.elapsed());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Err(RunError::Internal(format!(
        "run {run_id} (pid {}) did not see its kill switch within {} s; is it alive? {} stays for when it comes back",
        document.pid,
        SEEN_WITHIN.as_secs(),
        path.display()
    )))
}
