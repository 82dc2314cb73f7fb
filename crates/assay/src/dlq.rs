//! `assay dlq`: dead letters, the alerts that reached nobody. Looking changes nothing; who sends one anew or gives it up leaves his
//! name and his reason in the store.

use crate::commands::print;
use crate::fail::Failure;
use crate::runs::json_text;
use alerts::{AlertConfig, AlertError, ChannelSettings, DeliveryRecord, Desk, StoreServer};
use catalogue::exit_codes;
use clap::{Args, Subcommand};
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use validate::archive::names;
use validate::{archive, profile, review};

/// How long a replay may take: all attempts of a chain of dead notifiers with their pauses.
const WITHIN: Duration = Duration::from_secs(120);

/// `assay dlq`.
#[derive(Debug, Args)]
pub struct Dlq {
    /// What to do
    #[command(subcommand)]
    pub command: DlqCommand,
}

/// The dead letters' commands.
#[derive(Debug, Subcommand)]
pub enum DlqCommand {
    /// The dead letters of a run
    List(List),
    /// One delivery with its alert and what was done to it
    Show(Show),
    /// Send dead letters anew, with all attempts and the rest of their chains
    Replay(Act),
    /// Give dead letters up: nobody will get them
    Discard(Act),
    /// Who replayed or discarded what, when and why
    Audit(List),
}

/// Whose dead letters.
#[derive(Debug, Args)]
pub struct Place {
    /// Run id, run folder, or `latest`
    #[arg(long, value_name = "RUN", default_value = "latest")]
    pub run: String,
    /// Root of the run folders
    #[arg(long, value_name = "DIR", default_value = "logs")]
    pub logs: PathBuf,
    /// An alert store (SQLite) instead of a run's, such as that of `assay run`
    #[arg(long, value_name = "FILE", conflicts_with_all = ["run", "logs"])]
    pub database: Option<PathBuf>,
    /// The profile whose `[alerts]` says how to send, with --database [default: the local log beside it]
    #[arg(long, value_name = "PROFILE", requires = "database")]
    pub profile: Option<String>,
}

/// `list` and `audit`.
#[derive(Debug, Args)]
pub struct List {
    /// Where
    #[command(flatten)]
    pub place: Place,
    /// Machine-readable
    #[arg(long)]
    pub json: bool,
}

/// `show`.
#[derive(Debug, Args)]
pub struct Show {
    /// The delivery's number in `list`
    pub id: i64,
    /// Where
    #[command(flatten)]
    pub place: Place,
}

/// `replay` and `discard`.
#[derive(Debug, Args)]
pub struct Act {
    /// The deliveries' numbers in `list`
    #[arg(value_name = "ID", required_unless_present = "all")]
    pub ids: Vec<i64>,
    /// Every dead letter there is
    #[arg(long, conflicts_with = "ids")]
    pub all: bool,
    /// Why: it stands in the audit
    #[arg(long, value_name = "TEXT")]
    pub why: String,
    /// Who; the user's name when left out
    #[arg(long, value_name = "NAME")]
    pub who: Option<String>,
    /// Where
    #[command(flatten)]
    pub place: Place,
}

impl From<AlertError> for Failure {
    fn from(error: AlertError) -> Self {
        let code = match error {
            AlertError::Config(_) => exit_codes::USAGE,
            AlertError::Io { .. } => exit_codes::NOT_FOUND,
            _ => exit_codes::INTERNAL,
        };
        Self::new(code, error.to_string())
    }
}

/// A store, and how alerts leave from there.
struct Office {
    desk: Desk,
    /// Of a store that many runs share: whose rows are meant, with those of its phases.
    run: Option<String>,
    server: Option<Arc<dyn StoreServer>>,
    database: PathBuf,
    settings: ChannelSettings,
    env: String,
    local_log: PathBuf,
}

impl Office {
    fn has(&self, run_id: &str) -> bool {
        self.run.as_deref().is_none_or(|run| {
            run_id.strip_prefix(run).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    }

    fn dead(&self) -> Result<Vec<DeliveryRecord>, AlertError> {
        let mut dead = self.desk.list(None)?;
        dead.retain(|row| self.has(&row.run_id));
        Ok(dead)
    }
}

impl Place {
    fn open(&self) -> Result<Office, Failure> {
        let mut run = None;
        let (database, server, profile, local_log) = match &self.database {
            Some(database) => {
                let loaded = self.profile.as_deref().map(profile::load).transpose()?;
                (database.clone(), None, loaded.map(|l| l.profile), database.with_file_name("alerts.log"))
            }
            None => {
                let dir = review::find(&self.logs, &self.run)?;
                let metadata = archive::metadata(&dir).map_err(review::ReviewError::from)?;
                let server = metadata.profile.alert_server(archive::alert_address(&dir).as_deref())?;
                run = server.is_some().then_some(metadata.run_id);
                // The runner's own log is covered by the manifest: a replay must not change it.
                (dir.path(names::ALERT_DB), server, Some(metadata.profile), dir.path(names::NOTICE))
            }
        };
        let server = server.map(|server| Arc::new(server) as Arc<dyn StoreServer>);
        let desk = match &server {
            Some(server) => Desk::over(server.open()?),
            None => Desk::open(&database)?,
        };
        let env = profile.as_ref().and_then(|p| p.runner.config.get("env")?.as_str()).unwrap_or("paper");
        let env = env.to_owned();
        let settings = profile.map(|p| p.alerts).unwrap_or_default();
        Ok(Office { desk, run, server, database, settings, env, local_log })
    }
}

pub(crate) fn dlq(command: &DlqCommand) -> Result<u8, Failure> {
    match command {
        DlqCommand::List(args) => list(args),
        DlqCommand::Show(args) => show(args),
        DlqCommand::Replay(args) => replay(args),
        DlqCommand::Discard(args) => discard(args),
        DlqCommand::Audit(args) => audit(args),
    }
}

fn list(args: &List) -> Result<u8, Failure> {
    let office = args.place.open()?;
    let dead = office.dead()?;
    if args.json {
        print(&json_text(&dead)?);
        return Ok(0);
    }
    if dead.is_empty() {
        print("no dead letters: every alert reached somebody, or is under way\n");
    }
    for row in &dead {
        let alert = office.desk.show(row.delivery_id)?.map(|(_, alert)| alert);
        let what = alert.map(|a| format!("{} {} {}", a.severity, a.rule_id, a.title)).unwrap_or_default();
        print(&format!("{:>6}  {}  {what}\n        {}\n", row.delivery_id, row.notifier, error_of(row)));
    }
    Ok(0)
}

fn error_of(row: &DeliveryRecord) -> &str {
    row.last_error.as_deref().unwrap_or("no error was recorded")
}

fn show(args: &Show) -> Result<u8, Failure> {
    let office = args.place.open()?;
    let Some((delivery, alert)) = office.desk.show(args.id)? else {
        let what = format!("there is no delivery {} here; `assay dlq list` shows the dead ones", args.id);
        return Err(Failure::new(exit_codes::NOT_FOUND, what));
    };
    let mut audit = office.desk.audit(Some(&alert.run_id))?;
    audit.retain(|row| row.delivery_id == args.id);
    print(&json_text(&json!({ "delivery": delivery, "alert": alert, "audit": audit }))?);
    Ok(0)
}

fn audit(args: &List) -> Result<u8, Failure> {
    let office = args.place.open()?;
    let mut rows = office.desk.audit(None)?;
    rows.retain(|row| office.has(&row.run_id));
    if args.json {
        print(&json_text(&rows)?);
        return Ok(0);
    }
    for row in &rows {
        let at = seconds(row.at);
        let (who, what, id) = (&row.who, &row.action, row.delivery_id);
        print(&format!("{at}  {who}  {what} {id} ({}, {}): {}\n", row.alert_id, row.notifier, row.why));
    }
    Ok(0)
}

/// Seconds since 1970 UTC: exact, sortable, and what `date -d @` reads.
fn seconds(at: market::Timestamp) -> String {
    format!("@{}", at.0.div_euclid(1_000_000_000))
}

fn chosen(args: &Act, office: &Office) -> Result<Vec<DeliveryRecord>, Failure> {
    let dead = office.dead()?;
    if args.all {
        return Ok(dead);
    }
    let find = |id: &i64| {
        dead.iter().find(|row| row.delivery_id == *id).cloned().ok_or_else(|| {
            let what =
                format!("{id} is no dead letter here; `assay dlq list` shows them. Nothing was changed");
            Failure::new(exit_codes::NOT_FOUND, what)
        })
    };
    args.ids.iter().map(find).collect()
}

fn who(args: &Act) -> String {
    let named = args.who.clone().or_else(|| std::env::var("USER").ok());
    named.filter(|name| !name.trim().is_empty()).unwrap_or_else(|| {
        // Without a name the number is the truth.
        let uid = std::fs::metadata("/proc/self").map(|m| std::os::unix::fs::MetadataExt::uid(&m));
        uid.map_or_else(|_| "unknown".to_owned(), |uid| format!("uid {uid}"))
    })
}

fn discard(args: &Act) -> Result<u8, Failure> {
    let mut office = args.place.open()?;
    let who = who(args);
    for row in chosen(args, &office)? {
        if office.desk.discard(row.delivery_id, &who, &args.why)? {
            print(&format!("discarded {} ({}, {})\n", row.delivery_id, row.alert_id, row.notifier));
        }
    }
    Ok(0)
}

fn replay(args: &Act) -> Result<u8, Failure> {
    let mut office = args.place.open()?;
    let who = who(args);
    let rows = chosen(args, &office)?;
    // Before anything is changed: without its secrets nothing can be sent.
    let secrets = office.settings.secrets()?;
    let notifiers = office.settings.notifiers(&secrets, &office.local_log)?;
    let mut released = Vec::new();
    for row in rows {
        if office.desk.release(row.delivery_id, &who, &args.why)? {
            released.push(row);
        }
    }
    let mut dead = 0;
    let mut scopes: Vec<(String, String)> =
        released.iter().map(|row| (row.run_id.clone(), row.phase.clone())).collect();
    scopes.sort();
    scopes.dedup();
    for (run_id, phase) in scopes {
        let of = |row: &&DeliveryRecord| row.run_id == run_id && row.phase == phase;
        let ids: Vec<i64> = released.iter().filter(of).map(|row| row.delivery_id).collect();
        let config = AlertConfig {
            database: office.database.clone(),
            server: office.server.clone(),
            retention: None,
            run_id: run_id.clone(),
            phase: phase.clone(),
            env: office.env.clone(),
            notifiers: notifiers.clone(),
            routes: office.settings.routes(&office.env),
            probe_every: Duration::from_secs(3_600),
            retry: office.settings.retry(),
            sources: Vec::new(),
            own_spool: None,
        };
        let ended = office.desk.send(&config, &ids, WITHIN)?;
        for id in &ended.sent {
            print(&format!("{id} arrived\n"));
        }
        for id in &ended.dead {
            let error = office.desk.show(*id)?.and_then(|(row, _)| row.last_error).unwrap_or_default();
            print(&format!("{id} is a dead letter again: {error}\n"));
        }
        for id in &ended.open {
            print(&format!("{id} is still under way; `assay dlq show {id}` tells how it ends\n"));
        }
        dead += ended.dead.len() + ended.open.len();
    }
    Ok(if dead == 0 { 0 } else { exit_codes::INTERNAL })
}
