//! The newest declarations and what became of them, for `GET /api/v1/declarations`.

use std::collections::VecDeque;
use std::net::SocketAddr;

use axum::Json;
use axum::extract::{Query, State};
use bitcoin::BlockHash;
use bitcoin::hashes::Hash;
use bitcoin::hex::DisplayHex;
use daemon::clock;
use daemon::http::{Part, Routes, Window, routes};
use daemon::node::Verdict;
use serde::Serialize;
use tokio::sync::watch;
use utoipa::ToSchema;

use crate::core::Report;

/// Declarations kept.
const KEPT: usize = 100;

/// A declaration that was answered.
#[derive(Debug, Clone, Serialize, ToSchema)]
struct Record {
    /// Unix seconds.
    answered_at: u64,
    #[schema(value_type = String)]
    peer: SocketAddr,
    user: String,
    #[serde(skip)]
    number: u64,
    request_id: u32,
    height: u32,
    prev_hash: Option<String>,
    transactions: usize,
    missing: usize,
    rounds: u32,
    /// Satoshis.
    value: u64,
    pool_value: u64,
    took_ms: f64,
    node_took_ms: f64,
    /// Id of the token the pool is shown.
    token: Option<String>,
    error_code: Option<&'static str>,
    error_details: Option<String>,
    /// Found with the declared job.
    blocks: Vec<Found>,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
struct Found {
    hash: String,
    #[serde(flatten)]
    verdict: Verdict,
}

/// Newest first. Written by the connections they came on, read by HTTP.
#[derive(Debug, Clone, Default)]
pub(crate) struct Declarations {
    newest: watch::Sender<VecDeque<Record>>,
}

impl Declarations {
    /// What HTTP tells of them.
    pub(crate) fn routes(&self) -> Routes {
        Routes::new().routes(routes!(list)).with_state(self.clone())
    }

    /// A declaration was answered.
    pub(crate) fn answered(&self, peer: SocketAddr, report: &Report) {
        let refusal = report.refusal.as_ref();
        let record = Record {
            answered_at: clock::unix(),
            peer,
            user: report.user.clone(),
            number: report.number,
            request_id: report.request_id,
            height: report.height,
            prev_hash: report.prev_hash.as_ref().map(block_hash),
            transactions: report.transactions,
            missing: report.missing,
            rounds: report.rounds,
            value: report.value,
            pool_value: report.pool_value,
            took_ms: report.took.as_secs_f64() * 1e3,
            node_took_ms: report.node_took.as_secs_f64() * 1e3,
            token: report.token.map(|id| id.to_lower_hex_string()),
            error_code: refusal.map(|refusal| refusal.code),
            error_details: refusal.map(|refusal| refusal.details.clone()),
            blocks: Vec::new(),
        };
        self.newest.send_modify(|newest| {
            newest.truncate(KEPT - 1);
            newest.push_front(record);
        });
    }

    /// The node has judged a block that was found with the job of declaration `number` of `peer`.
    pub(crate) fn judged(&self, peer: SocketAddr, number: u64, hash: &[u8; 32], verdict: Verdict) {
        let hash = block_hash(hash);
        self.newest.send_modify(|newest| {
            // Who declares a job again that became a block has not found it.
            let mut blocks = newest.iter().flat_map(|record| &record.blocks);
            if blocks.any(|block| block.hash == hash) {
                return;
            }
            let is_it = |record: &&mut Record| record.peer == peer && record.number == number;
            if let Some(record) = newest.iter_mut().find(is_it) {
                record.blocks.push(Found { hash, verdict });
            }
        });
    }
}

/// As RPC and explorers write it.
pub(crate) fn block_hash(hash: &[u8; 32]) -> String {
    BlockHash::from_byte_array(*hash).to_string()
}

/// Declarations, newest first, with their answers and the blocks found with them
#[utoipa::path(
    get, path = "/api/v1/declarations", tag = "jds", params(Window),
    responses((status = OK, description = "The newest hundred, in parts", body = Part<Record>))
)]
async fn list(
    State(declarations): State<Declarations>,
    Query(window): Query<Window>,
) -> Json<Part<Record>> {
    Json(
        window
            .of(declarations.newest.borrow().iter())
            .map(Record::clone),
    )
}
