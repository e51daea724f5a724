//! What a share is before and after it is judged.

use super::extranonce::Extranonce;
use crate::error_code::ErrorCode;

/// A share, whichever message brought it.
#[derive(Debug, Clone, Copy)]
pub struct Share<'a> {
    /// The job it is for.
    pub job_id: u32,
    /// Header field.
    pub nonce: u32,
    /// Header field.
    pub ntime: u32,
    /// Header field, whole.
    pub version: u32,
    /// Empty on a standard channel.
    pub extranonce: &'a [u8],
}

/// Where a job comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobSource {
    /// A template of our provider.
    Template {
        /// The provider's connection it came over.
        session: u64,
        /// The provider's id.
        id: u64,
    },
    /// The client (SV2 5.3.18).
    Custom {
        /// The id of the token that permits it.
        token: [u8; 16],
    },
}

/// A share that was accepted. It has all that a relay needs to submit it further up.
#[derive(Debug, Clone, PartialEq)]
pub struct Accepted {
    /// The block hash, in header order.
    pub hash: [u8; 32],
    /// What the share is worth: hashes it takes on average to find one.
    pub hashes: f64,
    /// Whether it is a block too.
    pub is_block: bool,
    /// What its job was made of.
    pub source: JobSource,
    /// Header field.
    pub nonce: u32,
    /// Header field.
    pub ntime: u32,
    /// Header field, whole.
    pub version: u32,
    /// The whole extranonce, as it stands in the coinbase. It begins with the prefix that was the
    /// connection's when the job was sent.
    pub extranonce: Extranonce,
}

/// A share that is a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Solution {
    /// The provider's connection the template came over.
    pub session: u64,
    /// The template.
    pub template_id: u64,
    /// Header field.
    pub version: u32,
    /// Header field.
    pub ntime: u32,
    /// Header field.
    pub nonce: u32,
    /// The whole coinbase transaction, with its witness.
    pub coinbase: Vec<u8>,
    /// The block hash, in header order.
    pub hash: [u8; 32],
    /// Height of the block, if the template said it.
    pub height: Option<u64>,
}

/// A share of a custom job that is a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomBlock {
    /// The id of the token that permits its job.
    pub token: [u8; 16],
    /// The whole header.
    pub header: [u8; 80],
    /// The whole coinbase transaction, with its witness.
    pub coinbase: Vec<u8>,
    /// The block hash, in header order.
    pub hash: [u8; 32],
    /// Height of the block, if the coinbase says it.
    pub height: Option<u64>,
}

/// A share that is a block, by who knows its transactions.
#[derive(Debug)]
pub enum Block {
    /// Our template provider.
    Ours(Solution),
    /// The client.
    Custom(CustomBlock),
}

/// What a share turned out to be. A block may well miss the channel's target: on regtest most do.
#[derive(Debug)]
pub struct Verdict {
    /// For the miner.
    pub share: Result<Accepted, ErrorCode>,
    /// For the node.
    pub block: Option<Block>,
}
