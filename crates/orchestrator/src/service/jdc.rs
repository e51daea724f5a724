//! The job declarator client.

mod wish;

use std::net::{Ipv4Addr, SocketAddrV4};

use serde::{Deserialize, Serialize};

use super::relay::Speaks;
use super::{Port, Role, RpcAccess, ServerConfig, ServiceSpec, Site, TemplateAccess, jds, pool};
use crate::topology::{Link, Service, Topology};

pub use wish::{CoinbaseOutput, Selection};

/// SV2 mining port.
pub const MINING_PORT: u16 = 34265;
/// Port of `/healthz` and `/metrics`.
pub const HTTP_PORT: u16 = 9091;

/// Settings of a job declarator client, by the names of its own configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Jdc {
    /// Where its templates come from.
    #[serde(skip_serializing)]
    pub template_provider: String,
    /// Whom it mines for, best first.
    #[serde(skip_serializing)]
    pub upstreams: Vec<Upstream>,
    /// What it declares.
    pub mode: Mode,
    /// Written into the coinbase of every block.
    pub jdc_signature: String,
    /// Shares that a channel is expected to send per minute.
    pub shares_per_minute: f64,
    /// Whether it adapts targets to the shares it sees. Off, as the pool's.
    pub enable_vardiff: bool,
    /// Shares that one acknowledgement covers.
    pub share_batch_size: u32,
    /// What else stands in its coinbases.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub coinbase_outputs: Vec<CoinbaseOutput>,
    /// Which transactions it wants; all of them without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selection: Option<Selection>,
    /// The node that tells what transactions pay, and takes blocks of chosen ones.
    #[serde(skip_serializing)]
    pub node: String,
}

/// A pool with its job declarator server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Upstream {
    /// The pool that takes the jobs.
    pub pool: String,
    /// Where they are declared.
    pub jds: String,
    /// Account at both.
    pub user_identity: String,
}

/// What is declared (SV2 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Coinbase and transactions.
    FullTemplate,
    /// The coinbase.
    CoinbaseOnly,
    /// Nothing: every block is the client's own.
    Solo,
}

impl Default for Jdc {
    fn default() -> Self {
        Self {
            template_provider: "template-provider".to_owned(),
            upstreams: vec![Upstream::default()],
            mode: Mode::FullTemplate,
            jdc_signature: String::new(),
            shares_per_minute: 6.0,
            enable_vardiff: false,
            share_batch_size: 10,
            coinbase_outputs: Vec::new(),
            selection: None,
            node: "btc-node".to_owned(),
        }
    }
}

impl Default for Upstream {
    fn default() -> Self {
        Self {
            pool: "pool".to_owned(),
            jds: "jds".to_owned(),
            user_identity: "lab".to_owned(),
        }
    }
}

impl Jdc {
    pub(crate) fn links(&self) -> Vec<Link<'_>> {
        let provider = &self.template_provider;
        let mut links = vec![Link::new(
            "template_provider",
            provider,
            &["template-provider"],
        )];
        for upstream in self.used() {
            links.push(Link::new("upstreams.pool", &upstream.pool, &["pool"]));
            links.push(Link::new("upstreams.jds", &upstream.jds, &["jds"]));
        }
        if self.selection.is_some() {
            links.push(Link::new("node", &self.node, &["btc-node"]));
        }
        links
    }

    /// What of its wishes cannot be fulfilled, each with its key.
    pub(crate) fn problems(&self) -> Vec<String> {
        let selection = self.selection.iter().flat_map(Selection::problems);
        selection
            .chain(wish::output_problems(&self.coinbase_outputs))
            .collect()
    }

    /// Solo mining needs none, and then none has to be there.
    pub(crate) fn used(&self) -> &[Upstream] {
        match self.mode {
            Mode::FullTemplate | Mode::CoinbaseOnly => &self.upstreams,
            Mode::Solo => &[],
        }
    }
}

#[derive(Serialize)]
struct Config<'a> {
    network: &'static str,
    #[serde(flatten)]
    server: ServerConfig<'a>,
    #[serde(flatten)]
    settings: &'a Jdc,
    coinbase_reward_script: String,
    template_provider: TemplateAccess<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<RpcAccess<'a>>,
    upstreams: Vec<Pair<'a>>,
}

#[derive(Serialize)]
struct Pair<'a> {
    authority_pubkey: &'a str,
    pool_address: Ipv4Addr,
    pool_port: u16,
    jds_address: Ipv4Addr,
    jds_port: u16,
    user_identity: &'a str,
}

impl<'a> Pair<'a> {
    fn new(client: &str, upstream: &'a Upstream, topology: &Topology, site: &Site<'a>) -> Self {
        let reach = |server: &str, port| {
            let address = SocketAddrV4::new(topology.address(server, site.subnet), port);
            site.reach(client, server, address, Speaks::Sv2)
        };
        let pool = reach(&upstream.pool, pool::MINING_PORT);
        let jds = reach(&upstream.jds, jds::DECLARATION_PORT);
        Self {
            authority_pubkey: &site.secrets.authority_public_key,
            pool_address: *pool.ip(),
            pool_port: pool.port(),
            jds_address: *jds.ip(),
            jds_port: jds.port(),
            user_identity: &upstream.user_identity,
        }
    }
}

/// The spec of a job declarator client.
pub fn spec(
    service: &Service,
    settings: &Jdc,
    topology: &Topology,
    site: &Site<'_>,
) -> ServiceSpec {
    let address = site.subnet.host(service.host);
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
        node: settings
            .selection
            .as_ref()
            .map(|_| RpcAccess::new(&service.name, &settings.node, topology, site)),
        upstreams: settings
            .used()
            .iter()
            .map(|upstream| Pair::new(&service.name, upstream, topology, site))
            .collect(),
    };
    let role = Role {
        service,
        program: "jdc",
        address,
        ports: vec![Port::new("mining", MINING_PORT)],
        http_port: HTTP_PORT,
    };
    role.spec(&config, site)
}
