//! `[selection]`: which transactions the miner wants in its blocks, and the node that knows what
//! they pay.

use std::collections::BTreeSet;

use bitcoin::{FeeRate, Network, Txid};
use daemon::config::Reader;
use daemon::node::NodeRpc;

use crate::declarator::{MAX_BLOCK_WEIGHT, Selection};

const MIN_FEE_RATE: &str = "selection.min_fee_rate";
const MAX_WEIGHT: &str = "selection.max_weight";
const PINNED: &str = "selection.pinned";
const BANNED: &str = "selection.banned";

/// Satoshis for a virtual byte; more was never paid.
const HIGHEST_RATE: f64 = 1_000_000.0;
/// Header, a coinbase and a transaction or two.
const LEAST_WEIGHT: u64 = 10_000;
/// Names of one list; each template is compared with all of them.
const MAX_LISTED: usize = 10_000;

/// The miner's choice, and the node if there is one; `None` when a problem was noted.
pub(super) fn read(reader: &mut Reader, network: Network) -> Option<(Selection, Option<NodeRpc>)> {
    let rate = reader.within(MIN_FEE_RATE, 0.0, 0.0..=HIGHEST_RATE);
    let max_weight = reader.within(
        MAX_WEIGHT,
        MAX_BLOCK_WEIGHT,
        LEAST_WEIGHT..=MAX_BLOCK_WEIGHT,
    );
    let pinned = txids(reader, PINNED);
    let banned = txids(reader, BANNED);
    for txid in pinned.iter().flatten() {
        if banned.iter().flatten().any(|banned| banned == txid) {
            reader.problem(PINNED, format!("{txid} is banned as well"));
        }
    }
    let has_node = reader.has("node");
    let node = match has_node {
        true => NodeRpc::read(reader).map(Some),
        false => Some(None),
    };
    let selection = Selection {
        network,
        // A thousand weight units are 250 virtual bytes.
        min_fee_rate: FeeRate::from_sat_per_kwu((rate * 250.0).ceil() as u64),
        max_weight,
        pinned: pinned?,
        banned: banned?,
    };
    if !selection.is_all() && !has_node {
        let what = "missing: whoever chooses transactions needs a node that tells what they pay \
                    and takes the blocks";
        reader.problem("node", what);
        return None;
    }
    Some((selection, node?))
}

fn txids(reader: &mut Reader, key: &str) -> Option<BTreeSet<Txid>> {
    let names = reader.or(key, Vec::<String>::new());
    if names.len() > MAX_LISTED {
        let what = format!("{} transactions; at most {MAX_LISTED}", names.len());
        reader.problem(key, what);
        return None;
    }
    let mut txids = BTreeSet::new();
    let mut are_good = true;
    for name in names {
        match name.parse() {
            Ok(txid) => drop(txids.insert(txid)),
            Err(error) => {
                reader.problem(key, format!("{name:?}: expected a txid: {error}"));
                are_good = false;
            }
        }
    }
    are_good.then_some(txids)
}
