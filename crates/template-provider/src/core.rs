//! The Template Distribution Protocol (SV2 chapter 7), server side, for one client.
//!
//! [`TemplateServer`] knows what the client has been sent and decides what it is sent next. It
//! reads no clock, opens no socket and calls no node: frames and feed events go in, messages and
//! [`Event`]s come out, and an [`Event::Request`] is how it asks its feed for something.

mod message;
mod solution;
mod templates;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bitcoin::BlockHash;
use protocol::core::{Core, Now, Outbox};
use protocol::error_code::{self, ErrorCode};
use protocol::frame::Frame;
use protocol::message::template::SubmitSolution;
use protocol::message::{AnyMessage, Received, TemplateDistribution, decode};

use crate::source::{self, Constraints, MAX_UNANSWERED, Request, Template, TemplateKey, Verdict};
pub use solution::Refusal;
use templates::{Lookup, Templates};

/// How long a template of a replaced tip can still be asked for and solved. A declared job or a
/// solution may be on its way when the tip changes.
pub const STALE_GRACE: Duration = Duration::from_secs(10);

/// What a client's connection tells the rest of the role.
#[derive(Debug)]
pub enum Event {
    /// To be handed to the client's feed.
    Request(Request),
    /// The client said how much room its coinbase outputs need.
    ConstraintsSet(Constraints),
    /// The client has not said it for too long, and is closed.
    Idle,
    /// The client was sent a template.
    TemplateSent {
        /// Its id on this connection.
        template_id: u64,
        /// Whether it came with a new previous hash.
        new_tip: bool,
        /// What it holds.
        template: Arc<Template>,
    },
    /// The source made a template that no message can carry.
    TemplateUnusable {
        /// What does not fit.
        problem: String,
    },
    /// The client was sent the transactions of a template.
    TransactionDataSent {
        /// The template.
        template_id: u64,
        /// How many, without the coinbase.
        transactions: usize,
    },
    /// The client asked for transactions and was sent an error.
    TransactionDataRefused {
        /// The template it asked for.
        template_id: u64,
        /// What it was told.
        code: ErrorCode,
        /// More than it was told.
        reason: String,
    },
    /// A solution went to the node.
    SolutionSubmitted {
        /// The template that was solved.
        template_id: u64,
        /// The block it makes.
        block_hash: BlockHash,
    },
    /// A solution did not go to the node.
    SolutionRefused {
        /// The template that was to be solved.
        template_id: u64,
        /// What is wrong.
        refusal: Refusal,
    },
    /// The node has judged a solution.
    SolutionJudged {
        /// The template that was solved.
        template_id: u64,
        /// The block it makes.
        block_hash: BlockHash,
        /// The node's answer.
        verdict: Verdict,
    },
    /// The node is out of reach.
    NodeLost {
        /// What happened.
        reason: String,
    },
    /// The node is reachable (again).
    NodeBack,
    /// The node is reachable but still downloading the chain.
    NodeSyncing,
    /// The client sent something that means nothing to a template provider.
    Ignored {
        /// What it sent.
        message: String,
    },
}

/// The server's side of one Template Distribution connection, after SetupConnection.
#[derive(Debug)]
pub struct TemplateServer {
    /// `None` until the client has spoken: before that it is sent nothing (SV2 7, intro).
    constraints: Option<Constraints>,
    /// When that is too late.
    constraints_due: Option<Instant>,
    templates: Templates,
    /// The template of the last SetNewPrevHash.
    announced: Option<Arc<Template>>,
    /// Requests the feed has not answered yet.
    unanswered: usize,
}

impl Core for TemplateServer {
    type Input = source::Event;
    type Event = Event;

    fn received(&mut self, _now: Now, frame: Frame<'_>, out: &mut Outbox<Event>) {
        let ignored = match decode(frame) {
            Ok(Received::Message(AnyMessage::TemplateDistribution(message))) => match message {
                TemplateDistribution::CoinbaseOutputConstraints(constraints) => {
                    return self.set_constraints(message::constraints(&constraints), out);
                }
                TemplateDistribution::RequestTransactionData(request) => {
                    return self.request_transaction_data(request.template_id, out);
                }
                TemplateDistribution::SubmitSolution(solution) => {
                    return self.submit(&solution, out);
                }
                servers => servers.to_string(),
            },
            Ok(Received::Message(foreign)) => foreign.to_string(),
            Ok(Received::Unknown {
                extension,
                msg_type,
            }) => {
                format!("type 0x{msg_type:02x} of extension 0x{extension:04x}")
            }
            Err(error) => return out.close(error.to_string()),
        };
        out.event(Event::Ignored { message: ignored });
    }

    fn input(&mut self, now: Now, input: source::Event, out: &mut Outbox<Event>) {
        match input {
            source::Event::Template {
                key,
                constraints,
                template,
            } => {
                // A client that has asked for more room must not be given less.
                if self.constraints == Some(constraints) {
                    self.send_template(now, key, template, out);
                } else {
                    release(vec![key], out);
                }
            }
            source::Event::TransactionData {
                template_id,
                transactions,
            } => {
                self.unanswered = self.unanswered.saturating_sub(1);
                send_transaction_data(template_id, transactions, out);
            }
            source::Event::Verdict {
                template_id,
                block_hash,
                verdict,
            } => {
                self.unanswered = self.unanswered.saturating_sub(1);
                // SV2 7.7: there is no answer to SubmitSolution.
                out.event(Event::SolutionJudged {
                    template_id,
                    block_hash,
                    verdict,
                });
            }
            source::Event::NodeLost { reason } => {
                self.templates.lose_node();
                out.event(Event::NodeLost { reason });
            }
            // For feeds that only watch.
            source::Event::Tip { .. } => {}
            source::Event::NodeBack => out.event(Event::NodeBack),
            source::Event::NodeSyncing => out.event(Event::NodeSyncing),
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let dues = [self.constraints_due, self.templates.next_expiry()];
        dues.into_iter().flatten().min()
    }

    fn wake(&mut self, now: Now, out: &mut Outbox<Event>) {
        release(self.templates.expire(now.instant), out);
        if self
            .constraints_due
            .take_if(|due| *due <= now.instant)
            .is_some()
        {
            out.event(Event::Idle);
            out.close("idle: no CoinbaseOutputConstraints came");
        }
    }
}

impl TemplateServer {
    /// For a client that was just set up. It has to say what it needs within `idle`: until then it
    /// keeps a connection to the node open for nothing.
    pub fn connected(now: Now, idle: Duration) -> Self {
        Self {
            constraints: None,
            constraints_due: now.instant.checked_add(idle),
            templates: Templates::default(),
            announced: None,
            unanswered: 0,
        }
    }

    fn set_constraints(&mut self, constraints: Constraints, out: &mut Outbox<Event>) {
        if !constraints.is_possible() {
            return out.close(format!(
                "no block has room for {constraints}; ask for less in CoinbaseOutputConstraints"
            ));
        }
        self.constraints = Some(constraints);
        self.constraints_due = None;
        // Whoever asks anew may have forgotten its tip, as the reference implementation's client
        // does when it has lost its pool. A tip that is told again is none that has changed.
        self.announced = None;
        out.event(Event::ConstraintsSet(constraints));
        out.event(Event::Request(Request::Constraints(constraints)));
    }

    fn send_template(
        &mut self,
        now: Now,
        key: TemplateKey,
        template: Arc<Template>,
        out: &mut Outbox<Event>,
    ) {
        // SV2 7.3: SetNewPrevHash carries the previous hash and the target, so a change of either
        // needs a future template and a SetNewPrevHash that names it. All else goes to work at
        // once as a template that is not of the future, also after the node was away.
        let new_tip = self.announced.as_ref().is_none_or(|announced| {
            announced.prev_hash != template.prev_hash || announced.n_bits != template.n_bits
        });
        let template_id = self.templates.next_id();
        let message = match message::new_template(template_id, new_tip, &template) {
            Ok(message) => message,
            Err(problem) => {
                release(vec![key], out);
                return out.event(Event::TemplateUnusable { problem });
            }
        };
        out.send(message);
        if new_tip {
            out.send(message::set_new_prev_hash(template_id, &template));
            self.templates
                .tip_is(&template.prev_hash, now.instant + STALE_GRACE);
            self.announced = Some(Arc::clone(&template));
        }
        release(self.templates.add(key, Arc::clone(&template)), out);
        out.event(Event::TemplateSent {
            template_id,
            new_tip,
            template,
        });
    }

    fn request_transaction_data(&mut self, template_id: u64, out: &mut Outbox<Event>) {
        if self.unanswered >= MAX_UNANSWERED {
            return out.close(format!(
                "{MAX_UNANSWERED} requests are unanswered; wait for answers before asking on"
            ));
        }
        let (code, reason) = match self.templates.find(template_id) {
            Lookup::Held { key: Some(key), .. } => {
                self.unanswered += 1;
                let request = Request::TransactionData { template_id, key };
                return out.event(Event::Request(request));
            }
            Lookup::Held { key: None, .. } => (
                error_code::STALE_TEMPLATE_ID,
                "the node that made it is gone",
            ),
            Lookup::Gone => (error_code::STALE_TEMPLATE_ID, "it has been replaced"),
            Lookup::NeverSent => (
                error_code::TEMPLATE_ID_NOT_FOUND,
                "no such template was sent",
            ),
        };
        refuse_transaction_data(template_id, code, reason.to_owned(), out);
    }

    fn submit(&mut self, submitted: &SubmitSolution<'_>, out: &mut Outbox<Event>) {
        let template_id = submitted.template_id;
        let judged = match self.templates.find(template_id) {
            Lookup::NeverSent => Err(Refusal::NeverSent),
            Lookup::Gone => Err(Refusal::Replaced),
            Lookup::Held { key: None, .. } => Err(Refusal::NodeGone),
            Lookup::Held { .. } if self.unanswered >= MAX_UNANSWERED => Err(Refusal::TooMany {
                unanswered: self.unanswered,
            }),
            Lookup::Held {
                key: Some(key),
                template,
            } => solution::judge(submitted, template).map(|solution| (key, solution)),
        };
        match judged {
            Ok((key, solution)) => {
                self.unanswered += 1;
                let block_hash = solution.block_hash;
                out.event(Event::Request(Request::Submit {
                    key,
                    solution: Box::new(solution),
                }));
                out.event(Event::SolutionSubmitted {
                    template_id,
                    block_hash,
                });
            }
            Err(refusal) => out.event(Event::SolutionRefused {
                template_id,
                refusal,
            }),
        }
    }
}

fn send_transaction_data(
    template_id: u64,
    transactions: Result<Vec<Vec<u8>>, String>,
    out: &mut Outbox<Event>,
) {
    let message = transactions.and_then(|transactions| {
        let count = transactions.len();
        Ok((message::transaction_data(template_id, transactions)?, count))
    });
    match message {
        Ok((message, transactions)) => {
            out.send(message);
            out.event(Event::TransactionDataSent {
                template_id,
                transactions,
            });
        }
        // The template was held when it was asked for, so what is gone is gone since then.
        Err(reason) => {
            refuse_transaction_data(template_id, error_code::STALE_TEMPLATE_ID, reason, out);
        }
    }
}

fn refuse_transaction_data(
    template_id: u64,
    code: ErrorCode,
    reason: String,
    out: &mut Outbox<Event>,
) {
    out.send(message::transaction_data_error(template_id, code));
    out.event(Event::TransactionDataRefused {
        template_id,
        code,
        reason,
    });
}

fn release(keys: Vec<TemplateKey>, out: &mut Outbox<Event>) {
    if !keys.is_empty() {
        out.event(Event::Request(Request::Release(keys)));
    }
}

#[cfg(test)]
mod tests;
