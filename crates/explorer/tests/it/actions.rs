//! What visitors may do.

use std::time::Duration;

use bitcoin::Network;
use bitcoin::bip32::Xpriv;
use daemon::node::NodeError;
use regtest::Node;
use regtest::chain::address;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::site::{ACTIONS, Site};

fn keys() -> String {
    let key = Xpriv::new_master(Network::Regtest, &[7; 32]).unwrap();
    format!("{ACTIONS}faucet_key = \"{key}\"\n")
}

async fn act(site: &Site, wish: Value) -> (u16, Value) {
    let answer = site
        .post("/api/v1/actions")
        .json(&wish)
        .send()
        .await
        .unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn coins_are_mined_and_paid_out_and_the_chain_turns() {
    let node = Node::with_blocks(1).await;
    let site = Site::ready(&node, &keys()).await;
    let (status, done) = act(&site, json!({"action": "mine", "blocks": 101})).await;
    assert_eq!(status, 200, "{done}");
    assert_eq!(node.height().await, 102);
    site.shows(&node.tip().await).await;

    // Twice, so that the second has to leave the first one's coin alone.
    for _ in 0..2 {
        let wish = json!({"action": "faucet", "address": address().to_string(), "amount": 0.5});
        let (status, done) = act(&site, wish).await;
        assert_eq!(status, 200, "{done}");
        let txid = done["url"]
            .as_str()
            .unwrap()
            .trim_start_matches("/tx/")
            .to_owned();
        let mempool = |mempool: &Value| {
            mempool
                .as_array()
                .is_some_and(|ids| ids.contains(&json!(txid)))
        };
        site.until("/api/mempool/txids", mempool).await;
        let tip = act(&site, json!({"action": "mine"})).await.1["url"].clone();
        site.shows(tip.as_str().unwrap().trim_start_matches("/block/"))
            .await;
    }
    let owner = site.json(&format!("/api/v1/addresses/{}", address())).await;
    assert_eq!(owner["balance"], 5_000_000_000_u64 + 100_000_000);

    let old_tip = node.tip().await;
    let (status, done) = act(&site, json!({"action": "reorg", "depth": 2})).await;
    assert_eq!(status, 200, "{done}");
    assert_eq!(node.height().await, 105);
    site.shows(&node.tip().await).await;
    site.until("/api/v1/tips", |tips| {
        tips["forks"][0]["branch"][1]["hash"] == json!(old_tip)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_is_taken_for_invalid_and_judged_anew() {
    let node = Node::with_blocks(5).await;
    let site = Site::ready(&node, &keys()).await;
    let tip = node.tip().await;
    let hash = async |height| node.rpc("getblockhash", json!([height])).await;
    let (left, below) = (hash(4).await, hash(3).await);
    let (left, below) = (left.as_str().unwrap(), below.as_str().unwrap());
    let wish = json!({"action": "invalidate", "block": "4"});
    let (status, done) = act(&site, wish).await;
    assert_eq!(status, 200, "{done}");
    site.shows(below).await;
    let tips = site
        .until("/api/v1/tips", |tips| {
            tips["forks"][0]["status"] == "invalid"
        })
        .await;
    assert_eq!(tips["forks"][0]["branch"][0]["hash"], json!(left));
    let drawn = site.page("/tips").await;
    let invalid = format!("href=\"/block/{tip}\" class=\"beside invalid\"");
    assert!(drawn.contains(&invalid), "{drawn}");
    let page = site.page(&format!("/block/{left}")).await;
    assert!(page.contains(&format!("/actions?block={left}")), "{page}");
    let page = site.page(&format!("/actions?block={left}")).await;
    assert!(page.contains(&format!("value=\"{left}\"")), "{page}");

    let wish = json!({"action": "reconsider", "block": left});
    let (status, done) = act(&site, wish).await;
    assert_eq!(status, 200, "{done}");
    site.shows(&tip).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_are_mined_on_any_branch_and_the_longer_one_is_the_chain() {
    let node = Node::with_blocks(5).await;
    let site = Site::ready(&node, &keys()).await;
    let wish = json!({"action": "mine", "on": "3"});
    // At once, and still another block.
    for _ in 0..2 {
        let (status, done) = act(&site, wish.clone()).await;
        assert_eq!(status, 200, "{done}");
    }
    // What was put aside for it is as valid as before, and has more work in it.
    assert_eq!(node.height().await, 5);
    let tips = site
        .until("/api/v1/tips", |tips| {
            let forks = tips["forks"].as_array();
            let is_left =
                |fork: &Value| fork["status"] == "valid-fork" && fork["branch"][0]["height"] == 4;
            forks.is_some_and(|forks| forks.len() == 2 && forks.iter().all(is_left))
        })
        .await;

    let left = tips["forks"][0]["branch"][0]["hash"].clone();
    let page = site
        .page(&format!("/block/{}", left.as_str().unwrap()))
        .await;
    assert!(page.contains("/actions?on="), "{page}");
    let wish = json!({"action": "mine", "blocks": 2, "on": left});
    let (status, done) = act(&site, wish).await;
    assert_eq!(status, 200, "{done}");
    assert_eq!(node.rpc("getblockhash", json!([4])).await, left);
    assert_eq!(node.height().await, 6);

    // A block that counts as invalid is none to mine on, and nothing is changed by trying.
    let tip = node.tip().await;
    act(&site, json!({"action": "invalidate", "block": tip})).await;
    let below = node.tip().await;
    site.shows(&below).await;
    let (status, done) = act(&site, json!({"action": "mine", "on": tip})).await;
    assert_eq!(status, 400, "{done}");
    assert!(
        done["error"].as_str().unwrap().contains("invalid"),
        "{done}"
    );
    assert_eq!(node.tip().await, below);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visitor_who_leaves_half_way_leaves_nothing_invalid() {
    let node = Node::with_blocks(5).await;
    let site = Site::ready(&node, &keys()).await;
    let old = node.tip().await;
    let wish = json!({"action": "mine", "blocks": 500, "on": "3"});
    let put_aside = async { while node.tip().await == old {} };
    tokio::select! {
        // So quick that nobody could leave.
        _ = site.post("/api/v1/actions").json(&wish).send() => {}
        () = put_aside => {}
    }
    let put_back = async {
        let is_back = |tip: &Value| tip["hash"] == old && tip["status"] == "valid-fork";
        while !node
            .rpc("getchaintips", json!([]))
            .await
            .as_array()
            .unwrap()
            .iter()
            .any(is_back)
        {}
    };
    timeout(Duration::from_secs(60), put_back).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_is_refused_with_the_reason() {
    let node = Node::with_blocks(1).await;
    let site = Site::ready(&node, &keys()).await;
    let here = address().to_string();
    for (wish, reason) in [
        (json!({"action": "dance"}), "expected mine"),
        (json!({"action": "mine", "blocks": 0}), "1 to 500"),
        (json!({"action": "mine", "by": "nobody"}), "no device"),
        (
            json!({"action": "mine", "by": "rig", "on": "0"}),
            "the chain's tip only",
        ),
        (json!({"action": "mine", "address": "xyz"}), "no address"),
        (json!({"action": "faucet", "address": here}), "mature coins"),
        (
            json!({"action": "faucet", "address": here, "amount": -1.0}),
            "amount",
        ),
        (json!({"action": "send", "hex": "zz"}), "TX decode failed"),
        (json!({"action": "send"}), "raw transaction"),
        (json!({"action": "reorg", "depth": 5}), "shorter"),
        (json!({"action": "invalidate", "block": "0"}), "stays valid"),
        (
            json!({"action": "invalidate"}),
            "height or by the 64 digits",
        ),
    ] {
        let (status, done) = act(&site, wish.clone()).await;
        assert_eq!(status, 400, "{wish}: {done}");
        assert!(
            done["error"].as_str().unwrap().contains(reason),
            "{wish}: {done}"
        );
    }
    assert_eq!(node.height().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_reads_for_the_explorer_cannot_act() {
    let node = Node::with_blocks(1).await;
    let reader = node.rpc_as("reader", "reader");
    let here = address().to_string();
    for (method, params) in [
        ("generatetoaddress", json!([1, here])),
        ("stop", json!([])),
        ("invalidateblock", json!([node.tip().await])),
        ("sendrawtransaction", json!(["00"])),
        ("submitblock", json!(["00"])),
        ("setban", json!(["127.0.0.1", "add"])),
    ] {
        let refused = reader.call::<Value>(method, params).await.unwrap_err();
        let what = refused.to_string();
        assert!(matches!(refused, NodeError::Forbidden { .. }), "{what}");
        assert!(
            what.contains(method) && what.contains("rpcwhitelist"),
            "{what}"
        );
    }
    // Actions without a user of their own say what is missing.
    let site = Site::ready(&node, "[actions]\nenabled = true\n").await;
    let (status, done) = act(&site, json!({"action": "mine"})).await;
    assert_eq!(status, 403, "{done}");
    let what = done["error"].as_str().unwrap();
    assert!(
        what.contains("generatetoaddress") && what.contains("reader"),
        "{what}"
    );
    assert_eq!(node.height().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_pages_cannot_act_and_nobody_can_where_actions_are_off() {
    let node = Node::with_blocks(1).await;
    let site = Site::ready(&node, &keys()).await;
    let form = || {
        site.post("/actions")
            .header("content-type", "application/x-www-form-urlencoded")
    };
    let mine = "action=mine&blocks=1&by=";
    let own = format!("http://127.0.0.1:{}", site.port);
    for (header, value) in [
        ("origin", "http://evil.example"),
        ("sec-fetch-site", "cross-site"),
        ("host", "evil.example"),
    ] {
        let request = form().header(header, value).body(mine);
        assert_eq!(site.text(request).await.0, 403, "{header}: {value}");
    }
    assert_eq!(node.height().await, 1);
    let request = form()
        .header("origin", &own)
        .header("accept", "text/html")
        .body(mine);
    let (status, page) = site.text(request).await;
    assert!(
        status == 200 && page.contains("The node made 1 blocks"),
        "{page}"
    );
    assert_eq!(node.height().await, 2);

    let off = Site::ready(&node, "").await;
    let request = off.post("/api/v1/actions").json(&json!({"action": "mine"}));
    assert_eq!(off.text(request).await.0, 403);
    assert!(!off.page("/").await.contains("/actions"));
    assert_eq!(node.height().await, 2);
}
