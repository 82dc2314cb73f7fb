//! One test per row: a planted defect, which must be found with its cause, or a healthy runner, which must not be convicted. A row
//! is a runner's command line, changes of the profile, and what must come out. Here: what a row is, and how it is checked. The
//! rows themselves are in the modules, by what is broken.

mod account;
mod alerting;
mod exposition;
mod healthy;
mod kpi_file;
mod printing;
mod process;

use crate::harness::{Fake, RunFolder, assay};
use serde_json::Value;

/// Names each row's test and runs it.
macro_rules! rows {
    ($($(#[$doc:meta])* $name:ident: $row:expr;)*) => {
        $($(#[$doc])* #[test]
        fn $name() {
            $row.check();
        })*
    };
}
pub(crate) use rows;

/// The criteria that every healthy row passes, unless it says otherwise. M2 needs a journal.
const PASSED: [&str; 14] =
    ["C1", "C2", "C3", "C4", "C5", "C6", "H1", "H2", "H3", "H4", "H5", "H6", "M1", "M4"];

/// A row.
pub struct Row {
    fake: Fake,
    weight: u32,
    code: i32,
    aborts: Option<(&'static str, &'static str)>,
    judged: Vec<(String, String)>,
    reported: Vec<String>,
    kpis: Vec<(String, String)>,
    implausible: Vec<String>,
    warned: Vec<String>,
    interrupted: bool,
    healthy: bool,
}

impl Row {
    fn new(plan: &str, code: i32, healthy: bool) -> Self {
        Self {
            fake: Fake::new(plan).without_market(),
            weight: 1,
            code,
            aborts: None,
            judged: Vec::new(),
            reported: Vec::new(),
            kpis: Vec::new(),
            implausible: Vec::new(),
            warned: Vec::new(),
            interrupted: false,
            healthy,
        }
    }

    /// Another argument of the fake. Braces would be placeholders of the profile's command line.
    pub fn arg(mut self, name: &str, value: &str) -> Self {
        let value = value.replace('{', "\\x7b").replace('}', "\\x7d");
        self.fake = self.fake.arg(name, &value);
        self
    }

    /// Another value in the profile.
    pub fn set(mut self, key: &str, value: &str) -> Self {
        self.fake = self.fake.set(key, value);
        self
    }

    /// A runner without alerting, and a profile that says so.
    pub fn without_alerts(mut self) -> Self {
        self.fake = self.fake.without_alerts();
        self
    }

    /// It uses the machine: fewer others beside it.
    pub fn heavy(mut self) -> Self {
        self.weight = 2;
        self
    }

    /// Stopped by a rule in the main run.
    pub fn aborts(mut self, cause: &'static str) -> Self {
        (self.code, self.aborts) = (21, Some(("main", cause)));
        self
    }

    /// Stopped by a rule in the smoke: no main run.
    pub fn smoke_aborts(mut self, cause: &'static str) -> Self {
        (self.code, self.aborts) = (31, Some(("smoke", cause)));
        self
    }

    /// Another exit code.
    pub fn code(mut self, code: i32) -> Self {
        self.code = code;
        self
    }

    /// The smoke fails without a rule.
    pub fn smoke_fails(mut self) -> Self {
        self.code = 31;
        self
    }

    /// Nobody's fault and no verdict.
    pub fn interrupted(mut self) -> Self {
        (self.code, self.interrupted) = (130, true);
        self
    }

    /// A criterion's outcome.
    pub fn judged(mut self, id: &str, outcome: &str) -> Self {
        self.judged.push((id.to_owned(), outcome.to_owned()));
        self
    }

    /// Words of the report.
    pub fn reports(mut self, words: &str) -> Self {
        self.reported.push(words.to_owned());
        self
    }

    /// What kind of value a KPI has.
    pub fn kpi(mut self, field: &str, kind: &str) -> Self {
        self.kpis.push((field.to_owned(), kind.to_owned()));
        self
    }

    /// A plausibility rule that must be violated, by the beginning of its name.
    pub fn implausible(mut self, rule: &str) -> Self {
        self.implausible.push(rule.to_owned());
        self
    }

    /// A B rule that must have fired.
    pub fn warned(mut self, rule: &str) -> Self {
        self.warned.push(rule.to_owned());
        self
    }

    /// Runs it and holds everything against what was expected; names all that differs.
    #[track_caller]
    pub fn check(self) {
        let (done, left) = (self.fake.validate_with(self.weight), self.fake.left());
        let run = self.fake.run();
        let mut wrong = Vec::new();
        if done.code != Some(self.code) {
            wrong.push(format!("exit code {:?}, expected {}", done.code, self.code));
        }
        if !left.is_empty() {
            wrong.push(format!("left behind: {left:?}"));
        }
        if run.path("analysis_result.json").exists() {
            self.compare(&run, &mut wrong);
        } else {
            wrong.push("there is no analysis".to_owned());
        }
        if let Some((_, cause)) = self.aborts
            && !(done.stdout.contains(cause) && done.stdout.contains("NO-GO"))
        {
            wrong.push(format!("the screen does not say NO-GO and {cause}"));
        }
        let again = assay(["rejudge", &run.0.to_string_lossy()]);
        if again.code != Some(0) {
            wrong.push(format!("rejudge exits {:?}: {}{}", again.code, again.stdout, again.stderr));
        }
        assert!(wrong.is_empty(), "{}\n\n{}\n{}", wrong.join("\n"), done.stdout, done.stderr);
        run.is_tidy();
    }

    fn compare(&self, run: &RunFolder, wrong: &mut Vec<String>) {
        let analysis = run.json("analysis_result.json");
        let report = run.text("report.md");
        self.causes(run, &analysis, wrong);
        let mut judged = self.judged.clone();
        if self.healthy {
            let said = |id: &str| self.judged.iter().any(|(other, _)| other == id);
            judged
                .extend(PASSED.iter().filter(|id| !said(id)).map(|id| ((*id).to_owned(), "pass".to_owned())));
        }
        for (id, outcome) in &judged {
            let (word, record) = run.criterion(id);
            if word != *outcome {
                wrong.push(format!("{id} is {word}, expected {outcome}: {record}"));
            }
        }
        let verdict = if self.code == 12 { "REHEARSAL: would be" } else { "NO-GO" };
        for words in self.reported.iter().map(String::as_str).chain([verdict]) {
            if !report.contains(words) {
                wrong.push(format!("{words:?} is not in the report {}", run.path("report.md").display()));
            }
        }
        for (field, kind) in &self.kpis {
            let kpi = analysis["kpis"].as_array().unwrap().iter().find(|k| k["field"] == *field).unwrap();
            if kpi["value"].get(kind).is_none() {
                wrong.push(format!("{field} is {}, expected {kind}", kpi["value"]));
            }
        }
        self.plausible(&analysis, wrong);
    }

    fn causes(&self, run: &RunFolder, analysis: &Value, wrong: &mut Vec<String>) {
        let summary = run.json("monitor_summary.json");
        for phase in ["smoke", "main"] {
            let expected = self.aborts.filter(|(at, _)| *at == phase).map(|(_, cause)| cause);
            let ran = summary["phases"].as_array().unwrap().iter().find(|p| p["phase"] == phase);
            let cause = ran.and_then(|p| p["abort_cause"].as_str());
            if cause != expected {
                wrong.push(format!(
                    "{phase} aborted by {cause:?}, expected {expected:?}: {:?}",
                    ran.map(|p| &p["end"])
                ));
            }
            if phase == "main" && ran.is_some() == (self.code == 31) {
                wrong.push(format!("a main run: {}", ran.is_some()));
            }
        }
        if analysis["aborted"]["cause"].as_str() != self.aborts.map(|(_, cause)| cause) {
            wrong.push(format!("the analysis says aborted: {}", analysis["aborted"]));
        }
        if analysis["interrupted"].is_string() != self.interrupted {
            wrong.push(format!("the analysis says interrupted: {}", analysis["interrupted"]));
        }
        let warnings = summary["warnings"].to_string();
        for rule in &self.warned {
            if !warnings.contains(rule.as_str()) {
                wrong.push(format!("{rule} did not warn: {warnings}"));
            }
        }
        if self.healthy && self.warned.is_empty() && warnings != "[]" {
            wrong.push(format!("warnings: {warnings}"));
        }
    }

    fn plausible(&self, analysis: &Value, wrong: &mut Vec<String>) {
        let findings = analysis["plausibility"].as_array().unwrap();
        let violated = |f: &&Value| f["status"] == "violated";
        for rule in &self.implausible {
            let found =
                findings.iter().filter(violated).any(|f| f["rule"].as_str().unwrap().starts_with(rule));
            if !found {
                let found = findings.iter().find(|f| f["rule"].as_str().unwrap().starts_with(rule.as_str()));
                wrong.push(format!("{rule} was not violated: {found:?}"));
            }
        }
        if self.healthy {
            wrong.extend(findings.iter().filter(violated).map(|f| format!("implausible: {f}")));
            let kpis = analysis["kpis"].as_array().unwrap();
            let bad = kpis
                .iter()
                .filter(|k| k["value"].get("implausible").is_some() || k["value"].get("absent").is_some());
            wrong.extend(bad.map(|k| format!("{k}")));
        }
    }
}

/// A runner that must not be convicted: a GO in a rehearsal, everything judged `pass`, no rule, no warning, nothing implausible.
pub fn healthy(plan: &str) -> Row {
    Row::new(plan, 12, true)
}

/// A runner that must end NO-GO.
pub fn broken(plan: &str) -> Row {
    Row::new(plan, 20, false)
}
