//! A lab is kept, and is again what it was.

use serde_json::{Value, json};

use crate::site::{Backend, Site, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_lab_is_again_what_it_was_as_processes() {
    goes_back(Backend::Process).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lab_is_again_what_it_was_as_containers() {
    if Backend::Docker.is_testable() {
        goes_back(Backend::Docker).await;
    }
}

/// Height and tip of the chain, the pool's blocks on record, and the lab's public key.
async fn state(site: &Site) -> Value {
    let lab = site.open().await;
    let rpc = lab.rpc().unwrap();
    let pool = lab.service("pool").unwrap().socket("http").unwrap();
    let url = format!("http://{pool}/api/v1/blocks");
    let (chain, hashes) = until("the pool's record", async || {
        let chain = rpc.chain_info().await.map_err(|error| error.to_string())?;
        let answer = reqwest::get(&url)
            .await
            .map_err(|error| error.to_string())?;
        let blocks: Value = answer.json().await.map_err(|error| error.to_string())?;
        let items = blocks["items"].as_array().into_iter().flatten();
        let hashes: Vec<Value> = items.map(|one| one["hash"].clone()).collect();
        // All but the first ones are the pool's.
        match hashes.len() as u64 == chain.blocks - 101 {
            true => Ok((chain, hashes)),
            false => Err(blocks.to_string()),
        }
    })
    .await;
    json!([
        chain.blocks,
        chain.best_block_hash,
        hashes,
        lab.secrets().authority_public_key
    ])
}

async fn goes_back(backend: Backend) {
    let (site, _) = Site::up(backend);
    // Stopped, or a block comes between two looks.
    site.json(&["mine", "3"]);
    site.json(&["stop", "mining-device"]);
    let before = state(&site).await;
    assert_eq!(
        site.json(&["snapshot", "save", "kept"])["lab"],
        site.name.as_str()
    );
    assert_eq!(
        site.lab(&["snapshot", "save", "kept"]).status.code(),
        Some(64)
    );
    assert_eq!(site.json(&["snapshot", "list"])[0]["name"], "kept");
    // It goes on as it was: what was stopped is stopped, and the rest works.
    assert_eq!(state(&site).await, before);
    site.json(&["start", "mining-device"]);
    site.json(&["mine", "2"]);
    assert_ne!(state(&site).await, before);

    // A lab that is there is touched only when asked.
    for arguments in [
        &["snapshot", "restore", "kept"][..],
        &["snapshot", "restore", "none", "--replace"],
    ] {
        assert_eq!(site.lab(arguments).status.code(), Some(64), "{arguments:?}");
        site.json(&["mine", "1"]);
    }
    assert!(site.lab(&["down"]).status.success());
    site.json(&["snapshot", "restore", "kept"]);
    site.json(&["stop", "mining-device"]);
    let after = state(&site).await;
    // The miner may have found more until it was stopped; nothing of what was kept is missing.
    let blocks = |state: &Value| state[2].as_array().unwrap().clone();
    let newer = blocks(&after).len() - blocks(&before).len();
    assert_eq!(blocks(&after)[newer..], blocks(&before));
    assert_eq!(after[3], before[3]);
    site.json(&["start", "mining-device"]);
    site.json(&["mine", "1"]);
}
