//! What the pool's ledger knows outlives the pool, and follows the chain when it turns.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::site::{Backend, Site, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_block_keeps_its_story_when_the_chain_turns_and_the_pool_is_killed() {
    // POOL-59
    let (site, _) = Site::up(Backend::Process);
    let mined = site.json(&["mine", "2"]);
    // No rival is found while the block is out of the chain.
    site.json(&["stop", "mining-device"]);
    let hash = mined["blocks"][1]["hash"].as_str().unwrap();
    let height = mined["blocks"][1]["height"].to_string();
    let lab = site.open().await;
    let pool = lab.service("pool").unwrap().socket("http").unwrap();

    let block = judged(&pool.to_string(), hash, "accepted").await;
    assert_eq!(block["height"].to_string(), height);
    for known in [
        "user",
        "peer",
        "channel_id",
        "job_id",
        "template_id",
        "time_ms",
    ] {
        assert!(!block[known].is_null(), "{known}: {block}");
    }

    cli(&site, &["invalidateblock", hash]);
    let stale = judged(&pool.to_string(), hash, "stale").await;
    assert_eq!(stale["reason"], "another block took its place");

    let counted = metric(&pool.to_string()).await.unwrap();
    assert!(counted > 0.0);
    let status = site.json(&["status"]);
    let services = status["services"].as_array().unwrap();
    let pid = services
        .iter()
        .find(|service| service["name"] == "pool")
        .unwrap()["pid"]
        .as_i64();
    kill(Pid::from_raw(pid.unwrap() as i32), Signal::SIGKILL).unwrap();
    let again = judged(&pool.to_string(), hash, "stale").await;
    assert_eq!(again["time_ms"], block["time_ms"]);
    let after = metric(&pool.to_string()).await.unwrap();
    assert!(after >= counted, "{after} after {counted}");

    cli(&site, &["reconsiderblock", hash]);
    judged(&pool.to_string(), hash, "accepted").await;
}

/// The block, once the pool says this of it.
async fn judged(pool: &str, hash: &str, verdict: &str) -> Value {
    until(verdict, async || {
        let text = get(pool, "/api/v1/blocks?limit=100").await?;
        let blocks: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        let mut items = blocks["items"].as_array().into_iter().flatten();
        let block = items.find(|block| block["hash"] == hash && block["verdict"] == verdict);
        block.cloned().ok_or(text)
    })
    .await
}

/// All the shares that the pool's metrics tell of.
async fn metric(pool: &str) -> Result<f64, String> {
    let text = get(pool, "/metrics").await?;
    let shares = text.lines().filter_map(|line| {
        let of_pool = line.starts_with("sv2_pool_shares_");
        let (_, number) = line.rsplit_once(' ').filter(|_| of_pool)?;
        number.parse::<f64>().ok()
    });
    Ok(shares.sum())
}

async fn get(pool: &str, path: &str) -> Result<String, String> {
    let url = format!("http://{pool}{path}");
    let response = reqwest::get(url).await.map_err(|error| error.to_string())?;
    response.text().await.map_err(|error| error.to_string())
}

#[track_caller]
fn cli(site: &Site, arguments: &[&str]) {
    let output = site.lab(&[&["cli"], arguments].concat());
    assert!(output.status.success(), "{output:?}");
}
