//! Payments, traffic and a chain that turns: what the lab says of them is what the node says.

use serde_json::Value;

use crate::site::{Backend, Site, last_json, until};

/// Nobody's, and regtest's.
const ADDRESS: &str = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";

#[tokio::test(flavor = "multi_thread")]
async fn payments_traffic_and_reorganisations_as_processes() {
    all(Backend::Process).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn payments_traffic_and_reorganisations_as_containers() {
    if Backend::Docker.is_testable() {
        all(Backend::Docker).await;
    }
}

async fn all(backend: Backend) {
    let site = Site::new(backend);
    last_json(&site.lab(&site.up_arguments(&["full"])));
    is_paid(&site).await;
    has_traffic(&site);
    turns(&site).await;
}

async fn is_paid(site: &Site) {
    let funded = site.json(&["faucet", ADDRESS, "1.5"]);
    assert_eq!(funded["amount"], 150_000_000, "{funded}");
    let rpc = site.open().await.rpc().unwrap();
    let hash = rpc.block_hash(funded["height"].as_u64().unwrap()).await;
    let block = rpc.block(hash.unwrap()).await.unwrap();
    let txid = funded["txid"].as_str().unwrap();
    let mut transactions = block.txdata.iter();
    let paid = transactions.find(|one| one.compute_txid().to_string() == txid);
    let paid = paid.unwrap();
    assert!(
        paid.output
            .iter()
            .any(|out| out.value.to_sat() == 150_000_000)
    );

    for (arguments, code) in [
        (
            ["faucet", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "1"],
            64,
        ),
        (["faucet", ADDRESS, "5000000"], 1),
    ] {
        assert_eq!(
            site.lab(&arguments).status.code(),
            Some(code),
            "{arguments:?}"
        );
    }
}

fn has_traffic(site: &Site) {
    let sent = site.json(&["tx", "--count", "20", "--rate", "50", "--fee", "3-30"]);
    assert_eq!(sent["sent"], 20, "{sent}");
    let rate = sent["fees"].as_f64().unwrap() / sent["vbytes"].as_f64().unwrap();
    assert!((3.0..=31.0).contains(&rate), "{rate} sat/vB: {sent}");
    let large = ["tx", "--outputs", "100", "--rate", "50", "--seconds", "2"];
    let held = site.json(&[&large[..], &["--weight", "40000"]].concat());
    // Each has 100 outputs of 31 bytes: the last one may exceed what is wanted, no further one.
    let most = 40_000 + 4 * (100 * 31 + 300);
    assert!(held["mempool_weight"].as_u64() < Some(most), "{held}");
    let nonsense = site.lab(&["tx", "--rate", "0"]);
    assert_eq!(nonsense.status.code(), Some(64));
}

async fn turns(site: &Site) {
    let mined = site.json(&["mine", "3"]);
    let newest = mined["blocks"].as_array().unwrap().last().unwrap()["hash"].clone();
    until("the ledger tells of the newest block", async || {
        let seen = site.json(&["top"]);
        let blocks = seen["blocks"].as_array().unwrap();
        let is_told = blocks.iter().any(|block| block["hash"] == newest);
        is_told
            .then_some(())
            .ok_or_else(|| seen["blocks"].to_string())
    })
    .await;
    let reorg = site.json(&["reorg", "--depth", "2"]);
    assert_eq!(reorg["settled"], true, "{reorg}");
    let list = |key: &str| reorg[key].as_array().unwrap().clone();
    assert_eq!((list("replaced").len(), list("mined").len()), (2, 3));
    let verdicts: Vec<Value> = list("ledger");
    assert!(
        !verdicts.is_empty(),
        "the device found some of them: {reorg}"
    );
    for block in verdicts {
        assert_eq!(block["verdict"], "stale", "{reorg}");
    }
    let rpc = site.open().await.rpc().unwrap();
    let first = &list("mined")[0];
    let hash = rpc.block_hash(first["height"].as_u64().unwrap()).await;
    assert_eq!(hash.unwrap().to_string(), first["hash"].as_str().unwrap());
    // Mining goes on where the chain is now.
    assert_eq!(site.json(&["mine", "1"])["mined_by"], "device");
    assert_eq!(
        site.lab(&["reorg", "--depth", "100"]).status.code(),
        Some(64)
    );
}
