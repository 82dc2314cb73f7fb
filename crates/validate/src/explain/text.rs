//! How a trade's story looks on a terminal; colour only for what came of it.

use super::layout::{
    Section, Table, after, average, bps, grouped, maybe, moment, price, purpose, quantity, route, side, span,
    spoken, usd, venue,
};
use super::trade::{Decided, Ended, Exited, OrderStory, Outcome, TradeStory};
use crate::terminal::{Ink, Paint};
use journal::record::{FxSource, FxUsed, Touch};
use market::{Asset, Money, Quantity, Venue};
use std::fmt::Write as _;

fn rate(fx: &FxUsed) -> String {
    let source = match fx.source {
        FxSource::UpbitMid => "10 s mid of Upbit's KRW-USDT",
        FxSource::UpbitSide => "the side of Upbit's KRW-USDT that a conversion takes",
    };
    format!("{} KRW per USDT, {} ms old, {source}", grouped(fx.rate.0.0.into(), 2, 4), fx.age_ms)
}

fn books(touch: &[Option<Touch>; 2]) -> Vec<(String, String)> {
    let mut table = Table::new(0, &[1]);
    table.row(["bid", "", "ask", ""].map(str::to_owned));
    for (v, touch) in Venue::ALL.into_iter().zip(touch) {
        match touch {
            Some(t) => table.row([
                price(t.bid),
                format!("x {}", quantity(t.bid_quantity)),
                price(t.ask),
                format!("x {} {}", quantity(t.ask_quantity), v.quote()),
            ]),
            None => table.row(["no Live book", "", "", ""].map(str::to_owned)),
        }
    }
    // Every second cell is a size: aligned to the left, as the prices are to the right.
    table.left = vec![1, 3];
    let widest = table.rows.iter().map(|row| row[0].chars().count()).max().unwrap_or(0);
    for row in &mut table.rows {
        row[0] = format!("{:>widest$}", row[0]);
    }
    let labels = ["books", "  Upbit", "  Binance"];
    labels.iter().map(ToString::to_string).zip(table.text().lines().map(str::to_owned)).collect()
}

/// A trade's story.
pub(super) fn trade(story: &TradeStory, paint: Paint) -> String {
    let phase = story.phase.as_ref().map_or_else(String::new, |phase| format!(" ({phase})"));
    let mut out = format!(
        "{}  {}\n{}\n",
        paint
            .ink(Ink::Bold, &format!("Trade {} of {}: {}", story.trade, story.asset, route(story.direction))),
        paint.ink(Ink::Soft, &format!("{}{phase}", story.run_id)),
        outcome(story, paint),
    );
    out += &decision(story).text(paint);
    out += &guards(story).text(paint);
    out += &orders(story, paint);
    if let Some(exit) = &story.exit {
        out += &leaving(exit).text(paint);
    }
    out + &money(story, paint)
}

fn outcome(story: &TradeStory, paint: Paint) -> String {
    let ink = |net: Money| if net.0 > 0 { Ink::Good } else { Ink::Bad };
    match &story.ended {
        Ended::Closed { held_ms, reason, net_usd, .. } => {
            let net = paint.ink(ink(*net_usd), &format!("{} USD", usd(*net_usd)));
            format!("{net} net: {} after {}", spoken(reason.as_str()), span(*held_ms))
        }
        Ended::Unwound { orphan, net_usd, at_ms } => {
            let net = paint.ink(ink(*net_usd), &format!("{} USD", usd(*net_usd)));
            let what = if *orphan {
                "one leg filled, the other did not, and it was undone"
            } else {
                "nothing was filled"
            };
            format!("{net} net: never a position, {what} within {}", span(*at_ms))
        }
        Ended::Open => format!("{} where the journal ends", paint.ink(Ink::Warn, "still open")),
    }
}

fn decision(story: &TradeStory) -> Section<'_> {
    let Decided { quantity: size, touch, prices, fx, .. } = &story.decided;
    let d = &story.decided;
    let mut section = Section::new("Decision", moment(d.at));
    section.rows.extend(books(touch));
    section.say("rate", rate(fx));
    section.say(
        "size",
        format!("{} {}, {} USD a leg", quantity(*size), story.asset, grouped(d.notional_usd.0, 2, 2)),
    );
    let buys = story.direction.buys_on();
    let at = |v: Venue| format!("{} {} on {}", average(prices[v.index()]), v.quote(), venue(v));
    section.say("walked", format!("buys at {}, sells at {}", at(buys), at(buys.other())));
    section.say(
        "level",
        format!("{} bps this way, {} bps the other way", bps(d.level_bps), bps(d.opposite_level_bps)),
    );
    section.say(
        "edge",
        format!(
            "{} gap  {} level of the way out  -{:.1} four fees  -{:.1} reserve  =  {} bps",
            bps(d.gap_bps),
            bps(d.opposite_level_bps),
            d.fees_bps,
            d.reserve_bps,
            bps(d.edge_bps)
        ),
    );
    section.say("should bring", format!("{} USD before fees", usd(d.gross_usd)));
    if let (Some([a, b]), Some(open), Some(exposure), Some(daily)) =
        (&d.health, d.open_positions, d.exposure_usd, d.daily_net_usd)
    {
        section.say("venues", format!("Upbit {a}, Binance {b}"));
        let exposure = grouped(exposure.0, 2, 2);
        section.say("account", format!("{open} open, exposure {exposure} USD, today {} USD", usd(daily)));
    }
    section
}

fn guards(story: &TradeStory) -> Section<'static> {
    let mut section = Section::new("Guards", String::new());
    if story.guards.is_empty() {
        section.say("none", "held at the decision, and none began while it lived");
    }
    for guard in &story.guards {
        let ended = guard.ended_ms.map_or_else(String::new, |ms| format!(", ended {}", after(ms)));
        section.say(
            &guard.verdict,
            format!(
                "{} ({}): {:.4} against {:.4}, since {}{ended}",
                guard.guard,
                guard.scope,
                guard.observed,
                guard.threshold,
                after(guard.began_ms)
            ),
        );
    }
    section
}

fn orders(story: &TradeStory, paint: Paint) -> String {
    let mut table = Table::new(2, &[1, 2, 3, 4, 5, 6]);
    table.row(["sent", "order", "for", "", "", "arrives", "came of it"].map(str::to_owned));
    for order in &story.orders {
        let what = format!("{} {} {}", side(order.takes), quantity(order.quantity), story.asset);
        let (at, came) = came_of(order, story.asset);
        let came = if at.is_empty() { came } else { format!("{at}  {came}") };
        let (on, number) = (venue(order.venue).to_owned(), format!("#{}", order.order));
        let (sent, arrives) = (after(order.sent_ms), after(order.arrives_ms));
        table.row([sent, number, purpose(order.purpose).to_owned(), what, on, arrives, came]);
        if let Outcome::Filled(fill) = &order.outcome {
            for level in fill.levels.iter().filter(|_| fill.levels.len() > 1) {
                let took = format!(
                    "      {} of {} at {}",
                    quantity(level.quantity),
                    quantity(level.displayed),
                    price(level.price)
                );
                table.row([
                    String::new(),
                    String::new(),
                    String::new(),
                    String::new(),
                    String::new(),
                    String::new(),
                    took,
                ]);
            }
        }
    }
    let mut out = Section::heading("Orders", "times after the decision", paint);
    out += &table.text();
    if let Some(opened) = &story.opened {
        let _ = writeln!(
            out,
            "  open {}: {} {} on both legs at a gap of {} bps, edge {} bps as filled",
            after(opened.at_ms),
            quantity(opened.quantity),
            story.asset,
            bps(opened.gap_bps),
            bps(opened.realised_edge_bps)
        );
    }
    out
}

fn came_of(order: &OrderStory, asset: Asset) -> (String, String) {
    match &order.outcome {
        Outcome::UnderWay => (String::new(), "still under way where the journal ends".to_owned()),
        Outcome::Refused { at_ms, why } => (after(*at_ms), format!("refused: {why}")),
        Outcome::Filled(fill) => {
            let part = if fill.quantity < order.quantity {
                format!("{} of {} {asset}", quantity(fill.quantity), quantity(order.quantity))
            } else {
                "filled".to_owned()
            };
            let at = fill.price.map_or_else(String::new, |p| format!(" at {}", average(p)));
            let displayed = match fill.levels.as_slice() {
                [one] => format!(" ({} displayed)", quantity(one.displayed)),
                levels => format!(" over {} levels", levels.len()),
            };
            (after(fill.at_ms), format!("{part}{at} {}{displayed}", order.venue.quote()))
        }
    }
}

fn leaving(exit: &Exited) -> Section<'static> {
    let mut section = Section::new("Exit", after(exit.at_ms));
    section.say("why", format!("{}: {}", spoken(exit.reason.as_str()), exit.because));
    section.rows.extend(books(&exit.touch));
    let [then, now] = exit.out_bps;
    section.say("way out", format!("{} bps at the fills, {} bps now (touch)", maybe(then), maybe(now)));
    section.say("way in", format!("{} bps now, its level {} bps", maybe(exit.in_bps), maybe(exit.level_bps)));
    if let Some(net) = exit.net_bps {
        section.say("if closed now", format!("{} bps of a leg, net of the whole round trip", bps(net)));
    }
    if let Some(gross) = exit.gross_usd {
        section.say("should bring", format!("{} USD before fees", usd(gross)));
    }
    section
}

fn money(story: &TradeStory, paint: Paint) -> String {
    let mut table = Table::new(2, &[1, 2]);
    table.row(["order", "", "", "USD before fee", "fee USD", "fee", "KRW per USDT"].map(str::to_owned));
    let shown = |money: Option<Money>| money.map_or_else(|| "unknown".to_owned(), usd);
    for leg in &story.legs {
        let order = story.orders.iter().find(|order| order.order == leg.order);
        let fee = match order.map(|order| &order.outcome) {
            Some(Outcome::Filled(fill)) => format!("{} {}", quantity(fill.fee), fill.fee_asset),
            _ => String::new(),
        };
        let fee_usd = leg.fee_usd.map(|fee| Money(-fee.0));
        table.row([
            format!("#{}", leg.order),
            purpose(leg.purpose).to_owned(),
            format!("{} on {}", side(leg.takes), venue(leg.venue)),
            shown(leg.flow_usd),
            shown(fee_usd),
            fee,
            grouped(leg.rate.0.0.into(), 2, 4),
        ]);
    }
    let mut out = Section::heading("Money", "", paint);
    if !story.legs.is_empty() {
        out += &table.text();
    }
    let mut rows = Vec::new();
    if story.ended != Ended::Open && story.left_over != Quantity::ZERO {
        rows.push(left_over(story));
    }
    match &story.ended {
        Ended::Closed { gross_usd, fees_usd, net_usd, .. } => {
            rows.push(("gross", format!("{} USD", usd(*gross_usd))));
            rows.push(("fees", format!("{} USD", usd(Money(-fees_usd.0)))));
            rows.push(("net", format!("{} USD", usd(*net_usd))));
        }
        Ended::Unwound { net_usd, .. } => rows.push(("net", format!("{} USD", usd(*net_usd)))),
        Ended::Open => rows.push(("net", "unknown until it is closed".to_owned())),
    }
    if let Some(slip) = &story.slippage {
        let decided = slip.decided_usd.map_or_else(|| "unknown".to_owned(), usd);
        rows.push((
            "slippage",
            format!(
                "{} USD ({} bps of a leg): decided {decided}, realised {}",
                usd(Money(-slip.usd.0)),
                maybe(slip.bps.map(|b| -b)),
                usd(slip.realised_usd)
            ),
        ));
        if let Some(opened) = &story.opened {
            rows.push((
                "edge",
                format!(
                    "{} bps decided, {} bps as filled",
                    bps(story.decided.edge_bps),
                    bps(opened.realised_edge_bps)
                ),
            ));
        }
    }
    let width = rows.iter().map(|(label, _)| label.len()).max().unwrap_or(0);
    for (label, text) in rows {
        let _ = writeln!(out, "  {}  {text}", paint.ink(Ink::Soft, &format!("{label:<width$}")));
    }
    out
}

/// What the fills do not make even. The exit takes along what earlier trades left below a lot: then more went than this trade had brought.
fn left_over(story: &TradeStory) -> (&'static str, String) {
    let (left, asset) = (story.left_over, story.asset);
    if left.is_negative() {
        let taken = quantity(Quantity(left.0.saturating_neg()));
        let text = format!("{taken} {asset} that earlier trades of it had left, counted at its last price");
        return ("taken along", text);
    }
    ("left over", format!("{} {asset} by rounding to lots, counted at its last price", quantity(left)))
}
