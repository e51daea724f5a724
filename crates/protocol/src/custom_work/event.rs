//! What a role says to the client, and what it hears.

use std::sync::Arc;

use stratum_core::binary_sv2::U256Owned;
use stratum_core::mining_sv2::SetCustomMiningJobOwned;

use crate::target::Target;

/// The part of the search space that the pool gave the channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seat {
    /// What the extranonce of every job begins with.
    pub extranonce_prefix: Vec<u8>,
    /// Bytes behind it, to be chosen freely.
    pub extranonce_size: usize,
}

impl Seat {
    /// Bytes of the whole extranonce.
    pub fn extranonce_len(&self) -> usize {
        self.extranonce_prefix.len() + self.extranonce_size
    }
}

/// A custom job: the fields of SetCustomMiningJob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomJob {
    /// The caller's name for it.
    pub job: u64,
    /// What its coinbase was built for.
    pub seat: Arc<Seat>,
    /// What makes the pool take it.
    pub token: Vec<u8>,
    /// Of the block header.
    pub version: u32,
    /// In header order.
    pub prev_hash: [u8; 32],
    /// The time to start from.
    pub min_ntime: u32,
    /// Of the block header.
    pub n_bits: u32,
    /// Of the coinbase transaction.
    pub coinbase_tx_version: u32,
    /// All of the scriptSig that stands before the extranonce.
    pub coinbase_prefix: Vec<u8>,
    /// Of the coinbase's input.
    pub coinbase_tx_input_sequence: u32,
    /// Behind their number as a CompactSize.
    pub coinbase_tx_outputs: Vec<u8>,
    /// Of the coinbase transaction.
    pub coinbase_tx_locktime: u32,
    /// Siblings of the coinbase's txid, deepest first.
    pub merkle_path: Vec<[u8; 32]>,
}

/// A share for the pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomShare {
    /// The caller's name for the job.
    pub job: u64,
    /// The pool's name for it, as [`CustomWorkEvent::JobSet`] said.
    pub job_id: u32,
    /// Header field.
    pub nonce: u32,
    /// Header field.
    pub ntime: u32,
    /// Header field, whole.
    pub version: u32,
    /// All behind the pool's prefix, as long as the pool asked for.
    pub extranonce: Vec<u8>,
    /// The block hash, in header order; the pool computes it anew.
    pub hash: [u8; 32],
}

/// What the role tells the client.
#[derive(Debug)]
pub enum CustomWorkInput {
    /// Set a job.
    SetJob(CustomJob),
    /// Submit a share.
    Share(CustomShare),
    /// The miners' hash rate has changed: hashes a second.
    HashRate(f32),
    /// Close the channel and the connection.
    Leave,
}

/// What happens on the connection.
#[derive(Debug)]
pub enum CustomWorkEvent {
    /// The channel is open, or has another prefix: later jobs must be built for this.
    Seated(Arc<Seat>),
    /// Jobs that the pool takes from now on have this target; those it took before keep theirs.
    Target(Target),
    /// The pool takes a job.
    JobSet {
        /// Which.
        job: u64,
        /// The pool's name for it.
        job_id: u32,
        /// What the hash of a share for it must not exceed.
        target: Target,
    },
    /// The pool refuses a job.
    JobRefused {
        /// Which.
        job: u64,
        /// Its reason.
        code: String,
    },
    /// The pool accepted shares.
    Accepted {
        /// Those that were waiting for it.
        shares: Vec<CustomShare>,
        /// How many the pool says it were.
        count: u32,
    },
    /// The pool rejected a share.
    Rejected {
        /// Which.
        share: CustomShare,
        /// Its reason.
        code: String,
    },
    /// No answer is expected any more: too many came after it.
    GivenUp(CustomShare),
    /// The pool asks to connect elsewhere (SV2 3.6.5): empty host and port 0 mean the same.
    Reconnect {
        /// The new host.
        host: String,
        /// The new port.
        port: u16,
    },
    /// A message that means nothing here was ignored.
    Ignored(String),
}

/// What to ask a pool for.
#[derive(Debug, Clone, PartialEq)]
pub struct CustomChannel {
    /// Whom the shares are for.
    pub user_identity: String,
    /// Hashes a second.
    pub nominal_hash_rate: f32,
    /// Extranonce bytes needed at least.
    pub min_extranonce_size: u16,
}

impl CustomJob {
    /// `None` when a field is longer than the message has room for.
    pub(super) fn message(
        self,
        channel_id: u32,
        request_id: u32,
    ) -> Option<SetCustomMiningJobOwned> {
        let path: Vec<U256Owned> = self.merkle_path.into_iter().map(U256Owned::from).collect();
        Some(SetCustomMiningJobOwned {
            channel_id,
            request_id,
            token: self.token.try_into().ok()?,
            version: self.version,
            prev_hash: self.prev_hash.into(),
            min_ntime: self.min_ntime,
            nbits: self.n_bits,
            coinbase_tx_version: self.coinbase_tx_version,
            coinbase_prefix: self.coinbase_prefix.try_into().ok()?,
            coinbase_tx_input_n_sequence: self.coinbase_tx_input_sequence,
            coinbase_tx_outputs: self.coinbase_tx_outputs.try_into().ok()?,
            coinbase_tx_locktime: self.coinbase_tx_locktime,
            merkle_path: path.try_into().ok()?,
        })
    }
}
