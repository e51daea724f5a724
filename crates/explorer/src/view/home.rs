//! The tip, blocks as they arrive, and the lab at work; and the list of blocks.

use serde::Serialize;
use utoipa::ToSchema;

use super::finders::Finders;
use super::topology::Topology;
use super::{App, BlockLine, Pages};
use crate::node::{MempoolInfo, Reach};
use crate::service::Board;

/// Blocks on the home page.
const NEWEST: usize = 12;
/// Blocks whose intervals are averaged.
const RECENT: usize = 30;
/// Blocks of a list at once.
pub(crate) const PAGE: usize = 25;

/// The home page.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Home {
    pub(crate) lab: String,
    pub(crate) chain: String,
    pub(crate) node: Reach,
    /// The newest first.
    pub(crate) blocks: Vec<BlockLine>,
    /// Seconds between the newest blocks, on average.
    pub(crate) interval_secs: Option<f64>,
    pub(crate) mempool: MempoolInfo,
    pub(crate) mining: Totals,
    pub(crate) topology: Topology,
}

/// All pools together.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub(crate) struct Totals {
    /// Hashes a second that the shares of about the last minute show.
    pub(crate) hashrate: f64,
    /// Connected to pools.
    pub(crate) clients: usize,
    /// Since the pools' ledgers were begun.
    pub(crate) shares_accepted: u64,
    pub(crate) shares_rejected: u64,
    pub(crate) blocks: usize,
}

impl Totals {
    pub(crate) fn of(board: &Board) -> Self {
        let mut totals = Self::default();
        board.each(|service| {
            let pool = &service.pool;
            let clients = pool.clients.iter();
            totals.hashrate += clients.map(|client| client.shares.hashrate_1m).sum::<f64>();
            totals.clients += pool.clients_total;
            for worker in &pool.workers {
                totals.shares_accepted += worker.accepted;
                totals.shares_rejected += worker.rejected.values().sum::<u64>();
            }
            totals.blocks += pool.blocks.len();
        });
        totals
    }
}

impl Home {
    pub(crate) fn of(app: &App) -> Self {
        let (blocks, interval_secs) = {
            let chain = app.chain.borrow();
            let newest = chain.down_from(u32::MAX);
            let blocks = newest
                .take(NEWEST)
                .map(|brief| BlockLine::of(brief, &app.board));
            let times: Vec<u64> = chain
                .down_from(u32::MAX)
                .take(RECENT)
                .filter(|brief| brief.height > 0)
                .map(|brief| match brief.arrived_ms {
                    0 => u64::from(brief.time) * 1000,
                    ms => ms,
                })
                .collect();
            (blocks.collect::<Vec<_>>(), mean_interval(&times))
        };
        let follow = app.follow.borrow().clone();
        Self {
            lab: app.config.lab_name.clone(),
            chain: app.config.network.to_core_arg().to_owned(),
            node: follow.reach,
            blocks,
            interval_secs,
            mempool: app.conditions.borrow().mempool.info.clone(),
            mining: Totals::of(&app.board),
            topology: Topology::of(app),
        }
    }

    pub(crate) fn tip(&self) -> Option<&BlockLine> {
        self.blocks.first()
    }
}

/// In seconds, of times in milliseconds, the newest first.
fn mean_interval(times: &[u64]) -> Option<f64> {
    let (newest, oldest) = (times.first()?, times.last()?);
    let intervals = times.len().checked_sub(1).filter(|count| *count > 0)?;
    Some(newest.saturating_sub(*oldest) as f64 / 1e3 / intervals as f64)
}

/// Blocks, the newest first.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Blocks {
    pub(crate) pages: Pages,
    /// Beside the newest ones.
    pub(crate) finders: Option<Finders>,
    pub(crate) items: Vec<BlockLine>,
}

impl Blocks {
    pub(crate) fn of(app: &App, offset: usize) -> Self {
        let chain = app.chain.borrow();
        let pages = Pages::new(offset, PAGE, chain.len());
        let items = chain.down_from(u32::MAX).skip(pages.offset).take(PAGE);
        Self {
            finders: (pages.offset == 0).then(|| Finders::of(&chain, &app.board)),
            items: items
                .map(|brief| BlockLine::of(brief, &app.board))
                .collect(),
            pages,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_takes_two_blocks() {
        assert_eq!(mean_interval(&[]), None);
        assert_eq!(mean_interval(&[5000]), None);
        assert_eq!(mean_interval(&[9000, 5000, 1000]), Some(4.0));
    }
}
