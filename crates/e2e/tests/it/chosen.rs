//! Blocks of which the miner has chosen the transactions.

use std::collections::BTreeSet;

use bitcoin::{Amount, Transaction};
use regtest::Node;
use regtest::chain::{spending, to_anyone};
use serde_json::{Value, json};

use crate::farm::{BLOCKS, Farm};

/// Spends the coinbase at `height`. The names of transactions have to be known before anything runs.
async fn spend(node: &Node, height: u32, fee: u64) -> Transaction {
    let (coin, value) = node.coinbase_of(height).await;
    spending(coin, vec![to_anyone(value - Amount::from_sat(fee))])
}

fn spend_change(parent: &Transaction, fee: u64) -> Transaction {
    let coin = bitcoin::OutPoint::new(parent.compute_txid(), 0);
    let value = parent.output[0].value - Amount::from_sat(fee);
    spending(coin, vec![to_anyone(value)])
}

/// The txids of a block without its coinbase, and the satoshis that its coinbase pays.
async fn contents(farm: &Farm, hash: &str) -> (BTreeSet<String>, u64) {
    let block = farm.node.rpc("getblock", json!([hash, 2])).await;
    let transactions = block["tx"].as_array().unwrap();
    let names = transactions[1..].iter().map(|one| one["txid"].as_str());
    let names = names.map(|name| name.unwrap().to_owned()).collect();
    let outputs = transactions[0]["vout"].as_array().unwrap().iter();
    let paid = outputs.map(|output| Amount::from_btc(output["value"].as_f64().unwrap()));
    (names, paid.map(|paid| paid.unwrap().to_sat()).sum())
}

fn names(transactions: &[&Transaction]) -> BTreeSet<String> {
    let names = transactions
        .iter()
        .map(|one| one.compute_txid().to_string());
    names.collect()
}

fn pinned(farm: &Farm) -> Value {
    let answer = farm.jdc.get("/api/v1/status");
    let body = answer.split("\r\n\r\n").nth(1).unwrap();
    let status: Value = serde_json::from_str(body).unwrap();
    status["selection"]["pinned"][0]["state"].clone()
}

/// Of blocks below 300 and above 149 (regtest halves every 150).
const SUBSIDY: u64 = 25 * 100_000_000;

async fn chosen_block(mode: &str, is_apart: bool) -> (Farm, String) {
    let node = Node::with_blocks(BLOCKS).await;
    let rich = spend(&node, 1, 20_000).await;
    let poor = spend(&node, 2, 200).await;
    let pin = spend(&node, 3, 300).await;
    let banned = spend(&node, 4, 40_000).await;
    let child = spend_change(&banned, 50_000);
    let sections = format!(
        "[selection]\nmin_fee_rate = 10\npinned = [\"{}\"]\nbanned = [\"{}\"]\n",
        pin.compute_txid(),
        banned.compute_txid()
    );
    let farm = Farm::choosing(node, mode, is_apart, &sections).await;
    for transaction in [&rich, &poor, &pin, &banned, &child] {
        farm.node.send(transaction).await;
    }
    farm.job("a job with what is wanted", |job| {
        job["state"] == "set" && job["template"]["left_out"] == 3
    })
    .await;
    assert_eq!(pinned(&farm), "included");
    let before = farm.node.height().await;
    let report = farm.mine(1);
    assert_eq!(report["shares_rejected"], json!({}), "{report}");
    let hash = farm.block_for(0, before).await;
    let (transactions, paid) = contents(&farm, &hash).await;
    assert_eq!(transactions, names(&[&rich, &pin]));
    assert_eq!(paid, SUBSIDY + 20_300, "all that there is, and no more");
    // The template provider has never seen this block's merkle root.
    farm.jdc
        .wait_for_metric("jdc_blocks_submitted_total{verdict=\"accepted\"} 1");
    (farm, hash)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_declared_block_has_what_the_miner_wants_and_reaches_both_nodes() {
    // JDC-20, 21
    let (farm, hash) = chosen_block("full-template", true).await;
    farm.reaches_pool(&hash).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_that_nobody_was_shown_has_what_the_miner_wants() {
    // JDC-13, 20
    let (farm, _) = chosen_block("coinbase-only", false).await;
    for job in farm.jobs() {
        assert_eq!(job["declaration"]["sent_us"], json!(null), "{job}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pinned_transaction_that_the_node_had_no_room_for_is_mined() {
    let node = Node::with_blocks(BLOCKS).await;
    let pin = spend(&node, 1, 300).await;
    let sections = format!(
        "[selection]\nmax_weight = 10000\npinned = [\"{}\"]\n",
        pin.compute_txid()
    );
    let farm = Farm::choosing(node, "full-template", false, &sections).await;
    for height in 2..40 {
        let other = spend(&farm.node, height, 30_000).await;
        farm.node.send(&other).await;
    }
    farm.node.send(&pin).await;
    farm.job("a job with the pinned transaction", |job| {
        job["state"] == "set" && pinned(&farm) == "included"
    })
    .await;
    let before = farm.node.height().await;
    farm.mine(1);
    let hash = farm.block_for(0, before).await;
    let (transactions, _) = contents(&farm, &hash).await;
    assert!(
        transactions.is_superset(&names(&[&pin])),
        "{transactions:?}"
    );
    let block = farm.node.rpc("getblock", json!([hash])).await;
    assert!(block["weight"].as_u64().unwrap() <= 10_000, "{block}");
    assert!(transactions.len() > 5, "{transactions:?}");
    // The provider was asked to keep it so small, so it could submit it.
    let metrics = farm.jdc.get("/metrics");
    assert!(
        !metrics.contains("jdc_blocks_submitted_total{"),
        "{metrics}"
    );
}
