//! Blocks found, as HTTP tells of them.

use axum::Json;
use axum::extract::{Query, State};
use daemon::http::{Part, Problem, Routes, Window, routes};

use crate::ledger::{Block, Ledger};

/// Where they are told of.
pub(crate) fn routes(ledger: Ledger) -> Routes {
    Routes::new().routes(routes!(list)).with_state(ledger)
}

/// Blocks found, newest first, with their story and what the node says of them
#[utoipa::path(
    get, path = "/api/v1/blocks", tag = "pool", params(Window),
    responses(
        (status = OK, description = "All there ever were, in parts", body = Part<Block>),
        (status = SERVICE_UNAVAILABLE, description = "The ledger cannot be read", body = Problem),
    )
)]
async fn list(
    State(ledger): State<Ledger>,
    Query(window): Query<Window>,
) -> Result<Json<Part<Block>>, Problem> {
    let (offset, limit) = (window.offset, window.limit());
    let part = ledger.history(move |history| {
        let fit = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Ok(Part {
            offset,
            limit,
            total: history.count_blocks()?,
            items: history.blocks(fit(offset), fit(limit))?,
        })
    });
    let part = part.await;
    part.map(Json)
        .map_err(|error| Problem::unavailable(format!("{error:#}")))
}
