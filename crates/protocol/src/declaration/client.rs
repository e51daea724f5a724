//! The client's half, for one connection to a job declarator server.
//!
//! [`DeclarationClient`] keeps a reserve of tokens, declares jobs with them, and hands out the
//! transactions of a declared job that the server's node does not know. A server that does not
//! answer in time is left: whoever drives the connection sees it end and looks for another.

mod event;
mod frame;
mod reserve;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use stratum_core::job_declaration_sv2::{
    AllocateMiningJobTokenOwned, AllocateMiningJobTokenSuccess, DeclareMiningJobError,
    DeclareMiningJobSuccess, ProvideMissingTransactions,
};

use crate::core::{Core, Now, Outbox};
use crate::frame::Frame;
use crate::message::{
    self, AnyMessage, CommonMessages, JobDeclaration, JobDeclarationOwned, Received, text,
};
use crate::transactions::TransactionData;

use reserve::Reserve;

pub use event::{Declaration, DeclarationEvent, DeclarationInput, PayoutScripts, PushedSolution};

/// How long the server may take to give a token, after which it counts as lost (SV2 6.2).
pub const TOKEN_PATIENCE: Duration = Duration::from_secs(5);
/// How long it may take to say something of a declared job: it may have to ask its node.
pub const DECLARATION_PATIENCE: Duration = Duration::from_secs(10);

/// Declarations that the server has to look at, at once; the next ones wait. A server that looks
/// after many may take no more of one.
pub const MAX_OPEN: usize = 4;
/// Declarations without an answer, or without a token; a server that is further behind is left.
const MAX_UNANSWERED: usize = 64;
/// Times a server may change its mind about whom to pay. It should never (SV2 6.4.3), and each time
/// costs every miner a new job.
const MAX_PAYOUTS: u32 = 16;

type Out = Outbox<DeclarationEvent>;

/// A declaration without an answer.
#[derive(Debug)]
struct Unanswered {
    job: u64,
    transactions: Arc<TransactionData>,
    due: Instant,
}

/// What waits for a token.
#[derive(Debug)]
enum Errand {
    Declare(Declaration),
    Take { job: u64, payout: PayoutScripts },
}

impl Errand {
    fn payout(&self) -> &PayoutScripts {
        match self {
            Self::Declare(declaration) => &declaration.payout,
            Self::Take { payout, .. } => payout,
        }
    }
}

/// One connection to a job declarator server.
#[derive(Debug)]
pub struct DeclarationClient {
    user_identifier: String,
    next_request_id: u32,
    reserve: Reserve,
    /// What there was no token for, oldest first.
    errands: Vec<Errand>,
    unanswered: BTreeMap<u32, Unanswered>,
    payouts: u32,
}

impl DeclarationClient {
    /// For a server that knows us as `user_identifier`.
    pub fn new(user_identifier: String) -> Self {
        Self {
            user_identifier,
            next_request_id: 0,
            reserve: Reserve::default(),
            errands: Vec::new(),
            unanswered: BTreeMap::new(),
            payouts: 0,
        }
    }

    /// The connection was set up: its first frames.
    pub fn connected(&mut self, now: Now) -> Vec<u8> {
        let mut out = Outbox::default();
        self.refill(now, &mut out);
        std::mem::take(out.frames())
    }

    /// Asks for as many tokens as are wanted and not on their way.
    fn refill(&mut self, now: Now, out: &mut Out) {
        self.reserve.drop_old(now.instant);
        while self.reserve.is_short(self.errands.len()) {
            let request_id = self.next_request_id();
            self.reserve.ask(request_id, now.instant);
            out.send(JobDeclarationOwned::AllocateMiningJobToken(
                AllocateMiningJobTokenOwned {
                    user_identifier: text(&self.user_identifier),
                    request_id,
                },
            ));
        }
    }

    /// Ids are used once, for whatever request.
    fn next_request_id(&mut self) -> u32 {
        self.next_request_id = self.next_request_id.wrapping_add(1);
        self.next_request_id
    }

    fn message(&mut self, now: Now, message: JobDeclaration<'_>, out: &mut Out) {
        match message {
            JobDeclaration::AllocateMiningJobTokenSuccess(success) => {
                self.allocated(now, &success, out);
            }
            JobDeclaration::DeclareMiningJobSuccess(success) => {
                self.declared(&success, out);
                self.run_errands(now, out);
            }
            JobDeclaration::DeclareMiningJobError(error) => {
                self.refused(&error, out);
                self.run_errands(now, out);
            }
            JobDeclaration::ProvideMissingTransactions(request) => {
                self.provide(now, &request, out);
            }
            other => out.event(DeclarationEvent::Ignored(other.to_string())),
        }
    }

    fn allocated(&mut self, now: Now, success: &AllocateMiningJobTokenSuccess<'_>, out: &mut Out) {
        let token = success.mining_job_token.as_bytes();
        let outputs = success.coinbase_outputs.as_bytes();
        match self
            .reserve
            .answered(success.request_id, token, outputs, now.instant)
        {
            Ok(Some(payout)) => {
                self.payouts += 1;
                if self.payouts > MAX_PAYOUTS {
                    return out.close("the server's payout outputs keep changing");
                }
                out.event(DeclarationEvent::Payout(payout));
            }
            Ok(None) => {}
            Err(reserve::Unusable::NeverAsked) => {
                let what = format!("a token for request {}, never made", success.request_id);
                return out.event(DeclarationEvent::Ignored(what));
            }
            Err(reserve::Unusable::Outputs(what)) => return out.close(what),
        }
        self.run_errands(now, out);
    }

    /// Does what can be done with the tokens there are, and asks for new ones.
    fn run_errands(&mut self, now: Now, out: &mut Out) {
        self.reserve.drop_old(now.instant);
        for errand in std::mem::take(&mut self.errands) {
            // Its sender hears of the new payout, and asks again with a coinbase that pays it.
            if !self.reserve.pays(errand.payout()) {
                continue;
            }
            let must_wait =
                matches!(errand, Errand::Declare(_)) && self.unanswered.len() >= MAX_OPEN;
            let token = (!must_wait).then(|| self.reserve.take()).flatten();
            let Some(token) = token else {
                self.errands.push(errand);
                continue;
            };
            match errand {
                Errand::Take { job, .. } => out.event(DeclarationEvent::Taken { job, token }),
                Errand::Declare(declaration) => self.declare(now, declaration, &token, out),
            }
        }
        if self.errands.len() + self.unanswered.len() > MAX_UNANSWERED {
            return out.close(format!("{MAX_UNANSWERED} jobs wait for the server"));
        }
        self.refill(now, out);
    }

    fn declare(&mut self, now: Now, declaration: Declaration, token: &[u8], out: &mut Out) {
        let request_id = self.next_request_id();
        frame::declare(request_id, token, &declaration, out);
        let Declaration {
            job, transactions, ..
        } = declaration;
        out.event(DeclarationEvent::Sent { job });
        let due = now.instant + DECLARATION_PATIENCE;
        let waiting = Unanswered {
            job,
            transactions,
            due,
        };
        self.unanswered.insert(request_id, waiting);
    }

    fn declared(&mut self, success: &DeclareMiningJobSuccess<'_>, out: &mut Out) {
        match self.unanswered.remove(&success.request_id) {
            Some(Unanswered { job, .. }) => out.event(DeclarationEvent::Declared {
                job,
                token: success.new_mining_job_token.as_bytes().to_vec(),
            }),
            None => out.event(DeclarationEvent::Ignored(success.to_string())),
        }
    }

    fn refused(&mut self, error: &DeclareMiningJobError<'_>, out: &mut Out) {
        match self.unanswered.remove(&error.request_id) {
            Some(Unanswered { job, .. }) => out.event(DeclarationEvent::Refused {
                job,
                code: error.error_code.as_utf8_or_hex(),
                details: String::from_utf8_lossy(error.error_details.as_bytes()).into_owned(),
            }),
            None => out.event(DeclarationEvent::Ignored(error.to_string())),
        }
    }

    /// Exactly what was asked for, in the order it was asked for (SV2 6.4.8). Only declared jobs
    /// are known here, so nothing leaves for a job that was not (JDC-13).
    fn provide(&mut self, now: Now, request: &ProvideMissingTransactions<'_>, out: &mut Out) {
        let ignored = |what: &str| {
            let id = request.request_id;
            DeclarationEvent::Ignored(format!(
                "ProvideMissingTransactions for request {id}, {what}"
            ))
        };
        let Some(waiting) = self.unanswered.get_mut(&request.request_id) else {
            return out.event(ignored("which is not open"));
        };
        let positions = request.unknown_tx_position_list.iter();
        let wanted: Option<Vec<&[u8]>> = positions
            .map(|position| waiting.transactions.get(usize::from(*position)))
            .collect();
        let Some(wanted) = wanted else {
            return out.event(ignored("with a position the block does not have"));
        };
        if !frame::provide(request.request_id, &wanted, out) {
            return out.event(ignored("more than one message can carry"));
        }
        waiting.due = now.instant + DECLARATION_PATIENCE;
        out.event(DeclarationEvent::Provided {
            job: waiting.job,
            transactions: wanted.len(),
        });
    }
}

impl Core for DeclarationClient {
    type Input = DeclarationInput;
    type Event = DeclarationEvent;

    fn received(&mut self, now: Now, frame: Frame<'_>, out: &mut Out) {
        match message::decode(frame) {
            Ok(Received::Message(AnyMessage::JobDeclaration(message))) => {
                self.message(now, message, out);
            }
            Ok(Received::Message(AnyMessage::Common(CommonMessages::Reconnect(reconnect)))) => {
                out.event(DeclarationEvent::Reconnect {
                    host: reconnect.new_host.as_utf8_or_hex(),
                    port: reconnect.new_port,
                });
                out.close("the server asked to reconnect");
            }
            Ok(Received::Message(other)) => out.event(DeclarationEvent::Ignored(other.to_string())),
            Ok(Received::Unknown {
                extension,
                msg_type,
            }) => out.event(DeclarationEvent::Ignored(format!(
                "type 0x{msg_type:02x} of extension {extension}"
            ))),
            Err(error) => out.close(error.to_string()),
        }
    }

    fn input(&mut self, now: Now, input: DeclarationInput, out: &mut Out) {
        match input {
            DeclarationInput::Declare(declaration) => {
                self.errands.push(Errand::Declare(declaration));
                self.run_errands(now, out);
            }
            DeclarationInput::Take { job, payout } => {
                self.errands.push(Errand::Take { job, payout });
                self.run_errands(now, out);
            }
            DeclarationInput::PushSolution(solution) => frame::push(solution, out),
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let declarations = self.unanswered.values().map(|waiting| waiting.due);
        declarations.chain(self.reserve.deadline()).min()
    }

    fn wake(&mut self, now: Now, out: &mut Out) {
        if self.reserve.is_overdue(now.instant) {
            return out.close(format!("no token within {} s", TOKEN_PATIENCE.as_secs()));
        }
        let mut waiting = self.unanswered.values();
        if waiting.any(|waiting| waiting.due <= now.instant) {
            let patience = DECLARATION_PATIENCE.as_secs();
            return out.close(format!("no answer to DeclareMiningJob within {patience} s"));
        }
        self.refill(now, out);
    }
}

#[cfg(test)]
mod tests;
