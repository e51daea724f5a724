//! The pauses between attempts to reach the node.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

/// A node that restarts is back in a moment.
const FIRST: Duration = Duration::from_millis(10);
/// Longest pause.
const LAST: Duration = Duration::from_secs(1);

/// Growing and jittered, without end.
pub(super) struct Pauses(ExponentialBackoff);

impl Default for Pauses {
    fn default() -> Self {
        let pauses = ExponentialBuilder::new()
            .with_jitter()
            .with_min_delay(FIRST)
            .with_max_delay(LAST)
            .without_max_times();
        Self(pauses.build())
    }
}

impl Pauses {
    /// The next pause.
    pub(super) fn next(&mut self) -> Duration {
        self.0.next().unwrap_or(LAST)
    }
}
