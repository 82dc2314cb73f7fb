//! The panels of a Grafana dashboard as panel checks: each catalogue panel must be there with its own queries, and these must
//! have data, now. With them goes what ties the answer to the run: its id, its process start, and a counter with its age.

use super::{Client, GrafanaError, Row, rows};
use crate::watch::console::ANCHORS;
use crate::watch::panels::{Scale, colour, is_from_start};
use catalogue::{Dashboard, PANELS, Panel, PanelQuery};
use gate::evidence::PanelCheck;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Older data than this, in seconds, is nobody's present: nothing scrapes the runner any more.
const STALE_S: f64 = 120.0;
/// The queries end this many seconds ago (see [`Client::query`]).
const LAG_S: f64 = 1.0;

/// Asks every panel of a dashboard; `clock` tells the seconds after the main phase's start. One check per catalogue panel, whatever happens.
pub fn ask_panels(
    client: &mut Client,
    dashboard: Dashboard,
    clock: &dyn Fn() -> f64,
    scale: Scale,
) -> Vec<PanelCheck> {
    let t = clock();
    let wanted: Vec<&'static Panel> = PANELS.iter().filter(|panel| panel.dashboard == dashboard).collect();
    let all = |t: f64, why: &GrafanaError| {
        wanted
            .iter()
            .map(|panel| PanelCheck {
                unanswered: matches!(why, GrafanaError::Away(_)),
                ..PanelCheck::without_data(t, panel.id, why.to_string())
            })
            .collect()
    };
    let served = match client.health(t).and_then(|_| client.dashboard(t, dashboard.uid())) {
        Ok(served) => served,
        Err(why) => return all(t, &why),
    };
    let plans: Vec<Plan> = wanted.iter().enumerate().map(|(i, panel)| Plan::of(panel, i, &served)).collect();
    let source = plans.iter().find_map(|plan| plan.source.clone());
    let mut queries: Vec<Value> = plans.iter().flat_map(Plan::queries).collect();
    queries.extend(identity(&source.unwrap_or_else(|| json!({ "uid": catalogue::grafana::DATA_SOURCE }))));
    // The dashboard may have taken its time: what counts is when the data was asked for.
    let t = clock();
    let results = match client.query(t, &queries) {
        Ok(results) => results,
        Err(why) => return all(t, &why),
    };
    let who = Who::read(&results, t);
    plans.iter().map(|plan| plan.check(&results, &who, scale)).collect()
}

fn query(reference: &str, source: &Value, expr: &str) -> Value {
    json!({
        "refId": reference, "datasource": source, "expr": expr, "instant": true, "range": false, "format": "time_series",
        "intervalMs": 10_000, "maxDataPoints": 100,
    })
}

/// What ties an answer to a run.
fn identity(source: &Value) -> Vec<Value> {
    let mut asked =
        vec![query("run", source, "assay_run_info"), query("start", source, "process_start_time_seconds")];
    for (i, name) in ANCHORS.iter().enumerate() {
        asked.push(query(&format!("anchor{i}"), source, name));
        asked.push(query(&format!("age{i}"), source, &format!("time() - timestamp({name})")));
    }
    asked
}

/// Whose answer it is.
struct Who {
    /// Seconds after the phase's start at which it was asked for.
    t: f64,
    /// How old the data was, in seconds, by the clocks of Grafana and Prometheus.
    age: Option<f64>,
    run_id: Option<String>,
    process_start: Option<f64>,
    anchor: Option<(String, f64)>,
}

impl Who {
    fn read(results: &Value, asked: f64) -> Self {
        let found = |reference: &str| rows(results.get(reference)).unwrap_or_default();
        let mut ids: Vec<String> =
            found("run").iter().filter_map(|row| row.labels.get("run_id").cloned()).collect();
        // Several runners behind one dashboard add up to nobody's figures: the judge sees them all.
        ids.sort();
        ids.dedup();
        let anchor = ANCHORS.iter().enumerate().find_map(|(i, name)| {
            let row = found(&format!("anchor{i}")).into_iter().find(|row| row.value.is_finite())?;
            let age = found(&format!("age{i}")).first()?.value;
            let labels: Vec<(String, String)> = row.labels.into_iter().collect();
            Some((exposition::canonical_name(name, &labels), row.value, age.max(0.0)))
        });
        Self {
            t: asked,
            age: anchor.as_ref().map(|(_, _, age)| *age),
            run_id: (!ids.is_empty()).then(|| ids.join(", ")),
            process_start: found("start").first().map(|row| row.value),
            anchor: anchor.map(|(series, value, _)| (series, value)),
        }
    }
}

/// What is asked for one panel.
struct Plan {
    panel: &'static Panel,
    index: usize,
    /// The data source that the dashboard's panel names.
    source: Option<Value>,
    /// Why the dashboard's panel is not the catalogue's.
    fault: Option<String>,
}

impl Plan {
    fn of(panel: &'static Panel, index: usize, served: &Value) -> Self {
        let panels = served.get("panels").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let Some(shown) = panels.iter().find(|p| p.get("title").and_then(Value::as_str) == Some(panel.title))
        else {
            let fault =
                format!("the dashboard has no panel {:?}; provision deploy/grafana/dashboards", panel.title);
            return Self { panel, index, source: None, fault: Some(fault) };
        };
        let targets = shown.get("targets").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let asks = |expr: &str| {
            let visible = |t: &&Value| t.get("hide").and_then(Value::as_bool) != Some(true);
            let asks_it = |t: &&Value| t.get("expr").and_then(Value::as_str) == Some(expr);
            targets.iter().filter(visible).find(asks_it).and_then(|target| source_of(target, shown))
        };
        let mut source = None;
        for query in panel.queries {
            match asks(&query.promql()) {
                Some(found) => source = Some(found),
                None => {
                    let fault = format!(
                        "the dashboard's panel {:?} does not ask {}; provision deploy/grafana/dashboards",
                        panel.title,
                        query.promql()
                    );
                    return Self { panel, index, source: None, fault: Some(fault) };
                }
            }
        }
        Self { panel, index, source, fault: None }
    }

    fn reference(&self, part: &str) -> String {
        format!("p{}{part}", self.index)
    }

    fn queries(&self) -> Vec<Value> {
        let Some(source) = &self.source else { return Vec::new() };
        let mut asked: Vec<Value> = (self.panel.queries.iter().enumerate())
            .map(|(i, q)| query(&self.reference(&format!("q{i}")), source, &q.promql()))
            .collect();
        if let Some(counter) = self.panel.counter_when_empty {
            asked.push(query(&self.reference("c"), source, &total(counter)));
            for (i, q) in self.panel.queries.iter().enumerate() {
                if let PanelQuery::Quantile { metric, .. } = q {
                    let events = format!("sum(increase({metric}_count[5m]))");
                    asked.push(query(&self.reference(&format!("e{i}")), source, &events));
                }
            }
        }
        asked
    }

    fn check(&self, results: &Value, who: &Who, scale: Scale) -> PanelCheck {
        let mut check = PanelCheck {
            t: who.t,
            panel: self.panel.id.to_owned(),
            has_data: false,
            values: BTreeMap::new(),
            colour: None,
            run_id: who.run_id.clone(),
            process_start: who.process_start,
            anchor: who.anchor.clone(),
            problem: self.fault.clone(),
            unanswered: false,
            age_s: who.age.map(|age| age + LAG_S),
        };
        if self.fault.is_some() {
            return check;
        }
        let mut coloured = Vec::new();
        for (i, query) in self.panel.queries.iter().enumerate() {
            let found = match rows(results.get(self.reference(&format!("q{i}")))) {
                Ok(found) => found,
                Err(why) => {
                    check.problem.get_or_insert(format!("{}: {why}", query.promql()));
                    continue;
                }
            };
            // Half a panel is no panel: a metric that is there from the start must be there.
            if found.is_empty() && query.metrics().iter().all(|name| is_from_start(name)) {
                check.problem.get_or_insert(format!("no series answered {}", query.promql()));
            }
            for row in found.iter().filter(|row| row.value.is_finite()) {
                if self.panel.thresholds.is_some_and(|colours| colours.query == i) {
                    coloured.push(row.value);
                }
                let series = name_of(row, query);
                let several = self.panel.queries.len() > 1;
                check.values.insert(if several { format!("{} {series}", i + 1) } else { series }, row.value);
            }
        }
        if check.values.is_empty() && !self.none_yet(results) {
            let asked = self.panel.queries.first().map_or_else(String::new, PanelQuery::promql);
            check.problem.get_or_insert(format!("no series answered {asked}"));
        }
        if let Some(age) = who.age.filter(|age| *age > STALE_S) {
            check.problem.get_or_insert(format!(
                "the newest data is {age:.0} s old: Prometheus does not scrape the runner"
            ));
        }
        check.has_data = check.problem.is_none();
        check.colour = colour(self.panel, &coloured, scale);
        check
    }

    /// "No event yet": the counter is at 0, or the histogram was measured not to have moved.
    fn none_yet(&self, results: &Value) -> bool {
        let zero = |part: &str| {
            let found = rows(results.get(self.reference(part))).unwrap_or_default();
            !found.is_empty() && found.iter().all(|row: &Row| row.value == 0.0)
        };
        let quantile = |i: usize| matches!(self.panel.queries[i], PanelQuery::Quantile { .. });
        self.panel.counter_when_empty.is_some()
            && (zero("c") || (0..self.panel.queries.len()).all(|i| quantile(i) && zero(&format!("e{i}"))))
    }
}

/// The counter's sum; round trips that the end of the run closed decide nothing.
fn total(counter: &str) -> String {
    if counter == "arb_topn_round_trips_total" {
        let closed = "arb_topn_exit_reasons_total{reason=\"shutdown\"}";
        return format!("sum({counter}) - (sum({closed}) or 0 * sum({counter}))");
    }
    format!("sum({counter})")
}

fn name_of(row: &Row, query: &PanelQuery) -> String {
    let labels: Vec<(String, String)> = row.labels.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
    match (&row.name, labels.is_empty()) {
        (Some(name), _) => exposition::canonical_name(name, &labels),
        (None, false) => exposition::canonical_name("", &labels),
        (None, true) => query.promql(),
    }
}

/// The data source of a target: its own, or its panel's.
fn source_of(target: &Value, panel: &Value) -> Option<Value> {
    let source = target.get("datasource").or_else(|| panel.get("datasource"))?;
    let kind = source.get("type").cloned().unwrap_or_else(|| "prometheus".into());
    Some(json!({ "uid": source.get("uid")?, "type": kind }))
}
