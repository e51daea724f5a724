//! When threads may hash: the rate cap, and the rest between shares.
//!
//! Pure: the time is a parameter.

use std::time::{Duration, Instant};

/// The cap is dealt out in pieces no longer than this.
const PIECE: Duration = Duration::from_millis(50);
/// What is dealt out of the cap, so that one piece more than the average never exceeds it within
/// any second.
const SHARE_OF_CAP: f64 = 0.95;
/// After a block the tip is as good as over; how long to wait for the next one.
const PATIENCE: Duration = Duration::from_secs(1);

/// What a thread may do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Hash at most so many nonces, then ask again.
    Hash(u32),
    /// Ask again after this time, or when something changes.
    Rest(Duration),
}

#[derive(Debug)]
pub(super) struct Pace {
    max_hashrate: Option<f64>,
    share_interval: Duration,
    /// When the next piece of the cap is due.
    free_at: Option<Instant>,
    rest_until: Option<Instant>,
    /// Shares let through without rest.
    released: u64,
    /// Blocks to find without rest and without the cap.
    hurried: u64,
    /// A block was found; the next tip is awaited until then.
    awaits_tip_until: Option<Instant>,
}

impl Pace {
    pub(super) fn new(max_hashrate: Option<f64>, share_interval: Duration) -> Self {
        Self {
            max_hashrate,
            share_interval,
            free_at: None,
            rest_until: None,
            released: 0,
            hurried: 0,
            awaits_tip_until: None,
        }
    }

    /// A thread wants to hash `wanted` nonces.
    pub(super) fn step(&mut self, now: Instant, wanted: u32) -> Step {
        let rest_until = self.rest_until.filter(|_| self.hurried == 0);
        let rests = [rest_until, self.awaits_tip_until];
        if let Some(until) = rests.into_iter().flatten().max()
            && until > now
        {
            return Step::Rest(until - now);
        }
        let Some(cap) = self.max_hashrate.filter(|_| self.hurried == 0) else {
            return Step::Hash(wanted);
        };
        let rate = cap * SHARE_OF_CAP;
        let free_at = self.free_at.unwrap_or(now).max(now);
        if free_at > now {
            return Step::Rest(free_at - now);
        }
        let piece = (cap * (1.0 - SHARE_OF_CAP))
            .min(rate * PIECE.as_secs_f64())
            .max(1.0);
        let count = wanted.min(piece as u32);
        let cost = Duration::from_secs_f64(f64::from(count) / rate);
        self.free_at = Some(free_at + cost);
        Step::Hash(count)
    }

    /// So many of the nonces that were allowed were not tried after all.
    pub(super) fn give_back(&mut self, count: u32) {
        if let (Some(cap), Some(free_at)) = (self.max_hashrate, self.free_at) {
            let cost = Duration::from_secs_f64(f64::from(count) / (cap * SHARE_OF_CAP));
            // What was allowed in a hurry may never have been charged.
            self.free_at = free_at.checked_sub(cost);
        }
    }

    /// A share was found; whether it is to be sent. Of two found at the same moment by two
    /// threads only one is, when there is a rest between shares.
    pub(super) fn found(&mut self, now: Instant, is_block: bool) -> bool {
        let hurries = self.hurried > 0;
        if self.share_interval.is_zero() && !hurries {
            return true;
        }
        let resting = |until: Option<Instant>| until.is_some_and(|until| until > now);
        if (!hurries && resting(self.rest_until)) || resting(self.awaits_tip_until) {
            return false;
        }
        self.released = self.released.saturating_sub(1);
        if is_block {
            self.hurried = self.hurried.saturating_sub(1);
            self.awaits_tip_until = Some(now + PATIENCE);
        }
        if self.released == 0 && self.hurried == 0 {
            self.rest_until = Some(now + self.share_interval);
        }
        true
    }

    /// There is a job on another tip.
    pub(super) fn new_tip(&mut self) {
        self.awaits_tip_until = None;
    }

    /// Lets `count` shares through without rest.
    pub(super) fn release(&mut self, count: u64) {
        self.released = self.released.saturating_add(count);
        if self.released > 0 {
            self.rest_until = None;
        }
    }

    /// Has the next `blocks` blocks found without rest, as fast as the machine can.
    pub(super) fn hurry(&mut self, blocks: u64) {
        self.hurried = self.hurried.saturating_add(blocks);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn no_second_has_more_hashes_than_the_cap() {
        for cap in [10.0, 1000.0, 123_456.0, 5e6] {
            let mut pace = Pace::new(Some(cap), Duration::ZERO);
            let start = Instant::now();
            let mut hashed: Vec<(Duration, u64)> = Vec::new();
            let mut at = Duration::ZERO;
            while at < Duration::from_secs(5) {
                match pace.step(start + at, 1 << 20) {
                    Step::Hash(count) => hashed.push((at, u64::from(count))),
                    Step::Rest(time) => at += time,
                }
            }
            for (from, _) in &hashed {
                let window = hashed
                    .iter()
                    .filter(|(at, _)| at >= from && *at < *from + Duration::from_secs(1));
                let sum: u64 = window.map(|(_, count)| count).sum();
                assert!(sum as f64 <= cap, "{sum} > {cap}");
            }
            let total: u64 = hashed.iter().map(|(_, count)| count).sum();
            assert!(total as f64 > 5.0 * cap * 0.85, "{total} of {cap}");
        }
    }

    #[test]
    fn what_was_not_hashed_does_not_count() {
        let mut pace = Pace::new(Some(1000.0), Duration::ZERO);
        let now = Instant::now();
        let Step::Hash(count) = pace.step(now, 1 << 20) else {
            panic!("a fresh cap allows something");
        };
        assert!(matches!(pace.step(now, 1), Step::Rest(_)));
        pace.give_back(count);
        assert!(matches!(pace.step(now, 1), Step::Hash(1)));
    }

    #[test]
    fn the_first_share_comes_at_once_and_the_next_after_the_interval() {
        let mut pace = Pace::new(None, 100 * MS);
        let now = Instant::now();
        assert_eq!(pace.step(now, 7), Step::Hash(7));
        assert!(pace.found(now, false));
        assert!(!pace.found(now, false));
        assert_eq!(pace.step(now + 30 * MS, 7), Step::Rest(70 * MS));
        assert_eq!(pace.step(now + 100 * MS, 7), Step::Hash(7));
    }

    #[test]
    fn released_shares_come_without_rest_but_one_per_tip() {
        let mut pace = Pace::new(None, Duration::from_secs(60));
        let now = Instant::now();
        assert!(pace.found(now, true));
        pace.new_tip();
        pace.release(0);
        assert!(matches!(pace.step(now, 7), Step::Rest(_)));
        pace.release(2);
        for _ in 0..2 {
            assert_eq!(pace.step(now, 7), Step::Hash(7));
            assert!(pace.found(now, true));
            // Until the next tip comes, another block would be stale.
            assert!(matches!(pace.step(now, 7), Step::Rest(_)));
            assert!(!pace.found(now, true));
            pace.new_tip();
        }
        assert!(matches!(pace.step(now, 7), Step::Rest(_)));
    }

    #[test]
    fn a_block_in_a_hurry_knows_neither_rest_nor_cap() {
        for interval in [Duration::ZERO, Duration::from_secs(60)] {
            let mut pace = Pace::new(Some(100.0), interval);
            let now = Instant::now();
            assert!(pace.found(now, false));
            pace.hurry(2);
            for left in [1, 0] {
                // A share that is no block is not what was asked for.
                for _ in 0..3 {
                    assert_eq!(pace.step(now, 1 << 20), Step::Hash(1 << 20));
                    assert!(pace.found(now, false));
                }
                assert!(pace.found(now, true));
                assert!(matches!(pace.step(now, 7), Step::Rest(_)));
                // Nobody is held back who was not in a hurry and has no interval.
                let is_sent = left == 0 && interval.is_zero();
                assert_eq!(pace.found(now, true), is_sent);
                pace.new_tip();
            }
            match interval.is_zero() {
                true => assert_eq!(pace.step(now, 1 << 20), Step::Hash(4)),
                false => assert!(matches!(pace.step(now, 7), Step::Rest(_))),
            }
        }
    }

    #[test]
    fn without_an_interval_nothing_rests() {
        let mut pace = Pace::new(None, Duration::ZERO);
        let now = Instant::now();
        assert!(pace.found(now, true));
        assert!(pace.found(now, true));
        assert_eq!(pace.step(now, 7), Step::Hash(7));
    }
}
