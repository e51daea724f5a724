//! Blocks found, and what the node says of them: asked, never assumed.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::{Query, State};
use bitcoin::BlockHash;
use daemon::http::{Feed, Part, Routes, Window, routes};
use daemon::node::{NodeError, NodeRpc};
use serde::{Serialize, Serializer};
use tokio::sync::{mpsc, watch};
use tracing::{error, info, warn};
use utoipa::ToSchema;

use crate::event::PoolEvent;
use crate::metrics::{Metrics, Outcome};

/// Blocks kept for `/api/v1/blocks`.
const KEPT: usize = 100;

/// How long the node gets to take a block before it counts as refused.
const PATIENCE: Duration = Duration::from_secs(10);

/// A block a miner found.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Found {
    /// The block's hash, as RPC and explorers write it.
    #[serde(serialize_with = "as_text")]
    #[schema(value_type = String)]
    pub(crate) hash: BlockHash,
    pub(crate) height: Option<u64>,
    /// Of the pool's provider; a custom job has none.
    pub(crate) template_id: Option<u64>,
    pub(crate) user: String,
    #[schema(value_type = String)]
    pub(crate) peer: SocketAddr,
    pub(crate) channel_id: u32,
    pub(crate) job_id: u32,
}

/// What became of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    /// It is in the active chain.
    Accepted,
    /// The node has it, but another block took its place.
    Stale,
    /// The node does not have it.
    Rejected,
    /// There is no node to ask, or it does not answer.
    Unknown,
}

/// A block with its fate.
#[derive(Debug, Clone, Serialize, ToSchema)]
struct Record {
    #[serde(flatten)]
    found: Found,
    verdict: Verdict,
}

/// The newest blocks, newest first. The verdict task writes, HTTP reads.
#[derive(Debug, Clone)]
pub(crate) struct Blocks {
    newest: watch::Sender<Arc<VecDeque<Record>>>,
}

impl Default for Blocks {
    fn default() -> Self {
        Self {
            newest: watch::Sender::new(Arc::default()),
        }
    }
}

impl Blocks {
    /// What HTTP tells of them.
    pub(crate) fn routes(&self) -> Routes {
        let seen = self.newest.subscribe();
        Routes::new().routes(routes!(list)).with_state(seen)
    }

    /// Asks the node about each block until the pool stops.
    pub(crate) fn judge(
        &self,
        node: Option<NodeRpc>,
        mut found: mpsc::Receiver<Found>,
        metrics: Metrics,
        feed: Feed<PoolEvent>,
    ) -> impl Future<Output = ()> + Send + 'static {
        let newest = self.newest.clone();
        async move {
            while let Some(found) = found.recv().await {
                let verdict = ask(node.as_ref(), &found.hash).await;
                report(&found, verdict);
                let outcome = Outcome {
                    verdict: verdict.name(),
                };
                metrics.blocks_judged.get_or_create(&outcome).inc();
                feed.tell(|| PoolEvent::BlockJudged {
                    hash: found.hash.to_string(),
                    height: found.height,
                    verdict: verdict.name(),
                });
                newest.send_modify(|records| {
                    let records = Arc::make_mut(records);
                    records.truncate(KEPT - 1);
                    records.push_front(Record { found, verdict });
                });
            }
        }
    }
}

impl Verdict {
    fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Stale => "stale",
            Self::Rejected => "rejected",
            Self::Unknown => "unknown",
        }
    }
}

/// The block is on its way to the node through the template provider, so it may take a moment
/// until the node knows it: asked again with growing pauses.
async fn ask(node: Option<&NodeRpc>, hash: &BlockHash) -> Verdict {
    let Some(node) = node else {
        return Verdict::Unknown;
    };
    let hash = hash.to_string();
    let (since, mut pause) = (Instant::now(), Duration::from_millis(2));
    let mut answered = false;
    while since.elapsed() < PATIENCE {
        match look(node, &hash).await {
            Ok(Some(verdict)) => return verdict,
            Ok(None) => answered = true,
            Err(error) => warn!(%error, "cannot ask the node about a block"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(500));
    }
    if answered {
        Verdict::Rejected
    } else {
        Verdict::Unknown
    }
}

/// What the node says now; `None` while it has yet to make up its mind.
async fn look(node: &NodeRpc, hash: &str) -> Result<Option<Verdict>, NodeError> {
    // Asked before the block itself: the node knows a block's header, outside its chain, a moment
    // before it makes the block its tip, and only a tip as high as the block says otherwise.
    let tip = node.chain_info().await?.blocks;
    Ok(match node.block_header(hash).await? {
        Some(header) if header.confirmations > 0 => Some(Verdict::Accepted),
        Some(header) if header.height <= tip => Some(Verdict::Stale),
        Some(_) | None => None,
    })
}

fn report(found: &Found, verdict: Verdict) {
    let (hash, height, user) = (&found.hash, found.height, &found.user);
    match verdict {
        Verdict::Accepted => info!(%hash, height, user, "block accepted by the node"),
        Verdict::Stale => warn!(%hash, height, user, "block stale: another one took its place"),
        Verdict::Rejected => error!(%hash, height, user, "block rejected by the node"),
        Verdict::Unknown => {
            warn!(%hash, height, user, "block's fate unknown: no answer from a node");
        }
    }
}

fn as_text<S: Serializer>(hash: &BlockHash, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(hash)
}

/// Blocks found, newest first, with what the node says of them
#[utoipa::path(
    get, path = "/api/v1/blocks", tag = "pool", params(Window),
    responses((status = OK, description = "The newest hundred, in parts", body = Part<Record>))
)]
async fn list(
    State(seen): State<watch::Receiver<Arc<VecDeque<Record>>>>,
    Query(window): Query<Window>,
) -> Json<Part<Record>> {
    let records = Arc::clone(&seen.borrow());
    Json(window.of(records.iter()).map(Record::clone))
}
