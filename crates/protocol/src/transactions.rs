//! The transactions of a template: opaque bytes, in block order (SV2 7.5).

mod weight;

use std::ops::Range;

use bitcoin::VarInt;
use bitcoin::consensus::serialize;
use stratum_core::binary_sv2::B016M;
use stratum_core::template_distribution_sv2::RequestTransactionDataSuccess;

use crate::coinbase::{Header, sha256d};
use weight::weigh;

/// The transactions of one template, without its coinbase, as the provider sent them. They are
/// measured and never judged: what they are is between the two nodes.
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

    /// Of these transactions, in block order.
    pub fn of<'a>(excess_data: &[u8], transactions: impl Iterator<Item = &'a [u8]>) -> Self {
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

    /// Only those at these positions, in this order; the excess data stays. Positions that do not
    /// exist are left out.
    #[must_use]
    pub fn only(&self, positions: &[usize]) -> Self {
        let mut data = Self {
            excess_data: self.excess_data.clone(),
            ..Self::default()
        };
        for position in positions {
            let (Some(bytes), Some(wtxid)) = (self.get(*position), self.wtxids.get(*position))
            else {
                continue;
            };
            let start = data.bytes.len();
            data.bytes.extend_from_slice(bytes);
            data.spans.push(start..data.bytes.len());
            data.wtxids.push(*wtxid);
        }
        data
    }

    /// All of them, in block order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.spans.iter().map(|span| &self.bytes[span.clone()])
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

    /// What they weigh together (BIP-0141); `None` when one of them is no transaction.
    pub fn weight(&self) -> Option<u64> {
        let spans = self.spans.iter();
        spans.map(|span| weigh(&self.bytes[span.clone()])).sum()
    }

    /// Whether the block has nothing but its coinbase.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }
}

/// A whole block, serialized: `transactions` are those behind the coinbase.
pub fn block<'a>(
    header: &Header<'_>,
    coinbase: &[u8],
    transactions: impl ExactSizeIterator<Item = &'a [u8]>,
) -> Vec<u8> {
    let mut block = header.to_bytes().to_vec();
    block.extend(serialize(&VarInt::from(transactions.len() + 1)));
    block.extend_from_slice(coinbase);
    for transaction in transactions {
        block.extend_from_slice(transaction);
    }
    block
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
    fn a_part_keeps_order_and_excess_data() {
        let data = TransactionData::garbage(4);
        let part = data.only(&[1, 3, 9]);
        let expected = [data.get(1).unwrap(), data.get(3).unwrap()];
        assert_eq!(part, TransactionData::of(&[9; 5], expected.into_iter()));
        assert_eq!(part.iter().collect::<Vec<_>>(), expected);
        assert_eq!(data.only(&[0, 1, 2, 3]), data);
    }

    #[test]
    fn a_block_is_header_count_coinbase_and_transactions() {
        use bitcoin::consensus::encode::{deserialize, serialize};
        let genesis = bitcoin::constants::genesis_block(bitcoin::Network::Regtest);
        let transaction = serialize(&genesis.txdata[0]);
        let (prev_hash, merkle_root) = ([1; 32], [2; 32]);
        let header = Header {
            version: 3,
            prev_hash: &prev_hash,
            merkle_root: &merkle_root,
            ntime: 4,
            n_bits: 5,
            nonce: 6,
        };
        let others = TransactionData::of(&[], [transaction.as_slice(); 2].into_iter());
        let block: bitcoin::Block =
            deserialize(&super::block(&header, &transaction, others.iter())).unwrap();
        assert_eq!(block.txdata, vec![genesis.txdata[0].clone(); 3]);
        assert_eq!(serialize(&block.header), header.to_bytes());
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
