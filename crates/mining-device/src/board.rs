//! What the device shows of itself, and when it has done enough.

use std::sync::Arc;
use std::time::{Duration, Instant};

use daemon::http::Health;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::hasher::Hasher;
use crate::stats::Stats;

/// How often hashes and rates are brought up to date.
const SETTLE: Duration = Duration::from_secs(1);

/// The account and the health of the device, over all its connections.
#[derive(Debug)]
pub(crate) struct Board {
    pub(crate) stats: watch::Sender<Stats>,
    pub(crate) health: watch::Sender<Health>,
    /// Connections that have had a share accepted.
    pub(crate) good: watch::Sender<usize>,
    pub(crate) until_blocks: Option<u64>,
    pub(crate) until_shares: Option<u64>,
    /// Ends the role.
    pub(crate) stop: CancellationToken,
}

/// One connection's part in the health: the device is ready while any is good.
#[derive(Debug)]
pub(crate) struct Standing<'a> {
    board: &'a Board,
    is_good: bool,
}

impl Board {
    /// For a new connection, or one that is yet to be made.
    pub(crate) fn standing(&self) -> Standing<'_> {
        Standing {
            board: self,
            is_good: false,
        }
    }

    /// Shares were accepted: counts them with `count`, and stops the role when that is enough.
    pub(crate) fn accepted(&self, count: impl FnOnce(&mut Stats)) {
        let before = self.stats.borrow().blocks_accepted;
        self.stats.send_modify(count);
        let (blocks, shares) = {
            let stats = self.stats.borrow();
            (stats.blocks_accepted, stats.shares_accepted)
        };
        if blocks > before {
            info!(blocks, "block accepted by the pool");
        }
        let enough = |done: u64, wanted: Option<u64>| wanted.is_some_and(|wanted| done >= wanted);
        if enough(blocks, self.until_blocks) || enough(shares, self.until_shares) {
            info!(blocks, shares, "enough, stopping");
            self.stop.cancel();
        }
    }

    /// Brings times and rates up to date.
    pub(crate) fn settle(&self, hasher: &Hasher) {
        let hashes = hasher.hashes();
        self.stats
            .send_modify(|stats| stats.settle(hashes, Instant::now()));
    }

    /// Does so for whoever looks, until the role stops.
    pub(crate) async fn keep_settled(self: Arc<Self>, hasher: Arc<Hasher>) {
        let mut tick = tokio::time::interval(SETTLE);
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return,
                _ = tick.tick() => {}
            }
            self.settle(&hasher);
        }
    }
}

impl Standing<'_> {
    /// Only a share that is accepted proves that the connection is good.
    pub(crate) fn good(&mut self) {
        if !std::mem::replace(&mut self.is_good, true) {
            self.board.good.send_modify(|good| {
                *good += 1;
                self.board.health.send_replace(Health::Ready);
            });
        }
    }

    /// It is not, or no longer.
    pub(crate) fn away(&mut self, reason: &str) {
        let was_good = std::mem::replace(&mut self.is_good, false);
        self.board.good.send_modify(|good| {
            *good -= usize::from(was_good);
            if *good == 0 {
                self.board.health.send_replace(Health::not_ready(reason));
            }
        });
    }
}
