//! What a role tells over HTTP: whether it is ready, its metrics, its status, its own routes.
//!
//! Everything served here is read from what the owners of the state publish; no request can make a
//! role wait. Each route brings its own description, and the index and the OpenAPI document are
//! made of those, so neither can say what is not served.

mod connection;
mod document;
mod feed;
mod list;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use prometheus_client::registry::Registry;
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tracing::info;
use utoipa::ToSchema;

use crate::clock;
use crate::shutdown::Shutdown;
use connection::Limits;
use document::Document;

pub use feed::{Feed, Happening, Wanted};
pub use list::{Part, Problem, Window};
pub use utoipa_axum::router::OpenApiRouter as Routes;
pub use utoipa_axum::routes;

/// Whether a role does what it is there for: the 'ready when' fact of its service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It does.
    Ready,
    /// It does not, for this reason.
    NotReady(String),
}

impl Health {
    /// Not ready for `reason`.
    pub fn not_ready(reason: impl Into<String>) -> Self {
        Self::NotReady(reason.into())
    }

    /// Tells those who look at `shown`, if it is news to them.
    pub fn publish(self, shown: &watch::Sender<Self>) {
        shown.send_if_modified(|before| {
            let is_news = *before != self;
            *before = self;
            is_news
        });
    }

    fn reason(self) -> Option<String> {
        match self {
            Self::Ready => None,
            Self::NotReady(reason) => Some(reason),
        }
    }
}

/// What a role shows.
pub struct Page {
    /// The role's name.
    pub role: &'static str,
    /// Its readiness.
    pub health: watch::Receiver<Health>,
    /// Its metrics; counters only ever rise.
    pub metrics: Registry,
    /// The role's own part of `/api/v1/status`.
    pub status: Box<dyn Fn() -> Map<String, Value> + Send + Sync>,
    /// Further routes of the role.
    pub routes: Routes,
}

struct Served {
    role: &'static str,
    since: Instant,
    health: watch::Receiver<Health>,
    metrics: Registry,
    status: Box<dyn Fn() -> Map<String, Value> + Send + Sync>,
    document: Document,
}

/// Serves `page` on `address` until the role stops. Returns where: tells the port when `address`
/// has port 0.
///
/// # Errors
/// The address cannot be listened on.
pub async fn serve(
    address: SocketAddr,
    page: Page,
    shutdown: &Shutdown,
) -> anyhow::Result<SocketAddr> {
    listen("monitoring_address", address, router(page, None), shutdown).await
}

/// The same for a role that is there for what it serves: with `site` in the place of the index at
/// `/`, which stays at `/api/v1`, and of the answer to what has no route. `key` is where its
/// configuration has the address.
///
/// # Errors
/// The address cannot be listened on.
pub async fn serve_site(
    (key, address): (&str, SocketAddr),
    page: Page,
    site: axum::Router,
    shutdown: &Shutdown,
) -> anyhow::Result<SocketAddr> {
    listen(key, address, router(page, Some(site)), shutdown).await
}

async fn listen(
    key: &str,
    address: SocketAddr,
    router: axum::Router,
    shutdown: &Shutdown,
) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind(address).await.map_err(|error| {
        anyhow::anyhow!(
            "{key}: cannot listen on {address}: {error}; free the address or change the key"
        )
    })?;
    let address = listener.local_addr()?;
    info!(%address, "serving health and metrics");
    let accepting = connection::accept(listener, router, Limits::default(), shutdown.clone());
    shutdown.spawn(accepting);
    Ok(address)
}

fn router(page: Page, site: Option<axum::Router>) -> axum::Router {
    let Page {
        role,
        health,
        mut metrics,
        status,
        routes,
    } = page;
    let since = Instant::now();
    metrics.register_collector(Box::new(Uptime(since)));
    let index = match site {
        Some(_) => Routes::new(),
        None => Routes::new().routes(routes!(document::index)),
    };
    let (router, document) = index
        .routes(routes!(document::openapi))
        .routes(routes!(healthz))
        .routes(routes!(health_json))
        .routes(routes!(metrics_text))
        .routes(routes!(status_json))
        // Where SRI's programs have them.
        .route("/api/v1", axum::routing::get(document::index))
        .route(
            "/api-docs/openapi.json",
            axum::routing::get(document::openapi),
        )
        .merge(routes.with_state(()))
        .split_for_parts();
    let router = router.with_state(Arc::new(Served {
        role,
        since,
        health,
        metrics,
        status,
        document: Document::new(role, document),
    }));
    match site {
        Some(site) => router.merge(site),
        None => router.fallback(no_route),
    }
}

/// Whether the role does what it is there for.
#[derive(Debug, Serialize, ToSchema)]
struct Readiness {
    ready: bool,
    /// Why it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// Whether the role is ready; if not, why
#[utoipa::path(
    get, path = "/healthz", tag = "role",
    responses(
        (status = OK, description = "Ready", body = Readiness),
        (status = SERVICE_UNAVAILABLE, description = "Not ready", body = Readiness),
    )
)]
async fn healthz(State(served): State<Arc<Served>>) -> Response {
    let reason = served.health.borrow().clone().reason();
    let status = match reason {
        None => StatusCode::OK,
        Some(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    let body = Readiness {
        ready: reason.is_none(),
        reason,
    };
    (status, Json(body)).into_response()
}

/// That the program runs.
#[derive(Debug, Serialize, ToSchema)]
struct Alive {
    /// Always `ok`; see `/healthz` for more.
    status: &'static str,
    /// Seconds since 1970.
    timestamp: u64,
}

/// Whether the program runs
#[utoipa::path(
    get, path = "/api/v1/health", tag = "role",
    responses((status = OK, description = "It does", body = Alive))
)]
async fn health_json() -> Json<Alive> {
    Json(Alive {
        status: "ok",
        timestamp: clock::unix(),
    })
}

/// Metrics for Prometheus
#[utoipa::path(
    get, path = "/metrics", tag = "role",
    responses((
        status = OK, description = "OpenMetrics text",
        body = String, content_type = "application/openmetrics-text",
    ))
)]
async fn metrics_text(State(served): State<Arc<Served>>) -> Response {
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, &served.metrics) {
        Ok(()) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], text).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// What the role is and does, in short.
#[derive(Debug, Serialize, ToSchema)]
struct Status {
    role: &'static str,
    version: &'static str,
    /// Seconds since it was started.
    uptime_secs: u64,
    #[serde(flatten)]
    readiness: Readiness,
    /// What only this role has.
    #[serde(flatten)]
    #[schema(value_type = std::collections::HashMap<String, Value>)]
    more: Map<String, Value>,
}

/// What the role is and does, in short
#[utoipa::path(
    get, path = "/api/v1/status", tag = "role",
    responses((status = OK, description = "Now", body = Status))
)]
async fn status_json(State(served): State<Arc<Served>>) -> Json<Status> {
    let reason = served.health.borrow().clone().reason();
    Json(Status {
        role: served.role,
        version: env!("CARGO_PKG_VERSION"),
        uptime_secs: served.since.elapsed().as_secs(),
        readiness: Readiness {
            ready: reason.is_none(),
            reason,
        },
        more: (served.status)(),
    })
}

/// In the shape that SRI's programs use, also for what this role has none of.
async fn no_route(uri: Uri) -> Problem {
    Problem::not_found(format!(
        "no route {}; the routes are listed at /",
        uri.path()
    ))
}

/// How long the role has been running; under SRI's name for every role.
#[derive(Debug)]
struct Uptime(Instant);

impl prometheus_client::collector::Collector for Uptime {
    fn encode(
        &self,
        mut encoder: prometheus_client::encoding::DescriptorEncoder<'_>,
    ) -> Result<(), std::fmt::Error> {
        use prometheus_client::encoding::EncodeMetric;
        let gauge =
            prometheus_client::metrics::gauge::ConstGauge::new(self.0.elapsed().as_secs_f64());
        let help = "Seconds since the role was started";
        let metric =
            encoder.encode_descriptor("sv2_uptime_seconds", help, None, gauge.metric_type())?;
        gauge.encode(metric)
    }
}

#[cfg(test)]
mod tests;
