//! KRW per USDT.

use crate::{Money, Price, Rounding};
use serde::{Deserialize, Serialize};

/// KRW for one USDT. USD figures treat 1 USDT as 1 USD, and say so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct FxRate(pub Price);

impl FxRate {
    /// KRW to USD. `None` when the rate is zero or the result does not fit.
    pub fn krw_to_usd(self, krw: Money, rounding: Rounding) -> Option<Money> {
        krw.ratio(crate::SCALE, self.0.0.into(), rounding)
    }

    /// USD to KRW. `None` when the result does not fit.
    pub fn usd_to_krw(self, usd: Money, rounding: Rounding) -> Option<Money> {
        usd.ratio(self.0.0.into(), crate::SCALE, rounding)
    }
}
