//! The thread that owns log and database.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use daemon::clock;
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::archive;
use crate::database::Database;
use crate::directory::Lock;
use crate::history::Totals;
use crate::log::Log;
use crate::record::{Record, Share};
use crate::recorder::Batch;
use crate::recovery::{Opened, remember};
use crate::tally::Tally;

/// Shares kept for those who look at the newest.
pub(crate) const RECENT: usize = 1000;

/// Bytes of a commit above which the rest waits for the next one.
const MAX_COMMIT: usize = 4 << 20;

/// Records of a batch below which its connection is in no hurry: a busy one hands over all that has
/// gathered while its last batch was on its way.
const BUSY_BATCH: usize = 32;

/// After a commit of batches so small others may come along before the next one, which costs as
/// much as judging some twenty shares: for this part of the time that the newest batch had gathered
/// for. Who lets shares wait for a second does not mind a twentieth more.
const REST_PART: u32 = 16;

/// The least and the most of it.
const REST: [Duration; 2] = [Duration::from_millis(10), Duration::from_millis(50)];

/// Bytes after which a segment ends.
const MAX_SEGMENT: u64 = 16 << 20;

/// Between two updates of what people see.
const ROLL_UP: Duration = Duration::from_millis(250);

/// Rolling up takes no more than this part of the time: no share is recorded meanwhile.
const ROLL_UP_PART: u32 = 200;

/// At most between two attempts to roll up: what people see is not much older than this.
const MAX_ROLL_UP: Duration = Duration::from_secs(1);

/// Between two attempts to write what the disk refuses.
const RETRY: Duration = Duration::from_millis(250);

/// What others see of the ledger. Of all but the commits only the newest matters; who is slow to
/// take commits loses the oldest.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    pub(crate) totals: watch::Sender<Arc<Totals>>,
    pub(crate) recent: watch::Sender<Arc<[Share]>>,
    pub(crate) trouble: watch::Sender<Option<String>>,
    pub(crate) commits: broadcast::Sender<Arc<[Record]>>,
}

/// The thread's state.
#[derive(Debug)]
pub(crate) struct Writer {
    directory: PathBuf,
    keep: u64,
    log: Log,
    database: Database,
    totals: Totals,
    /// The newest last.
    recent: VecDeque<Share>,
    /// In the log, but not in the database yet.
    tally: Tally,
    next_roll_up: Instant,
    shown: Shown,
    stop: CancellationToken,
    _lock: Lock,
}

/// How long others may come along after a commit of `batches`.
fn rest(batches: &[Batch], now_ms: u64) -> Duration {
    let records: usize = batches.iter().map(|batch| batch.records.len()).sum();
    if records >= batches.len() * BUSY_BATCH {
        return Duration::ZERO;
    }
    let began = batches.iter().filter_map(|batch| batch.records.first());
    let newest_ms = began.map(Record::time_ms).max().unwrap_or(now_ms);
    let gathered = Duration::from_millis(now_ms.saturating_sub(newest_ms));
    (gathered / REST_PART).clamp(REST[0], REST[1])
}

impl Writer {
    /// For the ledger in `directory`, of whose log `keep` bytes stay.
    pub(crate) fn new(
        opened: Opened,
        directory: PathBuf,
        keep: u64,
        shown: Shown,
        stop: CancellationToken,
    ) -> Self {
        Self {
            directory,
            keep,
            log: opened.log,
            database: opened.database,
            tally: Tally::after(opened.totals.accepted),
            totals: opened.totals,
            recent: opened.recent,
            next_roll_up: Instant::now(),
            shown,
            stop,
            _lock: opened.lock,
        }
    }

    /// Writes until nobody is left to send batches, or the disk refuses while the role stops.
    pub(crate) fn run(mut self, queue: &Receiver<Batch>) {
        let mut batches = Vec::new();
        loop {
            let is_over = !self.gather(queue, &mut batches);
            if !self.commit() {
                error!(
                    "stopped while the disk refuses: shares that nobody was told are recorded are lost"
                );
                break;
            }
            let rest = rest(&batches, clock::unix_ms());
            self.recorded(&mut batches);
            if is_over {
                self.roll_up();
                break;
            }
            if self.next_roll_up <= Instant::now() && !self.tally.is_empty() {
                self.roll_up();
            }
            std::thread::sleep(rest);
        }
        info!("ledger closed");
    }

    /// Stages what waits in the queue, or comes before the next roll-up. `false` if nothing ever
    /// will again.
    fn gather(&mut self, queue: &Receiver<Batch>, batches: &mut Vec<Batch>) -> bool {
        let first = if self.tally.is_empty() {
            queue.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            let pause = self.next_roll_up.saturating_duration_since(Instant::now());
            queue.recv_timeout(pause)
        };
        let mut next = match first {
            Ok(batch) => Some(batch),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return false,
        };
        while let Some(batch) = next {
            batch
                .records
                .iter()
                .for_each(|record| self.log.stage(record));
            batches.push(batch);
            next = if self.log.staged() < MAX_COMMIT {
                queue.try_recv().ok()
            } else {
                None
            };
        }
        true
    }

    /// Makes durable what is staged, however long it takes. `false` if the role stops meanwhile.
    fn commit(&mut self) -> bool {
        while let Err(error) = self.log.commit() {
            let what = format!(
                "cannot write the ledger in {}: {error}; shares wait until it can be written: free \
                 some space, or repair the disk",
                self.directory.display()
            );
            self.trouble(Some(what));
            if self.stop.is_cancelled() {
                return false;
            }
            std::thread::sleep(RETRY);
        }
        true
    }

    /// Everything in `batches` is durable.
    fn recorded(&mut self, batches: &mut Vec<Batch>) {
        if self.shown.commits.receiver_count() > 0 {
            let records = batches
                .iter()
                .flat_map(|batch| batch.records.iter().cloned());
            // Nobody may be there any more.
            let _ = self.shown.commits.send(records.collect());
        }
        for batch in batches.drain(..) {
            // A connection that is gone needs no word.
            let _ = batch.durable.send(());
            batch
                .records
                .iter()
                .for_each(|record| self.tally.add(record));
            remember(batch.records, &mut self.recent);
        }
    }

    /// Brings the database up to the log, and what others see with it.
    fn roll_up(&mut self) {
        let start = Instant::now();
        let position = self.log.position();
        match self.database.roll_up(&self.tally, position) {
            Ok(new_blocks) => {
                self.totals.add(&self.tally, new_blocks);
                self.tally = Tally::after(self.tally.accepted);
                self.trouble(None);
                self.publish();
                if position.offset >= MAX_SEGMENT {
                    self.next_segment();
                }
            }
            Err(error) => self.trouble(Some(format!(
                "cannot update {}: {error}; shares are recorded, but totals stand still",
                crate::database::path(&self.directory).display()
            ))),
        }
        let took = start.elapsed() * ROLL_UP_PART;
        self.next_roll_up = Instant::now() + took.clamp(ROLL_UP, MAX_ROLL_UP);
    }

    /// Goes on in a new segment, and lets the oldest go. What fails is tried again later.
    fn next_segment(&mut self) {
        if let Err(error) = self.log.rotate() {
            return error!(%error, "cannot begin a new segment of the ledger's log");
        }
        let current = self.log.position().segment;
        if let Err(error) = archive::trim(&self.directory, self.keep, current, &mut self.database) {
            error!(
                error = format!("{error:#}"),
                "cannot remove old segments of the ledger's log"
            );
        }
    }

    /// Shows others the newest shares and totals. Who sees a total sees what made it, too.
    pub(crate) fn publish(&self) {
        let newest_first = self.recent.iter().rev().cloned();
        self.shown.recent.send_replace(newest_first.collect());
        let totals = Arc::new(self.totals.clone());
        self.shown.totals.send_replace(totals);
    }

    /// Says what keeps the ledger from working, or that nothing does; once.
    fn trouble(&self, now: Option<String>) {
        self.shown.trouble.send_if_modified(|before| {
            if *before == now {
                return false;
            }
            match &now {
                Some(what) => error!(what, "the ledger is in trouble"),
                None => info!("the ledger works again"),
            }
            *before = now;
            true
        });
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;
    use crate::samples::{accepted, source};

    /// Milliseconds of rest after batches of so many records, whose first is so many seconds old.
    fn rest_after(batches: &[(u64, usize)]) -> u128 {
        let alice = source(2, "alice", None);
        let now = accepted(&alice, 100).time_ms();
        let batch = |&(age, len): &(u64, usize)| Batch {
            records: vec![accepted(&alice, 100 - age); len],
            durable: oneshot::channel().0,
        };
        let batches: Vec<Batch> = batches.iter().map(batch).collect();
        rest(&batches, now).as_millis()
    }

    #[test]
    fn shares_that_had_time_give_others_time_and_busy_connections_none() {
        for (batches, rest) in [
            (&[(0, 1)][..], 10),
            (&[(1, 9)], 50),
            (&[(1, 9), (0, 9)], 10),
            (&[(0, 64)], 0),
            (&[(1, 9), (0, 100)], 0),
            (&[], 0),
        ] {
            assert_eq!(rest_after(batches), rest, "{batches:?}");
        }
    }
}
