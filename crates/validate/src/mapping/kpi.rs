//! A KPI file's fields under Assay's names.

use super::{KpiSource, Mapping, scaled};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Fields of a KPI file beside the 32 KPIs that the judge looks at: sums, cross-checks, identity.
pub const EXTRA_FIELDS: [&str; 14] = [
    "complete",
    "run_id",
    "wins",
    "losses",
    "open_positions",
    "exit_reasons",
    "paper_capital_usd",
    "cpu_seconds",
    "peak_rss_bytes",
    "duration_s",
    "error_lines",
    "guard_false_positives_pct",
    "funnel",
    "stop_reason",
];

impl Mapping {
    /// The fields under Assay's names. What the profile does not map keeps its name; what it maps and the file does not hold is null with
    /// that reason.
    pub fn kpi_fields(&self, fields: Map<String, Value>) -> BTreeMap<String, Value> {
        let mut out: BTreeMap<String, Value> =
            fields.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        for ours in self.kpi.keys() {
            out.remove(ours);
            out.remove(&format!("{ours}_reason"));
        }
        for (ours, source) in &self.kpi {
            let reason = |why: String| (format!("{ours}_reason"), Value::String(why));
            match lookup(&fields, &source.field) {
                None => {
                    out.insert(ours.clone(), Value::Null);
                    out.extend([reason(format!("absent: the runner's file has no {}", source.field))]);
                }
                Some(Value::Null) => {
                    out.insert(ours.clone(), Value::Null);
                    let why = lookup(&fields, &format!("{}_reason", source.field)).and_then(Value::as_str);
                    out.extend(why.map(|why| reason(why.to_owned())));
                }
                Some(value) => {
                    out.insert(ours.clone(), source.apply(value));
                }
            }
        }
        out
    }
}

/// A field by its name, or by a path into nested objects. Names may hold dots themselves.
pub(crate) fn lookup<'a>(object: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    if let Some(value) = object.get(path) {
        return Some(value);
    }
    path.match_indices('.').find_map(|(at, _)| {
        let inner = object.get(&path[..at])?.as_object()?;
        lookup(inner, &path[at + 1..])
    })
}

impl KpiSource {
    /// A field taken as it is.
    pub fn plain(field: &str) -> Self {
        Self { field: field.to_owned(), scale: 1.0, keys: BTreeMap::new() }
    }

    /// Numbers in Assay's unit, keys of a map under Assay's names; anything else stays, for the reader to reject.
    fn apply(&self, value: &Value) -> Value {
        match value {
            Value::Number(number) if self.scale != 1.0 => {
                number.as_f64().map_or(Value::Null, |n| Value::from(scaled(n, self.scale)))
            }
            Value::Object(map) => Value::Object(self.renamed(map)),
            other => other.clone(),
        }
    }

    fn renamed(&self, map: &Map<String, Value>) -> Map<String, Value> {
        let mut out = Map::new();
        for (theirs, value) in map {
            let ours =
                self.keys.iter().find(|(_, names)| names.contains(theirs)).map_or(theirs, |(ours, _)| ours);
            let value = match (out.get(ours).and_then(Value::as_f64), value.as_f64()) {
                (Some(before), Some(more)) => Value::from(before + more),
                _ => value.clone(),
            };
            out.insert(ours.clone(), value);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fields(mapping: &Mapping, file: Value) -> BTreeMap<String, Value> {
        let Value::Object(map) = file else { panic!("an object") };
        mapping.kpi_fields(map)
    }

    #[test]
    fn nested_fields_get_assays_names_and_units() {
        let closed = KpiSource {
            keys: BTreeMap::from([("take_profit".to_owned(), vec!["tp".to_owned(), "tp2".to_owned()])]),
            ..KpiSource::plain("exits")
        };
        let mapping = Mapping {
            kpi: BTreeMap::from([
                ("round_trips_completed".to_owned(), KpiSource::plain("stats.trades.closed")),
                ("loop_latency_avg_ms".to_owned(), KpiSource { scale: 1000.0, ..KpiSource::plain("tick.s") }),
                ("exit_reasons".to_owned(), closed),
                ("net_pnl_usd".to_owned(), KpiSource::plain("pnl.net")),
                ("avg_loss_usd".to_owned(), KpiSource::plain("pnl.avg_loss")),
            ]),
            ..Mapping::default()
        };
        let out = fields(
            &mapping,
            json!({
                "stats": {"trades": {"closed": 4}}, "tick.s": 0.02, "exits": {"tp": 1, "tp2": 2, "time_limit": 1},
                "pnl": {"avg_loss": null, "avg_loss_reason": "undefined: no loser"}, "net_pnl_usd": 99,
            }),
        );
        assert_eq!(out["round_trips_completed"], 4);
        assert_eq!(out["loop_latency_avg_ms"], 20.0);
        assert_eq!(out["exit_reasons"], json!({"take_profit": 3.0, "time_limit": 1}));
        assert_eq!(out["avg_loss_usd_reason"], "undefined: no loser");
        assert_eq!(out["net_pnl_usd"], Value::Null, "a field that is mapped is not taken from elsewhere");
        assert_eq!(out["net_pnl_usd_reason"], "absent: the runner's file has no pnl.net");
    }
}
