//! What records add up to, since some place in the log.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::record::{Found, Judged, Outcome, Record, Share, Source};

/// Milliseconds of a minute.
const MINUTE: u64 = 60_000;

/// A sum of shares.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Sum {
    pub(crate) accepted: u64,
    pub(crate) hashes: f64,
    /// By reason.
    pub(crate) rejected: BTreeMap<String, u64>,
    /// When the last share was judged, in milliseconds since 1970.
    pub(crate) last_ms: u64,
}

/// The sum of one minute.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Minute {
    pub(crate) accepted: u64,
    pub(crate) rejected: u64,
    pub(crate) hashes: f64,
}

/// A block, and the number of the share that it counts as.
#[derive(Debug, Clone)]
pub(crate) struct FoundBlock {
    pub(crate) found: Box<Found>,
    pub(crate) share: Option<u64>,
}

/// The sums of consecutive records of one segment.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// By the number of the source in its segment.
    pub(crate) sources: HashMap<u32, (Arc<Source>, Sum)>,
    /// By minutes since 1970.
    pub(crate) minutes: BTreeMap<u64, Minute>,
    pub(crate) found: Vec<FoundBlock>,
    pub(crate) judged: Vec<Judged>,
    /// Accepted shares of all time, up to and with these.
    pub(crate) accepted: u64,
}

impl Tally {
    /// Empty, after so many accepted shares.
    pub(crate) fn after(accepted: u64) -> Self {
        Self {
            accepted,
            ..Self::default()
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.sources.is_empty() && self.found.is_empty() && self.judged.is_empty()
    }

    /// Adds a record, whose source has its number in the segment.
    pub(crate) fn add(&mut self, record: &Record) {
        match record {
            Record::Share(share) => self.share(share),
            Record::Found(found) => self.found.push(FoundBlock {
                found: found.clone(),
                share: None,
            }),
            Record::Judged(judged) => self.judged.push((**judged).clone()),
        }
    }

    fn share(&mut self, share: &Share) {
        let minute = self.minutes.entry(share.time_ms / MINUTE).or_default();
        let (_, sum) = self
            .sources
            .entry(share.source.number())
            .or_insert_with(|| (Arc::clone(&share.source), Sum::default()));
        sum.last_ms = sum.last_ms.max(share.time_ms);
        match &share.outcome {
            Outcome::Accepted { hash, hashes } => {
                self.accepted += 1;
                sum.accepted += 1;
                sum.hashes += hashes;
                minute.accepted += 1;
                minute.hashes += hashes;
                // The share of a block follows the block.
                if let Some(last) = self.found.last_mut()
                    && last.found.hash == *hash
                {
                    last.share = Some(self.accepted);
                }
            }
            Outcome::Rejected { reason } => {
                minute.rejected += 1;
                match sum.rejected.get_mut(&**reason) {
                    Some(count) => *count += 1,
                    None => {
                        sum.rejected.insert(reason.to_string(), 1);
                    }
                }
            }
        }
    }
}

impl Sum {
    /// Rejected for whatever reason.
    pub(crate) fn rejections(&self) -> u64 {
        self.rejected.values().sum()
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.accepted += other.accepted;
        self.hashes += other.hashes;
        self.last_ms = self.last_ms.max(other.last_ms);
        for (reason, count) in &other.rejected {
            *self.rejected.entry(reason.clone()).or_default() += count;
        }
    }
}
