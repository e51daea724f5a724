//! The mempool as far as it is known.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::transaction::Transaction;

/// Bytes of transactions after which no more are fetched: as many as Bitcoin Core's default mempool
/// can hold. What does not fit is unknown, which costs its declarations a round.
const MAX_BYTES: usize = 300_000_000;

/// Transactions by wtxid.
#[derive(Debug, Default)]
pub struct View {
    by_wtxid: HashMap<[u8; 32], Arc<Transaction>>,
    /// For the node names them by txid.
    wtxids: HashMap<[u8; 32], [u8; 32]>,
    bytes: usize,
    answered: u64,
}

impl View {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_wtxid.len()
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.by_wtxid.is_empty()
    }

    /// Bytes of all of them.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The transactions of these wtxids, each in its place.
    pub fn find(&self, wtxids: &[[u8; 32]]) -> Vec<Option<Arc<Transaction>>> {
        wtxids
            .iter()
            .map(|wtxid| self.by_wtxid.get(wtxid).cloned())
            .collect()
    }

    /// How many of the refreshes asked for are done.
    pub(super) fn answered(&self) -> u64 {
        self.answered
    }

    pub(super) fn answer(&mut self, ticket: u64) {
        self.answered = ticket;
    }

    /// Those of `txids` that are not known.
    pub(super) fn missing(&self, txids: &[[u8; 32]]) -> Vec<[u8; 32]> {
        let is_missing = |txid: &&[u8; 32]| !self.wtxids.contains_key(*txid);
        txids.iter().filter(is_missing).copied().collect()
    }

    /// Forgets all but `txids`; tells whether that changes anything.
    pub(super) fn retain(&mut self, txids: &[[u8; 32]]) -> bool {
        let kept: HashSet<&[u8; 32]> = txids.iter().collect();
        let before = self.wtxids.len();
        self.wtxids.retain(|txid, wtxid| {
            let is_kept = kept.contains(txid);
            if !is_kept && let Some(gone) = self.by_wtxid.remove(wtxid) {
                self.bytes -= gone.bytes().len();
            }
            is_kept
        });
        self.wtxids.len() != before
    }

    pub(super) fn has_room(&self) -> bool {
        self.bytes < MAX_BYTES
    }

    pub(super) fn insert(&mut self, transaction: Arc<Transaction>) {
        let (wtxid, len) = (transaction.wtxid(), transaction.bytes().len());
        self.wtxids.insert(transaction.txid(), wtxid);
        if self.by_wtxid.insert(wtxid, transaction).is_none() {
            self.bytes += len;
        }
    }
}

#[cfg(test)]
mod tests;
