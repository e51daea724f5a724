//! What was made of the shares of a channel, a client or a worker.

use std::ops::AddAssign;

use daemon::number::{Count, Real};
use daemon::rate::{HashRate, Rates};
use protocol::error_code::{self, ErrorCode};
use protocol::target::Target;

/// Why shares are rejected. The last one stands for those that are not in the list.
pub(crate) const REASONS: [ErrorCode; 10] = [
    error_code::INVALID_CHANNEL_ID,
    error_code::INVALID_JOB_ID,
    error_code::STALE_SHARE,
    error_code::BAD_EXTRANONCE_SIZE,
    error_code::INVALID_NON_ROLLABLE_VERSION_BIT,
    error_code::INVALID_SHARE,
    error_code::DIFFICULTY_TOO_LOW,
    error_code::DUPLICATE_SHARE,
    error_code::INVALID_USER_IDENTITY,
    "other",
];

/// Written by the one task that judges the shares.
#[derive(Debug)]
pub(crate) struct Shares {
    /// Since when they are counted, in milliseconds since 1970.
    pub(crate) since_ms: u64,
    accepted: Count,
    hashes: Real,
    rejected: [Count; REASONS.len()],
    blocks: Count,
    best: Real,
    last_ms: Count,
    rate: HashRate,
}

/// What can be put together of [`Shares`].
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Sums {
    pub(crate) accepted: u64,
    /// That the accepted ones took on average.
    pub(crate) hashes: f64,
    /// In the order of [`REASONS`].
    pub(crate) rejected: [u64; REASONS.len()],
    pub(crate) blocks: u64,
    /// The difficulty of the best share that was accepted.
    pub(crate) best: f64,
    /// When the last share was judged, in milliseconds since 1970; 0 for never.
    pub(crate) last_ms: u64,
}

impl Shares {
    pub(super) fn since(since_ms: u64) -> Self {
        Self {
            since_ms,
            accepted: Count::default(),
            hashes: Real::default(),
            rejected: Default::default(),
            blocks: Count::default(),
            best: Real::default(),
            last_ms: Count::default(),
            rate: HashRate::default(),
        }
    }

    /// A share with this hash, in header order, of a kind that takes `hashes` on average.
    pub(super) fn accept(&self, now_ms: u64, hash: [u8; 32], hashes: f64) {
        self.accepted.add(1);
        self.hashes.add(hashes);
        let difficulty = Target::from_le_bytes(hash).difficulty();
        if difficulty > self.best.get() {
            self.best.set(difficulty);
        }
        self.rate.add(now_ms, hashes);
        self.last_ms.set(now_ms);
    }

    pub(super) fn reject(&self, now_ms: u64, code: ErrorCode) {
        let known = REASONS.iter().position(|reason| *reason == code);
        self.rejected[known.unwrap_or(REASONS.len() - 1)].add(1);
        self.last_ms.set(now_ms);
    }

    pub(super) fn find_block(&self) {
        self.blocks.add(1);
    }

    pub(crate) fn sums(&self) -> Sums {
        Sums {
            accepted: self.accepted.get(),
            hashes: self.hashes.get(),
            rejected: std::array::from_fn(|at| self.rejected[at].get()),
            blocks: self.blocks.get(),
            best: self.best.get(),
            last_ms: self.last_ms.get(),
        }
    }

    pub(crate) fn rates(&self, now_ms: u64) -> Rates {
        self.rate.read(now_ms, self.since_ms)
    }
}

impl Sums {
    /// Rejected for whatever reason.
    pub(crate) fn rejected(&self) -> u64 {
        self.rejected.iter().sum()
    }

    /// Of all that were judged, the part that was accepted.
    pub(crate) fn acceptance(&self) -> Option<f64> {
        let judged = self.accepted + self.rejected();
        (judged > 0).then(|| self.accepted as f64 / judged as f64)
    }

    /// Reasons and how often, where it happened at all.
    pub(crate) fn by_reason(&self) -> impl Iterator<Item = (ErrorCode, u64)> {
        let all = REASONS.into_iter().zip(self.rejected);
        all.filter(|(_, count)| *count > 0)
    }
}

impl AddAssign for Sums {
    fn add_assign(&mut self, other: Self) {
        self.accepted += other.accepted;
        self.hashes += other.hashes;
        for (sum, count) in self.rejected.iter_mut().zip(other.rejected) {
            *sum += count;
        }
        self.blocks += other.blocks;
        self.best = self.best.max(other.best);
        self.last_ms = self.last_ms.max(other.last_ms);
    }
}
