//! The block at the node's tip, to see whose it is.

use std::sync::Arc;

use bitcoin::Block;
use bitcoin::consensus::{deserialize, serialize};
use bitcoin::hashes::Hash;
use bitcoin::hex::FromHex;
use daemon::node::NodeRpc;
use serde_json::json;
use tokio::sync::Mutex;
use tracing::debug;

use crate::record::block_hash;
use crate::transaction::Transaction;

/// A block that the node has.
#[derive(Debug)]
pub struct MinedBlock {
    /// In header order.
    pub hash: [u8; 32],
    /// Header field.
    pub version: u32,
    /// Header field, in header order.
    pub prev_hash: [u8; 32],
    /// Header field.
    pub n_bits: u32,
    /// Serialised, witness included.
    pub coinbase: Vec<u8>,
    /// All others, in their order.
    pub transactions: Arc<[Arc<Transaction>]>,
}

impl MinedBlock {
    /// Reads its serialisation. `None` if it is no block.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let block: Block = deserialize(bytes).ok()?;
        let (coinbase, others) = block.txdata.split_first()?;
        let others = others.iter().map(|transaction| {
            let read = Transaction::parse(serialize(transaction)).ok()?;
            Some(Arc::new(read))
        });
        Some(Self {
            hash: block.block_hash().to_byte_array(),
            version: block.header.version.to_consensus() as u32,
            prev_hash: block.header.prev_blockhash.to_byte_array(),
            n_bits: block.header.bits.to_consensus(),
            coinbase: serialize(coinbase),
            transactions: others.collect::<Option<_>>()?,
        })
    }
}

/// Fetches blocks; cheap to clone. The newest is kept: at a new tip many clients may ask for it.
#[derive(Debug, Clone)]
pub(crate) struct MinedBlocks {
    node: NodeRpc,
    newest: Arc<Mutex<Option<Arc<MinedBlock>>>>,
}

impl MinedBlocks {
    pub(crate) fn new(node: NodeRpc) -> Self {
        Self {
            node,
            newest: Arc::default(),
        }
    }

    /// The block of this hash, in header order; `None` when the node does not give it.
    pub(crate) async fn get(&self, hash: [u8; 32]) -> Option<Arc<MinedBlock>> {
        // Held while the node is asked: whoever else wants it waits for the same answer.
        let mut newest = self.newest.lock().await;
        if let Some(block) = newest.as_ref().filter(|block| block.hash == hash) {
            return Some(Arc::clone(block));
        }
        let params = json!([block_hash(&hash), 0]);
        let digits: String = match self.node.call("getblock", params).await {
            Ok(digits) => digits,
            Err(error) => {
                debug!(%error, "the block at the tip cannot be read");
                return None;
            }
        };
        let block = Arc::new(MinedBlock::parse(&Vec::from_hex(&digits).ok()?)?);
        *newest = Some(Arc::clone(&block));
        Some(block)
    }
}
