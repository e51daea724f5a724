//! What the node says of itself, its peers and its mempool.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use bitcoin::{Amount, OutPoint, Transaction, Txid};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Whether the node can be asked, and how far the explorer has followed it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub(crate) enum Reach {
    /// It does not answer; what is shown is what was known before.
    Away {
        /// Why, and what to look at.
        reason: String,
    },
    /// The explorer still reads the chain.
    Loading {
        /// Blocks read.
        done: u32,
        /// The node's height.
        height: u32,
    },
    /// The explorer shows the node's tip.
    Current,
}

impl Reach {
    /// For pages and metrics.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Away { .. } => "away",
            Self::Loading { .. } => "loading",
            Self::Current => "ready",
        }
    }
}

/// How the node's chain looks from here.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Follow {
    /// Whether it can be asked.
    pub(crate) reach: Reach,
    /// Since when, in milliseconds since 1970.
    pub(crate) since_ms: u64,
    /// What it said last.
    pub(crate) info: Option<ChainInfo>,
}

/// `getblockchaininfo`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct ChainInfo {
    /// `regtest` in a lab.
    pub(crate) chain: String,
    /// Height of the tip.
    pub(crate) blocks: u32,
    /// Headers known.
    pub(crate) headers: u32,
    /// Hash of the tip.
    #[serde(rename = "bestblockhash")]
    pub(crate) best_block_hash: String,
    /// Compact target of the tip.
    #[serde(default)]
    pub(crate) bits: String,
    /// The same, whole.
    #[serde(default)]
    pub(crate) target: String,
    /// Of the tip.
    pub(crate) difficulty: f64,
    /// Of the tip's header, in Unix seconds.
    #[serde(default)]
    pub(crate) time: u32,
    /// Whether it still catches up.
    #[serde(rename = "initialblockdownload")]
    pub(crate) initial_block_download: bool,
    /// Bytes of blocks and undo data.
    #[serde(default)]
    pub(crate) size_on_disk: u64,
}

/// `getnetworkinfo`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct NetworkInfo {
    /// As a number, such as 310000.
    pub(crate) version: u64,
    /// As its peers are told.
    pub(crate) subversion: String,
    /// Peer-to-peer protocol.
    #[serde(rename = "protocolversion")]
    pub(crate) protocol_version: u64,
    /// Peers.
    pub(crate) connections: u32,
    /// Whether it talks to peers at all.
    #[serde(rename = "networkactive")]
    pub(crate) network_active: bool,
}

/// Of `getpeerinfo`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct NodePeer {
    /// The node's number for it.
    pub(crate) id: u64,
    /// Address and port.
    pub(crate) addr: String,
    /// As it calls itself.
    #[serde(default)]
    pub(crate) subver: String,
    /// Whether it dialled.
    #[serde(default)]
    pub(crate) inbound: bool,
    /// The last block both have.
    #[serde(default)]
    pub(crate) synced_blocks: i64,
    /// Seconds.
    #[serde(default, rename = "pingtime")]
    pub(crate) ping_time: Option<f64>,
    /// Since when, in Unix seconds.
    #[serde(default, rename = "conntime")]
    pub(crate) connected: u64,
}

/// What changes without a block.
#[derive(Debug, Clone, Default)]
pub(crate) struct Conditions {
    /// The node itself.
    pub(crate) network: Option<NetworkInfo>,
    /// Its peers.
    pub(crate) peers: Vec<NodePeer>,
    /// Whether transactions are found by their id alone (`-txindex`); `None` until known.
    pub(crate) has_txindex: Option<bool>,
    /// Waiting transactions.
    pub(crate) mempool: Arc<Mempool>,
}

/// The mempool.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Mempool {
    /// In numbers.
    pub(crate) info: MempoolInfo,
    /// By id. Empty when there are more than are followed.
    pub(crate) entries: BTreeMap<Txid, Waiting>,
}

impl Mempool {
    /// The outputs that waiting transactions spend.
    pub(crate) fn spends(&self) -> HashSet<OutPoint> {
        let waiting = self.entries.values();
        let transactions = waiting.filter_map(|waiting| waiting.transaction.as_ref());
        let inputs = transactions.flat_map(|transaction| &transaction.input);
        inputs.map(|input| input.previous_output).collect()
    }
}

/// `getmempoolinfo`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct MempoolInfo {
    /// Transactions.
    pub(crate) size: usize,
    /// Virtual bytes.
    pub(crate) bytes: u64,
    /// Memory, in bytes.
    #[serde(default)]
    pub(crate) usage: u64,
    /// All fees, in bitcoins.
    #[serde(default)]
    pub(crate) total_fee: f64,
    /// The least fee rate that is taken, in bitcoins per 1000 virtual bytes.
    #[serde(default, rename = "mempoolminfee")]
    pub(crate) min_fee: f64,
}

/// A transaction that waits.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Waiting {
    /// What the node says of it.
    pub(crate) entry: MempoolEntry,
    /// Itself, unless the node did not give it.
    pub(crate) transaction: Option<Arc<Transaction>>,
}

/// Of `getrawmempool`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct MempoolEntry {
    /// Virtual bytes.
    pub(crate) vsize: u64,
    /// When it came, in Unix seconds.
    pub(crate) time: u64,
    /// Waiting transactions it depends on, itself included.
    #[serde(rename = "ancestorcount")]
    pub(crate) ancestors: u64,
    /// Waiting transactions that depend on it, itself included.
    #[serde(rename = "descendantcount")]
    pub(crate) descendants: u64,
    /// What it pays.
    pub(crate) fees: Fees,
}

/// Of a [`MempoolEntry`].
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub(crate) struct Fees {
    /// Of the transaction itself.
    #[serde(with = "bitcoin::amount::serde::as_btc")]
    pub(crate) base: Amount,
}

impl MempoolEntry {
    /// Satoshis.
    pub(crate) fn fee(&self) -> u64 {
        self.fees.base.to_sat()
    }

    /// Satoshis per virtual byte.
    pub(crate) fn rate(&self) -> f64 {
        self.fee() as f64 / self.vsize.max(1) as f64
    }
}
