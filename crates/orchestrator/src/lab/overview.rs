//! The whole lab at one moment: services, connections, templates, shares, blocks.
//!
//! Everybody is asked at once over HTTP, the node over RPC; [`reading`] makes sense of the answers.

mod reading;

use std::collections::BTreeMap;
use std::net::SocketAddrV4;
use std::time::Duration;

use anyhow::Result;
use futures_util::future;
use serde::Serialize;
use serde_json::{Value, json};

use super::{Lab, ServiceReport};
use crate::backend::BackendKind;
use crate::service::{ServiceSpec, relay};
use crate::subnet::Subnet;
use crate::topology::Service;
use crate::{links, rpc};

/// A healthy service answers in a millisecond; people wait for the slowest one.
const PATIENCE: Duration = Duration::from_millis(500);
/// Blocks asked of each pool.
const BLOCKS: usize = 25;

/// A lab at one moment.
#[derive(Debug, Clone, Serialize)]
pub struct Overview {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// Its name.
    pub name: String,
    /// What runs its services.
    pub backend: BackendKind,
    /// Its network.
    pub subnet: Subnet,
    /// What its first node says, when it answers.
    pub chain: Option<Chain>,
    /// Its services, by name.
    pub services: Vec<ServiceView>,
    /// Who is connected to whom.
    pub links: Vec<LinkView>,
    /// What miners work on, by who serves them.
    pub templates: Vec<TemplateView>,
    /// The newest blocks of its pools, newest first.
    pub blocks: Vec<BlockView>,
}

/// A node's chain and mempool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Chain {
    /// Height of the tip.
    pub height: u64,
    /// Hash of the tip.
    pub tip: String,
    /// What the tip's header says, in seconds since 1970.
    pub tip_time: u64,
    /// Transactions that wait for a block.
    pub mempool_transactions: u64,
    /// Their virtual size.
    pub mempool_vbytes: u64,
}

/// A service.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ServiceView {
    /// How it is doing.
    #[serde(flatten)]
    pub report: ServiceReport,
    /// What it is.
    pub kind: String,
    /// What it tells of shares; none of services that have nothing to do with them.
    pub mining: Option<Mining>,
}

/// What a service tells of shares, since it was started.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Mining {
    /// Connected miners; none of a miner itself.
    pub miners: Option<u64>,
    /// Hashes a second, of about the last minute where it is known.
    pub hashrate: f64,
    /// Shares accepted.
    pub accepted: u64,
    /// Shares rejected, by reason.
    pub rejected: BTreeMap<String, u64>,
    /// Blocks found.
    pub blocks: u64,
}

/// How far a connection between two services has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// There is none.
    Disconnected,
    /// It is being set up.
    Handshake,
    /// It does what it is for.
    Open,
}

/// A connection between two services.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LinkView {
    /// Who connects.
    pub from: String,
    /// To whom.
    pub to: String,
    /// How far it has come.
    pub stage: Stage,
    /// Whether the service itself says so; otherwise it follows from what is ready.
    pub told: bool,
    /// Why it failed last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// What the relay does to it, such as `delay`; for labs that have one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub disturbed: Vec<String>,
}

/// What miners of a service work on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TemplateView {
    /// Whose miners.
    pub service: String,
    /// Height of the block.
    pub height: Option<u64>,
    /// Milliseconds since it came.
    pub age_ms: Option<u64>,
    /// Satoshis the coinbase pays out.
    pub value: Option<u64>,
    /// Satoshis of that which are fees, where they are known.
    pub fees: Option<u64>,
    /// How many beside the coinbase, where they are known.
    pub transactions: Option<u64>,
    /// What these weigh together, where it is known.
    pub weight: Option<u64>,
    /// How many more the miner did not want, where it has a choice and they are known.
    pub left_out: Option<u64>,
}

/// A block of a pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BlockView {
    /// Its height.
    pub height: Option<u64>,
    /// Its hash.
    pub hash: String,
    /// When it was found, in milliseconds since 1970.
    pub time_ms: u64,
    /// The pool.
    pub pool: String,
    /// Whom its channel is for.
    pub user: String,
    /// Who found it, if the miner says so.
    pub worker: Option<String>,
    /// Whether its miner chose the transactions.
    pub declared: bool,
    /// What the node says of it, once asked.
    pub verdict: Option<String>,
}

/// What a service answered; null where it gave no answer.
#[derive(Debug, Default)]
struct Answers {
    status: Value,
    global: Value,
    clients: Value,
    blocks: Value,
    metrics: String,
}

impl Lab {
    /// Asks every service and the node.
    ///
    /// # Errors
    /// When the backend does not answer. A service that does not is part of the answer.
    pub async fn overview(&self) -> Result<Overview> {
        let http = rpc::http_client();
        let answers = future::join_all(self.specs.iter().map(|spec| ask(&http, spec)));
        let (status, answers, chain, relayed) =
            future::join4(self.status(), answers, self.chain(), self.relayed()).await;
        let status = status?;
        let at_ms = daemon::clock::unix_ms();
        let reports = status.services.into_iter().zip(&answers);
        let services: Vec<ServiceView> = reports
            .map(|(report, answers)| ServiceView {
                kind: self.kind(&report.name),
                mining: reading::mining(answers),
                report,
            })
            .collect();
        let named = || self.specs.iter().zip(&answers);
        let templates = named()
            .filter_map(|(spec, answers)| reading::template(&spec.name, &answers.status, at_ms));
        // Others list blocks as well; whose they are is a pool's to say.
        let mut blocks: Vec<BlockView> = named()
            .filter(|(spec, _)| self.kind(&spec.name) == "pool")
            .flat_map(|(spec, answers)| reading::blocks(&spec.name, &answers.blocks))
            .collect();
        blocks.sort_by_key(|block| std::cmp::Reverse(block.time_ms));
        Ok(Overview {
            at_ms,
            name: status.name,
            backend: status.backend,
            subnet: status.subnet,
            chain,
            links: self.links(&services, &answers, &relayed),
            services,
            templates: templates.collect(),
            blocks,
        })
    }

    fn kind(&self, name: &str) -> String {
        let service = self.topology.service(name);
        service.map_or("", Service::kind_name).to_owned()
    }

    /// Every connection the topology asks for, once.
    fn links(
        &self,
        services: &[ServiceView],
        answers: &[Answers],
        relayed: &[links::Link],
    ) -> Vec<LinkView> {
        let relay = self.specs.iter().find(|spec| spec.name == relay::NAME);
        let through = relay.map(reading::relay_sockets).unwrap_or_default();
        let ready = |name: &str| {
            let mut services = services.iter();
            services.any(|service| service.report.name == name && service.report.ready)
        };
        let mut links = Vec::new();
        for (spec, answers) in self.specs.iter().zip(answers) {
            let Some(service) = self.topology.service(&spec.name) else {
                continue;
            };
            let mut targets: Vec<&str> = service.targets().collect();
            targets.sort_unstable();
            targets.dedup();
            for to in targets {
                let target = self.specs.iter().find(|spec| spec.name == to);
                let name = format!("{}:{to}", spec.name);
                let mut sockets: Vec<String> = target.map(sockets).unwrap_or_default();
                sockets.extend(through.get(&name).cloned());
                let is_node = self.kind(to) == "btc-node";
                let told = reading::link(&answers.status, &sockets, is_node);
                let (stage, failure) = told.clone().unwrap_or_else(|| {
                    let open = ready(to) && ready(&spec.name);
                    let stage = if open {
                        Stage::Open
                    } else {
                        Stage::Disconnected
                    };
                    (stage, None)
                });
                links.push(LinkView {
                    from: spec.name.clone(),
                    to: to.to_owned(),
                    stage,
                    told: told.is_some(),
                    failure,
                    disturbed: relayed
                        .iter()
                        .find(|link| link.name == name)
                        .map(reading::disturbances)
                        .unwrap_or_default(),
                });
            }
        }
        links
    }

    /// What passes the relay; nothing in a lab without one.
    async fn relayed(&self) -> Vec<links::Link> {
        let Ok(relay) = self.relay() else {
            return Vec::new();
        };
        let links = tokio::time::timeout(PATIENCE, relay.links()).await;
        links.ok().and_then(Result::ok).unwrap_or_default()
    }

    async fn chain(&self) -> Option<Chain> {
        let rpc = self.rpc().ok()?;
        let answers = future::try_join(
            rpc.call::<Value>("getblockchaininfo", json!([])),
            rpc.call::<Value>("getmempoolinfo", json!([])),
        );
        let answers = tokio::time::timeout(PATIENCE, answers).await;
        let (chain, mempool) = answers.ok()?.ok()?;
        reading::chain(&chain, &mempool)
    }
}

fn sockets(spec: &ServiceSpec) -> Vec<String> {
    let ports = spec.ports.iter();
    ports
        .map(|port| SocketAddrV4::new(spec.address, port.number).to_string())
        .collect()
}

/// Asks one service for all it may have; what it has not is null.
async fn ask(http: &reqwest::Client, spec: &ServiceSpec) -> Answers {
    let Some(address) = spec.socket("http") else {
        return Answers::default();
    };
    let get = async |path: &str| -> Option<reqwest::Response> {
        let url = format!("http://{address}{path}");
        let sent = http.get(url).timeout(PATIENCE).send().await.ok()?;
        sent.error_for_status().ok()
    };
    let json = async |path: &str| -> Value {
        match get(path).await {
            Some(response) => response.json().await.unwrap_or_default(),
            None => Value::Null,
        }
    };
    let text = async |path: &str| -> String {
        match get(path).await {
            Some(response) => response.text().await.unwrap_or_default(),
            None => String::new(),
        }
    };
    let blocks = format!("/api/v1/blocks?limit={BLOCKS}");
    let (status, global, clients, blocks, metrics) = future::join5(
        json("/api/v1/status"),
        json("/api/v1/global"),
        json("/api/v1/clients?limit=100"),
        json(&blocks),
        text("/metrics"),
    )
    .await;
    Answers {
        status,
        global,
        clients,
        blocks,
        metrics,
    }
}
