//! The universe: which assets are traded, and why the others are not.
//!
//! Pure selection over what the shell gathered. First [`prerank`] by turnover, from the venues' batch endpoints, so that
//! only the first 1.3 x N need a book; then [`select`] by score. What does not live here: requests, and what happens to a
//! member that halts later.
//!
//! Score: each candidate that passes every filter has a rank (1 is best, equals share the better rank) by turnover, by
//! liquidity and by spread; `0.4 volume + 0.3 liquidity + 0.3 spread`, lowest first, equals in the order of their tickers.
//! Turnover: the smaller of the two 24 h turnovers in USDT. Liquidity: value within 1 % of mid, smallest of the four sides,
//! in USDT (a book that does not reach so far is counted as far as it goes). Spread: the wider one.

use market::{Asset, Book, FxRate, Instrument, Member, Money, Rounding, Side, Venue};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

mod explain;
mod refresh;

pub use explain::{Explained, explain};
pub use refresh::{Found, Turnover, turnover};

/// An asset listed on both venues.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The asset.
    pub asset: Asset,
    /// Its KRW market on Upbit.
    pub upbit: Instrument,
    /// Its USDT market on Binance.
    pub binance: Instrument,
    /// 24 h turnover on Upbit, converted to USDT.
    pub upbit_turnover_usdt: Money,
    /// 24 h turnover on Binance, USDT.
    pub binance_turnover_usdt: Money,
    /// Books in the order of [`Venue::ALL`]; `None` when they were not fetched.
    pub books: Option<[Book; 2]>,
    /// A venue has put the market under a warning.
    pub warning: bool,
    /// Both venues trade it.
    pub trading: bool,
}

impl Candidate {
    /// The smaller of the two turnovers, USDT.
    pub fn turnover_usdt(&self) -> Money {
        self.upbit_turnover_usdt.min(self.binance_turnover_usdt)
    }
}

/// Stablecoins: their gap is the FX rate itself.
const STABLECOINS: [&str; 17] = [
    "USDT", "USDC", "USDE", "USDS", "USD1", "USDP", "USDD", "FDUSD", "TUSD", "BUSD", "PYUSD", "RLUSD",
    "XUSD", "BFUSD", "DAI", "EURI", "AEUR",
];
/// Fiat currencies that a venue lists as a base.
const FIAT: [&str; 10] = ["KRW", "USD", "EUR", "GBP", "JPY", "TRY", "BRL", "ARS", "AUD", "UAH"];

/// The filters, the same whatever the data source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Filters {
    /// Smallest 24 h turnover on either venue, USDT.
    pub min_turnover_usdt: Money,
    /// Smallest value within 1 % of mid on any of the four sides, USDT.
    pub min_liquidity_usdt: Money,
    /// Widest spread on either venue, basis points.
    pub max_spread_bps: f64,
    /// Assets that are left out whatever their figures: stablecoins and fiat tokens. A list given here replaces the default.
    pub excluded: BTreeSet<Asset>,
    /// More of them, empty by default.
    pub also_excluded: BTreeSet<Asset>,
    /// Tickers that mean different assets on the two venues. Empty by default: an operator who knows of one adds it; what is
    /// not known is caught late, by the guard on gross gaps.
    pub different_assets: BTreeSet<Asset>,
    /// Assets whose deposits or withdrawals are known to be suspended on a venue. Empty by default: an operator keeps it.
    pub transfers_suspended: BTreeSet<Asset>,
    /// Tickers that look like a multiple or a leveraged token of another asset, and are known to mean the same unit of the same
    /// asset on both venues: these are let in. A ticker that stands for different units on the venues is never joined.
    pub mapped: BTreeSet<Asset>,
}

/// 1 000 000 USDT, 50 000 USDT, 50 bps; stablecoins and fiat tokens left out.
impl Default for Filters {
    fn default() -> Self {
        Self {
            min_turnover_usdt: Money::from_int(1_000_000),
            min_liquidity_usdt: Money::from_int(50_000),
            max_spread_bps: 50.0,
            excluded: STABLECOINS.iter().chain(&FIAT).filter_map(|ticker| Asset::new(ticker).ok()).collect(),
            also_excluded: BTreeSet::new(),
            different_assets: BTreeSet::new(),
            transfers_suspended: BTreeSet::new(),
            mapped: BTreeSet::new(),
        }
    }
}

/// The result of [`select`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selection {
    /// The members in rank order: at most as many as asked, never padded.
    pub members: Vec<Member>,
    /// Everything else with its reason, in the order of the candidates' tickers.
    pub out: Vec<(Asset, String)>,
    /// Those of `out` that are there for their rank alone, in the order of their tickers.
    pub beyond: BTreeSet<Asset>,
}

/// A ticker for a multiple of an asset: `1000SATS`, `10000X`, `1MBABYDOGE`. `1INCH` is none.
fn is_multiplier(ticker: &str) -> bool {
    let rest = ticker.trim_start_matches(|c: char| c.is_ascii_digit());
    let digits = &ticker[..ticker.len() - rest.len()];
    let thousands = digits.starts_with('1') && digits.len() >= 4 && digits[1..].bytes().all(|b| b == b'0');
    !rest.is_empty() && (thousands || (digits == "1" && rest.len() > 2 && rest.starts_with('M')))
}

/// A leveraged token of another candidate: `BTCUP`, `ETHBEAR`. `JUP` is none as long as nothing called `J` is listed.
fn is_leveraged(ticker: &str, listed: &BTreeSet<Asset>) -> bool {
    ["UP", "DOWN", "BULL", "BEAR", "3L", "3S", "5L", "5S"]
        .iter()
        .filter_map(|suffix| Asset::new(ticker.strip_suffix(suffix)?).ok())
        .any(|base| listed.contains(&base))
}

/// Why a candidate is out before anyone looks at its books.
fn out_by_listing(candidate: &Candidate, listed: &BTreeSet<Asset>, filters: &Filters) -> Option<String> {
    let ticker = candidate.asset.as_str();
    if filters.excluded.contains(&candidate.asset) || filters.also_excluded.contains(&candidate.asset) {
        return Some("on the list of excluded assets".to_owned());
    }
    if filters.different_assets.contains(&candidate.asset) {
        return Some("on the list of tickers that mean different assets on the two venues".to_owned());
    }
    if filters.transfers_suspended.contains(&candidate.asset) {
        return Some("on the list of assets whose deposits or withdrawals are suspended".to_owned());
    }
    let mapped = filters.mapped.contains(&candidate.asset);
    if is_multiplier(ticker) && !mapped {
        return Some("a multiple of another asset".to_owned());
    }
    if is_leveraged(ticker, listed) && !mapped {
        return Some("a leveraged token".to_owned());
    }
    if !candidate.trading {
        return Some("not trading on both venues".to_owned());
    }
    if candidate.warning {
        return Some("under a venue's warning".to_owned());
    }
    let turnover = candidate.turnover_usdt();
    (turnover < filters.min_turnover_usdt)
        .then(|| format!("turnover of {turnover} USDT is below {}", filters.min_turnover_usdt))
}

fn listed(candidates: &[Candidate]) -> BTreeSet<Asset> {
    candidates.iter().map(|candidate| candidate.asset).collect()
}

/// The first `ceil(1.3 x topn)` assets by turnover among those that are not out already: those whose books are worth
/// asking for. Equals in the order of their tickers.
pub fn prerank(candidates: &[Candidate], filters: &Filters, topn: u32) -> Vec<Asset> {
    let all = listed(candidates);
    let mut ranked: Vec<_> = candidates
        .iter()
        .filter(|candidate| out_by_listing(candidate, &all, filters).is_none())
        .map(|candidate| (std::cmp::Reverse(candidate.turnover_usdt()), candidate.asset))
        .collect();
    ranked.sort_unstable();
    let keep = (u64::from(topn) * 13).div_ceil(10);
    ranked.truncate(usize::try_from(keep).unwrap_or(usize::MAX));
    ranked.into_iter().map(|(_, asset)| asset).collect()
}

/// Value displayed within 1 % of mid on one side, in the venue's quote, rounded down. `None` without a touch.
fn depth_within_percent(book: &Book, side: Side) -> Option<Money> {
    // In hundredths, so that one percent is a whole number.
    let mid = i128::from(book.mid()?.0) * 100;
    let one_percent = mid / 100;
    let mut sum = Money::ZERO;
    for level in book.iter(side) {
        let distance = (i128::from(level.price.0) * 100 - mid).abs();
        if distance > one_percent {
            break;
        }
        sum = sum.checked_add(level.price.notional(level.quantity, Rounding::Floor)?)?;
    }
    Some(sum)
}

/// Liquidity in USDT: the smallest of the four sides. `None` when a book has no touch or a figure does not fit.
pub fn liquidity_usdt(books: &[Book; 2], fx: FxRate) -> Option<Money> {
    let mut smallest: Option<Money> = None;
    for venue in Venue::ALL {
        for side in [Side::Bid, Side::Ask] {
            let value = depth_within_percent(&books[venue.index()], side)?;
            let value = match venue {
                Venue::Upbit => fx.krw_to_usd(value, Rounding::Floor)?,
                Venue::Binance => value,
            };
            smallest = Some(smallest.map_or(value, |known| known.min(value)));
        }
    }
    smallest
}

struct Figures<'a> {
    candidate: &'a Candidate,
    turnover: Money,
    liquidity: Money,
    spread_bps: f64,
}

fn figures<'a>(candidate: &'a Candidate, fx: FxRate, filters: &Filters) -> Result<Figures<'a>, String> {
    let books = candidate.books.as_ref().ok_or("ranked too low by turnover: no books were asked for")?;
    for venue in Venue::ALL {
        if books[venue.index()].is_crossed() {
            return Err(format!("its book on {venue} is crossed"));
        }
    }
    let spread = |venue: Venue| {
        books[venue.index()].spread_bps().ok_or_else(|| format!("its book on {venue} has an empty side"))
    };
    let spread_bps = spread(Venue::Upbit)?.max(spread(Venue::Binance)?);
    let liquidity = liquidity_usdt(books, fx).ok_or("its liquidity cannot be valued: no usable FX rate")?;
    if liquidity < filters.min_liquidity_usdt {
        return Err(format!(
            "{liquidity} USDT within 1 % of mid on its thinnest side is below {}",
            filters.min_liquidity_usdt
        ));
    }
    if spread_bps > filters.max_spread_bps {
        return Err(format!("a spread of {spread_bps:.2} bps is above {}", filters.max_spread_bps));
    }
    Ok(Figures { candidate, turnover: candidate.turnover_usdt(), liquidity, spread_bps })
}

/// Ranks from 1; equals share the better rank. `best_first` orders the best before the others.
fn ranks<T>(of: &[T], best_first: impl Fn(&T, &T) -> std::cmp::Ordering) -> Vec<u64> {
    of.iter().map(|one| 1 + of.iter().filter(|other| best_first(other, one).is_lt()).count() as u64).collect()
}

/// A candidate that passes every filter, ranked.
struct Scored {
    /// Ten times the score, so that it stays a whole number.
    tenfold: u64,
    asset: Asset,
    /// By turnover, liquidity and spread.
    ranks: [u64; 3],
    index: usize,
}

/// Those that pass every filter, and the others with their reasons.
fn passing<'a>(
    candidates: &'a [Candidate],
    fx: FxRate,
    filters: &Filters,
) -> (Vec<Figures<'a>>, Vec<(Asset, String)>) {
    let all = listed(candidates);
    let (mut passed, mut out) = (Vec::new(), Vec::new());
    for candidate in candidates {
        let fits = match out_by_listing(candidate, &all, filters) {
            Some(why) => Err(why),
            None => figures(candidate, fx, filters),
        };
        match fits {
            Ok(figures) => passed.push(figures),
            Err(why) => out.push((candidate.asset, why)),
        }
    }
    (passed, out)
}

/// By score, the best first; equals in the order of their tickers.
fn scored(passed: &[Figures<'_>]) -> Vec<Scored> {
    let volume = ranks(passed, |a, b| b.turnover.cmp(&a.turnover));
    let liquidity = ranks(passed, |a, b| b.liquidity.cmp(&a.liquidity));
    let spread = ranks(passed, |a, b| a.spread_bps.total_cmp(&b.spread_bps));
    let mut scored: Vec<_> = passed
        .iter()
        .enumerate()
        .map(|(i, figures)| Scored {
            tenfold: 4 * volume[i] + 3 * liquidity[i] + 3 * spread[i],
            asset: figures.candidate.asset,
            ranks: [volume[i], liquidity[i], spread[i]],
            index: i,
        })
        .collect();
    scored.sort_unstable_by_key(|one| (one.tenfold, one.asset));
    scored
}

/// Picks at most `topn` members.
pub fn select(candidates: &[Candidate], fx: FxRate, topn: u32, filters: &Filters) -> Selection {
    let (passed, out) = passing(candidates, fx, filters);
    // Without a book they were ranked by turnover; with one, by score below.
    let all = listed(candidates);
    let by_rank = |c: &&Candidate| c.books.is_none() && out_by_listing(c, &all, filters).is_none();
    let beyond = candidates.iter().filter(by_rank).map(|c| c.asset).collect();
    let mut selection = Selection { members: Vec::new(), out, beyond };
    for (place, Scored { tenfold: score, asset, index, .. }) in scored(&passed).into_iter().enumerate() {
        if place < usize::try_from(topn).unwrap_or(usize::MAX) {
            selection.members.push(member(&passed[index]));
        } else {
            let why = format!("rank {} of {topn} asked, score {}.{}", place + 1, score / 10, score % 10);
            selection.out.push((asset, why));
            selection.beyond.insert(asset);
        }
    }
    selection.out.sort_unstable();
    selection
}

fn member(figures: &Figures<'_>) -> Member {
    let candidate = figures.candidate;
    Member {
        asset: candidate.asset,
        upbit: candidate.upbit.clone(),
        binance: candidate.binance.clone(),
        turnover_usdt: figures.turnover,
    }
}

#[cfg(test)]
mod tests;
