//! The node's JSON-RPC, as far as a lab needs it.

use std::net::SocketAddrV4;
use std::time::Duration;

use bitcoin::consensus::encode::{deserialize_hex, serialize_hex};
use bitcoin::{Block, BlockHash, Transaction, Txid};
use daemon::node::NodeRpc;
pub use daemon::node::{ChainInfo, NodeError};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::secrets::Secrets;

/// A connection to the node's RPC. Cheap to clone.
#[derive(Clone)]
pub struct Rpc(NodeRpc);

/// An HTTP client for addresses of this machine: quick to give up, and never through a proxy.
pub(crate) fn http_client() -> reqwest::Client {
    reqwest::Client::builder()
        .no_proxy()
        .connect_timeout(Duration::from_millis(500))
        .timeout(Duration::from_secs(30))
        .build()
        .expect("nothing in these settings depends on the machine")
}

impl Rpc {
    /// Remembers where to call; connects with the first call.
    pub fn new(address: SocketAddrV4, secrets: &Secrets) -> Self {
        Self(NodeRpc::new(
            address.to_string(),
            &secrets.rpc_user,
            &secrets.rpc_password,
        ))
    }

    /// Any call.
    ///
    /// # Errors
    /// When the node cannot be reached, refuses, or answers something else.
    pub async fn call<T: DeserializeOwned>(
        &self,
        method: &str,
        params: Value,
    ) -> Result<T, NodeError> {
        self.0.call(method, params).await
    }

    /// The state of the chain.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn chain_info(&self) -> Result<ChainInfo, NodeError> {
        self.0.chain_info().await
    }

    /// Height of the tip.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn block_count(&self) -> Result<u64, NodeError> {
        self.call("getblockcount", json!([])).await
    }

    /// Hash of the best chain's block at this height.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn block_hash(&self, height: u64) -> Result<BlockHash, NodeError> {
        self.call("getblockhash", json!([height])).await
    }

    /// A whole block.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn block(&self, hash: BlockHash) -> Result<Block, NodeError> {
        let text: String = self.call("getblock", json!([hash, 0])).await?;
        parse("getblock", &text)
    }

    /// Transactions that wait for a block.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn mempool(&self) -> Result<Vec<Txid>, NodeError> {
        self.call("getrawmempool", json!([])).await
    }

    /// A transaction of the mempool or the chain.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn transaction(&self, txid: Txid) -> Result<Transaction, NodeError> {
        let text: String = self.call("getrawtransaction", json!([txid])).await?;
        parse("getrawtransaction", &text)
    }

    /// Hands a transaction to the node.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn broadcast(&self, transaction: &Transaction) -> Result<Txid, NodeError> {
        self.call("sendrawtransaction", json!([serialize_hex(transaction)]))
            .await
    }

    /// Makes the node write its chain to disk now: a side effect of counting the coins.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn flush(&self) -> Result<(), NodeError> {
        self.call::<Value>("gettxoutsetinfo", json!(["none"]))
            .await
            .map(drop)
    }

    /// Sets the node's clock to a Unix time, or lets it go on with the machine's when it is 0.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn set_time(&self, seconds: u64) -> Result<(), NodeError> {
        self.call::<Value>("setmocktime", json!([seconds]))
            .await
            .map(drop)
    }

    /// Lets the node itself mine blocks that pay to `address`.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn generate(&self, blocks: u64, address: &str) -> Result<(), NodeError> {
        self.0.generate(blocks, address).await.map(drop)
    }

    /// Hands a block to the node.
    ///
    /// # Errors
    /// As [`Self::call`], and when the block is not valid.
    pub async fn submit(&self, block: &Block) -> Result<(), NodeError> {
        let refusal: Option<String> = self
            .call("submitblock", json!([serialize_hex(block)]))
            .await?;
        match refusal.as_deref() {
            None | Some("duplicate") => Ok(()),
            Some(reason) => Err(NodeError::Answer {
                method: "submitblock".to_owned(),
                reason: reason.to_owned(),
            }),
        }
    }
}

fn parse<T: bitcoin::consensus::Decodable>(method: &str, hex: &str) -> Result<T, NodeError> {
    deserialize_hex(hex).map_err(|error| NodeError::Answer {
        method: method.to_owned(),
        reason: error.to_string(),
    })
}
