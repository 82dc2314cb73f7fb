//! Guard triggers judged again: the figure of every rule from the journal's trades, balances and journalled figures, by code
//! of its own, against the threshold of the session's terms.
//!
//! A trigger is a false positive when its condition does not hold for our own figure, whatever figure and threshold it
//! states. Only a journal without terms for its guards, or a rule that is not known here, is judged by what the event states
//! where trades and balances say nothing. What does not live here: what a trigger cost (`shadows`).

use journal::figures::{GuardFigures, GuardTerms, RouteFigures, SymbolFigures, VenueFigures};
use journal::record::{Direction, ExitReason, GuardEvent, Terms};
use journal::{Body, Entry};
use market::{Asset, Money, SCALE, Side, Timestamp, Venue};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

const DAY_NS: i64 = 86_400_000_000_000;
const MINUTE_NS: i64 = 60_000_000_000;
/// Korea's day begins nine hours before that of UTC; a journal without terms may mean either.
const KST_S: i64 = 9 * 3_600;
/// Fills are rounded one by one: a venue's legs may differ by that much, USD.
const LEG_SLACK_USD: f64 = 1e-4;
/// Rules whose condition is "below"; all others are "above".
const BELOW: [&str; 7] = [
    "health_degraded_rate",
    "venue_daily_loss",
    "request_budget",
    "route_score",
    "daily_loss",
    "emergency_stop",
    "fx_low",
];

#[derive(Debug, Clone, Copy)]
struct Open {
    asset: Asset,
    direction: Direction,
    usd: i128,
    opened: bool,
}

/// A result, with what each venue's legs paid or brought, USD.
#[derive(Debug, Clone, Copy)]
struct Outcome {
    at: Timestamp,
    net: i128,
    venues: [f64; 2],
}

/// What was seen so far.
#[derive(Debug, Default)]
pub(super) struct Watch {
    terms: Option<GuardTerms>,
    capital: i128,
    fees_bps: f64,
    /// Losses in a row by `ETH:buy_upbit`.
    routes: BTreeMap<String, u32>,
    /// Losses in a row over all.
    all: u32,
    /// Cooldowns in force that we found justified: rule and scope by trigger.
    cooling: BTreeMap<u64, (String, String)>,
    outcomes: Vec<Outcome>,
    /// Cash per venue of positions that have not ended, USD.
    cash: BTreeMap<u64, [f64; 2]>,
    open: BTreeMap<u64, Open>,
    /// Coin per venue.
    coins: BTreeMap<Asset, [i128; 2]>,
    /// Rates of the last minute, KRW per USDT.
    rates: VecDeque<(Timestamp, f64)>,
    figures: Option<GuardFigures>,
}

/// What our own figures say of a trigger.
pub(super) struct Verdict {
    pub holds: bool,
    /// `, recounted 3 against 2`, empty where nothing could be recounted.
    pub text: String,
}

/// `buy_upbit`, as scopes are written.
fn side(direction: Direction) -> &'static str {
    match direction {
        Direction::BuyUpbit => "buy_upbit",
        Direction::BuyBinance => "buy_binance",
    }
}

fn direction_of(text: &str) -> Option<Direction> {
    Direction::ALL.into_iter().find(|d| side(*d) == text)
}

/// `ETH:buy_upbit`.
fn route(asset: Asset, direction: Direction) -> String {
    format!("{asset}:{}", side(direction))
}

fn route_of(scope: &str) -> Option<(Asset, Direction)> {
    let (asset, direction) = scope.split_once(':')?;
    Some((Asset::new(asset).ok()?, direction_of(direction)?))
}

fn venue_of(scope: &str) -> Option<Venue> {
    Venue::ALL.into_iter().find(|venue| venue.as_str() == scope)
}

fn gap_bps(route: &RouteFigures) -> f64 {
    (route.sell_usd.to_f64() / route.buy_usd.to_f64() - 1.0) * 1e4
}

impl Watch {
    /// Takes note of a record that is no guard event.
    pub(super) fn take(&mut self, entry: &Entry) {
        let at = entry.at;
        match &entry.body {
            Body::Start { terms, .. } => self.start(terms),
            Body::Balance { venue, asset, balance, .. } => {
                self.coins.entry(*asset).or_default()[venue.index()] = balance.0;
            }
            Body::Decision { position, asset, direction, notional_usd, .. } => {
                let (asset, direction, usd) = (*asset, *direction, notional_usd.0);
                self.open.insert(*position, Open { asset, direction, usd, opened: false });
            }
            Body::Opened { position, asset, direction, notional_usd, .. } => {
                let (asset, direction, usd) = (*asset, *direction, notional_usd.0);
                self.open.insert(*position, Open { asset, direction, usd, opened: true });
            }
            Body::Fill { position, venue, takes, notional, fee, fee_asset, fx, .. } => {
                let fee = if *fee_asset == venue.quote() { fee.0 } else { 0 };
                let signed = if *takes == Side::Ask { -notional.0 } else { notional.0 };
                let rate = if *venue == Venue::Upbit { fx.rate.0.to_f64() } else { 1.0 };
                let cash = self.cash.entry(*position).or_default();
                cash[venue.index()] += signed.saturating_sub(fee) as f64 / SCALE as f64 / rate;
            }
            Body::Closed { position, asset, direction, reason, net_usd, .. } => {
                self.ended(at, *position, net_usd.0);
                if *reason != ExitReason::Shutdown {
                    self.count(&route(*asset, *direction), net_usd.0 > 0);
                }
            }
            Body::Unwound { position, net_usd, .. } => self.ended(at, *position, net_usd.0),
            Body::Figures { fx, guards, .. } => {
                if let Some(fx) = fx {
                    self.rates.push_back((at, fx.rate.0.to_f64()));
                }
                while self.rates.front().is_some_and(|(old, _)| at.since(*old) > MINUTE_NS) {
                    self.rates.pop_front();
                }
                if let Some(guards) = guards {
                    self.figures = Some((**guards).clone());
                }
            }
            _ => {}
        }
    }

    fn start(&mut self, terms: &Terms) {
        self.terms = terms.guards.as_deref().cloned();
        self.capital = terms.capital_usd.0;
        let fees = f64::from(terms.upbit_fee_centibps) + f64::from(terms.binance_fee_centibps);
        self.fees_bps = fees * 2.0 / 100.0;
    }

    fn ended(&mut self, at: Timestamp, position: u64, net: i128) {
        self.open.remove(&position);
        let venues = self.cash.remove(&position).unwrap_or_default();
        self.outcomes.push(Outcome { at, net, venues });
    }

    /// What closes during a cooldown was entered before it and counts for no streak.
    fn count(&mut self, route: &str, won: bool) {
        if won {
            self.routes.remove(route);
            self.all = 0;
            return;
        }
        let cools = |rule: &str, scope: &str| self.cooling.values().any(|(r, s)| r == rule && s == scope);
        let (route_cools, all_cools) = (cools("route_loss_streak", route), cools("cross_loss_streak", "*"));
        if !route_cools {
            let streak = self.routes.entry(route.to_owned()).or_insert(0);
            *streak = streak.saturating_add(1);
        }
        if !all_cools {
            self.all = self.all.saturating_add(1);
        }
    }

    /// The end of a trigger.
    pub(super) fn end(&mut self, event: &GuardEvent) {
        self.cooling.remove(&event.trigger);
    }

    /// Whether the condition of a trigger held.
    pub(super) fn judge(&mut self, at: Timestamp, event: &GuardEvent) -> Verdict {
        let terms = self.terms.as_ref().and_then(|terms| terms.thresholds.get(&event.rule)).copied();
        let threshold = terms.unwrap_or(event.threshold);
        let below =
            if terms.is_some() { BELOW.contains(&event.rule.as_str()) } else { event.holds == "below" };
        let known = below || terms.is_some() || event.holds == "above";
        // Without terms the threshold itself counts: other runners state it as they like.
        let beyond = |figure: f64| {
            let slack = if event.rule == "venue_daily_loss" { LEG_SLACK_USD } else { 0.0 };
            let past = if below { threshold - figure } else { figure - threshold };
            if terms.is_some() { past + slack > 0.0 } else { past >= 0.0 }
        };
        let own = self.own(at, event);
        let holds = match &own {
            Some(figures) => known && figures.iter().any(|figure| beyond(*figure)),
            // A journal that states its terms states its figures: one that is not there shows nothing.
            None => known && terms.is_none() && beyond(event.observed),
        };
        if holds {
            self.restart(event);
        }
        let text = match own {
            Some(figures) => {
                let text: Vec<String> = figures.into_iter().map(crate::value::figure).collect();
                format!(", recounted {} against {}", text.join(" or "), crate::value::figure(threshold))
            }
            None if terms.is_some() => ", no figure of it in the journal".to_owned(),
            None => String::new(),
        };
        Verdict { holds, text }
    }

    /// A streak that led to a cooldown starts anew.
    fn restart(&mut self, event: &GuardEvent) {
        match event.rule.as_str() {
            "route_loss_streak" => drop(self.routes.remove(&event.scope)),
            "cross_loss_streak" => self.all = 0,
            _ => return,
        }
        self.cooling.insert(event.trigger, (event.rule.clone(), event.scope.clone()));
    }

    /// Our own figures for the condition of a trigger, any of which may be the one that is meant; `None` when the journal has
    /// none.
    fn own(&self, at: Timestamp, event: &GuardEvent) -> Option<Vec<f64>> {
        let figure = match (event.rule.as_str(), &self.terms) {
            ("daily_loss" | "emergency_stop", None) => {
                return Some(vec![self.net_since(at, 0), self.net_since(at, KST_S)]);
            }
            // The rate of a journal without terms is recorded once a second and moves in between.
            ("fx_low", None) => self.rates.back().map(|(_, rate)| rate * 0.98),
            ("fx_high", None) => self.rates.back().map(|(_, rate)| rate * 1.02),
            ("directional_bias", None) if self.open.values().any(|open| !open.opened) => None,
            ("route_loss_streak" | "cross_loss_streak" | "directional_bias", _) | (_, Some(_)) => {
                self.figure(at, &event.rule, &event.scope)
            }
            _ => None,
        };
        figure.filter(|figure| figure.is_finite()).map(|figure| vec![figure])
    }

    fn figure(&self, at: Timestamp, rule: &str, scope: &str) -> Option<f64> {
        match rule {
            "route_loss_streak" => Some(self.routes.get(scope).copied().unwrap_or(0).into()),
            "cross_loss_streak" => Some(self.all.into()),
            "daily_loss" | "emergency_stop" => Some(self.net_since(at, self.terms.as_ref()?.day_offset_s)),
            "directional_bias" => Some(self.bias(direction_of(scope)?)),
            "exposure_degrade" | "exposure_block" => self.exposure(Some(Asset::new(scope).ok()?)),
            "total_exposure" => self.exposure(None),
            "inventory_imbalance" => {
                let (asset, direction) = route_of(scope)?;
                Some(self.worsening(asset, direction))
            }
            "fx_low" | "fx_high" => self.rates.back().map(|(_, rate)| *rate),
            "fx_jump" => self.jump(at),
            "fx_stale" => Some(self.figures.as_ref()?.fx_age_ms as f64),
            "volatility" => self.volatility(Asset::new(scope).ok()?),
            "gross_gap" => Some(gap_bps(self.route_figures(scope)?)),
            "route_score" => self.score(scope),
            _ if rule.ends_with("_guard_error") => Some(self.unknown(at, rule, scope) as f64),
            _ => self.of_venue(at, rule, scope),
        }
    }

    fn of_venue(&self, at: Timestamp, rule: &str, scope: &str) -> Option<f64> {
        let venue = venue_of(scope)?;
        let figures: &VenueFigures = self.figures.as_ref()?.venues.get(venue.index())?;
        match rule {
            "health_frozen" => figures.frozen_s,
            "health_down_silent" => figures.silent_s,
            "health_down_latency" | "health_degraded_latency" => figures.latency_ms,
            "health_down_errors" | "health_degraded_errors" => figures.errors_pct,
            "health_degraded_rate" => figures.rate_pct,
            "request_budget" => figures.budget_pct,
            "venue_daily_loss" => {
                let today = self.today(at, self.terms.as_ref()?.day_offset_s);
                Some(today.map(|outcome| outcome.venues[venue.index()]).sum())
            }
            _ => None,
        }
    }

    fn today(&self, at: Timestamp, offset_s: i64) -> impl Iterator<Item = &Outcome> {
        let day =
            move |at: Timestamp| at.0.saturating_add(offset_s.saturating_mul(SECOND_NS)).div_euclid(DAY_NS);
        self.outcomes.iter().filter(move |outcome| day(outcome.at) == day(at))
    }

    /// Net since the day boundary, USD.
    fn net_since(&self, at: Timestamp, offset_s: i64) -> f64 {
        let net = self.today(at, offset_s).fold(0i128, |sum, outcome| sum.saturating_add(outcome.net));
        Money(net).to_f64()
    }

    /// Share of the open positions in `direction`, 0 while too few are open.
    fn bias(&self, direction: Direction) -> f64 {
        let open = self.open.values().filter(|open| open.opened);
        let (all, same) =
            open.fold((0u32, 0u32), |(all, same), o| (all + 1, same + u32::from(o.direction == direction)));
        let least = self.terms.as_ref().map_or(1, |terms| terms.bias_min_open).max(1);
        if all < least { 0.0 } else { f64::from(same) / f64::from(all) }
    }

    /// Percent of the capital with the next leg.
    fn exposure(&self, asset: Option<Asset>) -> Option<f64> {
        let of = self.open.values().filter(|open| asset.is_none_or(|asset| open.asset == asset));
        let usd = of.fold(self.terms.as_ref()?.leg_usd.0, |sum, open| sum.saturating_add(open.usd));
        Some(usd as f64 / self.capital as f64 * 100.0)
    }

    /// The inventory's imbalance as a trade in `direction` would worsen it.
    fn worsening(&self, asset: Asset, direction: Direction) -> f64 {
        let [upbit, binance] = self.coins.get(&asset).copied().unwrap_or_default();
        let sum = upbit.saturating_add(binance);
        let share = if sum > 0 { upbit.saturating_sub(binance) as f64 / sum as f64 } else { 0.0 };
        if direction == Direction::BuyUpbit { share } else { -share }
    }

    /// Largest change between the newest rate and those of the minute before, percent.
    fn jump(&self, at: Timestamp) -> Option<f64> {
        let (_, now) = self.rates.back()?;
        let recent = self.rates.iter().filter(|(then, _)| at.since(*then) <= MINUTE_NS);
        Some(recent.map(|(_, then)| ((now / then - 1.0) * 100.0).abs()).fold(0.0, f64::max))
    }

    fn symbol(&self, asset: Asset) -> Option<&SymbolFigures> {
        self.figures.as_ref()?.symbols.iter().find(|symbol| symbol.asset == asset)
    }

    fn route_figures(&self, scope: &str) -> Option<&RouteFigures> {
        let (asset, direction) = route_of(scope)?;
        self.symbol(asset)?.routes.iter().find(|route| route.direction == direction)
    }

    fn volatility(&self, asset: Asset) -> Option<f64> {
        let ranges = self.symbol(asset)?.range.iter().flatten();
        ranges.map(|range| (range.high.to_f64() / range.low.to_f64() - 1.0) * 100.0).reduce(f64::max)
    }

    /// 40 x edge room + 30 x venue health + 20 x fee room + 10 x inventory, from the quotes, the venues' figures and the coins.
    fn score(&self, scope: &str) -> Option<f64> {
        let terms = self.terms.as_ref()?;
        let (asset, direction) = route_of(scope)?;
        let route = self.route_figures(scope)?;
        let gross = gap_bps(route) + route.opposite_level_bps?;
        let edge = (gross - self.fees_bps - terms.reserve_bps) / terms.score_full_edge_bps;
        let health = self.figures.as_ref()?.venues.iter().map(|venue| self.health(venue)).fold(1.0, f64::min);
        let left = gross - self.fees_bps;
        let fees = if self.fees_bps > 0.0 { left / self.fees_bps } else { f64::from(u8::from(left > 0.0)) };
        let inventory = 1.0 - self.worsening(asset, direction).max(0.0);
        let room = |part: f64| part.clamp(0.0, 1.0);
        Some(40.0 * room(edge) + 30.0 * room(health) + 20.0 * room(fees) + 10.0 * room(inventory))
    }

    /// 1, 0.5 when degraded, 0 when down or frozen: by the venue's figures, not by what it is called.
    fn health(&self, venue: &VenueFigures) -> f64 {
        let threshold =
            |rule: &str| self.terms.as_ref().and_then(|terms| terms.thresholds.get(rule).copied());
        let above = |rule: &str, figure: Option<f64>| {
            figure.zip(threshold(rule)).is_some_and(|(figure, threshold)| figure > threshold)
        };
        let down = above("health_frozen", venue.frozen_s)
            || above("health_down_silent", venue.silent_s)
            || above("health_down_latency", venue.latency_ms)
            || above("health_down_errors", venue.errors_pct);
        let slow =
            venue.rate_pct.zip(threshold("health_degraded_rate")).is_some_and(|(rate, least)| rate < least);
        let degraded = slow
            || above("health_degraded_latency", venue.latency_ms)
            || above("health_degraded_errors", venue.errors_pct);
        match (down, degraded) {
            (true, _) => 0.0,
            (false, true) => 0.5,
            _ => 1.0,
        }
    }

    /// How many figures of a type's rules the journal says could not be computed, less those that it shows after all.
    fn unknown(&self, at: Timestamp, error: &str, scope: &str) -> usize {
        let rules = rules_of(error.trim_end_matches("_guard_error"));
        let said: BTreeSet<&str> =
            self.figures.iter().flat_map(|figures| &figures.unknown).map(String::as_str).collect();
        let missing = |rule: &&&str| {
            let shown =
                JOURNALLED.contains(*rule) && self.figure(at, rule, scope).is_some_and(f64::is_finite);
            said.contains(format!("{rule} {scope}").as_str()) && !shown
        };
        rules.iter().filter(missing).count()
    }
}

const SECOND_NS: i64 = 1_000_000_000;

/// Rules whose figures stand in the journal as they are: a missing one is seen there.
const JOURNALLED: [&str; 9] = [
    "health_frozen",
    "health_down_silent",
    "health_down_latency",
    "health_down_errors",
    "health_degraded_latency",
    "health_degraded_errors",
    "health_degraded_rate",
    "request_budget",
    "volatility",
];

/// The rules of a guard type that have a figure.
fn rules_of(guard_type: &str) -> &'static [&'static str] {
    match guard_type {
        "exchange" => &[
            "health_frozen",
            "health_down_silent",
            "health_down_latency",
            "health_down_errors",
            "health_degraded_latency",
            "health_degraded_errors",
            "health_degraded_rate",
            "request_budget",
            "venue_daily_loss",
        ],
        "route" => &["gross_gap", "route_score", "route_loss_streak"],
        "symbol" => &["exposure_degrade", "exposure_block", "volatility"],
        "global" => &["daily_loss", "total_exposure", "emergency_stop"],
        "cross_exchange" => &[
            "fx_stale",
            "fx_low",
            "fx_high",
            "fx_jump",
            "directional_bias",
            "inventory_imbalance",
            "cross_loss_streak",
        ],
        _ => &[],
    }
}
