use serde_json::json;

use super::*;
use crate::backend::BackendKind;
use crate::chaos::Blow;
use crate::lab::ServiceReport;
use crate::subnet::Subnet;

fn service(name: &str) -> ServiceReport {
    ServiceReport {
        name: name.to_owned(),
        state: State::Running,
        ready: true,
        reason: None,
        version: None,
        shares: None,
        blocks: None,
        address: std::net::Ipv4Addr::LOCALHOST,
        ports: BTreeMap::new(),
        pid: None,
        restarts: 0,
        uptime_seconds: None,
    }
}

fn one<T>(name: &str, value: T) -> BTreeMap<String, T> {
    BTreeMap::from([(name.to_owned(), value)])
}

/// A lab with which all is well.
fn well() -> LabFacts {
    let global = json!({ "sv2_clients": { "total_clients": 1, "acceptance_rate": 0.95 } });
    let blocks = json!({ "items": [{ "height": 1, "hash": "aa", "verdict": "accepted" }] });
    let upstreams = json!({ "items": [{ "state": "active" }, { "state": "standby" }] });
    LabFacts {
        status: LabStatus {
            name: "x".to_owned(),
            backend: BackendKind::Process,
            chain: "regtest",
            subnet: Subnet::PROCESS,
            height: Some(101),
            services: vec![service("pool"), service("btc-node")],
        },
        struck: Vec::new(),
        links: Vec::new(),
        nodes: one(
            "btc-node",
            Ok(json!({ "bestblockhash": "aa", "mediantime": 1000 })),
        ),
        pools: one("pool", global),
        blocks: one("pool", blocks),
        upstreams: one("jdc", upstreams),
        logs: BTreeMap::from([("pool".to_owned(), vec!["INFO fine".to_owned()])]),
    }
}

fn facts(lab: Option<LabFacts>) -> Facts {
    Facts {
        disk_free: Some(DISK),
        open_files: Some(FILES),
        now: 1000,
        name: "x".to_owned(),
        lab,
        ..Facts::default()
    }
}

#[test]
fn a_lab_with_which_all_is_well_has_no_diagnosis() {
    assert_eq!(examine(&facts(Some(well()))), []);
}

/// What makes each diagnosis come up, alone.
#[expect(clippy::too_many_lines, reason = "a table, one row for each")]
fn ailments() -> Vec<(&'static str, Facts)> {
    let machine = |change: fn(&mut Facts)| {
        let mut facts = facts(Some(well()));
        change(&mut facts);
        facts
    };
    let lab = |change: fn(&mut LabFacts)| {
        let mut lab = well();
        change(&mut lab);
        facts(Some(lab))
    };
    let fault = || Some(Fault::unavailable("it is missing", "build it"));
    let mut programs = machine(|_| {});
    programs.programs = fault();
    let mut core = machine(|_| {});
    core.core = fault();
    let mut docker = machine(|_| {});
    docker.docker = fault();
    vec![
        ("programs-missing", programs),
        ("bitcoin-core-missing", core),
        ("docker-silent", docker),
        (
            "disk-full",
            machine(|facts| facts.disk_free = Some(DISK - 1)),
        ),
        ("few-files", machine(|facts| facts.open_files = Some(256))),
        ("no-lab", facts(None)),
        (
            "service-away",
            lab(|lab| {
                lab.status.services[0].state = State::Stopped;
                lab.status.services[0].ready = false;
            }),
        ),
        (
            "service-unsupervised",
            lab(|lab| lab.status.services[0].state = State::Unsupervised),
        ),
        (
            "service-crashed",
            lab(|lab| lab.status.services[0].restarts = 2),
        ),
        (
            "service-not-ready",
            lab(|lab| {
                lab.status.services[0].ready = false;
                lab.status.services[0].reason = Some("no template".to_owned());
            }),
        ),
        (
            "disturbed-service",
            lab(|lab| {
                lab.status.services[0].ready = false;
                lab.struck.push(Struck {
                    service: "pool".to_owned(),
                    fault: Blow::Pause,
                    since_ms: 1,
                    until_ms: None,
                });
            }),
        ),
        (
            "disturbed-link",
            lab(|lab| {
                lab.links.push(Link {
                    name: "a:b".to_owned(),
                    protocol: "sv2".to_owned(),
                    connections: 1,
                    messages_total: 1,
                    bytes_up_total: 1,
                    bytes_down_total: 1,
                    faults: vec![json!({ "fault": "partition" })],
                    rules: Vec::new(),
                });
            }),
        ),
        (
            "node-silent",
            lab(|lab| {
                let silent = Err("refused".to_owned());
                lab.nodes.insert("btc-node".to_owned(), silent);
            }),
        ),
        (
            "nodes-disagree",
            lab(|lab| {
                let other = json!({ "bestblockhash": "bb", "mediantime": 1000 });
                lab.nodes.insert("other".to_owned(), Ok(other));
            }),
        ),
        (
            "chain-ahead-of-clock",
            lab(|lab| {
                let ahead = json!({ "bestblockhash": "aa", "mediantime": 1001 + AHEAD });
                lab.nodes.insert("btc-node".to_owned(), Ok(ahead));
            }),
        ),
        (
            "pool-without-miners",
            lab(|lab| {
                let global = json!({ "sv2_clients": { "total_clients": 0 } });
                lab.pools.insert("pool".to_owned(), global);
            }),
        ),
        (
            "shares-refused",
            lab(|lab| {
                let global =
                    json!({ "sv2_clients": { "total_clients": 1, "acceptance_rate": 0.8 } });
                lab.pools.insert("pool".to_owned(), global);
            }),
        ),
        (
            "blocks-lost",
            lab(|lab| {
                let blocks =
                    json!({ "items": [{ "height": 1, "hash": "aa", "verdict": "stale" }] });
                lab.blocks.insert("pool".to_owned(), blocks);
            }),
        ),
        (
            "not-first-upstream",
            lab(|lab| {
                let upstreams = json!({ "items": [{ "state": "resting" }] });
                lab.upstreams.insert("jdc".to_owned(), upstreams);
            }),
        ),
        (
            "errors-logged",
            lab(|lab| {
                let line = "2026-01-01T00:00:00Z ERROR the disk is full".to_owned();
                lab.logs.insert("pool".to_owned(), vec![line]);
            }),
        ),
    ]
}

#[test]
fn every_diagnosis_comes_up_when_it_should_and_alone() {
    let ailments = ailments();
    for (code, facts) in &ailments {
        let found = examine(facts);
        let codes: Vec<_> = found.iter().map(|one| one.code).collect();
        assert_eq!(codes, [*code]);
        assert!(!found[0].cause.is_empty() && !found[0].remedy.is_empty());
    }
    let known: Vec<_> = CODES.iter().map(|(code, _)| *code).collect();
    let shown: Vec<_> = ailments.iter().map(|(code, _)| *code).collect();
    assert_eq!(known, shown);
}

#[test]
fn the_worst_comes_first() {
    let mut facts = facts(None);
    facts.open_files = Some(1);
    facts.disk_free = Some(0);
    let found = examine(&facts);
    let severities: Vec<_> = found.iter().map(|one| one.severity).collect();
    assert_eq!(
        severities,
        [Severity::Error, Severity::Warning, Severity::Info]
    );
}
