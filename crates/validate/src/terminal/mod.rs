//! What a person sees while a validation runs: phases, a live block on a terminal, the verdict; or one JSON object per line.
//!
//! Progress goes to standard error, the verdict to standard output; with `--json` everything goes to standard output as JSON.
//! Colour only on a terminal and without `NO_COLOR`. What is said is in `text`; nothing is judged here.

mod text;

#[cfg(test)]
mod tests;

use crate::preflight::{self, Step};
use crate::profile::Profile;
use crate::report;
use crate::watch::status::{PhaseStatus, Progress};
use gate::Analysis;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use serde_json::{Value, json};
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::Duration;
use text::Verdict;
pub(crate) use text::{Ink, Paint, harmless};

/// The screen of a validation.
#[derive(Debug)]
pub struct Screen {
    json: bool,
    /// Colour on standard output and on standard error.
    out: Paint,
    err: Paint,
    /// True when standard error is a terminal that can be redrawn.
    live: bool,
    block: Option<Block>,
    /// The last state of the phase that runs: what stays of its block on the screen.
    last: Option<PhaseStatus>,
    /// The command that does the same once more.
    again: String,
    next_stage: String,
}

/// The live block of a running phase.
#[derive(Debug)]
struct Block {
    phase: String,
    bars: MultiProgress,
    clock: ProgressBar,
    figures: [ProgressBar; 2],
    rules: ProgressBar,
}

impl Block {
    fn new(status: &PhaseStatus) -> Self {
        let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        let (name, planned_s) = (status.phase.clone(), status.planned_s);
        // Redrawn every second from its own clock, so that the countdown runs between two polls.
        let line = move |state: &ProgressState, out: &mut dyn std::fmt::Write| {
            let _ = out.write_str(&text::phase_line(&name, state.elapsed().as_secs_f64(), planned_s));
        };
        let style = styled("  {phase}").with_key("phase", line);
        let elapsed = Duration::try_from_secs_f64(status.elapsed_s).unwrap_or_default();
        let clock = bars.add(ProgressBar::new_spinner().with_style(style).with_elapsed(elapsed));
        clock.enable_steady_tick(Duration::from_secs(1));
        let message = || bars.add(ProgressBar::new_spinner().with_style(styled("  {msg}")));
        let (first, second, rules) = (message(), message(), message());
        Self { phase: status.phase.clone(), clock, figures: [first, second], rules, bars }
    }

    fn show(&self, status: &PhaseStatus, paint: Paint) {
        let [first, second] = text::figure_lines(status);
        self.figures[0].set_message(first);
        self.figures[1].set_message(second);
        self.rules.set_message(text::rule_line(status, paint));
    }

    fn clear(&self) {
        self.clock.disable_steady_tick();
        for bar in [&self.clock, &self.figures[0], &self.figures[1], &self.rules] {
            bar.finish_and_clear();
        }
        let _ = self.bars.clear();
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        self.clear();
    }
}

/// A template; a wrong one would show the default spinner rather than nothing.
fn styled(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

/// Colour is wanted: `NO_COLOR` is unset or empty, and the terminal can.
fn colour_wanted() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// The paint of standard output: colour on a terminal that wants it.
pub(crate) fn stdout_paint() -> Paint {
    Paint(colour_wanted() && std::io::stdout().is_terminal())
}

impl Screen {
    /// A screen on the standard streams; `json`: machine-readable lines on standard output and nothing else.
    pub fn new(json: bool) -> Self {
        let colour = colour_wanted();
        let err_tty = std::io::stderr().is_terminal();
        Self {
            json,
            out: Paint(colour && std::io::stdout().is_terminal()),
            err: Paint(colour && err_tty),
            live: !json && err_tty && std::env::var_os("TERM").is_none_or(|term| term != "dumb"),
            block: None,
            last: None,
            again: String::new(),
            next_stage: String::new(),
        }
    }

    /// One JSON object on a line of standard output.
    fn event(value: &Value) {
        let mut out = std::io::stdout().lock();
        // A reader that went away must not end the run.
        let _ = writeln!(out, "{value}");
        let _ = out.flush();
    }

    /// Lines on standard error, above the live block.
    fn say(&self, lines: &str) {
        match &self.block {
            Some(block) => block.bars.suspend(|| eprint_lines(lines)),
            None => eprint_lines(lines),
        }
    }

    /// Who runs, and where the evidence goes.
    pub fn opening(&mut self, run_id: &str, profile: &Profile, dir: &Path) {
        self.again = report::again(profile);
        self.next_stage.clone_from(&profile.next_stage);
        let (smoke, main) = (&profile.smoke, &profile.main);
        if self.json {
            Self::event(&json!({
                "event": "opening", "run_id": run_id, "profile": profile.name, "dir": dir,
                "smoke_s": smoke.duration.secs(), "main_s": main.duration.secs(),
            }));
            return;
        }
        self.say(&format!(
            "{}  profile {}  run {run_id}\n{}  smoke {} over the Top {}, main run {} over the Top {}\n  evidence: {}",
            self.err.ink(Ink::Bold, "assay"),
            self.err.ink(Ink::Bold, &profile.name),
            text::wrap("  ", 2, &profile.about),
            smoke.duration,
            smoke.topn,
            main.duration,
            main.topn,
            dir.display(),
        ));
    }

    /// A phase begins; `number` is 1 to 7.
    pub fn phase(&mut self, number: u8, name: &str) {
        self.phase_done();
        if self.json {
            Self::event(&json!({"event": "phase", "number": number, "name": name}));
        } else {
            self.say(&self.err.ink(Ink::Bold, &format!("[{number}/7] {name}")));
        }
    }

    /// The runner of a phase has ended: the live block goes.
    pub fn phase_done(&mut self) {
        self.block = None;
        if let Some(last) = self.last.take() {
            self.say(&text::phase_end(&last));
        }
    }

    /// The environment checks: a table, or one line the second time when nothing is wrong.
    pub fn preflight(&mut self, steps: &[Step], phase_no: u8) {
        if self.json {
            Self::event(&json!({"event": "preflight", "phase": phase_no, "steps": steps}));
            return;
        }
        let line = text::preflight_line(steps);
        if phase_no == 1 || line.is_none() {
            self.say(preflight::table(steps).trim_end());
        }
        match line {
            Some(line) => self.say(&format!("  {}", self.err.ink(Ink::Good, &line))),
            None => {
                let failed: Vec<&str> =
                    steps.iter().filter(|step| step.is_fatal()).map(|step| step.title.as_str()).collect();
                let text = format!("PREFLIGHT FAILED: {}; no runner was started", failed.join(", "));
                self.say(&format!("  {}", self.err.ink(Ink::Bad, &text)));
            }
        }
    }

    /// The smoke did not pass.
    pub fn smoke_failed(&mut self, reasons: &[String]) {
        if self.json {
            Self::event(&json!({"event": "smoke_failed", "reasons": reasons}));
            return;
        }
        let mut lines = format!("  {}", self.err.ink(Ink::Bad, "SMOKE FAILED, no main run takes place"));
        for reason in reasons {
            lines += &format!("\n    - {}", text::harmless(reason));
        }
        self.say(&lines);
    }

    /// The end of `--mode smoke-only`.
    pub fn smoke_only(&mut self) {
        const WORDS: &str = "SMOKE PASSED, NO VERDICT";
        self.phase_done();
        if self.json {
            Self::event(&json!({"event": "smoke_only", "text": WORDS, "exit_code": 0}));
            return;
        }
        let _ = writeln!(std::io::stdout().lock(), "{}", self.out.ink(Ink::Good, WORDS));
    }

    /// The result, on standard output.
    pub fn verdict(&mut self, analysis: &Analysis, dir: &Path, manifest_head: &str, exit_code: u8) {
        self.phase_done();
        let verdict = Verdict {
            analysis,
            dir,
            manifest_head,
            exit_code,
            next_stage: &self.next_stage,
            again: &self.again,
        };
        if self.json {
            Self::event(&verdict.json());
            return;
        }
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(verdict.text(self.out).as_bytes());
        let _ = out.flush();
    }
}

fn eprint_lines(lines: &str) {
    let mut err = std::io::stderr().lock();
    // Nobody reads any more: the run goes on.
    let _ = writeln!(err, "{lines}");
}

impl Progress for Screen {
    fn update(&mut self, status: &PhaseStatus) {
        if self.json {
            Self::event(&json!({"event": "status", "status": status}));
            return;
        }
        self.last = Some(status.clone());
        if !self.live {
            return;
        }
        if self.block.as_ref().is_none_or(|block| block.phase != status.phase) {
            self.block = Some(Block::new(status));
        }
        if let Some(block) = &self.block {
            block.show(status, self.err);
        }
    }

    fn interim(&mut self, line: &str) {
        if self.json {
            Self::event(&json!({"event": "interim", "text": line}));
        } else if !self.live {
            self.say(&format!("  {}", text::harmless(line)));
        }
    }

    fn note(&mut self, text: &str) {
        if self.json {
            Self::event(&json!({"event": "note", "text": text}));
        } else {
            self.say(&format!("  {}", text::harmless(text)));
        }
    }
}
