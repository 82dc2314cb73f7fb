//! For what share of the run each symbol's books were trusted, why not for the rest, and how the universe changed: tables of
//! the report, from the journal's records. They judge nothing; `accounting` checks that the times add up.

use journal::record::BookCondition;
use journal::{Body, Entry};
use market::{Asset, Timestamp, Venue};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Stands for the time between a kill and the restart, and for what the killed process had not recorded yet.
pub const NOT_RUNNING: &str = "not_running";

/// Why a book was not trusted, and for how long.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Untrusted {
    /// The venue; `None`: no process looked at either.
    pub venue: Option<Venue>,
    /// The condition, as in the journal, or `not_running`.
    pub why: String,
    /// Seconds.
    pub seconds: f64,
    /// Share of the symbol's time, percent.
    pub pct: f64,
}

/// The trust in one symbol's books over the time in which they were followed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SymbolTrust {
    /// The symbol.
    pub symbol: String,
    /// How long it was followed, seconds, a restart's outage included.
    pub followed_s: f64,
    /// Both books were trusted at once, percent of that.
    pub both_pct: f64,
    /// Each venue's book was trusted, percent, Upbit's first.
    pub venue_pct: [f64; 2],
    /// Why not for the rest, the longest first; with those of `venue_pct` they add up to 100 for each venue.
    pub rest: Vec<Untrusted>,
}

/// A change of the universe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct UniverseChange {
    /// Seconds since the journal's first record.
    pub t: f64,
    /// The symbol.
    pub symbol: String,
    /// `joined`, `left`, `warning`, `halted`, `delisted`, `trades_again`.
    pub what: String,
    /// The venue, of what a venue said.
    pub venue: Option<Venue>,
    /// Why it left, as the engine says it.
    pub why: Option<String>,
    /// Positions that it concerned.
    pub positions: u32,
}

/// How the universe changed.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct UniverseStory {
    /// How many were asked for.
    pub asked: u32,
    /// Members at the start.
    pub first: u64,
    /// Members at the end.
    pub last: u64,
    /// Refreshes taken.
    pub refreshes: u64,
    /// The fewest that passed the filters, over the start and all refreshes.
    pub fewest_passed: u64,
    /// What changed, in order.
    pub changes: Vec<UniverseChange>,
}

#[derive(Default)]
struct Sums {
    ns: [i64; 2],
    both: i64,
    down: i64,
    rest: BTreeMap<(usize, BookCondition), i64>,
    until: Option<Timestamp>,
}

/// Both tables. A journal without trust records is one of an engine that wrote none.
pub(crate) fn of(journal: &[Entry]) -> (Vec<SymbolTrust>, Option<UniverseStory>) {
    let mut sums: BTreeMap<Asset, Sums> = BTreeMap::new();
    let mut story: Option<UniverseStory> = None;
    let start = journal.first().map_or(Timestamp(0), |entry| entry.at);
    for entry in journal {
        let t = entry.at.secs_since(start);
        match &entry.body {
            Body::Trust(shares) => {
                let sum = sums.entry(shares.asset).or_default();
                let gap = sum.until.map_or(0, |until| shares.from.since(until).max(0));
                sum.down = sum.down.saturating_add(gap);
                sum.both = sum.both.saturating_add(shares.both_ns);
                for venue in Venue::ALL {
                    for (condition, ns) in shares.of(venue) {
                        let sum = match condition {
                            BookCondition::Trusted => &mut sum.ns[venue.index()],
                            other => sum.rest.entry((venue.index(), *other)).or_default(),
                        };
                        *sum = sum.saturating_add(*ns);
                    }
                }
                sum.until = Some(entry.at);
            }
            Body::Universe { asked, members } => {
                let n = members.len() as u64;
                let story = story.get_or_insert_with(|| UniverseStory {
                    asked: *asked,
                    first: n,
                    fewest_passed: n,
                    ..UniverseStory::default()
                });
                story.last = n;
            }
            Body::UniverseRefresh(refresh) => {
                // Its time as no member is not held against it.
                for gone in &refresh.left {
                    if let Some(sum) = sums.get_mut(&gone.asset) {
                        sum.until = None;
                    }
                }
                let story = story.get_or_insert_with(UniverseStory::default);
                story.refreshes += 1;
                story.fewest_passed = story.fewest_passed.min(refresh.passed.into());
                let change = |asset: Asset, what: &str, why: Option<String>| UniverseChange {
                    t,
                    symbol: asset.to_string(),
                    what: what.to_owned(),
                    venue: None,
                    why,
                    positions: 0,
                };
                story
                    .changes
                    .extend(refresh.left.iter().map(|r| change(r.asset, "left", Some(r.why.clone()))));
                story.changes.extend(refresh.joined.iter().map(|asset| change(*asset, "joined", None)));
            }
            Body::Halt(event) => {
                let story = story.get_or_insert_with(UniverseStory::default);
                story.changes.push(UniverseChange {
                    t,
                    symbol: event.asset.to_string(),
                    what: event.why.map_or("trades_again", market::HaltWhy::as_str).to_owned(),
                    venue: Some(event.venue),
                    why: None,
                    positions: event.positions,
                });
            }
            _ => {}
        }
    }
    let mut symbols: Vec<SymbolTrust> =
        sums.into_iter().filter_map(|(asset, sums)| symbol(asset, &sums)).collect();
    symbols.sort_by(|a, b| a.both_pct.total_cmp(&b.both_pct).then_with(|| a.symbol.cmp(&b.symbol)));
    (symbols, story)
}

/// `None` when no time has passed.
fn symbol(asset: Asset, sums: &Sums) -> Option<SymbolTrust> {
    let upbit: i64 = sums.rest.iter().filter(|((venue, _), _)| *venue == 0).map(|(_, ns)| ns).sum();
    let whole = sums.ns[0].checked_add(upbit)?.checked_add(sums.down)?;
    if whole <= 0 {
        return None;
    }
    let pct = |ns: i64| ns as f64 / whole as f64 * 100.0;
    let seconds = |ns: i64| ns as f64 / 1e9;
    let mut rest: Vec<Untrusted> = sums
        .rest
        .iter()
        .map(|((venue, condition), ns)| Untrusted {
            venue: Venue::ALL.get(*venue).copied(),
            why: condition.as_str().to_owned(),
            seconds: seconds(*ns),
            pct: pct(*ns),
        })
        .collect();
    if sums.down > 0 {
        let why = NOT_RUNNING.to_owned();
        rest.push(Untrusted { venue: None, why, seconds: seconds(sums.down), pct: pct(sums.down) });
    }
    rest.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    Some(SymbolTrust {
        symbol: asset.to_string(),
        followed_s: seconds(whole),
        both_pct: pct(sums.both),
        venue_pct: sums.ns.map(pct),
        rest,
    })
}

/// Checks that the recorded times add up: of each venue to the time since the symbol's last record, without a hole.
#[derive(Debug, Default)]
pub(crate) struct Clocks {
    until: BTreeMap<Asset, Timestamp>,
}

impl Clocks {
    /// What is wrong with a record, if anything.
    pub(crate) fn take(&mut self, entry: &Entry) -> Option<String> {
        match &entry.body {
            Body::Universe { members, .. } => {
                for member in members {
                    self.until.entry(member.asset).or_insert(entry.at);
                }
                None
            }
            Body::UniverseRefresh(refresh) => {
                for gone in &refresh.left {
                    self.until.remove(&gone.asset);
                }
                None
            }
            // A process that comes back begins its clocks with the members that it is given.
            Body::Resumed { .. } => {
                self.until.clear();
                None
            }
            Body::Trust(shares) => {
                let asset = shares.asset;
                let due = self.until.insert(asset, entry.at);
                let span = entry.at.since(shares.from);
                if due.is_some_and(|due| due != shares.from) {
                    return Some(format!("trust times of {asset} do not go on where the last ones ended"));
                }
                let mut trusted = [0i64; 2];
                for venue in Venue::ALL {
                    let times = shares.of(venue);
                    let sum = times.values().try_fold(0i64, |sum, ns| sum.checked_add(*ns));
                    if sum != Some(span) || times.values().any(|ns| *ns < 0) {
                        return Some(format!(
                            "trust times of {asset} on {venue} do not add up to their span"
                        ));
                    }
                    trusted[venue.index()] = times.get(&BookCondition::Trusted).copied().unwrap_or(0);
                }
                let least = trusted[0].saturating_add(trusted[1]).saturating_sub(span).max(0);
                let most = trusted[0].min(trusted[1]);
                (shares.both_ns < least || shares.both_ns > most).then(|| {
                    format!("trust times of {asset}: no book times give that both were trusted so long")
                })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use journal::record::{HaltEvent, Reason, TrustShares, UniverseRefresh};
    use market::HaltWhy;

    fn asset(name: &str) -> Asset {
        Asset::new(name).unwrap()
    }

    fn entry(s: i64, body: Body) -> Entry {
        Entry { seq: 1, input_seq: 1, at: Timestamp::from_secs(s), commit: true, body }
    }

    fn trust(name: &str, from: i64, to: i64, lost: i64) -> Entry {
        let ns = |s: i64| s * 1_000_000_000;
        let mut upbit = BTreeMap::from([(BookCondition::Trusted, ns(to - from - lost))]);
        if lost > 0 {
            upbit.insert(BookCondition::Disconnected, ns(lost));
        }
        let shares = TrustShares {
            asset: asset(name),
            from: Timestamp::from_secs(from),
            both_ns: ns(to - from - lost),
            upbit,
            binance: BTreeMap::from([(BookCondition::Trusted, ns(to - from))]),
        };
        entry(to, Body::Trust(Box::new(shares)))
    }

    fn resumed(s: i64) -> Entry {
        let version = String::new();
        entry(
            s,
            Body::Resumed { version, after_seq: 0, cut_records: 0, cut_bytes: 0, positions: 0, orders: 0 },
        )
    }

    #[test]
    fn shares_add_up_over_records_and_a_restart_and_the_worst_comes_first() {
        let journal = [trust("AAA", 0, 60, 0), trust("BBB", 0, 60, 6), resumed(70), trust("AAA", 80, 100, 0)];
        let (found, _) = of(&journal);
        let names: Vec<_> = found.iter().map(|s| (s.symbol.as_str(), s.followed_s, s.both_pct)).collect();
        assert_eq!(names, [("AAA", 100.0, 80.0), ("BBB", 60.0, 90.0)]);
        assert_eq!((found[0].rest[0].why.as_str(), found[0].rest[0].pct), (NOT_RUNNING, 20.0));
        assert_eq!(found[1].venue_pct, [90.0, 100.0]);
        assert_eq!(found[1].rest[0].why, "disconnected");
        for symbol in &found {
            for venue in Venue::ALL {
                let rest = symbol.rest.iter().filter(|r| r.venue.is_none_or(|v| v == venue));
                let sum = symbol.venue_pct[venue.index()] + rest.map(|r| r.pct).sum::<f64>();
                assert!((sum - 100.0).abs() < 1e-9, "{symbol:?}");
            }
        }
    }

    #[test]
    fn a_hole_a_wrong_sum_and_a_claim_of_both_are_found() {
        let mut clocks = Clocks::default();
        assert_eq!(clocks.take(&trust("AAA", 0, 60, 5)), None);
        assert_eq!(clocks.take(&trust("AAA", 60, 120, 0)), None);
        assert!(clocks.take(&trust("AAA", 130, 180, 0)).unwrap().contains("where the last ones ended"));
        assert_eq!(clocks.take(&resumed(200)), None);
        assert_eq!(clocks.take(&trust("AAA", 210, 240, 0)), None);
        let wrong = |change: &dyn Fn(&mut TrustShares)| {
            let mut record = trust("AAA", 240, 300, 10);
            let Body::Trust(shares) = &mut record.body else { panic!() };
            change(shares);
            let mut clocks = Clocks::default();
            clocks.take(&record)
        };
        assert_eq!(wrong(&|_| ()), None);
        assert!(wrong(&|s| s.both_ns += 1).unwrap().contains("both"));
        assert!(wrong(&|s| s.both_ns -= 1).unwrap().contains("both"));
        let more = |s: &mut TrustShares| *s.binance.entry(BookCondition::Trusted).or_default() += 1;
        assert!(wrong(&more).unwrap().contains("add up"));
    }

    #[test]
    fn the_story_of_the_universe_names_every_change() {
        let refresh = UniverseRefresh {
            asked: 10,
            passed: 8,
            limit: 1,
            joined: vec![asset("NEW")],
            left: vec![Reason { asset: asset("OLD"), why: "rank 12 of 10 asked".to_owned() }],
            stayed: Vec::new(),
            waiting: Vec::new(),
        };
        let halt = HaltEvent {
            venue: Venue::Binance,
            asset: asset("BBB"),
            why: Some(HaltWhy::Halted),
            positions: 1,
        };
        let journal = [
            entry(0, Body::Universe { asked: 10, members: Vec::new() }),
            entry(3_600, Body::UniverseRefresh(Box::new(refresh))),
            entry(3_700, Body::Halt(halt)),
        ];
        let story = of(&journal).1.unwrap();
        let changes: Vec<_> =
            story.changes.iter().map(|c| (c.t, c.symbol.as_str(), c.what.as_str())).collect();
        assert_eq!(
            changes,
            [(3_600.0, "OLD", "left"), (3_600.0, "NEW", "joined"), (3_700.0, "BBB", "halted")]
        );
        assert_eq!((story.asked, story.refreshes, story.fewest_passed), (10, 1, 0));
    }
}
