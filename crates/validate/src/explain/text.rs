//! How the stories look on a terminal: aligned, quiet, colour only for what came of it.

use super::symbol::{Minute, SymbolStory, words};
use super::trade::{Decided, Ended, Exited, OrderStory, Outcome, TradeStory};
use crate::terminal::{Ink, Paint};
use journal::record::{Direction, FxSource, FxUsed, Purpose, Touch};
use market::{Asset, Money, Price, Quantity, Side, Timestamp, Venue};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Most rows of the table by minute; longer runs are shown by the quarter, the hour, and so on.
const MOST_ROWS: usize = 30;
const SCALE: u128 = 100_000_000;

/// Columns of text. The first is aligned to the left, the others to the right unless `left` names them.
struct Table {
    rows: Vec<Vec<String>>,
    left: Vec<usize>,
    indent: usize,
}

impl Table {
    fn new(indent: usize, left: &[usize]) -> Self {
        Self { rows: Vec::new(), left: left.to_vec(), indent }
    }

    fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.to_vec());
    }

    fn text(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let wide = |c: usize| self.rows.iter().filter_map(|r| Some(r.get(c)?.chars().count())).max();
        let widths: Vec<usize> = (0..columns).map(|c| wide(c).unwrap_or(0)).collect();
        let mut out = String::new();
        for row in &self.rows {
            let mut line = " ".repeat(self.indent);
            for (c, cell) in row.iter().enumerate() {
                let pad = " ".repeat(widths[c] - cell.chars().count());
                line += &if c == 0 || self.left.contains(&c) {
                    format!("{cell}{pad}")
                } else {
                    format!("{pad}{cell}")
                };
                line += "  ";
            }
            out += line.trim_end();
            out.push('\n');
        }
        out
    }
}

/// Labelled lines under a heading.
struct Section<'a> {
    title: &'a str,
    note: String,
    rows: Vec<(String, String)>,
}

impl<'a> Section<'a> {
    fn new(title: &'a str, note: String) -> Self {
        Self { title, note, rows: Vec::new() }
    }

    fn say(&mut self, label: &str, text: impl Into<String>) {
        self.rows.push((label.to_owned(), text.into()));
    }

    fn heading(title: &str, note: &str, paint: Paint) -> String {
        let note = if note.is_empty() { String::new() } else { format!("  {}", paint.ink(Ink::Soft, note)) };
        format!("\n{}{note}\n", paint.ink(Ink::Bold, title))
    }

    fn text(&self, paint: Paint) -> String {
        let width = self.rows.iter().map(|(label, _)| label.chars().count()).max().unwrap_or(0);
        let mut out = Self::heading(self.title, &self.note, paint);
        for (label, text) in &self.rows {
            let label = format!("{label:<width$}");
            let _ = writeln!(out, "  {}  {text}", paint.ink(Ink::Soft, &label));
        }
        out
    }
}

/// `1,234,567.8901` of a number at 1e-8, with at least and at most so many decimals (rounded half up).
fn grouped(raw: i128, least: usize, most: usize) -> String {
    let step = 10u128.pow(8 - most.min(8) as u32);
    let rounded = (raw.unsigned_abs() + step / 2) / step * step;
    let whole = (rounded / SCALE).to_string();
    let mut out = if raw < 0 && rounded > 0 { "-".to_owned() } else { String::new() };
    for (i, digit) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    let mut decimals = format!("{:08}", rounded % SCALE);
    decimals.truncate(most);
    while decimals.len() > least && decimals.ends_with('0') {
        decimals.pop();
    }
    if decimals.is_empty() { out } else { format!("{out}.{decimals}") }
}

fn price(price: Price) -> String {
    grouped(price.0.into(), 0, 8)
}

fn quantity(quantity: Quantity) -> String {
    grouped(quantity.0, 0, 8)
}

fn usd(money: Money) -> String {
    let sign = if money.0 > 0 { "+" } else { "" };
    format!("{sign}{}", grouped(money.0, 4, 4))
}

fn bps(value: f64) -> String {
    // A value that rounds to nothing has no sign.
    let shown = format!("{value:+.1}");
    if matches!(shown.as_str(), "-0.0" | "+0.0") { "0.0".to_owned() } else { shown }
}

fn maybe(value: Option<f64>) -> String {
    value.map_or_else(|| "unknown".to_owned(), bps)
}

/// `+0 ms`, `+93.0 ms`, `+3.21 s`, `+4 min 10 s`.
fn after(ms: f64) -> String {
    let (sign, size) = if ms < 0.0 { ("-", -ms) } else { ("+", ms) };
    format!("{sign}{}", span(size))
}

fn span(ms: f64) -> String {
    match ms {
        m if m < 1_000.0 => {
            let text = format!("{m:.1}");
            format!("{} ms", text.strip_suffix(".0").unwrap_or(&text))
        }
        m if m < 60_000.0 => format!("{:.2} s", m / 1e3),
        m if m < 3_600_000.0 => format!("{} min {} s", (m / 60_000.0) as u64, (m % 60_000.0 / 1e3) as u64),
        m => format!("{} h {} min", (m / 3_600_000.0) as u64, (m % 3_600_000.0 / 60_000.0) as u64),
    }
}

fn clock(at: Timestamp, pattern: &str) -> String {
    jiff::Timestamp::from_nanosecond(at.0.into())
        .map_or_else(|_| format!("{} ns after 1970", at.0), |t| t.strftime(pattern).to_string())
}

fn moment(at: Timestamp) -> String {
    clock(at, "%Y-%m-%d %H:%M:%S.%3f UTC")
}

fn venue(venue: Venue) -> &'static str {
    match venue {
        Venue::Upbit => "Upbit",
        Venue::Binance => "Binance",
    }
}

fn route(direction: Direction) -> String {
    let buys = direction.buys_on();
    format!("buy on {}, sell on {}", venue(buys), venue(buys.other()))
}

fn spoken(reason: &str) -> String {
    reason.replace('_', " ")
}

fn purpose(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Entry => "entry",
        Purpose::Exit => "exit",
        Purpose::Complete => "completion",
        Purpose::Unwind => "unwind",
    }
}

fn side(takes: Side) -> &'static str {
    if takes == Side::Ask { "buy" } else { "sell" }
}

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
    let at = |v: Venue| format!("{} {} on {}", price(prices[v.index()]), v.quote(), venue(v));
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
            let at = fill.price.map_or_else(String::new, |p| format!(" at {}", price(p)));
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

/// A symbol's story.
pub(super) fn symbol(story: &SymbolStory, paint: Paint) -> String {
    let phase = story.phase.as_ref().map_or_else(String::new, |phase| format!(" ({phase})"));
    let rank = story
        .rank
        .map_or_else(|| "no member any more".to_owned(), |rank| format!("rank {rank} of {}", story.members));
    let mut out = format!(
        "{}  {}\n{}\n",
        paint.ink(Ink::Bold, &format!("{}: {rank}", story.asset)),
        paint.ink(Ink::Soft, &format!("{}{phase}", story.run_id)),
        story.why
    );
    out += &funnel(story, paint);
    out += &nearest(story, paint);
    out += &held(story, paint);
    out += &traded(story, paint);
    out += &minutes(story, paint);
    if !story.notes.is_empty() {
        let mut table = Table::new(2, &[1, 2]);
        for note in &story.notes {
            let text = crate::terminal::harmless(&note.text);
            table.row([clock(note.at, "%m-%d %H:%M:%S"), note.level.clone(), text]);
        }
        out += &Section::heading("Noted", "", paint);
        out += &table.text();
    }
    out
}

fn funnel(story: &SymbolStory, paint: Paint) -> String {
    let span = format!("{} to {}", moment(story.from), clock(story.to, "%m-%d %H:%M:%S UTC"));
    let mut out = Section::heading("Funnel", &span, paint);
    let mut table = Table::new(2, &[2]);
    for stage in catalogue::FUNNEL_STAGES {
        let n = story.funnel.get(stage).copied().unwrap_or(0);
        let parts = match stage {
            "blocked" => parts(&story.funnel, "blocked:", spoken),
            "exited" => parts(&story.funnel, "exited:", spoken),
            _ => String::new(),
        };
        table.row([spoken(stage), grouped(i128::from(n) * SCALE as i128, 0, 0), parts]);
    }
    let mut suppressed: Vec<(&str, u64)> =
        story.funnel.iter().filter_map(|(name, n)| Some((name.strip_prefix("suppressed:")?, *n))).collect();
    suppressed.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    for (i, (why, n)) in suppressed.into_iter().enumerate() {
        let label = if i == 0 { "looks without a result" } else { "" };
        table.row([label.to_owned(), grouped(i128::from(n) * SCALE as i128, 0, 0), words(why)]);
    }
    out += &table.text();
    out
}

fn parts(funnel: &BTreeMap<String, u64>, prefix: &str, name: impl Fn(&str) -> String) -> String {
    let parts: Vec<String> = funnel
        .iter()
        .filter_map(|(key, n)| Some(format!("{} {n}", name(key.strip_prefix(prefix)?))))
        .collect();
    parts.join(", ")
}

fn nearest(story: &SymbolStory, paint: Paint) -> String {
    let mut out = Section::heading("How near it came", "basis points; entries count from the edge", paint);
    if story.best.is_empty() {
        return out + "  no gap was ever sampled: the books were not Live at the same time\n";
    }
    let mut table = Table::new(2, &[]);
    let head =
        ["", "best edge", "needs", "costs", "break-even gap", "usual gap", "largest gap", "level", "seen"];
    table.row(head.map(str::to_owned));
    for best in &story.best {
        table.row([
            route(best.direction),
            maybe(best.edge_bps),
            bps(best.threshold_bps),
            format!("{:.1}", best.costs_bps),
            maybe(best.break_even_bps),
            maybe(best.usual_gap_bps),
            maybe(best.gap_bps.map(|gap| gap.max)),
            maybe(best.level_bps),
            best.at.map_or_else(|| "never".to_owned(), |at| clock(at, "%m-%d %H:%M:%S")),
        ]);
    }
    out += &table.text();
    out
}

fn held(story: &SymbolStory, paint: Paint) -> String {
    if story.guards.is_empty() {
        return String::new();
    }
    let mut table = Table::new(2, &[1, 2]);
    table.row(["guard", "scope", "does", "triggers", "held"].map(str::to_owned));
    for guard in &story.guards {
        table.row([
            guard.guard.clone(),
            guard.scope.clone(),
            guard.verdict.clone(),
            guard.triggers.to_string(),
            span(guard.seconds * 1e3),
        ]);
    }
    Section::heading("Guards", "those that applied to it", paint) + &table.text()
}

fn traded(story: &SymbolStory, paint: Paint) -> String {
    if story.trades.is_empty() {
        return String::new();
    }
    let mut table = Table::new(2, &[1, 2, 4]);
    table.row(["trade", "decided", "", "edge bps", "ended", "net USD"].map(str::to_owned));
    for trade in &story.trades {
        table.row([
            trade.trade.to_string(),
            clock(trade.at, "%m-%d %H:%M:%S"),
            route(trade.direction),
            bps(trade.edge_bps),
            spoken(&trade.ended),
            trade.net_usd.map_or_else(String::new, usd),
        ]);
    }
    Section::heading("Trades", "`--trade ID` tells one", paint) + &table.text()
}

fn minutes(story: &SymbolStory, paint: Paint) -> String {
    const STAGES: [&str; 7] =
        ["updates", "evaluated", "gross_positive", "net_positive", "above_threshold", "blocked", "sent"];
    if story.minutes.is_empty() {
        return String::new();
    }
    let step =
        [1, 5, 15, 60, 240, 1_440].into_iter().find(|step| story.minutes.len().div_ceil(*step) <= MOST_ROWS);
    let step = step.unwrap_or_else(|| story.minutes.len().div_ceil(MOST_ROWS));
    let mut table = Table::new(2, &[]);
    let head =
        ["until", "updates", "evaluated", "gross > 0", "net > 0", "enough", "blocked", "sent", "best edge"];
    table.row(head.map(str::to_owned));
    for chunk in story.minutes.chunks(step) {
        let sum = |stage: &str| chunk.iter().filter_map(|m: &Minute| m.counts.get(stage)).sum::<u64>();
        let best = chunk.iter().filter_map(|m| m.best_edge_bps).reduce(f64::max);
        let [a, b, c, d, e, f, g] = STAGES.map(|stage| sum(stage).to_string());
        let until = chunk.last().map_or_else(String::new, |m| clock(m.at, "%m-%d %H:%M"));
        let best = best.map_or_else(String::new, bps);
        table.row([until, a, b, c, d, e, f, g, best]);
    }
    let title = if step == 1 { "By minute".to_owned() } else { format!("By {step} minutes") };
    Section::heading(&title, if step == 1 { "" } else { "--json has every minute" }, paint) + &table.text()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_spans_are_short() {
        assert_eq!(grouped(150_703_000 * 100_000_000, 0, 8), "150,703,000");
        assert_eq!(grouped(-1_234_567_891_234, 2, 4), "-12,345.6789");
        assert_eq!(grouped(4_405_12_000_000, 0, 8), "4,405.12");
        assert_eq!(grouped(-1, 2, 2), "0.00", "what rounds to nothing has no sign");
        assert_eq!(usd(Money(63_120_000)), "+0.6312");
        assert_eq!([bps(-0.01), bps(12.34)], ["0.0", "+12.3"]);
        let spans = [0.0, 93.0, 93.4, 3_210.0, 250_000.0, 7_260_000.0].map(span);
        assert_eq!(spans, ["0 ms", "93 ms", "93.4 ms", "3.21 s", "4 min 10 s", "2 h 1 min"]);
    }

    #[test]
    fn tables_are_aligned() {
        let mut table = Table::new(2, &[2]);
        table.row(["a", "1", "left"].map(str::to_owned));
        table.row(["long", "1000", "x"].map(str::to_owned));
        assert_eq!(table.text(), "  a        1  left\n  long  1000  x\n");
    }
}
