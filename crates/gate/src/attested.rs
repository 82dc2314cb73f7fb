//! What a person settled by hand: which criteria can be, and what becomes of them.
//!
//! An attestation settles what is INCONCLUSIVE and nothing else: it cannot touch a FAIL, it makes no PASS better, and it is shown wherever
//! the criterion is. C6 always can be attested; others only where the profile lists them; C1 to C5 never.

use crate::criteria::WAIVED;
use crate::evidence::{Attested, Evidence, Settings};
use crate::value::{Attestation, CriterionResult, Outcome};
use catalogue::{Class, CriterionId};

/// Why an attestation does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// C1 to C5.
    #[error("{0} can never be attested: only the evidence of a run settles it; run again")]
    Never(CriterionId),
    /// The profile does not list it.
    #[error(
        "{0} is not attestable in this profile: list it, attestable = [\"{0}\"], before the run (that makes the profile custom)"
    )]
    NotListed(CriterionId),
    /// It was shown not to hold.
    #[error("{0} failed, and no attestation touches a FAIL: repair it and run again")]
    Failed(CriterionId),
    /// The runner was declared not to have it: what cannot be is not proven by a word.
    #[error("{0} is declared not applicable: it counts as not proven, and no attestation changes that")]
    Waived(CriterionId),
    /// It holds already.
    #[error("{0} passed: there is nothing to attest")]
    Passed(CriterionId),
}

/// True when the settings let a person settle the criterion.
///
/// # Errors
/// [`Refusal::Never`], [`Refusal::NotListed`].
pub fn permitted(settings: &Settings, id: CriterionId) -> Result<(), Refusal> {
    match id {
        CriterionId::C6 => Ok(()),
        _ if id.class() == Class::Critical => Err(Refusal::Never(id)),
        _ if settings.attestable.contains(&id) => Ok(()),
        _ => Err(Refusal::NotListed(id)),
    }
}

/// Whether an attestation of `criterion` would count now.
///
/// # Errors
/// [`Refusal`].
pub fn check(settings: &Settings, criterion: &CriterionResult) -> Result<(), Refusal> {
    permitted(settings, criterion.id)?;
    match &criterion.outcome {
        Outcome::Fail => Err(Refusal::Failed(criterion.id)),
        Outcome::Pass => Err(Refusal::Passed(criterion.id)),
        Outcome::Inconclusive { why } if why == WAIVED => Err(Refusal::Waived(criterion.id)),
        Outcome::Inconclusive { .. } => Ok(()),
    }
}

/// Settles what can be settled. Without a main run there is nothing to attest: the run never happened.
pub(crate) fn settle(evidence: &Evidence, criteria: &mut [CriterionResult]) {
    if evidence.main.is_none() {
        return;
    }
    for line in &evidence.attestations {
        if let Some(criterion) = criteria.iter_mut().find(|c| c.id == line.criterion)
            && check(&evidence.settings, criterion).is_ok()
        {
            attest(criterion, line);
        }
    }
}

fn attest(criterion: &mut CriterionResult, line: &Attested) {
    if let Outcome::Inconclusive { why } = &criterion.outcome {
        let note = format!(
            "ATTESTED by {} at {} with {}; by itself not proven: {why}",
            line.by, line.at, line.evidence
        );
        criterion.note = Some(match criterion.note.take() {
            Some(before) => format!("{note}; {before}"),
            None => note,
        });
    }
    criterion.outcome = Outcome::Pass;
    criterion.evidence.push(line.evidence.clone());
    criterion.attested = Some(Attestation {
        by: line.by.clone(),
        at: line.at.clone(),
        evidence: line.evidence.clone(),
        sha256: line.sha256.clone(),
    });
}

/// The ids of the attested criteria.
pub(crate) fn ids(criteria: &[CriterionResult]) -> Vec<String> {
    criteria.iter().filter(|c| c.attested.is_some()).map(|c| c.id.to_string()).collect()
}

/// `16 of 16 judged`, and how many of them by a person.
pub(crate) fn judged(n: usize, criteria: &[CriterionResult]) -> String {
    let ids = ids(criteria);
    if ids.is_empty() {
        format!("{n} of 16 judged")
    } else {
        format!("{n} of 16 judged, {} attested by a person", ids.join(", "))
    }
}
