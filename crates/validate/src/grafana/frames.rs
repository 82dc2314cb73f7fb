//! Grafana's data frames as JSON: the results of one query of `/api/ds/query`. The format is Grafana's "data frame" wire format:
//! a list of fields and, beside it, a list of columns; what JSON cannot write stands in `entities`.

use serde_json::Value;
use std::collections::BTreeMap;

/// One series: its labels (without those that Prometheus adds to name the target) and its last value, which may be NaN.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// The metric's name, when the series has one.
    pub name: Option<String>,
    /// The value.
    pub value: f64,
}

/// Labels that name the scraped target and not the series.
const TARGET: [&str; 2] = ["instance", "job"];

/// The series of one result.
///
/// # Errors
/// What Grafana says of the query that failed, or what is odd about the frames.
pub fn rows(result: Option<&Value>) -> Result<Vec<Row>, String> {
    let result = result.ok_or("Grafana's answer leaves the query out")?;
    if let Some(error) = result.get("error").and_then(Value::as_str).filter(|text| !text.is_empty()) {
        return Err(error.to_owned());
    }
    let frames = result.get("frames").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut all = Vec::new();
    for frame in frames {
        let list = |value: Option<&Value>| value.and_then(Value::as_array).cloned().unwrap_or_default();
        let fields = list(frame.pointer("/schema/fields"));
        let columns = list(frame.pointer("/data/values"));
        let entities = list(frame.pointer("/data/entities"));
        if fields.len() != columns.len() {
            return Err(format!("a frame has {} fields and {} columns", fields.len(), columns.len()));
        }
        for (i, field) in fields.iter().enumerate() {
            if field.get("type").and_then(Value::as_str) != Some("number") {
                continue;
            }
            let Some(last) = columns[i].as_array().filter(|column| !column.is_empty()) else { continue };
            let row = last.len() - 1;
            let value = last[row].as_f64().or_else(|| entity(entities.get(i), row));
            // A gap is no value.
            let Some(value) = value else { continue };
            all.push(series(field, value));
        }
    }
    Ok(all)
}

/// A value that JSON cannot write.
fn entity(entities: Option<&Value>, row: usize) -> Option<f64> {
    let listed = |name: &str| {
        let rows = entities?.get(name)?.as_array()?;
        rows.iter().any(|r| r.as_u64() == u64::try_from(row).ok()).then_some(())
    };
    if listed("NaN").is_some() {
        return Some(f64::NAN);
    }
    if listed("Inf").is_some() {
        return Some(f64::INFINITY);
    }
    listed("NegInf").map(|()| f64::NEG_INFINITY)
}

fn series(field: &Value, value: f64) -> Row {
    let labels = field.get("labels").and_then(Value::as_object);
    let mut labels: BTreeMap<String, String> = labels
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .filter(|(name, _)| !TARGET.contains(&name.as_str()))
        .collect();
    let name = labels.remove("__name__");
    Row { labels, name, value }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// As Grafana 12 answers an instant query of Prometheus.
    fn vector(value: Value, entities: Value) -> Value {
        json!({ "status": 200, "frames": [{
            "schema": {
                "refId": "A",
                "meta": { "type": "numeric-multi", "typeVersion": [0, 1], "custom": { "resultType": "vector" },
                          "executedQueryString": "Expr: x\nStep: 15s" },
                "fields": [
                    { "name": "Time", "type": "time", "typeInfo": { "frame": "time.Time" }, "config": {} },
                    { "name": "Value", "type": "number", "typeInfo": { "frame": "float64" },
                      "labels": { "__name__": "x", "instance": "a:1", "job": "assay", "venue": "upbit" },
                      "config": { "displayNameFromDS": "x{...}" } },
                ],
            },
            "data": { "values": [[1_641_889_530_000_i64], [value]], "entities": entities },
        }]})
    }

    #[test]
    fn a_vector_is_read_with_its_labels() {
        let found = rows(Some(&vector(json!(2.5), Value::Null))).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].value, found[0].name.as_deref()), (2.5, Some("x")));
        assert_eq!(found[0].labels, BTreeMap::from([("venue".to_owned(), "upbit".to_owned())]));
    }

    #[test]
    fn nan_is_a_series_and_a_gap_is_none() {
        let nan = rows(Some(&vector(Value::Null, json!([null, { "NaN": [0] }])))).unwrap();
        assert!(nan.len() == 1 && nan[0].value.is_nan());
        assert!(rows(Some(&vector(Value::Null, Value::Null))).unwrap().is_empty());
    }

    #[test]
    fn no_series_an_error_and_a_missing_result_are_told_apart() {
        let empty =
            json!({ "status": 200, "frames": [{ "schema": { "fields": [] }, "data": { "values": [] } }] });
        assert_eq!(rows(Some(&empty)), Ok(Vec::new()));
        let error = json!({ "error": "dial tcp 127.0.0.1:9090: connect: connection refused", "status": 500 });
        assert!(rows(Some(&error)).unwrap_err().contains("refused"));
        assert!(rows(None).is_err());
    }
}
