//! The pool's configuration. Keys have SRI's names where they mean the same.

use std::net::SocketAddr;
use std::time::Duration;

use bitcoin::Network;
use daemon::accept::{Limits, Listen};
use daemon::config::Reader;
use daemon::dial::Upstream;
use daemon::node::NodeRpc;
use daemon::{job_secret, payout};
use ledger::Settings;
use protocol::coinbase::CoinbasePlan;
use protocol::message::common::Protocol;
use protocol::server::{Acknowledge, Policy};

use crate::extranonce;

/// After this time a share goes to the ledger, however few they are. The ledger gathers others for
/// up to 50 ms, and the disk has a tenth of a second left to keep the acknowledgement within one.
const ACK_DELAY: Duration = Duration::from_millis(850);

/// What the pool is told.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where miners connect.
    pub listen: Listen,
    /// What a miner's connection may do.
    pub limits: Limits,
    /// Where health and metrics are served.
    pub monitoring_address: SocketAddr,
    /// Channels that have metrics of their own.
    pub max_channel_series: usize,
    /// Tells several pool servers on one template apart.
    pub server_id: u8,
    /// Whom blocks pay and what they say.
    pub plan: CoinbasePlan,
    /// What is wanted of miners.
    pub policy: Policy,
    /// The template provider.
    pub upstream: Upstream,
    /// The node that is asked for the fate of blocks, if one is configured.
    pub node: Option<NodeRpc>,
    /// Where shares and blocks are recorded.
    pub ledger: Settings,
}

impl Config {
    /// Takes everything out of `reader`; `None` when a problem was noted.
    pub(crate) fn read(reader: &mut Reader) -> Option<Self> {
        let listen = Listen::read(reader);
        let limits = Limits::read(reader, Limits::default());
        let monitoring_address = reader.parsed("monitoring_address");
        let max_channel_series = reader.or("max_channel_series", 1000);
        let server_id = reader.or("server_id", 0);
        let network = payout::network(reader);
        let plan = read_plan(reader, network);
        let policy = Policy {
            acknowledge: Acknowledge::Recorded,
            ack_delay: ACK_DELAY,
            job_declaration: job_secret::optional(reader),
            ..daemon::policy::read(reader, network, limits)
        };
        let upstream = read_upstream(reader);
        let ledger = Settings::read(reader);
        let node = match reader.has("node") {
            true => Some(NodeRpc::read(reader)?),
            false => None,
        };
        Some(Self {
            listen: listen?,
            limits,
            monitoring_address: monitoring_address?,
            max_channel_series,
            server_id,
            plan: plan?,
            policy,
            upstream: upstream?,
            node,
            ledger,
        })
    }
}

fn read_plan(reader: &mut Reader, network: Network) -> Option<CoinbasePlan> {
    let script = payout::reward_script(reader, network);
    let signature = reader.required::<String>("pool_signature");
    let plan = CoinbasePlan {
        reward_script: script?,
        signature: signature.into_bytes(),
        extranonce_len: extranonce::len(),
    };
    if let Err(error) = plan.check() {
        reader.problem("pool_signature", error);
        return None;
    }
    Some(plan)
}

fn read_upstream(reader: &mut Reader) -> Option<Upstream> {
    let address = reader.parsed("template_provider.address");
    let authority = reader.parsed("template_provider.public_key");
    let protocol = Protocol::TemplateDistributionProtocol;
    Some(Upstream::new(address?, authority?, protocol, "pool"))
}

#[cfg(test)]
mod tests;
