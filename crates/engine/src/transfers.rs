//! Coin on its way between the venues: what a withdrawal costs, and the double entries of leaving and arriving.
//!
//! Coin that has left cannot be traded until it arrives. What does not live here: when to move how much (`session::rebalance`).

use crate::config::Config;
use crate::ledger::{Ledger, LedgerError};
use journal::Body;
use market::{Asset, FxRate, Money, Price, Quantity, Rounding, Timestamp, Venue};
use serde::{Deserialize, Serialize};

/// Coin that has left a venue and not arrived at the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transit {
    /// Transfer id.
    pub id: u64,
    /// Asset.
    pub asset: Asset,
    /// Where it left; it goes to the other venue.
    pub from: Venue,
    /// What will arrive.
    pub amount: Quantity,
    /// When.
    pub arrives: Timestamp,
}

/// The withdrawal fee in coin: the asset's own where the configuration has one, else so much coin as `withdrawal_fee_usd` is
/// worth at the sending venue's `price`, in both steps rounded up. `None` when it does not fit or the price is zero.
pub fn withdrawal_fee(
    config: &Config,
    from: Venue,
    asset: Asset,
    price: Price,
    fx: FxRate,
) -> Option<Quantity> {
    if let Some(fees) = config.withdrawal_fees.get(&asset) {
        return Some(fees.of(from));
    }
    let quote = match from {
        Venue::Upbit => fx.usd_to_krw(config.withdrawal_fee_usd, Rounding::Ceil)?,
        Venue::Binance => config.withdrawal_fee_usd,
    };
    quote.quantity_at(price, Rounding::Ceil)
}

/// What a fee in coin is worth at a venue's price, in both steps rounded up. `None` when it does not fit.
pub fn fee_usd(from: Venue, fee: Quantity, price: Price, fx: FxRate) -> Option<Money> {
    let quote = price.notional(fee, Rounding::Ceil)?;
    match from {
        Venue::Upbit => fx.krw_to_usd(quote, Rounding::Ceil),
        Venue::Binance => Some(quote),
    }
}

impl Ledger {
    /// Coin leaves a venue: `amount` off its balance, of which `fee` is gone and the rest is under way. Returns the balance.
    ///
    /// # Errors
    /// [`LedgerError::Negative`], [`LedgerError::FeeOfEverything`], [`LedgerError::Overflow`]; nothing is posted then.
    pub fn send(
        &mut self,
        transit: Transit,
        fee: Quantity,
        cost_usd: Money,
    ) -> Result<Quantity, LedgerError> {
        let Transit { asset, from: venue, amount: rest, .. } = transit;
        if rest.0 <= 0 || fee.is_negative() {
            let amount = Quantity(rest.0.saturating_add(fee.0));
            return Err(LedgerError::FeeOfEverything { asset, amount, fee });
        }
        let before = self.account(venue, asset);
        let posted = || {
            let change = Quantity(rest.checked_add(fee)?.0.checked_neg()?);
            let mut after = before;
            after.balance = after.balance.checked_add(change)?;
            after.fees = after.fees.checked_add(fee)?;
            after.moved = after.moved.checked_sub(rest)?;
            Some((change, after, self.transfer_cost_usd.checked_add(cost_usd)?))
        };
        let (change, after, cost) = posted().ok_or(LedgerError::Overflow)?;
        if after.balance.is_negative() {
            return Err(LedgerError::Negative { venue, asset, change, balance: before.balance });
        }
        self.accounts.insert((venue, asset), after);
        self.transfer_cost_usd = cost;
        self.transit.push(transit);
        Ok(after.balance)
    }

    /// Coin arrives. Returns what arrived and the balance of the venue that it reached; `None` for an unknown transfer.
    ///
    /// # Errors
    /// [`LedgerError::Overflow`]; it stays under way then.
    pub fn arrive(&mut self, id: u64) -> Result<Option<(Transit, Quantity)>, LedgerError> {
        let Some(i) = self.transit.iter().position(|transit| transit.id == id) else { return Ok(None) };
        let transit = self.transit[i];
        let (to, asset) = (transit.from.other(), transit.asset);
        let mut after = self.account(to, asset);
        after.balance = after.balance.checked_add(transit.amount).ok_or(LedgerError::Overflow)?;
        after.moved = after.moved.checked_add(transit.amount).ok_or(LedgerError::Overflow)?;
        self.accounts.insert((to, asset), after);
        self.transit.remove(i);
        Ok(Some((transit, after.balance)))
    }

    /// Posts a transfer or an arrival as the journal has it, for a session that comes back: the id of what left, `None` for every
    /// other record.
    ///
    /// # Errors
    /// As [`Self::send`] and [`Self::arrive`].
    pub fn on_record(&mut self, body: &Body) -> Result<Option<u64>, LedgerError> {
        match body {
            Body::Transfer { transfer, asset, from, amount, fee, fee_usd, arrives, .. } => {
                let amount = amount.checked_sub(*fee).ok_or(LedgerError::Overflow)?;
                let transit =
                    Transit { id: *transfer, asset: *asset, from: *from, amount, arrives: *arrives };
                self.send(transit, *fee, *fee_usd)?;
                Ok(Some(*transfer))
            }
            Body::TransferArrived { transfer, .. } => self.arrive(*transfer).map(|_| None),
            _ => Ok(None),
        }
    }

    /// A transfer that cannot be taken in stays under way for good: it must not be tried for ever at one instant.
    pub fn hold_back(&mut self, id: u64) {
        for transit in self.transit.iter_mut().filter(|transit| transit.id == id) {
            transit.arrives = Timestamp(i64::MAX);
        }
    }

    /// Coin under way, in order of id.
    pub fn under_way(&self) -> &[Transit] {
        &self.transit
    }

    /// When the next coin arrives.
    pub fn next_arrival(&self) -> Option<Timestamp> {
        self.transit.iter().map(|transit| transit.arrives).min()
    }

    /// Withdrawal fees so far, each at its own mark and rate, USD.
    pub const fn transfer_cost_usd(&self) -> Money {
        self.transfer_cost_usd
    }

    /// Coin of `asset` that left `venue` and has not arrived. `None` when it does not fit.
    pub fn sent_from(&self, venue: Venue, asset: Asset) -> Option<Quantity> {
        let mut sum = Quantity::ZERO;
        for transit in self.transit.iter().filter(|t| t.from == venue && t.asset == asset) {
            sum = sum.checked_add(transit.amount)?;
        }
        Some(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::PerVenue;

    const FX: FxRate = FxRate(Price::from_int(1_400));

    fn coin() -> Asset {
        Asset::new("XRP").unwrap()
    }

    fn q(text: &str) -> Quantity {
        Quantity::parse(text).unwrap()
    }

    fn transit(id: u64, amount: &str) -> Transit {
        Transit {
            id,
            asset: coin(),
            from: Venue::Upbit,
            amount: q(amount),
            arrives: Timestamp::from_secs(600),
        }
    }

    fn total(ledger: &Ledger) -> i128 {
        Venue::ALL.into_iter().map(|venue| ledger.balance(venue, coin()).0).sum::<i128>()
            + ledger.under_way().iter().map(|t| t.amount.0).sum::<i128>()
    }

    #[test]
    fn what_leaves_arrives_less_the_fee_and_cannot_be_spent_in_between() {
        let mut ledger = Ledger::new();
        ledger.deposit(Venue::Upbit, coin(), q("100")).unwrap();
        ledger.deposit(Venue::Binance, coin(), q("20")).unwrap();
        assert_eq!(ledger.send(transit(1, "39"), q("1"), Money::from_int(2)), Ok(q("60")));
        assert_eq!((total(&ledger), ledger.next_arrival()), (q("119").0, Some(Timestamp::from_secs(600))));
        assert!(!ledger.covers(Venue::Upbit, coin(), q("61")));
        assert!(!ledger.covers(Venue::Binance, coin(), q("21")));
        assert_eq!(ledger.arrive(2), Ok(None));
        assert_eq!(ledger.arrive(1), Ok(Some((transit(1, "39"), q("59")))));
        assert_eq!(ledger.arrive(1), Ok(None));
        assert_eq!((total(&ledger), ledger.fees(Venue::Upbit, coin())), (q("119").0, q("1")));
        assert_eq!(ledger.transfer_cost_usd(), Money::from_int(2));
        for account in ledger.accounts.values() {
            let sides = account.deposited.0 + account.exchanged.0 - account.fees.0 + account.moved.0;
            assert_eq!(account.balance.0, sides);
        }
    }

    #[test]
    fn a_transfer_that_is_not_covered_posts_nothing() {
        let mut ledger = Ledger::new();
        ledger.deposit(Venue::Upbit, coin(), q("10")).unwrap();
        let before = ledger.clone();
        assert!(matches!(
            ledger.send(transit(1, "10"), q("0.1"), Money::ZERO),
            Err(LedgerError::Negative { .. })
        ));
        assert!(matches!(
            ledger.send(transit(1, "0"), q("1"), Money::ZERO),
            Err(LedgerError::FeeOfEverything { .. })
        ));
        assert_eq!(ledger, before);
    }

    #[test]
    fn coin_under_way_is_marked_where_it_left() {
        let mut ledger = Ledger::new();
        ledger.deposit(Venue::Upbit, coin(), q("100")).unwrap();
        ledger.deposit(Venue::Binance, coin(), q("20")).unwrap();
        // 5 % dearer on Upbit.
        let mark = |venue: Venue, _| Some(Price::from_int(if venue == Venue::Upbit { 1_470 } else { 1 }));
        ledger.send(transit(1, "39"), q("1"), Money::from_int(2)).unwrap();
        assert_eq!(ledger.changed_assets(), [coin()]);
        assert_eq!(ledger.pnl_usd(FX, mark), Some(Money(-105_000_000)));
        ledger.arrive(1).unwrap();
        assert_eq!(ledger.pnl_usd(FX, mark), Some(Money(-4_200_000_000 + 3_900_000_000)));
    }

    #[test]
    fn fees_are_listed_or_flat_and_rounded_up() {
        let mut config = Config { withdrawal_fee_usd: Money::from_int(5), ..Config::default() };
        let fee = |config: &Config, venue, price| withdrawal_fee(config, venue, coin(), Price(price), FX);
        assert_eq!(fee(&config, Venue::Upbit, 900 * market::SCALE as i64), Some(q("7.77777778")));
        assert_eq!(fee(&config, Venue::Binance, 3 * market::SCALE as i64), Some(q("1.66666667")));
        config.withdrawal_fees.insert(coin(), PerVenue { upbit: q("0.4"), binance: q("0.2") });
        assert_eq!(fee(&config, Venue::Upbit, 1), Some(q("0.4")));
        assert_eq!(fee(&config, Venue::Binance, 1), Some(q("0.2")));
        assert_eq!(fee_usd(Venue::Upbit, q("1"), Price::from_int(1_000), FX), Some(Money(71_428_572)));
    }
}
