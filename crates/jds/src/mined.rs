//! The block at the node's tip, to see whose it is.

use std::sync::Arc;
use std::time::Duration;

use bitcoin::Block;
use bitcoin::consensus::encode::deserialize_hex;
use bitcoin::hashes::Hash;
use daemon::node::NodeRpc;
use serde_json::json;
use tokio::sync::Mutex;
use tokio::time::timeout;
use tracing::debug;

use crate::record::block_hash;

/// How long a declaration waits for it. Its client has the next one to declare.
const PATIENCE: Duration = Duration::from_secs(1);

/// Fetches blocks; cheap to clone. The newest is kept: at a new tip many clients may ask for it.
#[derive(Debug, Clone)]
pub(crate) struct MinedBlocks {
    node: NodeRpc,
    newest: Arc<Mutex<Option<Arc<Block>>>>,
}

impl MinedBlocks {
    pub(crate) fn new(node: NodeRpc) -> Self {
        Self {
            node,
            newest: Arc::default(),
        }
    }

    /// The block of this hash, in header order; `None` when the node does not give it in time.
    pub(crate) async fn get(&self, hash: [u8; 32]) -> Option<Arc<Block>> {
        timeout(PATIENCE, self.fetch(hash)).await.ok().flatten()
    }

    async fn fetch(&self, hash: [u8; 32]) -> Option<Arc<Block>> {
        // Held while the node is asked: whoever else wants it waits for the same answer.
        let mut newest = self.newest.lock().await;
        let is_it = |block: &&Arc<Block>| block.block_hash().to_byte_array() == hash;
        if let Some(block) = newest.as_ref().filter(is_it) {
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
        let block = Arc::new(deserialize_hex(&digits).ok()?);
        *newest = Some(Arc::clone(&block));
        Some(block)
    }
}
