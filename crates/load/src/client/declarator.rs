//! The job declarator server: a token for whoever asks, and another for whatever is declared.

use std::convert::Infallible;

use protocol::core::{Core, Now};
use protocol::frame::Frame;
use protocol::message::declaration::{
    AllocateMiningJobTokenSuccessOwned, DeclareMiningJobSuccessOwned,
};
use protocol::message::{self, AnyMessage, JobDeclaration, JobDeclarationOwned, Received};

use crate::played::{Out, Tip};

/// One output of 0 satoshis that anybody can spend, behind the number of outputs.
const PAYOUT: [u8; 11] = [1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0x51];

#[derive(Debug, Default)]
pub(super) struct Declarator {
    tokens: u32,
}

impl Declarator {
    fn token(&mut self) -> Vec<u8> {
        self.tokens += 1;
        self.tokens.to_le_bytes().to_vec()
    }
}

impl Core for Declarator {
    type Input = Tip;
    type Event = Infallible;

    fn received(&mut self, _now: Now, frame: Frame<'_>, out: &mut Out) {
        let Ok(Received::Message(AnyMessage::JobDeclaration(message))) = message::decode(frame)
        else {
            return;
        };
        let token = self.token().try_into().expect("4 bytes fit");
        match message {
            JobDeclaration::AllocateMiningJobToken(request) => {
                out.send(JobDeclarationOwned::AllocateMiningJobTokenSuccess(
                    AllocateMiningJobTokenSuccessOwned {
                        request_id: request.request_id,
                        mining_job_token: token,
                        coinbase_outputs: PAYOUT.to_vec().try_into().expect("11 bytes fit"),
                    },
                ));
            }
            JobDeclaration::DeclareMiningJob(job) => {
                out.send(JobDeclarationOwned::DeclareMiningJobSuccess(
                    DeclareMiningJobSuccessOwned {
                        request_id: job.request_id,
                        new_mining_job_token: token,
                    },
                ));
            }
            _ => {}
        }
    }

    /// Tips are the template provider's.
    fn input(&mut self, _now: Now, _tip: Tip, _out: &mut Out) {}
}
