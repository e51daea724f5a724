//! What became of a declaration.

use std::time::Duration;

use protocol::error_code::ErrorCode;

/// A declaration and its answer.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Counts the declarations of a connection.
    pub number: u64,
    /// The client's own name for it.
    pub request_id: u32,
    /// Who asked for its token; empty when the token was none of ours.
    pub user: String,
    /// Of the block it is for; 0 when its coinbase cannot be read.
    pub height: u32,
    /// The block it builds on, in header order, once the node was asked about it on that one.
    pub prev_hash: Option<[u8; 32]>,
    /// How many it lists.
    pub transactions: usize,
    /// How many of them the client had to provide.
    pub missing: usize,
    /// How often it was asked to.
    pub rounds: u32,
    /// Satoshis of all its outputs.
    pub value: u64,
    /// Satoshis of outputs with the pool payout's script.
    pub pool_value: u64,
    /// From the declaration's arrival to its answer.
    pub took: Duration,
    /// Of which the node had the block for so long.
    pub node_took: Duration,
    /// Id of the token that was given for it.
    pub token: Option<[u8; 16]>,
    /// Why there is none.
    pub refusal: Option<Refusal>,
}

/// Why a declaration was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What the client is told.
    pub code: ErrorCode,
    /// And more of it.
    pub details: String,
}

impl Refusal {
    pub(super) fn new(code: ErrorCode, details: impl Into<String>) -> Self {
        Self {
            code,
            details: details.into(),
        }
    }
}
