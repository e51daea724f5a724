//! What the tests of both cores need.

use std::sync::Arc;
use std::time::Instant;

use protocol::client::{Assignment, MerkleSource};
use protocol::core::Now;
use protocol::server::VERSION_ROLLING_MASK;
use protocol::target::Target;

/// What the upstream's extranonces begin with.
pub(crate) const PREFIX: [u8; 3] = [0xaa, 0xbb, 0xcc];
/// Bytes of extranonce it leaves us.
pub(crate) const SIZE: usize = 10;
pub(crate) const NTIME: u32 = 1_800_000_000;

pub(crate) fn now() -> Now {
    Now {
        instant: Instant::now(),
        unix: u64::from(NTIME),
    }
}

pub(crate) fn target(hashes: f64) -> Target {
    Target::one_in(hashes).unwrap()
}

/// Job `job_id` of channel `channel_id` on `tip`, which no hash is a block for.
pub(crate) fn assignment(channel_id: u32, job_id: u32, tip: u8, target: Target) -> Assignment {
    let mut prefix = vec![0x11; 40];
    prefix.extend_from_slice(&PREFIX);
    Assignment {
        channel_id,
        job_id,
        prev_hash: [tip; 32],
        n_bits: 0x1700_ffff,
        min_ntime: NTIME,
        version: 0x2000_0000,
        version_mask: VERSION_ROLLING_MASK,
        merkle: MerkleSource::Coinbase {
            prefix,
            suffix: vec![0x22; 60],
            path: vec![[7; 32], [8; 32]],
            extranonce_size: SIZE,
        },
        target,
        received: now(),
    }
}

pub(crate) fn mined(channel_id: u32, job_id: u32, tip: u8) -> Arc<Assignment> {
    Arc::new(assignment(channel_id, job_id, tip, target(4.0)))
}
