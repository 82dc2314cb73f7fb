//! Risk guards: which conditions hold, for what scope, and their transitions (engine.md 8).
//!
//! A trigger is the transition into a finding per rule and scope; its end carries the same id. Every event carries the
//! figure, the threshold and the side on which the condition holds, so that it can be recomputed. Which figures are
//! looked at when is the session's business; pacing is no guard and stands in the funnel.

use crate::recover::Held;
use journal::record::{Direction, GuardEvent};
use market::{Asset, Timestamp, Venue};
use std::collections::BTreeMap;

/// What a finding means for an entry. Later is stronger; a weaker finding never hides a stronger one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Nothing found.
    Allow,
    /// Half size.
    Degrade,
    /// No entries until a time.
    Cooldown,
    /// No entries while the condition holds.
    Block,
}

impl Verdict {
    /// The name in the journal.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Degrade => "degrade",
            Self::Cooldown => "cooldown",
            Self::Block => "block",
        }
    }
}

/// What a finding applies to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Everything.
    All,
    /// A venue, which means every entry, since each needs both venues.
    Venue(Venue),
    /// A symbol.
    Asset(Asset),
    /// A direction over all symbols.
    Direction(Direction),
    /// A route: a symbol and a direction.
    Route(Asset, Direction),
}

impl Scope {
    /// True when an entry of `asset` in `direction` falls under it.
    pub fn covers(&self, asset: Asset, direction: Direction) -> bool {
        match self {
            Self::All | Self::Venue(_) => true,
            Self::Asset(a) => *a == asset,
            Self::Direction(d) => *d == direction,
            Self::Route(a, d) => *a == asset && *d == direction,
        }
    }

    /// A scope from its name in the journal.
    pub fn parse(text: &str) -> Option<Self> {
        let direction = |text: &str| Direction::ALL.into_iter().find(|d| direction_str(*d) == text);
        if text == "*" {
            return Some(Self::All);
        }
        if let Some(venue) = Venue::ALL.into_iter().find(|venue| venue.to_string() == text) {
            return Some(Self::Venue(venue));
        }
        if let Some(direction) = direction(text) {
            return Some(Self::Direction(direction));
        }
        match text.split_once(':') {
            Some((asset, way)) => Some(Self::Route(Asset::new(asset).ok()?, direction(way)?)),
            None => Asset::new(text).ok().map(Self::Asset),
        }
    }
}

/// The name of a direction in scopes and labels.
pub const fn direction_str(direction: Direction) -> &'static str {
    match direction {
        Direction::BuyUpbit => "buy_upbit",
        Direction::BuyBinance => "buy_binance",
    }
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::All => f.write_str("*"),
            Self::Venue(venue) => write!(f, "{venue}"),
            Self::Asset(asset) => write!(f, "{asset}"),
            Self::Direction(direction) => f.write_str(direction_str(*direction)),
            Self::Route(asset, direction) => write!(f, "{asset}:{}", direction_str(*direction)),
        }
    }
}

/// A rule: its type, name, and what it means when it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// `exchange`, `route`, `symbol`, `global`, `cross_exchange`.
    pub guard_type: &'static str,
    /// The name, unique over all types.
    pub name: &'static str,
    /// What it means.
    pub verdict: Verdict,
    /// True when the condition is "above".
    pub above: bool,
}

const fn rule(guard_type: &'static str, name: &'static str, verdict: Verdict) -> Rule {
    Rule { guard_type, name, verdict, above: true }
}

const fn below(guard_type: &'static str, name: &'static str, verdict: Verdict) -> Rule {
    Rule { guard_type, name, verdict, above: false }
}

/// Every rule.
pub mod rules {
    use super::{Rule, Verdict, below, rule};

    /// A venue is alive and no book moves: seconds between its last change and its last sign of life.
    pub const FROZEN: Rule = rule("exchange", "health_frozen", Verdict::Block);
    /// A venue sent no frame: seconds.
    pub const DOWN_SILENT: Rule = rule("exchange", "health_down_silent", Verdict::Block);
    /// One-way latency, milliseconds.
    pub const DOWN_LATENCY: Rule = rule("exchange", "health_down_latency", Verdict::Block);
    /// Failed requests, percent.
    pub const DOWN_ERRORS: Rule = rule("exchange", "health_down_errors", Verdict::Block);
    /// One-way latency, milliseconds.
    pub const DEGRADED_LATENCY: Rule = rule("exchange", "health_degraded_latency", Verdict::Degrade);
    /// Failed requests, percent.
    pub const DEGRADED_ERRORS: Rule = rule("exchange", "health_degraded_errors", Verdict::Degrade);
    /// Message rate, percent of the baseline.
    pub const DEGRADED_RATE: Rule = below("exchange", "health_degraded_rate", Verdict::Degrade);
    /// Result of a venue's legs since the day boundary, USD.
    pub const VENUE_DAILY_LOSS: Rule = below("exchange", "venue_daily_loss", Verdict::Block);
    /// Gap of a route, basis points: beyond the limit it is bad data.
    pub const GROSS_GAP: Rule = rule("route", "gross_gap", Verdict::Block);
    /// Losses in a row on a route, against one less than the number that starts the cooldown.
    pub const ROUTE_STREAK: Rule = rule("route", "route_loss_streak", Verdict::Cooldown);
    /// Exposure of a symbol with the next leg, percent of the capital.
    pub const EXPOSURE_DEGRADE: Rule = rule("symbol", "exposure_degrade", Verdict::Degrade);
    /// Exposure of a symbol with the next leg, percent of the capital.
    pub const EXPOSURE_BLOCK: Rule = rule("symbol", "exposure_block", Verdict::Block);
    /// Net since the day boundary, USD.
    pub const DAILY_LOSS: Rule = below("global", "daily_loss", Verdict::Block);
    /// Total exposure with the next leg, percent of the capital.
    pub const TOTAL_EXPOSURE: Rule = rule("global", "total_exposure", Verdict::Block);
    /// Net since the day boundary, USD, at the emergency stop. It latches: it has no end.
    pub const EMERGENCY: Rule = below("global", "emergency_stop", Verdict::Block);
    /// Age of the FX book, milliseconds.
    pub const FX_STALE: Rule = rule("cross_exchange", "fx_stale", Verdict::Block);
    /// The rate, KRW.
    pub const FX_LOW: Rule = below("cross_exchange", "fx_low", Verdict::Block);
    /// The rate, KRW.
    pub const FX_HIGH: Rule = rule("cross_exchange", "fx_high", Verdict::Block);
    /// Largest change within a minute, percent.
    pub const FX_JUMP: Rule = rule("cross_exchange", "fx_jump", Verdict::Block);
    /// Share of the open positions in one direction.
    pub const BIAS: Rule = rule("cross_exchange", "directional_bias", Verdict::Block);
    /// Losses in a row over all routes, against one less than the number that starts the cooldown.
    pub const CROSS_STREAK: Rule = rule("cross_exchange", "cross_loss_streak", Verdict::Cooldown);

    /// All, in the order of the funnel.
    pub const ALL: [Rule; 21] = [
        FROZEN,
        DOWN_SILENT,
        DOWN_LATENCY,
        DOWN_ERRORS,
        DEGRADED_LATENCY,
        DEGRADED_ERRORS,
        DEGRADED_RATE,
        VENUE_DAILY_LOSS,
        GROSS_GAP,
        ROUTE_STREAK,
        EXPOSURE_DEGRADE,
        EXPOSURE_BLOCK,
        DAILY_LOSS,
        TOTAL_EXPOSURE,
        EMERGENCY,
        FX_STALE,
        FX_LOW,
        FX_HIGH,
        FX_JUMP,
        BIAS,
        CROSS_STREAK,
    ];
}

/// The rule of a name.
pub fn rule_of(name: &str) -> Option<&'static Rule> {
    rules::ALL.iter().find(|rule| rule.name == name)
}

/// The position of a rule in [`rules::ALL`].
pub fn rule_index(name: &str) -> Option<usize> {
    rules::ALL.iter().position(|rule| rule.name == name)
}

#[derive(Debug, Clone, Copy)]
struct Active {
    trigger: u64,
    rule: Rule,
    threshold: f64,
    /// End of a cooldown.
    until: Option<Timestamp>,
}

/// The findings that hold now.
#[derive(Debug, Clone, Default)]
pub struct Guards {
    active: BTreeMap<(&'static str, Scope), Active>,
    triggers: u64,
    /// The earliest end of a cooldown.
    until: Option<Timestamp>,
    events: Vec<(Rule, Scope, GuardEvent)>,
}

impl Guards {
    /// Nothing holds.
    pub fn new() -> Self {
        Self::default()
    }

    /// Compares a figure with its threshold; a change of the outcome is an event.
    pub fn judge(&mut self, rule: Rule, scope: Scope, observed: f64, threshold: f64) {
        let holds = if rule.above { observed > threshold } else { observed < threshold };
        if !holds && self.active.is_empty() {
            return;
        }
        match (holds, self.active.contains_key(&(rule.name, scope))) {
            (true, false) => self.start(rule, scope, observed, threshold, None),
            (false, true) => self.end(rule, scope, observed),
            _ => {}
        }
    }

    /// Starts a cooldown until `until`, unless one holds.
    pub fn cool_down(&mut self, rule: Rule, scope: Scope, observed: f64, threshold: f64, until: Timestamp) {
        if !self.holds(rule, scope) {
            self.start(rule, scope, observed, threshold, Some(until));
        }
    }

    /// Ends the cooldowns that are over. Their streak starts anew, so the figure at the end is 0.
    pub fn expire(&mut self, now: Timestamp) {
        if self.until.is_none_or(|until| until > now) {
            return;
        }
        while let Some((rule, scope)) = self
            .active
            .iter()
            .find(|(_, active)| active.until.is_some_and(|until| until <= now))
            .map(|((_, scope), active)| (active.rule, *scope))
        {
            self.end(rule, scope, 0.0);
        }
    }

    /// When the next cooldown is over.
    pub const fn next_deadline(&self) -> Option<Timestamp> {
        self.until
    }

    fn find_next_deadline(&mut self) {
        self.until = self.active.values().filter_map(|active| active.until).min();
    }

    /// True while the finding holds.
    pub fn holds(&self, rule: Rule, scope: Scope) -> bool {
        self.active.contains_key(&(rule.name, scope))
    }

    /// The strongest verdict for an entry; `each` is called with every rule that blocks it.
    pub fn verdict(&self, asset: Asset, direction: Direction, mut each: impl FnMut(&'static str)) -> Verdict {
        let mut strongest = Verdict::Allow;
        for ((name, scope), active) in &self.active {
            if scope.covers(asset, direction) {
                strongest = strongest.max(active.rule.verdict);
                if active.rule.verdict >= Verdict::Cooldown {
                    each(name);
                }
            }
        }
        strongest
    }

    /// Takes over what held, by trigger, when the session was killed. What this version does not know is left out and
    /// named.
    pub(crate) fn come_back(&mut self, triggers: u64, held: BTreeMap<u64, Held>) -> Vec<String> {
        let mut unknown = Vec::new();
        self.triggers = triggers;
        for (trigger, Held { rule, scope, threshold, until }) in held {
            match (rule_of(&rule), Scope::parse(&scope)) {
                (Some(rule), Some(scope)) => {
                    self.active.insert((rule.name, scope), Active { trigger, rule: *rule, threshold, until });
                }
                _ => unknown.push(format!("{rule} on {scope}")),
            }
        }
        unknown
    }

    /// What holds now, by trigger.
    pub(crate) fn held(&self) -> BTreeMap<u64, Held> {
        let row = |((name, scope), active): (&(&'static str, Scope), &Active)| {
            let Active { trigger, threshold, until, .. } = *active;
            (trigger, Held { rule: (*name).to_owned(), scope: scope.to_string(), threshold, until })
        };
        self.active.iter().map(row).collect()
    }

    /// Findings that hold.
    pub fn active(&self) -> usize {
        self.active.len()
    }

    /// Triggers so far.
    pub const fn triggers(&self) -> u64 {
        self.triggers
    }

    /// The events since the last call.
    pub fn take_events(&mut self) -> Vec<(Rule, Scope, GuardEvent)> {
        std::mem::take(&mut self.events)
    }

    fn start(&mut self, rule: Rule, scope: Scope, observed: f64, threshold: f64, until: Option<Timestamp>) {
        self.triggers += 1;
        let active = Active { trigger: self.triggers, rule, threshold, until };
        self.active.insert((rule.name, scope), active);
        self.find_next_deadline();
        self.events.push((rule, scope, event(&active, scope, true, observed)));
    }

    fn end(&mut self, rule: Rule, scope: Scope, observed: f64) {
        if let Some(active) = self.active.remove(&(rule.name, scope)) {
            self.find_next_deadline();
            self.events.push((rule, scope, event(&active, scope, false, observed)));
        }
    }
}

fn event(active: &Active, scope: Scope, start: bool, observed: f64) -> GuardEvent {
    GuardEvent {
        trigger: active.trigger,
        guard_type: active.rule.guard_type.to_owned(),
        rule: active.rule.name.to_owned(),
        scope: scope.to_string(),
        verdict: active.rule.verdict.as_str().to_owned(),
        start,
        observed,
        threshold: active.threshold,
        holds: if active.rule.above { "above" } else { "below" }.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Guards, Scope, Verdict, rules};
    use journal::record::Direction;
    use market::{Asset, Timestamp};

    #[test]
    fn a_trigger_is_a_transition_and_the_strongest_verdict_wins() {
        let mut guards = Guards::new();
        for observed in [1.0, 11.0, 12.0, 25.0] {
            guards.judge(rules::EXPOSURE_DEGRADE, Scope::Asset(Asset::USDT), observed, 10.0);
            guards.judge(rules::EXPOSURE_BLOCK, Scope::Asset(Asset::USDT), observed, 20.0);
        }
        let events = guards.take_events();
        assert_eq!(events.len(), 2);
        let mut blocked = Vec::new();
        let verdict = guards.verdict(Asset::USDT, Direction::BuyUpbit, |rule| blocked.push(rule));
        assert_eq!((verdict, blocked), (Verdict::Block, vec!["exposure_block"]));
        assert_eq!(guards.verdict(Asset::KRW, Direction::BuyUpbit, |_| {}), Verdict::Allow);
        guards.judge(rules::EXPOSURE_BLOCK, Scope::Asset(Asset::USDT), 15.0, 20.0);
        let end = guards.take_events();
        assert_eq!(end.len(), 1);
        assert!(!end[0].2.start);
        assert_eq!(end[0].2.trigger, events[1].2.trigger);
        assert_eq!(guards.verdict(Asset::USDT, Direction::BuyUpbit, |_| {}), Verdict::Degrade);
    }

    #[test]
    fn a_cooldown_ends_at_its_time() {
        let mut guards = Guards::new();
        guards.cool_down(rules::CROSS_STREAK, Scope::All, 5.0, 4.0, Timestamp::from_secs(10));
        guards.expire(Timestamp::from_secs(9));
        assert_eq!(guards.active(), 1);
        assert_eq!(guards.next_deadline(), Some(Timestamp::from_secs(10)));
        guards.expire(Timestamp::from_secs(10));
        assert_eq!(guards.active(), 0);
    }
}
