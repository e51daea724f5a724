//! The transactions of a template: opaque bytes, in block order (SV2 7.5).

use std::ops::Range;

use stratum_core::binary_sv2::B016M;
use stratum_core::template_distribution_sv2::RequestTransactionDataSuccess;

use crate::coinbase::sha256d;

/// The transactions of one template, without its coinbase, as the provider sent them. They are
/// never parsed: what they are is between the two nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TransactionData {
    /// Whatever the node of the job declarator server needs besides; passed on as it is.
    pub excess_data: Vec<u8>,
    /// All of them, one behind the other: one allocation for thousands.
    bytes: Vec<u8>,
    spans: Vec<Range<usize>>,
    wtxids: Vec<[u8; 32]>,
}

impl TransactionData {
    /// Copies a provider's answer and hashes each transaction.
    pub fn new(message: &RequestTransactionDataSuccess<'_>) -> Self {
        let excess_data = message.excess_data.as_bytes();
        let transactions = message.transaction_list.iter();
        Self::of(excess_data, transactions.map(B016M::as_bytes))
    }

    fn of<'a>(excess_data: &[u8], transactions: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut data = Self {
            excess_data: excess_data.to_vec(),
            ..Self::default()
        };
        for transaction in transactions {
            let start = data.bytes.len();
            data.bytes.extend_from_slice(transaction);
            data.spans.push(start..data.bytes.len());
            // The wtxid is the hash of the whole serialization, whatever the transaction is.
            data.wtxids.push(sha256d(transaction));
        }
        data
    }

    /// Their wtxids, in header order (SV2 6.4.4).
    pub fn wtxids(&self) -> &[[u8; 32]] {
        &self.wtxids
    }

    /// The one at this position; the first one behind the coinbase is 0.
    pub fn get(&self, position: usize) -> Option<&[u8]> {
        self.bytes.get(self.spans.get(position)?.clone())
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether the block has nothing but its coinbase.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }
}

#[cfg(test)]
impl TransactionData {
    /// `count` different ones, none of which any node would take.
    pub(crate) fn garbage(count: u8) -> Self {
        let transactions: Vec<Vec<u8>> = (0..count).map(|n| vec![n; usize::from(n) + 1]).collect();
        Self::of(&[9; 5], transactions.iter().map(Vec::as_slice))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_provider_sent_is_kept_as_it_is() {
        // TPC-14, JDC-34: random excess data, and transactions with trailing garbage
        let data = TransactionData::garbage(3);
        assert_eq!(data.excess_data, [9; 5]);
        assert_eq!(data.get(0), Some(&[0][..]));
        assert_eq!(data.get(2), Some(&[2, 2, 2][..]));
        assert_eq!(data.get(3), None);
        assert_eq!((data.len(), data.is_empty()), (3, false));
    }

    #[test]
    fn wtxids_are_hashes_of_the_whole_transaction() {
        // JDC-09, T-21
        use bitcoin::consensus::encode::{deserialize, serialize};
        use bitcoin::hashes::Hash;
        let block = bitcoin::constants::genesis_block(bitcoin::Network::Regtest);
        let mut transaction = block.txdata[0].clone();
        transaction.input[0].witness.push([7; 32]);
        let bytes = serialize(&transaction);
        assert_eq!(
            deserialize::<bitcoin::Transaction>(&bytes).unwrap(),
            transaction
        );
        let data = TransactionData::of(&[], [bytes.as_slice()].into_iter());
        assert_eq!(data.wtxids(), [transaction.compute_wtxid().to_byte_array()]);
        assert_ne!(data.wtxids(), [transaction.compute_txid().to_byte_array()]);
    }
}
