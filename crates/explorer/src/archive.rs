//! Blocks and transactions: out of what is held, or else from the node.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bitcoin::block::Header;
use bitcoin::consensus::Decodable;
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
/// Transactions that it is asked for at once.
const BATCH: usize = 200;

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

/// A transaction, and where it is unless it waits.
pub(crate) type Found = (Transaction, Option<Place>);

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
        Ok(Arc::new(decode("getblock", &text)?))
    }

    /// The headers of blocks of any branch, in this order.
    pub(crate) async fn headers(&self, hashes: &[BlockHash]) -> Result<Vec<Header>, Missing> {
        let mut headers: HashMap<BlockHash, Header> = HashMap::new();
        {
            let chain = self.chain.borrow();
            let held = hashes.iter().filter_map(|hash| chain.whole(hash));
            headers.extend(held.map(|block| (block.block_hash(), block.header)));
        }
        let missing = hashes.iter().filter(|hash| !headers.contains_key(*hash));
        let params: Vec<Value> = missing
            .map(|hash| json!([hash.to_string(), false]))
            .collect();
        for text in self.rpc.batch::<String>("getblockheader", &params).await? {
            let header: Header = decode("getblockheader", &text?)?;
            headers.insert(header.block_hash(), header);
        }
        let find = |hash: &BlockHash| {
            let header = headers.get(hash).copied();
            header.ok_or_else(|| Missing::not_found(format!("no block {hash}")))
        };
        hashes.iter().map(find).collect()
    }

    /// A transaction, and its block unless it waits.
    pub(crate) async fn transaction(&self, txid: &Txid) -> Result<Found, Missing> {
        if let Some(held) = self.held(txid) {
            return Ok(held);
        }
        #[derive(Deserialize)]
        struct Raw {
            hex: String,
            blockhash: Option<BlockHash>,
        }
        let params = match self.place_of(txid) {
            Some(place) => json!([txid, true, place.block.to_string()]),
            None => json!([txid, true]),
        };
        let raw: Raw = self.rpc.call("getrawtransaction", params).await?;
        let place = raw.blockhash.map(|block| Place {
            block,
            height: self.chain.borrow().find(&block).map(|brief| brief.height),
        });
        Ok((decode("getrawtransaction", &raw.hex)?, place))
    }

    /// Transactions that the index of addresses names, or that wait, in this order; the node is asked
    /// once for all that are not held.
    pub(crate) async fn transactions(&self, txids: &[Txid]) -> Result<Vec<Found>, Missing> {
        let held: Vec<_> = txids.iter().map(|txid| self.held(txid)).collect();
        let missing = txids.iter().zip(&held).filter(|(_, held)| held.is_none());
        let missing: Vec<Txid> = missing.map(|(txid, _)| *txid).collect();
        let mut asked = self.asked(&missing).await?.into_iter();
        let found = held.into_iter().map(|held| match held {
            Some(held) => Ok(held),
            None => asked.next().expect("an answer for each that is asked for"),
        });
        found.collect()
    }

    /// What outputs there are at these places; those that cannot be found are left out.
    pub(crate) async fn outputs(
        &self,
        outpoints: &[OutPoint],
    ) -> Result<HashMap<OutPoint, TxOut>, Missing> {
        let mut transactions: HashMap<Txid, Transaction> = HashMap::new();
        let mut unknown: Vec<Txid> = Vec::new();
        let txids: HashSet<Txid> = outpoints.iter().map(|outpoint| outpoint.txid).collect();
        for txid in txids {
            match self.held(&txid) {
                Some((transaction, _)) => drop(transactions.insert(txid, transaction)),
                None => unknown.push(txid),
            }
        }
        let asked = self.asked(&unknown).await?;
        let found = unknown.into_iter().zip(asked);
        transactions.extend(found.filter_map(|(txid, asked)| Some((txid, asked.ok()?.0))));
        let find = |outpoint: &OutPoint| {
            let transaction = transactions.get(&outpoint.txid)?;
            let output = transaction.output.get(outpoint.vout as usize)?;
            Some((*outpoint, output.clone()))
        };
        Ok(outpoints.iter().filter_map(find).collect())
    }

    /// One that is in one of the newest blocks, or waits. The mempool is looked at now and then, so
    /// what is in a block may wait there for a moment longer.
    fn held(&self, txid: &Txid) -> Option<Found> {
        let Some(place) = self.place_of(txid) else {
            let mempool = Arc::clone(&self.conditions.borrow().mempool);
            let transaction = mempool.entries.get(txid)?.transaction.as_ref()?;
            return Some(((**transaction).clone(), None));
        };
        let block = self.chain.borrow().whole(&place.block)?;
        let mut transactions = block.txdata.iter();
        let transaction = transactions.find(|transaction| transaction.compute_txid() == *txid)?;
        Some((transaction.clone(), Some(place)))
    }

    /// What the node says to each, asked for together.
    async fn asked(&self, txids: &[Txid]) -> Result<Vec<Result<Found, Missing>>, Missing> {
        let places: Vec<_> = txids.iter().map(|txid| self.place_of(txid)).collect();
        let params = |(txid, place): (&Txid, &Option<Place>)| match place {
            Some(place) => json!([txid, false, place.block.to_string()]),
            None => json!([txid, false]),
        };
        let params: Vec<Value> = txids.iter().zip(&places).map(params).collect();
        let asked = raw_transactions(&self.rpc, &params).await?;
        let found = asked.into_iter().zip(places);
        Ok(found.map(|(asked, place)| Ok((asked?, place))).collect())
    }

    /// Where the index of addresses has it, so that a node without an index of transactions finds it.
    fn place_of(&self, txid: &Txid) -> Option<Place> {
        let chain = self.chain.borrow();
        let height = chain.index()?.height_of(txid)?;
        let block = chain.at(height)?.hash;
        Some(Place {
            block,
            height: Some(height),
        })
    }
}

/// What the node answers to `getrawtransaction` with each of `params`, asked in parts.
pub(crate) async fn raw_transactions(
    rpc: &NodeRpc,
    params: &[Value],
) -> Result<Vec<Result<Transaction, Missing>>, NodeError> {
    let mut transactions = Vec::with_capacity(params.len());
    for part in params.chunks(BATCH) {
        let texts = rpc.batch::<String>("getrawtransaction", part).await?;
        let decoded = texts
            .into_iter()
            .map(|text| decode("getrawtransaction", &text?));
        transactions.extend(decoded);
    }
    Ok(transactions)
}

/// What the node answered to `method`.
fn decode<T: Decodable>(method: &str, hex: &str) -> Result<T, Missing> {
    deserialize_hex(hex).map_err(|error| Missing::Unavailable(format!("{method}: {error}")))
}

#[cfg(test)]
mod tests {
    use bitcoin::Network;
    use bitcoin::constants::genesis_block;

    use super::*;
    use crate::node::{Fees, Mempool, MempoolEntry, Waiting};

    #[test]
    fn what_is_in_a_block_waits_no_more_though_the_mempool_was_not_looked_at_since() {
        let block = genesis_block(Network::Regtest);
        let transaction = block.txdata[0].clone();
        let (txid, hash) = (transaction.compute_txid(), block.block_hash());
        let waiting = Waiting {
            entry: MempoolEntry {
                vsize: 1,
                time: 0,
                ancestors: 1,
                descendants: 1,
                fees: Fees {
                    base: bitcoin::Amount::ZERO,
                },
            },
            transaction: Some(Arc::new(transaction.clone())),
        };
        let conditions = Conditions {
            mempool: Arc::new(Mempool {
                entries: [(txid, waiting)].into(),
                ..Mempool::default()
            }),
            ..Conditions::default()
        };
        let (chain, chain_seen) = watch::channel(Chain::new(10));
        let conditions = watch::channel(conditions).1;
        let rpc = NodeRpc::new("nobody", "", "");
        let archive = Archive::new(&rpc, chain_seen, conditions);
        assert_eq!(archive.held(&txid), Some((transaction.clone(), None)));
        chain.send_modify(|chain| chain.connect(block, 0, 0).unwrap());
        let place = Place {
            block: hash,
            height: Some(0),
        };
        assert_eq!(archive.held(&txid), Some((transaction, Some(place))));
    }
}
