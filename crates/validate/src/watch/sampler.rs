//! One poll: a scrape with one retry, an OS sample of the whole group, the KPI file's figures, the clocks. Shared by a phase that we
//! supervise and a process that we only monitor. Not here: what follows from a sample.

use super::clocks::{self, Clocks, Reading};
use super::scrape::Http;
use crate::archive::Identity;
use crate::mapping::Mapping;
use crate::supervise::group::{Member, Snapshot, SocketOwner};
use gate::evidence::{Found, LogCounters, OsSample, Sample, Scrape};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

/// Whose processes are sampled.
#[derive(Debug, Clone, Copy)]
pub(super) enum Root {
    /// Everything below a guardian.
    Guardian(i32),
    /// A process of somebody else's, with its descendants.
    Attached(i32),
}

/// Takes the samples of one phase.
pub(super) struct Sampler<'a> {
    pub(super) http: &'a Http,
    /// What is scraped; the reason when nothing is.
    pub(super) url: Result<String, String>,
    pub(super) timeout: Duration,
    pub(super) root: Root,
    pub(super) kpi_path: Option<PathBuf>,
    /// What the runner's own names mean.
    pub(super) mapping: &'a Mapping,
    pub(super) clocks: Clocks,
    pub(super) seen: Seen,
}

/// What the polls so far have seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) polls: u64,
    pub(super) missed: u64,
    pub(super) last_scrape: Option<Scrape>,
    pub(super) last_page: Option<Vec<u8>>,
    pub(super) identity: Option<Identity>,
    pub(super) remote: BTreeSet<IpAddr>,
    pub(super) kpi: BTreeMap<String, f64>,
    kpi_rewrites: u64,
    kpi_version: Option<(u64, i64, i64)>,
    peak: u64,
}

/// One poll's outcome.
pub(super) struct Poll {
    pub(super) sample: Sample,
    /// `run_id` of the page.
    pub(super) run_id: Option<String>,
    pub(super) reading: Reading,
    /// A process of the group that a signal has stopped.
    pub(super) stopped: Option<Member>,
}

impl Sampler<'_> {
    /// Polls. `now` is the time since the start in seconds; `log` is asked right after the scrape.
    pub(super) fn poll(&mut self, now: &dyn Fn() -> f64, log: &mut dyn FnMut(f64) -> LogCounters) -> Poll {
        let page = self.url.clone().and_then(|url| {
            let first = self.http.scrape(&url, self.timeout, self.mapping);
            first.or_else(|_| self.http.scrape(&url, self.timeout, self.mapping))
        });
        let t = now();
        let snapshot = match self.root {
            Root::Guardian(pid) => Snapshot::below(pid),
            Root::Attached(pid) => Snapshot::with(pid),
        };
        let sockets = snapshot.sockets();
        let seen = &mut self.seen;
        seen.polls += 1;
        seen.remote.extend(sockets.remote_peers());
        let mut run_id = None;
        let scrape = match page {
            Ok((page, body)) => {
                let owner = self.url.as_ref().ok().and_then(|url| loopback(url));
                let owner: Option<SocketOwner> = owner.and_then(|addr| sockets.listener(addr));
                run_id.clone_from(&page.run_id);
                seen.identity = Some(Identity {
                    t,
                    run_id: page.run_id,
                    socket_in_group: owner.as_ref().map(|owner| owner.in_group),
                    socket_owner: owner.map(|owner| owner.who),
                });
                seen.last_page = Some(body);
                seen.last_scrape = Some(page.scrape.clone());
                Found::Yes(page.scrape)
            }
            Err(why) => {
                seen.missed += 1;
                Found::No(why)
            }
        };
        self.look_at_kpi_file();
        let wall_ms = jiff::Timestamp::now().as_millisecond();
        let reading = self.clocks.look(t, wall_ms, clocks::boot_offset_s());
        let sample = Sample {
            t,
            wall_ms,
            scrape,
            os: self.os(&snapshot),
            log: log(t),
            kpi_rewrites: self.seen.kpi_rewrites,
            kpi: self.seen.kpi.clone(),
        };
        Poll { sample, run_id, reading, stopped: snapshot.stopped().cloned() }
    }

    fn os(&mut self, snapshot: &Snapshot) -> Found<OsSample> {
        match snapshot.sample(self.seen.peak) {
            Some(sample) => {
                self.seen.peak = sample.peak_rss_bytes;
                Found::Yes(sample)
            }
            None => Found::No("no process of the group could be read".to_owned()),
        }
    }

    /// Counts the rewrites of the KPI file and keeps its numbers.
    pub(super) fn look_at_kpi_file(&mut self) {
        let Some(path) = &self.kpi_path else { return };
        let Ok(meta) = std::fs::metadata(path) else { return };
        let version = Some((meta.ino(), meta.mtime(), meta.mtime_nsec()));
        let seen = &mut self.seen;
        if version == seen.kpi_version {
            return;
        }
        seen.kpi_version = version;
        seen.kpi_rewrites += 1;
        if let Found::Yes(file) = crate::archive::read_kpi(path, self.mapping) {
            seen.kpi = file.fields.iter().filter_map(|(k, v)| Some((k.clone(), v.as_f64()?))).collect();
        }
    }
}

/// The address of a URL when it is on this machine: only then can the socket's owner be known.
fn loopback(url: &str) -> Option<SocketAddr> {
    let rest = url.split_once("://")?.1;
    let addr: SocketAddr = rest.split('/').next()?.parse().ok()?;
    addr.ip().is_loopback().then_some(addr)
}
