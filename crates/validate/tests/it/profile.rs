//! Profiles: the built-in ones, what a user's file may say, and how mistakes are shown.

use miette::Diagnostic;
use validate::profile::{
    DataSource, ProfileError, Span, builtin_names, load, load_text, settings, source_of,
};

fn wrong(text: &str) -> ProfileError {
    load_text("mine.toml", text).expect_err(text)
}

#[test]
fn the_built_in_profiles_are_of_record() {
    for name in builtin_names() {
        let loaded = load(name).unwrap();
        assert_eq!(loaded.profile.name, name);
        assert!(loaded.of_record && loaded.differences.is_empty(), "{name}");
        assert_eq!((loaded.base.as_str(), loaded.hash.len()), (name, 64));
        assert!(source_of(name).unwrap().starts_with("# "), "{name}");
    }
    let hashes: std::collections::BTreeSet<String> =
        builtin_names().iter().map(|name| load(name).unwrap().hash).collect();
    assert_eq!(hashes.len(), 3);
}

/// The rules as sentences.
fn conditions(settings: &gate::evidence::Settings) -> Vec<String> {
    settings.rules.iter().map(|rule| format!("{} {rule}", rule.name)).collect()
}

#[test]
fn the_profile_of_record_holds_its_values() {
    let loaded = load("d77-4").unwrap();
    let s = settings(&loaded);
    assert_eq!(
        (s.smoke_s, s.main_s, s.main_min_s, s.hour_s, s.poll_s),
        (60.0, 3_600.0, 3_600.0, 3_600.0, 10.0)
    );
    assert_eq!(
        conditions(&s),
        [
            "A2 alert_dlq > 0 at once",
            "A3 notifier_availability <= 0 at once",
            "A4 loop_latency_p99_ms > 100 ms for 300 s",
            "A5 cpu_pct > 80 % for 600 s",
            "A6 memory_growth_pct_per_h > 10 %/h and memory_growth_mib_per_h > 8 MiB/h over 1200 s",
            "A7 pnl_fall_pct >= 10 % at once",
            "A8 progress <= 0 for 60 s",
            "A9 scrapes <= 0 for 60 s",
            "B1 win_rate_pct < 50 % with >= 20 events for 1800 s",
            "B2 round_trips <= 0 over 1800 s",
            "B3 guard_triggers_per_h > 50 /h with >= 50 events within 3600 s",
            "B4 alert_success_rate_pct < 90 % for 1800 s",
        ]
    );
    assert_eq!((s.memory_skip_s, s.memory_min_s, s.memory_window_s), (600.0, 1_200.0, 120.0));
    assert_eq!((loaded.profile.smoke.topn, loaded.profile.main.topn), (20, 50));
    assert!(s.of_record && s.has_journal && s.has_metrics && s.has_alerts && !s.progress_by_kpi_file);
    assert_eq!(load("soak-12h").unwrap().profile.main.duration.secs(), 43_200.0);
}

#[test]
fn the_rehearsal_holds_its_values() {
    let loaded = load("rehearsal").unwrap();
    let s = settings(&loaded);
    assert_eq!((s.smoke_s, s.main_s, s.main_min_s, s.hour_s, s.poll_s), (10.0, 60.0, 60.0, 60.0, 1.0));
    let windows: Vec<String> = s.rules.iter().map(|rule| format!("{} {}", rule.name, rule.window)).collect();
    assert_eq!(
        windows.join(", "),
        "A2 at once, A3 at once, A4 for 5 s, A5 for 10 s, A6 over 20 s, A7 at once, A8 for 10 s, A9 for 10 s, \
         B1 for 30 s, B2 over 30 s, B3 within 60 s, B4 for 30 s"
    );
    let record = settings(&load("d77-4").unwrap());
    for (ours, theirs) in s.rules.iter().zip(&record.rules) {
        assert_eq!(
            (ours.when, ours.and, ours.action),
            (theirs.when, theirs.and, theirs.action),
            "{}",
            ours.name
        );
    }
    assert_eq!(
        (s.memory_skip_s, s.memory_min_s, s.memory_window_s, s.start_grace_s),
        (10.0, 20.0, 2.0, 10.0)
    );
    let p = &loaded.profile;
    assert_eq!(p.data_source, DataSource::Local);
    assert_eq!(p.watch.scrape_timeout.secs(), 0.5);
    assert_eq!(p.limits.min_free_bytes, 1_000_000_000);
    let engine = p.runner.config["engine"].as_table().unwrap();
    let ms = |key: &str| engine[key].as_integer();
    assert_eq!((ms("time_limit_ms"), ms("entry_pause_ms")), (Some(5_000), Some(1_000)));
    assert_eq!((ms("cooldown_route_ms"), ms("cooldown_cross_ms")), (Some(5_000), Some(15_000)));
    assert_eq!(engine["capital_usd"].as_str(), Some("10000"), "the rest is the profile of record's");
    let exchange = p.exchange.as_ref().unwrap();
    assert_eq!((exchange.market.as_str(), exchange.symbols, exchange.seed), ("edge", 70, 7));
}

#[test]
fn allowed_changes_stay_of_record() {
    let loaded = load_text(
        "mine.toml",
        "extends = \"d77-4\"\nname = \"mine\"\n[runner]\nmetrics_addr = \"127.0.0.1:9200\"\n\
         [rules]\nA9.for = \"30 s\"\n[measure]\ncpu_cores = 1\n[console]\naddr = \"127.0.0.1:8078\"\n[main]\nduration = \"2 h\"\n",
    )
    .unwrap();
    assert!(loaded.of_record, "{:?}", loaded.differences);
    assert_eq!(loaded.profile.main.duration, "2 h".parse::<Span>().unwrap());
    assert_eq!(loaded.profile.watch.poll.secs(), 10.0);
}

#[test]
fn other_changes_are_custom_and_named() {
    let loaded = load_text(
        "mine.toml",
        "extends = \"d77-4\"\n[main]\nduration = \"10 min\"\n[rules]\nA9.for = \"5 min\"\n[runner.config.engine]\nmin_edge_bps = 1\n",
    )
    .unwrap();
    assert!(!loaded.of_record);
    assert_eq!(
        loaded.differences,
        [
            "main.duration is \"10 min\" instead of \"1 h\"",
            "rules.A9.for is \"5 min\" instead of \"60 s\"",
            "runner.config.engine.min_edge_bps is 1.0 instead of 5.0",
        ]
    );
    assert_eq!(settings(&loaded).main_min_s, 600.0);
    let real = load_text("mine.toml", "extends = \"rehearsal\"\ndata_source = \"real\"\n").unwrap();
    assert!(!real.of_record);
}

#[test]
fn a_misspelt_key_is_shown_in_its_line() {
    let error = wrong("extends = \"d77-4\"\n\n[watch]\npolll = \"10 s\"\n");
    assert_eq!((error.line_column(), error.exit_code()), (Some((4, 1)), 64));
    assert!(error.to_string().starts_with("mine.toml:4:1: unknown key `polll` in [watch]"), "{error}");
    let shown = error.render();
    assert!(shown.contains("4 | polll = \"10 s\"") && shown.contains("| ^^^^^ unknown key"), "{shown}");
    assert!(error.help().unwrap().to_string().contains("did you mean `poll`?"));
    assert!(error.source_code().is_some() && error.labels().unwrap().count() == 1);
}

#[test]
fn a_wrong_unit_is_shown_in_its_line() {
    let error = wrong("extends = \"d77-4\"\n[watch]\n  poll = \"10 parsecs\"\n");
    assert_eq!(error.line_column(), Some((3, 10)));
    assert!(error.render().contains("^^^^^^^^^^^^ wrong unit"), "{}", error.render());
    assert!(error.help().unwrap().to_string().contains("\"5 min\""));
    for (text, part) in [
        ("[watch]\npoll = 10\n", "must be a duration"),
        ("[main]\ntopn = \"many\"\n", "must be a whole number"),
        ("[main]\ntopn = -1\n", "must be a whole number"),
        ("main = 3\n", "must be a table"),
        ("data_source = \"imagined\"\n", "data_source"),
        ("[runner]\ncommand = \"bot\"\n", "must be a list"),
        ("[runner]\nstop_signal = \"SIGKILL\"\n", "no stop signal"),
        ("[runner]\nmetrics_addr = \"9100\"\n", "no address"),
        ("[runner]\ncommand = [\"bot\", \"{size}\"]\n", "unknown placeholder {size}"),
        ("[runner.config.engine]\nmin_egde_bps = 3.0\n", "unknown key `min_egde_bps`"),
        ("[runner.not_applicable]\nC5 = \"no\"\n", "never waived"),
        ("[runner.not_applicable]\njournal = \"\"\n", "needs a reason"),
        ("[stores]\nalerts = \"docker\"\n", "`stores.alerts` is text, it must be a table"),
        ("[stores.alerts]\nkind = \"dokcer\"\n", "`stores.alerts.kind` is \"dokcer\""),
        ("[rules]\nA9.for = \"10 s\"\n", "not longer than a poll"),
        ("[main]\nduration = \"0 s\"\n", "is zero"),
        ("[watch\n", "no TOML"),
    ] {
        let error = wrong(&format!("extends = \"d77-4\"\n{text}"));
        assert!(error.to_string().contains(part), "{text}: {error}");
        assert_eq!(error.exit_code(), 64);
        assert!(error.line_column().is_some(), "{text}: {error}");
    }
}

#[test]
fn a_profile_rests_on_a_built_in_one() {
    assert!(wrong("name = \"x\"\n").to_string().contains("does not rest on a built-in"));
    let error = wrong("extends = \"d77-5\"\n");
    assert_eq!(error.line_column(), Some((1, 11)));
    assert!(error.help().unwrap().to_string().contains("did you mean \"d77-4\""));
    let missing = load("rehersal").unwrap_err();
    assert_eq!(missing.exit_code(), 66);
    assert!(missing.help().unwrap().to_string().contains("did you mean rehearsal"));
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a.toml"), "extends = \"b.toml\"\nname = \"a\"\n").unwrap();
    std::fs::write(dir.path().join("b.toml"), "extends = \"rehearsal\"\nname = \"b\"\n").unwrap();
    let loaded = load(dir.path().join("a.toml").to_str().unwrap()).unwrap();
    assert_eq!((loaded.profile.name.as_str(), loaded.base.as_str()), ("a", "rehearsal"));
    std::fs::write(dir.path().join("b.toml"), "extends = \"a.toml\"\n").unwrap();
    assert!(load(dir.path().join("a.toml").to_str().unwrap()).unwrap_err().to_string().contains("circle"));
}

#[test]
fn a_foreign_runner_keeps_its_own_configuration() {
    let loaded = load_text(
        "mine.toml",
        "extends = \"d77-4\"\n[runner]\ncommand = [\"bot\", \"--topn={topn}\"]\nown_contract = false\n\
         progress = \"kpi_file\"\n[runner.not_applicable]\njournal = \"the bot keeps none\"\nalerts = \"it has none\"\n[runner.config]\nmode = \"paper\"\n",
    )
    .unwrap();
    assert!(loaded.of_record, "{:?}", loaded.differences);
    let s = settings(&loaded);
    assert!(!s.has_journal && s.has_metrics && !s.has_alerts && s.progress_by_kpi_file);
}

#[test]
fn a_mistake_in_a_rule_is_shown_in_its_line() {
    let own = |rest: &str| format!("[rules.mine]\nsignal = \"cpu_pct\"\n{rest}");
    for (text, part, place) in [
        ("[rules.mine]\nsignal = \"cpu_cpt\"\n".to_owned(), "unknown signal", (3, 10)),
        (own("above = \"100 ms\"\n"), "no value of cpu_pct", (4, 9)),
        (own("above = \"80 %\"\nbelow = \"90 %\"\naction = \"warn\"\n"), "both `above` and `below`", (5, 1)),
        (
            own("above = 80\nfor = \"1 min\"\nover = \"1 min\"\naction = \"warn\"\n"),
            "both `for` and `over`",
            (6, 1),
        ),
        ("[rules]\nA4.within = \"2 min\"\n".to_owned(), "both `for` and `within`", (3, 4)),
        (own("above = 80\nfor = 10\naction = \"warn\"\n"), "no duration", (5, 7)),
        (own("above = 80\nfor = \"1 min\"\n"), "has no action", (2, 8)),
        (own("above = 80\naction = \"stop\"\n"), "known action", (5, 10)),
        (own("action = \"warn\"\n"), "compares with nothing", (2, 8)),
        (own("abov = 80\naction = \"warn\"\n"), "unknown key `abov`", (4, 1)),
        (own("above = 80\nmin_events = 3\naction = \"warn\"\n"), "no events", (5, 14)),
        ("[rules.A1]\naction = \"warn\"\n".to_owned(), "A1 is driven by the process", (2, 8)),
        ("[rules.A12]\naction = \"warn\"\n".to_owned(), "no shipped rule \"A12\"", (2, 8)),
        ("[rules.A6]\nover = \"10 min\"\n".to_owned(), "shorter than `measure.memory_min`", (3, 8)),
    ] {
        let error = wrong(&format!("extends = \"d77-4\"\n{text}"));
        assert!(error.to_string().contains(part), "{text}: {error}");
        assert_eq!((error.line_column(), error.exit_code()), (Some(place), 64), "{}", error.render());
    }
    let near = wrong("extends = \"d77-4\"\n[rules.mine]\nsignal = \"cpu_cpt\"\n");
    assert!(near.help().unwrap().to_string().contains("did you mean \"cpu_pct\"?"));
}

#[test]
fn a_stricter_or_added_rule_stays_of_record_and_a_looser_one_does_not() {
    let loaded = |rules: &str| load_text("mine.toml", &format!("extends = \"d77-4\"\n{rules}")).unwrap();
    for stricter in [
        "[rules]\nA4.above = \"80 ms\"\nA4.for = \"2 min\"\nB1.below = \"55 %\"\nB1.min_events = 10\nB2.over = \"20 min\"\n",
        "[rules.B4]\naction = \"abort\"\n[rules.A6.and]\nabove = \"4 MiB/h\"\n",
        "[rules.queue]\nsignal = \"alert_oldest_pending_s\"\nabove = \"2 min\"\naction = \"warn\"\n",
    ] {
        let loaded = loaded(stricter);
        assert!(loaded.of_record, "{stricter}: {:?}", loaded.differences);
    }
    let queue =
        loaded("[rules.queue]\nsignal = \"alert_oldest_pending_s\"\nabove = \"2 min\"\naction = \"warn\"\n");
    let queue = settings(&queue).rules.last().unwrap().to_string();
    assert_eq!(queue, "alert_oldest_pending_s > 120 s at once");
    for (looser, said) in [
        ("A4.above = \"120 ms\"", "rules.A4.above is \"120 ms\" instead of \"100 ms\""),
        ("A3.action = \"warn\"", "rules.A3.action is \"warn\" instead of \"abort\""),
        ("A9.grace = \"5 min\"", "rules.A9.grace = \"5 min\" is added"),
        ("B3.within = \"10 min\"", "rules.B3.within is \"10 min\" instead of \"1 h\""),
        (
            "A5.signal = \"memory_mb\"\nA5.above = \"80 MB\"",
            "rules.A5.signal is \"memory_mb\" instead of \"cpu_pct\"",
        ),
    ] {
        let found = loaded(&format!("[rules]\n{looser}\n"));
        assert!(!found.of_record && found.differences[0] == said, "{:?}", found.differences);
    }
}

#[test]
fn an_address_with_a_password_is_refused_and_not_repeated() {
    for (text, key, says) in [
        (
            "extends = \"d77-4\"\n[dashboard]\nsource = \"grafana\"\ngrafana_url = \"http://me:canary@127.0.0.1:3000\"\n",
            "dashboard.grafana_url",
            "GRAFANA_TOKEN",
        ),
        (
            "extends = \"d77-4\"\n[runner]\n\nmetrics_url = \"http://canary@{metrics_addr}/metrics\"\n",
            "runner.metrics_url",
            "without a password",
        ),
        (
            "extends = \"d77-4\"\n[alerts]\n\ntelegram_url = \"https://me:canary@proxy.example\"\n",
            "alerts.telegram_url",
            "environment",
        ),
        (
            "extends = \"d77-4\"\n[runner]\n\ncommand = [\"bot\", \"--db=postgres://me:canary@h/d\"]\n",
            "runner.command",
            "environment",
        ),
    ] {
        let error = wrong(text);
        let shown = error.render();
        assert!(shown.starts_with("mine.toml:4: ") && shown.contains(key) && shown.contains(says), "{shown}");
        assert!(!shown.contains("canary") && error.source_code().is_none(), "{shown}");
    }
}
