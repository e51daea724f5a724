//! What people can look at: the upstreams, the miners, and each job's way from its template to its
//! shares.

mod job;
mod miner;
mod selection;
mod upstream;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::{Query, State};
use bitcoin::hashes::Hash;
use bitcoin::{BlockHash, Network};
use daemon::dial::{LinkTo, LinkView};
use daemon::http::{Part, Routes, Window, routes};
use protocol::core::Now;
use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio::sync::watch;

use crate::config::Pair;
use crate::declarator::Declarator;
use crate::links::LinksSeen;
use crate::metrics::Metrics;
use crate::miner::Miner;

#[cfg(test)]
pub(crate) use job::{CustomJobShown, DeclarationShown, SharesShown};
pub(crate) use job::{DeclaredJob, TemplateShown};
pub(crate) use miner::MinerShown;
pub(crate) use selection::Chosen;
#[cfg(test)]
pub(crate) use selection::Pinned;
pub(crate) use upstream::{Provider, Upstream};

/// A snapshot. The desk makes it, HTTP and the view in the terminal read it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shown {
    pub(crate) provider: Provider,
    /// Best first.
    pub(crate) upstreams: Vec<Upstream>,
    /// Newest first.
    pub(crate) jobs: Vec<DeclaredJob>,
    /// What the miners have.
    pub(crate) work: Option<WorkShown>,
    /// The pool that is worked for; none for solo work.
    pub(crate) active: Option<String>,
    /// In the order of their connections' places.
    pub(crate) miners: Vec<MinerShown>,
    /// What is wanted of transactions, if there is anything to choose.
    pub(crate) selection: Option<Chosen>,
}

/// What the miners have.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct WorkShown {
    /// Our name for it.
    pub(crate) job: u64,
    #[serde(flatten)]
    pub(crate) template: TemplateShown,
    /// When its template came, in milliseconds since 1970.
    pub(crate) received_ms: u64,
}

/// What a snapshot is made of.
pub(crate) struct Facts<'a> {
    pub(crate) declarator: &'a Declarator,
    pub(crate) upstreams: &'a [Pair],
    pub(crate) links: &'a LinksSeen,
    pub(crate) miners: &'a BTreeMap<u32, (Arc<Miner>, f32)>,
    pub(crate) network: Network,
    pub(crate) now: Now,
    /// The same, in milliseconds since 1970.
    pub(crate) now_ms: u64,
}

impl Facts<'_> {
    fn unix_ms(&self, then: Instant) -> u64 {
        let passed = self.now.instant.saturating_duration_since(then);
        self.now_ms.saturating_sub(passed.as_millis() as u64)
    }
}

impl Shown {
    /// What there is to see now.
    pub(crate) fn of(facts: &Facts<'_>) -> Self {
        let declarator = facts.declarator;
        let pool = |upstream: usize| {
            let pair = facts.upstreams.get(upstream)?;
            Some(pair.pool.address.to_string())
        };
        let work = declarator.published().map(|work| {
            let job = declarator.jobs().find(|job| job.id == work.template.id);
            WorkShown {
                job: work.template.id,
                template: match job {
                    Some(job) => TemplateShown::of(job, facts.network),
                    None => TemplateShown::of_work(work, facts.network),
                },
                received_ms: facts.unix_ms(job.map_or(facts.now, |job| job.created).instant),
            }
        });
        let upstreams = facts.upstreams.iter().zip(&facts.links.upstreams);
        Self {
            provider: Provider {
                address: facts.links.provider_address.clone(),
                link: facts.links.provider.borrow().view(),
            },
            upstreams: upstreams
                .enumerate()
                .map(|(number, (pair, links))| Upstream::of(facts, number, pair, links))
                .collect(),
            jobs: declarator
                .jobs()
                .rev()
                .map(|job| DeclaredJob::of(job, job.upstream().and_then(pool), facts))
                .collect(),
            work,
            active: declarator.active().and_then(pool),
            miners: facts
                .miners
                .iter()
                .map(|(slot, (miner, rate))| MinerShown::of(*slot, miner, *rate))
                .collect(),
            selection: Chosen::of(declarator.selector()),
        }
    }

    /// Every connection to a server.
    pub(crate) fn links(&self) -> impl Iterator<Item = LinkTo> {
        let to = |server, address: &str, link: &LinkView| LinkTo {
            server,
            address: address.to_owned(),
            link: link.clone(),
        };
        let provider = &self.provider;
        let first = to("template-provider", &provider.address, &provider.link);
        let upstreams = self.upstreams.iter().flat_map(move |upstream| {
            [
                to("pool", &upstream.pool, &upstream.pool_link),
                to("jds", &upstream.jds, &upstream.jds_link),
            ]
        });
        std::iter::once(first).chain(upstreams)
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
            "links": shown.links().collect::<Vec<_>>(),
            "upstream": shown.active,
            "upstreams": shown.upstreams,
            "clients": metrics.clients.get(),
            "channels": metrics.channels.get(),
            "shares_accepted": metrics.accepted.get(),
            "blocks_found": metrics.blocks.get(),
            "work": shown.work,
            "selection": shown.selection,
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
        .routes(routes!(list_clients))
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

/// Connected miners
#[utoipa::path(
    get, path = "/api/v1/clients", tag = "jdc", params(Window),
    responses((status = OK, description = "All of them, in parts", body = Part<MinerShown>))
)]
async fn list_clients(
    State(seen): State<Seen>,
    Query(window): Query<Window>,
) -> Json<Part<MinerShown>> {
    let shown = Arc::clone(&seen.borrow());
    Json(window.of(shown.miners.iter()).map(MinerShown::clone))
}
