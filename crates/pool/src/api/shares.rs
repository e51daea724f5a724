//! What was made of shares, of whoever's.

use std::collections::BTreeMap;

use protocol::target::HASHES_PER_DIFFICULTY;
use serde::Serialize;
use utoipa::ToSchema;

use crate::stats::{Rates, Shares, Sums};

/// What was made of shares.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SharesView {
    shares_accepted: u64,
    shares_rejected: u64,
    /// Error codes, and how often each was the answer.
    shares_rejected_by_reason: BTreeMap<&'static str, u64>,
    /// The part that was accepted, from 0 to 1; null before the first share.
    acceptance_rate: Option<f64>,
    /// What the accepted ones are worth, in shares of difficulty 1.
    share_work_sum: f64,
    /// The difficulty of the best one.
    best_diff: f64,
    blocks_found: u64,
    /// Hashes a second that the shares of about the last minute show.
    hashrate_1m: f64,
    /// Hashes a second that the shares of about the last ten minutes show.
    hashrate_10m: f64,
    /// When the last one was judged, in milliseconds since 1970.
    last_share_ms: Option<u64>,
}

impl SharesView {
    pub(super) fn of(shares: &Shares, now_ms: u64) -> Self {
        Self::new(&shares.sums(), shares.rates(now_ms))
    }

    pub(super) fn new(sums: &Sums, rates: Rates) -> Self {
        Self {
            shares_accepted: sums.accepted,
            shares_rejected: sums.rejected(),
            shares_rejected_by_reason: sums.by_reason().collect(),
            acceptance_rate: sums.acceptance(),
            share_work_sum: sums.hashes / HASHES_PER_DIFFICULTY,
            best_diff: sums.best,
            blocks_found: sums.blocks,
            hashrate_1m: rates.one_minute,
            hashrate_10m: rates.ten_minutes,
            last_share_ms: Some(sums.last_ms).filter(|at| *at > 0),
        }
    }
}
