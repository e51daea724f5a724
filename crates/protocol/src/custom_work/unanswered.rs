//! Shares the pool has not answered yet.

use std::collections::VecDeque;

use super::CustomShare;

/// Shares without an answer; of further ones the oldest are given up.
pub(super) const MAX_UNANSWERED: usize = 4096;

/// The shares of one channel, each with a number of its own (SV2 5.3.12).
#[derive(Debug, Default)]
pub(super) struct Unanswered {
    /// By sequence number, oldest first.
    shares: VecDeque<(u32, CustomShare)>,
    next_number: u32,
}

impl Unanswered {
    /// What the next share is called.
    pub(super) fn next_number(&self) -> u32 {
        self.next_number
    }

    /// Returns the oldest one if there are too many.
    pub(super) fn push(&mut self, share: CustomShare) -> Option<CustomShare> {
        self.shares.push_back((self.next_number, share));
        self.next_number = self.next_number.wrapping_add(1);
        if self.shares.len() <= MAX_UNANSWERED {
            return None;
        }
        self.shares.pop_front().map(|(_, oldest)| oldest)
    }

    /// SV2 5.3.13: everything up to that number which was not rejected. `None` for one that was
    /// never used.
    pub(super) fn accepted(&mut self, last: u32) -> Option<Vec<CustomShare>> {
        if last >= self.next_number {
            return None;
        }
        let end = self.shares.partition_point(|(number, _)| *number <= last);
        let answered = self.shares.drain(..end);
        Some(answered.map(|(_, share)| share).collect())
    }

    pub(super) fn rejected(&mut self, number: u32) -> Option<CustomShare> {
        let at = self.shares.iter().position(|(of, _)| *of == number)?;
        self.shares.remove(at).map(|(_, share)| share)
    }

    pub(super) fn into_inner(self) -> Vec<CustomShare> {
        let shares = self.shares.into_iter();
        shares.map(|(_, share)| share).collect()
    }
}
