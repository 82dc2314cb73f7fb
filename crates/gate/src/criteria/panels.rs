//! C6: every panel of the dashboard, asked over HTTP, answered with this run's data.

use super::{Bench, Finding, said, short};
use crate::evidence::PanelCheck;
use crate::scrape::sum;
use crate::value::{Outcome, counted, figure};
use catalogue::{Dashboard, PANELS, Panel};

/// Metrics of a runner's alerting: a runner that declares to have none lacks them all.
fn is_alerting(metric: &str) -> bool {
    metric.starts_with("alert_") || matches!(metric, "notifier_available" | "arb_topn_alerts_total")
}

impl Bench<'_> {
    pub(super) fn panels(&self) -> Finding {
        let na = &self.evidence.settings.not_applicable;
        let alerting = self.evidence.settings.has_alerts;
        let lacks = |metric: &str| na.contains_key(metric) || (!alerting && is_alerting(metric));
        let (left_out, required): (Vec<&Panel>, Vec<&Panel>) =
            PANELS.iter().partition(|p| p.required_metrics.iter().any(|m| lacks(m)));
        let checks = &self.evidence.panels;
        let source = ["panels.jsonl".to_owned()];
        if checks.is_empty() {
            return said(Outcome::inconclusive("no panel was ever asked"), "0 checks").from(&source);
        }
        if required.is_empty() {
            let why = "every panel is declared not applicable, and C6 is never waived whole";
            return said(Outcome::inconclusive(why), "0 panels").from(&source);
        }
        let identified = |check: &PanelCheck| {
            (check.run_id.is_some() || na.contains_key("assay_run_info"))
                && (check.process_start.is_some() || na.contains_key("process_start_time_seconds"))
        };
        let end = self.phase.end.as_ref().map(|e| e.stop_sent_s.unwrap_or(e.ran_s).min(self.phase.planned_s));
        let mut wrong = Vec::new();
        let mut open = Vec::new();
        for panel in &required {
            let asked = || checks.iter().filter(|c| c.panel == panel.id);
            let last = asked().max_by(|a, b| a.t.total_cmp(&b.t));
            // What was seen to be empty stays so, whether or not the dashboard went away afterwards.
            let seen = asked().filter(|c| !c.unanswered).max_by(|a, b| a.t.total_cmp(&b.t));
            if let Some(check) = seen.filter(|c| !c.has_data) {
                wrong.push(format!("{}: {}", panel.id, check.problem.as_deref().unwrap_or("no data")));
                continue;
            }
            match last {
                None => open.push(format!("{} was never asked", panel.id)),
                Some(check) if check.unanswered => {
                    let why = check.problem.as_deref().unwrap_or("no reason is known");
                    open.push(format!("{} was not answered at {} s: {why}", panel.id, figure(check.t)));
                }
                Some(check) if !identified(check) => {
                    open.push(format!("{} was answered without a run id or process start", panel.id));
                }
                // A watch that fell asleep in the first half says nothing about the second.
                Some(check) if end.is_some_and(|end| check.t < end / 2.0) => {
                    open.push(format!("{} was last asked at {} s", panel.id, figure(check.t)));
                }
                Some(_) => {}
            }
        }
        let empty = checks.iter().filter(|c| !c.has_data).count();
        for check in checks {
            wrong.extend(self.stranger(check));
        }
        open.extend(self.unanchored(&required));
        let left: Vec<&str> = left_out.iter().map(|p| p.id).collect();
        let outcome = match (wrong.is_empty(), open.is_empty()) {
            (false, _) => Outcome::Fail,
            (true, false) => Outcome::inconclusive(short(&open)),
            (true, true) => Outcome::Pass,
        };
        let faults = wrong.len() + open.len();
        wrong.extend(open);
        let text = if faults == 0 {
            let earlier = if empty > 0 { format!(", {empty} without data before") } else { String::new() };
            format!(
                "{} of {} panels; {}{earlier}",
                required.len(),
                required.len(),
                counted(checks.len() as f64, "answer", "answers")
            )
        } else {
            short(&wrong)
        };
        let finding = said(outcome, text).from(&source);
        if left.is_empty() { finding } else { finding.noted(format!("left out: {}", left.join(", "))) }
    }

    /// What the last answers of each dashboard could not be compared with: a counter between its neighbouring samples, the process start.
    fn unanchored(&self, required: &[&Panel]) -> Vec<String> {
        let mut open = Vec::new();
        let mut boards: Vec<Dashboard> = required.iter().map(|p| p.dashboard).collect();
        boards.dedup();
        for board in boards {
            let of_board = |id: &str| required.iter().any(|p| p.id == id && p.dashboard == board);
            let answered = || self.evidence.panels.iter().filter(|c| of_board(&c.panel) && c.has_data);
            let Some(last) = answered().map(|c| c.t).max_by(f64::total_cmp) else { continue };
            if !answered().any(|c| c.t == last && c.anchor.is_some()) {
                open.push(format!(
                    "the {} dashboard's last answer carried no counter to compare with the samples",
                    format!("{board:?}").to_lowercase()
                ));
            }
        }
        let start = "process_start_time_seconds";
        let known =
            self.phase.samples.iter().filter_map(|s| s.scrape.get()).any(|s| sum(s, start, &[]).is_some());
        if !known {
            open.push(format!("{start} was never scraped: whose answers they are cannot be told"));
        }
        open
    }

    /// Why an answer is not of this run's runner, when it is not.
    fn stranger(&self, check: &PanelCheck) -> Option<String> {
        let at = format!("{} at {} s", check.panel, figure(check.t));
        if let Some(id) = &check.run_id
            && *id != self.phase.runner_id
            && *id != self.evidence.run_id
        {
            return Some(format!("{at} was answered by run {id}"));
        }
        let scraped = || self.phase.samples.iter().filter_map(|s| Some((s.t, s.scrape.get()?)));
        if let Some(start) = check.process_start
            && let Some(known) = scraped().find_map(|(_, s)| sum(s, "process_start_time_seconds", &[]))
            && (known - start).abs() > 0.5
        {
            return Some(format!(
                "{at} was answered by a process started at {start}, the runner started at {known}"
            ));
        }
        let (series, value) = check.anchor.as_ref()?;
        let own = || scraped().filter_map(|(t, s)| Some((t, *s.series.get(series)?)));
        // A dashboard may be one poll behind; a counter of another process is not.
        let slack = self.evidence.settings.poll_s * 2.0;
        let oldest = check.t - slack - check.age_s.filter(|age| *age > 0.0).unwrap_or(0.0);
        let before = own().filter(|(t, _)| *t <= oldest).map(|(_, v)| v).next_back();
        let after = own().find(|(t, _)| *t >= check.t + slack / 2.0).map(|(_, v)| v);
        if before.is_none() && after.is_none() && own().next().is_none() {
            return Some(format!("{at} showed {series}, which the runner never exposed"));
        }
        let low = before.is_some_and(|before| *value < before);
        let high = after.is_some_and(|after| *value > after);
        let text = |v: Option<f64>| v.map_or("?".to_owned(), figure);
        (low || high).then(|| {
            format!(
                "{at} showed {series} at {}, its neighbouring samples {} and {}",
                figure(*value),
                text(before),
                text(after)
            )
        })
    }
}
