//! Blocks made of templates.

use bitcoin::absolute::LockTime;
use bitcoin::block::{Header, Version};
use bitcoin::consensus::{Decodable, serialize};
use bitcoin::hashes::{Hash, sha256d};
use bitcoin::{
    Amount, BlockHash, CompactTarget, OutPoint, ScriptBuf, Sequence, Target, Transaction, TxIn,
    TxMerkleNode, TxOut, Txid, Witness, transaction,
};
use regtest::chain::address;
use template_provider::source::{Solution, Template};

/// A coinbase built literally from the fields of a template (SV2 7.2).
pub(crate) fn coinbase(template: &Template) -> Transaction {
    let mut script_sig = template.coinbase_prefix.clone();
    script_sig.extend(*b"extranonce");
    let mut output = vec![TxOut {
        value: Amount::from_sat(template.coinbase_tx_value_remaining),
        script_pubkey: address().script_pubkey(),
    }];
    let mut rest = template.coinbase_tx_outputs.as_slice();
    for _ in 0..template.coinbase_tx_outputs_count {
        output.push(TxOut::consensus_decode(&mut rest).unwrap());
    }
    assert!(rest.is_empty());
    Transaction {
        version: transaction::Version(template.coinbase_tx_version.cast_signed()),
        lock_time: LockTime::from_consensus(template.coinbase_tx_locktime),
        input: vec![TxIn {
            previous_output: OutPoint::null(),
            script_sig: ScriptBuf::from(script_sig),
            sequence: Sequence(template.coinbase_tx_input_sequence),
            witness: Witness::from_slice(&[[0; 32]]),
        }],
        output,
    }
}

/// Folds from the deepest hash (SV2 5.3.16).
pub(crate) fn merkle_root(coinbase: Txid, path: &[[u8; 32]]) -> TxMerkleNode {
    let root = path.iter().fold(coinbase.to_byte_array(), |left, right| {
        sha256d::Hash::hash(&[left, *right].concat()).to_byte_array()
    });
    TxMerkleNode::from_byte_array(root)
}

/// Mines a template with this coinbase.
pub(crate) fn solve(template: &Template, coinbase: &Transaction) -> Box<Solution> {
    let mut header = Header {
        version: Version::from_consensus(template.version.cast_signed()),
        prev_blockhash: BlockHash::from_byte_array(template.prev_hash),
        merkle_root: merkle_root(coinbase.compute_txid(), &template.merkle_path),
        time: template.header_timestamp,
        bits: CompactTarget::from_consensus(template.n_bits),
        nonce: 0,
    };
    let target = Target::from_le_bytes(template.target);
    while !target.is_met_by(header.block_hash()) {
        header.nonce += 1;
    }
    Box::new(Solution {
        template_id: 7,
        block_hash: header.block_hash(),
        version: template.version,
        timestamp: header.time,
        nonce: header.nonce,
        coinbase: serialize(coinbase),
    })
}
