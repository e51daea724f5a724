//! What a source of block templates and a Template Distribution client say to each other.
//!
//! A source opens one [`Feed`] per client, because every client has its own constraints and so its
//! own templates. Nothing here does I/O: the types are the whole contract, and a source is whatever
//! answers at the far end of a feed. There are two, [`ipc`] and [`rpc`]; once started they cannot
//! be told apart.

pub mod ipc;
mod pauses;
pub mod rpc;
mod thread;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bitcoin::block::{Header, Version};
use bitcoin::hashes::Hash;
use bitcoin::{BlockHash, CompactTarget, Network, TxMerkleNode, Txid};
use protocol::coinbase::{merkle_root, subsidy};
use protocol::work;
use tokio::sync::mpsc;

pub use thread::{Source, SourceEnded, SourceThread};

/// Weight of a whole block (BIP-0141).
const MAX_BLOCK_WEIGHT: u64 = 4_000_000;
/// Bitcoin Core refuses to reserve less than this for header and coinbase.
const MINIMUM_RESERVED_WEIGHT: u64 = 2_000;
/// SV2 7.1: header, transaction count and a coinbase with a 100-byte scriptSig, without the
/// client's own outputs.
const COINBASE_BASE_WEIGHT: u64 = 1_168;
/// Bytes of an output are not witness data, so each weighs four units.
const WEIGHT_PER_OUTPUT_BYTE: u64 = 4;
/// No other network's blocks are as easy as all of regtest's are.
const REGTEST_BITS: u32 = 0x207f_ffff;

/// The room a client asks to be left for the outputs it adds to the coinbase (SV2 7.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Constraints {
    /// Bytes of the serialised outputs.
    pub max_additional_size: u32,
    /// Signature operations of those outputs.
    pub max_additional_sigops: u16,
}

impl Constraints {
    /// Weight units a template must leave free so that no coinbase within these constraints makes
    /// the block invalid (SV2 7.1).
    pub fn block_reserved_weight(self) -> u64 {
        let outputs = WEIGHT_PER_OUTPUT_BYTE * u64::from(self.max_additional_size);
        (COINBASE_BASE_WEIGHT + outputs).max(MINIMUM_RESERVED_WEIGHT)
    }

    /// Whether any block leaves that much room.
    /// The sigops need no check: all that the field can ask for fits into a block.
    pub fn is_possible(self) -> bool {
        self.block_reserved_weight() <= MAX_BLOCK_WEIGHT
    }
}

impl fmt::Display for Constraints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            max_additional_size: size,
            max_additional_sigops: sigops,
        } = self;
        write!(
            f,
            "{size} bytes and {sigops} sigops of additional coinbase outputs"
        )
    }
}

/// Names a template within one feed. Keys only grow, also across restarts of the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TemplateKey(pub u64);

/// All that a client needs to build a block, in the byte orders of the block itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// Header version; the BIP-0323 bits are the client's to roll.
    pub version: u32,
    /// `nVersion` of the coinbase.
    pub coinbase_tx_version: u32,
    /// Start of the coinbase's scriptSig: the BIP-0034 height.
    pub coinbase_prefix: Vec<u8>,
    /// `nSequence` of the coinbase's only input.
    pub coinbase_tx_input_sequence: u32,
    /// Satoshis the client may pay out: subsidy and fees.
    pub coinbase_tx_value_remaining: u64,
    /// How many outputs `coinbase_tx_outputs` holds.
    pub coinbase_tx_outputs_count: u32,
    /// Serialised outputs the coinbase must end with, one after the other, without a count.
    pub coinbase_tx_outputs: Vec<u8>,
    /// `nLockTime` of the coinbase.
    pub coinbase_tx_locktime: u32,
    /// Hashes to fold the coinbase's txid with, deepest first.
    pub merkle_path: Vec<[u8; 32]>,
    /// Hash of the block this one builds on.
    pub prev_hash: [u8; 32],
    /// Time to start mining at. It is valid, but not the earliest that would be.
    pub header_timestamp: u32,
    /// Compact form of the target.
    pub n_bits: u32,
    /// The hash of a block may not be above this; little-endian.
    pub target: [u8; 32],
}

impl Template {
    /// The block this one builds on.
    pub fn prev_block(&self) -> BlockHash {
        BlockHash::from_byte_array(self.prev_hash)
    }

    /// Satoshis of the value that are fees; `None` when no height can be read. Neither way of
    /// asking the node says for all templates what they are, or which network it is on, but the
    /// subsidy tells: on regtest it halves sooner.
    pub fn fees(&self) -> Option<u64> {
        let network = match self.n_bits {
            REGTEST_BITS => Network::Regtest,
            _ => Network::Bitcoin,
        };
        let created = subsidy(work::height(&self.coinbase_prefix)?, network);
        Some(self.coinbase_tx_value_remaining.saturating_sub(created))
    }

    /// Whether a coinbase made for one of the two templates gives the same block in the other: the
    /// transactions are the same ones, and so is what the coinbase commits to.
    pub fn makes_same_block_as(&self, other: &Self) -> bool {
        self.prev_hash == other.prev_hash
            && self.n_bits == other.n_bits
            && self.merkle_path == other.merkle_path
            && self.coinbase_tx_outputs == other.coinbase_tx_outputs
    }

    /// The header of the block that this coinbase makes.
    pub fn header(&self, coinbase: Txid, version: u32, time: u32, nonce: u32) -> Header {
        let root = merkle_root(coinbase.to_byte_array(), &self.merkle_path);
        Header {
            version: Version::from_consensus(version.cast_signed()),
            prev_blockhash: self.prev_block(),
            merkle_root: TxMerkleNode::from_byte_array(root),
            time,
            bits: CompactTarget::from_consensus(self.n_bits),
            nonce,
        }
    }
}

/// What a feed is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Work for a client: a template for every tip, and others as fees rise. It begins with the
    /// first constraints.
    Work(Refresh),
    /// A look at the node: one template, to see that it makes them, and then only tips. Every
    /// template costs the node time in which it makes nobody else's.
    Watch,
}

/// When a feed makes a new template without a new tip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refresh {
    /// Satoshis by which the fees must have grown; `None` asks for templates of new tips only.
    pub fee_threshold: Option<u64>,
    /// Shortest time between two templates of one tip.
    pub min_interval: Duration,
}

impl Refresh {
    /// By how much fees must have grown since a template of this age; until the shortest interval
    /// has passed they do not matter.
    fn fees_asked(self, age: Duration) -> Option<u64> {
        self.fee_threshold.filter(|_| age >= self.min_interval)
    }

    /// Whether a client gains anything from the next template, having had another for so long.
    fn calls_for(self, next: &Template, current: &Template, age: Duration) -> bool {
        if next.prev_hash != current.prev_hash || next.n_bits != current.n_bits {
            return true;
        }
        let gain = next
            .coinbase_tx_value_remaining
            .saturating_sub(current.coinbase_tx_value_remaining);
        self.fees_asked(age)
            .is_some_and(|threshold| gain >= threshold)
    }
}

/// A solved template on its way to the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Solution {
    /// The client's name for the template; comes back with the verdict.
    pub template_id: u64,
    /// Hash of the block that the solution makes; comes back with the verdict.
    pub block_hash: BlockHash,
    /// Header version.
    pub version: u32,
    /// Header time.
    pub timestamp: u32,
    /// Header nonce.
    pub nonce: u32,
    /// The whole coinbase with its witness.
    pub coinbase: Vec<u8>,
}

/// From a client to its feed.
#[derive(Debug)]
pub enum Request {
    /// Build templates under these constraints from now on, beginning with a fresh one.
    Constraints(Constraints),
    /// Fetch the transactions of a template; answered by [`Event::TransactionData`].
    TransactionData {
        /// The client's name for the template; comes back with the answer.
        template_id: u64,
        /// The template.
        key: TemplateKey,
    },
    /// Give the node a solved template; answered by [`Event::Verdict`].
    Submit {
        /// The template whose transactions make the block.
        key: TemplateKey,
        /// What was found.
        solution: Box<Solution>,
    },
    /// These templates will not be asked for again.
    Release(Vec<TemplateKey>),
}

/// From a feed to its client.
#[derive(Debug)]
pub enum Event {
    /// A template that replaces the one before it.
    Template {
        /// Its name in later requests.
        key: TemplateKey,
        /// What it was built under. Newer ones may be on their way to the feed already.
        constraints: Constraints,
        /// Its contents.
        template: Arc<Template>,
    },
    /// Answer to [`Request::TransactionData`].
    TransactionData {
        /// As in the request.
        template_id: u64,
        /// Serialised transactions in block order, without the coinbase, or why there are none.
        transactions: Result<Vec<Vec<u8>>, String>,
    },
    /// Answer to [`Request::Submit`].
    Verdict {
        /// As in the solution.
        template_id: u64,
        /// As in the solution.
        block_hash: BlockHash,
        /// What the node made of it.
        verdict: Verdict,
    },
    /// The node has another tip. Only a [`Purpose::Watch`] feed tells; its first tip comes when the
    /// node has made a template.
    Tip {
        /// The block.
        hash: BlockHash,
        /// Its height.
        height: u32,
    },
    /// The node is out of reach; every template so far is gone with it.
    NodeLost {
        /// What happened, and what to look at.
        reason: String,
    },
    /// The node is reachable (again).
    NodeBack,
    /// The node is reachable but still downloading the chain, so it makes no templates yet.
    NodeSyncing,
}

/// What the node made of a solution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The block is the node's new tip.
    Accepted,
    /// The node took the block, but its tip is another one: a rival was there first, or somebody
    /// has built on the block already.
    NotTip,
    /// The node refused the block.
    Rejected {
        /// The node's own words where it gave some (BIP-0022).
        reason: String,
    },
    /// The node was lost before it answered.
    Unknown {
        /// What happened.
        reason: String,
    },
}

/// [`Request::TransactionData`] and [`Request::Submit`] that a client may have unanswered. It keeps
/// to that by itself, so the queues behind a feed have room for all of them.
pub const MAX_UNANSWERED: usize = 64;
/// Room for every unanswered request and some of the short ones. A feed takes requests at any time,
/// so only a client that floods finds the queue full, and is to be disconnected.
const REQUEST_QUEUE: usize = 2 * MAX_UNANSWERED;
/// Events a client may fall behind by. A feed that finds the queue full waits; it holds up nobody
/// but this one client.
const EVENT_QUEUE: usize = 64;

/// The client's end of a feed. Dropping it ends the feed.
#[derive(Debug)]
pub struct Feed {
    /// To the feed.
    pub requests: mpsc::Sender<Request>,
    /// From the feed. It ends only when the source itself has ended.
    pub events: mpsc::Receiver<Event>,
}

/// The source's end of a feed.
#[derive(Debug)]
pub struct FeedEnd {
    /// From the client; ends when the client has left.
    pub requests: mpsc::Receiver<Request>,
    /// To the client.
    pub events: mpsc::Sender<Event>,
}

/// A feed's two ends.
pub fn feed() -> (Feed, FeedEnd) {
    let (request_sender, request_receiver) = mpsc::channel(REQUEST_QUEUE);
    let (event_sender, event_receiver) = mpsc::channel(EVENT_QUEUE);
    (
        Feed {
            requests: request_sender,
            events: event_receiver,
        },
        FeedEnd {
            requests: request_receiver,
            events: event_sender,
        },
    )
}

#[cfg(test)]
mod tests;
