//! Judging what is there already: `analyze` and `attest`, and the command that starts a run again.

use crate::cli::{Analyze, Attest, Market, Rehearse};
use crate::commands::print;
use crate::fail::Failure;
use catalogue::{CriterionId, exit_codes};
use validate::{analyze as analysis, attest as attestation, profile, review};

/// The rehearsal as it was typed.
pub(crate) fn rehearse_again(args: &Rehearse) -> String {
    let market = if args.market == Market::Calm { " --market calm" } else { "" };
    let seed = args.seed.map_or_else(String::new, |seed| format!(" --seed {seed}"));
    let prices = args
        .prices
        .as_ref()
        .map_or_else(String::new, |dir| format!(" --prices {}", quoted(&dir.display().to_string())));
    let from = args.from.as_ref().map_or_else(String::new, |from| format!(" --from {}", quoted(from)));
    let gaps: String = args.gap.iter().map(|gap| format!(" --gap {gap}")).collect();
    format!("assay rehearse{market}{prices}{from}{gaps}{seed}")
}

/// A word for a shell.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-/=:@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

pub(crate) fn analyze(args: &Analyze) -> Result<u8, Failure> {
    let request = analysis::Request {
        dir: args.dir.clone(),
        loaded: profile::load(&args.profile)?,
        logs: args.log.clone(),
        out: args.out.clone(),
        rerun: format!("assay validate --profile {}", quoted(&args.profile)),
    };
    let found = analysis::analyze(&request)?;
    for input in &found.inputs {
        print(&format!("{:<20} {}\n", input.kind, input.path));
    }
    print(&format!("\n{}\n", found.analysis.headline()));
    for line in [&found.analysis.system.sentence, &found.analysis.strategy.sentence] {
        print(&format!("{line}\n"));
    }
    for finding in &found.violated {
        print(&format!("cannot be true: {finding}\n"));
    }
    print(&format!("report: {}\n", found.out.join(validate::archive::names::REPORT_MD).display()));
    Ok(found.analysis.exit_code())
}

pub(crate) fn attest(args: &Attest) -> Result<u8, Failure> {
    let wanted = args.criterion.to_ascii_uppercase();
    let Some(id) = CriterionId::ALL.into_iter().find(|id| id.as_str() == wanted) else {
        let text =
            format!("there is no criterion {:?}; they are C1 to C6, H1 to H6, M1 to M4", args.criterion);
        return Err(Failure::new(exit_codes::USAGE, text));
    };
    let dir = review::find(&args.run.logs.logs, &args.run.run)?;
    let settled = attestation::attest(&dir, id, &args.by, &args.evidence)?;
    print(&format!("{id} is attested by {}\n", args.by.trim()));
    print(&format!("  before: {}\n  now:    {}\n", settled.before, settled.analysis.headline()));
    print(&format!("  {}\n", settled.analysis.judged));
    print(&format!("manifest head {}, which goes on from {}\n", settled.head, settled.previous));
    Ok(settled.analysis.exit_code())
}
