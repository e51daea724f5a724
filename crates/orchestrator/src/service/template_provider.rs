//! The Template Distribution Protocol server in front of a node.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Port, Role, RpcAccess, ServerConfig, ServiceSpec, Site, btc_node};
use crate::topology::{Link, Service, Topology};

/// Template distribution port.
pub const TDP_PORT: u16 = 8442;
/// Port of `/healthz` and `/metrics`.
pub const HTTP_PORT: u16 = 9094;

/// Settings of a template provider, by the names of its own configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TemplateProvider {
    /// The node whose templates it hands out.
    #[serde(skip_serializing)]
    pub node: String,
    /// How it asks the node.
    #[serde(skip_serializing)]
    pub source: Source,
    /// Whether a tip may begin with an empty template; by IPC only. Off, because the lab's devices
    /// find a block in the first job they get, and would leave the transactions waiting.
    #[serde(skip_serializing)]
    pub empty_first: bool,
    /// Satoshis of fees by which a new template must beat the last one.
    pub fee_threshold: u64,
    /// Seconds between templates that differ in fees only.
    pub min_interval: u64,
}

/// How a template provider asks its node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// By Bitcoin Core's mining interface, on a volume that both share.
    #[default]
    Ipc,
    /// By JSON-RPC, as any node can be asked.
    Rpc,
}

impl Default for TemplateProvider {
    fn default() -> Self {
        Self {
            node: "btc-node".to_owned(),
            source: Source::default(),
            empty_first: false,
            fee_threshold: 1000,
            min_interval: 5,
        }
    }
}

impl TemplateProvider {
    pub(crate) fn links(&self) -> Vec<Link<'_>> {
        vec![Link::new("node", &self.node, &["btc-node"])]
    }

    /// What of it would do nothing.
    pub(crate) fn problem(&self) -> Option<&'static str> {
        let is_vain = self.empty_first && self.source == Source::Rpc;
        is_vain.then_some("empty_first: only for source = \"ipc\"; set that, or leave this out")
    }
}

#[derive(Serialize)]
struct Config<'a> {
    #[serde(flatten)]
    server: ServerConfig<'a>,
    #[serde(flatten)]
    settings: &'a TemplateProvider,
    node: Node<'a>,
}

#[derive(Serialize)]
#[serde(tag = "source", rename_all = "lowercase")]
enum Node<'a> {
    Ipc {
        ipc_socket: PathBuf,
        empty_first: bool,
    },
    Rpc(RpcAccess<'a>),
}

/// The spec of a template provider.
pub fn spec(
    service: &Service,
    settings: &TemplateProvider,
    topology: &Topology,
    site: &Site<'_>,
) -> ServiceSpec {
    let address = site.subnet.host(service.host);
    let (node, volume) = match settings.source {
        Source::Ipc => {
            let volume = btc_node::ipc_volume(&settings.node, site.paths);
            let node = Node::Ipc {
                ipc_socket: btc_node::ipc_socket(&volume),
                empty_first: settings.empty_first,
            };
            (node, Some(volume))
        }
        Source::Rpc => {
            let access = RpcAccess::new(&service.name, &settings.node, topology, site);
            (Node::Rpc(access), None)
        }
    };
    let config = Config {
        server: ServerConfig::new(address, TDP_PORT, HTTP_PORT, site.secrets),
        settings,
        node,
    };
    let role = Role {
        service,
        program: "template-provider",
        address,
        ports: vec![Port::new("tdp", TDP_PORT)],
        http_port: HTTP_PORT,
    };
    let mut spec = role.spec(&config, site);
    spec.volumes.extend(volume);
    spec
}
