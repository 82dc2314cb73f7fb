//! What Upbit allows, per address and second; each group has its own budget.

use crate::limits::Rule;
use market::Timestamp;
use std::time::Duration;

/// Token accounting of Upbit.
pub type Budget = crate::limits::Budget<Group>;

/// What Upbit counts together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// `/v1/market/all`.
    Market,
    /// `/v1/candles/..`.
    Candle,
    /// `/v1/trades/..`.
    Trade,
    /// `/v1/ticker..`.
    Ticker,
    /// `/v1/orderbook..`.
    Orderbook,
    /// WebSocket connects.
    Connect,
    /// Messages sent on one connection: keep one budget per connection.
    Message,
}

const TEN: [Rule; 1] = [Rule { limit: 10, window: Duration::from_secs(1) }];
const FIVE: [Rule; 1] = [Rule { limit: 5, window: Duration::from_secs(1) }];
const MESSAGES: [Rule; 2] =
    [Rule { limit: 5, window: Duration::from_secs(1) }, Rule { limit: 100, window: Duration::from_secs(60) }];

impl crate::limits::Group for Group {
    const ALL: &'static [Self] = &[
        Self::Market,
        Self::Candle,
        Self::Trade,
        Self::Ticker,
        Self::Orderbook,
        Self::Connect,
        Self::Message,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Market => "market",
            Self::Candle => "candle",
            Self::Trade => "trade",
            Self::Ticker => "ticker",
            Self::Orderbook => "orderbook",
            Self::Connect => "connect",
            Self::Message => "message",
        }
    }

    fn rules(self) -> &'static [Rule] {
        match self {
            Self::Market | Self::Candle | Self::Trade | Self::Ticker | Self::Orderbook => &TEN,
            Self::Connect => &FIVE,
            Self::Message => &MESSAGES,
        }
    }
}

/// Takes note of the `Remaining-Req` header (`group=default; min=1799; sec=9`): only `sec` means something.
pub fn observe_header(budget: &mut Budget, group: Group, value: &str, now: Timestamp) {
    if let Some(left) = remaining_sec(value) {
        let [rule] = TEN;
        budget.observe_used(group, rule, rule.limit.saturating_sub(left), now);
    }
}

/// The `sec` of a `Remaining-Req` header.
pub fn remaining_sec(value: &str) -> Option<u32> {
    value.split(';').find_map(|part| part.trim().strip_prefix("sec=")?.trim().parse().ok())
}
