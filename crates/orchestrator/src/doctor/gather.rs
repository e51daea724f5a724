//! Asking machine and lab once for everything that tells how they are.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::StreamExt;
use nix::sys::statvfs::statvfs;
use serde_json::{Value, json};

use super::{Facts, LabFacts};
use crate::backend::docker::{Docker, Settings};
use crate::backend::{BackendKind, LogRange};
use crate::image;
use crate::lab::Lab;
use crate::programs::Programs;
use crate::rpc::{self, Rpc};
use crate::subnet::Subnet;

/// Whoever says nothing for so long does not answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Lines of a log that are looked at.
const LINES: usize = 500;

/// Everything that is known of this machine and of `lab`, the lab `name`, if there is one.
pub async fn gather(home: &Path, name: &str, programs: &Programs, lab: Option<&Lab>) -> Facts {
    let roles = image::names().filter(|name| *name != "btc-node");
    // A lab of containers needs none of them.
    let on_docker = lab.is_some_and(|lab| lab.backend() == BackendKind::Docker);
    let docker = Docker::connect(
        name,
        Settings {
            subnet: Subnet::DOCKER,
            bind: std::net::Ipv4Addr::LOCALHOST,
            build: false,
            programs: programs.clone(),
        },
    );
    Facts {
        programs: programs.check(roles).err().filter(|_| !on_docker),
        core: programs
            .check(["bitcoin-node", "bitcoin-cli"].into_iter())
            .err()
            .filter(|_| !on_docker),
        docker: docker.await.err(),
        disk_free: free(home),
        open_files: open_files(),
        now: now(),
        name: name.to_owned(),
        lab: match lab {
            Some(lab) => lab_facts(lab).await,
            None => None,
        },
    }
}

/// Bytes that are free at the nearest directory that is there.
fn free(home: &Path) -> Option<u64> {
    let there = home.ancestors().find(|directory| directory.exists())?;
    let stat = statvfs(there).ok()?;
    Some(stat.blocks_available() * stat.fragment_size())
}

/// The soft limit of this process, which those that it starts inherit.
fn open_files() -> Option<u64> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(since.unwrap_or_default().as_secs()).unwrap_or(i64::MAX)
}

async fn lab_facts(lab: &Lab) -> Option<LabFacts> {
    let mut facts = LabFacts {
        status: lab.status().await.ok()?,
        struck: lab.struck().unwrap_or_default(),
        links: Vec::new(),
        nodes: BTreeMap::new(),
        pools: BTreeMap::new(),
        blocks: BTreeMap::new(),
        upstreams: BTreeMap::new(),
        logs: BTreeMap::new(),
    };
    if let Ok(relay) = lab.relay() {
        facts.links = relay.links().await.unwrap_or_default();
    }
    let http = rpc::http_client();
    for spec in lab.services() {
        let name = spec.name.clone();
        if let Some(address) = spec.socket("rpc") {
            let rpc = Rpc::new(address, lab.secrets());
            let asked = rpc.call::<Value>("getblockchaininfo", json!([]));
            let answer = match tokio::time::timeout(PATIENCE, asked).await {
                Ok(answer) => answer.map_err(|error| error.to_string()),
                Err(_) => Err(format!("gives no answer within {PATIENCE:?}")),
            };
            facts.nodes.insert(name.clone(), answer);
        }
        if let Some(address) = spec.socket("http") {
            let ask = async |path: &str| {
                let url = format!("http://{address}/api/v1/{path}");
                let answer = http.get(url).timeout(PATIENCE).send().await.ok()?;
                let answer = answer.error_for_status().ok()?;
                answer.json::<Value>().await.ok()
            };
            if spec.program == "pool" {
                facts
                    .pools
                    .extend(ask("global").await.map(|it| (name.clone(), it)));
                facts
                    .blocks
                    .extend(ask("blocks").await.map(|it| (name.clone(), it)));
            }
            if spec.program == "jdc" {
                let upstreams = ask("upstreams").await;
                facts
                    .upstreams
                    .extend(upstreams.map(|it| (name.clone(), it)));
            }
        }
        facts.logs.insert(name.clone(), log(lab, &name).await);
    }
    Some(facts)
}

async fn log(lab: &Lab, service: &str) -> Vec<String> {
    let range = LogRange {
        tail: LINES,
        follow: false,
    };
    match lab.logs(service, range).await {
        Ok(lines) => lines.filter_map(async |line| line.ok()).collect().await,
        Err(_) => Vec::new(),
    }
}
