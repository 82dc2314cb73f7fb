//! No secret gets out: a rehearsal that delivers through every kind of notifier while they fail now and then, with a canary for each
//! secret. Afterwards none of them stands in any file of the run, on any command line, on a page of metrics, or in what was printed.

use crate::harness::{ASSAY, Done, RunFolder, Scratch, finish, seat};
use services::Mail;
use services::played::{Fault, Played, Reply, telegram_error};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

const TOKEN: &str = "110201543:CANARYtelegramtokenAAHdqTcvCH1vGW";
const CHAT: &str = "-100CANARYchat42";
const HOOK: &str = "/services/TCANARY0000/BCANARY0000/CANARYslackpathXXXXXXXX";
const KEY: &str = "CANARYwebhookkey0123456789abcdef";
const PATH: &str = "/hooks/CANARYwebhookpath";
const PASSWORD: &str = "CANARYsmtppassword";
const USER: &str = "CANARYsmtpuser";
/// Stands in every one of them.
const MARK: &[u8] = b"CANARY";

struct World {
    telegram: Played,
    slack: Played,
    webhook: Played,
    mail: Mail,
    dir: Scratch,
}

impl World {
    fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let dir = Scratch::new();
        let world = Self {
            telegram: Played::telegram(TOKEN, CHAT).unwrap(),
            slack: Played::slack(HOOK).unwrap(),
            webhook: Played::start(|_| Reply::new(200, "")).unwrap(),
            mail: Mail::start(&made.cert.pem(), &made.signing_key.serialize_pem(), USER, PASSWORD).unwrap(),
            dir,
        };
        std::fs::write(world.dir.path().join("ca.pem"), made.cert.pem()).unwrap();
        let profile = format!(
            "extends = \"rehearsal\"\nname = \"canaries\"\n[main]\nduration = \"10 s\"\n[alerts]\n\
             notifiers = [\"telegram\", \"slack\", \"webhook\", \"email\"]\ntelegram_url = \"{}\"\nsmtp_ca_file = \"{}\"\n\
             first_retry_ms = 200\n",
            world.telegram.url(),
            world.dir.path().join("ca.pem").display()
        );
        std::fs::write(world.profile(), profile).unwrap();
        world
    }

    fn profile(&self) -> std::path::PathBuf {
        self.dir.path().join("profile.toml")
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(ASSAY);
        command.args(words).arg("--logs").arg(self.dir.path().join("logs"));
        command
            .env("TELEGRAM_BOT_TOKEN", TOKEN)
            .env("TELEGRAM_CHAT_ID", CHAT)
            .env("SLACK_WEBHOOK_URL", format!("{}{HOOK}", self.slack.url()))
            .env("WEBHOOK_URL", format!("{}{PATH}", self.webhook.url()))
            .env("WEBHOOK_SECRET", KEY)
            .env("SMTP_HOST", "localhost")
            .env("SMTP_PORT", self.mail.port().to_string())
            .env("SMTP_USER", USER)
            .env("SMTP_PASSWORD", PASSWORD)
            .env("EMAIL_FROM", "assay-CANARY@example.com")
            .env("EMAIL_TO", "ops-CANARY@example.com")
            .env("RUST_LOG", "trace")
            .stdin(Stdio::null());
        command
    }

    /// Failures that end well when they are tried again. The store keeps a delivery's last error, so Telegram's two meet two of them.
    fn trouble(&self, second: bool) {
        let echo = format!("<html>cannot route /bot{TOKEN}/sendMessage for {CHAT}</html>");
        // Not the probes: what becomes of a delivery is looked at.
        let limit = telegram_error(429, "Too Many Requests: retry after 1", Some(1));
        let says = if second { Reply::new(502, echo) } else { limit };
        self.telegram.then_at("sendMessage", [Fault::Says(says)]);
        if second {
            // Preflight asks the others once more now, and has to find them well.
            return;
        }
        self.slack.then([Fault::HangsUp, Fault::Says(Reply::new(500, format!("rollup_error {HOOK}")))]);
        self.webhook.then([Fault::Says(Reply::new(503, format!("{PATH} {KEY}")))]);
    }
}

fn has_mark(bytes: &[u8]) -> bool {
    bytes.windows(MARK.len()).any(|window| window == MARK)
}

/// Every file below, database and its side files included.
fn search(folder: &Path, found: &mut Vec<String>, looked: &mut usize) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            search(&path, found, looked);
        } else if path.is_file() {
            *looked += 1;
            if has_mark(&std::fs::read(&path).unwrap()) {
                found.push(path.display().to_string());
            }
        }
    }
}

fn command_lines() -> Vec<String> {
    let all = procfs::process::all_processes().unwrap().flatten();
    let lines = all.filter_map(|process| Some(process.cmdline().ok()?.join(" ")));
    lines.filter(|line| has_mark(line.as_bytes())).collect()
}

#[test]
fn no_secret_gets_out_of_a_session_with_failures() {
    let seat = seat(3);
    let world = World::new();
    let profile = world.profile();
    let mut command = world.command(&["validate", "--profile", profile.to_str().unwrap()]);
    let file = |name: &str| std::fs::File::create(world.dir.path().join(name)).unwrap();
    let mut child = command.stdout(file("stdout")).stderr(file("stderr")).spawn().unwrap();
    // Trouble with the first deliveries of the smoke, and again while the main run's come.
    let (mut typed, mut troubles) = (Vec::new(), 0);
    while child.try_wait().unwrap().is_none() {
        if world.telegram.seen("sendMessage").len() > troubles * 2 && troubles < 2 {
            world.trouble(troubles == 1);
            troubles += 1;
        }
        typed.extend(command_lines());
        std::thread::sleep(Duration::from_millis(200));
    }
    let done = finish(child, world.dir.path());
    drop(seat);
    assert!(typed.is_empty(), "on a command line: {typed:?}");
    assert!(
        !has_mark(done.stdout.as_bytes()) && !has_mark(done.stderr.as_bytes()),
        "{}{}",
        done.stdout,
        done.stderr
    );
    let run = RunFolder::only(&world.dir.path().join("logs"));
    let (mut found, mut looked) = (Vec::new(), 0);
    search(&world.dir.path().join("logs"), &mut found, &mut looked);
    assert!(found.is_empty(), "in {found:?}");
    assert!(looked > 20, "{looked} files were searched");

    // It was a session that delivered, and that failed.
    let heads = |server: &Played, path: &str| -> String {
        server.seen(path).iter().map(|r| String::from_utf8_lossy(&r.body).into_owned()).collect()
    };
    for (server, path) in [(&world.telegram, "sendMessage"), (&world.slack, HOOK), (&world.webhook, PATH)] {
        let said = heads(server, path);
        assert!(said.contains("DRILL") && said.contains("GATE-VERDICT"), "{said}\n{}", done.stdout);
        assert!(said.contains("manifest head"), "{said}");
    }
    assert!(world.mail.delivered().contains("GATE-VERDICT"), "{}", world.mail.log());
    let rows = std::fs::read_to_string(run.path("alerts.jsonl")).unwrap();
    assert!(rows.contains("rate_limited: answered 429: Too Many Requests: retry after 1"), "{rows}");
    assert!(rows.contains("***"), "an echo was scrubbed: {rows}");
    assert!(!rows.contains("\"DLQ\""), "{rows}");
}

#[test]
fn preflight_names_what_is_refused_and_not_the_secret() {
    let world = World::new();
    let profile = world.profile();
    world.telegram.then([Fault::Says(telegram_error(401, "Unauthorized", None))]);
    let mut command = world.command(&["preflight", "--json", "--profile", profile.to_str().unwrap()]);
    let done: Done = command.output().unwrap().into();
    done.exits(30).says("telegram: unauthorized: answered 401: Unauthorized");
    assert!(!has_mark(done.stdout.as_bytes()) && !has_mark(done.stderr.as_bytes()));
    assert!(world.telegram.seen("sendMessage").is_empty(), "nobody was told");
    assert_eq!(world.mail.delivered(), "");
    // A missing secret is named by its name.
    let mut command = world.command(&["preflight", "--json", "--profile", profile.to_str().unwrap()]);
    let done: Done = command.env_remove("SLACK_WEBHOOK_URL").output().unwrap().into();
    done.exits(30).says("slack needs SLACK_WEBHOOK_URL");
    let (mut found, mut looked) = (Vec::new(), 0);
    search(&world.dir.path().join("logs"), &mut found, &mut looked);
    assert!(found.is_empty() && looked > 0, "in {found:?}");
}
