//! The job declarator server.

use serde::{Deserialize, Serialize};

use super::{JobDeclaration, Port, Role, RpcAccess, ServerConfig, ServiceSpec, Site};
use crate::topology::{Link, Service, Topology};

/// SV2 job declaration port.
pub const DECLARATION_PORT: u16 = 34264;
/// Port of `/healthz` and `/metrics`.
pub const HTTP_PORT: u16 = 9093;

/// Settings of a job declarator server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Jds {
    /// The node that judges declared jobs.
    pub node: String,
}

impl Default for Jds {
    fn default() -> Self {
        Self {
            node: "btc-node".to_owned(),
        }
    }
}

impl Jds {
    pub(crate) fn links(&self) -> Vec<Link<'_>> {
        vec![Link::new("node", &self.node, &["btc-node"])]
    }
}

#[derive(Serialize)]
struct Config<'a> {
    network: &'static str,
    #[serde(flatten)]
    server: ServerConfig<'a>,
    coinbase_reward_script: String,
    node: RpcAccess<'a>,
    job_declaration: JobDeclaration<'a>,
}

/// The spec of a job declarator server.
pub fn spec(
    service: &Service,
    settings: &Jds,
    topology: &Topology,
    site: &Site<'_>,
) -> ServiceSpec {
    let address = site.subnet.host(service.host);
    let config = Config {
        network: topology.network().to_core_arg(),
        server: ServerConfig::new(address, DECLARATION_PORT, HTTP_PORT, site.secrets),
        coinbase_reward_script: site.reward_script(),
        node: RpcAccess::new(&service.name, &settings.node, topology, site),
        job_declaration: JobDeclaration::new(site),
    };
    let role = Role {
        service,
        program: "jds",
        address,
        ports: vec![Port::new("declaration", DECLARATION_PORT)],
        http_port: HTTP_PORT,
    };
    role.spec(&config, site)
}
