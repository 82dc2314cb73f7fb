//! The stores: each `embedded`, `url` or `docker`. Up means that the database answered, not that something listens. Then the reset
//! of the state store: this run's keys and those of ended runs of its profile go, nobody else's.
//!
//! The Docker Engine lives in [`super::docker`], what is removed from Redis in `state`.

use super::docker::{Down, Engine, Up};
use super::{Context, Finding};
use crate::profile::{StoreChoice, StoreKind};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Port of PostgreSQL in its container.
const POSTGRES_PORT: u16 = 5432;
/// Port of Redis in its container.
const REDIS_PORT: u16 = 6379;
/// How long a store of kind `url` is asked again before it counts as away.
const URL_WITHIN: Duration = Duration::from_secs(5);
/// How long looking through the keys of a database may take.
const RESET_WITHIN: Duration = Duration::from_secs(10);
/// Between two questions.
const AGAIN: Duration = Duration::from_millis(200);

/// Where the stores were found up.
#[derive(Debug, Default)]
pub struct Stack {
    alerts: OnceLock<Place>,
    state: OnceLock<Place>,
}

/// A store that answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// `host:port` in the place of the URL's: where a container's port is published.
    pub address: Option<String>,
    /// Kind, server and version in words, without any secret.
    pub said: String,
}

impl Stack {
    /// The alert store; `None` when it is embedded, or was not found up.
    pub fn alerts(&self) -> Option<&Place> {
        self.alerts.get()
    }

    /// The state store; `None` when it is embedded, or was not found up.
    pub fn state(&self) -> Option<&Place> {
        self.state.get()
    }
}

/// A store that answered.
pub(super) struct Answered {
    /// The server without a password.
    pub(super) place: String,
    /// Its name and version.
    pub(super) version: String,
}

/// Asks until the store answers or the time is up; the container is brought up first.
fn bring_up(
    context: &Context<'_>,
    choice: &StoreChoice,
    (key, port): (&str, u16),
    remembered: &OnceLock<Place>,
    ask: impl Fn(Option<&str>) -> Result<Answered, String>,
) -> Finding {
    let begun = Instant::now();
    let docker = match choice.kind {
        StoreKind::Docker => {
            let until = begun + Duration::from_secs(context.profile.stores.start_within_s.into());
            let engine = Engine::open(context.docker_host.as_deref());
            let up = engine.and_then(|engine| {
                let up = engine.up(&choice.service, &format!("stores.{key}.service"), port, until)?;
                Ok((engine, up))
            });
            match up {
                Ok((engine, up)) => Some((engine, up, until)),
                Err(Down { found, next, changed }) => {
                    return Finding { changed, ..Finding::failed(format!("docker: {found}"), next) };
                }
            }
        }
        _ => None,
    };
    let until = docker.as_ref().map_or(begun + URL_WITHIN, |(_, _, until)| *until);
    let address = docker.as_ref().and_then(|(_, up, _)| up.address.clone());
    let changed = docker.as_ref().and_then(|(_, up, _)| up.changed.clone());
    let answer = loop {
        match ask(address.as_deref()) {
            Err(_) if Instant::now() < until => std::thread::sleep(AGAIN),
            answer => break answer,
        }
    };
    let finding = match answer {
        Ok(Answered { place, version }) => {
            let said = match &docker {
                Some((_, up, _)) => format!("docker {} ({place}, {version})", up.name),
                None => format!("url {place}, {version}"),
            };
            let found = Finding::ok(format!("{said}: it answers"));
            let _ = remembered.set(Place { address, said });
            found
        }
        Err(why) => not_answering(choice, key, &why, docker.as_ref().map(|(engine, up, _)| (engine, up))),
    };
    Finding { changed, ..finding }
}

fn not_answering(choice: &StoreChoice, key: &str, why: &str, docker: Option<(&Engine, &Up)>) -> Finding {
    match docker {
        None => Finding::failed(
            why,
            format!("start it, correct `stores.{key}.url` or {}, or use --stack embedded", choice.url_env),
        ),
        Some((engine, up)) => Finding::failed(
            format!("the container {} runs, but {why}{}", up.name, engine.last_words_of(up)),
            match &up.address {
                Some(_) => format!("see `docker logs {}`", up.name),
                None => format!("publish its port on this machine, or correct `stores.{key}.url`"),
            },
        ),
    }
}

/// The alert store.
pub(super) fn alert_store(context: &Context<'_>) -> Finding {
    if !context.profile.runner.own_contract {
        return Finding::skipped("the runner has no store of ours");
    }
    let choice = &context.profile.stores.alerts;
    if choice.kind == StoreKind::Embedded {
        return super::machine::embedded_store(context);
    }
    bring_up(context, choice, ("alerts", POSTGRES_PORT), &context.stack.alerts, |address| {
        let server = choice.postgres(address).map_err(|e| e.to_string())?;
        let server = server.ok_or_else(|| "the alert store is embedded".to_owned())?;
        let version = server.version().map_err(|e| e.to_string())?;
        Ok(Answered { place: server.to_string(), version })
    })
}

/// The state store.
pub(super) fn state_store(context: &Context<'_>) -> Finding {
    if !context.profile.runner.own_contract {
        return Finding::skipped("the runner has no store of ours");
    }
    let choice = &context.profile.stores.state;
    if choice.kind == StoreKind::Embedded {
        return Finding::ok("embedded: files beside the run's journal");
    }
    bring_up(context, choice, ("state", REDIS_PORT), &context.stack.state, |address| {
        let access = access(choice, address)?;
        let version = state::ping(&access).map_err(|e| e.to_string())?;
        Ok(Answered { place: access.place().to_owned(), version: format!("Redis {version}") })
    })
}

fn access(choice: &StoreChoice, address: Option<&str>) -> Result<state::Access, String> {
    state::Access::resolve(&choice.url, Some(&choice.url_env), address).map_err(|e| e.to_string())
}

/// The keys of this run and of ended runs of its profile go.
pub(super) fn state_reset(context: &Context<'_>) -> Finding {
    let stores = &context.profile.stores;
    if !context.profile.runner.own_contract {
        return Finding::skipped("the runner has no store of ours");
    }
    if stores.state.kind == StoreKind::Embedded {
        return Finding::ok("embedded: this run's folder is new, there is nothing to reset");
    }
    let Some(place) = context.stack.state() else {
        return Finding::skipped("the state store is not up");
    };
    let access = match access(&stores.state, place.address.as_deref()) {
        Ok(access) => access,
        Err(why) => return Finding::failed(why, "correct `stores.state.url`"),
    };
    match state::reset(&access, context.run_id, &context.profile.name, stores.flush_state, RESET_WITHIN) {
        Ok(done) => reset_done(&access, &done),
        Err(error @ state::StateError::NotOurs { .. }) => Finding::failed(
            error.to_string(),
            "name a database of Assay's own in `stores.state.url`, or set `stores.flush_state = false`",
        ),
        Err(error) => Finding::failed(error.to_string(), "see whether Redis is well, then try again"),
    }
}

fn reset_done(access: &state::Access, done: &state::Reset) -> Finding {
    let place = access.place();
    let changed = (done.removed_keys > 0).then(|| {
        let runs = names(&done.removed_runs);
        let how = if done.flushed { "flushed the database" } else { "removed" };
        let keys =
            if done.removed_keys == 1 { "1 key".to_owned() } else { format!("{} keys", done.removed_keys) };
        if runs.is_empty() { format!("{how}: {keys}") } else { format!("{how}: {keys} of {runs}") }
    });
    let kept = match done.kept_runs.len() {
        0 => String::new(),
        _ => format!("; keys of other runs stay: {}", names(&done.kept_runs)),
    };
    let marked = if done.marked { "" } else { "; other programs' keys are in it too, and stay" };
    let found = format!("{place} is ready for this run{kept}{marked}");
    let finding = if done.partial {
        let next = "give Assay a database of its own: looking through this one takes too long";
        Finding::warning(
            format!("{found}; not every key was looked at in {} s", RESET_WITHIN.as_secs()),
            next,
        )
    } else {
        Finding::ok(found)
    };
    Finding { changed, ..finding }
}

/// The first few.
fn names(runs: &[String]) -> String {
    let shown = runs.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
    if runs.len() > 5 { format!("{shown} and {} more", runs.len() - 5) } else { shown }
}
