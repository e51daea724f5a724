//! New work to the channels of a connection (SV2 5.3.15 to 5.3.17).

use std::sync::Arc;

use stratum_core::binary_sv2::{Sv2OptionOwned, U256Owned};
use stratum_core::mining_sv2::{NewMiningJobOwned, SetNewPrevHashOwned};

use super::channel::{Channel, ChannelKind};
use super::{GROUP_ID, MiningServer, Out};
use crate::message::MiningOwned;
use crate::setup;
use crate::work::{PrevHash, Template, Work};

/// Type of NewExtendedMiningJob.
const NEW_EXTENDED_MINING_JOB: u8 = 0x1f;

/// A future template whose jobs were sent.
#[derive(Debug)]
pub(super) struct Announced {
    template: Arc<Template>,
    /// Who knows which job: the members of the group at that time, or each channel its own.
    jobs: Vec<(u32, u32)>,
}

impl MiningServer {
    /// Takes over `work` and tells the channels what is new in it.
    pub(super) fn apply(&mut self, work: &Work, out: &mut Out) {
        let before = std::mem::replace(&mut self.work, work.clone());
        // Who selects its own work gets none from us (T-39).
        if self.has(setup::REQUIRES_WORK_SELECTION) || self.channels.is_empty() {
            self.announced.clear();
            return;
        }
        for template in &work.futures {
            if self.announced(template).is_none() {
                self.announce_future(template, out);
            }
        }
        if !Arc::ptr_eq(&before.prev_hash, &work.prev_hash) {
            self.activate(&work.template, &work.prev_hash, out);
        } else if !Arc::ptr_eq(&before.template, &work.template) {
            self.announce_active(&work.template, &work.prev_hash, out);
        }
        self.announced.retain(|announced| {
            work.futures
                .iter()
                .any(|template| Arc::ptr_eq(template, &announced.template))
        });
    }

    /// A channel's first messages: a future job, then the tip that activates it (SV2 5.3.15, 17).
    /// They are addressed to the channel itself, since the rest of its group knows them already.
    pub(super) fn first_work(&mut self, channel_id: u32, out: &mut Out) {
        if self.has(setup::REQUIRES_WORK_SELECTION) {
            return;
        }
        let Work {
            prev_hash,
            template,
            ..
        } = self.work.clone();
        let job_id = self.next_job_id();
        if let Some(channel) = self.channels.get_mut(&channel_id) {
            send_future(channel, job_id, &template, out);
            channel.activate(job_id, &prev_hash);
            send_prev_hash(channel_id, job_id, &prev_hash, out);
        }
    }

    fn announced(&self, template: &Arc<Template>) -> Option<&Announced> {
        self.announced
            .iter()
            .find(|announced| Arc::ptr_eq(&announced.template, template))
    }

    fn announce_future(&mut self, template: &Arc<Template>, out: &mut Out) {
        let mut jobs = Vec::with_capacity(self.channels.len());
        if self.has(setup::REQUIRES_STANDARD_JOBS) {
            let mut next = self.next_job_id;
            for channel in self.channels.values_mut() {
                send_future(channel, next, template, out);
                jobs.push((channel.id, next));
                next += 1;
            }
            self.next_job_id = next;
        } else {
            let job_id = self.next_job_id();
            send_extended_job(GROUP_ID, job_id, None, template, out);
            for channel in self.channels.values_mut() {
                channel.add_future(job_id, template);
                jobs.push((channel.id, job_id));
            }
        }
        let template = Arc::clone(template);
        self.announced.push(Announced { template, jobs });
    }

    fn activate(&mut self, template: &Arc<Template>, prev_hash: &Arc<PrevHash>, out: &mut Out) {
        // A channel opened after the future job was sent has never seen it: then all get it anew
        // (T-10). SetNewPrevHash may only name a job that was sent as a future one.
        let known = self.announced(template).is_some_and(|announced| {
            let knows = |id: &u32| {
                announced
                    .jobs
                    .iter()
                    .any(|(channel_id, _)| channel_id == id)
            };
            self.channels.keys().all(knows)
        });
        if !known {
            self.announced
                .retain(|announced| !Arc::ptr_eq(&announced.template, template));
            self.announce_future(template, out);
        }
        let Some(announced) = self.announced(template) else {
            return;
        };
        let jobs = announced.jobs.clone();
        let grouped = !self.has(setup::REQUIRES_STANDARD_JOBS);
        if let (true, Some((_, job_id))) = (grouped, jobs.first()) {
            send_prev_hash(GROUP_ID, *job_id, prev_hash, out);
        }
        for (channel_id, job_id) in jobs {
            if let Some(channel) = self.channels.get_mut(&channel_id) {
                channel.activate(job_id, prev_hash);
                if !grouped {
                    send_prev_hash(channel_id, job_id, prev_hash, out);
                }
            }
        }
    }

    /// A better template for the same tip: mined at once, earlier jobs stay valid (SV2 7.2).
    fn announce_active(
        &mut self,
        template: &Arc<Template>,
        prev_hash: &Arc<PrevHash>,
        out: &mut Out,
    ) {
        let min_ntime = Some(prev_hash.header_timestamp);
        if self.has(setup::REQUIRES_STANDARD_JOBS) {
            let mut next = self.next_job_id;
            for channel in self.channels.values_mut() {
                send_standard_job(channel, next, min_ntime, template, out);
                channel.add_active(next, template, prev_hash);
                next += 1;
            }
            self.next_job_id = next;
            return;
        }
        let job_id = self.next_job_id();
        send_extended_job(GROUP_ID, job_id, min_ntime, template, out);
        for channel in self.channels.values_mut() {
            channel.add_active(job_id, template, prev_hash);
        }
    }

    /// Never used twice on a connection, so group, channel and custom jobs cannot be confused.
    fn next_job_id(&mut self) -> u32 {
        let id = self.next_job_id;
        self.next_job_id += 1;
        id
    }
}

fn send_future(channel: &mut Channel, job_id: u32, template: &Arc<Template>, out: &mut Out) {
    match channel.kind {
        ChannelKind::Standard => send_standard_job(channel, job_id, None, template, out),
        ChannelKind::Extended { .. } => {
            send_extended_job(channel.id, job_id, None, template, out);
        }
    }
    channel.add_future(job_id, template);
}

fn send_standard_job(
    channel: &Channel,
    job_id: u32,
    min_ntime: Option<u32>,
    template: &Template,
    out: &mut Out,
) {
    out.send(MiningOwned::NewMiningJob(NewMiningJobOwned {
        channel_id: channel.id,
        job_id,
        min_ntime: Sv2OptionOwned::new(min_ntime),
        version: template.version,
        merkle_root: U256Owned::from(channel.merkle_root(template)),
    }));
}

/// Written by hand: this is what every connection gets for every template, and all but its first
/// bytes are the same for everybody.
pub(super) fn send_extended_job(
    channel_id: u32,
    job_id: u32,
    min_ntime: Option<u32>,
    template: &Template,
    out: &mut Out,
) {
    out.send_with(NEW_EXTENDED_MINING_JOB, true, |payload| {
        payload.extend_from_slice(&channel_id.to_le_bytes());
        payload.extend_from_slice(&job_id.to_le_bytes());
        match min_ntime {
            None => payload.push(0),
            Some(ntime) => {
                payload.push(1);
                payload.extend_from_slice(&ntime.to_le_bytes());
            }
        }
        payload.extend_from_slice(&template.version.to_le_bytes());
        // Rolling is always allowed, so that clients that require it need no special case.
        payload.push(1);
        payload.push(template.merkle_path.len() as u8);
        for node in &template.merkle_path {
            payload.extend_from_slice(node);
        }
        for part in [&template.coinbase.prefix, &template.coinbase.suffix] {
            payload.extend_from_slice(&(part.len() as u16).to_le_bytes());
            payload.extend_from_slice(part);
        }
    });
}

fn send_prev_hash(channel_id: u32, job_id: u32, prev_hash: &PrevHash, out: &mut Out) {
    out.send(MiningOwned::SetNewPrevHash(SetNewPrevHashOwned {
        channel_id,
        job_id,
        prev_hash: U256Owned::from(prev_hash.prev_hash),
        min_ntime: prev_hash.header_timestamp,
        nbits: prev_hash.n_bits,
    }));
}
