//! Shares on their way to the upstream, and its answers.

use std::sync::Arc;

use protocol::client::{Assignment, ClientInput, FoundShare};
use protocol::core::Now;
use protocol::target::Target;

use super::channel::Pending;
use super::{Action, Fate, Proxy, Report};
use crate::miner::Accepted;

impl Proxy {
    /// A miner's share that the upstream takes.
    pub(super) fn share(&mut self, slot: u32, accepted: Accepted, out: &mut Vec<Action>) {
        let Accepted {
            work,
            share,
            is_block,
            ..
        } = accepted;
        let origin = work.origin;
        let upstream = origin.upstream;
        let up = &mut self.upstreams[upstream];
        let is_same = up.is_up && up.session == origin.session;
        if !is_same || !up.channels.contains_key(&origin.channel_id) {
            return out.push(Action::Fate(slot, Fate::Lost("upstream-lost")));
        }
        if up.is_repeated(work.notify.prev_hash, &share.hash) {
            return out.push(Action::Fate(slot, Fate::Lost("duplicate")));
        }
        let block = is_block.then_some(share.hash);
        let share = FoundShare {
            origin: u64::from(slot),
            ..share
        };
        out.push(Action::Tell(upstream, ClientInput::Share(share)));
        out.push(Action::Fate(slot, Fate::Relayed));
        out.push(Action::Report(Report::Relayed { upstream, block }));
    }

    /// It is on its way: the upstream counts it as the channel's next (PROXY-21).
    pub(super) fn submitted(&mut self, upstream: usize, share: &FoundShare, out: &mut Vec<Action>) {
        let channels = &mut self.upstreams[upstream].channels;
        if let Some(channel) = channels.get_mut(&share.channel_id) {
            let pending = Pending {
                slot: share.origin as u32,
                job_id: share.job_id,
                hash: share.hash,
            };
            // The oldest of too many has waited so long that no answer will come.
            if let Some(oldest) = channel.unanswered.push(pending) {
                out.push(Action::Fate(oldest.slot, Fate::Lost("no-answer")));
            }
        }
    }

    pub(super) fn acknowledged(
        &mut self,
        upstream: usize,
        channel_id: u32,
        last: u32,
        out: &mut Vec<Action>,
    ) {
        let channel = self.upstreams[upstream].channels.get_mut(&channel_id);
        let Some(shares) = channel.and_then(|channel| channel.unanswered.accepted(last)) else {
            return;
        };
        self.ranking.accepted(upstream);
        let count = shares.len() as u64;
        for share in shares {
            out.push(Action::Fate(share.slot, Fate::Accepted));
        }
        out.push(Action::Report(Report::Acknowledged { upstream, count }));
    }

    /// It counts against the upstream if the share was good and its job is mined (PROXY-24).
    pub(super) fn rejected(
        &mut self,
        now: Now,
        upstream: usize,
        (channel_id, sequence_number, code): (u32, u32, String),
        out: &mut Vec<Action>,
    ) {
        let Some(channel) = self.upstreams[upstream].channels.get_mut(&channel_id) else {
            return;
        };
        let Some(share) = channel.unanswered.rejected(sequence_number) else {
            return;
        };
        let current = channel.assignment.as_ref();
        let current = current.filter(|current| current.job_id == share.job_id);
        let meets = |current: &Arc<Assignment>| Target::from_le_bytes(share.hash) <= current.target;
        let is_good = current.is_some_and(meets);
        // On regtest a block may well miss the channel's target: it is sent all the same.
        let is_mere_block = current.is_some() && !is_good;
        out.push(Action::Fate(share.slot, Fate::Rejected(code.clone())));
        let reason = format!("it rejects valid shares: {code}");
        out.push(Action::Report(Report::Rejected {
            upstream,
            code,
            is_mere_block,
        }));
        if is_good && self.ranking.rejected(upstream) {
            // It stays connected: it may be the only one there is.
            self.ranking.failed(upstream, now.instant, &reason);
            out.push(Action::Report(Report::Failed { upstream, reason }));
        }
    }
}
