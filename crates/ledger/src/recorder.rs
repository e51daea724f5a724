//! A connection's way into the ledger.

use std::sync::mpsc::{SyncSender, TrySendError};

use tokio::sync::oneshot;

use crate::record::{Outcome, Record};

/// Records that a recorder holds before it says that it is full: what a busy connection sends while
/// a slow disk makes one commit.
const MAX_UNRECORDED: usize = 2000;

/// What a recorder hands to the writer at once.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) records: Vec<Record>,
    /// Told when they are durable; dropped when they will never be.
    pub(crate) durable: oneshot::Sender<()>,
}

/// Makes recorders. The ledger's writer lives as long as this, a clone, or a recorder of it.
#[derive(Debug, Clone)]
pub struct Recorders(pub(crate) SyncSender<Batch>);

impl Recorders {
    /// One for a task of its own.
    pub fn recorder(&self) -> Recorder {
        Recorder {
            queue: self.0.clone(),
            pending: Vec::new(),
            flight: Flight::None,
            follows: false,
            accepted: 0,
            unrecorded: 0,
        }
    }
}

/// Hands records to the writer, one batch at a time: while one is on its way to the disk, the next
/// one gathers. So the batches of a busy connection grow by themselves.
#[derive(Debug)]
pub struct Recorder {
    queue: SyncSender<Batch>,
    pending: Vec<Record>,
    flight: Flight,
    /// Whether the next batch follows the one on its way at once.
    follows: bool,
    /// Accepted shares so far.
    accepted: u64,
    /// Records not known to be durable.
    unrecorded: usize,
}

/// A batch on its way.
#[derive(Debug)]
enum Flight {
    None,
    Under {
        durable: oneshot::Receiver<()>,
        /// Accepted shares up to its end.
        accepted: u64,
        records: usize,
    },
    /// The writer is gone.
    Lost,
}

impl Recorder {
    /// Takes a record, to be handed over with the next batch.
    pub fn record(&mut self, record: Record) {
        if let Record::Share(share) = &record {
            self.accepted += u64::from(matches!(share.outcome, Outcome::Accepted { .. }));
        }
        self.unrecorded += 1;
        self.pending.push(record);
    }

    /// Whether so much is not durable yet that nothing more should be taken.
    pub fn is_full(&self) -> bool {
        self.unrecorded >= MAX_UNRECORDED
    }

    /// Whether so much has gathered that it should be handed over, though nobody waits for it.
    pub fn has_much(&self) -> bool {
        self.pending.len() >= MAX_UNRECORDED / 4
    }

    /// Hands over what there is: now, or as soon as the batch on its way is durable.
    pub fn hand_over(&mut self) {
        self.follows = !self.pending.is_empty();
        if !self.follows || !matches!(self.flight, Flight::None) {
            return;
        }
        let (told, durable) = oneshot::channel();
        let records = std::mem::take(&mut self.pending);
        let count = records.len();
        let batch = Batch {
            records,
            durable: told,
        };
        self.flight = match self.queue.try_send(batch) {
            Ok(()) => {
                self.follows = false;
                Flight::Under {
                    durable,
                    accepted: self.accepted,
                    records: count,
                }
            }
            // More recorders than were announced: this one's turn comes with its next step.
            Err(TrySendError::Full(batch)) => {
                self.pending = batch.records;
                Flight::None
            }
            Err(TrySendError::Disconnected(_)) => Flight::Lost,
        };
    }

    /// Waits until more is durable. Returns how many of the accepted shares that this recorder has
    /// taken are. Never returns when there is nothing to wait for, or the writer is gone.
    ///
    /// Cancel-safe.
    pub async fn recorded(&mut self) -> u64 {
        match self.landed().await {
            Some(accepted) => accepted,
            None => std::future::pending().await,
        }
    }

    /// Hands over the rest and waits until it is durable, or never will be.
    pub async fn finish(mut self) {
        self.hand_over();
        while self.landed().await.is_some() {}
    }

    /// Waits for the batch on its way, which the next one may follow. `None` if there is none.
    async fn landed(&mut self) -> Option<u64> {
        let Flight::Under {
            durable,
            accepted,
            records,
        } = &mut self.flight
        else {
            return None;
        };
        if durable.await.is_err() {
            self.flight = Flight::Lost;
            return None;
        }
        let accepted = *accepted;
        self.unrecorded -= *records;
        self.flight = Flight::None;
        if self.follows {
            self.hand_over();
        }
        Some(accepted)
    }
}
