//! Going on after a kill: what the journal said becomes the state of a new core; orders of before meet the first Live book.
//!
//! Books, connections, FX, health, levels and candles begin anew, as at any start. The end of a run that was under way
//! (`shutdown`) is forgotten, for the new process has a duration of its own; an emergency stop stays latched.

use crate::Models;
use crate::broker::Order;
use crate::config::Config;
use crate::core::{Core, Effect, StartError, Stop};
use crate::recover::{Latest, State, SymbolState};
use crate::session::feed::new_symbol;
use journal::Body;
use market::{Asset, HaltWhy, Side, Timestamp};
use recording::Input;
use std::collections::BTreeMap;

impl Core {
    /// Starts from what the journal says.
    pub(crate) fn come_back(
        seq: u64,
        at: Timestamp,
        input: &Input,
        models: impl FnOnce(&Config) -> Models,
        out: &mut Vec<Effect>,
    ) -> Result<Self, StartError> {
        let Input::Resume { run_id, config, after_seq, cut_records, cut_bytes, state } = input else {
            return Err(StartError::NotASession);
        };
        let config: Config = serde_json::from_str(config)?;
        config.check()?;
        let state: State = serde_json::from_str(state).map_err(|e| StartError::State(e.to_string()))?;
        if state.run_id != *run_id || state.journal_seq != *after_seq {
            let what = format!("it is {}'s after record {}", state.run_id, state.journal_seq);
            return Err(StartError::State(what));
        }
        let models = models(&config);
        let mut core = Self::new(seq, at.max(state.at), run_id, config, models);
        let unknown = core.take_over(state);
        core.record(Body::Resumed {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            after_seq: *after_seq,
            cut_records: *cut_records,
            cut_bytes: *cut_bytes,
            positions: core.positions.len() as u32,
            orders: core.returning.len() as u32,
        });
        core.publish_guards();
        for guard in unknown {
            core.note("warning", format!("guard {guard} held before the restart and is not known any more"));
        }
        if core.emergency {
            core.begin_stop(Stop::Emergency, "the emergency stop had latched before the restart");
        }
        core.publish_view();
        core.commit(out);
        Ok(core)
    }

    /// Gives the guards that are not known any more.
    fn take_over(&mut self, state: State) -> Vec<String> {
        self.journal_seq = state.journal_seq;
        self.alerts = state.alerts;
        for (i, symbol) in state.symbols.into_iter().enumerate() {
            self.by_asset.insert(symbol.member.asset, i);
            self.index.insert(symbol.member.asset, i);
            let mut new = new_symbol(&symbol.member, &self.config, &*self.liquidity);
            new.active = symbol.active;
            new.watched = symbol.active || state.positions.iter().any(|p| p.symbol == i);
            new.halted = symbol.halted;
            for (book, why) in new.books.iter_mut().zip(symbol.halted) {
                book.halt(why.is_some_and(HaltWhy::is_closed));
            }
            new.deposited = symbol.deposited;
            new.last_entry = symbol.last_entry;
            new.residue = symbol.residue;
            for (book, memory) in new.books.iter_mut().zip(&symbol.memories) {
                for side in [Side::Bid, Side::Ask] {
                    book.memory.commit(side, &memory.taken(side));
                }
            }
            self.symbols.push(new);
        }
        self.members = state.members;
        self.krw_due = state.krw_due;
        self.ledger = state.ledger;
        self.positions = state.positions;
        self.last_position = state.last_position;
        self.last_transfer = state.last_transfer;
        self.broker.continue_after(state.last_order);
        self.returning = state.orders;
        self.at_limit = state.at_limit;
        self.results = state.results;
        self.emergency = state.emergency;
        self.view.entries = state.entries;
        self.view.round_trips = state.round_trips;
        self.view.unwinds = state.unwinds;
        self.view.guard_triggers = state.triggers;
        self.view.funnel.add_named(&state.funnel);
        for (asset, counts) in &state.told {
            if let Some(i) = self.by_asset.get(asset) {
                self.symbols[*i].funnel.add_told(counts);
                self.funnel.add_told(counts);
                self.view.funnel.add_told(counts);
            }
        }
        self.shadows.continue_after(state.last_shadow);
        self.guards.come_back(state.triggers, state.guards)
    }

    /// What a recovery from the journal gives that was written up to here: [`State`] built from this core instead.
    pub fn state(&self) -> State {
        let symbols = self.symbols.iter().map(|symbol| SymbolState {
            member: symbol.member.clone(),
            active: symbol.active,
            halted: symbol.halted,
            deposited: symbol.deposited,
            last_entry: symbol.last_entry,
            residue: symbol.residue,
            // A model of its own keeps what it likes: a recovery goes by the fills alone.
            memories: Default::default(),
        });
        let mut orders: Vec<Order> = self.broker.orders().chain(&self.returning).copied().collect();
        orders.sort_unstable_by_key(|order| order.id);
        State {
            run_id: self.run_id.to_string(),
            config: self.config.clone(),
            journal_seq: self.journal_seq,
            input_seq: self.input_seq,
            at: self.now,
            symbols: symbols.collect(),
            members: self.members.clone(),
            krw_due: self.krw_due,
            ledger: self.ledger.clone(),
            positions: self.positions.clone(),
            orders,
            last_order: self.broker.last_id(),
            last_position: self.last_position,
            last_transfer: self.last_transfer,
            last_shadow: self.shadows.last_id(),
            at_limit: self.at_limit,
            triggers: self.guards.triggers(),
            guards: self.guards.held(),
            results: self.results.clone(),
            alerts: self.alerts,
            emergency: self.emergency,
            ended: self.ended,
            entries: self.view.entries,
            round_trips: self.view.round_trips,
            unwinds: self.view.unwinds,
            funnel: self.view.funnel.less(&self.funnel).by_name(),
            told: self.told(),
        }
    }

    fn told(&self) -> BTreeMap<Asset, BTreeMap<String, u64>> {
        let told = self.symbols.iter().map(|symbol| (symbol.member.asset, symbol.funnel.told()));
        told.filter(|(_, counts)| !counts.is_empty()).collect()
    }

    /// What a state store shows.
    pub fn latest(&self) -> Latest {
        Latest {
            journal_seq: self.journal_seq,
            at: self.now,
            positions: self.positions.clone(),
            guards: self.guards.held(),
            fx: self.fx.used(self.now),
            net_usd: self.results.net,
            daily_net_usd: self.results.daily_net,
            emergency: self.emergency,
        }
    }

    /// Executes orders of before the restart whose book is Live and whose stream has come to their arrival.
    pub(crate) fn execute_returning(&mut self) {
        if self.returning.is_empty() || self.fx.rate().is_none() {
            return;
        }
        let mut due = std::mem::take(&mut self.due);
        let (symbols, by_asset, conns) = (&self.symbols, &self.by_asset, &self.conns);
        let meets = |order: &mut Order| {
            let Some(i) = by_asset.get(&order.asset) else { return false };
            let book = &symbols[*i].books[order.venue.index()];
            let conn = book.conn.filter(|_| book.is_live()).and_then(|conn| conns.get(&conn));
            conn.is_some_and(|conn| conn.shown >= order.arrives)
        };
        due.extend(self.returning.extract_if(.., meets));
        self.execute_all(&mut due);
        self.due = due;
    }

    /// The gap that a position's stop loss counts from.
    pub(crate) fn record_anchor(&mut self, position: u64, out_bps: Option<f64>) {
        if let Some(out_bps) = out_bps {
            self.record(Body::Anchored { position, out_bps });
        }
    }
}
