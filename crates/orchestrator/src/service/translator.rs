//! The translator proxy, which lets miners that speak Stratum V1 in.

use std::net::{Ipv4Addr, SocketAddrV4};

use serde::{Deserialize, Serialize};

use super::relay::Speaks;
use super::{Port, Role, ServiceSpec, Site};
use crate::topology::{Link, Service, Topology};

/// Stratum V1 port.
pub const SV1_PORT: u16 = 34255;
/// Port of `/healthz` and `/metrics`.
pub const HTTP_PORT: u16 = 9092;

/// Settings of a translator, by the names of its own configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Translator {
    /// The job declarator clients and pools it works for, best first.
    #[serde(skip_serializing)]
    pub upstreams: Vec<String>,
    /// Account at all of them.
    #[serde(skip_serializing)]
    pub user_identity: String,
    /// Whether all miners share one channel.
    pub aggregate_channels: bool,
    /// Everything about difficulties.
    pub downstream_difficulty_config: Difficulty,
}

/// What the shares of miners are to be like.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Difficulty {
    /// Hashes per second of a miner of which nothing is known.
    pub min_individual_miner_hashrate: f64,
    /// Shares that a miner is expected to send per minute.
    pub shares_per_minute: f64,
    /// Whether it adapts difficulties to the shares it sees. Off, as the pool's.
    pub enable_vardiff: bool,
}

impl Default for Translator {
    fn default() -> Self {
        Self {
            upstreams: vec!["jdc".to_owned()],
            user_identity: "farm".to_owned(),
            aggregate_channels: true,
            downstream_difficulty_config: Difficulty::default(),
        }
    }
}

impl Default for Difficulty {
    fn default() -> Self {
        Self {
            // A share costs 10 000 hashes, milliseconds for any CPU, as a mining device's does.
            min_individual_miner_hashrate: 1000.0,
            shares_per_minute: 6.0,
            enable_vardiff: false,
        }
    }
}

impl Translator {
    pub(crate) fn links(&self) -> Vec<Link<'_>> {
        let link = |name| Link::new("upstreams", name, &["jdc", "pool"]);
        self.upstreams.iter().map(|name| link(name)).collect()
    }
}

#[derive(Serialize)]
struct Config<'a> {
    network: &'static str,
    listen_address: SocketAddrV4,
    monitoring_address: SocketAddrV4,
    #[serde(flatten)]
    settings: &'a Translator,
    upstreams: Vec<Upstream<'a>>,
}

#[derive(Serialize)]
struct Upstream<'a> {
    address: Ipv4Addr,
    port: u16,
    authority_pubkey: &'a str,
    user_identity: &'a str,
}

/// The spec of a translator.
pub fn spec(
    service: &Service,
    settings: &Translator,
    topology: &Topology,
    site: &Site<'_>,
) -> ServiceSpec {
    let address = site.subnet.host(service.host);
    let upstream = |name: &String| {
        let server = topology.mining_address(name, site.subnet);
        let socket = site.reach(&service.name, name, server, Speaks::Sv2);
        Upstream {
            address: *socket.ip(),
            port: socket.port(),
            authority_pubkey: &site.secrets.authority_public_key,
            user_identity: &settings.user_identity,
        }
    };
    let config = Config {
        network: topology.network().to_core_arg(),
        listen_address: SocketAddrV4::new(address, SV1_PORT),
        monitoring_address: SocketAddrV4::new(address, HTTP_PORT),
        settings,
        upstreams: settings.upstreams.iter().map(upstream).collect(),
    };
    let role = Role {
        service,
        program: "translator",
        address,
        ports: vec![Port::new("sv1", SV1_PORT)],
        http_port: HTTP_PORT,
    };
    role.spec(&config, site)
}
