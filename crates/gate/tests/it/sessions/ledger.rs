//! A third bookkeeper, written from docs/money.md alone: it takes the decisions, fills, marks and transfers of a journal and
//! writes every amount that follows from them anew. Honest, it gives the journal back; each [`Break`] is a ledger with one
//! error, consistent in all its records.

use super::lies::told;
use journal::record::{Mark, Purpose, Terms};
use journal::{Body, Entry};
use market::{Asset, Money, Quantity, SCALE, Side, Timestamp, Venue};
use std::collections::BTreeMap;

/// What is wrong with the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Break {
    Nothing,
    /// Fees are added to what a fill brings.
    FeeOnTheWrongSide,
    /// Binance's fee on a purchase is taken in USDT.
    FeeInTheWrongAsset,
    /// Fees of exits are forgotten in the result.
    ExitFeesForgotten,
    /// KRW count as USD in results.
    MissingFxInResults,
    /// KRW count as USD in equity points.
    MissingFxInEquity,
    /// The coin of each leg is booked on the other venue.
    SwappedLegs,
    /// A purchase is booked as a sale.
    SwappedSides,
    /// Coin left over is not counted in the result.
    LostDustInResults,
    /// Coin below the smallest order vanishes from the balance when a position ends.
    LostDustInBalances,
    /// The first fill of each position is booked twice.
    DoubleBookedFill,
    /// It changes the balances twice.
    DoubleBookedBalance,
    /// A partial fill is valued as if it were whole.
    PartialIsWhole,
    /// Notional for the taker instead of against it.
    NotionalRoundedForUs,
    /// Fees are rounded down.
    FeeRoundedDown,
    /// Conversions into USD are rounded up.
    DollarsRoundedUp,
    /// What is left is rounded up.
    DustRoundedUp,
    /// Deposits after the first equity point count as profit.
    DepositIsProfit,
    /// The peak is the last point.
    PeakIsTheLastPoint,
    /// The drawdown is the fall at the last point, not the largest.
    DrawdownIsTheLastFall,
    /// Equity points are valued at the marks of the point before.
    StaleMarks,
    /// And show those marks as theirs.
    StaleMarksShown,
    /// The day begins nine hours early or late.
    WrongDay,
    /// The day never begins anew.
    NoDay,
    /// A transfer costs nothing.
    TransferIsFree,
    /// Its fee is taken, and left out of the cost that is shown.
    TransferCostNotShown,
    /// Coin under way is nobody's.
    TransitIsLost,
    /// Coin is on both sides while it is under way.
    TransitCountsTwice,
    /// The whole PnL is called trading.
    FxEffectForgotten,
    /// Unwinds are left out of the net.
    UnwindsForgotten,
    /// Deposits are booked at a tenth, and fills regardless.
    OverdraftAllowed,
    /// No slippage is ever shown.
    SlippageForgotten,
    // Lies about something else than money: `lies`.
    /// Results say that their positions opened far apart, each an episode of its own.
    OpenedAtAnotherTime,
    /// Orders are filled a minute before they arrive.
    FilledBeforeArrival,
    /// Orders arrive before they were sent.
    ArrivesBeforeItWasSent,
    /// Orders are filled beyond the worst price that they accept.
    FilledBeyondItsLimit,
    /// A level is listed twice in one fill, and displays each half.
    LevelListedTwice,
    /// Two orders take the same level at the same instant, each all of it.
    TwoOrdersTakeOneLevel,
    /// A fill takes more at its price and gives some back at a better one.
    LevelGivenBack,
    /// The worst level is taken first.
    LevelsOutOfOrder,
    /// A result has another reason than the exit that was decided.
    ClosedForAnotherReason,
    /// A decision's gap is not that of its amounts.
    DecidedGapMadeUp,
    /// A decision's edge is not that of its gap, level and costs.
    DecidedEdgeMadeUp,
    /// A position opens with half of what its fills match.
    OpenedWithLess,
    /// A leg is worth twice what its fills cost.
    LegOfAnotherSize,
    /// The gap of the entry is not that of its fills.
    FilledGapMadeUp,
    /// The promise of an entry is lowered once it is known what came of it.
    PromiseLowered,
    /// The edge of an entry is not that of its fills.
    FilledEdgeMadeUp,
    /// The same, of the promise in USD.
    PromisedDollarsMadeUp,
    /// The same, of the edge in USD.
    FilledDollarsMadeUp,
    /// The promise of a round trip is lowered.
    TripPromiseLowered,
    /// The edge of a round trip is not its result.
    TripEdgeMadeUp,
    /// Its slippage in basis points is not that in USD.
    SlippageBpsMadeUp,
    /// The edge of a round trip is no number.
    EdgeIsNoNumber,
}

/// A division that says where it rounds to.
fn down(a: i128, b: i128) -> i128 {
    a.div_euclid(b)
}

fn up(a: i128, b: i128) -> i128 {
    -down(-a, b)
}

#[derive(Debug, Clone, Copy)]
struct Fill {
    venue: Venue,
    purpose: Purpose,
    buys: bool,
    quantity: i128,
    notional: i128,
    fee: i128,
    in_coin: bool,
    rate: i128,
}

#[derive(Debug, Default)]
struct Trip {
    fills: Vec<Fill>,
    /// Gross and quantity of the decision; the gross of what was matched, once it opened.
    decided: i128,
    quantity: i128,
    exit: Option<i128>,
}

struct Ledger {
    broken: Break,
    terms: Terms,
    out: Vec<Entry>,
    balances: BTreeMap<(Venue, Asset), i128>,
    deposits: BTreeMap<(Venue, Asset), i128>,
    transit: BTreeMap<u64, (Venue, Asset, i128)>,
    asked: BTreeMap<u64, i128>,
    trips: BTreeMap<u64, Trip>,
    net: i128,
    day: i64,
    day_net: i128,
    krw_at_fills: i128,
    transfer_cost: i128,
    points: u64,
    peak: i128,
    drawdown: i128,
    marks: Vec<Mark>,
}

/// The journal as the ledger would have written it over the same fills.
pub fn rewritten(entries: &[Entry], broken: Break) -> Vec<Entry> {
    let Body::Start { terms, .. } = &entries[0].body else { panic!("no start") };
    let mut ledger = Ledger {
        broken,
        terms: terms.clone(),
        out: Vec::new(),
        balances: BTreeMap::new(),
        deposits: BTreeMap::new(),
        transit: BTreeMap::new(),
        asked: BTreeMap::new(),
        trips: BTreeMap::new(),
        net: 0,
        day: i64::MIN,
        day_net: 0,
        krw_at_fills: 0,
        transfer_cost: 0,
        points: 0,
        peak: 0,
        drawdown: 0,
        marks: Vec::new(),
    };
    for entry in &told(entries, broken) {
        ledger.take(entry);
    }
    let mut out = ledger.out;
    for i in 0..out.len() {
        out[i].seq = i as u64 + 1;
        out[i].commit = out.get(i + 1).is_none_or(|next| next.input_seq != out[i].input_seq);
    }
    out
}

impl Ledger {
    fn is(&self, broken: Break) -> bool {
        self.broken == broken
    }

    fn push(&mut self, like: &Entry, body: Body) {
        self.out.push(Entry { body, ..like.clone() });
    }

    fn book(&mut self, like: &Entry, key: (Venue, Asset), change: i128, order: u64, transfer: u64) {
        let balance = self.balances.entry(key).or_insert(0);
        *balance += change;
        let balance = Quantity(*balance);
        let (venue, asset) = key;
        self.push(like, Body::Balance { venue, asset, change: Quantity(change), balance, order, transfer });
    }

    fn take(&mut self, entry: &Entry) {
        match &entry.body {
            // Written anew with what caused them.
            Body::Balance { .. } => {}
            Body::Deposit { venue, asset, amount } => {
                let amount = if self.is(Break::OverdraftAllowed) { Quantity(amount.0 / 10) } else { *amount };
                let (venue, asset) = (*venue, *asset);
                self.push(entry, Body::Deposit { venue, asset, amount });
                if !(self.is(Break::DepositIsProfit) && self.points > 0) {
                    *self.deposits.entry((venue, asset)).or_insert(0) += amount.0;
                }
                self.book(entry, (venue, asset), amount.0, 0, 0);
            }
            Body::Decision { position, quantity, gross_usd, .. } => {
                let trip = self.trips.entry(*position).or_default();
                (trip.decided, trip.quantity) = (gross_usd.0, quantity.0);
                self.push(entry, entry.body.clone());
            }
            Body::Opened { position, quantity, .. } => {
                let trip = self.trips.entry(*position).or_default();
                trip.decided = down(trip.decided * quantity.0, trip.quantity);
                self.push(entry, entry.body.clone());
            }
            Body::Exit { position, gross_usd, .. } => {
                self.trips.entry(*position).or_default().exit = gross_usd.map(|usd| usd.0);
                self.push(entry, entry.body.clone());
            }
            Body::Order { order, quantity, .. } => {
                self.asked.insert(*order, quantity.0);
                self.push(entry, entry.body.clone());
            }
            Body::Fill { position, .. } => {
                let first = self.trips.get(position).is_none_or(|trip| trip.fills.is_empty());
                self.fill(entry);
                if first && self.is(Break::DoubleBookedFill) {
                    self.fill(entry);
                }
            }
            Body::Transfer { .. } | Body::TransferArrived { .. } => self.transfer(entry),
            Body::Closed { .. } | Body::Unwound { .. } => self.result(entry),
            Body::Equity { .. } => self.equity(entry),
            Body::Figures { .. } | Body::EmergencyStop { .. } => {
                self.roll(entry.at);
                let mut body = entry.body.clone();
                if let Body::Figures { daily_net_usd, .. } | Body::EmergencyStop { daily_net_usd } = &mut body
                {
                    *daily_net_usd = Money(self.day_net);
                }
                self.push(entry, body);
            }
            _ => self.push(entry, entry.body.clone()),
        }
    }

    fn roll(&mut self, at: Timestamp) {
        let mut offset = self.terms.day_offset_s.unwrap();
        if self.is(Break::WrongDay) {
            offset = 32_400 - offset;
        }
        let day = (at.0.div_euclid(1_000_000_000) + offset).div_euclid(86_400);
        if day != self.day && !self.is(Break::NoDay) {
            (self.day, self.day_net) = (day, 0);
        }
    }

    fn usd(&self, venue: Venue, quote: i128, rate: i128) -> i128 {
        match venue {
            Venue::Binance => quote,
            Venue::Upbit if self.is(Break::MissingFxInResults) => quote,
            Venue::Upbit if self.is(Break::DollarsRoundedUp) => up(quote * SCALE, rate),
            Venue::Upbit => down(quote * SCALE, rate),
        }
    }

    fn fill(&mut self, entry: &Entry) {
        let mut body = entry.body.clone();
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
        } = &mut body
        else {
            unreachable!()
        };
        let buys = *takes == Side::Ask;
        let against = buys != self.is(Break::NotionalRoundedForUs);
        let value = |price: i128, quantity: i128| {
            if against { up(price * quantity, SCALE) } else { down(price * quantity, SCALE) }
        };
        notional.0 = levels.iter().map(|l| value(l.price.0.into(), l.quantity.0)).sum();
        let in_coin = *venue == Venue::Binance && buys && !self.is(Break::FeeInTheWrongAsset);
        let centibps: i128 = match venue {
            Venue::Upbit => self.terms.upbit_fee_centibps.into(),
            Venue::Binance => self.terms.binance_fee_centibps.into(),
        };
        let base = if in_coin { quantity.0 } else { notional.0 } * centibps;
        fee.0 = if self.is(Break::FeeRoundedDown) { down(base, 1_000_000) } else { up(base, 1_000_000) };
        *fee_asset = if in_coin { *asset } else { venue.quote() };
        let sign = if buys == self.is(Break::SwappedSides) { -1 } else { 1 };
        let fee_sign = if self.is(Break::FeeOnTheWrongSide) { -1 } else { 1 };
        let fill = Fill {
            venue: *venue,
            purpose: *purpose,
            buys,
            quantity: quantity.0,
            notional: notional.0,
            fee: fee.0,
            in_coin,
            rate: fx.rate.0.0.into(),
        };
        let coin = sign * fill.quantity - if in_coin { fee_sign * fill.fee } else { 0 };
        let quote = -sign * fill.notional - if in_coin { 0 } else { fee_sign * fill.fee };
        let (order, position, asset, venue) = (*order, *position, *asset, *venue);
        self.push(entry, body);
        let coin_venue = if self.is(Break::SwappedLegs) { venue.other() } else { venue };
        let trip = self.trips.entry(position).or_default();
        let twice = trip.fills.is_empty() && self.broken == Break::DoubleBookedBalance;
        trip.fills.push(fill);
        for _ in 0..=usize::from(twice) {
            self.book(entry, (venue, venue.quote()), quote, order, 0);
            self.book(entry, (coin_venue, asset), coin, order, 0);
        }
        if venue == Venue::Upbit {
            self.krw_at_fills += down(quote * SCALE, fill.rate);
        }
        if self.is(Break::PartialIsWhole) {
            let asked = self.asked[&order];
            let fill = self.trips.get_mut(&position).unwrap().fills.last_mut().unwrap();
            fill.notional = fill.notional * asked / fill.quantity;
            fill.quantity = asked;
        }
    }

    fn outcome(&self, fills: &[Fill]) -> (i128, i128) {
        let (mut net, mut fees) = (0, 0);
        let fee_sign = if self.is(Break::FeeOnTheWrongSide) { -1 } else { 1 };
        let counts = |fill: &Fill| !(self.is(Break::ExitFeesForgotten) && fill.purpose == Purpose::Exit);
        for fill in fills {
            let sign = if fill.buys == self.is(Break::SwappedSides) { 1 } else { -1 };
            let quote_fee = if fill.in_coin || !counts(fill) { 0 } else { fee_sign * fill.fee };
            net += self.usd(fill.venue, sign * fill.notional - quote_fee, fill.rate);
            let fee = if fill.in_coin { up(fill.notional * fill.fee, fill.quantity) } else { fill.fee };
            if counts(fill) {
                fees -= self.usd(fill.venue, -fee, fill.rate);
            }
        }
        for venue in Venue::ALL {
            let here: Vec<&Fill> = fills.iter().filter(|fill| fill.venue == venue).collect();
            let Some(last) = here.last().filter(|_| !self.is(Break::LostDustInResults)) else { continue };
            let left: i128 = here
                .iter()
                .map(|fill| {
                    let coin = if fill.buys != self.is(Break::SwappedSides) { 1 } else { -1 } * fill.quantity;
                    coin - if fill.in_coin { fee_sign * fill.fee } else { 0 }
                })
                .sum();
            let worth = last.notional * left;
            let worth = match self.broken {
                Break::DustRoundedUp => up(worth, last.quantity),
                _ => down(worth, last.quantity),
            };
            net += self.usd(venue, worth, last.rate);
        }
        (net, fees)
    }

    fn result(&mut self, entry: &Entry) {
        let mut body = entry.body.clone();
        let (Body::Closed { position, asset, .. } | Body::Unwound { position, asset, .. }) = &body else {
            unreachable!()
        };
        let (position, asset) = (*position, *asset);
        let trip = self.trips.remove(&position).unwrap_or_default();
        let (net, fees) = self.outcome(&trip.fills);
        self.roll(entry.at);
        match &mut body {
            Body::Closed { gross_usd, fees_usd, net_usd, slippage_usd, .. } => {
                (gross_usd.0, fees_usd.0, net_usd.0) = (net + fees, fees, net);
                slippage_usd.0 = trip.exit.map_or(0, |exit| trip.decided + exit - net - fees);
                if self.is(Break::SlippageForgotten) {
                    slippage_usd.0 = 0;
                }
            }
            Body::Unwound { net_usd, .. } => net_usd.0 = net,
            _ => unreachable!(),
        }
        if !(self.is(Break::UnwindsForgotten) && matches!(body, Body::Unwound { .. })) {
            self.net += net;
            self.day_net += net;
        }
        self.push(entry, body);
        if self.is(Break::LostDustInBalances) {
            for venue in Venue::ALL {
                let left: i128 = trip
                    .fills
                    .iter()
                    .filter(|fill| fill.venue == venue)
                    .map(|fill| {
                        if fill.buys {
                            fill.quantity - if fill.in_coin { fill.fee } else { 0 }
                        } else {
                            -fill.quantity
                        }
                    })
                    .sum();
                if left > 0 {
                    *self.balances.entry((venue, asset)).or_insert(0) -= left;
                }
            }
        }
    }

    fn transfer(&mut self, entry: &Entry) {
        let mut body = entry.body.clone();
        match &mut body {
            Body::Transfer { transfer, asset, from, amount, fee, fee_usd, price, fx, .. } => {
                if self.is(Break::TransferIsFree) {
                    (fee.0, fee_usd.0) = (0, 0);
                } else {
                    let quote = up(fee.0 * i128::from(price.0), SCALE);
                    let rate = i128::from(fx.rate.0.0);
                    fee_usd.0 = if *from == Venue::Upbit { up(quote * SCALE, rate) } else { quote };
                }
                if !self.is(Break::TransferCostNotShown) {
                    self.transfer_cost += fee_usd.0;
                }
                let (id, from, asset, amount, rest) = (*transfer, *from, *asset, amount.0, amount.0 - fee.0);
                self.transit.insert(id, (from, asset, rest));
                self.push(entry, body);
                self.book(entry, (from, asset), -amount, 0, id);
            }
            Body::TransferArrived { transfer, asset, to, amount } => {
                let (_, _, rest) = self.transit.remove(transfer).unwrap();
                amount.0 = rest;
                let (id, to, asset) = (*transfer, *to, *asset);
                self.push(entry, body);
                self.book(entry, (to, asset), rest, 0, id);
            }
            _ => unreachable!(),
        }
    }

    fn equity(&mut self, entry: &Entry) {
        let mut body = entry.body.clone();
        let Body::Equity { pnl_usd, net_usd, drawdown_usd, fx_effect_usd, transfer_cost_usd, fx, marks } =
            &mut body
        else {
            unreachable!()
        };
        let fresh = marks.clone();
        if matches!(self.broken, Break::StaleMarks | Break::StaleMarksShown) {
            for mark in marks.iter_mut() {
                if let Some(old) = self.marks.iter().find(|old| old.asset == mark.asset) {
                    *mark = *old;
                }
            }
        }
        self.marks = fresh.clone();
        let rate = i128::from(fx.rate.0.0);
        let mut changes = self.balances.clone();
        for (key, deposit) in &self.deposits {
            *changes.entry(*key).or_insert(0) -= deposit;
        }
        for (from, asset, rest) in self.transit.values() {
            let times = match self.broken {
                Break::TransitIsLost => 0,
                Break::TransitCountsTwice => 2,
                _ => 1,
            };
            *changes.entry((*from, *asset)).or_insert(0) += times * rest;
        }
        let (mut krw, mut usdt) = (0, 0);
        for ((venue, asset), change) in changes.iter().filter(|(_, change)| **change != 0) {
            let mark = marks.iter().find(|mark| mark.asset == *asset);
            let value = |price: Option<market::Price>| {
                // A broken ledger may hold what nobody marked.
                down(change * price.map_or(0, |price| i128::from(price.0)), SCALE)
            };
            match venue {
                _ if *asset == Asset::KRW => krw += change,
                _ if *asset == Asset::USDT => usdt += change,
                Venue::Upbit => krw += value(mark.and_then(|mark| mark.upbit)),
                Venue::Binance => usdt += value(mark.and_then(|mark| mark.binance)),
            }
        }
        let krw_usd = if self.is(Break::MissingFxInEquity) { krw } else { down(krw * SCALE, rate) };
        let pnl = krw_usd + usdt;
        let own_krw = changes.get(&(Venue::Upbit, Asset::KRW)).copied().unwrap_or(0);
        let fx_effect = match self.broken {
            Break::FxEffectForgotten => 0,
            _ => down(own_krw * SCALE, rate) - self.krw_at_fills,
        };
        self.points += 1;
        self.peak = self.peak.max(pnl);
        self.drawdown = self.drawdown.max(self.peak - pnl);
        if self.is(Break::DrawdownIsTheLastFall) {
            self.drawdown = self.peak - pnl;
        }
        if self.is(Break::PeakIsTheLastPoint) {
            self.peak = pnl;
        }
        if self.is(Break::StaleMarks) {
            *marks = fresh;
        }
        (pnl_usd.0, net_usd.0, drawdown_usd.0) = (pnl, self.net, self.drawdown);
        (*fx_effect_usd, *transfer_cost_usd) = (Some(Money(fx_effect)), Some(Money(self.transfer_cost)));
        self.push(entry, body);
    }
}
