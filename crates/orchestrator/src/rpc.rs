//! The node's JSON-RPC, as far as a lab needs it.

use std::net::SocketAddrV4;
use std::time::Duration;

use bitcoin::consensus::encode::{deserialize_hex, serialize_hex};
use bitcoin::{Block, BlockHash, Transaction, Txid};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::secrets::Secrets;

/// Why a call gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum RpcError {
    /// Nobody answered.
    #[error("the node's RPC at {address} does not answer")]
    Unreachable {
        /// Where it was tried.
        address: SocketAddrV4,
        /// What went wrong.
        #[source]
        source: reqwest::Error,
    },
    /// The node does not take the lab's password.
    #[error("the node's RPC at {0} refuses the lab's password; another node listens there?")]
    Unauthorized(SocketAddrV4),
    /// The node refused the call.
    #[error("{method}: {message} (code {code})")]
    Refused {
        /// The call.
        method: String,
        /// Bitcoin Core's error code.
        code: i64,
        /// Bitcoin Core's words.
        message: String,
    },
    /// The answer is not what Bitcoin Core documents.
    #[error("{method}: the answer makes no sense: {reason}")]
    Malformed {
        /// The call.
        method: String,
        /// What does not fit.
        reason: String,
    },
}

/// A connection to the node's RPC.
#[derive(Debug, Clone)]
pub struct Rpc {
    http: reqwest::Client,
    address: SocketAddrV4,
    user: String,
    password: String,
}

/// The part of `getblockchaininfo` that a lab looks at.
#[derive(Debug, Clone, Deserialize)]
pub struct ChainInfo {
    /// Height of the tip.
    pub blocks: u64,
    /// Whether the node still believes that it lags behind.
    #[serde(rename = "initialblockdownload")]
    pub initial_block_download: bool,
}

#[derive(Deserialize)]
struct Reply {
    result: Value,
    error: Option<ReplyError>,
}

#[derive(Deserialize)]
struct ReplyError {
    code: i64,
    message: String,
}

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
        Self::over(http_client(), address, secrets)
    }

    /// As [`Self::new`], over a client that is there already.
    pub(crate) fn over(http: reqwest::Client, address: SocketAddrV4, secrets: &Secrets) -> Self {
        Self {
            http,
            address,
            user: secrets.rpc_user.clone(),
            password: secrets.rpc_password.clone(),
        }
    }

    /// Any call.
    ///
    /// # Errors
    /// When the node cannot be reached, refuses, or answers something else.
    pub async fn call<T: DeserializeOwned>(
        &self,
        method: &str,
        params: Value,
    ) -> Result<T, RpcError> {
        let unreachable = |source| RpcError::Unreachable {
            address: self.address,
            source,
        };
        let malformed = |reason: String| RpcError::Malformed {
            method: method.to_owned(),
            reason,
        };
        let response = self
            .http
            .post(format!("http://{}/", self.address))
            .basic_auth(&self.user, Some(&self.password))
            .json(&json!({"jsonrpc": "1.0", "id": "lab", "method": method, "params": params}))
            .send()
            .await
            .map_err(unreachable)?;
        if response.status() == reqwest::StatusCode::UNAUTHORIZED {
            return Err(RpcError::Unauthorized(self.address));
        }
        let status = response.status();
        let body = response.bytes().await.map_err(unreachable)?;
        let reply: Reply = serde_json::from_slice(&body)
            .map_err(|error| malformed(format!("HTTP status {status}, {error}")))?;
        if let Some(error) = reply.error {
            return Err(RpcError::Refused {
                method: method.to_owned(),
                code: error.code,
                message: error.message,
            });
        }
        serde_json::from_value(reply.result).map_err(|error| malformed(error.to_string()))
    }

    /// The state of the chain.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn chain_info(&self) -> Result<ChainInfo, RpcError> {
        self.call("getblockchaininfo", json!([])).await
    }

    /// Height of the tip.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn block_count(&self) -> Result<u64, RpcError> {
        self.call("getblockcount", json!([])).await
    }

    /// Hash of the best chain's block at this height.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn block_hash(&self, height: u64) -> Result<BlockHash, RpcError> {
        self.call("getblockhash", json!([height])).await
    }

    /// A whole block.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn block(&self, hash: BlockHash) -> Result<Block, RpcError> {
        let text: String = self.call("getblock", json!([hash, 0])).await?;
        parse("getblock", &text)
    }

    /// Transactions that wait for a block.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn mempool(&self) -> Result<Vec<Txid>, RpcError> {
        self.call("getrawmempool", json!([])).await
    }

    /// A transaction of the mempool or the chain.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn transaction(&self, txid: Txid) -> Result<Transaction, RpcError> {
        let text: String = self.call("getrawtransaction", json!([txid])).await?;
        parse("getrawtransaction", &text)
    }

    /// Hands a transaction to the node.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn broadcast(&self, transaction: &Transaction) -> Result<Txid, RpcError> {
        self.call("sendrawtransaction", json!([serialize_hex(transaction)]))
            .await
    }

    /// Makes the node write its chain to disk now: a side effect of counting the coins.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn flush(&self) -> Result<(), RpcError> {
        self.call::<Value>("gettxoutsetinfo", json!(["none"]))
            .await
            .map(drop)
    }

    /// Sets the node's clock to a Unix time, or lets it go on with the machine's when it is 0.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn set_time(&self, seconds: u64) -> Result<(), RpcError> {
        self.call::<Value>("setmocktime", json!([seconds]))
            .await
            .map(drop)
    }

    /// Lets the node itself mine blocks that pay to `address`.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn generate(&self, blocks: u64, address: &str) -> Result<Vec<BlockHash>, RpcError> {
        self.call("generatetoaddress", json!([blocks, address]))
            .await
    }
}

fn parse<T: bitcoin::consensus::Decodable>(method: &str, hex: &str) -> Result<T, RpcError> {
    deserialize_hex(hex).map_err(|error| RpcError::Malformed {
        method: method.to_owned(),
        reason: error.to_string(),
    })
}
