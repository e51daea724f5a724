//! A transaction as it travels: its bytes, and the two hashes it is known by.

use std::sync::Arc;

use bitcoin::consensus::deserialize;
use bitcoin::hashes::Hash;
use protocol::coinbase::sha256d;

/// Bytes that are no transaction.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a transaction: {0}")]
pub struct NotATransaction(String);

/// A transaction of a block, not its coinbase. Shared, never copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    bytes: Vec<u8>,
    txid: [u8; 32],
    wtxid: [u8; 32],
}

impl Transaction {
    /// Reads its serialisation, witness included.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, NotATransaction> {
        let parsed: bitcoin::Transaction =
            deserialize(&bytes).map_err(|error| NotATransaction(error.to_string()))?;
        Ok(Self {
            txid: parsed.compute_txid().to_byte_array(),
            wtxid: sha256d(&bytes),
            bytes,
        })
    }

    /// As it goes into a block.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// In header order; what merkle trees are made of.
    pub fn txid(&self) -> [u8; 32] {
        self.txid
    }

    /// In header order; what declarations name it by (SV2 6.4.4).
    pub fn wtxid(&self) -> [u8; 32] {
        self.wtxid
    }
}

/// Bytes of all of them together.
pub fn total_len(transactions: &[Arc<Transaction>]) -> usize {
    transactions
        .iter()
        .map(|transaction| transaction.bytes.len())
        .sum()
}
