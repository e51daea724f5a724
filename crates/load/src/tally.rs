//! What all miners of a swarm have seen.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Counts and times. One thread writes, the scenario reads.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    accepted: AtomicU64,
    /// By reason.
    rejected: Mutex<BTreeMap<String, u64>>,
    lost: AtomicU64,
    /// Whether times are noted down now.
    is_timing: AtomicBool,
    acknowledged: Mutex<Vec<u32>>,
    tips: Mutex<Vec<u64>>,
}

impl Tally {
    /// The pool acknowledged shares, which were sent so long ago.
    pub(crate) fn accept(&self, ages: impl ExactSizeIterator<Item = Duration>) {
        self.accepted
            .fetch_add(ages.len() as u64, Ordering::Relaxed);
        if self.is_timing.load(Ordering::Relaxed) {
            lock(&self.acknowledged).extend(ages.map(|age| age.as_micros() as u32));
        }
    }

    pub(crate) fn reject(&self, reason: String) {
        *lock(&self.rejected).entry(reason).or_default() += 1;
    }

    /// A connection ended that should not have.
    pub(crate) fn lose(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
    }

    /// A tip arrived, at that time in nanoseconds since 1970.
    pub(crate) fn tip(&self, at: u64) {
        lock(&self.tips).push(at);
    }

    /// Shares accepted so far.
    pub(crate) fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Shares rejected so far, by reason.
    pub(crate) fn rejected(&self) -> BTreeMap<String, u64> {
        lock(&self.rejected).clone()
    }

    /// Connections lost so far.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Begins or ends to note down how long acknowledgements take.
    pub(crate) fn time(&self, is_timing: bool) {
        self.is_timing.store(is_timing, Ordering::Relaxed);
    }

    /// Microseconds from share to acknowledgement.
    pub(crate) fn take_acknowledged(&self) -> Vec<u32> {
        std::mem::take(&mut *lock(&self.acknowledged))
    }

    /// Miners that the newest tip has reached.
    pub(crate) fn tips(&self) -> usize {
        lock(&self.tips).len()
    }

    /// When it reached each of them.
    pub(crate) fn take_tips(&self) -> Vec<u64> {
        std::mem::take(&mut *lock(&self.tips))
    }
}

/// A list is whole at any time, so a panic elsewhere does not spoil it.
fn lock<T>(list: &Mutex<T>) -> MutexGuard<'_, T> {
    list.lock().unwrap_or_else(PoisonError::into_inner)
}
