//! Shares that wait until the pool takes their job.

use protocol::custom_work::CustomShare;
use protocol::target::Target;

/// Shares kept for one job; of more, the worst are lost.
pub(crate) const MAX_CACHED: usize = 100;

/// The best shares of one job, best first.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    shares: Vec<CustomShare>,
}

impl Cache {
    /// Returns the worst one if there are too many.
    pub(crate) fn push(&mut self, share: CustomShare) -> Option<CustomShare> {
        let worth = Target::from_le_bytes(share.hash);
        let better = |kept: &CustomShare| Target::from_le_bytes(kept.hash) <= worth;
        let at = self.shares.partition_point(better);
        self.shares.insert(at, share);
        if self.shares.len() > MAX_CACHED {
            return self.shares.pop();
        }
        None
    }

    /// Empties it.
    pub(crate) fn take(&mut self) -> Vec<CustomShare> {
        std::mem::take(&mut self.shares)
    }

    pub(crate) fn len(&self) -> usize {
        self.shares.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.shares.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(hash: u8) -> CustomShare {
        CustomShare {
            job: 1,
            job_id: 0,
            nonce: u32::from(hash),
            ntime: 0,
            version: 0,
            extranonce: Vec::new(),
            hash: [hash; 32],
        }
    }

    #[test]
    fn the_best_are_kept_and_come_first() {
        // JDC-08
        let mut cache = Cache::default();
        for hash in (50..150).rev() {
            assert_eq!(cache.push(share(hash)), None);
        }
        assert_eq!(cache.len(), MAX_CACHED);
        assert_eq!(cache.push(share(10)), Some(share(149)));
        assert_eq!(cache.push(share(200)), Some(share(200)));
        let nonces: Vec<u32> = cache.take().iter().map(|share| share.nonce).collect();
        let expected: Vec<u32> = [10].into_iter().chain(50..149).collect();
        assert_eq!(nonces, expected);
        assert!(cache.is_empty());
    }
}
