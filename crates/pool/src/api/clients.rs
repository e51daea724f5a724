//! Clients, one by one.

use axum::Json;
use axum::extract::{Path, Query, State};
use daemon::http::{Part, Problem, Window};
use protocol::setup;
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::shares::SharesView;
use crate::stats::Client;

/// A client that is connected.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ClientView {
    /// Never used for another one as long as the pool runs.
    client_id: u64,
    client_kind: ClientKind,
    extended_channels_count: usize,
    standard_channels_count: usize,
    /// Hashes a second that its open channels are believed to do.
    total_hashrate: f64,
    /// Its address and port.
    peer: String,
    vendor: String,
    hardware_version: String,
    firmware: String,
    device_id: String,
    /// When it connected, in milliseconds since 1970.
    connected_ms: u64,
    /// Of all its channels since it connected.
    #[serde(flatten)]
    shares: SharesView,
}

/// What a client seems to be, by what it says of itself.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum ClientKind {
    /// A mining device.
    Miner,
    /// A proxy for miners that speak the older protocol.
    TranslatorProxy,
    /// It does not say.
    Unknown,
}

impl ClientKind {
    fn of(who: &setup::Client) -> Self {
        match (who.vendor.as_str(), who.hardware.as_str()) {
            (_, "Translator Proxy") => Self::TranslatorProxy,
            ("", "") => Self::Unknown,
            _ => Self::Miner,
        }
    }
}

impl ClientView {
    fn of(client: &Client, now_ms: u64) -> Self {
        let open = client.open();
        let who = client.who.clone();
        Self {
            client_id: client.id,
            client_kind: ClientKind::of(&who),
            extended_channels_count: open.extended,
            standard_channels_count: open.standard,
            total_hashrate: open.believed,
            peer: client.peer.to_string(),
            vendor: who.vendor,
            hardware_version: who.hardware,
            firmware: who.firmware,
            device_id: who.device_id,
            connected_ms: client.shares.since_ms,
            shares: SharesView::of(&client.shares, now_ms),
        }
    }
}

/// The clients that are connected, in the order in which they came
#[utoipa::path(
    get, path = "/api/v1/clients", tag = "pool", params(Window),
    responses((status = OK, description = "In parts", body = Part<ClientView>))
)]
pub(super) async fn list(
    State(api): State<Api>,
    Query(window): Query<Window>,
) -> Json<Part<ClientView>> {
    let now_ms = api.stats.now();
    let clients = api.stats.clients();
    let part = window.of(clients.iter());
    Json(part.map(|client| ClientView::of(client, now_ms)))
}

/// A client that is connected
#[utoipa::path(
    get, path = "/api/v1/clients/{client_id}", tag = "pool",
    params(("client_id" = u64, Path)),
    responses(
        (status = OK, description = "The client", body = ClientView),
        (status = NOT_FOUND, description = "It is not connected", body = Problem),
    )
)]
pub(super) async fn one(
    State(api): State<Api>,
    Path(client_id): Path<u64>,
) -> Result<Json<ClientView>, Problem> {
    let client = api.client(client_id)?;
    Ok(Json(ClientView::of(&client, api.stats.now())))
}
