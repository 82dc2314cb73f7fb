//! Inputs: frames, snapshots, connections, candles, the universe.

use crate::core::{Conn, Core, Effect, Stop, Symbol};
use crate::edge::candle_gap_bps;
use crate::funnel::{Counts, Stage};
use crate::level::Level;
use crate::liquidity::LiquidityModel;
use crate::market_state::{Change, SymbolBook};
use crate::probe;
use crate::volatility::Range;
use journal::record::Direction;
use journal::{Body, Words};
use market::{Asset, Member, Quantity, Rounding, Timestamp, Venue};
use recording::{ConnId, Input};
use std::time::Duration;
use venues::{Candle, LevelBuffer, binance, upbit};

const MINUTE_NS: i64 = 60_000_000_000;
/// A venue that had no trade in a minute sends no candle: its last close stands for up to this long.
const CARRY_NS: i64 = 5 * MINUTE_NS;

impl Core {
    /// Takes an input; timers that were due have fired.
    pub(crate) fn handle(&mut self, input: &Input) {
        match input {
            Input::Session { .. } | Input::Resume { .. } => {
                self.trouble("a second session record in the log was left out".to_owned())
            }
            Input::Universe { asked, members } => self.set_members(*asked, members),
            Input::Refresh { asked, ranked, out } => self.on_refresh(*asked, ranked, out),
            Input::Halts { halted } => self.on_halts(halted),
            Input::ConnUp { conn, venue } => self.on_conn_up(*conn, *venue),
            Input::ConnDown { conn, venue, reason } => self.on_conn_down(*conn, *venue, reason),
            Input::Frame { conn, payload } => self.on_frame(*conn, payload),
            Input::Alive { conn } => self.on_alive(*conn),
            Input::Snapshot { venue, asset, epoch, payload } => {
                self.on_snapshot(*venue, *asset, *epoch, payload)
            }
            Input::SnapshotFailed { venue, asset, epoch, status, retry_after_ms } => {
                self.on_snapshot_failed(*venue, *asset, *epoch, *status, *retry_after_ms);
            }
            Input::Candles { venue, asset, payload } => self.on_candles(*venue, *asset, payload),
            Input::Health { venue, rtt_us, ok } => {
                self.health[venue.index()].on_answer(*rtt_us, *ok);
                if *ok {
                    let round_trip = Duration::from_micros((*rtt_us).into());
                    self.broker.on_round_trip(*venue, round_trip);
                    self.shadows.broker.on_round_trip(*venue, round_trip);
                }
            }
            Input::Budget { venue, left_bps } => {
                self.view.venues[venue.index()].budget = Some(f64::from(*left_bps) / 1e4);
                self.on_budget(*venue, *left_bps);
            }
            Input::KillSwitch { reason } => self.begin_stop(Stop::Kill, reason),
            Input::Shutdown => self.begin_stop(Stop::Shutdown, "the end of the run"),
            Input::Tick => {}
        }
    }

    /// These are the members from now on.
    pub(crate) fn set_members(&mut self, asked: u32, members: &[Member]) {
        self.record(Body::Universe { asked, members: members.to_vec() });
        for symbol in &mut self.symbols {
            symbol.active = false;
        }
        let mut joined = 0;
        for member in members {
            if let Some(i) = self.by_asset.get(&member.asset) {
                let symbol = &mut self.symbols[*i];
                symbol.member = member.clone();
                symbol.active = true;
                symbol.watched = true;
            } else {
                joined += 1;
                self.by_asset.insert(member.asset, self.symbols.len());
                self.index.insert(member.asset, self.symbols.len());
                let symbol = new_symbol(member, &self.config, &*self.liquidity);
                self.symbols.push(Symbol { joined: self.now, ..symbol });
            }
        }
        self.members = members.iter().filter_map(|m| self.by_asset.get(&m.asset).copied()).collect();
        for m in 0..self.members.len() {
            self.watch_books(self.members[m]);
        }
        self.universe_set = true;
        for health in &mut self.health {
            health.watch_books_from(self.now);
        }
        if members.is_empty() {
            self.alert("UNIVERSE-EMPTY", "Universe is empty", move || {
                Words::new(format!("{asked} symbols were asked for and none passes the filters"))
            });
        } else if (members.len() as u64) < u64::from(asked) {
            self.note("warning", format!("{} of {asked} symbols pass the filters", members.len()));
        }
        self.krw_due += joined;
        let worth =
            self.config.leg_usd.0.checked_mul(i128::from(self.config.inventory_legs) * i128::from(joined));
        match worth {
            Some(worth) if worth > 0 => self.deposit(Venue::Binance, Asset::USDT, Quantity(worth)),
            Some(_) => {}
            None => self.trouble("the starting cash does not fit an exact number".to_owned()),
        }
        self.deposit_all();
    }

    fn on_conn_up(&mut self, conn: ConnId, venue: Venue) {
        let v = venue.index();
        let again = self.lost_conns[v] > 0 || self.conns.get(&conn).is_some_and(|known| !known.up);
        self.lost_conns[v] = self.lost_conns[v].saturating_sub(u32::from(again));
        self.health[v].on_up(self.now, again);
        let now = self.now;
        let shown = Timestamp(i64::MIN);
        let known = Conn {
            venue,
            up: true,
            last_life: now,
            last_frame: now,
            shown,
            stale: false,
            since: now,
            newest: None,
            newest_before: None,
            moved: now,
            stopped: false,
        };
        self.conns.insert(conn, known);
        let reconnects = self.health[v].recent_reconnects(self.now);
        let storm = reconnects > self.config.health.reconnect_storm;
        if storm && !self.storm[v] {
            self.alert("WS-RECONNECT-STORM", "Reconnect storm", move || {
                Words::new(format!(
                    "{reconnects} reconnects of {venue} within 60 s; look at the network and the venue's status"
                ))
                .label("venue", venue)
            });
        }
        self.storm[v] = storm;
        self.note("info", format!("connection {conn} of {venue} is up"));
    }

    fn on_conn_down(&mut self, conn: ConnId, venue: Venue, reason: &str) {
        if let Some(known) = self.conns.get_mut(&conn) {
            if known.up {
                self.lost_conns[venue.index()] += 1;
            }
            known.up = false;
        }
        for symbol in &mut self.symbols {
            let book = &mut symbol.books[venue.index()];
            if book.conn == Some(conn) {
                book.disconnect();
                // A snapshot that is still under way belongs to the lost connection.
                book.epoch += 1;
            }
        }
        self.track_all();
        if self.fx.conn == Some(conn) {
            self.fx.disconnect();
        }
        if self.stop.is_none() {
            self.note("warning", format!("connection {conn} of {venue} is down: {reason}"));
        }
    }

    fn on_alive(&mut self, conn: ConnId) {
        let now = self.now;
        let Some(known) = self.conns.get_mut(&conn).filter(|known| known.up) else { return };
        known.last_life = now;
        let venue = known.venue;
        self.health[venue.index()].on_alive(now);
        self.on_reply(conn, venue);
        self.wake_orders();
    }

    /// A message without a time of its own: the venue sent it at most one way ago, and after everything before it.
    fn on_reply(&mut self, conn: ConnId, venue: Venue) {
        let sent = Timestamp(self.now.0.saturating_sub(self.one_way_ns(venue)));
        self.on_shown(conn, sent);
    }

    /// A connection has come to `sent`, on our clock: its messages arrive in the order in which they were sent.
    fn on_shown(&mut self, conn: ConnId, sent: Timestamp) {
        if let Some(known) = self.conns.get_mut(&conn) {
            known.shown = known.shown.max(sent);
        }
    }

    /// Orders that wait for their stream get their chance after each message.
    fn wake_orders(&mut self) {
        self.execute_returning();
        if self.broker.is_waiting() {
            self.execute_overdue();
        }
        if self.shadows.broker.is_waiting() {
            self.execute_overdue_shadows();
        }
    }

    fn on_frame(&mut self, conn: ConnId, payload: &[u8]) {
        self.mark(probe::Stage::Parse);
        let now = self.now;
        let Some(known) = self.conns.get_mut(&conn).filter(|known| known.up) else {
            // It must not bring a book to life that nothing keeps up to date.
            self.trouble(format!("a frame of connection {conn}, which is not up, was left out"));
            return;
        };
        (known.last_life, known.last_frame, known.stale) = (now, now, false);
        let venue = known.venue;
        self.health[venue.index()].on_frame(now);
        let mut levels = std::mem::take(&mut self.levels);
        match venue {
            Venue::Upbit => self.on_upbit(conn, payload, &mut levels),
            Venue::Binance => self.on_binance(conn, payload, &mut levels),
        }
        self.levels = levels;
        self.wake_orders();
    }

    fn on_upbit(&mut self, conn: ConnId, payload: &[u8], levels: &mut LevelBuffer) {
        match upbit::wire::parse(payload, levels) {
            Ok(message) => self.on_upbit_message(conn, &message, levels),
            Err(e) => {
                // A list of several messages, in a list format.
                let mut read = 0;
                let all = upbit::wire::parse_each(payload, levels, |message, levels| {
                    read += 1;
                    self.on_upbit_message(conn, &message, levels);
                });
                if all.is_err() {
                    self.trouble(format!("a frame of upbit cannot be read, {read} messages before: {e}"));
                }
            }
        }
    }

    fn on_upbit_message(&mut self, conn: ConnId, message: &upbit::wire::Message<'_>, levels: &LevelBuffer) {
        let frame = match message {
            upbit::wire::Message::Orderbook(frame) => frame,
            upbit::wire::Message::Status | upbit::wire::Message::Other => {
                self.on_reply(conn, Venue::Upbit);
                return;
            }
            upbit::wire::Message::Error { name, message } => {
                let next = upbit::wire::next_step(name);
                self.trouble(format!("upbit refused a subscription: {name}: {message}; {next}"));
                return;
            }
        };
        self.mark(probe::Stage::Book);
        let Some(asset) = upbit::wire::base_of(frame.code) else { return };
        self.clocks[Venue::Upbit.index()].observe(self.now, frame.at);
        self.on_shown(conn, self.on_our_clock(Venue::Upbit, frame.at));
        let stopped = self.on_venue_time(conn, frame.at);
        if asset == Asset::USDT {
            self.on_fx(conn, frame.at, levels);
            return;
        }
        let Some(i) = self.followed(asset) else { return };
        let book = &mut self.symbols[i].books[Venue::Upbit.index()];
        book.conn = Some(conn);
        let change = book.on_whole(frame.at, levels);
        book.confirm(frame.snapshot, self.now);
        if stopped {
            book.time_stopped();
        }
        self.after_change(i, Venue::Upbit, change);
    }

    fn on_binance(&mut self, conn: ConnId, payload: &[u8], levels: &mut LevelBuffer) {
        use binance::wire::Message;
        let diff = match binance::wire::parse(payload, levels) {
            Ok(Message::Depth(diff)) => diff,
            Ok(Message::BookTicker(quote)) => {
                self.mark(probe::Stage::Book);
                self.on_quote(&quote);
                return;
            }
            Ok(Message::SubscribeAck { ok: false, .. }) => {
                self.trouble("binance refused a subscription".to_owned());
                return;
            }
            Ok(_) => return,
            Err(e) => {
                self.trouble(format!("a frame of binance cannot be read: {e}"));
                return;
            }
        };
        self.mark(probe::Stage::Book);
        let Some(asset) = diff.symbol.strip_suffix("USDT").and_then(|base| Asset::new(base).ok()) else {
            return;
        };
        let Some(i) = self.followed(asset) else { return };
        self.clocks[Venue::Binance.index()].observe(self.now, diff.at);
        let (stopped, now) = (self.on_venue_time(conn, diff.at), self.now);
        self.on_shown(conn, self.on_our_clock(Venue::Binance, diff.at));
        let book = &mut self.symbols[i].books[Venue::Binance.index()];
        book.conn = Some(conn);
        let change = book.on_diff(&diff, levels);
        book.compare_quotes(now);
        if stopped {
            book.time_stopped();
        }
        self.after_change(i, Venue::Binance, change);
    }

    /// The symbol of a frame; none of a member that left, whose last messages may still come.
    pub(crate) fn followed(&self, asset: Asset) -> Option<usize> {
        self.index.get(asset).filter(|i| self.symbols[*i].watched)
    }

    fn on_fx(&mut self, conn: ConnId, venue_time: Timestamp, levels: &LevelBuffer) {
        self.fx.conn = Some(conn);
        let (usable, changed) = self.fx.on_whole(self.now, venue_time, levels);
        self.mark(probe::Stage::Decide);
        if changed {
            self.health[Venue::Upbit.index()].on_change(self.now);
        }
        if !usable {
            return;
        }
        self.deposit_all();
        self.fx_moved();
    }

    /// Re-evaluates every symbol when the rate has moved far enough since the last time.
    pub(crate) fn fx_moved(&mut self) {
        let Some(rate) = self.fx.rate() else { return };
        let moved = self.fx_evaluated.is_none_or(|old| {
            ((rate.0.to_f64() / old.0.to_f64() - 1.0) * 1e4).abs() >= self.config.fx.reevaluate_bps
        });
        if moved {
            self.fx_evaluated = Some(rate);
            for i in 0..self.symbols.len() {
                self.evaluate(i);
            }
        }
    }

    /// After a message for a symbol's book: deposits, orders that are due, then the decision.
    fn after_change(&mut self, i: usize, venue: Venue, change: Change) {
        self.mark(probe::Stage::Decide);
        self.track(i, venue);
        self.count(i, |c: &mut Counts| c.stage(Stage::Updates));
        let asset = self.symbols[i].member.asset;
        if change.changed {
            self.health[venue.index()].on_change(self.now);
        }
        if let Some(why) = change.need_snapshot {
            self.need_snapshot(i, venue, why, change.resync);
            return;
        }
        if self.symbols[i].deposited != [true, true] {
            self.deposit_coin(i);
        }
        if self.broker.pending() > 0
            && let Some(time) = self.symbols[i].books[venue.index()].venue_time
        {
            let at = self.on_our_clock(venue, time);
            let mut due = std::mem::take(&mut self.due);
            self.broker.due(venue, asset, at, &mut due);
            self.execute_all(&mut due);
            self.due = due;
        }
        self.execute_returning();
        self.after_change_of_shadows(i, venue);
        self.evaluate(i);
    }

    /// A venue's time on our clock; the fastest message is taken to need half the best round trip, or, while none was
    /// measured, the configured latency.
    pub(crate) fn on_our_clock(&self, venue: Venue, time: Timestamp) -> Timestamp {
        self.clocks[venue.index()].corrected(time, self.one_way_ns(venue), self.now)
    }

    /// What a message of the venue takes: half the best round trip, the configured latency while none was measured.
    pub(crate) fn one_way_ns(&self, venue: Venue) -> i64 {
        let configured = i64::from(self.config.latency_us.of(venue)) * 1_000;
        self.health[venue.index()].best_one_way_ns().unwrap_or(configured)
    }

    fn need_snapshot(&mut self, i: usize, venue: Venue, why: &str, resync: bool) {
        if resync {
            self.tell_resync(i, venue, why);
        }
        self.request_snapshot(i, venue);
    }

    pub(crate) fn request_snapshot(&mut self, i: usize, venue: Venue) {
        let asset = self.symbols[i].member.asset;
        let book = &mut self.symbols[i].books[venue.index()];
        book.epoch += 1;
        book.retry_at = None;
        let epoch = book.epoch;
        self.out.push(Effect::RequestSnapshot { venue, asset, epoch });
    }

    fn on_snapshot(&mut self, venue: Venue, asset: Asset, epoch: u32, payload: &[u8]) {
        let Some(i) = self.by_asset.get(&asset).copied() else { return };
        // A recorded market knows no epochs of ours: its answers fit by their ids, or they do not.
        let is_ours = epoch == 0 || self.symbols[i].books[venue.index()].epoch == epoch;
        if venue != Venue::Binance || !is_ours {
            return;
        }
        self.mark(probe::Stage::Parse);
        let mut levels = std::mem::take(&mut self.levels);
        match binance::wire::parse_snapshot(payload, &mut levels) {
            Ok(snapshot) => {
                self.mark(probe::Stage::Book);
                let change = self.symbols[i].books[venue.index()].on_snapshot(snapshot, &levels);
                match change.need_snapshot {
                    // An answer that is too old must not become a tight loop of requests.
                    Some(why) => {
                        self.note(
                            "warning",
                            format!("the snapshot of {asset} on {venue} does not fit: {why}"),
                        );
                        self.retry_snapshot(i, venue, 0);
                    }
                    None => self.after_change(i, venue, change),
                }
            }
            Err(e) => {
                self.trouble(format!("the snapshot of {asset} on {venue} cannot be read: {e}"));
                self.retry_snapshot(i, venue, 0);
            }
        }
        self.levels = levels;
    }

    fn on_snapshot_failed(
        &mut self,
        venue: Venue,
        asset: Asset,
        epoch: u32,
        status: u16,
        retry_after_ms: u32,
    ) {
        let Some(i) = self.by_asset.get(&asset).copied() else { return };
        if self.symbols[i].books[venue.index()].epoch == epoch {
            self.note("warning", format!("the snapshot of {asset} on {venue} failed with status {status}"));
            self.retry_snapshot(i, venue, i64::from(retry_after_ms));
        }
    }

    fn on_candles(&mut self, venue: Venue, asset: Asset, payload: &[u8]) {
        let parsed = match venue {
            Venue::Upbit => upbit::wire::parse_candles(payload),
            Venue::Binance => binance::wire::parse_klines(payload),
        };
        let candles = match parsed {
            Ok(candles) => candles,
            Err(e) => {
                self.trouble(format!("candles of {asset} on {venue} cannot be read: {e}"));
                return;
            }
        };
        if asset == Asset::USDT && venue == Venue::Upbit {
            self.fx_candles = candles;
        } else if let Some(i) = self.by_asset.get(&asset).copied() {
            self.symbols[i].candles[venue.index()] = candles;
        }
    }

    /// Seeds the levels of a symbol from candles, once everything for it is there: candles of both venues and of the FX
    /// market, and both spreads. Called each second until done.
    pub(crate) fn seed_level(&mut self, i: usize) {
        let symbol = &mut self.symbols[i];
        let [upbit, binance] = &symbol.candles;
        if symbol.seeded || upbit.is_empty() || binance.is_empty() || self.fx_candles.is_empty() {
            return;
        }
        let [Some(a), Some(b)] = [0, 1].map(|v| symbol.books[v].live().and_then(|book| book.spread_bps()))
        else {
            return;
        };
        symbol.seeded = true;
        let from = self.now.0.saturating_sub(self.config.level_window_ms.saturating_mul(1_000_000));
        let mut levels = Direction::ALL.map(|_| new_level(&self.config));
        for candle in binance {
            let closed = candle.at.0.saturating_add(MINUTE_NS);
            if closed < from || closed > self.now.0 {
                continue;
            }
            let (Some(krw), Some(fx)) = (close_at(upbit, candle.at), close_at(&self.fx_candles, candle.at))
            else {
                continue;
            };
            for direction in Direction::ALL {
                let gap = candle_gap_bps(direction, krw, candle.close.to_f64(), fx, a + b);
                if let Some(gap) = gap {
                    levels[direction.index()].push(Timestamp(closed), gap, 60);
                }
            }
        }
        for (direction, mut level) in Direction::ALL.into_iter().zip(levels) {
            // What has been sampled meanwhile follows the candles.
            level.append(&symbol.levels[direction.index()]);
            level.refresh(self.now);
            symbol.levels[direction.index()] = level;
        }
        let seconds = symbol.levels[0].seconds();
        self.print_break_even(i, seconds);
    }

    /// At start: what a round trip costs per symbol, and whether a tick is larger than the stop loss.
    fn print_break_even(&mut self, i: usize, seconds: u64) {
        let symbol = &self.symbols[i];
        let asset = symbol.member.asset;
        let costs = self.round_trip_fees_bps + self.config.reserve_bps;
        let gap_bps =
            Direction::ALL.map(|direction| Some(costs - symbol.levels[direction.opposite().index()].bps()?));
        let tick_bps = Venue::ALL.map(|venue| {
            let mid = symbol.books[venue.index()].last_mid?;
            Some(symbol.member.instrument(venue).tick.at(mid).to_f64() / mid.to_f64() * 1e4)
        });
        self.record(Body::BreakEven { asset, seconds, gap_bps, tick_bps });
        let [a, b] = Direction::ALL.map(|direction| {
            let name = crate::guards::direction_str(direction);
            gap_bps[direction.index()].map_or(format!("{name} unknown"), |bps| format!("{name} {bps:.1} bps"))
        });
        self.note(
            "info",
            format!("{asset}: level from {seconds} s of candles, break-even at a gap of {a}, {b}"),
        );
        for (venue, bps) in Venue::ALL.into_iter().zip(tick_bps) {
            if let Some(bps) = bps.filter(|bps| *bps > self.config.stop_loss_bps) {
                self.note(
                    "warning",
                    format!("one tick of {asset} on {venue} is {bps:.1} bps, more than the stop loss"),
                );
            }
        }
    }

    /// Deposits what can be valued by now.
    pub(crate) fn deposit_all(&mut self) {
        let Some(fx) = self.fx.rate() else { return };
        if self.krw_due > 0 {
            let usd = self
                .config
                .leg_usd
                .0
                .checked_mul(i128::from(self.config.inventory_legs) * i128::from(self.krw_due));
            let krw = usd.and_then(|usd| fx.usd_to_krw(market::Money(usd), Rounding::Floor));
            self.krw_due = 0;
            match krw {
                Some(krw) => self.deposit(Venue::Upbit, Asset::KRW, Quantity(krw.0)),
                None => self.trouble("the starting cash does not fit an exact number".to_owned()),
            }
        }
        for i in 0..self.symbols.len() {
            if self.symbols[i].deposited != [true, true] {
                self.deposit_coin(i);
            }
        }
    }

    /// The starting coin of a symbol on each venue whose price is known by now.
    fn deposit_coin(&mut self, i: usize) {
        let Some(fx) = self.fx.rate() else { return };
        for venue in Venue::ALL {
            let symbol = &self.symbols[i];
            let book = &symbol.books[venue.index()];
            if symbol.deposited[venue.index()] || !book.is_live() {
                continue;
            }
            let Some(mid) = book.last_mid else { continue };
            let asset = symbol.member.asset;
            let lot = symbol.member.binance.lot;
            let usd =
                self.config.leg_usd.0.checked_mul(i128::from(self.config.inventory_legs)).map(market::Money);
            let worth = match venue {
                Venue::Upbit => usd.and_then(|usd| fx.usd_to_krw(usd, Rounding::Floor)),
                Venue::Binance => usd,
            };
            let amount = worth.and_then(|worth| worth.quantity_at(mid, Rounding::Floor));
            let amount =
                amount.and_then(|a| if lot.0 > 0 { a.to_step(lot, Rounding::Floor) } else { Some(a) });
            self.symbols[i].deposited[venue.index()] = true;
            match amount {
                Some(amount) => self.deposit(venue, asset, amount),
                None => self
                    .trouble(format!("the starting coin of {asset} on {venue} does not fit an exact number")),
            }
        }
    }

    fn deposit(&mut self, venue: Venue, asset: Asset, amount: Quantity) {
        match self.ledger.deposit(venue, asset, amount) {
            Ok(balance) => {
                self.record(Body::Deposit { venue, asset, amount });
                self.record(Body::Balance { venue, asset, change: amount, balance, order: 0, transfer: 0 });
            }
            Err(e) => self.trouble(format!("a deposit of {amount} {asset} on {venue} failed: {e}")),
        }
    }
}

/// The close of the newest candle at or before `at`, at most five minutes older.
fn close_at(candles: &[Candle], at: Timestamp) -> Option<f64> {
    let i = candles.partition_point(|candle| candle.at <= at).checked_sub(1)?;
    let candle = candles.get(i)?;
    (at.since(candle.at) <= CARRY_NS).then(|| candle.close.to_f64())
}

fn new_level(config: &crate::Config) -> Level {
    Level::new(config.level_window_ms, config.level_exclude_ms, config.level_min_ms)
}

pub(crate) fn new_symbol(member: &Member, config: &crate::Config, liquidity: &dyn LiquidityModel) -> Symbol {
    Symbol {
        member: member.clone(),
        active: true,
        watched: true,
        halted: [None; 2],
        trust: None,
        joined: Timestamp(i64::MIN),
        books: Venue::ALL.map(|venue| SymbolBook::new(venue, liquidity.fresh())),
        levels: Direction::ALL.map(|_| new_level(config)),
        seeded: false,
        candles: [Vec::new(), Vec::new()],
        deposited: [false; 2],
        last_entry: None,
        funnel: Counts::default(),
        spreads: crate::percentiles::Spreads::default(),
        residue: [Quantity::ZERO; 2],
        transfers_failed: 0,
        transfer_after: None,
        edges: [None; 2],
        minute: Default::default(),
        range: [Range::default(), Range::default()],
        quotes: [None; 2],
        score: [None; 2],
        blocked: [false; 2],
        shadows: 0,
    }
}
