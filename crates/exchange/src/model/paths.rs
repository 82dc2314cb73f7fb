//! Real price paths: what both venues walk between the instants that their candles have in common.
//!
//! Upbit's price follows its own one-minute opens, straight from one to the next. At each common five-minute instant the
//! two venues stand in a measured ratio (KRW per USDT, by this symbol); between two instants the ratio goes straight, and
//! Binance's price is Upbit's divided by it. So there is ONE path per symbol with a premium on it: walking each venue's own
//! candles would open gaps between the instants that nothing but the interpolation made, and that always close.
//!
//! There is no series of KRW-USDT. Its rate is the median over the symbols of Upbit KRW / Binance USDT at each common
//! instant, straight in between.
//!
//! Pure: reading the files is `prices`. What is not in candles (spreads, depths, message rates) stays the synthetic market's.

use market::Asset;
use std::collections::{BTreeMap, BTreeSet};

/// Minutes between two common instants.
pub const INSTANT_MINUTES: i64 = 5;
/// Fewer common instants than this are no path: an hour.
const LEAST_INSTANTS: usize = 12;
const MINUTE_MS: i64 = 60_000;

/// What the candles of one symbol say. Minutes are minutes since 1970, UTC; prices are opens.
#[derive(Clone, Debug)]
pub struct Series {
    /// The asset.
    pub asset: Asset,
    /// Upbit's one-minute opens, KRW.
    pub krw: BTreeMap<i64, f64>,
    /// Binance's five-minute opens, USDT.
    pub usdt: BTreeMap<i64, f64>,
    /// Average turnover on Binance within 24 h, USDT.
    pub turnover: f64,
}

/// Why candles make no path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// There is no symbol.
    #[error("no symbol has candles of both venues")]
    NoSymbol,
    /// The candles have too little time in common.
    #[error(
        "the candles of {0} have {1} five-minute instants in common, fewer than the {LEAST_INSTANTS} of an hour"
    )]
    TooShort(String, usize),
}

/// One symbol's path.
#[derive(Clone, Debug)]
pub struct Path {
    /// The asset.
    pub asset: Asset,
    /// Average turnover on Binance within 24 h, USDT.
    pub turnover: f64,
    /// By minute from the first instant on.
    krw: Vec<f64>,
    /// By instant.
    ratio: Vec<f64>,
}

/// The paths of all symbols, and the rate.
#[derive(Clone, Debug)]
pub struct PricePaths {
    first: i64,
    common: BTreeSet<i64>,
    paths: Vec<Path>,
    fx: Vec<f64>,
    /// European Central Bank, USD/KRW by day since 1970: beside the rate, never in it.
    pub ecb: BTreeMap<i64, f64>,
}

/// A symbol's prices at a moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spot {
    /// On Upbit, KRW.
    pub krw: f64,
    /// On Binance, USDT.
    pub usdt: f64,
}

impl PricePaths {
    /// Lays the paths. An instant counts when every symbol has a candle of both venues there; over one that does not
    /// (a minute without a trade) and over missing minutes the path goes straight.
    ///
    /// # Errors
    /// [`PathError`].
    pub fn new(series: Vec<Series>) -> Result<Self, PathError> {
        let names = || series.iter().map(|s| s.asset.to_string()).collect::<Vec<_>>().join(", ");
        let one = series.first().ok_or(PathError::NoSymbol)?;
        let in_all = |minute: &i64| {
            minute % INSTANT_MINUTES == 0
                && series.iter().all(|s| s.krw.contains_key(minute) && s.usdt.contains_key(minute))
        };
        let common: BTreeSet<i64> = one.usdt.keys().copied().filter(in_all).collect();
        let (Some(first), Some(last)) = (common.first().copied(), common.last().copied()) else {
            return Err(PathError::TooShort(names(), 0));
        };
        if common.len() < LEAST_INSTANTS {
            return Err(PathError::TooShort(names(), common.len()));
        }
        let ratio_at = |s: &Series, minute: &i64| s.krw[minute] / s.usdt[minute];
        let median: BTreeMap<i64, f64> = common
            .iter()
            .map(|minute| (*minute, median(series.iter().map(|s| ratio_at(s, minute)).collect())))
            .collect();
        let fx = straight(&median, first, last, INSTANT_MINUTES);
        let paths = series
            .iter()
            .map(|s| {
                let ratio: BTreeMap<i64, f64> = common.iter().map(|m| (*m, ratio_at(s, m))).collect();
                Path {
                    asset: s.asset,
                    turnover: s.turnover,
                    krw: straight(&s.krw, first, last, 1),
                    ratio: straight(&ratio, first, last, INSTANT_MINUTES),
                }
            })
            .collect();
        Ok(Self { first, common, paths, fx, ecb: BTreeMap::new() })
    }

    /// The symbols, in the order in which they were given.
    pub fn paths(&self) -> &[Path] {
        &self.paths
    }

    /// The common instants, minutes since 1970.
    pub fn common(&self) -> &BTreeSet<i64> {
        &self.common
    }

    /// The first instant, ms since 1970.
    pub fn first_ms(&self) -> i64 {
        self.first * MINUTE_MS
    }

    /// The last instant, ms since 1970. From there on the prices stand.
    pub fn last_ms(&self) -> i64 {
        (self.first + (self.fx.len() as i64 - 1) * INSTANT_MINUTES) * MINUTE_MS
    }

    /// KRW per USDT at `ms` since 1970.
    pub fn fx(&self, ms: i64) -> f64 {
        along(&self.fx, self.first_ms(), INSTANT_MINUTES * MINUTE_MS, ms)
    }

    /// The prices of the symbol `index` at `ms` since 1970.
    pub fn spot(&self, index: usize, ms: i64) -> Spot {
        let path = &self.paths[index];
        let krw = along(&path.krw, self.first_ms(), MINUTE_MS, ms);
        Spot { krw, usdt: krw / along(&path.ratio, self.first_ms(), INSTANT_MINUTES * MINUTE_MS, ms) }
    }

    /// The European Central Bank's USD/KRW of the day of `ms` since 1970, or of the last working day before it.
    pub fn ecb(&self, ms: i64) -> Option<f64> {
        self.ecb.range(..=ms.div_euclid(86_400_000)).next_back().map(|(_, rate)| *rate)
    }
}

/// The middle value; the mean of the two middle ones.
pub fn median(mut of: Vec<f64>) -> f64 {
    of.sort_unstable_by(f64::total_cmp);
    let half = of.len() / 2;
    match of.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => of[half],
        _ => f64::midpoint(of[half - 1], of[half]),
    }
}

/// One value per `step` from `first` to `last`; where there is none, straight between its neighbours.
fn straight(known: &BTreeMap<i64, f64>, first: i64, last: i64, step: i64) -> Vec<f64> {
    let count = (last - first) / step;
    (0..=count)
        .map(|i| {
            let at = first + i * step;
            let before = known.range(first..=at).next_back();
            let after = known.range(at..=last).next();
            match (before, after) {
                (Some((a, x)), Some((b, y))) if b > a => x + (y - x) * (at - a) as f64 / (b - a) as f64,
                (Some((_, x)), _) | (None, Some((_, x))) => *x,
                (None, None) => f64::NAN,
            }
        })
        .collect()
}

/// The value at `ms` of values that stand `step` ms apart from `first` on; before and after them, the outermost.
fn along(values: &[f64], first: i64, step: i64, ms: i64) -> f64 {
    let since = (ms - first).max(0);
    let i = usize::try_from(since / step).unwrap_or(usize::MAX);
    match (values.get(i), values.get(i.saturating_add(1))) {
        (Some(x), Some(y)) => x + (y - x) * (since % step) as f64 / step as f64,
        _ => values.last().copied().unwrap_or(f64::NAN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(name: &str, ratio: impl Fn(i64) -> f64) -> Series {
        let usdt = |m: i64| 100.0 + m as f64 * 0.01;
        let instants = (0..100).map(|i| i * 5);
        Series {
            asset: Asset::new(name).unwrap(),
            // Between the instants Upbit wanders on its own.
            krw: (0..500)
                .map(|m| (m, usdt(m / 5 * 5) * ratio(m / 5 * 5) * (1.0 + (m % 5) as f64 * 1e-3)))
                .collect(),
            usdt: instants.map(|m| (m, usdt(m))).collect(),
            turnover: 1e8,
        }
    }

    #[test]
    fn instants_are_the_data_and_between_them_the_premium_goes_straight() {
        let all = [series("A", |_| 1_400.0), series("B", |m| 1_401.0 + m as f64), series("C", |_| 1_390.0)];
        let paths = PricePaths::new(all.to_vec()).unwrap();
        assert_eq!(paths.common().len(), 100);
        let ratio = |i: usize, ms: i64| {
            let spot = paths.spot(i, ms);
            spot.krw / spot.usdt
        };
        for (i, one) in all.iter().enumerate() {
            for (minute, usdt) in &one.usdt {
                let spot = paths.spot(i, minute * 60_000);
                assert!((spot.krw - one.krw[minute]).abs() < 1e-6);
                assert!((spot.usdt - usdt).abs() < 1e-9);
            }
        }
        // Two minutes and a half after an instant the premium is half way, whatever the price does.
        let (a, b) = (ratio(1, 50 * 60_000), ratio(1, 55 * 60_000));
        assert!((ratio(1, 52 * 60_000 + 30_000) - f64::midpoint(a, b)).abs() < 1e-9);
        assert!((ratio(0, 52 * 60_000) - 1_400.0).abs() < 1e-9);
        assert!((paths.fx(50 * 60_000) - 1_400.0).abs() < 1e-9, "the median of three");
        assert_eq!(paths.spot(0, i64::MAX), paths.spot(0, paths.last_ms()), "the end stands");
    }

    #[test]
    fn a_missing_minute_is_walked_over_and_its_instant_counts_for_nobody() {
        let mut all = vec![series("A", |_| 1_400.0), series("B", |_| 1_402.0)];
        all[0].krw.remove(&100);
        all[0].krw.remove(&101);
        let paths = PricePaths::new(all.clone()).unwrap();
        assert!(!paths.common().contains(&100) && paths.common().len() == 99);
        let expected = all[0].krw[&99] + (all[0].krw[&102] - all[0].krw[&99]) / 3.0;
        assert!((paths.spot(0, 100 * 60_000).krw - expected).abs() < 1e-6);
        assert!((paths.fx(100 * 60_000) - 1_401.0).abs() < 1e-9);
    }

    #[test]
    fn too_little_is_refused() {
        assert_eq!(PricePaths::new(Vec::new()).unwrap_err(), PathError::NoSymbol);
        let mut short = series("A", |_| 1_400.0);
        short.usdt.retain(|m, _| *m < 50);
        assert_eq!(PricePaths::new(vec![short]).unwrap_err(), PathError::TooShort("A".to_owned(), 10));
    }
}
