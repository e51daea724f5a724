//! What a role tells over HTTP: whether it is ready, its metrics, its status.
//!
//! Everything served here is read from snapshots that the owners of the state publish; no request
//! can make a role wait.

mod connection;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use prometheus_client::registry::Registry;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tracing::info;

use crate::shutdown::Shutdown;
use connection::Limits;

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
    pub routes: Router,
}

struct Served {
    role: &'static str,
    since: Instant,
    health: watch::Receiver<Health>,
    metrics: Registry,
    status: Box<dyn Fn() -> Map<String, Value> + Send + Sync>,
}

/// Serves `page` on `address` until the role stops.
///
/// # Errors
/// The address cannot be listened on.
pub async fn serve(address: SocketAddr, page: Page, shutdown: &Shutdown) -> anyhow::Result<()> {
    let listener = TcpListener::bind(address).await.map_err(|error| {
        anyhow::anyhow!("monitoring_address: cannot listen on {address}: {error}; free the address or change the key")
    })?;
    info!(address = %listener.local_addr()?, "serving health and metrics");
    let Page {
        role,
        health,
        metrics,
        status,
        routes,
    } = page;
    let served = Arc::new(Served {
        role,
        since: Instant::now(),
        health,
        metrics,
        status,
    });
    let router = Router::new()
        .route("/healthz", get(healthz))
        .route("/metrics", get(metrics_text))
        .route("/api/v1/status", get(status_json))
        .with_state(served)
        .merge(routes);
    let accepting = connection::accept(listener, router, Limits::default(), shutdown.clone());
    shutdown.spawn(accepting);
    Ok(())
}

async fn healthz(State(served): State<Arc<Served>>) -> Response {
    let health = served.health.borrow().clone();
    match health {
        Health::Ready => (StatusCode::OK, Json(json!({ "ready": true }))).into_response(),
        Health::NotReady(reason) => {
            let body = json!({ "ready": false, "reason": reason });
            (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
        }
    }
}

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

async fn status_json(State(served): State<Arc<Served>>) -> Json<Value> {
    let health = served.health.borrow().clone();
    let mut body = Map::new();
    body.insert("role".into(), served.role.into());
    body.insert("version".into(), env!("CARGO_PKG_VERSION").into());
    body.insert(
        "uptime_secs".into(),
        served.since.elapsed().as_secs().into(),
    );
    body.insert("ready".into(), (health == Health::Ready).into());
    if let Health::NotReady(reason) = health {
        body.insert("reason".into(), reason.into());
    }
    body.extend((served.status)());
    Json(Value::Object(body))
}
