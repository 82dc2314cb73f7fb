//! This machine and its configuration, without a venue.

use super::{Check, State};
use crate::preflight::{Outcome, port, try_store};
use crate::profile;
use rustix::process::{Resource, getrlimit};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Files that a run opens at most: sockets, journal, input log, databases, scrapes, with room.
const FILES: u64 = 1_024;
/// Below this many a run breaks down.
const FILES_LEAST: u64 = 256;
/// Memory that a run of Top 100 with its supervisor takes, with room, bytes.
const MEMORY: u64 = 1_000_000_000;
/// 2026-01-01T00:00:00Z: this version is younger, so an earlier clock is wrong.
const YOUNGER: Duration = Duration::from_secs(1_767_225_600);
/// Where systems keep the certificates of authorities.
const CERTIFICATES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
];
/// Variables that name a proxy.
const PROXIES: [&str; 8] = [
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "http_proxy",
    "ALL_PROXY",
    "all_proxy",
    "NO_PROXY",
    "no_proxy",
];

/// What is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Setting<'a> {
    /// A built-in profile or a file.
    pub profile: &'a str,
    /// The root of the run folders.
    pub logs: &'a Path,
}

/// Looks at this machine.
pub fn machine(setting: Setting<'_>) -> Vec<Check> {
    let mut checks = vec![clock(), cores(), memory(), open_files(), certificates(), proxies()];
    let loaded = profile::load(setting.profile);
    checks.push(match &loaded {
        Ok(loaded) => {
            Check::new("profile", State::Ok, "a profile that can be read", loaded.profile.about.clone())
        }
        Err(error) => Check::new("profile", State::Fail, "a profile that can be read", error.to_string())
            .then("`assay profile check` shows the place; `assay profile list` the built-in ones"),
    });
    let folder = existing(setting.logs);
    checks.push(writable(setting.logs, &folder));
    if let Ok(loaded) = &loaded {
        let profile = &loaded.profile;
        checks.push(disk(&folder, profile.limits.min_free_bytes));
        checks.push(of_port("port_metrics", &profile.runner.metrics_addr, "runner.metrics_addr"));
        checks.push(of_port("port_console", &profile.console.addr, "console.addr"));
    }
    checks.push(store(&folder));
    checks
}

/// The clock runs with a reference. Without it stamps drift and every age is wrong.
fn clock() -> Check {
    let expected = "the clock is kept by NTP";
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    if since < YOUNGER {
        let found =
            format!("it says {} s since 1970, which is before this version was made", since.as_secs());
        return Check::new("clock", State::Fail, expected, found)
            .then("set the clock: `timedatectl set-ntp true`");
    }
    if Path::new("/run/systemd/timesync/synchronized").exists() {
        return Check::new("clock", State::Ok, expected, "systemd-timesyncd says that it is synchronised");
    }
    let asked = std::process::Command::new("timedatectl")
        .args(["show", "--property=NTPSynchronized", "--value"])
        .stdin(std::process::Stdio::null())
        .output();
    match asked.map(|out| String::from_utf8_lossy(&out.stdout).trim().to_owned()) {
        Ok(word) if word == "yes" => {
            Check::new("clock", State::Ok, expected, "timedatectl says that it is synchronised")
        }
        Ok(word) if word == "no" => {
            Check::new("clock", State::Fail, expected, "timedatectl says that it is not synchronised")
                .then("`timedatectl set-ntp true`, or start chrony")
        }
        _ => Check::new("clock", State::Warn, expected, "nothing here says whether it is synchronised")
            .then("a container takes the host's clock: look there; --live compares it with the venues'"),
    }
}

fn cores() -> Check {
    let n = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    let state = if n < 2 { State::Warn } else { State::Ok };
    let check = Check::new("cores", state, "2 or more: the hot thread wants one for itself", format!("{n}"));
    if n < 2 { check.then("give the machine a second core, or expect longer latencies") } else { check }
}

fn memory() -> Check {
    let expected = format!("{} MB available", MEMORY / 1_000_000);
    let Ok(info) = procfs::Current::current().map(|info: procfs::Meminfo| info) else {
        return Check::new("memory", State::Skip, expected, "/proc/meminfo cannot be read");
    };
    let available = info.mem_available.unwrap_or(info.mem_free);
    let found = format!("{} MB available", available / 1_000_000);
    if available < MEMORY {
        return Check::new("memory", State::Warn, expected, found).then("end what else runs here");
    }
    Check::new("memory", State::Ok, expected, found)
}

fn open_files() -> Check {
    let expected = format!("at least {FILES} files may be open");
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let found = if limit == u64::MAX { "no limit".to_owned() } else { format!("{limit}") };
    let state = match limit {
        n if n < FILES_LEAST => State::Fail,
        n if n < FILES => State::Warn,
        _ => State::Ok,
    };
    let check = Check::new("open_files", state, expected, found);
    if state == State::Ok { check } else { check.then("`ulimit -n 4096` in the shell that starts the run") }
}

fn certificates() -> Check {
    let expected = "the certificates of authorities, for TLS to the venues";
    let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let named_dir = std::env::var_os("SSL_CERT_DIR").map(PathBuf::from);
    if let Some(path) = named.iter().chain(&named_dir).find(|path| !path.exists()) {
        let found = format!("the environment names {}, which is not there", path.display());
        return Check::new("certificates", State::Fail, expected, found)
            .then("correct SSL_CERT_FILE or SSL_CERT_DIR, or unset it");
    }
    let files = named.into_iter().chain(CERTIFICATES.iter().map(PathBuf::from));
    let found = files.filter_map(|path| Some((count(&path)?, path))).find(|(n, _)| *n > 0);
    match (found, named_dir) {
        (Some((n, path)), _) => {
            Check::new("certificates", State::Ok, expected, format!("{n} in {}", path.display()))
        }
        (None, Some(dir)) => {
            Check::new("certificates", State::Ok, expected, format!("those in {}", dir.display()))
        }
        (None, None) => Check::new("certificates", State::Fail, expected, "none where systems keep them")
            .then("install the package ca-certificates, or name a file by SSL_CERT_FILE"),
    }
}

fn count(path: &Path) -> Option<usize> {
    let text = std::fs::read(path).ok()?;
    Some(memchr::memmem::find_iter(&text, b"-----BEGIN CERTIFICATE-----").count())
}

/// Which proxies the environment names. The address is shown without what stands before an `@`.
fn proxies() -> Check {
    let expected = "either no proxy, or one that lets WebSockets through";
    let set: Vec<(&str, String)> = PROXIES
        .iter()
        .filter_map(|name| Some((*name, std::env::var(name).ok().filter(|v| !v.is_empty())?)))
        .collect();
    if !set.iter().any(|(name, _)| !name.eq_ignore_ascii_case("NO_PROXY")) {
        return Check::new("proxies", State::Ok, expected, "the environment names none");
    }
    let shown: Vec<String> =
        set.iter().map(|(name, value)| format!("{name}={}", without_login(value))).collect();
    Check::new("proxies", State::Warn, expected, shown.join(", "))
        .then("`assay doctor --live` shows whether the venues can be reached through it; unset it otherwise")
}

fn without_login(url: &str) -> String {
    match url.rsplit_once('@') {
        Some((head, host)) => {
            let scheme = head.split_once("://").map_or(String::new(), |(scheme, _)| format!("{scheme}://"));
            format!("{scheme}...@{host}")
        }
        None => url.to_owned(),
    }
}

/// The folder, or the nearest one above it that is there: nothing is made by looking.
fn existing(folder: &Path) -> PathBuf {
    let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    absolute.ancestors().find(|path| path.is_dir()).map_or_else(|| PathBuf::from("/"), Path::to_owned)
}

fn writable(wanted: &Path, folder: &Path) -> Check {
    let expected = format!("run folders can be made in {}", wanted.display());
    let allowed = rustix::fs::access(folder, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK);
    match allowed {
        Ok(()) => Check::new("run_folder", State::Ok, expected, format!("{} is writable", folder.display())),
        Err(e) => Check::new(
            "run_folder",
            State::Fail,
            expected,
            format!("{} is not writable: {e}", folder.display()),
        )
        .then("give --logs a folder that you may write to"),
    }
}

fn disk(folder: &Path, needed: u64) -> Check {
    let mb = |bytes: u64| bytes / 1_000_000;
    let expected = format!("{} MB free", mb(needed));
    match rustix::fs::statvfs(folder) {
        Ok(stat) => {
            let free = stat.f_bavail.saturating_mul(stat.f_frsize);
            let found = format!("{} MB free at {}", mb(free), folder.display());
            if free < needed {
                Check::new("disk", State::Fail, expected, found)
                    .then("free disk space, remove old run folders (`assay runs prune`), or give --logs another disk")
            } else {
                Check::new("disk", State::Ok, expected, found)
            }
        }
        Err(e) => Check::new("disk", State::Warn, expected, format!("cannot be asked for: {e}"))
            .then("check the mount"),
    }
}

fn of_port(id: &str, address: &str, key: &str) -> Check {
    let expected = format!("`{key}` can be bound");
    let finding = port(address, key);
    let state = match finding.outcome {
        Outcome::Ok => State::Ok,
        Outcome::Skipped => State::Skip,
        Outcome::Warning => State::Warn,
        Outcome::Failed => State::Fail,
    };
    let mut check = Check::new(id, state, expected, finding.found);
    check.next_step = finding.next_step;
    check
}

/// The embedded store opens where the run folders are; other stores are not built.
fn store(folder: &Path) -> Check {
    let expected = "SQLite opens a database where the run folders are";
    let path = folder.join(format!(".assay-doctor-{}.sqlite", std::process::id()));
    match try_store(&path) {
        Ok(()) => Check::new("store", State::Ok, expected, "embedded: it does"),
        Err(e) => Check::new("store", State::Fail, expected, e.to_string())
            .then("use a local disk for --logs; network file systems often lack the locks that SQLite needs"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_never_shown() {
        assert_eq!(without_login("http://me:secret@proxy:3128"), "http://...@proxy:3128");
        assert_eq!(without_login("http://proxy:3128"), "http://proxy:3128");
    }

    #[test]
    fn a_folder_that_is_not_there_is_not_made() {
        let dir = tempfile::tempdir().unwrap();
        let wanted = dir.path().join("a/b");
        let checks = machine(Setting { profile: "d77-4", logs: &wanted });
        assert!(!wanted.exists());
        let of = |id: &str| checks.iter().find(|c| c.id == id).unwrap().state;
        assert_eq!((of("run_folder"), of("store"), of("profile")), (State::Ok, State::Ok, State::Ok));
        let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
        let wrong = machine(Setting { profile: "no-such", logs: dir.path() });
        assert_eq!(wrong.iter().find(|c| c.id == "profile").unwrap().state, State::Fail);
    }
}
