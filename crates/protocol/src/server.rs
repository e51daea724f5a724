//! The server's half of the mining protocol, for one connection (SV2 chapter 5).
//!
//! [`MiningServer`] holds the channels of one client and is stepped by that client's messages and
//! by new [`Work`]. A pool and a job declarator client serve their miners with the same code.
//!
//! Channels of a connection form one group, unless the client requires standard jobs. A group gets
//! one job and one SetNewPrevHash for all its members; a channel that is opened later gets its own
//! first job, and takes part in what is sent to the group from then on.

mod channel;
mod fanout;
mod open;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use stratum_core::mining_sv2::{
    CloseChannel, SetCustomMiningJob, SetCustomMiningJobErrorOwned, SetTargetOwned,
    SubmitSharesErrorOwned, SubmitSharesExtended, SubmitSharesStandard, SubmitSharesSuccess,
    UpdateChannel, UpdateChannelErrorOwned,
};

use crate::core::{Core, Now, Outbox};
use crate::error_code::{self, ErrorCode};
use crate::frame::Frame;
use crate::message::{self, AnyMessage, Mining, MiningOwned, Received, text};
use crate::setup;
use crate::target::Target;
use crate::work::Work;

use channel::{Batch, Channel};
use fanout::Announced;

pub use channel::{Accepted, ChannelKind, Share, Solution, VERSION_ROLLING_MASK, Verdict};

/// The flags of SetupConnection that this half of the protocol satisfies.
pub const SUPPORTED_FLAGS: u32 = setup::REQUIRES_STANDARD_JOBS
    | setup::REQUIRES_WORK_SELECTION
    | setup::REQUIRES_VERSION_ROLLING;

/// The flags to answer a client's with: who selects work needs extended channels.
pub fn success_flags(client: u32) -> u32 {
    if client & setup::REQUIRES_WORK_SELECTION != 0 {
        setup::REQUIRES_EXTENDED_CHANNELS
    } else {
        0
    }
}

/// Bytes that tell the server's connections apart: server id and slot.
pub const CONNECTION_PREFIX_LEN: usize = 4;
/// Bytes that tell a connection's channels apart.
const CHANNEL_INDEX_LEN: usize = 2;
/// Bytes left to an extended channel's miner.
pub const ROLLABLE_EXTRANONCE_LEN: usize = 16;
/// Bytes of the whole extranonce. The same for every channel, so that all fit one group: the
/// coinbase prefix a group gets contains the length of the scriptSig (T-12).
pub const EXTRANONCE_LEN: usize =
    CONNECTION_PREFIX_LEN + CHANNEL_INDEX_LEN + ROLLABLE_EXTRANONCE_LEN;

/// The group's id; channels count from the next one on.
const GROUP_ID: u32 = 1;

/// What a server wants of its miners.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// Wanted from each channel.
    pub shares_per_minute: f64,
    /// Accepted shares per acknowledgement.
    pub share_batch_size: u32,
    /// An accepted share waits for its acknowledgement at most this long.
    pub ack_delay: Duration,
    /// Jobs on the current tip that a channel can still submit shares for.
    pub max_jobs: usize,
    /// Channels a connection may have at once.
    pub max_channels: usize,
}

/// What happens on a connection.
#[derive(Debug)]
pub enum ServerEvent {
    /// A channel was opened.
    Opened {
        /// Its id on this connection.
        channel_id: u32,
        /// Whom the client says it is for.
        user_identity: String,
        /// Its kind.
        kind: ChannelKind,
        /// Its first target.
        target: Target,
    },
    /// A channel was not opened.
    OpenRefused(ErrorCode),
    /// A channel is gone.
    Closed {
        /// Its id on this connection.
        channel_id: u32,
    },
    /// A share was accepted.
    Accepted {
        /// The channel.
        channel_id: u32,
        /// The job on that channel.
        job_id: u32,
        /// Hash and worth.
        share: Accepted,
    },
    /// A share was rejected.
    Rejected {
        /// What the client called the channel.
        channel_id: u32,
        /// What the client called the job.
        job_id: u32,
        /// Why.
        code: ErrorCode,
    },
    /// A share is a block. It must reach the node, whatever becomes of the share.
    Block {
        /// The channel.
        channel_id: u32,
        /// The job on that channel.
        job_id: u32,
        /// Whom the channel is for.
        user_identity: String,
        /// The block.
        solution: Solution,
    },
    /// A message that means nothing here was ignored.
    Ignored(String),
}

type Out = Outbox<ServerEvent>;

/// The channels of one client.
#[derive(Debug)]
pub struct MiningServer {
    policy: Arc<Policy>,
    flags: u32,
    connection_prefix: [u8; CONNECTION_PREFIX_LEN],
    work: Work,
    channels: BTreeMap<u32, Channel>,
    next_channel_id: u32,
    next_job_id: u32,
    next_index: u16,
    /// Indices of closed channels, to be used again only when there is no fresh one left.
    free_indices: VecDeque<u16>,
    announced: Vec<Announced>,
    ack_due: Option<Instant>,
}

impl MiningServer {
    /// For a client that set up with `flags`. `connection_prefix` must differ from that of every
    /// other connection whose miners work on the same coinbase.
    pub fn new(
        policy: Arc<Policy>,
        flags: u32,
        connection_prefix: [u8; CONNECTION_PREFIX_LEN],
        work: Work,
    ) -> Self {
        Self {
            policy,
            flags,
            connection_prefix,
            work,
            channels: BTreeMap::new(),
            next_channel_id: GROUP_ID + 1,
            next_job_id: 1,
            next_index: 0,
            free_indices: VecDeque::new(),
            announced: Vec::new(),
            ack_due: None,
        }
    }

    /// Channels open now.
    pub fn channels(&self) -> usize {
        self.channels.len()
    }

    fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    fn mining(&mut self, now: Now, message: Mining<'_>, out: &mut Out) {
        match message {
            Mining::OpenStandardMiningChannel(request) => self.open(&request.into(), out),
            Mining::OpenExtendedMiningChannel(request) => self.open(&request.into(), out),
            Mining::UpdateChannel(request) => self.update(&request, out),
            Mining::CloseChannel(request) => self.close(&request, out),
            Mining::SubmitSharesStandard(share) => self.submit(now, &(&share).into(), out),
            Mining::SubmitSharesExtended(share) => self.submit(now, &(&share).into(), out),
            Mining::SetCustomMiningJob(request) => refuse_custom_job(&request, out),
            other => out.event(ServerEvent::Ignored(other.to_string())),
        }
    }

    fn submit(&mut self, now: Now, submission: &Submission<'_>, out: &mut Out) {
        let Submission {
            channel_id,
            sequence_number,
            is_standard,
            share,
        } = *submission;
        let channel = self
            .channels
            .get_mut(&channel_id)
            .filter(|channel| is_standard == (channel.kind == ChannelKind::Standard));
        let Some(channel) = channel else {
            let code = error_code::INVALID_CHANNEL_ID;
            reject(submission, code, out);
            return;
        };
        let Verdict {
            share: judged,
            block,
        } = channel.judge(share, now.unix);
        let is_block = block.is_some();
        if let Some(solution) = block {
            out.event(ServerEvent::Block {
                channel_id,
                job_id: share.job_id,
                user_identity: channel.user_identity.clone(),
                solution,
            });
        }
        match judged {
            Ok(accepted) => {
                let batch = &mut channel.batch;
                batch.count += 1;
                batch.last_sequence_number = sequence_number;
                batch.difficulty += accepted.hashes / HASHES_PER_DIFFICULTY;
                if is_block || batch.count >= self.policy.share_batch_size {
                    acknowledge(channel_id, batch, out);
                } else if self.ack_due.is_none() {
                    self.ack_due = Some(now.instant + self.policy.ack_delay);
                }
                out.event(ServerEvent::Accepted {
                    channel_id,
                    job_id: share.job_id,
                    share: accepted,
                });
            }
            Err(code) => reject(submission, code, out),
        }
        if channel.is_exhausted() {
            out.close("more shares on one tip than can be told apart");
        }
    }

    fn update(&mut self, request: &UpdateChannel<'_>, out: &mut Out) {
        let max_target = Target::from_le_bytes(*request.maximum_target.as_array());
        let updated = match self.channels.get_mut(&request.channel_id) {
            None => Err(error_code::INVALID_CHANNEL_ID),
            Some(channel) => self
                .policy
                .target(request.nominal_hash_rate, max_target)
                .map(|target| (channel, target)),
        };
        match updated {
            Ok((channel, target)) => {
                channel.max_target = max_target;
                // SV2 5.3.8: success has no answer of its own.
                if channel.target != target {
                    channel.target = target;
                    out.send(MiningOwned::SetTarget(SetTargetOwned {
                        channel_id: channel.id,
                        maximum_target: target.to_le_bytes().into(),
                    }));
                }
            }
            Err(code) => out.send(MiningOwned::UpdateChannelError(UpdateChannelErrorOwned {
                channel_id: request.channel_id,
                error_code: text(code),
            })),
        }
    }

    /// SV2 5.3.9: the group's id closes every member; there is no answer.
    fn close(&mut self, request: &CloseChannel<'_>, out: &mut Out) {
        let ids: Vec<u32> = match request.channel_id {
            GROUP_ID => self.channels.keys().copied().collect(),
            id => vec![id],
        };
        for id in ids {
            if let Some(channel) = self.channels.remove(&id) {
                self.release(&channel);
                out.event(ServerEvent::Closed { channel_id: id });
            }
        }
    }
}

impl Core for MiningServer {
    type Input = Work;
    type Event = ServerEvent;

    fn received(&mut self, now: Now, frame: Frame<'_>, out: &mut Out) {
        match message::decode(frame) {
            Ok(Received::Message(AnyMessage::Mining(message))) => self.mining(now, message, out),
            Ok(Received::Message(other)) => {
                out.close(format!("a message of another protocol: {other}"));
            }
            // SV2 3.4.1: unknown extensions are ignored; unknown types are treated alike.
            Ok(Received::Unknown {
                extension,
                msg_type,
            }) => out.event(ServerEvent::Ignored(format!(
                "type 0x{msg_type:02x} of extension {extension}"
            ))),
            Err(error) => out.close(error.to_string()),
        }
    }

    fn input(&mut self, _now: Now, work: Work, out: &mut Out) {
        self.apply(&work, out);
    }

    fn deadline(&self) -> Option<Instant> {
        self.ack_due
    }

    fn wake(&mut self, now: Now, out: &mut Out) {
        if self.ack_due.is_some_and(|due| due <= now.instant) {
            self.ack_due = None;
            for (id, channel) in &mut self.channels {
                acknowledge(*id, &mut channel.batch, out);
            }
        }
    }
}

/// Hashes that a share of difficulty 1 stands for.
const HASHES_PER_DIFFICULTY: f64 = 4_295_032_833.0;

impl Policy {
    /// The target for a hash rate, no easier than the client can take (SV2 5.3.2).
    fn target(&self, hash_rate: f32, max_target: Target) -> Result<Target, ErrorCode> {
        if max_target.is_zero() {
            return Err(error_code::MAX_TARGET_OUT_OF_RANGE);
        }
        let hashes = f64::from(hash_rate) * 60.0 / self.shares_per_minute;
        Target::one_in(hashes)
            .map(|target| target.min(max_target))
            .ok_or(error_code::INVALID_NOMINAL_HASHRATE)
    }
}

/// One of the two messages that bring a share.
struct Submission<'a> {
    channel_id: u32,
    sequence_number: u32,
    is_standard: bool,
    share: Share<'a>,
}

impl<'a> From<&'a SubmitSharesStandard> for Submission<'a> {
    fn from(message: &'a SubmitSharesStandard) -> Self {
        Self {
            channel_id: message.channel_id,
            sequence_number: message.sequence_number,
            is_standard: true,
            share: Share {
                job_id: message.job_id,
                nonce: message.nonce,
                ntime: message.ntime,
                version: message.version,
                extranonce: &[],
            },
        }
    }
}

impl<'a> From<&'a SubmitSharesExtended<'a>> for Submission<'a> {
    fn from(message: &'a SubmitSharesExtended<'a>) -> Self {
        Self {
            channel_id: message.channel_id,
            sequence_number: message.sequence_number,
            is_standard: false,
            share: Share {
                job_id: message.job_id,
                nonce: message.nonce,
                ntime: message.ntime,
                version: message.version,
                extranonce: message.extranonce.as_bytes(),
            },
        }
    }
}

/// SV2 5.3.14: every incorrect share is answered at once, with its own sequence number.
fn reject(submission: &Submission<'_>, code: ErrorCode, out: &mut Out) {
    out.send(MiningOwned::SubmitSharesError(SubmitSharesErrorOwned {
        channel_id: submission.channel_id,
        sequence_number: submission.sequence_number,
        error_code: text(code),
    }));
    out.event(ServerEvent::Rejected {
        channel_id: submission.channel_id,
        job_id: submission.share.job_id,
        code,
    });
}

/// SV2 5.3.13: counts and sums what was accepted since the last acknowledgement.
fn acknowledge(channel_id: u32, batch: &mut Batch, out: &mut Out) {
    if batch.count == 0 {
        return;
    }
    let whole = batch.difficulty.floor();
    out.send(MiningOwned::SubmitSharesSuccess(SubmitSharesSuccess {
        channel_id,
        last_sequence_number: batch.last_sequence_number,
        new_submits_accepted_count: batch.count,
        new_shares_sum: whole as u64,
    }));
    batch.count = 0;
    batch.difficulty -= whole;
}

fn refuse_custom_job(request: &SetCustomMiningJob<'_>, out: &mut Out) {
    out.send(MiningOwned::SetCustomMiningJobError(
        SetCustomMiningJobErrorOwned {
            channel_id: request.channel_id,
            request_id: request.request_id,
            error_code: text(error_code::JD_NOT_SUPPORTED),
        },
    ));
}

#[cfg(test)]
mod tests;
