//! Blocks found with declared jobs.

use std::time::{Duration, Instant};

use bitcoin::consensus::encode::serialize_hex;
use protocol::message::declaration::PushSolutionOwned;
use regtest::chain::{spending, to_anyone};
use regtest::{LIMIT, Node};
use serde_json::json;

use crate::jdc::{Answer, Jds};
use crate::job::Job;

async fn wait_for_tip(node: &Node, tip: &str) {
    let deadline = Instant::now() + LIMIT;
    while node.tip().await != tip {
        assert!(Instant::now() < deadline, "{tip} does not become the tip");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_solution_becomes_a_block_without_the_client_s_template_provider() {
    // JDS-24, JDS-27: one transaction is private.
    let node = Node::with_blocks(110).await;
    node.spend_coinbase(1, 10_000).await;
    let jds = Jds::ready(&node);
    let mut jdc = jds.client().await;
    let (coin, value) = node.coinbase_of(2).await;
    let private = spending(coin, vec![to_anyone(value)]);
    let mut transactions = Job::best(&node).await.block.txdata.split_off(1);
    transactions.push(private.clone());
    let job = Job::with(&node, transactions).await;
    let request_id = jdc.start(&job).await;
    let Answer::Missing { positions, .. } = jdc.receive().await else {
        panic!("the private transaction is known");
    };
    assert_eq!(positions, [1]);
    jdc.provide(request_id, job.transactions(&positions)).await;
    assert!(matches!(jdc.receive().await, Answer::Declared { .. }));

    let (block, solution) = job.solve();
    jdc.push(solution).await;
    let hash = block.block_hash().to_string();
    wait_for_tip(&node, &hash).await;
    let mined = node.rpc("getblock", json!([hash, 1])).await;
    assert_eq!(mined["tx"][2], private.compute_txid().to_string());
    jds.wait_for_metric("sv2_jds_solutions_total{verdict=\"accepted\"} 1");
    let record = &jds.declarations()[0];
    assert_eq!(
        record["blocks"],
        json!([{ "hash": hash, "verdict": "accepted" }])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_the_template_provider_submitted_first_is_a_success() {
    // JDS-24, T-23
    let node = Node::with_blocks(101).await;
    let jds = Jds::ready(&node);
    let mut jdc = jds.client().await;
    let job = Job::best(&node).await;
    jdc.declared(&job).await;
    let (block, solution) = job.solve();
    node.rpc("submitblock", json!([serialize_hex(&block)]))
        .await;
    jdc.push(solution).await;
    jds.wait_for_metric("sv2_jds_solutions_total{verdict=\"duplicate\"} 1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_found_before_its_job_was_declared_is_one_of_that_job() {
    // JDC-21: miners work on a job at once (SV2 6.3), and its block may be faster than its declaration.
    let node = Node::with_blocks(110).await;
    node.spend_coinbase(1, 10_000).await;
    let jds = Jds::ready(&node);
    let mut jdc = jds.client().await;
    let job = Job::best(&node).await;
    let other = Job::with(&node, Vec::new()).await;
    let (block, solution) = job.solve();
    node.rpc("submitblock", json!([serialize_hex(&block)]))
        .await;
    jdc.declared(&job).await;
    assert_eq!(jdc.refused(&other).await.0, "stale-chain-tip");
    jdc.push(solution).await;
    jds.wait_for_metric("sv2_jds_solutions_total{verdict=\"duplicate\"} 1");
    let record = &jds.declarations()[1];
    assert_eq!(record["prev_hash"], block.header.prev_blockhash.to_string());
    assert_eq!(
        record["blocks"][0]["hash"],
        block.block_hash().to_string().as_str()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_solution_of_an_older_job_is_submitted_and_a_wrong_one_harmless() {
    // JDS-25, JDS-26
    let node = Node::with_blocks(110).await;
    let jds = Jds::ready(&node);
    let mut jdc = jds.client().await;
    let older = Job::best(&node).await;
    jdc.declared(&older).await;
    node.spend_coinbase(1, 10_000).await;
    let newer = Job::best(&node).await;
    jdc.declared(&newer).await;

    let (block, solution) = older.solve_alone(&newer);
    for wrong in [
        PushSolutionOwned {
            ntime: 0,
            nbits: 0,
            ..solution.clone()
        },
        PushSolutionOwned {
            extranonce: vec![].try_into().unwrap(),
            ..solution.clone()
        },
        PushSolutionOwned {
            prev_hash: [1; 32].into(),
            ..solution.clone()
        },
    ] {
        jdc.push(wrong).await;
    }
    jds.wait_for_metric("sv2_jds_solutions_total{verdict=\"not_solved\"} 3");
    jdc.push(solution).await;
    wait_for_tip(&node, &block.block_hash().to_string()).await;
    // JDS-26: the next thing the client is told is what it asks for.
    jdc.token().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_solution_the_node_refuses_is_told_of() {
    let node = Node::with_blocks(101).await;
    let jds = Jds::ready(&node);
    let mut jdc = jds.client().await;
    let mut job = Job::best(&node).await;
    jdc.declared(&job).await;
    // Earlier than the median time of the blocks before.
    job.block.header.time = 1_300_000_000;
    let (_, solution) = job.solve();
    jdc.push(solution).await;
    jds.wait_for_metric("sv2_jds_solutions_total{verdict=\"rejected\"} 1");
    assert_eq!(jds.declarations()[0]["blocks"][0]["reason"], "time-too-old");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_solution_arrives_although_the_client_leaves_at_once() {
    let node = Node::with_blocks(101).await;
    let jds = Jds::ready(&node);
    let mut jdc = jds.client().await;
    let job = Job::best(&node).await;
    jdc.declared(&job).await;
    let (block, solution) = job.solve();
    jdc.push(solution).await;
    drop(jdc);
    wait_for_tip(&node, &block.block_hash().to_string()).await;
}
