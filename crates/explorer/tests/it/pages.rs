//! Pages, text and JSON.

use bitcoin::Amount;
use regtest::chain::{address, spending, to_anyone};
use regtest::{Events, Node};
use serde_json::{Value, json};

use crate::site::Site;

/// A text within a URL's query.
fn encode(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_is_html_text_and_json_and_lets_no_script_in() {
    let node = Node::with_blocks(3).await;
    let site = Site::ready(&node, "").await;
    let (coin, _) = node.coinbase_of(2).await;
    let pages = [
        "/",
        "/blocks",
        "/block/2",
        "/mempool",
        "/search?q=nothing",
        "/tips",
        "/work",
        "/miners",
        "/worker?name=x",
        "/declarations",
        "/node",
        "/about",
        &format!("/tx/{}", coin.txid),
        &format!("/address/{}", address()),
    ];
    for path in pages {
        let answer = site
            .get(path)
            .header("accept", "text/html")
            .send()
            .await
            .unwrap();
        let policy = answer.headers()["content-security-policy"]
            .to_str()
            .unwrap()
            .to_owned();
        assert!(
            policy.contains("default-src 'none'") && !policy.contains("unsafe"),
            "{policy}"
        );
        assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
        let html = answer.text().await.unwrap();
        assert!(html.starts_with("<!doctype html>"), "{path}: {html}");
        assert!(html.contains("(regtest)</title>"), "{path}: {html}");
        for inline in ["<script>", " style=", " onclick=", "javascript:"] {
            assert!(!html.contains(inline), "{path} has {inline}");
        }
        let (_, text) = site.text(site.get(path)).await;
        assert!(!text.contains('<') && !text.is_empty(), "{path}: {text}");
        let wants_json = site.get(path).header("accept", "application/json");
        let (_, json) = site.text(wants_json).await;
        serde_json::from_str::<Value>(&json).unwrap_or_else(|error| panic!("{path}: {error}"));
    }
    for asset in ["/assets/style.css", "/assets/script.js", "/assets/icon.svg"] {
        assert!(
            !site.page(asset).await.contains("http://") || asset.ends_with("svg"),
            "{asset}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_documented_route_answers() {
    let node = Node::with_blocks(3).await;
    let site = Site::ready(&node, "").await;
    let (coin, _) = node.coinbase_of(2).await;
    let document = site.json("/api/v1/openapi.json").await;
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() >= 20, "{:?}", paths.keys());
    for (path, item) in paths {
        if item["get"].is_object() {
            let filled = path
                .replace("{id}", "2")
                .replace("{txid}", &coin.txid.to_string())
                .replace("{address}", &address().to_string());
            let answer = site.get(&filled).send().await.unwrap();
            assert_eq!(answer.status(), 200, "{path}");
        }
    }
    let index = site.json("/api/v1").await;
    assert_eq!(index["service"], "explorer");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_told_in_the_form_that_was_wanted() {
    let node = Node::with_blocks(1).await;
    let site = Site::ready(&node, "").await;
    let nowhere = "00".repeat(32);
    for (path, status) in [
        ("/block/7".to_owned(), 404),
        (format!("/block/{nowhere}"), 404),
        ("/block/xyz".to_owned(), 400),
        (format!("/tx/{nowhere}"), 404),
        ("/tx/xyz".to_owned(), 400),
        ("/address/xyz".to_owned(), 400),
        (
            "/address/bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4".to_owned(),
            400,
        ),
        ("/nothing/<b>".to_owned(), 404),
        ("/actions".to_owned(), 404),
    ] {
        let html = site.get(&path).header("accept", "text/html");
        let (seen, page) = site.text(html).await;
        assert_eq!(seen, status, "{path}");
        assert!(
            page.contains("Nothing to show") && !page.contains("<b>"),
            "{path}: {page}"
        );
        let (seen, text) = site.text(site.get(&path)).await;
        assert!(
            seen == status && !text.contains("<!doctype"),
            "{path}: {text}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_is_followed_from_the_mempool_into_a_block() {
    let node = Node::with_blocks(101).await;
    let site = Site::ready(&node, "").await;
    let (coin, value) = node.coinbase_of(1).await;
    let payment = spending(coin, vec![to_anyone(value - Amount::from_sat(1000))]);
    let txid = payment.compute_txid().to_string();
    node.send(&payment).await;
    let mempool = site
        .until("/api/v1/mempool", |mempool| {
            mempool["transactions"][0]["txid"] == json!(txid)
        })
        .await;
    assert_eq!(mempool["transactions"][0]["fee"], 1000);
    let waiting = site.json(&format!("/api/v1/transactions/{txid}")).await;
    assert!(waiting["block"].is_null());
    assert_eq!(waiting["fee"], 1000);
    assert_eq!(waiting["inputs"][0]["address"], address().to_string());
    let owner = site.json(&format!("/api/v1/addresses/{}", address())).await;
    assert_eq!(
        (&owner["waiting"], &owner["history"][0]["txid"]),
        (&json!(-1000), &json!(txid))
    );
    assert!(
        site.page(&format!("/tx/{txid}"))
            .await
            .contains("waits in the mempool")
    );

    let tip = node.mine(1).await;
    site.shows(&tip).await;
    let mined = site.json(&format!("/api/v1/transactions/{txid}")).await;
    assert_eq!(
        (&mined["block"]["height"], &mined["block"]["confirmations"]),
        (&json!(102), &json!(1))
    );
    let block = site.json(&format!("/api/v1/blocks/{tip}")).await;
    assert_eq!(block["coinbase"]["fees"], 1000);
    assert_eq!(block["transactions"][1]["fee"], 1000);
    let spent = site
        .json(&format!("/api/v1/transactions/{}", coin.txid))
        .await;
    assert_eq!(spent["outputs"][0]["spent_by"], json!(txid));
    let young = site.json(&format!("/api/v1/blocks/{tip}")).await["coinbase"]["txid"].clone();
    let young = site
        .json(&format!("/api/v1/transactions/{}", young.as_str().unwrap()))
        .await;
    assert_eq!(young["outputs"][0]["matures_at"], 202);
    site.until("/api/v1/mempool", |mempool| mempool["info"]["size"] == 0)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn search_finds_heights_hashes_ids_and_addresses() {
    let node = Node::with_blocks(3).await;
    let site = Site::ready(&node, "").await;
    let (coin, _) = node.coinbase_of(2).await;
    let tip = node.tip().await;
    for (query, url) in [
        ("2".to_owned(), "/block/2".to_owned()),
        (format!(" {tip} "), format!("/block/{tip}")),
        (tip.to_uppercase(), format!("/block/{tip}")),
        (coin.txid.to_string(), format!("/tx/{}", coin.txid)),
        (address().to_string(), format!("/address/{}", address())),
    ] {
        let request = site.get(&format!("/api/v1/search?q={}", encode(&query)));
        let found: Value = request.send().await.unwrap().json().await.unwrap();
        assert_eq!(found["results"][0]["url"], json!(url), "{found}");
        assert_eq!(found["results"].as_array().unwrap().len(), 1, "{found}");
        site.page(&url).await;
    }
    for query in [
        "",
        "99",
        "nobody",
        "<script>alert(1)</script>",
        &"x".repeat(5000),
    ] {
        let request = site.get(&format!("/search?q={}", encode(query)));
        let (status, page) = site.text(request.header("accept", "text/html")).await;
        assert!(status == 200 && !page.contains("<script>alert"), "{page}");
        assert!(page.contains("Nothing is called"), "{page}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_block_is_told_to_who_listens() {
    let node = Node::with_blocks(1).await;
    let site = Site::ready(&node, "").await;
    let events = site.get("/api/v1/events?types=tip").send().await.unwrap();
    let mut events = Events::of(events);
    let tip = node.mine(1).await;
    // A page shows a tip before it is told, so the one before may still be told to us.
    let told = events.until(|event| event["hash"] == json!(tip)).await;
    assert_eq!(
        (&told["type"], &told["height"]),
        (&json!("tip"), &json!(2)),
        "{told}"
    );
}
