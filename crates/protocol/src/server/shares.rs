//! Shares: from the message to the answer (SV2 5.3.11 to 5.3.14).

use stratum_core::mining_sv2::{
    SubmitSharesErrorOwned, SubmitSharesExtended, SubmitSharesStandard, SubmitSharesSuccess,
};

use super::channel::{Batch, ChannelKind, Share, Verdict};
use super::worker::Worker;
use super::{MiningServer, Out, ServerEvent};
use crate::core::Now;
use crate::error_code::{self, ErrorCode};
use crate::extension::TooLong;
use crate::message::{MiningOwned, text};

/// Hashes that a share of difficulty 1 stands for.
const HASHES_PER_DIFFICULTY: f64 = 4_295_032_833.0;

impl MiningServer {
    pub(super) fn submit(&mut self, now: Now, submission: &Submission<'_>, out: &mut Out) {
        let Submission {
            channel_id,
            sequence_number,
            is_standard,
            share,
            worker,
        } = *submission;
        let channel = self
            .channels
            .get_mut(&channel_id)
            .filter(|channel| is_standard == (channel.kind == ChannelKind::Standard));
        let Some(channel) = channel else {
            let code = error_code::INVALID_CHANNEL_ID;
            return reject(submission, code, None, out);
        };
        let Verdict {
            share: judged,
            block,
        } = channel.judge(share, now.unix);
        if channel.is_exhausted() {
            out.close("more shares on one tip than can be told apart");
        }
        let is_block = block.is_some();
        if let Some(solution) = block {
            out.event(ServerEvent::Block {
                channel_id,
                job_id: share.job_id,
                user_identity: channel.user_identity.clone(),
                solution,
            });
        }
        // A block is a block whatever hangs on its message; the share is not (SV2 3.4.3).
        let judged = judged.and_then(|accepted| match worker {
            Err(_) => Err(error_code::INVALID_USER_IDENTITY),
            Ok(_) => Ok(accepted),
        });
        let worker = worker.ok().flatten().and_then(|name| {
            let hashes = judged.as_ref().ok().map(|accepted| accepted.hashes);
            channel
                .workers
                .count(&String::from_utf8_lossy(name), hashes)
        });
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
                let cost = accepted.hashes;
                out.event(ServerEvent::Accepted {
                    channel_id,
                    job_id: share.job_id,
                    share: accepted,
                    worker,
                });
                self.watch_share(now, channel_id, cost, out);
            }
            Err(code) => reject(submission, code, worker, out),
        }
    }
}

/// The worker that the client says has found a share, if it is to say so.
pub(super) type WorkerName<'a> = Result<Option<&'a [u8]>, TooLong>;

/// One of the two messages that bring a share.
pub(super) struct Submission<'a> {
    channel_id: u32,
    sequence_number: u32,
    is_standard: bool,
    share: Share<'a>,
    worker: WorkerName<'a>,
}

impl<'a> Submission<'a> {
    /// Found by that worker.
    pub(super) fn of(self, worker: WorkerName<'a>) -> Self {
        Self { worker, ..self }
    }
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
            worker: Ok(None),
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
            worker: Ok(None),
        }
    }
}

/// SV2 5.3.14: every incorrect share is answered at once, with its own sequence number.
fn reject(submission: &Submission<'_>, code: ErrorCode, worker: Option<Worker>, out: &mut Out) {
    out.send(MiningOwned::SubmitSharesError(SubmitSharesErrorOwned {
        channel_id: submission.channel_id,
        sequence_number: submission.sequence_number,
        error_code: text(code),
    }));
    out.event(ServerEvent::Rejected {
        channel_id: submission.channel_id,
        job_id: submission.share.job_id,
        code,
        worker,
    });
}

/// SV2 5.3.13: counts and sums what was accepted since the last acknowledgement.
pub(super) fn acknowledge(channel_id: u32, batch: &mut Batch, out: &mut Out) {
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
