//! The notifiers against servers that answer as the third parties do, and email through a real mail server.

use alerts::{
    Alert, Email, EmailConfig, IDEMPOTENCY, Notifier, Reason, SIGNATURE, Secret, SendError, Slack, TIMESTAMP,
    Telegram, Webhook, signature,
};
use catalogue::Severity;
use market::Timestamp;
use services::Mail;
use services::played::{Fault, Played, Reply, telegram_error};
use std::collections::BTreeMap;
use std::time::Duration;

const TOKEN: &str = "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw";
const CHAT: &str = "-1001234567890";
const HOOK: &str = "/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX";
const KEY: &str = "0123456789abcdef0123456789abcdef";
const PATIENCE: Duration = Duration::from_secs(5);

fn alert(message: &str) -> Alert {
    Alert {
        alert_id: "r1.main-7".to_owned(),
        run_id: "r1.main".to_owned(),
        phase: "main".to_owned(),
        env: "paper".to_owned(),
        rule_id: "HEALTH-DOWN".to_owned(),
        severity: Severity::P1,
        source: "engine".to_owned(),
        title: "Venue <down> & out".to_owned(),
        message: message.to_owned(),
        labels: BTreeMap::new(),
        key: String::new(),
        raised_at: Timestamp(1_700_000_000_000_000_000),
    }
}

fn telegram(server: &Played, token: &str, chat: &str) -> Telegram {
    Telegram::new(&server.url(), Secret::new(token), Secret::new(chat), PATIENCE).unwrap()
}

fn slack(server: &Played, path: &str, timeout: Duration) -> Slack {
    Slack::new(Secret::new(&format!("{}{path}", server.url())), timeout).unwrap()
}

/// The failure, which holds none of these.
fn fails(result: Result<(), SendError>, secrets: &[&str]) -> SendError {
    let error = result.unwrap_err();
    for secret in secrets {
        assert!(!format!("{error} {error:?}").contains(secret), "{error:?}");
    }
    error
}

#[test]
fn telegram_writes_into_the_chat_and_probes_by_asking_who_it_is() {
    let server = Played::telegram(TOKEN, CHAT).unwrap();
    let mut bot = telegram(&server, TOKEN, CHAT);
    bot.probe().unwrap();
    assert!(server.seen("sendMessage").is_empty(), "nobody was bothered");
    bot.send(&alert("edge < 5 bps & falling")).unwrap();
    let said = server.seen("sendMessage")[0].json();
    let text = said["text"].as_str().unwrap();
    assert!(text.starts_with(
        "<b>[P1] Venue &lt;down&gt; &amp; out (HEALTH-DOWN, paper)</b>\nedge &lt; 5 bps &amp; falling"
    ));
    // Split, and the server that counts as Telegram does takes every piece.
    bot.send(&alert(&"가격 <차이> & 😀\n".repeat(900))).unwrap();
    assert!(server.seen("sendMessage").len() > 3);
}

#[test]
fn telegrams_errors_are_what_they_are() {
    let server = Played::telegram(TOKEN, CHAT).unwrap();
    let secrets = [TOKEN, "AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw", CHAT];
    let stranger = "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDxxx";
    let error = fails(telegram(&server, stranger, CHAT).probe(), &[stranger]);
    assert_eq!((error.reason, error.message.as_str()), (Reason::Unauthorized, "answered 401: Unauthorized"));
    let error = fails(telegram(&server, TOKEN, "1").send(&alert("m")), &secrets);
    assert_eq!(
        (error.reason, error.message.as_str()),
        (Reason::Rejected, "answered 400: Bad Request: chat not found")
    );
    let mut bot = telegram(&server, TOKEN, CHAT);
    server.then([
        Fault::Says(telegram_error(429, "Too Many Requests: retry after 15", Some(15))),
        Fault::Says(telegram_error(403, "Forbidden: bot was blocked by the user", None)),
        Fault::Says(Reply::new(502, "<html><head><title>502 Bad Gateway</title></head></html>")),
        Fault::HangsUp,
        Fault::Says(Reply::new(200, "<html>a proxy's page</html>")),
    ]);
    let error = fails(bot.send(&alert("m")), &secrets);
    assert_eq!((error.reason, error.retry_after), (Reason::RateLimited, Some(Duration::from_secs(15))));
    assert_eq!(fails(bot.send(&alert("m")), &secrets).reason, Reason::Unauthorized);
    assert_eq!(fails(bot.send(&alert("m")), &secrets).reason, Reason::Server);
    assert_eq!(fails(bot.send(&alert("m")), &secrets).reason, Reason::Network);
    assert_eq!(
        fails(bot.send(&alert("m")), &secrets).reason,
        Reason::Server,
        "an answer that is not Telegram's"
    );
    bot.send(&alert("m")).unwrap();
}

#[test]
fn a_retry_of_a_long_text_goes_on_where_it_stopped() {
    let server = Played::telegram(TOKEN, CHAT).unwrap();
    let mut bot = telegram(&server, TOKEN, CHAT);
    let long = alert(&(0..1_200).map(|n| format!("line {n}\n")).collect::<String>());
    server.then([Fault::Late(Duration::ZERO), Fault::HangsUp]);
    bot.send(&long).unwrap_err();
    bot.send(&long).unwrap();
    let texts: Vec<String> =
        server.seen("sendMessage").iter().map(|r| r.json()["text"].to_string()).collect();
    let with = |what: &str| texts.iter().filter(|text| text.contains(what)).count();
    assert_eq!(with("line 0\\n"), 1, "the first piece had arrived and is not repeated");
    assert_eq!(with("id r1.main-7"), 1);
    assert!(with("(2/") >= 2, "the second was tried again");
}

#[test]
fn slacks_words_are_understood_and_its_probe_shows_nothing() {
    let server = Played::slack(HOOK).unwrap();
    let secrets = [HOOK, "XXXXXXXXXXXXXXXXXXXXXXXX", "B00000000"];
    let mut hook = slack(&server, HOOK, PATIENCE);
    hook.probe().unwrap();
    assert!(server.seen(HOOK).iter().all(|r| r.json()["text"] == ""), "nothing that could be shown");
    hook.send(&alert("edge < 5")).unwrap();
    let text = server.seen(HOOK).pop().unwrap().json()["text"].as_str().unwrap().to_owned();
    assert!(
        text.starts_with("*[P1] Venue &lt;down&gt; &amp; out (HEALTH-DOWN, paper)*\nedge &lt; 5"),
        "{text}"
    );
    let table = [
        (400, "invalid_payload", Reason::Rejected),
        (403, "invalid_token", Reason::Unauthorized),
        (403, "action_prohibited", Reason::Unauthorized),
        (404, "channel_not_found", Reason::Unauthorized),
        (410, "channel_is_archived", Reason::Unauthorized),
        (500, "rollup_error", Reason::Server),
    ];
    for (status, word, reason) in table {
        server.then([Fault::Says(Reply::new(status, word))]);
        let error = fails(hook.send(&alert("m")), &secrets);
        assert_eq!((error.reason, error.message), (reason, format!("answered {status}: {word}")));
        assert_eq!(reason.is_permanent(), status < 500);
    }
    server.then([Fault::Says(Reply { retry_after: Some(30), ..Reply::new(429, "rate_limited") })]);
    let error = fails(hook.send(&alert("m")), &secrets);
    assert_eq!((error.reason, error.retry_after), (Reason::RateLimited, Some(Duration::from_secs(30))));
    let gone = "/services/T00000000/B00000000/YYYYYYYYYYYYYYYYYYYYYYYY";
    let error = fails(slack(&server, gone, PATIENCE).probe(), &["YYYYYYYYYYYYYYYYYYYYYYYY"]);
    assert_eq!((error.reason, error.message.as_str()), (Reason::Unauthorized, "answered 404: no_service"));
}

#[test]
fn a_slow_or_dead_server_is_given_up_in_time() {
    let server = Played::slack(HOOK).unwrap();
    let mut hook = slack(&server, HOOK, Duration::from_millis(100));
    server.then([Fault::Late(Duration::from_secs(2))]);
    assert_eq!(fails(hook.send(&alert("m")), &[HOOK]).reason, Reason::Timeout);
    server.dead(true);
    assert_eq!(fails(hook.send(&alert("m")), &[HOOK]).reason, Reason::Network);
    drop(server);
    let error = fails(hook.probe(), &[HOOK, "XXXXXXXXXXXXXXXXXXXXXXXX"]);
    assert_eq!(error.reason, Reason::Network);
    assert!(error.message.starts_with("cannot connect"), "{error}");
}

#[test]
fn a_receiver_can_check_who_wrote_what_and_when() {
    let server = Played::start(|request| match request.header(SIGNATURE) {
        Some(_) => Reply::new(204, ""),
        None => Reply::new(401, "no signature"),
    })
    .unwrap();
    let url = format!("{}/hooks/hidden-path-of-ours", server.url());
    let mut hook = Webhook::new(Secret::new(&url), Secret::new(KEY), PATIENCE).unwrap();
    hook.probe().unwrap();
    server.then([Fault::Says(Reply::new(503, "down at hidden-path-of-ours"))]);
    assert_eq!(fails(hook.send(&alert("m")), &["hidden-path-of-ours", KEY]).reason, Reason::Server);
    hook.send(&alert("m")).unwrap();
    let requests = server.seen("/hooks");
    assert_eq!(requests[0].json()["kind"], "probe");
    let ids: Vec<_> = requests[1..].iter().map(|r| r.header(IDEMPOTENCY).unwrap()).collect();
    assert_eq!(ids, ["r1.main-7/webhook"; 2], "a retry has the key of the first attempt");
    for request in &requests {
        let at: u64 = request.header(TIMESTAMP).unwrap().parse().unwrap();
        assert_eq!(request.header(SIGNATURE).unwrap(), signature(&Secret::new(KEY), at, &request.body));
        // Another time or another byte is another signature: an old request cannot be sent again as a new one.
        assert_ne!(request.header(SIGNATURE).unwrap(), signature(&Secret::new(KEY), at + 1, &request.body));
    }
    assert_eq!(requests[2].json()["alert"]["rule_id"], "HEALTH-DOWN");
    let weak = Webhook::new(Secret::new(&url), Secret::new("short"), PATIENCE).unwrap_err().to_string();
    assert!(weak.contains("WEBHOOK_SECRET") && !weak.contains("short\""), "{weak}");
}

#[test]
fn email_goes_through_a_real_server_with_starttls_and_a_login() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let server = Mail::start(&certificate, &key, "assay", "canary-password").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let ca_file = folder.path().join("ca.pem");
    std::fs::write(&ca_file, &certificate).unwrap();
    let config = |password: &str| EmailConfig {
        host: Secret::new("localhost"),
        port: server.port(),
        user: Secret::new("assay"),
        password: Secret::new(password),
        from: Secret::new("Assay <assay@example.com>"),
        to: Secret::new("ops@example.com, night@example.com"),
        ca_file: Some(ca_file.clone()),
    };
    let patience = Duration::from_secs(20);
    let mut mail = Email::new(config("canary-password"), patience).unwrap();
    mail.probe().unwrap_or_else(|e| panic!("{e}\n{}", server.log()));
    assert_eq!(server.delivered(), "", "a probe writes to nobody");
    mail.send(&alert("내용: edge < 5 bps")).unwrap_or_else(|e| panic!("{e}\n{}", server.log()));
    let begun = std::time::Instant::now();
    while server.delivered().matches("Subject:").count() < 1 && begun.elapsed() < patience {
        std::thread::sleep(Duration::from_millis(50));
    }
    let box_ = server.delivered();
    assert!(
        box_.contains("Subject: [P1] Venue <down> & out (HEALTH-DOWN, paper)"),
        "{box_}\n{}",
        server.log()
    );
    assert!(box_.contains("Message-ID: <r1.main-7.email@assay.invalid>"), "{box_}");
    assert!(box_.contains("Idempotency-Key: r1.main-7/email"), "{box_}");
    assert!(box_.contains("ops@example.com") && box_.contains("night@example.com"));
    assert!(box_.contains("esmtpsa"), "over TLS and with a login: {box_}");
    let error = fails(Email::new(config("canary-other"), patience).unwrap().probe(), &["canary-other"]);
    assert_eq!(error.reason, Reason::Unauthorized, "{error}");
    // Somebody else's certificate is nobody to log in to.
    let other = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(&ca_file, other.cert.pem()).unwrap();
    let error = fails(Email::new(config("canary-password"), patience).unwrap().probe(), &["canary-password"]);
    assert_eq!(error.reason, Reason::Network, "{error}");
}
