//! The books while a journal is read: holdings, balances, positions, equity points, and every check of them.

use super::guards::Watch;
use super::shadows::Shadows;
use super::{AccountError, Accounts, Close, Problem, ProblemKind, Trigger};
use journal::record::{Direction, FxUsed, Mark, Purpose, Taken, Terms};
use journal::{Body, Entry};
use market::{Asset, SCALE, Side, Timestamp, Venue};
use std::collections::BTreeMap;

#[derive(Debug, Clone)]
struct Leg {
    purpose: Purpose,
    venue: Venue,
    buys: bool,
    quantity: i128,
    notional: i128,
    fee: i128,
    fee_in_base: bool,
    rate: i128,
}

/// A result as recorded; fees only of a close.
#[derive(Debug, Clone, Copy)]
struct Recorded {
    seq: u64,
    net: i128,
    fees: Option<i128>,
}

#[derive(Debug, Default)]
struct Position {
    legs: Vec<Leg>,
    direction: Option<Direction>,
    opened: bool,
    recorded: Vec<Recorded>,
}

/// Own result of a position: `net` lies between `low` and `high`, which differ by the value of a residue.
struct Own {
    low: f64,
    high: f64,
    fees: f64,
    coin_fees: f64,
    turnover: f64,
}

struct Book {
    terms: Terms,
    accounts: Accounts,
    positions: BTreeMap<u64, Position>,
    holdings: BTreeMap<(Venue, Asset), i128>,
    deposits: BTreeMap<(Venue, Asset), i128>,
    balances: BTreeMap<(Venue, Asset), i128>,
    /// Balance changes that fills demand, less those recorded, by order.
    owed: BTreeMap<(u64, Venue, Asset), i128>,
    trigger_index: BTreeMap<u64, usize>,
    watch: Watch,
    shadows: Shadows,
    peak: f64,
    open_points: Vec<Point>,
}

/// An equity point as recorded, units of 1e-8 USD.
struct Point {
    seq: u64,
    pnl: i128,
    net: i128,
    drawdown: i128,
    fx: FxUsed,
    marks: Vec<Mark>,
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
        holdings: BTreeMap::new(),
        deposits: BTreeMap::new(),
        balances: BTreeMap::new(),
        owed: BTreeMap::new(),
        trigger_index: BTreeMap::new(),
        watch: Watch::default(),
        shadows: Shadows::default(),
        peak: 0.0,
        open_points: Vec::new(),
    };
    let mut expected = entries.first().map_or(1, |e| e.seq);
    if expected != 1 {
        book.problem(ProblemKind::Sequence, expected, format!("the journal begins with record {expected}"));
    }
    let mut input = 0;
    for entry in entries {
        if entry.input_seq != input {
            book.settle();
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
    book.settle();
    book.finish();
    book.accounts.shadows = book.shadows.table(crate::stats::seed(&book.accounts.run_id));
    Ok(book.accounts)
}

impl Book {
    fn problem(&mut self, kind: ProblemKind, seq: u64, text: String) {
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
        match &entry.body {
            Body::Start { run_id, .. } if *run_id != self.accounts.run_id => {
                self.problem(ProblemKind::Sequence, seq, format!("a record of another run, {run_id}"));
            }
            Body::Universe { members, .. } => self.accounts.members = Some(members.len() as u64),
            Body::Deposit { venue, asset, amount } => {
                add(&mut self.holdings, (*venue, *asset), amount.0)?;
                add(&mut self.deposits, (*venue, *asset), amount.0)?;
            }
            Body::Decision { position, direction, .. } => {
                self.positions.entry(*position).or_default().direction = Some(*direction);
            }
            Body::Order { .. } => self.accounts.orders += 1,
            Body::Fill { .. } => self.fill(seq, &entry.body)?,
            Body::Balance { venue, asset, change, balance, order } => {
                self.balance(seq, (*venue, *asset), change.0, balance.0, *order)?;
            }
            Body::Opened { position, direction, .. } => {
                self.accounts.entries += 1;
                let held = self.positions.entry(*position).or_default();
                held.direction = Some(*direction);
                held.opened = true;
            }
            Body::Closed { position, reason, opened_at, gross_usd, fees_usd, net_usd, .. } => {
                let held = self.positions.entry(*position).or_default();
                let known = held.opened;
                held.recorded.push(Recorded { seq, net: net_usd.0, fees: Some(fees_usd.0) });
                let prices = held.legs.iter().map(|l| (l.venue, price(l))).collect();
                let quantities = held.legs.iter().map(|l| l.quantity).collect();
                let fees = held.legs.iter().fold(0i128, |sum, l| sum.saturating_add(l.fee));
                // A few units for the rounding of three figures.
                if (gross_usd.0.checked_sub(fees_usd.0)?.checked_sub(net_usd.0)?).abs() > 10 {
                    let text = format!(
                        "position {position}: gross {gross_usd} - fees {fees_usd} is not net {net_usd}"
                    );
                    self.problem(ProblemKind::Result, seq, text);
                }
                if !known {
                    self.problem(
                        ProblemKind::Result,
                        seq,
                        format!("position {position} was closed and never opened"),
                    );
                }
                self.accounts.gross_closed_usd += usd(gross_usd.0);
                self.accounts.net_usd += usd(net_usd.0);
                self.accounts.closes.push(Close {
                    position: *position,
                    reason: *reason,
                    opened_at: *opened_at,
                    closed_at: entry.at,
                    net: net_usd.0,
                    prices,
                    quantities,
                    fees,
                });
            }
            Body::Unwound { position, net_usd, .. } => {
                let held = self.positions.entry(*position).or_default();
                held.recorded.push(Recorded { seq, net: net_usd.0, fees: None });
                self.accounts.net_usd += usd(net_usd.0);
                self.accounts.unwinds += 1;
                if let Some(own) = self.own(*position) {
                    self.accounts.gross_unwound_usd += usd(net_usd.0) + own.fees;
                }
            }
            Body::Guard(event) => self.guard(entry.at, event),
            Body::Funnel { asset: None, counts } => {
                for (stage, n) in counts {
                    *self.accounts.funnel.entry(stage.clone()).or_insert(0) += n;
                }
            }
            Body::Figures { live, .. } => {
                self.accounts.live_both = self.accounts.live_both.max(u64::from(live[0].min(live[1])));
            }
            Body::Equity { pnl_usd, net_usd, drawdown_usd, fx, marks } => {
                self.equity(Point {
                    seq,
                    pnl: pnl_usd.0,
                    net: net_usd.0,
                    drawdown: drawdown_usd.0,
                    fx: *fx,
                    marks: marks.clone(),
                });
            }
            Body::PositionLimit { .. } => self.accounts.position_limits += 1,
            Body::EmergencyStop { .. } => self.accounts.emergency_stops += 1,
            Body::End { reason, open_positions } => {
                self.accounts.end = Some((reason.clone(), *open_positions))
            }
            _ => {}
        }
        Some(())
    }

    fn fill(&mut self, seq: u64, body: &Body) -> Option<()> {
        let Body::Fill {
            order,
            position,
            purpose,
            venue,
            asset,
            takes,
            levels,
            quantity,
            notional,
            fee,
            fee_asset,
            fx,
        } = body
        else {
            return Some(());
        };
        let buys = *takes == Side::Ask;
        let fee_in_base = *venue == Venue::Binance && buys;
        let expected_asset = if fee_in_base { *asset } else { venue.quote() };
        if *fee_asset != expected_asset {
            let text = format!("order {order}: fee in {fee_asset}, {venue} takes it in {expected_asset}");
            self.problem(ProblemKind::Currency, seq, text);
        }
        let rate = i128::from(fx.rate.0.0);
        if !(500 * SCALE..=5_000 * SCALE).contains(&rate) {
            self.problem(ProblemKind::Currency, seq, format!("order {order}: {} KRW per USDT", fx.rate.0));
        }
        self.levels(seq, *order, buys, levels, (quantity.0, notional.0))?;
        let (centibps, base) = match venue {
            Venue::Upbit => (self.terms.upbit_fee_centibps, notional.0),
            Venue::Binance => (self.terms.binance_fee_centibps, if buys { quantity.0 } else { notional.0 }),
        };
        // A centibps is a millionth; fees are rounded up.
        let owed = base.checked_mul(i128::from(centibps))?.checked_add(999_999)?.div_euclid(1_000_000);
        // A fill of several levels may be charged per level.
        let slack = levels.len() as i128;
        if fee.0 < owed || fee.0 > owed + slack {
            let text =
                format!("order {order}: fee {fee} {fee_asset}, the terms give {}", market::Quantity(owed));
            self.problem(ProblemKind::Arithmetic, seq, text);
        }
        let (base_change, quote_change) =
            if buys { (quantity.0, -notional.0) } else { (-quantity.0, notional.0) };
        let base_change = if fee_in_base { base_change.checked_sub(fee.0)? } else { base_change };
        let quote_change = if fee_in_base { quote_change } else { quote_change.checked_sub(fee.0)? };
        for (key, change) in [((*venue, *asset), base_change), ((*venue, venue.quote()), quote_change)] {
            add(&mut self.holdings, key, change)?;
            add(&mut self.owed, (*order, key.0, key.1), change)?;
        }
        let leg = Leg {
            purpose: *purpose,
            venue: *venue,
            buys,
            quantity: quantity.0,
            notional: notional.0,
            fee: fee.0,
            fee_in_base,
            rate,
        };
        self.positions.entry(*position).or_default().legs.push(leg);
        Some(())
    }

    /// Levels: they give the quantity and the notional, in the order of the book, never more than was displayed.
    fn levels(
        &mut self,
        seq: u64,
        order: u64,
        buys: bool,
        levels: &[Taken],
        said: (i128, i128),
    ) -> Option<()> {
        let (mut quantity, mut value) = (0i128, 0i128);
        for level in levels {
            quantity = quantity.checked_add(level.quantity.0)?;
            value = value.checked_add(i128::from(level.price.0).checked_mul(level.quantity.0)?)?;
            if level.quantity > level.displayed {
                let text = format!(
                    "order {order}: {} taken at {}, {} displayed",
                    level.quantity, level.price, level.displayed
                );
                self.problem(ProblemKind::Kinder, seq, text);
            }
        }
        let ordered =
            levels.windows(2).all(|w| if buys { w[0].price <= w[1].price } else { w[0].price >= w[1].price });
        if !ordered {
            self.problem(
                ProblemKind::Kinder,
                seq,
                format!("order {order}: its levels are not in the book's order"),
            );
        }
        let exact = value / SCALE;
        let slack = levels.len() as i128 + 1;
        if quantity != said.0 || (exact - said.1).abs() > slack {
            let text = format!(
                "order {order}: {} for {}, its levels give {} for {}",
                market::Quantity(said.0),
                market::Money(said.1),
                market::Quantity(quantity),
                market::Money(exact)
            );
            self.problem(ProblemKind::Arithmetic, seq, text);
        }
        Some(())
    }

    fn balance(
        &mut self,
        seq: u64,
        key: (Venue, Asset),
        change: i128,
        balance: i128,
        order: u64,
    ) -> Option<()> {
        let before = self.balances.get(&key).copied();
        // Without a record of the deposit, the deposit itself is what was there.
        let before = before.unwrap_or_else(|| {
            if order == 0 {
                balance.saturating_sub(change)
            } else {
                self.deposits.get(&key).copied().unwrap_or(0)
            }
        });
        if before.checked_add(change)? != balance || balance < 0 {
            let text = format!(
                "{} {}: {} changed by {} to {}",
                key.0,
                key.1,
                market::Quantity(before),
                market::Quantity(change),
                market::Quantity(balance)
            );
            self.problem(ProblemKind::Balance, seq, text);
        }
        self.balances.insert(key, balance);
        if order != 0 {
            let owed = self.owed.entry((order, key.0, key.1)).or_insert(0);
            *owed = owed.checked_sub(change)?;
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

    /// An equity point stands for everything that its input caused, whichever record was written first: a point that does
    /// not fit yet is held against the books once more when the input's records are all read.
    fn equity(&mut self, point: Point) {
        match self.value(&point) {
            Some((total, slack)) if self.fits(&point, total, slack) => self.accept(&point, total, slack),
            Some(_) => self.open_points.push(point),
            None => self.accounts.equity_skipped += 1,
        }
    }

    fn settle(&mut self) {
        for point in std::mem::take(&mut self.open_points) {
            let Some((total, slack)) = self.value(&point) else { continue };
            let net = usd(point.net);
            if (usd(point.pnl) - total).abs() > slack {
                let text = format!("PnL {:.6}, holdings at the marks give {total:.6}", usd(point.pnl));
                self.problem(ProblemKind::Equity, point.seq, text);
            }
            if (net - self.accounts.net_usd).abs() > 0.001 {
                let text = format!("net {net:.6}, closes and unwinds give {:.6}", self.accounts.net_usd);
                self.problem(ProblemKind::Equity, point.seq, text);
            }
            self.accept(&point, total, slack);
        }
    }

    fn fits(&self, point: &Point, total: f64, slack: f64) -> bool {
        (usd(point.pnl) - total).abs() <= slack && (usd(point.net) - self.accounts.net_usd).abs() <= 0.001
    }

    fn accept(&mut self, point: &Point, total: f64, slack: f64) {
        self.accounts.equity_points += 1;
        self.accounts.total_usd = Some(total);
        self.peak = self.peak.max(total);
        self.accounts.drawdown_usd = self.accounts.drawdown_usd.max(self.peak - total);
        let drawdown = usd(point.drawdown);
        if self.accounts.equity_skipped == 0 && (drawdown - self.accounts.drawdown_usd).abs() > slack * 2.0 {
            let text = format!("drawdown {drawdown:.6}, the points give {:.6}", self.accounts.drawdown_usd);
            self.problem(ProblemKind::Equity, point.seq, text);
        }
    }

    /// Holdings less deposits at the recorded marks, and how far a rounding may be off. `None` without a mark that is needed.
    fn value(&self, point: &Point) -> Option<(f64, f64)> {
        let rate = i128::from(point.fx.rate.0.0) as f64 / SCALE as f64;
        let (mut total, mut size) = (0.0, 0.0);
        for (key, held) in &self.holdings {
            let change = held - self.deposits.get(key).copied().unwrap_or(0);
            if change == 0 {
                continue;
            }
            let mark = point.marks.iter().find(|m| m.asset == key.1);
            let value = match key {
                (_, asset) if *asset == Asset::KRW => Some(1.0 / rate),
                (_, asset) if *asset == Asset::USDT => Some(1.0),
                (Venue::Upbit, _) => mark.and_then(|m| m.upbit).map(|p| p.to_f64() / rate),
                (Venue::Binance, _) => mark.and_then(|m| m.binance).map(market::Price::to_f64),
            }?;
            let worth = usd(change) * value;
            total += worth;
            size += worth.abs();
        }
        Some((total, 0.001 + size * 1e-7))
    }

    /// The result of a position from its fills, each valued at its own rate. `None` without fills.
    fn own(&self, position: u64) -> Option<Own> {
        let legs = &self.positions.get(&position)?.legs;
        let (mut cash, mut fees, mut coin_fees, mut turnover) = (0.0, 0.0, 0.0, 0.0);
        let mut residue = 0i128;
        let (mut cheapest, mut dearest) = (f64::INFINITY, 0.0f64);
        for leg in legs {
            let per_quote = if leg.venue == Venue::Upbit { SCALE as f64 / leg.rate as f64 } else { 1.0 };
            let notional = usd(leg.notional) * per_quote;
            let unit = if leg.quantity > 0 { notional / usd(leg.quantity) } else { 0.0 };
            cheapest = cheapest.min(unit);
            dearest = dearest.max(unit);
            turnover += notional;
            cash += if leg.buys { -notional } else { notional };
            residue += if leg.buys { leg.quantity } else { -leg.quantity };
            if leg.fee_in_base {
                residue -= leg.fee;
                coin_fees += usd(leg.fee) * unit;
            } else {
                let fee = usd(leg.fee) * per_quote;
                cash -= fee;
                fees += fee;
            }
        }
        if legs.is_empty() {
            return None;
        }
        let (a, b) = (usd(residue) * cheapest, usd(residue) * dearest);
        Some(Own {
            low: cash + a.min(b).min(0.0),
            high: cash + a.max(b).max(0.0),
            fees: fees + coin_fees,
            coin_fees,
            turnover,
        })
    }

    fn finish(&mut self) {
        for position in self.positions.keys().copied().collect::<Vec<_>>() {
            self.check_position(position);
        }
        let seq = u64::MAX;
        let unpaid: Vec<String> = self
            .owed
            .iter()
            .filter(|(_, owed)| **owed != 0)
            .map(|((order, venue, asset), owed)| {
                format!("order {order}: {} {asset} on {venue} not booked", market::Quantity(*owed))
            })
            .collect();
        for text in unpaid {
            self.problem(ProblemKind::Balance, seq, text);
        }
        let wrong: Vec<String> = self
            .balances
            .iter()
            .filter(|(key, balance)| self.holdings.get(key).copied().unwrap_or(0) != **balance)
            .map(|((venue, asset), balance)| {
                let own = self.holdings.get(&(*venue, *asset)).copied().unwrap_or(0);
                let (said, own) = (market::Quantity(*balance), market::Quantity(own));
                format!("{venue} {asset}: balance {said}, deposits and fills give {own}")
            })
            .collect();
        for text in wrong {
            self.problem(ProblemKind::Balance, seq, text);
        }
    }

    fn check_position(&mut self, id: u64) {
        let Some(position) = self.positions.get(&id) else { return };
        let (opened, direction, recorded) = (position.opened, position.direction, position.recorded.clone());
        let entry: Vec<Leg> = position.legs.iter().filter(|l| l.purpose == Purpose::Entry).cloned().collect();
        let seq = recorded.last().map_or(0, |r| r.seq);
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
        let Some(own) = self.own(id) else {
            if recorded.iter().any(|r| r.net != 0) {
                self.problem(ProblemKind::Result, seq, format!("position {id}: a result without a fill"));
            }
            return;
        };
        if recorded.is_empty() {
            return;
        }
        let net: f64 = recorded.iter().map(|r| usd(r.net)).sum();
        let slack = 0.000_1 + own.turnover * 1e-7;
        if net < own.low - slack || net > own.high + slack {
            let text =
                format!("position {id}: net {net:.6} USD, its fills give {:.6}", (own.low + own.high) / 2.0);
            self.problem(ProblemKind::Result, seq, text);
        }
        if let [Recorded { fees: Some(fees), .. }] = recorded.as_slice()
            && (usd(*fees) - own.fees).abs() > 0.001 + own.coin_fees * 0.01
        {
            let text = format!("position {id}: fees {:.6} USD, its fills give {:.6}", usd(*fees), own.fees);
            self.problem(ProblemKind::Result, seq, text);
        }
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

fn add<K: Ord>(map: &mut BTreeMap<K, i128>, key: K, change: i128) -> Option<()> {
    let value = map.entry(key).or_insert(0);
    *value = value.checked_add(change)?;
    Some(())
}

pub(super) fn usd(units: i128) -> f64 {
    units as f64 / SCALE as f64
}

fn price(leg: &Leg) -> i128 {
    if leg.quantity == 0 { 0 } else { leg.notional.saturating_mul(SCALE) / leg.quantity }
}
