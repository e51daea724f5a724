//! The CPU miner that speaks Stratum V1: the mining device's program in its other language.

use std::net::SocketAddrV4;

use serde::{Deserialize, Serialize};

use super::relay::Speaks;
use super::translator::SV1_PORT;
use super::{Role, ServiceSpec, Site};
use crate::topology::{Link, Service, Topology};

/// Port of `/healthz`, `/metrics` and `/api/v1/mine`.
pub const HTTP_PORT: u16 = 9096;

/// Settings of a Stratum V1 miner, by the names of its own configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cpuminer {
    /// The translator it mines for.
    #[serde(skip_serializing)]
    pub translator: String,
    /// Account at the translator; the worker is the service's name.
    #[serde(skip_serializing)]
    pub user_identity: String,
    /// How many miners it is, each with a connection of its own.
    pub channels: u16,
    /// Threads that hash.
    pub threads: u16,
    /// Hashes per second it never exceeds; 0 for no limit.
    pub max_hashrate: f64,
    /// Difficulty it asks for.
    pub suggest_difficulty: f64,
    /// Seconds between shares, which paces blocks; 0 for no pause.
    pub share_interval: f64,
}

impl Default for Cpuminer {
    fn default() -> Self {
        Self {
            translator: "translator-proxy".to_owned(),
            user_identity: "farm".to_owned(),
            channels: 1,
            threads: 1,
            max_hashrate: 0.0,
            // A share costs 10 000 hashes, milliseconds for any CPU, as a mining device's does:
            // the pause alone decides how often a block comes.
            suggest_difficulty: 2.33e-6,
            share_interval: 10.0,
        }
    }
}

impl Cpuminer {
    pub(crate) fn links(&self) -> Vec<Link<'_>> {
        vec![Link::new("translator", &self.translator, &["translator"])]
    }
}

#[derive(Serialize)]
struct Config<'a> {
    sv1: String,
    user_identity: String,
    monitoring_address: SocketAddrV4,
    #[serde(flatten)]
    settings: &'a Cpuminer,
}

/// The spec of a Stratum V1 miner.
pub fn spec(
    service: &Service,
    settings: &Cpuminer,
    topology: &Topology,
    site: &Site<'_>,
) -> ServiceSpec {
    let address = site.subnet.host(service.host);
    let translator = &settings.translator;
    let server = SocketAddrV4::new(topology.address(translator, site.subnet), SV1_PORT);
    let server = site.reach(&service.name, translator, server, Speaks::Tcp);
    let config = Config {
        sv1: format!("stratum+tcp://{server}"),
        user_identity: format!("{}.{}", settings.user_identity, service.name),
        monitoring_address: SocketAddrV4::new(address, HTTP_PORT),
        settings,
    };
    let role = Role {
        service,
        program: "mining-device",
        address,
        ports: Vec::new(),
        http_port: HTTP_PORT,
    };
    role.spec(&config, site)
}
