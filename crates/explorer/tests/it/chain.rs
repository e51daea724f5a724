//! The chain as the node has it, whatever it does.

use regtest::chain::address;
use regtest::{ANY_AGE, Node};
use serde_json::{Value, json};

use crate::site::Site;

/// Blocks that pay somebody else than usual, and so are none that were there before; the tip.
async fn mine_otherwise(node: &Node, count: u32) -> String {
    let other = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";
    node.rpc("generatetoaddress", json!([count, other])).await;
    node.tip().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_without_blocks_is_shown() {
    let node = Node::with_blocks(0).await;
    let site = Site::ready(&node, "").await;
    let home = site.json("/api/v1/home").await;
    assert_eq!(home["blocks"][0]["height"], 0);
    assert_eq!(home["blocks"][0]["credit"]["origin"], "genesis");
    let genesis = site.json("/api/v1/blocks/0").await;
    assert_eq!(genesis["transactions"].as_array().unwrap().len(), 1);
    for page in ["/", "/blocks", "/block/0", "/mempool", "/tips", "/node"] {
        site.page(page).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_in_its_initial_download_is_shown() {
    // Blocks of 2017, and no -maxtipage: started again, Bitcoin Core says that it is downloading.
    let mut node = Node::start(&[]).await;
    node.rpc("setmocktime", json!([1_500_000_000])).await;
    node.mine(3).await;
    node.stop().await;
    node.spawn();
    node.wait_for_rpc().await;
    let site = Site::ready(&node, "").await;
    let shown = site.json("/api/v1/node").await;
    assert_eq!(shown["chain"]["initialblockdownload"], true, "{shown}");
    assert_eq!(site.json("/api/v1/home").await["blocks"][0]["height"], 3);
    assert!(site.page("/node").await.contains("under way"));
    assert_eq!(shown["peers"], json!([]));

    // A block of today ends it.
    let tip = node.mine(1).await;
    site.shows(&tip).await;
    site.until("/api/v1/node", |shown| {
        shown["chain"]["initialblockdownload"] == false
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_of_the_node_itself_say_so() {
    let node = Node::with_blocks(30).await;
    let site = Site::ready(&node, "").await;
    for height in [1, 16, 17, 30] {
        let block = site.json(&format!("/api/v1/blocks/{height}")).await;
        assert_eq!(block["block"]["credit"]["origin"], "rpc", "{block}");
        let fields = block["coinbase"]["fields"].as_array().unwrap();
        assert_eq!(fields[0]["meaning"], height.to_string());
        assert_eq!(
            block["coinbase"]["payouts"][0]["address"],
            address().to_string()
        );
        assert!(block["coinbase"]["witness_commitment"].is_string());
    }
    let page = site.page("/block/30").await;
    assert!(page.contains("Made by the node itself"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reorganisation_shows_both_branches_at_once() {
    let node = Node::with_blocks(10).await;
    let site = Site::ready(&node, "").await;
    let left = node.rpc("getblockhash", json!([9])).await;
    let old_tip = node.tip().await;
    node.rpc("invalidateblock", json!([left])).await;
    let below = node.tip().await;
    site.shows(&below).await;
    let new_tip = mine_otherwise(&node, 3).await;
    node.rpc("reconsiderblock", json!([left])).await;
    site.shows(&new_tip).await;

    let tips = site
        .until("/api/v1/tips", |tips| {
            tips["forks"][0]["status"] == "valid-fork"
        })
        .await;
    let fork = &tips["forks"][0];
    assert_eq!(fork["height"], 8);
    let branch: Vec<_> = fork["branch"].as_array().unwrap().iter().collect();
    assert_eq!(
        (&branch[0]["hash"], &branch[1]["hash"]),
        (&left, &json!(old_tip))
    );
    let chain: Vec<_> = fork["chain"].as_array().unwrap().iter().collect();
    assert_eq!(
        chain
            .iter()
            .map(|block| &block["height"])
            .collect::<Vec<_>>(),
        [9, 10, 11]
    );
    assert_eq!(chain[2]["hash"], json!(new_tip));
    assert_eq!(tips["turns"][0]["old_tip"], json!(old_tip));
    let stale = site.json(&format!("/api/v1/blocks/{old_tip}")).await;
    assert_eq!(stale["confirmations"], 0);
    assert_eq!(stale["replaced_by"], chain[1]["hash"]);
    let page = site.page(&format!("/block/{old_tip}")).await;
    assert!(page.contains("not in the chain"), "{page}");
    let page = site.page("/tips").await;
    assert!(page.contains("Left behind"));
    let left = left.as_str().unwrap();
    for (hash, class) in [(left, "beside"), (&old_tip, "beside valid-fork")] {
        let link = format!("href=\"/block/{hash}\" class=\"{class}\"");
        assert!(page.contains(&link), "{link} is not in {page}");
    }
    let drawn = tips["tree"]["drawing"].as_array().unwrap();
    assert!(drawn[0].as_str().unwrap().starts_with("●    11 …"));
    let (_, text) = site.text(site.get("/tips")).await;
    let tail = &old_tip[54..];
    let line = format!("│ ○  10 …{tail} the node, by RPC [valid-fork]");
    assert!(text.contains(&line), "{line} is not in {text}");
    assert!(text.contains("●─╯  8 …"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_without_its_block_is_in_the_tree() {
    let node = Node::with_blocks(5).await;
    let site = Site::ready(&node, "").await;
    let params = json!([address().to_string(), [], false]);
    let made = node.rpc("generateblock", params).await;
    let header = &made["hex"].as_str().unwrap()[..160];
    node.rpc("submitheader", json!([header])).await;
    // No new tip says so.
    let tips = site
        .until("/api/v1/tips", |tips| {
            tips["tips"][0]["status"] == "headers-only"
        })
        .await;
    let blocks = tips["tree"]["picture"]["blocks"].as_array().unwrap();
    let unseen = blocks.iter().find(|block| block["hash"] == made["hash"]);
    let unseen = unseen.unwrap_or_else(|| panic!("{blocks:?}"));
    assert_eq!(
        (&unseen["height"], &unseen["credit"]),
        (&json!(6), &json!(null))
    );
    assert!(site.page("/tips").await.contains("header only"));
}

#[tokio::test(flavor = "multi_thread")]
async fn branches_from_before_the_explorer_are_shown_too() {
    let node = Node::with_blocks(5).await;
    let left = node.rpc("getblockhash", json!([4])).await;
    node.rpc("invalidateblock", json!([left])).await;
    mine_otherwise(&node, 3).await;
    node.rpc("reconsiderblock", json!([left])).await;
    let site = Site::ready(&node, "").await;
    let tips = site
        .until("/api/v1/tips", |tips| {
            tips["forks"]
                .as_array()
                .is_some_and(|forks| !forks.is_empty())
        })
        .await;
    assert_eq!(tips["forks"][0]["branch"][0]["hash"], left);
    assert_eq!(tips["forks"][0]["branch"].as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_known_stays_while_the_node_is_away_and_it_is_found_again() {
    let mut node = Node::with_blocks(20).await;
    let site = Site::ready(&node, "").await;
    let tip = node.tip().await;
    node.kill();
    site.until("/api/v1/home", |home| home["node"]["state"] == "away")
        .await;
    let (status, _) = site.text(site.get("/healthz")).await;
    assert_eq!(status, 503);
    let page = site.page("/").await;
    assert!(page.contains("is away"), "{page}");
    // The newest blocks are held, so they are shown whole.
    let block = site.json(&format!("/api/v1/blocks/{tip}")).await;
    let coinbase = block["coinbase"]["txid"].as_str().unwrap();
    let transaction = site.json(&format!("/api/v1/transactions/{coinbase}")).await;
    assert_eq!(transaction["block"]["height"], 20);
    site.json(&format!("/api/v1/addresses/{}", address())).await;
    for page in [
        "/",
        "/blocks",
        "/mempool",
        "/tips",
        "/node",
        "/about",
        "/search?q=20x",
    ] {
        site.page(page).await;
    }

    node.spawn();
    node.wait_for_rpc().await;
    let new_tip = node.mine(1).await;
    site.shows(&new_tip).await;
    site.until("/healthz", |health| health["ready"] == true)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_lab_on_the_same_address_replaces_the_first() {
    let node = Node::with_blocks(12).await;
    let site = Site::ready(&node, "").await;
    let first = node.rpc("getblockhash", json!([1])).await;
    node.rpc("invalidateblock", json!([first])).await;
    let tip = mine_otherwise(&node, 2).await;
    site.shows(&tip).await;
    let blocks = site.json("/api/v1/blocks").await;
    assert_eq!(blocks["pages"]["total"], 3);
    let owner = site.json(&format!("/api/v1/addresses/{}", address())).await;
    assert_eq!(owner["pages"]["total"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_of_as_many_blocks_as_are_kept_is_indexed_whole() {
    let node = Node::with_blocks(10).await;
    let site = Site::ready(&node, "max_blocks = 10\n").await;
    let owner = site.json(&format!("/api/v1/addresses/{}", address())).await;
    assert_eq!(owner["pages"]["total"], 10);
    let blocks = site.json("/api/v1/blocks").await;
    assert_eq!(blocks["pages"]["total"], 11);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_chain_longer_than_what_is_kept_old_blocks_come_from_the_node() {
    let node = Node::with_blocks(30).await;
    let site = Site::ready(&node, "max_blocks = 10\n").await;
    let blocks = site.json("/api/v1/blocks").await;
    assert_eq!(blocks["pages"]["total"], 10);
    let old = node.rpc("getblockhash", json!([5])).await;
    let block = site
        .json(&format!("/api/v1/blocks/{}", old.as_str().unwrap()))
        .await;
    assert_eq!(block["block"]["height"], 5);
    // Without an index of its own the explorer has the node look through all coins.
    let owner = site.json(&format!("/api/v1/addresses/{}", address())).await;
    assert_eq!(owner["coins_total"], 30);
    assert_eq!(owner["balance"], 30_u64 * 5_000_000_000);
    assert!(owner["pages"].is_null());
    site.page(&format!("/address/{}", address())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_blocks_are_read_alike_with_rest_and_without() {
    for arguments in [&[ANY_AGE][..], &[ANY_AGE, "-rest=1"]] {
        let node = Node::start(arguments).await;
        node.mine(60).await;
        let heights: Vec<Value> = (1..=60).map(|height| json!([height])).collect();
        let rpc = node.rpc_client();
        let hashes = rpc.batch::<String>("getblockhash", &heights).await;
        let hashes: Vec<String> = hashes.unwrap().into_iter().map(Result::unwrap).collect();
        let served = rpc.rest_blocks(&hashes).await;
        assert_eq!(served.is_some(), arguments.len() > 1);

        let site = Site::ready(&node, "").await;
        let owner = site.json(&format!("/api/v1/addresses/{}", address())).await;
        assert_eq!(owner["pages"]["total"], 60);
        let block = site.json("/api/v1/blocks/7").await;
        assert_eq!(block["block"]["hash"], hashes[6]);
    }
}
