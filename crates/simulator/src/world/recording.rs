//! The pool's ledger of accepted shares, and the crashes it is there for.

use std::collections::BTreeMap;
use std::time::Duration;

use protocol::core::Core;
use protocol::server::{Acknowledge, ServerInput};

use super::{Step, World};
use crate::fault::Fault;
use crate::network::LinkId;
use crate::properties::TOLD_WITHIN;

/// How long a pool that crashed is gone.
const RESTART: Duration = Duration::from_secs(2);

/// Shares that were written. They are safe only when a commit is through that began after them.
#[derive(Debug)]
pub(super) struct Ledger {
    /// The slowest commit.
    slowest: Duration,
    written: Vec<Entry>,
    /// How many of them the commit under way covers.
    committing: usize,
}

/// One share.
#[derive(Debug)]
struct Entry {
    link: LinkId,
    number: u64,
    hash: [u8; 32],
}

impl Ledger {
    pub(super) fn new(slowest: Duration) -> Self {
        Self {
            slowest,
            written: Vec::new(),
            committing: 0,
        }
    }

    /// Another one on the same disk, with nothing under way.
    pub(super) fn fresh(&self) -> Self {
        Self::new(self.slowest)
    }
}

impl World {
    /// A share was accepted.
    pub(super) fn write(&mut self, link: LinkId, number: u64, hash: [u8; 32]) {
        if self.pool.policy.acknowledge == Acknowledge::AtOnce {
            return;
        }
        self.pool.ledger.written.push(Entry { link, number, hash });
        if self.fault == Some(Fault::EarlyAcknowledgements) {
            self.plan_within(TOLD_WITHIN, Step::Recorded { link, number });
        }
        self.begin_commit();
    }

    fn begin_commit(&mut self) {
        let ledger = &mut self.pool.ledger;
        if ledger.committing == 0 && !ledger.written.is_empty() {
            ledger.committing = ledger.written.len();
            let (slowest, life) = (ledger.slowest, self.pool.life);
            self.plan_within(slowest, Step::Commit { life });
        }
    }

    /// A commit is through, unless its pool has crashed.
    pub(super) fn commit(&mut self, life: u32) {
        if life != self.pool.life {
            return;
        }
        let ledger = &mut self.pool.ledger;
        let count = std::mem::take(&mut ledger.committing);
        let mut newest = BTreeMap::new();
        for Entry { link, number, hash } in ledger.written.drain(..count) {
            self.witness.recorded(hash);
            newest.insert(link, number);
        }
        for (link, number) in newest {
            self.plan_within(TOLD_WITHIN, Step::Recorded { link, number });
        }
        self.begin_commit();
    }

    /// A connection learns how far its shares are recorded.
    pub(super) fn tell_recorded(&mut self, link: LinkId, number: u64) {
        self.serve(link, |server, now, out| {
            server.input(now, ServerInput::Recorded(number), out);
        });
    }

    /// The pool is killed: its connections are cut, and what is not in the ledger is gone.
    pub(super) fn crash(&mut self) {
        self.witness.note(|| "the pool crashes".into());
        self.witness.counts.crashes += 1;
        self.witness.counts.lost += self.pool.ledger.written.len() as u64;
        let links: Vec<LinkId> = self.pool.sessions.keys().copied().collect();
        for link in links {
            self.pool_lost(link);
            self.cut(link);
        }
        for solution in self.pool.solutions.drain(..) {
            // Nobody was there to take it.
            self.witness.handed(&solution);
        }
        if let Some(link) = self.pool.provider_link {
            self.cut(link);
        }
        self.pool.die();
        self.plan_within(RESTART, Step::Restart);
    }

    pub(super) fn restart(&mut self) {
        self.witness.note(|| "the pool is back".into());
        self.pool.is_up = true;
        self.reach_provider();
    }
}
