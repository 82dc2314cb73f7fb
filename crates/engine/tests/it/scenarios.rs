//! For every guard rule a market in which it trips, goes on holding, and recovers: used by the tests of the guards, and by
//! those of the judge, which must find each such trigger true.

use crate::driver::Driver;
use engine::Config;
use engine::config::{FxLimits, Rebalance};
use market::{Money, Venue};
use recording::Input;

/// A rule's market. `trip` ends with the condition met, `hold` goes on with it (and with a gap to be taken where that is
/// possible), `recover` ends it.
pub struct Case {
    pub rule: &'static str,
    pub scope: &'static str,
    pub config: Config,
    pub symbols: usize,
    pub trip: fn(&mut Driver),
    pub hold: fn(&mut Driver),
    pub recover: fn(&mut Driver),
}

const NAMES: [&str; 5] = ["AAA", "BBB", "CCC", "DDD", "EEE"];
/// A gap of that many basis points is well above the threshold, and far from bad data.
const GAP: f64 = 80.0;

impl Case {
    pub fn start(&self) -> Driver {
        let mut d = Driver::new(&NAMES[..self.symbols], &self.config);
        calm(&mut d, 1);
        d
    }

    /// Trips, holds for a while, recovers.
    pub fn play(&self) -> Driver {
        let mut d = self.start();
        (self.trip)(&mut d);
        (self.hold)(&mut d);
        (self.recover)(&mut d);
        d
    }
}

/// Books that move a little in size, so that no venue is frozen.
pub fn calm(d: &mut Driver, seconds: i64) {
    for step in 0..seconds * 4 {
        d.size.iter_mut().for_each(|size| *size = 1_000.0 + (step % 2) as f64);
        d.wait_ms(250);
        d.fx();
        (0..d.names.len()).for_each(|i| d.both(i));
    }
}

fn all(d: &mut Driver, premium: f64, seconds: i64) {
    d.premium.iter_mut().for_each(|p| *p = premium);
    calm(d, seconds);
}

/// A gap on every symbol.
fn gap(d: &mut Driver) {
    all(d, GAP, 2);
}

fn flat(d: &mut Driver) {
    all(d, 0.0, 3);
}

fn answers(d: &mut Driver, n: usize, failed: usize, rtt_ms: u32) {
    for i in 0..n {
        d.input(Input::Health { venue: Venue::Binance, rtt_us: rtt_ms * 1_000, ok: i >= failed });
    }
    calm(d, 1);
}

/// Past the next midnight, UTC.
fn next_day(d: &mut Driver) {
    all(d, 0.0, 1);
    d.wait_ms(23 * 3_600_000);
    calm(d, 3);
}

/// Entered, and stopped out by a gap that widens.
fn lose(d: &mut Driver, times: u32) {
    for i in 0..times {
        all(d, 60.0 + f64::from(i) * 25.0, 1);
        all(d, 60.0 + f64::from(i + 1) * 25.0, 1);
    }
}

fn quick() -> Config {
    Config { entry_pause_ms: 0, max_positions_per_symbol: 1, ..Config::default() }
}

fn fx(limits: FxLimits) -> Config {
    // The rate's own move makes a gap, too.
    Config { fx: limits, max_positions: 0, ..Config::default() }
}

fn usd(text: &str) -> Money {
    Money::parse(text).unwrap()
}

/// What a scenario does to the market in one of its three parts.
type Play = fn(&mut Driver);

fn case(rule: &'static str, scope: &'static str, config: Config, steps: (Play, Play, Play)) -> Case {
    Case { rule, scope, config, symbols: 1, trip: steps.0, hold: steps.1, recover: steps.2 }
}

/// One for every rule but the errors of guards, which no market brings about.
pub fn cases() -> Vec<Case> {
    exchange().into_iter().chain(routes_and_symbols()).chain(wide()).collect()
}

/// A third of the usual messages, and no silence.
fn slow(d: &mut Driver) {
    calm(d, 80);
    for step in 0..30 {
        d.size[0] = 1_000.0 + f64::from(step % 2);
        d.wait_ms(750);
        d.fx();
        d.both(0);
    }
}

fn exchange() -> Vec<Case> {
    let only_upbit = |d: &mut Driver| {
        for step in 0..24 {
            d.size[0] = 1_000.0 + f64::from(step % 2);
            d.wait_ms(250);
            d.fx();
            d.upbit(0);
        }
    };
    let same_upbit = |d: &mut Driver| {
        for _ in 0..60 {
            d.wait_ms(250);
            d.upbit(0);
            d.binance(0);
        }
    };
    let loses_on_a_venue = Config {
        venue_daily_loss_usd: usd("0.2"),
        loss_streak_route: 100,
        loss_streak_cross: 100,
        ..quick()
    };
    let base = Config::default;
    vec![
        case(
            "health_frozen",
            "upbit",
            base(),
            (
                same_upbit,
                |d| {
                    // Upbit's last book, against a Binance that moves.
                    for _ in 0..4 {
                        d.wait_ms(250);
                        d.upbit(0);
                        d.binance(0);
                    }
                },
                |d| calm(d, 3),
            ),
        ),
        case(
            "health_down_silent",
            "binance",
            base(),
            (
                only_upbit,
                |d| {
                    d.premium[0] = GAP;
                    for _ in 0..4 {
                        d.wait_ms(250);
                        d.fx();
                        d.upbit(0);
                    }
                },
                |d| calm(d, 3),
            ),
        ),
        case(
            "health_down_latency",
            "binance",
            base(),
            (
                |d| answers(d, 5, 0, 1_100),
                gap,
                |d| {
                    answers(d, 5, 0, 20);
                    calm(d, 2);
                },
            ),
        ),
        case(
            "health_down_errors",
            "binance",
            base(),
            (
                |d| answers(d, 20, 4, 20),
                gap,
                |d| {
                    answers(d, 100, 0, 20);
                    calm(d, 2);
                },
            ),
        ),
        case(
            "health_degraded_latency",
            "binance",
            base(),
            (
                |d| answers(d, 5, 0, 300),
                gap,
                |d| {
                    answers(d, 5, 0, 20);
                    flat(d);
                },
            ),
        ),
        case(
            "health_degraded_errors",
            "binance",
            base(),
            (
                |d| answers(d, 100, 3, 20),
                gap,
                |d| {
                    answers(d, 100, 0, 20);
                    flat(d);
                },
            ),
        ),
        case(
            "health_degraded_rate",
            "upbit",
            base(),
            (
                slow,
                |d| {
                    d.premium[0] = GAP;
                    for _ in 0..3 {
                        d.wait_ms(500);
                        d.both(0);
                    }
                },
                |d| all(d, 0.0, 40),
            ),
        ),
        case("venue_daily_loss", "upbit", loses_on_a_venue, (|d| lose(d, 1), gap, next_day)),
        case(
            "request_budget",
            "upbit",
            base(),
            (
                |d| d.input(Input::Budget { venue: Venue::Upbit, left_bps: 1_999 }),
                gap,
                |d| {
                    d.input(Input::Budget { venue: Venue::Upbit, left_bps: 2_000 });
                    flat(d);
                },
            ),
        ),
    ]
}

fn routes_and_symbols() -> Vec<Case> {
    let grow = Config {
        capital_usd: Money::from_int(2_500),
        max_positions_per_symbol: 10,
        bias_min_open: 100,
        imbalance: 1.0,
        ..quick()
    };
    vec![
        case(
            "gross_gap",
            "AAA:buy_binance",
            Config::default(),
            (|d| all(d, 3_000.0, 1), |d| calm(d, 2), flat),
        ),
        case(
            "route_score",
            "AAA:buy_binance",
            Config { route_score_min: 75.0, ..Config::default() },
            (|d| all(d, 44.0, 1), |d| calm(d, 2), |d| all(d, 60.0, 2)),
        ),
        case(
            "route_loss_streak",
            "AAA:buy_binance",
            Config { cooldown_route_ms: 8_000, ..quick() },
            (|d| lose(d, 3), |d| calm(d, 3), |d| calm(d, 9)),
        ),
        case(
            "exposure_degrade",
            "AAA",
            Config { entry_pause_ms: 1_500, ..grow.clone() },
            (
                |d| all(d, 60.0, 1),
                |d| calm(d, 2),
                |d| {
                    for _ in 0..4 {
                        all(d, -60.0, 1);
                        flat(d);
                    }
                },
            ),
        ),
        case(
            "exposure_block",
            "AAA",
            grow,
            (
                |d| all(d, 60.0, 5),
                |d| calm(d, 2),
                |d| {
                    for _ in 0..4 {
                        all(d, -60.0, 1);
                        flat(d);
                    }
                },
            ),
        ),
        case(
            "volatility",
            "AAA",
            Config { volatility_pct: 0.5, entry_pause_ms: 1_500, ..Config::default() },
            (|d| all(d, GAP, 1), |d| calm(d, 2), |d| all(d, GAP, 62)),
        ),
    ]
}

fn wide() -> Vec<Case> {
    let loses =
        Config { daily_loss_usd: usd("0.3"), loss_streak_route: 100, loss_streak_cross: 100, ..quick() };
    let out = |d: &mut Driver| {
        all(d, -60.0, 1);
        flat(d);
    };
    let mut biased = case(
        "directional_bias",
        "buy_binance",
        Config { topn: 5, ..Config::default() },
        (|d| all(d, 60.0, 2), |d| calm(d, 2), out),
    );
    biased.symbols = 5;
    let mut exposed = case(
        "total_exposure",
        "*",
        Config { total_exposure_pct: 3.0, bias_min_open: 100, ..Config::default() },
        (
            |d| {
                d.premium[0] = 60.0;
                calm(d, 2);
            },
            gap,
            out,
        ),
    );
    exposed.symbols = 2;
    vec![
        case("daily_loss", "*", loses, (|d| lose(d, 1), gap, next_day)),
        exposed,
        case(
            "fx_stale",
            "*",
            Config::default(),
            (
                |d| {
                    for step in 0..62 * 4 {
                        d.size[0] = 1_000.0 + f64::from(step % 2);
                        d.wait_ms(250);
                        d.both(0);
                    }
                },
                |d| {
                    d.premium[0] = GAP;
                    for _ in 0..4 {
                        d.wait_ms(250);
                        d.both(0);
                    }
                },
                |d| calm(d, 3),
            ),
        ),
        case(
            "fx_low",
            "*",
            fx(FxLimits { low: 1_399.0, ..FxLimits::default() }),
            (
                |d| {
                    d.fx = 1_395.0;
                    calm(d, 12);
                },
                gap,
                |d| {
                    d.fx = 1_400.0;
                    calm(d, 12);
                },
            ),
        ),
        case(
            "fx_high",
            "*",
            fx(FxLimits { high: 1_401.0, ..FxLimits::default() }),
            (
                |d| {
                    d.fx = 1_405.0;
                    calm(d, 12);
                },
                gap,
                |d| {
                    d.fx = 1_400.0;
                    calm(d, 12);
                },
            ),
        ),
        case(
            "fx_jump",
            "*",
            fx(FxLimits { jump_pct_per_min: 0.3, ..FxLimits::default() }),
            (
                |d| {
                    d.fx = 1_406.0;
                    calm(d, 12);
                },
                gap,
                |d| calm(d, 75),
            ),
        ),
        biased,
        case(
            "inventory_imbalance",
            "AAA:buy_binance",
            Config { imbalance: 0.15, max_positions_per_symbol: 3, ..quick() },
            (|d| all(d, 60.0, 2), |d| calm(d, 2), out),
        ),
        // With `rebalance = "block"` it blocks from where a transfer would begin.
        case(
            "inventory_imbalance",
            "AAA:buy_binance",
            Config {
                imbalance: 0.9,
                rebalance: Rebalance::Block,
                rebalance_at: 0.15,
                max_positions_per_symbol: 3,
                ..quick()
            },
            (|d| all(d, 60.0, 2), |d| calm(d, 2), out),
        ),
        case(
            "cross_loss_streak",
            "*",
            Config { cooldown_cross_ms: 8_000, loss_streak_cross: 2, loss_streak_route: 100, ..quick() },
            (|d| lose(d, 2), |d| calm(d, 3), |d| calm(d, 9)),
        ),
        case(
            "emergency_stop",
            "*",
            Config {
                emergency_loss_usd: Money::parse("0.3").unwrap(),
                loss_streak_route: 100,
                loss_streak_cross: 100,
                ..quick()
            },
            (|d| lose(d, 1), |_| {}, |_| {}),
        ),
    ]
}

/// Random trouble of every kind, for a few minutes.
pub fn trouble(mut rng: impl FnMut(u32) -> u32) -> Driver {
    let config = Config {
        entry_pause_ms: 500,
        time_limit_ms: 5_000,
        cooldown_route_ms: 5_000,
        cooldown_cross_ms: 10_000,
        daily_loss_usd: usd("3"),
        venue_daily_loss_usd: usd("2"),
        volatility_pct: 0.6,
        imbalance: 0.3,
        route_score_min: 70.0,
        capital_usd: Money::from_int(2_500),
        fx: FxLimits { jump_pct_per_min: 0.3, low: 1_396.0, high: 1_404.0, ..FxLimits::default() },
        ..Config::default()
    };
    let mut d = Driver::new(&NAMES[..3], &config);
    for _ in 0..200 {
        for i in 0..3 {
            if rng(3) == 0 {
                d.premium[i] = f64::from(rng(240)) - 120.0;
            }
            d.size[i] = [3.0, 12.0, 25.0, 1_000.0][rng(4) as usize];
        }
        let venue = Venue::ALL[rng(2) as usize];
        match rng(16) {
            0 => d.fx = 1_392.0 + f64::from(rng(16)),
            1 => d.input(Input::Budget { venue, left_bps: rng(10_000) as u16 }),
            2 => {
                let rtt_us = rng(1_300_000);
                (0..5).for_each(|_| d.input(Input::Health { venue, rtt_us, ok: true }));
            }
            3 => d.input(Input::Health { venue, rtt_us: 20_000, ok: false }),
            4 => d.wait_ms(i64::from(rng(12_000))),
            5 => d.premium[rng(3) as usize] = 1_500.0,
            _ => {}
        }
        for _ in 0..4 {
            d.wait_ms(250);
            if rng(10) > 0 {
                d.fx();
            }
            for i in 0..3 {
                if rng(10) > 1 {
                    d.upbit(i);
                }
                if rng(10) > 1 {
                    d.binance(i);
                }
            }
        }
    }
    d.input(Input::Shutdown);
    calm(&mut d, 8);
    d
}
