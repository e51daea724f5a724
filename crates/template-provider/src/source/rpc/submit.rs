//! A solution on its way to the node.

use bitcoin::BlockHash;
use bitcoin::hex::DisplayHex;
use daemon::node::{NodeError, NodeRpc};
use serde_json::json;

use super::block::Block;
use crate::source::{Solution, Verdict};

/// Submits the block that a solution makes, and finds out what became of it.
pub(super) async fn submit(node: &NodeRpc, block: &Block, solution: &Solution) -> Verdict {
    let block = match block.solved(solution) {
        Ok(block) => block.to_lower_hex_string(),
        Err(error) => {
            return Verdict::Rejected {
                reason: format!("the coinbase is no transaction: {error}"),
            };
        }
    };
    match judge(node, &block, solution.block_hash).await {
        Ok(verdict) => verdict,
        Err(NodeError::Rpc { message, .. }) => Verdict::Rejected { reason: message },
        Err(error) => Verdict::Unknown {
            reason: error.to_string(),
        },
    }
}

async fn judge(node: &NodeRpc, block: &str, hash: BlockHash) -> Result<Verdict, NodeError> {
    let answer: Option<String> = node.call("submitblock", json!([block])).await?;
    match answer.as_deref() {
        // BIP-0022: what the node has stored but not judged is a rival of its tip.
        None | Some("duplicate" | "inconclusive" | "duplicate-inconclusive") => {
            let tip: String = node.call("getbestblockhash", json!([])).await?;
            Ok(if tip == hash.to_string() {
                Verdict::Accepted
            } else {
                Verdict::NotTip
            })
        }
        Some(reason) => Ok(Verdict::Rejected {
            reason: reason.to_owned(),
        }),
    }
}
