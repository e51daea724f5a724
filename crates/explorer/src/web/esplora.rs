//! What wallets ask for: the part of Esplora's API that a regtest chain has a use for, under `/api`.

mod address;
mod block;
mod transaction;

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};

use crate::archive::Missing;
use crate::view::App;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/api/blocks", get(block::newest))
        .route("/api/blocks/{height}", get(block::from))
        .route("/api/blocks/tip/height", get(block::tip_height))
        .route("/api/blocks/tip/hash", get(block::tip_hash))
        .route("/api/block-height/{height}", get(block::at_height))
        .route("/api/block/{hash}", get(block::one))
        .route("/api/block/{hash}/header", get(block::header))
        .route("/api/block/{hash}/raw", get(block::raw))
        .route("/api/block/{hash}/status", get(block::status))
        .route("/api/block/{hash}/txids", get(block::txids))
        .route("/api/block/{hash}/txid/{place}", get(block::txid))
        .route("/api/block/{hash}/txs", get(block::transactions))
        .route(
            "/api/block/{hash}/txs/{start}",
            get(block::transactions_from),
        )
        .route("/api/tx", post(transaction::send))
        .route("/api/tx/{txid}", get(transaction::one))
        .route("/api/tx/{txid}/status", get(transaction::status))
        .route("/api/tx/{txid}/hex", get(transaction::hex))
        .route("/api/tx/{txid}/raw", get(transaction::raw))
        .route("/api/tx/{txid}/merkle-proof", get(transaction::proof))
        .route("/api/tx/{txid}/outspend/{vout}", get(transaction::outspend))
        .route("/api/tx/{txid}/outspends", get(transaction::outspends))
        .route("/api/{by}/{id}", get(address::summary))
        .route("/api/{by}/{id}/utxo", get(address::coins))
        .route("/api/{by}/{id}/txs", get(address::transactions))
        .route("/api/{by}/{id}/txs/mempool", get(address::waiting))
        .route("/api/{by}/{id}/txs/chain", get(address::confirmed))
        .route(
            "/api/{by}/{id}/txs/chain/{last}",
            get(address::confirmed_after),
        )
        .route("/api/mempool", get(mempool))
        .route("/api/mempool/txids", get(mempool_txids))
        .route("/api/mempool/recent", get(mempool_recent))
        .route("/api/fee-estimates", get(fee_estimates))
}

/// An answer, or why there is none, in the way Esplora says it: a status and a line of text.
type Answer<T> = Result<T, Refusal>;

struct Refusal(Missing);

impl From<Missing> for Refusal {
    fn from(missing: Missing) -> Self {
        Self(missing)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = match &self.0 {
            Missing::NotFound(_) => StatusCode::NOT_FOUND,
            Missing::BadRequest(_) => StatusCode::BAD_REQUEST,
            Missing::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Missing::Forbidden(_) => StatusCode::FORBIDDEN,
        };
        (status, self.0.to_string()).into_response()
    }
}

fn binary(bytes: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, "application/octet-stream")], bytes).into_response()
}

async fn mempool(State(app): State<App>) -> Json<Value> {
    let mempool = app.conditions.borrow().mempool.clone();
    let fees: u64 = mempool
        .entries
        .values()
        .map(|waiting| waiting.entry.fee())
        .sum();
    Json(json!({
        "count": mempool.info.size,
        "vsize": mempool.info.bytes,
        "total_fee": fees,
        "fee_histogram": [],
    }))
}

async fn mempool_txids(State(app): State<App>) -> Json<Vec<String>> {
    let mempool = app.conditions.borrow().mempool.clone();
    Json(mempool.entries.keys().map(ToString::to_string).collect())
}

async fn mempool_recent(State(app): State<App>) -> Json<Vec<Value>> {
    let mempool = app.conditions.borrow().mempool.clone();
    let mut entries: Vec<_> = mempool.entries.iter().collect();
    entries.sort_by_key(|(_, waiting)| std::cmp::Reverse(waiting.entry.time));
    let newest = entries.into_iter().take(10).map(|(txid, waiting)| {
        let outputs = waiting
            .transaction
            .iter()
            .flat_map(|transaction| &transaction.output);
        json!({
            "txid": txid.to_string(),
            "fee": waiting.entry.fee(),
            "vsize": waiting.entry.vsize,
            "value": outputs.map(|output| output.value.to_sat()).sum::<u64>(),
        })
    });
    Json(newest.collect())
}

/// Blocks of a lab are not full, so the least rate is enough for each of Esplora's targets.
async fn fee_estimates(State(app): State<App>) -> Json<Value> {
    let least = app.conditions.borrow().mempool.info.min_fee * 1e5;
    let targets = (1..=25).chain([144, 504, 1008]);
    let estimates = targets.map(|target| (target.to_string(), json!(least.max(1.0))));
    Json(Value::Object(estimates.collect()))
}
