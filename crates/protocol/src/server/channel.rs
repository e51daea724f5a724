//! One mining channel as its server sees it: target, jobs, and the judgement of shares.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use crate::error_code::{self, ErrorCode};
use crate::target::Target;
use crate::vardiff::Vardiff;
use crate::work::PrevHash;

use super::acknowledgement::Batch;
use super::draft::Draft;
use super::extranonce::Extranonce;
use super::job::{ChannelJob, JobState};
use super::verdict::{Share, Verdict};
use super::worker::Workers;

/// The version bits a miner may change freely (BIP-0323).
pub const VERSION_ROLLING_MASK: u32 = 0x1fff_ffe0;

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

/// A channel.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) id: u32,
    pub(super) kind: ChannelKind,
    /// Decides whom its blocks pay.
    pub(super) group_id: u32,
    pub(super) user_identity: String,
    /// Tells the connection's channels apart.
    pub(super) index: u16,
    /// For jobs from now on; for standard channels the whole extranonce.
    pub(super) extranonce_prefix: Extranonce,
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
        (index, extranonce_prefix): (u16, Extranonce),
        max_jobs: usize,
    ) -> Self {
        Self {
            id,
            kind,
            group_id: 0,
            user_identity,
            index,
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

    /// A job that the client chose, mined at once. Those for another tip end with it.
    pub(super) fn add_custom(&mut self, id: u32, draft: &Draft, prev_hash: &Arc<PrevHash>) {
        if self.tip != Some(prev_hash.prev_hash) {
            self.end_jobs();
            // What was found stays found for ever: the client may come back to the tip it left.
            self.tip = Some(prev_hash.prev_hash);
        }
        let state = self.activation(prev_hash, prev_hash.header_timestamp);
        self.push_active(id, draft, state);
    }

    /// No job is valid any more.
    pub(super) fn end_jobs(&mut self) {
        for job in std::mem::take(&mut self.jobs) {
            self.remember_stale(job.id);
        }
    }

    /// The tip its jobs are for, if it has any.
    pub(super) fn mined_tip(&self) -> Option<[u8; 32]> {
        self.tip.filter(|_| !self.jobs.is_empty())
    }

    fn push_active(&mut self, id: u32, draft: &Draft, state: JobState) {
        let job = self.job(id, draft, state);
        self.jobs.push(job);
        if self.jobs.iter().filter(|job| job.is_active()).count() > self.max_jobs {
            let oldest = self.jobs.iter().position(ChannelJob::is_active);
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
            // A busy channel will need as much again; one that was busy long ago gives it back.
            let needed = self.seen.len();
            self.seen.clear();
            self.seen.shrink_to(needed);
        }
        self.repeats = 0;
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
        let Some(job) = self.jobs.iter().find(|job| job.id == share.job_id) else {
            return Err(if self.stale.contains(&share.job_id) {
                error_code::STALE_SHARE
            } else {
                error_code::INVALID_JOB_ID
            });
        };
        if let ChannelKind::Extended { extranonce_size } = self.kind
            && share.extranonce.len() != usize::from(extranonce_size)
        {
            return Err(error_code::BAD_EXTRANONCE_SIZE);
        }
        let reached = job.hash(share, unix)?;
        let low = u64::from_le_bytes(reached.hash[..8].try_into().expect("a hash has 32 bytes"));
        if !self.seen.insert(low) {
            return Err(error_code::DUPLICATE_SHARE);
        }
        Ok(job.verdict(share, reached))
    }

    fn job(&self, id: u32, draft: &Draft, state: JobState) -> ChannelJob {
        ChannelJob::new(id, draft, self.kind, self.extranonce_prefix, state)
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
