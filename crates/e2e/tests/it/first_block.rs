//! A block goes all the way: template, job, share, block, chain.

use std::io::Write;

use bitcoin::{Amount, Block, FeeRate};
use orchestrator::lab::Lab;
use serde_json::Value;

use crate::site::{Backend, Site, last_json, until};

// POOL-33, 34, 60: the node takes the blocks, those on top of foreign ones too.
#[tokio::test(flavor = "multi_thread")]
async fn a_block_of_the_device_is_the_nodes_tip_as_processes() {
    mines(Backend::Process).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_of_the_device_is_the_nodes_tip_as_containers() {
    if Backend::Docker.is_testable() {
        mines(Backend::Docker).await;
    }
}

// The same blocks from a node that has no IPC socket.
#[tokio::test(flavor = "multi_thread")]
async fn templates_by_rpc_make_blocks_too() {
    let minimal = orchestrator::topology::find("minimal").unwrap();
    let by_rpc = minimal.replace("source = \"ipc\"", "source = \"rpc\"");
    assert_ne!(minimal, by_rpc);
    let mut topology = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
    topology.write_all(by_rpc.as_bytes()).unwrap();

    let site = Site::new(Backend::Process);
    let path = topology.path().display().to_string();
    let report = last_json(&site.lab(&site.up_arguments(&[&path])));
    assert!(report["first_block_seconds"].is_f64(), "{report}");
    let lab = site.open().await;
    let volumes = |name| lab.service(name).unwrap().volumes.len();
    assert_eq!((volumes("btc-node"), volumes("template-provider")), (1, 0));
    assert_eq!(site.json(&["mine", "2"])["mined_by"], "device");
}

async fn mines(backend: Backend) {
    let (site, report) = Site::up(backend);
    assert!(report["first_block_seconds"].is_f64(), "{report}");
    let names: Vec<&str> = report["services"]
        .as_array()
        .unwrap()
        .iter()
        .map(|service| service["name"].as_str().unwrap())
        .collect();
    for name in ["btc-node", "template-provider", "pool", "mining-device"] {
        assert!(names.contains(&name), "{report}");
    }

    let lab = site.open().await;
    for transactions in [0, 1, 5] {
        mines_with(&site, &lab, transactions).await;
    }
    assert_eq!(site.json(&["status"])["name"], site.name.as_str());
    builds_on_foreign_blocks(&site);

    drop(lab);
    assert!(site.lab(&["down"]).status.success());
    site.assert_gone();
}

/// Mines with so many transactions waiting; they must be in a block of the pool.
async fn mines_with(site: &Site, lab: &Lab, transactions: usize) {
    let rpc = lab.rpc().unwrap();
    let before = rpc.block_count().await.unwrap();
    let mut wallet = lab.wallet().unwrap();
    let mut waiting = Vec::new();
    for _ in 0..transactions {
        let (to, rate) = (wallet.address(), FeeRate::from_sat_per_vb(20).unwrap());
        let sent = wallet
            .send(&rpc, &to, Amount::from_sat(100_000), rate)
            .await;
        waiting.push(sent.unwrap().compute_txid());
    }
    // The template of the first block may be older than the transactions, the second's is not.
    let mined = site.json(&["mine", "2"]);
    assert_eq!(mined["mined_by"], "device");
    let blocks = mined["blocks"].as_array().unwrap();
    assert_eq!(blocks.len(), 2);

    // The device may have found one before it was asked, too.
    let mut included = Vec::new();
    let mut hashes = Vec::new();
    for height in before + 1..=blocks[1]["height"].as_u64().unwrap() {
        let hash = rpc.block_hash(height).await.unwrap();
        hashes.push(hash.to_string());
        let block = rpc.block(hash).await.unwrap();
        assert_pays_the_lab(&block, lab);
        included.extend(
            block
                .txdata
                .iter()
                .skip(1)
                .map(bitcoin::Transaction::compute_txid),
        );
    }
    waiting.sort();
    included.sort();
    assert_eq!(included, waiting);

    let pool = lab.service("pool").unwrap().socket("http").unwrap();
    let url = format!("http://{pool}/api/v1/blocks");
    until("the pool's verdicts", async || {
        let response = reqwest::get(&url)
            .await
            .map_err(|error| error.to_string())?;
        let records: Value = response.json().await.map_err(|error| error.to_string())?;
        let accepted = |hash: &String| {
            let mut records = records["items"].as_array().into_iter().flatten();
            records.any(|record| record["hash"] == hash.as_str() && record["verdict"] == "accepted")
        };
        if hashes.iter().all(accepted) {
            Ok(())
        } else {
            Err(records.to_string())
        }
    })
    .await;
}

/// POOL-34: a block that somebody else found is what the next one of ours is built on.
fn builds_on_foreign_blocks(site: &Site) {
    let foreign = site.json(&["mine", "3", "--rpc"]);
    let ours = site.json(&["mine", "1"]);
    let height = |mined: &Value, at: usize| mined["blocks"][at]["height"].as_u64().unwrap();
    assert_eq!(ours["mined_by"], "device");
    assert!(height(&ours, 0) > height(&foreign, 2), "{foreign} {ours}");
}

fn assert_pays_the_lab(block: &Block, lab: &Lab) {
    let coinbase = &block.txdata[0];
    let script_sig = coinbase.input[0].script_sig.as_bytes();
    let signature = b"/sv2-lab/";
    assert!(
        script_sig
            .windows(signature.len())
            .any(|bytes| bytes == signature),
        "no signature of the pool in {script_sig:02x?}"
    );
    let ours = lab.wallet().unwrap().address().script_pubkey();
    assert_eq!(coinbase.output[0].script_pubkey, ours);
    assert!(coinbase.output[0].value >= Amount::from_sat(1));
}
