//! The two venues.

use serde::{Deserialize, Serialize};

/// A trading venue. The order of the variants is the order in which everything is iterated and stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Venue {
    /// Upbit, KRW market.
    Upbit,
    /// Binance spot, USDT market.
    Binance,
}

impl Venue {
    /// Both venues, in order.
    pub const ALL: [Self; 2] = [Self::Upbit, Self::Binance];

    /// 0 for Upbit, 1 for Binance: an index into `[T; 2]`.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The other venue.
    pub const fn other(self) -> Self {
        match self {
            Self::Upbit => Self::Binance,
            Self::Binance => Self::Upbit,
        }
    }

    /// The name in metrics, logs and artefacts: `upbit`, `binance`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Upbit => "upbit",
            Self::Binance => "binance",
        }
    }

    /// The currency in which the venue quotes: KRW on Upbit, USDT on Binance.
    pub const fn quote(self) -> crate::Asset {
        match self {
            Self::Upbit => crate::Asset::KRW,
            Self::Binance => crate::Asset::USDT,
        }
    }
}

impl std::fmt::Display for Venue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
