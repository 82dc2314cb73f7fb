//! A symbol: how far its looks came down the funnel, what held it back, how near it came to an entry.

use journal::record::{Direction, GuardEvent, Quantiles};
use journal::{Body, Entry};
use market::{Asset, Money, Timestamp};
use serde::Serialize;
use std::collections::BTreeMap;

/// The story of a symbol.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SymbolStory {
    /// Runner id.
    pub run_id: String,
    /// `smoke`, `planted`, `main`; `None` for a journal that was named by its path.
    pub phase: Option<String>,
    /// Asset.
    pub asset: Asset,
    /// Its rank in the universe, from 1; `None` when it has left.
    pub rank: Option<usize>,
    /// Members of the universe.
    pub members: usize,
    /// The first and the last record that tells of it.
    pub from: Timestamp,
    /// See `from`.
    pub to: Timestamp,
    /// Why it traded or did not, in a sentence.
    pub why: String,
    /// The funnel in total: stages, `blocked:<rule>`, `suppressed:<why>`, `exited:<reason>`.
    pub funnel: BTreeMap<String, u64>,
    /// The funnel by minute.
    pub minutes: Vec<Minute>,
    /// The best edge and the break-even, per direction that was looked at.
    pub best: Vec<Best>,
    /// Guards that applied to it, by rule and scope.
    pub guards: Vec<Held>,
    /// Its trades.
    pub trades: Vec<TradeLine>,
    /// What the engine noted about it.
    pub notes: Vec<Break>,
}

/// A minute of the funnel.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Minute {
    /// When the minute ended.
    pub at: Timestamp,
    /// Counts, as in the journal.
    pub counts: BTreeMap<String, u64>,
    /// The best edge of the minute over both directions, basis points.
    pub best_edge_bps: Option<f64>,
}

/// How near a direction came to an entry.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Best {
    /// Direction.
    pub direction: Direction,
    /// Seconds sampled.
    pub samples: u64,
    /// The best edge, basis points.
    pub edge_bps: Option<f64>,
    /// When it was seen.
    pub at: Option<Timestamp>,
    /// An entry needs this edge.
    pub threshold_bps: f64,
    /// Four fees and the reserve, basis points.
    pub costs_bps: f64,
    /// The gap from which a round trip pays its costs, at the last level: costs less the level of the way out.
    pub break_even_bps: Option<f64>,
    /// The gap from which an entry is taken: the break-even and the threshold.
    pub needed_gap_bps: Option<f64>,
    /// The last level of this direction.
    pub level_bps: Option<f64>,
    /// Gaps of the minute with the largest one.
    pub gap_bps: Option<Quantiles>,
    /// Median over the minutes of their median gap.
    pub usual_gap_bps: Option<f64>,
}

/// A guard that applied.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Held {
    /// Type and rule.
    pub guard: String,
    /// What it applied to.
    pub scope: String,
    /// `degrade`, `cooldown`, `block`.
    pub verdict: String,
    /// Triggers.
    pub triggers: u64,
    /// How long it held in all, seconds; what still holds counts until the last record.
    pub seconds: f64,
}

/// A trade in a line.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TradeLine {
    /// Position id.
    pub trade: u64,
    /// Decided.
    pub at: Timestamp,
    /// Direction.
    pub direction: Direction,
    /// Edge at the decision, basis points.
    pub edge_bps: f64,
    /// `take_profit`, ..., `unwound`, `open`.
    pub ended: String,
    /// Net, USD, once it ended.
    pub net_usd: Option<Money>,
}

/// A note of the engine.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Break {
    /// When.
    pub at: Timestamp,
    /// `info`, `warning`, `error`.
    pub level: String,
    /// The line.
    pub text: String,
}

#[derive(Debug, Default)]
struct Seen {
    samples: u64,
    best: Option<(f64, Option<Timestamp>)>,
    threshold: f64,
    costs: f64,
    levels: [Option<f64>; 2],
    widest: Option<Quantiles>,
    medians: Vec<f64>,
}

/// Builds the story while the journal goes by.
#[derive(Debug)]
pub(super) struct Teller {
    wanted: Asset,
    run_id: String,
    members: Vec<Asset>,
    ever: bool,
    span: Option<(Timestamp, Timestamp)>,
    funnel: BTreeMap<String, u64>,
    minutes: Vec<Minute>,
    seen: BTreeMap<Direction, Seen>,
    holding: BTreeMap<u64, (Timestamp, GuardEvent)>,
    guards: BTreeMap<(String, String), Held>,
    trades: BTreeMap<u64, TradeLine>,
    notes: Vec<Break>,
    last: Timestamp,
}

impl Teller {
    pub(super) fn new(wanted: Asset) -> Self {
        Self {
            wanted,
            run_id: String::new(),
            members: Vec::new(),
            ever: false,
            span: None,
            funnel: BTreeMap::new(),
            minutes: Vec::new(),
            seen: BTreeMap::new(),
            holding: BTreeMap::new(),
            guards: BTreeMap::new(),
            trades: BTreeMap::new(),
            notes: Vec::new(),
            last: Timestamp(0),
        }
    }

    pub(super) fn on(&mut self, entry: &Entry) {
        self.last = entry.at;
        let asset = self.wanted;
        match &entry.body {
            Body::Start { run_id, .. } => self.run_id.clone_from(run_id),
            Body::Universe { members, .. } => {
                self.members = members.iter().map(|member| member.asset).collect();
                self.ever |= self.members.contains(&asset);
                self.touch(entry.at);
            }
            Body::Funnel { asset: Some(of), counts } if *of == asset => {
                self.touch(entry.at);
                for (stage, n) in counts {
                    *self.funnel.entry(stage.clone()).or_insert(0) += n;
                }
                self.minutes.push(Minute { at: entry.at, counts: counts.clone(), best_edge_bps: None });
            }
            Body::Edges { asset: of, .. } if *of == asset => self.on_edges(entry),
            Body::Guard(event) => self.on_guard(entry.at, event),
            Body::Decision { position, asset: of, direction, edge_bps, .. } if *of == asset => {
                let (trade, ended) = (*position, "open".to_owned());
                let (at, direction, edge_bps) = (entry.at, *direction, *edge_bps);
                self.trades.insert(trade, TradeLine { trade, at, direction, edge_bps, ended, net_usd: None });
            }
            Body::Closed { position, asset: of, reason, net_usd, .. } if *of == asset => {
                self.trade_ended(*position, reason.as_str(), *net_usd);
            }
            Body::Unwound { position, asset: of, net_usd, .. } if *of == asset => {
                self.trade_ended(*position, "unwound", *net_usd);
            }
            Body::Note { level, text } if concerns(text, asset) => {
                self.notes.push(Break { at: entry.at, level: level.clone(), text: text.clone() });
            }
            _ => {}
        }
    }

    fn touch(&mut self, at: Timestamp) {
        self.span = Some(self.span.map_or((at, at), |(from, _)| (from, at)));
    }

    fn trade_ended(&mut self, trade: u64, ended: &str, net_usd: Money) {
        if let Some(line) = self.trades.get_mut(&trade) {
            ended.clone_into(&mut line.ended);
            line.net_usd = Some(net_usd);
        }
    }

    fn on_edges(&mut self, entry: &Entry) {
        let Body::Edges {
            direction,
            samples,
            gap_bps,
            level_bps,
            opposite_level_bps,
            best_edge_bps,
            best_at,
            costs_bps,
            threshold_bps,
            ..
        } = &entry.body
        else {
            return;
        };
        let seen = self.seen.entry(*direction).or_default();
        seen.samples += u64::from(*samples);
        (seen.threshold, seen.costs) = (*threshold_bps, *costs_bps);
        seen.levels = [*level_bps, *opposite_level_bps];
        if let Some(gap) = gap_bps {
            seen.medians.push(gap.p50);
            if seen.widest.is_none_or(|known| gap.max > known.max) {
                seen.widest = Some(**gap);
            }
        }
        if let Some(edge) = best_edge_bps {
            if seen.best.is_none_or(|(known, _)| *edge > known) {
                seen.best = Some((*edge, *best_at));
            }
            // The funnel's record of the same minute stands before it.
            if let Some(minute) = self.minutes.last_mut().filter(|minute| minute.at == entry.at) {
                let known = minute.best_edge_bps.unwrap_or(f64::NEG_INFINITY);
                minute.best_edge_bps = Some(known.max(*edge));
            }
        }
    }

    fn on_guard(&mut self, at: Timestamp, event: &GuardEvent) {
        if !applies(&event.scope, self.wanted) {
            return;
        }
        if event.start {
            self.holding.insert(event.trigger, (at, event.clone()));
            self.held(event).triggers += 1;
        } else if let Some((since, event)) = self.holding.remove(&event.trigger) {
            self.held(&event).seconds += at.secs_since(since);
        }
    }

    fn held(&mut self, event: &GuardEvent) -> &mut Held {
        let guard = format!("{} {}", event.guard_type, event.rule);
        let key = (guard.clone(), event.scope.clone());
        self.guards.entry(key).or_insert_with(|| Held {
            guard,
            scope: event.scope.clone(),
            verdict: event.verdict.clone(),
            triggers: 0,
            seconds: 0.0,
        })
    }

    /// The story; the members instead when the symbol was never one of them.
    pub(super) fn finish(mut self, phase: Option<String>) -> Result<SymbolStory, Vec<Asset>> {
        if !self.ever {
            return Err(self.members);
        }
        for (since, event) in std::mem::take(&mut self.holding).into_values() {
            let seconds = self.last.secs_since(since);
            self.held(&event).seconds += seconds;
        }
        let best: Vec<Best> = std::mem::take(&mut self.seen)
            .into_iter()
            .map(|(direction, seen)| best(direction, seen))
            .collect();
        let (from, to) = self.span.unwrap_or((self.last, self.last));
        Ok(SymbolStory {
            why: why(&self.funnel, &best, self.trades.len()),
            rank: self.members.iter().position(|member| *member == self.wanted).map(|i| i + 1),
            run_id: self.run_id,
            phase,
            asset: self.wanted,
            members: self.members.len(),
            from,
            to,
            funnel: self.funnel,
            minutes: self.minutes,
            best,
            guards: self.guards.into_values().collect(),
            trades: self.trades.into_values().collect(),
            notes: self.notes,
        })
    }
}

/// Whether a scope is the asset's, one of its directions', a venue's, or everything's.
fn applies(scope: &str, asset: Asset) -> bool {
    let of = scope.split(':').next().unwrap_or_default();
    matches!(of, "*" | "upbit" | "binance" | "buy_upbit" | "buy_binance") || of == asset.as_str()
}

/// A note names its asset as a word of its own.
fn concerns(text: &str, asset: Asset) -> bool {
    text.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == asset.as_str())
}

fn best(direction: Direction, mut seen: Seen) -> Best {
    seen.medians.sort_by(f64::total_cmp);
    let usual = seen.medians.get(seen.medians.len().saturating_sub(1) / 2).copied();
    Best {
        direction,
        samples: seen.samples,
        edge_bps: seen.best.map(|(edge, _)| edge),
        at: seen.best.and_then(|(_, at)| at),
        threshold_bps: seen.threshold,
        costs_bps: seen.costs,
        break_even_bps: seen.levels[1].map(|out| seen.costs - out),
        needed_gap_bps: seen.levels[1].map(|out| seen.costs - out + seen.threshold),
        level_bps: seen.levels[0],
        gap_bps: seen.widest,
        usual_gap_bps: usual,
    }
}

/// The largest of the counts that begin with `prefix`, without it.
fn most<'a>(funnel: &'a BTreeMap<String, u64>, prefix: &str) -> Option<(&'a str, u64)> {
    funnel.iter().filter_map(|(name, n)| Some((name.strip_prefix(prefix)?, *n))).max_by_key(|(_, n)| *n)
}

/// One sentence: the stage at which it ended, and what stood there.
fn why(funnel: &BTreeMap<String, u64>, best: &[Best], trades: usize) -> String {
    let at = |stage: &str| funnel.get(stage).copied().unwrap_or(0);
    let plural = |n: u64, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let looks = |stage: &str| plural(at(stage), "look");
    if trades > 0 {
        let entries = if trades == 1 { "1 entry".to_owned() } else { format!("{trades} entries") };
        return format!("it traded: {entries}, and {} at or above the threshold", looks("above_threshold"));
    }
    let nearest =
        best.iter().filter_map(|b| Some((b.edge_bps?, b.threshold_bps))).max_by(|a, b| a.0.total_cmp(&b.0));
    if at("above_threshold") > 0 {
        let by = most(funnel, "blocked:").map(|(rule, n)| format!("guard {rule} held it back {n} times"));
        let or = most(funnel, "suppressed:")
            .map(|(why, n)| format!("{} kept {n} looks from an entry", words(why)));
        let what = by.or(or).unwrap_or_else(|| {
            "at the final size, without what was taken before, the edge fell below it".to_owned()
        });
        return format!(
            "its edge reached the threshold in {}, but {what}",
            plural(at("above_threshold"), "look")
        );
    }
    if at("evaluated") > 0 {
        return match nearest {
            Some((edge, threshold)) => format!(
                "no edge reached the threshold: the best was {edge:+.1} bps, {:.1} short of {threshold:+.1}",
                threshold - edge
            ),
            None => "no edge reached the threshold".to_owned(),
        };
    }
    match most(funnel, "suppressed:") {
        Some((why, n)) => format!("it was never evaluated: {} in {}", words(why), plural(n, "look")),
        None if at("updates") > 0 => "its books moved and it was never looked at".to_owned(),
        None => "nothing of it ever arrived".to_owned(),
    }
}

/// What a reason for suppression means.
pub(super) fn words(why: &str) -> String {
    match why {
        "syncing" => "a book was syncing",
        "stale" => "a book was stale",
        "broken" => "a book was broken",
        "no_fx" => "there was no rate of exchange",
        "no_level" => "the level had too little data",
        "no_depth" => "a book did not hold the size",
        "entry_pause" => "too soon after its last entry",
        "symbol_positions" => "enough positions of it",
        "position_limit" => "enough positions in all",
        "inventory" => "the paper inventory did not cover it",
        "order_size" => "the size was below what a venue accepts",
        "stopping" => "the session was closing",
        "edge_at_size" => "at its final size, without what our own fills took, the edge was too small",
        "not_member" => "it had left the universe",
        other => other,
    }
    .to_owned()
}
