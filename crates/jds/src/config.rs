//! The role's configuration.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use bitcoin::{Network, ScriptBuf};
use daemon::accept::{Limits, Listen};
use daemon::config::Reader;
use daemon::node::NodeRpc;
use daemon::{job_secret, payout};

use crate::core::{MAX_PAYOUT_SCRIPT, Policy};

const REWARD_SCRIPT: &str = "coinbase_reward_script";

/// A client costs a few blocks' worth of transactions at the most.
const DEFAULT_MAX_CONNECTIONS: u32 = 256;
/// Room for all transactions of a full block in one ProvideMissingTransactions.Success.
const DEFAULT_MAX_FRAME: usize = 5_000_000;
/// A client keeps tokens in reserve for as long as no new template comes: a day, to be safe.
const DEFAULT_TOKEN_LIFETIME: u64 = 86_400;
/// Seconds; from a minute to a month.
const TOKEN_LIFETIME: RangeInclusive<u64> = 60..=31 * 86_400;
/// Two a second, where a template a second is many.
const DEFAULT_TOKENS_PER_MINUTE: u32 = 120;
/// One for the newest template, and some that it overtook.
const DEFAULT_MAX_DECLARATIONS: usize = 4;
/// Seconds for a block's worth of transactions to arrive.
const DEFAULT_MISSING_TIMEOUT: u64 = 30;

/// All that can be set.
#[derive(Debug)]
pub struct Config {
    /// Where clients connect.
    pub listen: Listen,
    /// What a client's connection may do.
    pub limits: Limits,
    /// Where health, metrics and the newest declarations are served.
    pub monitoring_address: SocketAddr,
    /// What clients are held to.
    pub policy: Policy,
    /// Where transactions, tips and verdicts come from.
    pub node: NodeRpc,
}

impl Config {
    /// Takes the configuration out of `reader`; `None` when a problem was noted.
    pub(crate) fn read(reader: &mut Reader) -> Option<Self> {
        let listen = Listen::read(reader);
        let defaults = Limits {
            max_connections: DEFAULT_MAX_CONNECTIONS,
            max_payload: DEFAULT_MAX_FRAME,
            ..Limits::default()
        };
        let limits = Limits::read(reader, defaults);
        let monitoring_address = reader.parsed("monitoring_address");
        let policy = policy(reader, limits);
        let node = NodeRpc::read(reader);
        Some(Self {
            listen: listen?,
            limits,
            monitoring_address: monitoring_address?,
            policy: policy?,
            node: node?,
        })
    }
}

fn policy(reader: &mut Reader, limits: Limits) -> Option<Policy> {
    let network = payout::network(reader);
    let payout = payout(reader, network);
    let secret = job_secret::required(reader);
    let seconds = |seconds| Duration::from_secs(seconds);
    let lifetime = reader.within(
        "job_declaration.token_lifetime_sec",
        DEFAULT_TOKEN_LIFETIME,
        TOKEN_LIFETIME,
    );
    let tokens_per_minute = reader.within(
        "job_declaration.tokens_per_minute",
        DEFAULT_TOKENS_PER_MINUTE,
        1..=60_000,
    );
    let max_declarations = reader.within(
        "job_declaration.max_declarations",
        DEFAULT_MAX_DECLARATIONS,
        1..=64,
    );
    let missing_timeout = reader.within(
        "job_declaration.missing_timeout_sec",
        DEFAULT_MISSING_TIMEOUT,
        1..=3600,
    );
    Some(Policy {
        secret: secret?,
        payout: payout?,
        network,
        token_lifetime: seconds(lifetime),
        tokens_per_minute,
        max_declarations,
        missing_timeout: seconds(missing_timeout),
        idle: limits.idle,
    })
}

fn payout(reader: &mut Reader, network: Network) -> Option<ScriptBuf> {
    let script = payout::reward_script(reader, network)?;
    if script.len() > MAX_PAYOUT_SCRIPT {
        let len = script.len();
        let what =
            format!("a script of {len} bytes; nobody can spend more than {MAX_PAYOUT_SCRIPT}");
        reader.problem(REWARD_SCRIPT, what);
        return None;
    }
    Some(script)
}

#[cfg(test)]
mod tests;
