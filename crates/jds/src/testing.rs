//! What the tables of several modules share.

use std::sync::Arc;

use bitcoin::absolute::LockTime;
use bitcoin::consensus::serialize;
use bitcoin::hashes::Hash;
use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, TxIn, TxOut, Txid, Witness, transaction};

use crate::transaction::Transaction;

/// A transaction with a witness, named by a number.
pub(crate) fn transaction(number: u32) -> Arc<Transaction> {
    let bytes = with_output(number, vec![0x51]);
    Arc::new(Transaction::parse(bytes).expect("just serialised"))
}

/// The same with another script for its output.
pub(crate) fn with_output(number: u32, script: Vec<u8>) -> Vec<u8> {
    serialize(&bitcoin::Transaction {
        version: transaction::Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: OutPoint::new(Txid::from_byte_array([7; 32]), number),
            script_sig: ScriptBuf::new(),
            sequence: Sequence::MAX,
            witness: Witness::from_slice(&[number.to_le_bytes()]),
        }],
        output: vec![TxOut {
            value: Amount::from_sat(1_000),
            script_pubkey: ScriptBuf::from(script),
        }],
    })
}
