//! One task per miner connection: it owns the connection's channels and judges their shares.

use std::sync::Arc;

use daemon::accept::{Peer, Reached};
use daemon::clock;
use daemon::drive::drive;
use daemon::http::Feed;
use daemon::wire::TcpConnection;
use ledger::{Found, Recorders};
use protocol::provider::ProviderInput;
use protocol::server::{MAX_PENDING_CUSTOM_JOBS, MiningServer, Policy};
use protocol::work::Work;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::WatchStream;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::event::PoolEvent;
use crate::extranonce::Parts;
use crate::metrics::Metrics;
use crate::recording::Recording;
use crate::session::Session;
use crate::stats::Stats;
use crate::tokens::Shown;

/// What every miner connection shares.
pub(crate) struct Downstreams {
    pub(crate) policy: Arc<Policy>,
    pub(crate) parts: Parts,
    pub(crate) work: watch::Receiver<Option<Work>>,
    pub(crate) solutions: mpsc::Sender<ProviderInput>,
    pub(crate) found: mpsc::Sender<Found>,
    pub(crate) recorders: Recorders,
    pub(crate) tokens: mpsc::Sender<Shown>,
    pub(crate) stats: Arc<Stats>,
    pub(crate) feed: Feed<PoolEvent>,
    pub(crate) metrics: Metrics,
    pub(crate) reached: Reached,
    pub(crate) stop: CancellationToken,
}

impl Downstreams {
    /// Serves one miner until it leaves.
    pub(crate) async fn serve(self: Arc<Self>, connection: TcpConnection, peer: Peer) {
        let mut seen = self.work.clone();
        let Some(work) = seen.borrow_and_update().clone() else {
            return;
        };
        let Peer {
            address,
            client,
            slot,
        } = peer;
        info!(
            peer = %address, vendor = client.vendor, firmware = client.firmware,
            device = client.device_id, flags = client.flags, "miner connected"
        );
        let space = self.parts.of(slot.number());
        let mut core = MiningServer::new(Arc::clone(&self.policy), client.flags, space, work);
        core.connected(clock::now());
        let stats = self.stats.connect(address, client);
        let client_id = stats.client_id();
        self.feed.tell(|| PoolEvent::connected(stats.client()));
        // As many answers as jobs may wait for one: it is never full.
        let (answer, answers) = mpsc::channel(MAX_PENDING_CUSTOM_JOBS);
        let mut host = Session {
            pool: &self,
            peer: address,
            stats,
            recording: Recording::new(address, self.recorders.recorder()),
            work: WatchStream::from_changes(seen),
            answer,
            answers,
            awaited: 0,
        };
        let ended = drive(connection, &mut core, &mut host, &self.stop).await;
        let recording = host.end();
        info!(peer = %address, reason = %ended, "miner disconnected");
        self.feed.tell(|| PoolEvent::ClientDisconnected {
            client_id,
            reason: ended.to_string(),
        });
        recording.finish().await;
    }
}
