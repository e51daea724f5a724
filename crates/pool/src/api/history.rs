//! What the ledger knows: the newest shares, and what outlives the pool.

use axum::Json;
use axum::extract::{Query, State};
use daemon::clock;
use daemon::http::{Part, Problem, Routes, Window, routes};
use ledger::{Block, History, Ledger, MinuteTotals, Outcome, Share, WorkerTotals};
use protocol::target::HASHES_PER_DIFFICULTY;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// How far minutes are looked back unless asked otherwise: an hour.
const PAST_MS: u64 = 3_600_000;
/// Minutes told at once: a day's.
const MAX_MINUTES: u32 = 1440;

/// Where it is told of.
pub(crate) fn routes(ledger: Ledger) -> Routes {
    Routes::new()
        .routes(routes!(recent))
        .routes(routes!(blocks))
        .routes(routes!(workers))
        .routes(routes!(minutes))
        .with_state(ledger)
}

/// A share that is on record.
#[derive(Debug, Serialize, ToSchema)]
struct ShareView {
    /// When it was judged, in milliseconds since 1970.
    time_ms: u64,
    /// Whom its channel is for.
    user_identity: String,
    /// Who found it, if the client says so.
    worker: Option<String>,
    /// The client's address and port.
    peer: String,
    channel_id: u32,
    job_id: u32,
    accepted: bool,
    /// Why it was not.
    error_code: Option<String>,
    /// As RPC and explorers write it; only of those accepted.
    hash: Option<String>,
    /// What it counts; only of those accepted.
    difficulty: Option<f64>,
}

impl ShareView {
    fn of(share: &Share) -> Self {
        let source = &share.source;
        let (hash, hashes, error_code) = match &share.outcome {
            Outcome::Accepted { hash, hashes } => (Some(hash.to_string()), Some(*hashes), None),
            Outcome::Rejected { reason } => (None, None, Some(reason.to_string())),
        };
        Self {
            time_ms: share.time_ms,
            user_identity: source.user.clone(),
            worker: source.worker.clone(),
            peer: source.peer.to_string(),
            channel_id: source.channel_id,
            job_id: share.job_id,
            accepted: error_code.is_none(),
            error_code,
            hash,
            difficulty: hashes.map(|hashes| hashes / HASHES_PER_DIFFICULTY),
        }
    }
}

/// The newest shares on record, the newest first
#[utoipa::path(
    get, path = "/api/v1/shares/recent", tag = "pool", params(Window),
    responses((status = OK, description = "The newest thousand, in parts", body = Part<ShareView>))
)]
async fn recent(
    State(ledger): State<Ledger>,
    Query(window): Query<Window>,
) -> Json<Part<ShareView>> {
    let recent = ledger.recent();
    Json(window.of(recent.iter()).map(ShareView::of))
}

/// Blocks found, newest first, with their story and what the node says of them
#[utoipa::path(
    get, path = "/api/v1/blocks", tag = "pool", params(Window),
    responses(
        (status = OK, description = "All there ever were, in parts", body = Part<Block>),
        (status = SERVICE_UNAVAILABLE, description = "The ledger cannot be read", body = Problem),
    )
)]
async fn blocks(
    State(ledger): State<Ledger>,
    Query(window): Query<Window>,
) -> Result<Json<Part<Block>>, Problem> {
    part(&ledger, window, History::count_blocks, History::blocks).await
}

/// Users and workers since the ledger was begun, who sent the newest shares first
#[utoipa::path(
    get, path = "/api/v1/workers", tag = "pool", params(Window),
    responses(
        (status = OK, description = "In parts", body = Part<WorkerTotals>),
        (status = SERVICE_UNAVAILABLE, description = "The ledger cannot be read", body = Problem),
    )
)]
async fn workers(
    State(ledger): State<Ledger>,
    Query(window): Query<Window>,
) -> Result<Json<Part<WorkerTotals>>, Problem> {
    part(&ledger, window, History::count_workers, History::workers).await
}

/// How far to look back.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Since {
    /// Milliseconds since 1970; an hour ago unless given.
    since_ms: Option<u64>,
}

/// What happened in each minute since then, in order; those without shares are left out
#[utoipa::path(
    get, path = "/api/v1/minutes", tag = "pool", params(Since),
    responses(
        (status = OK, description = "The first 1440 minutes", body = Vec<MinuteTotals>),
        (status = SERVICE_UNAVAILABLE, description = "The ledger cannot be read", body = Problem),
    )
)]
async fn minutes(
    State(ledger): State<Ledger>,
    Query(since): Query<Since>,
) -> Result<Json<Vec<MinuteTotals>>, Problem> {
    let an_hour_ago = || clock::unix_ms().saturating_sub(PAST_MS);
    let since_ms = since.since_ms.unwrap_or_else(an_hour_ago);
    let minutes = ledger.history(move |history| history.minutes(since_ms, MAX_MINUTES));
    minutes.await.map(Json).map_err(unreadable)
}

/// The part of a list that `count` counts and `read` reads.
async fn part<T: Send + 'static>(
    ledger: &Ledger,
    window: Window,
    count: fn(&History) -> rusqlite::Result<usize>,
    read: fn(&History, u32, u32) -> rusqlite::Result<Vec<T>>,
) -> Result<Json<Part<T>>, Problem> {
    let (offset, limit) = (window.offset, window.limit());
    let fit = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let part = ledger.history(move |history| {
        Ok(Part {
            offset,
            limit,
            total: count(history)?,
            items: read(history, fit(offset), fit(limit))?,
        })
    });
    part.await.map(Json).map_err(unreadable)
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the shape that map_err takes"
)]
fn unreadable(error: anyhow::Error) -> Problem {
    Problem::unavailable(format!("{error:#}"))
}
