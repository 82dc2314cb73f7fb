//! What is known of the market: books with their state, venue health, venue clocks, the FX rate. Pure bookkeeping: no
//! decisions and no journal here.

mod books;
mod cross_check;
mod fx;
mod health;
mod trust;

pub use books::{BookState, BrokenWhy, Change, StaleWhy, SymbolBook};
pub use cross_check::CrossCheck;
pub use fx::{Fx, FxProblem};
pub use health::{Finding, Health, VenueClock, VenueHealth};
pub use trust::{CONDITIONS, Trust, condition};
