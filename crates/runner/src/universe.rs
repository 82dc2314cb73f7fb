//! The universe at the start: what the venues list, filtered and ranked by the engine's pure selection.
//!
//! Batch endpoints first (markets, tickers, exchangeInfo), then books of the first 1.3 x N by turnover. Requests stay within
//! the client's share of either budget. Upbit's books come 30 levels a side, Binance's 500 (100 beyond N = 50, so that a
//! start of Top 100 stays within the minute's weight); what lies beyond counts as not there. An exchange that does not
//! answer is tried again for 5 s, then the run ends with the URL, the cause and the next step.

use crate::error::RunError;
use engine::universe::{Candidate, Filters, Selection, prerank, select};
use market::{Asset, Book, FxRate, Instrument, Member, Money, Price, Quantity, Rounding, TickRule, Venue};
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::time::{Duration, Instant};
use venues::binance::BinanceSymbol;
use venues::upbit::UpbitMarket;
use venues::{Rest, RestError, Ticker};

/// How long an exchange may stay away, or the budget be used up, before it is given up.
#[derive(Debug, Clone, Copy)]
pub struct Patience(pub Duration);

/// At the start.
pub const START: Patience = Patience(Duration::from_secs(5));
/// Upbit's smallest order value, KRW.
const UPBIT_MIN_KRW: i32 = 5_000;
/// The longest pause between two attempts, unless the venue names one.
const LONGEST: Duration = Duration::from_secs(30);
/// Requests for Binance's books at a time.
const AT_ONCE: usize = 4;

/// What was chosen, and the rate that it was valued with.
#[derive(Debug)]
pub struct Chosen {
    /// Members and the reasons against the others.
    pub selection: Selection,
    /// KRW per USDT: the mid of Upbit's KRW-USDT book.
    pub fx: FxRate,
    /// Upbit's code of the FX market.
    pub fx_code: String,
}

/// Asks the venues and selects.
///
/// # Errors
/// [`RunError::Venue`], [`RunError::EmptyUniverse`].
pub async fn choose(rest: &Rest, topn: u32, filters: &Filters) -> Result<Chosen, RunError> {
    let (candidates, fx, fx_code) = gather(rest, topn, filters, START).await?;
    let selection = select(&candidates, fx, topn, filters);
    if selection.members.is_empty() {
        return Err(RunError::EmptyUniverse(why_empty(&selection)));
    }
    Ok(Chosen { selection, fx, fx_code })
}

/// Asks the venues: every asset listed on both, the rate, the code of the FX market. Books only of those that are worth it.
///
/// # Errors
/// [`RunError::Venue`].
pub async fn gather(
    rest: &Rest,
    topn: u32,
    filters: &Filters,
    patience: Patience,
) -> Result<(Vec<Candidate>, FxRate, String), RunError> {
    let markets = patient(Venue::Upbit, patience, || rest.upbit_markets()).await?;
    let upbit_tickers = patient(Venue::Upbit, patience, || rest.upbit_tickers_krw()).await?;
    let symbols = patient(Venue::Binance, patience, || rest.binance_exchange_info()).await?;
    let binance_tickers = patient(Venue::Binance, patience, || rest.binance_tickers()).await?;
    let fx_code = format!("{}-{}", Asset::KRW, Asset::USDT);
    let fx = fx(rest, &fx_code, patience).await?;
    let mut candidates = candidates(&markets, &upbit_tickers, &symbols, &binance_tickers, fx);
    let wanted = prerank(&candidates, filters, topn);
    books(rest, &mut candidates, &wanted, topn, patience).await?;
    Ok((candidates, fx, fx_code))
}

/// The markets named, whatever the filters say of them, in that order.
///
/// # Errors
/// [`RunError::Venue`]; [`RunError::Config`] names those that are not listed on both venues.
pub async fn named(rest: &Rest, assets: &[Asset]) -> Result<Chosen, RunError> {
    let markets = patient(Venue::Upbit, START, || rest.upbit_markets()).await?;
    let symbols = patient(Venue::Binance, START, || rest.binance_exchange_info()).await?;
    let fx_code = format!("{}-{}", Asset::KRW, Asset::USDT);
    let fx = fx(rest, &fx_code, START).await?;
    let found = candidates(&markets, &[], &symbols, &[], fx);
    let mut members = Vec::new();
    let mut unknown = Vec::new();
    for asset in assets {
        match found.iter().find(|candidate| candidate.asset == *asset) {
            Some(c) => members.push(Member {
                asset: *asset,
                upbit: c.upbit.clone(),
                binance: c.binance.clone(),
                turnover_usdt: Money::ZERO,
            }),
            None => unknown.push(asset.to_string()),
        }
    }
    if !unknown.is_empty() {
        let unknown = unknown.join(", ");
        return Err(RunError::Config(format!(
            "not listed against KRW on Upbit and against USDT on Binance: {unknown}; leave them out of --symbols"
        )));
    }
    Ok(Chosen { selection: Selection { members, ..Selection::default() }, fx, fx_code })
}

/// The members of before a restart, with the rate as it is now.
///
/// # Errors
/// [`RunError::Venue`].
pub async fn again(rest: &Rest, members: Vec<Member>) -> Result<Chosen, RunError> {
    let fx_code = format!("{}-{}", Asset::KRW, Asset::USDT);
    let fx = fx(rest, &fx_code, START).await?;
    Ok(Chosen { selection: Selection { members, ..Selection::default() }, fx, fx_code })
}

/// Repeats a request while repeating can help and patience lasts.
async fn patient<T, F: Future<Output = Result<T, RestError>>>(
    venue: Venue,
    Patience(patience): Patience,
    mut ask: impl FnMut() -> F,
) -> Result<T, RunError> {
    let started = Instant::now();
    let mut wait = Duration::from_millis(250);
    loop {
        let error = match ask().await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        // A used-up budget names its time.
        let named = error.retry_after(crate::requests::wall());
        let pause = named.map_or(wait, |named| named.max(wait));
        if error.is_terminal() || started.elapsed() + pause > patience {
            return Err(RunError::Venue { venue, cause: error.to_string(), next: next_step(&error) });
        }
        if named.is_none() {
            tracing::warn!(%venue, %error, "trying again");
        }
        tokio::time::sleep(pause).await;
        wait = (wait * 2).min(LONGEST);
    }
}

fn next_step(error: &RestError) -> String {
    match error {
        RestError::RateLimited { .. } => "wait until the venue's block is over, then start again",
        RestError::Parse { .. } => {
            "the venue's answer has changed: update Assay, or report the answer if there is no newer version"
        }
        RestError::Blocked { .. } => "run from a network and a country that the venue serves",
        RestError::Maintenance { .. } => "wait until the venue's maintenance has ended, then start again",
        _ => "check the address under [endpoints] and the network, then start again",
    }
    .to_owned()
}

async fn fx(rest: &Rest, code: &str, patience: Patience) -> Result<FxRate, RunError> {
    let codes = [code.to_owned()];
    let books = patient(Venue::Upbit, patience, || rest.upbit_orderbooks(&codes)).await?;
    let mid = books.iter().find(|(asset, _)| *asset == Asset::USDT).and_then(|(_, book)| book.mid());
    mid.map(FxRate).ok_or_else(|| RunError::Venue {
        venue: Venue::Upbit,
        cause: format!("{code} has no book, so nothing can be valued"),
        next: "look at the market's state on the venue, then start again".to_owned(),
    })
}

fn candidates(
    markets: &[UpbitMarket],
    upbit_tickers: &[Ticker],
    symbols: &[BinanceSymbol],
    binance_tickers: &[Ticker],
    fx: FxRate,
) -> Vec<Candidate> {
    let by_asset = |tickers: &[Ticker]| -> BTreeMap<Asset, Money> {
        tickers.iter().map(|t| (t.asset, t.turnover_24h)).collect()
    };
    let (upbit_turnover, binance_turnover) = (by_asset(upbit_tickers), by_asset(binance_tickers));
    let symbols: BTreeMap<Asset, &BinanceSymbol> =
        symbols.iter().filter(|s| s.quote == Asset::USDT).map(|s| (s.base, s)).collect();
    let krw: BTreeMap<Asset, &UpbitMarket> =
        markets.iter().filter(|m| m.quote == Asset::KRW).map(|m| (m.asset, m)).collect();
    let mut found = Vec::new();
    for (asset, market) in krw {
        let Some(symbol) = symbols.get(&asset) else { continue };
        // A market without a ticker has not traded: no turnover is what it had.
        let krw = upbit_turnover.get(&asset).copied().unwrap_or(Money::ZERO);
        let Some(upbit_usdt) = fx.krw_to_usd(krw, Rounding::Floor) else { continue };
        found.push(Candidate {
            asset,
            upbit: upbit_instrument(market),
            binance: binance_instrument(symbol),
            upbit_turnover_usdt: upbit_usdt,
            binance_turnover_usdt: binance_turnover.get(&asset).copied().unwrap_or(Money::ZERO),
            books: None,
            warning: market.warning,
            trading: symbol.trading,
        });
    }
    found
}

/// The tick follows Upbit's bands: an exception that the venue names is set once the member's books are asked for.
fn upbit_instrument(market: &UpbitMarket) -> Instrument {
    Instrument {
        venue: Venue::Upbit,
        asset: market.asset,
        code: market.code.clone(),
        tick: TickRule::KrwBands,
        lot: Quantity(1),
        min_quantity: Quantity::ZERO,
        max_quantity: Quantity::ZERO,
        min_notional: Money::from_int(UPBIT_MIN_KRW),
    }
}

fn binance_instrument(symbol: &BinanceSymbol) -> Instrument {
    Instrument {
        venue: Venue::Binance,
        asset: symbol.base,
        code: symbol.symbol.clone(),
        tick: TickRule::Fixed(symbol.tick),
        lot: symbol.lot,
        min_quantity: symbol.min_qty,
        max_quantity: symbol.max_market_qty,
        min_notional: symbol.min_notional,
    }
}

/// Levels of Binance's books at the start.
pub const fn universe_depth(topn: u32) -> u16 {
    if topn <= 50 { 500 } else { 100 }
}

async fn books(
    rest: &Rest,
    candidates: &mut [Candidate],
    wanted: &[Asset],
    topn: u32,
    patience: Patience,
) -> Result<(), RunError> {
    let wanted: BTreeSet<Asset> = wanted.iter().copied().collect();
    let of = |candidate: &&mut Candidate| wanted.contains(&candidate.asset);
    let codes: Vec<String> =
        candidates.iter().filter(|c| wanted.contains(&c.asset)).map(|c| c.upbit.code.clone()).collect();
    if codes.is_empty() {
        return Ok(());
    }
    let upbit: BTreeMap<Asset, Book> =
        patient(Venue::Upbit, patience, || rest.upbit_orderbooks(&codes)).await?.into_iter().collect();
    let ticks: BTreeMap<Asset, Price> =
        patient(Venue::Upbit, patience, || rest.upbit_instruments(&codes)).await?.into_iter().collect();
    let symbols: Vec<(Asset, String)> = candidates
        .iter()
        .filter(|c| wanted.contains(&c.asset))
        .map(|c| (c.asset, c.binance.code.clone()))
        .collect();
    let mut binance = binance_books(rest, &symbols, universe_depth(topn), patience).await?;
    for candidate in candidates.iter_mut().filter(of) {
        let Some(book) = upbit.get(&candidate.asset) else { continue };
        if let (Some(tick), Some(mid)) = (ticks.get(&candidate.asset), book.mid())
            && market::upbit_krw_tick(mid) != *tick
        {
            candidate.upbit.tick = TickRule::Fixed(*tick);
        }
        if let Some(other) = binance.remove(&candidate.asset) {
            candidate.books = Some([book.clone(), other]);
        }
    }
    Ok(())
}

async fn binance_books(
    rest: &Rest,
    symbols: &[(Asset, String)],
    depth: u16,
    patience: Patience,
) -> Result<BTreeMap<Asset, Book>, RunError> {
    use futures_util::stream::{self, StreamExt};
    let ask = |(asset, symbol): &(Asset, String)| {
        let (asset, symbol) = (*asset, symbol.clone());
        async move {
            let body = patient(Venue::Binance, patience, || rest.binance_depth_raw(&symbol, depth)).await?;
            let mut levels = venues::LevelBuffer::new();
            venues::binance::wire::parse_snapshot(&body, &mut levels).map_err(|e| RunError::Venue {
                venue: Venue::Binance,
                cause: format!("the book of {symbol} cannot be read: {e}"),
                next: "the venue's answer has changed: update Assay, or report the answer if there is no newer version".to_owned(),
            })?;
            let mut book = Book::new();
            book.replace(levels.bids.iter().copied(), levels.asks.iter().copied());
            Ok::<_, RunError>((asset, book))
        }
    };
    let results: Vec<_> = stream::iter(symbols.iter().map(ask)).buffer_unordered(AT_ONCE).collect().await;
    results.into_iter().collect()
}

fn why_empty(selection: &Selection) -> String {
    if selection.out.is_empty() {
        return "no asset is listed on both venues".to_owned();
    }
    let first: Vec<String> =
        selection.out.iter().take(3).map(|(asset, why)| format!("{asset}: {why}")).collect();
    format!("{} candidates, such as {}", selection.out.len(), first.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::net::{SocketAddr, TcpStream};
    use venues::{Endpoints, Priority};

    /// Of either budget, for a refresh.
    const BAR: f64 = 0.2;
    const BINANCE_PER_MINUTE: f64 = 6_000.0;

    /// What Binance's server has counted in its minute, this question included.
    fn counted(binance: SocketAddr) -> u32 {
        let mut stream = TcpStream::connect(binance).unwrap();
        write!(stream, "GET /api/v3/time HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let used = text
            .lines()
            .find_map(|line| line.to_lowercase().strip_prefix("x-mbx-used-weight-1m:")?.trim().parse().ok());
        used.unwrap_or_else(|| panic!("{text}"))
    }

    /// How much of each group's budget is used now, by client's and servers' word.
    fn used(rest: &Rest) -> Vec<(String, f64)> {
        let stats = rest.stats();
        let of = |venue: &str, left: &[(&'static str, f64)]| -> Vec<(String, f64)> {
            left.iter().map(|(group, left)| (format!("{venue} {group}"), 1.0 - left)).collect()
        };
        [of("upbit", &stats.upbit.budget_left), of("binance", &stats.binance.budget_left)].concat()
    }

    /// `ASSAY_REFRESHES`: so many in a row, and at Top 50 with its deep books too, which take more than a minute's share.
    #[tokio::test]
    async fn a_refresh_stays_below_a_fifth_of_either_budget() {
        let rounds: u32 = std::env::var("ASSAY_REFRESHES").ok().and_then(|n| n.parse().ok()).unwrap_or(1);
        let options = exchange::Options::local(130, exchange::MarketKind::Calm, 5);
        let server = exchange::start(options).await.unwrap();
        let binance = server.binance;
        let rest = Rest::new(Endpoints::local(server.upbit, binance)).unwrap();
        let rest = rest.with_priority(Priority::Refresh);
        let filters = Filters::default();
        let work = async {
            for round in 0..rounds {
                let topn = if round % 2 == 0 { 100 } else { 50 };
                let begun = Instant::now();
                let found = gather(&rest, topn, &filters, Patience(Duration::from_secs(900))).await.unwrap();
                let (candidates, fx, _) = found;
                println!(
                    "top {topn}: {} candidates in {:.1} s",
                    candidates.len(),
                    begun.elapsed().as_secs_f64()
                );
                assert!(select(&candidates, fx, topn, &filters).members.len() >= topn as usize * 9 / 10);
            }
        };
        let mut most: BTreeMap<String, f64> = BTreeMap::new();
        tokio::pin!(work);
        let mut look = tokio::time::interval(Duration::from_millis(5));
        loop {
            let over = tokio::select! {
                () = &mut work => true,
                _ = look.tick() => false,
            };
            for (group, used) in used(&rest) {
                let known = most.entry(group).or_default();
                *known = known.max(used);
            }
            if over {
                break;
            }
        }
        let counted = tokio::task::spawn_blocking(move || counted(binance)).await.unwrap();
        println!("{most:?}, the server counted {counted} of {BINANCE_PER_MINUTE}");
        assert!(most.values().all(|used| *used <= BAR + 1e-9), "{most:?}");
        assert!(most["binance weight"] > 0.05, "{most:?}");
        assert!(f64::from(counted - 1) <= BAR * BINANCE_PER_MINUTE, "{counted}");
        server.shutdown().await;
    }
}
