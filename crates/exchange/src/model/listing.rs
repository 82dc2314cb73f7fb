//! Who is listed where, at which price and with which steps. Tickers of the first symbols are real ones, their prices are
//! not quotations: they are set where Upbit's tick is small against the price, as it is for most traded markets, with two
//! cheap exceptions whose tick is dear.

use super::noise::Noise;
use market::{Asset, AssetError};

const S: f64 = 1e8;

/// Ticker and start price in USDT, most traded first.
const KNOWN: [(&str, f64); 60] = [
    ("BTC", 116_240.0),
    ("ETH", 4_310.0),
    ("XRP", 2.94),
    ("SOL", 214.0),
    ("DOGE", 0.21),
    ("ADA", 1.86),
    ("AVAX", 24.6),
    ("LINK", 22.9),
    ("TRX", 0.335),
    ("DOT", 3.12),
    ("BCH", 288.0),
    ("NEAR", 2.71),
    ("APT", 3.05),
    ("UNI", 17.4),
    ("ATOM", 2.96),
    ("ETC", 19.7),
    ("AAVE", 292.0),
    ("INJ", 18.3),
    ("FIL", 2.33),
    ("ICP", 2.88),
    ("SUI", 3.21),
    ("TON", 2.64),
    ("LTC", 171.0),
    ("OM", 1.74),
    ("WLD", 1.91),
    ("RENDER", 2.52),
    ("TIA", 1.77),
    ("SEI", 1.83),
    ("IMX", 1.95),
    ("STX", 1.79),
    ("XTZ", 1.88),
    ("EGLD", 19.2),
    ("AXS", 2.21),
    ("SAND", 1.81),
    ("MANA", 1.92),
    ("GRT", 1.76),
    ("ARB", 1.73),
    ("OP", 1.93),
    ("PENDLE", 3.02),
    ("ENS", 21.4),
    ("COMP", 26.3),
    ("QNT", 27.9),
    ("NEO", 18.8),
    ("QTUM", 2.46),
    ("WAVES", 2.05),
    ("THETA", 1.97),
    ("CRV", 1.84),
    ("LPT", 20.1),
    ("ETHFI", 2.58),
    ("EIGEN", 1.99),
    ("ZRO", 2.31),
    ("TRUMP", 3.17),
    ("RAY", 2.83),
    ("JTO", 2.12),
    ("ONDO", 1.71),
    ("PYTH", 1.78),
    ("VIRTUAL", 2.02),
    ("MASK", 2.41),
    ("CVC", 1.89),
    ("KAVA", 1.82),
];

/// What kind of market a symbol is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Traded on both venues.
    Member,
    /// A stablecoin on both venues.
    Stable,
    /// Under a warning on Upbit.
    Warned,
    /// On halt at Binance: no book changes there.
    Halted,
    /// Listed on Upbit only.
    UpbitOnly,
    /// Listed on Binance only.
    BinanceOnly,
    /// KRW-USDT on Upbit: the FX market.
    Fx,
}

/// One symbol's fixed properties. Prices, steps and ticks are integers at 1e-8.
#[derive(Clone, Debug)]
pub struct Listing {
    /// The base asset.
    pub asset: Asset,
    /// What it is here for.
    pub kind: Kind,
    /// Upbit's code, `KRW-BTC`, when it is listed there.
    pub upbit: Option<String>,
    /// Binance's symbol, `BTCUSDT`, when it is listed there.
    pub binance: Option<String>,
    /// Start price in USDT.
    pub start: f64,
    /// Binance's tick.
    pub tick: i64,
    /// Binance's lot.
    pub lot: i64,
    /// Half of the spread before ticks, as a share of the price.
    pub half_spread: f64,
    /// Value within 1 % of the middle per side, in USDT.
    pub depth: f64,
    /// 24 h turnover on Binance in USDT; Upbit's is seven tenths of it.
    pub turnover: f64,
    /// Chance that the book changes within 100 ms.
    pub activity: f64,
}

impl Listing {
    /// True where the synthetic premium and planted gaps exist.
    pub fn is_member(&self) -> bool {
        self.kind == Kind::Member
    }
}

/// The whole list: `symbols` members, then KRW-USDT and those that a universe filter must keep out.
pub fn listings(symbols: usize, seed: u64) -> Result<Vec<Listing>, AssetError> {
    let mut noise = Noise::new(seed, 1);
    let mut all = Vec::with_capacity(symbols + 6);
    for index in 0..symbols {
        let (name, start) = match KNOWN.get(index) {
            Some((name, price)) => ((*name).to_owned(), *price),
            None => {
                let band = 10f64.powi((noise.uniform() * 3.0) as i32);
                (format!("A{}", index - KNOWN.len() + 1), noise.between(1.7, 3.2) * band)
            }
        };
        all.push(listing(&name, Kind::Member, start, index, &mut noise)?);
    }
    let extra = [
        ("USDT", Kind::Fx, 1.0),
        ("USDC", Kind::Stable, 1.0),
        ("GAS", Kind::Warned, 3.1),
        ("HIFI", Kind::Halted, 1.9),
        ("MOC", Kind::UpbitOnly, 2.2),
        ("1000SATS", Kind::BinanceOnly, 0.31),
    ];
    for (offset, (name, kind, start)) in extra.into_iter().enumerate() {
        all.push(listing(name, kind, start, 12 + offset, &mut noise)?);
    }
    Ok(all)
}

/// The symbols of real price paths, most traded first, each with its ticker, a price in USDT and its turnover; then
/// KRW-USDT.
pub fn of_paths(symbols: &[(Asset, f64, f64)], seed: u64) -> Result<Vec<Listing>, AssetError> {
    let mut noise = Noise::new(seed, 1);
    let mut all = Vec::with_capacity(symbols.len() + 1);
    for (rank, (asset, price, turnover)) in symbols.iter().enumerate() {
        let mut one = listing(asset.as_str(), Kind::Member, *price, rank, &mut noise)?;
        one.turnover = *turnover;
        one.depth = depth(*turnover);
        all.push(one);
    }
    all.push(listing("USDT", Kind::Fx, 1.0, symbols.len(), &mut noise)?);
    Ok(all)
}

fn depth(turnover: f64) -> f64 {
    (turnover * 0.002).clamp(150_000.0, 5_000_000.0)
}

fn listing(
    name: &str,
    kind: Kind,
    start: f64,
    rank: usize,
    noise: &mut Noise,
) -> Result<Listing, AssetError> {
    let asset = Asset::new(name)?;
    // One symbol in twenty trades too little for any sensible filter.
    let turnover =
        if rank % 20 == 19 { 600_000.0 } else { (2.5e9 / ((rank + 1) as f64).powf(1.1)).max(1.5e6) };
    let magnitude = start.log10().floor() as i32;
    let power = |exponent: i32| (10f64.powi(exponent) * S).round() as i64;
    Ok(Listing {
        asset,
        kind,
        upbit: (kind != Kind::BinanceOnly).then(|| format!("KRW-{name}")),
        binance: (!matches!(kind, Kind::UpbitOnly | Kind::Fx)).then(|| format!("{name}USDT")),
        start,
        tick: power((magnitude - 4).clamp(-8, -2)),
        lot: power((-magnitude - 1).clamp(-5, 0)),
        half_spread: if rank < 5 { noise.between(0.5, 0.8) } else { noise.between(0.6, 1.6) } * 1e-4,
        depth: depth(turnover),
        turnover,
        activity: (0.95 * 0.97f64.powi(rank as i32)).max(0.12),
    })
}
