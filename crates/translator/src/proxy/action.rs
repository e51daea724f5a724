//! What the proxy is told, and what it wants done.

use std::sync::Arc;

use protocol::client::{ClientEvent, ClientInput};
use sv1::Extranonce;

use crate::miner::Accepted;
use crate::work::CurrentWork;

/// Something happened.
#[derive(Debug)]
pub(crate) enum Input {
    /// An upstream is connected.
    Up(usize),
    /// On the connection to an upstream, in order.
    Events(usize, Vec<ClientEvent>),
    /// That connection is over.
    Lost {
        /// Whose.
        upstream: usize,
        /// Why.
        reason: String,
    },
    /// A miner subscribes.
    Joined {
        /// Its connection's place among all.
        slot: u32,
        /// The extranonce1 it had before.
        resumed: Option<u32>,
    },
    /// A miner authorizes somebody.
    Authorized {
        /// Its place.
        slot: u32,
        /// Whom.
        worker: Arc<str>,
    },
    /// A miner's hash rate is known.
    HashRate {
        /// Its place.
        slot: u32,
        /// Hashes a second.
        rate: f64,
    },
    /// A miner found a share that the upstream takes.
    Share {
        /// Its place.
        slot: u32,
        /// The share.
        accepted: Box<Accepted>,
    },
    /// A miner's connection is over.
    Left(u32),
}

/// Something is to be done.
#[derive(Debug)]
pub(crate) enum Action {
    /// Tell an upstream.
    Tell(usize, ClientInput),
    /// Give a miner its extranonce1.
    Seat(u32, Extranonce),
    /// Give this to one miner, or, with `None`, to all that share a channel.
    Give(Option<u32>, CurrentWork),
    /// Close a miner's connection, for this reason.
    Close(u32, String),
    /// What became of a miner's share.
    Fate(u32, Fate),
    /// Let people know.
    Report(Report),
}

/// What becomes of a share that was good for us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The upstream was sent it.
    Relayed,
    /// The upstream accepted it.
    Accepted,
    /// The upstream rejected it, for this reason.
    Rejected(String),
    /// It never got an answer.
    Lost(&'static str),
}

/// For logs and metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Report {
    /// The miners work for somebody else, or for nobody.
    Switched(Option<usize>),
    /// An upstream failed, whether or not it was worked for.
    Failed {
        /// Which.
        upstream: usize,
        /// Why.
        reason: String,
    },
    /// The connection to an upstream that is not worked for was lost.
    LinkLost {
        /// Whose.
        upstream: usize,
        /// Why.
        reason: String,
    },
    /// It accepted so many shares.
    Acknowledged {
        /// Which.
        upstream: usize,
        /// How many.
        count: u64,
    },
    /// It rejected a share.
    Rejected {
        /// Which.
        upstream: usize,
        /// Its reason.
        code: String,
        /// Whether it was worth a block and not what the upstream asked for.
        is_mere_block: bool,
    },
    /// It was sent a share.
    Relayed {
        /// Which.
        upstream: usize,
        /// Whether it is a block, in header order.
        block: Option<[u8; 32]>,
    },
    /// It said something that means nothing here.
    Ignored {
        /// Which.
        upstream: usize,
        /// What.
        what: String,
    },
}
