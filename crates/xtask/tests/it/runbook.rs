//! The runbook has a section for every watch rule and alert of the catalogue, and none for anything else; each has its four parts. The ids are read from
//! the catalogue's sources: this crate depends on no other.

use std::collections::BTreeSet;

fn read(path: &str) -> String {
    std::fs::read_to_string(xtask::root().join(path)).unwrap()
}

/// The texts between quotation marks.
fn literals(source: &str) -> impl Iterator<Item = &str> {
    source
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| line.split('"').skip(1).step_by(2))
}

fn is_alert_id(text: &str) -> bool {
    text.len() >= 4 && text.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '-')
}

#[test]
fn every_rule_and_alert_has_its_section() {
    let rules = read("crates/catalogue/src/rule.rs");
    let alerts = read("crates/catalogue/src/alert.rs");
    let watch = rules.lines().filter_map(|line| line.trim().strip_prefix("id: RuleId::")?.strip_suffix(','));
    let mut ids: BTreeSet<String> = watch.map(str::to_owned).collect();
    assert_eq!(ids.len(), 13, "the watch rules were found in the source");
    ids.extend(literals(&alerts).filter(|text| is_alert_id(text)).map(str::to_owned));
    assert!(ids.contains("DRILL") && ids.contains("RATE-429"), "the alert rules were found in the source");
    let runbook = read("docs/runbook.md");
    let sections: BTreeSet<String> =
        runbook.lines().filter_map(|line| line.strip_prefix("## ")).map(str::to_owned).collect();
    assert_eq!(sections, ids, "left: sections of docs/runbook.md, right: ids of the catalogue");
}

/// What a section must say, in this order.
const PARTS: [&str; 4] = ["Means", "First checks", "Mitigation", "Escalation"];

#[test]
fn every_section_has_its_four_parts() {
    let runbook = read("docs/runbook.md");
    for section in runbook.split("\n## ").skip(1) {
        let (id, body) = section.split_once('\n').unwrap();
        let body = body.split("\n# ").next().unwrap();
        let parts: Vec<(&str, &str)> =
            body.lines().filter_map(|line| line.strip_prefix("- **")?.split_once(":** ")).collect();
        assert_eq!(parts.iter().map(|(name, _)| *name).collect::<Vec<_>>(), PARTS, "{id}");
        assert!(parts.iter().all(|(_, text)| text.len() >= 5), "{id}");
        let outside = body.lines().filter(|line| !line.is_empty() && !line.starts_with(['-', ' ']));
        assert_eq!(outside.count(), 0, "{id} has text outside its parts");
    }
}
