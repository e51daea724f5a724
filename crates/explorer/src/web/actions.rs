//! What visitors may do with the lab, where the configuration allows it: mine, take coins, send a
//! transaction, turn the chain, have the node take a block for invalid.
//!
//! Nobody logs in, so what has to be kept out are other pages in a visitor's browser: a request that
//! one of them makes says where it comes from, and one that reached us by a name that is not ours
//! (DNS rebinding) says that name.

mod branch;
mod faucet;

use std::net::IpAddr;

use axum::extract::{Form, Query, State};
use axum::http::{HeaderMap, header};
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use bitcoin::hashes::Hash;
use bitcoin::{Address, WPubkeyHash};
use daemon::clock;
use daemon::http::{Problem, Routes, routes};
use daemon::node::NodeError;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::ask::{Ask, problem};
use super::html;
use crate::archive::Missing;
use crate::config::{Actions, Kind};
use crate::view::{App, address};

/// Blocks mined at once, at most.
const MAX_BLOCKS: u32 = 500;

pub(super) fn pages() -> Router<App> {
    Router::new().route("/actions", get(page).post(act))
}

pub(super) fn routes() -> Routes<App> {
    Routes::new().routes(routes!(perform))
}

/// What somebody wants done.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Wish {
    /// `mine`, `faucet`, `send`, `reorg`, `invalidate` or `reconsider`.
    action: String,
    /// To mine, 1 unless given.
    blocks: Option<u32>,
    /// Who mines: a mining device's name, or nobody for the node itself.
    by: Option<String>,
    /// Height or hash of the block to mine on, of any branch; the chain's tip unless given.
    on: Option<String>,
    /// Whom to pay.
    address: Option<String>,
    /// What the faucet pays, in bitcoins; 1 unless given.
    amount: Option<f64>,
    /// A raw transaction.
    hex: Option<String>,
    /// Blocks to leave for others, 1 unless given.
    depth: Option<u32>,
    /// Height or hash of the block to invalidate, or to reconsider.
    block: Option<String>,
}

/// What was done, and what can be.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub(super) struct Done {
    pub(super) message: Option<String>,
    /// Where it is shown.
    pub(super) url: Option<String>,
    pub(super) failed: Option<String>,
    pub(super) has_faucet: bool,
    /// Mining devices.
    pub(super) devices: Vec<String>,
    /// What a link named: the block to judge, and the one to mine on.
    #[serde(skip)]
    pub(super) block: String,
    #[serde(skip)]
    pub(super) on: String,
}

/// What a link names.
#[derive(Debug, Default, Deserialize)]
struct Named {
    #[serde(default)]
    block: String,
    #[serde(default)]
    on: String,
}

impl Done {
    fn of(app: &App) -> Self {
        let actions = app.config.actions.as_ref();
        let mut devices = Vec::new();
        app.board.each_of(Kind::MiningDevice, |service| {
            devices.push(service.name().to_owned());
        });
        Self {
            has_faucet: actions.is_some_and(|actions| actions.faucet_key.is_some()),
            devices,
            ..Self::default()
        }
    }
}

/// The configuration, if this request may do something.
pub(super) fn allow<'a>(app: &'a App, headers: &HeaderMap) -> Result<&'a Actions, Missing> {
    let actions = app.config.actions.as_ref().ok_or_else(|| {
        let what = "actions are off here; the key actions.enabled turns them on";
        Missing::Forbidden(what.to_owned())
    })?;
    match is_ours(headers, &actions.allowed_hosts) {
        true => Ok(actions),
        false => {
            let what = "this request comes from another page, or by a name that is not this \
                        explorer's; see the key actions.allowed_hosts";
            Err(Missing::Forbidden(what.to_owned()))
        }
    }
}

/// Whether a request was made by one of our pages, or by no page at all.
fn is_ours(headers: &HeaderMap, allowed: &[String]) -> bool {
    let text = |name| {
        headers
            .get(name)
            .and_then(|value: &header::HeaderValue| value.to_str().ok())
    };
    let Some(host) = text(header::HOST) else {
        return false;
    };
    let name = host.rsplit_once(':').map_or(host, |(name, port)| {
        match port.bytes().all(|byte| byte.is_ascii_digit()) {
            true => name,
            false => host,
        }
    });
    let is_address = name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    let is_known = is_address || name == "localhost" || allowed.iter().any(|known| known == name);
    let is_same_origin = match text(header::ORIGIN) {
        Some(origin) => origin.strip_prefix("http://") == Some(host),
        None => true,
    };
    let is_same_site = match headers.get("sec-fetch-site") {
        Some(site) => site == "same-origin" || site == "none",
        None => true,
    };
    is_known && is_same_origin && is_same_site
}

async fn page(ask: Ask, Query(named): Query<Named>) -> Response {
    let view = match ask.app.config.actions {
        Some(_) => Ok(Done {
            block: named.block,
            on: named.on,
            ..Done::of(&ask.app)
        }),
        None => Err(Missing::not_found(
            "actions are off here; the key actions.enabled turns them on",
        )),
    };
    ask.show("Actions", view, |frame, view| html::Actions { frame, view })
}

async fn act(ask: Ask, headers: HeaderMap, Form(wish): Form<Wish>) -> Response {
    let actions = match allow(&ask.app, &headers) {
        Ok(actions) => actions,
        Err(missing) => {
            let missing = missing.clone();
            return ask.refuse(&missing);
        }
    };
    let view = match grant(&ask.app, actions, &wish).await {
        Ok(done) => done,
        Err(missing) => Done {
            failed: Some(missing.to_string()),
            ..Done::of(&ask.app)
        },
    };
    ask.show("Actions", Ok(view), |frame, view| html::Actions {
        frame,
        view,
    })
}

/// Mine, take coins from the faucet, send a transaction, turn the chain, or judge a block
#[utoipa::path(
    post, path = "/api/v1/actions", tag = "explorer", request_body = Wish,
    responses(
        (status = OK, description = "Done", body = Done),
        (status = BAD_REQUEST, description = "It cannot be done", body = Problem),
        (status = FORBIDDEN, description = "Actions are off, or another page asks", body = Problem),
    )
)]
async fn perform(
    State(app): State<App>,
    headers: HeaderMap,
    Json(wish): Json<Wish>,
) -> Result<Json<Done>, Problem> {
    let done = async {
        let actions = allow(&app, &headers)?;
        grant(&app, actions, &wish).await
    };
    done.await.map(Json).map_err(|missing| problem(&missing))
}

async fn grant(app: &App, actions: &Actions, wish: &Wish) -> Result<Done, Missing> {
    let (message, url) = match wish.action.as_str() {
        "mine" => mine(app, actions, wish).await?,
        "faucet" => {
            let text = wish.address.as_deref().unwrap_or_default();
            let to = address::parse(app, text.trim())?;
            let txid = faucet::pay(app, actions, &to, wish.amount.unwrap_or(1.0)).await?;
            (format!("Paid {to}."), format!("/tx/{txid}"))
        }
        "send" => {
            let hex = wish.hex.as_deref().unwrap_or_default();
            let txid = send(actions, hex.trim()).await?;
            (format!("Sent {txid}."), format!("/tx/{txid}"))
        }
        "reorg" => branch::reorg(app, actions, wish.depth.unwrap_or(1)).await?,
        "invalidate" | "reconsider" => branch::judge(app, actions, wish).await?,
        other => {
            let what =
                format!("{other:?}: expected mine, faucet, send, reorg, invalidate or reconsider");
            return Err(Missing::BadRequest(what));
        }
    };
    Ok(Done {
        message: Some(message),
        url: Some(url),
        ..Done::of(app)
    })
}

/// The node's refusal is about what was asked for.
fn refused(error: NodeError) -> Missing {
    match error {
        NodeError::Rpc { message, .. } => Missing::BadRequest(message),
        other => other.into(),
    }
}

async fn mine(app: &App, actions: &Actions, wish: &Wish) -> Result<(String, String), Missing> {
    let blocks = wish.blocks.unwrap_or(1);
    if !(1..=MAX_BLOCKS).contains(&blocks) {
        let what = format!("{blocks} blocks: expected 1 to {MAX_BLOCKS}");
        return Err(Missing::BadRequest(what));
    }
    let by = wish.by.as_deref().unwrap_or_default();
    let on = wish.on.as_deref().unwrap_or_default().trim();
    if !by.is_empty() {
        return match on.is_empty() {
            true => mine_by(app, by, blocks).await,
            false => Err(Missing::bad_request(
                "a device mines on the chain's tip only; the node can mine elsewhere",
            )),
        };
    }
    let to = match wish
        .address
        .as_deref()
        .map(str::trim)
        .filter(|text| !text.is_empty())
    {
        Some(text) => address::parse(app, text)?,
        None => match &actions.faucet_key {
            Some(key) if on.is_empty() => faucet::address(key, app.config.network)?,
            // A second block on the same one is to be another one.
            _ => nobody(app),
        },
    };
    if !on.is_empty() {
        return branch::mine_on(app, actions, on, (blocks, &to)).await;
    }
    let mined = actions.rpc.generate(blocks.into(), &to.to_string()).await;
    let hashes = mined.map_err(refused)?;
    let newest = hashes.last().cloned().unwrap_or_default();
    Ok((
        format!("The node made {blocks} blocks."),
        format!("/block/{newest}"),
    ))
}

/// Through the whole lab.
async fn mine_by(app: &App, name: &str, blocks: u32) -> Result<(String, String), Missing> {
    let found = app.board.find(|service| {
        let is_it = service.name() == name && service.peer.kind == Kind::MiningDevice;
        is_it.then(|| service.peer.address.to_string())
    });
    let address = found.ok_or_else(|| Missing::bad_request(format!("{name:?} is no device")))?;
    let url = format!("http://{address}/api/v1/mine?blocks={blocks}");
    let sent = reqwest::Client::new().post(url).send().await;
    sent.and_then(reqwest::Response::error_for_status)
        .map_err(|error| Missing::Unavailable(format!("{name}: {error}")))?;
    let message = format!("{name} is looking for {blocks} blocks without rest.");
    Ok((message, "/".to_owned()))
}

/// An address whose coins nobody can spend; another one each time, so that no block is like one
/// that was there before.
fn nobody(app: &App) -> Address {
    let noise = clock::unix_ms().to_le_bytes();
    let script = bitcoin::ScriptBuf::new_p2wpkh(&WPubkeyHash::hash(&noise));
    Address::from_script(&script, app.config.network).expect("a P2WPKH script has an address")
}

/// Its id.
pub(super) async fn send(actions: &Actions, hex: &str) -> Result<String, Missing> {
    if hex.is_empty() {
        return Err(Missing::bad_request("a raw transaction as hex is needed"));
    }
    let params = json!([hex]);
    actions
        .rpc
        .call("sendrawtransaction", params)
        .await
        .map_err(refused)
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn ours(pairs: &[(&'static str, &'static str)]) -> bool {
        let pairs = pairs.iter().map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        });
        is_ours(&pairs.collect(), &["btc-explorer".to_owned()])
    }

    #[test]
    fn other_pages_and_foreign_names_are_refused() {
        let host = ("host", "127.0.0.1:3002");
        assert!(ours(&[host]));
        assert!(ours(&[
            host,
            ("origin", "http://127.0.0.1:3002"),
            ("sec-fetch-site", "same-origin")
        ]));
        assert!(ours(&[("host", "localhost:3002")]));
        assert!(ours(&[("host", "[::1]:3002")]));
        assert!(ours(&[("host", "btc-explorer:3002")]));
        assert!(!ours(&[]));
        assert!(!ours(&[host, ("origin", "http://evil.example")]));
        assert!(!ours(&[host, ("origin", "null")]));
        assert!(!ours(&[host, ("origin", "http://127.0.0.1:8080")]));
        assert!(!ours(&[host, ("sec-fetch-site", "cross-site")]));
        assert!(!ours(&[host, ("sec-fetch-site", "same-site")]));
        // DNS rebinding: the page is same-origin by its own name.
        assert!(!ours(&[
            ("host", "evil.example:3002"),
            ("origin", "http://evil.example:3002")
        ]));
    }
}
