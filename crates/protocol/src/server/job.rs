//! A job as one channel mines it, and the judgement of a share's header.

use std::sync::Arc;

use super::channel::{ChannelKind, VERSION_ROLLING_MASK};
use super::draft::Draft;
use super::extranonce::Extranonce;
use super::verdict::{Accepted, Block, CustomBlock, JobSource, Share, Solution, Verdict};
use crate::coinbase::{Header, merkle_root};
use crate::error_code::{self, ErrorCode};
use crate::sha256d::{self, Midstate};
use crate::target::Target;
use crate::work::PrevHash;

/// How far a block's time may lie ahead of the clock (consensus rule, SV2 5.1).
pub(super) const MAX_FUTURE_NTIME: u64 = 7200;

/// A job as one channel mines it.
#[derive(Debug)]
pub(super) struct ChannelJob {
    pub(super) id: u32,
    draft: Draft,
    /// The channel's when the job was sent (SV2 5.3.10).
    extranonce_prefix: Extranonce,
    hashing: Hashing,
    pub(super) state: JobState,
}

#[derive(Debug)]
pub(super) enum JobState {
    /// Announced without a tip. Its target is that of its activation (SV2 5.3.21).
    Future,
    /// Being mined.
    Active {
        prev_hash: Arc<PrevHash>,
        min_ntime: u32,
        target: Target,
    },
}

/// How a share becomes a merkle root.
#[derive(Debug)]
enum Hashing {
    /// It is known: standard channels have nothing to add.
    Root([u8; 32]),
    /// By the extranonce in the share.
    Coinbase(Midstate),
}

/// How good a share's hash is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reached {
    /// In header order.
    pub(super) hash: [u8; 32],
    /// What it takes to meet the job's target, if it does.
    share: Option<f64>,
    is_block: bool,
}

impl ChannelJob {
    pub(super) fn new(
        id: u32,
        draft: &Draft,
        kind: ChannelKind,
        extranonce_prefix: Extranonce,
        state: JobState,
    ) -> Self {
        let prefix = extranonce_prefix.as_bytes();
        let hashing = match kind {
            ChannelKind::Standard => Hashing::Root(draft.merkle_root(prefix)),
            ChannelKind::Extended { extranonce_size } => {
                Hashing::Coinbase(draft.midstate(prefix, usize::from(extranonce_size)))
            }
        };
        Self {
            id,
            draft: draft.clone(),
            extranonce_prefix,
            hashing,
            state,
        }
    }

    pub(super) fn is_active(&self) -> bool {
        matches!(self.state, JobState::Active { .. })
    }

    /// Builds the header and looks at its hash. `unix` is the time in seconds.
    pub(super) fn hash(&self, share: Share<'_>, unix: u64) -> Result<Reached, ErrorCode> {
        let JobState::Active {
            prev_hash,
            min_ntime,
            target,
        } = &self.state
        else {
            return Err(error_code::INVALID_JOB_ID);
        };
        if (share.version ^ self.draft.version()) & !VERSION_ROLLING_MASK != 0 {
            return Err(error_code::INVALID_NON_ROLLABLE_VERSION_BIT);
        }
        // On regtest many blocks within a second push the chain's time ahead of the clock (T-26).
        let latest = unix.max(u64::from(*min_ntime)) + MAX_FUTURE_NTIME;
        if share.ntime < *min_ntime || u64::from(share.ntime) > latest {
            return Err(error_code::INVALID_SHARE);
        }
        let hash = sha256d::header(&self.header(share, prev_hash));
        let reached = Target::from_le_bytes(hash);
        let (is_share, is_block) = (reached <= *target, reached <= prev_hash.target);
        if !is_share && !is_block {
            return Err(error_code::DIFFICULTY_TOO_LOW);
        }
        Ok(Reached {
            hash,
            share: is_share.then(|| target.hashes()),
            is_block,
        })
    }

    fn header(&self, share: Share<'_>, prev_hash: &PrevHash) -> [u8; 80] {
        let root = match &self.hashing {
            Hashing::Root(root) => *root,
            Hashing::Coinbase(midstate) => {
                let txid = midstate.sha256d(share.extranonce);
                merkle_root(txid, self.draft.merkle_path())
            }
        };
        let header = Header {
            version: share.version,
            prev_hash: &prev_hash.prev_hash,
            merkle_root: &root,
            ntime: share.ntime,
            n_bits: prev_hash.n_bits,
            nonce: share.nonce,
        };
        header.to_bytes()
    }

    /// What follows from a hash that no earlier share had.
    pub(super) fn verdict(&self, share: Share<'_>, reached: Reached) -> Verdict {
        let Reached {
            hash,
            share: worth,
            is_block,
        } = reached;
        let accepted = worth.map(|hashes| Accepted {
            hash,
            hashes,
            is_block,
            source: self.draft.source(),
            nonce: share.nonce,
            ntime: share.ntime,
            version: share.version,
            extranonce: self.extranonce_prefix.with(share.extranonce),
        });
        Verdict {
            share: accepted.ok_or(error_code::DIFFICULTY_TOO_LOW),
            block: is_block.then(|| self.block(share, hash)).flatten(),
        }
    }

    /// `None` for a job that is not mined, which has no shares.
    fn block(&self, share: Share<'_>, hash: [u8; 32]) -> Option<Block> {
        let JobState::Active { prev_hash, .. } = &self.state else {
            return None;
        };
        let extranonce = [self.extranonce_prefix.as_bytes(), share.extranonce];
        let coinbase = self.draft.coinbase.full(&extranonce);
        let height = self.draft.height();
        Some(match self.draft.source() {
            JobSource::Template { session, id } => Block::Ours(Solution {
                session,
                template_id: id,
                version: share.version,
                ntime: share.ntime,
                nonce: share.nonce,
                coinbase,
                hash,
                height,
            }),
            JobSource::Custom { token } => Block::Custom(CustomBlock {
                token,
                header: self.header(share, prev_hash),
                coinbase,
                hash,
                height,
            }),
        })
    }
}
