//! Orders and positions: sending, fills, refusals, and the steps of the two-leg state machine.

use crate::broker::{Filled, Order};
use crate::core::Core;
use crate::edge::{to_usd, touch_gap_bps};
use crate::funnel::{Counts, Stage};
use crate::guards::{Scope, rules};
use crate::legs::{LegMarket, Phase, Position, Step, Wanted, cash_flow_usd};
use crate::market_state::SymbolBook;
use crate::probe;
use journal::record::{Direction, ExitReason, FxUsed, Purpose};
use journal::{Body, Words};
use market::{Asset, Money, Price, Quantity, Refusal, Rounding, Side, Timestamp, Venue};

impl Core {
    /// Sends an order for a net change of `quantity` coin. Purchases whose fee is taken in coin are grossed up.
    pub(crate) fn send(
        &mut self,
        p: usize,
        purpose: Purpose,
        venue: Venue,
        takes: Side,
        quantity: Quantity,
        limit: Option<Price>,
    ) {
        let position = &self.positions[p];
        let (id, asset, i) = (position.id, position.asset, position.symbol);
        let lot = self.symbols[i].member.instrument(venue).lot;
        let quantity = match takes {
            Side::Ask => self.broker.fees().gross_up(venue, quantity, lot),
            Side::Bid => Some(quantity),
        };
        let Some(quantity) = quantity else {
            self.trouble(format!("an order of {asset} on {venue} does not fit an exact number"));
            self.positions[p].retry_at = Some(self.after_ms(self.config.retry_ms));
            return;
        };
        let order = self.broker.submit(id, purpose, venue, asset, takes, quantity, limit, self.now);
        self.positions[p].outstanding += 1;
        self.record(Body::Order {
            order: order.id,
            position: id,
            purpose,
            venue,
            asset,
            takes,
            quantity,
            arrives: order.arrives,
            limit,
        });
    }

    pub(crate) fn after_ms(&self, ms: i64) -> Timestamp {
        Timestamp(self.now.0.saturating_add(ms.saturating_mul(1_000_000)))
    }

    /// Executes orders whose time has come, in the order in which they were sent.
    pub(crate) fn execute_all(&mut self, due: &mut Vec<Order>) {
        if due.is_empty() {
            return;
        }
        self.mark(probe::Stage::Fill);
        for order in due.drain(..) {
            self.execute(order);
        }
        self.mark(probe::Stage::Decide);
    }

    /// Executes orders whose book stayed quiet, as far as the venue's stream has come. A book that is not Live refuses
    /// them, however far that is.
    pub(crate) fn execute_overdue(&mut self) {
        let mut due = std::mem::take(&mut self.due);
        let (symbols, by_asset, conns) = (&self.symbols, &self.by_asset, &self.conns);
        let shown = |order: &Order| {
            let Some(i) = by_asset.get(&order.asset) else { return true };
            let book = &symbols[*i].books[order.venue.index()];
            let conn = book.conn.filter(|_| book.is_live()).and_then(|conn| conns.get(&conn));
            conn.is_none_or(|conn| conn.shown >= order.arrives)
        };
        self.broker.overdue(self.now, shown, &mut due);
        self.execute_all(&mut due);
        self.due = due;
    }

    pub(crate) fn execute(&mut self, order: Order) {
        let Some(i) = self.by_asset.get(&order.asset).copied() else { return };
        let symbol = &mut self.symbols[i];
        let SymbolBook { book, memory, state, .. } = &mut symbol.books[order.venue.index()];
        let live = (*state == crate::market_state::BookState::Live).then_some(&*book);
        let instrument = symbol.member.instrument(order.venue);
        let result = self.broker.execute(order, instrument, live, &mut **memory, &self.ledger);
        let position = self.positions.iter().position(|position| position.id == order.position);
        if let Some(p) = position {
            self.positions[p].outstanding = self.positions[p].outstanding.saturating_sub(1);
        }
        match result {
            Ok(filled) => {
                self.on_filled(i, position, &filled);
                self.broker.give_back(filled.levels);
            }
            Err((order, refusal)) => self.on_refused(i, position, &order, refusal),
        }
        if let Some(p) = position {
            self.advance(p);
        }
    }

    fn on_refused(&mut self, i: usize, position: Option<usize>, order: &Order, refusal: Refusal) {
        self.record(Body::Rejected { order: order.id, refusal });
        if order.purpose == Purpose::Entry {
            self.count(i, |c: &mut Counts| c.stage(Stage::Rejected));
        }
        if let Some(p) = position {
            let retry = self.after_ms(retry_pause_ms(&self.config, self.positions[p].orphaned));
            let position = &mut self.positions[p];
            // Nothing is hurried after a refused entry leg when the other leg is still on its way.
            if order.purpose != Purpose::Entry {
                position.retry_at = Some(retry);
            }
        }
    }

    fn on_filled(&mut self, i: usize, position: Option<usize>, filled: &Filled) {
        let order = filled.order;
        let Some(fx) = self.fx.used(self.now) else {
            self.trouble(format!("order {} filled without a rate", order.id));
            return;
        };
        let changes = match self.ledger.apply_at(filled, fx.rate) {
            Ok(changes) => changes,
            Err(e) => {
                self.trouble(format!("order {} does not fit the ledger: {e}", order.id));
                return;
            }
        };
        self.record(Body::Fill {
            order: order.id,
            position: order.position,
            purpose: order.purpose,
            venue: order.venue,
            asset: order.asset,
            takes: order.takes,
            levels: filled.levels.clone(),
            quantity: filled.quantity,
            notional: filled.notional,
            fee: filled.fee,
            fee_asset: filled.fee_asset,
            fx,
        });
        for (venue, asset, change, balance) in changes {
            self.record(Body::Balance { venue, asset, change, balance, order: order.id, transfer: 0 });
        }
        if order.purpose == Purpose::Entry && filled.quantity < order.quantity {
            self.count(i, |c: &mut Counts| c.stage(Stage::PartlyFilled));
        }
        if let Some(p) = position
            && book_fill(&mut self.positions[p], filled, fx).is_none()
        {
            self.trouble(format!("order {} does not fit an exact number", order.id));
        }
        self.record_equity();
    }

    /// Takes the next step of a position. May remove it.
    pub(crate) fn advance(&mut self, p: usize) {
        let position = &self.positions[p];
        let symbol = &self.symbols[position.symbol];
        let market = LegMarket {
            member: &symbol.member,
            mids: Venue::ALL.map(|v| symbol.books[v.index()].last_mid),
            live: Venue::ALL.map(|v| symbol.books[v.index()].is_live()),
        };
        if market.mids.iter().any(Option::is_none) {
            // Only after a restart: what an order would be worth is not known before the book is.
            return;
        }
        match position.step(self.now, &self.config, &market) {
            Step::Wait => {}
            Step::Send(wanted) => self.send_wanted(p, wanted),
            Step::Opened { quantity, orphan } => self.opened(p, quantity, orphan),
            Step::Unwound { orphan } => self.unwound(p, orphan),
            Step::Closed => self.closed(p),
        }
    }

    fn send_wanted(&mut self, p: usize, wanted: [Option<Wanted>; 2]) {
        let now = self.now;
        let position = &mut self.positions[p];
        position.retry_at = None;
        match position.phase {
            Phase::Entering => {
                position.uneven_since.get_or_insert(now);
            }
            Phase::Open => {}
            Phase::Exiting => {
                let since = *position.exit_since.get_or_insert(now);
                let late = now.since(since) >= self.config.close_within_ms.saturating_mul(1_000_000);
                if late && !position.orphaned {
                    position.orphaned = true;
                    self.alert_orphan(p, "a leg of the exit could not be completed; it is tried again");
                }
            }
        }
        for order in wanted.into_iter().flatten() {
            if order.purpose == Purpose::Unwind {
                let position = &mut self.positions[p];
                position.unwinds += 1;
                if position.unwinds > self.config.unwind_attempts && !position.orphaned {
                    position.orphaned = true;
                    self.alert_orphan(
                        p,
                        "a leg could be neither completed nor unwound in time; it is tried again",
                    );
                }
            }
            self.send(p, order.purpose, order.venue, order.takes, order.quantity, order.limit);
        }
    }

    fn alert_orphan(&mut self, p: usize, what: &'static str) {
        let position = &self.positions[p];
        let (id, asset, held) = (position.id, position.asset, position.held);
        self.alert("LEG-ORPHANED", "Leg orphaned", move || {
            Words::new(format!(
                "position {id} of {asset}: {what}; holds {} on upbit and {} on binance",
                held[0], held[1]
            ))
            .label("asset", asset)
            .label("position", id)
        });
    }

    fn opened(&mut self, p: usize, quantity: Quantity, orphan: bool) {
        if orphan && !self.positions[p].orphaned {
            self.alert_orphan(
                p,
                "the excess of a leg could be neither completed nor unwound; it leaves with the position",
            );
        }
        let position = &self.positions[p];
        let (i, asset, direction) = (position.symbol, position.asset, position.direction);
        let fx = self.fx.rate();
        let out = match (self.symbols[i].books.iter().all(SymbolBook::is_live), fx) {
            (true, Some(fx)) => touch_gap_bps(direction.opposite(), self.books(i), fx),
            _ => None,
        };
        let position = &mut self.positions[p];
        let notional_usd = position.value_of_matched(quantity).unwrap_or(position.decided.notional_usd);
        position.phase = Phase::Open;
        position.orphaned |= orphan;
        position.retry_at = None;
        position.opened_at = Some(self.now);
        position.matched = quantity;
        position.notional_usd = notional_usd;
        position.out_at_open_bps = out;
        let decided = position.decided;
        let gap_bps = position.realised_gap_bps().unwrap_or(decided.gap_bps);
        let id = position.id;
        let realised_edge_bps = decided.edge_bps + (gap_bps - decided.gap_bps);
        self.view.entries += 1;
        self.record(Body::Opened {
            position: id,
            asset,
            direction,
            quantity,
            notional_usd,
            gap_bps,
            decided_edge_bps: decided.edge_bps,
            realised_edge_bps,
            decided_edge_usd: edge_usd(decided.edge_bps, decided.notional_usd),
            realised_edge_usd: edge_usd(realised_edge_bps, notional_usd),
        });
        self.record_anchor(id, out);
        self.count(i, |c: &mut Counts| c.stage(Stage::Filled));
        if let Some((stop, _)) = self.stop {
            self.begin_exit(p, stop.reason());
            self.advance(p);
            return;
        }
        if self.symbols[i].halted != [None; 2] {
            self.begin_exit(p, ExitReason::Halt);
            self.advance(p);
            return;
        }
        self.judge_positions_of(i);
        self.publish_guards();
    }

    fn unwound(&mut self, p: usize, orphan: bool) {
        let position = self.positions.remove(p);
        let net_usd = position.flows.net_usd();
        self.view.unwinds += u64::from(orphan);
        self.keep_residue(&position);
        self.record(Body::Unwound { position: position.id, asset: position.asset, orphan, net_usd });
        if orphan {
            self.add_result(&position, net_usd);
        }
        self.after_end_of_position(position.symbol);
    }

    fn closed(&mut self, p: usize) {
        let position = self.positions.remove(p);
        let reason = position.exit.unwrap_or(ExitReason::Shutdown);
        let (gross_usd, fees_usd, net_usd) =
            (position.flows.gross_usd(), position.flows.fees_usd(), position.flows.net_usd());
        // Without a decided way out (a book was missing) what it brought counts as decided: no slippage is claimed.
        let decided = match position.exit_gross_usd {
            // What was decided for the quantity that became the position: an excess that was undone is a cost of the fills.
            Some(out) => position
                .decided
                .gross_usd
                .ratio(position.matched.0, position.decided.quantity.0, Rounding::Floor)
                .and_then(|entry| entry.checked_add(out)),
            None => Some(gross_usd),
        };
        let slippage_usd = decided.and_then(|d| d.checked_sub(gross_usd)).unwrap_or(Money::ZERO);
        self.view.round_trips += 1;
        self.keep_residue(&position);
        self.watch_closed();
        self.record(Body::Closed {
            position: position.id,
            asset: position.asset,
            direction: position.direction,
            reason,
            opened_at: position.opened_at.unwrap_or(self.now),
            gross_usd,
            fees_usd,
            net_usd,
            slippage_usd,
            slippage_bps: bps_of(slippage_usd, position.notional_usd),
            decided_edge_bps: position.decided.edge_bps,
            realised_edge_bps: bps_of(net_usd, position.notional_usd),
        });
        self.count(position.symbol, |c: &mut Counts| c.exited(reason));
        self.add_result(&position, net_usd);
        if reason != ExitReason::Shutdown {
            self.judge_streaks(position.asset, position.direction, net_usd);
        }
        self.after_end_of_position(position.symbol);
    }

    fn keep_residue(&mut self, position: &Position) {
        for (left, held) in self.symbols[position.symbol].residue.iter_mut().zip(position.held) {
            left.0 = left.0.saturating_add(held.0);
        }
    }

    fn add_result(&mut self, position: &Position, net_usd: Money) {
        self.results.add(position.cash_usd, net_usd);
    }

    fn after_end_of_position(&mut self, i: usize) {
        if self.positions.len() < self.config.max_positions as usize {
            self.at_limit = false;
        }
        self.record_equity();
        self.judge_positions_of(i);
        self.judge_losses();
        self.publish_guards();
        self.check_stop();
    }

    /// Losses in a row: of the route, and over all.
    pub(crate) fn judge_streaks(&mut self, asset: Asset, direction: Direction, net_usd: Money) {
        let (now, scope) = (self.now, Scope::Route(asset, direction));
        let cooling = (
            self.guards.holds(rules::ROUTE_STREAK, scope),
            self.guards.holds(rules::CROSS_STREAK, Scope::All),
        );
        let (route, all) = self.results.streak((asset, direction), net_usd, &self.config, cooling);
        if let Some(route) = route {
            let until = self.after_ms(self.config.cooldown_route_ms);
            self.guards.cool_down(now, rules::ROUTE_STREAK, scope, route.into(), until);
        }
        if let Some(all) = all {
            let until = self.after_ms(self.config.cooldown_cross_ms);
            self.guards.cool_down(now, rules::CROSS_STREAK, Scope::All, all.into(), until);
        }
    }
}

/// An edge in USD, rounded to 1e-8: a statistic.
fn edge_usd(edge_bps: f64, notional_usd: Money) -> f64 {
    (edge_bps * notional_usd.to_f64() * 1e4).round() / 1e8
}

/// An amount in basis points of another; 0 of nothing.
fn bps_of(amount: Money, of: Money) -> f64 {
    if of.0 > 0 { amount.to_f64() / of.to_f64() * 1e4 } else { 0.0 }
}

/// How long a refused order waits before the next. An orphan waits for its market to come back: no hurry.
pub(crate) fn retry_pause_ms(config: &crate::Config, orphaned: bool) -> i64 {
    if orphaned { config.retry_ms.max(1_000) } else { config.retry_ms }
}

/// Books a fill on its position. `None` when a number does not fit.
pub(crate) fn book_fill(position: &mut Position, filled: &Filled, fx: FxUsed) -> Option<()> {
    let order = filled.order;
    let v = order.venue.index();
    position.touched = true;
    position.flows.on_fill(filled, fx.rate)?;
    let coin_fee = if filled.fee_asset == order.asset { filled.fee } else { Quantity::ZERO };
    let quote_fee = if filled.fee_asset == order.asset { Money::ZERO } else { Money(filled.fee.0) };
    let change = match order.takes {
        Side::Ask => filled.quantity.checked_sub(coin_fee)?,
        Side::Bid => Quantity(filled.quantity.0.checked_add(coin_fee.0)?.checked_neg()?),
    };
    position.held[v] = position.held[v].checked_add(change)?;
    let flow = cash_flow_usd(order.venue, order.takes, filled.notional, quote_fee, fx.rate)?;
    position.cash_usd[v] = position.cash_usd[v].checked_add(flow)?;
    if matches!(order.purpose, Purpose::Entry | Purpose::Complete) && position.phase == Phase::Entering {
        let (side, rounding) = match order.takes {
            Side::Ask => (&mut position.entry_buy, Rounding::Ceil),
            Side::Bid => (&mut position.entry_sell, Rounding::Floor),
        };
        side.0 = side.0.checked_add(filled.quantity)?;
        side.1 = side.1.checked_add(to_usd(order.venue, filled.notional, fx.rate, rounding)?)?;
    }
    Some(())
}
