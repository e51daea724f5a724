//! A miner, as its connection's task describes it while anybody may look.

use std::net::SocketAddr;
use std::sync::OnceLock;

use daemon::clock;
use daemon::number::Count;
use daemon::rate::{HashRate, Rates};
use protocol::server::ChannelKind;
use protocol::setup;

/// Written by the one task that serves it, without a lock.
#[derive(Debug)]
pub(crate) struct Miner {
    pub(crate) peer: SocketAddr,
    pub(crate) who: setup::Client,
    /// Milliseconds since 1970.
    pub(crate) connected_ms: u64,
    /// Whom its first channel is for.
    user: OnceLock<String>,
    pub(crate) extended: Count,
    pub(crate) standard: Count,
    pub(crate) accepted: Count,
    pub(crate) rejected: Count,
    pub(crate) blocks: Count,
    /// When its last share was judged, in milliseconds since 1970; 0 for never.
    pub(crate) last_share_ms: Count,
    rate: HashRate,
}

impl Miner {
    pub(crate) fn new(peer: SocketAddr, who: setup::Client) -> Self {
        Self {
            peer,
            who,
            connected_ms: clock::unix_ms(),
            user: OnceLock::new(),
            extended: Count::default(),
            standard: Count::default(),
            accepted: Count::default(),
            rejected: Count::default(),
            blocks: Count::default(),
            last_share_ms: Count::default(),
            rate: HashRate::default(),
        }
    }

    pub(crate) fn opened(&self, kind: ChannelKind, user: &str) {
        self.channels(kind).add(1);
        self.user.get_or_init(|| user.to_owned());
    }

    pub(crate) fn closed(&self, kind: ChannelKind) {
        let open = self.channels(kind);
        open.set(open.get().saturating_sub(1));
    }

    /// A share that takes that many hashes on average.
    pub(crate) fn accept(&self, hashes: f64) {
        let now_ms = clock::unix_ms();
        self.accepted.add(1);
        self.rate.add(now_ms, hashes);
        self.last_share_ms.set(now_ms);
    }

    pub(crate) fn reject(&self) {
        self.rejected.add(1);
        self.last_share_ms.set(clock::unix_ms());
    }

    pub(crate) fn user(&self) -> Option<&str> {
        self.user.get().map(String::as_str)
    }

    /// What its shares show.
    pub(crate) fn rates(&self) -> Rates {
        self.rate.read(clock::unix_ms(), self.connected_ms)
    }

    fn channels(&self, kind: ChannelKind) -> &Count {
        match kind {
            ChannelKind::Standard => &self.standard,
            ChannelKind::Extended { .. } => &self.extended,
        }
    }
}
