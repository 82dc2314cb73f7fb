//! `junit.xml`: one testcase per criterion, for CI servers. FAIL is a failure, INCONCLUSIVE an error: neither reads as passed, and
//! none is left out as skipped.

use gate::{Analysis, Outcome};
use std::fmt::Write;

/// Text for an attribute or an element; characters that XML 1.0 cannot hold become U+FFFD.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            '\t' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'.. => out.push(c),
            _ => out.push('\u{fffd}'),
        }
    }
    out
}

/// The document.
pub(super) fn xml(analysis: &Analysis) -> String {
    let count =
        |wanted: fn(&Outcome) -> bool| analysis.criteria.iter().filter(|c| wanted(&c.outcome)).count();
    let failures = count(|outcome| *outcome == Outcome::Fail);
    let errors = count(|outcome| matches!(outcome, Outcome::Inconclusive { .. }));
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "  <testsuite name=\"assay {}\" tests=\"{}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"0\">",
        escape(&analysis.run_id),
        analysis.criteria.len(),
    );
    out.push_str("    <properties>\n");
    let decision = [("decision", analysis.headline())];
    let lines = [("system", &analysis.system.sentence), ("strategy", &analysis.strategy.sentence)];
    for (name, value) in decision.into_iter().chain(lines.map(|(name, value)| (name, value.clone()))) {
        let _ = writeln!(out, "      <property name=\"{name}\" value=\"{}\"/>", escape(&value));
    }
    out.push_str("    </properties>\n");
    for criterion in &analysis.criteria {
        let title = escape(criterion.id.definition().title);
        let class = criterion.id.class();
        let _ = write!(out, "    <testcase classname=\"assay.{class:?}\" name=\"{} {title}\"", criterion.id);
        let mut text = format!("{} (threshold {})", criterion.value, criterion.threshold);
        if let Some(attested) = &criterion.attested {
            let _ = write!(text, "; attested by {} ({})", attested.by, attested.evidence);
        }
        let _ = match &criterion.outcome {
            Outcome::Pass => writeln!(out, "><system-out>{}</system-out></testcase>", escape(&text)),
            Outcome::Fail => {
                writeln!(out, "><failure type=\"FAIL\" message=\"{}\"/></testcase>", escape(&text))
            }
            Outcome::Inconclusive { why } => writeln!(
                out,
                "><error type=\"INCONCLUSIVE\" message=\"{}\"/></testcase>",
                escape(&format!("not proven: {why}; {text}"))
            ),
        };
    }
    out.push_str("  </testsuite>\n</testsuites>\n");
    out
}

#[cfg(test)]
mod tests {
    use crate::report::tests::run;

    #[test]
    fn every_criterion_is_a_testcase_and_only_a_pass_passes() {
        let run = run();
        let text = super::xml(&run.analysis);
        assert_eq!(text.matches("<testcase ").count(), 16, "{text}");
        let passed = run.analysis.criteria.iter().filter(|c| c.outcome == gate::Outcome::Pass).count();
        assert_eq!(text.matches("<failure ").count() + text.matches("<error ").count(), 16 - passed);
        assert_eq!(text.matches("skipped=\"0\"").count(), 1);
        assert_eq!(super::escape("<a & \"b\">\u{1b}"), "&lt;a &amp; &quot;b&quot;&gt;\u{fffd}");
    }
}
