//! The client's half of the mining protocol for whoever selects its own work (SV2 5.3.18 to 5.3.20),
//! for one connection to a pool.
//!
//! [`CustomWorkClient`] has one extended channel, sets custom jobs on it and submits the shares
//! found on them. Whose shares they are is the caller's business.

mod event;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use stratum_core::mining_sv2::{
    CloseChannelOwned, OpenExtendedMiningChannelOwned, OpenExtendedMiningChannelSuccess,
    SetCustomMiningJobSuccess, SubmitSharesError, SubmitSharesExtendedOwned, SubmitSharesSuccess,
    UpdateChannelOwned,
};

use crate::core::{Core, Now, Outbox};
use crate::frame::Frame;
use crate::message::{self, AnyMessage, CommonMessages, Mining, MiningOwned, Received, text};
use crate::target::Target;
use crate::unanswered::Unanswered;

pub use event::{CustomChannel, CustomJob, CustomShare, CustomWorkEvent, CustomWorkInput, Seat};

/// How long the pool may take to open the channel or to answer SetCustomMiningJob; one that takes
/// longer counts as lost (SV2 5.3.19).
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Bytes of a whole extranonce at most (SV2 5.3.12).
const MAX_EXTRANONCE: usize = 32;

type Out = Outbox<CustomWorkEvent>;

#[derive(Debug)]
struct Open {
    id: u32,
    group_id: u32,
    seat: Arc<Seat>,
    target: Target,
}

/// A SetCustomMiningJob without an answer.
#[derive(Debug)]
struct Pending {
    job: u64,
    due: Instant,
}

/// One connection to a pool.
#[derive(Debug)]
pub struct CustomWorkClient {
    request: CustomChannel,
    open: Option<Open>,
    /// When the channel must be open.
    open_due: Option<Instant>,
    jobs: BTreeMap<u32, Pending>,
    next_request_id: u32,
    shares: Unanswered<CustomShare>,
}

/// The only channel there is.
const OPEN_REQUEST_ID: u32 = 0;

impl CustomWorkClient {
    /// For a connection that was set up with work selection.
    pub fn new(request: CustomChannel) -> Self {
        Self {
            request,
            open: None,
            open_due: None,
            jobs: BTreeMap::new(),
            next_request_id: OPEN_REQUEST_ID,
            shares: Unanswered::default(),
        }
    }

    /// The connection was set up: its first frame.
    pub fn connected(&mut self, now: Now) -> Vec<u8> {
        self.open_due = Some(now.instant + PATIENCE);
        let CustomChannel {
            user_identity,
            nominal_hash_rate,
            min_extranonce_size,
        } = &self.request;
        let mut frame = Vec::new();
        let open = OpenExtendedMiningChannelOwned {
            request_id: OPEN_REQUEST_ID,
            user_identity: text(user_identity),
            nominal_hash_rate: *nominal_hash_rate,
            max_target: Target::MAX.to_le_bytes().into(),
            min_extranonce_size: *min_extranonce_size,
        };
        message::encode(MiningOwned::OpenExtendedMiningChannel(open), &mut frame);
        frame
    }

    /// The connection is over: the shares that were never answered.
    pub fn into_unanswered(self) -> Vec<CustomShare> {
        self.shares.into_inner()
    }

    fn message(&mut self, message: Mining<'_>, out: &mut Out) {
        match message {
            Mining::OpenExtendedMiningChannelSuccess(success) => self.opened(&success, out),
            Mining::OpenMiningChannelError(error) => {
                let code = error.error_code.as_utf8_or_hex();
                out.close(format!("the pool opens no channel: {code}"));
            }
            Mining::SetCustomMiningJobSuccess(success) => self.job_set(&success, out),
            Mining::SetCustomMiningJobError(error) => match self.jobs.remove(&error.request_id) {
                Some(Pending { job, .. }) => out.event(CustomWorkEvent::JobRefused {
                    job,
                    code: error.error_code.as_utf8_or_hex(),
                }),
                None => out.event(CustomWorkEvent::Ignored(error.to_string())),
            },
            Mining::SubmitSharesSuccess(success) => self.accepted(&success, out),
            Mining::SubmitSharesError(error) => self.rejected(&error, out),
            other => self.channel_message(other, out),
        }
    }

    /// The messages that change the channel. What is for another one, or a job of the pool's own
    /// making, means nothing here.
    fn channel_message(&mut self, message: Mining<'_>, out: &mut Out) {
        let ignored = |message: Mining<'_>| CustomWorkEvent::Ignored(message.to_string());
        let Some(open) = &mut self.open else {
            return out.event(ignored(message));
        };
        match message {
            Mining::SetTarget(new) if open.is(new.channel_id) => {
                open.target = Target::from_le_bytes(*new.maximum_target.as_array());
                out.event(CustomWorkEvent::Target(open.target));
            }
            // SV2 5.3.10: for jobs that are set from now on, and those the pool has yet to see.
            Mining::SetExtranoncePrefix(new) if new.channel_id == open.id => {
                let seat = Seat {
                    extranonce_prefix: new.extranonce_prefix.as_bytes().to_vec(),
                    extranonce_size: open.seat.extranonce_size,
                };
                if seat.extranonce_len() > MAX_EXTRANONCE {
                    return out.close("the new extranonce prefix fits no coinbase");
                }
                open.seat = Arc::new(seat);
                self.jobs.clear();
                out.event(CustomWorkEvent::Seated(Arc::clone(&open.seat)));
            }
            Mining::SetGroupChannel(new) if new.channel_ids.iter().any(|id| *id == open.id) => {
                open.group_id = new.group_channel_id;
            }
            Mining::CloseChannel(close) if open.is(close.channel_id) => {
                let reason = close.reason_code.as_utf8_or_hex();
                out.close(format!("the pool closed the channel: {reason}"));
            }
            other => out.event(ignored(other)),
        }
    }

    fn opened(&mut self, success: &OpenExtendedMiningChannelSuccess<'_>, out: &mut Out) {
        if success.request_id != OPEN_REQUEST_ID || self.open.is_some() {
            return out.event(CustomWorkEvent::Ignored(success.to_string()));
        }
        let (granted, asked) = (success.extranonce_size, self.request.min_extranonce_size);
        let seat = Arc::new(Seat {
            extranonce_prefix: success.extranonce_prefix.as_bytes().to_vec(),
            extranonce_size: usize::from(granted),
        });
        if granted < asked || seat.extranonce_len() > MAX_EXTRANONCE {
            return out.close(format!(
                "{asked} bytes of extranonce are needed, the pool gives {granted} behind a prefix of {}",
                seat.extranonce_prefix.len()
            ));
        }
        self.open_due = None;
        self.open = Some(Open {
            id: success.channel_id,
            group_id: success.group_channel_id,
            seat: Arc::clone(&seat),
            target: Target::from_le_bytes(*success.target.as_array()),
        });
        out.event(CustomWorkEvent::Seated(seat));
    }

    fn set_job(&mut self, now: Now, custom: CustomJob, out: &mut Out) {
        // Built for another prefix: its sender hears of the new one, and builds it anew.
        let Some(open) = self.open.as_ref().filter(|open| open.seat == custom.seat) else {
            return;
        };
        let job = custom.job;
        self.next_request_id = self.next_request_id.wrapping_add(1);
        let request_id = self.next_request_id;
        let Some(message) = custom.message(open.id, request_id) else {
            let what = format!("job {job} fits no SetCustomMiningJob");
            return out.event(CustomWorkEvent::Ignored(what));
        };
        out.send(MiningOwned::SetCustomMiningJob(message));
        let due = now.instant + PATIENCE;
        self.jobs.insert(request_id, Pending { job, due });
    }

    fn job_set(&mut self, success: &SetCustomMiningJobSuccess, out: &mut Out) {
        // The target is that of now: a change that came before this answer was made before the
        // job was taken, one that comes later is for later jobs (SV2 5.3.21).
        match (self.jobs.remove(&success.request_id), &self.open) {
            (Some(Pending { job, .. }), Some(open)) => out.event(CustomWorkEvent::JobSet {
                job,
                job_id: success.job_id,
                target: open.target,
            }),
            _ => out.event(CustomWorkEvent::Ignored(success.to_string())),
        }
    }

    fn submit(&mut self, share: CustomShare, out: &mut Out) {
        let (Some(open), Ok(extranonce)) = (&self.open, share.extranonce.clone().try_into()) else {
            return out.event(CustomWorkEvent::GivenUp(share));
        };
        out.send(MiningOwned::SubmitSharesExtended(
            SubmitSharesExtendedOwned {
                channel_id: open.id,
                sequence_number: self.shares.next_number(),
                job_id: share.job_id,
                nonce: share.nonce,
                ntime: share.ntime,
                version: share.version,
                extranonce,
            },
        ));
        if let Some(oldest) = self.shares.push(share) {
            out.event(CustomWorkEvent::GivenUp(oldest));
        }
    }

    fn accepted(&mut self, success: &SubmitSharesSuccess, out: &mut Out) {
        out.event(match self.shares.accepted(success.last_sequence_number) {
            Some(shares) => CustomWorkEvent::Accepted {
                shares,
                count: success.new_submits_accepted_count,
            },
            None => CustomWorkEvent::Ignored(success.to_string()),
        });
    }

    fn rejected(&mut self, error: &SubmitSharesError<'_>, out: &mut Out) {
        out.event(match self.shares.rejected(error.sequence_number) {
            Some(share) => CustomWorkEvent::Rejected {
                share,
                code: error.error_code.as_utf8_or_hex(),
            },
            None => CustomWorkEvent::Ignored(error.to_string()),
        });
    }
}

impl Open {
    /// Whether a message is for this channel or its group (SV2 5.2.3).
    fn is(&self, id: u32) -> bool {
        self.id == id || self.group_id == id
    }
}

impl Core for CustomWorkClient {
    type Input = CustomWorkInput;
    type Event = CustomWorkEvent;

    fn received(&mut self, _now: Now, frame: Frame<'_>, out: &mut Out) {
        match message::decode(frame) {
            Ok(Received::Message(AnyMessage::Mining(message))) => self.message(message, out),
            Ok(Received::Message(AnyMessage::Common(CommonMessages::Reconnect(reconnect)))) => {
                out.event(CustomWorkEvent::Reconnect {
                    host: reconnect.new_host.as_utf8_or_hex(),
                    port: reconnect.new_port,
                });
                out.close("the pool asked to reconnect");
            }
            Ok(Received::Message(other)) => out.event(CustomWorkEvent::Ignored(other.to_string())),
            Ok(Received::Unknown {
                extension,
                msg_type,
            }) => out.event(CustomWorkEvent::Ignored(format!(
                "type 0x{msg_type:02x} of extension {extension}"
            ))),
            Err(error) => out.close(error.to_string()),
        }
    }

    fn input(&mut self, now: Now, input: CustomWorkInput, out: &mut Out) {
        match input {
            CustomWorkInput::SetJob(job) => self.set_job(now, job, out),
            CustomWorkInput::Share(share) => self.submit(share, out),
            CustomWorkInput::HashRate(nominal_hash_rate) => {
                if let Some(open) = &self.open {
                    out.send(MiningOwned::UpdateChannel(UpdateChannelOwned {
                        channel_id: open.id,
                        nominal_hash_rate,
                        maximum_target: Target::MAX.to_le_bytes().into(),
                    }));
                }
            }
            CustomWorkInput::Leave => {
                if let Some(open) = &self.open {
                    out.send(MiningOwned::CloseChannel(CloseChannelOwned {
                        channel_id: open.id,
                        reason_code: text("shutdown"),
                    }));
                }
                out.close("leaving");
            }
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let jobs = self.jobs.values().map(|pending| pending.due);
        jobs.chain(self.open_due).min()
    }

    fn wake(&mut self, now: Now, out: &mut Out) {
        let patience = PATIENCE.as_secs();
        if self.open_due.is_some_and(|due| due <= now.instant) {
            return out.close(format!("the pool opened no channel within {patience} s"));
        }
        if self.jobs.values().any(|pending| pending.due <= now.instant) {
            out.close(format!(
                "no answer to SetCustomMiningJob within {patience} s"
            ));
        }
    }
}

#[cfg(test)]
mod tests;
