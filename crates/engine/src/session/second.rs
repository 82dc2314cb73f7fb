//! Timers: orders, cooldowns, retries, time limits, and once a second figures, guards, levels and equity.

use crate::core::Core;
use crate::edge::{Quote, displayed};
use crate::funnel::Counts;
use crate::legs::Phase;
use crate::market_state::{BookState, Trust};
use crate::strategy::size;
use journal::record::{Direction, ExitReason, Mark};
use journal::{Body, Words};
use market::{FxRate, Money, NANOS_PER_SEC, Timestamp, Venue};

/// After a longer leap of time the seconds in between are not replayed one by one.
const LEAP_NS: i64 = 3_600 * NANOS_PER_SEC;

impl Core {
    /// Fires what is due at `self.now`. `until`: the time of the input that waits.
    pub(crate) fn fire(&mut self, until: Timestamp) {
        self.roll_day();
        self.arrive_transfers();
        self.execute_overdue();
        self.guards.expire(self.now);
        self.publish_guards();
        self.fire_retries();
        self.fire_positions();
        self.fire_shadows();
        if self.now >= self.next_second && !self.ended {
            self.on_second();
            let leap = until.since(self.now) > LEAP_NS;
            let from = if leap { until.0 } else { self.now.0 };
            self.next_second = Timestamp::from_secs(from.div_euclid(NANOS_PER_SEC) + 1);
        }
        self.check_stop();
    }

    fn fire_retries(&mut self) {
        if self.next_retry.is_none_or(|at| at > self.now) {
            return;
        }
        let mut next: Option<Timestamp> = None;
        for i in 0..self.symbols.len() {
            match self.symbols[i].books[Venue::Binance.index()].retry_at {
                Some(at) if at <= self.now => self.request_snapshot(i, Venue::Binance),
                Some(at) => next = Some(next.map_or(at, |n| n.min(at))),
                None => {}
            }
        }
        self.next_retry = next;
    }

    fn fire_positions(&mut self) {
        let limit = self.config.time_limit_ms.saturating_mul(1_000_000);
        let mut p = 0;
        while p < self.positions.len() {
            let position = &mut self.positions[p];
            let id = position.id;
            let waited = position.retry_at.is_some_and(|at| at <= self.now);
            if waited {
                position.retry_at = None;
            }
            let over = position.phase == Phase::Open
                && position.opened_at.is_some_and(|at| self.now.since(at) >= limit);
            if over {
                // A stop that holds by now comes first. Even without a usable book the decision to leave stands, and the
                // orders go out when both are.
                let reason = self.reason_to_leave(p).unwrap_or(ExitReason::TimeLimit);
                self.begin_exit(p, reason);
            }
            if over || waited {
                self.advance(p);
            }
            if self.positions.get(p).is_some_and(|position| position.id == id) {
                p += 1;
            }
        }
    }

    fn on_second(&mut self) {
        self.fx.refresh(self.now);
        self.fx.sample(self.now);
        self.check_conns();
        self.check_times();
        self.check_silent();
        self.check_quotes();
        for health in &mut self.health {
            health.on_second();
        }
        self.sample_levels();
        self.judge_all();
        self.track_all();
        self.publish_guards();
        if self.fx.rate().is_some() {
            self.fx_moved();
        }
        self.advance_all();
        if self.ended {
            return;
        }
        self.rebalance();
        self.watch();
        self.record_figures(None);
        self.record_equity();
        if self.now >= self.next_minute {
            self.record_funnel();
            let minute = self.now.0.div_euclid(60 * NANOS_PER_SEC) + 1;
            self.next_minute = Timestamp::from_secs(minute.saturating_mul(60));
        }
        self.publish_view();
    }

    /// The daily results start anew at the day boundary, before anything of that instant is booked.
    pub(crate) fn roll_day(&mut self) {
        self.results.roll(self.config.day_of(self.now));
    }

    /// Connections without a message: their books are stale.
    fn check_conns(&mut self) {
        let limit = self.config.health.conn_stale_ms.saturating_mul(1_000_000);
        let silent: Vec<_> = self
            .conns
            .iter_mut()
            .filter(|(_, conn)| conn.up && !conn.stale && self.now.since(conn.last_frame) >= limit)
            .map(|(id, conn)| {
                conn.stale = true;
                (*id, conn.venue, self.now.since(conn.last_life) >= limit)
            })
            .collect();
        for (id, venue, dead) in silent {
            if dead {
                for symbol in &mut self.symbols {
                    let book = &mut symbol.books[venue.index()];
                    if book.conn == Some(id) {
                        book.silence();
                    }
                }
            }
            self.alert("WS-STALE", "Stream is stale", move || {
                let seconds = limit / NANOS_PER_SEC;
                Words::new(format!("connection {id} of {venue} brought no message for {seconds} s"))
                    .label("venue", venue)
            });
        }
    }

    /// One sample of each gap, and the medians.
    fn sample_levels(&mut self) {
        let (now, fx) = (self.now, self.fx.rate());
        let keep = self.config.book_levels as usize;
        let costs = self.round_trip_fees_bps + self.config.reserve_bps;
        for i in 0..self.symbols.len() {
            self.symbols[i].books[Venue::Binance.index()].prune(keep);
            if !self.symbols[i].seeded {
                self.seed_level(i);
            }
            for direction in Direction::ALL {
                let quote = fx.and_then(|fx| self.quote_now(i, direction, fx));
                let symbol = &mut self.symbols[i];
                symbol.quotes[direction.index()] = quote;
                if let Some(gap) = quote.map(|quote| quote.gap_bps) {
                    symbol.levels[direction.index()].push(now, gap, 1);
                    let usual = symbol.levels[direction.opposite().index()].bps();
                    let edge = usual.map(|usual| gap + usual - costs);
                    symbol.minute[direction.index()].sample(gap, edge);
                }
                self.symbols[i].levels[direction.index()].refresh(now);
            }
        }
    }

    fn quote_now(&self, i: usize, direction: Direction, fx: FxRate) -> Option<Quote> {
        let symbol = &self.symbols[i];
        if !symbol.books.iter().all(crate::market_state::SymbolBook::is_live) {
            return None;
        }
        let mid = symbol.books[Venue::Binance.index()].last_mid?;
        let quantity = size(&symbol.member, self.config.leg_usd, mid)?;
        displayed(direction, self.books(i), quantity, fx)
    }

    /// An equity point; none while the holdings cannot be valued.
    pub(crate) fn record_equity(&mut self) {
        let Some(fx) = self.fx.used(self.now) else { return };
        let pnl = self.ledger.pnl_usd(fx.rate, |venue, asset| {
            let i = self.by_asset.get(&asset)?;
            self.symbols[*i].books[venue.index()].last_mid
        });
        let Some(pnl_usd) = pnl else { return };
        let fx_effect_usd = self.ledger.fx_effect_usd(fx.rate);
        let transfer_cost_usd = self.ledger.transfer_cost_usd();
        self.results.mark(pnl_usd);
        self.view.pnl_usd = Some(pnl_usd);
        self.view.fx_effect_usd = fx_effect_usd;
        self.view.transfer_cost_usd = transfer_cost_usd;
        let marks = self.ledger.changed_assets().into_iter().filter_map(|asset| {
            let books = &self.symbols[*self.by_asset.get(&asset)?].books;
            Some(Mark { asset, upbit: books[0].last_mid, binance: books[1].last_mid })
        });
        let marks = marks.collect();
        let (net_usd, drawdown_usd) = (self.results.net, self.results.drawdown);
        self.record(Body::Equity {
            pnl_usd,
            net_usd,
            drawdown_usd,
            fx_effect_usd,
            transfer_cost_usd: Some(transfer_cost_usd),
            fx,
            marks,
        });
    }

    /// The funnel since the last such record, and how long the books were trusted.
    pub(crate) fn record_funnel(&mut self) {
        self.record_trust();
        let total = std::mem::take(&mut self.funnel);
        self.record(Body::Funnel { asset: None, counts: total.by_name() });
        for i in 0..self.symbols.len() {
            let counts = std::mem::take(&mut self.symbols[i].funnel);
            if counts != Counts::default() {
                let asset = Some(self.symbols[i].member.asset);
                self.record(Body::Funnel { asset, counts: counts.by_name() });
            }
            self.record_edges(i);
            if let Some(session) = self.symbols[i].spreads.since_start() {
                let asset = self.symbols[i].member.asset;
                self.record(Body::Percentiles { asset, session: Box::new(session) });
            }
        }
    }

    /// Gaps and edges of a symbol since the last time.
    fn record_edges(&mut self, i: usize) {
        let costs_bps = self.round_trip_fees_bps + self.config.reserve_bps;
        let threshold_bps = self.config.min_edge_bps;
        for direction in Direction::ALL {
            let symbol = &mut self.symbols[i];
            let minute = &mut symbol.minute[direction.index()];
            if minute.is_empty() {
                continue;
            }
            let (samples, best) = (minute.samples(), minute.best());
            let [gap_bps, edge_bps] = minute.take();
            let (asset, levels) = (symbol.member.asset, &symbol.levels);
            let level_bps = levels[direction.index()].bps();
            let opposite_level_bps = levels[direction.opposite().index()].bps();
            self.record(Body::Edges {
                asset,
                direction,
                samples,
                gap_bps: gap_bps.map(Box::new),
                level_bps,
                opposite_level_bps,
                edge_bps: edge_bps.map(Box::new),
                best_edge_bps: best.map(|(edge, _)| edge),
                best_at: best.map(|(_, at)| at),
                costs_bps,
                threshold_bps,
            });
        }
    }

    /// Brings the view up to date; the quantiles sort, so this runs once a second.
    pub(crate) fn publish_view(&mut self) {
        let fx = self.fx.rate();
        let (mut premiums, mut edges) = (Vec::new(), Vec::new());
        let mut symbols = std::mem::take(&mut self.view.symbols);
        symbols.clear();
        let mut trust = std::mem::take(&mut self.view.trust);
        trust.clear();
        let mut imbalance = 0.0f64;
        for symbol in &self.symbols {
            let [a, b] =
                [0, 1].map(|v| symbol.books[v].live().and(symbol.books[v].last_mid).map(|mid| mid.to_f64()));
            let premium = match (a, b, fx) {
                (Some(a), Some(b), Some(fx)) => Some((a / (b * fx.0.to_f64()) - 1.0) * 1e4),
                _ => None,
            };
            premiums.extend(premium);
            // An edge of books that are not Live any more is none.
            let live = symbol.active && symbol.books.iter().all(crate::market_state::SymbolBook::is_live);
            let edge = symbol.edges.iter().flatten().copied().reduce(f64::max).filter(|_| live);
            edges.extend(edge);
            if symbol.active && symbols.len() < crate::view::MAX_SYMBOLS {
                symbols.push((symbol.member.asset, premium, edge));
                trust.push((symbol.member.asset, symbol.trust.as_ref().and_then(Trust::share)));
            }
            let asset = symbol.member.asset;
            let [a, b] = Venue::ALL.map(|venue| self.ledger.balance(venue, asset));
            imbalance = imbalance.max(crate::score::imbalance(a, b).unwrap_or(1.0).abs());
        }
        let books = Venue::ALL.map(|venue| {
            let mut counts = [0; 4];
            for symbol in self.symbols.iter().filter(|s| s.active) {
                counts[state_index(symbol.books[venue.index()].state)] += 1;
            }
            counts
        });
        let (exposure, net, age) =
            (self.exposure_usd().unwrap_or(Money(i128::MAX)), self.results.net, self.fx.age_ms(self.now));
        let view = &mut self.view;
        view.symbols = symbols;
        view.trust = trust;
        view.premium_bps = quantiles(premiums);
        view.edge_bps = quantiles(edges);
        view.inventory_imbalance = imbalance;
        view.fx_rate = fx.map(|fx| fx.0.to_f64());
        view.fx_age_ms = age;
        view.open_positions = self.positions.len() as u32;
        view.exposure_usd = exposure;
        view.net_usd = net;
        view.drawdown_usd = self.results.drawdown;
        view.equity_usd = view.pnl_usd.and_then(|pnl| self.config.capital_usd.checked_add(pnl));
        for (v, books) in books.into_iter().enumerate() {
            view.venues[v].books = books;
            view.venues[v].messages = self.health[v].messages;
            view.venues[v].reconnects = self.health[v].reconnects;
            view.venues[v].health = self.health_now[v].as_str();
        }
    }
}

const fn state_index(state: BookState) -> usize {
    match state {
        BookState::Syncing => 0,
        BookState::Live => 1,
        BookState::Stale(_) => 2,
        BookState::Broken(_) => 3,
    }
}

/// Nearest-rank quantiles at [`crate::view::QUANTILES`].
fn quantiles(mut values: Vec<f64>) -> [Option<f64>; 3] {
    values.sort_unstable_by(f64::total_cmp);
    crate::view::QUANTILES.map(|q| {
        let i = (q * values.len().saturating_sub(1) as f64 + 0.5) as usize;
        values.get(i).copied()
    })
}
