//! Judging a SubmitSolution as far as that needs no node (SV2 7.7).

use bitcoin::consensus::deserialize;
use bitcoin::{BlockHash, Target, Transaction};
use protocol::message::template::SubmitSolution;

use crate::source::{Solution, Template};

/// The header bits that a miner may change (BIP-0323).
const ROLLING_BITS: u32 = 0x1fff_ffe0;

/// Why a solution is not given to the node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The id is none of ours.
    #[error("no template of this id was sent on this connection")]
    NeverSent,
    /// The tip changed too long ago, or too many templates have followed.
    #[error("the template was replaced too long ago")]
    Replaced,
    /// The node restarted and makes other blocks now.
    #[error("the node that made the template is gone")]
    NodeGone,
    /// The node has not answered the earlier ones yet.
    #[error("{unanswered} requests are with the node already")]
    TooMany {
        /// How many.
        unanswered: usize,
    },
    /// SV2 7.7: only the BIP-0323 bits may differ.
    #[error(
        "version 0x{version:08x} differs from the template's 0x{template:08x} outside the bits \
         0x1fffffe0 of BIP-0323"
    )]
    Version {
        /// As submitted.
        version: u32,
        /// As in NewTemplate.
        template: u32,
    },
    /// The bytes are no transaction.
    #[error("coinbase_tx is no transaction: {problem}")]
    Coinbase {
        /// What does not parse.
        problem: String,
    },
    /// Not enough work.
    #[error("hash {block_hash} is above the target")]
    HashAboveTarget {
        /// Of the header that the solution makes.
        block_hash: BlockHash,
    },
}

/// What is to be submitted, if the solution is one.
pub(super) fn judge(
    submitted: &SubmitSolution<'_>,
    template: &Template,
) -> Result<Solution, Refusal> {
    let version = submitted.version;
    if (version ^ template.version) & !ROLLING_BITS != 0 {
        return Err(Refusal::Version {
            version,
            template: template.version,
        });
    }
    let coinbase = submitted.coinbase_tx.as_bytes();
    let parsed: Transaction = deserialize(coinbase).map_err(|error| Refusal::Coinbase {
        problem: error.to_string(),
    })?;
    let header = template.header(
        parsed.compute_txid(),
        version,
        submitted.header_timestamp,
        submitted.header_nonce,
    );
    let block_hash = header.block_hash();
    // SV2 7.3: the target that was announced decides, not the one that nBits stands for.
    if !Target::from_le_bytes(template.target).is_met_by(block_hash) {
        return Err(Refusal::HashAboveTarget { block_hash });
    }
    Ok(Solution {
        template_id: submitted.template_id,
        block_hash,
        version,
        timestamp: submitted.header_timestamp,
        nonce: submitted.header_nonce,
        coinbase: coinbase.to_vec(),
    })
}
