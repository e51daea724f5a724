//! Opening channels (SV2 5.3.2 to 5.3.6).

use stratum_core::mining_sv2::{
    OpenExtendedMiningChannel, OpenExtendedMiningChannelSuccessOwned, OpenMiningChannelErrorOwned,
    OpenStandardMiningChannel, OpenStandardMiningChannelSuccessOwned,
};

use super::channel::{Channel, ChannelKind};
use super::group::Group;
use super::{GROUP_ID, Limit, MiningServer, Out, ServerEvent};
use crate::core::Now;
use crate::error_code::{self, ErrorCode};
use crate::message::{MiningOwned, text};
use crate::payout::Payout;
use crate::setup;
use crate::target::Target;

/// One of the two messages that open a channel.
pub(super) struct OpenRequest {
    request_id: u32,
    user_identity: String,
    nominal_hash_rate: f32,
    max_target: Target,
    /// Asked for by extended channels only.
    min_extranonce_size: Option<u16>,
}

impl From<OpenStandardMiningChannel<'_>> for OpenRequest {
    fn from(message: OpenStandardMiningChannel<'_>) -> Self {
        Self {
            request_id: message.request_id,
            user_identity: message.user_identity.as_utf8_or_hex(),
            nominal_hash_rate: message.nominal_hash_rate,
            max_target: Target::from_le_bytes(*message.max_target.as_array()),
            min_extranonce_size: None,
        }
    }
}

impl From<OpenExtendedMiningChannel<'_>> for OpenRequest {
    fn from(message: OpenExtendedMiningChannel<'_>) -> Self {
        Self {
            request_id: message.request_id,
            user_identity: message.user_identity.as_utf8_or_hex(),
            nominal_hash_rate: message.nominal_hash_rate,
            max_target: Target::from_le_bytes(*message.max_target.as_array()),
            min_extranonce_size: Some(message.min_extranonce_size),
        }
    }
}

impl MiningServer {
    /// Opens a channel, or says why not.
    pub(super) fn open(&mut self, now: Now, request: &OpenRequest, out: &mut Out) {
        match self.new_channel(request) {
            Ok(mut channel) => {
                self.watch(now, &mut channel, request.nominal_hash_rate);
                self.announce_channel(&channel, request.request_id, out);
                let id = channel.id;
                self.channels.insert(id, channel);
                self.first_work(id, out);
            }
            Err(code) => {
                out.send(MiningOwned::OpenMiningChannelError(
                    OpenMiningChannelErrorOwned {
                        request_id: request.request_id,
                        error_code: text(code),
                    },
                ));
                out.event(ServerEvent::OpenRefused(code));
                if code == error_code::CHANNEL_CAPACITY_EXHAUSTED {
                    out.event(ServerEvent::Limited(Limit::Channels));
                }
            }
        }
    }

    fn new_channel(&mut self, request: &OpenRequest) -> Result<Channel, ErrorCode> {
        let kind = self.kind(request)?;
        let payout = match self.policy.network {
            Some(network) => Payout::parse(&request.user_identity, network)
                .map_err(|_| error_code::INVALID_USER_IDENTITY)?,
            None => Payout::Pool,
        };
        let target = self
            .policy
            .target(request.nominal_hash_rate, request.max_target)?;
        if self.channels.len() >= self.policy.max_channels {
            return Err(error_code::CHANNEL_CAPACITY_EXHAUSTED);
        }
        let index = self
            .allocate_index()
            .ok_or(error_code::CHANNEL_CAPACITY_EXHAUSTED)?;
        let prefix = self.space.channel_prefix(index, kind);
        let group_id = self.join_group(payout);
        let id = self.next_channel_id();
        let identity = request.user_identity.clone();
        let search = (index, prefix);
        let mut channel = Channel::new(id, kind, identity, search, self.policy.max_jobs);
        channel.max_target = request.max_target;
        channel.target = target;
        channel.group_id = group_id;
        Ok(channel)
    }

    /// One more member for the group of those who are paid so. A group's jobs have one coinbase for
    /// all members, so each payout needs a group of its own.
    fn join_group(&mut self, payout: Payout) -> u32 {
        let mut groups = self.groups.iter_mut();
        if let Some((id, group)) = groups.find(|(_, group)| group.payout == payout) {
            group.members += 1;
            return *id;
        }
        let id = self.next_channel_id();
        self.groups.insert(id, Group::new(payout));
        id
    }

    /// Channels and groups share one space of ids, and none is used twice (SV2 5.2.3).
    fn next_channel_id(&mut self) -> u32 {
        let id = self.next_channel_id;
        self.next_channel_id += 1;
        id
    }

    fn kind(&self, request: &OpenRequest) -> Result<ChannelKind, ErrorCode> {
        let Some(min_extranonce_size) = request.min_extranonce_size else {
            if self.has(setup::REQUIRES_WORK_SELECTION) {
                return Err(error_code::STANDARD_CHANNELS_NOT_SUPPORTED_FOR_CUSTOM_WORK);
            }
            return Ok(ChannelKind::Standard);
        };
        if self.has(setup::REQUIRES_STANDARD_JOBS) {
            return Err(error_code::EXTENDED_CHANNELS_NOT_SUPPORTED_FOR_STANDARD_JOBS);
        }
        let rollable = self.space.rollable();
        if usize::from(min_extranonce_size) > rollable {
            return Err(error_code::MIN_EXTRANONCE_SIZE_TOO_LARGE);
        }
        Ok(ChannelKind::Extended {
            extranonce_size: rollable as u16,
        })
    }

    fn announce_channel(&self, channel: &Channel, request_id: u32, out: &mut Out) {
        let target = channel.target.to_le_bytes().into();
        let extranonce_prefix = channel.extranonce_prefix.to_message();
        out.send(match channel.kind {
            ChannelKind::Standard => MiningOwned::OpenStandardMiningChannelSuccess(
                OpenStandardMiningChannelSuccessOwned {
                    request_id,
                    channel_id: channel.id,
                    target,
                    extranonce_prefix,
                    group_channel_id: channel.group_id,
                },
            ),
            ChannelKind::Extended { extranonce_size } => {
                MiningOwned::OpenExtendedMiningChannelSuccess(
                    OpenExtendedMiningChannelSuccessOwned {
                        request_id,
                        channel_id: channel.id,
                        target,
                        extranonce_size,
                        extranonce_prefix,
                        group_channel_id: channel.group_id,
                    },
                )
            }
        });
        out.event(ServerEvent::Opened {
            channel_id: channel.id,
            group_id: channel.group_id,
            user_identity: channel.user_identity.clone(),
            payout: self.payout(channel),
            kind: channel.kind,
            extranonce_prefix: channel.extranonce_prefix,
            hashrate: channel.declared,
            target: channel.target,
            max_target: channel.max_target,
        });
    }

    pub(super) fn payout(&self, channel: &Channel) -> Payout {
        let group = self.groups.get(&channel.group_id);
        group.map_or(Payout::Pool, |group| group.payout.clone())
    }

    fn allocate_index(&mut self) -> Option<u16> {
        if self.next_index < u16::MAX {
            self.next_index += 1;
            return Some(self.next_index);
        }
        self.free_indices.pop_front()
    }

    /// Gives a closed channel's part of the search space back, and ends its group if it was the
    /// last member.
    pub(super) fn release(&mut self, channel: &Channel) {
        self.free_indices.push_back(channel.index);
        if let Some(group) = self.groups.get_mut(&channel.group_id) {
            group.members -= 1;
            // The first one stays: its id is the one that the next channel would be told.
            if group.members == 0 && channel.group_id != GROUP_ID {
                self.groups.remove(&channel.group_id);
            }
        }
    }
}
