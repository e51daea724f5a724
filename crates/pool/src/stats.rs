//! What is known of miners: written by the task of each connection, read by HTTP at any time.
//!
//! No share takes a lock. Each number has one writer, which loads and stores it without caring for
//! others; who reads may see a share in one number and not yet in the next. Locks are taken when
//! clients, channels and workers come and go.

mod channel;
mod client;
mod shares;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use daemon::clock;
use protocol::server::ChannelKind;
use protocol::setup;

pub(crate) use channel::{Channel, Opening, Terms};
pub(crate) use client::{Client, Connection, Open};
pub(crate) use daemon::rate::Rates;
pub(crate) use shares::{REASONS, Shares, Sums};

/// Everything that is known of miners. Those that left are in the sums only.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    clock: Steady,
    miners: Mutex<Miners>,
}

#[derive(Debug, Default)]
struct Miners {
    next_id: u64,
    connected: BTreeMap<u64, Arc<Client>>,
    /// What those that left have done.
    departed: Sums,
}

impl Stats {
    /// A client has connected. It is listed as long as what is returned lives.
    pub(crate) fn connect(self: &Arc<Self>, peer: SocketAddr, who: setup::Client) -> Connection {
        let mut miners = held(&self.miners);
        miners.next_id += 1;
        let client = Client::new(miners.next_id, peer, who, self.clock.now());
        let client = Arc::new(client);
        miners.connected.insert(client.id, Arc::clone(&client));
        drop(miners);
        Connection::new(Arc::clone(self), client)
    }

    fn disconnect(&self, client: &Client) {
        let mut miners = held(&self.miners);
        if miners.connected.remove(&client.id).is_some() {
            miners.departed += client.shares.sums();
        }
    }

    /// The connected client with that id.
    pub(crate) fn client(&self, id: u64) -> Option<Arc<Client>> {
        held(&self.miners).connected.get(&id).map(Arc::clone)
    }

    /// Those connected, in the order in which they came.
    pub(crate) fn clients(&self) -> Vec<Arc<Client>> {
        held(&self.miners).connected.values().cloned().collect()
    }

    /// All that was ever done. It never falls: who leaves is moved from one part of the sum to the
    /// other while nobody looks.
    pub(crate) fn sums(&self) -> Sums {
        let miners = held(&self.miners);
        let mut sums = miners.departed;
        let connected: Vec<_> = miners.connected.values().cloned().collect();
        drop(miners);
        for client in connected {
            sums += client.shares.sums();
        }
        sums
    }

    /// How long the pool has been running.
    pub(crate) fn uptime(&self) -> Duration {
        self.clock.began.elapsed()
    }

    /// Milliseconds since 1970.
    pub(crate) fn now(&self) -> u64 {
        self.clock.now()
    }
}

/// As SRI's metrics call it.
pub(crate) fn kind_name(kind: ChannelKind) -> &'static str {
    match kind {
        ChannelKind::Standard => "standard",
        ChannelKind::Extended { .. } => "extended",
    }
}

/// Milliseconds since 1970 that never jump: the system's clock is looked at once.
#[derive(Debug)]
struct Steady {
    began: Instant,
    began_ms: u64,
}

impl Default for Steady {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            began_ms: clock::unix_ms(),
        }
    }
}

impl Steady {
    fn now(&self) -> u64 {
        self.began_ms + self.began.elapsed().as_millis() as u64
    }
}

/// Nothing that could panic is done under these locks.
fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
pub(crate) mod tests;
