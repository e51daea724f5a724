//! A declared job: what a solution is tried on.

use std::sync::Arc;

use protocol::coinbase::{Header, merkle_root};
use protocol::message::declaration::PushSolution;
use protocol::server::VERSION_ROLLING_MASK;
use protocol::target::Target;

use super::{DeclaredCoinbase, Tip};
use crate::block::Block;
use crate::transaction::Transaction;

/// A job for which a DeclareMiningJob.Success was sent. What is not the client's own is shared with
/// the mempool, and what was provided for it, or was in its block already, stays with it.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) number: u64,
    pub(super) version: u32,
    pub(super) tip: Tip,
    pub(super) coinbase: DeclaredCoinbase,
    pub(super) merkle_path: Vec<[u8; 32]>,
    pub(super) transactions: Arc<[Arc<Transaction>]>,
}

/// Why a solution is none of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotOfJob {
    #[error("it builds on another block than the declared job")]
    PrevHash,
    #[error("version {found:#010x} differs from {declared:#010x} where it must not (BIP-0323)")]
    Version { found: u32, declared: u32 },
    #[error("an extranonce of {found} bytes, where the declared coinbase leaves {left}")]
    Extranonce { found: usize, left: usize },
    #[error("nBits {found:#010x}, where the next block has {next:#010x}")]
    Bits { found: u32, next: u32 },
    #[error("its hash is above the target")]
    AboveTarget,
}

impl Job {
    /// The block that `solution` makes of this job.
    pub(super) fn solve(&self, solution: &PushSolution<'_>) -> Result<Block, NotOfJob> {
        let prev_hash = solution.prev_hash.as_array();
        if *prev_hash != self.tip.hash {
            return Err(NotOfJob::PrevHash);
        }
        let (found, declared) = (solution.version, self.version);
        if (found ^ declared) & !VERSION_ROLLING_MASK != 0 {
            return Err(NotOfJob::Version { found, declared });
        }
        let extranonce = solution.extranonce.as_bytes();
        let (found, left) = (extranonce.len(), self.coinbase.extranonce_len());
        if found != left {
            return Err(NotOfJob::Extranonce { found, left });
        }
        // Otherwise an easy target of the client's own choice could keep the node busy.
        let (found, next) = (solution.nbits, self.tip.n_bits);
        if found != next {
            return Err(NotOfJob::Bits { found, next });
        }
        let header = Header {
            version: solution.version,
            prev_hash,
            merkle_root: &merkle_root(self.coinbase.txid(extranonce), &self.merkle_path),
            ntime: solution.ntime,
            n_bits: solution.nbits,
            nonce: solution.nonce,
        };
        if Target::from_le_bytes(header.hash()) > Target::from_compact(next) {
            return Err(NotOfJob::AboveTarget);
        }
        let transactions = Arc::clone(&self.transactions);
        Ok(Block::new(
            header,
            self.coinbase.full(extranonce),
            transactions,
        ))
    }
}
