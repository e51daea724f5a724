//! The client's half of the Template Distribution Protocol (SV2 chapter 7), for pools and job
//! declarator clients.

use std::sync::Arc;

use stratum_core::template_distribution_sv2::{
    CoinbaseOutputConstraints, RequestTransactionData, SubmitSolutionOwned,
};

use crate::coinbase::CoinbasePlan;
use crate::core::{Core, Now, Outbox};
use crate::frame::Frame;
use crate::message::{self, AnyMessage, Received, TemplateDistribution, TemplateDistributionOwned};
use crate::server::Solution;
use crate::transactions::TransactionData;
use crate::work::{Work, WorkTracker};

/// What a template provider's client is told by its role.
#[derive(Debug)]
pub enum ProviderInput {
    /// Submit a block.
    Solve(Solution),
    /// Ask for the transactions of a template.
    RequestTransactions {
        /// The provider's connection it came over.
        session: u64,
        /// The provider's id.
        template_id: u64,
    },
    /// Coinbases need so much room from now on.
    Constrain(Constraints),
}

/// Room for the outputs that are added to a template's own (SV2 7.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Constraints {
    /// Serialized bytes of these outputs.
    pub size: u32,
    /// Their signature operations, in the units of the block limit.
    pub sigops: u16,
}

/// What a template provider's client learns.
#[derive(Debug)]
pub enum ProviderEvent {
    /// There is something new to mine on.
    Work(Work),
    /// The transactions that were asked for.
    Transactions {
        /// The provider's connection the template came over.
        session: u64,
        /// The provider's id.
        template_id: u64,
        /// All but the coinbase.
        transactions: Arc<TransactionData>,
    },
    /// The provider does not give the transactions that were asked for.
    NoTransactions {
        /// The provider's connection the template came over.
        session: u64,
        /// The provider's id.
        template_id: u64,
        /// Its reason.
        code: String,
    },
    /// A message that makes no sense, and why; it changed nothing.
    Ignored(String),
    /// A solution was passed on to the provider.
    Submitted(Solution),
    /// A solution for a template of an earlier connection: the provider no longer knows it, and
    /// nobody else has its transactions.
    Lost(Solution),
}

/// The state a client keeps, over all its connections to one provider.
#[derive(Debug)]
pub struct ProviderClient {
    tracker: WorkTracker,
    constraints: Constraints,
}

impl ProviderClient {
    /// Builds coinbases by `plan`.
    pub fn new(plan: CoinbasePlan) -> Self {
        Self {
            constraints: Constraints {
                size: plan.outputs_size(),
                sigops: plan.outputs_sigops(),
            },
            tracker: WorkTracker::new(plan),
        }
    }

    /// Asks for this much room from the next connection on, instead of what the plan needs.
    pub fn constrain(&mut self, constraints: Constraints) {
        self.constraints = constraints;
    }

    /// A connection was set up: its first frame, to be sent at once (SV2 7, TPC-02).
    pub fn connected(&mut self) -> Vec<u8> {
        self.tracker.reconnected();
        let mut frame = Vec::new();
        message::encode(self.constraints.message(), &mut frame);
        frame
    }

    fn solve(&self, solution: Solution, out: &mut Outbox<ProviderEvent>) {
        if solution.session != self.tracker.session() {
            return out.event(ProviderEvent::Lost(solution));
        }
        let Ok(coinbase_tx) = solution.coinbase.clone().try_into() else {
            return out.event(ProviderEvent::Lost(solution));
        };
        out.send(TemplateDistributionOwned::SubmitSolution(
            SubmitSolutionOwned {
                template_id: solution.template_id,
                version: solution.version,
                header_timestamp: solution.ntime,
                header_nonce: solution.nonce,
                coinbase_tx,
            },
        ));
        out.event(ProviderEvent::Submitted(solution));
    }

    fn request(&self, session: u64, template_id: u64, out: &mut Outbox<ProviderEvent>) {
        if session == self.tracker.session() {
            let request = RequestTransactionData { template_id };
            return out.send(TemplateDistributionOwned::RequestTransactionData(request));
        }
        out.event(ProviderEvent::NoTransactions {
            session,
            template_id,
            code: "the template belongs to an earlier connection".to_owned(),
        });
    }
}

impl Constraints {
    fn message(self) -> TemplateDistributionOwned {
        TemplateDistributionOwned::CoinbaseOutputConstraints(CoinbaseOutputConstraints {
            coinbase_output_max_additional_size: self.size,
            coinbase_output_max_additional_sigops: self.sigops,
        })
    }
}

impl Core for ProviderClient {
    type Input = ProviderInput;
    type Event = ProviderEvent;

    fn received(&mut self, _now: Now, frame: Frame<'_>, out: &mut Outbox<ProviderEvent>) {
        let ignored = |what: String| ProviderEvent::Ignored(what);
        let message = match message::decode(frame) {
            Ok(Received::Message(AnyMessage::TemplateDistribution(message))) => message,
            Ok(Received::Message(other)) => return out.event(ignored(other.to_string())),
            Ok(Received::Unknown {
                extension,
                msg_type,
            }) => {
                return out.event(ignored(format!(
                    "type 0x{msg_type:02x} of extension {extension}"
                )));
            }
            Err(error) => return out.close(error.to_string()),
        };
        let changed = match message {
            TemplateDistribution::NewTemplate(template) => self.tracker.new_template(&template),
            TemplateDistribution::SetNewPrevHash(tip) => self.tracker.set_new_prev_hash(&tip),
            TemplateDistribution::RequestTransactionDataSuccess(success) => {
                return out.event(ProviderEvent::Transactions {
                    session: self.tracker.session(),
                    template_id: success.template_id,
                    transactions: Arc::new(TransactionData::new(&success)),
                });
            }
            TemplateDistribution::RequestTransactionDataError(error) => {
                return out.event(ProviderEvent::NoTransactions {
                    session: self.tracker.session(),
                    template_id: error.template_id,
                    code: error.error_code.as_utf8_or_hex(),
                });
            }
            other => return out.event(ignored(other.to_string())),
        };
        match (changed, self.tracker.work()) {
            (Ok(()), Some(work)) => out.event(ProviderEvent::Work(work)),
            (Ok(()), None) => {}
            (Err(error), _) => out.event(ignored(error.to_string())),
        }
    }

    fn input(&mut self, _now: Now, input: ProviderInput, out: &mut Outbox<ProviderEvent>) {
        match input {
            ProviderInput::Solve(solution) => self.solve(solution, out),
            ProviderInput::RequestTransactions {
                session,
                template_id,
            } => self.request(session, template_id, out),
            ProviderInput::Constrain(constraints) => {
                self.constraints = constraints;
                out.send(constraints.message());
            }
        }
    }
}

#[cfg(test)]
mod tests;
