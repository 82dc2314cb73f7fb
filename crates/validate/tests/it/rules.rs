//! Rules tried out: the shipped tests of the shipped rules, and what a file of tests may say.

use std::collections::BTreeSet;
use std::path::Path;
use validate::rules::{RulesError, test_file, test_text};

#[test]
fn every_shipped_rule_passes_its_shipped_tests() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../profiles/rules");
    let mut covered = BTreeSet::new();
    let mut failed = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let tested = test_file(&path).unwrap_or_else(|e| panic!("{e}"));
        failed.extend(
            tested.failed.iter().map(|f| format!("{}:{}: {}: {}", path.display(), f.line, f.test, f.what)),
        );
        covered.extend(tested.covered);
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    for rule in &catalogue::RULES {
        let has = |profile: &str, state: &str| {
            covered.contains(&(profile.to_owned(), rule.id.to_string(), state.to_owned()))
        };
        for profile in ["d77-4", "rehearsal"] {
            assert!(has(profile, "fired"), "{} never fires in {profile}", rule.id);
            assert!(has(profile, "clear") || has(profile, "pending"), "{} in {profile}", rule.id);
        }
        // The process has no samples, and blindness is the absence of them.
        let sampled = !matches!(rule.id, catalogue::RuleId::A1 | catalogue::RuleId::A9);
        assert!(!sampled || has("d77-4", "frozen"), "{} never freezes", rule.id);
    }
}

fn wrong(text: &str) -> validate::profile::ProfileError {
    match test_text("mine.toml", text) {
        Err(RulesError::Wrong(error)) => error,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn a_mistake_in_a_file_of_tests_is_shown_in_its_line() {
    let head = "profile = \"d77-4\"\n[[test]]\nname = \"x\"\ninterval = \"10 s\"\n";
    for (rest, part, line) in [
        (
            "expect = [{ at = \"10 s\", rule = \"A2\", state = \"clear\" }]\n[test.series]\nalert_dlq_totla = \"0\"\n",
            "no metric",
            7,
        ),
        (
            "expect = [{ at = \"10 s\", rule = \"A2\", state = \"clear\" }]\n[test.series]\nalert_dlq_total = \"0 oops\"\n",
            "\"oops\"",
            7,
        ),
        ("expect = [{ at = \"10 s\", rule = \"A11\", state = \"clear\" }]\n", "no rule \"A11\"", 5),
        ("expect = [{ at = \"10 s\", state = \"clear\" }]\n", "names no rule", 5),
        ("expect = [{ at = \"10 s\", rule = \"A2\", state = \"firing\" }]\n", "unknown variant", 5),
        ("expct = []\n", "unknown field", 5),
    ] {
        let error = wrong(&format!("{head}{rest}"));
        assert!(error.to_string().contains(part), "{error}");
        assert_eq!(error.line_column().map(|(line, _)| line), Some(line), "{}", error.render());
        assert_eq!(error.exit_code(), 64);
    }
    assert!(
        wrong("profile = \"d77-5\"\n[[test]]\nname = \"x\"\ninterval = \"1 s\"\nexpect = []\n")
            .to_string()
            .contains("d77-5")
    );
    assert!(wrong("profile = \"d77-4\"\n").to_string().contains("no [[test]]"));
}

#[test]
fn a_failed_expectation_says_what_came_instead() {
    let tested = test_text(
        "mine.toml",
        "profile = \"d77-4\"\n[[test]]\nname = \"dead letters\"\ninterval = \"10 s\"\nexpect = [\n\
         { at = \"10 s\", rule = \"A2\", state = \"clear\", abort = \"A2\" },\n]\n[test.series]\nalert_dlq_total = \"1\"\n",
    )
    .unwrap();
    let failed: Vec<_> = tested.failed.iter().map(|f| (f.line, f.what.as_str())).collect();
    assert_eq!(failed, [(6, "at 10 s: A2 is Fired, expected Clear (alert_dlq_total = 1)")]);
}

#[test]
fn a_rule_of_ones_own_is_tested_by_its_profile() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(
        dir.path().join("mine.toml"),
        "extends = \"d77-4\"\nname = \"mine\"\n[rules.crowded]\nsignal = \"open_files\"\nabove = 900\nfor = \"30 s\"\naction = \"warn\"\n",
    )
    .unwrap();
    let tests = dir.path().join("crowded.toml");
    std::fs::write(
        &tests,
        "profile = \"mine.toml\"\n[[test]]\nname = \"many files\"\ninterval = \"10 s\"\nexpect = [\n\
         { at = \"30 s\", rule = \"crowded\", state = \"pending\" },\n{ at = \"40 s\", rule = \"crowded\", state = \"fired\", abort = \"none\" },\n\
         { at = \"60 s\", rule = \"crowded\", state = \"clear\" },\n]\n[test.series]\n\"os.open_files\" = \"1000x4 10\"\n",
    )
    .unwrap();
    let tested = test_file(&tests).unwrap();
    assert!(tested.failed.is_empty(), "{:?}", tested.failed);
    assert_eq!(tested.expectations, 3);
}
