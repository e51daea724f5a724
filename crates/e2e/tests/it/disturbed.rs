//! Links and services are disturbed, and healed; messages are seen, dropped and changed.

use std::time::{Duration, Instant};

use orchestrator::chaos::Blow;
use orchestrator::lab::Lab;
use serde_json::Value;

use crate::site::{Backend, Site, last_json, until};

const SHARES: &str = "mining-device:pool";

#[tokio::test(flavor = "multi_thread")]
async fn links_and_services_are_disturbed_and_healed_as_processes() {
    disturbs(Backend::Process).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn links_and_services_are_disturbed_and_healed_as_containers() {
    if Backend::Docker.is_testable() {
        disturbs(Backend::Docker).await;
    }
}

async fn disturbs(backend: Backend) {
    let site = Site::new(backend);
    last_json(&site.lab(&site.up_arguments(&["--relays"])));
    let lab = site.open().await;
    the_way_of_a_block_is_seen(&site).await;
    a_message_is_dropped_and_the_next_one_passes(&site);
    a_changed_share_is_refused(&site).await;
    a_partition_ends_although_nobody_waits_for_it(&site);
    a_paused_service_goes_on_by_itself(&site, &lab).await;
    a_killed_service_stays_away_as_long_as_asked(&site, &lab).await;
    what_has_no_end_is_healed_on_request(&site, &lab).await;
    miners_come_and_go_on_links_of_their_own(&site).await;
    drop(lab);
    // A keeper still sleeps, and a service stands still.
    site.json(&["chaos", "pause", "pool", "--for", "1h"]);
    assert!(site.lab(&["down"]).status.success());
    site.assert_gone();
}

/// The messages of a link, oldest first.
fn messages(site: &Site, link: &str, more: &[&str]) -> Vec<Value> {
    let output = site.lab(&[&["inspect", link, "--json"], more].concat());
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

async fn the_way_of_a_block_is_seen(site: &Site) {
    let mined = site.json(&["mine", "1"]);
    let hash = mined["blocks"][0]["hash"].as_str().unwrap();
    let solutions = messages(
        site,
        "pool:template-provider",
        &["--type", "SubmitSolution"],
    );
    let nonce = &solutions.last().unwrap()["fields"]["header_nonce"];
    // The miner goes on meanwhile.
    let shares = messages(site, SHARES, &["--type", "SubmitSharesStandard"]);
    let mut shares = shares.iter();
    let share = shares.find(|share| share["fields"]["nonce"] == *nonce);
    assert_eq!(share.unwrap()["direction"], "up");
    // The block is what another one is built on.
    until("the block as a tip", async || {
        let tips = messages(site, SHARES, &["--type", "SetNewPrevHash"]);
        let is_told = tips.iter().any(|tip| tip["fields"]["prev_hash"] == hash);
        is_told.then_some(()).ok_or_else(|| format!("{tips:?}"))
    })
    .await;
}

fn a_message_is_dropped_and_the_next_one_passes(site: &Site) {
    let drop = [
        "inspect",
        SHARES,
        "--drop",
        "SubmitSharesStandard",
        "--times",
        "1",
    ];
    site.json(&drop);
    site.json(&["mine", "1"]);
    let shares = messages(site, SHARES, &["--type", "SubmitSharesStandard"]);
    let fates = |fate: &str| shares.iter().filter(|share| share["fate"] == fate).count();
    assert_eq!(fates("dropped"), 1, "{shares:?}");
    assert_eq!(shares.last().unwrap()["fate"], "passed");
}

async fn a_changed_share_is_refused(site: &Site) {
    let rewrite = "SubmitSharesStandard.job_id=4000000000";
    site.json(&["inspect", SHARES, "--rewrite", rewrite, "--times", "1"]);
    until("the pool's refusal", async || {
        let errors = messages(site, SHARES, &["--type", "SubmitShares.Error"]);
        match errors.last() {
            Some(error) if error["fields"]["error_code"] == "invalid-job-id" => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

fn a_partition_ends_although_nobody_waits_for_it(site: &Site) {
    let began = Instant::now();
    site.json(&["chaos", "partition", SHARES, "--for", "2s"]);
    site.json(&["mine", "1"]);
    assert!(began.elapsed() >= Duration::from_secs(2));
    let links = site.json(&["chaos", "list"]);
    assert!(links["links"][0]["faults"].as_array().unwrap().is_empty());
}

async fn is_ready(lab: &Lab, service: &str) -> Result<(), String> {
    let status = lab.status().await.map_err(|error| error.to_string())?;
    let found = status.services.into_iter().find(|one| one.name == service);
    match found {
        Some(one) if one.ready => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

async fn a_paused_service_goes_on_by_itself(site: &Site, lab: &Lab) {
    site.json(&["chaos", "pause", "template-provider", "--for", "1h"]);
    assert!(is_ready(lab, "template-provider").await.is_err());
    assert_eq!(lab.struck().unwrap()[0].fault, Blow::Pause);
    site.json(&["chaos", "heal", "template-provider"]);
    let began = Instant::now();
    site.json(&["chaos", "pause", "template-provider", "--for", "1s"]);
    until("the template provider", async || {
        is_ready(lab, "template-provider").await?;
        match lab.struck().unwrap().is_empty() {
            true => Ok(()),
            false => Err("it is still written down".to_owned()),
        }
    })
    .await;
    assert!(began.elapsed() >= Duration::from_secs(1));
}

async fn a_killed_service_stays_away_as_long_as_asked(site: &Site, lab: &Lab) {
    site.json(&["chaos", "kill", "pool", "--for", "1h"]);
    assert!(is_ready(lab, "pool").await.is_err());
    // What is not there cannot be struck again.
    assert_eq!(site.lab(&["chaos", "kill", "pool"]).status.code(), Some(69));
    site.json(&["chaos", "heal", "pool"]);
    until("the pool", async || is_ready(lab, "pool").await).await;
    let began = Instant::now();
    site.json(&["chaos", "kill", "pool", "--for", "1s"]);
    until("the pool", async || is_ready(lab, "pool").await).await;
    assert!(began.elapsed() >= Duration::from_secs(1));
    until("the miner", async || is_ready(lab, "mining-device").await).await;
    site.json(&["mine", "1"]);
}

async fn miners_come_and_go_on_links_of_their_own(site: &Site) {
    let links = || {
        let listed = site.json(&["chaos", "list"]);
        let links = listed["links"].as_array().unwrap().iter();
        let names = links.map(|link| link["name"].as_str().unwrap().to_owned());
        names.collect::<Vec<_>>()
    };
    let before = links();
    let scaled = site.json(&["scale", "mining-device=3"]);
    assert_eq!(scaled["started"].as_array().unwrap().len(), 2, "{scaled}");
    // A device is ready when a share of its was accepted, and that came by its own link.
    let shares = ["--type", "SubmitShares.Success"];
    until("shares of its own link", async || {
        match messages(site, "mining-device-3:pool", &shares).is_empty() {
            true => Err("none".to_owned()),
            false => Ok(()),
        }
    })
    .await;
    assert_eq!(links().len(), before.len() + 2);
    let scaled = site.json(&["scale", "mining-device=1"]);
    assert_eq!(scaled["removed"].as_array().unwrap().len(), 2, "{scaled}");
    assert_eq!(links(), before);
    site.json(&["mine", "1"]);
}

async fn what_has_no_end_is_healed_on_request(site: &Site, lab: &Lab) {
    site.json(&["chaos", "pause", "pool"]);
    site.json(&["chaos", "delay", "pool", "100ms"]);
    let healed = site.json(&["chaos", "heal", "pool"]);
    assert_eq!(healed["services"][0]["service"], "pool");
    assert_eq!(healed["links"].as_array().unwrap().len(), 3, "{healed}");
    until("the pool", async || is_ready(lab, "pool").await).await;
    for (arguments, code) in [
        (&["chaos", "delay", "nobody", "1ms"][..], 64),
        (&["chaos", "kill", "nobody"], 64),
        (&["chaos", "delay", "pool", "1d"], 64),
        (&["inspect", "pool:btc-node"], 64),
        (&["inspect", SHARES, "--drop", "Nonsense"], 64),
        (&["inspect", "--type", "SetTargt"], 64),
        (&["explorer"], 64),
    ] {
        let output = site.lab(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?} {output:?}");
    }
}
