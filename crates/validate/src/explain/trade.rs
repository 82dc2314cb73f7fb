//! A trade, from its decision to its last cent. Times are relative to the decision.

use journal::record::{Direction, ExitReason, FxUsed, GuardEvent, Purpose, Taken, Terms, Touch};
use journal::{Body, Entry};
use market::{Asset, FxRate, Money, Price, Quantity, Rounding, Side, Timestamp, Venue};
use serde::Serialize;
use std::collections::BTreeMap;

/// The story of a trade.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TradeStory {
    /// Runner id.
    pub run_id: String,
    /// `smoke`, `planted`, `main`; `None` for a journal that was named by its path.
    pub phase: Option<String>,
    /// Position id.
    pub trade: u64,
    /// Asset.
    pub asset: Asset,
    /// Direction.
    pub direction: Direction,
    /// The entry as it was decided.
    pub decided: Decided,
    /// Guards that held at the decision, whatever their scope, and those that began or ended while the trade lived.
    pub guards: Vec<GuardState>,
    /// Its orders, as they were sent.
    pub orders: Vec<OrderStory>,
    /// When both legs were filled.
    pub opened: Option<Opened>,
    /// The decision to leave.
    pub exit: Option<Exited>,
    /// How it ended.
    pub ended: Ended,
    /// What each fill moved, USD.
    pub legs: Vec<Leg>,
    /// Coin that rounding to lots left (below zero: took), over both venues and net of fees in coin. It stays in the inventory
    /// and counts in the result at its last price.
    pub left_over: Quantity,
    /// Decided against realised.
    pub slippage: Option<Slippage>,
}

/// An entry as it was decided.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Decided {
    /// When.
    pub at: Timestamp,
    /// Base quantity intended per leg.
    pub quantity: Quantity,
    /// Value of a leg, USD.
    pub notional_usd: Money,
    /// Best bid and ask, Upbit's first.
    pub touch: [Option<Touch>; 2],
    /// Average executable price per venue in its own currency, Upbit's first.
    pub prices: [Price; 2],
    /// Executable gap, basis points.
    pub gap_bps: f64,
    /// Level of this direction.
    pub level_bps: f64,
    /// Level of the opposite direction: what leaving usually brings.
    pub opposite_level_bps: f64,
    /// Four taker fees, basis points.
    pub fees_bps: f64,
    /// The reserve, basis points: what is left of the difference between gap, level, fees and edge.
    pub reserve_bps: f64,
    /// Edge, basis points.
    pub edge_bps: f64,
    /// What the entry should bring before fees, USD.
    pub gross_usd: Money,
    /// The signal rate.
    pub fx: FxUsed,
    /// Health per venue when it was last recorded before, Upbit's first.
    pub health: Option<[String; 2]>,
    /// Open positions then.
    pub open_positions: Option<u32>,
    /// Exposure then, USD.
    pub exposure_usd: Option<Money>,
    /// Result since the day boundary then, USD.
    pub daily_net_usd: Option<Money>,
}

/// A guard's transition, as far as it concerns the trade.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GuardState {
    /// The guard's type and rule, such as `symbol exposure_degrade`.
    pub guard: String,
    /// What it applies to.
    pub scope: String,
    /// `degrade`, `cooldown`, `block`.
    pub verdict: String,
    /// The figure and its threshold.
    pub observed: f64,
    /// What it was compared with.
    pub threshold: f64,
    /// Began, ms after the decision; negative for what held already.
    pub began_ms: f64,
    /// Ended, ms after the decision, when it did while the trade lived.
    pub ended_ms: Option<f64>,
}

/// An order.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OrderStory {
    /// Order id.
    pub order: u64,
    /// What for.
    pub purpose: Purpose,
    /// Venue.
    pub venue: Venue,
    /// `ask` is a buy.
    pub takes: Side,
    /// Base quantity asked for.
    pub quantity: Quantity,
    /// Sent, ms after the decision.
    pub sent_ms: f64,
    /// The earliest it can meet the book, ms after the decision.
    pub arrives_ms: f64,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of an order.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Filled, wholly or in part.
    Filled(FillStory),
    /// Refused, or met nothing.
    Refused {
        /// ms after the decision.
        at_ms: f64,
        /// Why.
        why: String,
    },
    /// Still under way when the journal ends.
    UnderWay,
}

/// A fill.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FillStory {
    /// ms after the decision.
    pub at_ms: f64,
    /// Base quantity.
    pub quantity: Quantity,
    /// Quote amount before fees.
    pub notional: Money,
    /// Average price; `None` when it does not fit.
    pub price: Option<Price>,
    /// Levels taken, with what was displayed there.
    pub levels: Vec<Taken>,
    /// Fee, in units of `fee_asset`.
    pub fee: Quantity,
    /// The asset that the fee was taken in.
    pub fee_asset: Asset,
    /// The rate for valuing it.
    pub fx: FxUsed,
}

/// Both legs of the entry are filled.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Opened {
    /// ms after the decision.
    pub at_ms: f64,
    /// Matched base quantity.
    pub quantity: Quantity,
    /// Realised gap, basis points.
    pub gap_bps: f64,
    /// Edge of the fills as they were, basis points.
    pub realised_edge_bps: f64,
}

/// A decision to leave.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Exited {
    /// ms after the decision to enter.
    pub at_ms: f64,
    /// Why.
    pub reason: ExitReason,
    /// What that reason compared, in a sentence.
    pub because: String,
    /// Best bid and ask, Upbit's first.
    pub touch: [Option<Touch>; 2],
    /// Touch gap of the way out at the fill instant and now, basis points.
    pub out_bps: [Option<f64>; 2],
    /// Touch gap of the trade's own direction, basis points.
    pub in_bps: Option<f64>,
    /// Level of the trade's own direction, basis points.
    pub level_bps: Option<f64>,
    /// Net of the whole round trip if closed then, basis points of a leg's value.
    pub net_bps: Option<f64>,
    /// What the way out should bring before fees, USD.
    pub gross_usd: Option<Money>,
}

/// How a trade ended.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// A round trip.
    Closed {
        /// ms after the decision.
        at_ms: f64,
        /// ms between the entry's fills and this.
        held_ms: f64,
        /// Why.
        reason: ExitReason,
        /// Before fees, USD.
        gross_usd: Money,
        /// All fees, USD.
        fees_usd: Money,
        /// After fees, USD.
        net_usd: Money,
    },
    /// It never became a position.
    Unwound {
        /// ms after the decision.
        at_ms: f64,
        /// True when a leg had filled and was undone at cost.
        orphan: bool,
        /// Result, USD.
        net_usd: Money,
    },
    /// It is open where the journal ends.
    Open,
}

/// What a fill moved, in USD at its own rate.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Leg {
    /// Order id.
    pub order: u64,
    /// What for.
    pub purpose: Purpose,
    /// Venue.
    pub venue: Venue,
    /// `ask` is a buy.
    pub takes: Side,
    /// Received, or paid (below zero), before fees.
    pub flow_usd: Option<Money>,
    /// Fee.
    pub fee_usd: Option<Money>,
    /// KRW per USDT that it was valued with.
    pub rate: FxRate,
}

/// Decided against realised.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Slippage {
    /// What entry and exit should have brought before fees, USD.
    pub decided_usd: Option<Money>,
    /// What they brought, USD.
    pub realised_usd: Money,
    /// The difference, above zero is a loss: what latency and depth cost, USD.
    pub usd: Money,
    /// The same in basis points of a leg's value.
    pub bps: Option<f64>,
    /// Decided less realised edge of the entry, basis points.
    pub entry_bps: Option<f64>,
}

/// Builds the story while the journal goes by.
#[derive(Debug)]
pub(super) struct Teller {
    wanted: u64,
    run_id: String,
    terms: Option<Terms>,
    holding: BTreeMap<u64, (Timestamp, GuardEvent)>,
    figures: Option<(Timestamp, [String; 2], u32, Money, Money)>,
    story: Option<TradeStory>,
    triggers: Vec<u64>,
}

fn ms(from: Timestamp, to: Timestamp) -> f64 {
    // Nanoseconds of one trade's life stay exact far beyond a day.
    (to.0 - from.0) as f64 / 1e6
}

impl Teller {
    pub(super) fn new(wanted: u64) -> Self {
        Self {
            wanted,
            run_id: String::new(),
            terms: None,
            holding: BTreeMap::new(),
            figures: None,
            story: None,
            triggers: Vec::new(),
        }
    }

    pub(super) fn finish(self, phase: Option<String>) -> Option<TradeStory> {
        self.story.map(|story| TradeStory { phase, ..story })
    }

    pub(super) fn on(&mut self, entry: &Entry) {
        let over = self.story.as_ref().is_some_and(|story| story.ended != Ended::Open);
        if over {
            return;
        }
        match &entry.body {
            Body::Start { run_id, terms, .. } => {
                self.run_id.clone_from(run_id);
                self.terms = Some(terms.clone());
            }
            Body::Figures { health, positions, exposure_usd, daily_net_usd, .. } => {
                self.figures = Some((entry.at, health.clone(), *positions, *exposure_usd, *daily_net_usd));
            }
            Body::Guard(event) => self.on_guard(entry.at, event),
            Body::Decision { position, .. } if *position == self.wanted => self.on_decision(entry),
            _ => {
                let terms = self.terms.clone();
                if let Some(story) = &mut self.story {
                    on_own(story, entry, terms.as_ref());
                }
            }
        }
    }

    fn on_guard(&mut self, at: Timestamp, event: &GuardEvent) {
        if event.start {
            self.holding.insert(event.trigger, (at, event.clone()));
        } else {
            self.holding.remove(&event.trigger);
        }
        let Some(story) = &mut self.story else { return };
        if !concerns(&event.scope, story.asset, story.direction) {
            return;
        }
        let since = ms(story.decided.at, at);
        let known = self.triggers.iter().position(|trigger| *trigger == event.trigger);
        match (event.start, known) {
            (true, None) => {
                self.triggers.push(event.trigger);
                story.guards.push(guard_state(event, since));
            }
            (false, Some(i)) => story.guards[i].ended_ms = Some(since),
            _ => {}
        }
    }

    fn on_decision(&mut self, entry: &Entry) {
        let Body::Decision {
            position,
            asset,
            direction,
            quantity,
            notional_usd,
            gap_bps,
            level_bps,
            opposite_level_bps,
            edge_bps,
            prices,
            gross_usd,
            touch,
            fx,
            ..
        } = &entry.body
        else {
            return;
        };
        let fees = self.terms.as_ref().map_or(0.0, |t| {
            f64::from(t.upbit_fee_centibps.saturating_add(t.binance_fee_centibps)) * 2.0 / 100.0
        });
        let figures = self.figures.as_ref();
        let decided = Decided {
            at: entry.at,
            quantity: *quantity,
            notional_usd: *notional_usd,
            touch: *touch,
            prices: *prices,
            gap_bps: *gap_bps,
            level_bps: *level_bps,
            opposite_level_bps: *opposite_level_bps,
            fees_bps: fees,
            reserve_bps: gap_bps + opposite_level_bps - fees - edge_bps,
            edge_bps: *edge_bps,
            gross_usd: *gross_usd,
            fx: *fx,
            health: figures.map(|f| f.1.clone()),
            open_positions: figures.map(|f| f.2),
            exposure_usd: figures.map(|f| f.3),
            daily_net_usd: figures.map(|f| f.4),
        };
        self.holding.retain(|_, (_, event)| concerns(&event.scope, *asset, *direction));
        self.triggers = self.holding.keys().copied().collect();
        self.story = Some(TradeStory {
            run_id: self.run_id.clone(),
            phase: None,
            trade: *position,
            asset: *asset,
            direction: *direction,
            decided,
            guards: self.holding.values().map(|(at, event)| guard_state(event, ms(entry.at, *at))).collect(),
            orders: Vec::new(),
            opened: None,
            exit: None,
            ended: Ended::Open,
            legs: Vec::new(),
            left_over: Quantity::ZERO,
            slippage: None,
        });
    }
}

/// A guard concerns a trade when its scope holds the trade's symbol and direction: `*`, a venue (a trade has a leg on both), the asset, a
/// direction, or a route of both (`ETH:buy_upbit`).
fn concerns(scope: &str, asset: Asset, direction: Direction) -> bool {
    let own = if direction == Direction::BuyUpbit { "buy_upbit" } else { "buy_binance" };
    let of = |part: &str| match part {
        "buy_upbit" | "buy_binance" => part == own,
        part => matches!(part, "*" | "upbit" | "binance") || part == asset.as_str(),
    };
    scope.split(':').all(of)
}

fn guard_state(event: &GuardEvent, began_ms: f64) -> GuardState {
    GuardState {
        guard: format!("{} {}", event.guard_type, event.rule),
        scope: event.scope.clone(),
        verdict: event.verdict.clone(),
        observed: event.observed,
        threshold: event.threshold,
        began_ms,
        ended_ms: None,
    }
}

/// A record of the trade itself.
fn on_own(story: &mut TradeStory, entry: &Entry, terms: Option<&Terms>) {
    let since = ms(story.decided.at, entry.at);
    let trade = story.trade;
    match &entry.body {
        Body::Order { order, position, purpose, venue, takes, quantity, arrives, .. }
            if *position == trade =>
        {
            story.orders.push(OrderStory {
                order: *order,
                purpose: *purpose,
                venue: *venue,
                takes: *takes,
                quantity: *quantity,
                sent_ms: since,
                arrives_ms: ms(story.decided.at, *arrives),
                outcome: Outcome::UnderWay,
            });
        }
        Body::Rejected { order, refusal, .. } => {
            if let Some(known) = story.orders.iter_mut().find(|known| known.order == *order) {
                known.outcome = Outcome::Refused { at_ms: since, why: refusal.to_string() };
            }
        }
        Body::Fill { position, .. } if *position == trade => on_fill(story, &entry.body, since),
        Body::Opened { position, quantity, gap_bps, realised_edge_bps, .. } if *position == trade => {
            story.opened = Some(Opened {
                at_ms: since,
                quantity: *quantity,
                gap_bps: *gap_bps,
                realised_edge_bps: *realised_edge_bps,
            });
        }
        Body::Exit { position, .. } if *position == trade => {
            story.exit = exited(&entry.body, since, terms);
        }
        Body::Closed { position, reason, opened_at, gross_usd, fees_usd, net_usd, slippage_usd, .. }
            if *position == trade =>
        {
            story.ended = Ended::Closed {
                at_ms: since,
                held_ms: ms(*opened_at, entry.at),
                reason: *reason,
                gross_usd: *gross_usd,
                fees_usd: *fees_usd,
                net_usd: *net_usd,
            };
            story.slippage = Some(slippage(story, *gross_usd, *slippage_usd));
        }
        Body::Unwound { position, orphan, net_usd, .. } if *position == trade => {
            story.ended = Ended::Unwound { at_ms: since, orphan: *orphan, net_usd: *net_usd };
        }
        _ => {}
    }
}

fn on_fill(story: &mut TradeStory, body: &Body, at_ms: f64) {
    let Body::Fill { order, purpose, venue, takes, levels, quantity, notional, fee, fee_asset, fx, .. } =
        body
    else {
        return;
    };
    let rounding = if *takes == Side::Ask { Rounding::Ceil } else { Rounding::Floor };
    let fill = FillStory {
        at_ms,
        quantity: *quantity,
        notional: *notional,
        price: notional.price_of(*quantity, rounding),
        levels: levels.clone(),
        fee: *fee,
        fee_asset: *fee_asset,
        fx: *fx,
    };
    let usd = |amount: Money, rounding| match venue {
        Venue::Upbit => fx.rate.krw_to_usd(amount, rounding),
        Venue::Binance => Some(amount),
    };
    // A fee in coin is worth its share of what the fill cost.
    let fee_quote = if *fee_asset == venue.quote() {
        Some(Money(fee.0))
    } else {
        notional.ratio(fee.0, quantity.0, Rounding::Ceil)
    };
    let coin_fee = if *fee_asset == venue.quote() { Quantity::ZERO } else { *fee };
    let coin = match takes {
        Side::Ask => quantity.0.saturating_sub(coin_fee.0),
        Side::Bid => quantity.0.saturating_add(coin_fee.0).saturating_neg(),
    };
    story.left_over = Quantity(story.left_over.0.saturating_add(coin));
    let signed = if *takes == Side::Ask { Money(-notional.0) } else { *notional };
    story.legs.push(Leg {
        order: *order,
        purpose: *purpose,
        venue: *venue,
        takes: *takes,
        flow_usd: usd(signed, Rounding::Floor),
        fee_usd: fee_quote.and_then(|fee| usd(fee, Rounding::Ceil)),
        rate: fx.rate,
    });
    if let Some(known) = story.orders.iter_mut().find(|known| known.order == *order) {
        known.outcome = Outcome::Filled(fill);
    }
}

fn exited(body: &Body, at_ms: f64, terms: Option<&Terms>) -> Option<Exited> {
    let Body::Exit { reason, out_at_open_bps, out_bps, in_bps, level_bps, net_bps, gross_usd, touch, .. } =
        body
    else {
        return None;
    };
    let pair = |a: &Option<f64>, b: &Option<f64>| a.zip(*b);
    let because = match reason {
        ExitReason::StopLoss => pair(out_at_open_bps, out_bps).map(|(then, now)| {
            format!("the way out fell by {:.1} bps since the fills, from {then:+.1} to {now:+.1}", then - now)
        }),
        ExitReason::SpreadReversal => pair(in_bps, level_bps).map(|(now, level)| {
            format!("the gap is {now:+.1} bps, {:.1} bps beyond its level of {level:+.1}", level - now)
        }),
        ExitReason::TimeLimit => {
            terms.map(|t| format!("its {:.0} s were over", t.time_limit_ms as f64 / 1e3))
        }
        ExitReason::TakeProfit => net_bps.zip(terms).map(|(net, t)| {
            format!("closing brings {net:+.1} bps net of everything, the target is +{}", t.take_profit_bps)
        }),
        ExitReason::Emergency => Some("the emergency stop closes everything".to_owned()),
        ExitReason::KillSwitch => Some("the kill switch closes everything".to_owned()),
        ExitReason::Shutdown => Some("the session ended".to_owned()),
        ExitReason::Halt => {
            Some("a venue halted the market, dropped it or put it under a warning".to_owned())
        }
    };
    Some(Exited {
        at_ms,
        reason: *reason,
        because: because.unwrap_or_else(|| "its figures were not known then".to_owned()),
        touch: *touch,
        out_bps: [*out_at_open_bps, *out_bps],
        in_bps: *in_bps,
        level_bps: *level_bps,
        net_bps: *net_bps,
        gross_usd: *gross_usd,
    })
}

fn slippage(story: &TradeStory, realised_usd: Money, usd: Money) -> Slippage {
    let out = story.exit.as_ref().and_then(|exit| exit.gross_usd);
    let notional = story.decided.notional_usd;
    Slippage {
        decided_usd: out.and_then(|out| story.decided.gross_usd.checked_add(out)),
        realised_usd,
        usd,
        bps: (notional.0 > 0).then(|| usd.to_f64() / notional.to_f64() * 1e4),
        entry_bps: story.opened.as_ref().map(|opened| story.decided.edge_bps - opened.realised_edge_bps),
    }
}
