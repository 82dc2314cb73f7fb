//! What the judge found, as sections: criteria, KPIs, caps, plausibility, watch rules, diagnosis. Curves and tables of the run
//! are in `figures`; configuration, environment and files in `setup`.

use super::facts::RuleEnd;
use super::model::{Block, Cell, Section, Table, Tone};
use super::said::{said, short_seconds};
use super::words::{Lang, Words, fill};
use super::{Report, figures, first, setup, shadows};
use crate::profile;
use catalogue::{CRITERIA, Class, KPIS, Kpi, KpiGroup, RULES, Unit};
use gate::evidence::RuleState;
use gate::judge::PlausibilityStatus;
use gate::value::figure;
use gate::{CriterionResult, CrossCheck, KpiResult, Outcome, RuleName, RuleSpec, Value};

/// Stands where a column has nothing to say.
const NOTHING: &str = "-";

/// One decimal: a time of the run for people.
fn seconds(s: f64) -> f64 {
    (s * 10.0).round() / 10.0
}

pub(super) fn all(report: &Report<'_>, lang: Lang) -> Vec<Section> {
    let w = lang.words();
    let section = |id, title, blocks| Section { id, title, blocks };
    vec![
        section("configuration", w.configuration, setup::configuration(report, w)),
        section("kpis", w.kpis, kpis(report, w)),
        section("criteria", w.criteria, criteria(report, w)),
        section("caps", w.caps, caps(report, w)),
        section("plausibility", w.plausibility, plausibility(report, w)),
        section("rules", w.rules, rules(report, w)),
        section("phases", w.phases, setup::phases(report, w)),
        section("money", w.money, super::money::money(report, lang)),
        section("exits", w.exit_reasons, figures::exits(report, lang)),
        section("funnel", w.funnel, figures::funnel(report, lang)),
        section("books", w.books, super::trust::blocks(report, lang)),
        section("shadows", w.shadows, shadows::shadows(report, w)),
        section("alerts", w.alerts, figures::alerts(report, w)),
        section("latency", w.latency, figures::latency(report, w)),
        section("memory", w.memory, figures::memory(report, w)),
        section("cpu", w.cpu, figures::cpu(report, w)),
        section("log", w.log, figures::log(report, w)),
        section("crashes", w.crashes, figures::crashes(report, w)),
        section("diagnosis", w.diagnosis, diagnosis(report, w)),
        section("environment", w.environment, setup::environment(report, w)),
        section("files", w.files, setup::files(report, w)),
    ]
}

fn criteria(report: &Report<'_>, w: &'static Words) -> Vec<Block> {
    let head = vec![
        w.col_id,
        w.col_criterion,
        w.col_outcome,
        w.col_value,
        w.col_threshold,
        w.col_evidence,
        w.col_remark,
    ];
    let mut blocks = Vec::new();
    for (class, title) in
        [(Class::Critical, w.class_critical), (Class::High, w.class_high), (Class::Medium, w.class_medium)]
    {
        let rows = CRITERIA
            .iter()
            .filter(|definition| definition.id.class() == class)
            .map(|definition| {
                let name = if w.is_korean() { definition.title_ko } else { definition.title };
                let mut row = vec![Cell::Code(definition.id.to_string()), Cell::Text(name.to_owned())];
                match report.analysis.criteria.iter().find(|c| c.id == definition.id) {
                    Some(found) => row.extend(criterion(found, w)),
                    None => row.extend([
                        Cell::Badge(Tone::Warn, w.inconclusive.to_owned()),
                        Cell::Text(w.criterion_missing.to_owned()),
                        Cell::Text(definition.threshold.to_owned()),
                        Cell::Text(w.no_evidence_named.to_owned()),
                        Cell::Text(w.none.to_owned()),
                    ]),
                }
                row
            })
            .collect();
        blocks.push(Block::Sub(title.to_owned(), None));
        blocks.push(Block::Table(Table { caption: title.to_owned(), head: head.clone(), rows }));
    }
    blocks
}

fn criterion(found: &CriterionResult, w: &'static Words) -> [Cell; 5] {
    let mut remarks = Vec::new();
    let badge = match &found.outcome {
        Outcome::Pass => Cell::Badge(Tone::Good, w.pass.to_owned()),
        Outcome::Fail => Cell::Badge(Tone::Bad, w.fail.to_owned()),
        Outcome::Inconclusive { why } => {
            remarks.push(said(why, w));
            Cell::Badge(Tone::Warn, w.inconclusive.to_owned())
        }
    };
    remarks.extend(found.note.as_ref().map(|note| said(note, w)));
    // What the value says already is no remark.
    remarks.retain(|remark| *remark != said(&found.value, w));
    if let Some(person) = &found.attested {
        remarks.push(fill(w.attested, &[&person.by, &person.evidence]));
    }
    let evidence = if found.evidence.is_empty() {
        Cell::Text(w.no_evidence_named.to_owned())
    } else {
        Cell::Files(found.evidence.clone())
    };
    let remark = if remarks.is_empty() { NOTHING.to_owned() } else { remarks.join("; ") };
    let value = if found.value.is_empty() { w.not_stated.to_owned() } else { said(&found.value, w) };
    [badge, Cell::Text(value), Cell::Text(said(found.threshold.as_str(), w)), evidence, Cell::Text(remark)]
}

fn kpis(report: &Report<'_>, w: &'static Words) -> Vec<Block> {
    let head = vec![
        w.col_number,
        w.col_kpi,
        w.col_value,
        w.col_unit,
        w.col_provenance,
        w.col_cross_check,
        w.col_aid,
    ];
    let mut blocks = vec![Block::Text(w.aid_note.to_owned())];
    for group in KpiGroup::ALL {
        let title = if w.is_korean() { group.title_ko() } else { group.title() };
        let rows = KPIS
            .iter()
            .filter(|kpi| kpi.group == group)
            .map(|kpi| kpi_row(kpi, report.analysis.kpis.iter().find(|found| found.field == kpi.field), w))
            .collect();
        blocks.push(Block::Sub(title.to_owned(), None));
        blocks.push(Block::Table(Table { caption: title.to_owned(), head: head.clone(), rows }));
    }
    blocks
}

fn kpi_row(kpi: &Kpi, found: Option<&KpiResult>, w: &'static Words) -> Vec<Cell> {
    let name = if w.is_korean() { kpi.title_ko } else { kpi.title };
    let aid = said(kpi.aid.unwrap_or(NOTHING), w);
    let mut row =
        vec![Cell::Number(kpi.number.to_string()), Cell::Named(name.to_owned(), kpi.field.to_owned())];
    match found {
        Some(found) => row.extend([
            value(&found.value, w),
            Cell::Text(unit(found.unit, kpi, w).to_owned()),
            provenance(found, w),
            cross_check(&found.cross_check, w),
            Cell::Text(aid),
        ]),
        None => row.extend([
            Cell::Badge(Tone::Bad, w.kpi_missing.to_owned()),
            Cell::Text(unit(kpi.unit, kpi, w).to_owned()),
            Cell::Text(w.none.to_owned()),
            Cell::Text(w.none.to_owned()),
            Cell::Text(aid),
        ]),
    }
    row
}

/// A value in words. Nothing that is not a number ever looks like one.
pub(super) fn value(value: &Value, w: &'static Words) -> Cell {
    match value {
        Value::Measured(number) => Cell::Number(figure(*number)),
        Value::Map(map) if map.is_empty() => Cell::Text(w.map_empty.to_owned()),
        Value::Map(_) => Cell::Text(value.to_string()),
        Value::Undefined { why } => Cell::Badge(
            Tone::Quiet,
            fill(w.undefined, &[&said(why.strip_prefix("undefined: ").unwrap_or(why), w)]),
        ),
        Value::NotApplicable { declared } => Cell::Badge(Tone::Quiet, fill(w.not_applicable, &[declared])),
        Value::Absent { why } => Cell::Badge(Tone::Bad, fill(w.absent, &[&said(why, w)])),
        Value::Implausible { figures } => Cell::Badge(Tone::Bad, fill(w.implausible, &[&said(figures, w)])),
    }
}

fn unit(unit: Unit, kpi: &Kpi, w: &'static Words) -> &'static str {
    match unit {
        // Korean counts events in one word and cases in another.
        Unit::Count if kpi.title_ko.ends_with("횟수") => w.unit_times,
        Unit::Count => w.unit_count,
        Unit::Map => w.unit_map,
        other if other.as_str().is_empty() => other.name(),
        other => other.as_str(),
    }
}

fn provenance(found: &KpiResult, w: &'static Words) -> Cell {
    let source = match found.provenance.as_str() {
        "runner" => w.from_runner,
        "supervisor" => w.from_supervisor,
        "scrape" => w.from_scrape,
        "journal" => w.from_journal,
        "store" => w.from_store,
        "derived" => w.from_derived,
        other => other,
    };
    if found.artefact.is_empty() {
        Cell::Text(source.to_owned())
    } else {
        Cell::Named(source.to_owned(), found.artefact.clone())
    }
}

fn cross_check(check: &CrossCheck, w: &'static Words) -> Cell {
    match check {
        CrossCheck::Agreed { figure } => Cell::Text(fill(w.agreed, &[&said(figure, w)])),
        CrossCheck::Disagreed { ours, theirs } => {
            Cell::Badge(Tone::Bad, fill(w.disagreed, &[&said(ours, w), &said(theirs, w)]))
        }
        CrossCheck::NotAvailable { why } => {
            Cell::Badge(Tone::Quiet, fill(w.no_cross_check, &[&said(why, w)]))
        }
    }
}

fn caps(report: &Report<'_>, w: &'static Words) -> Vec<Block> {
    let mut blocks = Vec::new();
    if let Some(abort) = &report.analysis.aborted {
        blocks.push(Block::Text(fill(
            w.abort,
            &[&abort.cause, &figure(seconds(abort.at_s)), &said(&abort.text, w)],
        )));
    }
    if let Some(why) = &report.analysis.interrupted {
        blocks.push(Block::Text(fill(w.interrupted_by, &[&said(why, w)])));
    }
    if report.analysis.capped.is_empty() {
        blocks.push(Block::Text(w.caps_none.to_owned()));
    } else {
        blocks.push(Block::Text(w.caps_note.to_owned()));
        blocks.push(Block::List(report.analysis.capped.iter().map(|cap| said(cap, w)).collect()));
    }
    blocks
}

fn plausibility(report: &Report<'_>, w: &'static Words) -> Vec<Block> {
    let findings = &report.analysis.plausibility;
    if findings.is_empty() {
        return vec![Block::Text(w.plausibility_none.to_owned())];
    }
    let rows = findings
        .iter()
        .map(|found| {
            let (badge, detail) = match &found.status {
                PlausibilityStatus::Clean => {
                    (Cell::Badge(Tone::Good, w.clean.to_owned()), found.figures.clone())
                }
                PlausibilityStatus::Violated => {
                    (Cell::Badge(Tone::Bad, w.violated.to_owned()), found.figures.clone())
                }
                PlausibilityStatus::Off(why) => (Cell::Badge(Tone::Quiet, w.off.to_owned()), why.clone()),
            };
            let detail = if detail.is_empty() { NOTHING.to_owned() } else { said(&detail, w) };
            let touches = found.kpi.clone().map_or_else(|| Cell::Text(NOTHING.to_owned()), Cell::Code);
            vec![Cell::Text(said(&found.rule, w)), badge, Cell::Text(detail), touches]
        })
        .collect();
    let head = vec![w.col_rule, w.col_state, w.col_figures, w.col_touches];
    vec![Block::Table(Table { caption: w.plausibility.to_owned(), head, rows })]
}

fn rules(report: &Report<'_>, w: &'static Words) -> Vec<Block> {
    if report.phase().is_none() {
        return vec![Block::Text(w.nothing_ran.to_owned())];
    }
    let row = |name: &RuleName, title: String, condition: String| {
        let (tone, state, detail) = rule_end(report.rule(name), w);
        vec![
            Cell::Code(name.to_string()),
            Cell::Text(title),
            Cell::Badge(tone, state.to_owned()),
            Cell::Text(detail),
            Cell::Text(condition),
        ]
    };
    let shipped = RULES.iter().map(|rule| {
        let title = if w.is_korean() { rule.title_ko } else { rule.title };
        row(&rule.id.into(), title.to_owned(), condition(rule, report, w))
    });
    let own = report.evidence.settings.rules.iter().filter(|spec| spec.name.shipped().is_none());
    let own = own.map(|spec| row(&spec.name, w.own_rule.to_owned(), spec.to_string()));
    let rows = shipped.chain(own).collect();
    let head = vec![w.col_id, w.col_rule, w.col_state, w.col_detail, w.col_condition];
    vec![
        Block::Text(w.rules_note.to_owned()),
        Block::Table(Table { caption: w.rules.to_owned(), head, rows }),
    ]
}

/// The rule's condition as in the profile of record, and this run's own where it is another.
fn condition(rule: &catalogue::Rule, report: &Report<'_>, w: &'static Words) -> String {
    let text = said(rule.condition, w);
    let Ok(record) = profile::load("d77-4") else { return text };
    let of = |rules: &[RuleSpec]| rules.iter().find(|spec| spec.name == rule.id).cloned();
    match (of(&report.metadata.profile.rules), of(&record.profile.rules)) {
        (Some(ours), Some(theirs)) if ours != theirs => {
            let same = ours.when == theirs.when && ours.and == theirs.and;
            let here = if same { ours.window.to_string() } else { ours.to_string() };
            format!("{text} ({})", fill(w.window_here, &[&said(&here, w)]))
        }
        _ => text,
    }
}

fn rule_end(end: Option<RuleEnd>, w: &'static Words) -> (Tone, &'static str, String) {
    match end {
        None => (Tone::Quiet, w.off, w.nothing_ran.to_owned()),
        Some(RuleEnd::NotBuilt) => (Tone::Quiet, w.off, w.not_built.to_owned()),
        Some(RuleEnd::Declared(reason)) => (Tone::Quiet, w.off, fill(w.declared_off, &[&reason])),
        Some(RuleEnd::Quiet) => (Tone::Good, w.rule_clear, w.never_changed.to_owned()),
        Some(RuleEnd::TooShort(span, watched)) => {
            let (needs, had) = (figure(seconds(span)), figure(seconds(watched)));
            (Tone::Quiet, w.rule_unfired, fill(w.window_too_long, &[&needs, &had]))
        }
        Some(RuleEnd::State(RuleState::Off, _, text)) => (Tone::Quiet, w.off, said(&text, w)),
        Some(RuleEnd::State(state, t, text)) => {
            let (tone, word) = match state {
                RuleState::Clear => (Tone::Good, w.rule_clear),
                // The run is over: what was pending or had no sample then has not fired.
                RuleState::Pending | RuleState::Frozen => (Tone::Quiet, w.rule_unfired),
                RuleState::Fired => (Tone::Bad, w.rule_fired),
                RuleState::Off => (Tone::Quiet, w.off),
            };
            (tone, word, fill(w.since, &[&figure(seconds(t)), &said(&short_seconds(&text), w)]))
        }
    }
}

fn diagnosis(report: &Report<'_>, w: &'static Words) -> Vec<Block> {
    if report.analysis.diagnosis.is_empty() {
        return vec![Block::Text(w.diagnosis_none.to_owned())];
    }
    let mut blocks = Vec::new();
    for answer in &report.analysis.diagnosis {
        blocks.push(Block::Sub(said(&answer.question, w), None));
        blocks.push(Block::Text(said(&answer.finding, w)));
        if !answer.evidence.is_empty() {
            blocks.push(Block::Verbatim {
                caption: w.answer_evidence.to_owned(),
                text: answer.evidence.join("\n"),
            });
        }
        if !answer.command.is_empty() {
            let profile = &report.metadata.profile;
            let same = answer.command == format!("assay validate --profile {}", profile.name);
            let command = if same { first::again(profile) } else { answer.command.clone() };
            blocks.push(Block::Command { caption: w.after_repair, command });
        }
    }
    blocks
}
