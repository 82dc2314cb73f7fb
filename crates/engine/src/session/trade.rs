//! Evaluation of one symbol: exits of its positions first, then entries in both directions through the guards.

use crate::core::Core;
use crate::edge::{Quote, displayed, edge_bps, executable, touch_gap_bps, walk_available, walk_left};
use crate::funnel::{Counts, Stage, Why};
use crate::guards::{Scope, Verdict, rules};
use crate::legs::{Decided, Phase, Position, cash_flow_usd};
use crate::liquidity::LiquidityModel;
use crate::market_state::{BookState, StaleWhy, SymbolBook};
use crate::shadow::left;
use crate::strategy::{ExitFigures, exit_reason, orderable, size};
use journal::Body;
use journal::record::{Direction, ExitReason, Purpose, Touch};
use market::{Asset, Book, FxRate, Money, Price, Quantity, Rounding, Side, Venue};

/// A direction's figures.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidate {
    pub direction: Direction,
    pub quote: Quote,
    pub level_bps: f64,
    pub opposite_bps: f64,
    pub edge_bps: f64,
}

impl Core {
    /// Looks at a symbol after one of its books, the rate or a timer moved.
    pub(crate) fn evaluate(&mut self, i: usize) {
        if self.ended {
            return;
        }
        let why = match self.suppressed(i) {
            Ok(fx) => {
                self.check_exits(i, fx);
                self.check_exits_of_shadows(i, fx);
                if self.stop.is_none() {
                    self.look_for_entry(i, fx);
                    return;
                }
                Why::Stopping
            }
            Err(why) => why,
        };
        self.count(i, |c: &mut Counts| c.suppressed(why));
    }

    /// The rate, or why nothing can be said about the symbol.
    fn suppressed(&self, i: usize) -> Result<FxRate, Why> {
        for book in &self.symbols[i].books {
            match book.state {
                BookState::Live => {}
                BookState::Syncing => return Err(Why::Syncing),
                BookState::Stale(StaleWhy::Halted) => return Err(Why::Halted),
                BookState::Stale(_) => return Err(Why::Stale),
                BookState::Broken(_) => return Err(Why::Broken),
            }
        }
        self.fx.rate().ok_or(Why::NoFx)
    }

    /// Both books of a symbol.
    pub(crate) fn books(&self, i: usize) -> [&Book; 2] {
        let [upbit, binance] = &self.symbols[i].books;
        [&upbit.book, &binance.book]
    }

    fn look_for_entry(&mut self, i: usize, fx: FxRate) {
        if !self.symbols[i].active {
            self.count(i, |c: &mut Counts| c.suppressed(Why::NotMember));
            return;
        }
        if self.symbols[i].halted != [None; 2] {
            self.count(i, |c: &mut Counts| c.suppressed(Why::Halted));
            return;
        }
        let mut best: Option<Candidate> = None;
        for direction in Direction::ALL {
            let found = self.look(i, direction, fx, self.config.leg_usd);
            self.symbols[i].edges[direction.index()] = found.ok().flatten().map(|c| c.edge_bps);
            match found {
                Ok(Some(c)) if best.is_none_or(|b| c.edge_bps > b.edge_bps) => best = Some(c),
                Ok(_) => {}
                Err(why) => self.count(i, |c: &mut Counts| c.suppressed(why)),
            }
            if found.ok().flatten().is_none_or(|c| c.edge_bps < self.config.min_edge_bps) {
                self.no_intent(i, direction);
            }
        }
        if let Some(candidate) = best.filter(|c| c.edge_bps >= self.config.min_edge_bps) {
            self.try_entry(i, candidate, fx);
        }
    }

    /// A direction's edge from the displayed books, which bounds the executable one from above.
    fn look(
        &mut self,
        i: usize,
        direction: Direction,
        fx: FxRate,
        leg: Money,
    ) -> Result<Option<Candidate>, Why> {
        let symbol = &self.symbols[i];
        let asset = symbol.member.asset;
        let mid = symbol.books[Venue::Binance.index()].last_mid.ok_or(Why::Syncing)?;
        let quantity = size(&symbol.member, leg, mid).ok_or(Why::OrderSize)?;
        let quote = displayed(direction, self.books(i), quantity, fx).ok_or(Why::NoDepth)?;
        self.symbols[i].quotes[direction.index()] = Some(quote);
        self.guards.judge(self.now, rules::GROSS_GAP, Scope::Route(asset, direction), quote.gap_bps);
        self.publish_guards();
        self.symbols[i].spreads.gap(direction, quote.gap_bps);
        let levels = &self.symbols[i].levels;
        let (Some(level_bps), Some(opposite_bps)) =
            (levels[direction.index()].bps(), levels[direction.opposite().index()].bps())
        else {
            return Err(Why::NoLevel);
        };
        let edge = self.edge_of(quote.gap_bps, opposite_bps);
        self.symbols[i].spreads.edge(direction, opposite_bps, edge);
        let threshold = self.config.min_edge_bps;
        let now = self.now;
        self.symbols[i].minute[direction.index()].evaluated(edge, now);
        self.count(i, |c: &mut Counts| {
            c.stage(Stage::Evaluated);
            if quote.gap_bps + opposite_bps > 0.0 {
                c.stage(Stage::GrossPositive);
            }
            if edge > 0.0 {
                c.stage(Stage::NetPositive);
            }
            if edge >= threshold {
                c.stage(Stage::AboveThreshold);
            }
        });
        Ok(Some(Candidate { direction, quote, level_bps, opposite_bps, edge_bps: edge }))
    }

    fn edge_of(&self, gap: f64, opposite: f64) -> f64 {
        edge_bps(gap, opposite, self.round_trip_fees_bps, self.config.reserve_bps)
    }

    /// Guards, pacing, size and inventory; then the entry.
    fn try_entry(&mut self, i: usize, candidate: Candidate, fx: FxRate) {
        let (asset, direction) = (self.symbols[i].member.asset, candidate.direction);
        let gross = candidate.quote.gap_bps + candidate.opposite_bps;
        self.refresh_guards_for_entry(i, direction, candidate.edge_bps, gross);
        let mut blocked: [Option<&'static str>; rules::ALL.len()] = [None; rules::ALL.len()];
        let mut n = 0;
        let verdict = self.guards.verdict(asset, direction, |rule| {
            if let Some(slot) = blocked.get_mut(n) {
                *slot = Some(rule);
                n += 1;
            }
        });
        if verdict >= Verdict::Cooldown {
            self.count(i, |c: &mut Counts| {
                c.stage(Stage::Blocked);
                blocked.iter().flatten().for_each(|rule| c.blocked_by(rule));
            });
            self.on_blocked(i, candidate, fx, &blocked);
            return;
        }
        self.symbols[i].blocked[direction.index()] = false;
        if let Some(why) = self.paced(i) {
            self.count(i, |c: &mut Counts| c.suppressed(why));
            return;
        }
        let leg = match verdict {
            Verdict::Degrade => Money(self.config.leg_usd.0 / 2),
            _ => self.config.leg_usd,
        };
        match self.sized(i, candidate, leg, fx) {
            Ok(candidate) => self.enter(i, candidate, fx),
            Err(why) => self.count(i, |c: &mut Counts| c.suppressed(why)),
        }
    }

    /// Pacing: no guard triggers, but they hold entries back.
    fn paced(&mut self, i: usize) -> Option<Why> {
        let asset = self.symbols[i].member.asset;
        let pause = self.config.entry_pause_ms.saturating_mul(1_000_000);
        if self.symbols[i].last_entry.is_some_and(|at| self.now.since(at) < pause) {
            return Some(Why::EntryPause);
        }
        let of_symbol = self.positions.iter().filter(|p| p.symbol == i).count();
        if of_symbol >= self.config.max_positions_per_symbol as usize {
            return Some(Why::SymbolPositions);
        }
        let open = self.positions.len();
        if open >= self.config.max_positions as usize {
            if !self.at_limit {
                self.at_limit = true;
                self.record(Body::PositionLimit { asset, open: open as u32 });
            }
            return Some(Why::PositionLimit);
        }
        None
    }

    /// The candidate at its final size, without our own takings, when it is still worth it and covered.
    fn sized(&self, i: usize, candidate: Candidate, leg: Money, fx: FxRate) -> Result<Candidate, Why> {
        let candidate = self.quoted(i, candidate, leg, fx)?;
        if candidate.edge_bps < self.config.min_edge_bps {
            return Err(Why::EdgeAtSize);
        }
        self.covered(i, candidate.direction, &candidate.quote, fx)?;
        Ok(candidate)
    }

    /// The candidate at its final size, without our own takings.
    pub(crate) fn quoted(
        &self,
        i: usize,
        candidate: Candidate,
        leg: Money,
        fx: FxRate,
    ) -> Result<Candidate, Why> {
        let symbol = &self.symbols[i];
        let mids = Venue::ALL.map(|v| symbol.books[v.index()].last_mid);
        let mid = mids[Venue::Binance.index()].ok_or(Why::Syncing)?;
        let quantity = size(&symbol.member, leg, mid).ok_or(Why::OrderSize)?;
        for venue in Venue::ALL {
            let price = mids[venue.index()].ok_or(Why::Syncing)?;
            let instrument = symbol.member.instrument(venue);
            // What is sent is what the venue would have to take: a purchase whose fee is taken in coin is larger.
            let sent = if venue == candidate.direction.buys_on() {
                self.broker.fees().gross_up(venue, quantity, instrument.lot).ok_or(Why::OrderSize)?
            } else {
                quantity
            };
            if !orderable(instrument, sent, price) {
                return Err(Why::OrderSize);
            }
        }
        let memories = [&*symbol.books[0].memory, &*symbol.books[1].memory];
        let quote =
            executable(candidate.direction, self.books(i), memories, quantity, fx).ok_or(Why::NoDepth)?;
        let edge = self.edge_of(quote.gap_bps, candidate.opposite_bps);
        Ok(Candidate { quote, edge_bps: edge, ..candidate })
    }

    /// What orders on their way to `venue` will take of `asset`: of coin their quantity, of cash their price at the mid with a
    /// margin of 1 %. `None` when that is not known, or does not fit.
    fn promised(&self, venue: Venue, asset: Asset) -> Option<Quantity> {
        self.broker.orders().filter(|order| order.venue == venue).try_fold(Quantity::ZERO, |sum, order| {
            let takes = match order.takes {
                Side::Bid if order.asset == asset => order.quantity,
                Side::Ask if asset == venue.quote() => {
                    let i = *self.by_asset.get(&order.asset)?;
                    let mid = self.symbols[i].books[venue.index()].last_mid?;
                    let cost = mid.notional(order.quantity, Rounding::Ceil)?;
                    Quantity(cost.ratio(101, 100, Rounding::Ceil)?.0)
                }
                _ => Quantity::ZERO,
            };
            sum.checked_add(takes)
        })
    }

    /// The inventory covers both legs beside what orders under way will take, with a margin of 1 % for the way of the prices and
    /// the fee: two entries of one instant cannot count on the same money.
    fn covered(&self, i: usize, direction: Direction, quote: &Quote, fx: FxRate) -> Result<(), Why> {
        let asset = self.symbols[i].member.asset;
        let (buys, sells) = (direction.buys_on(), direction.buys_on().other());
        let cost = match buys {
            Venue::Upbit => fx.usd_to_krw(quote.buy_usd, Rounding::Ceil),
            Venue::Binance => Some(quote.buy_usd),
        };
        let cost = cost.and_then(|cost| cost.ratio(101, 100, Rounding::Ceil)).ok_or(Why::Inventory)?;
        let needs = [(sells, asset, quote.quantity), (buys, buys.quote(), Quantity(cost.0))];
        let enough = needs.into_iter().all(|(venue, asset, need)| {
            let all = self.promised(venue, asset).and_then(|promised| promised.checked_add(need));
            all.is_some_and(|all| self.ledger.balance(venue, asset) >= all)
        });
        if enough { Ok(()) } else { Err(Why::Inventory) }
    }

    fn enter(&mut self, i: usize, candidate: Candidate, fx: FxRate) {
        let Candidate { direction, quote, level_bps, opposite_bps, edge_bps } = candidate;
        let Some(used) = self.fx.used(self.now) else { return };
        let (asset, quantity) = (self.symbols[i].member.asset, quote.quantity);
        let (buys, sells) = (direction.buys_on(), direction.buys_on().other());
        let (Some(prices), Some(gross_usd)) =
            (decided_prices(&quote, direction, fx), quote.sell_usd.checked_sub(quote.buy_usd))
        else {
            self.trouble(format!("the prices of an entry of {asset} do not fit an exact number"));
            return;
        };
        self.last_position += 1;
        let id = self.last_position;
        let decided = Decided {
            quantity,
            notional_usd: quote.buy_usd,
            prices,
            gross_usd,
            gap_bps: quote.gap_bps,
            edge_bps,
            level_bps,
        };
        self.record(Body::Decision {
            position: id,
            asset,
            direction,
            quantity,
            notional_usd: quote.buy_usd,
            gap_bps: quote.gap_bps,
            level_bps,
            opposite_level_bps: opposite_bps,
            edge_bps,
            prices,
            gross_usd,
            touch: self.touches(i),
            fx: used,
        });
        self.symbols[i].last_entry = Some(self.now);
        self.count(i, |c: &mut Counts| c.stage(Stage::Sent));
        self.positions.push(Position::new(id, i, asset, direction, decided));
        let p = self.positions.len() - 1;
        self.send(p, Purpose::Entry, buys, Side::Ask, quantity, None);
        self.send(p, Purpose::Entry, sells, Side::Bid, quantity, None);
    }

    /// Exits of a symbol with two Live books.
    fn check_exits(&mut self, i: usize, fx: FxRate) {
        let mut p = 0;
        while p < self.positions.len() {
            let position = &self.positions[p];
            if position.symbol == i && position.phase == Phase::Open {
                if position.out_at_open_bps.is_none() {
                    // The books were not usable at the fill instant: measured from the first moment that they are.
                    let out = touch_gap_bps(position.direction.opposite(), self.books(i), fx);
                    self.positions[p].out_at_open_bps = out;
                    self.record_anchor(self.positions[p].id, out);
                }
                let figures = self.exit_figures(p, fx);
                if let Some(reason) = exit_reason(&self.config, &figures) {
                    self.begin_exit(p, reason);
                }
            }
            let id = self.positions[p].id;
            if self.positions[p].symbol == i {
                self.advance(p);
            }
            // `advance` may have removed it.
            if self.positions.get(p).is_some_and(|position| position.id == id) {
                p += 1;
            }
        }
    }

    fn exit_figures(&self, p: usize, fx: FxRate) -> ExitFigures {
        self.exit_figures_of(&self.positions[p], None, fx)
    }

    /// `own`: what a shadow took, beside what real orders took.
    pub(crate) fn exit_figures_of(
        &self,
        position: &Position,
        own: Option<&[Box<dyn LiquidityModel>; 2]>,
        fx: FxRate,
    ) -> ExitFigures {
        let (i, direction) = (position.symbol, position.direction);
        let books = self.books(i);
        ExitFigures {
            now: self.now,
            opened_at: position.opened_at.unwrap_or(self.now),
            out_at_open_bps: position.out_at_open_bps,
            out_now_bps: touch_gap_bps(direction.opposite(), books, fx),
            in_now_bps: touch_gap_bps(direction, books, fx),
            level_bps: Some(
                self.symbols[i].levels[direction.index()].bps().unwrap_or(position.decided.level_bps),
            ),
            net_bps: self.way_out_of(position, own, fx).and_then(|cash_usd| position.net_bps(cash_usd)),
        }
    }

    /// The first reason for an open position to leave, as far as its books are usable.
    pub(crate) fn reason_to_leave(&self, p: usize) -> Option<ExitReason> {
        let books = &self.symbols[self.positions[p].symbol].books;
        let fx = self.fx.rate().filter(|_| books.iter().all(SymbolBook::is_live))?;
        exit_reason(&self.config, &self.exit_figures(p, fx))
    }

    /// What the way out of the matched quantity should bring before fees: sale minus purchase, USD, by walking what we have
    /// not taken. Coin beyond it (what a gross-up and the lot bought) was not part of the decision to enter either.
    fn way_out_gross_usd(&self, p: usize, fx: FxRate) -> Option<Money> {
        let position = &self.positions[p];
        let books = &self.symbols[position.symbol].books;
        let mut gross = Money::ZERO;
        for venue in Venue::ALL {
            let (buys, v) = (position.direction.buys_on() != venue, venue.index());
            let takes = if buys { Side::Ask } else { Side::Bid };
            let notional = walk_available(&books[v].book, &*books[v].memory, takes, position.matched)?;
            gross = gross.checked_add(cash_flow_usd(venue, takes, notional, Money::ZERO, fx)?)?;
        }
        Some(gross)
    }

    /// What closing a position would bring now, by walking what we have not taken: the signed flow per venue in USD, fees in
    /// the quote currency included.
    /// `own`: what a shadow took, beside what real orders took.
    pub(crate) fn way_out_of(
        &self,
        position: &Position,
        own: Option<&[Box<dyn LiquidityModel>; 2]>,
        fx: FxRate,
    ) -> Option<[Money; 2]> {
        let symbol = &self.symbols[position.symbol];
        let mut cash_usd = [Money::ZERO; 2];
        for venue in Venue::ALL {
            let v = venue.index();
            let held = position.held[v];
            let instrument = symbol.member.instrument(venue);
            let (takes, quantity) = if held.0 > 0 {
                (Side::Bid, held)
            } else {
                (
                    Side::Ask,
                    self.broker.fees().gross_up(venue, Quantity(held.0.checked_neg()?), instrument.lot)?,
                )
            };
            if quantity.0 == 0 {
                continue;
            }
            let (book, memory) = (&symbol.books[v].book, &*symbol.books[v].memory);
            let notional = match own {
                None => walk_available(book, memory, takes, quantity)?,
                Some(own) => walk_left(book, takes, quantity, |l| left(memory, &*own[v], takes, l))?,
            };
            let (fee, fee_asset) =
                self.broker.fees().fee(venue, takes, position.asset, quantity, notional)?;
            let quote_fee = if fee_asset == venue.quote() { Money(fee.0) } else { Money::ZERO };
            // What the gross-up and the lot buy beyond what is missing stays ours: it is worth its price, as in the ledger.
            let coin_fee = if fee_asset == venue.quote() { Quantity::ZERO } else { fee };
            let beyond = Quantity(quantity.0.checked_sub(held.0.checked_abs()?)?);
            let worth = |coin: Quantity| notional.ratio(coin.0, quantity.0, Rounding::Floor);
            let kept = worth(beyond.checked_sub(coin_fee)?)?;
            cash_usd[v] = cash_flow_usd(venue, takes, notional.checked_sub(kept)?, quote_fee, fx)?;
        }
        Some(cash_usd)
    }

    /// Decides that a position leaves; the orders go out with the next step.
    pub(crate) fn begin_exit(&mut self, p: usize, reason: ExitReason) {
        let fx = self
            .fx
            .rate()
            .filter(|_| self.symbols[self.positions[p].symbol].books.iter().all(SymbolBook::is_live));
        let figures = fx.map(|fx| self.exit_figures(p, fx));
        let gross = self.fx.rate().and_then(|fx| self.way_out_gross_usd(p, fx));
        let position = &mut self.positions[p];
        let i = position.symbol;
        position.phase = Phase::Exiting;
        position.exit = Some(reason);
        position.exit_gross_usd = gross;
        // Coin below a lot that earlier positions left goes along.
        for (held, left) in position.held.iter_mut().zip(self.symbols[i].residue) {
            held.0 = held.0.saturating_add(left.0);
        }
        self.symbols[i].residue = [Quantity::ZERO; 2];
        let (id, asset, out_at_open_bps) = (position.id, position.asset, position.out_at_open_bps);
        self.record(Body::Exit {
            position: id,
            asset,
            reason,
            out_at_open_bps,
            out_bps: figures.and_then(|f| f.out_now_bps),
            in_bps: figures.and_then(|f| f.in_now_bps),
            level_bps: figures.and_then(|f| f.level_bps),
            net_bps: figures.and_then(|f| f.net_bps),
            gross_usd: gross,
            touch: self.touches(i),
        });
    }

    /// The touch of both books of a symbol as last seen.
    pub(crate) fn touches(&self, i: usize) -> [Option<Touch>; 2] {
        self.books(i).map(|book| {
            let (bid, ask) = (book.best(Side::Bid)?, book.best(Side::Ask)?);
            let (bid_quantity, ask_quantity) = (bid.quantity, ask.quantity);
            Some(Touch { bid: bid.price, bid_quantity, ask: ask.price, ask_quantity })
        })
    }
}

/// Average executable price per venue in its own currency.
pub(crate) fn decided_prices(quote: &Quote, direction: Direction, fx: FxRate) -> Option<[Price; 2]> {
    let price = |venue: Venue| {
        let usd = if direction.buys_on() == venue { quote.buy_usd } else { quote.sell_usd };
        let amount = match venue {
            Venue::Upbit => fx.usd_to_krw(usd, Rounding::Floor)?,
            Venue::Binance => usd,
        };
        amount.price_of(quote.quantity, Rounding::Floor)
    };
    Some([price(Venue::Upbit)?, price(Venue::Binance)?])
}
