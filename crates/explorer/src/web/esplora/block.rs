//! Blocks, as Esplora tells of them.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use bitcoin::BlockHash;
use bitcoin::block::Header;
use bitcoin::consensus::encode::{serialize, serialize_hex};
use serde_json::{Value, json};

use super::{Answer, binary, transaction};
use crate::archive::{Missing, Place};
use crate::chain::Brief;
use crate::view::App;
use crate::view::block::find;

/// Blocks of a list.
const LIST: usize = 10;
/// Transactions of a list.
const PAGE: usize = 25;

/// By hash only, as Esplora has it.
async fn by_hash(app: &App, hash: &str) -> Result<Brief, Missing> {
    hash.parse::<BlockHash>()
        .map_err(|_| Missing::bad_request("Invalid hash"))?;
    find(app, hash).await
}

async fn views(app: &App, briefs: &[Brief]) -> Result<Vec<Value>, Missing> {
    let hashes: Vec<BlockHash> = briefs.iter().map(|brief| brief.hash).collect();
    let headers = app.archive.headers(&hashes).await?;
    let views = briefs.iter().zip(&headers);
    Ok(views
        .map(|(brief, header)| view(app, brief, header))
        .collect())
}

fn view(app: &App, brief: &Brief, header: &Header) -> Value {
    let median = {
        let chain = app.chain.borrow();
        let mut times: Vec<u32> = chain
            .down_from(brief.height)
            .take(11)
            .map(|brief| brief.time)
            .collect();
        times.sort_unstable();
        times.get(times.len() / 2).copied().unwrap_or(brief.time)
    };
    json!({
        "id": brief.hash.to_string(),
        "height": brief.height,
        "version": header.version.to_consensus(),
        "timestamp": brief.time,
        "tx_count": brief.transactions,
        "size": brief.size,
        "weight": brief.weight,
        "merkle_root": header.merkle_root.to_string(),
        "previousblockhash": (brief.height > 0).then(|| brief.previous.to_string()),
        "mediantime": median,
        "nonce": header.nonce,
        "bits": header.bits.to_consensus(),
        "difficulty": header.difficulty_float(),
    })
}

async fn list(app: &App, from: u32) -> Answer<Json<Vec<Value>>> {
    let briefs: Vec<Brief> = {
        let chain = app.chain.borrow();
        chain.down_from(from).take(LIST).cloned().collect()
    };
    Ok(Json(views(app, &briefs).await?))
}

pub(super) async fn newest(State(app): State<App>) -> Answer<Json<Vec<Value>>> {
    list(&app, u32::MAX).await
}

pub(super) async fn from(
    State(app): State<App>,
    Path(height): Path<u32>,
) -> Answer<Json<Vec<Value>>> {
    list(&app, height).await
}

fn tip(app: &App) -> Result<Brief, Missing> {
    let tip = app.chain.borrow().tip().cloned();
    tip.ok_or_else(|| Missing::Unavailable("no block is known yet".into()))
}

pub(super) async fn tip_height(State(app): State<App>) -> Answer<String> {
    Ok(tip(&app)?.height.to_string())
}

pub(super) async fn tip_hash(State(app): State<App>) -> Answer<String> {
    Ok(tip(&app)?.hash.to_string())
}

pub(super) async fn at_height(State(app): State<App>, Path(height): Path<u32>) -> Answer<String> {
    let chain = app.chain.borrow();
    let brief = chain.at(height);
    let hash = brief.map(|brief| brief.hash.to_string());
    Ok(hash.ok_or_else(|| Missing::not_found("Block not found"))?)
}

pub(super) async fn one(State(app): State<App>, Path(hash): Path<String>) -> Answer<Json<Value>> {
    let brief = by_hash(&app, &hash).await?;
    let view = views(&app, &[brief]).await?.pop();
    Ok(Json(view.unwrap_or_default()))
}

pub(super) async fn header(State(app): State<App>, Path(hash): Path<String>) -> Answer<String> {
    let brief = by_hash(&app, &hash).await?;
    let headers = app.archive.headers(&[brief.hash]).await?;
    Ok(headers.iter().map(serialize_hex).collect())
}

pub(super) async fn raw(State(app): State<App>, Path(hash): Path<String>) -> Answer<Response> {
    let brief = by_hash(&app, &hash).await?;
    let block = app.archive.block(&brief.hash).await?;
    Ok(binary(serialize(&*block)))
}

pub(super) async fn status(
    State(app): State<App>,
    Path(hash): Path<String>,
) -> Answer<Json<Value>> {
    let brief = by_hash(&app, &hash).await?;
    let chain = app.chain.borrow();
    let is_best = chain.find(&brief.hash).is_some();
    let next = chain.at(brief.height + 1).filter(|_| is_best);
    Ok(Json(json!({
        "in_best_chain": is_best,
        "height": is_best.then_some(brief.height),
        "next_best": next.map(|next| next.hash.to_string()),
    })))
}

pub(super) async fn txids(
    State(app): State<App>,
    Path(hash): Path<String>,
) -> Answer<Json<Vec<String>>> {
    let brief = by_hash(&app, &hash).await?;
    let block = app.archive.block(&brief.hash).await?;
    let ids = block
        .txdata
        .iter()
        .map(|transaction| transaction.compute_txid().to_string());
    Ok(Json(ids.collect()))
}

pub(super) async fn txid(
    State(app): State<App>,
    Path((hash, place)): Path<(String, usize)>,
) -> Answer<String> {
    let brief = by_hash(&app, &hash).await?;
    let block = app.archive.block(&brief.hash).await?;
    let transaction = block.txdata.get(place);
    let transaction = transaction.ok_or_else(|| Missing::not_found("tx index out of range"))?;
    Ok(transaction.compute_txid().to_string())
}

pub(super) async fn transactions(
    state: State<App>,
    Path(hash): Path<String>,
) -> Answer<Json<Vec<Value>>> {
    transactions_from(state, Path((hash, 0))).await
}

pub(super) async fn transactions_from(
    State(app): State<App>,
    Path((hash, start)): Path<(String, usize)>,
) -> Answer<Json<Vec<Value>>> {
    let brief = by_hash(&app, &hash).await?;
    let block = app.archive.block(&brief.hash).await?;
    let place = Place {
        block: brief.hash,
        height: Some(brief.height),
    };
    let page = block.txdata.iter().skip(start).take(PAGE);
    let page: Vec<_> = page.map(|own| (own.clone(), Some(place))).collect();
    Ok(Json(transaction::views(&app, &page).await?))
}
