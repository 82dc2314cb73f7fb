//! Attestations: what they settle, what they cannot touch, and that no byte of the history is lost by them.

use super::archive::{MAIN, SMOKE, end, folder};
use catalogue::CriterionId;
use gate::Simple;
use std::path::{Path, PathBuf};
use validate::archive::{RunDir, anchors, names, verify, write_manifest};
use validate::attest::{AttestError, attest};
use validate::{pipeline, review};

fn judged(root: &Path) -> (RunDir, String) {
    let dir = folder(root, &[SMOKE, &end("smoke"), MAIN, &end("main")]);
    pipeline::conclude(&dir).unwrap();
    let head = write_manifest(&dir, "r1").unwrap();
    (dir, head)
}

fn shot(root: &Path) -> PathBuf {
    let path = root.join("grafana shot.png");
    std::fs::write(&path, b"what the dashboard showed").unwrap();
    path
}

#[test]
fn c6_is_settled_shown_kept_and_rejudged_alike() {
    let root = tempfile::tempdir().unwrap();
    let (dir, first) = judged(root.path());
    let settled = attest(&dir, CriterionId::C6, " Kim ", &shot(root.path())).unwrap();
    let c6 = settled.analysis.criteria.iter().find(|c| c.id == CriterionId::C6).unwrap();
    let who = c6.attested.as_ref().unwrap();
    assert_eq!((c6.outcome.simple(), who.by.as_str()), (Simple::Pass, "Kim"));
    assert_eq!(who.evidence, "attestations/1_grafana_shot.png");
    for name in [names::REPORT_MD, names::REPORT_HTML, names::JUNIT, names::ANALYSIS] {
        let text = std::fs::read_to_string(dir.path(name)).unwrap();
        assert!(text.to_lowercase().contains("attested") && text.contains("Kim"), "{name}");
    }
    assert_eq!(review::rejudge(&dir).unwrap().differences, Vec::<String>::new());
    assert_eq!(verify(&dir).unwrap(), Vec::<String>::new());
    let heads: Vec<String> = anchors(&dir).into_iter().map(|anchor| anchor.head).collect();
    assert_eq!(heads, [first.clone(), settled.head]);
    assert_eq!(settled.previous, first);
    // A second time there is nothing left to settle.
    assert!(matches!(
        attest(&dir, CriterionId::C6, "Kim", &shot(root.path())),
        Err(AttestError::Refused(refusal)) if refusal.to_string().contains("nothing to attest")
            || refusal.to_string().contains("passed")
    ));
}

#[test]
fn what_was_attested_with_and_what_it_replaced_cannot_be_changed_unseen() {
    for path in
        ["attestations/1_grafana_shot.png", "history/1/analysis_result.json", "history/1/manifest.json"]
    {
        let root = tempfile::tempdir().unwrap();
        let (dir, _) = judged(root.path());
        attest(&dir, CriterionId::C6, "Kim", &shot(root.path())).unwrap();
        let mut bytes = std::fs::read(dir.path(path)).unwrap();
        bytes[3] ^= 1;
        std::fs::write(dir.path(path), bytes).unwrap();
        let changes = verify(&dir).unwrap().join("\n");
        assert!(changes.contains(path), "{path}: {changes}");
    }
    // Evidence that is no longer what was attested with settles nothing.
    let root = tempfile::tempdir().unwrap();
    let (dir, _) = judged(root.path());
    attest(&dir, CriterionId::C6, "Kim", &shot(root.path())).unwrap();
    std::fs::write(dir.path("attestations/1_grafana_shot.png"), b"another").unwrap();
    let again = review::rejudge(&dir).unwrap();
    let c6 = again.analysis.criteria.iter().find(|c| c.id == CriterionId::C6).unwrap();
    assert_ne!(c6.outcome.simple(), Simple::Pass);
    assert!(
        again.analysis.interrupted.is_some_and(|why| why.contains("not the file that was attested with"))
    );
}

#[test]
fn what_cannot_be_attested_is_refused_and_changes_nothing() {
    let root = tempfile::tempdir().unwrap();
    let (dir, _) = judged(root.path());
    let before = std::fs::read(dir.path(names::ANALYSIS)).unwrap();
    for (id, words) in [
        (CriterionId::C1, "can never be attested"),
        (CriterionId::C5, "can never be attested"),
        (CriterionId::M4, "not attestable in this profile"),
    ] {
        let error = attest(&dir, id, "Kim", &shot(root.path())).unwrap_err();
        assert!(error.to_string().contains(words), "{id}: {error}");
    }
    assert!(matches!(attest(&dir, CriterionId::C6, " ", &shot(root.path())), Err(AttestError::Nobody)));
    let missing = root.path().join("nowhere.png");
    assert!(matches!(attest(&dir, CriterionId::C6, "Kim", &missing), Err(AttestError::Evidence { .. })));
    assert_eq!(std::fs::read(dir.path(names::ANALYSIS)).unwrap(), before);
    std::fs::write(dir.path(names::SAMPLES), b"\n").unwrap();
    assert!(matches!(attest(&dir, CriterionId::C6, "Kim", &shot(root.path())), Err(AttestError::Changed(_))));
}
