//! A runner without a journal: what its KPI file says of trades and money, held against what its own `/metrics` showed.
//!
//! Both are the runner's word, so agreement proves little; but a total that is typed into the file seldom moves on the page, and
//! what disagrees can be neither. The page may be older than the file (its last scrape comes before the end), so only what no
//! order of events can explain is a disagreement: a counter that had gone further than the file, a file that is further ahead
//! of the page than the phase ever moved between two scrapes, a result that differs although nothing was traded in between.

use super::{Desk, agreed, file_value, missing, verdict};
use crate::evidence::Scrape;
use crate::scrape::{count, sum};
use crate::value::{CrossCheck, Value, figure};

/// USD are written with cents or more.
const CENT: f64 = 0.01;
/// What rounding to whole percents takes.
const HALF_A_POINT: f64 = 0.51;
/// Trades that may fall between the last scrape and the end of a runner that had hardly traded before.
const A_FEW: f64 = 2.0;

/// The figure of a KPI on a page.
fn on_page(number: u8, page: &Scrape) -> Option<f64> {
    let trades = |kind: &str| sum(page, "arb_topn_trades_total", &[("trade_type", kind)]);
    match number {
        1 => sum(page, "arb_topn_trades_total", &[]),
        2 => trades("entry"),
        3 => trades("exit"),
        4 => sum(page, "arb_topn_round_trips_total", &[]),
        5 => sum(page, "arb_topn_win_rate", &[]),
        6 => sum(page, "arb_topn_pnl_usd", &[]),
        9 => sum(page, "arb_topn_drawdown_usd", &[]),
        _ => None,
    }
}

impl Desk<'_> {
    /// The cross-check of a trading KPI of a runner without a journal; `why` there is none.
    pub(super) fn by_page(&self, number: u8, value: &Value, why: &str) -> CrossCheck {
        let Ok(page) = self.metrics() else { return missing(why) };
        let (Some(said), Value::Measured(ours)) = (on_page(number, page), value) else { return missing(why) };
        let text = format!("{} (metrics)", figure(said));
        match number {
            1..=4 => self.counted_on_page(number, value, *ours, said, text),
            // The largest of the falls that were seen is a lower bound of the largest fall.
            9 => match self.pages().filter_map(|page| on_page(9, page)).reduce(f64::max) {
                Some(seen) if *ours < seen - CENT => {
                    verdict(false, value, format!("{} (metrics, largest seen)", figure(seen)))
                }
                Some(seen) => agreed(format!("at least {} (metrics, largest seen)", figure(seen))),
                None => missing(why),
            },
            _ => {
                let slack = if number == 5 { HALF_A_POINT } else { CENT };
                let agrees = (ours - said).abs() <= slack;
                if agrees || self.settled(page) {
                    verdict(agrees, value, text)
                } else {
                    missing(format!("the last page, {text}, is older than the KPI file"))
                }
            }
        }
    }

    fn counted_on_page(&self, number: u8, value: &Value, ours: f64, said: f64, text: String) -> CrossCheck {
        let steps: Vec<f64> = self.pages().filter_map(|page| on_page(number, page)).collect();
        let widest = steps.windows(2).map(|w| w[1] - w[0]).fold(0.0, f64::max);
        let open = self.metrics().ok().and_then(|page| sum(page, "arb_topn_active_positions", &[]));
        let reach = said + 2.0 * widest + open.unwrap_or(0.0) + A_FEW;
        if ours == said {
            agreed(text)
        } else if ours < said || ours > reach {
            verdict(false, value, text)
        } else {
            missing(format!("the last page, {text}, is older than the KPI file"))
        }
    }

    /// Nothing was traded between the last page and the file, and nothing was open whose value could move.
    fn settled(&self, page: &Scrape) -> bool {
        let Ok(file) = &self.file else { return false };
        let same = |field: &str, number: u8| {
            file_value(file, field).number().zip(on_page(number, page)).is_some_and(|(a, b)| a == b)
        };
        same("entry_trades", 2)
            && same("exit_trades", 3)
            && count(page, "arb_topn_active_positions").is_some_and(|open| open == 0.0)
    }

    /// Every page of the phase in order, the last one included.
    fn pages(&self) -> impl Iterator<Item = &Scrape> {
        let last = self.metrics().ok();
        self.phase.samples.iter().filter_map(|sample| sample.scrape.get()).chain(last)
    }
}
