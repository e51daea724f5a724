//! The miner's own node, by RPC: it knows what transactions pay, and takes blocks that no template
//! provider could submit.

use std::sync::Arc;
use std::time::Duration;

use bitcoin::hashes::Hash;
use bitcoin::hex::DisplayHex;
use bitcoin::{Amount, BlockHash, Txid};
use daemon::node::{NodeError, NodeRpc, Verdict, submit};
use daemon::shutdown::Shutdown;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::sync::{Semaphore, mpsc};
use tracing::{error, info, warn};

use crate::declarator::{Input, Pin};
use crate::desk::Message;
use crate::metrics::{Metrics, Verdict as Label};

/// A question may take this long; whoever asked has given up by then.
const PATIENCE: Duration = Duration::from_secs(2);
/// Satoshis by which a pinned transaction is made to look better to the node: more than any fee
/// that is paid for room.
const BOOST: u64 = 100_000_000;
/// Blocks on their way to the node. Further ones wait in the queue, and miners in front of it: on a
/// chain where a share is a block, a node that stands still would gather them for ever.
const MAX_SUBMITTING: usize = 32;

/// What the node is asked.
#[derive(Debug)]
pub(crate) enum Request {
    /// What these transactions pay.
    Fees {
        session: u64,
        template_id: u64,
        txids: Vec<Txid>,
    },
    /// Where these are; they are to come first.
    Pin(Vec<Txid>),
    /// To take a block.
    Submit {
        /// Its hash, in header order.
        hash: [u8; 32],
        block: Vec<u8>,
    },
}

/// Asks whatever the desk wants to know, each in a task of its own: a block waits for no question.
pub(crate) async fn run(
    node: NodeRpc,
    mut requests: mpsc::Receiver<Request>,
    desk: mpsc::Sender<Message>,
    metrics: Metrics,
    shutdown: Shutdown,
) {
    let quick = node.with_limit(PATIENCE);
    let places = Arc::new(Semaphore::new(MAX_SUBMITTING));
    loop {
        // The place first: what was taken from the queue is asked at once.
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, requests.recv().await)
        };
        let (place, request) = tokio::select! {
            () = shutdown.stop().cancelled() => return,
            next = next => next,
        };
        let (node, quick, desk) = (node.clone(), quick.clone(), desk.clone());
        let metrics = metrics.clone();
        let _detached = match request {
            Some(Request::Fees {
                session,
                template_id,
                txids,
            }) => shutdown.spawn(async move {
                let fees = fees(&quick, &txids).await;
                let answer = Input::Fees {
                    session,
                    template_id,
                    fees,
                };
                // It fails only when the role stops.
                let _ = desk.send(Message::Input(answer)).await;
            }),
            Some(Request::Pin(txids)) => shutdown.spawn(async move {
                match pin(&quick, &txids).await {
                    Ok(pins) => drop(desk.send(Message::Input(Input::Pins(pins))).await),
                    Err(error) => warn!(%error, "the node does not put pinned transactions first"),
                }
            }),
            Some(Request::Submit { hash, block }) => shutdown.spawn(async move {
                let verdict = submit(&node, block.to_lower_hex_string()).await;
                metrics
                    .submitted
                    .get_or_create(&Label::from(verdict.name()))
                    .inc();
                report(hash, &verdict);
                drop(place);
            }),
            None => return,
        };
    }
}

/// In satoshis, of those in the mempool.
async fn fees(node: &NodeRpc, txids: &[Txid]) -> Vec<(Txid, u64)> {
    #[derive(Deserialize)]
    struct Entry {
        fees: Fees,
    }
    #[derive(Deserialize)]
    struct Fees {
        #[serde(with = "bitcoin::amount::serde::as_btc")]
        base: Amount,
    }
    let params: Vec<Value> = txids.iter().map(|txid| json!([txid])).collect();
    let answers = match node.batch::<Entry>("getmempoolentry", &params).await {
        Ok(answers) => answers,
        Err(error) => {
            warn!(%error, "the node does not tell fees");
            return Vec::new();
        }
    };
    let told = txids.iter().zip(answers);
    told.filter_map(|(txid, answer)| Some((*txid, answer.ok()?.fees.base.to_sat())))
        .collect()
}

/// Where transactions are. Those that are in no block are made to come first, once: the node
/// remembers that, even before it has them.
async fn pin(node: &NodeRpc, txids: &[Txid]) -> Result<Vec<(Txid, Pin)>, NodeError> {
    #[derive(Deserialize)]
    struct Found {
        blockhash: Option<String>,
    }
    let boosted: Map<String, Value> = node.call("getprioritisedtransactions", json!([])).await?;
    let params: Vec<Value> = txids.iter().map(|txid| json!([txid, true])).collect();
    let answers = node.batch::<Found>("getrawtransaction", &params).await?;
    let mut pins = Vec::new();
    for (txid, answer) in txids.iter().zip(answers) {
        let pin = match answer {
            Ok(Found {
                blockhash: Some(_), ..
            }) => Pin::Confirmed,
            Ok(_) => Pin::Waiting,
            Err(_) => Pin::Absent,
        };
        let delta = boosted.get(&txid.to_string());
        let delta = delta.and_then(|entry| entry["fee_delta"].as_i64());
        if pin != Pin::Confirmed && delta.unwrap_or(0) <= 0 {
            let params = json!([txid, 0, BOOST]);
            node.call::<bool>("prioritisetransaction", params).await?;
            info!(%txid, "the node is to put a pinned transaction first");
        }
        pins.push((*txid, pin));
    }
    Ok(pins)
}

fn report(hash: [u8; 32], verdict: &Verdict) {
    let hash = BlockHash::from_byte_array(hash);
    match verdict {
        Verdict::Accepted => info!(%hash, "block accepted by the node"),
        Verdict::Duplicate => info!(%hash, "block: the node had it before"),
        Verdict::Inconclusive => info!(%hash, "block taken by the node, but it is not the tip"),
        Verdict::Rejected(reason) => error!(%hash, reason, "block rejected by the node"),
        Verdict::Unknown(reason) => error!(%hash, reason, "block not submitted"),
    }
}

#[cfg(test)]
mod tests;
