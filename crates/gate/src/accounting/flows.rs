//! Holdings while a journal is read: what deposits, fills and transfers make of every balance, and what each balance record owes
//! to which of them.

use super::ProblemKind;
use super::exact::{dollars_up, times_up, up};
use journal::record::{Terms, WithdrawalTerms};
use journal::{Body, Entry};
use market::{Asset, Quantity, SCALE, Venue};
use std::collections::BTreeMap;

/// A venue's asset.
pub(super) type Key = (Venue, Asset);

/// What a balance changes for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cause {
    Deposit,
    Order(u64),
    Transfer(u64),
}

/// Coin that left and has not arrived, units of 1e-8.
#[derive(Debug, Clone, Copy)]
struct Transit {
    asset: Asset,
    from: Venue,
    amount: i128,
}

/// A finding: its kind and what it says.
pub(super) type Finding = (ProblemKind, String);

#[derive(Debug, Default)]
pub(super) struct Flows {
    /// What deposits, fills and transfers give.
    holdings: BTreeMap<Key, i128>,
    deposits: BTreeMap<Key, i128>,
    /// As recorded.
    balances: BTreeMap<Key, i128>,
    /// Changes that causes demand, less those recorded.
    owed: BTreeMap<(Cause, Key), i128>,
    transit: BTreeMap<u64, Transit>,
    last_transfer: u64,
    /// Withdrawal fees so far, USD.
    pub transfer_cost: i128,
}

impl Flows {
    /// A change that a cause brings.
    pub(super) fn change(&mut self, cause: Cause, key: Key, change: i128) -> Option<()> {
        add(&mut self.holdings, key, change)?;
        add(&mut self.owed, (cause, key), change)
    }

    pub(super) fn deposit(&mut self, key: Key, amount: i128) -> Option<()> {
        add(&mut self.deposits, key, amount)?;
        self.change(Cause::Deposit, key, amount)
    }

    /// A balance record: it continues the one before it, is not below zero, and pays what its cause owes.
    pub(super) fn balance(
        &mut self,
        key: Key,
        change: i128,
        balance: i128,
        cause: Cause,
    ) -> Option<Option<String>> {
        let before = self.balances.insert(key, balance).unwrap_or(0);
        add(&mut self.owed, (cause, key), change.checked_neg()?)?;
        let fits = before.checked_add(change)? == balance && balance >= 0;
        Some((!fits).then(|| {
            format!(
                "{} {}: {} changed by {} to {}",
                key.0,
                key.1,
                Quantity(before),
                Quantity(change),
                Quantity(balance)
            )
        }))
    }

    /// Coin leaves a venue.
    pub(super) fn sent(&mut self, terms: &Terms, entry: &Entry) -> Option<Vec<Finding>> {
        let Body::Transfer { transfer, asset, from, amount, fee, fee_usd, price, arrives, fx, .. } =
            &entry.body
        else {
            return Some(Vec::new());
        };
        let mut found = Vec::new();
        let mut wrong =
            |text: String| found.push((ProblemKind::Balance, format!("transfer {transfer}: {text}")));
        if *transfer != self.last_transfer + 1 {
            wrong(format!("it follows transfer {}", self.last_transfer));
        }
        self.last_transfer = *transfer;
        if fee.0 < 0 || fee.0 >= amount.0 {
            wrong(format!("a fee of {fee} out of {amount}"));
        }
        let (price, rate) = (i128::from(price.0), i128::from(fx.rate.0.0));
        match &terms.withdrawal {
            None => wrong("the terms know of no transfers".to_owned()),
            Some(terms) => {
                let owed = withdrawal_fee(terms, *asset, *from, price, rate)?;
                if fee.0 != owed {
                    wrong(format!("fee {fee} {asset}, the terms give {}", Quantity(owed)));
                }
                let due = entry.at.0.checked_add(terms.delay_ms.checked_mul(1_000_000)?)?;
                if arrives.0 != due {
                    wrong("it arrives at another time than the terms give".to_owned());
                }
            }
        }
        let cost = dollars_up(*from, times_up(fee.0, price)?, rate)?;
        if fee_usd.0 != cost {
            wrong(format!("its fee is {fee_usd} USD, price and rate give {}", Quantity(cost)));
        }
        self.transfer_cost = self.transfer_cost.checked_add(cost)?;
        self.change(Cause::Transfer(*transfer), (*from, *asset), amount.0.checked_neg()?)?;
        let rest = amount.0.checked_sub(fee.0)?;
        self.transit.insert(*transfer, Transit { asset: *asset, from: *from, amount: rest });
        Some(found)
    }

    /// Coin arrives.
    pub(super) fn arrived(
        &mut self,
        id: u64,
        asset: Asset,
        to: Venue,
        amount: i128,
    ) -> Option<Option<String>> {
        self.change(Cause::Transfer(id), (to, asset), amount)?;
        let sent = self.transit.remove(&id);
        let fits = sent.is_some_and(|t| t.asset == asset && t.from == to.other() && t.amount == amount);
        Some((!fits).then(|| {
            let text = sent.map_or("nothing".to_owned(), |t| {
                format!("{} {} from {}", Quantity(t.amount), t.asset, t.from)
            });
            format!("transfer {id}: {} {asset} arrived on {to}, {text} was under way", Quantity(amount))
        }))
    }

    /// Holdings less deposits, of those that differ; coin under way counts where it left.
    pub(super) fn changes(&self) -> Option<BTreeMap<Key, i128>> {
        let mut changes = self.holdings.clone();
        for (key, amount) in &self.deposits {
            add(&mut changes, *key, amount.checked_neg()?)?;
        }
        for transit in self.transit.values() {
            add(&mut changes, (transit.from, transit.asset), transit.amount)?;
        }
        changes.retain(|_, change| *change != 0);
        Some(changes)
    }

    /// What no balance record paid, and balances that the causes do not give.
    pub(super) fn finish(&self) -> Vec<String> {
        let unpaid =
            self.owed.iter().filter(|(_, owed)| **owed != 0).map(|((cause, (venue, asset)), owed)| {
                let cause = match cause {
                    Cause::Deposit => "deposits".to_owned(),
                    Cause::Order(id) => format!("order {id}"),
                    Cause::Transfer(id) => format!("transfer {id}"),
                };
                format!("{cause}: {} {asset} on {venue} not booked", Quantity(*owed))
            });
        let keys: std::collections::BTreeSet<&Key> =
            self.balances.keys().chain(self.holdings.keys()).collect();
        let wrong = keys.into_iter().filter_map(|key| {
            let said = self.balances.get(key).copied().unwrap_or(0);
            let own = self.holdings.get(key).copied().unwrap_or(0);
            (said != own).then(|| {
                let (said, own) = (Quantity(said), Quantity(own));
                format!("{} {}: balance {said}, deposits and fills give {own}", key.0, key.1)
            })
        });
        unpaid.chain(wrong).collect()
    }
}

/// The fee of a withdrawal: the asset's own, or so much coin as the flat fee is worth at the mark. `None` when it does not fit.
fn withdrawal_fee(
    terms: &WithdrawalTerms,
    asset: Asset,
    from: Venue,
    price: i128,
    rate: i128,
) -> Option<i128> {
    if let Some(own) = terms.assets.iter().find(|fee| fee.asset == asset) {
        return Some(if from == Venue::Upbit { own.upbit.0 } else { own.binance.0 });
    }
    let quote = match from {
        Venue::Upbit => times_up(terms.flat_usd.0, rate)?,
        Venue::Binance => terms.flat_usd.0,
    };
    up(quote.checked_mul(SCALE)?, price)
}

pub(super) fn add<K: Ord>(map: &mut BTreeMap<K, i128>, key: K, change: i128) -> Option<()> {
    let value = map.entry(key).or_insert(0);
    *value = value.checked_add(change)?;
    Some(())
}
