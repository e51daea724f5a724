//! What people can look at: the miners, and the upstreams.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use axum::Json;
use axum::extract::{Path, Query, State};
use daemon::clock;
use daemon::http::{Part, Problem, Routes, Window, routes};
use protocol::target::Target;
use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio::sync::watch;
use utoipa::ToSchema;

use crate::config::Server;
use crate::metrics::Metrics;
use crate::proxy::Proxy;
use crate::stats::{Client, Stats};

/// A snapshot. The desk makes it, HTTP reads it.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    upstreams: Vec<Upstream>,
    active: Option<String>,
    channels: usize,
    hash_rate: f64,
}

/// A pool, or whatever else gives work.
#[derive(Debug, Clone, Serialize, ToSchema)]
struct Upstream {
    /// Host and port.
    address: String,
    user_identity: String,
    /// `connecting`, `resting` after a failure, `on_probation`, `standby` or `active`.
    state: &'static str,
    /// Why it failed last.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_failure: Option<String>,
}

impl Shown {
    /// What there is to see now.
    pub(crate) fn of(proxy: &Proxy, upstreams: &[Server], now: Instant) -> Self {
        let shown = upstreams.iter().enumerate().map(|(number, server)| {
            let (state, reason) = proxy.state(number, now);
            Upstream {
                address: server.upstream.address.to_string(),
                user_identity: server.terms.user_identity.clone(),
                state: state.name(),
                last_failure: reason.map(str::to_owned),
            }
        });
        let active = proxy.active().and_then(|at| upstreams.get(at));
        Self {
            upstreams: shown.collect(),
            active: active.map(|server| server.upstream.address.to_string()),
            channels: proxy.channels(),
            hash_rate: proxy.hash_rate(),
        }
    }
}

/// A miner that is connected.
#[derive(Debug, Serialize, ToSchema)]
struct ClientView {
    /// Given again as late as possible after it left.
    client_id: u32,
    /// Its address and port.
    peer: String,
    /// The software it says it is.
    user_agent: String,
    /// The first worker it authorized.
    authorized_worker_name: String,
    /// The same, by the name SRI's translator has for it.
    user_identity: String,
    /// The upstream's id of the channel that its shares go to.
    channel_id: Option<u32>,
    /// In front of what it chooses itself, in hexadecimal; empty before it has subscribed.
    extranonce1_hex: String,
    /// Bytes that it chooses.
    extranonce2_len: usize,
    /// Bits of the version that it may change, in hexadecimal, if it has asked.
    version_rolling_mask: Option<String>,
    /// How many of them it needs, in hexadecimal.
    version_rolling_min_bit: Option<String>,
    /// Of its shares, as it was told; 0 before its first job.
    difficulty: f64,
    /// What its hashes must not exceed to be shares, the most significant digit first.
    target_hex: String,
    /// Hashes a second that it is believed to do.
    hashrate: f64,
    /// The same, by its shares of about the last minute.
    hashrate_1m: f64,
    /// And of about the last ten minutes.
    hashrate_10m: f64,
    /// When it connected, in milliseconds since 1970.
    connected_ms: u64,
    shares_accepted: u64,
    shares_rejected: u64,
    /// By reason; those that did not occur are left out.
    #[schema(value_type = BTreeMap<String, u64>)]
    shares_rejected_by_reason: BTreeMap<&'static str, u64>,
    /// Hashes that the accepted ones took on average.
    share_work_sum: f64,
    best_difficulty: f64,
    blocks_found: u64,
    upstream: UpstreamView,
}

/// What became of a miner's shares further up. Those it lacks were too easy for the upstream.
#[derive(Debug, Serialize, ToSchema)]
struct UpstreamView {
    shares_submitted: u64,
    shares_accepted: u64,
    shares_rejected: u64,
    /// Never answered.
    shares_lost: u64,
    /// Why one was rejected last.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_rejection: Option<String>,
}

impl ClientView {
    fn of(client: &Client, extranonce2_len: usize) -> Self {
        let count = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
        let rejected = client.rejections();
        let worker = client.worker.get().map_or("", |name| name).to_owned();
        let rolling = client.version_rolling();
        let target = sv1::difficulty::target(client.difficulty.get()).unwrap_or(Target::MAX);
        let measured = client.measured.read(clock::unix_ms(), client.connected_ms);
        Self {
            client_id: client.id,
            peer: client.peer.to_string(),
            user_agent: client.agent.get().map_or("", |agent| agent).to_owned(),
            authorized_worker_name: worker.clone(),
            user_identity: worker,
            channel_id: client.channel_id.get(),
            extranonce1_hex: client.extranonce1.get().cloned().unwrap_or_default(),
            extranonce2_len,
            version_rolling_mask: rolling.map(|(mask, _)| format!("{mask:08x}")),
            version_rolling_min_bit: rolling.map(|(_, count)| format!("{count:08x}")),
            difficulty: client.difficulty.get(),
            target_hex: format!("{target:?}"),
            hashrate: client.hash_rate.get(),
            hashrate_1m: measured.one_minute,
            hashrate_10m: measured.ten_minutes,
            connected_ms: client.connected_ms,
            shares_accepted: count(&client.accepted),
            shares_rejected: rejected.values().sum(),
            shares_rejected_by_reason: rejected,
            share_work_sum: client.work.get(),
            best_difficulty: client.best_difficulty.get(),
            blocks_found: count(&client.blocks),
            upstream: UpstreamView {
                shares_submitted: count(&client.relayed),
                shares_accepted: count(&client.upstream_accepted),
                shares_rejected: count(&client.upstream_rejected),
                shares_lost: count(&client.lost),
                last_rejection: client.upstream_reason(),
            },
        }
    }
}

/// What the routes read.
#[derive(Clone)]
pub(crate) struct Seen {
    pub(crate) shown: watch::Receiver<Arc<Shown>>,
    pub(crate) stats: Arc<Stats>,
    pub(crate) metrics: Metrics,
    pub(crate) extranonce2_len: usize,
}

/// The role's part of `/api/v1/status`.
pub(crate) fn status(seen: Seen) -> Box<dyn Fn() -> Map<String, Value> + Send + Sync> {
    Box::new(move || {
        let shown = Arc::clone(&seen.shown.borrow());
        let body = json!({
            "upstream": shown.active,
            "upstreams": shown.upstreams,
            "channels": shown.channels,
            "sv1_clients": seen.metrics.clients.get(),
            "hashrate": shown.hash_rate,
            "shares_accepted": seen.metrics.accepted.get(),
        });
        match body {
            Value::Object(map) => map,
            _ => Map::new(),
        }
    })
}

/// What HTTP tells beyond that.
pub(crate) fn routes(seen: Seen) -> Routes {
    Routes::new()
        .routes(routes!(list_clients))
        .routes(routes!(one_client))
        .routes(routes!(list_upstreams))
        .with_state(seen)
}

/// The miners that are connected
#[utoipa::path(
    get, path = "/api/v1/sv1/clients", tag = "translator", params(Window),
    responses((status = OK, description = "In parts", body = Part<ClientView>))
)]
async fn list_clients(
    State(seen): State<Seen>,
    Query(window): Query<Window>,
) -> Json<Part<ClientView>> {
    let clients = seen.stats.clients();
    let part = window.of(clients.iter());
    Json(part.map(|client| ClientView::of(client, seen.extranonce2_len)))
}

/// A miner that is connected
#[utoipa::path(
    get, path = "/api/v1/sv1/clients/{client_id}", tag = "translator",
    params(("client_id" = u32, Path)),
    responses(
        (status = OK, description = "The miner", body = ClientView),
        (status = NOT_FOUND, description = "It is not connected", body = Problem),
    )
)]
async fn one_client(
    State(seen): State<Seen>,
    Path(client_id): Path<u32>,
) -> Result<Json<ClientView>, Problem> {
    let client = seen.stats.client(client_id);
    let client = client.ok_or_else(|| {
        Problem::not_found(format!(
            "no miner {client_id} is connected; /api/v1/sv1/clients lists those that are"
        ))
    })?;
    Ok(Json(ClientView::of(&client, seen.extranonce2_len)))
}

/// Pools, best first, and what each is doing
#[utoipa::path(
    get, path = "/api/v1/upstreams", tag = "translator", params(Window),
    responses((status = OK, description = "All of them, in parts", body = Part<Upstream>))
)]
async fn list_upstreams(
    State(seen): State<Seen>,
    Query(window): Query<Window>,
) -> Json<Part<Upstream>> {
    let shown = Arc::clone(&seen.shown.borrow());
    Json(window.of(shown.upstreams.iter()).map(Upstream::clone))
}
