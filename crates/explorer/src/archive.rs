//! Blocks and transactions: out of what is held, or else from the node.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bitcoin::consensus::encode::deserialize_hex;
use bitcoin::{Block, BlockHash, OutPoint, Transaction, TxOut, Txid};
use daemon::node::{NodeError, NodeRpc};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::chain::Chain;
use crate::node::Conditions;

/// How long the node may take to answer.
const LIMIT: Duration = Duration::from_secs(5);

/// Why something cannot be shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Missing {
    /// There is none.
    #[error("{0}")]
    NotFound(String),
    /// The question makes no sense.
    #[error("{0}")]
    BadRequest(String),
    /// The node would have to be asked, and does not answer.
    #[error("{0}")]
    Unavailable(String),
    /// It may not be done.
    #[error("{0}")]
    Forbidden(String),
}

impl Missing {
    pub(crate) fn not_found(what: impl Into<String>) -> Self {
        Self::NotFound(what.into())
    }

    pub(crate) fn bad_request(what: impl Into<String>) -> Self {
        Self::BadRequest(what.into())
    }
}

impl From<NodeError> for Missing {
    fn from(error: NodeError) -> Self {
        match error {
            NodeError::Rpc { .. } => Self::NotFound(error.to_string()),
            NodeError::Forbidden { .. } => Self::Forbidden(error.to_string()),
            _ => Self::Unavailable(error.to_string()),
        }
    }
}

/// Where a transaction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) block: BlockHash,
    pub(crate) height: Option<u32>,
}

/// Looks things up.
#[derive(Debug, Clone)]
pub(crate) struct Archive {
    rpc: NodeRpc,
    chain: watch::Receiver<Chain>,
    conditions: watch::Receiver<Conditions>,
}

impl Archive {
    pub(crate) fn new(
        rpc: &NodeRpc,
        chain: watch::Receiver<Chain>,
        conditions: watch::Receiver<Conditions>,
    ) -> Self {
        Self {
            rpc: rpc.with_limit(LIMIT),
            chain,
            conditions,
        }
    }

    pub(crate) fn rpc(&self) -> &NodeRpc {
        &self.rpc
    }

    /// A block of any branch.
    pub(crate) async fn block(&self, hash: &BlockHash) -> Result<Arc<Block>, Missing> {
        if let Some(block) = self.chain.borrow().whole(hash) {
            return Ok(block);
        }
        let params = json!([hash.to_string(), 0]);
        let text: String = self.rpc.call("getblock", params).await?;
        let block = deserialize_hex(&text);
        let block = block.map_err(|error| Missing::Unavailable(format!("getblock: {error}")))?;
        Ok(Arc::new(block))
    }

    /// A transaction, and its block unless it waits.
    pub(crate) async fn transaction(
        &self,
        txid: &Txid,
    ) -> Result<(Transaction, Option<Place>), Missing> {
        if let Some(held) = self.held(txid) {
            return Ok(held);
        }
        #[derive(Deserialize)]
        struct Raw {
            hex: String,
            blockhash: Option<BlockHash>,
        }
        let block = self.block_of(txid);
        let params = match block {
            Some(block) => json!([txid, true, block.to_string()]),
            None => json!([txid, true]),
        };
        let raw: Raw = self.rpc.call("getrawtransaction", params).await?;
        let transaction = deserialize_hex(&raw.hex)
            .map_err(|error| Missing::Unavailable(format!("getrawtransaction: {error}")))?;
        let place = raw.blockhash.map(|block| Place {
            block,
            height: self.chain.borrow().find(&block).map(|brief| brief.height),
        });
        Ok((transaction, place))
    }

    /// What outputs there are at these places; those that cannot be found are left out.
    pub(crate) async fn outputs(
        &self,
        outpoints: &[OutPoint],
    ) -> Result<HashMap<OutPoint, TxOut>, Missing> {
        let mut transactions: HashMap<Txid, Transaction> = HashMap::new();
        let mut unknown: Vec<Txid> = Vec::new();
        for outpoint in outpoints {
            let txid = outpoint.txid;
            if transactions.contains_key(&txid) || unknown.contains(&txid) {
                continue;
            }
            match self.held(&txid) {
                Some((transaction, _)) => drop(transactions.insert(txid, transaction)),
                None => unknown.push(txid),
            }
        }
        let params = |txid: &Txid| match self.block_of(txid) {
            Some(block) => json!([txid, false, block.to_string()]),
            None => json!([txid, false]),
        };
        let params: Vec<Value> = unknown.iter().map(params).collect();
        let texts = self
            .rpc
            .batch::<String>("getrawtransaction", &params)
            .await?;
        for (txid, text) in unknown.into_iter().zip(texts) {
            if let Some(transaction) = text.ok().and_then(|text| deserialize_hex(&text).ok()) {
                transactions.insert(txid, transaction);
            }
        }
        let find = |outpoint: &OutPoint| {
            let transaction = transactions.get(&outpoint.txid)?;
            let output = transaction.output.get(outpoint.vout as usize)?;
            Some((*outpoint, output.clone()))
        };
        Ok(outpoints.iter().filter_map(find).collect())
    }

    /// One that waits, or is in one of the newest blocks.
    fn held(&self, txid: &Txid) -> Option<(Transaction, Option<Place>)> {
        let mempool = Arc::clone(&self.conditions.borrow().mempool);
        if let Some(waiting) = mempool.entries.get(txid) {
            let transaction = waiting.transaction.as_ref()?;
            return Some(((**transaction).clone(), None));
        }
        let (block, place) = {
            let chain = self.chain.borrow();
            let height = chain.index()?.height_of(txid)?;
            let hash = chain.at(height)?.hash;
            let place = Place {
                block: hash,
                height: Some(height),
            };
            (chain.whole(&hash)?, place)
        };
        let mut transactions = block.txdata.iter();
        let transaction = transactions.find(|transaction| transaction.compute_txid() == *txid)?;
        Some((transaction.clone(), Some(place)))
    }

    /// So that a node without an index of transactions finds it too.
    fn block_of(&self, txid: &Txid) -> Option<BlockHash> {
        let chain = self.chain.borrow();
        let height = chain.index()?.height_of(txid)?;
        Some(chain.at(height)?.hash)
    }
}
