//! All miners together.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::shares::SharesView;
use crate::stats::{Open, Rates};

/// All together.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Global {
    /// Channels that this program has opened elsewhere: a pool has none.
    server: Option<()>,
    sv2_clients: AllClients,
    /// Clients that speak the older protocol: a pool has none.
    sv1_clients: Option<()>,
    uptime_secs: u64,
}

/// All clients together.
#[derive(Debug, Serialize, ToSchema)]
struct AllClients {
    total_clients: usize,
    total_channels: usize,
    extended_channels: usize,
    standard_channels: usize,
    /// Hashes a second that the open channels are believed to do.
    total_hashrate: f64,
    #[serde(flatten)]
    shares: SharesView,
}

/// All miners together; counts are since the pool was started
#[utoipa::path(
    get, path = "/api/v1/global", tag = "pool",
    responses((status = OK, description = "Now", body = Global))
)]
pub(super) async fn global(State(api): State<Api>) -> Json<Global> {
    let now_ms = api.stats.now();
    let clients = api.stats.clients();
    let mut open = Open::default();
    let mut rates = Rates::default();
    for client in &clients {
        open += client.open();
        rates += client.shares.rates(now_ms);
    }
    let sums = api.stats.sums();
    Json(Global {
        server: None,
        sv2_clients: AllClients {
            total_clients: clients.len(),
            total_channels: open.channels(),
            extended_channels: open.extended,
            standard_channels: open.standard,
            total_hashrate: open.believed,
            shares: SharesView::new(&sums, rates),
        },
        sv1_clients: None,
        uptime_secs: api.stats.uptime().as_secs(),
    })
}
