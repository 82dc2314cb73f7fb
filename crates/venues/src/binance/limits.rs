//! What Binance allows: weight per minute and address, connects, messages.

use crate::limits::Rule;
use market::Timestamp;
use std::time::Duration;

/// Token accounting of Binance.
pub type Budget = crate::limits::Budget<Group>;

/// What Binance counts together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// REST request weight.
    Weight,
    /// WebSocket connects.
    Connect,
    /// Messages sent on one connection: keep one budget per connection.
    Message,
}

const WEIGHT: Rule = Rule { limit: 6_000, window: Duration::from_secs(60) };
const CONNECT: Rule = Rule { limit: 300, window: Duration::from_secs(300) };
const MESSAGE: Rule = Rule { limit: 5, window: Duration::from_secs(1) };

impl crate::limits::Group for Group {
    const ALL: &'static [Self] = &[Self::Weight, Self::Connect, Self::Message];

    fn as_str(self) -> &'static str {
        match self {
            Self::Weight => "weight",
            Self::Connect => "connect",
            Self::Message => "message",
        }
    }

    fn rules(self) -> &'static [Rule] {
        match self {
            Self::Weight => &[WEIGHT],
            Self::Connect => &[CONNECT],
            Self::Message => &[MESSAGE],
        }
    }
}

/// Weight of `/api/v3/exchangeInfo`.
pub const EXCHANGE_INFO_WEIGHT: u32 = 20;
/// Weight of `/api/v3/klines`.
pub const KLINES_WEIGHT: u32 = 2;
/// Weight of `/api/v3/ticker/24hr` for all symbols.
pub const TICKERS_WEIGHT: u32 = 80;
/// Weight of `/api/v3/time`.
pub const TIME_WEIGHT: u32 = 1;

/// Weight of `/api/v3/depth` by the number of levels asked for.
pub const fn depth_weight(limit: u16) -> u32 {
    match limit {
        0..=100 => 5,
        101..=500 => 25,
        501..=1_000 => 50,
        _ => 250,
    }
}

/// Takes note of the `X-MBX-USED-WEIGHT-1M` header.
pub fn observe_header(budget: &mut Budget, value: &str, now: Timestamp) {
    if let Ok(used) = value.trim().parse() {
        budget.observe_used(Group::Weight, WEIGHT, used, now);
    }
}
