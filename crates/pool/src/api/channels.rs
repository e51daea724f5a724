//! A client's channels, and the workers behind one.

use axum::Json;
use axum::extract::{Path, Query, State};
use bitcoin::hex::DisplayHex;
use daemon::http::{Part, Problem, Window};
use protocol::payout::Payout;
use protocol::server::ChannelKind;
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::shares::SharesView;
use crate::stats::Channel;

/// For how long a channel's target has to stay what it is to be called stable.
const STABLE_MS: u64 = 60_000;

/// A client's channels. Both lists are in parts.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Channels {
    client_id: u64,
    offset: usize,
    limit: usize,
    total_extended: usize,
    total_standard: usize,
    extended_channels: Vec<ExtendedChannelView>,
    standard_channels: Vec<ChannelView>,
}

/// A channel that is open.
#[derive(Debug, Serialize, ToSchema)]
struct ChannelView {
    channel_id: u32,
    /// The group whose jobs it gets.
    group_channel_id: u32,
    /// Whom the client says it is for.
    user_identity: String,
    /// Whom its blocks pay.
    payout: PayoutKind,
    /// What the pool gets of them, in percent.
    pool_percent: u8,
    /// Hashes a second that it is believed to do.
    nominal_hashrate: f64,
    /// Hashes a second that the client says it does.
    declared_hashrate: f32,
    /// Whether the target has stayed the same for a minute.
    stable_hashrate: bool,
    /// Most significant digit first.
    target_hex: String,
    difficulty: f64,
    /// The easiest target that the client takes.
    requested_max_target_hex: String,
    /// For standard channels the whole extranonce.
    extranonce_prefix_hex: String,
    expected_shares_per_minute: f64,
    /// The client's number of the last share that was accepted.
    last_share_sequence_number: u64,
    /// Accepted shares since the last multiple of `share_batch_size`.
    last_batch_accepted: u64,
    /// What these are worth at the target of today, in shares of difficulty 1.
    last_batch_work_sum: u64,
    share_batch_size: u32,
    /// When it was opened, in milliseconds since 1970.
    opened_ms: u64,
    /// Workers that the client has named.
    workers: usize,
    #[serde(flatten)]
    shares: SharesView,
}

/// An extended channel that is open.
#[derive(Debug, Serialize, ToSchema)]
struct ExtendedChannelView {
    #[serde(flatten)]
    channel: ChannelView,
    /// Bytes of the whole extranonce.
    full_extranonce_size: usize,
    /// Bytes of it that the client may choose.
    rollable_extranonce_size: u16,
}

/// Whom a block pays.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum PayoutKind {
    /// The pool, which pays its miners later.
    Pool,
    /// The miner that finds it.
    Miner,
    /// Both.
    Shared,
}

impl ChannelView {
    fn of(channel: &Channel, api: &Api, now_ms: u64) -> Self {
        let (opening, terms) = (&channel.opening, channel.terms());
        let (payout, pool_percent) = match opening.payout {
            Payout::Pool => (PayoutKind::Pool, 100),
            Payout::Miner {
                pool_percent: 0, ..
            } => (PayoutKind::Miner, 0),
            Payout::Miner { pool_percent, .. } => (PayoutKind::Shared, pool_percent),
        };
        let accepted = channel.shares.sums().accepted;
        let in_batch = match accepted {
            0 => 0,
            _ => (accepted - 1) % u64::from(api.share_batch_size.max(1)) + 1,
        };
        let difficulty = terms.target.difficulty();
        Self {
            channel_id: opening.channel_id,
            group_channel_id: opening.group_id,
            user_identity: opening.user_identity.clone(),
            payout,
            pool_percent,
            nominal_hashrate: terms.believed,
            declared_hashrate: terms.declared,
            stable_hashrate: now_ms.saturating_sub(terms.since_ms) >= STABLE_MS,
            target_hex: format!("{:?}", terms.target),
            difficulty,
            requested_max_target_hex: format!("{:?}", terms.max_target),
            extranonce_prefix_hex: opening.extranonce_prefix.to_lower_hex_string(),
            expected_shares_per_minute: api.shares_per_minute,
            last_share_sequence_number: channel.sequence_number.get(),
            last_batch_accepted: in_batch,
            last_batch_work_sum: (in_batch as f64 * difficulty) as u64,
            share_batch_size: api.share_batch_size,
            opened_ms: channel.shares.since_ms,
            workers: channel.worker_count(),
            shares: SharesView::of(&channel.shares, now_ms),
        }
    }
}

impl ExtendedChannelView {
    fn of(channel: &Channel, api: &Api, now_ms: u64) -> Self {
        let rollable = match channel.opening.kind {
            ChannelKind::Standard => 0,
            ChannelKind::Extended { extranonce_size } => extranonce_size,
        };
        let prefix = channel.opening.extranonce_prefix.len();
        Self {
            channel: ChannelView::of(channel, api, now_ms),
            full_extranonce_size: prefix + usize::from(rollable),
            rollable_extranonce_size: rollable,
        }
    }
}

/// A client's open channels; each of the two lists is in parts
#[utoipa::path(
    get, path = "/api/v1/clients/{client_id}/channels", tag = "pool",
    params(("client_id" = u64, Path), Window),
    responses(
        (status = OK, description = "Its channels", body = Channels),
        (status = NOT_FOUND, description = "The client is not connected", body = Problem),
    )
)]
pub(super) async fn list(
    State(api): State<Api>,
    Path(client_id): Path<u64>,
    Query(window): Query<Window>,
) -> Result<Json<Channels>, Problem> {
    let now_ms = api.stats.now();
    let (standard, extended): (Vec<_>, Vec<_>) = api
        .client(client_id)?
        .channels()
        .into_iter()
        .partition(|channel| channel.opening.kind == ChannelKind::Standard);
    let standard = window.of(standard.iter());
    let extended = window.of(extended.iter());
    Ok(Json(Channels {
        client_id,
        offset: window.offset,
        limit: window.limit(),
        total_extended: extended.total,
        total_standard: standard.total,
        extended_channels: extended
            .map(|channel| ExtendedChannelView::of(channel, &api, now_ms))
            .items,
        standard_channels: standard
            .map(|channel| ChannelView::of(channel, &api, now_ms))
            .items,
    }))
}

/// A worker that a client has named on a channel.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct WorkerView {
    /// As the client calls it.
    worker: String,
    /// Since it was first named on this channel.
    #[serde(flatten)]
    shares: SharesView,
}

/// The workers behind an open channel, by name, if its client names them (extension 0x0002)
#[utoipa::path(
    get, path = "/api/v1/clients/{client_id}/channels/{channel_id}/workers", tag = "pool",
    params(("client_id" = u64, Path), ("channel_id" = u32, Path), Window),
    responses(
        (status = OK, description = "In parts", body = Part<WorkerView>),
        (status = NOT_FOUND, description = "The channel is not open", body = Problem),
    )
)]
pub(super) async fn workers(
    State(api): State<Api>,
    Path((client_id, channel_id)): Path<(u64, u32)>,
    Query(window): Query<Window>,
) -> Result<Json<Part<WorkerView>>, Problem> {
    let now_ms = api.stats.now();
    let client = api.client(client_id)?;
    let channel = client.channel(channel_id).ok_or_else(|| {
        Problem::not_found(format!(
            "client {client_id} has no channel {channel_id} open"
        ))
    })?;
    let workers = channel.workers();
    Ok(Json(window.of(workers.into_iter()).map(
        |(worker, shares)| WorkerView {
            worker: worker.to_string(),
            shares: SharesView::of(&shares, now_ms),
        },
    )))
}
