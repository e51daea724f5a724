//! The pool's ledger: every share and every block, on disk before anybody is told.
//!
//! ```text
//!   connections ──Recorder──▶ queue ──▶ writer thread ──▶ log (segments)       every commit
//!        ▲                                │        └────▶ SQLite (totals, …)   a few times a second
//!        └────────── durable ─────────────┘
//! ```
//!
//! The log is the truth: a commit is everything that waited in the queue, appended and synced at
//! once, and only then are the connections told. The database follows: its sums and the place in
//! the log up to which they count change in one transaction, so that whatever a crash leaves, each
//! share counts exactly once. Why not SQLite alone: `docs/adr/0006-ledger.md`.

mod archive;
mod bytes;
mod database;
mod directory;
mod export;
mod history;
mod log;
mod record;
mod recorder;
mod recovery;
#[cfg(test)]
mod samples;
mod segment;
mod tail;
mod tally;
mod verify;
mod walk;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc;

use anyhow::Context;
use daemon::config::Reader;
use tokio::sync::{broadcast, oneshot, watch};
use tokio_util::sync::CancellationToken;

pub use export::{Format, Table, export};
pub use history::{Block, History, MinuteTotals, Totals, WorkerTotals};
pub use record::{Found, Judged, Origin, Outcome, Record, Share, Source, Verdict};
pub use recorder::{Recorder, Recorders};
pub use verify::{Report, verify};

use writer::{Shown, Writer};

/// Commits that a subscriber may be behind; if it is more, it loses the oldest.
const MAX_COMMITS_BEHIND: usize = 256;

/// Where the ledger is and how much of it stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Its directory, which no other pool may use.
    pub directory: PathBuf,
    /// Bytes of shares that stay; totals and blocks always do.
    pub keep: u64,
}

impl Settings {
    /// Takes `ledger.directory` and `ledger.keep_mb` out of `reader`.
    pub fn read(reader: &mut Reader) -> Self {
        let keep_mb: u64 = reader.or("ledger.keep_mb", 1024);
        Self {
            directory: reader.or("ledger.directory", PathBuf::from("pool-ledger")),
            keep: keep_mb.saturating_mul(1 << 20),
        }
    }
}

/// What the pool and its users read. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Ledger {
    directory: PathBuf,
    totals: watch::Receiver<Arc<Totals>>,
    recent: watch::Receiver<Arc<[Share]>>,
    trouble: watch::Receiver<Option<String>>,
    commits: broadcast::Sender<Arc<[Record]>>,
}

/// Resolves when the writer has ended.
pub type Closed = oneshot::Receiver<()>;

/// Opens the ledger, or begins one, and starts its writer, for at most so many recorders at once.
/// It ends when all [`Recorders`] and recorders are gone; once `stop` is cancelled it does not wait
/// for a disk that refuses any longer.
///
/// # Errors
/// The directory cannot be used, another pool uses it, or what is in it is damaged or newer.
pub fn open(
    settings: &Settings,
    recorders: usize,
    stop: CancellationToken,
) -> anyhow::Result<(Ledger, Recorders, Closed)> {
    let directory = settings.directory.clone();
    let opened = recovery::open(&directory).context("the ledger cannot be opened")?;
    let shown = Shown {
        totals: watch::Sender::default(),
        recent: watch::Sender::new(Arc::new([])),
        trouble: watch::Sender::default(),
        commits: broadcast::Sender::new(MAX_COMMITS_BEHIND),
    };
    let ledger = Ledger {
        directory: directory.clone(),
        totals: shown.totals.subscribe(),
        recent: shown.recent.subscribe(),
        trouble: shown.trouble.subscribe(),
        commits: shown.commits.clone(),
    };
    let writer = Writer::new(opened, directory, settings.keep, shown, stop);
    // A batch of each: it is never full.
    let (batches, queue) = mpsc::sync_channel(recorders);
    let (ended, closed) = oneshot::channel();
    writer.publish();
    std::thread::Builder::new()
        .name("ledger".to_owned())
        .spawn(move || {
            writer.run(&queue);
            // Nobody need wait for it.
            let _ = ended.send(());
        })
        .context("the ledger's thread cannot be started")?;
    Ok((ledger, Recorders(batches), closed))
}

impl Ledger {
    /// Everything together, as of a moment ago.
    pub fn totals(&self) -> watch::Receiver<Arc<Totals>> {
        self.totals.clone()
    }

    /// The newest shares, the newest first.
    pub fn recent(&self) -> Arc<[Share]> {
        Arc::clone(&self.recent.borrow())
    }

    /// Everything that is recorded from now on, commit by commit. Who is slow loses the oldest.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<[Record]>> {
        self.commits.subscribe()
    }

    /// What keeps the ledger from working, with its remedy; `None` while nothing does.
    pub fn trouble(&self) -> watch::Receiver<Option<String>> {
        self.trouble.clone()
    }

    /// Reads blocks, workers, minutes on a thread where that may take its time.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn history<T: Send + 'static>(
        &self,
        read: impl FnOnce(&History) -> rusqlite::Result<T> + Send + 'static,
    ) -> anyhow::Result<T> {
        let directory = self.directory.clone();
        let task = tokio::task::spawn_blocking(move || Ok(read(&History::open(&directory)?)?));
        task.await?
    }
}

#[cfg(test)]
mod tests;
