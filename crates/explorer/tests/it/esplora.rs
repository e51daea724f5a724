//! What wallets ask for.

use std::cmp::Reverse;

use bitcoin::Amount;
use bitcoin::consensus::encode::serialize_hex;
use bitcoin::hashes::{Hash, sha256};
use regtest::Node;
use regtest::chain::{address, spending, to_anyone};
use serde_json::{Value, json};

use crate::site::{ACTIONS, Site};

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_finds_its_coins_and_spends_them() {
    let node = Node::with_blocks(103).await;
    let site = Site::ready(&node, ACTIONS).await;
    let (_, height) = site.text(site.get("/api/blocks/tip/height")).await;
    assert_eq!(height, "103");
    let (_, hash) = site.text(site.get("/api/blocks/tip/hash")).await;
    assert_eq!(hash, node.tip().await);

    let script = sha256::Hash::hash(address().script_pubkey().as_bytes());
    let by = [
        format!("/api/address/{}", address()),
        format!("/api/scripthash/{script}"),
    ];
    for base in &by {
        let summary = site.json(base).await;
        assert_eq!(summary["chain_stats"]["funded_txo_count"], 103);
        let coins = site.json(&format!("{base}/utxo")).await;
        assert_eq!(coins.as_array().unwrap().len(), 103);
        let first = site.json(&format!("{base}/txs")).await;
        assert_eq!(first.as_array().unwrap().len(), 25);
        let last = first[24]["txid"].as_str().unwrap();
        let second = site.json(&format!("{base}/txs/chain/{last}")).await;
        assert_eq!(second[0]["status"]["block_height"], 103 - 25);
    }

    let (coin, value) = node.coinbase_of(1).await;
    let payment = spending(coin, vec![to_anyone(value - Amount::from_sat(2000))]);
    let (status, txid) = site
        .text(site.post("/api/tx").body(serialize_hex(&payment)))
        .await;
    assert_eq!(
        (status.as_u16(), &txid),
        (200, &payment.compute_txid().to_string())
    );
    site.until("/api/mempool/txids", |ids| ids == &json!([txid]))
        .await;
    let waiting = site.json(&format!("/api/tx/{txid}")).await;
    assert_eq!(waiting["status"], json!({"confirmed": false}));
    assert_eq!(waiting["fee"], 2000);
    assert_eq!(waiting["vin"][0]["prevout"]["value"], value.to_sat());
    let outspend = format!("/api/tx/{}/outspend/0", coin.txid);
    assert_eq!(site.json(&outspend).await["txid"], json!(txid));
    let recent = site.json("/api/mempool/recent").await;
    assert_eq!(recent[0]["txid"], json!(txid));

    let tip = node.mine(1).await;
    site.shows(&tip).await;
    site.until(&outspend, |outspend| {
        outspend["status"]["confirmed"] == true
    })
    .await;
    let status = site.json(&format!("/api/tx/{txid}/status")).await;
    assert_eq!(
        (&status["block_hash"], &status["block_height"]),
        (&json!(tip), &json!(104))
    );
    let (_, hex) = site.text(site.get(&format!("/api/tx/{txid}/hex"))).await;
    assert_eq!(hex, serialize_hex(&payment));
    let proof = site.json(&format!("/api/tx/{txid}/merkle-proof")).await;
    let other = site.json(&format!("/api/block/{tip}/txids")).await[0].clone();
    assert_eq!(
        proof,
        json!({"block_height": 104, "merkle": [other], "pos": 1})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_are_told_as_wallets_expect_them() {
    let node = Node::with_blocks(30).await;
    let site = Site::ready(&node, "").await;
    let tip = node.tip().await;
    let core = node.rpc("getblock", json!([tip, 1])).await;
    let block = site.json(&format!("/api/block/{tip}")).await;
    for (ours, theirs) in [
        ("id", "hash"),
        ("height", "height"),
        ("timestamp", "time"),
        ("mediantime", "mediantime"),
        ("merkle_root", "merkleroot"),
        ("nonce", "nonce"),
        ("size", "size"),
        ("weight", "weight"),
        ("previousblockhash", "previousblockhash"),
        ("version", "version"),
        ("tx_count", "nTx"),
    ] {
        assert_eq!(block[ours], core[theirs], "{ours}");
    }
    let (_, header) = site
        .text(site.get(&format!("/api/block/{tip}/header")))
        .await;
    assert_eq!(
        json!(header),
        node.rpc("getblockheader", json!([tip, false])).await
    );
    let (_, hash) = site.text(site.get("/api/block-height/30")).await;
    assert_eq!(hash, tip);
    let status = site.json(&format!("/api/block/{tip}/status")).await;
    assert_eq!(
        status,
        json!({"in_best_chain": true, "height": 30, "next_best": null})
    );
    let list = site.json("/api/blocks").await;
    assert_eq!(
        (&list[0]["id"], list.as_array().unwrap().len()),
        (&json!(tip), 10)
    );
    assert_eq!(
        site.json("/api/blocks/5").await.as_array().unwrap().len(),
        6
    );
    let transactions = site.json(&format!("/api/block/{tip}/txs")).await;
    assert_eq!(transactions[0]["vin"][0]["is_coinbase"], true);
    assert_eq!(
        site.json(&format!("/api/block/{tip}/txids")).await[0],
        transactions[0]["txid"]
    );
    assert!(site.json("/api/fee-estimates").await["1"].as_f64().unwrap() >= 1.0);
    let (status, _) = site.text(site.get("/api/block-height/31")).await;
    assert_eq!(status, 404);
    // Sending is an action, and those are off.
    let (status, _) = site.text(site.post("/api/tx").body("00")).await;
    assert_eq!(status, 403);
    let (status, _) = site.text(site.get("/api/nothing/x")).await;
    assert_eq!(status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_old_to_be_held_comes_from_the_node() {
    let node = Node::with_blocks(103).await;
    let (coin, value) = node.coinbase_of(1).await;
    let payment = spending(coin, vec![to_anyone(value - Amount::from_sat(2000))]);
    let sent = node.rpc("sendrawtransaction", json!([serialize_hex(&payment)]));
    let sent = sent.await;
    node.mine(300).await;
    let site = Site::ready(&node, "").await;

    let first = format!("/api/address/{}/txs/chain", address());
    let mut history = site.json(&first).await.as_array().unwrap().clone();
    while let Some(last) = history.last().map(|last| last["txid"].as_str().unwrap()) {
        let more = site.json(&format!("{first}/{last}")).await;
        match more.as_array().unwrap() {
            none if none.is_empty() => break,
            more => history.extend(more.iter().cloned()),
        }
    }
    assert_eq!(history.len(), 403 + 1);
    let height = |of: &Value| of["status"]["block_height"].as_u64().unwrap();
    assert!(history.is_sorted_by_key(|of| Reverse(height(of))));
    let payment = history.iter().find(|of| of["txid"] == sent).unwrap();
    assert_eq!(height(payment), 104);
    assert_eq!(payment["fee"], 2000);
    assert_eq!(payment["vin"][0]["prevout"]["value"], value.to_sat());

    let blocks = site.json("/api/blocks/20").await;
    for (block, height) in blocks.as_array().unwrap().iter().zip((11..=20).rev()) {
        let hash = node.rpc("getblockhash", json!([height])).await;
        let header = node.rpc("getblockheader", json!([hash])).await;
        assert_eq!(block["id"], hash);
        assert_eq!(block["merkle_root"], header["merkleroot"]);
        assert_eq!(block["nonce"], header["nonce"]);
        let raw = node.rpc("getblockheader", json!([hash, false])).await;
        let path = format!("/api/block/{}/header", hash.as_str().unwrap());
        assert_eq!(site.text(site.get(&path)).await.1, raw);
    }
}
