//! What a journal says about where its session stands: a pure fold over the entries gives [`State`], and a core starts from it
//! ([`recording::Input::Resume`]).
//!
//! Only whole inputs are folded: what stands behind the last commit is the reader's business. Everything that decides comes
//! back: balances, positions and their orders, results, guards, numbering, pacing. What is measured anew does not: books, FX,
//! health, levels (seeded from candles), and what the unfinished minute had looked at without sending anything.

use crate::broker::{Filled, Order};
use crate::config::Config;
use crate::core::Results;
use crate::funnel::Stage;
use crate::guards::{Rule, Scope, rules};
use crate::ledger::Ledger;
use crate::legs::{Decided, Phase, Position};
use crate::liquidity::{LiquidityMemory, LiquidityModel};
use crate::session::{book_fill, retry_pause_ms};
use journal::record::{FxUsed, GuardEvent, HaltEvent, Purpose};
use journal::{Body, Entry};
use market::{Asset, HaltWhy, Member, Money, Quantity, Timestamp, Venue};
use recording::{Input, Record};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Why a journal cannot be gone on with. The record is named by its number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FoldError {
    /// A number is missing or comes twice.
    #[error("record {found} stands where {expected} is due; records are missing or out of order")]
    Order {
        /// The number that is due.
        expected: u64,
        /// The number that stands there.
        found: u64,
    },
    /// The first record is no start, or a start comes later.
    #[error("record {0}: a journal begins with a start record, and has one only")]
    Start(u64),
    /// The start record states no configuration of this version.
    #[error("record {seq}: its configuration cannot be read: {what}")]
    Config {
        /// Record.
        seq: u64,
        /// What the parser says.
        what: String,
    },
    /// It speaks of a position, an order or a symbol that no earlier record brought.
    #[error("record {seq}: {what} is not known")]
    Unknown {
        /// Record.
        seq: u64,
        /// Which.
        what: String,
    },
    /// The accounts cannot take it.
    #[error("record {seq}: {what}")]
    Money {
        /// Record.
        seq: u64,
        /// Why.
        what: String,
    },
}

/// What comes back of a symbol.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SymbolState {
    /// The member as last set.
    pub member: Member,
    /// False once it left the universe.
    pub active: bool,
    /// What each venue says of its market.
    #[serde(default)]
    pub halted: [Option<HaltWhy>; 2],
    /// Its starting coin is there, per venue.
    pub deposited: [bool; 2],
    /// The last entry, for the pause between two.
    pub last_entry: Option<Timestamp>,
    /// Coin below a lot that closed positions left, per venue.
    pub residue: [Quantity; 2],
    /// What our fills took from the books' levels, per venue, as far as the fills themselves tell: at least what the
    /// session that was killed remembered.
    pub memories: [LiquidityMemory; 2],
}

/// A guard that holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Held {
    /// Rule.
    pub rule: String,
    /// Scope.
    pub scope: String,
    /// What the figure was compared with.
    pub threshold: f64,
    /// When it started.
    pub since: Timestamp,
    /// End of a cooldown.
    pub until: Option<Timestamp>,
}

/// Where a session stands after a journal's record. Built by [`State::fold`].
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// The session.
    pub run_id: String,
    /// Its configuration. Not part of the JSON: the input that carries the state has it beside.
    #[serde(skip)]
    pub config: Config,
    /// The last record folded, 0 before the first.
    pub journal_seq: u64,
    /// The input behind it.
    pub input_seq: u64,
    /// Its instant.
    pub at: Timestamp,
    /// Every symbol that ever was a member, in the order of joining: positions refer to the index.
    pub symbols: Vec<SymbolState>,
    /// The members by rank: places in `symbols`.
    #[serde(default)]
    pub members: Vec<usize>,
    /// Members whose KRW has not been deposited yet.
    pub krw_due: u32,
    /// The paper accounts.
    pub ledger: Ledger,
    /// Positions in whatever phase, in the order of their decision.
    pub positions: Vec<Position>,
    /// Orders sent and neither filled nor refused.
    pub orders: Vec<Order>,
    /// The last order's id.
    pub last_order: u64,
    /// The last position's id.
    pub last_position: u64,
    /// The last transfer's id.
    #[serde(default)]
    pub last_transfer: u64,
    /// The last shadow position's id. Those that were under way are lost.
    pub last_shadow: u64,
    /// `Position limit` is met.
    pub at_limit: bool,
    /// Guard triggers so far.
    pub triggers: u64,
    /// Guards that hold, by trigger.
    pub guards: BTreeMap<u64, Held>,
    /// Results, drawdown, streaks.
    pub(crate) results: Results,
    /// Alerts raised.
    pub alerts: u64,
    /// The emergency stop has latched.
    pub emergency: bool,
    /// The session ended in order: nothing goes on.
    pub ended: bool,
    /// Entries opened.
    pub entries: u64,
    /// Round trips closed.
    pub round_trips: u64,
    /// Entries undone at cost.
    pub unwinds: u64,
    /// The funnel in total, up to the last full minute.
    pub funnel: BTreeMap<String, u64>,
    /// What was sent, refused, filled and closed since, by symbol: other records than the funnel's tell it.
    #[serde(default)]
    pub told: BTreeMap<Asset, BTreeMap<String, u64>>,
}

impl State {
    /// Before the first record.
    pub fn new() -> Self {
        Self::default()
    }

    /// The result after fees so far, USD.
    pub const fn net_usd(&self) -> Money {
        self.results.net
    }

    /// Makes two states comparable: leaves out waits and days that are over at `now` (whether a core has cleared them yet makes no
    /// difference to what it does), and what is remembered of the books, which a journal tells in part.
    pub fn comparable(&mut self, now: Timestamp) {
        for symbol in &mut self.symbols {
            symbol.memories = Default::default();
        }
        for position in &mut self.positions {
            position.retry_at = position.retry_at.filter(|at| *at > now);
        }
        // A core rolls its day with each input, a journal with each record.
        self.results.roll(self.config.day_of(now));
    }

    /// Takes the next record of a whole input.
    ///
    /// # Errors
    /// [`FoldError`]: the journal is not one that this engine wrote; the state is of no use then.
    pub fn fold(&mut self, entry: &Entry) -> Result<(), FoldError> {
        let expected = self.journal_seq + 1;
        if entry.seq != expected {
            return Err(FoldError::Order { expected, found: entry.seq });
        }
        if matches!(entry.body, Body::Start { .. }) != (expected == 1) {
            return Err(FoldError::Start(entry.seq));
        }
        (self.journal_seq, self.input_seq) = (entry.seq, entry.input_seq);
        self.at = self.at.max(entry.at);
        if entry.seq > 1 {
            self.results.roll(self.config.day_of(entry.at));
        }
        match &entry.body {
            Body::Start { run_id, config, .. } => self.on_start(entry, run_id, config)?,
            Body::Universe { members, .. } => self.on_universe(members),
            Body::Halt(event) => self.on_halt(event),
            Body::UniverseRefresh(refresh) => {
                let left = |asset: Asset| refresh.left.iter().any(|reason| reason.asset == asset);
                for symbol in self.symbols.iter_mut().filter(|symbol| left(symbol.member.asset)) {
                    symbol.halted = [None; 2];
                }
            }
            Body::Deposit { venue, asset, amount } => self.on_deposit(entry.seq, *venue, *asset, *amount)?,
            Body::Decision { .. } => self.on_decision(entry)?,
            Body::Order { .. } => self.on_order(entry)?,
            Body::Rejected { order, .. } => self.on_rejected(entry, *order)?,
            Body::Fill { .. } => self.on_fill(entry)?,
            Body::Transfer { .. } | Body::TransferArrived { .. } => self.on_transfer(entry)?,
            Body::Opened { .. }
            | Body::Anchored { .. }
            | Body::Exit { .. }
            | Body::Closed { .. }
            | Body::Unwound { .. } => self.on_position(entry)?,
            Body::Guard(event) => self.on_guard(entry.at, event),
            Body::Equity { pnl_usd, .. } => self.results.mark(*pnl_usd),
            Body::PositionLimit { .. } => self.at_limit = true,
            Body::EmergencyStop { .. } => self.emergency = true,
            Body::Alert(alert) => self.on_alert(alert.rule_id(), &alert.fields().labels),
            Body::Funnel { asset: None, counts } => {
                self.told.clear();
                for (stage, count) in counts {
                    let sum = self.funnel.entry(stage.clone()).or_default();
                    *sum = sum.saturating_add(*count);
                }
            }
            Body::ShadowOpened { shadow, .. } => self.last_shadow = *shadow,
            Body::End { .. } => self.ended = true,
            // Balances follow from deposits, fills and transfers; the rest is for readers.
            Body::Balance { .. }
            | Body::Trust(_)
            | Body::Figures { .. }
            | Body::Funnel { .. }
            | Body::Edges { .. }
            | Body::Percentiles { .. }
            | Body::BreakEven { .. }
            | Body::ShadowClosed { .. }
            | Body::Note { .. }
            | Body::Resumed { .. } => {}
        }
        Ok(())
    }

    fn on_start(&mut self, entry: &Entry, run_id: &str, config: &str) -> Result<(), FoldError> {
        let wrong = |what: String| FoldError::Config { seq: entry.seq, what };
        self.config = serde_json::from_str(config).map_err(|e| wrong(e.to_string()))?;
        self.config.check().map_err(|e| wrong(e.to_string()))?;
        self.run_id = run_id.to_owned();
        self.results.day = self.config.day_of(entry.at);
        Ok(())
    }

    fn on_universe(&mut self, members: &[Member]) {
        for symbol in &mut self.symbols {
            symbol.active = false;
        }
        for member in members {
            match self.symbols.iter_mut().find(|symbol| symbol.member.asset == member.asset) {
                Some(symbol) => {
                    symbol.member = member.clone();
                    symbol.active = true;
                }
                None => {
                    self.krw_due += 1;
                    self.symbols.push(SymbolState {
                        member: member.clone(),
                        active: true,
                        halted: [None; 2],
                        deposited: [false; 2],
                        last_entry: None,
                        residue: [Quantity::ZERO; 2],
                        memories: Default::default(),
                    });
                }
            }
        }
        let place = |m: &Member| self.symbols.iter().position(|symbol| symbol.member.asset == m.asset);
        self.members = members.iter().filter_map(place).collect();
    }

    fn on_halt(&mut self, event: &HaltEvent) {
        if let Some(symbol) = self.symbols.iter_mut().find(|symbol| symbol.member.asset == event.asset) {
            symbol.halted[event.venue.index()] = event.why;
        }
    }

    fn on_deposit(
        &mut self,
        seq: u64,
        venue: Venue,
        asset: Asset,
        amount: Quantity,
    ) -> Result<(), FoldError> {
        let posted = self.ledger.deposit(venue, asset, amount);
        posted.map_err(|e| FoldError::Money { seq, what: e.to_string() })?;
        if asset == venue.quote() {
            if venue == Venue::Upbit {
                self.krw_due = 0;
            }
        } else if let Some(symbol) = self.symbols.iter_mut().find(|symbol| symbol.member.asset == asset) {
            symbol.deposited[venue.index()] = true;
        }
        Ok(())
    }

    fn on_transfer(&mut self, entry: &Entry) -> Result<(), FoldError> {
        let posted = self.ledger.on_record(&entry.body);
        let left = posted.map_err(|e| FoldError::Money { seq: entry.seq, what: e.to_string() })?;
        self.last_transfer = left.unwrap_or(self.last_transfer);
        Ok(())
    }

    fn on_decision(&mut self, entry: &Entry) -> Result<(), FoldError> {
        let Body::Decision {
            position,
            asset,
            direction,
            quantity,
            notional_usd,
            gap_bps,
            level_bps,
            edge_bps,
            prices,
            gross_usd,
            ..
        } = &entry.body
        else {
            return Ok(());
        };
        let i = self.symbols.iter().position(|symbol| symbol.member.asset == *asset);
        let i = i.ok_or_else(|| FoldError::Unknown { seq: entry.seq, what: format!("symbol {asset}") })?;
        let decided = Decided {
            quantity: *quantity,
            notional_usd: *notional_usd,
            prices: *prices,
            gross_usd: *gross_usd,
            gap_bps: *gap_bps,
            edge_bps: *edge_bps,
            level_bps: *level_bps,
        };
        self.symbols[i].last_entry = Some(entry.at);
        self.last_position = *position;
        self.positions.push(Position::new(*position, i, *asset, *direction, decided));
        self.count_stage(*asset, Stage::Sent);
        Ok(())
    }

    fn count(&mut self, asset: Asset, name: &str) {
        *self.told.entry(asset).or_default().entry(name.to_owned()).or_default() += 1;
    }

    fn count_stage(&mut self, asset: Asset, stage: Stage) {
        self.count(asset, catalogue::FUNNEL_STAGES[stage as usize]);
    }

    fn position(&mut self, seq: u64, id: u64) -> Result<&mut Position, FoldError> {
        let found = self.positions.iter_mut().find(|position| position.id == id);
        found.ok_or_else(|| FoldError::Unknown { seq, what: format!("position {id}") })
    }

    fn take_order(&mut self, seq: u64, id: u64) -> Result<Order, FoldError> {
        let i = self.orders.iter().position(|order| order.id == id);
        let i = i.ok_or_else(|| FoldError::Unknown { seq, what: format!("order {id}") })?;
        let order = self.orders.remove(i);
        let position = self.position(seq, order.position)?;
        position.outstanding = position.outstanding.saturating_sub(1);
        Ok(order)
    }

    fn on_order(&mut self, entry: &Entry) -> Result<(), FoldError> {
        let Body::Order { order, position: id, purpose, venue, asset, takes, quantity, arrives, limit } =
            entry.body
        else {
            return Ok(());
        };
        let position = self.position(entry.seq, id)?;
        position.outstanding += 1;
        if purpose != Purpose::Entry {
            position.retry_at = None;
            match position.phase {
                Phase::Entering => {
                    position.uneven_since.get_or_insert(entry.at);
                    position.unwinds += u32::from(purpose == Purpose::Unwind);
                }
                Phase::Open => {}
                Phase::Exiting => {
                    position.exit_since.get_or_insert(entry.at);
                }
            }
        }
        self.last_order = order;
        let decided_at = entry.at;
        self.orders.push(Order {
            id: order,
            position: id,
            purpose,
            venue,
            asset,
            takes,
            quantity,
            decided_at,
            arrives,
            limit,
        });
        Ok(())
    }

    fn on_rejected(&mut self, entry: &Entry, order: u64) -> Result<(), FoldError> {
        let order = self.take_order(entry.seq, order)?;
        if order.purpose == Purpose::Entry {
            self.count_stage(order.asset, Stage::Rejected);
        }
        let config = self.config.clone();
        let position = self.position(entry.seq, order.position)?;
        if order.purpose != Purpose::Entry {
            let pause = retry_pause_ms(&config, position.orphaned).saturating_mul(1_000_000);
            position.retry_at = Some(Timestamp(entry.at.0.saturating_add(pause)));
        }
        Ok(())
    }

    fn on_fill(&mut self, entry: &Entry) -> Result<(), FoldError> {
        let Body::Fill { order, levels, quantity, notional, fee, fee_asset, fx, .. } = &entry.body else {
            return Ok(());
        };
        let order = self.take_order(entry.seq, *order)?;
        if order.purpose == Purpose::Entry && *quantity < order.quantity {
            self.count_stage(order.asset, Stage::PartlyFilled);
        }
        let filled = Filled {
            order,
            levels: levels.clone(),
            quantity: *quantity,
            notional: *notional,
            fee: *fee,
            fee_asset: *fee_asset,
        };
        let money = |what: String| FoldError::Money { seq: entry.seq, what };
        self.ledger.apply_at(&filled, fx.rate).map_err(|e| money(e.to_string()))?;
        let position = self.position(entry.seq, order.position)?;
        let i = position.symbol;
        book_fill(position, &filled, *fx).ok_or_else(|| money("the fill does not fit".to_owned()))?;
        self.symbols[i].memories[order.venue.index()].commit(order.takes, levels);
        Ok(())
    }

    /// The life of a position.
    fn on_position(&mut self, entry: &Entry) -> Result<(), FoldError> {
        let seq = entry.seq;
        match &entry.body {
            Body::Opened { position, asset, quantity, notional_usd, .. } => {
                self.entries += 1;
                self.count_stage(*asset, Stage::Filled);
                let position = self.position(seq, *position)?;
                position.phase = Phase::Open;
                position.retry_at = None;
                position.opened_at = Some(entry.at);
                position.matched = *quantity;
                position.notional_usd = *notional_usd;
            }
            Body::Anchored { position, out_bps } => {
                self.position(seq, *position)?.out_at_open_bps = Some(*out_bps);
            }
            Body::Exit { position, reason, gross_usd, .. } => {
                let position = self.position(seq, *position)?;
                position.phase = Phase::Exiting;
                position.exit = Some(*reason);
                position.exit_gross_usd = *gross_usd;
                let (id, i) = (position.id, position.symbol);
                let residue = std::mem::take(&mut self.symbols[i].residue);
                for (held, left) in self.position(seq, id)?.held.iter_mut().zip(residue) {
                    held.0 = held.0.saturating_add(left.0);
                }
            }
            Body::Closed { position, asset, direction, reason, net_usd, .. } => {
                let cash = self.end_position(seq, *position)?;
                self.round_trips += 1;
                self.count_stage(*asset, Stage::Exited);
                self.count(*asset, &format!("exited:{}", reason.as_str()));
                self.results.add(cash, *net_usd);
                if *reason != journal::record::ExitReason::Shutdown {
                    let route = Scope::Route(*asset, *direction).to_string();
                    let held = |rule: Rule, scope: &str| {
                        self.guards.values().any(|held| held.rule == rule.name && held.scope == scope)
                    };
                    let cooling = (held(rules::ROUTE_STREAK, &route), held(rules::CROSS_STREAK, "*"));
                    self.results.streak((*asset, *direction), *net_usd, &self.config, cooling);
                }
            }
            Body::Unwound { position, orphan, net_usd, .. } => {
                let cash = self.end_position(seq, *position)?;
                if *orphan {
                    self.unwinds += 1;
                    self.results.add(cash, *net_usd);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Takes a position out; gives its flows per venue, USD.
    fn end_position(&mut self, seq: u64, id: u64) -> Result<[Money; 2], FoldError> {
        self.position(seq, id)?;
        let mut cash = [Money::ZERO; 2];
        for position in self.positions.extract_if(.., |position| position.id == id) {
            cash = position.cash_usd;
            for (left, held) in self.symbols[position.symbol].residue.iter_mut().zip(position.held) {
                left.0 = left.0.saturating_add(held.0);
            }
        }
        if self.positions.len() < self.config.max_positions as usize {
            self.at_limit = false;
        }
        Ok(cash)
    }

    fn on_guard(&mut self, at: Timestamp, event: &GuardEvent) {
        if !event.start {
            self.guards.remove(&event.trigger);
            return;
        }
        self.triggers = self.triggers.max(event.trigger);
        let (rule, scope, threshold) = (event.rule.clone(), event.scope.clone(), event.threshold);
        self.guards.insert(event.trigger, Held { rule, scope, threshold, since: at, until: event.until });
    }

    fn on_alert(&mut self, rule_id: &str, labels: &BTreeMap<String, String>) {
        self.alerts += 1;
        let position = labels.get("position").filter(|_| rule_id == "LEG-ORPHANED");
        let id = position.and_then(|id| id.parse::<u64>().ok());
        if let Some(position) = self.positions.iter_mut().find(|position| Some(position.id) == id) {
            position.orphaned = true;
        }
    }
}

/// What a state store shows of a session, once a second.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Latest {
    /// The last journal record.
    pub journal_seq: u64,
    /// The core's time.
    pub at: Timestamp,
    /// Positions in whatever phase.
    pub positions: Vec<Position>,
    /// Guards that hold, by trigger.
    pub guards: BTreeMap<u64, Held>,
    /// KRW per USDT for signals, with its age.
    pub fx: Option<FxUsed>,
    /// Closed round trips and unwinds, net, USD.
    pub net_usd: Money,
    /// Net since the day boundary, USD.
    pub daily_net_usd: Money,
    /// The emergency stop has latched.
    pub emergency: bool,
}

/// Which records of a replay were lost with a kill: those of the inputs before an [`Input::Resume`] that its journal did not
/// hold any more. They are found by looking through the log first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cuts(Vec<(u64, u64)>);

impl Cuts {
    /// A log without a restart.
    pub fn none() -> Self {
        Self::default()
    }

    /// Takes the next record of the log.
    pub fn look(&mut self, record: &Record) {
        if let Input::Resume { after_seq, .. } = &record.input {
            self.0.push((record.seq, *after_seq));
        }
    }

    /// Restarts in the log.
    pub fn restarts(&self) -> usize {
        self.0.len()
    }

    /// True when the journal kept this record.
    pub fn keeps(&self, entry: &Entry) -> bool {
        let i = self.0.partition_point(|(input_seq, _)| *input_seq <= entry.input_seq);
        self.0.get(i).is_none_or(|(_, after_seq)| entry.seq <= *after_seq)
    }
}

/// A map whose keys are no strings, as a JSON list of pairs.
pub(crate) mod rows {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::collections::BTreeMap;

    pub(crate) fn serialize<K: Serialize, V: Serialize, S: Serializer>(
        map: &BTreeMap<K, V>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_seq(map)
    }

    pub(crate) fn deserialize<'de, K, V, D>(from: D) -> Result<BTreeMap<K, V>, D::Error>
    where
        K: Deserialize<'de> + Ord,
        V: Deserialize<'de>,
        D: Deserializer<'de>,
    {
        Ok(Vec::<(K, V)>::deserialize(from)?.into_iter().collect())
    }
}
