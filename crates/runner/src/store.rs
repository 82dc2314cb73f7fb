//! The threads of the run's state stores (`state`): the files beside the journal always, and Redis when the configuration has a
//! `[state]`. Each store has a thread of its own, so that a slow disk or a Redis that does not answer delays neither the run nor the
//! other store.
//!
//! Once a second each writes the newest state of what the journal holds already (the same again when there is none: it is a sign of
//! life); four times a second it looks for the kill switch, and whichever is pulled ends the session. A switch that is there and
//! cannot be read is pulled: somebody wanted something. The loss of a store is told (`STATE-SAVE-FAILED` for the files, `SYS-REDIS-LOST`
//! for Redis) and survived; it is tried again each second.

use crate::error::RunError;
use crate::writer::ShellAlert;
use engine::recover::Latest;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use state::{Access, Embedded, Redis, Saved, State, StateError, StateStore};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How often the kill switch is looked at.
const LOOK: Duration = Duration::from_millis(250);
/// How often a state is written when no newer one has come.
const AGAIN: Duration = Duration::from_secs(1);
/// How long `assay stop` waits until the run has seen the switch.
const SEEN_WITHIN: Duration = Duration::from_secs(5);

/// `[state]`: a Redis database that shows the run's state, beside the files.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct StateSection {
    /// The database, such as `redis://127.0.0.1:6379/0`; never with a password.
    pub url: String,
    /// The environment variable whose URL goes before `url`; it may hold a password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url_env: Option<String>,
    /// `host:port` in the place of the URL's: where a container's port was published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The profile of the validation that the run belongs to: a later run of the profile removes this one's keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
}

impl StateSection {
    fn access(&self) -> Result<Access, RunError> {
        Access::resolve(&self.url, self.url_env.as_deref(), self.address.as_deref()).map_err(config)
    }
}

fn config(error: StateError) -> RunError {
    RunError::Config(format!("[state] {error}"))
}

/// The threads.
#[derive(Debug)]
pub struct Store {
    outlets: Vec<SyncSender<Arc<Latest>>>,
    threads: Vec<JoinHandle<()>>,
    kill: watch::Receiver<Option<String>>,
    news: News,
}

/// What the stores have to tell, until the writer raises it.
type News = Arc<Mutex<Vec<ShellAlert>>>;

/// Hands the newest state over; the newest only counts, so a busy thread drops it.
#[derive(Debug, Clone)]
pub struct Sink {
    outlets: Vec<SyncSender<Arc<Latest>>>,
    news: News,
}

impl Sink {
    /// Hands a state over.
    pub fn put(&self, latest: Latest) {
        let latest = Arc::new(latest);
        for outlet in &self.outlets {
            // Full or ended: the next second brings a newer one.
            let _ = outlet.try_send(Arc::clone(&latest));
        }
    }

    /// Takes the alerts of the stores.
    pub fn news(&self) -> Vec<ShellAlert> {
        std::mem::take(&mut *self.news.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Store {
    /// Starts the threads. A kill switch that an earlier process of the run left is one.
    ///
    /// # Errors
    /// [`RunError::Config`] for an address that is none, [`RunError::Internal`] without a thread. A store that cannot be reached is no
    /// error.
    pub fn start(folder: &Path, run_id: &str, section: Option<&StateSection>) -> Result<Self, RunError> {
        let (tell, kill) = watch::channel(None);
        let tell = Arc::new(tell);
        let news = News::default();
        let profile = section.and_then(|section| section.profile.as_deref());
        let mut stores: Vec<(Box<dyn StateStore>, &'static Told)> =
            vec![(Box::new(Embedded::new(folder, run_id)), &FILES)];
        if let Some(section) = section {
            stores.push((Box::new(Redis::new(section.access()?, run_id)), &REDIS));
        }
        let mut store = Self { outlets: Vec::new(), threads: Vec::new(), kill, news };
        for (place, told) in stores {
            let (sender, receiver) = sync_channel(1);
            let mut thread = Thread {
                store: place,
                told,
                state: State::new(run_id, std::process::id(), profile),
                tell: Arc::clone(&tell),
                news: Arc::clone(&store.news),
                lost: false,
                blind: false,
                saved_at: Instant::now(),
            };
            let handle = std::thread::Builder::new()
                .name(told.thread.to_owned())
                .spawn(move || thread.run(&receiver))
                .map_err(|e| RunError::Internal(format!("no thread for the state store: {e}")))?;
            store.outlets.push(sender);
            store.threads.push(handle);
        }
        Ok(store)
    }

    /// For the journal's writer.
    pub fn sink(&self) -> Sink {
        Sink { outlets: self.outlets.clone(), news: Arc::clone(&self.news) }
    }

    /// Tells of the kill switch.
    pub fn kill_switch(&self) -> watch::Receiver<Option<String>> {
        self.kill.clone()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.outlets.clear();
        for thread in self.threads.drain(..) {
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

/// How the loss of a store is told.
struct Told {
    thread: &'static str,
    rule_id: &'static str,
    lost: &'static str,
    emptied: &'static str,
    advice: &'static str,
}

const FILES: Told = Told {
    thread: "store",
    rule_id: "STATE-SAVE-FAILED",
    lost: "The state store cannot be written",
    emptied: "The state store was removed",
    advice: "state.json beside the journal may be out of date, and a kill switch may not be seen: the run goes on, look at the folder \
             and the disk.",
};

const REDIS: Told = Told {
    thread: "store-redis",
    rule_id: "SYS-REDIS-LOST",
    lost: "The state store is lost",
    emptied: "The state store was emptied",
    advice: "The run goes on, and tries again each second: until then its state and its kill switch are beside the journal \
             (`assay stop RUN --journal-dir DIR`).",
};

struct Thread {
    store: Box<dyn StateStore>,
    told: &'static Told,
    state: State,
    tell: Arc<watch::Sender<Option<String>>>,
    news: News,
    /// The state could not be written.
    lost: bool,
    /// The kill switch could not be looked at.
    blind: bool,
    saved_at: Instant,
}

impl Thread {
    fn run(&mut self, receiver: &Receiver<Arc<Latest>>) {
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
                    match parts(&latest) {
                        Ok(parts) => self.state.latest = Some(parts),
                        Err(error) => tracing::error!(%error, "the state cannot be put into words"),
                    }
                    self.save();
                }
                Err(RecvTimeoutError::Timeout) if self.saved_at.elapsed() >= AGAIN => self.save(),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    self.state.ended = true;
                    return self.save();
                }
            }
        }
    }

    /// Looks for the kill switch, here and in what the other store has seen; what was seen is written down.
    fn look(&mut self) {
        if self.state.kill_switch.is_some() {
            return;
        }
        let elsewhere = self.tell.borrow().clone();
        let reason = elsewhere.or_else(|| {
            let (seen, failed) = match self.store.pulled() {
                Ok(reason) => (reason, None),
                Err(error @ StateError::Content { .. }) => {
                    (Some(format!("it cannot be read, and counts as pulled: {error}")), None)
                }
                Err(error) => (None, Some(error)),
            };
            let told = self.lost || self.blind;
            self.blind = failed.is_some();
            if let Some(error) = failed.filter(|_| !told) {
                self.tell_of_loss(&error);
            }
            seen
        });
        if let Some(reason) = reason {
            self.state.kill_switch = Some(reason.clone());
            self.tell.send_replace(Some(reason));
            self.save();
        }
    }

    fn save(&mut self) {
        self.saved_at = Instant::now();
        match self.store.save(&self.state) {
            Err(error) => {
                if !std::mem::replace(&mut self.lost, true) && !self.blind {
                    self.tell_of_loss(&error);
                }
            }
            Ok(saved) => {
                if std::mem::replace(&mut self.lost, false) {
                    tracing::info!(place = self.store.place(), "the state store is back");
                }
                if saved == Saved::Vanished {
                    tracing::error!(
                        place = self.store.place(),
                        "the state store was emptied; it is written again"
                    );
                    self.alert(
                        self.told.emptied,
                        "What the run had written there was gone; it is written again.",
                    );
                }
            }
        }
    }

    /// Told once, and again after it was back.
    fn tell_of_loss(&self, error: &StateError) {
        tracing::error!(%error, place = self.store.place(), "the state store is lost");
        self.alert(self.told.lost, &format!("{error}."));
    }

    fn alert(&self, title: &str, what: &str) {
        let alert = ShellAlert {
            rule_id: self.told.rule_id,
            title: title.to_owned(),
            message: format!("{what} {}", self.told.advice),
            label: ("part", "state_store".to_owned()),
        };
        self.news.lock().unwrap_or_else(PoisonError::into_inner).push(alert);
    }
}

/// By part, as text: the numbers of the ledger have more digits than a JSON value of the library holds.
fn parts(latest: &Latest) -> serde_json::Result<BTreeMap<String, Box<RawValue>>> {
    serde_json::from_str(&serde_json::to_string(latest)?)
}

/// The run whose files are in a folder.
pub fn run_in(folder: &Path) -> Option<State> {
    state::read_folder(folder).ok().flatten()
}

/// Pulls the kill switch of the run whose files are in `folder` and waits until it was seen. Gives the time that took.
///
/// # Errors
/// [`RunError::NotFound`] when no state store is there, [`RunError::Config`] when it is another run's, [`RunError::Io`],
/// [`RunError::Internal`] when nobody saw it: the switch stays, and the run will see it when it comes back.
pub fn pull_kill_switch(folder: &Path, run_id: &str, reason: &str) -> Result<Duration, RunError> {
    let path = folder.join(state::STATE_FILE);
    let state = run_in(folder).ok_or_else(|| RunError::NotFound(path.clone()))?;
    if state.run_id != run_id {
        let text = format!("{} is the state of run {}, not of {run_id}", path.display(), state.run_id);
        return Err(RunError::Config(text));
    }
    pull(&mut Embedded::new(folder, run_id), run_id, reason)
}

/// As [`pull_kill_switch`], in a Redis database. `address` is a URL without a password, or `env:NAME` for the URL in an environment variable.
///
/// # Errors
/// As [`pull_kill_switch`]; [`RunError::Config`] when the database knows no such run, too.
pub fn pull_kill_switch_in(address: &str, run_id: &str, reason: &str) -> Result<Duration, RunError> {
    let wrong = |error: StateError| RunError::Config(format!("--state-url: {error}"));
    let access = match address.strip_prefix("env:") {
        Some(name) => {
            let unset = |_| RunError::Config(format!("--state-url: {name} is not set in the environment"));
            Access::new(&std::env::var(name).map_err(unset)?).map_err(wrong)?
        }
        None => Access::resolve(address, None, None).map_err(wrong)?,
    };
    let mut store = Redis::new(access, run_id);
    let known = store.load().map_err(|e| RunError::Internal(e.to_string()))?;
    if known.is_none_or(|state| state.ended) {
        let text = format!("{} knows no run {run_id} that is alive", store.place());
        return Err(RunError::Config(text));
    }
    pull(&mut store, run_id, reason)
}

fn pull(store: &mut dyn StateStore, run_id: &str, reason: &str) -> Result<Duration, RunError> {
    let failed = |e: StateError| RunError::Internal(e.to_string());
    let begun = Instant::now();
    store.pull(reason).map_err(failed)?;
    let mut pid = None;
    while begun.elapsed() < SEEN_WITHIN {
        if let Ok(Some(state)) = store.load() {
            if state.kill_switch.is_some() {
                return Ok(begun.elapsed());
            }
            pid = Some(state.pid);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Err(RunError::Internal(format!(
        "run {run_id} (pid {}) did not see its kill switch within {} s; is it alive? The switch in {} stays for when it comes back",
        pid.map_or_else(|| "unknown".to_owned(), |pid| pid.to_string()),
        SEEN_WITHIN.as_secs(),
        store.place()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait_until(what: &str, mut seen: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !seen() {
            assert!(begun.elapsed() < Duration::from_secs(30), "{what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    #[test]
    fn a_run_that_has_nothing_to_say_yet_gives_a_sign_of_life() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::start(folder.path(), "r.main", None).unwrap();
        let written = || folder.path().join(state::STATE_FILE).exists();
        wait_until("the first state", written);
        std::fs::remove_file(folder.path().join(state::STATE_FILE)).unwrap();
        wait_until("the same state again", written);
        wait_until("the alert that it had gone", || !store.sink().news().is_empty());
    }

    #[test]
    fn a_kill_switch_that_cannot_be_read_is_pulled() {
        for is_folder in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let switch = folder.path().join(state::KILL_FILE);
            if is_folder {
                std::fs::create_dir(&switch).unwrap();
            } else {
                std::fs::write(&switch, "stop!").unwrap();
            }
            let store = Store::start(folder.path(), "r.main", None).unwrap();
            let kill = store.kill_switch();
            wait_until("the kill switch", || kill.borrow().is_some());
            let reason = kill.borrow().clone().unwrap();
            assert!(reason.contains("cannot be read") && reason.contains("kill_switch.json"), "{reason}");
        }
    }
}
