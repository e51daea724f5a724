//! One channel as its client sees it: which job is mined, and which wait for their tip.

use std::collections::VecDeque;
use std::sync::Arc;

use stratum_core::mining_sv2::{
    NewExtendedMiningJob, NewMiningJob, OpenExtendedMiningChannelSuccess,
    OpenStandardMiningChannelSuccess, SetNewPrevHash,
};

use super::{ClientEvent, Out};
use crate::core::Now;
use crate::server::VERSION_ROLLING_MASK;
use crate::target::Target;

/// Future jobs kept; a server that sends more loses the oldest.
const MAX_FUTURES: usize = 32;
/// Jobs of one tip whose shares are still sent; no server is known to keep as many.
const MAX_VALID: usize = 32;

/// Everything needed to mine one job on one channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The channel.
    pub channel_id: u32,
    /// The job.
    pub job_id: u32,
    /// Header field, in header order.
    pub prev_hash: [u8; 32],
    /// Header field.
    pub n_bits: u32,
    /// The earliest time, and the one to start with; it may grow by one each second that passes
    /// after `received` (SV2 5.3.11).
    pub min_ntime: u32,
    /// Header field.
    pub version: u32,
    /// Which bits of the version may be changed.
    pub version_mask: u32,
    /// Where the merkle root comes from.
    pub merkle: MerkleSource,
    /// What a hash must not exceed to be a share.
    pub target: Target,
    /// When it was received.
    pub received: Now,
}

/// How to get a merkle root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MerkleSource {
    /// It is given: a standard job.
    Root([u8; 32]),
    /// From a coinbase with room for an extranonce: an extended job.
    Coinbase {
        /// Everything before the rollable extranonce, the server's prefix included.
        prefix: Vec<u8>,
        /// Everything after it.
        suffix: Vec<u8>,
        /// Siblings of the coinbase, deepest first.
        path: Vec<[u8; 32]>,
        /// Bytes between prefix and suffix: to be chosen freely, and sent with each share.
        extranonce_size: usize,
    },
}

/// A job without its tip.
#[derive(Debug, Clone)]
struct Job {
    id: u32,
    version: u32,
    version_rolling: bool,
    merkle: MerkleSource,
}

#[derive(Debug, Clone, Copy)]
struct Tip {
    prev_hash: [u8; 32],
    n_bits: u32,
    min_ntime: u32,
}

#[derive(Debug)]
pub(super) struct Channel {
    pub(super) id: u32,
    pub(super) group_id: u32,
    /// For jobs that become active later; the active one keeps its own (SV2 5.3.21).
    pub(super) target: Target,
    /// For jobs received later (SV2 5.3.10).
    pub(super) extranonce_prefix: Vec<u8>,
    /// `None` for standard channels.
    extranonce_size: Option<u16>,
    futures: Vec<Job>,
    tip: Option<Tip>,
    /// The jobs of this tip, the one that is mined last. A better job ends none before it, only the
    /// next SetNewPrevHash does (SV2 5.3.15, 5.3.17).
    valid: VecDeque<u32>,
    sequence_number: u32,
}

impl Channel {
    pub(super) fn standard(success: &OpenStandardMiningChannelSuccess<'_>) -> Self {
        Self {
            id: success.channel_id,
            group_id: success.group_channel_id,
            target: Target::from_le_bytes(*success.target.as_array()),
            extranonce_prefix: success.extranonce_prefix.as_bytes().to_vec(),
            extranonce_size: None,
            futures: Vec::new(),
            tip: None,
            valid: VecDeque::new(),
            sequence_number: 0,
        }
    }

    pub(super) fn extended(success: &OpenExtendedMiningChannelSuccess<'_>) -> Self {
        Self {
            id: success.channel_id,
            group_id: success.group_channel_id,
            target: Target::from_le_bytes(*success.target.as_array()),
            extranonce_prefix: success.extranonce_prefix.as_bytes().to_vec(),
            extranonce_size: Some(success.extranonce_size),
            futures: Vec::new(),
            tip: None,
            valid: VecDeque::new(),
            sequence_number: 0,
        }
    }

    /// Bytes of the whole extranonce.
    pub(super) fn extranonce_len(&self) -> usize {
        self.extranonce_prefix.len() + self.extranonce_size()
    }

    /// Bytes of it that are free to choose.
    pub(super) fn extranonce_size(&self) -> usize {
        self.extranonce_size.map_or(0, usize::from)
    }

    pub(super) fn is_standard(&self) -> bool {
        self.extranonce_size.is_none()
    }

    pub(super) fn is_valid(&self, job_id: u32) -> bool {
        self.valid.contains(&job_id)
    }

    pub(super) fn next_sequence_number(&mut self) -> u32 {
        let number = self.sequence_number;
        self.sequence_number = number.wrapping_add(1);
        number
    }

    pub(super) fn standard_job(
        &mut self,
        now: Now,
        message: &NewMiningJob<'_>,
        fixed_version: bool,
        out: &mut Out,
    ) {
        if !self.is_standard() {
            let what = format!(
                "standard job {} on extended channel {}",
                message.job_id, self.id
            );
            return out.event(ClientEvent::Ignored(what));
        }
        let job = Job {
            id: message.job_id,
            version: message.version,
            // SV2 5.1.1: a standard job always allows it.
            version_rolling: !fixed_version,
            merkle: MerkleSource::Root(*message.merkle_root.as_array()),
        };
        self.job(now, job, message.min_ntime.as_ref().copied(), out);
    }

    pub(super) fn extended_job(
        &mut self,
        now: Now,
        message: &NewExtendedMiningJob<'_>,
        fixed_version: bool,
        out: &mut Out,
    ) {
        let mut prefix = message.coinbase_tx_prefix.as_bytes().to_vec();
        prefix.extend_from_slice(&self.extranonce_prefix);
        let job = Job {
            id: message.job_id,
            version: message.version,
            version_rolling: message.version_rolling_allowed && !fixed_version,
            // A standard channel of a group mines it too, with nothing to add (T-11).
            merkle: MerkleSource::Coinbase {
                prefix,
                suffix: message.coinbase_tx_suffix.as_bytes().to_vec(),
                path: message
                    .merkle_path
                    .iter()
                    .map(|node| *node.as_array())
                    .collect(),
                extranonce_size: self.extranonce_size(),
            },
        };
        self.job(now, job, message.min_ntime.as_ref().copied(), out);
    }

    /// Without a time the job waits for its tip; with one it is mined at once (SV2 5.3.15).
    fn job(&mut self, now: Now, job: Job, min_ntime: Option<u32>, out: &mut Out) {
        match (min_ntime, self.tip) {
            (Some(min_ntime), Some(tip)) => {
                let min_ntime = min_ntime.max(tip.min_ntime);
                self.mine(now, &job, Tip { min_ntime, ..tip }, out);
            }
            (Some(_), None) => {
                let what = format!("job {} for the current tip before there is one", job.id);
                out.event(ClientEvent::Ignored(what));
            }
            (None, _) => {
                if self.futures.len() == MAX_FUTURES {
                    self.futures.remove(0);
                }
                self.futures.push(job);
            }
        }
    }

    /// SV2 5.3.17: the named job is mined at once, every other one is over.
    pub(super) fn prev_hash(&mut self, now: Now, message: &SetNewPrevHash<'_>, out: &mut Out) {
        let tip = Tip {
            prev_hash: *message.prev_hash.as_array(),
            n_bits: message.nbits,
            min_ntime: message.min_ntime,
        };
        self.tip = Some(tip);
        self.valid.clear();
        let futures = std::mem::take(&mut self.futures);
        match futures.into_iter().find(|job| job.id == message.job_id) {
            Some(job) => self.mine(now, &job, tip, out),
            // Old work is worth nothing; new work will come (DEV-28).
            None => out.event(ClientEvent::Rest {
                channel_id: self.id,
            }),
        }
    }

    fn mine(&mut self, now: Now, job: &Job, tip: Tip, out: &mut Out) {
        if self.valid.len() == MAX_VALID {
            self.valid.pop_front();
        }
        self.valid.push_back(job.id);
        out.event(ClientEvent::Mine(Arc::new(Assignment {
            channel_id: self.id,
            job_id: job.id,
            prev_hash: tip.prev_hash,
            n_bits: tip.n_bits,
            min_ntime: tip.min_ntime,
            version: job.version,
            version_mask: if job.version_rolling {
                VERSION_ROLLING_MASK
            } else {
                0
            },
            merkle: job.merkle.clone(),
            target: self.target,
            received: now,
        })));
    }
}
