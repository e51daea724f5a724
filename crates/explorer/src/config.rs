//! The explorer's configuration.

mod services;

use std::net::SocketAddr;

use bitcoin::Network;
use bitcoin::bip32::Xpriv;
use daemon::config::Reader;
use daemon::node::NodeRpc;
use daemon::payout;

pub(crate) use services::{Kind, Peer};

/// Blocks that are kept and indexed unless told otherwise: more than any lab mines.
const BLOCKS: usize = 100_000;

/// What the explorer is told.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where pages, JSON, health and metrics are served.
    pub listen_address: SocketAddr,
    /// What the lab is called.
    pub lab_name: String,
    /// Which addresses there are.
    pub network: Network,
    /// The node, which is only read.
    pub node: Node,
    /// Blocks that are kept and indexed at most, not counting the first one; of a longer chain the
    /// newest are kept, and addresses are looked up in the node.
    pub max_blocks: usize,
    /// The roles that are asked, in the order in which they are shown.
    pub(crate) services: Vec<Peer>,
    /// What visitors may do; `None` for nothing.
    pub actions: Option<Actions>,
}

/// The node.
#[derive(Debug, Clone)]
pub struct Node {
    /// What it is called.
    pub name: String,
    /// How it is asked.
    pub rpc: NodeRpc,
}

/// What visitors may do.
#[derive(Clone)]
pub struct Actions {
    /// How the node is told: a user that may do more than the one who only reads.
    pub rpc: NodeRpc,
    /// The key of the lab's wallet, out of which the faucet pays.
    pub faucet_key: Option<Xpriv>,
    /// Names by which visitors may call this host, beside addresses and `localhost`.
    pub allowed_hosts: Vec<String>,
}

/// The key stays out of logs.
impl std::fmt::Debug for Actions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Actions")
            .field("has_faucet", &self.faucet_key.is_some())
            .field("allowed_hosts", &self.allowed_hosts)
            .finish_non_exhaustive()
    }
}

impl Config {
    /// Takes everything out of `reader`; `None` when a problem was noted.
    pub(crate) fn read(reader: &mut Reader) -> Option<Self> {
        let listen_address = reader.parsed("listen_address");
        let lab_name = reader.or("lab_name", "lab".to_owned());
        let network = payout::network(reader);
        let node_name = reader.or("node.name", "btc-node".to_owned());
        let rpc = NodeRpc::read(reader);
        let max_blocks = reader.within("max_blocks", BLOCKS, 1..=10_000_000);
        let services = services::read(reader, &node_name);
        let actions = read_actions(reader, rpc.as_ref());
        Some(Self {
            listen_address: listen_address?,
            lab_name,
            network,
            node: Node {
                name: node_name,
                rpc: rpc?,
            },
            max_blocks,
            services: services?,
            actions,
        })
    }
}

/// Off unless `actions.enabled`, and then with a user of their own if one is named.
fn read_actions(reader: &mut Reader, node: Option<&NodeRpc>) -> Option<Actions> {
    let is_enabled = reader.or("actions.enabled", false);
    let faucet_key = reader.optional("actions.faucet_key");
    let allowed_hosts = reader.or("actions.allowed_hosts", Vec::new());
    let user = reader.or("actions.rpc_user", String::new());
    let password = reader.or("actions.rpc_password", String::new());
    if user.is_empty() != password.is_empty() {
        let what = "rpc_user and rpc_password belong together; give both or neither";
        reader.problem("actions", what);
    }
    let rpc = match user.is_empty() {
        true => node?.clone(),
        false => node?.as_user(user, password),
    };
    is_enabled.then_some(Actions {
        rpc,
        faucet_key,
        allowed_hosts,
    })
}

#[cfg(test)]
mod tests;
