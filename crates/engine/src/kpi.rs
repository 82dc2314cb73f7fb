//! KPIs 1 to 17 from journal entries alone: the runner publishes them, and `assay kpi --from-journal` recomputes them with
//! the same code (the gate adds up with code of its own).
//!
//! Sums are exact; a money field becomes a JSON number at the very end, the float nearest to the exact decimal. A field
//! without a value is `null` with a sibling `<field>_reason` that begins with `undefined:` (its denominator was measured to
//! be zero) or `absent:`. What does not live here: latency, memory and log figures, which are not in the journal.

use crate::ledger::PositionFlows;
use journal::percentiles::Spread;
use journal::record::{Body, Entry, ExitReason, GuardEvent};
use market::{Asset, Money, Rounding, Timestamp};
use serde_json::{Map, Number, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Adds up a journal, entry by entry.
#[derive(Debug, Clone, Default)]
pub struct Kpis {
    capital_usd: Option<Money>,
    entries: u64,
    /// Decided, and neither open nor undone yet.
    entering: BTreeSet<u64>,
    open: BTreeSet<u64>,
    flows: BTreeMap<u64, PositionFlows>,
    closes: Closes,
    equity: Option<Equity>,
    guards: Guards,
    position_limit_hits: u64,
    emergency_stops: u64,
    shadows: Shadows,
    funnel: BTreeMap<String, u64>,
    funnel_by_symbol: BTreeMap<Asset, BTreeMap<String, u64>>,
    edges: Edges,
    percentiles: BTreeMap<Asset, [Spread; 2]>,
}

/// Decided against realised, added up.
#[derive(Debug, Clone, Default)]
struct Edges {
    opened: u64,
    decided_bps: f64,
    realised_bps: f64,
    decided_usd: f64,
    realised_usd: f64,
    closed: u64,
    closed_decided_bps: f64,
    closed_realised_bps: f64,
}

/// What closed round trips and unwinds added up to.
#[derive(Debug, Clone, Default)]
struct Closes {
    wins: u64,
    losses: u64,
    shutdown_wins: u64,
    reasons: BTreeMap<ExitReason, u64>,
    won_usd: Money,
    lost_usd: Money,
    gross_usd: Money,
    net_usd: Money,
    unwinds: u64,
    orphans: u64,
    unwind_net_usd: Money,
    slippage_usd: Money,
}

/// Blocked intents that live on: information beside the guards' figures.
#[derive(Debug, Clone, Default)]
struct Shadows {
    opened: u64,
    /// With a result.
    closed: u64,
    net_usd: Money,
}

#[derive(Debug, Clone, Copy)]
struct Equity {
    pnl_usd: Money,
    fx_effect_usd: Option<Money>,
    transfer_cost_usd: Money,
    peak_usd: Money,
    drawdown_usd: Money,
}

#[derive(Debug, Clone, Default)]
struct Guards {
    triggers: u64,
    false_positives: u64,
    by_rule: BTreeMap<(String, String), u64>,
    by_type: BTreeMap<String, u64>,
    /// The terms' thresholds by rule: an event that states another one is not believed.
    thresholds: BTreeMap<String, f64>,
    running: BTreeMap<u64, Timestamp>,
    ended: u64,
    /// Nanoseconds.
    blocked: i128,
}

/// True when the condition of a guard holds for the figure that it states. The threshold itself is not beyond the
/// threshold (a cooldown after 3 losses states 3 above 2), and what is no number holds nothing.
fn condition_holds(guard: &GuardEvent, threshold: f64) -> bool {
    match guard.holds.as_str() {
        "above" => guard.observed > threshold,
        "below" => guard.observed < threshold,
        _ => false,
    }
}

/// 1.7e30 USD: only a damaged journal comes there, and it must not panic.
fn add(sum: &mut Money, amount: Money) {
    sum.0 = sum.0.saturating_add(amount.0);
}

impl Guards {
    fn on(&mut self, at: Timestamp, guard: &GuardEvent) {
        if !guard.start {
            if let Some(started) = self.running.remove(&guard.trigger) {
                self.ended += 1;
                self.blocked = self.blocked.saturating_add(at.since(started).max(0).into());
            }
            return;
        }
        self.triggers += 1;
        let threshold = self.thresholds.get(&guard.rule).copied().unwrap_or(guard.threshold);
        self.false_positives += u64::from(!condition_holds(guard, threshold));
        *self.by_type.entry(guard.guard_type.clone()).or_default() += 1;
        *self.by_rule.entry((guard.guard_type.clone(), guard.rule.clone())).or_default() += 1;
        self.running.insert(guard.trigger, at);
    }
}

impl Closes {
    fn on_closed(&mut self, reason: ExitReason, gross: Money, net: Money) {
        *self.reasons.entry(reason).or_default() += 1;
        if net.0 > 0 {
            self.wins += 1;
            self.shutdown_wins += u64::from(reason == ExitReason::Shutdown);
            add(&mut self.won_usd, net);
        } else {
            self.losses += 1;
            add(&mut self.lost_usd, net);
        }
        add(&mut self.gross_usd, gross);
        add(&mut self.net_usd, net);
    }
}

impl Kpis {
    /// Nothing happened yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an entry. Entries come in the journal's order.
    pub fn on(&mut self, entry: &Entry) {
        match &entry.body {
            Body::Start { terms, .. } => {
                self.capital_usd = Some(terms.capital_usd);
                self.guards.thresholds =
                    terms.guards.as_ref().map(|guards| guards.thresholds.clone()).unwrap_or_default();
            }
            Body::Fill { position, venue, takes, notional, quantity, fee, fee_asset, fx, .. } => {
                let filled = crate::ledger::FillFigures {
                    venue: *venue,
                    takes: *takes,
                    quantity: *quantity,
                    notional: *notional,
                    fee: *fee,
                    fee_asset: *fee_asset,
                };
                // An amount that does not fit cannot come from our own writer; the position's net is in its own record.
                let _ = self.flows.entry(*position).or_default().on_figures(&filled, fx.rate);
            }
            Body::Decision { position, .. } => {
                self.entering.insert(*position);
            }
            Body::Opened {
                position,
                decided_edge_bps,
                realised_edge_bps,
                decided_edge_usd,
                realised_edge_usd,
                ..
            } => {
                let edges = &mut self.edges;
                edges.opened += 1;
                edges.decided_bps += decided_edge_bps;
                edges.realised_bps += realised_edge_bps;
                edges.decided_usd += decided_edge_usd;
                edges.realised_usd += realised_edge_usd;
                self.entering.remove(position);
                self.entries += 1;
                self.open.insert(*position);
            }
            Body::Closed {
                position,
                reason,
                gross_usd,
                net_usd,
                slippage_usd,
                decided_edge_bps,
                realised_edge_bps,
                ..
            } => {
                let edges = &mut self.edges;
                edges.closed += 1;
                edges.closed_decided_bps += decided_edge_bps;
                edges.closed_realised_bps += realised_edge_bps;
                add(&mut self.closes.slippage_usd, *slippage_usd);
                self.open.remove(position);
                self.flows.remove(position);
                self.closes.on_closed(*reason, *gross_usd, *net_usd);
            }
            Body::Unwound { position, orphan, net_usd, .. } => {
                self.entering.remove(position);
                // The record has no gross: net plus the fees of the position's fills.
                let fees = self.flows.remove(position).map_or(Money::ZERO, |flows| flows.fees_usd());
                let closes = &mut self.closes;
                closes.unwinds += 1;
                closes.orphans += u64::from(*orphan);
                add(&mut closes.unwind_net_usd, *net_usd);
                add(&mut closes.net_usd, *net_usd);
                add(&mut closes.gross_usd, *net_usd);
                add(&mut closes.gross_usd, fees);
            }
            Body::Guard(guard) => self.guards.on(entry.at, guard),
            Body::Funnel { asset, counts } => {
                let sums = match asset {
                    None => &mut self.funnel,
                    Some(asset) => self.funnel_by_symbol.entry(*asset).or_default(),
                };
                for (stage, count) in counts {
                    let sum = sums.entry(stage.clone()).or_default();
                    *sum = sum.saturating_add(*count);
                }
            }
            Body::Percentiles { asset, session, .. } => {
                self.percentiles.insert(*asset, **session);
            }
            Body::Equity { pnl_usd, fx_effect_usd, transfer_cost_usd, .. } => {
                self.on_equity(*pnl_usd, *fx_effect_usd, *transfer_cost_usd);
            }
            Body::PositionLimit { .. } => self.position_limit_hits += 1,
            Body::EmergencyStop { .. } => self.emergency_stops += 1,
            Body::ShadowOpened { .. } => self.shadows.opened += 1,
            Body::ShadowClosed { net_usd: Some(net), .. } => {
                self.shadows.closed += 1;
                add(&mut self.shadows.net_usd, *net);
            }
            _ => {}
        }
    }

    /// Before the first point nothing was traded, so the first peak is at least zero.
    fn on_equity(&mut self, pnl_usd: Money, fx_effect_usd: Option<Money>, transfer_cost_usd: Option<Money>) {
        let (peak, drawdown) =
            self.equity.map_or((Money::ZERO, Money::ZERO), |e| (e.peak_usd, e.drawdown_usd));
        let peak_usd = peak.max(pnl_usd);
        let fall = Money(peak_usd.0.saturating_sub(pnl_usd.0));
        let drawdown_usd = drawdown.max(fall);
        let transfer_cost_usd = transfer_cost_usd.unwrap_or(Money::ZERO);
        self.equity = Some(Equity { pnl_usd, fx_effect_usd, transfer_cost_usd, peak_usd, drawdown_usd });
    }

    /// Entries with both legs filled.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// Exits with both legs closed.
    pub fn exits(&self) -> u64 {
        self.round_trips()
    }

    /// Round trips completed, whatever the reason.
    pub fn round_trips(&self) -> u64 {
        self.closes.wins + self.closes.losses
    }

    /// Round trips that were not closed by the end of the run.
    pub fn round_trips_without_shutdown(&self) -> u64 {
        self.round_trips() - self.closes.reasons.get(&ExitReason::Shutdown).copied().unwrap_or(0)
    }

    /// Round trips with net > 0.
    pub fn wins(&self) -> u64 {
        self.closes.wins
    }

    /// Round trips with net <= 0.
    pub fn losses(&self) -> u64 {
        self.closes.losses
    }

    /// Share of round trips with net > 0 in percent, `shutdown` closes left out; `None` without any.
    pub fn win_rate_pct(&self) -> Option<f64> {
        percent(self.closes.wins - self.closes.shutdown_wins, self.round_trips_without_shutdown())
    }

    /// Closed round trips and unwinds before fees, USD.
    pub fn gross_usd(&self) -> Money {
        self.closes.gross_usd
    }

    /// Closed round trips and unwinds after fees, USD.
    pub fn net_usd(&self) -> Money {
        self.closes.net_usd
    }

    /// The last equity point's PnL, USD: net and FX effect, open positions at marks. `None` before the first.
    pub fn pnl_usd(&self) -> Option<Money> {
        self.equity.map(|equity| equity.pnl_usd)
    }

    /// The part of [`Self::pnl_usd`] that the rate's moves made of the KRW of fills, USD. `None` before the first point, or
    /// when the journal does not tell it apart.
    pub fn fx_effect_usd(&self) -> Option<Money> {
        self.equity.and_then(|equity| equity.fx_effect_usd)
    }

    /// The rest of [`Self::pnl_usd`], USD: what trading made, at the rates of the fills.
    pub fn trading_pnl_usd(&self) -> Option<Money> {
        self.equity.and_then(|equity| equity.pnl_usd.checked_sub(equity.fx_effect_usd?))
    }

    /// Withdrawal fees of transfers, USD; inside [`Self::pnl_usd`].
    pub fn transfer_cost_usd(&self) -> Money {
        self.equity.map_or(Money::ZERO, |equity| equity.transfer_cost_usd)
    }

    /// Decided against realised gross of closed round trips, USD: what latency and depth cost.
    pub fn slippage_usd(&self) -> Money {
        self.closes.slippage_usd
    }

    /// The largest fall of the equity points from their peak, USD. `None` before the first.
    pub fn drawdown_usd(&self) -> Option<Money> {
        self.equity.map(|equity| equity.drawdown_usd)
    }

    /// Round trips by reason; reasons that did not occur are missing.
    pub fn exit_reasons(&self) -> &BTreeMap<ExitReason, u64> {
        &self.closes.reasons
    }

    /// Entries that never became a position.
    pub fn unwinds(&self) -> u64 {
        self.closes.unwinds
    }

    /// Guard triggers by (type, rule).
    pub fn guard_triggers(&self) -> &BTreeMap<(String, String), u64> {
        &self.guards.by_rule
    }

    /// Time between the triggers that have ended and their ends, seconds.
    pub fn guard_blocked_seconds(&self) -> f64 {
        self.guards.blocked as f64 / 1e9
    }

    /// How often `Position limit` held back an entry.
    pub fn position_limit_hits(&self) -> u64 {
        self.position_limit_hits
    }

    /// How often the emergency stop latched.
    pub fn emergency_stops(&self) -> u64 {
        self.emergency_stops
    }

    /// Positions open.
    pub fn open_positions(&self) -> u64 {
        self.open.len() as u64
    }

    /// Totals of the funnel by stage.
    pub fn funnel(&self) -> &BTreeMap<String, u64> {
        &self.funnel
    }

    /// KPIs 1 to 17 and their reading aids, by field name.
    pub fn fields(&self) -> Map<String, Value> {
        let mut fields = Fields(Map::new());
        self.trading_fields(&mut fields);
        self.money_fields(&mut fields);
        self.edge_fields(&mut fields);
        self.guard_fields(&mut fields);
        fields.0
    }

    fn trading_fields(&self, fields: &mut Fields) {
        fields.count("total_trades", self.entries + self.exits());
        fields.count("entry_trades", self.entries);
        fields.count("exit_trades", self.exits());
        fields.count("round_trips_completed", self.round_trips());
        fields.count("round_trips_without_shutdown", self.round_trips_without_shutdown());
        fields.float("win_rate_pct", self.win_rate_pct(), "undefined: no closed trades");
        fields.count("wins", self.closes.wins);
        fields.count("losses", self.closes.losses);
        fields.count("wins_without_shutdown", self.closes.wins - self.closes.shutdown_wins);
        fields.count("unwinds", self.closes.unwinds);
        fields.count("orphans", self.closes.orphans);
        fields.count("open_positions", self.open_positions());
        // At the end of a run: a leg may have filled and is reported as open by the session, though no round trip began.
        fields.count("unfinished_entries", self.entering.len() as u64);
        let reasons = ExitReason::ALL.iter().map(|reason| {
            (reason.as_str().to_owned(), Value::from(self.closes.reasons.get(reason).copied().unwrap_or(0)))
        });
        fields.0.insert("exit_reasons".to_owned(), Value::Object(reasons.collect()));
        fields.0.insert("funnel".to_owned(), stages(&self.funnel));
        let by_symbol = self.funnel_by_symbol.iter().map(|(asset, sums)| (asset.to_string(), stages(sums)));
        fields.0.insert("funnel_by_symbol".to_owned(), Value::Object(by_symbol.collect()));
    }

    fn money_fields(&self, fields: &mut Fields) {
        let closes = &self.closes;
        let no_point = "absent: the journal has no equity point";
        fields.money("paper_capital_usd", self.capital_usd, "absent: the journal has no start record");
        fields.money("total_pnl_usd", self.pnl_usd(), no_point);
        fields.money("gross_pnl_usd", Some(closes.gross_usd), "");
        fields.money("net_pnl_usd", Some(closes.net_usd), "");
        let not_apart = "absent: the journal does not tell the FX effect apart";
        fields.money("trading_pnl_usd", self.trading_pnl_usd(), not_apart);
        fields.money("fx_effect_usd", self.fx_effect_usd(), not_apart);
        fields.money("transfer_cost_usd", Some(self.transfer_cost_usd()), "");
        fields.money("slippage_usd", Some(closes.slippage_usd), "");
        fields.money("unwind_net_usd", Some(closes.unwind_net_usd), "");
        fields.money("max_drawdown_usd", self.drawdown_usd(), no_point);
        // The mean of nothing is refused by the division.
        let mean = |sum: Money, n: u64| sum.ratio(1, n.into(), Rounding::Floor);
        fields.money("avg_win_usd", mean(closes.won_usd, closes.wins), "undefined: no winning trades");
        fields.money("avg_loss_usd", mean(closes.lost_usd, closes.losses), "undefined: no losing trades");
    }

    /// Decided against realised: of entries by their fills, of closed trips by their net; and where the edges stood.
    fn edge_fields(&self, fields: &mut Fields) {
        let edges = &self.edges;
        let mean = |sum: f64, n: u64| (n > 0).then(|| sum / n as f64);
        let (no_entry, no_trip) = ("undefined: no entries", "undefined: no closed trades");
        fields.float("decided_edge_avg_bps", mean(edges.decided_bps, edges.opened), no_entry);
        fields.float("realised_edge_avg_bps", mean(edges.realised_bps, edges.opened), no_entry);
        fields.float("decided_edge_usd", Some(edges.decided_usd), "");
        fields.float("realised_edge_usd", Some(edges.realised_usd), "");
        fields.float("trip_decided_edge_avg_bps", mean(edges.closed_decided_bps, edges.closed), no_trip);
        fields.float("trip_realised_edge_avg_bps", mean(edges.closed_realised_bps, edges.closed), no_trip);
        let symbols = self.percentiles.iter().map(|(asset, spreads)| {
            let directions = journal::record::Direction::ALL.into_iter().zip(spreads);
            let directions = directions.map(|(direction, spread)| {
                let spread = serde_json::to_value(spread).unwrap_or(Value::Null);
                (crate::guards::direction_str(direction).to_owned(), spread)
            });
            (asset.to_string(), Value::Object(directions.collect()))
        });
        fields.0.insert("percentiles".to_owned(), Value::Object(symbols.collect()));
    }

    fn guard_fields(&self, fields: &mut Fields) {
        let guards = &self.guards;
        let none = "undefined: no guard triggers";
        fields.count("guard_triggers", guards.triggers);
        let mut by_type: Map<String, Value> =
            catalogue::GUARD_TYPES.iter().map(|name| ((*name).to_owned(), Value::from(0))).collect();
        by_type.extend(guards.by_type.iter().map(|(name, count)| (name.clone(), Value::from(*count))));
        fields.0.insert("guard_triggers_by_type".to_owned(), Value::Object(by_type));
        fields.count("guard_false_positives", guards.false_positives);
        fields.float("guard_false_positives_pct", percent(guards.false_positives, guards.triggers), none);
        let average = (guards.ended > 0).then(|| self.guard_blocked_seconds() / guards.ended as f64);
        let why = if guards.triggers == 0 { none } else { "undefined: no guard trigger has ended" };
        fields.float("guard_block_duration_avg_s", average, why);
        fields.count("position_limit_hits", self.position_limit_hits);
        fields.count("emergency_stops", self.emergency_stops);
        let shadows = &self.shadows;
        fields.count("shadows_opened", shadows.opened);
        fields.count("shadows_closed", shadows.closed);
        fields.money("shadows_net_usd", Some(shadows.net_usd), "");
        let mean = shadows.net_usd.ratio(1, shadows.closed.into(), Rounding::Floor);
        fields.money("shadows_net_avg_usd", mean, "undefined: no shadow position has a result");
    }
}

fn stages(sums: &BTreeMap<String, u64>) -> Value {
    Value::Object(sums.iter().map(|(stage, count)| (stage.clone(), Value::from(*count))).collect())
}

fn percent(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 * 100.0 / whole as f64)
}

struct Fields(Map<String, Value>);

impl Fields {
    fn count(&mut self, field: &str, value: u64) {
        self.0.insert(field.to_owned(), Value::from(value));
    }

    /// Through the decimal spelling: the nearest float, which prints as that decimal again up to 15 digits.
    fn money(&mut self, field: &str, value: Option<Money>, why: &str) {
        let number = value.and_then(|money| money.to_string().parse::<f64>().ok()).and_then(Number::from_f64);
        self.number(field, number, why);
    }

    /// Rounded to 8 decimals.
    fn float(&mut self, field: &str, value: Option<f64>, why: &str) {
        self.number(field, value.and_then(|v| Number::from_f64((v * 1e8).round() / 1e8)), why);
    }

    fn number(&mut self, field: &str, value: Option<Number>, why: &str) {
        match value {
            Some(number) => {
                self.0.insert(field.to_owned(), Value::Number(number));
            }
            None => {
                self.0.insert(field.to_owned(), Value::Null);
                self.0.insert(format!("{field}_reason"), Value::from(why));
            }
        }
    }
}

#[cfg(test)]
mod tests;
