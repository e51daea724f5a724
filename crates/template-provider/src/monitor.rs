//! The role's own look at the node, through a feed like any client's.
//!
//! Ready is a fact about the node, not about clients: it is reachable, past its initial download,
//! and has made a template.

use bitcoin::BlockHash;
use daemon::http::Health;
use daemon::shutdown::Shutdown;
use serde_json::{Value, json};
use tokio::sync::watch;
use tracing::{info, warn};

use crate::metrics::Metrics;
use crate::source::{Event, Feed, Purpose, Source, SourceEnded};

/// How the node looks from here.
#[derive(Clone, Debug)]
pub enum NodeView {
    /// Not reached yet, or lost.
    Away {
        /// Why, and what to look at.
        reason: String,
    },
    /// Reached, but there is no template yet.
    Connected,
    /// It still downloads the chain.
    Syncing,
    /// It makes templates for this tip.
    Serving {
        /// The block to build on.
        tip: BlockHash,
        /// Its height.
        height: u32,
    },
}

impl NodeView {
    /// Whether templates can be had.
    pub fn is_serving(&self) -> bool {
        matches!(self, Self::Serving { .. })
    }

    /// Whether there is a connection.
    pub fn is_connected(&self) -> bool {
        !matches!(self, Self::Away { .. })
    }

    /// The view after an event of the feed.
    fn after(self, event: Event) -> Self {
        match event {
            Event::Tip { hash, height } => Self::Serving { tip: hash, height },
            Event::NodeLost { reason } => Self::Away { reason },
            Event::NodeBack => Self::Connected,
            Event::NodeSyncing => Self::Syncing,
            Event::Template { .. } | Event::TransactionData { .. } | Event::Verdict { .. } => self,
        }
    }

    fn health(&self) -> Health {
        match self {
            Self::Serving { .. } => Health::Ready,
            Self::Away { reason } => Health::not_ready(reason),
            Self::Connected => Health::not_ready("the node has made no template yet"),
            Self::Syncing => Health::not_ready(
                "the node is in its initial block download; on a test chain with an old tip, mine \
                 a block or start it with a larger -maxtipage",
            ),
        }
    }

    /// For `/api/v1/status`.
    pub fn status(&self) -> Value {
        match self {
            Self::Away { reason } => json!({ "state": "away", "reason": reason }),
            Self::Connected => json!({ "state": "connected" }),
            Self::Syncing => json!({ "state": "syncing" }),
            Self::Serving { tip, height } => {
                json!({ "state": "serving", "tip": tip.to_string(), "height": height })
            }
        }
    }
}

/// What the rest of the role reads.
#[derive(Clone, Debug)]
pub struct View {
    /// For `/healthz`.
    pub health: watch::Receiver<Health>,
    /// For `/api/v1/status`.
    pub node: watch::Receiver<NodeView>,
}

/// Starts watching.
///
/// # Errors
/// When the source has ended.
pub async fn start(
    source: &Source,
    metrics: &Metrics,
    shutdown: &Shutdown,
) -> Result<View, SourceEnded> {
    let feed = source.open(Purpose::Watch).await?;
    let view = NodeView::Away {
        reason: "the node has not been reached yet".to_owned(),
    };
    let (health, health_seen) = watch::channel(view.health());
    let (node, node_seen) = watch::channel(view);
    let (metrics, stop) = (metrics.clone(), shutdown.stop().clone());
    shutdown.spawn(async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = watch_node(feed, &metrics, &health, &node) => {}
        }
    });
    Ok(View {
        health: health_seen,
        node: node_seen,
    })
}

async fn watch_node(
    mut feed: Feed,
    metrics: &Metrics,
    health: &watch::Sender<Health>,
    node: &watch::Sender<NodeView>,
) {
    while let Some(event) = feed.events.recv().await {
        let before = node.borrow().clone();
        let now = before.clone().after(event);
        report(&now);
        metrics.observe(&before, &now);
        health.send_replace(now.health());
        node.send_replace(now);
    }
}

fn report(now: &NodeView) {
    match now {
        NodeView::Serving { tip, height } => info!(%tip, height, "node at new tip"),
        NodeView::Connected => info!("node connected"),
        NodeView::Syncing => warn!("node is in its initial block download; waiting for it"),
        NodeView::Away { reason } => warn!(reason, "node away; trying again until it is back"),
    }
}
