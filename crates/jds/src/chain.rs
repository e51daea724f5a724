//! Follows the node's tip, for all clients and for `/healthz`.

use std::convert::Infallible;
use std::time::Duration;

use bitcoin::BlockHash;
use bitcoin::hashes::Hash;
use daemon::dial::backoff;
use daemon::http::Health;
use daemon::node::{NodeError, NodeRpc};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{debug, info, warn};

use crate::core::{NodeView, Tip};
use crate::metrics::Metrics;

/// How long a call waits inside the node for another tip. Not longer, so that a node that went away
/// without a word is noticed.
const WAIT: Duration = Duration::from_secs(5);
/// How long the node may take to answer, the wait included.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// How often a node is asked that still downloads the chain, or that cannot wait.
const POLL: Duration = Duration::from_millis(500);

/// Follows until the role stops.
pub(crate) async fn follow(
    node: NodeRpc,
    view: watch::Sender<NodeView>,
    health: watch::Sender<Health>,
    metrics: Metrics,
) -> Infallible {
    let follower = Follower {
        node: node.with_limit(ANSWER_LIMIT),
        view,
        health,
        metrics,
    };
    let mut pauses = backoff();
    loop {
        let Err(error) = follower.session().await;
        if follower.view.borrow().tip().is_some() {
            // It was there: it is missed at once, and tried again soon.
            pauses = backoff();
        }
        follower.publish(away(&error));
        sleep(pauses.next().unwrap_or(WAIT)).await;
    }
}

fn away(error: &NodeError) -> NodeView {
    let hint = match error {
        NodeError::Unreachable { .. } => {
            "; is the node running, and with -server and this RPC address?"
        }
        NodeError::Answer { .. } => "; Bitcoin Core 29 or later is needed",
        NodeError::Credentials { .. } | NodeError::Forbidden { .. } | NodeError::Rpc { .. } => "",
    };
    NodeView::Away {
        reason: format!("{error}{hint}"),
    }
}

struct Follower {
    node: NodeRpc,
    view: watch::Sender<NodeView>,
    health: watch::Sender<Health>,
    metrics: Metrics,
}

#[derive(Deserialize)]
struct ChainInfo {
    blocks: u32,
    #[serde(rename = "bestblockhash")]
    best_block_hash: String,
    #[serde(rename = "mediantime")]
    median_time: u32,
    #[serde(rename = "initialblockdownload")]
    initial_block_download: bool,
}

#[derive(Deserialize)]
struct MiningInfo {
    next: NextBlock,
}

#[derive(Deserialize)]
struct NextBlock {
    height: u32,
    bits: String,
}

impl Follower {
    /// From the first answer to the first failure.
    async fn session(&self) -> Result<Infallible, NodeError> {
        loop {
            let chain: ChainInfo = self.node.call("getblockchaininfo", json!([])).await?;
            if chain.initial_block_download {
                self.publish(NodeView::Syncing);
                sleep(POLL).await;
                continue;
            }
            let mining: MiningInfo = self.node.call("getmininginfo", json!([])).await?;
            // A block that came in between: both again.
            if mining.next.height != chain.blocks + 1 {
                continue;
            }
            self.publish(NodeView::At(tip(&chain, &mining.next)?));
            self.wait(&chain.best_block_hash).await?;
        }
    }

    /// Until the node has another tip, or a while.
    async fn wait(&self, tip: &str) -> Result<(), NodeError> {
        let params = json!([WAIT.as_millis() as u64, tip]);
        match self.node.call::<Value>("waitfornewblock", params).await {
            // Bitcoin Core cannot wait for another tip than this one before version 30.
            Err(NodeError::Rpc { .. }) => sleep(POLL).await,
            waited => drop(waited?),
        }
        Ok(())
    }

    fn publish(&self, now: NodeView) {
        self.metrics.node(&now);
        self.health.send_replace(health(&now));
        let before = self.view.send_replace(now.clone());
        if before == now {
            return;
        }
        match now {
            NodeView::At(Tip { hash, height, .. }) => {
                let tip = BlockHash::from_byte_array(hash);
                match before {
                    NodeView::At(_) => debug!(%tip, height, "new tip"),
                    _ => info!(%tip, height, "node connected"),
                }
            }
            NodeView::Syncing => warn!("node is in its initial block download; waiting for it"),
            NodeView::Away { reason } => warn!(reason, "node away; trying again until it is back"),
        }
    }
}

fn health(view: &NodeView) -> Health {
    match view {
        NodeView::At(_) => Health::Ready,
        NodeView::Away { reason } => Health::not_ready(reason),
        NodeView::Syncing => Health::not_ready(
            "the node is in its initial block download; on a test chain with an old tip, mine a \
             block or start it with a larger -maxtipage",
        ),
    }
}

fn tip(chain: &ChainInfo, next: &NextBlock) -> Result<Tip, NodeError> {
    let unexpected = |method: &str, reason: String| NodeError::Answer {
        method: method.to_owned(),
        reason,
    };
    let hash: BlockHash = chain
        .best_block_hash
        .parse()
        .map_err(|error| unexpected("getblockchaininfo", format!("bestblockhash: {error}")))?;
    let n_bits = u32::from_str_radix(&next.bits, 16)
        .map_err(|error| unexpected("getmininginfo", format!("next.bits: {error}")))?;
    Ok(Tip {
        hash: hash.to_byte_array(),
        height: chain.blocks,
        n_bits,
        median_time: chain.median_time,
    })
}
