//! What the node's mempool holds (SV2 6.1), for all clients.
//!
//! One task keeps a [`View`] of it. The node lists its mempool by txid, which costs little; whole
//! transactions are fetched only when they are new, many in one request, and stay until the node
//! has them no more. So their wtxids are known without the node's word for it, and a declaration
//! of transactions that are known needs no call at all.
//!
//! A transaction that came a moment ago is not in the view yet. [`Mempool::find`] has the view
//! refreshed once before it calls a transaction unknown; refreshes asked for at the same time are
//! one refresh.

mod view;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bitcoin::Txid;
use bitcoin::hashes::Hash;
use bitcoin::hex::FromHex;
use daemon::node::{NodeError, NodeRpc};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tracing::debug;

use crate::metrics::Metrics;
use crate::transaction::Transaction;
pub use view::View;

/// How often the mempool is looked at without anybody asking: the longest time until a new
/// transaction is known.
const POLL: Duration = Duration::from_secs(1);
/// A refresh that takes long is followed by so many times that time of rest, so that a large
/// mempool keeps neither us nor the node busy.
const REST: u32 = 10;
/// How long a declaration waits for a refresh.
const PATIENCE: Duration = Duration::from_secs(2);
/// Transactions fetched in one request.
const BATCH: usize = 200;

/// Read access to the view, and the right to have it refreshed.
#[derive(Debug, Clone)]
pub struct Mempool {
    view: watch::Receiver<View>,
    /// How many refreshes were asked for so far.
    asked: watch::Sender<u64>,
}

impl Mempool {
    /// The transactions of these wtxids, each in its place; `None` where the node has none.
    pub async fn find(&self, wtxids: &[[u8; 32]]) -> Vec<Option<Arc<Transaction>>> {
        let found = self.view.borrow().find(wtxids);
        if found.iter().all(Option::is_some) {
            return found;
        }
        let mut ticket = 0;
        self.asked.send_modify(|asked| {
            *asked += 1;
            ticket = *asked;
        });
        let mut view = self.view.clone();
        let refreshed = view.wait_for(|view| view.answered() >= ticket);
        // A node that does not answer in time: what is unknown is asked of the client.
        let _ = timeout(PATIENCE, refreshed).await;
        self.view.borrow().find(wtxids)
    }
}

/// The view, and the task that keeps it until the role stops.
pub(crate) fn start(
    node: NodeRpc,
    metrics: Metrics,
) -> (Mempool, impl Future<Output = Infallible> + Send) {
    let (view, view_seen) = watch::channel(View::default());
    let (asked, asked_seen) = watch::channel(0);
    let follower = Follower {
        node,
        view,
        asked: asked_seen,
        answered: 0,
        listed: None,
        metrics,
    };
    let mempool = Mempool {
        view: view_seen,
        asked,
    };
    (mempool, follower.run())
}

/// Changes whenever the mempool does (`getmempoolinfo`).
#[derive(Clone, Copy, PartialEq, Deserialize)]
struct Summary {
    size: u64,
    bytes: u64,
    total_fee: f64,
}

struct Follower {
    node: NodeRpc,
    view: watch::Sender<View>,
    asked: watch::Receiver<u64>,
    /// Which of the refreshes asked for was done last.
    answered: u64,
    /// What the mempool looked like when it was listed last.
    listed: Option<Summary>,
    metrics: Metrics,
}

impl Follower {
    async fn run(mut self) -> Infallible {
        let mut rest = Duration::ZERO;
        loop {
            tokio::select! {
                _ = self.asked.changed() => {}
                () = sleep(rest) => {}
            }
            let (since, ticket) = (Instant::now(), *self.asked.borrow_and_update());
            if let Err(error) = self.refresh(ticket > self.answered).await {
                // That the node is away is told by who follows its tip.
                debug!(%error, "the mempool cannot be read");
                self.listed = None;
            }
            self.answered = ticket;
            self.view.send_modify(|view| {
                view.answer(ticket);
                self.metrics.mempool(view.len(), view.bytes());
            });
            rest = (since.elapsed() * REST).max(POLL);
        }
    }

    /// Makes the view what the mempool is; does nothing, unless it is asked, when it looks the same.
    async fn refresh(&mut self, is_asked: bool) -> Result<(), NodeError> {
        let summary: Summary = self.node.call("getmempoolinfo", json!([])).await?;
        if !is_asked && self.listed == Some(summary) {
            return Ok(());
        }
        let listing: Vec<String> = self.node.call("getrawmempool", json!([])).await?;
        let listing: Vec<[u8; 32]> = listing.iter().filter_map(|text| txid(text)).collect();
        let new = self.view.borrow().missing(&listing);
        self.view.send_if_modified(|view| view.retain(&listing));
        for batch in new.chunks(BATCH) {
            if self.view.borrow().has_room() {
                self.fetch(batch).await?;
            }
        }
        self.listed = Some(summary);
        Ok(())
    }

    async fn fetch(&self, txids: &[[u8; 32]]) -> Result<(), NodeError> {
        let params: Vec<Value> = txids
            .iter()
            .map(|txid| json!([Txid::from_byte_array(*txid).to_string()]))
            .collect();
        let answers = self
            .node
            .batch::<String>("getrawtransaction", &params)
            .await?;
        // One that has left the mempool in between is not found.
        let transactions: Vec<Transaction> = answers
            .into_iter()
            .filter_map(|answer| Transaction::parse(Vec::from_hex(&answer.ok()?).ok()?).ok())
            .collect();
        self.view.send_modify(|view| {
            for transaction in transactions {
                view.insert(Arc::new(transaction));
            }
        });
        Ok(())
    }
}

fn txid(text: &str) -> Option<[u8; 32]> {
    text.parse::<Txid>().ok().map(Txid::to_byte_array)
}
