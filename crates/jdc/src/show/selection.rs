//! What the miner wants of transactions.

use serde::Serialize;
use utoipa::ToSchema;

use crate::declarator::{Pin, Selector};

/// What is wanted of transactions.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Chosen {
    /// Satoshis for a virtual byte.
    pub(crate) min_fee_rate: f64,
    pub(crate) max_weight: u64,
    pub(crate) banned: usize,
    pub(crate) pinned: Vec<Pinned>,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Pinned {
    pub(crate) txid: String,
    pub(crate) state: Pin,
}

impl Chosen {
    /// `None` if there is nothing to choose.
    pub(super) fn of(selector: &Selector) -> Option<Self> {
        let selection = selector.selection();
        let pinned = selector.pins().map(|(txid, state)| Pinned {
            txid: txid.to_string(),
            state,
        });
        (!selection.is_all()).then(|| Self {
            min_fee_rate: selection.min_fee_rate.to_sat_per_kwu() as f64 / 250.0,
            max_weight: selection.max_weight,
            banned: selection.banned.len(),
            pinned: pinned.collect(),
        })
    }
}
