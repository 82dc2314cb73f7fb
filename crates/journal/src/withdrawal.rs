//! What moving coin between the venues costs, as the start record states it. Not here: the records of a transfer (`record`).

use market::{Asset, Money, Quantity};
use serde::{Deserialize, Serialize};

/// What a withdrawal costs. The fee is taken out of the amount that leaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct WithdrawalTerms {
    /// The fee of an asset that is not in `assets`, USD: so much coin at the sending venue's mark, rounded up to 1e-8.
    pub flat_usd: Money,
    /// Fees in coin.
    pub assets: Vec<WithdrawalFee>,
    /// From leaving to arriving, milliseconds.
    pub delay_ms: i64,
}

/// The withdrawal fee of an asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct WithdrawalFee {
    /// Asset.
    pub asset: Asset,
    /// In coin, when it leaves Upbit.
    pub upbit: Quantity,
    /// In coin, when it leaves Binance.
    pub binance: Quantity,
}
