//! What is wrong with a machine or a lab, by name: cause, remedy, evidence.
//!
//! [`gather`] asks everybody once; [`examine`] makes diagnoses of the answers, purely.

mod gather;

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::backend::State;
use crate::chaos::Struck;
use crate::fault::Fault;
use crate::lab::LabStatus;
use crate::links::Link;

pub use gather::gather;

/// Bytes a lab should have on disk: the node sets aside some hundred megabytes.
const DISK: u64 = 1 << 30;
/// Files a process may open: every miner is one, and the node wants some hundred.
const FILES: u64 = 1024;
/// Seconds the chain may be ahead of the clock: Bitcoin Core takes no block beyond two hours.
const AHEAD: i64 = 3600;
/// The part of shares that may be refused without a word.
const REFUSED: f64 = 0.1;
/// Lines that are shown as evidence.
const LINES: usize = 5;

/// How bad something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Info,
    /// It works, but not as one would expect.
    Warning,
    /// Something does not work.
    Error,
}

impl Severity {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// Something that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnosis {
    /// Its name, which stays the same.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong.
    pub cause: String,
    /// What to do about it.
    pub remedy: String,
    /// What that is concluded from.
    pub evidence: Vec<String>,
}

/// All names, with what each is about.
pub const CODES: &[(&str, &str)] = &[
    ("programs-missing", "programs of the lab are not built"),
    ("bitcoin-core-missing", "there is no Bitcoin Core"),
    ("docker-silent", "no Docker daemon answers"),
    ("disk-full", "hardly any room is left"),
    ("few-files", "a process may open few files only"),
    ("no-lab", "there is no lab of this name"),
    ("service-away", "a service does not run"),
    ("service-unsupervised", "nobody brings a service back"),
    (
        "service-crashed",
        "a service ended by itself and was started again",
    ),
    (
        "service-not-ready",
        "a service runs and does not do what it is for",
    ),
    (
        "disturbed-service",
        "a service was killed or paused on purpose",
    ),
    ("disturbed-link", "a link is disturbed on purpose"),
    ("node-silent", "a node does not answer"),
    ("nodes-disagree", "nodes have different tips"),
    ("chain-ahead-of-clock", "blocks are dated in the future"),
    ("pool-without-miners", "a pool has no miner"),
    ("shares-refused", "a pool refuses many shares"),
    ("blocks-lost", "blocks of a pool did not stay in the chain"),
    (
        "not-first-upstream",
        "a job declarator client does not work for its first pool",
    ),
    ("errors-logged", "a service wrote errors"),
];

/// What is known of machine and lab.
#[derive(Debug, Default)]
pub struct Facts {
    /// Why programs of ours are missing.
    pub programs: Option<Fault>,
    /// Why Bitcoin Core is missing.
    pub core: Option<Fault>,
    /// Why Docker does not answer.
    pub docker: Option<Fault>,
    /// Bytes free where labs keep their files.
    pub disk_free: Option<u64>,
    /// Files a process may open.
    pub open_files: Option<u64>,
    /// Seconds since 1970.
    pub now: i64,
    /// The lab's name.
    pub name: String,
    /// The lab, if there is one.
    pub lab: Option<LabFacts>,
}

/// What is known of a lab.
#[derive(Debug)]
pub struct LabFacts {
    /// Its services.
    pub status: LabStatus,
    /// What was done to services.
    pub struck: Vec<Struck>,
    /// Its links, if it has a relay.
    pub links: Vec<Link>,
    /// What each node says of its chain.
    pub nodes: BTreeMap<String, Result<Value, String>>,
    /// What each pool says of its miners and shares.
    pub pools: BTreeMap<String, Value>,
    /// The newest blocks of each pool.
    pub blocks: BTreeMap<String, Value>,
    /// The upstreams of each job declarator client.
    pub upstreams: BTreeMap<String, Value>,
    /// The last lines of each service.
    pub logs: BTreeMap<String, Vec<String>>,
}

/// Everything that is wrong, the worst first.
pub fn examine(facts: &Facts) -> Vec<Diagnosis> {
    let mut found = machine(facts);
    match &facts.lab {
        Some(lab) => {
            found.extend(services(lab));
            found.extend(chaos(lab));
            found.extend(nodes(lab, facts.now));
            found.extend(mining(lab));
        }
        None => found.push(Diagnosis {
            code: "no-lab",
            severity: Severity::Info,
            cause: format!("there is no lab '{}'", facts.name),
            remedy: "bring one up: lab up; or name another: --name".to_owned(),
            evidence: Vec::new(),
        }),
    }
    found.sort_by_key(|one| std::cmp::Reverse(one.severity));
    found
}

fn machine(facts: &Facts) -> Vec<Diagnosis> {
    let mut found = Vec::new();
    let missing = |code, severity, fault: &Fault| Diagnosis {
        code,
        severity,
        cause: fault.cause.clone(),
        remedy: fault.remedy.clone(),
        evidence: Vec::new(),
    };
    if let Some(fault) = &facts.programs {
        found.push(missing("programs-missing", Severity::Error, fault));
    }
    if let Some(fault) = &facts.core {
        found.push(missing("bitcoin-core-missing", Severity::Error, fault));
    }
    if let Some(fault) = &facts.docker {
        // Without Docker a lab is processes, which is fine.
        found.push(missing("docker-silent", Severity::Info, fault));
    }
    if let Some(free) = facts.disk_free.filter(|free| *free < DISK) {
        found.push(Diagnosis {
            code: "disk-full",
            severity: Severity::Error,
            cause: format!("{} MB are free where labs keep their files", free >> 20),
            remedy: "make room, or set SV2_LAB_HOME to a directory elsewhere".to_owned(),
            evidence: vec![format!("{free} bytes")],
        });
    }
    if let Some(files) = facts.open_files.filter(|files| *files < FILES) {
        found.push(Diagnosis {
            code: "few-files",
            severity: Severity::Warning,
            cause: format!("a process may open {files} files; a pool needs one per miner"),
            remedy: "raise the limit in this shell: ulimit -n 65536".to_owned(),
            evidence: vec![format!("RLIMIT_NOFILE {files}")],
        });
    }
    found
}

fn services(lab: &LabFacts) -> Vec<Diagnosis> {
    let mut found = Vec::new();
    let struck = |name: &str| lab.struck.iter().any(|one| one.service == name);
    for one in &lab.status.services {
        let name = &one.name;
        let last = || last_lines(lab, name, |_| true);
        if one.restarts > 0 {
            found.push(Diagnosis {
                code: "service-crashed",
                severity: Severity::Warning,
                cause: format!("{name} ended by itself {} times", one.restarts),
                remedy: format!("read why: lab logs {name}"),
                evidence: last(),
            });
        }
        // What was done on purpose is told as such.
        if one.ready || struck(name) {
            continue;
        }
        let reason = one.reason.clone().unwrap_or_default();
        found.push(match one.state {
            State::Absent | State::Stopped | State::Restarting => Diagnosis {
                code: "service-away",
                severity: Severity::Error,
                cause: format!("{name} does not run: {reason}"),
                remedy: format!("start it: lab start {name}; if it ends again: lab logs {name}"),
                evidence: last(),
            },
            State::Running | State::Unsupervised => Diagnosis {
                code: "service-not-ready",
                severity: Severity::Error,
                cause: format!("{name} is not ready: {reason}"),
                remedy: format!("look at what it waits for, and at lab logs {name}"),
                evidence: last(),
            },
        });
    }
    let alone = lab.status.services.iter();
    let alone = alone.filter(|one| one.state == State::Unsupervised);
    let alone: Vec<_> = alone.map(|one| one.name.clone()).collect();
    if !alone.is_empty() {
        found.push(Diagnosis {
            code: "service-unsupervised",
            severity: Severity::Warning,
            cause: format!(
                "nobody brings back {}: the supervisor is gone",
                alone.join(", ")
            ),
            remedy: "run lab up again: it replaces what nobody watches".to_owned(),
            evidence: alone,
        });
    }
    for name in lab.logs.keys() {
        let errors = last_lines(lab, name, |line| {
            line.contains(" ERROR ") || line.contains("panicked")
        });
        if !errors.is_empty() {
            found.push(Diagnosis {
                code: "errors-logged",
                severity: Severity::Warning,
                cause: format!("{name} wrote errors"),
                remedy: format!("read them where they stand: lab logs --level error {name}"),
                evidence: errors,
            });
        }
    }
    found
}

fn last_lines(lab: &LabFacts, service: &str, wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let Some(lines) = lab.logs.get(service) else {
        return Vec::new();
    };
    let wanted: Vec<_> = lines.iter().filter(|line| wanted(line)).cloned().collect();
    wanted[wanted.len().saturating_sub(LINES)..].to_vec()
}

fn chaos(lab: &LabFacts) -> Vec<Diagnosis> {
    let mut found = Vec::new();
    for one in &lab.struck {
        let name = &one.service;
        found.push(Diagnosis {
            code: "disturbed-service",
            severity: Severity::Warning,
            cause: format!("{name} is away on purpose: lab chaos {}", one.fault.name()),
            remedy: format!("bring it back: lab chaos heal {name}"),
            evidence: serde_json::to_string(one).into_iter().collect(),
        });
    }
    for link in &lab.links {
        let orders = link.faults.iter().chain(&link.rules);
        let evidence: Vec<_> = orders.map(Value::to_string).collect();
        if !evidence.is_empty() {
            found.push(Diagnosis {
                code: "disturbed-link",
                severity: Severity::Warning,
                cause: format!("the link {} is disturbed on purpose", link.name),
                remedy: format!("heal it: lab chaos heal {}", link.name),
                evidence,
            });
        }
    }
    found
}

fn nodes(lab: &LabFacts, now: i64) -> Vec<Diagnosis> {
    let mut found = Vec::new();
    let mut tips: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, answer) in &lab.nodes {
        let info = match answer {
            Ok(info) => info,
            Err(reason) => {
                found.push(Diagnosis {
                    code: "node-silent",
                    severity: Severity::Error,
                    cause: format!("{name} does not answer"),
                    remedy: format!(
                        "see what it does: lab logs {name}; start it: lab start {name}"
                    ),
                    evidence: vec![reason.clone()],
                });
                continue;
            }
        };
        tips.entry(info["bestblockhash"].as_str().unwrap_or_default())
            .or_default()
            .push(name);
        let ahead = info["mediantime"].as_i64().unwrap_or_default() - now;
        if ahead > AHEAD {
            found.push(Diagnosis {
                code: "chain-ahead-of-clock",
                severity: Severity::Warning,
                cause: format!(
                    "the blocks of {name} are dated {ahead} s in the future: they came faster \
                     than the clock moves, or the clock was set back"
                ),
                remedy: "let the chain rest, or begin anew: lab down, lab up".to_owned(),
                evidence: vec![format!("mediantime {}, now {now}", info["mediantime"])],
            });
        }
    }
    if tips.len() > 1 {
        found.push(Diagnosis {
            code: "nodes-disagree",
            severity: Severity::Warning,
            cause: "the nodes have different tips".to_owned(),
            remedy: "see whether they are connected: lab cli getpeerinfo; heal the line between \
                     them: lab chaos heal"
                .to_owned(),
            evidence: tips
                .iter()
                .map(|(tip, names)| format!("{}: {tip}", names.join(", ")))
                .collect(),
        });
    }
    found
}

fn mining(lab: &LabFacts) -> Vec<Diagnosis> {
    [pools(lab), blocks(lab), upstreams(lab)].concat()
}

fn pools(lab: &LabFacts) -> Vec<Diagnosis> {
    let mut found = Vec::new();
    for (name, global) in &lab.pools {
        let clients = &global["sv2_clients"];
        if clients["total_clients"] == 0 {
            found.push(Diagnosis {
                code: "pool-without-miners",
                severity: Severity::Warning,
                cause: format!("{name} has no miner"),
                remedy: "see how the miners are doing: lab status; and why they are not \
                         connected: lab logs mining-device"
                    .to_owned(),
                evidence: vec![clients.to_string()],
            });
        }
        if clients["acceptance_rate"]
            .as_f64()
            .is_some_and(|rate| rate < 1.0 - REFUSED)
        {
            found.push(Diagnosis {
                code: "shares-refused",
                severity: Severity::Warning,
                cause: format!("{name} refuses more than one of ten shares"),
                remedy: format!("the reasons tell which miner is wrong: lab logs {name}"),
                evidence: vec![clients["shares_rejected_by_reason"].to_string()],
            });
        }
    }
    found
}

fn blocks(lab: &LabFacts) -> Vec<Diagnosis> {
    let mut found = Vec::new();
    for (name, blocks) in &lab.blocks {
        let items = blocks["items"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        let lost = |block: &&Value| {
            let verdict = block["verdict"].as_str();
            verdict.is_some_and(|verdict| verdict != "accepted")
        };
        let lost: Vec<_> = items.iter().filter(lost).collect();
        if !lost.is_empty() {
            found.push(Diagnosis {
                code: "blocks-lost",
                severity: Severity::Warning,
                cause: format!(
                    "{} of the newest {} blocks of {name} are not in the chain",
                    lost.len(),
                    items.len()
                ),
                remedy: "after a reorg that is as it should be; else see what the node says of \
                         them: lab logs btc-node"
                    .to_owned(),
                evidence: lost
                    .iter()
                    .take(LINES)
                    .map(|block| {
                        format!(
                            "{} {}: {}",
                            block["height"], block["hash"], block["verdict"]
                        )
                    })
                    .collect(),
            });
        }
    }
    found
}

fn upstreams(lab: &LabFacts) -> Vec<Diagnosis> {
    let mut found = Vec::new();
    for (name, upstreams) in &lab.upstreams {
        let items = upstreams["items"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        if items
            .first()
            .is_some_and(|first| first["state"] != "active")
        {
            found.push(Diagnosis {
                code: "not-first-upstream",
                severity: Severity::Warning,
                cause: format!("{name} does not work for its first pool"),
                remedy: "see whether that pool and its job declarator server are ready: lab \
                         status; the client returns to them by itself"
                    .to_owned(),
                evidence: items.iter().map(Value::to_string).collect(),
            });
        }
    }
    found
}

#[cfg(test)]
mod tests;
