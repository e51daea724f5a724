//! One mining channel as its server sees it: target, jobs, and the judgement of shares.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use crate::coinbase::{Coinbase, CoinbaseHasher, Header, merkle_root};
use crate::error_code::{self, ErrorCode};
use crate::target::Target;
use crate::vardiff::Vardiff;
use crate::work::PrevHash;

use super::acknowledgement::Batch;
use super::group::Draft;
use super::worker::Workers;

/// The version bits a miner may change freely (BIP-0323).
pub const VERSION_ROLLING_MASK: u32 = 0x1fff_ffe0;

/// How far a block's time may lie ahead of the clock (consensus rule, SV2 5.1).
const MAX_FUTURE_NTIME: u64 = 7200;

/// Ids of jobs that are no longer valid, kept to tell a late share from a wrong one.
const REMEMBERED_STALE_JOBS: usize = 64;

/// Shares remembered per channel and tip to find duplicates. Far above what any share rate that
/// is worth serving reaches within one block; a channel that gets there is closed.
const MAX_SEEN: usize = 1 << 22;

/// The two kinds of channel (SV2 5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelKind {
    /// The miner changes header fields only.
    Standard,
    /// The miner also changes the last bytes of the extranonce, this many.
    Extended {
        /// Bytes the miner sends with each share.
        extranonce_size: u16,
    },
}

/// A job as one channel mines it.
#[derive(Debug)]
struct ChannelJob {
    id: u32,
    draft: Draft,
    hashing: Hashing,
    state: JobState,
}

#[derive(Debug)]
enum JobState {
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
    Coinbase(CoinbaseHasher),
}

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

/// A share that was accepted.
#[derive(Debug, Clone, PartialEq)]
pub struct Accepted {
    /// The block hash, in header order.
    pub hash: [u8; 32],
    /// What the share is worth: hashes it takes on average to find one.
    pub hashes: f64,
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

/// What a share turned out to be. A block may well miss the channel's target: on regtest most do.
#[derive(Debug)]
pub struct Verdict {
    /// For the miner.
    pub share: Result<Accepted, ErrorCode>,
    /// For the node.
    pub block: Option<Solution>,
}

/// A channel.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) id: u32,
    pub(super) kind: ChannelKind,
    /// Decides whom its blocks pay.
    pub(super) group_id: u32,
    pub(super) user_identity: String,
    /// For standard channels the whole extranonce.
    pub(super) extranonce_prefix: Vec<u8>,
    pub(super) max_target: Target,
    pub(super) target: Target,
    /// Hashes a second, as the client said last.
    pub(super) declared: f32,
    pub(super) vardiff: Option<Vardiff>,
    pub(super) batch: Batch,
    pub(super) workers: Workers,
    /// Jobs on this tip that repeat a template for the sake of a new target.
    repeats: u32,
    jobs: Vec<ChannelJob>,
    stale: VecDeque<u32>,
    /// Accepted hashes on this tip, by eight of their low bytes.
    seen: HashSet<u64>,
    /// The previous block of the jobs that `seen` is about.
    tip: Option<[u8; 32]>,
    max_jobs: usize,
}

impl Channel {
    pub(super) fn new(
        id: u32,
        kind: ChannelKind,
        user_identity: String,
        extranonce_prefix: Vec<u8>,
        max_jobs: usize,
    ) -> Self {
        Self {
            id,
            kind,
            group_id: 0,
            user_identity,
            extranonce_prefix,
            max_target: Target::MAX,
            target: Target::MAX,
            declared: 0.0,
            vardiff: None,
            repeats: 0,
            batch: Batch::default(),
            workers: Workers::default(),
            jobs: Vec::new(),
            stale: VecDeque::new(),
            seen: HashSet::new(),
            tip: None,
            max_jobs,
        }
    }

    /// Announces a job for a tip that is not there yet.
    pub(super) fn add_future(&mut self, id: u32, draft: &Draft) {
        let job = self.job(id, draft, JobState::Future);
        self.jobs.push(job);
    }

    /// Announces a job that is mined at once; the ones on the same tip stay valid.
    pub(super) fn add_active(&mut self, id: u32, draft: &Draft, prev_hash: &Arc<PrevHash>) {
        let state = self.activation(prev_hash, prev_hash.header_timestamp);
        self.push_active(id, draft, state);
    }

    /// Announces a job that differs from one before in its target only, and so must begin at a
    /// time that no earlier one can have reached: the miner would find the same shares again.
    /// It may count one up each second (SV2 5.3.11), of which `elapsed` have passed on this tip.
    /// Returns that time.
    pub(super) fn add_repeated(
        &mut self,
        id: u32,
        draft: &Draft,
        prev_hash: &Arc<PrevHash>,
        elapsed: u32,
    ) -> u32 {
        self.repeats += 1;
        let ahead = elapsed.saturating_add(2 * self.repeats);
        let min_ntime = prev_hash.header_timestamp.saturating_add(ahead);
        let state = self.activation(prev_hash, min_ntime);
        self.push_active(id, draft, state);
        min_ntime
    }

    fn push_active(&mut self, id: u32, draft: &Draft, state: JobState) {
        let job = self.job(id, draft, state);
        self.jobs.push(job);
        let active = |job: &ChannelJob| matches!(job.state, JobState::Active { .. });
        if self.jobs.iter().filter(|job| active(job)).count() > self.max_jobs {
            let oldest = self.jobs.iter().position(active);
            if let Some(oldest) = oldest {
                let id = self.jobs.remove(oldest).id;
                self.remember_stale(id);
            }
        }
    }

    /// The tip changed: job `id` is the only valid one from now on (SV2 5.3.17).
    pub(super) fn activate(&mut self, id: u32, prev_hash: &Arc<PrevHash>) {
        let mut jobs = std::mem::take(&mut self.jobs);
        if let Some(at) = jobs.iter().position(|job| job.id == id) {
            let mut job = jobs.swap_remove(at);
            job.state = self.activation(prev_hash, prev_hash.header_timestamp);
            self.jobs.push(job);
        }
        jobs.sort_by_key(|job| job.id);
        for job in jobs {
            self.remember_stale(job.id);
        }
        // A provider that comes back sends the tip it sent before; what was found on it stays found.
        if self.tip != Some(prev_hash.prev_hash) {
            self.tip = Some(prev_hash.prev_hash);
            self.seen.clear();
        }
        self.repeats = 0;
    }

    /// The merkle root of a standard job, for NewMiningJob.
    pub(super) fn merkle_root(&self, draft: &Draft) -> [u8; 32] {
        let hasher = CoinbaseHasher::new(Arc::clone(&draft.coinbase), &self.extranonce_prefix);
        merkle_root(hasher.txid(&[]), &draft.template.merkle_path)
    }

    /// Whether so many shares were seen on this tip that duplicates can no longer be told.
    pub(super) fn is_exhausted(&self) -> bool {
        self.seen.len() >= MAX_SEEN
    }

    /// Judges a share. `unix` is the time in seconds.
    pub(super) fn judge(&mut self, share: Share<'_>, unix: u64) -> Verdict {
        match self.check(share, unix) {
            Ok(verdict) => verdict,
            Err(code) => Verdict {
                share: Err(code),
                block: None,
            },
        }
    }

    fn check(&mut self, share: Share<'_>, unix: u64) -> Result<Verdict, ErrorCode> {
        let job = self.find(share.job_id)?;
        let JobState::Active {
            prev_hash,
            min_ntime,
            target,
        } = &job.state
        else {
            return Err(error_code::INVALID_JOB_ID);
        };
        if let ChannelKind::Extended { extranonce_size } = self.kind
            && share.extranonce.len() != usize::from(extranonce_size)
        {
            return Err(error_code::BAD_EXTRANONCE_SIZE);
        }
        if (share.version ^ job.draft.template.version) & !VERSION_ROLLING_MASK != 0 {
            return Err(error_code::INVALID_NON_ROLLABLE_VERSION_BIT);
        }
        // On regtest many blocks within a second push the chain's time ahead of the clock (T-26).
        let latest = unix.max(u64::from(*min_ntime)) + MAX_FUTURE_NTIME;
        if share.ntime < *min_ntime || u64::from(share.ntime) > latest {
            return Err(error_code::INVALID_SHARE);
        }
        let root = match &job.hashing {
            Hashing::Root(root) => *root,
            Hashing::Coinbase(hasher) => merkle_root(
                hasher.txid(share.extranonce),
                &job.draft.template.merkle_path,
            ),
        };
        let hash = Header {
            version: share.version,
            prev_hash: &prev_hash.prev_hash,
            merkle_root: &root,
            ntime: share.ntime,
            n_bits: prev_hash.n_bits,
            nonce: share.nonce,
        }
        .hash();
        let reached = Target::from_le_bytes(hash);
        let (is_share, is_block) = (reached <= *target, reached <= prev_hash.target);
        if !is_share && !is_block {
            return Err(error_code::DIFFICULTY_TOO_LOW);
        }
        let accepted = Accepted {
            hash,
            hashes: target.hashes(),
        };
        let block = is_block.then(|| Solution {
            session: job.draft.template.session,
            template_id: job.draft.template.id,
            version: share.version,
            ntime: share.ntime,
            nonce: share.nonce,
            coinbase: self.full_coinbase(&job.draft.coinbase, share.extranonce),
            hash,
            height: job.draft.template.height(),
        });
        let low = u64::from_le_bytes(hash[..8].try_into().expect("a hash has 32 bytes"));
        if !self.seen.insert(low) {
            return Err(error_code::DUPLICATE_SHARE);
        }
        Ok(Verdict {
            share: if is_share {
                Ok(accepted)
            } else {
                Err(error_code::DIFFICULTY_TOO_LOW)
            },
            block,
        })
    }

    fn full_coinbase(&self, coinbase: &Coinbase, extranonce: &[u8]) -> Vec<u8> {
        coinbase.full(&[&self.extranonce_prefix, extranonce])
    }

    fn find(&self, id: u32) -> Result<&ChannelJob, ErrorCode> {
        self.jobs.iter().find(|job| job.id == id).ok_or_else(|| {
            if self.stale.contains(&id) {
                error_code::STALE_SHARE
            } else {
                error_code::INVALID_JOB_ID
            }
        })
    }

    fn job(&self, id: u32, draft: &Draft, state: JobState) -> ChannelJob {
        let hashing = match self.kind {
            ChannelKind::Standard => Hashing::Root(self.merkle_root(draft)),
            ChannelKind::Extended { .. } => Hashing::Coinbase(CoinbaseHasher::new(
                Arc::clone(&draft.coinbase),
                &self.extranonce_prefix,
            )),
        };
        ChannelJob {
            id,
            draft: draft.clone(),
            hashing,
            state,
        }
    }

    /// The target is pinned here: a later SetTarget does not touch active jobs (SV2 5.3.21).
    fn activation(&self, prev_hash: &Arc<PrevHash>, min_ntime: u32) -> JobState {
        JobState::Active {
            prev_hash: Arc::clone(prev_hash),
            min_ntime,
            target: self.target,
        }
    }

    fn remember_stale(&mut self, id: u32) {
        if self.stale.len() == REMEMBERED_STALE_JOBS {
            self.stale.pop_front();
        }
        self.stale.push_back(id);
    }
}
