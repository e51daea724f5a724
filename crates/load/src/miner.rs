//! A miner that sends shares without searching for them: the target is so easy that every hash
//! meets it, so any nonce will do as long as it is new.

mod link;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use protocol::core::{Core, Now, Outbox};
use protocol::frame::Frame;
use protocol::message::mining::{
    MESSAGE_TYPE_SUBMIT_SHARES_EXTENDED, MESSAGE_TYPE_SUBMIT_SHARES_STANDARD,
    OpenExtendedMiningChannelOwned, OpenStandardMiningChannelOwned,
};
use protocol::message::{self, AnyMessage, Mining, MiningOwned, Received, text};
use protocol::target::Target;

pub(crate) use link::PoolMiner;

/// The two kinds of channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Channel {
    Standard,
    Extended,
}

/// How shares are sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Pace {
    /// Not at all.
    Silent,
    /// As soon as fewer than this many are unacknowledged.
    Window(u32),
    /// One in each period.
    Every(Duration),
}

/// What happens to a miner.
#[derive(Debug)]
pub(crate) enum MinerEvent {
    /// Its channel is open.
    Opened,
    /// It is told what to mine on.
    Tip,
    /// These shares were acknowledged, so long after they were sent.
    Accepted(Vec<Duration>),
    /// A share was rejected, for this reason.
    Rejected(String),
}

type Out = Outbox<MinerEvent>;

/// One connection with one channel.
#[derive(Debug)]
pub(crate) struct Miner {
    kind: Channel,
    /// Where in a period its shares fall: 0 to 1, different for each miner.
    phase: f64,
    pace: Pace,
    due: Option<Instant>,
    channel_id: u32,
    extranonce_size: usize,
    job: Option<Job>,
    /// Jobs without a tip, with their version.
    futures: Vec<(u32, u32)>,
    tip_ntime: u32,
    /// Of the next share.
    sequence_number: u32,
    /// When each unanswered share was sent; the first has this number.
    sent: VecDeque<Instant>,
    first_sent: u32,
    unanswered: u32,
}

/// What is mined.
#[derive(Debug, Clone, Copy)]
struct Job {
    id: u32,
    version: u32,
    ntime: u32,
}

impl Miner {
    pub(crate) fn new(kind: Channel, phase: f64) -> Self {
        Self {
            kind,
            phase,
            pace: Pace::Silent,
            due: None,
            channel_id: 0,
            extranonce_size: 0,
            job: None,
            futures: Vec::new(),
            tip_ntime: 0,
            sequence_number: 0,
            sent: VecDeque::new(),
            first_sent: 0,
            unanswered: 0,
        }
    }

    /// The first frame of the connection.
    pub(crate) fn connected(&self) -> Vec<u8> {
        let user_identity = text("load");
        let max_target = Target::MAX.to_le_bytes().into();
        // One hash a second at a thousand shares a minute: less than a hash for each share.
        let nominal_hash_rate = 1.0;
        let message = match self.kind {
            Channel::Standard => {
                MiningOwned::OpenStandardMiningChannel(OpenStandardMiningChannelOwned {
                    request_id: 0,
                    user_identity,
                    nominal_hash_rate,
                    max_target,
                })
            }
            Channel::Extended => {
                MiningOwned::OpenExtendedMiningChannel(OpenExtendedMiningChannelOwned {
                    request_id: 0,
                    user_identity,
                    nominal_hash_rate,
                    max_target,
                    min_extranonce_size: 8,
                })
            }
        };
        let mut frame = Vec::new();
        message::encode(message, &mut frame);
        frame
    }

    fn mining(&mut self, now: Now, message: Mining<'_>, out: &mut Out) {
        match message {
            Mining::OpenStandardMiningChannelSuccess(success) => {
                self.channel_id = success.channel_id;
                out.event(MinerEvent::Opened);
            }
            Mining::OpenExtendedMiningChannelSuccess(success) => {
                self.channel_id = success.channel_id;
                self.extranonce_size = usize::from(success.extranonce_size);
                out.event(MinerEvent::Opened);
            }
            Mining::OpenMiningChannelError(error) => out.close(error.to_string()),
            Mining::NewMiningJob(job) => {
                let min_ntime = job.min_ntime.into_inner();
                self.new_job((job.job_id, job.version), min_ntime);
            }
            Mining::NewExtendedMiningJob(job) => {
                let min_ntime = job.min_ntime.into_inner();
                self.new_job((job.job_id, job.version), min_ntime);
            }
            Mining::SetNewPrevHash(tip) => {
                let futures = std::mem::take(&mut self.futures);
                let named = futures.iter().find(|(id, _)| *id == tip.job_id);
                self.job = named.map(|&(id, version)| Job {
                    id,
                    version,
                    ntime: tip.min_ntime,
                });
                self.tip_ntime = tip.min_ntime;
                out.event(MinerEvent::Tip);
            }
            Mining::SubmitSharesSuccess(success) => {
                let count = success.new_submits_accepted_count;
                self.unanswered = self.unanswered.saturating_sub(count);
                self.accepted(now.instant, success.last_sequence_number, out);
            }
            Mining::SubmitSharesError(error) => {
                self.unanswered = self.unanswered.saturating_sub(1);
                let reason = error.error_code.as_utf8_or_hex();
                out.event(MinerEvent::Rejected(reason));
            }
            _ => {}
        }
    }

    fn new_job(&mut self, (id, version): (u32, u32), min_ntime: Option<u32>) {
        match min_ntime {
            None => self.futures.push((id, version)),
            Some(min_ntime) => {
                let ntime = min_ntime.max(self.tip_ntime);
                self.job = Some(Job { id, version, ntime });
            }
        }
    }

    fn accepted(&mut self, now: Instant, last: u32, out: &mut Out) {
        let count = (last.wrapping_sub(self.first_sent) as usize + 1).min(self.sent.len());
        self.first_sent += count as u32;
        let ages = self.sent.drain(..count).map(|sent| now - sent);
        out.event(MinerEvent::Accepted(ages.collect()));
    }

    /// Sends what the pace allows.
    fn submit(&mut self, now: Instant, out: &mut Out) {
        match self.pace {
            Pace::Silent => {}
            Pace::Window(size) => while self.unanswered < size && self.share(now, out) {},
            Pace::Every(period) => {
                while let Some(due) = self.due
                    && due <= now
                {
                    self.share(now, out);
                    self.due = Some(due + period);
                }
            }
        }
    }

    /// Whether there is a job to send a share of.
    fn share(&mut self, now: Instant, out: &mut Out) -> bool {
        let Some(job) = self.job else { return false };
        let number = self.sequence_number;
        self.sequence_number += 1;
        self.unanswered += 1;
        self.sent.push_back(now);
        let msg_type = match self.kind {
            Channel::Standard => MESSAGE_TYPE_SUBMIT_SHARES_STANDARD,
            Channel::Extended => MESSAGE_TYPE_SUBMIT_SHARES_EXTENDED,
        };
        let (kind, extranonce_size) = (self.kind, self.extranonce_size);
        let channel_id = self.channel_id;
        out.send_with(msg_type, true, |payload| {
            // The number is also the nonce, so that no two shares are the same.
            for field in [channel_id, number, job.id, number, job.ntime, job.version] {
                payload.extend_from_slice(&field.to_le_bytes());
            }
            if kind == Channel::Extended {
                payload.push(extranonce_size as u8);
                payload.resize(payload.len() + extranonce_size, 0);
            }
        });
        true
    }
}

impl Core for Miner {
    type Input = Pace;
    type Event = MinerEvent;

    fn received(&mut self, now: Now, frame: Frame<'_>, out: &mut Out) {
        match message::decode(frame) {
            Ok(Received::Message(AnyMessage::Mining(message))) => self.mining(now, message, out),
            Ok(_) => {}
            Err(error) => out.close(error.to_string()),
        }
        self.submit(now.instant, out);
    }

    fn input(&mut self, now: Now, pace: Pace, out: &mut Out) {
        self.pace = pace;
        self.due = match pace {
            Pace::Every(period) => Some(now.instant + period.mul_f64(self.phase)),
            Pace::Silent | Pace::Window(_) => None,
        };
        self.submit(now.instant, out);
    }

    fn deadline(&self) -> Option<Instant> {
        self.due
    }

    fn wake(&mut self, now: Now, out: &mut Out) {
        self.submit(now.instant, out);
    }
}

#[cfg(test)]
mod tests;
