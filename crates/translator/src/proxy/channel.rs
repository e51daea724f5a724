//! What is known of one upstream: its connection, and the channels there.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use protocol::client::Assignment;
use protocol::unanswered::Unanswered;

use super::Owner;

/// A share on its way.
#[derive(Debug)]
pub(super) struct Pending {
    /// Whose.
    pub(super) slot: u32,
    pub(super) job_id: u32,
    pub(super) hash: [u8; 32],
}

/// An open channel, or one that was asked for.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) owner: Owner,
    pub(super) assignment: Option<Arc<Assignment>>,
    pub(super) unanswered: Unanswered<Pending>,
    /// What the upstream was told of its miners, in hashes a second.
    pub(super) told: f32,
    pub(super) told_at: Instant,
}

impl Channel {
    /// Whose shares are not answered.
    pub(super) fn into_unanswered(self) -> impl Iterator<Item = u32> {
        let pending = self.unanswered.into_inner();
        pending.into_iter().map(|pending| pending.slot)
    }
}

/// One upstream.
#[derive(Debug, Default)]
pub(super) struct Upstream {
    /// Counts the connections to it.
    pub(super) session: u64,
    pub(super) is_up: bool,
    /// Whether it has opened a channel on this connection.
    pub(super) has_opened: bool,
    /// When it is asked again after a failure.
    pub(super) reopen: Option<Instant>,
    pub(super) channels: BTreeMap<u32, Channel>,
    /// Requests without an answer.
    requests: BTreeMap<usize, Channel>,
    next_request: usize,
    /// Shares it was sent on this tip, by eight of their low bytes.
    pub(super) sent: HashSet<u64>,
    pub(super) tip: [u8; 32],
}

impl Upstream {
    pub(super) fn connected(&mut self) {
        *self = Self {
            session: self.session + 1,
            is_up: true,
            sent: std::mem::take(&mut self.sent),
            tip: self.tip,
            ..Self::default()
        };
    }

    /// The connection is over. Whose shares will never be answered.
    pub(super) fn lost(&mut self) -> Vec<u32> {
        self.is_up = false;
        self.reopen = None;
        self.close_all()
    }

    /// All channels are over. Whose shares will never be answered.
    pub(super) fn close_all(&mut self) -> Vec<u32> {
        self.requests.clear();
        let channels = std::mem::take(&mut self.channels);
        let channels = channels.into_values();
        channels.flat_map(Channel::into_unanswered).collect()
    }

    /// A channel was asked for.
    pub(super) fn ask(&mut self, owner: Owner, told: f32, now: Instant) {
        let channel = Channel {
            owner,
            assignment: None,
            unanswered: Unanswered::default(),
            told,
            told_at: now,
        };
        self.requests.insert(self.next_request, channel);
        self.next_request += 1;
    }

    /// A request was answered; `None` for one that nobody waits for.
    pub(super) fn answered(&mut self, request: usize) -> Option<Channel> {
        self.requests.remove(&request)
    }

    /// A miner has left: what was asked for it is not waited for any more.
    pub(super) fn forget(&mut self, slot: u32) {
        self.requests
            .retain(|_, channel| channel.owner != Some(slot));
    }

    /// The job of the channel that all miners share.
    pub(super) fn shared(&self) -> Option<Arc<Assignment>> {
        let mut channels = self.channels.values();
        let shared = channels.find(|channel| channel.owner.is_none())?;
        shared.assignment.clone()
    }

    /// Whether a share was sent before. Two miners cannot find the same one; one that comes back
    /// can send what it sent before.
    pub(super) fn is_repeated(&mut self, tip: [u8; 32], hash: &[u8; 32]) -> bool {
        if self.tip != tip {
            self.tip = tip;
            self.sent = HashSet::new();
        }
        let low = u64::from_le_bytes(hash[..8].try_into().expect("a hash has 32 bytes"));
        !self.sent.insert(low)
    }
}
