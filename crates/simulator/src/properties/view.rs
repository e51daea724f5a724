//! What follows from the messages that have passed one end of a connection: channels, jobs, tips.
//!
//! Kept apart from the cores on purpose: it is what they are compared with.

use std::collections::{BTreeMap, BTreeSet};

use protocol::message::MiningOwned;

use super::{Breach, Property};

/// The channels as one end knows them.
#[derive(Debug, Default)]
pub(super) struct View {
    pub(super) channels: BTreeMap<u32, ChannelView>,
    /// Channels that were open once.
    closed: BTreeSet<u32>,
    groups: BTreeSet<u32>,
    /// Every job ever announced.
    jobs: BTreeSet<u32>,
}

/// One open channel.
#[derive(Debug)]
pub(super) struct ChannelView {
    group: u32,
    is_standard: bool,
    pub(super) prefix: Vec<u8>,
    /// Jobs that wait for their tip.
    futures: BTreeSet<u32>,
    /// Jobs on the tip, and when each of them became the newest.
    active: BTreeMap<u32, u32>,
    pub(super) prev_hash: Option<[u8; 32]>,
    pub(super) moment: Moment,
}

/// How far a channel has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Moment {
    /// SetNewPrevHash messages so far.
    pub(super) tips: u32,
    /// Jobs on the newest tip so far.
    pub(super) jobs: u32,
}

impl View {
    /// A message passes from the server to the client.
    pub(super) fn message(&mut self, message: &MiningOwned) -> Result<(), Breach> {
        match message {
            MiningOwned::OpenStandardMiningChannelSuccess(success) => {
                let prefix = success.extranonce_prefix.to_owned_bytes();
                self.open(success.channel_id, success.group_channel_id, prefix, true)
            }
            MiningOwned::OpenExtendedMiningChannelSuccess(success) => {
                let prefix = success.extranonce_prefix.to_owned_bytes();
                self.open(success.channel_id, success.group_channel_id, prefix, false)
            }
            MiningOwned::NewMiningJob(job) => {
                let is_future = job.min_ntime.as_ref().is_none();
                self.job(job.channel_id, job.job_id, is_future, true)
            }
            MiningOwned::NewExtendedMiningJob(job) => {
                let is_future = job.min_ntime.as_ref().is_none();
                self.job(job.channel_id, job.job_id, is_future, false)
            }
            MiningOwned::SetNewPrevHash(tip) => {
                self.tip(tip.channel_id, tip.job_id, tip.prev_hash.to_array())
            }
            MiningOwned::SetExtranoncePrefix(message) => {
                let prefix = message.extranonce_prefix.to_owned_bytes();
                self.moved(message.channel_id, prefix)
            }
            MiningOwned::SetTarget(message) => self.addressed(message.channel_id).map(|_| ()),
            _ => Ok(()),
        }
    }

    pub(super) fn close(&mut self, channel_id: u32) -> Option<ChannelView> {
        self.closed.insert(channel_id);
        self.channels.remove(&channel_id)
    }

    /// Whether it answers shares of a channel that this end has closed since.
    pub(super) fn was_closed(&self, message: &MiningOwned) -> bool {
        let channel_id = match message {
            MiningOwned::SubmitSharesSuccess(success) => success.channel_id,
            MiningOwned::SubmitSharesError(error) => error.channel_id,
            _ => return false,
        };
        self.closed.contains(&channel_id)
    }

    /// How far a channel had come with this job; `None` unless it is one of the newest tip's.
    pub(super) fn moment_of(&self, channel_id: u32, job_id: u32) -> Option<Moment> {
        let channel = self.channels.get(&channel_id)?;
        let jobs = *channel.active.get(&job_id)?;
        let tips = channel.moment.tips;
        Some(Moment { tips, jobs })
    }

    fn open(
        &mut self,
        id: u32,
        group: u32,
        prefix: Vec<u8>,
        is_standard: bool,
    ) -> Result<(), Breach> {
        let used = |id| self.channels.contains_key(id) || self.closed.contains(id);
        if used(&id) || used(&group) || self.groups.contains(&id) {
            let what = format!("channel id {id} or group id {group} was used before");
            return Err((Property::ChannelsEndClosed, what));
        }
        self.groups.insert(group);
        let channel = ChannelView {
            group,
            is_standard,
            prefix,
            futures: BTreeSet::new(),
            active: BTreeMap::new(),
            prev_hash: None,
            moment: Moment::default(),
        };
        self.channels.insert(id, channel);
        Ok(())
    }

    /// A prefix is a channel's own, and its length stays (SV2 5.3.10).
    fn moved(&mut self, id: u32, prefix: Vec<u8>) -> Result<(), Breach> {
        let channel = self.channels.get_mut(&id);
        let Some(channel) = channel.filter(|channel| channel.prefix.len() == prefix.len()) else {
            let what = format!("a prefix of {} bytes is for {id}", prefix.len());
            return Err((Property::PrefixesDiffer, what));
        };
        channel.prefix = prefix;
        Ok(())
    }

    /// The open channels a message is for.
    fn addressed(&mut self, id: u32) -> Result<Vec<(&u32, &mut ChannelView)>, Breach> {
        if !self.channels.contains_key(&id) && !self.groups.contains(&id) {
            let what = format!("a message is for channel {id}, which is not open");
            return Err((Property::ChannelsEndClosed, what));
        }
        let member =
            |(channel, view): &(&u32, &mut ChannelView)| **channel == id || view.group == id;
        Ok(self.channels.iter_mut().filter(member).collect())
    }

    fn job(
        &mut self,
        address: u32,
        job_id: u32,
        is_future: bool,
        is_standard: bool,
    ) -> Result<(), Breach> {
        let is_fresh = self.jobs.insert(job_id);
        for (id, channel) in self.addressed(address)? {
            // A group's extended job is for its standard channels too.
            if *id == address && channel.is_standard != is_standard {
                let what = format!("job {job_id} is of the wrong kind for channel {id}");
                return Err((Property::JobsComeInOrder, what));
            }
            if is_future {
                channel.futures.insert(job_id);
            } else if channel.prev_hash.is_none() {
                let what = format!("job {job_id} is for a tip that channel {id} was not told");
                return Err((Property::JobsComeInOrder, what));
            } else {
                channel.moment.jobs += 1;
                channel.active.insert(job_id, channel.moment.jobs);
            }
        }
        if !is_fresh {
            let what = format!("job id {job_id} was used before");
            return Err((Property::JobsComeInOrder, what));
        }
        Ok(())
    }

    fn tip(&mut self, address: u32, job_id: u32, prev_hash: [u8; 32]) -> Result<(), Breach> {
        let mut unknown = Vec::new();
        for (id, channel) in self.addressed(address)? {
            let known = std::mem::take(&mut channel.futures).contains(&job_id);
            channel.active.clear();
            if known {
                channel.active.insert(job_id, 1);
            } else {
                unknown.push(*id);
            }
            channel.prev_hash = Some(prev_hash);
            channel.moment.tips += 1;
            channel.moment.jobs = 1;
        }
        if !unknown.is_empty() {
            let what = format!(
                "SetNewPrevHash to {address} names job {job_id}, which is no future job of \
                 channels {unknown:?}"
            );
            return Err((Property::JobsComeInOrder, what));
        }
        Ok(())
    }
}
