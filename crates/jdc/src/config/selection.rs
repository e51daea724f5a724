//! `[selection]`: which transactions the miner wants in its blocks, and the node that knows what
//! they pay.

use std::collections::BTreeSet;

use bitcoin::{FeeRate, Network, Txid};
use daemon::config::Reader;
use daemon::node::NodeRpc;
use protocol::selection::wish::{self, FEE_RATES, WEIGHTS};

use crate::declarator::Selection;

const MIN_FEE_RATE: &str = "selection.min_fee_rate";
const MAX_WEIGHT: &str = "selection.max_weight";
const PINNED: &str = "selection.pinned";
const BANNED: &str = "selection.banned";

/// The miner's choice, and the node if there is one; `None` when a problem was noted.
pub(super) fn read(reader: &mut Reader, network: Network) -> Option<(Selection, Option<NodeRpc>)> {
    let rate = reader.within(MIN_FEE_RATE, 0.0, FEE_RATES);
    let max_weight = reader.within(MAX_WEIGHT, *WEIGHTS.end(), WEIGHTS);
    let pinned = txids(reader, PINNED);
    let banned = txids(reader, BANNED);
    if let (Some(pinned), Some(banned)) = (&pinned, &banned) {
        for problem in wish::contradictions(pinned, banned) {
            reader.problem(PINNED, problem);
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
    match wish::txids(&names) {
        Ok(txids) => Some(txids),
        Err(problems) => {
            for problem in problems {
                reader.problem(key, problem);
            }
            None
        }
    }
}
