//! Addresses and scripts, as Esplora tells of them.

use axum::Json;
use axum::extract::{Path, State};
use bitcoin::Txid;
use bitcoin::hex::FromHex;
use serde_json::{Value, json};

use super::{Answer, transaction};
use crate::archive::Missing;
use crate::chain::{Chain, Index, ScriptHash, script_hash};
use crate::view::App;
use crate::view::address::{self, HistoryLine};

/// Transactions of a list.
const PAGE: usize = 25;

type Named = Path<(String, String)>;

/// `by` is `address` or `scripthash`.
fn find(app: &App, by: &str, id: &str) -> Result<ScriptHash, Missing> {
    match by {
        "address" => Ok(script_hash(&address::parse(app, id)?.script_pubkey())),
        "scripthash" => {
            <[u8; 32]>::from_hex(id).map_err(|_| Missing::bad_request("Invalid hex string"))
        }
        _ => Err(Missing::not_found("no such route")),
    }
}

fn index(chain: &Chain) -> Result<&Index, Missing> {
    chain.index().ok_or_else(|| {
        Missing::Unavailable("the chain is too long for an index of addresses".into())
    })
}

fn mempool(app: &App, hash: &ScriptHash) -> Vec<HistoryLine> {
    let mempool = app.conditions.borrow().mempool.clone();
    address::waiting(app, &mempool, hash)
}

pub(super) async fn summary(State(app): State<App>, Path((by, id)): Named) -> Answer<Json<Value>> {
    let hash = find(&app, &by, &id)?;
    let waiting = mempool(&app, &hash);
    let chain = app.chain.borrow();
    let tip = chain.tip().map_or(0, |tip| tip.height);
    let sums = index(&chain)?.summary(&hash, tip);
    let funding = waiting.iter().filter(|line| line.received > 0);
    let spending = waiting.iter().filter(|line| line.sent > 0);
    Ok(Json(json!({
        by: id,
        "chain_stats": {
            "funded_txo_count": sums.funded_count,
            "funded_txo_sum": sums.funded,
            "spent_txo_count": sums.spent_count,
            "spent_txo_sum": sums.spent,
            "tx_count": sums.transactions,
        },
        "mempool_stats": {
            "funded_txo_count": funding.clone().count(),
            "funded_txo_sum": funding.map(|line| line.received).sum::<u64>(),
            "spent_txo_count": spending.clone().count(),
            "spent_txo_sum": spending.map(|line| line.sent).sum::<u64>(),
            "tx_count": waiting.len(),
        },
    })))
}

pub(super) async fn coins(
    State(app): State<App>,
    Path((by, id)): Named,
) -> Answer<Json<Vec<Value>>> {
    let hash = find(&app, &by, &id)?;
    let waiting = app.conditions.borrow().mempool.clone();
    let spent = waiting.spends();
    let mut coins = Vec::new();
    {
        let chain = app.chain.borrow();
        for coin in index(&chain)?.coins(&hash) {
            if spent.contains(&coin.outpoint) {
                continue;
            }
            let brief = chain.at(coin.height);
            coins.push(json!({
                "txid": coin.outpoint.txid.to_string(),
                "vout": coin.outpoint.vout,
                "value": coin.value,
                "status": {
                    "confirmed": true,
                    "block_height": coin.height,
                    "block_hash": brief.map(|brief| brief.hash.to_string()),
                    "block_time": brief.map(|brief| brief.time),
                },
            }));
        }
    }
    for (txid, entry) in &waiting.entries {
        if address::is_mined(&app, txid) {
            continue;
        }
        let outputs = entry.transaction.iter().flat_map(|own| &own.output);
        for (vout, output) in outputs.enumerate() {
            let outpoint = bitcoin::OutPoint::new(*txid, vout as u32);
            if script_hash(&output.script_pubkey) == hash && !spent.contains(&outpoint) {
                coins.push(json!({
                    "txid": txid.to_string(),
                    "vout": vout,
                    "value": output.value.to_sat(),
                    "status": { "confirmed": false },
                }));
            }
        }
    }
    Ok(Json(coins))
}

async fn views(app: &App, txids: &[Txid]) -> Answer<Json<Vec<Value>>> {
    let transactions = app.archive.transactions(txids).await?;
    Ok(Json(transaction::views(app, &transactions).await?))
}

fn waiting_ids(app: &App, hash: &ScriptHash) -> Vec<Txid> {
    let lines = mempool(app, hash);
    let ids = lines.iter().filter_map(|line| line.txid.parse().ok());
    ids.take(50).collect()
}

/// From the newest on, or from the one behind `last`.
fn confirmed_ids(app: &App, hash: &ScriptHash, last: Option<Txid>) -> Result<Vec<Txid>, Missing> {
    let chain = app.chain.borrow();
    let mut ids = index(&chain)?.transactions(hash);
    if let Some(last) = last {
        ids.find(|txid| *txid == last);
    }
    Ok(ids.take(PAGE).collect())
}

pub(super) async fn transactions(
    State(app): State<App>,
    Path((by, id)): Named,
) -> Answer<Json<Vec<Value>>> {
    let hash = find(&app, &by, &id)?;
    let mut ids = waiting_ids(&app, &hash);
    ids.extend(confirmed_ids(&app, &hash, None)?);
    views(&app, &ids).await
}

pub(super) async fn waiting(
    State(app): State<App>,
    Path((by, id)): Named,
) -> Answer<Json<Vec<Value>>> {
    let hash = find(&app, &by, &id)?;
    views(&app, &waiting_ids(&app, &hash)).await
}

pub(super) async fn confirmed(
    State(app): State<App>,
    Path((by, id)): Named,
) -> Answer<Json<Vec<Value>>> {
    let hash = find(&app, &by, &id)?;
    let ids = confirmed_ids(&app, &hash, None)?;
    views(&app, &ids).await
}

pub(super) async fn confirmed_after(
    State(app): State<App>,
    Path((by, id, last)): Path<(String, String, String)>,
) -> Answer<Json<Vec<Value>>> {
    let hash = find(&app, &by, &id)?;
    let last = last
        .parse()
        .map_err(|_| Missing::bad_request("Invalid hex string"))?;
    let ids = confirmed_ids(&app, &hash, Some(last))?;
    views(&app, &ids).await
}
