//! What a lab's roles tell over HTTP.

use std::collections::BTreeMap;

use orchestrator::lab::Lab;
use regtest::Events;
use reqwest::{Response, StatusCode};
use serde_json::Value;

use crate::site::{Backend, Site};

#[tokio::test(flavor = "multi_thread")]
async fn roles_tell_what_they_say_they_tell_and_a_block_can_be_followed() {
    let (site, _) = Site::up(Backend::Process);
    let lab = site.open().await;
    for service in ["template-provider", "pool", "mining-device"] {
        every_documented_route_answers(&lab, service).await;
    }
    a_block_can_be_followed(&site, &lab).await;
}

async fn get(lab: &Lab, service: &str, path: &str) -> Response {
    let address = lab.service(service).unwrap().socket("http").unwrap();
    let url = format!("http://{address}{path}");
    reqwest::get(&url).await.unwrap()
}

/// The pool's first client, a device with one channel, is there by now.
async fn every_documented_route_answers(lab: &Lab, service: &str) {
    let document = get(lab, service, "/api/v1/openapi.json").await;
    let document: Value = document.json().await.unwrap();
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() >= 6, "{paths:?}");
    for (path, item) in paths {
        if item["get"].is_object() {
            let filled = path
                .replace("{client_id}", "1")
                .replace("{channel_id}", "2");
            let answer = get(lab, service, &filled).await;
            assert_eq!(answer.status(), StatusCode::OK, "{service}: {path}");
        }
    }
}

/// From its template, through the job that was made of it, to the node's verdict.
async fn a_block_can_be_followed(site: &Site, lab: &Lab) {
    let wanted = "template_received,job_created,block_found,block_judged";
    let path = format!("/api/v1/events?types={wanted}");
    let mut events = Events::of(get(lab, "pool", &path).await);
    // The job of the first block may be older than the listener, the second's is not.
    let mined = site.json(&["mine", "2"]);
    let hash = mined["blocks"][1]["hash"].clone();
    let mut seen: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    let judged = events.until(|event| {
        let name = event["type"].as_str().unwrap().to_owned();
        seen.entry(name).or_default().push(event.clone());
        event["type"] == "block_judged" && event["hash"] == hash
    });
    assert_eq!(judged.await["verdict"], "accepted");
    let one = |name: &str, fits: &dyn Fn(&Value) -> bool| {
        let mut all = seen[name].iter();
        let found = all.find(|event| fits(event)).cloned();
        found.unwrap_or_else(|| panic!("no such {name} in {seen:#?}"))
    };
    let found = one("block_found", &|event| event["hash"] == hash);
    assert_eq!(found["height"], mined["blocks"][1]["height"]);
    let job = one("job_created", &|event| event["job_id"] == found["job_id"]);
    assert_eq!(job["client_id"], found["client_id"]);
    assert_eq!(job["template_id"], found["template_id"]);
    one("template_received", &|event| {
        event["template_id"] == found["template_id"]
    });
}
