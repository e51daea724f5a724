//! Numbers that one task writes and any task reads.

use std::sync::atomic::{AtomicU64, Ordering};

/// A whole number. Only one task may change it: what another adds meanwhile would be lost.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// What it is now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// Whoever sees this sees what was written before, too.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Release);
    }

    /// Adds to it.
    pub fn add(&self, value: u64) {
        self.set(self.get() + value);
    }
}

/// A number with a fraction, written by one task like a [`Count`].
#[derive(Debug, Default)]
pub struct Real(Count);

impl Real {
    /// What it is now.
    pub fn get(&self) -> f64 {
        f64::from_bits(self.0.get())
    }

    /// Whoever sees this sees what was written before, too.
    pub fn set(&self, value: f64) {
        self.0.set(value.to_bits());
    }

    /// Adds to it.
    pub fn add(&self, value: f64) {
        self.set(self.get() + value);
    }
}
