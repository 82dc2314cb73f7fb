//! Inventory that has gathered on one venue: coin is moved to the other, at the price and with the delay of a withdrawal.
//!
//! The imbalance of a symbol is `(a - b) / (a + b)`, a and b what it holds on Upbit and on Binance in coin: one currency, which no
//! premium between the venues moves. For a transfer, what open positions hold is left out (closing them brings it back for nothing) and what is under way counts
//! where it goes. Cash is not moved. What does not live here: the entries of the ledger (`transfers`), and the guard that
//! blocks the worsening side.

use crate::config::Rebalance;
use crate::core::Core;
use crate::legs::Phase;
use crate::transfers::{Transit, fee_usd, withdrawal_fee};
use journal::record::{FxUsed, WithdrawalFee, WithdrawalTerms};
use journal::{Body, Words};
use market::{Asset, FxRate, Money, NANOS_PER_SEC, Price, Quantity, Rounding, Timestamp, Venue};

/// A transfer that could not be made is tried again after this long, nanoseconds.
const RETRY_NS: i64 = 60 * NANOS_PER_SEC;
/// So many in a row raise an alert.
const FAILURES: u32 = 3;

/// Coin to move.
#[derive(Debug, Clone, Copy)]
struct Plan {
    from: Venue,
    /// Leaves the balance, fee included.
    amount: Quantity,
    fee: Quantity,
    fee_usd: Money,
    price: Price,
    imbalance: f64,
}

impl Core {
    /// The terms of withdrawals, when coin may be moved.
    pub(crate) fn withdrawal_terms(&self) -> Option<WithdrawalTerms> {
        (self.config.rebalance == Rebalance::Transfer).then(|| WithdrawalTerms {
            flat_usd: self.config.withdrawal_fee_usd,
            assets: self
                .config
                .withdrawal_fees
                .iter()
                .map(|(asset, fees)| WithdrawalFee {
                    asset: *asset,
                    upbit: fees.upbit,
                    binance: fees.binance,
                })
                .collect(),
            delay_ms: self.config.transfer_delay_ms,
        })
    }

    /// Moves coin of the symbols that have too much of it on one venue. One transfer per symbol at a time, none while
    /// orders are on their way or the session is ending.
    pub(crate) fn rebalance(&mut self) {
        if self.config.rebalance != Rebalance::Transfer || self.stop.is_some() {
            return;
        }
        let Some(fx) = self.fx.used(self.now) else { return };
        for i in 0..self.symbols.len() {
            if self.symbols[i].transfer_after.is_some_and(|after| self.now < after) {
                continue;
            }
            if let Some(plan) = self.plan_transfer(i, fx.rate) {
                self.try_transfer(i, plan, fx);
            }
        }
    }

    /// Sends the coin, or counts that it cannot be sent.
    fn try_transfer(&mut self, i: usize, plan: Plan, fx: FxUsed) {
        let asset = self.symbols[i].member.asset;
        let Plan { from, amount, fee, imbalance, .. } = plan;
        let why = if amount <= fee {
            format!("the withdrawal fee of {fee} is as much as the {amount} to move")
        } else if !self.ledger.covers(from, asset, amount) {
            format!("{from} does not hold the {amount} to move")
        } else {
            let symbol = &mut self.symbols[i];
            (symbol.transfers_failed, symbol.transfer_after) = (0, None);
            self.send_coin(asset, plan, fx);
            return;
        };
        let after = Timestamp(self.now.0.saturating_add(RETRY_NS));
        let symbol = &mut self.symbols[i];
        symbol.transfer_after = Some(after);
        symbol.transfers_failed += 1;
        if symbol.transfers_failed == FAILURES {
            self.alert("SYNC-REBALANCE-FAILED", "Rebalancing failed", move || {
                Words::new(format!(
                    "{asset}: the inventory is {:.0} % out of balance, and {FAILURES} transfers could not be made: {why}",
                    imbalance.abs() * 100.0
                ))
                .label("asset", asset)
            });
        }
    }

    fn plan_transfer(&self, i: usize, fx: FxRate) -> Option<Plan> {
        let symbol = &self.symbols[i];
        let asset = symbol.member.asset;
        let ready = symbol.active
            && symbol.halted == [None; 2]
            && symbol.deposited == [true, true]
            && symbol.books.iter().all(crate::market_state::SymbolBook::is_live)
            && self.ledger.under_way().iter().all(|transit| transit.asset != asset)
            && self.positions.iter().all(|p| p.symbol != i || (p.phase == Phase::Open && p.outstanding == 0));
        if !ready {
            return None;
        }
        let settled = |venue: Venue| {
            let held = self.positions.iter().filter(|p| p.symbol == i).map(|p| p.held[venue.index()].0);
            held.fold(self.ledger.balance(venue, asset).0, i128::saturating_sub)
        };
        let [a, b] = Venue::ALL.map(settled);
        let imbalance = imbalance(a, b)?;
        if imbalance.abs() <= self.config.rebalance_at {
            return None;
        }
        let from = if imbalance > 0.0 { Venue::Upbit } else { Venue::Binance };
        let price = symbol.books[from.index()].last_mid?;
        // Half of what one venue has more, in lots that both venues know.
        let amount = Quantity(a.checked_sub(b)?.checked_abs()? / 2);
        let lot = symbol.member.binance.lot.max(symbol.member.upbit.lot);
        let amount = if lot.0 > 0 { amount.to_step(lot, Rounding::Floor)? } else { amount };
        let fee = withdrawal_fee(&self.config, from, asset, price, fx)?;
        let fee_usd = fee_usd(from, fee, price, fx)?;
        // Less than a lot is nothing that could be moved.
        (amount.0 > 0).then_some(Plan { from, amount, fee, fee_usd, price, imbalance })
    }

    fn send_coin(&mut self, asset: Asset, plan: Plan, fx: FxUsed) {
        let Plan { from, amount, fee, fee_usd, price, imbalance } = plan;
        let Some(rest) = amount.checked_sub(fee) else { return };
        let id = self.last_transfer + 1;
        let arrives = self.after_ms(self.config.transfer_delay_ms);
        let transit = Transit { id, asset, from, amount: rest, arrives };
        match self.ledger.send(transit, fee, fee_usd) {
            Ok(balance) => {
                self.last_transfer = id;
                let change = Quantity(-amount.0);
                self.record(Body::Transfer {
                    transfer: id,
                    asset,
                    from,
                    amount,
                    fee,
                    fee_usd,
                    price,
                    imbalance,
                    arrives,
                    fx,
                });
                self.record(Body::Balance { venue: from, asset, change, balance, order: 0, transfer: id });
                let to = from.other();
                self.note(
                    "info",
                    format!(
                        "transfer {id}: {rest} {asset} on their way from {from} to {to}, fee {fee_usd} USD"
                    ),
                );
            }
            Err(e) => self.trouble(format!("a transfer of {amount} {asset} from {from} failed: {e}")),
        }
    }

    /// Takes in the coin that has arrived by now.
    pub(crate) fn arrive_transfers(&mut self) {
        while let Some(transit) =
            self.ledger.under_way().iter().find(|transit| transit.arrives <= self.now).copied()
        {
            match self.ledger.arrive(transit.id) {
                Ok(Some((Transit { id, asset, from, amount, .. }, balance))) => {
                    let to = from.other();
                    self.record(Body::TransferArrived { transfer: id, asset, to, amount });
                    let change = amount;
                    self.record(Body::Balance { venue: to, asset, change, balance, order: 0, transfer: id });
                    self.record_equity();
                }
                Ok(None) => return,
                Err(e) => {
                    self.ledger.hold_back(transit.id);
                    self.trouble(format!("transfer {} could not be taken in: {e}", transit.id));
                }
            }
        }
    }
}

/// `(a - b) / (a + b)`, `None` when there is nothing.
fn imbalance(a: i128, b: i128) -> Option<f64> {
    let sum = a.checked_add(b)?;
    (sum > 0).then(|| a.checked_sub(b).map(|more| more as f64 / sum as f64))?
}
