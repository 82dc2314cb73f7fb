//! Budgets of requests: sliding windows with time as an argument. The numbers stand in each venue's `limits`.

use market::Timestamp;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// At most `limit` units of weight in any window of `window`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Units of weight.
    pub limit: u32,
    /// Length of the window.
    pub window: Duration,
}

/// What a venue counts together.
pub trait Group: Copy + Ord + std::fmt::Debug + 'static {
    /// Every group of the venue.
    const ALL: &'static [Self];
    /// The group's name in metrics.
    fn as_str(self) -> &'static str;
    /// What the venue allows.
    fn rules(self) -> &'static [Rule];
}

/// Who asks. Earlier ones go first where several wait for one budget, and each leaves room for those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Priority {
    /// Snapshots of books that are in use, and health.
    Books,
    /// The universe at a start: nothing else is under way then.
    #[default]
    Start,
    /// Candles that seed the levels.
    Levels,
    /// The refresh of the universe during a run.
    Refresh,
}

impl Priority {
    /// All of them, the most urgent first.
    pub const ALL: [Self; 4] = [Self::Books, Self::Start, Self::Levels, Self::Refresh];

    /// Share of each limit up to which this one may bring the use by everybody, 0 to 1.
    pub const fn share(self) -> f64 {
        match self {
            Self::Books | Self::Start => 0.8,
            // Candles weigh little, and without them nothing is traded: they leave room for a few snapshots only.
            Self::Levels => 0.78,
            Self::Refresh => 0.6,
        }
    }

    /// Share of each limit that this one may use itself, 0 to 1.
    pub const fn own_share(self) -> f64 {
        match self {
            Self::Refresh => 0.2,
            Self::Books | Self::Start | Self::Levels => 1.0,
        }
    }

    /// Its name in the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Books => "books",
            Self::Start => "start",
            Self::Levels => "levels",
            Self::Refresh => "refresh",
        }
    }
}

/// How much of a budget may be used, 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share {
    /// Of each limit, by everybody.
    pub total: f64,
    /// Of each limit, by requests of the same priority.
    pub own: f64,
}

/// Weight that was used, and when it stopped being under way.
#[derive(Debug, Clone, Copy)]
struct Used {
    at: Timestamp,
    weight: u32,
    by: Option<Priority>,
}

/// Token accounting of one venue.
///
/// Windows slide, although venues count in fixed ones: what is allowed here is allowed there whatever the phase. A request
/// is counted from the moment it is sent until a window after its answer came ([`Budget::begin`], [`Budget::finish`]): the
/// venue counts it somewhere in between, so that slow answers cannot bunch requests in one of its windows. Use by others on
/// the same address, known from headers, is entered as if it had been ours.
#[derive(Debug, Clone)]
pub struct Budget<G> {
    used: BTreeMap<G, VecDeque<Used>>,
    under_way: BTreeMap<(G, Priority), u32>,
    blocked_until: Option<Timestamp>,
}

impl<G: Group> Default for Budget<G> {
    fn default() -> Self {
        Self::new()
    }
}

/// How soon to look again when only requests under way stand against another one: their answers have no known time.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

impl<G: Group> Budget<G> {
    /// A full budget.
    pub fn new() -> Self {
        Self {
            used: G::ALL.iter().map(|g| (*g, VecDeque::new())).collect(),
            under_way: BTreeMap::new(),
            blocked_until: None,
        }
    }

    /// Takes `weight` at once, using at most `share` (0 to 1) of each limit. A weight beyond the share passes only through
    /// an empty window.
    ///
    /// # Errors
    /// The earliest time at which it may pass; the end of time for a weight beyond the limit itself.
    pub fn try_take(&mut self, group: G, weight: u32, now: Timestamp, share: f64) -> Result<(), Timestamp> {
        self.check(group, weight, None, now, Share { total: share, own: 1.0 })?;
        self.enter(group, Used { at: now, weight, by: None });
        Ok(())
    }

    /// Takes `weight` for a request that is sent now; [`Budget::finish`] must follow when it is over.
    ///
    /// # Errors
    /// As [`Budget::try_take`].
    pub fn begin(
        &mut self,
        group: G,
        weight: u32,
        by: Priority,
        now: Timestamp,
        share: Share,
    ) -> Result<(), Timestamp> {
        self.check(group, weight, Some(by), now, share)?;
        *self.under_way.entry((group, by)).or_default() += weight;
        Ok(())
    }

    /// A request is over, with an answer or without.
    pub fn finish(&mut self, group: G, weight: u32, by: Priority, now: Timestamp) {
        if let Some(open) = self.under_way.get_mut(&(group, by)) {
            *open = open.saturating_sub(weight);
        }
        self.enter(group, Used { at: now, weight, by: Some(by) });
    }

    fn check(
        &mut self,
        group: G,
        weight: u32,
        by: Option<Priority>,
        now: Timestamp,
        share: Share,
    ) -> Result<(), Timestamp> {
        if let Some(until) = self.blocked_until {
            if now < until {
                return Err(until);
            }
            self.blocked_until = None;
        }
        let open = self.open(group, None);
        let ours = by.map(|by| self.open(group, Some(by)));
        let log = self.used.entry(group).or_default();
        let mut earliest = now;
        for rule in group.rules() {
            if weight > rule.limit {
                return Err(Timestamp(i64::MAX));
            }
            let cap = cap(*rule, share.total).max(weight);
            earliest = earliest.max(passes_at(log, None, open, weight, cap, *rule, now));
            if let Some(ours) = ours {
                let cap = self::cap(*rule, share.own).max(weight);
                earliest = earliest.max(passes_at(log, by, ours, weight, cap, *rule, now));
            }
        }
        if earliest > now { Err(earliest) } else { Ok(()) }
    }

    fn enter(&mut self, group: G, used: Used) {
        let log = self.used.entry(group).or_default();
        let longest = group.rules().iter().map(|r| r.window).max().unwrap_or_default();
        while log.front().is_some_and(|first| first.at.plus(longest) <= used.at) {
            log.pop_front();
        }
        log.push_back(used);
    }

    fn open(&self, group: G, by: Option<Priority>) -> u32 {
        let of = |who: &Priority| by.is_none_or(|by| by == *who);
        self.under_way.iter().filter(|((g, who), _)| *g == group && of(who)).map(|(_, open)| open).sum()
    }

    /// Takes note of what the venue says was used within `rule` (an element of the group's rules): the difference to
    /// our own count is someone else's use.
    pub fn observe_used(&mut self, group: G, rule: Rule, used: u32, now: Timestamp) {
        let open = self.open(group, None);
        let log = self.used.entry(group).or_default();
        let ours = used_in(log, None, rule, now) + open;
        if used > ours {
            log.push_back(Used { at: now, weight: used - ours, by: None });
        }
    }

    /// The venue refused (429, 418): nothing is asked before `until`.
    pub fn punished(&mut self, until: Timestamp) {
        self.blocked_until = Some(self.blocked_until.map_or(until, |old| old.max(until)));
    }

    /// Until when nothing may be asked, when that is the case at `now`.
    pub fn blocked_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.blocked_until.filter(|until| *until > now)
    }

    /// Weight that may still be used at `now` below `share` (0 to 1) of each limit.
    pub fn room(&self, group: G, now: Timestamp, share: f64) -> u32 {
        if self.blocked_until(now).is_some() {
            return 0;
        }
        let open = self.open(group, None);
        let left = |rule: &Rule| {
            let used = self.used.get(&group).map_or(0, |log| used_in(log, None, *rule, now));
            cap(*rule, share).saturating_sub(used + open)
        };
        group.rules().iter().map(left).min().unwrap_or(0)
    }

    /// How much of a group's budget is left at `now`, 0 to 1: the scarcest of its rules.
    pub fn ratio_left(&self, group: G, now: Timestamp) -> f64 {
        if self.blocked_until(now).is_some() {
            return 0.0;
        }
        let open = self.open(group, None);
        let left = |rule: &Rule| {
            let used = self.used.get(&group).map_or(0, |log| used_in(log, None, *rule, now)) + open;
            f64::from(rule.limit.saturating_sub(used)) / f64::from(rule.limit)
        };
        group.rules().iter().map(left).fold(1.0, f64::min)
    }
}

/// When `weight` more fits under `cap`, by what `by` used (`None`: by everybody): `now`, or when enough has left the window.
fn passes_at(
    log: &VecDeque<Used>,
    by: Option<Priority>,
    open: u32,
    weight: u32,
    cap: u32,
    rule: Rule,
    now: Timestamp,
) -> Timestamp {
    let mut used = used_in(log, by, rule, now) + open;
    let mut earliest = now;
    for entry in log.iter().filter(|entry| by.is_none() || entry.by == by) {
        if used + weight <= cap {
            return earliest;
        }
        let leaves = entry.at.plus(rule.window);
        if leaves > now {
            used -= entry.weight;
            earliest = earliest.max(leaves);
        }
    }
    if used + weight <= cap { earliest } else { earliest.max(now.plus(LOOK_AGAIN)) }
}

fn cap(rule: Rule, share: f64) -> u32 {
    // Truncation is meant: a share never exceeds itself.
    (f64::from(rule.limit) * share.clamp(0.0, 1.0)) as u32
}

fn used_in(log: &VecDeque<Used>, by: Option<Priority>, rule: Rule, now: Timestamp) -> u32 {
    let within = log.iter().rev().take_while(|used| used.at.plus(rule.window) > now);
    within.filter(|used| by.is_none() || used.by == by).map(|used| used.weight).sum()
}
