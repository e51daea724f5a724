//! Watches what changes in the node without a block: mempool and peers.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bitcoin::Txid;
use daemon::http::Feed;
use daemon::node::{NodeError, NodeRpc};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::archive::raw_transactions;
use crate::chain::Chain;
use crate::event::Event;
use crate::node::{Conditions, Mempool, MempoolEntry, MempoolInfo, Waiting};

/// How often the mempool's size is asked for.
const POLL: Duration = Duration::from_millis(300);
/// How often everything else is.
const SLOW: Duration = Duration::from_secs(5);
/// How long the node may take to answer.
const LIMIT: Duration = Duration::from_secs(5);
/// Waiting transactions that are followed one by one; of more only the sums are shown.
const MAX_ENTRIES: usize = 5000;

/// Watches until the role stops.
pub(crate) async fn run(
    rpc: NodeRpc,
    mut chain: watch::Receiver<Chain>,
    seen: watch::Sender<Conditions>,
    feed: Feed<Event>,
) -> Infallible {
    let watcher = Watcher {
        rpc: rpc.with_limit(LIMIT),
        seen,
        feed,
    };
    let mut slow_at: Option<Instant> = None;
    loop {
        let is_due = slow_at.is_none_or(|at| at.elapsed() >= SLOW);
        if is_due && watcher.look_around().await.is_ok() {
            slow_at = Some(Instant::now());
        }
        // A node that is away is told of by the task that follows its tip.
        let _ = watcher.look_at_mempool().await;
        tokio::select! {
            changed = chain.changed() => if changed.is_err() {
                std::future::pending::<()>().await;
            },
            () = tokio::time::sleep(POLL) => {}
        }
    }
}

struct Watcher {
    rpc: NodeRpc,
    seen: watch::Sender<Conditions>,
    feed: Feed<Event>,
}

impl Watcher {
    async fn look_around(&self) -> Result<(), NodeError> {
        let network = self.rpc.call("getnetworkinfo", json!([])).await?;
        let peers = self.rpc.call("getpeerinfo", json!([])).await?;
        let indices: Option<Value> = self.rpc.call("getindexinfo", json!([])).await.ok();
        self.seen.send_modify(|seen| {
            seen.network = Some(network);
            seen.peers = peers;
            seen.has_txindex = indices.map(|indices| indices["txindex"].is_object());
        });
        Ok(())
    }

    async fn look_at_mempool(&self) -> Result<(), NodeError> {
        let info: MempoolInfo = self.rpc.call("getmempoolinfo", json!([])).await?;
        let before = Arc::clone(&self.seen.borrow().mempool);
        if before.info == info {
            return Ok(());
        }
        let entries = match info.size {
            0 => BTreeMap::new(),
            size if size > MAX_ENTRIES => BTreeMap::new(),
            _ => self.entries(&before).await?,
        };
        let transactions = info.size;
        self.seen.send_modify(|seen| {
            seen.mempool = Arc::new(Mempool { info, entries });
        });
        self.feed.tell(|| Event::Mempool { transactions });
        Ok(())
    }

    /// Those that were known are not asked for again.
    async fn entries(&self, before: &Mempool) -> Result<BTreeMap<Txid, Waiting>, NodeError> {
        let listed: BTreeMap<Txid, MempoolEntry> =
            self.rpc.call("getrawmempool", json!([true])).await?;
        let mut entries = BTreeMap::new();
        let mut unknown = Vec::new();
        for (txid, entry) in listed.into_iter().take(MAX_ENTRIES) {
            let known = before.entries.get(&txid);
            let transaction = known.and_then(|known| known.transaction.clone());
            if transaction.is_none() {
                unknown.push(txid);
            }
            entries.insert(txid, Waiting { entry, transaction });
        }
        let params: Vec<Value> = unknown.iter().map(|txid| json!([txid])).collect();
        let found = raw_transactions(&self.rpc, &params).await?;
        for (txid, transaction) in unknown.iter().zip(found) {
            if let Some(waiting) = entries.get_mut(txid) {
                // One that has left meanwhile has none.
                waiting.transaction = transaction.ok().map(Arc::new);
            }
        }
        Ok(entries)
    }
}
