//! How a symbol's story looks on a terminal.

use super::layout::{SCALE, Section, Table, bps, clock, grouped, maybe, moment, route, span, spoken, usd};
use super::symbol::{Minute, SymbolStory, words};
use crate::terminal::{Ink, Paint};
use std::collections::BTreeMap;

/// Most rows of the table by minute; longer runs are shown by the quarter, the hour, and so on.
const MOST_ROWS: usize = 30;

/// A symbol's story.
pub(super) fn symbol(story: &SymbolStory, paint: Paint) -> String {
    let phase = story.phase.as_ref().map_or_else(String::new, |phase| format!(" ({phase})"));
    let rank = story
        .rank
        .map_or_else(|| "no member any more".to_owned(), |rank| format!("rank {rank} of {}", story.members));
    let mut out = format!(
        "{}  {}\n{}\n",
        paint.ink(Ink::Bold, &format!("{}: {rank}", story.asset)),
        paint.ink(Ink::Soft, &format!("{}{phase}", story.run_id)),
        story.why
    );
    out += &funnel(story, paint);
    out += &nearest(story, paint);
    out += &held(story, paint);
    out += &traded(story, paint);
    out += &minutes(story, paint);
    if !story.notes.is_empty() {
        let mut table = Table::new(2, &[1, 2]);
        for note in &story.notes {
            let text = crate::terminal::harmless(&note.text);
            table.row([clock(note.at, "%m-%d %H:%M:%S"), note.level.clone(), text]);
        }
        out += &Section::heading("Noted", "", paint);
        out += &table.text();
    }
    out
}

fn funnel(story: &SymbolStory, paint: Paint) -> String {
    let span = format!("{} to {}", moment(story.from), clock(story.to, "%m-%d %H:%M:%S UTC"));
    let mut out = Section::heading("Funnel", &span, paint);
    let mut table = Table::new(2, &[2]);
    for stage in catalogue::FUNNEL_STAGES {
        let n = story.funnel.get(stage).copied().unwrap_or(0);
        let parts = match stage {
            "blocked" => parts(&story.funnel, "blocked:", spoken),
            "exited" => parts(&story.funnel, "exited:", spoken),
            _ => String::new(),
        };
        table.row([spoken(stage), grouped(i128::from(n) * SCALE as i128, 0, 0), parts]);
    }
    let mut suppressed: Vec<(&str, u64)> =
        story.funnel.iter().filter_map(|(name, n)| Some((name.strip_prefix("suppressed:")?, *n))).collect();
    suppressed.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    for (i, (why, n)) in suppressed.into_iter().enumerate() {
        let label = if i == 0 { "looks without a result" } else { "" };
        table.row([label.to_owned(), grouped(i128::from(n) * SCALE as i128, 0, 0), words(why)]);
    }
    out += &table.text();
    out
}

fn parts(funnel: &BTreeMap<String, u64>, prefix: &str, name: impl Fn(&str) -> String) -> String {
    let parts: Vec<String> = funnel
        .iter()
        .filter_map(|(key, n)| Some(format!("{} {n}", name(key.strip_prefix(prefix)?))))
        .collect();
    parts.join(", ")
}

fn nearest(story: &SymbolStory, paint: Paint) -> String {
    let mut out = Section::heading(
        "How near it came",
        "basis points; break-even and needed are gaps, at the last level",
        paint,
    );
    if story.best.is_empty() {
        return out + "  no gap was ever sampled: the books were not Live at the same time\n";
    }
    let mut table = Table::new(2, &[]);
    let head =
        ["", "best edge", "needs", "seen", "usual gap", "largest", "break-even", "needed", "level", "costs"];
    table.row(head.map(str::to_owned));
    for best in &story.best {
        table.row([
            route(best.direction),
            maybe(best.edge_bps),
            bps(best.threshold_bps),
            best.at.map_or_else(|| "never".to_owned(), |at| clock(at, "%m-%d %H:%M:%S")),
            maybe(best.usual_gap_bps),
            maybe(best.gap_bps.map(|gap| gap.max)),
            maybe(best.break_even_bps),
            maybe(best.needed_gap_bps),
            maybe(best.level_bps),
            format!("{:.1}", best.costs_bps),
        ]);
    }
    out += &table.text();
    out
}

fn held(story: &SymbolStory, paint: Paint) -> String {
    if story.guards.is_empty() {
        return String::new();
    }
    let mut table = Table::new(2, &[1, 2]);
    table.row(["guard", "scope", "does", "triggers", "held"].map(str::to_owned));
    for guard in &story.guards {
        table.row([
            guard.guard.clone(),
            guard.scope.clone(),
            guard.verdict.clone(),
            guard.triggers.to_string(),
            span(guard.seconds * 1e3),
        ]);
    }
    Section::heading("Guards", "those that applied to it", paint) + &table.text()
}

fn traded(story: &SymbolStory, paint: Paint) -> String {
    if story.trades.is_empty() {
        return String::new();
    }
    let mut table = Table::new(2, &[1, 2, 4]);
    table.row(["trade", "decided", "", "edge bps", "ended", "net USD"].map(str::to_owned));
    for trade in &story.trades {
        table.row([
            trade.trade.to_string(),
            clock(trade.at, "%m-%d %H:%M:%S"),
            route(trade.direction),
            bps(trade.edge_bps),
            spoken(&trade.ended),
            trade.net_usd.map_or_else(String::new, usd),
        ]);
    }
    Section::heading("Trades", "`--trade ID` tells one", paint) + &table.text()
}

fn minutes(story: &SymbolStory, paint: Paint) -> String {
    const STAGES: [&str; 7] =
        ["updates", "evaluated", "gross_positive", "net_positive", "above_threshold", "blocked", "sent"];
    if story.minutes.is_empty() {
        return String::new();
    }
    let step =
        [1, 5, 15, 60, 240, 1_440].into_iter().find(|step| story.minutes.len().div_ceil(*step) <= MOST_ROWS);
    let step = step.unwrap_or_else(|| story.minutes.len().div_ceil(MOST_ROWS));
    let mut table = Table::new(2, &[]);
    let head =
        ["until", "updates", "evaluated", "gross > 0", "net > 0", "enough", "blocked", "sent", "best edge"];
    table.row(head.map(str::to_owned));
    for chunk in story.minutes.chunks(step) {
        let sum = |stage: &str| chunk.iter().filter_map(|m: &Minute| m.counts.get(stage)).sum::<u64>();
        let best = chunk.iter().filter_map(|m| m.best_edge_bps).reduce(f64::max);
        let [a, b, c, d, e, f, g] = STAGES.map(|stage| sum(stage).to_string());
        let until = chunk.last().map_or_else(String::new, |m| clock(m.at, "%m-%d %H:%M:%S"));
        let best = best.map_or_else(String::new, bps);
        table.row([until, a, b, c, d, e, f, g, best]);
    }
    let title = if step == 1 { "By minute".to_owned() } else { format!("By {step} minutes") };
    Section::heading(&title, if step == 1 { "" } else { "--json has every minute" }, paint) + &table.text()
}
