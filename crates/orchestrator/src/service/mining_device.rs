//! The CPU miner that speaks SV2.

use std::net::SocketAddrV4;

use serde::{Deserialize, Serialize};

use super::relay::Speaks;
use super::{Restart, Role, ServiceSpec, Site};
use crate::topology::{Link, Service, Topology};

/// Port of `/healthz`, `/metrics` and `/api/v1/mine`.
pub const HTTP_PORT: u16 = 9095;

/// Settings of a mining device, by the names of its own configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MiningDevice {
    /// The pool, or the job declarator client, it mines for.
    #[serde(skip_serializing)]
    pub pool: String,
    /// Account at the pool.
    pub user_identity: String,
    /// Name of this device.
    pub device_id: String,
    /// Kind of channel it opens.
    pub channel: Channel,
    /// How many channels it has on its connection.
    pub channels: u16,
    /// Threads that hash.
    pub threads: u16,
    /// Hashes per second it declares to the pool.
    pub nominal_hashrate: f64,
    /// Hashes per second it never exceeds; 0 for no limit.
    pub max_hashrate: f64,
    /// Seconds between shares, which paces blocks; 0 for no pause.
    pub share_interval: f64,
    /// Blocks after which it ends; 0 for never.
    pub until_blocks: u64,
}

/// Kind of mining channel (SV2 5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    /// Header-only mining.
    Standard,
    /// The device rolls the extranonce itself.
    Extended,
}

impl Default for MiningDevice {
    fn default() -> Self {
        Self {
            pool: "pool".to_owned(),
            user_identity: "lab".to_owned(),
            device_id: "mining-device".to_owned(),
            channel: Channel::Standard,
            channels: 1,
            threads: 1,
            // At 6 shares a minute this makes a share cost 10 000 hashes: milliseconds for any
            // CPU, so that the pause alone decides how often a block comes.
            nominal_hashrate: 1000.0,
            max_hashrate: 0.0,
            share_interval: 10.0,
            until_blocks: 0,
        }
    }
}

impl MiningDevice {
    pub(crate) fn links(&self) -> Vec<Link<'_>> {
        vec![Link::new("pool", &self.pool, &["pool", "jdc"])]
    }
}

#[derive(Serialize)]
struct Config<'a> {
    pool_address: SocketAddrV4,
    pool_public_key: &'a str,
    monitoring_address: SocketAddrV4,
    #[serde(flatten)]
    settings: &'a MiningDevice,
}

/// The spec of a mining device.
pub fn spec(
    service: &Service,
    settings: &MiningDevice,
    topology: &Topology,
    site: &Site<'_>,
) -> ServiceSpec {
    let address = site.subnet.host(service.host);
    let config = Config {
        pool_address: site.reach(
            &service.name,
            &settings.pool,
            topology.mining_address(&settings.pool, site.subnet),
            Speaks::Sv2,
        ),
        pool_public_key: &site.secrets.authority_public_key,
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
    let mut spec = role.spec(&config, site);
    if settings.until_blocks > 0 {
        spec.restart = Restart::OnFailure;
    }
    spec
}
