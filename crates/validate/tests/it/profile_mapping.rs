//! What a profile says of a foreign runner: mapping, waivers, pace; and what is seen to be impossible before a run.

use gate::Decision;
use gate::rules::Window;
use validate::mapping::Mapping;
use validate::profile::{load, load_text, outlook, settings};
use validate::watch::scrape;

fn mapped(text: &str) -> Mapping {
    let text = format!("extends = \"d77-4\"\n[runner]\nown_contract = false\ncommand = [\"./bot\"]\n{text}");
    load_text("mine.toml", &text).unwrap_or_else(|e| panic!("{}", e.render())).profile.runner.mapping
}

#[test]
fn mistakes_in_a_mapping_are_shown_in_their_line() {
    for (text, part, help) in [
        ("[runner.mapping.metrics]\nloop_latency = \"x\"\n", "no metric of the catalogue", ""),
        (
            "[runner.mapping.metrics]\narb_topn_pnl_used = \"x\"\n",
            "no metric",
            "did you mean `arb_topn_pnl_usd`",
        ),
        (
            "[runner.mapping.metrics]\narb_topn_pnl_usd = 3\n",
            "a whole number names no series",
            "scale = 0.001",
        ),
        ("[runner.mapping.metrics]\narb_topn_pnl_usd = { scale = 2 }\n", "`name` is missing", ""),
        (
            "[runner.mapping.metrics]\narb_topn_pnl_usd = { name = \"x\", scal = 2 }\n",
            "did you mean `scale`",
            "",
        ),
        ("[runner.mapping.metrics]\narb_topn_pnl_usd = { name = \"x\", scale = 0 }\n", "scales nothing", ""),
        (
            "[runner.mapping.metrics]\narb_topn_round_trips_total = { name = \"x\", scale = 2 }\n",
            "no unit to scale",
            "",
        ),
        (
            "[runner.mapping.metrics]\nvenue_books = { name = \"x\", set = { stat = \"live\" } }\n",
            "venue, state",
            "",
        ),
        (
            "[runner.mapping.kpi]\nwin_rate = \"x\"\n",
            "no field of the KPI file",
            "did you mean `win_rate_pct`",
        ),
        ("[runner.mapping.kpi]\nwins = { field = \"w\", scale = 2 }\n", "no unit to scale", ""),
        ("[runner.mapping.log]\nlevel = \"(\"\n", "no usable regular expression", ""),
        ("[runner.mapping.log]\nerrors = [\"E\"]\n", "unknown key `errors`", "did you mean `error`"),
        ("[runner.mapping.logs]\n", "unknown key `logs`", "did you mean `log`"),
        (
            "[runner.not_applicable]\njournl = \"none\"\n",
            "nothing that a runner can lack",
            "did you mean `journal`",
        ),
        (
            "[runner.not_applicable]\nmemory_usage_mb = \"none\"\n",
            "never waived",
            "the supervisor measures it",
        ),
        ("[runner.not_applicable]\nA1 = \"none\"\n", "never waived", "the supervisor sees"),
        (
            "[runner.mapping.kpi]\nwins = \"w\"\n[runner.not_applicable]\nnet_pnl_usd = \"none\"\n[runner.mapping.metrics]\n\
             arb_topn_pnl_usd = \"x\"\n[runner.mapping.kpi.net_pnl_usd]\nfield = \"x\"\n",
            "mapped and declared not applicable",
            "leave one",
        ),
        (
            "[runner]\ncommand = [\"bot\", \"{config_path}\"]\nown_contract = false\n",
            "our own contract only",
            "",
        ),
        ("[runner]\nmetrics_url = \"http://{addr}/\"\n", "unknown placeholder {addr}", "{metrics_addr}"),
        ("time_scale = 0.5\n", "must be 1 or more", ""),
        ("[main]\nduration = \"1500 ms\"\n", "is 1500 ms", "whole seconds"),
    ] {
        let error = load_text("mine.toml", &format!("extends = \"d77-4\"\n{text}")).expect_err(text);
        let shown = error.render();
        assert!(shown.contains(part) && shown.contains(help), "{text}:\n{shown}");
        assert_eq!(error.exit_code(), 64);
        assert!(error.line_column().is_some() && shown.contains('^'), "{text}:\n{shown}");
    }
}

#[test]
fn a_page_gets_assays_names_and_loses_nothing_else() {
    let mapping = mapped(
        "[runner.mapping.metrics]\nassay_run_info = { name = \"bot_info\", labels = { run_id = \"session\" } }\n\
         loop_latency_seconds = { name = \"tick_ms\", scale = 0.001 }\narb_topn_round_trips_total = \"closed_total\"\n\
         arb_topn_trades_total = [{ name = \"a_total\", set = { trade_type = \"entry\" } }, { name = \"b_total\", set = { trade_type = \"entry\" } }]\n",
    );
    let page = "bot_info{session=\"r.main\"} 1\ntick_ms_bucket{le=\"80\"} 3\ntick_ms_bucket{le=\"+Inf\"} 4\ntick_ms_sum 200\n\
        tick_ms_count 4\nclosed_total{why=\"tp\",symbol=\"X\"} 2\nclosed_total{why=\"sl\",symbol=\"Y\"} 3\na_total 1\nb_total 2\n\
        loop_latency_seconds_count 99\nprocess_open_fds 7\n";
    let page = scrape::parse(page.as_bytes(), None, &mapping).unwrap();
    assert_eq!(page.run_id.as_deref(), Some("r.main"));
    let of = |series: &str| page.scrape.series.get(series).copied();
    assert_eq!(of("loop_latency_seconds_bucket{le=\"0.08\"}"), Some(3.0));
    assert_eq!(of("loop_latency_seconds_bucket{le=\"+Inf\"}"), Some(4.0));
    assert_eq!(of("loop_latency_seconds_sum"), Some(0.2));
    assert_eq!(
        of("loop_latency_seconds_count"),
        Some(4.0),
        "the page's own series of that name is another thing"
    );
    assert_eq!(of("arb_topn_round_trips_total"), Some(5.0), "summed over labels, a symbol's too");
    assert_eq!(of("arb_topn_trades_total{trade_type=\"entry\"}"), Some(3.0));
    assert_eq!(of("process_open_fds"), Some(7.0), "what is not mapped keeps its meaning");
    assert_eq!(of("arb_topn_pnl_usd"), None, "and what is not there is absent");
}

#[test]
fn an_entry_is_replaced_whole() {
    let dir = tempfile::tempdir().unwrap();
    let base =
        "extends = \"d77-4\"\n[runner.mapping.kpi]\nnet_pnl_usd = { field = \"cents\", scale = 0.01 }\n";
    std::fs::write(dir.path().join("base.toml"), base).unwrap();
    let top = "extends = \"base.toml\"\n[runner.mapping.kpi]\nnet_pnl_usd = \"usd\"\n";
    std::fs::write(dir.path().join("top.toml"), top).unwrap();
    let loaded = load(dir.path().join("top.toml").to_str().unwrap()).unwrap();
    let source = &loaded.profile.runner.mapping.kpi["net_pnl_usd"];
    assert_eq!(
        (source.field.as_str(), source.scale),
        ("usd", 1.0),
        "no scale is left over from the other file"
    );
}

#[test]
fn another_pace_divides_everything_and_is_never_of_record() {
    let loaded = load_text("mine.toml", "extends = \"d77-4\"\ntime_scale = 60\n").unwrap();
    let s = settings(&loaded);
    assert_eq!((s.smoke_s, s.main_s, s.hour_s), (1.0, 60.0, 60.0));
    assert_eq!((s.start_grace_s, s.poll_s), (1.0, 0.167));
    let a4 = s.rules.iter().find(|rule| rule.name.as_str() == "A4").unwrap();
    assert_eq!((a4.window, a4.when.threshold), (Window::For(5.0), 100.0), "a threshold is no duration");
    assert!(!loaded.of_record);
    assert_eq!(loaded.differences, ["time_scale is 60: every duration is divided by it"]);
    let same = load_text("mine.toml", "extends = \"d77-4\"\ntime_scale = 1\n").unwrap();
    assert!(same.of_record, "{:?}", same.differences);
}

#[test]
fn what_cannot_come_out_is_known_before() {
    let of = |text: &str| {
        let text = format!(
            "extends = \"d77-4\"\n[runner]\nown_contract = false\ncommand = [\"./bot\"]\n[runner.not_applicable]\n{text}"
        );
        outlook(&load_text("mine.toml", &text).unwrap().profile)
    };
    assert_eq!(outlook(&load("d77-4").unwrap().profile).sentence(), None);
    let file_only = of("metrics = \"none\"\nalerts = \"none\"\njournal = \"none\"\n");
    assert_eq!(file_only.best, Decision::NoGo);
    let sentence = file_only.sentence().unwrap();
    assert!(
        sentence.starts_with("this run cannot end better than NO-GO (not proven): C1 because"),
        "{sentence}"
    );
    assert!(sentence.contains("C5 because the runner offers no metrics"), "{sentence}");
    let bot = of("alerts = \"none\"\njournal = \"none\"\n");
    assert_eq!(bot.best, Decision::ConditionalGo);
    let less = of(
        "alerts = \"none\"\njournal = \"none\"\nguard_false_positives = \"none\"\nexit_reasons = \"none\"\n",
    );
    assert_eq!(less.best, Decision::ConditionalGoWithConcerns);
}

#[test]
fn a_profiles_folder_is_where_its_command_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let inner = dir.path().join("inner");
    std::fs::create_dir(&inner).unwrap();
    let base = "extends = \"d77-4\"\n[runner]\ncommand = [\"{profile_dir}/bot\"]\nown_contract = false\n";
    std::fs::write(inner.join("base.toml"), base).unwrap();
    std::fs::write(dir.path().join("top.toml"), "extends = \"inner/base.toml\"\n").unwrap();
    let loaded = load(dir.path().join("top.toml").to_str().unwrap()).unwrap();
    assert_eq!(loaded.profile.runner.command, [inner.join("bot").to_string_lossy().into_owned()]);
}
