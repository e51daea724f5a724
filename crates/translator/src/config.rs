//! The translator's configuration. Keys have SRI's names where they mean the same.

use std::net::SocketAddr;
use std::time::Duration;

use bitcoin::Network;
use daemon::accept::Limits;
use daemon::config::{Entry, Reader};
use daemon::dial::Upstream;
use daemon::{payout, policy};
use protocol::extension::Extensions;
use protocol::keys::AuthorityPublicKey;
use protocol::message::common::Protocol;
use protocol::payout::Payout;
use protocol::setup::REQUIRES_VERSION_ROLLING;

use crate::payout::Expected;
use crate::policy::Policy;
use crate::proxy::Terms;

/// The key all upstreams stand under.
const UPSTREAMS: &str = "upstreams";
/// The table of everything about difficulties.
const DIFFICULTY: &str = "downstream_difficulty_config";

/// What the role is told.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where miners connect.
    pub listen_address: SocketAddr,
    /// What a miner's connection may do.
    pub limits: Limits,
    /// Where health and metrics are served.
    pub monitoring_address: SocketAddr,
    /// Whether all miners share one channel.
    pub is_aggregated: bool,
    /// What is wanted of miners.
    pub policy: Policy,
    /// What is negotiated with upstreams.
    pub extensions: Extensions,
    /// Best first.
    pub(crate) upstreams: Vec<Server>,
}

/// An upstream.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    /// How it is dialled.
    pub(crate) upstream: Upstream,
    /// What it is told of us, and what is asked of it.
    pub(crate) terms: Terms,
}

impl Config {
    /// Takes everything out of `reader`; `None` when a problem was noted.
    pub(crate) fn read(reader: &mut Reader) -> Option<Self> {
        let listen_address = reader.parsed("listen_address");
        // A line of a miner is far shorter than a frame.
        let limits = Limits::read(
            reader,
            Limits {
                max_payload: 16 * 1024,
                max_unread: 1 << 20,
                ..Limits::default()
            },
        );
        let monitoring_address = reader.parsed("monitoring_address");
        let network = payout::network(reader);
        let verify_payout = reader.or("verify_payout", false);
        let is_aggregated = reader.or("aggregate_channels", true);
        let policy = read_policy(reader, &limits);
        let extensions = policy::read_extensions(reader);
        let upstreams = reader.entries(UPSTREAMS, false, |entry| {
            read_server(entry, verify_payout.then_some(network))
        });
        if upstreams.as_ref().is_some_and(Vec::is_empty) && reader.has(UPSTREAMS) {
            reader.problem(UPSTREAMS, "there is none; name one");
        }
        Some(Self {
            listen_address: listen_address?,
            limits,
            monitoring_address: monitoring_address?,
            is_aggregated,
            policy: policy?,
            extensions,
            upstreams: upstreams.filter(|upstreams| !upstreams.is_empty())?,
        })
    }
}

fn read_policy(reader: &mut Reader, limits: &Limits) -> Option<Policy> {
    let defaults = Policy::default();
    let key = |name: &str| format!("{DIFFICULTY}.{name}");
    let mut is_right = true;
    let mut positive = |reader: &mut Reader, name: &str, default: f64| {
        let key = key(name);
        let value: f64 = reader.or(&key, default);
        if !(value.is_finite() && value > 0.0) {
            reader.problem(&key, format!("{value}: must be above 0"));
            is_right = false;
        }
        value
    };
    let shares_per_minute = positive(reader, "shares_per_minute", defaults.shares_per_minute);
    let least_hash_rate = positive(
        reader,
        "min_individual_miner_hashrate",
        defaults.least_hash_rate,
    );
    let least = positive(reader, "min_difficulty", *defaults.wishes.start());
    let most = positive(reader, "max_difficulty", *defaults.wishes.end());
    if is_right && least > most {
        let what = format!("{least}: must not be above max_difficulty, {most}");
        reader.problem(&key("min_difficulty"), what);
        is_right = false;
    }
    let interval = key("job_keepalive_interval_secs");
    let keep_alive = defaults.keep_alive.map_or(0, |interval| interval.as_secs());
    let keep_alive = reader.within(&interval, keep_alive, 0..=3600);
    let policy = Policy {
        // What is fewer than two bytes is used up in a moment; what is more than eight old firmware
        // does not take.
        extranonce2_size: reader.within(
            "downstream_extranonce2_size",
            defaults.extranonce2_size,
            2..=8,
        ),
        shares_per_minute,
        vardiff: reader.or(&key("enable_vardiff"), defaults.vardiff),
        least_hash_rate,
        wishes: least..=most,
        keep_alive: (keep_alive > 0).then(|| Duration::from_secs(keep_alive)),
        max_jobs: reader.within("max_past_jobs", defaults.max_jobs, 1..=256),
        max_line: limits.max_payload,
    };
    is_right.then_some(policy)
}

/// `network` is that of the addresses whose payout is verified, if it is.
fn read_server(entry: &mut Entry<'_>, network: Option<Network>) -> Option<Server> {
    let authority = entry.parsed::<AuthorityPublicKey>("authority_pubkey");
    let address = entry.host_port("address", "port");
    let user_identity = entry.text("user_identity")?;
    let payout = match network.map(|network| Payout::parse(&user_identity, network)) {
        None => None,
        Some(Ok(payout)) => Expected::of(payout),
        Some(Err(error)) => {
            entry.problem("user_identity", error);
            return None;
        }
    };
    let mut upstream = Upstream::new(address?, authority?, Protocol::MiningProtocol, crate::NAME);
    upstream.request.flags = REQUIRES_VERSION_ROLLING;
    Some(Server {
        upstream,
        terms: Terms {
            user_identity,
            payout,
        },
    })
}

#[cfg(test)]
mod tests;
