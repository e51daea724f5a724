//! The job declarator server in a lab.

use crate::site::{Backend, Site, last_json};

const TOPOLOGY: &str = "\
about = 'A pool that takes jobs which miners declare'
[services.btc-node]
kind = 'btc-node'
[services.template-provider]
kind = 'template-provider'
[services.pool]
kind = 'pool'
[services.jds]
kind = 'jds'
";

#[test]
fn a_job_declarator_server_comes_up_beside_the_pool_as_processes() {
    comes_up(Backend::Process);
}

#[test]
fn a_job_declarator_server_comes_up_beside_the_pool_as_containers() {
    if Backend::Docker.is_testable() {
        comes_up(Backend::Docker);
    }
}

fn comes_up(backend: Backend) {
    let topology = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
    std::fs::write(topology.path(), TOPOLOGY).unwrap();
    let path = topology.path().display().to_string();
    let site = Site::new(backend);
    let up = site.lab(&site.up_arguments(&[&path]));
    let report = last_json(&up);
    let services = report["services"].as_array().unwrap();
    let jds = services.iter().find(|service| service["name"] == "jds");
    assert!(jds.is_some(), "{report}");
    // Ready means that its node is connected and its tip known.
    let status = site.json(&["status"]);
    let services = status["services"].as_array().unwrap();
    for service in services {
        assert_eq!(service["ready"], true, "{status}");
    }
    assert_eq!(services.len(), 4, "{status}");
}
