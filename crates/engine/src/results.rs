//! What closed positions added up to: results since the day boundary, peak and drawdown, losses in a row. The session and
//! the recovery from a journal count with the same code.

use crate::config::Config;
use crate::core::Results;
use journal::record::Direction;
use market::{Asset, Money, NANOS_PER_SEC, Timestamp};

const SECONDS_PER_DAY: i64 = 86_400;

impl Config {
    /// The day that an instant belongs to, counted from 1970-01-01 at the configured boundary.
    pub(crate) const fn day_of(&self, at: Timestamp) -> i64 {
        (at.0.div_euclid(NANOS_PER_SEC) + self.day_offset.seconds()).div_euclid(SECONDS_PER_DAY)
    }
}

impl Results {
    /// A new day begins with nothing.
    pub(crate) fn roll(&mut self, day: i64) {
        if day != self.day {
            self.day = day;
            self.daily_net = Money::ZERO;
            self.venue_daily = [Money::ZERO; 2];
        }
    }

    /// Adds a position's result: net, and the flows per venue.
    pub(crate) fn add(&mut self, cash_usd: [Money; 2], net_usd: Money) {
        let add = |to: &mut Money, amount: Money| to.0 = to.0.saturating_add(amount.0);
        add(&mut self.net, net_usd);
        add(&mut self.daily_net, net_usd);
        for (sum, cash) in self.venue_daily.iter_mut().zip(cash_usd) {
            add(sum, cash);
        }
    }

    /// An equity point: peak and drawdown.
    pub(crate) fn mark(&mut self, pnl_usd: Money) {
        self.peak = self.peak.max(pnl_usd);
        let fall = Money(self.peak.0.saturating_sub(pnl_usd.0));
        self.drawdown = self.drawdown.max(fall);
    }

    /// Counts a round trip for the losses in a row: of its route, and over all. A streak that is long enough for its
    /// cooldown is given back and starts anew. `cooling`: the cooldown of the route, and that of all, is under way: what
    /// closes then was entered before it and counts for no streak.
    pub(crate) fn streak(
        &mut self,
        route: (Asset, Direction),
        net_usd: Money,
        config: &Config,
        cooling: (bool, bool),
    ) -> (Option<u32>, Option<u32>) {
        if net_usd.0 > 0 {
            self.loss_streak = 0;
            self.route_streaks.remove(&route);
            return (None, None);
        }
        let mut of_route = 0;
        if !cooling.0 {
            let streak = self.route_streaks.entry(route).or_insert(0);
            *streak += 1;
            of_route = *streak;
        }
        self.loss_streak += u32::from(!cooling.1);
        let of_all = self.loss_streak;
        let route_hit = of_route >= config.loss_streak_route;
        if route_hit {
            self.route_streaks.remove(&route);
        }
        let all_hit = of_all >= config.loss_streak_cross;
        if all_hit {
            self.loss_streak = 0;
        }
        (route_hit.then_some(of_route), all_hit.then_some(of_all))
    }
}
