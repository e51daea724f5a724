//! A client, and what its connection's task writes of it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::AddAssign;
use std::sync::{Arc, Mutex};

use protocol::error_code::ErrorCode;
use protocol::server::{ChannelKind, Worker};
use protocol::setup;
use protocol::target::Target;

use super::channel::{Channel, Opening, Terms};
use super::shares::Shares;
use super::{Stats, held};

/// A client that is connected.
#[derive(Debug)]
pub(crate) struct Client {
    /// Never used for another one as long as the pool runs.
    pub(crate) id: u64,
    pub(crate) peer: SocketAddr,
    pub(crate) who: setup::Client,
    /// Of all its channels, those that were closed included, and of none.
    pub(crate) shares: Shares,
    channels: Mutex<BTreeMap<u32, Arc<Channel>>>,
}

impl Client {
    pub(super) fn new(id: u64, peer: SocketAddr, who: setup::Client, now_ms: u64) -> Self {
        Self {
            id,
            peer,
            who,
            shares: Shares::since(now_ms),
            channels: Mutex::default(),
        }
    }

    /// Of its channels that are open.
    pub(crate) fn open(&self) -> Open {
        let mut open = Open::default();
        for channel in held(&self.channels).values() {
            match channel.opening.kind {
                ChannelKind::Standard => open.standard += 1,
                ChannelKind::Extended { .. } => open.extended += 1,
            }
            open.believed += channel.terms().believed;
        }
        open
    }

    /// The open one with that id.
    pub(crate) fn channel(&self, id: u32) -> Option<Arc<Channel>> {
        held(&self.channels).get(&id).map(Arc::clone)
    }

    /// Those that are open, by id.
    pub(crate) fn channels(&self) -> Vec<Arc<Channel>> {
        held(&self.channels).values().cloned().collect()
    }
}

/// Channels that are open.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Open {
    pub(crate) extended: usize,
    pub(crate) standard: usize,
    /// Hashes a second that they are believed to do.
    pub(crate) believed: f64,
}

impl Open {
    pub(crate) fn channels(&self) -> usize {
        self.extended + self.standard
    }
}

impl AddAssign for Open {
    fn add_assign(&mut self, other: Self) {
        self.extended += other.extended;
        self.standard += other.standard;
        self.believed += other.believed;
    }
}

/// The pen of one connection: nobody else writes of its client.
#[derive(Debug)]
pub(crate) struct Connection {
    stats: Arc<Stats>,
    client: Arc<Client>,
    channels: BTreeMap<u32, Writing>,
}

/// A channel, and its workers without a lock.
#[derive(Debug)]
struct Writing {
    channel: Arc<Channel>,
    workers: BTreeMap<Arc<str>, Arc<Shares>>,
}

impl Connection {
    pub(super) fn new(stats: Arc<Stats>, client: Arc<Client>) -> Self {
        Self {
            stats,
            client,
            channels: BTreeMap::new(),
        }
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn client_id(&self) -> u64 {
        self.client.id
    }

    /// A channel was opened.
    pub(crate) fn opened(&mut self, opening: Opening, terms: Terms) {
        let id = opening.channel_id;
        let since_ms = self.stats.now();
        let channel = Arc::new(Channel::new(opening, Terms { since_ms, ..terms }));
        held(&self.client.channels).insert(id, Arc::clone(&channel));
        let workers = BTreeMap::new();
        self.channels.insert(id, Writing { channel, workers });
    }

    pub(crate) fn closed(&mut self, channel_id: u32) {
        self.channels.remove(&channel_id);
        held(&self.client.channels).remove(&channel_id);
    }

    /// The client said something else of its channel, or the same again, which changes nothing of
    /// what is believed.
    pub(crate) fn updated(&self, channel_id: u32, new: Terms) {
        self.change(channel_id, new.target, |terms| {
            if terms.declared.to_bits() != new.declared.to_bits() {
                terms.believed = new.believed;
            }
            terms.declared = new.declared;
            terms.max_target = new.max_target;
        });
    }

    /// Its shares said something else than was believed.
    pub(crate) fn retargeted(&self, channel_id: u32, believed: f64, target: Target) {
        self.change(channel_id, target, |terms| terms.believed = believed);
    }

    fn change(&self, channel_id: u32, target: Target, change: impl FnOnce(&mut Terms)) {
        if let Some(Writing { channel, .. }) = self.channels.get(&channel_id) {
            let now_ms = self.stats.now();
            channel.change(|terms| {
                change(terms);
                if terms.target != target {
                    terms.target = target;
                    terms.since_ms = now_ms;
                }
            });
        }
    }

    /// A share with this hash, in header order, of a kind that takes `hashes` on average.
    pub(crate) fn accepted(
        &mut self,
        (channel_id, sequence_number): (u32, u32),
        (hash, hashes): ([u8; 32], f64),
        worker: Option<&Worker>,
    ) {
        let now_ms = self.stats.now();
        self.client.shares.accept(now_ms, hash, hashes);
        if let Some(writing) = self.channels.get_mut(&channel_id) {
            writing.channel.shares.accept(now_ms, hash, hashes);
            let last = &writing.channel.sequence_number;
            last.set(u64::from(sequence_number));
            if let Some(worker) = worker {
                writing.worker(now_ms, worker).accept(now_ms, hash, hashes);
            }
        }
    }

    /// `channel_id` may be none of a channel.
    pub(crate) fn rejected(&mut self, channel_id: u32, code: ErrorCode, worker: Option<&Worker>) {
        let now_ms = self.stats.now();
        self.client.shares.reject(now_ms, code);
        if let Some(writing) = self.channels.get_mut(&channel_id) {
            writing.channel.shares.reject(now_ms, code);
            if let Some(worker) = worker {
                writing.worker(now_ms, worker).reject(now_ms, code);
            }
        }
    }

    pub(crate) fn found_block(&self, channel_id: u32) {
        self.client.shares.find_block();
        if let Some(Writing { channel, .. }) = self.channels.get(&channel_id) {
            channel.shares.find_block();
        }
    }
}

impl Writing {
    /// The protocol's core keeps their number within bounds.
    fn worker(&mut self, now_ms: u64, worker: &Worker) -> &Shares {
        self.workers
            .entry(Arc::clone(&worker.name))
            .or_insert_with_key(|name| {
                let shares = Arc::new(Shares::since(now_ms));
                self.channel.add_worker(name, &shares);
                shares
            })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.stats.disconnect(&self.client);
    }
}
