//! The log line of a journal record. Fixed phrases are the catalogue's.

use journal::record::{Body, GuardEvent};

/// The log line of a record.
pub fn log(body: &Body) {
    match body {
        Body::Opened { position, asset, direction, notional_usd, realised_edge_bps, .. } => {
            tracing::info!(
                "entry {position}: {asset} {direction:?} {notional_usd} USD, edge {realised_edge_bps:.1} bps"
            );
        }
        Body::Closed { position, asset, reason, net_usd, .. } => {
            tracing::info!("exit {position}: {asset} {}, net {net_usd} USD", reason.as_str());
        }
        Body::Unwound { position, asset, orphan, net_usd } => {
            tracing::warn!("unwind {position}: {asset}, orphan {orphan}, net {net_usd} USD");
        }
        Body::Guard(guard) => log_guard(guard),
        Body::PositionLimit { asset, open } => {
            tracing::warn!("{}: {open} open positions, no entry for {asset}", catalogue::LOG_POSITION_LIMIT);
        }
        Body::EmergencyStop { daily_net_usd } => {
            tracing::error!(
                "{}: daily result {daily_net_usd} USD, closing everything",
                catalogue::LOG_EMERGENCY_STOP
            );
        }
        Body::Note { level, text } => match level.as_str() {
            "error" => tracing::error!("{text}"),
            "warning" => tracing::warn!("{text}"),
            _ => tracing::info!("{text}"),
        },
        Body::Universe { asked, members } => {
            tracing::info!("universe: {} of {asked} asked", members.len());
        }
        Body::End { reason, open_positions } => {
            tracing::info!("session ended: {reason}, {open_positions} positions open")
        }
        _ => {}
    }
}

fn log_guard(guard: &GuardEvent) {
    let edge = if guard.start { "starts" } else { "ends" };
    tracing::info!(
        "guard {} {} {}: {} {edge}, {} against {}",
        guard.guard_type,
        guard.rule,
        guard.scope,
        guard.verdict,
        guard.observed,
        guard.threshold
    );
}
