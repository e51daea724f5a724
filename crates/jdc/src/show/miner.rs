//! Connected miners, with the names SRI's monitoring API has for what is told of them.

use serde::Serialize;
use utoipa::ToSchema;

use crate::miner::Miner;

/// A connected miner. Its numbers are since it connected.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct MinerShown {
    /// Its connection's place among all; another one may have it later.
    pub(crate) client_id: u32,
    /// Whom its first channel is for.
    pub(crate) user_identity: Option<String>,
    /// Its address and port.
    pub(crate) peer: String,
    pub(crate) vendor: String,
    pub(crate) hardware_version: String,
    pub(crate) firmware: String,
    pub(crate) device_id: String,
    pub(crate) extended_channels_count: u64,
    pub(crate) standard_channels_count: u64,
    /// Hashes a second that its open channels are believed to do.
    pub(crate) total_hashrate: f32,
    /// Hashes a second that its shares of about the last minute show.
    pub(crate) hashrate_1m: f64,
    /// Hashes a second that those of about the last ten minutes show.
    pub(crate) hashrate_10m: f64,
    pub(crate) shares_accepted: u64,
    pub(crate) shares_rejected: u64,
    pub(crate) blocks_found: u64,
    /// When it connected, in milliseconds since 1970.
    pub(crate) connected_ms: u64,
    /// When its last share was judged, in milliseconds since 1970.
    pub(crate) last_share_ms: Option<u64>,
}

impl MinerShown {
    pub(super) fn of(slot: u32, miner: &Miner, believed: f32) -> Self {
        let rates = miner.rates();
        let who = miner.who.clone();
        Self {
            client_id: slot,
            user_identity: miner.user().map(str::to_owned),
            peer: miner.peer.to_string(),
            vendor: who.vendor,
            hardware_version: who.hardware,
            firmware: who.firmware,
            device_id: who.device_id,
            extended_channels_count: miner.extended.get(),
            standard_channels_count: miner.standard.get(),
            total_hashrate: believed,
            hashrate_1m: rates.one_minute,
            hashrate_10m: rates.ten_minutes,
            shares_accepted: miner.accepted.get(),
            shares_rejected: miner.rejected.get(),
            blocks_found: miner.blocks.get(),
            connected_ms: miner.connected_ms,
            last_share_ms: Some(miner.last_share_ms.get()).filter(|at| *at > 0),
        }
    }
}
