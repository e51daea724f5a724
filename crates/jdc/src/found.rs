//! The newest blocks that miners found, for `GET /api/v1/blocks`: who found each, and on which job.

use std::collections::VecDeque;
use std::net::SocketAddr;

use axum::Json;
use axum::extract::{Query, State};
use bitcoin::BlockHash;
use bitcoin::hashes::Hash;
use daemon::clock;
use daemon::http::{Part, Routes, Window, routes};
use protocol::server::Solution;
use protocol::target::Target;
use serde::Serialize;
use tokio::sync::watch;
use utoipa::ToSchema;

use crate::miner::Miner;

/// Blocks kept.
const KEPT: usize = 200;

/// A block that a miner found.
#[derive(Debug, Clone, Serialize, ToSchema)]
struct Found {
    hash: String,
    height: Option<u64>,
    /// When its share was judged, in milliseconds since 1970.
    time_ms: u64,
    /// Our name for the job; see `/api/v1/declared-jobs`.
    job: u64,
    /// Whom the channel is for.
    user_identity: String,
    /// Who found it, if the miner says so.
    worker: Option<String>,
    /// The miner's address and port.
    #[schema(value_type = String)]
    peer: SocketAddr,
    vendor: String,
    device_id: String,
    channel_id: u32,
    /// On that channel.
    job_id: u32,
    /// The channel's when the block was found, most significant digit first.
    share_target: Option<String>,
    share_difficulty: Option<f64>,
}

/// The channel and job on which a block was found, and whom they are for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seat<'a> {
    pub(crate) channel_id: u32,
    pub(crate) job_id: u32,
    pub(crate) user_identity: &'a str,
    pub(crate) worker: Option<&'a str>,
    /// What a share takes there.
    pub(crate) target: Option<Target>,
}

/// Newest first. Written by the miners' connections, read by HTTP.
#[derive(Debug, Clone, Default)]
pub(crate) struct Blocks {
    newest: watch::Sender<VecDeque<Found>>,
}

impl Blocks {
    /// What HTTP tells of them.
    pub(crate) fn routes(&self) -> Routes {
        Routes::new().routes(routes!(list)).with_state(self.clone())
    }

    /// `miner` found one.
    pub(crate) fn found(&self, miner: &Miner, seat: Seat<'_>, solution: &Solution) {
        let found = Found {
            hash: BlockHash::from_byte_array(solution.hash).to_string(),
            height: solution.height,
            time_ms: clock::unix_ms(),
            job: solution.template_id,
            user_identity: seat.user_identity.to_owned(),
            worker: seat.worker.map(str::to_owned),
            peer: miner.peer,
            vendor: miner.who.vendor.clone(),
            device_id: miner.who.device_id.clone(),
            channel_id: seat.channel_id,
            job_id: seat.job_id,
            share_target: seat.target.map(|target| format!("{target:?}")),
            share_difficulty: seat.target.map(Target::difficulty),
        };
        self.newest.send_modify(|newest| {
            newest.truncate(KEPT - 1);
            newest.push_front(found);
        });
    }
}

/// Blocks that miners found, newest first, with the job of each
#[utoipa::path(
    get, path = "/api/v1/blocks", tag = "jdc", params(Window),
    responses((status = OK, description = "The newest two hundred, in parts", body = Part<Found>))
)]
async fn list(State(blocks): State<Blocks>, Query(window): Query<Window>) -> Json<Part<Found>> {
    Json(window.of(blocks.newest.borrow().iter()).map(Found::clone))
}
