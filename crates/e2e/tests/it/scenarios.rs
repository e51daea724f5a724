//! The scenarios that come with the lab.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use orchestrator::lab::Lab;

use crate::site::{Backend, Site, until};

/// Named beyond what [`Site::lab`] adds: the scenario's lab goes by another name.
fn try_name(site: &Site) -> String {
    format!("{}-try", site.name)
}

#[test]
fn the_quick_ones_pass() {
    let site = Site::new(Backend::Process);
    let directory = tempfile::tempdir().unwrap();
    let junit = directory.path().join("junit.xml").display().to_string();
    let run = ["scenario", "run", "--quick", "--json", "--junit", &junit];
    let output = site.lab(&[&run[..], &site.place()].concat());
    let stdout = String::from_utf8(output.stdout).unwrap();
    let reports: Vec<serde_json::Value> = stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let failed: Vec<_> = reports.iter().filter(|one| one["passed"] != true).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    assert!(output.status.success() && reports.len() >= 5, "{stdout}");
    let xml = std::fs::read_to_string(junit).unwrap();
    assert_eq!(xml.matches("<testsuite ").count(), reports.len());
    assert!(!xml.contains("<failure"), "{xml}");
    site.assert_gone();
}

/// A scenario whose fault would last for an hour.
const LASTING: &str = r#"
    about = "The pool stands still for long"
    limit = "15s"
    [[steps]]
    pause = { service = "pool", for = "1h" }
    [[steps]]
    expect = { not-ready = "pool" }
    hold = "1h"
"#;

#[test]
fn one_that_fails_says_what_was_seen_and_leaves_nothing() {
    let site = Site::new(Backend::Process);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("fails.toml");
    let text = "about = 'Never'\n[[steps]]\nexpect = { told = { service = 'pool', path = \
                '/api/v1/global', at = '/sv2_clients/total_clients', is = '== 7' } }\n\
                within = '100ms'";
    std::fs::write(&file, text).unwrap();
    let file = file.display().to_string();
    let output = site.lab(&[&["scenario", "run", &file][..], &site.place()].concat());
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stdout}");
    assert!(
        stdout.contains("/sv2_clients/total_clients: it is "),
        "{stdout}"
    );
    site.assert_gone();
}

#[test]
fn what_passed_while_the_lab_came_up_has_been_seen() {
    let site = Site::new(Backend::Process);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("early.toml");
    let text = "about = 'Early'\n[[steps]]\nexpect = { message = { link = 'mining-device:pool', \
                message = 'SetupConnection' } }\nwithin = '100ms'";
    std::fs::write(&file, text).unwrap();
    let file = file.display().to_string();
    let output = site.lab(&[&["scenario", "run", &file][..], &site.place()].concat());
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{stdout}");
    site.assert_gone();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_killed_half_way_leaves_the_lab_healed() {
    let site = Site::new(Backend::Process);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("lasting.toml");
    std::fs::write(&file, LASTING).unwrap();
    let file = file.display().to_string();
    let arguments = [&["scenario", "run", &file][..], &site.place()].concat();
    let mut scenario = site
        .command(&arguments)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(scenario.stderr.take().unwrap());
    let mut lines = said.lines();
    assert!(lines.any(|line| line.unwrap().contains("2 of 2")));
    kill(
        Pid::from_raw(scenario.id().try_into().unwrap()),
        Signal::SIGKILL,
    )
    .unwrap();
    scenario.wait().unwrap();

    let lab = site.open_as(&try_name(&site)).await;
    until("the pool", async || healed(&lab).await).await;
    drop(lab);
    let down = site
        .command_on(&try_name(&site), &["down"])
        .output()
        .unwrap();
    assert!(down.status.success(), "{down:?}");
    site.assert_gone();
}

async fn healed(lab: &Lab) -> Result<(), String> {
    let struck = lab.struck().map_err(|error| error.to_string())?;
    if !struck.is_empty() {
        return Err(format!("{struck:?}"));
    }
    let status = lab.status().await.map_err(|error| error.to_string())?;
    let pool = status.services.into_iter().find(|one| one.name == "pool");
    match pool {
        Some(pool) if pool.ready => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

#[test]
fn one_that_makes_no_sense_is_refused_before_anything_starts() {
    let site = Site::new(Backend::Process);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("nonsense.toml");
    std::fs::write(&file, "about = 'x'\n[[steps]]\nfly = 1").unwrap();
    let file = file.display().to_string();
    for argument in [file.as_str(), "no-such-scenario", "/nonexistent/x.toml"] {
        let output = site.lab(&["scenario", "run", argument]);
        assert_eq!(output.status.code(), Some(64), "{argument}: {output:?}");
    }
    site.assert_gone();
}
