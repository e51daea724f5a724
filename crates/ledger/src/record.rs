//! What the ledger holds: shares, blocks found, and what became of those blocks.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bitcoin::BlockHash;
use bitcoin::hex::DisplayHex;
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

/// Where shares come from: a channel of one connection, and the worker behind it.
#[derive(Debug, Serialize)]
pub struct Source {
    /// The miner's address and port.
    pub peer: SocketAddr,
    /// The channel on that connection; 0 for what was sent for none that is open.
    pub channel_id: u32,
    /// Whom the channel is for, as its miner said.
    pub user: String,
    /// Who found the share, if the miner says so for each share (extension 0x0002).
    pub worker: Option<String>,
    /// The writer's note of the number by which the log's current segment knows this source:
    /// the segment in the upper half, 0 for none.
    #[serde(skip)]
    note: AtomicU64,
}

impl Source {
    /// A source that the log does not know yet.
    pub fn new(peer: SocketAddr, channel_id: u32, user: String, worker: Option<String>) -> Self {
        Self {
            peer,
            channel_id,
            user,
            worker,
            note: AtomicU64::new(0),
        }
    }

    /// The number that `segment` knows it by.
    pub(crate) fn number_in(&self, segment: u32) -> Option<u32> {
        let note = self.note.load(Ordering::Relaxed);
        (note >> 32 == u64::from(segment)).then_some(note as u32)
    }

    /// The number that the segment noted last knows it by.
    pub(crate) fn number(&self) -> u32 {
        self.note.load(Ordering::Relaxed) as u32
    }

    /// Only the writer, or the reader that made the source, calls this.
    pub(crate) fn note(&self, segment: u32, number: u32) {
        let note = u64::from(segment) << 32 | u64::from(number);
        self.note.store(note, Ordering::Relaxed);
    }
}

/// A share and what it was worth.
#[derive(Debug, Clone)]
pub struct Share {
    /// Who found it.
    pub source: Arc<Source>,
    /// When it was judged, in milliseconds since 1970.
    pub time_ms: u64,
    /// The job on its channel.
    pub job_id: u32,
    /// How it was judged.
    pub outcome: Outcome,
}

/// How a share was judged.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It counts.
    Accepted {
        /// Its hash.
        hash: BlockHash,
        /// Hashes that it takes on average to find one.
        hashes: f64,
    },
    /// It does not.
    Rejected {
        /// The error code its miner was sent.
        reason: Cow<'static, str>,
    },
}

/// A block a miner found.
#[derive(Debug, Clone, Serialize)]
pub struct Found {
    /// Its hash, as RPC and explorers write it.
    #[serde(serialize_with = "as_text")]
    pub hash: BlockHash,
    /// Its height, if the template says it.
    pub height: Option<u64>,
    /// Who found it.
    #[serde(flatten, serialize_with = "source")]
    pub source: Arc<Source>,
    /// When it was found, in milliseconds since 1970.
    pub time_ms: u64,
    /// The job on its channel.
    pub job_id: u32,
    /// Where its transactions come from.
    #[serde(flatten)]
    pub origin: Origin,
}

/// Where a block's transactions come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Origin {
    /// The template with this id.
    #[serde(rename = "template_id")]
    Template(u64),
    /// Declared by the miner under this token.
    #[serde(rename = "token", serialize_with = "as_hex")]
    Declared(Vec<u8>),
}

impl Found {
    /// The template, unless it was declared.
    pub fn template_id(&self) -> Option<u64> {
        match self.origin {
            Origin::Template(id) => Some(id),
            Origin::Declared(_) => None,
        }
    }

    /// The token under which its miner declared it, as hex.
    pub fn token(&self) -> Option<String> {
        match &self.origin {
            Origin::Template(_) => None,
            Origin::Declared(token) => Some(token.to_lower_hex_string()),
        }
    }
}

/// What became of a block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Judged {
    /// The block.
    #[serde(serialize_with = "as_text")]
    pub hash: BlockHash,
    /// When it was looked at, in milliseconds since 1970.
    pub time_ms: u64,
    /// What the node said.
    pub verdict: Verdict,
    /// Why, when it is not in the chain.
    pub reason: Option<String>,
}

/// What the node says about a block. The numbers are those in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is in the active chain.
    Accepted = 0,
    /// The node has it, but another block took its place.
    Stale = 1,
    /// The node does not have it.
    Rejected = 2,
    /// There is no node to ask, or it does not answer.
    Unknown = 3,
}

impl Verdict {
    /// All there are.
    pub const ALL: [Self; 4] = [Self::Accepted, Self::Stale, Self::Rejected, Self::Unknown];

    /// Its name, as in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Stale => "stale",
            Self::Rejected => "rejected",
            Self::Unknown => "unknown",
        }
    }

    /// The one of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verdict| verdict.name() == name)
    }
}

/// One entry of the log.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Record {
    /// A share was judged.
    Share(Share),
    /// A block was found. If it counts as a share too, that follows.
    Found(Box<Found>),
    /// A block's fate is known, or changed.
    Judged(Box<Judged>),
}

impl Record {
    /// When it happened, in milliseconds since 1970.
    pub(crate) fn time_ms(&self) -> u64 {
        match self {
            Self::Share(share) => share.time_ms,
            Self::Found(found) => found.time_ms,
            Self::Judged(judged) => judged.time_ms,
        }
    }
}

impl Serialize for Share {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (hash, hashes, reason) = match &self.outcome {
            Outcome::Accepted { hash, hashes } => (Some(hash.to_string()), Some(hashes), None),
            Outcome::Rejected { reason } => (None, None, Some(reason)),
        };
        let mut share = serializer.serialize_struct("Share", 10)?;
        share.serialize_field("time_ms", &self.time_ms)?;
        share.serialize_field("user", &self.source.user)?;
        share.serialize_field("worker", &self.source.worker)?;
        share.serialize_field("peer", &self.source.peer)?;
        share.serialize_field("channel_id", &self.source.channel_id)?;
        share.serialize_field("job_id", &self.job_id)?;
        share.serialize_field("accepted", &reason.is_none())?;
        share.serialize_field("reason", &reason)?;
        share.serialize_field("hash", &hash)?;
        share.serialize_field("hashes", &hashes)?;
        share.end()
    }
}

fn as_text<S: Serializer>(hash: &BlockHash, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(hash)
}

fn source<S: Serializer>(source: &Arc<Source>, serializer: S) -> Result<S::Ok, S::Error> {
    source.serialize(serializer)
}

fn as_hex<S: Serializer>(token: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&token.to_lower_hex_string())
}
