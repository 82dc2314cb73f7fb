//! The log line of a journal record. Fixed phrases are the catalogue's.

use journal::record::{Body, GuardEvent};

/// The log line of a record.
pub fn log(body: &Body) {
    match body {
        Body::Opened {
            position,
            asset,
            direction,
            notional_usd,
            decided_edge_bps,
            realised_edge_bps,
            ..
        } => {
            tracing::info!(
                "entry {position}: {asset} {} {:.2} USD, edge {decided_edge_bps:.1} bps decided, {realised_edge_bps:.1} realised",
                engine::guards::direction_str(*direction),
                notional_usd.to_f64()
            );
        }
        Body::Closed { position, asset, reason, net_usd, .. } => {
            tracing::info!("exit {position}: {asset} {}, net {:+.4} USD", reason.as_str(), net_usd.to_f64());
        }
        Body::Unwound { position, asset, orphan: true, net_usd } => {
            tracing::warn!(
                "unwind {position}: {asset}, one leg filled and was undone, net {:+.4} USD",
                net_usd.to_f64()
            );
        }
        Body::Unwound { position, asset, orphan: false, .. } => {
            tracing::info!("no entry {position}: {asset}, neither leg filled");
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
        Body::UniverseRefresh(refresh) => tracing::info!(
            "universe: refreshed, {} of {} pass the filters, {} joined, {} left, {} stayed against the ranking",
            refresh.passed,
            refresh.asked,
            refresh.joined.len(),
            refresh.left.len(),
            refresh.stayed.len()
        ),
        Body::Halt(event) => match event.why {
            Some(why) => tracing::warn!("{} on {}: {}", event.asset, event.venue, why.as_str()),
            None => tracing::info!("{} on {} trades as usual again", event.asset, event.venue),
        },
        Body::Resumed { after_seq, cut_records, cut_bytes, positions, orders, .. } => tracing::warn!(
            "the session goes on after record {after_seq}: {positions} positions and {orders} orders came back, \
             {cut_records} records ({cut_bytes} bytes) were cut"
        ),
        Body::End { reason, open_positions } => {
            tracing::info!("session ended: {reason}, {open_positions} positions open")
        }
        _ => {}
    }
}

fn log_guard(guard: &GuardEvent) {
    let (edge, is) = if guard.start { ("starts", "is") } else { ("ends", "is not") };
    tracing::info!(
        "guard {} {} {}: {} {edge}, {} {is} {} {}",
        guard.guard_type,
        guard.rule,
        guard.scope,
        guard.verdict,
        short(guard.observed),
        guard.holds,
        short(guard.threshold)
    );
}

/// At most three decimals: the journal has them all.
fn short(figure: f64) -> f64 {
    (figure * 1e3).round() / 1e3
}
