//! The books while a journal is read: orders, positions, results, equity points, and the checks of them, all exact: what follows
//! from the records must equal. What balances hold is `flows`, what a position brought `results`.

use super::days::Days;
use super::edges::{Edges, Said};
use super::equity::{Equity, Point, Worth};
use super::fills::Sent;
use super::flows::{Cause, Flows};
use super::guards::Watch;
use super::kindness::Shown;
use super::results::{Leg, Outcome, outcome};
use super::shadows::Shadows;
use super::{AccountError, Accounts, Close, Problem, ProblemKind, Trigger};
use crate::trust::Clocks;
use journal::record::{Direction, Purpose, Terms};
use journal::{Body, Entry};
use market::{Money, SCALE, Timestamp, Venue};
use std::collections::BTreeMap;

/// A result as recorded; an unwind has its net only.
#[derive(Debug, Clone, Copy)]
pub(super) struct Recorded {
    seq: u64,
    net: i128,
    gross_and_fees: Option<(i128, i128)>,
    slippage: Option<i128>,
}

#[derive(Debug, Default)]
pub(super) struct Position {
    pub(super) legs: Vec<Leg>,
    direction: Option<Direction>,
    opened: bool,
    pub(super) recorded: Option<Recorded>,
    /// Base quantity that was decided.
    decided_quantity: i128,
    /// Gross that the decision promised, of what was matched once it opened, and the exit's; the inner `None`: the exit's books were not usable.
    decided_gross: Option<i128>,
    exit_gross: Option<Option<i128>>,
    pub(super) said: Said,
}

pub(super) struct Book {
    pub(super) terms: Terms,
    pub(super) accounts: Accounts,
    pub(super) positions: BTreeMap<u64, Position>,
    pub(super) flows: Flows,
    pub(super) orders: BTreeMap<u64, Sent>,
    trigger_index: BTreeMap<u64, usize>,
    watch: Watch,
    shadows: Shadows,
    clocks: Clocks,
    pub(super) edges: Edges,
    pub(super) shown: Shown,
    pub(super) equity: Equity,
    days: Days,
    /// What did not fit when it was read and is looked at again when its input's records are all read.
    open_points: Vec<Point>,
    open_days: Vec<(u64, Timestamp, i128)>,
    pub(super) open_results: Vec<u64>,
}

/// Adds up a journal.
///
/// # Errors
/// [`AccountError`], when it cannot be added up at all. Checks that fail are [`Accounts::problems`].
pub fn account(entries: &[Entry]) -> Result<Accounts, AccountError> {
    let Some(Entry { body: Body::Start { run_id, terms, .. }, .. }) = entries.first() else {
        return Err(AccountError::NoStart);
    };
    let mut book = Book {
        terms: terms.clone(),
        accounts: Accounts { run_id: run_id.clone(), ..Accounts::default() },
        positions: BTreeMap::new(),
        flows: Flows::default(),
        orders: BTreeMap::new(),
        trigger_index: BTreeMap::new(),
        watch: Watch::default(),
        shadows: Shadows::default(),
        clocks: Clocks::default(),
        edges: Edges::default(),
        shown: Shown::default(),
        equity: Equity::default(),
        days: Days::new(terms.day_offset_s),
        open_points: Vec::new(),
        open_days: Vec::new(),
        open_results: Vec::new(),
    };
    let mut expected = entries.first().map_or(1, |e| e.seq);
    if expected != 1 {
        book.problem(ProblemKind::Sequence, expected, format!("the journal begins with record {expected}"));
    }
    let mut input = 0;
    for entry in entries {
        if entry.input_seq != input {
            book.settle().ok_or(AccountError::TooLarge(entry.seq))?;
            input = entry.input_seq;
        }
        if entry.seq != expected {
            let text = format!("record {} follows record {}", entry.seq, expected.saturating_sub(1));
            book.problem(ProblemKind::Sequence, entry.seq, text);
        }
        if entry.at < book.accounts.last_at {
            book.problem(ProblemKind::Sequence, entry.seq, "time goes backwards".to_owned());
        }
        expected = entry.seq.saturating_add(1);
        book.accounts.last_at = entry.at;
        book.take(entry).ok_or(AccountError::TooLarge(entry.seq))?;
    }
    book.settle().ok_or(AccountError::TooLarge(expected))?;
    book.finish();
    book.accounts.shadows = book.shadows.table(crate::stats::seed(&book.accounts.run_id));
    Ok(book.accounts)
}

impl Book {
    pub(super) fn problem(&mut self, kind: ProblemKind, seq: u64, text: String) {
        // A journal that is wrong everywhere is shown by its first findings.
        if self.accounts.problems.iter().filter(|p| p.kind == kind).count() < 20 {
            self.accounts.problems.push(Problem { kind, seq, text });
        }
    }

    /// `None` when an amount does not fit.
    fn take(&mut self, entry: &Entry) -> Option<()> {
        let seq = entry.seq;
        self.watch.take(entry);
        self.shadows.take(entry);
        if let Some(text) = self.clocks.take(entry) {
            self.problem(ProblemKind::Arithmetic, seq, text);
        }
        match &entry.body {
            Body::Start { run_id, .. } if *run_id != self.accounts.run_id => {
                self.problem(ProblemKind::Sequence, seq, format!("a record of another run, {run_id}"));
            }
            Body::Universe { members, .. } => {
                self.accounts.members = Some(members.len() as u64);
                self.lots(members);
            }
            Body::Deposit { venue, asset, amount } => {
                if amount.0 < 0 {
                    self.problem(ProblemKind::Balance, seq, format!("a deposit of {amount} {asset}"));
                }
                self.flows.deposit((*venue, *asset), amount.0)?;
            }
            Body::Transfer { .. } => {
                for (kind, text) in self.flows.sent(&self.terms, entry)? {
                    self.problem(kind, seq, text);
                }
            }
            Body::TransferArrived { transfer, asset, to, amount } => {
                if let Some(text) = self.flows.arrived(*transfer, *asset, *to, amount.0)? {
                    self.problem(ProblemKind::Balance, seq, text);
                }
            }
            Body::Decision { position, asset, direction, quantity, gross_usd, touch, .. } => {
                let held = self.positions.entry(*position).or_default();
                held.direction = Some(*direction);
                held.decided_quantity = quantity.0;
                held.decided_gross = Some(gross_usd.0);
                self.equity.seen(*asset, touch);
                self.decision(entry);
            }
            Body::Exit { position, reason, gross_usd, .. } => {
                self.exit(seq, *position, *reason);
                let held = self.positions.entry(*position).or_default();
                held.exit_gross = Some(gross_usd.map(|gross| gross.0));
            }
            Body::Order { .. } => self.order(entry),
            Body::Rejected { order, .. } => self.refused(seq, *order),
            Body::Fill { .. } => self.fill(entry)?,
            Body::Balance { venue, asset, change, balance, order, transfer } => {
                let cause = match (*order, *transfer) {
                    (0, 0) => Cause::Deposit,
                    (0, transfer) => Cause::Transfer(transfer),
                    (order, _) => Cause::Order(order),
                };
                if let Some(text) = self.flows.balance((*venue, *asset), change.0, balance.0, cause)? {
                    self.problem(ProblemKind::Balance, seq, text);
                }
            }
            Body::Opened { position, direction, quantity, .. } => {
                self.accounts.entries += 1;
                let held = self.positions.entry(*position).or_default();
                // The share of what was matched; an excess that was undone is a cost.
                held.decided_gross = held.decided_gross.and_then(|gross| {
                    gross.checked_mul(quantity.0)?.checked_div_euclid(held.decided_quantity)
                });
                held.direction = Some(*direction);
                held.opened = true;
                self.opening(entry)?;
            }
            Body::Closed { position, reason, gross_usd, fees_usd, net_usd, slippage_usd, .. } => {
                let opened_at = self.closing(entry);
                let held = self.positions.entry(*position).or_default();
                let known = held.opened;
                let prices = held.legs.iter().map(|l| (l.venue, l.price())).collect();
                let quantities = held.legs.iter().map(|l| l.quantity).collect();
                let fees = held.legs.iter().fold(0i128, |sum, l| sum.saturating_add(l.fee));
                if !known {
                    self.problem(
                        ProblemKind::Result,
                        seq,
                        format!("position {position} was closed and never opened"),
                    );
                }
                self.accounts.closes.push(Close {
                    position: *position,
                    reason: *reason,
                    opened_at,
                    closed_at: entry.at,
                    net: net_usd.0,
                    prices,
                    quantities,
                    fees,
                });
                add(&mut self.accounts.gross_closed, gross_usd.0)?;
                add(&mut self.accounts.slippage, slippage_usd.0)?;
                let recorded = Recorded {
                    seq,
                    net: net_usd.0,
                    gross_and_fees: Some((gross_usd.0, fees_usd.0)),
                    slippage: Some(slippage_usd.0),
                };
                self.result(entry.at, *position, recorded)?;
            }
            Body::Unwound { position, net_usd, .. } => {
                self.accounts.unwinds += 1;
                let recorded = Recorded { seq, net: net_usd.0, gross_and_fees: None, slippage: None };
                self.result(entry.at, *position, recorded)?;
            }
            Body::Guard(event) => self.guard(entry.at, event),
            Body::Funnel { asset: None, counts } => {
                for (stage, n) in counts {
                    *self.accounts.funnel.entry(stage.clone()).or_insert(0) += n;
                }
            }
            Body::Figures { live, daily_net_usd, .. } => {
                self.accounts.live_both = self.accounts.live_both.max(u64::from(live[0].min(live[1])));
                self.day(seq, entry.at, daily_net_usd.0);
            }
            Body::Equity { pnl_usd, net_usd, drawdown_usd, fx_effect_usd, transfer_cost_usd, fx, marks } => {
                self.point(Point {
                    seq,
                    pnl: pnl_usd.0,
                    net: net_usd.0,
                    drawdown: drawdown_usd.0,
                    fx_effect: fx_effect_usd.map(|usd| usd.0),
                    transfer_cost: transfer_cost_usd.map(|usd| usd.0),
                    fx: *fx,
                    marks: marks.clone(),
                })?;
            }
            Body::PositionLimit { .. } => self.accounts.position_limits += 1,
            Body::EmergencyStop { daily_net_usd } => {
                self.accounts.emergency_stops += 1;
                self.day(seq, entry.at, daily_net_usd.0);
            }
            Body::End { reason, open_positions } => {
                self.accounts.end = Some((reason.clone(), *open_positions))
            }
            _ => {}
        }
        Some(())
    }

    fn guard(&mut self, at: Timestamp, event: &journal::record::GuardEvent) {
        if !event.start {
            if let Some(trigger) =
                self.trigger_index.get(&event.trigger).and_then(|i| self.accounts.triggers.get_mut(*i))
            {
                trigger.to = Some(at);
            }
            self.watch.end(event);
            return;
        }
        let found = self.watch.judge(at, event);
        self.trigger_index.insert(event.trigger, self.accounts.triggers.len());
        self.accounts.triggers.push(Trigger {
            guard_type: event.guard_type.clone(),
            verdict: event.verdict.clone(),
            from: at,
            to: None,
            holds: found.holds,
            text: format!(
                "{}/{} {}: observed {}, threshold {} ({}){}",
                event.guard_type,
                event.rule,
                event.scope,
                event.observed,
                event.threshold,
                event.holds,
                found.text
            ),
        });
    }

    /// A position's result. Its fills are all there, at the latest when the input's records are all read.
    fn result(&mut self, at: Timestamp, position: u64, recorded: Recorded) -> Option<()> {
        add(&mut self.accounts.net, recorded.net)?;
        self.days.add(at, recorded.net);
        let held = self.positions.entry(position).or_default();
        let twice = held.recorded.replace(recorded).is_some();
        let own = outcome(&held.legs);
        if recorded.gross_and_fees.is_none() {
            // An unwind's record has no gross: net and the fees of its fills.
            let fees = own.map_or(0, |own| own.fees);
            add(&mut self.accounts.gross_unwound, recorded.net.checked_add(fees)?)?;
        }
        if twice {
            self.problem(ProblemKind::Result, recorded.seq, format!("position {position}: a second result"));
        }
        self.open_results.push(position);
        Some(())
    }

    /// A result says what the fills give, to the last unit.
    fn check_result(&mut self, id: u64) {
        let Some(Position { legs, recorded: Some(recorded), decided_gross, exit_gross, .. }) =
            self.positions.get(&id)
        else {
            return;
        };
        let (recorded, decided, exit) = (*recorded, *decided_gross, *exit_gross);
        let seq = recorded.seq;
        let Some(own) = outcome(legs) else {
            let text = format!("position {id}: its fills cannot be valued");
            self.problem(ProblemKind::Result, seq, text);
            return;
        };
        if recorded.net != own.net {
            let text = if legs.is_empty() {
                format!("position {id}: a result without a fill")
            } else {
                format!("position {id}: net {} USD, its fills give {}", Money(recorded.net), Money(own.net))
            };
            self.problem(ProblemKind::Result, seq, text);
        }
        let Some((gross, fees)) = recorded.gross_and_fees else { return };
        if fees != own.fees {
            let text = format!("position {id}: fees {} USD, its fills give {}", Money(fees), Money(own.fees));
            self.problem(ProblemKind::Result, seq, text);
        }
        if gross.checked_sub(fees) != Some(recorded.net) {
            let (gross, fees, net) = (Money(gross), Money(fees), Money(recorded.net));
            let text = format!("position {id}: gross {gross} - fees {fees} is not net {net}");
            self.problem(ProblemKind::Result, seq, text);
        }
        self.check_slippage(id, recorded, own, decided.zip(exit));
    }

    /// Decided less realised gross; nothing is claimed when the exit's books were not usable.
    fn check_slippage(
        &mut self,
        id: u64,
        recorded: Recorded,
        own: Outcome,
        decided: Option<(i128, Option<i128>)>,
    ) {
        let (Some(said), Some((entry, exit))) = (recorded.slippage, decided) else { return };
        let slippage = match exit {
            Some(exit) => entry.saturating_add(exit).saturating_sub(own.gross),
            None => 0,
        };
        if said != slippage {
            let (said, own) = (Money(said), Money(slippage));
            let text = format!("position {id}: slippage {said} USD, its decisions and fills give {own}");
            self.problem(ProblemKind::Result, recorded.seq, text);
        }
    }

    /// The recorded daily net.
    fn day(&mut self, seq: u64, at: Timestamp, said: i128) {
        if self.days.net(at).is_some_and(|own| own != said) {
            self.open_days.push((seq, at, said));
        }
    }

    /// An equity point stands for everything that its input caused, whichever record was written first: a point that does
    /// not fit yet is held against the books once more when the input's records are all read.
    fn point(&mut self, point: Point) -> Option<()> {
        for text in self.equity.stale_marks(&point) {
            self.problem(ProblemKind::Equity, point.seq, text);
        }
        if point.fx.rate.0.0 <= 0 {
            let text = format!("an equity point at {} KRW per USDT", point.fx.rate.0);
            self.problem(ProblemKind::Currency, point.seq, text);
            self.accounts.equity_skipped += 1;
            return Some(());
        }
        match self.equity.worth(&self.flows, &point)? {
            Some(worth) if self.fits(&point, worth) => self.accept(&point, worth),
            Some(_) => self.open_points.push(point),
            None => self.accounts.equity_skipped += 1,
        }
        Some(())
    }

    fn fits(&self, point: &Point, worth: Worth) -> bool {
        (point.pnl, point.net) == (worth.pnl, self.accounts.net)
            && point.fx_effect.is_none_or(|said| said == worth.fx_effect)
            && point.transfer_cost.is_none_or(|said| said == worth.transfer_cost)
    }

    /// Looks again at what did not fit when it was read: the input's records are all there now.
    fn settle(&mut self) -> Option<()> {
        self.equity.forget();
        self.shown.forget();
        for position in std::mem::take(&mut self.open_results) {
            self.check_result(position);
        }
        for (seq, at, said) in std::mem::take(&mut self.open_days) {
            let own = self.days.net(at).unwrap_or(said);
            if own != said {
                let (said, own) = (Money(said), Money(own));
                let text = format!("net of the day {said}, closes and unwinds since its boundary give {own}");
                self.problem(ProblemKind::Result, seq, text);
            }
        }
        for point in std::mem::take(&mut self.open_points) {
            let Some(worth) = self.equity.worth(&self.flows, &point)? else { continue };
            let figures = [
                (Some(point.pnl), worth.pnl, "PnL", "holdings at the marks give"),
                (Some(point.net), self.accounts.net, "net", "closes and unwinds give"),
                (point.fx_effect, worth.fx_effect, "FX effect", "rate and fills give"),
                (point.transfer_cost, worth.transfer_cost, "cost of transfers", "their fees give"),
            ];
            for (said, own, what, source) in figures {
                if let Some(said) = said.filter(|said| *said != own) {
                    let text = format!("{what} {}, {source} {}", Money(said), Money(own));
                    self.problem(ProblemKind::Equity, point.seq, text);
                }
            }
            self.accept(&point, worth);
        }
        Some(())
    }

    fn accept(&mut self, point: &Point, worth: Worth) {
        self.equity.accept(worth.pnl);
        let drawdown = self.equity.drawdown;
        self.accounts.equity_points += 1;
        self.accounts.total = Some(worth.pnl);
        self.accounts.fx_effect = Some(worth.fx_effect);
        self.accounts.transfer_cost = worth.transfer_cost;
        self.accounts.drawdown = drawdown;
        if self.accounts.equity_skipped == 0 && point.drawdown != drawdown {
            let text = format!("drawdown {}, the points give {}", Money(point.drawdown), Money(drawdown));
            self.problem(ProblemKind::Equity, point.seq, text);
        }
    }

    fn finish(&mut self) {
        self.finish_edges();
        for position in self.positions.keys().copied().collect::<Vec<_>>() {
            self.check_position(position);
        }
        for text in self.flows.finish() {
            self.problem(ProblemKind::Balance, u64::MAX, text);
        }
    }

    fn check_position(&mut self, id: u64) {
        let Some(position) = self.positions.get(&id) else { return };
        let (opened, direction) = (position.opened, position.direction);
        let entry: Vec<Leg> = position.legs.iter().filter(|l| l.purpose == Purpose::Entry).cloned().collect();
        let seq = position.recorded.map_or(0, |r| r.seq);
        if opened {
            let both = Venue::ALL.iter().all(|venue| position.legs.iter().any(|l| l.venue == *venue));
            if !both {
                self.problem(ProblemKind::Venue, seq, format!("position {id}: both legs on one venue"));
            }
        }
        if let Some(direction) = direction
            && entry.iter().any(|l| l.buys != (l.venue == direction.buys_on()))
        {
            self.problem(
                ProblemKind::Venue,
                seq,
                format!("position {id}: a leg against its direction {direction:?}"),
            );
        }
        self.check_prices(id, seq, &entry);
    }

    /// One asset costs about the same on both venues once its rate is applied; a KRW price taken for USD does not.
    fn check_prices(&mut self, id: u64, seq: u64, legs: &[Leg]) {
        let dollars = |venue: Venue| {
            legs.iter().find(|l| l.venue == venue && l.quantity > 0).map(|l| {
                let per_quote = if venue == Venue::Upbit { SCALE as f64 / l.rate as f64 } else { 1.0 };
                l.notional as f64 / l.quantity as f64 * per_quote
            })
        };
        if let Some((upbit, binance)) = dollars(Venue::Upbit).zip(dollars(Venue::Binance))
            && !(0.5..=2.0).contains(&(upbit / binance))
        {
            let text = format!("position {id}: {upbit:.6} USD on upbit, {binance:.6} USD on binance");
            self.problem(ProblemKind::Currency, seq, text);
        }
    }
}

fn add(sum: &mut i128, amount: i128) -> Option<()> {
    *sum = sum.checked_add(amount)?;
    Some(())
}

pub(crate) fn usd(units: i128) -> f64 {
    units as f64 / SCALE as f64
}
