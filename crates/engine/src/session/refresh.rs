//! The universe in mid-run: a refresh of the members, and markets that a venue halts, drops or warns of.
//!
//! A member that joins begins as at the start: its books sync, its level is seeded, its inventory is a journalled deposit. One
//! that leaves keeps its inventory in the accounts at the marks of that moment, and its books are dropped. A halted market's
//! book is no market, however long its last state stands: nothing fills there until the venue trades it again.

use crate::core::{Core, Effect};
use crate::legs::Phase;
use crate::market_state::BookState;
use crate::session::feed::new_symbol;
use crate::universe::{Found, Turnover, turnover};
use journal::record::{ExitReason, HaltEvent, Reason, UniverseRefresh};
use journal::{Body, Words};
use market::{Asset, Halt, HaltWhy, Member, Venue};
use recording::LeftOut;
use std::collections::{BTreeMap, BTreeSet};

impl Core {
    /// A refresh: decides who joins and who leaves, and does it.
    pub(crate) fn on_refresh(&mut self, asked: u32, ranked: &[Member], out: &[LeftOut]) {
        if self.stop.is_some() {
            return;
        }
        let current: Vec<Member> =
            self.members.iter().filter_map(|i| Some(self.symbols.get(*i)?.member.clone())).collect();
        let held: BTreeSet<Asset> = self.positions.iter().map(|position| position.asset).collect();
        let change_pct = self.config.universe_change_pct;
        let passed = ranked.len().min(asked as usize) as u32;
        let found = Found { asked, ranked, out, change_pct };
        let turnover = turnover(&current, &held, found);
        // Their times end before the record that says so.
        for (asset, _) in &turnover.left {
            if let Some(i) = self.by_asset.get(asset).copied() {
                self.record_trust_of(i);
            }
        }
        self.record_refresh(asked, passed, &turnover);
        let Turnover { members, joined, left, .. } = turnover;
        let gone: Vec<Member> =
            current.into_iter().filter(|m| left.iter().any(|(asset, _)| *asset == m.asset)).collect();
        for member in &gone {
            if let Some(i) = self.by_asset.get(&member.asset).copied() {
                self.leave(i);
            }
        }
        for member in &joined {
            if let Some(i) = self.by_asset.get(&member.asset).copied() {
                self.rejoin(i);
            }
        }
        self.set_members(asked, &members);
        if !joined.is_empty() || !gone.is_empty() {
            self.out.push(Effect::Watch { joined, left: gone });
            self.subscription_replaced(Venue::Upbit);
        }
    }

    fn record_refresh(&mut self, asked: u32, passed: u32, turnover: &Turnover) {
        let reasons = |of: &[(Asset, String)]| {
            of.iter().map(|(asset, why)| Reason { asset: *asset, why: why.clone() }).collect()
        };
        self.record(Body::UniverseRefresh(Box::new(UniverseRefresh {
            asked,
            passed,
            limit: turnover.limit as u32,
            joined: turnover.joined.iter().map(|member| member.asset).collect(),
            left: reasons(&turnover.left),
            stayed: reasons(&turnover.stayed),
            waiting: turnover.waiting.clone(),
        })));
        if passed < asked {
            let line = format!("universe: {passed} of {asked} symbols pass the filters at this refresh");
            self.note("warning", line);
        }
    }

    /// The books are dropped; what the accounts hold stays, at the last marks.
    fn leave(&mut self, i: usize) {
        let symbol = &mut self.symbols[i];
        symbol.active = false;
        symbol.watched = false;
        symbol.trust = None;
        // Nobody asks what the venues say of it any more.
        symbol.halted = [None; 2];
        symbol.edges = [None; 2];
        symbol.quotes = [None; 2];
        for book in &mut symbol.books {
            book.halt(false);
            book.leave();
        }
    }

    /// A symbol that was a member before: its inventory is still there, its level is not.
    fn rejoin(&mut self, i: usize) {
        let fresh = new_symbol(&self.symbols[i].member, &self.config, &*self.liquidity);
        let symbol = &mut self.symbols[i];
        symbol.levels = fresh.levels;
        symbol.seeded = false;
        symbol.candles = [Vec::new(), Vec::new()];
        symbol.range = fresh.range;
        symbol.joined = self.now;
    }

    /// The venues' word on markets of watched symbols.
    pub(crate) fn on_halts(&mut self, halted: &[Halt]) {
        let mut now: BTreeMap<(Asset, Venue), HaltWhy> = BTreeMap::new();
        for halt in halted {
            let known = now.entry((halt.asset, halt.venue)).or_insert(halt.why);
            *known = (*known).max(halt.why);
        }
        for i in 0..self.symbols.len() {
            for venue in Venue::ALL {
                let asset = self.symbols[i].member.asset;
                let why = now.get(&(asset, venue)).copied();
                let symbol = &self.symbols[i];
                if symbol.watched && symbol.halted[venue.index()] != why {
                    self.set_halt(i, venue, why);
                }
            }
        }
    }

    fn set_halt(&mut self, i: usize, venue: Venue, why: Option<HaltWhy>) {
        let asset = self.symbols[i].member.asset;
        let symbol = &mut self.symbols[i];
        symbol.halted[venue.index()] = why;
        symbol.books[venue.index()].halt(why.is_some_and(HaltWhy::is_closed));
        self.track(i, venue);
        let positions = self.positions.iter().filter(|p| p.symbol == i).count() as u32;
        self.record(Body::Halt(HaltEvent { venue, asset, why, positions }));
        let Some(why) = why else {
            self.note("info", format!("{asset} on {venue} trades as usual again"));
            self.evaluate(i);
            return;
        };
        let closes = self.symbols[i].books.iter().all(|book| book.state == BookState::Live);
        let then = match (positions, closes) {
            (0, _) => "no entries until that is over",
            (_, true) => "no entries, and its position is closed",
            (_, false) => {
                "no entries, and its position is frozen at the last marks until both books trade again"
            }
        };
        self.alert("SYMBOL-DEGRADED", "Market halted", move || {
            Words::new(format!("{asset} on {venue}: {}; {then}", said(why)))
                .label("venue", venue)
                .label("asset", asset)
        });
        self.close_halted(i);
    }

    /// Positions of a symbol under a halt leave: at once where both books are Live, else when they are again.
    pub(crate) fn close_halted(&mut self, i: usize) {
        let mut p = 0;
        while p < self.positions.len() {
            let position = &self.positions[p];
            let id = position.id;
            if position.symbol == i {
                if position.phase == Phase::Open {
                    self.begin_exit(p, ExitReason::Halt);
                }
                self.advance(p);
            }
            if self.positions.get(p).is_some_and(|position| position.id == id) {
                p += 1;
            }
        }
    }
}

fn said(why: HaltWhy) -> &'static str {
    match why {
        HaltWhy::Warning => "the venue warns of it",
        HaltWhy::Halted => "the venue has halted it",
        HaltWhy::Delisted => "the venue lists it no more",
    }
}
