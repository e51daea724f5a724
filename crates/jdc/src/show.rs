//! What people can look at: the upstreams, and each job's way from its template to its shares.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::{Query, State};
use bitcoin::BlockHash;
use bitcoin::hashes::Hash;
use daemon::http::{Part, Routes, Window, routes};
use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio::sync::watch;
use utoipa::ToSchema;

use crate::config::Pair;
use crate::declarator::{self, Declarator, Job, Stage, Tally};
use crate::metrics::Metrics;

/// A snapshot. The desk makes it, HTTP reads it.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    upstreams: Vec<Upstream>,
    /// Newest first.
    jobs: VecDeque<DeclaredJob>,
    work: Option<Value>,
    active: Option<String>,
}

/// A pool with its job declarator server.
#[derive(Debug, Clone, Serialize, ToSchema)]
struct Upstream {
    pool: String,
    jds: String,
    user_identity: String,
    state: declarator::State,
    /// Why it failed last.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_failure: Option<String>,
}

/// A job: template, declaration, custom job, shares, blocks.
#[derive(Debug, Clone, Serialize, ToSchema)]
struct DeclaredJob {
    /// Our name for it.
    job: u64,
    /// The pool it is for; none for solo work.
    upstream: Option<String>,
    /// How far it has come: `solo`, `waiting`, `declaring`, `setting`, `set` or `over`.
    state: &'static str,
    /// Why it is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Unix seconds.
    created: u64,
    template: TemplateShown,
    declaration: DeclarationShown,
    custom_job: CustomJobShown,
    shares: SharesShown,
    /// Hashes of blocks found on it, as RPC and explorers write them.
    blocks: Vec<String>,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
struct TemplateShown {
    /// The provider's id.
    template_id: u64,
    height: Option<u64>,
    /// None while it is for a tip to come.
    prev_hash: Option<String>,
    /// Satoshis the coinbase pays out.
    value: u64,
    /// How many beside the coinbase, if they were asked for.
    transactions: Option<usize>,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
struct DeclarationShown {
    /// Microseconds from the template's arrival to DeclareMiningJob.
    sent_us: Option<u128>,
    /// And to the server's token.
    accepted_us: Option<u128>,
    /// Transactions that the server asked for.
    provided: usize,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
struct CustomJobShown {
    /// The pool's name for it.
    job_id: Option<u32>,
    /// Microseconds from the template's arrival to the pool's answer.
    accepted_us: Option<u128>,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
struct SharesShown {
    #[serde(flatten)]
    tally: Tally,
    /// Found, and waiting for the pool to take the job.
    waiting: usize,
}

impl Shown {
    /// What there is to see now.
    pub(crate) fn of(declarator: &Declarator, upstreams: &[Pair], now: Instant) -> Self {
        let pool = |upstream: usize| {
            upstreams
                .get(upstream)
                .map(|pair| pair.pool.address.to_string())
        };
        let shown = upstreams.iter().enumerate().map(|(number, pair)| {
            let (state, reason) = declarator.state(number, now);
            Upstream {
                pool: pair.pool.address.to_string(),
                jds: pair.jds.address.to_string(),
                user_identity: pair.user_identity.clone(),
                state,
                last_failure: reason.map(str::to_owned),
            }
        });
        let jobs = declarator.jobs().rev();
        let work = declarator.published().map(|work| {
            json!({
                "job": work.template.id,
                "height": work.template.height(),
                "prev_hash": hash_text(work.prev_hash.prev_hash),
                "value": work.template.coinbase_tx_value_remaining,
            })
        });
        Self {
            upstreams: shown.collect(),
            jobs: jobs
                .map(|job| DeclaredJob::of(job, job.upstream().and_then(pool)))
                .collect(),
            work,
            active: declarator.active().and_then(pool),
        }
    }
}

impl DeclaredJob {
    fn of(job: &Job, upstream: Option<String>) -> Self {
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
            template: TemplateShown {
                template_id: job.source.id,
                height: job.source.height(),
                prev_hash: job.prev_hash.as_ref().map(|tip| hash_text(tip.prev_hash)),
                value: job.source.coinbase_tx_value_remaining,
                transactions: job.transactions,
            },
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
                waiting: job.cache.len(),
            },
            blocks: job.blocks.iter().copied().map(hash_text).collect(),
        }
    }
}

fn hash_text(hash: [u8; 32]) -> String {
    BlockHash::from_byte_array(hash).to_string()
}

type Seen = watch::Receiver<Arc<Shown>>;

/// The role's part of `/api/v1/status`.
pub(crate) fn status(
    seen: Seen,
    metrics: Metrics,
) -> Box<dyn Fn() -> Map<String, Value> + Send + Sync> {
    Box::new(move || {
        let shown = Arc::clone(&seen.borrow());
        let body = json!({
            "upstream": shown.active,
            "upstreams": shown.upstreams,
            "clients": metrics.clients.get(),
            "channels": metrics.channels.get(),
            "shares_accepted": metrics.accepted.get(),
            "blocks_found": metrics.blocks.get(),
            "work": shown.work,
        });
        match body {
            Value::Object(map) => map,
            _ => Map::new(),
        }
    })
}

/// What HTTP tells beyond that.
pub(crate) fn routes(seen: Seen) -> Routes {
    Routes::new()
        .routes(routes!(declared_jobs))
        .routes(routes!(list_upstreams))
        .with_state(seen)
}

/// Jobs, newest first, from template over declaration and custom job to shares and blocks
#[utoipa::path(
    get, path = "/api/v1/declared-jobs", tag = "jdc", params(Window),
    responses((status = OK, description = "The newest ones, in parts", body = Part<DeclaredJob>))
)]
async fn declared_jobs(
    State(seen): State<Seen>,
    Query(window): Query<Window>,
) -> Json<Part<DeclaredJob>> {
    let shown = Arc::clone(&seen.borrow());
    Json(window.of(shown.jobs.iter()).map(DeclaredJob::clone))
}

/// Pools with their job declarator servers, best first, and what each is doing
#[utoipa::path(
    get, path = "/api/v1/upstreams", tag = "jdc", params(Window),
    responses((status = OK, description = "All of them, in parts", body = Part<Upstream>))
)]
async fn list_upstreams(
    State(seen): State<Seen>,
    Query(window): Query<Window>,
) -> Json<Part<Upstream>> {
    let shown = Arc::clone(&seen.borrow());
    Json(window.of(shown.upstreams.iter()).map(Upstream::clone))
}
