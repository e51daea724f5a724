//! A chain on which a share is no block.

use bitcoin::Network;
use bitcoin::blockdata::constants::genesis_block;
use bitcoin::consensus::serialize;
use mining_device::kernel::{Kernel, Search};
use orchestrator::signet;
use serde_json::Value;

use crate::site::{Backend, Site, last_json, until};

/// Nobody's, and signet's.
const ADDRESS: &str = "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx";
/// The same on regtest.
const OTHER: &str = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";

/// Prints what `orchestrator::signet` holds; run it after a change to those blocks.
#[test]
#[ignore = "half a billion hashes: a minute, or several"]
fn mine_the_first_blocks() {
    let kernel = Kernel::best();
    let mut previous = genesis_block(Network::Signet).block_hash();
    for height in 1..=101 {
        let header = serialize(&signet::block(height, previous, 0).header);
        let search = Search::new(&header.try_into().unwrap(), signet::target());
        let nonce = kernel.scan(&search, 0, u32::MAX).found.unwrap();
        previous = signet::block(height, previous, nonce).block_hash();
        println!("    {nonce:#010x},");
    }
}

/// Everything that a lab does on regtest, it does here.
#[tokio::test(flavor = "multi_thread")]
async fn a_block_takes_many_shares_and_a_lab_does_all_it_can() {
    let site = Site::new(Backend::Process);
    let up = last_json(&site.lab(&site.up_arguments(&["full", "--difficulty", "mid"])));
    assert_eq!(up["first_blocks"].as_array().unwrap().len(), 2, "{up}");
    let status = site.json(&["status"]);
    assert_eq!(status["chain"], "signet");
    let unready = |service: &Value| service["ready"] != true;
    let services = status["services"].as_array().unwrap();
    assert!(!services.iter().any(unready), "{status}");

    let funded = site.json(&["faucet", ADDRESS, "1.5"]);
    assert_eq!(funded["amount"], 150_000_000, "{funded}");
    let refused = site.lab(&["faucet", OTHER, "1"]);
    assert_eq!(refused.status.code(), Some(64), "{refused:?}");

    let sent = site.json(&["tx", "--count", "10", "--rate", "50"]);
    assert_eq!(sent["sent"], 10, "{sent}");
    let verified = site.json(&["verify"]);
    let paths = verified["blocks"].as_array().unwrap();
    let checks = paths
        .iter()
        .flat_map(|path| path["checks"].as_array().unwrap());
    let disagreeing: Vec<&Value> = checks.filter(|check| check["holds"] != true).collect();
    assert!(
        paths.len() == 2 && disagreeing.is_empty(),
        "{disagreeing:#?}"
    );

    let reorg = site.json(&["reorg"]);
    assert_eq!(reorg["settled"], true, "{reorg}");
    until("ten shares that are no blocks", async || {
        let seen = site.json(&["top"]);
        let services = seen["services"].as_array().unwrap();
        let device = services.iter().find(|one| one["name"] == "mining-device");
        let mining = &device.unwrap()["mining"];
        let count = |what: &str| mining[what].as_u64().unwrap_or_default();
        match count("accepted") >= count("blocks") + 10 {
            true => Ok(()),
            false => Err(mining.to_string()),
        }
    })
    .await;
}
