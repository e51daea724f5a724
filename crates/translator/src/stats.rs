//! What is known of miners: written by the tasks that learn of it, read by HTTP at any time.
//!
//! No share that is judged takes a lock; one is taken when miners come and go, when it is known what
//! became of a share, and when their list is read.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use daemon::clock;
use daemon::label::Reason;
use daemon::number::Real;
use daemon::rate::HashRate;
use sv1::Rejection;

use crate::metrics::Metrics;
use crate::proxy::Fate;

/// All miners that are connected.
#[derive(Debug)]
pub(crate) struct Stats {
    clients: Mutex<BTreeMap<u32, Arc<Client>>>,
    metrics: Metrics,
}

/// One miner.
#[derive(Debug)]
pub(crate) struct Client {
    /// The place of its connection, from 1 on.
    pub(crate) id: u32,
    pub(crate) peer: SocketAddr,
    /// Milliseconds since 1970.
    pub(crate) connected_ms: u64,
    pub(crate) agent: OnceLock<Box<str>>,
    /// The first it authorized.
    pub(crate) worker: OnceLock<Arc<str>>,
    pub(crate) extranonce1: OnceLock<String>,
    /// The upstream's channel that its shares go to.
    pub(crate) channel_id: ChannelId,
    /// Bits of the version that it may change, and how many it needs.
    version_rolling: Mutex<Option<(u32, u32)>>,
    pub(crate) difficulty: Real,
    /// Hashes a second that it is believed to do.
    pub(crate) hash_rate: Real,
    /// By its shares.
    pub(crate) measured: HashRate,
    /// Hashes that the accepted shares took.
    pub(crate) work: Real,
    pub(crate) best_difficulty: Real,
    pub(crate) accepted: AtomicU64,
    pub(crate) blocks: AtomicU64,
    /// By code: 20 to 25.
    rejected: [AtomicU64; 6],
    pub(crate) relayed: AtomicU64,
    pub(crate) upstream_accepted: AtomicU64,
    pub(crate) upstream_rejected: AtomicU64,
    pub(crate) lost: AtomicU64,
    /// Why the upstream rejected a share last.
    upstream_reason: Mutex<Option<String>>,
}

/// The id of a channel, while there is one.
#[derive(Debug)]
pub(crate) struct ChannelId(AtomicU64);

impl Default for ChannelId {
    fn default() -> Self {
        Self(AtomicU64::new(u64::MAX))
    }
}

impl ChannelId {
    pub(crate) fn get(&self) -> Option<u32> {
        u32::try_from(self.0.load(Ordering::Relaxed)).ok()
    }

    pub(crate) fn set(&self, id: Option<u32>) {
        self.0
            .store(id.map_or(u64::MAX, u64::from), Ordering::Relaxed);
    }
}

impl Stats {
    pub(crate) fn new(metrics: Metrics) -> Self {
        Self {
            clients: Mutex::default(),
            metrics,
        }
    }

    /// A miner has connected at this place.
    pub(crate) fn connect(&self, slot: u32, peer: SocketAddr) -> Arc<Client> {
        let client = Arc::new(Client::new(slot, peer));
        held(&self.clients).insert(slot, Arc::clone(&client));
        self.metrics.clients.inc();
        client
    }

    /// It has left.
    pub(crate) fn disconnect(&self, slot: u32) {
        if held(&self.clients).remove(&slot).is_some() {
            self.metrics.clients.dec();
        }
    }

    /// Those connected.
    pub(crate) fn clients(&self) -> Vec<Arc<Client>> {
        held(&self.clients).values().cloned().collect()
    }

    /// The one with that id.
    pub(crate) fn client(&self, id: u32) -> Option<Arc<Client>> {
        held(&self.clients).get(&id.checked_sub(1)?).cloned()
    }

    /// What became of a share of the miner at this place. It may have left meanwhile.
    pub(crate) fn fate(&self, slot: u32, fate: &Fate) {
        if let Fate::Lost(why) = fate {
            self.metrics.lost.get_or_create(&Reason::from(*why)).inc();
        }
        let clients = held(&self.clients);
        let Some(client) = clients.get(&slot) else {
            return;
        };
        let count = match fate {
            Fate::Relayed => &client.relayed,
            Fate::Accepted => &client.upstream_accepted,
            Fate::Rejected(code) => {
                *held(&client.upstream_reason) = Some(code.clone());
                &client.upstream_rejected
            }
            Fate::Lost(_) => &client.lost,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

impl Client {
    fn new(slot: u32, peer: SocketAddr) -> Self {
        Self {
            id: slot + 1,
            peer,
            connected_ms: clock::unix_ms(),
            agent: OnceLock::new(),
            worker: OnceLock::new(),
            extranonce1: OnceLock::new(),
            channel_id: ChannelId::default(),
            version_rolling: Mutex::default(),
            difficulty: Real::default(),
            hash_rate: Real::default(),
            measured: HashRate::default(),
            work: Real::default(),
            best_difficulty: Real::default(),
            accepted: AtomicU64::default(),
            blocks: AtomicU64::default(),
            rejected: Default::default(),
            relayed: AtomicU64::default(),
            upstream_accepted: AtomicU64::default(),
            upstream_rejected: AtomicU64::default(),
            lost: AtomicU64::default(),
            upstream_reason: Mutex::default(),
        }
    }

    pub(crate) fn rejected(&self, rejection: &Rejection) {
        self.rejected[class(rejection)].fetch_add(1, Ordering::Relaxed);
    }

    /// How many shares were rejected, by reason.
    pub(crate) fn rejections(&self) -> BTreeMap<&'static str, u64> {
        let counts = self
            .rejected
            .iter()
            .map(|count| count.load(Ordering::Relaxed));
        let named = REASONS.into_iter().zip(counts);
        named.filter(|(_, count)| *count > 0).collect()
    }

    pub(crate) fn set_version_rolling(&self, mask: u32, min_bit_count: u32) {
        *held(&self.version_rolling) = Some((mask, min_bit_count));
    }

    pub(crate) fn version_rolling(&self) -> Option<(u32, u32)> {
        *held(&self.version_rolling)
    }

    pub(crate) fn upstream_reason(&self) -> Option<String> {
        held(&self.upstream_reason).clone()
    }
}

/// Reasons for rejected shares, by code from 20 on.
const REASONS: [&str; 6] = [
    "other",
    "job-not-found",
    "duplicate",
    "low-difficulty",
    "unauthorized",
    "not-subscribed",
];

fn class(rejection: &Rejection) -> usize {
    let class = usize::try_from(rejection.code - 20).unwrap_or(0);
    if class < REASONS.len() { class } else { 0 }
}

/// What a rejection is called in metrics.
pub(crate) fn reason(rejection: &Rejection) -> &'static str {
    REASONS[class(rejection)]
}

/// Nothing that could panic is done under these locks.
fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}
