//! The tokens of one connection: how fast they are handed out, and which can still be redeemed
//! here.
//!
//! There is no message to refuse a token with (SV2 6.4.2), so a client that asks too fast waits,
//! and one that asks for more than can wait is closed.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use protocol::token::Token;

/// Over which the rate is kept: a minute's tokens may be had at once.
const WINDOW: Duration = Duration::from_secs(60);
/// Tokens that can be redeemed at a time; beyond, the oldest is forgotten.
const MAX_REDEEMABLE: usize = 1024;

/// A request that was not answered yet.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) request_id: u32,
    pub(super) user: String,
}

/// More requests than may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("more than {per_minute} tokens a minute are asked for")]
pub(super) struct TooFast {
    per_minute: u32,
}

#[derive(Debug)]
pub(super) struct Allocation {
    per_minute: u32,
    /// When all tokens handed out so far are paid for with time.
    paid: Instant,
    waiting: VecDeque<Waiting>,
    /// Oldest first.
    redeemable: VecDeque<(Token, String)>,
}

impl Allocation {
    pub(super) fn new(per_minute: u32, now: Instant) -> Self {
        Self {
            per_minute: per_minute.max(1),
            paid: now,
            waiting: VecDeque::new(),
            redeemable: VecDeque::new(),
        }
    }

    /// Queues a request; ask [`next`](Self::next) whether it can be answered.
    pub(super) fn request(&mut self, request: Waiting) -> Result<(), TooFast> {
        let per_minute = self.per_minute;
        if self.waiting.len() >= per_minute as usize {
            return Err(TooFast { per_minute });
        }
        self.waiting.push_back(request);
        Ok(())
    }

    /// The oldest request, if it may be answered now.
    pub(super) fn next(&mut self, now: Instant) -> Option<Waiting> {
        let paid = self.paid.max(now) + self.interval();
        if paid > now + WINDOW {
            return None;
        }
        let next = self.waiting.pop_front()?;
        self.paid = paid;
        Some(next)
    }

    /// When the oldest request that had to wait may be answered.
    pub(super) fn due(&self) -> Option<Instant> {
        self.waiting.front()?;
        (self.paid + self.interval()).checked_sub(WINDOW)
    }

    /// Lets a token be redeemed once.
    pub(super) fn keep(&mut self, token: Token, user: String) {
        if self.redeemable.len() == MAX_REDEEMABLE {
            self.redeemable.pop_front();
        }
        self.redeemable.push_back((token, user));
    }

    /// Uses a token up; tells for whom it was given, if it was given here and not used before.
    pub(super) fn redeem(&mut self, token: &Token) -> Option<String> {
        let place = self.redeemable.iter().position(|(kept, _)| kept == token)?;
        self.redeemable.remove(place).map(|(_, user)| user)
    }

    fn interval(&self) -> Duration {
        WINDOW / self.per_minute
    }
}
