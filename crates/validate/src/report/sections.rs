//! What the judge found, as sections: criteria, KPIs, caps, plausibility, watch rules, diagnosis. Curves and tables of the run
//! are in `figures`; configuration, environment and files in `setup`.

use super::facts::RuleEnd;
use super::model::{Block, Cell, Section, Table, Tone};
use super::words::{Lang, Words, fill};
use super::{Report, figures, setup};
use catalogue::{CRITERIA, Class, KPIS, Kpi, KpiGroup, RULES, Unit};
use gate::evidence::RuleState;
use gate::judge::PlausibilityStatus;
use gate::value::figure;
use gate::{CriterionResult, CrossCheck, KpiResult, Outcome, Value};

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
        section("exits", w.exit_reasons, figures::exits(report, lang)),
        section("funnel", w.funnel, figures::funnel(report, lang)),
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
            remarks.push(why.clone());
            Cell::Badge(Tone::Warn, w.inconclusive.to_owned())
        }
    };
    remarks.extend(found.note.clone());
    if let Some(person) = &found.attested {
        remarks.push(fill(w.attested, &[&person.by, &person.evidence]));
    }
    let evidence = if found.evidence.is_empty() {
        Cell::Text(w.no_evidence_named.to_owned())
    } else {
        Cell::Files(found.evidence.clone())
    };
    let remark = if remarks.is_empty() { w.none.to_owned() } else { remarks.join("; ") };
    let value = if found.value.is_empty() { w.not_stated.to_owned() } else { found.value.clone() };
    [badge, Cell::Text(value), Cell::Text(found.threshold.clone()), evidence, Cell::Text(remark)]
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
    let aid = kpi.aid.unwrap_or(w.aid_none).to_owned();
    let mut row =
        vec![Cell::Number(kpi.number.to_string()), Cell::Named(name.to_owned(), kpi.field.to_owned())];
    match found {
        Some(found) => row.extend([
            value(&found.value, w),
            Cell::Text(unit(found.unit, w).to_owned()),
            provenance(found, w),
            cross_check(&found.cross_check, w),
            Cell::Text(aid),
        ]),
        None => row.extend([
            Cell::Badge(Tone::Bad, w.kpi_missing.to_owned()),
            Cell::Text(unit(kpi.unit, w).to_owned()),
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
        Value::Undefined { why } => Cell::Badge(Tone::Quiet, fill(w.undefined, &[why])),
        Value::NotApplicable { declared } => Cell::Badge(Tone::Quiet, fill(w.not_applicable, &[declared])),
        Value::Absent { why } => Cell::Badge(Tone::Bad, fill(w.absent, &[why])),
        Value::Implausible { figures } => Cell::Badge(Tone::Bad, fill(w.implausible, &[figures])),
    }
}

fn unit(unit: Unit, w: &'static Words) -> &'static str {
    match unit {
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
        CrossCheck::Agreed { figure } => Cell::Text(fill(w.agreed, &[figure])),
        CrossCheck::Disagreed { ours, theirs } => Cell::Badge(Tone::Bad, fill(w.disagreed, &[ours, theirs])),
        CrossCheck::NotAvailable { why } => Cell::Badge(Tone::Quiet, fill(w.no_cross_check, &[why])),
    }
}

fn caps(report: &Report<'_>, w: &'static Words) -> Vec<Block> {
    let mut blocks = Vec::new();
    if let Some(abort) = &report.analysis.aborted {
        blocks.push(Block::Text(fill(w.abort, &[&abort.cause, &figure(abort.at_s), &abort.text])));
    }
    if let Some(why) = &report.analysis.interrupted {
        blocks.push(Block::Text(fill(w.interrupted_by, &[why])));
    }
    if report.analysis.capped.is_empty() {
        blocks.push(Block::Text(w.caps_none.to_owned()));
    } else {
        blocks.push(Block::List(report.analysis.capped.clone()));
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
            let detail = if detail.is_empty() { w.none.to_owned() } else { detail };
            let touches = found.kpi.clone().map_or_else(|| Cell::Text(w.none.to_owned()), Cell::Code);
            vec![Cell::Text(found.rule.clone()), badge, Cell::Text(detail), touches]
        })
        .collect();
    let head = vec![w.col_rule, w.col_state, w.col_figures, w.col_touches];
    vec![Block::Table(Table { caption: w.plausibility.to_owned(), head, rows })]
}

fn rules(report: &Report<'_>, w: &'static Words) -> Vec<Block> {
    if report.phase().is_none() {
        return vec![Block::Text(w.nothing_ran.to_owned())];
    }
    let rows = RULES
        .iter()
        .map(|rule| {
            let name = if w.is_korean() { rule.title_ko } else { rule.title };
            let (tone, state, detail) = rule_end(report.rule(rule.id), w);
            vec![
                Cell::Code(rule.id.to_string()),
                Cell::Text(name.to_owned()),
                Cell::Badge(tone, state.to_owned()),
                Cell::Text(detail),
                Cell::Text(rule.condition.to_owned()),
            ]
        })
        .collect();
    let head = vec![w.col_id, w.col_rule, w.col_state, w.col_detail, w.col_condition];
    vec![
        Block::Text(w.rules_note.to_owned()),
        Block::Table(Table { caption: w.rules.to_owned(), head, rows }),
    ]
}

fn rule_end(end: Option<RuleEnd>, w: &'static Words) -> (Tone, &'static str, String) {
    match end {
        None => (Tone::Quiet, w.off, w.nothing_ran.to_owned()),
        Some(RuleEnd::NotBuilt) => (Tone::Quiet, w.off, w.not_built.to_owned()),
        Some(RuleEnd::Declared(reason)) => (Tone::Quiet, w.off, fill(w.declared_off, &[&reason])),
        Some(RuleEnd::Quiet) => (Tone::Good, w.rule_clear, w.never_changed.to_owned()),
        Some(RuleEnd::State(RuleState::Off, _, text)) => (Tone::Quiet, w.off, text),
        Some(RuleEnd::State(state, t, text)) => {
            let (tone, word) = match state {
                RuleState::Clear => (Tone::Good, w.rule_clear),
                RuleState::Pending => (Tone::Warn, w.rule_pending),
                RuleState::Fired => (Tone::Bad, w.rule_fired),
                RuleState::Frozen => (Tone::Warn, w.rule_frozen),
                RuleState::Off => (Tone::Quiet, w.off),
            };
            (tone, word, fill(w.since, &[&figure(t), &text]))
        }
    }
}

fn diagnosis(report: &Report<'_>, w: &'static Words) -> Vec<Block> {
    if report.analysis.diagnosis.is_empty() {
        return vec![Block::Text(w.diagnosis_none.to_owned())];
    }
    let mut blocks = Vec::new();
    for answer in &report.analysis.diagnosis {
        blocks.push(Block::Sub(answer.question.clone(), None));
        blocks.push(Block::Text(answer.finding.clone()));
        if !answer.evidence.is_empty() {
            blocks.push(Block::Verbatim {
                caption: w.col_evidence.to_owned(),
                text: answer.evidence.join("\n"),
            });
        }
        if !answer.command.is_empty() {
            blocks.push(Block::Command { caption: w.after_repair, command: answer.command.clone() });
        }
    }
    blocks
}
