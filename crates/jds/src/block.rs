//! A block to be checked or submitted, in parts that are shared with the job it comes from.

use std::sync::Arc;

use bitcoin::VarInt;
use bitcoin::consensus::serialize;
use bitcoin::hex::{Case, DisplayHex};
use protocol::coinbase::{Header, sha256d};

use crate::transaction::{Transaction, total_len};

/// Bytes no block can be longer than (consensus: MAX_BLOCK_SERIALIZED_SIZE).
pub const MAX_BLOCK: usize = 4_000_000;

/// A whole block.
#[derive(Debug, Clone)]
pub struct Block {
    header: [u8; 80],
    coinbase: Vec<u8>,
    transactions: Arc<[Arc<Transaction>]>,
}

impl Block {
    /// Puts one together.
    pub fn new(
        header: Header<'_>,
        coinbase: Vec<u8>,
        transactions: Arc<[Arc<Transaction>]>,
    ) -> Self {
        Self {
            header: header.to_bytes(),
            coinbase,
            transactions,
        }
    }

    /// In header order.
    pub fn hash(&self) -> [u8; 32] {
        sha256d(&self.header)
    }

    /// Serialised and as lower-case hexadecimal digits, as Bitcoin Core's RPC takes it.
    pub fn to_hex(&self) -> String {
        let count = serialize(&VarInt::from(self.transactions.len() + 1));
        let ahead = [&self.header[..], &count, &self.coinbase];
        let behind = self
            .transactions
            .iter()
            .map(|transaction| transaction.bytes());
        let bytes =
            ahead.iter().map(|part| part.len()).sum::<usize>() + total_len(&self.transactions);
        let mut digits = String::with_capacity(2 * bytes);
        for part in ahead.into_iter().chain(behind) {
            part.append_hex_to_string(Case::Lower, &mut digits);
        }
        digits
    }
}
