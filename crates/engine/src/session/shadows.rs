//! The steps of shadow positions: blocked intents that live on beside the account. See [`crate::shadow`].

use super::orders::book_fill;
use super::trade::Candidate;
use crate::broker::Order;
use crate::core::Core;
use crate::edge::touch_gap_bps;
use crate::legs::{Decided, LegMarket, Phase, Position, Step, Wanted};
use crate::market_state::SymbolBook;
use crate::shadow::{Overlay, Shadow, Shadows};
use crate::strategy::exit_reason;
use journal::Body;
use journal::record::{ExitReason, Purpose};
use market::{FxRate, Money, Price, Quantity, Side, Venue};

impl Core {
    /// An intent was blocked: it lives on as a shadow position, one per symbol, direction and episode. An intent that the books
    /// would not have given at its size is none.
    pub(crate) fn on_blocked(
        &mut self,
        i: usize,
        candidate: Candidate,
        fx: FxRate,
        blocked: &[Option<&'static str>],
    ) {
        let d = candidate.direction.index();
        if self.symbols[i].blocked[d] || self.shadows.is_off() {
            return;
        }
        let Ok(intent) = self.quoted(i, candidate, self.config.leg_usd, fx) else { return };
        if intent.edge_bps < self.config.min_edge_bps {
            return;
        }
        self.symbols[i].blocked[d] = true;
        if self.shadows.is_full() {
            self.shadows.left_out += 1;
            return;
        }
        self.open_shadow(i, intent, fx, blocked);
        self.shadows.settle(&self.config);
    }

    fn open_shadow(&mut self, i: usize, intent: Candidate, fx: FxRate, blocked: &[Option<&'static str>]) {
        let Candidate { direction, quote, level_bps, edge_bps, .. } = intent;
        let (Some(prices), Some(gross_usd)) =
            (super::trade::decided_prices(&quote, direction, fx), quote.sell_usd.checked_sub(quote.buy_usd))
        else {
            return;
        };
        let asset = self.symbols[i].member.asset;
        let id = self.shadows.next_id();
        self.shadows.cover(asset);
        let (quantity, notional_usd, gap_bps) = (quote.quantity, quote.buy_usd, quote.gap_bps);
        let decided = Decided { quantity, notional_usd, prices, gross_usd, gap_bps, edge_bps, level_bps };
        self.shadows.open.push(Shadow {
            position: Position::new(id, i, asset, direction, decided),
            taken: [self.liquidity.fresh(), self.liquidity.fresh()],
            until: Shadows::until(self.now, &self.config),
        });
        self.symbols[i].shadows += 1;
        self.record(Body::ShadowOpened {
            shadow: id,
            asset,
            direction,
            rules: blocked.iter().flatten().map(|rule| (*rule).to_owned()).collect(),
            quantity,
            notional_usd,
            gap_bps,
            edge_bps,
        });
        let s = self.shadows.open.len() - 1;
        let (buys, sells) = (direction.buys_on(), direction.buys_on().other());
        self.send_shadow(s, Purpose::Entry, buys, Side::Ask, quantity, None);
        self.send_shadow(s, Purpose::Entry, sells, Side::Bid, quantity, None);
    }

    fn send_shadow(
        &mut self,
        s: usize,
        purpose: Purpose,
        venue: Venue,
        takes: Side,
        quantity: Quantity,
        limit: Option<Price>,
    ) {
        let retry = self.after_ms(self.config.retry_ms);
        let Shadows { broker, open, .. } = &mut self.shadows;
        let position = &mut open[s].position;
        let fees = self.broker.fees();
        let lot = self.symbols[position.symbol].member.instrument(venue).lot;
        let quantity = match takes {
            Side::Ask => fees.gross_up(venue, quantity, lot),
            Side::Bid => Some(quantity),
        };
        let Some(quantity) = quantity else {
            position.retry_at = Some(retry);
            return;
        };
        broker.submit(position.id, purpose, venue, position.asset, takes, quantity, limit, self.now);
        position.outstanding += 1;
    }

    /// After a message for a symbol's book: the shadows' liquidity, then their orders that are due.
    pub(crate) fn after_change_of_shadows(&mut self, i: usize, venue: Venue) {
        if self.symbols[i].shadows == 0 {
            return;
        }
        let symbol = &self.symbols[i];
        let book = &symbol.books[venue.index()];
        for shadow in self.shadows.open.iter_mut().filter(|shadow| shadow.position.symbol == i) {
            shadow.taken[venue.index()].on_book(&book.book);
        }
        if self.shadows.broker.pending() > 0
            && let Some(time) = book.venue_time
        {
            let at = self.on_our_clock(venue, time);
            let mut due = std::mem::take(&mut self.shadows.due);
            self.shadows.broker.due(venue, self.symbols[i].member.asset, at, &mut due);
            self.execute_shadows(due);
        }
    }

    fn execute_shadows(&mut self, mut due: Vec<Order>) {
        let any = !due.is_empty();
        for order in due.drain(..) {
            self.execute_shadow(order);
        }
        self.shadows.due = due;
        if any {
            self.shadows.settle(&self.config);
        }
    }

    /// As for real orders: those whose book stayed quiet, as far as the venue's stream has come.
    pub(crate) fn execute_overdue_shadows(&mut self) {
        if self.shadows.broker.pending() == 0 {
            return;
        }
        let mut due = std::mem::take(&mut self.shadows.due);
        let (symbols, by_asset, conns) = (&self.symbols, &self.by_asset, &self.conns);
        let shown = |order: &Order| {
            let Some(i) = by_asset.get(&order.asset) else { return true };
            let book = &symbols[*i].books[order.venue.index()];
            let conn = book.conn.filter(|_| book.is_live()).and_then(|conn| conns.get(&conn));
            conn.is_none_or(|conn| conn.shown >= order.arrives)
        };
        self.shadows.broker.overdue(self.now, shown, &mut due);
        self.execute_shadows(due);
        self.shadows.settle(&self.config);
    }

    fn execute_shadow(&mut self, order: Order) {
        let fx = self.fx.used(self.now);
        let retry = self.after_ms(self.config.retry_ms);
        let Shadows { account, open, .. } = &mut self.shadows;
        let Some(s) = open.iter().position(|shadow| shadow.position.id == order.position) else { return };
        let Shadow { position, taken, .. } = &mut open[s];
        let symbol = &self.symbols[position.symbol];
        let book = &symbol.books[order.venue.index()];
        let mut overlay = Overlay { real: &*book.memory, own: &mut *taken[order.venue.index()] };
        let instrument = symbol.member.instrument(order.venue);
        position.outstanding = position.outstanding.saturating_sub(1);
        match self.broker.execute(order, instrument, book.live(), &mut overlay, account) {
            Ok(filled) => {
                let booked = fx.and_then(|fx| book_fill(position, &filled, fx));
                self.broker.give_back(filled.levels);
                if booked.is_none() {
                    // Without a rate, or beyond what numbers hold, there is no result.
                    self.finish_shadow(s, None);
                    return;
                }
            }
            Err((order, _)) if order.purpose != Purpose::Entry => position.retry_at = Some(retry),
            Err(_) => {}
        }
        self.advance_shadow(s);
    }

    /// The next step of a shadow. True when it has ended and is gone.
    fn advance_shadow(&mut self, s: usize) -> bool {
        let position = &self.shadows.open[s].position;
        let symbol = &self.symbols[position.symbol];
        let market = LegMarket {
            member: &symbol.member,
            mids: Venue::ALL.map(|v| symbol.books[v.index()].last_mid),
            live: Venue::ALL.map(|v| symbol.books[v.index()].is_live()),
        };
        match position.step(self.now, &self.config, &market) {
            Step::Wait => {}
            Step::Send(wanted) => self.send_wanted_of_shadow(s, wanted),
            Step::Opened { quantity, .. } => self.opened_shadow(s, quantity),
            Step::Unwound { .. } | Step::Closed => {
                let flows = &self.shadows.open[s].position.flows;
                let result = Some((Some(flows.gross_usd()), flows.net_usd()));
                self.finish_shadow(s, result);
                return true;
            }
        }
        false
    }

    fn send_wanted_of_shadow(&mut self, s: usize, wanted: [Option<Wanted>; 2]) {
        let now = self.now;
        let position = &mut self.shadows.open[s].position;
        position.retry_at = None;
        match position.phase {
            Phase::Entering => {
                position.uneven_since.get_or_insert(now);
            }
            Phase::Open => {}
            Phase::Exiting => {
                position.exit_since.get_or_insert(now);
            }
        }
        for order in wanted.into_iter().flatten() {
            if order.purpose == Purpose::Unwind {
                self.shadows.open[s].position.unwinds += 1;
            }
            self.send_shadow(s, order.purpose, order.venue, order.takes, order.quantity, order.limit);
        }
    }

    fn opened_shadow(&mut self, s: usize, quantity: Quantity) {
        let position = &self.shadows.open[s].position;
        let (i, direction) = (position.symbol, position.direction);
        let fx = self.fx.rate().filter(|_| self.symbols[i].books.iter().all(SymbolBook::is_live));
        let out = fx.and_then(|fx| touch_gap_bps(direction.opposite(), self.books(i), fx));
        let now = self.now;
        let position = &mut self.shadows.open[s].position;
        position.notional_usd = position.value_of_matched(quantity).unwrap_or(position.decided.notional_usd);
        position.phase = Phase::Open;
        position.retry_at = None;
        position.opened_at = Some(now);
        position.matched = quantity;
        position.out_at_open_bps = out;
    }

    /// Exits of a symbol's shadows, with two Live books.
    pub(crate) fn check_exits_of_shadows(&mut self, i: usize, fx: FxRate) {
        if self.symbols[i].shadows == 0 {
            return;
        }
        let mut s = 0;
        while s < self.shadows.open.len() {
            if self.shadows.open[s].position.symbol != i {
                s += 1;
                continue;
            }
            if self.shadows.open[s].position.phase == Phase::Open {
                let direction = self.shadows.open[s].position.direction;
                if self.shadows.open[s].position.out_at_open_bps.is_none() {
                    let out = touch_gap_bps(direction.opposite(), self.books(i), fx);
                    self.shadows.open[s].position.out_at_open_bps = out;
                }
                let shadow = &self.shadows.open[s];
                let figures = self.exit_figures_of(&shadow.position, Some(&shadow.taken), fx);
                if let Some(reason) = exit_reason(&self.config, &figures) {
                    self.leave_shadow(s, reason);
                }
            }
            s += usize::from(!self.advance_shadow(s));
        }
        self.shadows.settle(&self.config);
    }

    /// As for real positions: at the time limit a stop that holds by then comes first.
    fn reason_of_shadow(&self, s: usize) -> Option<ExitReason> {
        let Shadow { position, taken, .. } = &self.shadows.open[s];
        let live = self.symbols[position.symbol].books.iter().all(SymbolBook::is_live);
        let fx = self.fx.rate().filter(|_| live)?;
        exit_reason(&self.config, &self.exit_figures_of(position, Some(taken), fx))
    }

    fn leave_shadow(&mut self, s: usize, reason: ExitReason) {
        let position = &mut self.shadows.open[s].position;
        position.phase = Phase::Exiting;
        position.exit = Some(reason);
    }

    /// Timers of shadows: orders, time limits, retries, patience.
    pub(crate) fn fire_shadows(&mut self) {
        if self.shadows.next_deadline().is_none_or(|at| at > self.now) {
            return;
        }
        self.execute_overdue_shadows();
        let limit = self.config.time_limit_ms.saturating_mul(1_000_000);
        let mut s = 0;
        while s < self.shadows.open.len() {
            let Shadow { position, until, .. } = &mut self.shadows.open[s];
            if *until <= self.now {
                self.finish_shadow(s, None);
                continue;
            }
            let waited = position.retry_at.is_some_and(|at| at <= self.now);
            if waited {
                position.retry_at = None;
            }
            let over = position.phase == Phase::Open
                && position.opened_at.is_some_and(|at| self.now.since(at) >= limit);
            if over {
                let reason = self.reason_of_shadow(s).unwrap_or(ExitReason::TimeLimit);
                self.leave_shadow(s, reason);
            }
            let gone = (over || waited) && self.advance_shadow(s);
            s += usize::from(!gone);
        }
        self.shadows.settle(&self.config);
    }

    /// The end of the session, which waits for no shadow: an open one is valued by walking the books, the others have no result.
    pub(crate) fn end_shadows(&mut self) {
        while let Some(shadow) = self.shadows.open.first_mut() {
            let mut result = None;
            if shadow.position.phase == Phase::Open {
                shadow.position.exit = Some(ExitReason::Shutdown);
                let shadow = &self.shadows.open[0];
                let live = self.symbols[shadow.position.symbol].books.iter().all(SymbolBook::is_live);
                let way = self
                    .fx
                    .rate()
                    .filter(|_| live)
                    .and_then(|fx| self.way_out_of(&shadow.position, Some(&shadow.taken), fx));
                let cash = shadow.position.cash_usd.into_iter().chain(way.into_iter().flatten());
                let net = cash.into_iter().try_fold(Money::ZERO, Money::checked_add);
                result = net.filter(|_| way.is_some()).map(|net| (None, net));
            }
            self.finish_shadow(0, result);
        }
        self.shadows.settle(&self.config);
    }

    /// Writes down how a shadow ended: gross and net, or nothing.
    fn finish_shadow(&mut self, s: usize, result: Option<(Option<Money>, Money)>) {
        let Shadow { position, .. } = self.shadows.open.remove(s);
        self.shadows.broker.cancel_position(position.id);
        let shadows = &mut self.symbols[position.symbol].shadows;
        *shadows = shadows.saturating_sub(1);
        self.record(Body::ShadowClosed {
            shadow: position.id,
            asset: position.asset,
            direction: position.direction,
            reason: position.exit.filter(|_| position.opened_at.is_some()),
            gross_usd: result.and_then(|(gross, _)| gross),
            net_usd: result.map(|(_, net)| net),
        });
    }
}
