//! New work to the channels of a connection (SV2 5.3.15 to 5.3.17).

use std::collections::BTreeMap;
use std::sync::Arc;

use stratum_core::binary_sv2::{Sv2OptionOwned, U256Owned};
use stratum_core::mining_sv2::{NewMiningJobOwned, SetNewPrevHashOwned};

use super::channel::{Channel, ChannelKind};
use super::draft::{Basis, Draft};
use super::{MiningServer, Out, ServerEvent};
use crate::core::Now;
use crate::message::MiningOwned;
use crate::setup;
use crate::work::{PrevHash, Template, Work};

/// Type of NewExtendedMiningJob.
const NEW_EXTENDED_MINING_JOB: u8 = 0x1f;

/// A future template whose jobs were sent.
#[derive(Debug)]
pub(super) struct Announced {
    template: Arc<Template>,
    /// Which channel knows it as which job.
    jobs: BTreeMap<u32, u32>,
}

/// Those who get one message for all of them: the members of a group, or one channel of a client
/// that cannot process extended jobs.
struct Audience {
    address: u32,
    members: Vec<u32>,
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
        let audiences = self.audiences();
        if !Arc::ptr_eq(&before.prev_hash, &work.prev_hash) {
            self.activate(&work.template, &work.prev_hash, &audiences, out);
            // A tip ends every other job, future ones included (SV2 5.3.17, T-09).
            self.announced.clear();
        } else if !Arc::ptr_eq(&before.template, &work.template) {
            for audience in &audiences {
                self.announce_active(&work.template, &work.prev_hash, audience, out);
            }
        }
        // After the tip: those it has not ended came after it.
        for template in &work.futures {
            if self.announced(template).is_none() {
                for audience in &audiences {
                    self.announce_future(template, audience, out);
                }
            }
        }
        self.announced.retain(|announced| {
            work.futures
                .iter()
                .any(|template| Arc::ptr_eq(template, &announced.template))
        });
        for group in self.groups.values_mut() {
            group.forget_all_but(work);
        }
    }

    /// A channel's first messages: a future job, then the tip that activates it (SV2 5.3.15, 17).
    /// They are addressed to the channel itself, since the rest of its group knows them already.
    pub(super) fn first_work(&mut self, channel_id: u32, out: &mut Out) {
        if self.has(setup::REQUIRES_WORK_SELECTION) {
            return;
        }
        let template = Arc::clone(&self.work.template);
        let prev_hash = Arc::clone(&self.work.prev_hash);
        let job_id = self.next_job_id();
        let draft = self.draft(channel_id, &template);
        if let Some(channel) = self.channels.get_mut(&channel_id) {
            out.event(created(channel_id, job_id, None, &template));
            send_job(channel, job_id, None, &draft, out);
            channel.add_future(job_id, &draft);
            channel.activate(job_id, &prev_hash);
            send_prev_hash(channel_id, job_id, &prev_hash, out);
        }
    }

    /// A job for one channel on the current tip, so that its new target takes effect now: a target
    /// never touches jobs that are mined already (SV2 5.3.21), and the next template may be far.
    pub(super) fn fresh_job(&mut self, now: Now, channel_id: u32, out: &mut Out) {
        if self.has(setup::REQUIRES_WORK_SELECTION) {
            return;
        }
        let job_id = self.next_job_id();
        let template = Arc::clone(&self.work.template);
        let draft = self.draft(channel_id, &template);
        let since = self.tip_since.unwrap_or(now.instant);
        let elapsed = now.instant.saturating_duration_since(since).as_secs() as u32;
        if let Some(channel) = self.channels.get_mut(&channel_id) {
            let prev_hash = &self.work.prev_hash;
            let min_ntime = channel.add_repeated(job_id, &draft, prev_hash, elapsed);
            out.event(created(channel_id, job_id, Some(min_ntime), &template));
            send_job(channel, job_id, Some(min_ntime), &draft, out);
        }
    }

    fn announced(&self, template: &Arc<Template>) -> Option<&Announced> {
        self.announced
            .iter()
            .find(|announced| Arc::ptr_eq(&announced.template, template))
    }

    fn audiences(&self) -> Vec<Audience> {
        if self.has(setup::REQUIRES_STANDARD_JOBS) {
            let single = |id: &u32| Audience {
                address: *id,
                members: vec![*id],
            };
            return self.channels.keys().map(single).collect();
        }
        let mut groups: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for channel in self.channels.values() {
            groups.entry(channel.group_id).or_default().push(channel.id);
        }
        let audience = |(address, members)| Audience { address, members };
        groups.into_iter().map(audience).collect()
    }

    /// `template` with the coinbase of the payout that the channel asked for.
    fn draft(&mut self, channel_id: u32, template: &Arc<Template>) -> Draft {
        let group = self
            .channels
            .get(&channel_id)
            .map(|channel| channel.group_id);
        let group = group.and_then(|id| self.groups.get_mut(&id));
        Draft {
            basis: Basis::Template(Arc::clone(template)),
            coinbase: match group {
                Some(group) => group.coinbase(template),
                None => Arc::clone(&template.coinbase),
            },
        }
    }

    /// Sends one job to all of `audience`; they share a group, and with it a payout.
    fn announce(
        &mut self,
        audience: &Audience,
        (job_id, min_ntime): (u32, Option<u32>),
        template: &Arc<Template>,
        out: &mut Out,
    ) -> Option<Draft> {
        let first = *audience.members.first()?;
        let draft = self.draft(first, template);
        out.event(created(audience.address, job_id, min_ntime, template));
        if audience.address == first {
            send_job(self.channels.get(&first)?, job_id, min_ntime, &draft, out);
        } else {
            send_extended_job(audience.address, job_id, min_ntime, &draft, out);
        }
        Some(draft)
    }

    fn announce_future(&mut self, template: &Arc<Template>, audience: &Audience, out: &mut Out) {
        let job_id = self.next_job_id();
        let Some(draft) = self.announce(audience, (job_id, None), template, out) else {
            return;
        };
        for id in &audience.members {
            if let Some(channel) = self.channels.get_mut(id) {
                channel.add_future(job_id, &draft);
            }
        }
        let jobs = audience.members.iter().map(|id| (*id, job_id));
        let mut known = self.announced.iter_mut();
        match known.find(|known| Arc::ptr_eq(&known.template, template)) {
            Some(announced) => announced.jobs.extend(jobs),
            None => self.announced.push(Announced {
                template: Arc::clone(template),
                jobs: jobs.collect(),
            }),
        }
    }

    /// The job that all of `audience` know `template` as.
    fn common_job(&self, template: &Arc<Template>, audience: &Audience) -> Option<u32> {
        let jobs = &self.announced(template)?.jobs;
        let first = jobs.get(audience.members.first()?)?;
        let agrees = |id| jobs.get(id) == Some(first);
        audience.members.iter().all(agrees).then_some(*first)
    }

    fn activate(
        &mut self,
        template: &Arc<Template>,
        prev_hash: &Arc<PrevHash>,
        audiences: &[Audience],
        out: &mut Out,
    ) {
        // A channel opened after the future job was sent has never seen it: then its group gets it
        // anew (T-10). SetNewPrevHash may only name a job that was sent as a future one.
        for audience in audiences {
            if self.common_job(template, audience).is_none() {
                self.announce_future(template, audience, out);
            }
        }
        for audience in audiences {
            let Some(job_id) = self.common_job(template, audience) else {
                continue;
            };
            send_prev_hash(audience.address, job_id, prev_hash, out);
            for id in &audience.members {
                if let Some(channel) = self.channels.get_mut(id) {
                    channel.activate(job_id, prev_hash);
                }
            }
        }
    }

    /// A better template for the same tip: mined at once, earlier jobs stay valid (SV2 7.2).
    fn announce_active(
        &mut self,
        template: &Arc<Template>,
        prev_hash: &Arc<PrevHash>,
        audience: &Audience,
        out: &mut Out,
    ) {
        let job_id = self.next_job_id();
        let job = (job_id, Some(prev_hash.header_timestamp));
        let Some(draft) = self.announce(audience, job, template, out) else {
            return;
        };
        for id in &audience.members {
            if let Some(channel) = self.channels.get_mut(id) {
                channel.add_active(job_id, &draft, prev_hash);
            }
        }
    }

    /// Never used twice on a connection, so group, channel and custom jobs cannot be confused.
    pub(super) fn next_job_id(&mut self) -> u32 {
        let id = self.next_job_id;
        self.next_job_id += 1;
        id
    }
}

/// Without a time to begin at, a job is sent ahead (SV2 5.3.15).
fn created(
    channel_id: u32,
    job_id: u32,
    min_ntime: Option<u32>,
    template: &Template,
) -> ServerEvent {
    ServerEvent::JobCreated {
        channel_id,
        job_id,
        template_id: template.id,
        is_future: min_ntime.is_none(),
    }
}

/// By the channel's kind.
fn send_job(channel: &Channel, job_id: u32, min_ntime: Option<u32>, draft: &Draft, out: &mut Out) {
    match channel.kind {
        ChannelKind::Standard => send_standard_job(channel, job_id, min_ntime, draft, out),
        ChannelKind::Extended { .. } => {
            send_extended_job(channel.id, job_id, min_ntime, draft, out);
        }
    }
}

fn send_standard_job(
    channel: &Channel,
    job_id: u32,
    min_ntime: Option<u32>,
    draft: &Draft,
    out: &mut Out,
) {
    out.send(MiningOwned::NewMiningJob(NewMiningJobOwned {
        channel_id: channel.id,
        job_id,
        min_ntime: Sv2OptionOwned::new(min_ntime),
        version: draft.version(),
        merkle_root: U256Owned::from(draft.merkle_root(channel.extranonce_prefix.as_bytes())),
    }));
}

/// Written by hand: this is what every connection gets for every template, and all but its first
/// bytes are the same for everybody.
pub(super) fn send_extended_job(
    channel_id: u32,
    job_id: u32,
    min_ntime: Option<u32>,
    draft: &Draft,
    out: &mut Out,
) {
    let parts = [&draft.coinbase.prefix, &draft.coinbase.suffix];
    // Without them it has at most 23 bytes.
    let len = 23 + 32 * draft.merkle_path().len() + parts[0].len() + parts[1].len();
    out.send_with(NEW_EXTENDED_MINING_JOB, true, |payload| {
        payload.reserve(len);
        payload.extend_from_slice(&channel_id.to_le_bytes());
        payload.extend_from_slice(&job_id.to_le_bytes());
        match min_ntime {
            None => payload.push(0),
            Some(ntime) => {
                payload.push(1);
                payload.extend_from_slice(&ntime.to_le_bytes());
            }
        }
        payload.extend_from_slice(&draft.version().to_le_bytes());
        // Rolling is always allowed, so that clients that require it need no special case.
        payload.push(1);
        payload.push(draft.merkle_path().len() as u8);
        for node in draft.merkle_path() {
            payload.extend_from_slice(node);
        }
        for part in parts {
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
