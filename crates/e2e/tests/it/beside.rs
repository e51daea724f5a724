//! Several labs beside each other, and labs whose command was killed in the middle.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::Duration;

use crate::site::{Backend, Site, last_json};

#[test]
fn two_labs_that_are_told_nothing_choose_different_addresses() {
    let site = Site::new(Backend::Process);
    let up = |name: &str| {
        let output = site
            .command(&["up", "--backend", "process", "--json", "--name", name])
            .output();
        last_json(&output.unwrap())
    };
    let (first, second) = (format!("{}a", site.name), format!("{}b", site.name));
    let (one, other) = (up(&first), up(&second));
    for report in [&one, &other] {
        assert!(report["first_block_seconds"].is_f64(), "{report}");
    }
    let address = |report: &serde_json::Value| report["services"][0]["address"].clone();
    assert_ne!(address(&one), address(&other));
    for name in [&first, &second] {
        assert!(site.lab(&["down", "--name", name]).status.success());
    }
    site.assert_gone();
}

/// They share no directory, and nothing shows what the other is about to take.
#[test]
fn labs_of_different_people_that_come_up_at_once_choose_different_addresses() {
    let sites = [(); 3].map(|()| Site::new(Backend::Process));
    let ups: Vec<_> = sites
        .iter()
        .map(|site| {
            let mut up = site.command(&["up", "--backend", "process", "--json"]);
            up.stdout(Stdio::piped()).stderr(Stdio::piped());
            up.spawn().unwrap()
        })
        .collect();
    let reports = ups
        .into_iter()
        .map(|up| last_json(&up.wait_with_output().unwrap()));
    let addresses: BTreeSet<String> = reports
        .map(|report| report["services"][0]["address"].to_string())
        .collect();
    assert_eq!(addresses.len(), sites.len(), "{addresses:?}");
}

#[test]
fn down_leaves_nothing_of_processes_whenever_up_was_killed() {
    killed(Backend::Process, &[0, 20, 60, 150, 300, 450, 700]);
}

#[test]
fn down_leaves_nothing_of_containers_whenever_up_was_killed() {
    if Backend::Docker.is_testable() {
        killed(Backend::Docker, &[30, 200, 600, 1500, 3000]);
    }
}

/// Kills `lab up` after so many milliseconds, wherever it may be then.
fn killed(backend: Backend, moments: &[u64]) {
    for moment in moments {
        let site = Site::new(backend);
        let mut up = site
            .command(&site.up_arguments(&["full"]))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(*moment));
        up.kill().unwrap();
        up.wait().unwrap();
        let down = site.lab(&["down"]);
        let said = String::from_utf8_lossy(&down.stderr);
        assert!(down.status.success(), "killed after {moment} ms: {said}");
        site.assert_gone();
    }
}

#[test]
fn the_next_up_cleans_or_adopts_what_a_killed_one_left() {
    let site = Site::new(Backend::Process);
    for moment in [100, 400] {
        let mut up = site
            .command(&site.up_arguments(&["full"]))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(moment));
        up.kill().unwrap();
        up.wait().unwrap();
        let report = last_json(&site.lab(&site.up_arguments(&["full"])));
        assert!(report["first_block_seconds"].is_f64(), "{report}");
        assert!(site.lab(&["down"]).status.success());
    }
    site.assert_gone();
}
