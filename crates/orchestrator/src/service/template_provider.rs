//! The Template Distribution Protocol server in front of a node.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Port, Role, ServerConfig, ServiceSpec, Site, btc_node};
use crate::topology::{Link, Service};

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
    /// Satoshis of fees by which a new template must beat the last one.
    pub fee_threshold: u64,
    /// Seconds between templates that differ in fees only.
    pub min_interval: u64,
}

impl Default for TemplateProvider {
    fn default() -> Self {
        Self {
            node: "btc-node".to_owned(),
            fee_threshold: 1000,
            min_interval: 5,
        }
    }
}

impl TemplateProvider {
    pub(crate) fn links(&self) -> Vec<Link<'_>> {
        vec![Link::new("node", &self.node, "btc-node")]
    }
}

#[derive(Serialize)]
struct Config<'a> {
    #[serde(flatten)]
    server: ServerConfig<'a>,
    #[serde(flatten)]
    settings: &'a TemplateProvider,
    node: Node,
}

#[derive(Serialize)]
struct Node {
    ipc_socket: PathBuf,
}

/// The spec of a template provider.
pub fn spec(service: &Service, settings: &TemplateProvider, site: &Site<'_>) -> ServiceSpec {
    let address = site.subnet.host(service.host);
    let ipc = btc_node::ipc_volume(&settings.node, site.paths);
    let config = Config {
        server: ServerConfig::new(address, TDP_PORT, HTTP_PORT, site.secrets),
        settings,
        node: Node {
            ipc_socket: ipc.path.join("node.sock"),
        },
    };
    let role = Role {
        service,
        program: "template-provider",
        address,
        ports: vec![Port::new("tdp", TDP_PORT)],
        http_port: HTTP_PORT,
    };
    let mut spec = role.spec(&config, site);
    spec.volumes.push(ipc);
    spec
}
