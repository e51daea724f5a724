//! How long a declaration of 2,000 transactions takes beyond the node's own check: from
//! DeclareMiningJob to DeclareMiningJob.Success, decrypted, in the client's hands, against the same
//! block proposed to the same node directly.
#![allow(
    dead_code,
    reason = "the harness of the tests has more than is used here"
)]
#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]

#[path = "../tests/it/jdc.rs"]
mod jdc;
#[path = "../tests/it/job.rs"]
mod job;

use std::time::{Duration, Instant};

use bitcoin::consensus::encode::serialize_hex;
use jdc::{Answer, Jdc, Jds};
use job::Job;
use protocol::message::JobDeclarationOwned;
use regtest::Node;
use regtest::chain::{spending, to_anyone};
use serde_json::json;

const TRANSACTIONS: u32 = 2_000;
const ROUNDS: u32 = 100;

#[tokio::main]
async fn main() {
    let node = Node::with_blocks(110).await;
    node.spend_fan_out(1, TRANSACTIONS, 5_000).await;
    let jds = Jds::ready(&node);
    jds.wait_for_metric(&format!("sv2_jds_mempool_transactions {TRANSACTIONS}"));
    let job = Job::best(&node).await;
    let bytes = serialize_hex(&job.block).len() / 2;
    println!("a block of {TRANSACTIONS} transactions and {bytes} bytes, {ROUNDS} times");

    let mut jdc = jds.client().await;
    let (mut alone, mut declared) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        alone.push(propose(&node, &job).await);
        declared.push(declare(&mut jdc, &job).await);
    }
    let alone = median("proposed to the node", alone);
    let declared = median("declared", declared);
    println!("beyond the node: {:?}", declared.saturating_sub(alone));

    let mut asked = Vec::new();
    for height in 2..12 {
        let (coin, value) = node.coinbase_of(height).await;
        let mut transactions = job.block.txdata[1..].to_vec();
        transactions.push(spending(coin, vec![to_anyone(value)]));
        let job = Job::with(&node, transactions).await;
        asked.push(declare(&mut jdc, &job).await);
    }
    median("declared with one that the node does not know", asked);

    for (method, params) in [
        ("getmempoolinfo", json!([])),
        ("getrawmempool", json!([])),
        ("getrawmempool", json!([true])),
    ] {
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            let since = Instant::now();
            node.rpc(method, params.clone()).await;
            times.push(since.elapsed());
        }
        median(&format!("{method} {params}"), times);
    }
}

/// What the node needs for the block alone.
async fn propose(node: &Node, job: &Job) -> Duration {
    let mut block = job.block.clone();
    block.header.merkle_root = block.compute_merkle_root().unwrap();
    let proposal = json!([{ "mode": "proposal", "data": serialize_hex(&block) }]);
    let since = Instant::now();
    let verdict = node.rpc("getblocktemplate", proposal).await;
    let took = since.elapsed();
    assert!(verdict.is_null(), "{verdict}");
    took
}

async fn declare(jdc: &mut Jdc, job: &Job) -> Duration {
    let declaration = job.declaration(7, jdc.token().await);
    let since = Instant::now();
    let message = JobDeclarationOwned::DeclareMiningJob(declaration);
    jdc.send(message).await;
    let mut answer = jdc.receive().await;
    if let Answer::Missing {
        request_id,
        positions,
    } = answer
    {
        jdc.provide(request_id, job.transactions(&positions)).await;
        answer = jdc.receive().await;
    }
    let took = since.elapsed();
    assert!(matches!(answer, Answer::Declared { .. }), "{answer:?}");
    took
}

fn median(what: &str, mut times: Vec<Duration>) -> Duration {
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    let (median, most, worst) = (at(0.5), at(0.95), at(1.0));
    println!("{what}: median {median:?}, 95 % within {most:?}, worst {worst:?}");
    median
}
