//! What a miner's core is told, and what it tells.

use std::sync::Arc;

use sv1::{Extranonce, Rejection};

use super::Accepted;
use crate::work::CurrentWork;

/// What the role tells a miner's core.
#[derive(Debug)]
pub enum MinerInput {
    /// Its extranonce1, which it keeps.
    Seated(Extranonce),
    /// What there is to mine.
    Work(CurrentWork),
    /// It cannot be served, for this reason.
    Close(String),
    /// What it said last was taken: it may go on.
    GoOn,
}

/// What happens on a miner's connection.
#[derive(Debug)]
pub enum MinerEvent {
    /// It needs an extranonce1, and may have had one before.
    Subscribe(Option<u32>),
    /// The software it says it is.
    Agent(Box<str>),
    /// A worker that has not been there before.
    Authorized(Arc<str>),
    /// It may change these bits of the version from now on, of which it needs so many.
    VersionRolling {
        /// The bits.
        mask: u32,
        /// How many.
        min_bit_count: u32,
    },
    /// It has been told another difficulty.
    Difficulty(f64),
    /// It does so many hashes a second, as far as is known.
    HashRate(f64),
    /// A good share.
    Accepted(Box<Accepted>),
    /// A share that was not.
    Rejected(Rejection),
    /// A line that means nothing.
    Unreadable(String),
    /// A line is longer than it may be; the connection is closed.
    LineTooLong,
}
