//! A lab that is changed while it mines: other programs, more miners; and one proof that all of it
//! works together.

use serde_json::{Value, json};

use crate::site::{Backend, Site, last_json, program};

#[test]
fn programs_and_miners_are_changed_under_way_as_processes() {
    changes(Backend::Process);
}

#[test]
fn programs_and_miners_are_changed_under_way_as_containers() {
    if Backend::Docker.is_testable() {
        changes(Backend::Docker);
    }
}

fn changes(backend: Backend) {
    let site = Site::new(backend);
    last_json(&site.lab(&site.up_arguments(&["full"])));
    assert_verified(&site);

    let scaled = site.json(&["scale", "mining-device=3"]);
    assert_eq!(
        scaled["started"],
        json!(["mining-device-2", "mining-device-3"])
    );
    assert_eq!(scaled["restarted"], json!(["btc-explorer"]), "it is told");
    assert_eq!(service(&site, "mining-device-3")["ready"], true);
    let fewer = site.json(&["scale", "mining-device=2"]);
    assert_eq!(fewer["removed"], json!(["mining-device-3"]));
    let wrong = site.lab(&["scale", "pool=2"]);
    assert_eq!(wrong.status.code(), Some(64));

    // Somebody else's build: ours under another name, with a configuration of its own.
    let directory = tempfile::tempdir().unwrap();
    let other = directory.path().join("other-device");
    std::fs::copy(program("mining-device"), &other).unwrap();
    let config = directory.path().join("device.toml");
    let text = "pool_address = \"${pool.address}:${pool.mining_port}\"\n\
                pool_public_key = \"${authority_public_key}\"\nuser_identity = \"stranger\"\n\
                nominal_hashrate = 1000.0\nshare_interval = 1.0\n\
                monitoring_address = \"${mining-device.address}:${mining-device.http_port}\"\n";
    std::fs::write(&config, text).unwrap();
    let (other, config) = (other.to_str().unwrap(), config.to_str().unwrap());
    site.json(&["swap", "mining-device", "--bin", other, "--config", config]);
    site.json(&["mine", "2"]);
    // The miner behind the translator finds some as well.
    let found = site.lab(&["logs", "pool", "--event", "block found", "--json"]);
    let found = String::from_utf8(found.stdout).unwrap();
    let mut found = found.lines().map(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        line["fields"]["user"].clone()
    });
    assert!(found.any(|user| user == "stranger"));
    // What a lab is not made of is not packed for it.
    let build = ["build", "translator-proxy", "--no-compile", "--no-restart"];
    let built = site.json(&build);
    let packed = built["images"].as_array().unwrap().len();
    assert_eq!(packed, usize::from(backend == Backend::Docker), "{built}");
    let before = service(&site, "pool")["pid"].clone();
    site.json(&["swap", "mining-device", "--ours"]);
    assert_eq!(service(&site, "pool")["pid"], before, "the others go on");
    assert_verified(&site);
    site.json(&["down"]);
    site.assert_gone();
}

#[test]
fn a_program_that_does_not_come_up_is_taken_back() {
    let (site, _) = Site::up(Backend::Process);
    let failed = site.lab(&["swap", "pool", "--bin", "/bin/false", "--json"]);
    assert_eq!(failed.status.code(), Some(1));
    let said = String::from_utf8_lossy(&failed.stderr);
    assert!(said.contains("pool ended with exit code 1"), "{said}");
    assert_eq!(site.json(&["mine", "1"])["mined_by"], "device");
    let missing = site.lab(&["swap", "pool", "--bin", "/nonexistent/pool"]);
    assert_eq!(missing.status.code(), Some(69));
    let place = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(place.path(), "a = \"${nobody.address}\"").unwrap();
    let path = place.path().to_str().unwrap();
    let unknown = site.lab(&["swap", "pool", "--bin", "/bin/false", "--config", path]);
    assert_eq!(unknown.status.code(), Some(64));
    let image = site.lab(&["swap", "pool", "--image", "somebody/pool"]);
    assert_eq!(image.status.code(), Some(64));
    assert_eq!(site.json(&["mine", "1"])["mined_by"], "device");
}

/// `lab verify` agrees, on every path.
fn assert_verified(site: &Site) {
    let verified = site.json(&["verify"]);
    assert_eq!(verified["verified"], true, "{verified}");
    for block in verified["blocks"].as_array().unwrap() {
        let checks = block["checks"].as_array().unwrap();
        assert!(checks.len() >= 5, "{block}");
        assert_eq!(checks.last().unwrap()["hop"], "btc-explorer", "{block}");
        assert_eq!(block["left_out"], json!([]), "{block}");
    }
}

fn service(site: &Site, name: &str) -> Value {
    let status = site.json(&["status"]);
    let services = status["services"].as_array().unwrap();
    let found = services.iter().find(|report| report["name"] == name);
    found
        .unwrap_or_else(|| panic!("no {name} in {status}"))
        .clone()
}
