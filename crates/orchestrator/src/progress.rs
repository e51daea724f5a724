//! What a long command tells about itself while it runs.

use std::time::Duration;

/// Something that happened on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A step that concerns the whole lab, in words for people.
    Step(String),
    /// Something people should know although the command goes on.
    Warning(String),
    /// A service is about to be started.
    Starting {
        /// Its name.
        service: String,
    },
    /// A service runs and says why it is not ready.
    Waiting {
        /// Its name.
        service: String,
        /// Its own words.
        reason: String,
    },
    /// A block was mined on a way that had none yet.
    FirstBlock {
        /// Everybody its share passed, the miner first.
        path: Vec<String>,
        /// Since the command began.
        after: Duration,
    },
    /// A service is ready.
    Ready {
        /// Its name.
        service: String,
        /// Since the command began.
        after: Duration,
    },
}

/// Receives events; it must be quick, since the work goes on when it returns.
pub type Progress<'a> = &'a (dyn Fn(Event) + Sync);

/// Says nothing.
pub fn silent(_: Event) {}
