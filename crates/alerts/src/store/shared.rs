//! What several dispatchers over one database need of a store: each says that it lives, and what a silent one left is taken over or,
//! after the retention time, deleted.
//!
//! Why a heartbeat: deliveries that nobody has touched for a while are either those of a dispatcher that is gone, or those of a living one
//! that is held up (its notifier is dead, its circuit open, its queue long). Only the first may be taken over: the living one knows its own
//! chains, and an adopter that gave up in its place would end a delivery that was still under way. So rows say nothing of their owner;
//! the owner does, every ten seconds. And because an adopter's chains and notifiers are its own, it may send what it adopted or put it back,
//! and nothing else.

use std::time::Duration;

use market::Timestamp;

use super::Claim;
use crate::model::AlertError;

/// A dispatcher that has not been heard of for so long is gone, and so are rows that were due before that.
pub(crate) const ADOPT_AFTER: Duration = Duration::from_secs(600);
/// How often a dispatcher says that it lives.
pub(crate) const BEAT_EVERY: Duration = Duration::from_secs(10);

/// The part of an [`AlertStore`](super::AlertStore) that dispatchers share. Each method is one transaction and fails with [`AlertError`].
#[expect(clippy::missing_errors_doc, reason = "said once, above")]
pub trait SharedStore {
    /// Says that the dispatcher of a run's phase lives.
    fn beat(&self, run_id: &str, phase: &str, now: Timestamp) -> Result<(), AlertError>;

    /// Takes, with a lease, the delivery to one of these notifiers that has been due longest, for more than ten minutes, of another run or
    /// phase whose dispatcher has been silent for ten minutes. It is to be recorded as sent or put back, never given up.
    fn adopt(
        &self,
        run_id: &str,
        phase: &str,
        now: Timestamp,
        lease: Duration,
        notifiers: &[String],
    ) -> Result<Option<Claim>, AlertError>;

    /// Ends a claim without an attempt that counts: the row is due again at a time. Nothing happens when the lease had been lost.
    fn put_back(&self, claim: &Claim, error: Option<&str>, at: Timestamp) -> Result<(), AlertError>;

    /// Deletes alerts that were raised before a time, with their deliveries and cursors; how many alerts. Kept are those of this run and of
    /// every run whose dispatcher has been heard of since, and what is open or in the dead letters, until a person has dealt with it.
    fn forget(&self, before: Timestamp, keep_run: &str) -> Result<u64, AlertError>;
}
