//! Bitcoin Core on regtest, or on a signet of the lab's own.

use std::collections::BTreeMap;
use std::net::SocketAddrV4;
use std::path::PathBuf;

use bitcoin::Network;
use daemon::node::reader_lines;
use serde::Deserialize;

use super::relay::Speaks;
use super::template_provider::Source;
use super::{
    ConfigFile, Origin, Paths, Port, Probe, Restart, ServiceSpec, Site, Volume, VolumeRole,
};
use crate::secrets::RPC_READER;
use crate::signet;
use crate::topology::{Kind, Link, Service, Topology};

/// JSON-RPC port.
pub const RPC_PORT: u16 = 18443;
/// Peer-to-peer port.
pub const P2P_PORT: u16 = 18444;
/// Coinbases mature after 100 blocks: with this many, the first one can be spent.
pub const BOOTSTRAP_BLOCKS: u64 = 101;

/// Settings of a node.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BtcNode {
    /// Nodes it connects to. One that has any gets its chain from them; another mines the chain's
    /// first blocks itself.
    pub peers: Vec<String>,
    /// Whether it tells its peers transactions, and takes theirs; blocks are told in any case.
    pub relay_transactions: bool,
    /// Further arguments for Bitcoin Core.
    pub args: Vec<String>,
}

impl Default for BtcNode {
    fn default() -> Self {
        Self {
            peers: Vec::new(),
            relay_transactions: true,
            args: Vec::new(),
        }
    }
}

impl BtcNode {
    pub(crate) fn links(&self) -> Vec<Link<'_>> {
        let link = |peer| Link::new("peers", peer, &["btc-node"]);
        self.peers.iter().map(|peer| link(peer)).collect()
    }
}

/// The volume with the node's mining interface, shared with template providers.
pub fn ipc_volume(node: &str, paths: &Paths) -> Volume {
    paths.volume(format!("{node}-ipc"), VolumeRole::Ipc)
}

/// The socket of the node's mining interface.
pub fn ipc_socket(volume: &Volume) -> PathBuf {
    volume.path.join("node.sock")
}

/// Whether a node opens its mining interface. One whose template providers all use RPC may be one
/// that has none.
fn has_ipc(node: &str, topology: &Topology) -> bool {
    let mut sources = topology
        .services
        .iter()
        .filter_map(|service| match &service.kind {
            Kind::TemplateProvider(settings) if settings.node == node => Some(settings.source),
            _ => None,
        })
        .peekable();
    sources.peek().is_none() || sources.any(|source| source == Source::Ipc)
}

/// The spec of a node.
pub fn spec(
    service: &Service,
    settings: &BtcNode,
    topology: &Topology,
    site: &Site<'_>,
) -> ServiceSpec {
    let name = &service.name;
    let address = site.subnet.host(service.host);
    let data = site.paths.volume(format!("{name}-data"), VolumeRole::Data);
    let conf = site.paths.config(name).join("bitcoin.conf");
    let mut args = vec![
        format!("-conf={}", conf.display()),
        format!("-datadir={}", data.path.display()),
    ];
    let mut volumes = vec![data];
    if has_ipc(name, topology) {
        let ipc = ipc_volume(name, site.paths);
        args.push(format!("-ipcbind=unix:{}", ipc_socket(&ipc).display()));
        volumes.push(ipc);
    }
    for peer in &settings.peers {
        let address = SocketAddrV4::new(topology.address(peer, site.subnet), P2P_PORT);
        let address = site.reach(name, peer, address, Speaks::Tcp);
        args.push(format!("-connect={address}"));
    }
    if !settings.relay_transactions {
        args.push("-blocksonly=1".to_owned());
    }
    args.extend(settings.args.iter().cloned());
    ServiceSpec {
        name: name.clone(),
        image: "btc-node".to_owned(),
        origin: Origin::Ours,
        program: "bitcoin-node".to_owned(),
        args,
        env: BTreeMap::new(),
        files: vec![ConfigFile {
            path: conf.clone(),
            text: conf_text(topology.network(), site, &address.to_string()),
        }],
        address,
        ports: vec![Port::new("rpc", RPC_PORT), Port::new("p2p", P2P_PORT)],
        probe: match settings.peers.is_empty() {
            true => Probe::BitcoinNode(RPC_PORT),
            false => Probe::BitcoinPeer(RPC_PORT),
        },
        health: vec![
            "bitcoin-cli".to_owned(),
            format!("-conf={}", conf.display()),
            "getblockcount".to_owned(),
        ],
        needs: service.needs(),
        volumes,
        restart: Restart::Always,
        // Bitcoin Core flushes its caches on SIGTERM; a kill in the middle costs a reindex.
        stop_grace_secs: 30,
    }
}

/// One file for the node and for `bitcoin-cli`: the latter reads `rpcconnect` and the password.
fn conf_text(network: Network, site: &Site<'_>, address: &str) -> String {
    let user = &site.secrets.rpc_user;
    let password = &site.secrets.rpc_password;
    let reader = reader_lines(RPC_READER, &site.secrets.rpc_reader_password());
    let subnet = site.subnet;
    let chain = chain_text(network);
    // maxtipage: a chain that lay still for a month is not "in initial block download", in which
    // Bitcoin Core hands out no templates.
    format!(
        "{chain}\
         server=1\n\
         rest=1\n\
         txindex=1\n\
         maxtipage=3153600000\n\
         dnsseed=0\n\
         discover=0\n\
         listenonion=0\n\
         rpcuser={user}\n\
         rpcpassword={password}\n\
         {reader}\
         rpcbind={address}\n\
         rpcport={RPC_PORT}\n\
         rpcallowip={subnet}\n\
         rpcconnect={address}\n\
         bind={address}:{P2P_PORT}\n\
         printtoconsole=1\n\
         logtimemicros=1\n\
         nodebuglogfile=1\n"
    )
}

/// The beginning of a file that the node or `bitcoin-cli` reads: which chain it is about.
pub(crate) fn chain_text(network: Network) -> String {
    let name = network.to_core_arg();
    let challenge = match network {
        Network::Signet => format!("signetchallenge={}\n", signet::CHALLENGE),
        _ => String::new(),
    };
    format!("{name}=1\n[{name}]\n{challenge}")
}
