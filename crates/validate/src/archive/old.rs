//! Reading `metadata.json` of older formats: what their version meant, said in the words of this one.

use gate::rules::{Action, Comparison, Condition, RuleName, RuleSpec, Signal, Window};
use serde_json::{Map, Value, json};

/// Brings a `metadata.json` to this version's format; one of this or a newer version is left as it is.
///
/// # Errors
/// What an older one lacks.
pub(super) fn upgrade(mut metadata: Value) -> Result<Value, String> {
    if metadata.get("format").and_then(Value::as_u64) == Some(1) {
        from_1(&mut metadata)?;
    }
    Ok(metadata)
}

/// Format 1 had six rules of signals (A2, A4, A5, A8, A9, B2) with fixed thresholds, and only their windows in the profile. The
/// rules that it did not have stay absent: a run of that version was not watched by them, and its decision is capped.
fn from_1(metadata: &mut Value) -> Result<(), String> {
    let settings = table(metadata, "settings")?;
    let mut span = |key: &str| {
        let found = settings.remove(key).and_then(|value| value.as_f64());
        found.ok_or_else(|| format!("settings.{key} is missing in a file of format 1"))
    };
    let when = |signal, comparison, threshold| Condition { signal, comparison, threshold };
    let rule = |name: &str, when, window, action| RuleSpec {
        name: RuleName::new(name),
        when,
        and: None,
        window,
        min_events: None,
        grace_s: None,
        action,
    };
    let (above, at_most) = (Comparison::Above, Comparison::AtMost);
    let (a4, a5) = (Window::For(span("a4_for_s")?), Window::For(span("a5_for_s")?));
    let (a8, a9) = (Window::For(span("a8_for_s")?), Window::For(span("a9_for_s")?));
    let b2 = Window::Over(span("b2_over_s")?);
    let rules = vec![
        rule("A2", when(Signal::AlertDlq, above, 0.0), Window::AtOnce, Action::Abort),
        rule("A4", when(Signal::LoopLatencyP99Ms, above, 100.0), a4, Action::Abort),
        rule("A5", when(Signal::CpuPct, above, 80.0), a5, Action::Abort),
        rule("A8", when(Signal::Progress, at_most, 0.0), a8, Action::Abort),
        rule("A9", when(Signal::Scrapes, at_most, 0.0), a9, Action::Abort),
        rule("B2", when(Signal::RoundTrips, at_most, 0.0), b2, Action::Warn),
    ];
    let rules = serde_json::to_value(rules).map_err(|e| e.to_string())?;
    settings.insert("rules".to_owned(), rules.clone());
    let profile = table(metadata, "profile")?;
    let before = profile.insert("rules".to_owned(), rules);
    let before = before.ok_or("profile.rules is missing in a file of format 1")?;
    let mut measure = Map::new();
    for key in ["memory_skip", "memory_min", "memory_window", "cpu_cores"] {
        let value =
            before.get(key).ok_or_else(|| format!("profile.rules.{key} is missing in a file of format 1"))?;
        measure.insert(key.to_owned(), value.clone());
    }
    profile.insert("measure".to_owned(), Value::Object(measure));
    metadata["format"] = json!(2);
    Ok(())
}

fn table<'a>(metadata: &'a mut Value, key: &str) -> Result<&'a mut Map<String, Value>, String> {
    metadata.get_mut(key).and_then(Value::as_object_mut).ok_or_else(|| format!("{key} is missing"))
}

#[cfg(test)]
mod tests {
    use super::upgrade;
    use crate::archive::Metadata;
    use crate::report::tests::run;
    use catalogue::RuleId;
    use serde_json::{Value, json};

    /// The metadata of a run as format 1 had them.
    fn format_1() -> Value {
        let mut value = serde_json::to_value(&run().metadata).unwrap();
        value["format"] = json!(1);
        let settings = value["settings"].as_object_mut().unwrap();
        settings.remove("rules");
        for (key, s) in [
            ("a4_for_s", 5.0),
            ("a5_for_s", 10.0),
            ("a8_for_s", 10.0),
            ("a9_for_s", 11.0),
            ("b2_over_s", 30.0),
        ] {
            settings.insert(key.to_owned(), json!(s));
        }
        let profile = value["profile"].as_object_mut().unwrap();
        let mut rules = profile.remove("measure").unwrap();
        for (key, span) in [
            ("a4_for", "5 s"),
            ("a5_for", "10 s"),
            ("a8_for", "10 s"),
            ("a9_for", "11 s"),
            ("b2_over", "30 s"),
        ] {
            rules[key] = json!(span);
        }
        profile.insert("rules".to_owned(), rules);
        value
    }

    #[test]
    fn a_run_of_format_1_is_read_with_the_rules_that_watched_it() {
        let upgraded: Metadata = serde_json::from_value(upgrade(format_1()).unwrap()).unwrap();
        let names: Vec<&str> = upgraded.settings.rules.iter().map(|rule| rule.name.as_str()).collect();
        assert_eq!(names, ["A2", "A4", "A5", "A8", "A9", "B2"]);
        assert_eq!(upgraded.settings.rules, upgraded.profile.rules);
        let a9 = upgraded.settings.rule(&RuleId::A9.into()).unwrap();
        assert_eq!(a9.to_string(), "scrapes <= 0 for 11 s");
        assert_eq!(upgraded.profile.measure, run().metadata.profile.measure);
        assert_eq!(upgraded.format, 2);
        let mut torn = format_1();
        torn["settings"].as_object_mut().unwrap().remove("a4_for_s");
        assert!(upgrade(torn).unwrap_err().contains("a4_for_s"));
        let now = serde_json::to_value(&run().metadata).unwrap();
        assert_eq!(upgrade(now.clone()).unwrap(), now);
    }
}
