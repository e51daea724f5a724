//! The miners that have subscribed: their extranonces, names, hash rates and channels.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Instant;

use sv1::Extranonce;

/// One of them.
#[derive(Debug)]
struct Miner {
    extranonce1: u32,
    /// The first it authorized; until then it gets no channel of its own.
    worker: Option<Arc<str>>,
    rate: f64,
    /// Of its own.
    channel: Option<u32>,
}

/// All of them, by the place of their connection.
#[derive(Debug)]
pub(super) struct Miners {
    miners: BTreeMap<u32, Miner>,
    /// Who has which.
    extranonces: HashMap<u32, u32>,
    next: u32,
    total: f64,
    /// Those that need a channel of their own, at once.
    waiting: BTreeSet<u32>,
    /// And later.
    closed: BTreeMap<u32, Instant>,
}

impl Miners {
    pub(super) fn new(first: u32) -> Self {
        Self {
            miners: BTreeMap::new(),
            extranonces: HashMap::new(),
            next: first,
            total: 0.0,
            waiting: BTreeSet::new(),
            closed: BTreeMap::new(),
        }
    }

    /// A miner subscribes. It gets an extranonce1 that nobody else has: what it had before, if it
    /// can, and otherwise one that was not used for as long as possible.
    pub(super) fn join(&mut self, slot: u32, resumed: Option<u32>) -> Extranonce {
        let resumed = resumed.filter(|wanted| !self.extranonces.contains_key(wanted));
        let extranonce1 = resumed.unwrap_or_else(|| {
            // There are far more of them than connections.
            while self.extranonces.contains_key(&self.next) {
                self.next = self.next.wrapping_add(1);
            }
            let fresh = self.next;
            self.next = fresh.wrapping_add(1);
            fresh
        });
        self.leave(slot);
        self.extranonces.insert(extranonce1, slot);
        let miner = Miner {
            extranonce1,
            worker: None,
            rate: 0.0,
            channel: None,
        };
        self.miners.insert(slot, miner);
        Extranonce::new(&extranonce1.to_be_bytes()).expect("four bytes fit")
    }

    /// A miner authorizes somebody; the first name counts.
    pub(super) fn name(&mut self, slot: u32, worker: Arc<str>) {
        if let Some(miner) = self.miners.get_mut(&slot)
            && miner.worker.is_none()
        {
            miner.worker = Some(worker);
            self.waiting.insert(slot);
        }
    }

    /// A miner has left. Returns its own channel.
    pub(super) fn leave(&mut self, slot: u32) -> Option<u32> {
        self.waiting.remove(&slot);
        self.closed.remove(&slot);
        let miner = self.miners.remove(&slot)?;
        self.extranonces.remove(&miner.extranonce1);
        self.total -= miner.rate;
        if self.miners.is_empty() {
            // What rounding left.
            self.total = 0.0;
        }
        miner.channel
    }

    pub(super) fn worker(&self, slot: u32) -> Option<Arc<str>> {
        self.miners.get(&slot)?.worker.clone()
    }

    pub(super) fn set_rate(&mut self, slot: u32, rate: f64) {
        if let Some(miner) = self.miners.get_mut(&slot) {
            self.total += rate - miner.rate;
            miner.rate = rate;
        }
    }

    pub(super) fn rate(&self, slot: u32) -> f64 {
        self.miners.get(&slot).map_or(0.0, |miner| miner.rate)
    }

    pub(super) fn total(&self) -> f64 {
        self.total.max(0.0)
    }

    pub(super) fn channel(&self, slot: u32) -> Option<u32> {
        self.miners.get(&slot)?.channel
    }

    pub(super) fn opened(&mut self, slot: u32, channel_id: u32) {
        if let Some(miner) = self.miners.get_mut(&slot) {
            miner.channel = Some(channel_id);
        }
    }

    /// A miner's channel is over; it is to get another one at that time.
    pub(super) fn closed(&mut self, slot: u32, again: Instant) {
        if let Some(miner) = self.miners.get_mut(&slot) {
            miner.channel = None;
            self.closed.insert(slot, again);
        }
    }

    /// Nobody has a channel any more. Returns those that need one now.
    pub(super) fn unseat(&mut self) -> Vec<u32> {
        self.closed.clear();
        for (slot, miner) in &mut self.miners {
            miner.channel = None;
            if miner.worker.is_some() {
                self.waiting.insert(*slot);
            }
        }
        self.waiting.iter().copied().collect()
    }

    /// Takes those that are to be given a channel now.
    pub(super) fn due(&mut self, now: Instant) -> BTreeSet<u32> {
        let mut due = std::mem::take(&mut self.waiting);
        self.closed.retain(|slot, again| {
            let is_due = *again <= now;
            if is_due {
                due.insert(*slot);
            }
            !is_due
        });
        due
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.closed.values().min().copied()
    }
}
