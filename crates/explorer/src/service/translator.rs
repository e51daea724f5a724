//! What a translator tells: the miners of the older protocol behind it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// All of it.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    pub(crate) clients: Vec<Sv1Client>,
}

/// A miner that is connected, by the names SRI's translator gives its fields.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, ToSchema)]
#[serde(default)]
pub(crate) struct Sv1Client {
    pub(crate) client_id: u64,
    pub(crate) authorized_worker_name: String,
    /// The software it says it is.
    pub(crate) user_agent: String,
    pub(crate) peer: String,
    /// Of its shares, as it was told.
    pub(crate) difficulty: f64,
    pub(crate) hashrate: Option<f64>,
    /// Of its best share.
    pub(crate) best_difficulty: f64,
    /// Since when it is connected, in milliseconds since 1970.
    pub(crate) connected_ms: Option<u64>,
    #[serde(flatten)]
    pub(crate) shares: super::Shares,
}
