//! What the doctor says of a lab, and what goes into a bug report.

use serde_json::Value;

use crate::site::{Backend, Site, last_json};

/// The diagnoses, but for what a machine of tests may lack.
fn diagnoses(site: &Site) -> Vec<Value> {
    let output = site.lab(&["doctor", "--json"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let found: Vec<Value> = serde_json::from_str(&text).unwrap();
    let of_the_machine = ["docker-silent", "few-files", "disk-full"];
    let of_the_lab = |one: &Value| !of_the_machine.contains(&one["code"].as_str().unwrap());
    found.into_iter().filter(of_the_lab).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_and_the_report_know_what_was_done_to_a_lab() {
    let site = Site::new(Backend::Process);
    assert_eq!(diagnoses(&site)[0]["code"], "no-lab");
    assert_eq!(
        site.lab(&["dump", "/nonexistent/x.tar"]).status.code(),
        Some(69)
    );

    last_json(&site.lab(&site.up_arguments(&["--relays"])));
    site.json(&["mine", "2"]);
    assert_eq!(diagnoses(&site), Vec::<Value>::new());

    site.json(&["chaos", "pause", "pool", "--for", "1h"]);
    site.json(&["chaos", "delay", "pool:template-provider", "10ms"]);
    let found = diagnoses(&site);
    let named = |code: &str, name: &str| {
        let mut found = found.iter();
        found.any(|one| one["code"] == code && one["cause"].as_str().unwrap().contains(name))
    };
    assert!(named("disturbed-service", "pool"), "{found:#?}");
    assert!(
        named("disturbed-link", "pool:template-provider"),
        "{found:#?}"
    );
    site.json(&["chaos", "heal"]);

    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("report.tar").display().to_string();
    assert_eq!(site.json(&["dump", &file])["file"], file.as_str());
    let archive = std::fs::read(&file).unwrap();
    let lab = site.open().await;
    let secrets = lab.secrets();
    for secret in [
        &secrets.authority_secret_key,
        &secrets.rpc_password,
        &secrets.job_declaration_secret,
        &secrets.wallet_key,
    ] {
        let found = archive
            .windows(secret.len())
            .any(|bytes| bytes == secret.as_bytes());
        assert!(!found, "a secret is in the report");
    }
    let text = String::from_utf8_lossy(&archive);
    for part in [
        "topology.toml",
        "doctor.json",
        "pool/log.txt",
        "pool/pool.toml",
        "<authority_secret_key removed>",
        "<rpc_password removed>",
        "btc-node/rpc/getchaintips.json",
        "links/mining-device_pool.jsonl",
        "SubmitSharesStandard",
    ] {
        assert!(text.contains(part), "{part}");
    }
}
