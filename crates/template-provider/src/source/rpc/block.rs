//! What the node offers for the next block, and what of it one client gets.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bitcoin::consensus::{deserialize, encode, serialize};
use bitcoin::hashes::Hash;
use bitcoin::script::Builder;
use bitcoin::{Amount, BlockHash, CompactTarget, Target, Transaction, TxOut, Txid, VarInt, Wtxid};
use protocol::coinbase::{merkle_path, witness_commitment};
use protocol::selection::{Candidate, Room, Rules, select};

use crate::source::{Constraints, Solution, Template};

/// `nVersion`, `nSequence` and `nLockTime` of the coinbase are the client's to copy and ours to
/// choose (SV2 7.2). These are the node's own over IPC: the lock time makes coinbases unique
/// (BIP-0054), and only an input that is not final makes it count.
const COINBASE_VERSION: u32 = 2;
/// See [`COINBASE_VERSION`].
const COINBASE_SEQUENCE: u32 = 0xffff_fffe;

/// The node's answer to `getblocktemplate`.
#[derive(Debug)]
pub(super) struct NodeTemplate {
    /// The node's name for it: two answers of one id are one template.
    pub(super) id: String,
    pub(super) received: Instant,
    pub(super) version: u32,
    pub(super) prev_hash: BlockHash,
    pub(super) height: u32,
    /// Subsidy and the fees of all transactions.
    pub(super) coinbase_value: u64,
    pub(super) bits: CompactTarget,
    pub(super) time: u32,
    pub(super) limits: Room,
    pub(super) transactions: Vec<Entry>,
}

/// A transaction the node offers.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Shared by the templates that a transaction waits in.
    pub(super) data: Rc<[u8]>,
    pub(super) txid: Txid,
    pub(super) wtxid: Wtxid,
    pub(super) candidate: Candidate,
}

impl AsRef<Candidate> for Entry {
    fn as_ref(&self) -> &Candidate {
        &self.candidate
    }
}

/// A block without its coinbase, as one client gets it.
#[derive(Debug)]
pub(super) struct Block {
    node: Rc<NodeTemplate>,
    /// Places in the node's list, growing.
    kept: Vec<usize>,
    template: Template,
}

impl Block {
    /// Leaves a coinbase within these constraints its room.
    pub(super) fn new(node: Rc<NodeTemplate>, constraints: Constraints) -> Self {
        let room = Room {
            weight: node
                .limits
                .weight
                .saturating_sub(constraints.block_reserved_weight()),
            sigops: node
                .limits
                .sigops
                .saturating_sub(constraints.max_additional_sigops.into()),
        };
        let kept = select(&node.transactions, &Rules::fitting(room));
        let template = template(&node, &kept);
        Self {
            node,
            kept,
            template,
        }
    }

    pub(super) fn template(&self) -> &Template {
        &self.template
    }

    /// Serialised, in block order.
    pub(super) fn transactions(&self) -> impl Iterator<Item = &[u8]> {
        entries(&self.node, &self.kept).map(|entry| &*entry.data)
    }

    /// The whole block, serialised.
    pub(super) fn solved(&self, solution: &Solution) -> Result<Vec<u8>, encode::Error> {
        let coinbase: Transaction = deserialize(&solution.coinbase)?;
        let Solution {
            version,
            timestamp,
            nonce,
            ..
        } = *solution;
        let header = self
            .template
            .header(coinbase.compute_txid(), version, timestamp, nonce);
        let mut block = serialize(&header);
        block.extend(serialize(&VarInt::from(self.kept.len() + 1)));
        block.extend_from_slice(&solution.coinbase);
        for transaction in self.transactions() {
            block.extend_from_slice(transaction);
        }
        Ok(block)
    }
}

impl NodeTemplate {
    /// Holds no second copy of what an earlier template holds already: many templates of a tip are
    /// kept for the clients, and most of their transactions are the same.
    pub(super) fn share_data_with(&mut self, earlier: &Self) {
        let held: HashMap<Wtxid, &Rc<[u8]>> = earlier
            .transactions
            .iter()
            .map(|entry| (entry.wtxid, &entry.data))
            .collect();
        for entry in &mut self.transactions {
            if let Some(data) = held.get(&entry.wtxid) {
                entry.data = Rc::clone(data);
            }
        }
    }

    /// How long ago the node answered.
    pub(super) fn age(&self) -> Duration {
        self.received.elapsed()
    }
}

fn entries<'a>(node: &'a NodeTemplate, kept: &'a [usize]) -> impl Iterator<Item = &'a Entry> {
    kept.iter().map(|place| &node.transactions[*place])
}

fn template(node: &NodeTemplate, kept: &[usize]) -> Template {
    let all_fees: u64 = node
        .transactions
        .iter()
        .map(|entry| entry.candidate.fee)
        .sum();
    let fees: u64 = entries(node, kept).map(|entry| entry.candidate.fee).sum();
    let txids = entries(node, kept).map(|entry| entry.txid.to_byte_array());
    // Clients may ask long after the node has answered.
    let passed = u32::try_from(node.age().as_secs()).unwrap_or_default();
    Template {
        version: node.version,
        coinbase_tx_version: COINBASE_VERSION,
        coinbase_prefix: height_push(node.height),
        coinbase_tx_input_sequence: COINBASE_SEQUENCE,
        coinbase_tx_value_remaining: node.coinbase_value.saturating_sub(all_fees - fees),
        coinbase_tx_outputs_count: 1,
        coinbase_tx_outputs: serialize(&commitment(node, kept)),
        coinbase_tx_locktime: node.height.saturating_sub(1),
        merkle_path: merkle_path(txids),
        prev_hash: node.prev_hash.to_byte_array(),
        header_timestamp: node.time.saturating_add(passed),
        n_bits: node.bits.to_consensus(),
        target: Target::from_compact(node.bits).to_le_bytes(),
    }
}

/// The height as BIP-0034 wants it: in the fewest bytes that push it.
fn height_push(height: u32) -> Vec<u8> {
    Builder::new().push_int(height.into()).into_bytes()
}

/// The output that commits to the witnesses. The node makes one for every block, also without a
/// transaction that has any.
fn commitment(node: &NodeTemplate, kept: &[usize]) -> TxOut {
    let wtxids = entries(node, kept).map(|entry| entry.wtxid.to_byte_array());
    TxOut {
        value: Amount::ZERO,
        script_pubkey: witness_commitment(wtxids),
    }
}

#[cfg(test)]
mod tests;
