//! A store whose answers get lost, between a dispatcher and an SQLite file.

use alerts::{
    Act, Alert, AlertError, AlertRecord, AlertStore, AuditRecord, Claim, Conservation, DeliveryRecord, Lane,
    Open, OperatorStore, Overflow, OverflowStore, Plan, SharedStore, Status, Store, StoreServer, Taken,
};
use market::Timestamp;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What happens to the next things that are asked of the store.
#[derive(Debug, Default)]
pub struct Weather {
    /// So many are done first.
    pub spared: u32,
    /// So many are not done.
    pub away: u32,
    /// Then one is done and its answer is lost.
    pub deaf: bool,
}

#[derive(Debug, Clone)]
pub struct Server {
    pub database: PathBuf,
    pub weather: Arc<Mutex<Weather>>,
}

impl StoreServer for Server {
    fn open(&self) -> Result<Store, AlertError> {
        let inner = Store::open(&self.database)?;
        Ok(Store::from(Box::new(Faulty { inner, weather: Arc::clone(&self.weather) }) as Box<dyn AlertStore>))
    }
}

#[derive(Debug)]
struct Faulty {
    inner: Store,
    weather: Arc<Mutex<Weather>>,
}

impl Faulty {
    fn ask<T>(&self, work: impl FnOnce(&Store) -> Result<T, AlertError>) -> Result<T, AlertError> {
        let lost = || AlertError::StoreLost { store: "played".to_owned(), what: "scripted".to_owned() };
        let mut weather = self.weather.lock().unwrap();
        if weather.spared > 0 {
            weather.spared -= 1;
            return work(&self.inner);
        }
        if weather.away > 0 {
            weather.away -= 1;
            return Err(lost());
        }
        let done = work(&self.inner)?;
        if std::mem::take(&mut weather.deaf) { Err(lost()) } else { Ok(done) }
    }
}

macro_rules! asked {
    ($(fn $name:ident($($argument:ident: $kind:ty),*) -> $result:ty;)*) => {
        $(fn $name(&self, $($argument: $kind),*) -> Result<$result, AlertError> {
            self.ask(|store| store.$name($($argument),*))
        })*
    };
}

impl AlertStore for Faulty {
    asked! {
        fn ping() -> ();
        fn rows(run_id: &str, phase: Option<&str>) -> (Vec<AlertRecord>, Vec<DeliveryRecord>);
        fn dead_letters(run_id: Option<&str>) -> Vec<DeliveryRecord>;
        fn conservation(run_id: &str, phase: Option<&str>) -> Conservation;
        fn cursor(source: &str) -> Option<u64>;
        fn set_cursor(source: &str, position: u64, now: Timestamp) -> ();
        fn take_in(alert: &Alert, plan: &Plan, cursor: (&str, u64), now: Timestamp) -> Taken;
        fn claim(run_id: &str, phase: &str, now: Timestamp, lease: Duration, lane: Lane<'_>) -> Option<Claim>;
        fn sent(claim: &Claim, latency_ms: i64, now: Timestamp) -> bool;
        fn retry(claim: &Claim, error: &str, at: Timestamp) -> bool;
        fn give_up(claim: &Claim, error: &str, next: Option<&str>, now: Timestamp) -> bool;
        fn has_delivery(alert_id: &str, notifier: &str) -> bool;
        fn open_deliveries(run_id: &str, phase: &str) -> Open;
    }
}

impl SharedStore for Faulty {
    asked! {
        fn beat(run_id: &str, phase: &str, now: Timestamp) -> ();
        fn adopt(run_id: &str, phase: &str, now: Timestamp, lease: Duration, notifiers: &[String]) -> Option<Claim>;
        fn put_back(claim: &Claim, error: Option<&str>, at: Timestamp) -> ();
        fn forget(before: Timestamp, keep_run: &str) -> u64;
    }
}

impl OverflowStore for Faulty {
    asked! {
        fn overflows(run_id: &str, phase: &str, limit: u32) -> Vec<Overflow>;
        fn sum_up(overflow: &Overflow, summary: &Alert, plan: &Plan, now: Timestamp) -> Option<Taken>;
    }
}

impl OperatorStore for Faulty {
    asked! {
        fn delivery(id: i64) -> Option<(DeliveryRecord, AlertRecord)>;
        fn settle_dead(id: i64, act: Act, who: &str, why: &str, now: Timestamp) -> bool;
        fn audit(run_id: Option<&str>) -> Vec<AuditRecord>;
        fn flush_waiting(run_id: &str, phase: &str, now: Timestamp) -> usize;
        fn status(id: i64) -> Option<Status>;
        fn successor(id: i64) -> Option<Status>;
    }
}
