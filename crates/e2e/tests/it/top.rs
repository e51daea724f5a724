//! A lab is watched: what `lab top` says is what is.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use regtest::Pty;
use serde_json::Value;

use crate::site::{Backend, Site, last_json, until};

#[tokio::test(flavor = "multi_thread")]
async fn top_tells_what_processes_do() {
    watched(Backend::Process).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn top_tells_what_containers_do() {
    if Backend::Docker.is_testable() {
        watched(Backend::Docker).await;
    }
}

async fn watched(backend: Backend) {
    let site = Site::new(backend);
    last_json(&site.lab(&site.up_arguments(&["full"])));
    let seen = until("everything is connected", async || {
        let seen = site.json(&["top"]);
        let links = seen["links"].as_array().unwrap();
        let is_open = links.iter().all(|link| link["stage"] == "open");
        // Everybody is asked at about the same time, not at the same moment.
        match is_open && service(&seen, "pool")["mining"]["miners"] == 2 {
            true => Ok(seen),
            false => Err(seen.to_string()),
        }
    })
    .await;
    let pool = service(&seen, "pool");
    assert_eq!(pool["ready"], true, "{seen}");
    assert!(pool["mining"]["accepted"].as_u64() >= Some(1), "{seen}");
    assert!(seen["chain"]["height"].as_u64() > Some(101), "{seen}");
    let block = &seen["blocks"][0];
    assert_eq!(block["pool"], pool["name"], "{seen}");
    // The device's, or that of the miner behind the translator.
    assert!(block["user"] == "lab" || block["user"] == "farm", "{seen}");
    for template in ["pool", "jdc"] {
        let templates = seen["templates"].as_array().unwrap();
        let found = templates.iter().find(|one| one["service"] == template);
        assert!(found.unwrap()["age_ms"].is_u64(), "{seen}");
    }

    site.json(&["stop", "pool"]);
    until("the loss is told", async || {
        let seen = site.json(&["top"]);
        let links = seen["links"].as_array().unwrap();
        let is_it = |link: &&Value| link["from"] == "jdc" && link["to"] == "pool";
        let link = links.iter().find(is_it).unwrap();
        let is_told = link["told"] == true && link["stage"] == "disconnected";
        match is_told && link["failure"].is_string() {
            true => Ok(()),
            false => Err(link.to_string()),
        }
    })
    .await;
    drawn(&site);
}

fn service<'a>(seen: &'a Value, name: &str) -> &'a Value {
    let mut services = seen["services"].as_array().unwrap().iter();
    services.find(|service| service["name"] == name).unwrap()
}

/// A lab that is taken down and brought up again has other keys and other logs.
#[tokio::test(flavor = "multi_thread")]
async fn top_goes_on_with_the_lab_that_comes_back() {
    let (site, _) = Site::up(Backend::Process);
    let mut top = site.command(&["top", "--json", "--follow"]);
    let mut top = top.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(top.stdout.take().unwrap()).lines();
    let mut until = |what: &str, is_so: fn(&Value) -> bool| {
        let found = lines.by_ref().take(120).find(|line| {
            let seen = serde_json::from_str(line.as_ref().unwrap()).unwrap();
            is_so(&seen)
        });
        assert!(found.is_some(), "{what}");
    };
    until("the node answers", |seen| {
        service(seen, "btc-node")["ready"] == true
    });
    site.json(&["down"]);
    until("nobody answers", |seen| {
        service(seen, "btc-node")["ready"] == false
    });
    last_json(&site.lab(&site.up_arguments(&["full"])));
    until("the node of the next lab answers", |seen| {
        let services = seen["services"].as_array().unwrap();
        service(seen, "btc-node")["ready"] == true
            && services.iter().any(|one| one["name"] == "jdc")
    });
    top.kill().unwrap();
    top.wait().unwrap();
}

/// In a terminal, which is given back when the user quits, and on a signal.
fn drawn(site: &Site) {
    for (signal, code) in [(None, 0), (Some(Signal::SIGTERM), 130)] {
        let mut pty = Pty::open();
        let mut command = site.command(&["top"]);
        pty.hold_all(&mut command);
        let mut top = command.spawn().unwrap();
        pty.wait_until_taken();
        pty.wait_for("template-provider");
        match signal {
            Some(signal) => kill(Pid::from_raw(top.id().try_into().unwrap()), signal).unwrap(),
            None => pty.press("q"),
        }
        assert_eq!(top.wait().unwrap().code(), Some(code));
        pty.check_given_back();
    }
    let output = site.lab(&["top"]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(64), "{error}");
    assert!(error.contains("lab top --json"), "{error}");
}
