//! Transactions, as Esplora tells of them.

use std::collections::HashMap;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use bitcoin::consensus::encode::{serialize, serialize_hex};
use bitcoin::hashes::Hash;
use bitcoin::hex::DisplayHex;
use bitcoin::{OutPoint, Transaction, TxMerkleNode, TxOut, Txid};
use serde_json::{Value, json};

use super::{Answer, binary};
use crate::archive::{Found, Missing, Place};
use crate::view::{App, address_of};
use crate::web::actions;

fn parse(txid: &str) -> Result<Txid, Missing> {
    txid.parse()
        .map_err(|_| Missing::bad_request("Invalid hex string"))
}

async fn find(app: &App, txid: &str) -> Result<Found, Missing> {
    app.archive.transaction(&parse(txid)?).await
}

fn kind(script: &bitcoin::Script) -> &'static str {
    match script {
        _ if script.is_p2pkh() => "p2pkh",
        _ if script.is_p2sh() => "p2sh",
        _ if script.is_p2wpkh() => "v0_p2wpkh",
        _ if script.is_p2wsh() => "v0_p2wsh",
        _ if script.is_p2tr() => "v1_p2tr",
        _ if script.is_op_return() => "op_return",
        _ if script.is_p2pk() => "p2pk",
        _ => "unknown",
    }
}

fn output(app: &App, output: &TxOut) -> Value {
    let script = &output.script_pubkey;
    let mut view = json!({
        "scriptpubkey": script.to_hex_string(),
        "scriptpubkey_asm": script.to_asm_string(),
        "scriptpubkey_type": kind(script),
        "value": output.value.to_sat(),
    });
    if let Some(address) = address_of(script, app.config.network) {
        view["scriptpubkey_address"] = json!(address);
    }
    view
}

/// Whether it is in the chain, and where.
pub(super) fn status_view(app: &App, place: Option<Place>) -> Value {
    let chain = app.chain.borrow();
    let brief = place.and_then(|place| chain.find(&place.block));
    match brief {
        Some(brief) => json!({
            "confirmed": true,
            "block_height": brief.height,
            "block_hash": brief.hash.to_string(),
            "block_time": brief.time,
        }),
        None => json!({ "confirmed": false }),
    }
}

/// All of each, with what its inputs spend.
pub(super) async fn views(app: &App, transactions: &[Found]) -> Result<Vec<Value>, Missing> {
    let spenders = transactions.iter().map(|(transaction, _)| transaction);
    let inputs = spenders
        .filter(|transaction| !transaction.is_coinbase())
        .flat_map(|transaction| &transaction.input);
    let spent: Vec<OutPoint> = inputs.map(|input| input.previous_output).collect();
    let known = app.archive.outputs(&spent).await?;
    let views = transactions
        .iter()
        .map(|(transaction, place)| view(app, transaction, *place, &known));
    Ok(views.collect())
}

fn view(
    app: &App,
    transaction: &Transaction,
    place: Option<Place>,
    known: &HashMap<OutPoint, TxOut>,
) -> Value {
    let is_coinbase = transaction.is_coinbase();
    let spent = transaction.input.iter();
    let spent = spent.filter_map(|input| known.get(&input.previous_output));
    let paid: u64 = spent.map(|output| output.value.to_sat()).sum();
    let pays: u64 = transaction
        .output
        .iter()
        .map(|output| output.value.to_sat())
        .sum();
    let inputs = transaction.input.iter().map(|input| {
        let previous = input.previous_output;
        json!({
            "txid": previous.txid.to_string(),
            "vout": previous.vout,
            "prevout": known.get(&previous).map(|known| output(app, known)),
            "scriptsig": input.script_sig.to_hex_string(),
            "scriptsig_asm": input.script_sig.to_asm_string(),
            "witness": input.witness.iter().map(DisplayHex::to_lower_hex_string).collect::<Vec<_>>(),
            "is_coinbase": is_coinbase,
            "sequence": input.sequence.0,
        })
    });
    json!({
        "txid": transaction.compute_txid().to_string(),
        "version": transaction.version.0,
        "locktime": transaction.lock_time.to_consensus_u32(),
        "vin": inputs.collect::<Vec<_>>(),
        "vout": transaction.output.iter().map(|own| output(app, own)).collect::<Vec<_>>(),
        "size": transaction.total_size(),
        "weight": transaction.weight().to_wu(),
        "fee": if is_coinbase { 0 } else { paid.saturating_sub(pays) },
        "status": status_view(app, place),
    })
}

pub(super) async fn one(State(app): State<App>, Path(txid): Path<String>) -> Answer<Json<Value>> {
    let found = [find(&app, &txid).await?];
    let view = views(&app, &found).await?.pop();
    Ok(Json(view.unwrap_or_default()))
}

pub(super) async fn status(
    State(app): State<App>,
    Path(txid): Path<String>,
) -> Answer<Json<Value>> {
    // A transaction that nobody knows is not confirmed.
    let place = match find(&app, &txid).await {
        Ok((_, place)) => place,
        Err(Missing::NotFound(_)) => None,
        Err(error) => return Err(error.into()),
    };
    Ok(Json(status_view(&app, place)))
}

pub(super) async fn hex(State(app): State<App>, Path(txid): Path<String>) -> Answer<String> {
    Ok(serialize_hex(&find(&app, &txid).await?.0))
}

pub(super) async fn raw(State(app): State<App>, Path(txid): Path<String>) -> Answer<Response> {
    Ok(binary(serialize(&find(&app, &txid).await?.0)))
}

/// From the transaction to its block's merkle root.
pub(super) async fn proof(State(app): State<App>, Path(txid): Path<String>) -> Answer<Json<Value>> {
    let wanted = parse(&txid)?;
    let (_, place) = app.archive.transaction(&wanted).await?;
    let place = place.ok_or_else(|| Missing::not_found("Transaction not confirmed"))?;
    let block = app.archive.block(&place.block).await?;
    let mut level: Vec<TxMerkleNode> = block
        .txdata
        .iter()
        .map(|transaction| transaction.compute_txid().into())
        .collect();
    let position = level
        .iter()
        .position(|node| node.to_byte_array() == wanted.to_byte_array());
    let position = position.ok_or_else(|| Missing::not_found("Transaction not found"))?;
    let mut path = Vec::new();
    let mut at = position;
    while level.len() > 1 {
        // The last of an odd number is its own partner.
        path.push(level[(at ^ 1).min(level.len() - 1)].to_string());
        level = level
            .chunks(2)
            .map(|pair| {
                let both = [
                    pair[0].to_byte_array(),
                    pair[pair.len() - 1].to_byte_array(),
                ];
                TxMerkleNode::hash(&both.concat())
            })
            .collect();
        at /= 2;
    }
    Ok(Json(json!({
        "block_height": place.height,
        "merkle": path,
        "pos": position,
    })))
}

fn spending(app: &App, outpoint: OutPoint) -> Value {
    let mempool = app.conditions.borrow().mempool.clone();
    let spender = mempool.entries.iter().find_map(|(txid, waiting)| {
        let inputs = &waiting.transaction.as_ref()?.input;
        let vin = inputs
            .iter()
            .position(|input| input.previous_output == outpoint)?;
        Some((*txid, vin))
    });
    if let Some((txid, vin)) = spender {
        return json!({
            "spent": true, "txid": txid.to_string(), "vin": vin, "status": { "confirmed": false },
        });
    }
    let chain = app.chain.borrow();
    let spent = chain.index().and_then(|index| index.spending(&outpoint));
    let Some((txid, height)) = spent.and_then(|(_, by)| by) else {
        return json!({ "spent": false });
    };
    let place = chain.at(height).map(|brief| Place {
        block: brief.hash,
        height: Some(height),
    });
    let block = place.and_then(|place| chain.whole(&place.block));
    let vin = block.and_then(|block| {
        let mut transactions = block.txdata.iter();
        let spender = transactions.find(|transaction| transaction.compute_txid() == txid)?;
        spender
            .input
            .iter()
            .position(|input| input.previous_output == outpoint)
    });
    drop(chain);
    json!({
        "spent": true, "txid": txid.to_string(), "vin": vin.unwrap_or(0),
        "status": status_view(app, place),
    })
}

pub(super) async fn outspend(
    State(app): State<App>,
    Path((txid, vout)): Path<(String, u32)>,
) -> Answer<Json<Value>> {
    Ok(Json(spending(&app, OutPoint::new(parse(&txid)?, vout))))
}

pub(super) async fn outspends(
    State(app): State<App>,
    Path(txid): Path<String>,
) -> Answer<Json<Vec<Value>>> {
    let (transaction, _) = find(&app, &txid).await?;
    let txid = parse(&txid)?;
    let outpoints = (0..transaction.output.len()).map(|vout| OutPoint::new(txid, vout as u32));
    Ok(Json(
        outpoints.map(|outpoint| spending(&app, outpoint)).collect(),
    ))
}

/// Sends a raw transaction, where visitors may.
pub(super) async fn send(
    State(app): State<App>,
    headers: HeaderMap,
    body: String,
) -> Answer<String> {
    let allowed = actions::allow(&app, &headers)?;
    Ok(actions::send(allowed, body.trim()).await?)
}
