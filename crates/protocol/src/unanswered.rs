//! Shares that a server has not answered yet.

use std::collections::VecDeque;

/// Shares without an answer; of further ones the oldest are given up.
pub const MAX_UNANSWERED: usize = 4096;

/// The shares of one channel, each with a number of its own (SV2 5.3.12).
#[derive(Debug)]
pub struct Unanswered<T> {
    /// By sequence number, oldest first.
    shares: VecDeque<(u32, T)>,
    next_number: u32,
}

// Not derived: there may be none of what has no default.
impl<T> Default for Unanswered<T> {
    fn default() -> Self {
        Self {
            shares: VecDeque::new(),
            next_number: 0,
        }
    }
}

impl<T> Unanswered<T> {
    /// What the next share is called.
    pub fn next_number(&self) -> u32 {
        self.next_number
    }

    /// Returns the oldest one if there are too many.
    pub fn push(&mut self, share: T) -> Option<T> {
        self.shares.push_back((self.next_number, share));
        self.next_number = self.next_number.wrapping_add(1);
        if self.shares.len() <= MAX_UNANSWERED {
            return None;
        }
        self.shares.pop_front().map(|(_, oldest)| oldest)
    }

    /// SV2 5.3.13: everything up to that number which was not rejected. `None` for one that was
    /// never used.
    pub fn accepted(&mut self, last: u32) -> Option<Vec<T>> {
        if last >= self.next_number {
            return None;
        }
        let end = self.shares.partition_point(|(number, _)| *number <= last);
        let answered = self.shares.drain(..end);
        Some(answered.map(|(_, share)| share).collect())
    }

    /// The share of that number, if it has no answer yet.
    pub fn rejected(&mut self, number: u32) -> Option<T> {
        let at = self.shares.iter().position(|(of, _)| *of == number)?;
        self.shares.remove(at).map(|(_, share)| share)
    }

    /// Those without an answer, oldest first.
    pub fn into_inner(self) -> Vec<T> {
        let shares = self.shares.into_iter();
        shares.map(|(_, share)| share).collect()
    }
}
