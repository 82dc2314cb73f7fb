//! Guards in the session: which figure is looked at when, and what a transition does (journal, figures, alerts).
//!
//! Figures that move with time are judged each second; those that an entry depends on once more at its instant. The formulas
//! are in docs/guards.md, the rules in [`crate::guards::rules`].

use super::watch::GuardFinding;
use crate::core::Core;
use crate::guards::{Rule, Scope, Verdict, rule_of, rules};
use crate::legs::Phase;
use crate::market_state::{Finding, Health, SymbolBook};
use crate::score::{self, Inputs};
use crate::volatility;
use journal::figures::{GuardFigures, GuardTerms, MidRange, RouteFigures, SymbolFigures, VenueFigures};
use journal::record::{Direction, GuardEvent};
use journal::{Body, Words};
use market::{Money, Price, Venue};

impl Core {
    /// What the guards compare with, for the journal.
    pub(crate) fn guard_terms(&self) -> GuardTerms {
        let c = &self.config;
        let cooldowns =
            [(rules::ROUTE_STREAK, c.cooldown_route_ms), (rules::CROSS_STREAK, c.cooldown_cross_ms)];
        GuardTerms {
            thresholds: self.guards.thresholds().by_name(),
            cooldowns_ms: cooldowns.map(|(rule, ms)| (rule.name.to_owned(), ms)).into(),
            leg_usd: c.leg_usd,
            bias_min_open: c.bias_min_open,
            min_edge_bps: c.min_edge_bps,
            reserve_bps: c.reserve_bps,
            score_full_edge_bps: c.score_full_edge_bps,
            day_offset_s: c.day_offset.seconds(),
        }
    }

    /// Every guard whose figure moves with time.
    pub(crate) fn judge_all(&mut self) {
        self.judge_health();
        self.judge_budget();
        self.judge_fx();
        for i in 0..self.symbols.len() {
            self.sample_range(i);
            self.judge_symbol(i);
            self.judge_left_intents(i);
        }
        self.judge_bias();
        self.judge_losses();
    }

    /// The figures of an entry as they are at this instant, not as they were at the last full second.
    pub(crate) fn refresh_guards_for_entry(&mut self, i: usize, direction: Direction, edge: f64, gross: f64) {
        self.guards.expire(self.now);
        self.judge_health();
        self.judge_fx();
        self.judge_symbol(i);
        self.judge_score(i, direction, edge, gross);
        self.publish_guards();
    }

    fn judge(&mut self, rule: Rule, scope: Scope, observed: impl Into<Option<f64>>) {
        self.guards.judge(self.now, rule, scope, observed);
    }

    fn judge_health(&mut self) {
        if self.stop.is_some() {
            return;
        }
        for venue in Venue::ALL {
            let v = venue.index();
            let findings = self.health[v].findings(self.now);
            let worst =
                findings.iter().filter(|f| f.holds()).map(|f| f.health).max().unwrap_or(Health::Healthy);
            for finding in &findings {
                let Some(rule) = rule_of(finding.rule) else { continue };
                let scope = Scope::Venue(venue);
                // What a stronger finding explains starts nothing of its own.
                let explained = finding.holds() && finding.health != worst;
                if !explained || self.guards.holds(*rule, scope) {
                    self.judge(*rule, scope, finding.observed);
                }
            }
            if self.health_now[v] != worst {
                self.on_health(venue, worst, &findings);
            }
        }
    }

    fn on_health(&mut self, venue: Venue, worst: Health, findings: &[Finding]) {
        let before = std::mem::replace(&mut self.health_now[venue.index()], worst);
        let figure = findings.iter().find(|f| f.health == worst && f.holds());
        let text = figure
            .map_or(String::new(), |f| format!("{} is {:.3}, limit {:.3}", f.rule, f.observed, f.threshold));
        let why = if text.is_empty() { String::new() } else { format!(": {text}") };
        self.note("info", format!("{venue} is {} (was {}){why}", worst.as_str(), before.as_str()));
        let (rule, title) = match worst {
            Health::Frozen => ("HEALTH-FROZEN", "Venue frozen"),
            Health::Down => ("HEALTH-DOWN", "Venue down"),
            Health::Degraded => ("HEALTH-DEGRADED", "Venue degraded"),
            Health::Healthy => return,
        };
        if worst > before {
            self.alert(rule, title, move || Words::new(format!("{venue}: {text}")).label("venue", venue));
        }
    }

    /// What is left of a venue's request budget, in hundredths of a percent.
    pub(crate) fn on_budget(&mut self, venue: Venue, left_bps: u16) {
        self.budget_pct[venue.index()] = Some(f64::from(left_bps) / 100.0);
        self.judge_budget();
        self.publish_guards();
    }

    /// Nothing is judged before the first measurement: no request was made until then.
    fn judge_budget(&mut self) {
        for venue in Venue::ALL {
            if let Some(left) = self.budget_pct[venue.index()] {
                self.judge(rules::BUDGET, Scope::Venue(venue), left);
            }
        }
    }

    fn judge_fx(&mut self) {
        if !self.universe_set || self.stop.is_some() {
            return;
        }
        let figures = self.fx.figures(self.now);
        self.judge(rules::FX_STALE, Scope::All, figures.age.0);
        self.judge(rules::FX_JUMP, Scope::All, figures.jump.0);
        if let Some((low, _)) = figures.low {
            self.judge(rules::FX_LOW, Scope::All, low);
        }
        if let Some((high, _)) = figures.high {
            self.judge(rules::FX_HIGH, Scope::All, high);
        }
    }

    fn sample_range(&mut self, i: usize) {
        let now = self.now;
        let symbol = &mut self.symbols[i];
        for (range, book) in symbol.range.iter_mut().zip(&symbol.books) {
            range.sample(now, book.last_mid.filter(|_| book.is_live()));
        }
    }

    /// Exposure, volatility and inventory of a symbol.
    fn judge_symbol(&mut self, i: usize) {
        self.judge_exposure(i);
        let (asset, direction) = (self.symbols[i].member.asset, Direction::ALL);
        let ranges = self.ranges(i);
        if ranges != [None, None] {
            // `f64::max` would lose a figure that is none.
            let worst = ranges
                .into_iter()
                .flatten()
                .map(volatility::percent)
                .reduce(|a, b| if a.is_nan() || a > b { a } else { b });
            self.judge(rules::VOLATILITY, Scope::Asset(asset), worst);
        }
        // Until both venues have their coin there is nothing to be out of balance.
        if self.symbols[i].deposited == [true, true] {
            let imbalance = self.imbalance(i);
            for direction in direction {
                let worsening = imbalance.map(|x| score::worsening(x, direction));
                self.judge(rules::IMBALANCE, Scope::Route(asset, direction), worsening);
            }
        }
    }

    /// Lowest and highest mid of the last minute per venue, the mids of this instant among them.
    fn ranges(&self, i: usize) -> [Option<(Price, Price)>; 2] {
        let symbol = &self.symbols[i];
        Venue::ALL.map(|venue| {
            let book = &symbol.books[venue.index()];
            symbol.range[venue.index()].of(book.last_mid.filter(|_| book.is_live()))
        })
    }

    fn imbalance(&self, i: usize) -> Option<f64> {
        let asset = self.symbols[i].member.asset;
        let [upbit, binance] = Venue::ALL.map(|venue| self.ledger.balance(venue, asset));
        score::imbalance(upbit, binance)
    }

    /// The score of an intent.
    fn judge_score(&mut self, i: usize, direction: Direction, edge_bps: f64, gross_bps: f64) {
        let asset = self.symbols[i].member.asset;
        let parts = self.imbalance(i).and_then(|imbalance| {
            score::parts(&Inputs {
                edge_bps,
                full_edge_bps: self.config.score_full_edge_bps,
                health: self.health_now,
                gross_bps,
                fees_bps: self.round_trip_fees_bps,
                imbalance: score::worsening(imbalance, direction),
            })
        });
        self.symbols[i].score[direction.index()] = parts;
        self.judge(rules::ROUTE_SCORE, Scope::Route(asset, direction), parts.as_ref().map(score::score));
    }

    /// The edge of a direction is not above the threshold (any more): it has no score, and a blocked intent of it is over.
    pub(crate) fn no_intent(&mut self, i: usize, direction: Direction) {
        let symbol = &mut self.symbols[i];
        symbol.blocked[direction.index()] = false;
        if symbol.score[direction.index()].take().is_some() {
            let asset = symbol.member.asset;
            self.judge(rules::ROUTE_SCORE, Scope::Route(asset, direction), 100.0);
            self.publish_guards();
        }
    }

    /// Intents whose books are not usable any more have no score either.
    fn judge_left_intents(&mut self, i: usize) {
        let symbol = &self.symbols[i];
        if symbol.score == [None, None] || symbol.books.iter().all(SymbolBook::is_live) {
            return;
        }
        let asset = symbol.member.asset;
        for direction in Direction::ALL {
            if self.symbols[i].score[direction.index()].take().is_some() {
                self.judge(rules::ROUTE_SCORE, Scope::Route(asset, direction), 100.0);
            }
        }
    }

    /// After a position of symbol `i` opened or ended.
    pub(crate) fn judge_positions_of(&mut self, i: usize) {
        self.judge_exposure(i);
        self.judge_bias();
    }

    fn judge_bias(&mut self) {
        let open = self.positions.iter().filter(|p| p.phase != Phase::Entering).count();
        for direction in Direction::ALL {
            let same = self
                .positions
                .iter()
                .filter(|p| p.phase != Phase::Entering && p.direction == direction)
                .count();
            let share = if open >= self.config.bias_min_open as usize && open > 0 {
                same as f64 / open as f64
            } else {
                0.0
            };
            self.judge(rules::BIAS, Scope::Direction(direction), share);
        }
    }

    /// With the next leg: what is judged is what would be.
    fn judge_exposure(&mut self, i: usize) {
        let asset = self.symbols[i].member.asset;
        let capital = self.config.capital_usd.0 as f64;
        let next = self.config.leg_usd;
        let pct = |usd: Option<Money>| usd?.checked_add(next).map(|usd| usd.0 as f64 / capital * 100.0);
        let (mine, all) = (pct(self.exposure_of(i)), pct(self.exposure_usd()));
        self.judge(rules::EXPOSURE_DEGRADE, Scope::Asset(asset), mine);
        self.judge(rules::EXPOSURE_BLOCK, Scope::Asset(asset), mine);
        self.judge(rules::TOTAL_EXPOSURE, Scope::All, all);
    }

    /// Losses since the day boundary; the emergency stop.
    pub(crate) fn judge_losses(&mut self) {
        self.judge(rules::DAILY_LOSS, Scope::All, self.results.daily_net.to_f64());
        for venue in Venue::ALL {
            let net = self.results.venue_daily[venue.index()].to_f64();
            self.judge(rules::VENUE_DAILY_LOSS, Scope::Venue(venue), net);
        }
        self.check_emergency();
    }

    /// Exposure of all positions; `None` when it does not fit.
    pub(crate) fn exposure_usd(&self) -> Option<Money> {
        self.positions.iter().try_fold(Money::ZERO, |sum, p| sum.checked_add(p.exposure_usd()))
    }

    fn exposure_of(&self, i: usize) -> Option<Money> {
        let mine = self.positions.iter().filter(|p| p.symbol == i);
        mine.into_iter().try_fold(Money::ZERO, |sum, p| sum.checked_add(p.exposure_usd()))
    }

    /// Journals the guards' transitions since the last call, with the figures behind them, and raises their alerts.
    pub(crate) fn publish_guards(&mut self) {
        let events = self.guards.take_events();
        if events.is_empty() {
            return;
        }
        self.record_figures(Some(&events));
        for (rule, scope, event) in events {
            let start = event.start;
            let (observed, threshold) = (event.observed, event.threshold);
            self.record(Body::Guard(event));
            if start {
                self.alert_guard(rule, scope, observed, threshold);
            }
        }
        self.view.guard_triggers = self.guards.triggers();
    }

    fn alert_guard(&mut self, rule: Rule, scope: Scope, observed: f64, threshold: f64) {
        if rule == rules::EMERGENCY {
            // Has its own alert, with what is being done about it.
            return;
        }
        let finding = GuardFinding { rule, scope, observed, threshold };
        self.watch_guard(finding);
        if rule == rules::FX_STALE {
            let then = " ms; entries are blocked until the KRW-USDT book moves again";
            self.alert("FX-STALE", "FX rate is stale", move || finding.words(then));
        }
        let held = "; no entries while it holds";
        match rule.guard_type {
            "exchange" if rule.verdict == Verdict::Block => {
                self.alert("RG-EXCHANGE-BLOCK", "Exchange guard blocks", move || finding.words(held));
            }
            "global" if rule.verdict == Verdict::Block => {
                self.alert("RG-GLOBAL-BLOCK", "Global guard blocks", move || finding.words(held));
            }
            _ => {}
        }
    }

    /// The figures that guards look at: each second (`None`), and with the transitions of an instant.
    pub(crate) fn record_figures(&mut self, transitions: Option<&[(Rule, Scope, GuardEvent)]>) {
        let symbols: Vec<usize> = match transitions {
            None => {
                self.live.0 = Venue::ALL.map(|v| {
                    self.symbols.iter().filter(|s| s.active && s.books[v.index()].is_live()).count() as u32
                });
                self.live.1 = self.symbols.iter().filter(|s| s.active).count() as u32;
                (0..self.symbols.len()).filter(|i| self.is_notable(*i)).collect()
            }
            Some(events) => {
                let assets = events.iter().filter_map(|(_, scope, _)| match scope {
                    Scope::Asset(asset) | Scope::Route(asset, _) => Some(*asset),
                    _ => None,
                });
                let mut of: Vec<usize> = assets.filter_map(|a| self.by_asset.get(&a).copied()).collect();
                of.sort_unstable();
                of.dedup();
                of
            }
        };
        let symbols = symbols.into_iter().map(|i| self.symbol_figures(i)).collect();
        let (live, members) = self.live;
        self.record(Body::Figures {
            fx: self.fx.used(self.now),
            live,
            members,
            health: self.health_now.map(|h| h.as_str().to_owned()),
            positions: self.positions.len() as u32,
            exposure_usd: self.exposure_usd().unwrap_or(Money(i128::MAX)),
            daily_net_usd: self.results.daily_net,
            guards: Some(Box::new(self.guard_figures(symbols))),
        });
    }

    /// A position, an intent, or a figure beyond half of its threshold. Inventory is left out: the balances say it.
    fn is_notable(&self, i: usize) -> bool {
        let symbol = &self.symbols[i];
        let half = |rule: Rule| self.guards.thresholds().of(rule) / 2.0;
        let gap = half(rules::GROSS_GAP);
        let volatility = half(rules::VOLATILITY);
        symbol.score != [None, None]
            || symbol.quotes.iter().flatten().any(|quote| quote.gap_bps > gap)
            || self.ranges(i).into_iter().flatten().any(|range| volatility::percent(range) > volatility)
            || self.positions.iter().any(|p| p.symbol == i)
    }

    fn guard_figures(&self, symbols: Vec<SymbolFigures>) -> GuardFigures {
        let finite = |figure: f64| figure.is_finite().then_some(figure);
        let venues = Venue::ALL.map(|venue| {
            let v = venue.index();
            let figure = |rule: Rule| {
                let findings = self.health[v].findings(self.now);
                findings.iter().find(|f| f.rule == rule.name).and_then(|f| finite(f.observed))
            };
            VenueFigures {
                latency_ms: figure(rules::DOWN_LATENCY),
                errors_pct: figure(rules::DOWN_ERRORS),
                rate_pct: figure(rules::DEGRADED_RATE),
                silent_s: figure(rules::DOWN_SILENT),
                frozen_s: figure(rules::FROZEN),
                budget_pct: self.budget_pct[v],
                daily_net_usd: self.results.venue_daily[v],
            }
        });
        let routes = self.results.route_streaks.iter();
        GuardFigures {
            venues,
            fx_age_ms: self.fx.age_ms(self.now),
            fx_jump_pct: finite(self.fx.figures(self.now).jump.0),
            loss_streak: self.results.loss_streak,
            route_streaks: routes.map(|((a, d), n)| (Scope::Route(*a, *d).to_string(), *n)).collect(),
            symbols,
            unknown: self.guards.failing().map(|(rule, scope)| format!("{rule} {scope}")).collect(),
            shadows_left_out: self.shadows.left_out,
        }
    }

    fn symbol_figures(&self, i: usize) -> SymbolFigures {
        let symbol = &self.symbols[i];
        let routes = Direction::ALL.into_iter().filter_map(|direction| {
            let quote = symbol.quotes[direction.index()]?;
            Some(RouteFigures {
                direction,
                buy_usd: quote.buy_usd,
                sell_usd: quote.sell_usd,
                opposite_level_bps: symbol.levels[direction.opposite().index()].bps(),
                score_parts: symbol.score[direction.index()],
            })
        });
        SymbolFigures {
            asset: symbol.member.asset,
            exposure_usd: self.exposure_of(i),
            range: self.ranges(i).map(|range| range.map(|(low, high)| MidRange { low, high })),
            imbalance: self.imbalance(i),
            routes: routes.collect(),
        }
    }
}

#[cfg(test)]
mod tests;
