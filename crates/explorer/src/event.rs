//! What happens, as `/api/v1/events` tells it to open pages and to programs.

use axum::extract::{Query, State};
use axum::response::Response;
use daemon::http::{Feed, Happening, Problem, Routes, Wanted, routes};
use serde::Serialize;
use strum::{IntoStaticStr, VariantNames};
use utoipa::ToSchema;

/// Something that happened.
#[derive(Debug, Clone, Serialize, ToSchema, IntoStaticStr, VariantNames)]
#[serde(tag = "type", rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub(crate) enum Event {
    /// The node has another tip, and the explorer shows it.
    Tip { height: u32, hash: String },
    /// The tip took the place of other blocks.
    Reorg {
        /// The highest block that stayed.
        fork: u32,
        old_tip: String,
        new_tip: String,
    },
    /// The mempool has changed.
    Mempool { transactions: usize },
    /// A service, or the node, is away or back.
    Service { name: String, state: &'static str },
    /// Something new is known of a block.
    Story { hash: String },
    /// Something went over a line between two services, this often since it was told last.
    Flow {
        from: String,
        to: String,
        what: Flow,
        count: u64,
    },
    /// There is something new to see of a service.
    News { name: String },
}

/// What goes over a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Flow {
    /// From a provider to a client.
    Templates,
    /// From a miner upwards.
    Shares,
    /// From a job declarator client to its server.
    Declarations,
    /// To the node.
    Blocks,
}

impl Happening for Event {
    const NAMES: &'static [&'static str] = Self::VARIANTS;

    fn name(&self) -> &'static str {
        self.into()
    }
}

/// Where it is told.
pub(crate) fn routes(feed: Feed<Event>) -> Routes {
    Routes::new().routes(routes!(listen)).with_state(feed)
}

/// What happens from now on, as server-sent events
#[utoipa::path(
    get, path = "/api/v1/events", tag = "explorer", params(Wanted),
    responses(
        (
            status = OK, description = "Each event's name, and as its data this and `at_ms`, the \
            milliseconds since 1970; `missed` with a `count` to who reads too slowly",
            body = Event, content_type = "text/event-stream",
        ),
        (status = BAD_REQUEST, description = "A type that is no event", body = Problem),
        (status = SERVICE_UNAVAILABLE, description = "Too many listen already", body = Problem),
    )
)]
async fn listen(
    State(feed): State<Feed<Event>>,
    Query(wanted): Query<Wanted>,
) -> Result<Response, Problem> {
    feed.listen(&wanted)
}
