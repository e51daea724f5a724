//! The jobs one miner has, and the verdict on its shares.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use protocol::client::FoundShare;
use protocol::coinbase::{Header, merkle_root};
use protocol::sha256d::Midstate;
use protocol::target::Target;
use sv1::{Rejection, Submit, version};

use crate::work::Work;

/// How far a block's time may lie ahead of the clock (consensus rule).
const MAX_FUTURE_NTIME: u64 = 7200;

/// Shares of one tip that are told apart. Far above what any share rate that is worth serving reaches
/// within one block.
const MAX_SEEN: usize = 1 << 20;

/// A job as one miner has it.
#[derive(Debug)]
struct Job {
    work: Arc<Work>,
    /// The same work may have been given several times, each with a later time.
    repeat: u32,
    /// The miner's when it got the job (PROXY-18).
    target: Target,
    ntime: u32,
    /// Made with the first share.
    midstate: Option<Box<Midstate>>,
}

/// A good share.
#[derive(Debug)]
pub struct Accepted {
    /// Its job.
    pub work: Arc<Work>,
    /// As it goes to the upstream.
    pub share: FoundShare,
    /// Hashes it takes on average to find one.
    pub hashes: f64,
    /// Whether the upstream takes it: its own target is met, or the network's.
    pub is_wanted: bool,
    /// Whether it is a block.
    pub is_block: bool,
}

/// What a miner's share is judged by, beside its job.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms<'a> {
    pub(super) extranonce1: &'a [u8],
    pub(super) extranonce2_size: usize,
    /// Bits of the version that the miner may change.
    pub(super) mask: u32,
    /// Seconds since 1970.
    pub(super) unix: u64,
}

/// The jobs one miner can submit shares for, newest last.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    jobs: VecDeque<Job>,
    /// Accepted hashes on this tip, by eight of their low bytes.
    seen: HashSet<u64>,
    tip: [u8; 32],
}

impl Jobs {
    pub(super) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// All are over.
    pub(super) fn clear(&mut self) {
        self.jobs = VecDeque::new();
    }

    /// The miner gets a job, the `repeat`th time, beginning at `ntime`.
    pub(super) fn push(
        &mut self,
        work: &Arc<Work>,
        (repeat, ntime): (u32, u32),
        target: Target,
        max: usize,
    ) {
        if self.tip != work.notify.prev_hash {
            self.tip = work.notify.prev_hash;
            self.seen = HashSet::new();
        }
        if self.jobs.len() >= max {
            self.jobs.pop_front();
        }
        self.jobs.push_back(Job {
            work: Arc::clone(work),
            repeat,
            target,
            ntime,
            midstate: None,
        });
    }

    /// Whether so many shares were seen on this tip that duplicates can no longer be told.
    pub(super) fn is_exhausted(&self) -> bool {
        self.seen.len() >= MAX_SEEN
    }

    /// Judges a share.
    pub(super) fn judge(
        &mut self,
        submit: &Submit<'_>,
        worker: &Arc<str>,
        terms: Terms<'_>,
    ) -> Result<Accepted, Rejection> {
        let job = find(&mut self.jobs, &submit.job_id).ok_or_else(Rejection::stale)?;
        let (extranonce1, size) = (terms.extranonce1, terms.extranonce2_size);
        if submit.extranonce2.len() != size {
            let what = format!("extranonce2: expected {size} bytes");
            return Err(Rejection::other(what));
        }
        let version = job.version(submit.version_bits, terms.mask)?;
        let latest = terms.unix.max(u64::from(job.ntime)) + MAX_FUTURE_NTIME;
        if submit.ntime < job.work.notify.ntime || u64::from(submit.ntime) > latest {
            return Err(Rejection::other("ntime out of range"));
        }
        let root = job.merkle_root(extranonce1, &submit.extranonce2);
        let notify = &job.work.notify;
        let hash = Header {
            version,
            prev_hash: &notify.prev_hash,
            merkle_root: &root,
            ntime: submit.ntime,
            n_bits: notify.n_bits,
            nonce: submit.nonce,
        }
        .hash();
        let reached = Target::from_le_bytes(hash);
        let is_block = reached <= job.work.network_target;
        if reached > job.target && !is_block {
            return Err(Rejection::low_difficulty());
        }
        let low = u64::from_le_bytes(hash[..8].try_into().expect("a hash has 32 bytes"));
        if !self.seen.insert(low) {
            return Err(Rejection::duplicate());
        }
        let work = Arc::clone(&job.work);
        Ok(Accepted {
            share: FoundShare {
                channel_id: work.origin.channel_id,
                job_id: work.origin.job_id,
                nonce: submit.nonce,
                ntime: submit.ntime,
                version,
                extranonce: work.to_upstream(extranonce1, &submit.extranonce2),
                hash,
                worker: Some(Arc::clone(worker)),
                origin: 0,
            },
            hashes: job.target.hashes(),
            is_wanted: is_block || reached <= work.target,
            is_block,
            work,
        })
    }
}

impl Job {
    /// The header's version (PROXY-20).
    fn version(&self, bits: Option<u32>, mask: u32) -> Result<u32, Rejection> {
        let job = self.work.notify.version;
        let Some(bits) = bits else {
            return Ok(job);
        };
        // Some firmware sends the whole version.
        let forbidden = version::forbidden(mask, bits);
        if forbidden != 0 && forbidden != job & !mask {
            return Err(Rejection::other("version bits outside the mask"));
        }
        Ok(version::rolled(job, mask, bits))
    }

    fn merkle_root(&mut self, extranonce1: &[u8], extranonce2: &[u8]) -> [u8; 32] {
        let notify = &self.work.notify;
        let midstate = self.midstate.get_or_insert_with(|| {
            let start = [&notify.coinb1[..], extranonce1];
            let midstate = Midstate::new(&start, extranonce2.len(), &notify.coinb2);
            Box::new(midstate)
        });
        merkle_root(midstate.sha256d(extranonce2), &notify.merkle_path)
    }
}

/// What miners call a job.
pub(super) fn name(work: &Work, repeat: u32) -> String {
    match repeat {
        0 => work.notify.job_id.clone(),
        repeat => format!("{}#{repeat}", work.notify.job_id),
    }
}

fn find<'a>(jobs: &'a mut VecDeque<Job>, name: &str) -> Option<&'a mut Job> {
    let (id, repeat) = match name.split_once('#') {
        Some((id, repeat)) => (id, repeat.parse().ok()?),
        None => (name, 0),
    };
    let mut jobs = jobs.iter_mut().rev();
    jobs.find(|job| job.repeat == repeat && job.work.notify.job_id == id)
}
