//! Bitcoin Core's JSON-RPC, asynchronously.
//!
//! Why `reqwest` with our own few types: `docs/adr/0003-node-rpc.md`.

mod reader;
mod rest;
mod submission;

use std::time::Duration;

use axum::body::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::config::Reader;
use crate::dial::HostPort;

pub use reader::{READING, reader_lines};
pub use submission::{Verdict, submit};

/// Bitcoin Core's RPC_DESERIALIZATION_ERROR: what was meant as a block is none.
pub const NOT_A_BLOCK: i64 = -22;

/// How long the node may take to answer, unless [`NodeRpc::with_limit`] says otherwise.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Headers that the node tries in one call of [`NodeRpc::generate`]: seconds, where a block is hard
/// to find.
const TRIES: u64 = 10_000_000;

/// Why a call gave no result.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// No answer.
    #[error("cannot reach the node at {address}: {source}")]
    Unreachable {
        /// Where it should be.
        address: String,
        /// The reason.
        source: reqwest::Error,
    },
    /// The node refuses the credentials.
    #[error("the node at {address} refuses user {user:?}; check rpc_user and rpc_password")]
    Credentials {
        /// Where it is.
        address: String,
        /// Who asked.
        user: String,
    },
    /// The node knows the user, and does not let it do that.
    #[error(
        "the node at {address} does not let user {user:?} call {method} from here; see its \
         rpcwhitelist and rpcallowip"
    )]
    Forbidden {
        /// Where it is.
        address: String,
        /// Who asked.
        user: String,
        /// What was called.
        method: String,
    },
    /// The node answers with an error.
    #[error("{method}: {message} (code {code})")]
    Rpc {
        /// What was called.
        method: String,
        /// Bitcoin Core's error code.
        code: i64,
        /// Its text.
        message: String,
    },
    /// The node's answer is not understood.
    #[error("{method}: unexpected answer: {reason}")]
    Answer {
        /// What was called.
        method: String,
        /// What is wrong with the answer.
        reason: String,
    },
}

impl NodeError {
    fn answer(method: &str, reason: &dyn ToString) -> Self {
        Self::Answer {
            method: method.to_owned(),
            reason: reason.to_string(),
        }
    }
}

/// A node's RPC interface. Cheap to clone.
#[derive(Clone)]
pub struct NodeRpc {
    client: reqwest::Client,
    address: String,
    user: String,
    password: String,
    limit: Duration,
}

#[derive(Serialize)]
struct Call<'a> {
    jsonrpc: &'static str,
    /// Place in a batch.
    id: usize,
    method: &'a str,
    params: &'a Value,
}

impl<'a> Call<'a> {
    fn new(id: usize, method: &'a str, params: &'a Value) -> Self {
        Self {
            jsonrpc: "1.0",
            id,
            method,
            params,
        }
    }
}

#[derive(Deserialize)]
struct Answer {
    /// Means something in a batch only.
    #[serde(default)]
    id: Value,
    result: Value,
    error: Option<RpcFault>,
}

impl Answer {
    fn open<T: DeserializeOwned>(self, method: &str) -> Result<T, NodeError> {
        if let Some(RpcFault { code, message }) = self.error {
            return Err(NodeError::Rpc {
                method: method.to_owned(),
                code,
                message,
            });
        }
        serde_json::from_value(self.result).map_err(|error| NodeError::answer(method, &error))
    }
}

#[derive(Deserialize)]
struct RpcFault {
    code: i64,
    message: String,
}

/// The result in the body of the node's answer to `method`.
///
/// # Errors
/// The body says that there is none, or is something else than an answer with a `T`.
pub fn result<T: DeserializeOwned>(method: &str, body: &[u8]) -> Result<T, NodeError> {
    read::<Answer>(method, body)?.open(method)
}

/// The results in the body of the node's answer to a batch of `calls` calls of `method`, in the
/// order of the calls.
///
/// # Errors
/// The body is something else than an answer to each call.
pub fn results<T: DeserializeOwned>(
    method: &str,
    calls: usize,
    body: &[u8],
) -> Result<Vec<Result<T, NodeError>>, NodeError> {
    let mut answers: Vec<Answer> = read(method, body)?;
    answers.sort_by_key(|answer| answer.id.as_u64());
    let ids = answers.iter().map(|answer| answer.id.as_u64());
    if !ids.eq((0..calls as u64).map(Some)) {
        let answers = answers.len();
        let reason = format!("{answers} answers to a batch of {calls} calls");
        return Err(NodeError::answer(method, &reason));
    }
    Ok(answers
        .into_iter()
        .map(|answer| answer.open(method))
        .collect())
}

fn read<T: DeserializeOwned>(method: &str, body: &[u8]) -> Result<T, NodeError> {
    serde_json::from_slice(body).map_err(|error| NodeError::answer(method, &error))
}

/// What the node says about a block (`getblockheader`).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct BlockHeader {
    /// At least 1 in the active chain, -1 outside it.
    pub confirmations: i64,
    /// Blocks below it.
    pub height: u64,
}

/// What the node says about its chain (`getblockchaininfo`).
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ChainInfo {
    /// `regtest` in a lab.
    pub chain: String,
    /// Height of the tip.
    pub blocks: u64,
    /// Hash of the tip.
    #[serde(rename = "bestblockhash")]
    pub best_block_hash: String,
    /// Whether it still catches up.
    #[serde(rename = "initialblockdownload")]
    pub initial_block_download: bool,
}

/// The password stays out of logs.
impl std::fmt::Debug for NodeRpc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NodeRpc")
            .field("address", &self.address)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

impl NodeRpc {
    /// Takes `node.rpc_address`, `node.rpc_user` and `node.rpc_password` out of `reader`; `None`
    /// when a problem was noted.
    pub fn read(reader: &mut Reader) -> Option<Self> {
        let address: Option<HostPort> = reader.parsed("node.rpc_address");
        let user: String = reader.required("node.rpc_user");
        let password: String = reader.required("node.rpc_password");
        Some(Self::new(address?.to_string(), user, password))
    }

    /// `address` is `host:port`.
    pub fn new(
        address: impl Into<String>,
        user: impl Into<String>,
        password: impl Into<String>,
    ) -> Self {
        Self {
            // A proxy for the web has no business between us and our node.
            client: reqwest::Client::builder()
                .no_proxy()
                // Every call has its own connection. A kept one may be closed by the node just when
                // it is used again, and a spare one holds up Bitcoin Core's shutdown for 30 s.
                .pool_max_idle_per_host(0)
                .build()
                .expect("a client without TLS needs nothing that could be missing"),
            address: address.into(),
            user: user.into(),
            password: password.into(),
            limit: TIMEOUT,
        }
    }

    /// The same node, given this long to answer: less when it is asked often, more for calls that
    /// wait inside the node.
    pub fn with_limit(&self, limit: Duration) -> Self {
        Self {
            limit,
            ..self.clone()
        }
    }

    /// The same node, asked by somebody else.
    pub fn as_user(&self, user: impl Into<String>, password: impl Into<String>) -> Self {
        Self {
            user: user.into(),
            password: password.into(),
            ..self.clone()
        }
    }

    /// Calls `method`.
    ///
    /// # Errors
    /// The node cannot be reached, refuses, or answers something else than `T`.
    pub async fn call<T: DeserializeOwned>(
        &self,
        method: &str,
        params: Value,
    ) -> Result<T, NodeError> {
        let body = self.post(method, &Call::new(0, method, &params)).await?;
        result(method, &body)
    }

    /// Calls `method` once with each of `params`, in one request. The results are in their order;
    /// each call can fail by itself.
    ///
    /// # Errors
    /// The node cannot be reached, or does not answer each call.
    pub async fn batch<T: DeserializeOwned>(
        &self,
        method: &str,
        params: &[Value],
    ) -> Result<Vec<Result<T, NodeError>>, NodeError> {
        if params.is_empty() {
            return Ok(Vec::new());
        }
        let calls: Vec<Call<'_>> = params
            .iter()
            .enumerate()
            .map(|(id, params)| Call::new(id, method, params))
            .collect();
        results(method, calls.len(), &self.post(method, &calls).await?)
    }

    /// Sends `body`, which calls `method`; the body that comes back.
    async fn post(&self, method: &str, body: &(impl Serialize + Sync)) -> Result<Bytes, NodeError> {
        let unreachable = |source| NodeError::Unreachable {
            address: self.address.clone(),
            source,
        };
        let response = self
            .client
            .post(format!("http://{}/", self.address))
            .basic_auth(&self.user, Some(&self.password))
            .timeout(self.limit)
            .json(body)
            .send()
            .await
            .map_err(unreachable)?;
        let (address, user) = (self.address.clone(), self.user.clone());
        match response.status() {
            reqwest::StatusCode::UNAUTHORIZED => Err(NodeError::Credentials { address, user }),
            reqwest::StatusCode::FORBIDDEN => Err(NodeError::Forbidden {
                address,
                user,
                method: method.to_owned(),
            }),
            _ => response.bytes().await.map_err(unreachable),
        }
    }

    /// What the node knows of the block `hash`; `None` when it has never accepted one of that name.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub async fn block_header(&self, hash: &str) -> Result<Option<BlockHeader>, NodeError> {
        known(self.call("getblockheader", json!([hash])).await)
    }

    /// The same for many, in their order.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub async fn block_headers(
        &self,
        hashes: &[String],
    ) -> Result<Vec<Option<BlockHeader>>, NodeError> {
        let params: Vec<Value> = hashes.iter().map(|hash| json!([hash])).collect();
        let headers = self.batch("getblockheader", &params).await?;
        headers.into_iter().map(known).collect()
    }

    /// The state of the chain.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub async fn chain_info(&self) -> Result<ChainInfo, NodeError> {
        self.call("getblockchaininfo", json!([])).await
    }

    /// Has the node itself mine `blocks` blocks that pay to `address`; their hashes. It takes as
    /// long as it takes: nothing on regtest, seconds for a block on a signet.
    ///
    /// # Errors
    /// As [`call`](Self::call); those that were mined before stay.
    pub async fn generate(&self, blocks: u64, address: &str) -> Result<Vec<String>, NodeError> {
        let mut mined: Vec<String> = Vec::new();
        while (mined.len() as u64) < blocks {
            let missing = blocks - mined.len() as u64;
            let params = json!([missing, address, TRIES]);
            mined.extend(
                self.call::<Vec<String>>("generatetoaddress", params)
                    .await?,
            );
        }
        Ok(mined)
    }
}

/// `None` for a block that the node does not know.
fn known(header: Result<BlockHeader, NodeError>) -> Result<Option<BlockHeader>, NodeError> {
    /// Bitcoin Core's RPC_INVALID_ADDRESS_OR_KEY: here, no such block.
    const NOT_FOUND: i64 = -5;
    match header {
        Ok(header) => Ok(Some(header)),
        Err(NodeError::Rpc {
            code: NOT_FOUND, ..
        }) => Ok(None),
        Err(error) => Err(error),
    }
}
