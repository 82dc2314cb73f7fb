//! This machine: run folder and disk, the embedded store, the ports, the runner's executable, the notifiers.

use super::{Context, Finding};
use crate::supervise::group;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long `--help` may take.
const HELP_WITHIN: Duration = Duration::from_secs(10);
/// Bytes of `--help` that are read.
const HELP_CAP: u64 = 1024 * 1024;

/// The folder is there and writable, and the disk has room for what the caps allow.
pub(super) fn run_folder(context: &Context<'_>) -> Finding {
    let dir = context.run_dir;
    let probe = dir.join(".preflight");
    let written = std::fs::create_dir_all(dir)
        .and_then(|()| std::fs::write(&probe, b"assay"))
        .and_then(|()| std::fs::remove_file(&probe));
    if let Err(e) = written {
        return Finding::failed(
            format!("{} is not writable: {e}", dir.display()),
            "give --logs a folder that you may write to",
        );
    }
    let free = match rustix::fs::statvfs(dir) {
        Ok(stat) => stat.f_bavail.saturating_mul(stat.f_frsize),
        Err(e) => {
            return Finding::failed(format!("cannot ask for the disk's free space: {e}"), "check the mount");
        }
    };
    let limits = &context.profile.limits;
    let needed = limits.min_free_bytes;
    let found = format!("{} is writable, {} GB free", dir.display(), gb(free));
    if free < needed {
        return Finding::failed(
            format!("{found}, {} GB are demanded", gb(needed)),
            "free disk space, remove old run folders, or give --logs another disk",
        );
    }
    // Smoke and main have a console log each; the smoke's recording is short.
    let recording = context.profile.runner.config.get("recording_cap_mb").and_then(toml::Value::as_integer);
    let caps =
        2 * limits.log_cap_bytes + recording.and_then(|mb| u64::try_from(mb).ok()).unwrap_or(0) * 1_000_000;
    if free < caps {
        return Finding::failed(
            format!("{found}, the caps of logs and recordings allow {} GB", gb(caps)),
            "free disk space, or lower limits.log_cap_bytes and runner.config.recording_cap_mb",
        );
    }
    Finding::ok(format!("{found} ({} GB demanded)", gb(needed)))
}

/// Whole and tenth GB of 10^9 bytes.
fn gb(bytes: u64) -> String {
    format!("{}.{}", bytes / 1_000_000_000, bytes / 100_000_000 % 10)
}

/// Opens the embedded store at `path`, and leaves nothing of it there.
pub(crate) fn try_store(path: &Path) -> Result<(), alerts::AlertError> {
    let opened = alerts::Store::open(path).map(drop);
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let mut name = path.to_owned().into_os_string();
        name.push(suffix);
        // Most of them are not there.
        let _ = std::fs::remove_file(PathBuf::from(name));
    }
    opened
}

/// The embedded alert store opens in the run folder.
pub(super) fn embedded_store(context: &Context<'_>) -> Finding {
    let path = context.run_dir.join(".preflight.sqlite");
    match try_store(&path) {
        Ok(()) => Finding::ok("embedded: SQLite opens a database in the run folder"),
        Err(e) => Finding::failed(
            format!("SQLite cannot open a database in {}: {e}", context.run_dir.display()),
            "use a local disk for --logs; network file systems often lack the locks that SQLite needs",
        ),
    }
}

/// The runner's metrics port can be bound.
pub(super) fn metrics_port(context: &Context<'_>) -> Finding {
    port(&context.profile.runner.metrics_addr, "runner.metrics_addr")
}

/// The console's port can be bound, or is ours already.
pub(super) fn console_port(context: &Context<'_>) -> Finding {
    match context.console {
        Some(address) => Finding::ok(format!("our console listens on {address}")),
        None => port(&context.profile.console.addr, "console.addr"),
    }
}

pub(crate) fn port(text: &str, key: &str) -> Finding {
    let Ok(address) = text.parse::<SocketAddr>() else {
        return Finding::failed(
            format!("`{key}` is {text:?}, which is no address"),
            "write such as \"127.0.0.1:9100\"",
        );
    };
    if address.port() == 0 {
        return match TcpListener::bind(address) {
            Ok(_) => Finding::ok("a free port is taken when the time comes"),
            Err(e) => {
                Finding::failed(format!("no port of {} can be bound: {e}", address.ip()), "check the address")
            }
        };
    }
    match TcpListener::bind(address) {
        Ok(_) => Finding::ok(format!("{address} is free")),
        Err(e) if e.kind() == std::io::ErrorKind::AddrInUse => {
            let holder = group::listener(address, 0)
                .map_or_else(|| "a process of another user".to_owned(), |owner| owner.who);
            let next = match free_port(address) {
                Some(free) => format!("end it, or set `{key} = \"{free}\"`, which is free"),
                None => format!("end it, or give `{key}` another port"),
            };
            Finding::failed(format!("{address} is held by {holder}"), next)
        }
        Err(e) => Finding::failed(
            format!("{address} cannot be bound: {e}"),
            format!("give `{key}` an address of this machine and a port above 1023"),
        ),
    }
}

fn free_port(address: SocketAddr) -> Option<SocketAddr> {
    TcpListener::bind(SocketAddr::new(address.ip(), 0)).and_then(|listener| listener.local_addr()).ok()
}

/// The runner can be started and knows the options of the profile's command line.
pub(super) fn runner(context: &Context<'_>) -> Finding {
    let command = &context.profile.runner.command;
    let Some(program) = command.first().map(|word| resolve(word, context.program)) else {
        return Finding::failed("`runner.command` is empty", "name the program in the profile");
    };
    let Some(path) = find(&program) else {
        return Finding::failed(
            format!("the runner {} is not there or not executable", program.display()),
            "give `runner.command` a program on the path or its full path",
        );
    };
    // Words before the first option are subcommands; a foreign one may be a script, which is no place to ask for help.
    let words: Vec<&str> =
        command[1..].iter().map(String::as_str).take_while(|word| !word.starts_with('-')).collect();
    if !context.profile.runner.own_contract && !words.is_empty() {
        return Finding::ok(format!(
            "{} is executable; its options were not asked for: a script may start trading on --help",
            path.display()
        ));
    }
    let asked: Vec<&str> = if context.profile.runner.own_contract { words } else { Vec::new() };
    let options: Vec<&str> = command[1..]
        .iter()
        .filter(|word| word.starts_with("--") && word.len() > 2)
        .map(|word| word.split_once('=').map_or(word.as_str(), |(name, _)| name))
        .collect();
    let help = match help_of(&path, &asked, context.run_dir) {
        Ok(help) => help,
        Err(e) if context.profile.runner.own_contract => {
            return Finding::failed(format!("`{} --help` failed: {e}", path.display()), "try it by hand");
        }
        Err(e) => {
            return Finding::warning(
                format!("{} is executable; `--help` failed: {e}", path.display()),
                "check by hand",
            );
        }
    };
    let unknown: Vec<&str> = options.iter().copied().filter(|option| !mentions(&help, option)).collect();
    if unknown.is_empty() {
        return Finding::ok(format!("{} knows the {} options of the profile", path.display(), options.len()));
    }
    let found = format!("{} does not know {}", path.display(), unknown.join(", "));
    let next = "correct `runner.command`, or use a version of the runner that has them";
    if context.profile.runner.own_contract {
        Finding::failed(found, next)
    } else {
        Finding::warning(found, next)
    }
}

pub(super) fn resolve(word: &str, assay: &Path) -> PathBuf {
    if word == "{assay}" { assay.to_owned() } else { PathBuf::from(word) }
}

/// As `execvp` finds a program: by its path, or in `PATH`.
fn find(program: &Path) -> Option<PathBuf> {
    let executable =
        |path: &Path| path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok();
    if program.components().count() > 1 {
        return executable(program).then(|| program.to_owned());
    }
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| folder.join(program))
        .find(|path| executable(path))
}

/// What `--help` prints on either stream. Both go to a file, so that no pipe can fill up or stay open.
fn help_of(program: &Path, words: &[&str], dir: &Path) -> Result<String, std::io::Error> {
    let path = dir.join(".preflight.help");
    let out = std::fs::File::create(&path)?;
    let err = out.try_clone()?;
    let mut child = Command::new(program)
        .args(words)
        .arg("--help")
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err)
        .spawn()?;
    let start = Instant::now();
    let ended = loop {
        if child.try_wait()?.is_some() {
            break true;
        }
        if start.elapsed() > HELP_WITHIN {
            break false;
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    if !ended {
        child.kill()?;
        child.wait()?;
    }
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut std::io::Read::take(std::fs::File::open(&path)?, HELP_CAP), &mut bytes)?;
    std::fs::remove_file(&path)?;
    if !ended {
        let text = format!("it did not end within {} s", HELP_WITHIN.as_secs());
        return Err(std::io::Error::new(std::io::ErrorKind::TimedOut, text));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// True when `help` holds the option as a word of its own.
fn mentions(help: &str, option: &str) -> bool {
    help.match_indices(option).any(|(at, _)| {
        let after = help[at + option.len()..].chars().next();
        let before = help[..at].chars().next_back();
        after.is_none_or(|c| !c.is_ascii_alphanumeric() && c != '-' && c != '_')
            && before.is_none_or(|c| c != '-')
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preflight::Outcome;

    #[test]
    fn options_are_whole_words() {
        let help = "      --topn-size <N>  how many\n  -c, --config <FILE>\n";
        assert!(mentions(help, "--topn-size") && mentions(help, "--config"));
        assert!(!mentions(help, "--topn") && !mentions(help, "--conf"));
    }

    #[test]
    fn a_held_port_names_its_holder_and_offers_another() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let finding = port(&listener.local_addr().unwrap().to_string(), "runner.metrics_addr");
        assert_eq!(finding.outcome, Outcome::Failed);
        assert!(finding.found.contains(&format!("pid {}", std::process::id())), "{}", finding.found);
        assert!(finding.next_step.unwrap().contains("runner.metrics_addr = \"127.0.0.1:"));
    }
}
