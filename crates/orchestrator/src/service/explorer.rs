//! The chain explorer, which also shows who mined each block, and how.

use std::net::SocketAddrV4;

use serde::{Deserialize, Serialize};

use super::{
    Role, RpcAccess, ServiceSpec, Site, cpuminer, jdc, jds, mining_device, pool, template_provider,
    translator,
};
use crate::topology::{Kind, Link, Service, Topology};

/// Port of pages, JSON, `/healthz` and `/metrics`.
pub const WEB_PORT: u16 = 3002;

/// Settings of an explorer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Explorer {
    /// The node whose chain it shows.
    pub node: String,
    /// Whether visitors may mine, take coins, send transactions and turn the chain.
    pub actions: bool,
}

impl Default for Explorer {
    fn default() -> Self {
        Self {
            node: "btc-node".to_owned(),
            actions: true,
        }
    }
}

impl Explorer {
    pub(crate) fn links(&self) -> Vec<Link<'_>> {
        vec![Link::new("node", &self.node, &["btc-node"])]
    }
}

#[derive(Serialize)]
struct Config<'a> {
    lab_name: &'a str,
    network: &'static str,
    listen_address: SocketAddrV4,
    node: Node<'a>,
    /// Left out where visitors may do nothing: then it cannot, either.
    #[serde(skip_serializing_if = "Option::is_none")]
    actions: Option<Actions<'a>>,
    services: Vec<Peer<'a>>,
}

#[derive(Serialize)]
struct Node<'a> {
    name: &'a str,
    #[serde(flatten)]
    access: RpcAccess<'a>,
}

#[derive(Serialize)]
struct Actions<'a> {
    enabled: bool,
    rpc_user: &'a str,
    rpc_password: &'a str,
    faucet_key: &'a str,
    allowed_hosts: [&'a str; 1],
}

/// A role that is asked.
#[derive(Serialize)]
struct Peer<'a> {
    name: &'a str,
    kind: &'static str,
    address: SocketAddrV4,
    links: Vec<&'a str>,
}

/// What a kind is to the explorer, and where it serves HTTP; nothing for those it does not ask.
fn role(kind: &Kind) -> Option<(&'static str, u16)> {
    match kind {
        Kind::TemplateProvider(_) => Some(("template-provider", template_provider::HTTP_PORT)),
        Kind::Pool(_) => Some(("pool", pool::HTTP_PORT)),
        Kind::Jds(_) => Some(("jds", jds::HTTP_PORT)),
        Kind::Jdc(_) => Some(("jdc", jdc::HTTP_PORT)),
        Kind::Translator(_) => Some(("translator", translator::HTTP_PORT)),
        Kind::MiningDevice(_) => Some(("mining-device", mining_device::HTTP_PORT)),
        Kind::Cpuminer(_) => Some(("mining-device", cpuminer::HTTP_PORT)),
        Kind::BtcNode(_) | Kind::Explorer(_) => None,
    }
}

/// The spec of an explorer.
pub fn spec(
    service: &Service,
    settings: &Explorer,
    topology: &Topology,
    site: &Site<'_>,
) -> ServiceSpec {
    let address = site.subnet.host(service.host);
    let node = &settings.node;
    // Of several nodes it knows one: links to the others lead out of its picture.
    let is_known = |name: &&str| {
        let other = topology.service(name).map(|other| &other.kind);
        *name == node || other.is_some_and(|kind| role(kind).is_some())
    };
    let services = topology.services.iter().filter_map(|other| {
        let (kind, port) = role(&other.kind)?;
        Some(Peer {
            name: &other.name,
            kind,
            address: SocketAddrV4::new(site.subnet.host(other.host), port),
            links: other.targets().filter(is_known).collect(),
        })
    });
    let config = Config {
        lab_name: site.name,
        network: topology.network().to_core_arg(),
        listen_address: SocketAddrV4::new(address, WEB_PORT),
        node: Node {
            name: node,
            access: RpcAccess::reader(&service.name, node, topology, site),
        },
        actions: settings.actions.then_some(Actions {
            enabled: true,
            rpc_user: &site.secrets.rpc_user,
            rpc_password: &site.secrets.rpc_password,
            faucet_key: &site.secrets.wallet_key,
            allowed_hosts: [&service.name],
        }),
        services: services.collect(),
    };
    let role = Role {
        service,
        program: "explorer",
        address,
        ports: Vec::new(),
        http_port: WEB_PORT,
    };
    role.spec(&config, site)
}
