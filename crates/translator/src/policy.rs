//! What is wanted of miners.

use std::ops::RangeInclusive;
use std::time::Duration;

use protocol::target::Target;

/// What is wanted of miners.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Bytes of the extranonce that a miner chooses.
    pub extranonce2_size: usize,
    /// Shares wanted of each miner.
    pub shares_per_minute: f64,
    /// Whether difficulties follow the shares that miners find. Otherwise they follow the upstream's
    /// targets.
    pub vardiff: bool,
    /// Hashes a second of a miner of which nothing is known.
    pub least_hash_rate: f64,
    /// Difficulties that miners may wish for.
    pub wishes: RangeInclusive<f64>,
    /// A miner that has had no job for so long gets the current one again, with a later time.
    pub keep_alive: Option<Duration>,
    /// Jobs of a miner that it can still submit shares for.
    pub max_jobs: usize,
    /// Bytes of a line.
    pub max_line: usize,
}

impl Policy {
    /// What the shares of a miner should be like of which nothing is known.
    pub(crate) fn first_target(&self) -> Target {
        let cost = self.least_hash_rate * 60.0 / self.shares_per_minute;
        Target::one_in(cost).unwrap_or(Target::MAX)
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            extranonce2_size: 4,
            shares_per_minute: 6.0,
            vardiff: true,
            least_hash_rate: 1e7,
            wishes: sv1::difficulty::EASIEST..=1e15,
            keep_alive: Some(Duration::from_secs(60)),
            max_jobs: 16,
            max_line: 16 * 1024,
        }
    }
}
