//! The server's half of the mining protocol, for one connection (SV2 chapter 5).
//!
//! [`MiningServer`] holds the channels of one client and is stepped by that client's messages and
//! by what its role tells it ([`ServerInput`]). A pool and a job declarator client serve their miners
//! with the same code.
//!
//! Channels of a connection whose blocks pay the same form a group, unless the client requires
//! standard jobs. A group gets one job and one SetNewPrevHash for all its members; a channel that is
//! opened later gets its own first job, and takes part in what is sent to the group from then on.

mod acknowledgement;
mod channel;
mod custom;
mod difficulty;
mod draft;
mod event;
mod extranonce;
mod fanout;
mod group;
mod job;
mod limits;
mod negotiation;
mod open;
mod shares;
mod submission;
mod verdict;
mod worker;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bitcoin::Network;
use stratum_core::mining_sv2::{CloseChannel, UpdateChannel, UpdateChannelErrorOwned};

use crate::core::{Core, Now, Outbox};
use crate::error_code::{self, ErrorCode};
use crate::extension::{self, Extensions, Granted};
use crate::frame::Frame;
use crate::message::{self, AnyMessage, Mining, MiningOwned, Received, text};
use crate::setup;
use crate::target::Target;
use crate::token::Secret;
use crate::work::Work;

use acknowledgement::Acknowledgements;
use channel::Channel;
use custom::CustomWork;
use fanout::Announced;
use group::Group;
use submission::Submission;

pub use acknowledgement::Acknowledge;
pub use channel::{ChannelKind, VERSION_ROLLING_MASK};
pub use custom::MAX_PENDING_CUSTOM_JOBS;
pub use event::{ServerEvent, ServerInput};
pub use extranonce::{Extranonce, ExtranonceSpace, ExtranonceTooLong, MAX_EXTRANONCE};
pub use limits::Limit;
pub use verdict::{Accepted, Block, CustomBlock, JobSource, Share, Solution, Verdict};
pub use worker::Worker;

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

/// The id of those whom the pool pays later; channels and other groups count from the next one on.
const GROUP_ID: u32 = 1;

/// What a server wants of its miners.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Wanted from each channel.
    pub shares_per_minute: f64,
    /// Accepted shares per acknowledgement.
    pub share_batch_size: u32,
    /// After this time an accepted share's batch is complete, however small it is.
    pub ack_delay: Duration,
    /// When complete batches are acknowledged.
    pub acknowledge: Acknowledge,
    /// Jobs on the current tip that a channel can still submit shares for.
    pub max_jobs: usize,
    /// Channels a connection may have at once.
    pub max_channels: usize,
    /// Whether targets follow the shares that miners find, and not only what they declare.
    pub vardiff: bool,
    /// What job tokens are made with; without it no custom jobs are taken.
    pub job_declaration: Option<Secret>,
    /// Of the addresses that channels ask to be paid to. `None` pays nobody but the server, whatever
    /// a channel is called.
    pub network: Option<Network>,
    /// What may be negotiated.
    pub extensions: Extensions,
    /// A connection without channels is closed after this time without a message.
    pub idle: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            shares_per_minute: 6.0,
            share_batch_size: 10,
            ack_delay: Duration::from_secs(1),
            acknowledge: Acknowledge::default(),
            max_jobs: 10,
            max_channels: 10_000,
            vardiff: true,
            job_declaration: None,
            network: Some(Network::Regtest),
            extensions: Extensions::default(),
            idle: Duration::from_secs(300),
        }
    }
}

type Out = Outbox<ServerEvent>;

/// The channels of one client.
#[derive(Debug)]
pub struct MiningServer {
    policy: Arc<Policy>,
    flags: u32,
    space: ExtranonceSpace,
    work: Work,
    channels: BTreeMap<u32, Channel>,
    groups: BTreeMap<u32, Group>,
    next_channel_id: u32,
    next_job_id: u32,
    next_index: u16,
    /// Indices of closed channels, to be used again only when there is no fresh one left.
    free_indices: VecDeque<u16>,
    announced: Vec<Announced>,
    acknowledgements: Acknowledgements,
    /// The earliest deadline of any channel's vardiff, or earlier than that.
    vardiff_due: Option<Instant>,
    /// When the tip was first worked on, or earlier.
    tip_since: Option<Instant>,
    /// When the client last said something.
    heard: Option<Instant>,
    granted: Granted,
    custom: CustomWork,
}

impl MiningServer {
    /// For a client that set up with `flags`. No other connection whose miners work on the same
    /// coinbase may have a part of `space`, and the coinbases of all work must have room for it.
    pub fn new(policy: Arc<Policy>, flags: u32, space: ExtranonceSpace, work: Work) -> Self {
        Self {
            acknowledgements: Acknowledgements::new(policy.acknowledge),
            policy,
            flags,
            space,
            work,
            channels: BTreeMap::new(),
            groups: BTreeMap::from([(GROUP_ID, Group::default())]),
            next_channel_id: GROUP_ID + 1,
            next_job_id: 1,
            next_index: 0,
            free_indices: VecDeque::new(),
            announced: Vec::new(),
            vardiff_due: None,
            tip_since: None,
            heard: None,
            granted: Granted::default(),
            custom: CustomWork::default(),
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
            Mining::OpenStandardMiningChannel(request) => self.open(now, &request.into(), out),
            Mining::OpenExtendedMiningChannel(request) => self.open(now, &request.into(), out),
            Mining::UpdateChannel(request) => self.update(now, &request, out),
            Mining::CloseChannel(request) => self.close(&request, out),
            Mining::SetCustomMiningJob(request) => self.set_custom_job(now, &request, out),
            other => out.event(ServerEvent::Ignored(other.to_string())),
        }
    }

    fn update(&mut self, now: Now, request: &UpdateChannel<'_>, out: &mut Out) {
        let max_target = Target::from_le_bytes(*request.maximum_target.as_array());
        let hash_rate = request.nominal_hash_rate;
        let updated = match self.channels.get_mut(&request.channel_id) {
            None => Err(error_code::INVALID_CHANNEL_ID),
            Some(channel) => self
                .policy
                .target(hash_rate, max_target)
                .map(|target| (channel, target)),
        };
        match updated {
            // SV2 5.3.8: success has no answer of its own.
            Ok((channel, target)) => {
                channel.max_target = max_target;
                self.redeclare(now, request.channel_id, (hash_rate, target), out);
            }
            Err(code) => out.send(MiningOwned::UpdateChannelError(UpdateChannelErrorOwned {
                channel_id: request.channel_id,
                error_code: text(code),
            })),
        }
    }

    /// SV2 5.3.9: the group's id closes every member; there is no answer.
    fn close(&mut self, request: &CloseChannel<'_>, out: &mut Out) {
        let closed = request.channel_id;
        let channels = self.channels.values();
        let ids: Vec<u32> = channels
            .filter(|channel| channel.id == closed || channel.group_id == closed)
            .map(|channel| channel.id)
            .collect();
        for id in ids {
            if let Some(channel) = self.channels.remove(&id) {
                self.acknowledgements.forget(&channel.batch);
                self.release(&channel);
                out.event(ServerEvent::Closed { channel_id: id });
            }
        }
    }
}

impl Core for MiningServer {
    type Input = ServerInput;
    type Event = ServerEvent;

    fn received(&mut self, now: Now, frame: Frame<'_>, out: &mut Out) {
        self.tip_since.get_or_insert(now.instant);
        self.heard = Some(now.instant);
        if frame.header.extension == extension::NEGOTIATION {
            return self.negotiate(frame, out);
        }
        if let Some(missing) = self.policy.extensions.missing(&self.granted) {
            let reason = format!("extension {missing} is required and was not negotiated");
            return self.exceeded(Limit::Extension, &reason, out);
        }
        let names_workers = self.granted.has(extension::WORKER_TRACKING);
        if let Some(submission) = Submission::read(&frame, names_workers) {
            return match submission {
                Ok(submission) => self.submit(now, &submission, out),
                Err(error) => out.close(error.to_string()),
            };
        }
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

    fn input(&mut self, now: Now, input: ServerInput, out: &mut Out) {
        match input {
            ServerInput::Work(work) => {
                let before = Arc::clone(&self.work.prev_hash);
                let is_new = !Arc::ptr_eq(&before, &work.prev_hash);
                if is_new {
                    self.tip_since = Some(now.instant);
                }
                self.apply(&work, out);
                if is_new {
                    self.tip_changed(now, before);
                }
            }
            ServerInput::Recorded(number) => {
                let is_open = |id| self.channels.contains_key(&id);
                self.acknowledgements.recorded(number, is_open, out);
            }
            ServerInput::Space(space) => self.move_to(space, out),
            ServerInput::TokenSpent { id, is_first } => self.token_spent(now, id, is_first, out),
            ServerInput::GoOn => {}
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let dues = [
            self.acknowledgements.due,
            self.vardiff_due,
            self.custom.due,
            self.idle_due(),
        ];
        dues.into_iter().flatten().min()
    }

    fn wake(&mut self, now: Now, out: &mut Out) {
        let channels = self.channels.iter_mut();
        let batches = channels.map(|(id, channel)| (*id, &mut channel.batch));
        self.acknowledgements.wake(now.instant, batches, out);
        if self.custom.due.is_some_and(|due| due <= now.instant) {
            self.end_jobs_off_tip(now);
        }
        self.watch_silence(now, out);
        self.close_if_idle(now, out);
    }
}

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

#[cfg(test)]
mod tests;
