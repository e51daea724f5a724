//! Asking services whether they are ready.

use std::net::SocketAddrV4;
use std::time::Duration;

use bitcoin::{Address, Network};
use futures_util::future;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::rpc::{self, NodeError, Rpc};
use crate::secrets::Secrets;
use crate::service::btc_node::BOOTSTRAP_BLOCKS;
use crate::service::{Probe, ServiceSpec};
use crate::signet;

/// A service answers such a question from a snapshot; longer means that it hangs.
const PATIENCE: Duration = Duration::from_secs(1);

/// A service's own word on whether it is ready.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Readiness {
    /// It does what it is for.
    #[default]
    Ready,
    /// It does not, and why.
    NotYet(String),
}

/// Asks services by the probe of their spec.
#[derive(Debug, Clone)]
pub(crate) struct Prober {
    http: reqwest::Client,
    secrets: Secrets,
    reward_address: Address,
}

/// What a service tells of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) readiness: Readiness,
    pub(crate) version: Option<String>,
    /// Shares it accepted, or had accepted.
    pub(crate) shares: Option<u64>,
    /// Blocks among them.
    pub(crate) blocks: Option<u64>,
}

#[derive(Deserialize)]
struct Health {
    ready: bool,
    #[serde(default)]
    reason: Option<String>,
}

impl Prober {
    /// Asks with the lab's credentials; a young chain's first coinbases go to `reward_address`.
    pub(crate) fn new(secrets: Secrets, reward_address: Address) -> Self {
        Self {
            http: rpc::http_client(),
            secrets,
            reward_address,
        }
    }

    /// Whether the service is ready. Changes nothing.
    pub(crate) async fn ask(&self, spec: &ServiceSpec) -> Readiness {
        match spec.probe {
            Probe::Http(port) => self.ask_http(SocketAddrV4::new(spec.address, port)).await,
            Probe::Tcp(port) => listens(SocketAddrV4::new(spec.address, port)).await,
            Probe::Runs => Readiness::Ready,
            Probe::BitcoinNode(port) | Probe::BitcoinPeer(port) => {
                match self.ask_node(&self.rpc(spec, port)).await {
                    Ok(height) if height >= BOOTSTRAP_BLOCKS => Readiness::Ready,
                    Ok(height) => Readiness::NotYet(format!(
                        "height {height}; coins are mature from {BOOTSTRAP_BLOCKS} on"
                    )),
                    Err(reason) => Readiness::NotYet(reason),
                }
            }
        }
    }

    /// What the service tells of itself. Changes nothing.
    pub(crate) async fn look(&self, spec: &ServiceSpec) -> Account {
        match spec.probe {
            Probe::Http(port) => {
                let address = SocketAddrV4::new(spec.address, port);
                match self.status_of(address).await {
                    Some(status) => account(&status),
                    None => Account {
                        readiness: self.ask_http(address).await,
                        ..Account::default()
                    },
                }
            }
            Probe::BitcoinNode(port) | Probe::BitcoinPeer(port) => {
                let rpc = self.rpc(spec, port);
                let network = rpc.call::<Value>("getnetworkinfo", json!([]));
                let (readiness, network) = future::join(self.ask(spec), network).await;
                let version = network
                    .ok()
                    .and_then(|n| Some(n["subversion"].as_str()?.to_owned()));
                Account {
                    readiness,
                    version: version.map(|text| text.trim_matches('/').replace("Satoshi:", "")),
                    ..Account::default()
                }
            }
            Probe::Tcp(_) | Probe::Runs => Account {
                readiness: self.ask(spec).await,
                ..Account::default()
            },
        }
    }

    async fn status_of(&self, address: SocketAddrV4) -> Option<Value> {
        let request = self.http.get(format!("http://{address}/api/v1/status"));
        let response = request.timeout(PATIENCE).send().await.ok()?;
        response.error_for_status().ok()?.json().await.ok()
    }

    /// Whether the service is ready, after giving it what only the lab can give: a young chain
    /// gets its first blocks, because Bitcoin Core gives no usable templates below height 17.
    pub(crate) async fn help(&self, spec: &ServiceSpec) -> Readiness {
        let Probe::BitcoinNode(port) = spec.probe else {
            return self.ask(spec).await;
        };
        let rpc = self.rpc(spec, port);
        let height = match self.ask_node(&rpc).await {
            Ok(height) if height >= BOOTSTRAP_BLOCKS => return Readiness::Ready,
            Ok(height) => height,
            Err(reason) => return Readiness::NotYet(reason),
        };
        let mined = bootstrap(&rpc, height, &self.reward_address).await;
        // Bitcoin Core writes the chain to disk once an hour. Without this a node that is killed
        // would come back with no chain at all, and nobody would mine it a new one.
        let kept = match mined {
            Ok(()) => rpc.flush().await,
            Err(error) => Err(error),
        };
        match kept {
            Ok(()) => Readiness::Ready,
            Err(error) => Readiness::NotYet(format!("mining the first blocks: {error}")),
        }
    }

    fn rpc(&self, spec: &ServiceSpec, port: u16) -> Rpc {
        let address = SocketAddrV4::new(spec.address, port);
        Rpc::new(address, &self.secrets)
    }

    async fn ask_node(&self, rpc: &Rpc) -> Result<u64, String> {
        let answer = tokio::time::timeout(PATIENCE, rpc.chain_info()).await;
        match answer {
            Err(_) => Err(format!("RPC gave no answer for {PATIENCE:?}")),
            Ok(Ok(info)) if info.initial_block_download => {
                Err("still in initial block download".to_owned())
            }
            Ok(Ok(info)) => Ok(info.blocks),
            Ok(Err(NodeError::Rpc { message, .. })) => Err(message),
            Ok(Err(NodeError::Unreachable { address, .. })) => {
                Err(format!("no RPC answers on {address} yet"))
            }
            Ok(Err(error)) => Err(error.to_string()),
        }
    }

    async fn ask_http(&self, address: SocketAddrV4) -> Readiness {
        let request = self
            .http
            .get(format!("http://{address}/healthz"))
            .timeout(PATIENCE);
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) if error.is_timeout() => {
                return Readiness::NotYet(format!("no answer from {address} for {PATIENCE:?}"));
            }
            Err(_) => return Readiness::NotYet(format!("nothing listens on {address} yet")),
        };
        let status = response.status();
        match response.json::<Health>().await {
            Ok(Health { ready: true, .. }) if status.is_success() => Readiness::Ready,
            Ok(Health { reason, .. }) => {
                Readiness::NotYet(reason.unwrap_or_else(|| "gives no reason".to_owned()))
            }
            Err(_) => Readiness::NotYet(format!(
                "{address} answers {status} without saying whether it is ready"
            )),
        }
    }
}

/// Reads a role's `/api/v1/status`.
fn account(status: &Value) -> Account {
    let text = |key: &str| status[key].as_str().map(str::to_owned);
    let count = |key: &str| status[key].as_u64();
    let solved = status["solutions"]["accepted"].as_u64();
    Account {
        readiness: match status["ready"].as_bool() {
            Some(true) => Readiness::Ready,
            _ => Readiness::NotYet(text("reason").unwrap_or_else(|| "gives no reason".to_owned())),
        },
        version: text("version"),
        shares: count("shares_accepted"),
        blocks: count("blocks_accepted")
            .or(count("blocks_found"))
            .or(solved),
    }
}

async fn listens(address: SocketAddrV4) -> Readiness {
    match tokio::time::timeout(PATIENCE, TcpStream::connect(address)).await {
        Ok(Ok(_)) => Readiness::Ready,
        _ => Readiness::NotYet(format!("nothing listens on {address} yet")),
    }
}

/// Gives a chain of this height its first blocks, and the wallet its first coin.
async fn bootstrap(rpc: &Rpc, height: u64, address: &Address) -> Result<(), NodeError> {
    match address
        .as_unchecked()
        .is_valid_for_network(Network::Regtest)
    {
        true => mine(rpc, BOOTSTRAP_BLOCKS - height, &address.to_string()).await,
        false => found_signet(rpc, height, address).await,
    }
}

/// Mines blocks dated a minute back.
///
/// A block's time must be later than the median of the eleven before it, so that a hundred blocks
/// made at once run ahead of the clock, and the miner's first blocks would have to follow.
async fn mine(rpc: &Rpc, blocks: u64, address: &str) -> Result<(), NodeError> {
    rpc.set_time(daemon::clock::unix().saturating_sub(60))
        .await?;
    let mined = rpc.generate(blocks, address).await;
    rpc.set_time(0).await?;
    mined
}

/// Hands over the blocks that every signet of a lab begins with. The coin is taken before the last
/// one: afterwards the chain looks complete to whoever comes back to it.
async fn found_signet(rpc: &Rpc, height: u64, address: &Address) -> Result<(), NodeError> {
    for (at, block) in (1..).zip(signet::first_blocks()) {
        if at == BOOTSTRAP_BLOCKS {
            rpc.broadcast(&signet::first_coin(address)).await?;
        }
        if at > height {
            rpc.submit(&block).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
