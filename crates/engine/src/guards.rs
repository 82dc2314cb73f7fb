//! Risk guards: which conditions hold, for what scope, and their transitions (engine.md 8).
//!
//! A trigger is the transition into a finding per rule and scope; its end carries the same id. Every event carries the
//! figure, the threshold and the side on which the condition holds, so that it can be recomputed. Guards fail closed: a
//! figure that cannot be computed blocks. The rules stand in [`rules`], their formulas in docs/guards.md. Which figures are
//! looked at when is the session's business; pacing is no guard and stands in the funnel.

pub mod rules;

pub use rules::{Rule, Thresholds};

use crate::recover::Held;
use journal::record::{Direction, GuardEvent};
use market::{Asset, Timestamp, Venue};
use std::collections::{BTreeMap, BTreeSet};

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
    since: Timestamp,
    /// End of a cooldown.
    until: Option<Timestamp>,
}

/// The findings that hold now.
#[derive(Debug, Clone)]
pub struct Guards {
    thresholds: Thresholds,
    /// By scope first, so that an entry looks only at what can concern it, however many symbols there are.
    active: BTreeMap<(Scope, &'static str), Active>,
    /// Figures that cannot be computed now: type, scope, rule.
    failing: BTreeSet<(Scope, &'static str, &'static str)>,
    triggers: u64,
    /// The earliest end of a cooldown.
    until: Option<Timestamp>,
    events: Vec<(Rule, Scope, GuardEvent)>,
    #[cfg(test)]
    pub(crate) poisoned: Option<&'static str>,
}

impl Guards {
    /// Nothing holds.
    pub fn new(thresholds: Thresholds) -> Self {
        Self {
            thresholds,
            active: BTreeMap::new(),
            failing: BTreeSet::new(),
            triggers: 0,
            until: None,
            events: Vec::new(),
            #[cfg(test)]
            poisoned: None,
        }
    }

    /// The thresholds.
    pub const fn thresholds(&self) -> &Thresholds {
        &self.thresholds
    }

    /// Compares a figure with its rule's threshold; a change of the outcome is an event. A figure that could not be computed
    /// (`None`, or no finite number) fails closed: it blocks under the `..._guard_error` rule of its type until it is back,
    /// and what the rule itself found before stays as it was.
    pub fn judge(&mut self, now: Timestamp, rule: Rule, scope: Scope, observed: impl Into<Option<f64>>) {
        let observed = observed.into().filter(|figure| figure.is_finite());
        #[cfg(test)]
        let observed = observed.filter(|_| self.poisoned != Some(rule.name));
        let Some(observed) = observed else {
            if self.failing.insert((scope, rule.guard_type, rule.name)) {
                self.judge_failing(now, rule.guard_type, scope);
            }
            return;
        };
        if !self.failing.is_empty() && self.failing.remove(&(scope, rule.guard_type, rule.name)) {
            self.judge_failing(now, rule.guard_type, scope);
        }
        self.compare(now, rule, scope, observed);
    }

    fn judge_failing(&mut self, now: Timestamp, guard_type: &str, scope: Scope) {
        let failing = self.failing.iter().filter(|(s, kind, _)| *s == scope && *kind == guard_type).count();
        self.compare(now, rules::error_rule(guard_type), scope, failing as f64);
    }

    fn compare(&mut self, now: Timestamp, rule: Rule, scope: Scope, observed: f64) {
        let threshold = self.thresholds.of(rule);
        let holds = if rule.above { observed > threshold } else { observed < threshold };
        // Most of the time nothing holds at all.
        let held = !self.active.is_empty() && self.holds(rule, scope);
        match (holds, held) {
            (true, false) => self.start(now, rule, scope, observed, None),
            (false, true) => self.end(rule, scope, observed),
            _ => {}
        }
    }

    /// Starts a cooldown until `until`, unless one holds.
    pub fn cool_down(&mut self, now: Timestamp, rule: Rule, scope: Scope, observed: f64, until: Timestamp) {
        if !self.holds(rule, scope) {
            self.start(now, rule, scope, observed, Some(until));
        }
    }

    /// Starts a finding that has no end, unless it holds: the caller has found it by exact numbers.
    pub fn latch(&mut self, now: Timestamp, rule: Rule, scope: Scope, observed: f64) {
        if !self.holds(rule, scope) {
            self.start(now, rule, scope, observed, None);
        }
    }

    /// Ends the cooldowns that are over. Their streak starts anew, so the figure at the end is 0.
    pub fn expire(&mut self, now: Timestamp) {
        if self.until.is_none_or(|until| until > now) {
            return;
        }
        let over = |active: &Active| active.until.is_some_and(|until| until <= now);
        let ended: Vec<(Rule, Scope)> = self
            .active
            .iter()
            .filter(|(_, active)| over(active))
            .map(|((scope, _), active)| (active.rule, *scope))
            .collect();
        for (rule, scope) in ended {
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
        self.active.contains_key(&(scope, rule.name))
    }

    /// The strongest verdict for an entry; `each` is called with every rule that blocks it.
    pub fn verdict(&self, asset: Asset, direction: Direction, mut each: impl FnMut(&'static str)) -> Verdict {
        let mut strongest = Verdict::Allow;
        if self.active.is_empty() {
            return strongest;
        }
        let [a, b] = Venue::ALL.map(Scope::Venue);
        let scopes = [
            Scope::All,
            a,
            b,
            Scope::Asset(asset),
            Scope::Direction(direction),
            Scope::Route(asset, direction),
        ];
        for scope in scopes {
            for ((_, name), active) in self.active.range((scope, "")..=(scope, LAST)) {
                strongest = strongest.max(active.rule.verdict);
                if active.rule.verdict >= Verdict::Cooldown {
                    each(name);
                }
            }
        }
        strongest
    }

    /// Takes over what held, by trigger, when the session was killed. What this version does not know is left out and
    /// named. Errors of guards and scores of intents end here: both are found anew, or not.
    pub(crate) fn come_back(&mut self, triggers: u64, held: BTreeMap<u64, Held>) -> Vec<String> {
        let mut unknown = Vec::new();
        let mut over = Vec::new();
        self.triggers = triggers;
        for (trigger, Held { rule, scope, since, until, .. }) in held {
            let (Some(rule), Some(scope)) = (rule_of(&rule), Scope::parse(&scope)) else {
                unknown.push(format!("{rule} on {scope}"));
                continue;
            };
            self.active.insert((scope, rule.name), Active { trigger, rule: *rule, since, until });
            if *rule == rules::ROUTE_SCORE {
                over.push((*rule, scope, 100.0));
            } else if *rule == rules::error_rule(rule.guard_type) {
                over.push((*rule, scope, 0.0));
            }
        }
        self.find_next_deadline();
        for (rule, scope, figure) in over {
            self.end(rule, scope, figure);
        }
        unknown
    }

    /// What holds now, by trigger.
    pub(crate) fn held(&self) -> BTreeMap<u64, Held> {
        let row = |((scope, name), active): (&(Scope, &'static str), &Active)| {
            let Active { trigger, rule, since, until } = *active;
            let threshold = self.thresholds.of(rule);
            (trigger, Held { rule: (*name).to_owned(), scope: scope.to_string(), threshold, since, until })
        };
        self.active.iter().map(row).collect()
    }

    /// Findings that hold.
    pub fn active(&self) -> usize {
        self.active.len()
    }

    /// Figures that cannot be computed now: rule and scope, in order.
    pub fn failing(&self) -> impl Iterator<Item = (&'static str, Scope)> + '_ {
        self.failing.iter().map(|(scope, _, rule)| (*rule, *scope))
    }

    /// Triggers so far.
    pub const fn triggers(&self) -> u64 {
        self.triggers
    }

    /// The events since the last call.
    pub fn take_events(&mut self) -> Vec<(Rule, Scope, GuardEvent)> {
        std::mem::take(&mut self.events)
    }

    fn start(&mut self, now: Timestamp, rule: Rule, scope: Scope, observed: f64, until: Option<Timestamp>) {
        self.triggers += 1;
        let active = Active { trigger: self.triggers, rule, since: now, until };
        self.active.insert((scope, rule.name), active);
        self.find_next_deadline();
        let event = self.event(&active, scope, true, observed);
        self.events.push((rule, scope, event));
    }

    fn end(&mut self, rule: Rule, scope: Scope, observed: f64) {
        if let Some(active) = self.active.remove(&(scope, rule.name)) {
            self.find_next_deadline();
            let event = self.event(&active, scope, false, observed);
            self.events.push((rule, scope, event));
        }
    }

    fn event(&self, active: &Active, scope: Scope, start: bool, observed: f64) -> GuardEvent {
        GuardEvent {
            trigger: active.trigger,
            guard_type: active.rule.guard_type.to_owned(),
            rule: active.rule.name.to_owned(),
            scope: scope.to_string(),
            verdict: active.rule.verdict.as_str().to_owned(),
            start,
            observed,
            threshold: self.thresholds.of(active.rule),
            holds: if active.rule.above { "above" } else { "below" }.to_owned(),
            until: active.until.filter(|_| start),
            since: (!start).then_some(active.since),
        }
    }
}

/// Sorts behind every rule's name.
const LAST: &str = "~";

#[cfg(test)]
mod tests {
    use super::{Guards, Scope, Thresholds, Verdict, rules};
    use crate::config::Config;
    use journal::record::Direction;
    use market::{Asset, Timestamp};

    const T: Timestamp = Timestamp(0);

    fn guards() -> Guards {
        Guards::new(Thresholds::new(&Config::default()))
    }

    #[test]
    fn a_trigger_is_a_transition_and_the_strongest_verdict_wins() {
        let mut guards = guards();
        for observed in [1.0, 11.0, 12.0, 25.0] {
            guards.judge(T, rules::EXPOSURE_DEGRADE, Scope::Asset(Asset::USDT), observed);
            guards.judge(T, rules::EXPOSURE_BLOCK, Scope::Asset(Asset::USDT), observed);
        }
        let events = guards.take_events();
        assert_eq!(events.len(), 2);
        let mut blocked = Vec::new();
        let verdict = guards.verdict(Asset::USDT, Direction::BuyUpbit, |rule| blocked.push(rule));
        assert_eq!((verdict, blocked), (Verdict::Block, vec!["exposure_block"]));
        assert_eq!(guards.verdict(Asset::KRW, Direction::BuyUpbit, |_| {}), Verdict::Allow);
        guards.judge(Timestamp(7), rules::EXPOSURE_BLOCK, Scope::Asset(Asset::USDT), 15.0);
        let end = guards.take_events();
        assert_eq!(end.len(), 1);
        assert!(!end[0].2.start);
        assert_eq!((end[0].2.trigger, end[0].2.since), (events[1].2.trigger, Some(T)));
        assert_eq!(guards.verdict(Asset::USDT, Direction::BuyUpbit, |_| {}), Verdict::Degrade);
    }

    #[test]
    fn a_cooldown_ends_at_its_time() {
        let mut guards = guards();
        guards.cool_down(T, rules::CROSS_STREAK, Scope::All, 5.0, Timestamp::from_secs(10));
        guards.expire(Timestamp::from_secs(9));
        assert_eq!(guards.active(), 1);
        assert_eq!(guards.next_deadline(), Some(Timestamp::from_secs(10)));
        assert_eq!(guards.take_events()[0].2.until, Some(Timestamp::from_secs(10)));
        guards.expire(Timestamp::from_secs(10));
        assert_eq!(guards.active(), 0);
    }

    #[test]
    fn a_figure_that_cannot_be_computed_blocks_and_hides_nothing() {
        let mut guards = guards();
        let eth = Scope::Asset(Asset::new("ETH").unwrap());
        let verdict =
            |guards: &Guards| guards.verdict(Asset::new("ETH").unwrap(), Direction::BuyUpbit, |_| {});
        guards.judge(T, rules::EXPOSURE_DEGRADE, eth, 15.0);
        for broken in [None, Some(f64::NAN), Some(f64::INFINITY)] {
            guards.judge(T, rules::EXPOSURE_DEGRADE, eth, broken);
            guards.judge(T, rules::VOLATILITY, eth, broken);
        }
        assert_eq!(verdict(&guards), Verdict::Block);
        assert_eq!(
            guards.failing().map(|(rule, _)| rule).collect::<Vec<_>>(),
            ["exposure_degrade", "volatility"]
        );
        guards.judge(T, rules::VOLATILITY, eth, 1.0);
        assert_eq!(verdict(&guards), Verdict::Block, "one figure is still missing");
        guards.judge(T, rules::EXPOSURE_DEGRADE, eth, 15.0);
        assert_eq!(verdict(&guards), Verdict::Degrade, "what was found before the error still holds");
        let events: Vec<_> =
            guards.take_events().into_iter().map(|(rule, _, e)| (rule.name, e.start)).collect();
        let error = "symbol_guard_error";
        assert_eq!(events, [("exposure_degrade", true), (error, true), (error, false)]);
    }

    #[test]
    fn what_held_when_a_journal_ended_holds_again() {
        let mut before = guards();
        let route = Scope::Route(Asset::new("ETH").unwrap(), Direction::BuyBinance);
        before.judge(T, rules::DAILY_LOSS, Scope::All, -400.0);
        before.cool_down(T, rules::ROUTE_STREAK, route, 3.0, Timestamp::from_secs(300));
        before.judge(T, rules::FX_STALE, Scope::All, 90_000.0);
        before.judge(T, rules::FX_STALE, Scope::All, 5.0);
        before.judge(T, rules::BIAS, Scope::Direction(Direction::BuyUpbit), f64::NAN);
        before.judge(T, rules::ROUTE_SCORE, route, 40.0);
        let mut after = guards();
        assert!(after.come_back(before.triggers(), before.held()).is_empty());
        let over: Vec<_> = after.take_events().into_iter().map(|(rule, _, e)| (rule.name, e.start)).collect();
        assert_eq!(over, [("cross_exchange_guard_error", false), ("route_score", false)]);
        assert!(after.holds(rules::DAILY_LOSS, Scope::All) && after.holds(rules::ROUTE_STREAK, route));
        assert_eq!((after.active(), after.triggers()), (2, 5));
        assert_eq!(after.next_deadline(), Some(Timestamp::from_secs(300)));
    }
}
