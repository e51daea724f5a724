//! Every verb that fails tells programs why: with `--json`, standard output ends in one object that
//! names the cause, the remedy and the exit code.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Output;

use serde_json::Value;

use crate::site::{Backend, Site};

/// An address that no lab here pays to.
const ADDRESS: &str = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";

/// What each verb is asked where there is no lab, so that it fails. A verb that is not here is
/// missing, and the test says so.
const WITHOUT_A_LAB: &[(&str, &[&str])] = &[
    ("up", &["up no-such-topology", "up /nonexistent/x.toml"]),
    ("down", &["down --no-such-option"]),
    ("stop", &["stop"]),
    ("start", &["start"]),
    ("restart", &["restart"]),
    ("status", &["status"]),
    ("logs", &["logs", "logs --level loud"]),
    ("exec", &["exec pool ls", "exec"]),
    ("top", &["top"]),
    ("explorer", &["explorer"]),
    ("mine", &["mine", "mine 0"]),
    ("faucet", &["faucet ADDRESS 1", "faucet nowhere 1"]),
    ("tx", &["tx"]),
    ("reorg", &["reorg"]),
    ("verify", &["verify"]),
    ("cli", &["cli getblockcount", "cli"]),
    (
        "chaos",
        &[
            "chaos",
            "chaos kill pool",
            "chaos pause pool",
            "chaos partition pool",
            "chaos delay pool 20ms",
            "chaos loss pool 5%",
            "chaos heal",
            "chaos list",
        ],
    ),
    ("inspect", &["inspect"]),
    (
        "snapshot",
        &["snapshot", "snapshot save x", "snapshot restore x"],
    ),
    ("doctor", &["doctor --no-such-option"]),
    ("dump", &["dump"]),
    (
        "scenario",
        &[
            "scenario run",
            "scenario run no-such-scenario",
            "scenario run /nonexistent/x.toml",
            "scenario run block --backend process --junit /nonexistent/x.xml",
        ],
    ),
    ("build", &["build no-such-service"]),
    ("swap", &["swap pool --ours", "swap pool"]),
    ("scale", &["scale mining-device=2", "scale mining-device"]),
    ("compose", &["compose no-such-topology"]),
    ("completions", &["completions no-such-shell"]),
];

/// What fails on a lab that is up.
const ON_A_LAB: &[&str] = &[
    "up full",
    "up --backend docker",
    "up --subnet 127.99.0.0/24",
    "stop nobody",
    "start nobody",
    "restart nobody",
    "logs nobody",
    "exec nobody ls",
    "exec pool no-such-program",
    "explorer",
    "faucet tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx 1",
    "faucet ADDRESS 20000000",
    "reorg --depth 9999",
    "cli nosuchmethod",
    "cli getblock 00",
    "chaos kill nobody",
    "chaos partition pool",
    "chaos delay a:b 20ms",
    "chaos heal nobody",
    "inspect",
    "inspect pool --rewrite X",
    "snapshot save ../x",
    "snapshot restore nothing",
    "dump /nonexistent/x.tar",
    "scale pool=2",
    "scale nobody=2",
    "swap nobody --ours",
    "swap pool --bin /nonexistent/pool",
    "swap pool --image x",
    "swap pool --bin /bin/false --config /nonexistent/x.toml",
    "build nobody",
];

/// What fails when the lab's node does not run.
const WITHOUT_A_NODE: &[&str] = &[
    "mine 1",
    "mine 1 --rpc",
    "tx --count 1",
    "reorg",
    "verify",
    "faucet ADDRESS 1",
    "cli getblockcount",
    "chaos kill btc-node",
];

/// `lab --json …`, which must fail as it should.
#[track_caller]
fn fails(site: &Site, line: &str) {
    let words = line.split_whitespace().map(|word| match word {
        "ADDRESS" => ADDRESS,
        word => word,
    });
    let arguments: Vec<&str> = ["--json"].into_iter().chain(words).collect();
    told(line, &site.lab(&arguments));
}

#[track_caller]
fn told(what: &str, output: &Output) {
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    let last = stdout.lines().last().unwrap_or_default();
    let answer: Value = serde_json::from_str(last)
        .unwrap_or_else(|error| panic!("lab {what}: {error}: {stdout}\n{stderr}"));
    let error = &answer["error"];
    let says = |key: &str| error[key].as_str().is_some_and(|text| !text.is_empty());
    assert!(says("message") && says("remedy"), "lab {what}: {answer}");
    let code = output.status.code().unwrap();
    assert_eq!(error["exit_code"], code, "lab {what}: {answer}");
    assert!(matches!(code, 1 | 64 | 69), "lab {what}: {code}");
}

/// The verbs that `lab help` lists.
fn verbs(site: &Site) -> BTreeSet<String> {
    let help = String::from_utf8(site.lab(&["help"]).stdout).unwrap();
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names = commands
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next());
    names
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_verb_tells_programs_why_it_fails_where_there_is_no_lab() {
    let site = Site::new(Backend::Process);
    let table: BTreeMap<&str, &[&str]> = WITHOUT_A_LAB.iter().copied().collect();
    let listed: BTreeSet<String> = table.keys().map(|verb| (*verb).to_owned()).collect();
    assert_eq!(listed, verbs(&site), "the table has every verb");
    for (verb, lines) in table {
        assert!(!lines.is_empty(), "{verb}");
        for line in lines {
            fails(&site, line);
        }
    }
    fails(&site, "no-such-verb");
    told(
        "status of a lab that cannot be",
        &site
            .command_on("NO", &["status", "--json"])
            .output()
            .unwrap(),
    );
    site.assert_gone();
}

#[test]
fn what_the_machine_lacks_is_told_to_programs() {
    let site = Site::new(Backend::Process);
    for (line, name, value) in [
        (
            "up --backend docker",
            "DOCKER_HOST",
            "unix:///nonexistent.sock",
        ),
        (
            "scenario run block --backend docker",
            "DOCKER_HOST",
            "unix:///nonexistent.sock",
        ),
        ("up --backend process", "SV2_LAB_HOME", "/proc/nowhere"),
        ("up --backend process", "LAB_BIN_DIR", "/nonexistent"),
    ] {
        let arguments: Vec<&str> = line.split_whitespace().chain(["--json"]).collect();
        let output = site.command(&arguments).env(name, value).output();
        told(line, &output.unwrap());
    }
    site.assert_gone();
}

#[test]
fn what_a_lab_refuses_is_told_to_programs() {
    let (site, _) = Site::up(Backend::Process);
    for line in ON_A_LAB {
        fails(&site, line);
    }
    site.json(&["snapshot", "save", "kept"]);
    fails(&site, "snapshot save kept");
    fails(&site, "snapshot restore kept");
    site.json(&["stop", "btc-node"]);
    for line in WITHOUT_A_NODE {
        fails(&site, line);
    }
}
