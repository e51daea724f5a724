//! The client's half of the Template Distribution Protocol (SV2 chapter 7), for pools and job
//! declarator clients.

use stratum_core::template_distribution_sv2::{CoinbaseOutputConstraints, SubmitSolutionOwned};

use crate::coinbase::CoinbasePlan;
use crate::core::{Core, Now, Outbox};
use crate::frame::Frame;
use crate::message::{self, AnyMessage, Received, TemplateDistribution, TemplateDistributionOwned};
use crate::server::Solution;
use crate::work::{Work, WorkTracker};

/// What a template provider's client learns.
#[derive(Debug)]
pub enum ProviderEvent {
    /// There is something new to mine on.
    Work(Work),
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
    constraints: CoinbaseOutputConstraints,
}

impl ProviderClient {
    /// Builds coinbases by `plan`.
    pub fn new(plan: CoinbasePlan) -> Self {
        Self {
            constraints: CoinbaseOutputConstraints {
                coinbase_output_max_additional_size: plan.outputs_size(),
                coinbase_output_max_additional_sigops: plan.outputs_sigops(),
            },
            tracker: WorkTracker::new(plan),
        }
    }

    /// A connection was set up: its first frame, to be sent at once (SV2 7, TPC-02).
    pub fn connected(&mut self) -> Vec<u8> {
        self.tracker.reconnected();
        let mut frame = Vec::new();
        message::encode(
            TemplateDistributionOwned::CoinbaseOutputConstraints(self.constraints),
            &mut frame,
        );
        frame
    }
}

impl Core for ProviderClient {
    type Input = Solution;
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
            other => return out.event(ignored(other.to_string())),
        };
        match (changed, self.tracker.work()) {
            (Ok(()), Some(work)) => out.event(ProviderEvent::Work(work)),
            (Ok(()), None) => {}
            (Err(error), _) => out.event(ignored(error.to_string())),
        }
    }

    fn input(&mut self, _now: Now, solution: Solution, out: &mut Outbox<ProviderEvent>) {
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
}

#[cfg(test)]
mod tests;
