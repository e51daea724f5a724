//! The job declarator client's configuration. Keys have SRI's names where they mean the same.

mod outputs;
mod selection;
mod upstreams;

use std::net::SocketAddr;

use bitcoin::Network;
use clap::Args;
use daemon::accept::{Limits, Listen};
use daemon::config::Reader;
use daemon::dial::Upstream;
use daemon::node::NodeRpc;
use daemon::payout;
use daemon::telemetry::Tap;
use protocol::coinbase::CoinbasePlan;
use protocol::frame::MAX_PAYLOAD;
use protocol::message::common::Protocol;
use protocol::server::Policy;

use crate::declarator::{CoinbaseKit, LOCAL_EXTRANONCE, MAX_SIGNATURE, Mode, Selection};

pub(crate) use upstreams::Pair;

/// What can be said on the command line.
#[derive(Debug, Clone, Default, Args)]
pub struct Options {
    /// Show links, template, declared jobs, miners and log in the terminal; q ends the role.
    #[arg(long)]
    pub tui: bool,
}

/// What the role is told.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where miners connect.
    pub listen: Listen,
    /// What a miner's connection may do.
    pub limits: Limits,
    /// Where health and metrics are served.
    pub monitoring_address: SocketAddr,
    /// Whose blocks these are.
    pub(crate) network: Network,
    /// Where a view in the terminal gets the log, if there is to be one.
    pub(crate) tap: Option<Tap>,
    /// What is declared.
    pub(crate) mode: Mode,
    /// What all coinbases have in common.
    pub(crate) kit: CoinbaseKit,
    /// Which transactions are wanted.
    pub(crate) selection: Selection,
    /// The miner's own node, if there is anything to choose.
    pub(crate) node: Option<NodeRpc>,
    /// What is wanted of miners.
    pub policy: Policy,
    /// The template provider.
    pub provider: Upstream,
    /// Pools with their job declarator servers, best first.
    pub(crate) upstreams: Vec<Pair>,
}

impl Config {
    /// Takes everything out of `reader`; `None` when a problem was noted.
    pub(crate) fn read(options: &Options, reader: &mut Reader) -> Option<Self> {
        let tap = read_tap(options, reader);
        let listen = Listen::read(reader);
        let limits = Limits::read(reader, Limits::default());
        let monitoring_address = reader.parsed("monitoring_address");
        let mode = read_mode(reader);
        let network = payout::network(reader);
        let kit = read_kit(reader, network);
        let selection = selection::read(reader, network);
        let policy = Policy {
            // Whom a custom job pays is the upstream's to say, and solo work pays its owner.
            network: None,
            ..daemon::policy::read(reader, network, limits)
        };
        let provider = read_provider(reader);
        let upstreams = read_upstreams(reader, mode);
        let (selection, node) = selection?;
        Some(Self {
            listen: listen?,
            limits,
            monitoring_address: monitoring_address?,
            network,
            tap: tap?,
            mode: mode?,
            kit: kit?,
            selection,
            node,
            policy,
            provider: provider?,
            upstreams: upstreams?,
        })
    }

    /// For the client of the template provider: what it builds is solo work.
    pub(crate) fn solo_plan(&self) -> CoinbasePlan {
        CoinbasePlan {
            reward_script: self.kit.reward_script.clone(),
            signature: self.kit.signature.clone(),
            extranonce_len: LOCAL_EXTRANONCE,
        }
    }
}

/// `None` when there is no terminal to show anything in.
fn read_tap(options: &Options, reader: &mut Reader) -> Option<Option<Tap>> {
    if options.tui && !terminal::screen::is_there() {
        let what = "standard output is no terminal; run it in one, or without --tui";
        reader.problem("--tui", what);
        return None;
    }
    Some(options.tui.then(Tap::default))
}

fn read_mode(reader: &mut Reader) -> Option<Mode> {
    let name = reader.or("mode", "full-template".to_owned());
    // SRI writes them in capitals, without hyphens.
    match name.to_lowercase().replace('-', "").as_str() {
        "fulltemplate" => Some(Mode::FullTemplate),
        "coinbaseonly" => Some(Mode::CoinbaseOnly),
        "solo" | "solomining" => Some(Mode::Solo),
        _ => {
            let what = format!("{name:?}: expected full-template, coinbase-only or solo");
            reader.problem("mode", what);
            None
        }
    }
}

/// Solo mode may keep the section, for later, and dials none of them.
fn read_upstreams(reader: &mut Reader, mode: Option<Mode>) -> Option<Vec<Pair>> {
    let is_solo = mode == Some(Mode::Solo);
    if is_solo && !reader.has(upstreams::KEY) {
        return Some(Vec::new());
    }
    let pairs = upstreams::read(reader, mode.unwrap_or(Mode::FullTemplate))?;
    if is_solo {
        return Some(Vec::new());
    }
    if pairs.is_empty() {
        // A section that is missing is a problem already.
        if reader.has(upstreams::KEY) {
            let what = "there is none; name one, or set the mode to solo";
            reader.problem(upstreams::KEY, what);
        }
        return None;
    }
    Some(pairs)
}

fn read_kit(reader: &mut Reader, network: Network) -> Option<CoinbaseKit> {
    const SIGNATURE: &str = "jdc_signature";
    let reward_script = payout::reward_script(reader, network);
    let outputs = outputs::read(reader, network);
    let signature = reader.or(SIGNATURE, String::new()).into_bytes();
    let found = signature.len();
    if found > MAX_SIGNATURE {
        let what =
            format!("{found} bytes are too long for a coinbase; at most {MAX_SIGNATURE} fit");
        reader.problem(SIGNATURE, what);
        return None;
    }
    Some(CoinbaseKit {
        reward_script: reward_script?,
        signature,
        outputs: outputs?,
    })
}

fn read_provider(reader: &mut Reader) -> Option<Upstream> {
    let address = reader.parsed("template_provider.address");
    let authority = reader.parsed("template_provider.public_key");
    let protocol = Protocol::TemplateDistributionProtocol;
    Some(Upstream {
        // All transactions of a block come in one message.
        max_payload: MAX_PAYLOAD,
        ..Upstream::new(address?, authority?, protocol, crate::NAME)
    })
}

#[cfg(test)]
pub(crate) mod tests;
