//! The Debian packages that the tests need beyond a Rust toolchain: installs what is missing.

use crate::Failure;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A package, and a program of it that tells whether it is there.
const PACKAGES: [(&str, &str); 4] = [
    ("postgresql", "/usr/lib/postgresql/*/bin/postgres"),
    ("redis-server", "/usr/bin/redis-server"),
    ("prometheus", "/usr/bin/prometheus"),
    ("exim4-daemon-light", "/usr/sbin/exim4"),
];

/// Packages ask nobody anything. `sudo` hands no environment on.
const QUIETLY: &str = "DEBIAN_FRONTEND=noninteractive";

/// Asked by Debian's packages before they start a service; 101 forbids it.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Installs the packages that are missing. Tests start servers of their own, privately; the packages' services are kept from
/// starting where we are root; without that we cannot, and say so.
///
/// # Errors
/// apt-get is missing or fails; says which packages are wanted.
pub fn install() -> Result<(), Failure> {
    let missing: Vec<&str> =
        PACKAGES.into_iter().filter(|(_, program)| !exists(program)).map(|(package, _)| package).collect();
    if missing.is_empty() {
        println!("{} are installed", PACKAGES.map(|(package, _)| package).join(", "));
        return Ok(());
    }
    println!("installing {}", missing.join(", "));
    if !is_root() {
        println!("not as root: the packages' own services may start; the tests do not use them");
    }
    let forbidden = Forbidden::new();
    // A repository of somebody else's that does not answer is no reason: what we need may be known already.
    if let Err(e) = apt(&["update", "-qq"], &missing) {
        println!("{e}; going on");
    }
    let mut args = vec!["install", "-y", "-qq", "--no-install-recommends"];
    args.extend(&missing);
    let installed = apt(&args, &missing);
    drop(forbidden);
    installed
}

/// Whether a program exists; `*` stands for any one folder.
fn exists(program: &str) -> bool {
    match program.split_once("/*/") {
        None => Path::new(program).is_file(),
        Some((folder, rest)) => std::fs::read_dir(folder)
            .into_iter()
            .flatten()
            .flatten()
            .any(|entry| entry.path().join(rest).is_file()),
    }
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|itself| itself.uid() == 0)
}

fn apt(args: &[&str], missing: &[&str]) -> Result<(), Failure> {
    let by_hand = format!("install by hand: apt-get install {}", missing.join(" "));
    let (program, before): (&str, &[&str]) =
        if is_root() { ("env", &[QUIETLY, "apt-get"]) } else { ("sudo", &["env", QUIETLY, "apt-get"]) };
    let mut command = Command::new(program);
    command.args(before).args(args);
    let status = command
        .status()
        .map_err(|e| Failure::new(format!("packages: cannot start {program} ({e}); {by_hand}")))?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::new(format!("packages: apt-get {} failed ({status}); {by_hand}", args.join(" "))))
}

/// While this lives, packages start no service. An own policy of the machine is left as it is.
struct Forbidden(Option<PathBuf>);

impl Forbidden {
    fn new() -> Self {
        let policy = PathBuf::from(POLICY);
        if policy.exists() || std::fs::write(&policy, "#!/bin/sh\nexit 101\n").is_err() {
            return Self(None);
        }
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        let _ = std::fs::set_permissions(&policy, mode);
        Self(Some(policy))
    }
}

impl Drop for Forbidden {
    fn drop(&mut self) {
        if let Some(policy) = &self.0 {
            let _ = std::fs::remove_file(policy);
        }
    }
}
