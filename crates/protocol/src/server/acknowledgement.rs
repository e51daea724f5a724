//! When an accepted share is acknowledged (SV2 5.3.13): in batches, and if the policy says so only
//! once it is on disk.

use std::time::Instant;

use stratum_core::mining_sv2::SubmitSharesSuccess;

use super::difficulty::earlier;
use super::{Out, ServerEvent};
use crate::message::MiningOwned;
use crate::target::HASHES_PER_DIFFICULTY;

/// When a complete batch of accepted shares is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Acknowledge {
    /// At once.
    #[default]
    AtOnce,
    /// When the role has said that all its shares are recorded (`ServerInput::Recorded`).
    Recorded,
}

/// A channel's accepted shares that are in no complete batch yet.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) count: u32,
    /// When it must be complete, if there is a share in it.
    due: Option<Instant>,
    last_sequence_number: u32,
    /// Of the last share.
    number: u64,
    /// In units of difficulty 1. What is below one whole unit is carried to the next batch, since
    /// the message has room for whole units only (T-29).
    difficulty: f64,
}

/// A complete batch that waits until its shares are recorded.
#[derive(Debug)]
struct Complete {
    /// Of its last share.
    number: u64,
    message: SubmitSharesSuccess,
}

/// A connection's accepted shares on their way to being acknowledged.
#[derive(Debug)]
pub(super) struct Acknowledgements {
    /// Shares accepted so far; each one's number is the count with it.
    accepted: u64,
    /// Up to this number shares may be acknowledged.
    recorded: u64,
    /// In the order of their completion. Each holds a share that is not recorded, so there are
    /// never more than the role lets wait.
    complete: Vec<Complete>,
    /// Channels with shares in no complete batch.
    incomplete: u32,
    /// When the first of their batches must be complete, or earlier.
    pub(super) due: Option<Instant>,
}

impl Acknowledgements {
    pub(super) fn new(acknowledge: Acknowledge) -> Self {
        Self {
            accepted: 0,
            recorded: match acknowledge {
                Acknowledge::AtOnce => u64::MAX,
                Acknowledge::Recorded => 0,
            },
            complete: Vec::new(),
            incomplete: 0,
            due: None,
        }
    }

    /// Puts a share that took `hashes` into its channel's batch, which must be complete at `due`.
    /// Returns its number.
    pub(super) fn accept(
        &mut self,
        batch: &mut Batch,
        sequence_number: u32,
        hashes: f64,
        due: Instant,
    ) -> u64 {
        if batch.count == 0 {
            self.incomplete += 1;
            batch.due = Some(due);
            self.due.get_or_insert(due);
        }
        self.accepted += 1;
        batch.count += 1;
        batch.last_sequence_number = sequence_number;
        batch.number = self.accepted;
        batch.difficulty += hashes / HASHES_PER_DIFFICULTY;
        self.accepted
    }

    /// Time has passed: completes the batches that are due.
    pub(super) fn wake<'a>(
        &mut self,
        now: Instant,
        batches: impl Iterator<Item = (u32, &'a mut Batch)>,
        out: &mut Out,
    ) {
        if self.due.is_none_or(|due| due > now) {
            return;
        }
        let mut next = None;
        for (channel_id, batch) in batches {
            match batch.due {
                Some(due) if due <= now => self.complete(channel_id, batch, out),
                due => next = earlier(next, due),
            }
        }
        self.due = next;
    }

    /// The batch is complete: acknowledges it as soon as it may be.
    pub(super) fn complete(&mut self, channel_id: u32, batch: &mut Batch, out: &mut Out) {
        let whole = batch.difficulty.floor();
        let message = SubmitSharesSuccess {
            channel_id,
            last_sequence_number: batch.last_sequence_number,
            new_submits_accepted_count: batch.count,
            new_shares_sum: whole as u64,
        };
        batch.count = 0;
        batch.due = None;
        batch.difficulty -= whole;
        self.emptied();
        let number = batch.number;
        if number <= self.recorded {
            out.send(MiningOwned::SubmitSharesSuccess(message));
        } else {
            self.complete.push(Complete { number, message });
            out.event(ServerEvent::RecordAwaited(number));
        }
    }

    /// Its channel is closed: what is in the batch is never acknowledged.
    pub(super) fn forget(&mut self, batch: &Batch) {
        if batch.count > 0 {
            self.emptied();
        }
    }

    fn emptied(&mut self) {
        self.incomplete -= 1;
        if self.incomplete == 0 {
            // A timer for nothing would be one more wake-up for each batch.
            self.due = None;
        }
    }

    /// Every share up to `number` is recorded. Acknowledges those of channels that are open still.
    pub(super) fn recorded(&mut self, number: u64, is_open: impl Fn(u32) -> bool, out: &mut Out) {
        // Shares to come are not recorded, whatever the role says.
        let number = number.min(self.accepted);
        self.recorded = self.recorded.max(number);
        self.complete.retain(|Complete { number, message }| {
            let waits = *number > self.recorded;
            // SV2 5.3.9: a closed channel is told nothing any more.
            if !waits && is_open(message.channel_id) {
                out.send(MiningOwned::SubmitSharesSuccess(message.clone()));
            }
            waits
        });
    }
}
