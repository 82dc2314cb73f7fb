//! The four open models of the paper broker, put together: what a venue charges, how long an order travels, what is left
//! of a displayed book after our own fills, and what the venue refuses. Each is a trait in a file of its own (`fees`,
//! `latency`, `liquidity`, `rejection`); this file only says which ones a session uses.

use crate::config::{Config, LatencySource};
use crate::fees::{FeeModel, TakerFees};
use crate::latency::{ConstantLatency, LatencyModel, MeasuredLatency};
use crate::liquidity::{LiquidityMemory, LiquidityModel};
use crate::rejection::{RejectionModel, VenueRules};
use market::Venue;
use std::time::Duration;

/// The models of a session. Replace a field and start with [`crate::Core::start_with`]: nothing else of the core knows
/// which one it is. The journal's terms name the configured fees, so that the gate, which knows no other schedule, finds
/// a session with another fee model in disagreement.
#[derive(Debug)]
pub struct Models {
    /// What a venue charges.
    pub fees: Box<dyn FeeModel>,
    /// How long an order travels.
    pub latency: Box<dyn LatencyModel>,
    /// The pattern of every book's memory, see [`LiquidityModel::fresh`].
    pub liquidity: Box<dyn LiquidityModel>,
    /// What a venue refuses.
    pub rejection: Box<dyn RejectionModel>,
}

impl Models {
    /// The venues' own models with the configuration's figures.
    pub fn of(config: &Config) -> Self {
        let fees = TakerFees {
            upbit_centibps: config.fees_centibps.upbit,
            binance_centibps: config.fees_centibps.binance,
        };
        let constant = ConstantLatency(
            Venue::ALL.map(|venue| Duration::from_micros(config.latency_us.of(venue).into())),
        );
        let latency: Box<dyn LatencyModel> = match config.latency {
            LatencySource::Constant => Box::new(constant),
            LatencySource::Measured => Box::new(MeasuredLatency::new(config.seed, constant)),
        };
        Self {
            fees: Box::new(fees),
            latency,
            liquidity: Box::new(LiquidityMemory::new()),
            rejection: Box::new(VenueRules),
        }
    }

    /// Four taker fees, basis points: what a round trip pays on its legs.
    pub fn round_trip_fees_bps(&self) -> f64 {
        Venue::ALL.iter().map(|venue| self.fees.bps(*venue)).sum::<f64>() * 2.0
    }
}
