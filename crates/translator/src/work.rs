//! A job as miners get it.

use std::sync::Arc;
use std::time::Instant;

use protocol::client::{Assignment, MerkleSource};
use protocol::target::Target;
use sv1::{Extranonce, Notice, Notify};

/// Bytes that tell miners apart, in front of what they choose themselves. They are ours, whatever
/// the upstream: its own part of the extranonce stands in the first half of the coinbase.
pub const LOCAL_EXTRANONCE: usize = 4;

/// Where a job comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// Whose it is, by its place in the configuration.
    pub upstream: usize,
    /// Which of the connections to it.
    pub session: u64,
    /// The upstream's id of the channel.
    pub channel_id: u32,
    /// The upstream's id of the job.
    pub job_id: u32,
}

/// A job, shared by all miners that get the same bytes.
#[derive(Debug)]
pub struct Work {
    /// Ours: unique for as long as the program runs.
    pub id: u32,
    /// Whose it is.
    pub origin: Origin,
    /// What miners are told.
    pub notify: Notify,
    /// The same as the line they get.
    pub line: Vec<u8>,
    /// Which bits of the version they may change.
    pub version_mask: u32,
    /// What the upstream takes.
    pub target: Target,
    /// The same as a difficulty, which is dear to compute.
    pub difficulty: f64,
    /// What is a block.
    pub network_target: Target,
    /// Bytes an extranonce on its way to the upstream begins with, in front of the miner's.
    padding: Extranonce,
    /// When it came; its time may have grown by one for each second since (SV2 5.3.11).
    pub received: Instant,
}

impl Work {
    /// For miners that choose `extranonce2_size` bytes. `clean` says that all jobs before it are
    /// over. `None` when the upstream leaves too few bytes, or sent a job that nobody can mine.
    pub fn new(
        id: u32,
        origin: Origin,
        assignment: &Assignment,
        extranonce2_size: usize,
        clean: bool,
    ) -> Option<Self> {
        let MerkleSource::Coinbase {
            prefix,
            suffix,
            path,
            extranonce_size,
        } = &assignment.merkle
        else {
            return None;
        };
        let spare = extranonce_size.checked_sub(LOCAL_EXTRANONCE + extranonce2_size)?;
        let padding = Extranonce::new(&vec![0; spare])?;
        // PROXY-17: what is hashed has no witness.
        let (mut coinb1, coinb2) = sv1::coinbase::stripped(prefix, *extranonce_size, suffix)
            .unwrap_or_else(|| (prefix.clone(), suffix.clone()));
        coinb1.extend_from_slice(&padding);
        let notify = Notify {
            job_id: format!("{id:x}"),
            prev_hash: assignment.prev_hash,
            coinb1,
            coinb2,
            merkle_path: path.clone(),
            version: assignment.version,
            n_bits: assignment.n_bits,
            ntime: assignment.min_ntime,
            clean_jobs: clean,
        };
        let notice = Notice::Notify(notify);
        let line = notice.line();
        let Notice::Notify(notify) = notice else {
            return None;
        };
        Some(Self {
            id,
            origin,
            notify,
            line,
            version_mask: assignment.version_mask,
            target: assignment.target,
            difficulty: sv1::difficulty::of(assignment.target),
            network_target: Target::from_compact(assignment.n_bits),
            padding,
            received: assignment.received.instant,
        })
    }

    /// What the upstream gets as extranonce of a share: exactly as long as its channel asks for.
    pub fn to_upstream(&self, extranonce1: &[u8], extranonce2: &[u8]) -> Vec<u8> {
        [&*self.padding, extranonce1, extranonce2].concat()
    }

    /// Whether a miner that has had `earlier` must drop it.
    pub fn replaces(&self, earlier: &Self) -> bool {
        let source = |work: &Self| (work.origin.upstream, work.origin.session);
        self.notify.prev_hash != earlier.notify.prev_hash || source(self) != source(earlier)
    }
}

/// What miners have to do now: `None` while no upstream gives any.
pub type CurrentWork = Option<Arc<Work>>;
