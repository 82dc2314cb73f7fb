//! Units of KPIs, metrics and panels. Conversions do not live here: a value is always in the unit its definition states.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The unit of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// A number of things.
    Count,
    /// Percent, 0 to 100.
    Percent,
    /// US dollars.
    Usd,
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Milliseconds,
    /// Megabytes of 10^6 bytes.
    Megabytes,
    /// A map from a name to a count.
    Map,
    /// Basis points, 1/100 of a percent.
    Bps,
    /// A share, 0 to 1 (or -1 to 1 where a direction matters).
    Ratio,
    /// Bytes.
    Bytes,
    /// Events per second.
    PerSecond,
    /// Events per minute.
    PerMinute,
    /// Events per hour.
    PerHour,
    /// Seconds since 1970-01-01 UTC.
    UnixSeconds,
    /// A rate of exchange: units of the quote currency for one of the base currency.
    Rate,
    /// The constant 1; the labels carry the information.
    Info,
}

impl Unit {
    /// The short sign shown behind a value; empty for plain numbers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Count | Self::Map | Self::Info | Self::Rate | Self::Ratio => "",
            Self::Percent => "%",
            Self::Usd => "USD",
            Self::Seconds | Self::UnixSeconds => "s",
            Self::Milliseconds => "ms",
            Self::Megabytes => "MB",
            Self::Bps => "bps",
            Self::Bytes => "B",
            Self::PerSecond => "/s",
            Self::PerMinute => "/min",
            Self::PerHour => "/h",
        }
    }

    /// The name of the unit, the same as in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Percent => "percent",
            Self::Usd => "usd",
            Self::Seconds => "seconds",
            Self::Milliseconds => "milliseconds",
            Self::Megabytes => "megabytes",
            Self::Map => "map",
            Self::Bps => "bps",
            Self::Ratio => "ratio",
            Self::Bytes => "bytes",
            Self::PerSecond => "per_second",
            Self::PerMinute => "per_minute",
            Self::PerHour => "per_hour",
            Self::UnixSeconds => "unix_seconds",
            Self::Rate => "rate",
            Self::Info => "info",
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
