//! The paper ledger: exact balances per venue and asset, and what a position's fills were worth in USD.
//!
//! Double entry: each account keeps, beside its balance, the contra sides that explain it (deposits, exchange with the
//! market, fees, transfers), and `balance = deposited + exchanged - fees + moved` holds after every posting. A posting is
//! whole or does not happen; a balance below zero is an error and never stored. Every rounding rule stands in docs/money.md.
//! What does not live here: deciding fills (`broker`), moving coin between the venues (`transfers`).

use crate::broker::Filled;
use crate::transfers::Transit;
use market::{Asset, FxRate, Money, Price, Quantity, Rounding, Side, Venue};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Why a posting did not happen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// The balance does not cover it.
    #[error(
        "{venue} {asset}: a change of {change} exceeds the balance of {balance}; deposit more or send less"
    )]
    Negative {
        /// Venue.
        venue: Venue,
        /// Asset.
        asset: Asset,
        /// The change that was asked for.
        change: Quantity,
        /// The balance as it stays.
        balance: Quantity,
    },
    /// A deposit is below zero.
    #[error("a deposit must not be negative, this is {0}")]
    NegativeDeposit(Quantity),
    /// A transfer's fee leaves nothing of it.
    #[error("a transfer of {amount} {asset} does not cover its fee of {fee}; send more or nothing")]
    FeeOfEverything {
        /// Asset.
        asset: Asset,
        /// What would leave.
        amount: Quantity,
        /// Its fee.
        fee: Quantity,
    },
    /// The fee is in an asset that the fill does not move.
    #[error("a fee in {0} does not belong to this fill; take it in the base or the quote asset")]
    ForeignFee(Asset),
    /// A number does not fit.
    #[error("a balance does not fit an exact number")]
    Overflow,
}

/// One asset on one venue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Account {
    pub(crate) balance: Quantity,
    pub(crate) deposited: Quantity,
    pub(crate) exchanged: Quantity,
    /// Of fills and withdrawals.
    pub(crate) fees: Quantity,
    /// Received by transfers less sent, fees not counted.
    pub(crate) moved: Quantity,
}

impl Account {
    fn post(self, exchanged: Quantity, fee: Quantity) -> Option<(Self, Quantity)> {
        let change = exchanged.checked_sub(fee)?;
        let after = Self {
            balance: self.balance.checked_add(change)?,
            exchanged: self.exchanged.checked_add(exchanged)?,
            fees: self.fees.checked_add(fee)?,
            ..self
        };
        Some((after, change))
    }
}

/// All balances.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Ledger {
    #[serde(with = "crate::recover::rows")]
    pub(crate) accounts: BTreeMap<(Venue, Asset), Account>,
    /// Coin under way between the venues, in order of id.
    pub(crate) transit: Vec<Transit>,
    /// Withdrawal fees so far, USD.
    pub(crate) transfer_cost_usd: Money,
    /// The KRW that fills brought or took, each fill's at its own rate, USD.
    krw_at_fills_usd: Money,
}

impl Ledger {
    /// No accounts.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts `amount` into an account and returns the new balance.
    ///
    /// # Errors
    /// [`LedgerError::NegativeDeposit`], [`LedgerError::Overflow`].
    pub fn deposit(&mut self, venue: Venue, asset: Asset, amount: Quantity) -> Result<Quantity, LedgerError> {
        if amount.is_negative() {
            return Err(LedgerError::NegativeDeposit(amount));
        }
        let mut account = self.account(venue, asset);
        account.balance = account.balance.checked_add(amount).ok_or(LedgerError::Overflow)?;
        account.deposited = account.deposited.checked_add(amount).ok_or(LedgerError::Overflow)?;
        self.accounts.insert((venue, asset), account);
        Ok(account.balance)
    }

    /// Posts a fill. Returns what changed and the new balances: quote first, then base.
    ///
    /// # Errors
    /// [`LedgerError`]; nothing is posted then.
    pub fn apply(&mut self, filled: &Filled) -> Result<Vec<(Venue, Asset, Quantity, Quantity)>, LedgerError> {
        let (venue, base, quote) = (filled.order.venue, filled.order.asset, filled.order.venue.quote());
        if filled.fee_asset != base && filled.fee_asset != quote {
            return Err(LedgerError::ForeignFee(filled.fee_asset));
        }
        let (paid, got) = match filled.order.takes {
            Side::Ask => (Quantity(-filled.notional.0), filled.quantity),
            Side::Bid => (Quantity(filled.notional.0), Quantity(-filled.quantity.0)),
        };
        let mut posted = [None; 2];
        for (slot, (asset, exchanged)) in posted.iter_mut().zip([(quote, paid), (base, got)]) {
            let fee = if asset == filled.fee_asset { filled.fee } else { Quantity::ZERO };
            let before = self.account(venue, asset);
            let (after, change) = before.post(exchanged, fee).ok_or(LedgerError::Overflow)?;
            if after.balance.is_negative() {
                return Err(LedgerError::Negative { venue, asset, change, balance: before.balance });
            }
            *slot = Some((asset, after, change));
        }
        let mut changes = Vec::with_capacity(2);
        for (asset, after, change) in posted.into_iter().flatten() {
            self.accounts.insert((venue, asset), after);
            changes.push((venue, asset, change, after.balance));
        }
        Ok(changes)
    }

    /// As [`Self::apply`], and remembers at which rate the fill moved KRW: [`Self::fx_effect_usd`] compares with it.
    ///
    /// # Errors
    /// As [`Self::apply`].
    pub fn apply_at(
        &mut self,
        filled: &Filled,
        fx: FxRate,
    ) -> Result<Vec<(Venue, Asset, Quantity, Quantity)>, LedgerError> {
        let mut after = self.krw_at_fills_usd;
        if filled.order.venue == Venue::Upbit {
            let paid =
                Money(if filled.order.takes == Side::Ask { -filled.notional.0 } else { filled.notional.0 });
            let change = if filled.fee_asset == Asset::KRW {
                paid.checked_sub(Money(filled.fee.0))
            } else {
                Some(paid)
            };
            let usd = change.and_then(|change| fx.krw_to_usd(change, Rounding::Floor));
            after = usd.and_then(|usd| after.checked_add(usd)).ok_or(LedgerError::Overflow)?;
        }
        let changes = self.apply(filled)?;
        self.krw_at_fills_usd = after;
        Ok(changes)
    }

    /// What the rate's moves made of the KRW that fills brought or took, USD: at `fx`, less at the rates of the fills. Both
    /// are rounded down, the latter per fill. `None` when it does not fit.
    pub fn fx_effect_usd(&self, fx: FxRate) -> Option<Money> {
        let account = self.account(Venue::Upbit, Asset::KRW);
        let change = account.balance.checked_sub(account.deposited)?;
        fx.krw_to_usd(Money(change.0), Rounding::Floor)?.checked_sub(self.krw_at_fills_usd)
    }

    /// The balance, zero for an account that nothing was ever put into.
    pub fn balance(&self, venue: Venue, asset: Asset) -> Quantity {
        self.account(venue, asset).balance
    }

    /// Everything ever deposited.
    pub fn deposited(&self, venue: Venue, asset: Asset) -> Quantity {
        self.account(venue, asset).deposited
    }

    /// All fees ever taken in this asset.
    pub fn fees(&self, venue: Venue, asset: Asset) -> Quantity {
        self.account(venue, asset).fees
    }

    /// True when `amount` can be spent.
    pub fn covers(&self, venue: Venue, asset: Asset, amount: Quantity) -> bool {
        self.balance(venue, asset) >= amount
    }

    /// All accounts with their balances, in order.
    pub fn balances(&self) -> impl Iterator<Item = (Venue, Asset, Quantity)> + '_ {
        self.accounts.iter().map(|((venue, asset), account)| (*venue, *asset, account.balance))
    }

    /// What trading made: holdings minus deposits, both at the same marks, in USD (1 USDT as 1 USD, KRW at `fx`), rounded
    /// down. Coin under way counts where it left. `None` when a coin whose holding differs from its deposits has no mark, or a figure does not fit.
    pub fn pnl_usd(&self, fx: FxRate, mark: impl Fn(Venue, Asset) -> Option<Price>) -> Option<Money> {
        let mut quote = [Money::ZERO; 2];
        for ((venue, asset), account) in &self.accounts {
            let held = account.balance.checked_add(self.sent_from(*venue, *asset)?)?;
            let change = held.checked_sub(account.deposited)?;
            if change.is_zero() {
                continue;
            }
            let value = if *asset == venue.quote() {
                Money(change.0)
            } else {
                mark(*venue, *asset)?.notional(change, Rounding::Floor)?
            };
            let sum = &mut quote[venue.index()];
            *sum = sum.checked_add(value)?;
        }
        fx.krw_to_usd(quote[Venue::Upbit.index()], Rounding::Floor)?
            .checked_add(quote[Venue::Binance.index()])
    }

    /// The coins whose holding differs from their deposits on some venue, or which are under way, in order: those that
    /// need a mark.
    pub fn changed_assets(&self) -> Vec<Asset> {
        let under_way = |asset: Asset| self.transit.iter().any(|transit| transit.asset == asset);
        let mut changed: Vec<Asset> = self
            .accounts
            .iter()
            .filter(|((venue, asset), account)| {
                *asset != venue.quote() && (account.balance != account.deposited || under_way(*asset))
            })
            .map(|((_, asset), _)| *asset)
            .collect();
        changed.sort_unstable();
        changed.dedup();
        changed
    }

    pub(crate) fn account(&self, venue: Venue, asset: Asset) -> Account {
        self.accounts.get(&(venue, asset)).copied().unwrap_or_default()
    }
}

/// What counts of a fill, without its order: a journalled fill has these too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FillFigures {
    /// Venue.
    pub venue: Venue,
    /// The side that was taken: `Ask` is a buy.
    pub takes: Side,
    /// Base quantity, before a fee in the base asset.
    pub quantity: Quantity,
    /// Quote amount, before fees.
    pub notional: Money,
    /// Fee, in units of `fee_asset`.
    pub fee: Quantity,
    /// The asset that the fee was taken in.
    pub fee_asset: Asset,
}

/// A venue's side of a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Leg {
    bought: Quantity,
    sold: Quantity,
    coin_fees: Quantity,
    /// Quantity and notional of the last fill: its price, without a rounding.
    last: Option<(Quantity, Money, FxRate)>,
}

/// What a position's fills brought, in USD at each fill's own rate. Coin that is left over (bought minus sold minus fees in
/// coin, each venue's at the price of its last fill) is counted at that price, so that net is what the holdings changed
/// by. A fee in coin is valued at its fill's average price. Everything is rounded against the position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PositionFlows {
    legs: [Leg; 2],
    /// Quote flows after fees.
    flows: Money,
    fees: Money,
    net: Money,
    gross: Money,
}

/// An amount of `venue`'s quote in USD.
fn usd(venue: Venue, amount: Money, fx: FxRate, rounding: Rounding) -> Option<Money> {
    match venue {
        Venue::Upbit => fx.krw_to_usd(amount, rounding),
        Venue::Binance => Some(amount),
    }
}

impl PositionFlows {
    /// No fills.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a fill. `None` when it is empty, when the rate is zero or when a figure does not fit: nothing is added then.
    pub fn on_fill(&mut self, filled: &Filled, fx: FxRate) -> Option<()> {
        let figures = FillFigures {
            venue: filled.order.venue,
            takes: filled.order.takes,
            quantity: filled.quantity,
            notional: filled.notional,
            fee: filled.fee,
            fee_asset: filled.fee_asset,
        };
        self.on_figures(&figures, fx)
    }

    /// As [`Self::on_fill`], from the figures alone: what a journalled fill has.
    pub fn on_figures(&mut self, filled: &FillFigures, fx: FxRate) -> Option<()> {
        if filled.quantity.0 <= 0 {
            return None;
        }
        let venue = filled.venue;
        let mut next = *self;
        let leg = &mut next.legs[venue.index()];
        let in_coin = filled.fee_asset != venue.quote();
        let mut quote = match filled.takes {
            Side::Ask => {
                leg.bought = leg.bought.checked_add(filled.quantity)?;
                Money(filled.notional.0.checked_neg()?)
            }
            Side::Bid => {
                leg.sold = leg.sold.checked_add(filled.quantity)?;
                filled.notional
            }
        };
        let fee_quote = if in_coin {
            leg.coin_fees = leg.coin_fees.checked_add(filled.fee)?;
            filled.notional.ratio(filled.fee.0, filled.quantity.0, Rounding::Ceil)?
        } else {
            quote = quote.checked_sub(Money(filled.fee.0))?;
            Money(filled.fee.0)
        };
        leg.last = Some((filled.quantity, filled.notional, fx));
        next.flows = next.flows.checked_add(usd(venue, quote, fx, Rounding::Floor)?)?;
        next.fees = next.fees.checked_add(usd(venue, fee_quote, fx, Rounding::Ceil)?)?;
        next.net = next.flows.checked_add(next.residue_usd()?)?;
        next.gross = next.net.checked_add(next.fees)?;
        *self = next;
        Some(())
    }

    /// Before fees, USD: net plus fees.
    pub fn gross_usd(&self) -> Money {
        self.gross
    }

    /// All fees, USD.
    pub fn fees_usd(&self) -> Money {
        self.fees
    }

    /// After fees, USD: `gross - fees`.
    pub fn net_usd(&self) -> Money {
        self.net
    }

    /// Base quantity bought on a venue, before fees in coin.
    pub fn bought(&self, venue: Venue) -> Quantity {
        self.legs[venue.index()].bought
    }

    /// Base quantity sold on a venue.
    pub fn sold(&self, venue: Venue) -> Quantity {
        self.legs[venue.index()].sold
    }

    /// Fees taken in coin on a venue.
    pub fn coin_fees(&self, venue: Venue) -> Quantity {
        self.legs[venue.index()].coin_fees
    }

    /// By how much the coin holding of a venue changed. `None` when it does not fit.
    pub fn residue(&self, venue: Venue) -> Option<Quantity> {
        let leg = &self.legs[venue.index()];
        leg.bought.checked_sub(leg.sold)?.checked_sub(leg.coin_fees)
    }

    fn residue_usd(&self) -> Option<Money> {
        let mut sum = Money::ZERO;
        for venue in Venue::ALL {
            if let Some((quantity, notional, fx)) = self.legs[venue.index()].last {
                let value = notional.ratio(self.residue(venue)?.0, quantity.0, Rounding::Floor)?;
                sum = sum.checked_add(usd(venue, value, fx, Rounding::Floor)?)?;
            }
        }
        Some(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::{Broker, Order};
    use crate::fees::{FeeModel, TakerFees};
    use crate::latency::ConstantLatency;
    use crate::liquidity::LiquidityMemory;
    use journal::record::Purpose;
    use market::{Book, Instrument, Level, SCALE, TickRule, Timestamp};
    use proptest::prelude::*;

    const FX: FxRate = FxRate(Price::from_int(1_400));

    fn coin() -> Asset {
        Asset::new("XRP").unwrap()
    }

    fn price(venue: Venue, units: i32) -> Price {
        Price::from_int(if venue == Venue::Upbit { units * 1_000 } else { units })
    }

    /// A fill at a whole price, so that average prices are exact.
    fn fill(venue: Venue, takes: Side, units: i32, quantity: i128) -> Filled {
        let (quantity, price) = (Quantity(quantity), price(venue, units));
        let rounding = if takes == Side::Ask { Rounding::Ceil } else { Rounding::Floor };
        let notional = price.notional(quantity, rounding).unwrap();
        let (fee, fee_asset) = TakerFees::default().fee(venue, takes, coin(), quantity, notional).unwrap();
        let order = Order {
            id: 1,
            position: 1,
            purpose: Purpose::Entry,
            venue,
            asset: coin(),
            takes,
            quantity,
            decided_at: Timestamp(0),
            arrives: Timestamp(0),
            limit: None,
        };
        Filled { order, levels: Vec::new(), quantity, notional, fee, fee_asset }
    }

    fn any_fill() -> impl Strategy<Value = (Venue, Side, i32, i128)> {
        (
            prop::sample::select(vec![Venue::Upbit, Venue::Binance]),
            prop::sample::select(vec![Side::Bid, Side::Ask]),
            1i32..50,
            1i128..500 * SCALE,
        )
    }

    fn funded(amount: i32) -> Ledger {
        let mut ledger = Ledger::new();
        for venue in Venue::ALL {
            ledger.deposit(venue, venue.quote(), Quantity::from_int(amount * 100)).unwrap();
            ledger.deposit(venue, coin(), Quantity::from_int(amount)).unwrap();
        }
        ledger
    }

    #[test]
    fn a_fill_moves_exactly_what_it_says() {
        let mut ledger = funded(1_000);
        let krw = Quantity::from_int(100_000);
        let filled = fill(Venue::Upbit, Side::Ask, 1, 10 * SCALE);
        assert_eq!(
            ledger.apply(&filled).unwrap(),
            [
                (Venue::Upbit, Asset::KRW, Quantity::from_int(-10_005), Quantity(krw.0 - 10_005 * SCALE)),
                (Venue::Upbit, coin(), Quantity::from_int(10), Quantity::from_int(1_010)),
            ]
        );
        assert_eq!(ledger.changed_assets(), [coin()]);
        assert_eq!(ledger.fees(Venue::Upbit, Asset::KRW), Quantity::from_int(5));
        // 10 coins at 1 400 against 10 005 spent: 3 995 KRW.
        let mark = |_, _| Some(Price::from_int(1_400));
        assert_eq!(ledger.pnl_usd(FX, mark), Some(Money::parse("2.85357142").unwrap()));
        assert_eq!(ledger.pnl_usd(FX, |_, _| None), None);
        assert_eq!(funded(5).pnl_usd(FX, |_, _| None), Some(Money::ZERO));
    }

    #[test]
    fn what_is_not_there_is_an_error_and_changes_nothing() {
        let mut ledger = funded(1);
        let before = ledger.clone();
        let error = ledger.apply(&fill(Venue::Binance, Side::Bid, 1, 2 * SCALE)).unwrap_err();
        assert!(matches!(error, LedgerError::Negative { venue: Venue::Binance, .. }), "{error}");
        assert!(ledger.apply(&fill(Venue::Upbit, Side::Ask, 1, 2 * SCALE)).is_err());
        let mut foreign = fill(Venue::Binance, Side::Bid, 1, SCALE);
        foreign.fee_asset = Asset::KRW;
        assert_eq!(ledger.apply(&foreign), Err(LedgerError::ForeignFee(Asset::KRW)));
        assert!(ledger.deposit(Venue::Upbit, coin(), Quantity(-1)).is_err());
        assert_eq!(ledger.deposit(Venue::Upbit, coin(), Quantity(i128::MAX)), Err(LedgerError::Overflow));
        assert_eq!(ledger, before);
    }

    #[test]
    fn a_round_trip_by_hand() {
        let mut flows = PositionFlows::new();
        let steps = [
            (Venue::Upbit, Side::Ask, 14, 10 * SCALE),
            (Venue::Binance, Side::Bid, 11, 10 * SCALE),
            (Venue::Upbit, Side::Bid, 14, 10 * SCALE),
            (Venue::Binance, Side::Ask, 10, 1_002 * SCALE / 100),
        ];
        for (venue, takes, units, quantity) in steps {
            flows.on_fill(&fill(venue, takes, units, quantity), FX).unwrap();
        }
        // Quote: -100.05 + 109.89 + 99.95 - 100.2 = 9.59; coin left: 10.02 - 0.01002 - 10 = 0.00998 at 10.
        assert_eq!(flows.net_usd(), Money::parse("9.6898").unwrap());
        // 0.05 + 0.11 + 0.05 + 0.1002.
        assert_eq!(flows.fees_usd(), Money::parse("0.3102").unwrap());
        assert_eq!(flows.gross_usd(), Money::from_int(10));
        assert_eq!(flows.residue(Venue::Binance), Some(Quantity::parse("0.00998").unwrap()));
        assert_eq!(
            (flows.bought(Venue::Upbit), flows.sold(Venue::Upbit)),
            (Quantity::from_int(10), Quantity::from_int(10))
        );
        assert_eq!(flows.on_fill(&fill(Venue::Upbit, Side::Bid, 1, SCALE), FxRate(Price::ZERO)), None);
        assert_eq!(flows.net_usd(), Money::parse("9.6898").unwrap());
    }

    proptest! {
        #[test]
        fn changes_sum_to_flows_and_nothing_is_negative(fills in prop::collection::vec(any_fill(), 1..60)) {
            let mut ledger = funded(1_000);
            let mut expected: BTreeMap<(Venue, Asset), i128> =
                ledger.balances().map(|(venue, asset, balance)| ((venue, asset), balance.0)).collect();
            let mut flows = PositionFlows::new();
            let mut last = [Price::ZERO; 2];
            let mut posted = 0;
            for (venue, takes, units, quantity) in fills {
                let filled = fill(venue, takes, units, quantity);
                let Ok(changes) = ledger.apply(&filled) else { continue };
                posted += 1;
                let sign = if takes == Side::Ask { 1 } else { -1 };
                *expected.get_mut(&(venue, coin())).unwrap() += sign * filled.quantity.0;
                *expected.get_mut(&(venue, venue.quote())).unwrap() -= sign * filled.notional.0;
                *expected.get_mut(&(venue, filled.fee_asset)).unwrap() -= filled.fee.0;
                for (venue, asset, _, balance) in changes {
                    prop_assert_eq!(balance, ledger.balance(venue, asset));
                }
                flows.on_fill(&filled, FX).unwrap();
                last[venue.index()] = price(venue, units);
            }
            for (venue, asset, balance) in ledger.balances() {
                prop_assert!(balance.0 >= 0);
                prop_assert_eq!(balance.0, expected[&(venue, asset)]);
                let account = ledger.account(venue, asset);
                prop_assert_eq!(
                    account.balance.0,
                    account.deposited.0 + account.exchanged.0 - account.fees.0
                );
            }
            // The position's net is what the holdings changed by at the prices of its last fills.
            let pnl = ledger.pnl_usd(FX, |venue, _| Some(last[venue.index()])).unwrap();
            prop_assert!((pnl.0 - flows.net_usd().0).abs() <= posted + 4, "{} {}", pnl, flows.net_usd());
            prop_assert_eq!(flows.gross_usd().0 - flows.fees_usd().0, flows.net_usd().0);
            prop_assert!(!flows.fees_usd().is_negative());
        }

        /// What the broker lets through, the ledger can always post.
        #[test]
        fn the_broker_never_overdraws(orders in prop::collection::vec((any_fill(), 0i64..3), 1..40)) {
            let mut ledger = funded(300);
            let mut broker = Broker::new(TakerFees::default(), ConstantLatency::default());
            let mut memory = [LiquidityMemory::new(), LiquidityMemory::new()];
            for ((venue, takes, units, quantity), slope) in orders {
                let level = |step: i64| Level {
                    price: Price(price(venue, units).0 + step * slope * 1_000_000),
                    quantity: Quantity(quantity / 3 + 1),
                };
                let mut book = Book::new();
                book.replace([level(-2), level(-1), level(0)].into_iter().filter(|l| l.price.0 > 0), []);
                if takes == Side::Ask {
                    book.replace([], [level(0), level(1), level(2)]);
                }
                memory[venue.index()].on_book(&book);
                let instrument = Instrument {
                    venue,
                    asset: coin(),
                    code: String::new(),
                    tick: TickRule::Fixed(Price(1)),
                    lot: Quantity(1),
                    min_quantity: Quantity(1),
                    max_quantity: Quantity::ZERO,
                    min_notional: Money::ZERO,
                };
                let order = broker.submit(
                    1, Purpose::Entry, venue, coin(), takes, Quantity(quantity), Some(level(if takes == Side::Ask { 2 } else { -2 }).price), Timestamp(0),
                );
                if let Ok(filled) = broker.execute(order, &instrument, Some(&book), &mut memory[venue.index()], &ledger) {
                    prop_assert!(ledger.apply(&filled).is_ok());
                }
            }
            prop_assert!(ledger.balances().all(|(_, _, balance)| balance.0 >= 0));
        }
    }
}
