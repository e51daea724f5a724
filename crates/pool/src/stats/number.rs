//! Numbers that one task writes and any task reads.

use std::sync::atomic::{AtomicU64, Ordering};

/// A whole number. Only one task may change it: what another adds meanwhile would be lost.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// Whoever sees this sees what was written before, too.
    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Release);
    }

    pub(crate) fn add(&self, value: u64) {
        self.set(self.get() + value);
    }
}

/// A number with a fraction, written by one task like a [`Count`].
#[derive(Debug, Default)]
pub(crate) struct Real(Count);

impl Real {
    pub(crate) fn get(&self) -> f64 {
        f64::from_bits(self.0.get())
    }

    pub(crate) fn set(&self, value: f64) {
        self.0.set(value.to_bits());
    }

    pub(crate) fn add(&self, value: f64) {
        self.set(self.get() + value);
    }
}
