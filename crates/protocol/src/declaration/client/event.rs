//! What a role says to the client, and what it hears.

use std::sync::Arc;

use bitcoin::ScriptBuf;

use crate::transactions::TransactionData;

/// Whom the server wants to be paid: the first of these gets it all (SV2 6.4.3).
pub type PayoutScripts = Arc<[ScriptBuf]>;

/// A job to declare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declaration {
    /// The caller's name for it.
    pub job: u64,
    /// Whom its coinbase pays.
    pub payout: PayoutScripts,
    /// Of the block header.
    pub version: u32,
    /// The coinbase transaction up to the extranonce, not stripped of BIP-0141 (SV2 3.7.2).
    pub coinbase_tx_prefix: Vec<u8>,
    /// All behind the extranonce, not stripped either.
    pub coinbase_tx_suffix: Vec<u8>,
    /// What else is in the block.
    pub transactions: Arc<TransactionData>,
}

/// A block, for a server that knows the job it was found on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushedSolution {
    /// The whole extranonce, the pool's prefix included (T-14).
    pub extranonce: Vec<u8>,
    /// In header order.
    pub prev_hash: [u8; 32],
    /// Header field.
    pub nonce: u32,
    /// Header field.
    pub ntime: u32,
    /// Header field.
    pub n_bits: u32,
    /// Header field, whole.
    pub version: u32,
}

/// What the role tells the client.
#[derive(Debug)]
pub enum DeclarationInput {
    /// Declare a job.
    Declare(Declaration),
    /// Hand over a token, for a job that is not declared (SV2 6.3.1).
    Take {
        /// The caller's name for the job.
        job: u64,
        /// Whom its coinbase pays.
        payout: PayoutScripts,
    },
    /// Pass a block on. There is no answer.
    PushSolution(PushedSolution),
}

/// What happens on the connection.
#[derive(Debug)]
pub enum DeclarationEvent {
    /// Jobs must pay these from now on. A declaration that still pays others is dropped.
    Payout(PayoutScripts),
    /// The token that was asked for.
    Taken {
        /// The job it is for.
        job: u64,
        /// Opaque.
        token: Vec<u8>,
    },
    /// A job was sent to the server.
    Sent {
        /// Which.
        job: u64,
    },
    /// The server was given transactions that its node does not know.
    Provided {
        /// Of which job.
        job: u64,
        /// How many.
        transactions: usize,
    },
    /// The server takes a job.
    Declared {
        /// Which.
        job: u64,
        /// What proves it to the pool.
        token: Vec<u8>,
    },
    /// The server refuses a job.
    Refused {
        /// Which.
        job: u64,
        /// Its reason.
        code: String,
        /// More of it, as far as it is text.
        details: String,
    },
    /// The server asks to connect elsewhere (SV2 3.6.5): empty host and port 0 mean the same.
    Reconnect {
        /// The new host.
        host: String,
        /// The new port.
        port: u16,
    },
    /// A message that means nothing here was ignored.
    Ignored(String),
}
