//! What the device did, counted once for metrics, status and report.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use serde::Serialize;

/// The device's own account. One task owns it and publishes copies.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Stats {
    /// What hashes.
    pub kernel: &'static str,
    /// How many threads hash.
    pub threads: usize,
    /// Since the device started.
    pub seconds: f64,
    /// Headers hashed.
    pub hashes: u64,
    /// Hashes a second since the device started.
    pub hashrate: f64,
    /// Connections to the pool that were set up.
    pub connections: u64,
    /// Shares sent.
    pub shares_submitted: u64,
    /// Shares the pool accepted.
    pub shares_accepted: u64,
    /// Shares the pool rejected, by its reason.
    pub shares_rejected: BTreeMap<String, u64>,
    /// Shares not sent because their job had ended.
    pub shares_late: u64,
    /// Shares sent that are blocks.
    pub blocks_found: u64,
    /// Blocks among the accepted shares.
    pub blocks_accepted: u64,
    #[serde(skip)]
    started: Instant,
    /// Sent and unanswered, in order: sequence number, and whether it is a block.
    #[serde(skip)]
    unanswered: VecDeque<(u32, bool)>,
}

/// Unanswered shares remembered; a server that never answers costs no more.
const MAX_UNANSWERED: usize = 10_000;

impl Stats {
    pub(crate) fn new(kernel: &'static str, threads: usize, started: Instant) -> Self {
        Self {
            kernel,
            threads,
            seconds: 0.0,
            hashes: 0,
            hashrate: 0.0,
            connections: 0,
            shares_submitted: 0,
            shares_accepted: 0,
            shares_rejected: BTreeMap::new(),
            shares_late: 0,
            blocks_found: 0,
            blocks_accepted: 0,
            started,
            unanswered: VecDeque::new(),
        }
    }

    /// A new connection: what was unanswered on the old one stays so.
    pub(crate) fn connected(&mut self) {
        self.connections += 1;
        self.unanswered.clear();
    }

    /// A share was sent.
    pub(crate) fn sent(&mut self, is_block: bool) {
        self.shares_submitted += 1;
        self.blocks_found += u64::from(is_block);
    }

    /// A share was accepted.
    pub(crate) fn credited(&mut self, is_block: bool) {
        self.shares_accepted += 1;
        self.blocks_accepted += u64::from(is_block);
    }

    /// A share was rejected.
    pub(crate) fn refused(&mut self, reason: String) {
        *self.shares_rejected.entry(reason).or_default() += 1;
    }

    /// A share was sent with a number, by which it will be answered.
    pub(crate) fn submitted(&mut self, sequence_number: u32, is_block: bool) {
        self.sent(is_block);
        if self.unanswered.len() == MAX_UNANSWERED {
            self.unanswered.pop_front();
        }
        self.unanswered.push_back((sequence_number, is_block));
    }

    /// SV2 5.3.13: everything up to that number that was not rejected is accepted.
    pub(crate) fn accepted(&mut self, count: u32, last_sequence_number: u32) {
        self.shares_accepted += u64::from(count);
        while let Some((number, is_block)) = self.unanswered.front() {
            if last_sequence_number.wrapping_sub(*number) > u32::MAX / 2 {
                break;
            }
            self.blocks_accepted += u64::from(*is_block);
            self.unanswered.pop_front();
        }
    }

    pub(crate) fn rejected(&mut self, sequence_number: u32, code: String) {
        self.refused(code);
        self.unanswered
            .retain(|(number, _)| *number != sequence_number);
    }

    /// Brings times and rates up to `now`.
    pub(crate) fn settle(&mut self, hashes: u64, now: Instant) {
        self.seconds = now.duration_since(self.started).as_secs_f64();
        self.hashes = hashes;
        self.hashrate = hashes as f64 / self.seconds.max(1e-3);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats() -> Stats {
        Stats::new("portable", 1, Instant::now())
    }

    #[test]
    fn an_acknowledgement_covers_what_was_sent_before_and_not_rejected() {
        // DEV-23
        let mut stats = stats();
        for number in 0..10 {
            stats.submitted(number, number % 2 == 0);
        }
        stats.rejected(4, "stale-share".into());
        stats.accepted(7, 7);
        assert_eq!((stats.shares_accepted, stats.blocks_accepted), (7, 3));
        stats.accepted(2, 9);
        assert_eq!((stats.shares_accepted, stats.blocks_accepted), (9, 4));
        assert_eq!(stats.shares_rejected["stale-share"], 1);
    }

    #[test]
    fn numbers_may_wrap_around() {
        let mut stats = stats();
        for number in [u32::MAX - 1, u32::MAX, 0, 1] {
            stats.submitted(number, true);
        }
        stats.accepted(3, 0);
        assert_eq!(stats.blocks_accepted, 3);
    }

    #[test]
    fn shares_of_a_lost_connection_are_never_taken_for_those_of_the_next() {
        // DEV-29
        let mut stats = stats();
        stats.submitted(0, true);
        stats.connected();
        stats.submitted(0, false);
        stats.accepted(1, 0);
        assert_eq!((stats.blocks_found, stats.blocks_accepted), (1, 0));
    }
}
