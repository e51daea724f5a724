//! Custom jobs: work that the client selects itself (SV2 5.3.18 to 5.3.20).
//!
//! What a token permits is checked here; that it is used once only is for the role to say, since
//! another connection may be shown the same one. Meanwhile the job waits.
//!
//! Client and server hear of new blocks from different nodes, so for a moment one of them is ahead.
//! A job is judged by its own previous block (T-39): one for the tip that we have just left, or for
//! one that we do not know yet, is good for a while, and for as long as it is the tip once we know it.

mod examination;

use std::sync::Arc;
use std::time::{Duration, Instant};

use stratum_core::mining_sv2::{
    SetCustomMiningJob, SetCustomMiningJobErrorOwned, SetCustomMiningJobSuccess,
};

use super::channel::ChannelKind;
use super::difficulty::earlier;
use super::draft::Draft;
use super::{MiningServer, Out, ServerEvent};
use crate::core::Now;
use crate::error_code::{self, ErrorCode};
use crate::message::{MiningOwned, text};
use crate::setup;
use crate::token::Token;
use crate::work::PrevHash;

/// How long a job for another tip than ours stays good.
const OFF_TIP: Duration = Duration::from_secs(10);
/// Jobs of a connection whose tokens are being spent; further ones are refused.
pub const MAX_PENDING_CUSTOM_JOBS: usize = 16;
/// A connection's custom jobs, as far as its channels do not know of them.
#[derive(Debug, Default)]
pub(super) struct CustomWork {
    pending: Vec<Pending>,
    /// The tip before ours, and when it was left.
    left: Option<(Arc<PrevHash>, Instant)>,
    /// Since when, on this tip of ours, there is a job for one that we do not know.
    ahead_since: Option<Instant>,
    /// When the next job off our tip ends.
    pub(super) due: Option<Instant>,
}

/// A job that is good if its token is.
#[derive(Debug)]
struct Pending {
    token: [u8; 16],
    request_id: u32,
    /// A channel or a group.
    address: u32,
    job: ReadyJob,
}

#[derive(Debug)]
struct ReadyJob {
    draft: Draft,
    prev_hash: Arc<PrevHash>,
}

impl MiningServer {
    pub(super) fn set_custom_job(
        &mut self,
        now: Now,
        request: &SetCustomMiningJob<'_>,
        out: &mut Out,
    ) {
        let (address, request_id) = (request.channel_id, request.request_id);
        match self.examine(now, request) {
            Ok((token, job)) => {
                let Token { id, expires, .. } = token;
                self.custom.pending.push(Pending {
                    token: id,
                    request_id,
                    address,
                    job,
                });
                out.event(ServerEvent::TokenShown { id, expires });
            }
            Err(code) => refuse(address, request_id, code, out),
        }
    }

    /// The role says whether a token was used before. Answers come in the order of the events.
    pub(super) fn token_spent(&mut self, now: Now, id: [u8; 16], is_first: bool, out: &mut Out) {
        let mut pending = self.custom.pending.iter();
        let Some(at) = pending.position(|pending| pending.token == id) else {
            return;
        };
        let Pending {
            request_id,
            address,
            job,
            ..
        } = self.custom.pending.remove(at);
        let members = self.extended(address);
        let code = if !is_first {
            error_code::INVALID_MINING_JOB_TOKEN
        } else if members.is_empty() {
            error_code::INVALID_CHANNEL_ID
        } else if self.is_stale(now, &members, &job.prev_hash.prev_hash) {
            error_code::STALE_CHAIN_TIP
        } else {
            let job_id = self.install(now, &members, &job);
            out.send(MiningOwned::SetCustomMiningJobSuccess(
                SetCustomMiningJobSuccess {
                    channel_id: address,
                    request_id,
                    job_id,
                },
            ));
            return out.event(ServerEvent::CustomJobSet {
                channel_id: address,
                job_id,
                prev_hash: job.prev_hash.prev_hash,
                height: job.draft.height(),
            });
        };
        refuse(address, request_id, code, out);
    }

    /// Whether a job comes too late for its tip.
    fn is_stale(&self, now: Now, members: &[u32], prev_hash: &[u8; 32]) -> bool {
        let is_past = self.work.past.contains(prev_hash);
        is_past && self.just_left(now, members, prev_hash).is_none()
    }

    /// The tip of that hash, if we have just left it and the client has not.
    ///
    /// Clients mine on a job before we have it (SV2 6.3). When they find its block, that is our tip
    /// at once, and they have shares for a job that we have yet to be asked for: it is taken, as
    /// others on that tip stay good. From a client that has jobs on a newer tip it would end those.
    pub(super) fn just_left(
        &self,
        now: Now,
        members: &[u32],
        prev_hash: &[u8; 32],
    ) -> Option<&Arc<PrevHash>> {
        let (tip, since) = self.custom.left.as_ref()?;
        let is_it = tip.prev_hash == *prev_hash && now.instant < *since + OFF_TIP;
        let tips = members.iter().map(|id| self.channels.get(id)?.mined_tip());
        let has_gone_on = tips.flatten().any(|tip| !self.work.past.contains(&tip));
        (is_it && !has_gone_on).then_some(tip)
    }

    fn install(&mut self, now: Now, members: &[u32], job: &ReadyJob) -> u32 {
        let job_id = self.next_job_id();
        for id in members {
            let Some(mut channel) = self.channels.remove(id) else {
                continue;
            };
            channel.add_custom(job_id, &job.draft, &job.prev_hash);
            if channel.vardiff.is_none() {
                let declared = channel.declared;
                self.watch(now, &mut channel, declared);
            }
            self.channels.insert(*id, channel);
        }
        self.end_jobs_off_tip(now);
        job_id
    }

    /// The tip has changed, or was only told again.
    pub(super) fn tip_changed(&mut self, now: Now, before: Arc<PrevHash>) {
        if before.prev_hash != self.work.prev_hash.prev_hash {
            self.custom.left = Some((before, now.instant));
        }
        self.custom.ahead_since = None;
        self.end_jobs_off_tip(now);
    }

    /// Ends the jobs that are not for our tip and have had their time.
    pub(super) fn end_jobs_off_tip(&mut self, now: Now) {
        self.custom.due = None;
        if !self.has(setup::REQUIRES_WORK_SELECTION) {
            return;
        }
        for channel in self.channels.values_mut() {
            let tip = channel.mined_tip();
            let Some(tip) = tip.filter(|tip| *tip != self.work.prev_hash.prev_hash) else {
                continue;
            };
            let since = if self.work.past.contains(&tip) {
                self.tip_since.unwrap_or(now.instant)
            } else {
                *self.custom.ahead_since.get_or_insert(now.instant)
            };
            let end = since + OFF_TIP;
            if end <= now.instant {
                channel.end_jobs();
            } else {
                self.custom.due = earlier(self.custom.due, Some(end));
            }
        }
    }

    /// The extended channels that an id stands for: one, or those of a group.
    fn extended(&self, address: u32) -> Vec<u32> {
        let channels = self.channels.values();
        let addressed = channels.filter(|channel| {
            channel.kind != ChannelKind::Standard
                && (channel.id == address || channel.group_id == address)
        });
        addressed.map(|channel| channel.id).collect()
    }
}

fn refuse(channel_id: u32, request_id: u32, code: ErrorCode, out: &mut Out) {
    out.send(MiningOwned::SetCustomMiningJobError(
        SetCustomMiningJobErrorOwned {
            channel_id,
            request_id,
            error_code: text(code),
        },
    ));
    out.event(ServerEvent::CustomJobRefused { channel_id, code });
}
