//! What must be true of every simulation, whatever the seed.
//!
//! A [`Witness`] sees every message where it is sent and where it arrives, and every event of every
//! core. It keeps its own account and compares; it never asks a core what it thinks.

mod connection;
mod shares;
mod view;
mod witness;

use std::fmt;
use std::time::Duration;

pub(crate) use witness::{Terms, Witness};

/// How long after a commit a connection's task has heard of it.
pub(crate) const TOLD_WITHIN: Duration = Duration::from_millis(30);

/// The rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Property {
    /// No share is credited twice, on whatever channel of whatever connection.
    CreditedOnce,
    /// Once all is quiet, both ends have counted the same shares as accepted and as rejected.
    CountsAgree,
    /// Nobody submits shares for a tip after a newer one arrived.
    NewestTipOnly,
    /// A share is stale only if the pool had ended its job: by a newer tip, or by as many newer
    /// jobs as it keeps.
    StaleOnlyIfEnded,
    /// An honest miner's share is rejected as stale or duplicate, and for no other reason.
    HonestSharesAreGood,
    /// Every share is answered once, in time.
    AnsweredOnce,
    /// No share is acknowledged that a crash could lose.
    AcknowledgedIsRecorded,
    /// Job ids are fresh, and SetNewPrevHash names a future job its channels were told.
    JobsComeInOrder,
    /// Channel ids are fresh, and every opened channel ends closed and is left alone then.
    ChannelsEndClosed,
    /// Every share that is a block is told once, and makes the block it should.
    BlocksToldOnce,
    /// No two channels search the same extranonces.
    PrefixesDiffer,
    /// No target is easier than the client can take.
    TargetsInBounds,
    /// Once all is quiet, every channel mines the newest tip, and nothing goes on for ever.
    WorkGoesOn,
    /// No honest peer is thrown out, and nothing it says means nothing.
    NothingUnexpected,
}

/// A property that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation<P = Property> {
    /// Virtual time.
    pub at: Duration,
    /// The rule.
    pub property: P,
    /// What happened instead.
    pub what: String,
}

/// A rule that was broken, and how.
type Breach = (Property, String);

impl<P: fmt::Debug> fmt::Display for Violation<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, property, what } = self;
        write!(f, "{:.3} s: {property:?}: {what}", at.as_secs_f64())
    }
}
