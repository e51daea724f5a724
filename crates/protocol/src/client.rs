//! The client's half of the mining protocol, for one connection (SV2 chapter 5).
//!
//! [`MiningClient`] opens channels and follows the server's messages; its events say what each
//! channel is to mine. The shares found come back as inputs. It does no hashing itself.
//!
//! A device asks for all its channels at once. A proxy is connected for longer than any of its
//! miners: it is [lasting](MiningClient::lasting), opens and closes channels as they come and go, and
//! says what they do together.

mod channel;
mod negotiation;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use stratum_core::mining_sv2::{
    CloseChannelOwned, OpenExtendedMiningChannelOwned, OpenStandardMiningChannelOwned,
    SubmitSharesExtendedOwned, SubmitSharesStandard, UpdateChannelOwned,
};

use crate::core::{Core, Now, Outbox};
use crate::error_code::ErrorCode;
use crate::extension::{self, Extensions, Granted};
use crate::frame::Frame;
use crate::message::{self, AnyMessage, CommonMessages, Mining, MiningOwned, Received, text};
use crate::server::MAX_EXTRANONCE;
use crate::setup::{REQUIRES_EXTENDED_CHANNELS, REQUIRES_FIXED_VERSION};
use crate::target::Target;

use channel::Channel;

pub use channel::{Assignment, MerkleSource};

/// A channel to open.
#[derive(Debug, Clone, PartialEq)]
pub struct ChannelRequest {
    /// Whom its shares are for.
    pub user_identity: String,
    /// Hashes a second, as told to the server.
    pub nominal_hash_rate: f32,
    /// The easiest target that is of use.
    pub max_target: Target,
    /// `None` for a standard channel, otherwise the extranonce bytes needed at least.
    pub min_extranonce_size: Option<u16>,
}

/// A share that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundShare {
    /// The channel it is for.
    pub channel_id: u32,
    /// The job it is for.
    pub job_id: u32,
    /// Header field.
    pub nonce: u32,
    /// Header field.
    pub ntime: u32,
    /// Header field, whole.
    pub version: u32,
    /// Exactly as long as the assignment asked for.
    pub extranonce: Vec<u8>,
    /// The block hash, in header order; not sent, the server computes it anew.
    pub hash: [u8; 32],
    /// Who found it, for servers that tell workers apart (extension 0x0002).
    pub worker: Option<Arc<str>>,
    /// Whose it is in the caller's own terms; not sent.
    pub origin: u64,
}

/// What the role tells the client.
#[derive(Debug, Clone, PartialEq)]
pub enum ClientInput {
    /// Ask for one more channel. Requests are numbered in the order in which they are given.
    Open(ChannelRequest),
    /// Say what the miners of a channel do now, and the easiest target they take (SV2 5.3.7).
    Update {
        /// The channel.
        channel_id: u32,
        /// Hashes a second.
        nominal_hash_rate: f32,
        /// What no later target may exceed.
        max_target: Target,
    },
    /// Nobody mines on a channel any more (SV2 5.3.9).
    Close {
        /// The channel.
        channel_id: u32,
    },
    /// Submit a share, unless its job has ended.
    Share(FoundShare),
    /// Close every channel and the connection (SV2 5.3.9).
    Leave,
}

/// What happens on the connection.
#[derive(Debug)]
pub enum ClientEvent {
    /// A channel is open; its first assignment follows.
    Opened {
        /// Which request.
        request: usize,
        /// The server's id of it.
        channel_id: u32,
        /// Its first target.
        target: Target,
        /// Bytes of the extranonce that are free to choose.
        extranonce_size: usize,
    },
    /// The server does not open a channel.
    OpenRefused {
        /// Which request.
        request: usize,
        /// The server's reason.
        code: String,
    },
    /// From now on the channel mines this, and nothing else.
    Mine(Arc<Assignment>),
    /// From now on the channel mines nothing.
    Rest {
        /// The channel.
        channel_id: u32,
    },
    /// The server closed a channel.
    Closed {
        /// The channel.
        channel_id: u32,
        /// The server's reason.
        reason: String,
    },
    /// A share was sent.
    Submitted {
        /// The share.
        share: FoundShare,
        /// Its number on its channel.
        sequence_number: u32,
    },
    /// A share was not sent: its tip was replaced or its channel closed meanwhile.
    Late(FoundShare),
    /// The server accepted so many shares.
    Accepted {
        /// The channel.
        channel_id: u32,
        /// Since the last acknowledgement.
        count: u32,
        /// The newest one it has accepted.
        last_sequence_number: u32,
    },
    /// The server rejected a share.
    Rejected {
        /// The channel.
        channel_id: u32,
        /// Which share.
        sequence_number: u32,
        /// Its reason.
        code: String,
    },
    /// The server asks to connect elsewhere (SV2 3.6.5): empty host and port 0 mean the same.
    Reconnect {
        /// The new host.
        host: String,
        /// The new port.
        port: u16,
    },
    /// A message that means nothing here was ignored.
    Ignored(String),
}

type Out = Outbox<ClientEvent>;

/// The channels of one client.
#[derive(Debug)]
pub struct MiningClient {
    server_flags: u32,
    channels: BTreeMap<u32, Channel>,
    /// Requests without an answer, by their number.
    unanswered: BTreeMap<u32, ChannelRequest>,
    next_request: u32,
    is_lasting: bool,
    extensions: Extensions,
    granted: Granted,
    /// Until when an answer to RequestExtensions is waited for, and nothing else is asked.
    negotiating: Option<Instant>,
}

impl MiningClient {
    /// For a connection whose server answered SetupConnection with `server_flags`.
    pub fn new(requests: Vec<ChannelRequest>, server_flags: u32) -> Self {
        Self {
            server_flags,
            channels: BTreeMap::new(),
            next_request: requests.len() as u32,
            unanswered: (0u32..).zip(requests).collect(),
            is_lasting: false,
            extensions: Extensions {
                supported: Vec::new(),
                required: Vec::new(),
            },
            granted: Granted::default(),
            negotiating: None,
        }
    }

    /// For a connection that is worth keeping without a channel, whose client wants `extensions`.
    pub fn lasting(server_flags: u32, extensions: Extensions) -> Self {
        Self {
            is_lasting: true,
            extensions,
            ..Self::new(Vec::new(), server_flags)
        }
    }

    /// The first frames of the connection: one request per channel, numbered by its place.
    ///
    /// # Errors
    /// The server serves no standard channels and one was asked for.
    pub fn connected(&self) -> Result<Vec<u8>, ErrorCode> {
        let mut frames = Vec::new();
        for (request_id, request) in &self.unanswered {
            message::encode(self.open(*request_id, request)?, &mut frames);
        }
        Ok(frames)
    }

    fn open(&self, request_id: u32, request: &ChannelRequest) -> Result<MiningOwned, ErrorCode> {
        let user_identity = text(&request.user_identity);
        let nominal_hash_rate = request.nominal_hash_rate;
        let max_target = request.max_target.to_le_bytes().into();
        match request.min_extranonce_size {
            None if self.server_flags & REQUIRES_EXTENDED_CHANNELS != 0 => {
                Err("the server requires extended channels")
            }
            None => Ok(MiningOwned::OpenStandardMiningChannel(
                OpenStandardMiningChannelOwned {
                    request_id,
                    user_identity,
                    nominal_hash_rate,
                    max_target,
                },
            )),
            Some(min_extranonce_size) => Ok(MiningOwned::OpenExtendedMiningChannel(
                OpenExtendedMiningChannelOwned {
                    request_id,
                    user_identity,
                    nominal_hash_rate,
                    max_target,
                    min_extranonce_size,
                },
            )),
        }
    }

    /// One more request. It is sent once nothing is negotiated any more.
    fn ask(&mut self, request: ChannelRequest, out: &mut Out) {
        let number = self.next_request;
        self.next_request = number.wrapping_add(1);
        if self.negotiating.is_none() {
            match self.open(number, &request) {
                Ok(message) => out.send(message),
                Err(reason) => out.close(reason),
            }
        }
        self.unanswered.insert(number, request);
    }

    /// The channels a message is addressed to: one, or all of a group. They share one space of ids
    /// (SV2 5.2.3), so none but the one is looked at: a proxy has thousands, each with its messages.
    fn addressed(&mut self, id: u32) -> impl Iterator<Item = &mut Channel> {
        let is_one = self.channels.contains_key(&id);
        let ids = if is_one { id..=id } else { 0..=u32::MAX };
        let channels = self.channels.range_mut(ids).map(|(_, channel)| channel);
        channels.filter(move |channel| is_one || channel.group_id == id)
    }

    fn mining(&mut self, now: Now, message: Mining<'_>, out: &mut Out) {
        match message {
            Mining::OpenStandardMiningChannelSuccess(success) => {
                let channel = Channel::standard(&success);
                self.opened(success.request_id, channel, out);
            }
            Mining::OpenExtendedMiningChannelSuccess(success) => {
                let channel = Channel::extended(&success);
                self.opened(success.request_id, channel, out);
            }
            Mining::OpenMiningChannelError(error) => {
                if self.unanswered.remove(&error.request_id).is_none() {
                    return out.event(ClientEvent::Ignored(error.to_string()));
                }
                out.event(ClientEvent::OpenRefused {
                    request: error.request_id as usize,
                    code: error.error_code.as_utf8_or_hex(),
                });
                // Whoever dials again after a pause may find a server that has changed its mind.
                let is_useless = self.unanswered.is_empty() && self.channels.is_empty();
                if is_useless && !self.is_lasting {
                    out.close("the server opens none of the channels asked for");
                }
            }
            Mining::SubmitSharesSuccess(success) => out.event(ClientEvent::Accepted {
                channel_id: success.channel_id,
                count: success.new_submits_accepted_count,
                last_sequence_number: success.last_sequence_number,
            }),
            Mining::SubmitSharesError(error) => out.event(ClientEvent::Rejected {
                channel_id: error.channel_id,
                sequence_number: error.sequence_number,
                code: error.error_code.as_utf8_or_hex(),
            }),
            Mining::CloseChannel(close) => {
                let ids: Vec<u32> = self.addressed(close.channel_id).map(|c| c.id).collect();
                let reason = close.reason_code.as_utf8_or_hex();
                for channel_id in ids {
                    self.channels.remove(&channel_id);
                    let reason = reason.clone();
                    out.event(ClientEvent::Closed { channel_id, reason });
                }
                if self.channels.is_empty() && !self.is_lasting {
                    out.close("the server closed every channel");
                }
            }
            message => self.work(now, message, out),
        }
    }

    /// The messages that say what to mine, each for one channel or a group.
    fn work(&mut self, now: Now, message: Mining<'_>, out: &mut Out) {
        let fixed_version = self.server_flags & REQUIRES_FIXED_VERSION != 0;
        match message {
            Mining::NewMiningJob(job) => {
                for channel in self.addressed(job.channel_id) {
                    channel.standard_job(now, &job, fixed_version, out);
                }
            }
            Mining::NewExtendedMiningJob(job) => {
                for channel in self.addressed(job.channel_id) {
                    channel.extended_job(now, &job, fixed_version, out);
                }
            }
            Mining::SetNewPrevHash(tip) => {
                for channel in self.addressed(tip.channel_id) {
                    channel.prev_hash(now, &tip, out);
                }
            }
            Mining::SetTarget(message) => {
                let target = Target::from_le_bytes(*message.maximum_target.as_array());
                for channel in self.addressed(message.channel_id) {
                    channel.target = target;
                }
            }
            Mining::SetExtranoncePrefix(message) => {
                let prefix = message.extranonce_prefix.as_bytes();
                // SV2 5.3.10: never addressed to groups.
                if let Some(channel) = self.channels.get_mut(&message.channel_id) {
                    channel.extranonce_prefix = prefix.to_vec();
                    check_extranonce(channel, out);
                }
            }
            Mining::SetGroupChannel(message) => {
                for id in message.channel_ids.iter() {
                    if let Some(channel) = self.channels.get_mut(id) {
                        channel.group_id = message.group_channel_id;
                    }
                }
            }
            other => out.event(ClientEvent::Ignored(other.to_string())),
        }
    }

    fn opened(&mut self, request_id: u32, channel: Channel, out: &mut Out) {
        let request = self.unanswered.get(&request_id);
        let is_asked_for = |request: &ChannelRequest| {
            request.min_extranonce_size.is_none() == channel.is_standard()
                && !self.channels.contains_key(&channel.id)
        };
        if !request.is_some_and(is_asked_for) {
            let what = format!("channel {} for request {request_id}", channel.id);
            return out.event(ClientEvent::Ignored(what));
        }
        self.unanswered.remove(&request_id);
        check_extranonce(&channel, out);
        out.event(ClientEvent::Opened {
            request: request_id as usize,
            channel_id: channel.id,
            target: channel.target,
            extranonce_size: channel.extranonce_size(),
        });
        self.channels.insert(channel.id, channel);
    }

    fn submit(&mut self, share: FoundShare, out: &mut Out) {
        let names_workers = self.names_workers();
        let channel = self.channels.get_mut(&share.channel_id);
        let channel = channel.filter(|channel| channel.is_valid(share.job_id));
        let (Some(channel), Ok(extranonce)) = (channel, share.extranonce.clone().try_into()) else {
            return out.event(ClientEvent::Late(share));
        };
        let sequence_number = channel.next_sequence_number();
        let FoundShare {
            channel_id,
            job_id,
            nonce,
            ntime,
            version,
            ..
        } = share;
        let worker = share.worker.as_deref().filter(|_| names_workers);
        if channel.is_standard() {
            out.send(MiningOwned::SubmitSharesStandard(SubmitSharesStandard {
                channel_id,
                sequence_number,
                job_id,
                nonce,
                ntime,
                version,
            }));
        } else {
            let message = SubmitSharesExtendedOwned {
                channel_id,
                sequence_number,
                job_id,
                nonce,
                ntime,
                version,
                extranonce,
            };
            negotiation::submit(message, worker, out);
        }
        out.event(ClientEvent::Submitted {
            share,
            sequence_number,
        });
    }
}

/// A channel on whose jobs no share could be submitted is worth nothing (SV2 5.3.12).
fn check_extranonce(channel: &Channel, out: &mut Out) {
    let len = channel.extranonce_len();
    if len > MAX_EXTRANONCE {
        out.close(format!(
            "the server gives channel {} an extranonce of {len} bytes; no coinbase has more than \
             {MAX_EXTRANONCE}",
            channel.id
        ));
    }
}

impl Core for MiningClient {
    type Input = ClientInput;
    type Event = ClientEvent;

    fn received(&mut self, now: Now, frame: Frame<'_>, out: &mut Out) {
        if frame.header.extension == extension::NEGOTIATION {
            return self.negotiated(frame, out);
        }
        match message::decode(frame) {
            Ok(Received::Message(AnyMessage::Mining(message))) => self.mining(now, message, out),
            Ok(Received::Message(AnyMessage::Common(CommonMessages::Reconnect(reconnect)))) => {
                out.event(ClientEvent::Reconnect {
                    host: reconnect.new_host.as_utf8_or_hex(),
                    port: reconnect.new_port,
                });
                out.close("the server asked to reconnect");
            }
            Ok(Received::Message(other)) => out.event(ClientEvent::Ignored(other.to_string())),
            Ok(Received::Unknown {
                extension,
                msg_type,
            }) => out.event(ClientEvent::Ignored(format!(
                "type 0x{msg_type:02x} of extension {extension}"
            ))),
            Err(error) => out.close(error.to_string()),
        }
    }

    fn input(&mut self, _now: Now, input: ClientInput, out: &mut Out) {
        match input {
            ClientInput::Open(request) => self.ask(request, out),
            ClientInput::Update {
                channel_id,
                nominal_hash_rate,
                max_target,
            } if self.channels.contains_key(&channel_id) => {
                out.send(MiningOwned::UpdateChannel(UpdateChannelOwned {
                    channel_id,
                    nominal_hash_rate,
                    maximum_target: max_target.to_le_bytes().into(),
                }));
            }
            ClientInput::Close { channel_id } if self.channels.remove(&channel_id).is_some() => {
                close(channel_id, "miner-left", out);
            }
            // The server has closed it meanwhile.
            ClientInput::Update { .. } | ClientInput::Close { .. } => {}
            ClientInput::Share(share) => self.submit(share, out),
            ClientInput::Leave => {
                for channel_id in std::mem::take(&mut self.channels).into_keys() {
                    close(channel_id, "shutdown", out);
                }
                out.close("leaving");
            }
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.negotiating
    }

    fn wake(&mut self, now: Now, out: &mut Out) {
        if self.negotiating.is_some_and(|due| due <= now.instant) {
            self.negotiation_over(out);
        }
    }
}

fn close(channel_id: u32, reason: &str, out: &mut Out) {
    out.send(MiningOwned::CloseChannel(CloseChannelOwned {
        channel_id,
        reason_code: text(reason),
    }));
}

#[cfg(test)]
mod tests;
