//! Every topology that comes with the program comes up, mines on every way, and can be stopped in
//! part and as a whole.

use serde_json::{Value, json};

use crate::site::{Backend, Site, last_json, until};

#[tokio::test(flavor = "multi_thread")]
async fn the_full_stack_mines_on_every_path_as_processes() {
    full(Backend::Process).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_full_stack_mines_on_every_path_as_containers() {
    if Backend::Docker.is_testable() {
        full(Backend::Docker).await;
    }
}

/// Up, a service stopped and started, everything stopped and started.
async fn full(backend: Backend) {
    let (site, report) = up(backend, "full");
    let paths = paths(&report);
    assert!(
        paths.contains(&json!(["mining-device", "pool"])),
        "{report}"
    );
    let declared = json!(["cpuminer", "translator-proxy", "jdc", "pool"]);
    assert!(paths.contains(&declared), "{report}");
    for block in report["first_blocks"].as_array().unwrap() {
        assert!(block["height"].as_u64().unwrap() > 101, "{block}");
    }
    all_ready(&site).await;
    assert_eq!(services(&site).len(), 9);

    assert_eq!(site.json(&["stop", "jds"])["stopped"], json!(["jds"]));
    assert_eq!(state_of(&site, "jds"), "stopped");
    assert_eq!(site.json(&["mine", "1"])["mined_by"], "device");
    let started = site.json(&["start", "jds"]);
    let names: Vec<&Value> = list(&started["services"], "name");
    assert_eq!(names, ["btc-node", "jds"], "with what it needs");
    all_ready(&site).await;

    let before = height(&site).await;
    let stopped = site.json(&["stop"]);
    assert_eq!(
        stopped["stopped"].as_array().unwrap().len(),
        services(&site).len()
    );
    assert_eq!(site.json(&["status"])["height"], Value::Null);
    assert_eq!(site.json(&["stop"])["stopped"], json!([]));
    site.json(&["start"]);
    assert!(height(&site).await >= before);
    site.json(&["restart", "template-provider"]);
    all_ready(&site).await;
    assert_eq!(site.json(&["mine", "2"])["mined_by"], "device");

    let lines = site.lab(&[
        "logs",
        "--event",
        "block accepted by the node",
        "--json",
        "pool",
    ]);
    let line = last_json(&lines);
    let hash = line["fields"]["hash"].as_str().unwrap();
    let elsewhere = last_json(&site.lab(&["logs", "--id", &hash[..12], "--json", "-n", "1"]));
    assert!(
        elsewhere["line"].as_str().unwrap().contains(hash),
        "{elsewhere}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn miner_and_pool_on_nodes_of_their_own_share_a_chain_and_no_mempool() {
    let (site, report) = up(Backend::Process, "two-nodes");
    assert_eq!(paths(&report), [json!(["mining-device", "jdc", "pool"])]);
    let lab = site.open().await;
    let rpc = |name: &str| {
        let socket = lab.service(name).unwrap().socket("rpc").unwrap();
        orchestrator::rpc::Rpc::new(socket, lab.secrets())
    };
    let (theirs, miners) = (rpc("btc-node"), rpc("miner-node"));
    let mut wallet = lab.wallet().unwrap();
    let (to, rate) = (
        wallet.address(),
        bitcoin::FeeRate::from_sat_per_vb(20).unwrap(),
    );
    let amount = bitcoin::Amount::from_sat(100_000);
    let sent = wallet.send(&miners, &to, amount, rate).await.unwrap();
    assert_eq!(miners.mempool().await.unwrap(), [sent.compute_txid()]);
    assert!(theirs.mempool().await.unwrap().is_empty());

    // The job that is being worked on may be older than the transaction, the next one is not.
    site.json(&["mine", "2"]);
    until("the same tip", async || {
        let tips = (theirs.chain_info().await, miners.chain_info().await);
        let (Ok(theirs), Ok(miners)) = tips else {
            return Err("a node does not answer".to_owned());
        };
        match theirs.best_block_hash == miners.best_block_hash {
            true => Ok(()),
            false => Err(format!("{} and {}", theirs.blocks, miners.blocks)),
        }
    })
    .await;
    let txid = sent.compute_txid();
    assert_eq!(theirs.transaction(txid).await.unwrap(), sent);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_two_pools_the_second_takes_over() {
    let (site, report) = up(Backend::Process, "two-pools");
    assert_eq!(paths(&report), [json!(["mining-device", "jdc", "pool"])]);
    let upstream = async || {
        let lab = site.open().await;
        let jdc = lab.service("jdc").unwrap().socket("http").unwrap();
        let status = reqwest::get(format!("http://{jdc}/api/v1/status")).await;
        let status: Value = status.unwrap().json().await.unwrap();
        let active = status["upstream"].as_str().map(str::to_owned);
        let second = lab.service("pool-2").unwrap().address.to_string();
        active.map(|active| active.starts_with(&second))
    };
    let works_for = async |second: bool| {
        until("the pool", async || match upstream().await {
            Some(now) if now == second => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
    };
    works_for(false).await;
    site.json(&["stop", "pool"]);
    works_for(true).await;
    assert_eq!(site.json(&["mine", "1"])["mined_by"], "device");
    all_but(&site, &["pool"]).await;
    site.json(&["start", "pool"]);
    works_for(false).await;
}

fn up(backend: Backend, topology: &str) -> (Site, Value) {
    let site = Site::new(backend);
    let output = site.lab(&site.up_arguments(&[topology]));
    let report = last_json(&output);
    assert!(report["first_block_seconds"].is_f64(), "{report}");
    (site, report)
}

fn paths(report: &Value) -> Vec<Value> {
    list(&report["first_blocks"], "path")
        .into_iter()
        .cloned()
        .collect()
}

fn list<'a>(items: &'a Value, key: &str) -> Vec<&'a Value> {
    items
        .as_array()
        .unwrap()
        .iter()
        .map(|item| &item[key])
        .collect()
}

fn services(site: &Site) -> Vec<Value> {
    site.json(&["status"])["services"]
        .as_array()
        .unwrap()
        .clone()
}

async fn height(site: &Site) -> u64 {
    let rpc = site.open().await.rpc().unwrap();
    rpc.block_count().await.unwrap()
}

fn state_of(site: &Site, name: &str) -> Value {
    let services = services(site);
    let found = services.iter().find(|service| service["name"] == name);
    found.unwrap()["state"].clone()
}

async fn all_ready(site: &Site) {
    all_but(site, &[]).await;
}

/// Every service but these becomes ready, however long its neighbours were away.
async fn all_but(site: &Site, without: &[&str]) {
    until("every service", async || {
        let services = services(site);
        let waiting = services.iter().find(|service| {
            let name = service["name"].as_str().unwrap();
            service["ready"] != true && !without.contains(&name)
        });
        waiting.map_or(Ok(()), |service| Err(service.to_string()))
    })
    .await;
}
