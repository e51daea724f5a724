//! Virtual time: a clock that stands still until it is moved, and what is to happen when.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use protocol::core::Now;

/// Seconds since 1970 at which every simulation begins.
const BEGIN: u64 = 1_800_000_000;

/// The time since the simulation began.
///
/// Cores want an [`Instant`], and one cannot be made from a number. So the clock takes the real
/// time once and only ever adds to it; nothing depends on what it was.
#[derive(Debug)]
pub(crate) struct Clock {
    begin: Instant,
    elapsed: Duration,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self {
            begin: Instant::now(),
            elapsed: Duration::ZERO,
        }
    }

    /// The time as cores want it.
    pub(crate) fn now(&self) -> Now {
        Now {
            instant: self.begin + self.elapsed,
            unix: BEGIN + self.elapsed.as_secs(),
        }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// When a core's deadline is; one that has passed is now.
    pub(crate) fn when(&self, instant: Instant) -> Duration {
        instant
            .saturating_duration_since(self.begin)
            .max(self.elapsed)
    }

    /// Moves on. Time never goes back.
    pub(crate) fn advance(&mut self, to: Duration) {
        debug_assert!(to >= self.elapsed, "time went back");
        self.elapsed = to;
    }
}

/// What is to happen, by time; what is planned for the same time happens in the order of planning.
#[derive(Debug)]
pub(crate) struct Agenda<S> {
    steps: BTreeMap<(Duration, u64), S>,
    planned: u64,
}

impl<S> Agenda<S> {
    pub(crate) fn new() -> Self {
        Self {
            steps: BTreeMap::new(),
            planned: 0,
        }
    }

    pub(crate) fn plan(&mut self, at: Duration, step: S) {
        self.planned += 1;
        self.steps.insert((at, self.planned), step);
    }

    pub(crate) fn next(&mut self) -> Option<(Duration, S)> {
        let ((at, _), step) = self.steps.pop_first()?;
        Some((at, step))
    }
}
