//! From the node's JSON to our types.

use std::fmt::Display;
use std::time::Instant;

use bitcoin::CompactTarget;
use bitcoin::hex::FromHex;
use corepc_types::v31::{BlockTemplateTransaction, GetBlockTemplate};
use daemon::node::NodeError;
use protocol::selection::{Candidate, Room};

use super::block::{Entry, NodeTemplate};

/// An answer that is JSON as expected but not Bitcoin.
pub(super) fn template(answer: GetBlockTemplate) -> Result<NodeTemplate, NodeError> {
    cut(answer).map_err(|reason| NodeError::Answer {
        method: "getblocktemplate".to_owned(),
        reason,
    })
}

fn cut(answer: GetBlockTemplate) -> Result<NodeTemplate, String> {
    let place_and_transaction = answer.transactions.into_iter().enumerate();
    let transactions: Result<Vec<_>, _> = place_and_transaction
        .map(|(place, transaction)| {
            entry(place, transaction).map_err(|problem| format!("transaction {place}: {problem}"))
        })
        .collect();
    Ok(NodeTemplate {
        id: answer.long_poll_id.ok_or("no longpollid")?,
        received: Instant::now(),
        version: answer.version.cast_unsigned(),
        prev_hash: answer
            .previous_block_hash
            .parse()
            .map_err(wrong("previousblockhash"))?,
        height: answer.height.try_into().map_err(wrong("height"))?,
        coinbase_value: answer
            .coinbase_value
            .try_into()
            .map_err(wrong("coinbasevalue"))?,
        bits: CompactTarget::from_unprefixed_hex(&answer.bits).map_err(wrong("bits"))?,
        time: answer.current_time.try_into().map_err(wrong("curtime"))?,
        limits: Room {
            weight: answer
                .weight_limit
                .try_into()
                .map_err(wrong("weightlimit"))?,
            sigops: answer.sigop_limit.try_into().map_err(wrong("sigoplimit"))?,
        },
        transactions: transactions?,
    })
}

fn entry(place: usize, transaction: BlockTemplateTransaction) -> Result<Entry, String> {
    // BIP-0022 counts from 1. What a transaction needs comes before it, or nothing could be cut
    // off the end of the list.
    let depends = transaction.depends.into_iter().map(|number| {
        let needed = usize::try_from(number).ok()?.checked_sub(1)?;
        (needed < place).then_some(needed)
    });
    Ok(Entry {
        data: Vec::from_hex(&transaction.data)
            .map_err(wrong("data"))?
            .into(),
        txid: transaction.txid.parse().map_err(wrong("txid"))?,
        wtxid: transaction.hash.parse().map_err(wrong("hash"))?,
        candidate: Candidate {
            depends: depends
                .collect::<Option<_>>()
                .ok_or("depends on one that does not come before it")?,
            fee: transaction.fee.try_into().map_err(wrong("fee"))?,
            needs: Room {
                weight: transaction.weight,
                sigops: transaction.sigops.try_into().map_err(wrong("sigops"))?,
            },
        },
    })
}

fn wrong<E: Display>(field: &'static str) -> impl Fn(E) -> String {
    move |error| format!("{field}: {error}")
}

#[cfg(test)]
mod tests;
