//! Keeps the node's newest template at hand for all feeds.

use std::convert::Infallible;
use std::rc::Rc;
use std::time::{Duration, Instant};

use corepc_types::v31::GetBlockTemplate;
use daemon::node::{NodeError, NodeRpc};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::spawn_local;
use tokio::time::{interval, sleep};
use tracing::debug;

use super::block::NodeTemplate;
use super::parse;
use crate::source::pauses::Pauses;

/// How long the node may take for a call that waits for nothing.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// A long poll lasts as long as nothing happens. It is not given up sooner, because the node would
/// not notice and keep one of its few RPC threads waiting. Whether the node is still there is for
/// [`Poller::follow_mempool`] to find out.
const LONG_POLL_LIMIT: Duration = Duration::from_secs(24 * 3_600);
/// How often a node that still downloads the chain is asked whether it is done.
const SYNC_POLL: Duration = Duration::from_millis(500);
/// How often to look whether the mempool has changed, and whether the node is there at all.
const MEMPOOL_POLL: Duration = Duration::from_secs(1);
/// Bitcoin Core answers with the same template again for so long unless the tip changes: more than
/// five whole seconds of its clock.
const NODE_INTERVAL: Duration = Duration::from_secs(6);
/// Pause after a long poll that failed although the node is there.
const FAILED_POLL_PAUSE: Duration = Duration::from_millis(100);

/// How the node looks to all feeds.
#[derive(Clone)]
pub(super) enum View {
    /// Not tried yet.
    Unknown,
    /// Out of reach.
    Away {
        reason: String,
    },
    Syncing,
    Serving(Rc<NodeTemplate>),
}

/// Starts polling, until nobody looks any more.
pub(super) fn start(node: &NodeRpc) -> watch::Receiver<View> {
    // Only the newest view matters, so feeds may skip the ones before.
    let (view, seen) = watch::channel(View::Unknown);
    let poller = Poller {
        node: node.with_limit(ANSWER_LIMIT),
        patient: node.with_limit(LONG_POLL_LIMIT),
        view,
    };
    spawn_local(async move {
        tokio::select! {
            () = poller.view.closed() => {}
            never = poller.run() => match never {},
        }
    });
    seen
}

struct Poller {
    node: NodeRpc,
    /// The same node for calls that wait inside it.
    patient: NodeRpc,
    view: watch::Sender<View>,
}

impl Poller {
    async fn run(&self) -> Infallible {
        let mut pauses = Pauses::default();
        loop {
            let Err(error) = self.session().await;
            // A node that answers but makes no templates is not asked more often than one that is
            // away, so only success brings the short pauses back.
            if self.newest().is_some() {
                pauses = Pauses::default();
            }
            let reason = match &error {
                NodeError::Unreachable { .. } => {
                    format!("{error}; is the node running, and with -server and this RPC address?")
                }
                _ => error.to_string(),
            };
            self.view.send_replace(View::Away { reason });
            sleep(pauses.next()).await;
        }
    }

    /// From the first answer to the first failure.
    async fn session(&self) -> Result<Infallible, NodeError> {
        while self.node.chain_info().await?.initial_block_download {
            self.view.send_replace(View::Syncing);
            sleep(SYNC_POLL).await;
        }
        let first = self.publish(template(&self.node, None).await?);
        tokio::select! {
            end = self.follow_tip(first) => end,
            end = self.follow_mempool() => end,
        }
    }

    /// Long polls: the node answers as soon as it has another tip.
    async fn follow_tip(&self, mut newest: Rc<NodeTemplate>) -> Result<Infallible, NodeError> {
        loop {
            match template(&self.patient, Some(&newest.id)).await {
                Ok(next) => newest = self.publish(next),
                Err(error) => {
                    // Perhaps only this one connection broke.
                    debug!(%error, "long poll failed");
                    self.node.chain_info().await?;
                    sleep(FAILED_POLL_PAUSE).await;
                }
            }
        }
    }

    /// Long polls tell of other transactions after a minute only. So the mempool's figures are
    /// watched, which costs the node next to nothing, and a template is asked for when they change.
    async fn follow_mempool(&self) -> Result<Infallible, NodeError> {
        let mut looks = interval(MEMPOOL_POLL);
        let mut known = Value::Null;
        loop {
            looks.tick().await;
            let mempool = self.node.call("getmempoolinfo", json!([])).await?;
            let is_fresh = |newest: Rc<NodeTemplate>| newest.age() < NODE_INTERVAL;
            if mempool == known || self.newest().is_none_or(is_fresh) {
                continue;
            }
            let asked = Instant::now();
            let next = template(&self.node, None).await?;
            known = mempool;
            // What the long poll has brought meanwhile may be the newer of the two.
            if self.newest().is_some_and(|newest| newest.received < asked) {
                self.publish(next);
            }
        }
    }

    fn newest(&self) -> Option<Rc<NodeTemplate>> {
        match &*self.view.borrow() {
            View::Serving(newest) => Some(Rc::clone(newest)),
            View::Unknown | View::Away { .. } | View::Syncing => None,
        }
    }

    /// Shows a template unless it is the one that is shown already; returns the one shown.
    fn publish(&self, mut next: NodeTemplate) -> Rc<NodeTemplate> {
        if let Some(newest) = self.newest() {
            if newest.id == next.id {
                return newest;
            }
            next.share_data_with(&newest);
        }
        let next = Rc::new(next);
        self.view.send_replace(View::Serving(Rc::clone(&next)));
        next
    }
}

/// The node's template; with the id of an earlier one, as soon as it would make another.
async fn template(node: &NodeRpc, after: Option<&str>) -> Result<NodeTemplate, NodeError> {
    // A signet gives a template only to those who say that they know of signets; others do not mind.
    let mut request = json!({ "rules": ["segwit", "signet"] });
    if let Some(id) = after {
        request["longpollid"] = id.into();
    }
    let answer: GetBlockTemplate = node.call("getblocktemplate", json!([request])).await?;
    parse::template(answer)
}
