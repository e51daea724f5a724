//! Transactions that wait for a block.

use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

use super::{App, Pages};
use crate::node::MempoolInfo;

/// Transactions shown at once.
const PAGE: usize = 50;

/// The mempool.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct MempoolView {
    pub(crate) info: MempoolInfo,
    /// Whether there are too many to list them.
    pub(crate) is_cut: bool,
    pub(crate) pages: Pages,
    /// Who pays most for its room comes first.
    pub(crate) transactions: Vec<WaitingLine>,
}

/// A transaction that waits.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct WaitingLine {
    pub(crate) txid: String,
    /// Satoshis.
    pub(crate) fee: u64,
    /// Virtual bytes.
    pub(crate) vsize: u64,
    /// Satoshis per virtual byte.
    pub(crate) rate: f64,
    /// When it came, in milliseconds since 1970.
    pub(crate) since_ms: u64,
    /// Waiting transactions it depends on, itself included.
    pub(crate) ancestors: u64,
    pub(crate) descendants: u64,
}

impl MempoolView {
    pub(crate) fn of(app: &App, offset: usize) -> Self {
        let mempool = Arc::clone(&app.conditions.borrow().mempool);
        let mut lines: Vec<WaitingLine> = mempool
            .entries
            .iter()
            .map(|(txid, waiting)| WaitingLine {
                txid: txid.to_string(),
                fee: waiting.entry.fee(),
                vsize: waiting.entry.vsize,
                rate: waiting.entry.rate(),
                since_ms: waiting.entry.time * 1000,
                ancestors: waiting.entry.ancestors,
                descendants: waiting.entry.descendants,
            })
            .collect();
        lines.sort_by(|a, b| b.rate.total_cmp(&a.rate));
        let pages = Pages::new(offset, PAGE, lines.len());
        Self {
            is_cut: mempool.entries.len() < mempool.info.size,
            info: mempool.info.clone(),
            transactions: lines.into_iter().skip(pages.offset).take(PAGE).collect(),
            pages,
        }
    }
}
