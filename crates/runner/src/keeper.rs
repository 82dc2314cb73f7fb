//! The universe while a session runs: a thread of its own asks every minute what the venues say of the markets that are
//! followed, and every hour for a new ranking. What it finds becomes an input; who joins and who leaves is the core's decision.
//!
//! A thread of its own because the answers are large: reading them on the hot thread would be a pause of the loop. Its requests
//! have the lowest priority and a fifth of either budget at most; a refresh that has to wait for it takes longer.

use crate::universe::{self, Patience};
use engine::universe::{Filters, select};
use market::{Asset, Halt, HaltWhy, Member, Venue};
use recording::{Input, LeftOut};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};
use venues::{Priority, Rest, RestError};

/// A failed refresh is tried again after this part of its interval, and the markets are first asked for after this part of theirs.
const AGAIN: u32 = 12;
/// Symbols that one request may name: the address stays below the length that servers accept.
const LISTED: usize = 200;
/// A refresh waits this long for the budget or for a venue that does not answer.
const PATIENCE: Duration = Duration::from_secs(900);

/// When the venues are asked.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    /// For a new ranking; `None`: never.
    pub refresh: Option<Duration>,
    /// What they say of the followed markets; `None`: never.
    pub markets: Option<Duration>,
}

/// The thread. Dropping it ends its work.
pub struct Keeper {
    followed: watch::Sender<Vec<Member>>,
}

/// What the thread works with.
struct Work {
    rest: Rest,
    topn: u32,
    filters: Filters,
    schedule: Schedule,
    followed: watch::Receiver<Vec<Member>>,
    tx: mpsc::Sender<(Instant, Input)>,
}

impl Keeper {
    /// Starts the thread.
    ///
    /// # Errors
    /// The operating system's, when there can be no thread or no runtime.
    pub fn start(
        rest: &Rest,
        topn: u32,
        filters: &Filters,
        schedule: Schedule,
        followed: Vec<Member>,
        tx: mpsc::Sender<(Instant, Input)>,
    ) -> std::io::Result<Self> {
        let (followed, receiver) = watch::channel(followed);
        let rest = rest.with_priority(Priority::Refresh);
        let filters = filters.clone();
        let work = Work { rest, topn, filters, schedule, followed: receiver, tx };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new()
            .name("universe".to_owned())
            .spawn(move || runtime.block_on(work.run()))?;
        Ok(Self { followed })
    }

    /// The markets that are followed from now on.
    pub fn follow(&self, members: Vec<Member>) {
        // After the end there is nobody to tell.
        let _ = self.followed.send(members);
    }
}

impl Work {
    async fn run(mut self) {
        // The hot thread's connections must not carry these answers, nor these connections its own.
        match self.rest.apart() {
            Ok(rest) => self.rest = rest,
            Err(error) => {
                tracing::error!(%error, "the universe is not refreshed");
                return;
            }
        }
        let mut closed = self.followed.clone();
        closed.mark_unchanged();
        tokio::select! {
            () = self.work() => {}
            () = async { while closed.changed().await.is_ok() {} } => {}
        }
    }

    /// Both at once: a ranking that waits for the budget must not keep a halt from being seen.
    async fn work(&self) {
        tokio::join!(self.watch_markets(), self.keep_ranking());
    }

    async fn watch_markets(&self) {
        let Some(every) = self.schedule.markets else { return };
        let mut said = None;
        // Soon: a session that goes on after a kill has not looked since.
        let mut next = tokio::time::Instant::now() + every / AGAIN;
        loop {
            tokio::time::sleep_until(next).await;
            next = tokio::time::Instant::now() + every;
            match self.ask_markets().await {
                Ok(Some(halted)) if said.as_ref() != Some(&halted) => {
                    self.send(Input::Halts { halted: halted.clone() }).await;
                    said = Some(halted);
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "what the venues say of the markets is not known"),
            }
        }
    }

    async fn keep_ranking(&self) {
        let Some(every) = self.schedule.refresh else { return };
        let mut next = tokio::time::Instant::now() + every;
        loop {
            tokio::time::sleep_until(next).await;
            next = tokio::time::Instant::now() + every;
            if let Err(error) = self.refresh().await {
                tracing::warn!(%error, "the universe was not refreshed: it stays as it is");
                next = tokio::time::Instant::now() + every / AGAIN;
            }
        }
    }

    async fn send(&self, input: Input) {
        // The session may be over: then nobody needs it.
        let _ = self.tx.send((Instant::now(), input)).await;
    }

    /// What the venues say of the followed markets; `None` when that is not to be believed.
    async fn ask_markets(&self) -> Result<Option<Vec<Halt>>, RestError> {
        let followed = self.followed.borrow().clone();
        let upbit = self.rest.upbit_markets().await?;
        let symbols: Vec<String> = followed.iter().map(|m| m.binance.code.clone()).collect();
        let asked = match symbols.len() {
            0..=LISTED => self.rest.binance_exchange_info_of(&symbols).await,
            _ => self.rest.binance_exchange_info().await,
        };
        let binance = match asked {
            // One that it does not know makes it refuse the whole list.
            Err(RestError::Status { status: 400, .. }) => self.rest.binance_exchange_info().await?,
            other => other?,
        };
        let warned: BTreeMap<&str, bool> = upbit.iter().map(|m| (m.code.as_str(), m.warning)).collect();
        let trading: BTreeMap<&str, bool> = binance.iter().map(|s| (s.symbol.as_str(), s.trading)).collect();
        let halted = halts(&followed, &warned, &trading);
        let gone = halted.iter().filter(|halt| halt.why == HaltWhy::Delisted).count();
        if gone * 2 > followed.len().max(1) {
            tracing::warn!(gone, "most of the followed markets are not listed: that answer is not believed");
            return Ok(None);
        }
        Ok(Some(halted))
    }

    async fn refresh(&self) -> Result<(), crate::error::RunError> {
        let patience = Patience(PATIENCE);
        let (candidates, fx, _) = universe::gather(&self.rest, self.topn, &self.filters, patience).await?;
        let selection = select(&candidates, fx, self.topn, &self.filters);
        let ranked: Vec<Asset> = selection.members.iter().map(|member| member.asset).collect();
        let followed = self.followed.borrow().clone();
        let out = selection
            .out
            .into_iter()
            .filter(|(asset, _)| followed.iter().any(|m| m.asset == *asset) && !ranked.contains(asset))
            .map(|(asset, why)| LeftOut { asset, fits: selection.beyond.contains(&asset), why })
            .collect();
        self.send(Input::Refresh { asked: self.topn, ranked: selection.members, out }).await;
        Ok(())
    }
}

/// What the venues say of the followed markets, in the order of venue and asset.
fn halts(followed: &[Member], upbit: &BTreeMap<&str, bool>, binance: &BTreeMap<&str, bool>) -> Vec<Halt> {
    let mut halted = Vec::new();
    for member in followed {
        let asset = member.asset;
        let of_upbit = match upbit.get(member.upbit.code.as_str()) {
            None => Some(HaltWhy::Delisted),
            Some(true) => Some(HaltWhy::Warning),
            Some(false) => None,
        };
        let of_binance = match binance.get(member.binance.code.as_str()) {
            None => Some(HaltWhy::Delisted),
            Some(false) => Some(HaltWhy::Halted),
            Some(true) => None,
        };
        for (venue, why) in [(Venue::Upbit, of_upbit), (Venue::Binance, of_binance)] {
            halted.extend(why.map(|why| Halt { venue, asset, why }));
        }
    }
    halted.sort_unstable();
    halted
}
