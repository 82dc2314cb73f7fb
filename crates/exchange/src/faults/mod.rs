//! Faults: what goes wrong on purpose, when, and to whom. Pure: time since the start is an argument.
//!
//! What lives here: the list of faults ([`Fault`]), a fault with its target ([`Injection`]), those in force ([`Faults`]), the
//! script ([`script`]), and each place where a fault takes hold of something: of the market ([`Faults::shape`]), of a message
//! ([`Faults::message`], [`stream`]), of a request ([`Faults::request`]). What happens to sockets is done by `hub`. The
//! servers and virtual time go through the same functions.

mod kinds;
pub mod script;
pub mod stream;

pub use kinds::{Extent, Fault};
pub use script::{Script, ScriptError, Scripted};

use crate::model::{Model, Symbol};
use market::{Asset, Venue};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;
use stream::{Class, Treatment};

/// A fault with its target.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Injection {
    /// What goes wrong.
    pub kind: Fault,
    /// How long, in ms; until it is ended when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lasts_ms: Option<u64>,
    /// At which venue; both when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub venue: Option<Venue>,
    /// Of which asset; all when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asset: Option<Asset>,
    /// For how many messages or requests; as many as come when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// Delay or shift of time, in ms; the fault's usual one when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ms: Option<i64>,
    /// Size of a price jump, in bps; the fault's usual one when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bps: Option<f64>,
}

impl Injection {
    /// A fault everywhere, until it is ended.
    pub const fn of(kind: Fault) -> Self {
        Self { kind, lasts_ms: None, venue: None, asset: None, count: None, ms: None, bps: None }
    }

    /// At one venue only.
    pub const fn at(mut self, venue: Venue) -> Self {
        self.venue = Some(venue);
        self
    }

    /// To one asset only.
    pub const fn to(mut self, asset: Asset) -> Self {
        self.asset = Some(asset);
        self
    }

    /// For so long.
    pub fn lasting(mut self, time: Duration) -> Self {
        self.lasts_ms = Some(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        self
    }

    /// For so many messages.
    pub const fn times(mut self, count: u32) -> Self {
        self.count = Some(count);
        self
    }

    /// Whether it makes sense, whatever the market.
    ///
    /// # Errors
    /// What is wrong and what to do, as a fragment.
    pub fn check(&self) -> Result<(), String> {
        let Self { kind, lasts_ms, venue, asset, count, ms, bps } = self;
        let name = kind.name();
        match kind.extent() {
            Extent::Once if lasts_ms.is_some_and(|ms| ms > 0) || count.is_some() => {
                return Err(format!("{name} happens at once; leave out lasts_ms and count"));
            }
            Extent::Lasting if count.is_some() => {
                return Err(format!(
                    "{name} is no matter of single messages; write lasts_ms instead of count"
                ));
            }
            _ => {}
        }
        if *count == Some(0) {
            return Err("count must be at least 1".to_owned());
        }
        if let (Some(only), Some(venue)) = (kind.only_at(), venue)
            && only != *venue
        {
            return Err(format!("{name} happens at {only} only; write venue = \"{only}\" or leave it out"));
        }
        if asset.is_some() && !kind.takes_asset() {
            return Err(format!("{name} meets a whole venue; leave out asset"));
        }
        if asset.is_none() && kind.needs_asset() {
            return Err(format!("{name} needs a symbol; write asset = \"BTC\""));
        }
        if ms.is_some() && kind.usual_ms().is_none() {
            return Err(format!("{name} takes no ms; leave it out"));
        }
        let backwards = *kind == Fault::TimeSkew;
        if ms.is_some_and(|ms| ms > 3_600_000 || ms < if backwards { -3_600_000 } else { 1 }) {
            let from = if backwards { "-3600000" } else { "1" };
            return Err(format!("ms must be between {from} and 3600000"));
        }
        if bps.is_some() && kind.usual_bps().is_none() {
            return Err(format!("{name} takes no bps; leave it out"));
        }
        if bps.is_some_and(|bps| !bps.is_finite() || bps.abs() > 5_000.0) {
            return Err("bps must be between -5000 and 5000".to_owned());
        }
        Ok(())
    }

    fn ms(&self) -> i64 {
        self.ms.or(self.kind.usual_ms()).unwrap_or(0)
    }

    fn delay(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.ms()).unwrap_or(0))
    }

    /// Whether it is meant for `venue` at all.
    pub fn meets(&self, venue: Venue) -> bool {
        self.venue.or(self.kind.only_at()).is_none_or(|only| only == venue)
    }
}

/// A fault in force.
#[derive(Clone, Debug)]
struct Active {
    injection: Injection,
    symbol: Option<usize>,
    until: Option<Duration>,
    /// Messages or requests that it has met.
    met: u32,
}

impl Active {
    fn is_over(&self, now: Duration) -> bool {
        self.until.is_some_and(|until| now >= until) || self.injection.count.is_some_and(|n| self.met >= n)
    }

    fn meets(&self, venue: Venue, symbol: Option<usize>, now: Duration) -> bool {
        // A request or connection of no symbol in particular is met by what is meant for all.
        let target = self.symbol.is_none() || self.symbol == symbol;
        target && self.injection.meets(venue) && !self.is_over(now)
    }
}

/// What a fault does to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Request {
    /// What is answered instead.
    pub refusal: Option<Refusal>,
    /// How much later than usual the answer comes.
    pub delay: Duration,
}

/// How a request fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// 503: the venue is cut off.
    Cut,
    /// 500.
    Down,
    /// 429 for so long.
    TooMany(Duration),
    /// 418 for so long.
    Banned(Duration),
}

/// The wait that a refusal names, when the fault has no end of its own.
const USUAL_BAN: Duration = Duration::from_secs(120);

/// The faults in force, and what they did so far.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    active: Vec<Active>,
    /// What each has met so far: messages, requests, connections.
    met: BTreeMap<Fault, u64>,
    begun: BTreeMap<Fault, u64>,
    /// The books that old snapshots show, by symbol.
    old: BTreeMap<usize, Box<Symbol>>,
    shaped: bool,
}

impl Faults {
    /// Is anything in force at all?
    pub fn is_idle(&self) -> bool {
        self.active.is_empty()
    }

    /// Is it in force somewhere at `now`?
    pub fn active(&self, kind: Fault, now: Duration) -> bool {
        self.active.iter().any(|a| a.injection.kind == kind && !a.is_over(now))
    }

    /// Is it in force at `venue` for all of it, or for `symbol`?
    pub fn holds(&self, kind: Fault, venue: Venue, symbol: Option<usize>, now: Duration) -> bool {
        self.active.iter().any(|a| a.injection.kind == kind && a.meets(venue, symbol, now))
    }

    /// The kinds that are in force at `now`, each once.
    pub fn all(&self, now: Duration) -> Vec<Fault> {
        let mut all: Vec<_> =
            self.active.iter().filter(|a| !a.is_over(now)).map(|a| a.injection.kind).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// What is in force at `now`.
    pub fn injections(&self, now: Duration) -> Vec<Injection> {
        self.active.iter().filter(|a| !a.is_over(now)).map(|a| a.injection.clone()).collect()
    }

    /// How often each fault met something so far: a message, a request, a connection.
    pub const fn met(&self) -> &BTreeMap<Fault, u64> {
        &self.met
    }

    /// How often each fault was begun so far.
    pub const fn begun(&self) -> &BTreeMap<Fault, u64> {
        &self.begun
    }

    /// Notes that a fault met a connection.
    pub fn count(&mut self, kind: Fault, times: u64) {
        *self.met.entry(kind).or_default() += times;
    }

    /// Begins one at `now`; what happens to sockets at once is the caller's.
    ///
    /// # Errors
    /// What is wrong with it and what to do: a target that does not exist in `model`, see also [`Injection::check`].
    pub fn begin(&mut self, injection: Injection, model: &Model, now: Duration) -> Result<(), String> {
        injection.check()?;
        let symbol = match injection.asset {
            None => None,
            Some(asset) => Some(find(model, asset, &injection)?),
        };
        *self.begun.entry(injection.kind).or_default() += 1;
        if injection.kind.extent() == Extent::Once {
            return Ok(());
        }
        if injection.kind == Fault::OldSnapshot {
            let meant = (0..model.symbols().len()).filter(|i| symbol.is_none_or(|only| only == *i));
            self.old.extend(meant.map(|i| (i, Box::new(model.symbols()[i].clone()))));
        }
        let until = injection.lasts_ms.map(|ms| now.saturating_add(Duration::from_millis(ms)));
        self.active.push(Active { injection, symbol, until, met: 0 });
        self.shaped = false;
        Ok(())
    }

    /// Ends all.
    pub fn clear(&mut self) {
        self.active.clear();
        self.shaped = false;
    }

    /// Drops what is over.
    pub fn expire(&mut self, now: Duration) {
        let before = self.active.len();
        self.active.retain(|a| !a.is_over(now));
        if self.active.len() != before {
            self.shaped = false;
        }
        if self.active.is_empty() && !self.old.is_empty() {
            self.old.clear();
        }
    }

    /// Takes hold of the market: what stands still, what is halted, gone or jumps.
    pub fn shape(&mut self, model: &mut Model) {
        if std::mem::replace(&mut self.shaped, true) {
            return;
        }
        for index in 0..model.symbols().len() {
            let mut hold = crate::model::Hold::default();
            for active in self.active.iter().filter(|a| a.symbol.is_none_or(|only| only == index)) {
                for venue in Venue::ALL.into_iter().filter(|venue| active.injection.meets(*venue)) {
                    let v = venue.index();
                    match active.injection.kind {
                        Fault::Freeze => hold.still[v] = true,
                        Fault::Halt => (hold.still[v], hold.halted) = (true, true),
                        Fault::Delist => hold.delisted[v] = true,
                        Fault::UnknownSymbol => hold.unknown[v] = true,
                        Fault::Spike | Fault::JumpLatency => {
                            let bps = active.injection.bps.or(active.injection.kind.usual_bps());
                            hold.factor[v] *= 1.0 + bps.unwrap_or(0.0) / 1e4;
                        }
                        _ => {}
                    }
                }
            }
            model.symbol_mut(index).hold(hold);
        }
    }

    /// Takes hold of a message that is about to go out to everybody who listens.
    pub fn message(&mut self, venue: Venue, symbol: usize, class: Class, now: Duration) -> Treatment {
        let mut treatment = Treatment::default();
        for active in &mut self.active {
            if !active.meets(venue, Some(symbol), now) {
                continue;
            }
            let injection = &active.injection;
            if treatment.add(injection.kind, class, injection.delay(), injection.ms(), active.met) {
                active.met = active.met.saturating_add(1);
                *self.met.entry(injection.kind).or_default() += 1;
            }
        }
        treatment
    }

    /// How late everything of the venue is.
    pub fn delay(&self, venue: Venue, now: Duration) -> Duration {
        let late = |a: &&Active| matches!(a.injection.kind, Fault::Latency | Fault::JumpLatency);
        let met = self.active.iter().filter(late).filter(|a| a.meets(venue, None, now));
        met.map(|a| a.injection.delay()).max().unwrap_or_default()
    }

    /// How wrong the venue's clock is, in ms.
    pub fn skew_ms(&self, venue: Venue, now: Duration) -> i64 {
        let skewed = self.active.iter().filter(|a| a.injection.kind == Fault::TimeSkew);
        skewed.filter(|a| a.meets(venue, None, now)).map(|a| a.injection.ms()).sum()
    }

    /// Takes hold of a REST request; `snapshot`: it asks for a book.
    pub fn request(&mut self, venue: Venue, symbol: Option<usize>, snapshot: bool, now: Duration) -> Request {
        let mut request = Request::default();
        for active in &mut self.active {
            if !active.meets(venue, symbol, now) {
                continue;
            }
            let left = active.until.map_or(USUAL_BAN, |until| until - now);
            let second = Duration::from_secs(1);
            let refusal = match active.injection.kind {
                Fault::Cut => Some(Refusal::Cut),
                Fault::RestDown => Some(Refusal::Down),
                Fault::RestRefused => Some(Refusal::TooMany(second)),
                Fault::RestBanned => Some(Refusal::Banned(left)),
                Fault::SnapshotDown if snapshot => Some(Refusal::Down),
                Fault::SnapshotRefused if snapshot => Some(Refusal::TooMany(second)),
                Fault::SnapshotBanned if snapshot => Some(Refusal::Banned(left)),
                _ => None,
            };
            let late = match active.injection.kind {
                Fault::RestSlow | Fault::Latency | Fault::JumpLatency => true,
                Fault::SnapshotSlow => snapshot,
                _ => false,
            };
            if late {
                request.delay += active.injection.delay();
            }
            let shown_old = active.injection.kind == Fault::OldSnapshot && snapshot;
            if late || refusal.is_some() || shown_old {
                active.met = active.met.saturating_add(1);
                *self.met.entry(active.injection.kind).or_default() += 1;
            }
            request.refusal = request.refusal.or(refusal);
        }
        request
    }

    /// The symbol whose book a snapshot shows when it is an old one.
    pub fn old(&self, symbol: usize, now: Duration) -> Option<&Symbol> {
        if !self.holds(Fault::OldSnapshot, Venue::Binance, Some(symbol), now) {
            return None;
        }
        self.old.get(&symbol).map(|old| &**old)
    }
}

fn find(model: &Model, asset: Asset, injection: &Injection) -> Result<usize, String> {
    let found = model.symbols().iter().position(|s| s.listing.asset == asset);
    let index =
        found.ok_or_else(|| format!("{asset} is not traded here; name one of the market's assets"))?;
    let listing = &model.symbols()[index].listing;
    let listed = [listing.upbit.is_some(), listing.binance.is_some()];
    if Venue::ALL.into_iter().any(|venue| injection.meets(venue) && listed[venue.index()]) {
        return Ok(index);
    }
    Err(format!("{asset} is not traded at that venue; name another asset or venue"))
}
