//! Shares: from the message to the answer (SV2 5.3.11 to 5.3.14).

use std::sync::Arc;

use stratum_core::mining_sv2::SubmitSharesErrorOwned;

use super::channel::ChannelKind;
use super::submission::Submission;
use super::verdict::{Block, Verdict};
use super::worker::Worker;
use super::{MiningServer, Out, ServerEvent};
use crate::core::Now;
use crate::error_code::{self, ErrorCode};
use crate::message::{MiningOwned, text};

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
        let is_block = block.is_some();
        if let Some(block) = block {
            let (job_id, user_identity) = (share.job_id, channel.user_identity.clone());
            let worker = worker.as_ref().map(|worker| Arc::clone(&worker.name));
            out.event(match block {
                Block::Ours(solution) => ServerEvent::Block {
                    channel_id,
                    job_id,
                    user_identity,
                    worker,
                    solution,
                },
                Block::Custom(block) => ServerEvent::CustomBlock {
                    channel_id,
                    job_id,
                    user_identity,
                    worker,
                    block,
                },
            });
        }
        match judged {
            Ok(accepted) => {
                let cost = accepted.hashes;
                let batch = &mut channel.batch;
                let acknowledgements = &mut self.acknowledgements;
                let due = now.instant + self.policy.ack_delay;
                let number = acknowledgements.accept(batch, sequence_number, cost, due);
                out.event(ServerEvent::Accepted {
                    number,
                    channel_id,
                    job_id: share.job_id,
                    sequence_number,
                    share: accepted,
                    worker,
                });
                if is_block || batch.count >= self.policy.share_batch_size {
                    acknowledgements.complete(channel_id, batch, out);
                }
                self.watch_share(now, channel_id, cost, out);
            }
            Err(code) => reject(submission, code, worker, out),
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
