//! The headers one assignment gives, one after the other.
//!
//! A header has 2^32 nonces. When they are used up, something else must change: the version's free
//! bits where allowed, the extranonce on an extended channel, and the time, which may only advance
//! with the clock.

use std::sync::Arc;

use protocol::client::{Assignment, FoundShare, MerkleSource};
use protocol::coinbase::{Header, merkle_root, sha256d};
use protocol::core::Now;

/// The headers of an assignment, in an order that never repeats one.
#[derive(Debug, Clone)]
pub struct Headers {
    assignment: Arc<Assignment>,
    next: u64,
    /// The time of the newest header, as seconds after the earliest allowed.
    offset: u64,
}

/// A header with everything that is free in it chosen, but for the nonce.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The 80 bytes; the nonce is 0.
    pub header: [u8; 80],
    version: u32,
    ntime: u32,
    extranonce: Vec<u8>,
}

impl Headers {
    /// The headers of `assignment`, from the first.
    pub fn new(assignment: Arc<Assignment>) -> Self {
        Self {
            assignment,
            next: 0,
            offset: 0,
        }
    }

    /// What they are for.
    pub fn assignment(&self) -> &Arc<Assignment> {
        &self.assignment
    }

    /// The next header; `None` until the clock allows one more.
    pub fn next(&mut self, now: Now) -> Option<Candidate> {
        let assignment = &self.assignment;
        // SV2 5.3.11: at most one second of time for each second that passed.
        let elapsed = now
            .instant
            .saturating_duration_since(assignment.received.instant)
            .as_secs();
        let (extranonces, size) = match &assignment.merkle {
            MerkleSource::Coinbase {
                extranonce_size, ..
            } => (space(*extranonce_size), *extranonce_size),
            MerkleSource::Root(_) => (1, 0),
        };
        let versions = 1 << assignment.version_mask.count_ones();
        let per_second = extranonces.saturating_mul(versions);
        if self.next == per_second {
            // Every combination was tried at this time.
            if self.offset >= elapsed {
                return None;
            }
            self.next = 0;
            self.offset = elapsed;
        }
        let index = self.next;
        self.next += 1;
        let version = roll(
            assignment.version,
            assignment.version_mask,
            index % versions,
        );
        let extranonce = (index / versions).to_le_bytes();
        let mut rolled = vec![0; size];
        let len = size.min(extranonce.len());
        rolled[..len].copy_from_slice(&extranonce[..len]);
        Some(self.candidate(version, rolled))
    }

    fn candidate(&self, version: u32, extranonce: Vec<u8>) -> Candidate {
        let assignment = &self.assignment;
        let root = match &assignment.merkle {
            MerkleSource::Root(root) => *root,
            MerkleSource::Coinbase {
                prefix,
                suffix,
                path,
                ..
            } => merkle_root(sha256d(&[prefix, &extranonce[..], suffix].concat()), path),
        };
        let ntime = assignment.min_ntime.saturating_add(self.offset as u32);
        let header = Header {
            version,
            prev_hash: &assignment.prev_hash,
            merkle_root: &root,
            ntime,
            n_bits: assignment.n_bits,
            nonce: 0,
        };
        Candidate {
            header: header.to_bytes(),
            version,
            ntime,
            extranonce,
        }
    }
}

impl Candidate {
    /// The share this header is with `nonce`.
    pub fn share(&self, assignment: &Assignment, nonce: u32) -> FoundShare {
        let mut header = self.header;
        header[76..].copy_from_slice(&nonce.to_le_bytes());
        FoundShare {
            channel_id: assignment.channel_id,
            job_id: assignment.job_id,
            nonce,
            ntime: self.ntime,
            version: self.version,
            extranonce: self.extranonce.clone(),
            hash: sha256d(&header),
            worker: None,
            origin: 0,
        }
    }
}

/// How many extranonces of so many bytes are worth counting.
fn space(bytes: usize) -> u64 {
    1u64.checked_shl(8 * bytes as u32).unwrap_or(1 << 63)
}

/// Changes the bits of `mask` that `index` has set, the lowest to the lowest: the first version is
/// the job's own, and no two are the same.
fn roll(version: u32, mask: u32, index: u64) -> u32 {
    let (mut rolled, mut mask, mut index) = (version, mask, index);
    while index != 0 && mask != 0 {
        let lowest = mask & mask.wrapping_neg();
        if index & 1 == 1 {
            rolled ^= lowest;
        }
        mask ^= lowest;
        index >>= 1;
    }
    rolled
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::time::{Duration, Instant};

    use protocol::server::VERSION_ROLLING_MASK;
    use protocol::target::Target;

    use super::*;

    fn assignment(version_mask: u32, merkle: MerkleSource) -> (Headers, Now) {
        let received = Now {
            instant: Instant::now(),
            unix: 5000,
        };
        let assignment = Assignment {
            channel_id: 2,
            job_id: 3,
            prev_hash: [1; 32],
            n_bits: 0x207f_ffff,
            min_ntime: 1000,
            version: 0x2000_0000,
            version_mask,
            merkle,
            target: Target::MAX,
            received,
        };
        (Headers::new(Arc::new(assignment)), received)
    }

    fn after(now: Now, seconds: u64) -> Now {
        Now {
            instant: now.instant + Duration::from_secs(seconds),
            unix: now.unix + seconds,
        }
    }

    #[test]
    fn the_first_header_is_the_job_as_it_was_sent() {
        // DEV-11
        let (mut headers, now) = assignment(VERSION_ROLLING_MASK, MerkleSource::Root([7; 32]));
        let first = headers.next(now).unwrap();
        assert_eq!((first.version, first.ntime), (0x2000_0000, 1000));
        assert_eq!(first.header[36..68], [7; 32]);
        assert_eq!(first.header[4..36], [1; 32]);
    }

    #[test]
    fn only_free_bits_of_the_version_change_and_none_repeats() {
        // DEV-15
        // A stride that is coprime to the number of versions visits each bit in all combinations.
        for mask in [VERSION_ROLLING_MASK, 0x1fff_e000, 0x00c0_0000, 0xffff_ffff] {
            let versions = 1u64 << mask.count_ones();
            let indices = (0..versions.min(1 << 24)).step_by(997);
            for version in [0x2000_0000u32, 0x3fff_ffff] {
                let all: HashSet<u32> = indices
                    .clone()
                    .map(|index| roll(version, mask, index))
                    .collect();
                assert_eq!(all.len(), indices.clone().count());
                assert!(all.iter().all(|rolled| (rolled ^ version) & !mask == 0));
            }
            let last = roll(0x2000_0000, mask, versions - 1);
            assert_eq!(last, 0x2000_0000 ^ mask);
        }
        assert_eq!(roll(0x2000_0000, 0, 5), 0x2000_0000);
    }

    #[test]
    fn without_anything_to_roll_time_waits_for_the_clock() {
        // DEV-08, 12, 16
        let (mut headers, now) = assignment(0, MerkleSource::Root([7; 32]));
        assert!(headers.next(now).is_some());
        assert_eq!(headers.next(now), None);
        assert_eq!(headers.next(after(now, 0)), None);
        let next = headers.next(after(now, 3)).unwrap();
        assert_eq!((next.version, next.ntime), (0x2000_0000, 1003));
        assert_eq!(headers.next(after(now, 3)), None);
    }

    #[test]
    fn extranonces_have_the_length_asked_for_and_change_the_root() {
        // DEV-20
        for size in [1, 3, 8, 16] {
            let merkle = MerkleSource::Coinbase {
                prefix: vec![1; 50],
                suffix: vec![2; 60],
                path: vec![[9; 32]],
                extranonce_size: size,
            };
            let (mut headers, now) = assignment(0, merkle);
            let mut roots = HashSet::new();
            for _ in 0..200 {
                let candidate = headers.next(now).unwrap();
                assert_eq!(candidate.extranonce.len(), size);
                roots.insert(candidate.header[36..68].to_vec());
            }
            assert_eq!(roots.len(), 200);
        }
    }

    #[test]
    fn a_share_s_hash_is_that_of_its_header() {
        // DEV-13
        let (mut headers, now) = assignment(VERSION_ROLLING_MASK, MerkleSource::Root([7; 32]));
        let candidate = headers.next(now).unwrap();
        let share = candidate.share(headers.assignment(), 77);
        let header = Header {
            version: share.version,
            prev_hash: &[1; 32],
            merkle_root: &[7; 32],
            ntime: share.ntime,
            n_bits: 0x207f_ffff,
            nonce: 77,
        };
        assert_eq!(share.hash, header.hash());
    }
}
