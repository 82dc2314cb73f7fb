//! The premium of Upbit over Binance for one symbol, in basis points: a slowly moving level, small noise around it,
//! episodes in the `edge` market, and planted gaps.

use super::noise::Noise;

/// The level stays within this many bps of zero.
pub const LEVEL_BOUND_BPS: f64 = 30.0;
/// The noise around the level stays within this many bps: with ticks and spreads it never comes near the costs.
pub const NOISE_BOUND_BPS: f64 = 10.0;

const NOISE_SD_BPS: f64 = 3.0;
const NOISE_SECONDS: f64 = 20.0;
const LEVEL_SD_BPS: f64 = 3.0;
const LEVEL_SECONDS: f64 = 1_800.0;
/// Episode starts per second and symbol: about one a second over 50 symbols.
const EPISODES_PER_SECOND: f64 = 0.02;
const RISE_SECONDS: f64 = 0.15;
const REVERT_SECONDS: f64 = 0.5;
const LONG_SECONDS: f64 = 8.0;

/// What an episode does after its rise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EpisodeKind {
    /// Holds for a second or so and reverts.
    Revert,
    /// Moves further in the same direction before it reverts: a stop loss.
    Further,
    /// Stays for 8 s: a time limit.
    Stay,
    /// Swings to the other side of the level: a spread reversal.
    Overshoot,
}

#[derive(Clone, Copy, Debug)]
struct Episode {
    kind: EpisodeKind,
    age: f64,
    amplitude: f64,
    hold: f64,
    further: f64,
}

impl Episode {
    fn draw(noise: &mut Noise) -> Self {
        let pick = noise.uniform();
        let kind = match pick {
            p if p < 0.75 => EpisodeKind::Revert,
            p if p < 0.87 => EpisodeKind::Further,
            p if p < 0.95 => EpisodeKind::Stay,
            _ => EpisodeKind::Overshoot,
        };
        let sign = noise.sign();
        let amplitude = sign * noise.between(45.0, 110.0);
        let further = match kind {
            EpisodeKind::Overshoot => -sign * noise.between(15.0, 25.0),
            _ => sign * noise.between(30.0, 50.0),
        };
        Self { kind, age: 0.0, amplitude, hold: noise.between(1.0, 1.5), further }
    }

    /// The shift at this age in bps; `None` when it is over.
    fn shift(&self) -> Option<f64> {
        let (age, amplitude) = (self.age, self.amplitude);
        if age < RISE_SECONDS {
            return Some(amplitude * (age / RISE_SECONDS));
        }
        let decay = |from: f64, since: f64| {
            let left = from * (-since / REVERT_SECONDS).exp();
            (left.abs() > 0.5).then_some(left)
        };
        match self.kind {
            EpisodeKind::Revert if age < self.hold => Some(amplitude),
            EpisodeKind::Revert => decay(amplitude, age - self.hold),
            EpisodeKind::Stay if age < LONG_SECONDS => Some(amplitude),
            EpisodeKind::Stay => decay(amplitude, age - LONG_SECONDS),
            EpisodeKind::Further if age < self.hold => Some(amplitude),
            EpisodeKind::Further if age < LONG_SECONDS => Some(amplitude + self.further),
            EpisodeKind::Further => decay(amplitude + self.further, age - LONG_SECONDS),
            EpisodeKind::Overshoot if age < self.hold => Some(amplitude),
            EpisodeKind::Overshoot if age < self.hold + 1.0 => Some(self.further),
            EpisodeKind::Overshoot => decay(self.further, age - self.hold - 1.0),
        }
    }
}

/// One symbol's premium.
#[derive(Clone, Debug)]
pub struct Premium {
    base: f64,
    level: f64,
    wobble: f64,
    episode: Option<Episode>,
    episodes: u64,
    /// The sum of the planted gaps that are open, in bps.
    pub planted: f64,
}

impl Premium {
    /// A premium whose level starts anywhere within +-20 bps.
    pub fn new(noise: &mut Noise) -> Self {
        let base = noise.between(-20.0, 20.0);
        Self { base, level: base, wobble: 0.0, episode: None, episodes: 0, planted: 0.0 }
    }

    /// No premium at all.
    pub fn flat() -> Self {
        Self { base: 0.0, level: 0.0, wobble: 0.0, episode: None, episodes: 0, planted: 0.0 }
    }

    /// The level that the moving one comes back to, which is also the one at the start, in bps.
    pub fn base(&self) -> f64 {
        self.base
    }

    /// The level in bps.
    pub fn level(&self) -> f64 {
        self.level
    }

    /// Level, noise, episode and planted gaps together, in bps.
    pub fn total(&self) -> f64 {
        let episode = self.episode.and_then(|e| e.shift()).unwrap_or(0.0);
        self.level + self.wobble + episode + self.planted
    }

    /// How many episodes have begun.
    pub fn episodes(&self) -> u64 {
        self.episodes
    }

    /// One step of `dt` seconds; `episodes` says whether the market has any.
    pub fn step(&mut self, dt: f64, episodes: bool, noise: &mut Noise) {
        self.wobble = ou(self.wobble, 0.0, NOISE_SD_BPS, NOISE_SECONDS, dt, noise.bell())
            .clamp(-NOISE_BOUND_BPS, NOISE_BOUND_BPS);
        self.level = ou(self.level, self.base, LEVEL_SD_BPS, LEVEL_SECONDS, dt, noise.bell())
            .clamp(-LEVEL_BOUND_BPS, LEVEL_BOUND_BPS);
        if !episodes {
            return;
        }
        if let Some(episode) = &mut self.episode {
            episode.age += dt;
            if episode.shift().is_none() {
                self.episode = None;
            }
        } else if noise.uniform() < EPISODES_PER_SECOND * dt {
            self.episode = Some(Episode::draw(noise));
            self.episodes += 1;
        }
    }
}

/// One Euler step of an Ornstein-Uhlenbeck process around `mean`.
pub fn ou(x: f64, mean: f64, sd: f64, seconds: f64, dt: f64, shock: f64) -> f64 {
    x + (mean - x) * dt / seconds + sd * (2.0 * dt / seconds).sqrt() * shock
}
