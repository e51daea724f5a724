//! Job declaration in a lab: miner, job declarator client and server, pool.

use crate::site::{Backend, Site, last_json, until};

const TOPOLOGY: &str = "\
about = 'A miner behind a client that declares its own templates to a pool'
[services.btc-node]
kind = 'btc-node'
[services.template-provider]
kind = 'template-provider'
[services.pool]
kind = 'pool'
[services.jds]
kind = 'jds'
[services.jdc]
kind = 'jdc'
[services.mining-device]
kind = 'mining-device'
pool = 'jdc'
";

#[tokio::test(flavor = "multi_thread")]
async fn a_declared_block_is_mined_in_a_lab_of_processes() {
    mines(Backend::Process).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_declared_block_is_mined_in_a_lab_of_containers() {
    if Backend::Docker.is_testable() {
        mines(Backend::Docker).await;
    }
}

async fn mines(backend: Backend) {
    let topology = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
    std::fs::write(topology.path(), TOPOLOGY).unwrap();
    let path = topology.path().display().to_string();
    let site = Site::new(backend);
    let up = site.lab(&site.up_arguments(&[&path]));
    let report = last_json(&up);
    assert!(report["first_block_seconds"].is_f64(), "{report}");
    let mined = site.json(&["mine", "2"]);
    assert_eq!(mined["mined_by"], "device", "{mined}");
    until("every service", async || {
        let status = site.json(&["status"]);
        let services = status["services"].as_array().unwrap();
        assert_eq!(services.len(), 6, "{status}");
        let is_ready = services.iter().all(|service| service["ready"] == true);
        is_ready.then_some(()).ok_or_else(|| status.to_string())
    })
    .await;
}
