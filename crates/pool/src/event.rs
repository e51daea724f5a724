//! What happens in the pool, as `/api/v1/events` tells it.
//!
//! The ids join what belongs together: a template becomes jobs, a job is sent to a group or a channel
//! of a client, a share is for a job, a block is a share and a template.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::Response;
use bitcoin::BlockHash;
use bitcoin::hashes::Hash;
use daemon::http::{Feed, Happening, Problem, Routes, Wanted, routes};
use protocol::work::{Template, Work};
use serde::Serialize;
use strum::{IntoStaticStr, VariantNames};
use utoipa::ToSchema;

use crate::stats::Client;

/// Something that happened.
#[derive(Debug, Serialize, ToSchema, IntoStaticStr, VariantNames)]
#[serde(tag = "type", rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub(crate) enum PoolEvent {
    /// The template provider sent a template.
    TemplateReceived {
        template_id: u64,
        height: Option<u64>,
        /// Whether it is for a tip that is not there yet.
        is_future: bool,
    },
    /// The template provider named a new tip.
    PrevHashReceived {
        /// As RPC and explorers write it.
        prev_hash: String,
        /// What is mined on it first.
        template_id: u64,
        height: Option<u64>,
    },
    /// A miner has connected.
    ClientConnected {
        client_id: u64,
        peer: String,
        vendor: String,
        firmware: String,
        device_id: String,
    },
    /// A miner is gone.
    ClientDisconnected { client_id: u64, reason: String },
    /// A channel was opened.
    ChannelOpened {
        client_id: u64,
        channel_id: u32,
        /// The group whose jobs it gets.
        group_channel_id: u32,
        user_identity: String,
        channel_type: &'static str,
        difficulty: f64,
    },
    /// A channel is closed.
    ChannelClosed { client_id: u64, channel_id: u32 },
    /// A channel got another target.
    ChannelRetargeted {
        client_id: u64,
        channel_id: u32,
        difficulty: f64,
        /// What it is believed to do, in hashes a second.
        hashrate: f64,
    },
    /// A job was sent.
    JobCreated {
        client_id: u64,
        /// The channel, or the group for all its channels.
        channel_id: u32,
        job_id: u32,
        /// What it was made of; left out for a job that the client made itself.
        #[serde(skip_serializing_if = "Option::is_none")]
        template_id: Option<u64>,
        /// Whether it was sent ahead, to be mined once a SetNewPrevHash names it.
        is_future: bool,
    },
    /// A share was accepted.
    ShareAccepted {
        client_id: u64,
        channel_id: u32,
        job_id: u32,
        /// As RPC and explorers write it.
        hash: String,
        /// What it counts.
        difficulty: f64,
        /// Who found it, if the client says so.
        #[serde(skip_serializing_if = "Option::is_none")]
        worker: Option<String>,
    },
    /// A share was rejected.
    ShareRejected {
        client_id: u64,
        channel_id: u32,
        job_id: u32,
        error_code: &'static str,
        /// Who found it, if the client says so.
        #[serde(skip_serializing_if = "Option::is_none")]
        worker: Option<String>,
    },
    /// A share is a block.
    BlockFound {
        client_id: u64,
        channel_id: u32,
        job_id: u32,
        hash: String,
        height: Option<u64>,
        /// Left out for a block of a job that the client made itself.
        #[serde(skip_serializing_if = "Option::is_none")]
        template_id: Option<u64>,
        user_identity: String,
    },
    /// The node was asked what became of a block.
    BlockJudged {
        hash: String,
        height: Option<u64>,
        verdict: &'static str,
    },
}

impl PoolEvent {
    /// What is new in `work`.
    pub(crate) fn of_work(before: Option<&Work>, work: &Work) -> Vec<Self> {
        let known: Vec<_> = before.into_iter().flat_map(templates).collect();
        let fresh = |template: &&Arc<Template>| !known.iter().any(|old| Arc::ptr_eq(old, template));
        let mut news: Vec<_> = templates(work)
            .filter(fresh)
            .map(|template| Self::TemplateReceived {
                template_id: template.id,
                height: template.height(),
                is_future: !Arc::ptr_eq(template, &work.template),
            })
            .collect();
        if before.is_none_or(|before| !Arc::ptr_eq(&before.prev_hash, &work.prev_hash)) {
            news.push(Self::PrevHashReceived {
                prev_hash: BlockHash::from_byte_array(work.prev_hash.prev_hash).to_string(),
                template_id: work.template.id,
                height: work.template.height(),
            });
        }
        news
    }

    pub(crate) fn connected(client: &Client) -> Self {
        Self::ClientConnected {
            client_id: client.id,
            peer: client.peer.to_string(),
            vendor: client.who.vendor.clone(),
            firmware: client.who.firmware.clone(),
            device_id: client.who.device_id.clone(),
        }
    }
}

fn templates(work: &Work) -> impl Iterator<Item = &Arc<Template>> {
    work.futures.iter().chain([&work.template])
}

impl Happening for PoolEvent {
    const NAMES: &'static [&'static str] = Self::VARIANTS;

    fn name(&self) -> &'static str {
        self.into()
    }
}

/// Where it is told.
pub(crate) fn routes(feed: Feed<PoolEvent>) -> Routes {
    Routes::new().routes(routes!(listen)).with_state(feed)
}

/// What happens from now on, as server-sent events
#[utoipa::path(
    get, path = "/api/v1/events", tag = "pool", params(Wanted),
    responses(
        (
            status = OK, description = "Each event's name, and as its data this and `at_ms`, the \
            milliseconds since 1970; `missed` with a `count` to who reads too slowly",
            body = PoolEvent, content_type = "text/event-stream",
        ),
        (status = BAD_REQUEST, description = "A type that is no event", body = Problem),
        (status = SERVICE_UNAVAILABLE, description = "Too many listen already", body = Problem),
    )
)]
async fn listen(
    State(feed): State<Feed<PoolEvent>>,
    Query(wanted): Query<Wanted>,
) -> Result<Response, Problem> {
    feed.listen(&wanted)
}

#[cfg(test)]
pub(crate) mod tests;
