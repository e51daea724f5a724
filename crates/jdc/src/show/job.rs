//! Jobs, from template over declaration and custom job to shares and blocks.

use std::time::Duration;

use bitcoin::Network;
use protocol::coinbase::subsidy;
use protocol::work::{Template, Work};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Facts, hash_text};
use crate::declarator::{Job, Stage, Tally};

/// A job: template, declaration, custom job, shares, blocks.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct DeclaredJob {
    /// Our name for it.
    pub(crate) job: u64,
    /// The pool it is for; none for solo work.
    pub(crate) upstream: Option<String>,
    /// How far it has come: `solo`, `waiting`, `declaring`, `setting`, `set` or `over`.
    pub(crate) state: &'static str,
    /// Why it is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// When its template came, in Unix seconds.
    pub(crate) created: u64,
    /// The same in milliseconds.
    pub(crate) created_ms: u64,
    pub(crate) template: TemplateShown,
    pub(crate) declaration: DeclarationShown,
    pub(crate) custom_job: CustomJobShown,
    pub(crate) shares: SharesShown,
    /// Hashes of blocks found on it, as RPC and explorers write them.
    pub(crate) blocks: Vec<String>,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct TemplateShown {
    /// The provider's id.
    pub(crate) template_id: u64,
    pub(crate) height: Option<u64>,
    /// None while it is for a tip to come.
    pub(crate) prev_hash: Option<String>,
    /// Satoshis the coinbase pays out.
    pub(crate) value: u64,
    /// Satoshis of that which are fees.
    pub(crate) fees: Option<u64>,
    /// How many beside the coinbase, if they were asked for.
    pub(crate) transactions: Option<usize>,
    /// How many more the provider has in it, which are not wanted; none if that is not known.
    pub(crate) left_out: Option<usize>,
    /// Satoshis that its coinbase pays less for that.
    pub(crate) fees_left_out: u64,
    /// What these weigh together, once the job is declared.
    pub(crate) weight: Option<u64>,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct DeclarationShown {
    /// Microseconds from the template's arrival to DeclareMiningJob.
    pub(crate) sent_us: Option<u128>,
    /// And to the server's token.
    pub(crate) accepted_us: Option<u128>,
    /// Transactions that the server asked for.
    pub(crate) provided: usize,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct CustomJobShown {
    /// The pool's name for it.
    pub(crate) job_id: Option<u32>,
    /// Microseconds from the template's arrival to the pool's answer.
    pub(crate) accepted_us: Option<u128>,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct SharesShown {
    #[serde(flatten)]
    pub(crate) tally: Tally,
    /// Found, and waiting for the pool to take the job.
    pub(crate) waiting: usize,
}

impl DeclaredJob {
    pub(super) fn of(job: &Job, upstream: Option<String>, facts: &Facts<'_>) -> Self {
        let (state, reason) = match &job.stage {
            Stage::Solo => ("solo", None),
            Stage::Waiting(_) => ("waiting", None),
            Stage::Declaring => ("declaring", None),
            Stage::Setting => ("setting", None),
            Stage::Set { .. } => ("set", None),
            Stage::Over(ending) => ("over", Some(ending.to_string())),
        };
        let job_id = match job.stage {
            Stage::Set { job_id, .. } => Some(job_id),
            _ => None,
        };
        let micros = |after: Option<Duration>| after.map(|after| after.as_micros());
        Self {
            job: job.id,
            upstream,
            state,
            reason,
            created: job.created.unix,
            created_ms: facts.unix_ms(job.created.instant),
            template: TemplateShown::of(job, facts.network),
            declaration: DeclarationShown {
                sent_us: micros(job.timeline.sent),
                accepted_us: micros(job.timeline.declared),
                provided: job.provided,
            },
            custom_job: CustomJobShown {
                job_id,
                accepted_us: micros(job.timeline.set),
            },
            shares: SharesShown {
                tally: job.tally,
                waiting: job.waiting(),
            },
            blocks: job.blocks.iter().copied().map(hash_text).collect(),
        }
    }
}

impl TemplateShown {
    pub(super) fn of(job: &Job, network: Network) -> Self {
        let prev_hash = job.prev_hash.as_ref().map(|tip| tip.prev_hash);
        Self {
            transactions: job.transactions,
            left_out: job.left_out.transactions,
            fees_left_out: job.left_out.fees,
            weight: job.weight,
            ..Self::bare(&job.source, prev_hash, network)
        }
    }

    /// When nothing is known but what the miners have.
    pub(super) fn of_work(work: &Work, network: Network) -> Self {
        Self::bare(&work.template, Some(work.prev_hash.prev_hash), network)
    }

    fn bare(template: &Template, prev_hash: Option<[u8; 32]>, network: Network) -> Self {
        let value = template.coinbase_tx_value_remaining;
        let height = template.height();
        Self {
            template_id: template.id,
            height,
            prev_hash: prev_hash.map(hash_text),
            value,
            fees: height.map(|height| value.saturating_sub(subsidy(height, network))),
            transactions: None,
            left_out: None,
            fees_left_out: 0,
            weight: None,
        }
    }
}
