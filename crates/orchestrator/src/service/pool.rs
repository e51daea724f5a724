//! The mining pool.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{
    JobDeclaration, Port, Role, RpcAccess, ServerConfig, ServiceSpec, Site, TemplateAccess,
    VolumeRole,
};
use crate::topology::{Link, Service, Topology};

/// SV2 mining port.
pub const MINING_PORT: u16 = 34254;
/// Port of `/healthz` and `/metrics`.
pub const HTTP_PORT: u16 = 9090;

/// Settings of a pool, by the names of its own configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pool {
    /// Where its templates come from.
    #[serde(skip_serializing)]
    pub template_provider: String,
    /// The node that is asked what became of a block.
    #[serde(skip_serializing)]
    pub node: String,
    /// Written into the coinbase of every block.
    pub pool_signature: String,
    /// Shares that a channel is expected to send per minute.
    pub shares_per_minute: f64,
    /// Whether the pool adapts targets to the shares it sees. Off, because the lab's devices rest
    /// between shares, so their share rate says nothing about their hash rate.
    pub enable_vardiff: bool,
    /// Shares that one acknowledgement covers.
    pub share_batch_size: u32,
    /// Tells the extranonces of several pools apart.
    pub server_id: u8,
}

impl Default for Pool {
    fn default() -> Self {
        Self {
            template_provider: "template-provider".to_owned(),
            node: "btc-node".to_owned(),
            pool_signature: "/sv2-lab/".to_owned(),
            shares_per_minute: 6.0,
            enable_vardiff: false,
            share_batch_size: 10,
            server_id: 1,
        }
    }
}

impl Pool {
    pub(crate) fn links(&self) -> Vec<Link<'_>> {
        vec![
            Link::new(
                "template_provider",
                &self.template_provider,
                &["template-provider"],
            ),
            Link::new("node", &self.node, &["btc-node"]),
        ]
    }
}

#[derive(Serialize)]
struct Config<'a> {
    network: &'static str,
    #[serde(flatten)]
    server: ServerConfig<'a>,
    #[serde(flatten)]
    settings: &'a Pool,
    coinbase_reward_script: String,
    template_provider: TemplateAccess<'a>,
    node: RpcAccess<'a>,
    ledger: Ledger,
    #[serde(skip_serializing_if = "Option::is_none")]
    job_declaration: Option<JobDeclaration<'a>>,
}

#[derive(Serialize)]
struct Ledger {
    directory: PathBuf,
}

/// The spec of a pool.
pub fn spec(
    service: &Service,
    settings: &Pool,
    topology: &Topology,
    site: &Site<'_>,
) -> ServiceSpec {
    let address = site.subnet.host(service.host);
    let data = site
        .paths
        .volume(format!("{}-data", service.name), VolumeRole::Data);
    let config = Config {
        network: topology.network().to_core_arg(),
        server: ServerConfig::new(address, MINING_PORT, HTTP_PORT, site.secrets),
        settings,
        coinbase_reward_script: site.reward_script(),
        template_provider: TemplateAccess::new(
            &service.name,
            &settings.template_provider,
            topology,
            site,
        ),
        node: RpcAccess::reader(&service.name, &settings.node, topology, site),
        ledger: Ledger {
            directory: data.path.clone(),
        },
        // Whoever has its jobs declared nowhere may not choose them.
        job_declaration: topology.first("jds").map(|_| JobDeclaration::new(site)),
    };
    let role = Role {
        service,
        program: "pool",
        address,
        ports: vec![Port::new("mining", MINING_PORT)],
        http_port: HTTP_PORT,
    };
    let mut spec = role.spec(&config, site);
    spec.volumes.push(data);
    spec
}
