//! What lies in `deploy/`: the files that are made from the catalogue are what it says, Prometheus and Grafana's own types find no
//! fault in them, and a real Prometheus that scrapes a live runner has data for every panel and every rule.
//!
//! `ASSAY_WRITE_DEPLOY=1 cargo test -p e2e --test e2e deploy::` writes the files anew.

use crate::harness::{Scratch, assay, copy, finish, http, seat, start, wait_for};
use catalogue::{Colour, Dashboard, PANELS, grafana, prometheus};
use serde_json::Value;
use services::Prometheus;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy")
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn dashboard_file(dashboard: Dashboard) -> PathBuf {
    folder().join("grafana/dashboards").join(format!("{}.json", dashboard.slug()))
}

#[test]
fn the_files_are_what_the_catalogue_says() {
    let mut files = vec![(folder().join("prometheus/assay.rules.yml"), "prometheus", prometheus::rules())];
    for (dashboard, format) in [(Dashboard::Core, "grafana-core"), (Dashboard::Alerting, "grafana-alerting")]
    {
        files.push((dashboard_file(dashboard), format, grafana::json(dashboard).unwrap()));
    }
    for (path, format, made) in files {
        if std::env::var_os("ASSAY_WRITE_DEPLOY").is_some() {
            std::fs::write(&path, &made).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(found == made, "{} is out of date; see the head of this file", path.display());
        assert_eq!(assay(["catalogue", "--format", format]).exits(0).stdout, made);
    }
}

/// Grafana makes the slug of an address from the title.
fn slug(title: &str) -> String {
    let words: Vec<String> = title.split_whitespace().map(str::to_lowercase).collect();
    words.join("-")
}

fn panels(model: &Value) -> &Vec<Value> {
    model["panels"].as_array().unwrap()
}

#[test]
fn dashboards_keep_grafanas_own_types() {
    let schema: Value = serde_json::from_str(include_str!("grafana/dashboard.schema.json")).unwrap();
    let (mut compiled, mut compiler) = (boon::Schemas::new(), boon::Compiler::new());
    compiler.add_resource("assay:/dashboard", schema).unwrap();
    let index = compiler.compile("assay:/dashboard", &mut compiled).unwrap();
    for dashboard in Dashboard::ALL {
        let mut model: Value = serde_json::from_str(&text(&dashboard_file(dashboard))).unwrap();
        if let Err(error) = compiled.validate(&model, index) {
            panic!("{dashboard:?}: {error:#}");
        }
        assert_eq!(model["uid"], dashboard.uid());
        assert_eq!(slug(model["title"].as_str().unwrap()), dashboard.slug());
        // The schema is no empty word.
        model["panels"][0]["gridPos"]["w"] = "wide".into();
        assert!(compiled.validate(&model, index).is_err());
    }
}

#[test]
fn panels_are_told_apart_do_not_overlap_and_explain_themselves() {
    for dashboard in Dashboard::ALL {
        let model = grafana::model(dashboard);
        let (mut ids, mut titles, mut cells) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let wanted: Vec<_> = PANELS.iter().filter(|panel| panel.dashboard == dashboard).collect();
        assert_eq!(panels(&model).len(), wanted.len());
        for (panel, wanted) in panels(&model).iter().zip(wanted) {
            let title = panel["title"].as_str().unwrap();
            assert_eq!(title, wanted.title);
            assert!(ids.insert(panel["id"].as_u64().unwrap()) && titles.insert(title.to_owned()), "{title}");
            let description = panel["description"].as_str().unwrap();
            assert!(description.len() > 10, "{title}: {description}");
            assert!(!panel["fieldConfig"]["defaults"]["unit"].as_str().unwrap().is_empty(), "{title}");
            let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
            assert!(at("x") + at("w") <= 24, "{title}");
            for (x, y) in
                (at("x")..at("x") + at("w")).flat_map(|x| (at("y")..at("y") + at("h")).map(move |y| (x, y)))
            {
                assert!(cells.insert((x, y)), "{title} overlaps at {x}, {y}");
            }
            let refs: BTreeSet<&str> =
                panel["targets"].as_array().unwrap().iter().map(|t| t["refId"].as_str().unwrap()).collect();
            assert!(refs.len() >= wanted.queries.len(), "{title}");
            for query in wanted.queries {
                let asked = panel["targets"].as_array().unwrap().iter().any(|t| t["expr"] == query.promql());
                assert!(asked, "{title} does not ask {}", query.promql());
            }
        }
    }
}

/// The steps of a panel, wherever they stand: on the panel, or on the query that they are about.
fn steps(panel: &Value) -> &Vec<Value> {
    let moved = panel["fieldConfig"]["overrides"].as_array().unwrap().iter().find_map(|o| {
        let found = o["properties"].as_array()?.iter().find(|p| p["id"] == "thresholds")?;
        found["value"]["steps"].as_array()
    });
    moved.unwrap_or_else(|| panel["fieldConfig"]["defaults"]["thresholds"]["steps"].as_array().unwrap())
}

#[test]
fn thresholds_are_drawn_where_the_catalogue_has_them() {
    let mut coloured = 0;
    for dashboard in Dashboard::ALL {
        let model = grafana::model(dashboard);
        for panel in panels(&model) {
            let wanted =
                PANELS.iter().find(|p| p.title == panel["title"] && p.dashboard == dashboard).unwrap();
            let Some(colours) = wanted.thresholds else { continue };
            coloured += 1;
            let steps = steps(panel);
            assert!(steps[0]["value"].is_null(), "{}", wanted.id);
            for at in [colours.yellow_at, colours.red_at] {
                for value in [at - 0.001, at, at + 0.001] {
                    // Grafana takes the last step that is not above the value.
                    let step =
                        steps.iter().rfind(|s| s["value"].as_f64().is_none_or(|from| from <= value)).unwrap();
                    let expected = match colours.colour(value).unwrap() {
                        Colour::Green => "green",
                        Colour::Yellow => "yellow",
                        Colour::Red => "red",
                    };
                    assert_eq!(step["color"], expected, "{} at {value}", wanted.id);
                }
            }
            let drawn = panel.to_string();
            assert!(drawn.contains("line+area") || drawn.contains("\"background\""), "{}", wanted.id);
        }
    }
    assert_eq!(coloured, PANELS.iter().filter(|p| p.thresholds.is_some()).count());
}

#[test]
fn grafana_is_provisioned_with_what_the_dashboards_name() {
    let source = text(&folder().join("grafana/provisioning/datasources/assay.yaml"));
    assert!(source.contains(&format!("uid: {}\n", grafana::DATA_SOURCE)));
    let provider = text(&folder().join("grafana/provisioning/dashboards/assay.yaml"));
    let place = provider.lines().find_map(|line| line.trim().strip_prefix("path: ")).unwrap();
    assert!(text(&folder().join("compose.yaml")).contains(&format!("./grafana/dashboards:{place}:ro")));
    let prometheus = text(&folder().join("prometheus/prometheus.yml"));
    assert!(prometheus.contains(&format!("job_name: {}\n", prometheus::JOB)));
}

/// The windows of the watch rules in Prometheus are those of the profile of record.
#[test]
fn watch_rules_have_the_windows_of_the_profile_of_record() {
    let profile: toml::Table = assay(["profile", "show", "d77-4"]).exits(0).stdout.parse().unwrap();
    let seconds = |text: &str| match text.split_once(' ').unwrap() {
        (n, "s") => n.parse::<u64>().unwrap(),
        (n, "min") => n.parse::<u64>().unwrap() * 60,
        (n, "h") => n.parse::<u64>().unwrap() * 3_600,
        other => panic!("{other:?}"),
    };
    for rule in prometheus::watch() {
        let spec = profile["rules"][rule.id].as_table().unwrap();
        let span = |key: &str| spec.get(key).map(|value| seconds(value.as_str().unwrap()));
        let expr = rule.expr();
        if let Some(window) = span("over").or(span("within")) {
            let written = if window % 3_600 == 0 {
                format!("[{}h]", window / 3_600)
            } else {
                format!("[{}m]", window / 60)
            };
            assert!(expr.contains(&written), "{}: {expr} has no window {written}", rule.id);
        } else if rule.id == "A8" {
            assert!(expr.contains("[1m]") && span("for") == Some(60), "{expr}");
        } else {
            assert_eq!(span("for").unwrap_or(0), rule.for_s, "{}", rule.id);
        }
        assert_eq!(rule.severity, spec["action"].as_str().unwrap(), "{}", rule.id);
    }
}

/// The blocks of the compose file's services: name and lines.
fn services(compose: &str) -> Vec<(String, Vec<String>)> {
    let mut services: Vec<(String, Vec<String>)> = Vec::new();
    let of_services = compose.lines().skip_while(|line| *line != "services:").skip(1);
    for line in of_services.take_while(|line| line.is_empty() || line.starts_with([' ', '#'])) {
        let name = line.strip_prefix("  ").filter(|rest| !rest.starts_with([' ', '#']));
        if let Some(name) = name.and_then(|rest| rest.strip_suffix(':')) {
            services.push((name.to_owned(), Vec::new()));
        } else if let Some((_, lines)) = services.last_mut() {
            lines.push(line.trim().to_owned());
        }
    }
    services
}

#[test]
fn the_stack_is_pinned_healthy_private_and_has_no_password() {
    let compose = text(&folder().join("compose.yaml"));
    let services = services(&compose);
    let names: Vec<&str> = services.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["arbitrage-postgres", "arbitrage-redis", "prometheus", "grafana", "assay"]);
    for (name, lines) in &services {
        let one = |key: &str| {
            let mut found = lines.iter().filter_map(|line| line.strip_prefix(key));
            found.next().unwrap_or_else(|| panic!("{name} has no {key}")).trim().to_owned()
        };
        let (_, tag) = one("image:").rsplit_once(':').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        let version = tag.split('-').next().unwrap();
        let pinned = version.contains('.')
            && version.trim_start_matches('v').split('.').all(|n| n.parse::<u32>().is_ok());
        assert!(pinned, "{name}: the version {tag} is not pinned");
        one("healthcheck:");
        one("container_name:");
        let published: Vec<&String> =
            lines.iter().filter(|line| line.starts_with("- \"") && line.contains("}:")).collect();
        assert!(
            !published.is_empty() && published.iter().all(|p| p.starts_with("- \"127.0.0.1:")),
            "{name}: {published:?}"
        );
        for line in lines.iter().filter(|line| line.contains("PASSWORD:") || line.contains("TOKEN:")) {
            assert!(
                line.contains(":?"),
                "{name} has a secret that does not come from the environment: {line}"
            );
        }
    }
    let volumes = compose.split("\nvolumes:\n").nth(1).unwrap();
    assert!(volumes.lines().all(|line| line.starts_with("  ") && line.ends_with("-data:")), "{volumes}");
    for name in volumes.lines().map(|line| line.trim().trim_end_matches(':')) {
        assert!(compose.contains(&format!("- {name}:/")), "{name} is mounted nowhere");
    }
    assert!(compose.contains("maxmemory-policy noeviction"));
    let dockerfile = text(&folder().join("Dockerfile"));
    let bases: Vec<&str> = dockerfile.lines().filter_map(|line| line.strip_prefix("FROM ")).collect();
    assert!(
        bases.len() == 2 && bases.iter().all(|base| base.contains(':') && !base.contains("latest")),
        "{bases:?}"
    );
    assert!(dockerfile.contains("\nUSER 10001:10001\n"));
}

#[test]
fn the_profile_of_the_stack_is_of_record() {
    let path = folder().join("assay/compose.toml").to_string_lossy().into_owned();
    let done = assay(["profile", "check", &path]);
    done.exits(0);
    assert!(!done.stdout.contains("custom"), "{}", done.stdout);
}

#[track_caller]
fn promtool(args: &[&str], stdin: Option<&Path>) -> String {
    let file = stdin.map(|path| std::fs::File::open(path).unwrap());
    let output = Prometheus::promtool(args, file).unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "promtool {args:?}:\n{said}");
    said
}

#[test]
fn promtool_finds_no_fault_in_rules_and_configuration() {
    let path = |name: &str| folder().join("prometheus").join(name).to_string_lossy().into_owned();
    promtool(&["check", "config", &path("prometheus.yml")], None);
    promtool(&["check", "rules", "--lint=all", "--lint-fatal", &path("assay.rules.yml")], None);
    promtool(&["test", "rules", &path("tests/watch.test.yml")], None);
}

/// A live rehearsal, and a Prometheus with the configuration of `deploy/` that scrapes its main run every second.
struct Scraped {
    prometheus: Prometheus,
    metrics: SocketAddr,
    rehearsal: std::process::Child,
    scratch: Scratch,
}

impl Scraped {
    fn start() -> Self {
        let scratch = Scratch::new();
        let place = scratch.path().join("prometheus");
        copy(&folder().join("prometheus"), &place);
        let configuration = text(&place.join("prometheus.yml"))
            .replace("_interval: 10s", "_interval: 1s")
            .replace("_timeout: 5s", "_timeout: 1s");
        std::fs::write(place.join("prometheus.yml"), configuration).unwrap();
        std::fs::remove_dir_all(place.join("targets")).unwrap();
        std::fs::create_dir(place.join("targets")).unwrap();
        let prometheus = Prometheus::start(&place.join("prometheus.yml")).unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], prometheus.port()));
        // It listens before it answers questions.
        wait_for("Prometheus", Duration::from_secs(30), || {
            http("GET", address, "/-/ready").ok().filter(|(status, _)| *status == 200)
        });
        let logs = scratch.path().join("logs");
        let mut rehearsal = start(["rehearse", "--logs", &logs.to_string_lossy()], scratch.path());
        // Its ports are free ones: where the main run serves its metrics stands in the orchestrator's log.
        let metrics = wait_for("the main run", Duration::from_secs(90), || {
            assert!(rehearsal.try_wait().unwrap().is_none(), "the rehearsal ended before its main run");
            let run = crate::harness::run_folders(&logs).into_iter().next()?;
            let log = std::fs::read_to_string(run.join("orchestrator.log")).ok()?;
            let line = log.lines().find(|line| line.contains(" starting ") && line.contains(".main: "))?;
            line.split(" --metrics-addr ").nth(1)?.split(' ').next()?.parse::<SocketAddr>().ok()
        });
        // Prometheus looks at the folder of targets whenever something changes there.
        std::fs::write(place.join("targets/rehearsal.yml"), format!("- targets: ['{metrics}']\n")).unwrap();
        Self { prometheus, metrics, rehearsal, scratch }
    }

    /// Ends the rehearsal in order.
    fn end(self) {
        let logs = self.scratch.path().join("logs");
        let run = crate::harness::RunFolder::only(&logs);
        let id = run.0.file_name().unwrap().to_string_lossy().into_owned();
        assay(["stop", &id, "--logs", &logs.to_string_lossy()]).exits(0).says("ended in order");
        finish(self.rehearsal, self.scratch.path());
        crate::harness::nobody_left(&logs.to_string_lossy());
    }

    fn api(&self, path: &str) -> Value {
        let address = SocketAddr::from(([127, 0, 0, 1], self.prometheus.port()));
        let (_, body) = http("GET", address, path).unwrap();
        serde_json::from_slice(&body).unwrap_or_else(|e| panic!("{path}: {e}"))
    }

    /// How many series answer.
    #[track_caller]
    fn series(&self, expr: &str) -> usize {
        let encoded: String = expr.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let answer = self.api(&format!("/api/v1/query?query={encoded}"));
        assert_eq!(answer["status"], "success", "{expr}: {answer}");
        answer["data"]["result"].as_array().unwrap().len()
    }
}

/// What the linter would have otherwise, and those who scrape us rely on.
const NAMED_OTHERWISE: [&str; 3] = [
    "process_memory_usage_mb metric names should not contain abbreviated units",
    "arb_topn_edge_bps non-summary metrics should not have \"quantile\" label",
    "arb_topn_premium_bps non-summary metrics should not have \"quantile\" label",
];

#[test]
fn a_real_prometheus_has_data_of_a_live_rehearsal_for_every_panel_and_every_rule() {
    let seat = seat(3);
    let mut scraped = Scraped::start();
    let mut asked: Vec<(String, String)> = Vec::new();
    for panel in PANELS {
        asked.extend(panel.queries.iter().map(|query| (panel.id.to_owned(), query.promql())));
    }
    for dashboard in Dashboard::ALL {
        let model = grafana::model(dashboard);
        for panel in panels(&model) {
            let targets = panel["targets"].as_array().unwrap().iter();
            asked.extend(
                targets.map(|t| (panel["title"].to_string(), t["expr"].as_str().unwrap().to_owned())),
            );
        }
    }
    for (name, _) in prometheus::recording() {
        asked.push((name.clone(), name));
    }
    for rule in prometheus::watch().into_iter().chain(prometheus::alerts()) {
        asked.extend(rule.parts.iter().map(|part| (rule.name.clone(), part.measure.clone())));
    }
    assert!(asked.len() > 120, "{}", asked.len());
    // The first trades close within seconds, and the main run has a minute.
    let mut missing = asked;
    let all = wait_for("data for every query", Duration::from_secs(40), || {
        missing.retain(|(_, expr)| scraped.series(expr) == 0);
        (missing.is_empty() || scraped.rehearsal.try_wait().unwrap().is_some()).then_some(missing.is_empty())
    });
    assert!(all, "no data: {missing:#?}");
    assert_eq!(scraped.series("arb_topn_renamed_total"), 0, "the question is no empty one");

    // The annotations' expressions: the start is there, the others have nothing to mark and are understood.
    for annotation in grafana::model(Dashboard::Core)["annotations"]["list"].as_array().unwrap() {
        let Some(expr) = annotation["expr"].as_str() else { continue };
        assert_eq!(scraped.series(expr), usize::from(annotation["name"] == "Run start"), "{expr}");
    }

    // Every rule was evaluated without an error.
    let rules = scraped.api("/api/v1/rules");
    let groups = rules["data"]["groups"].as_array().unwrap();
    let evaluated: Vec<&Value> = groups.iter().flat_map(|group| group["rules"].as_array().unwrap()).collect();
    let made = prometheus::recording().len() + prometheus::watch().len() + prometheus::alerts().len();
    assert_eq!(evaluated.len(), made);
    for rule in evaluated {
        assert_eq!(rule["health"], "ok", "{rule}");
    }

    // What the runner serves, as Prometheus's own linter reads it.
    let (_, page) = http("GET", scraped.metrics, "/metrics").unwrap();
    let path = scraped.scratch.path().join("page.prom");
    std::fs::write(&path, &page).unwrap();
    let output =
        Prometheus::promtool(&["check", "metrics"], Some(std::fs::File::open(&path).unwrap())).unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let faults: Vec<&str> = said.lines().filter(|line| !NAMED_OTHERWISE.contains(line)).collect();
    assert!(faults.is_empty(), "{faults:#?}");

    scraped.end();
    drop(seat);
}
