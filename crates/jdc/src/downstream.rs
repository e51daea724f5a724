//! One task per miner connection: it owns the connection's channels and judges their shares.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use bitcoin::BlockHash;
use bitcoin::hashes::Hash;
use daemon::accept::{Peer, Reached};
use daemon::clock;
use daemon::drive::{Host, drive};
use daemon::wire::TcpConnection;
use protocol::server::{Accepted, JobSource, MiningServer, Policy, ServerEvent, ServerInput};
use protocol::work::Work;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info};

use crate::declarator::{Found, Input, space};
use crate::desk::FromMiner;
use crate::metrics::{Metrics, Reason};

/// What every miner connection shares.
pub(crate) struct Downstreams {
    pub(crate) policy: Arc<Policy>,
    pub(crate) work: watch::Receiver<Option<Work>>,
    pub(crate) desk: mpsc::Sender<FromMiner>,
    pub(crate) metrics: Metrics,
    pub(crate) reached: Reached,
    pub(crate) stop: CancellationToken,
}

impl Downstreams {
    /// Serves one miner until it leaves, whatever becomes of the upstreams meanwhile.
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
        self.metrics.clients.inc();
        let space = space(slot.number());
        let mut core = MiningServer::new(Arc::clone(&self.policy), client.flags, space, work);
        core.connected(clock::now());
        let mut host = Session {
            role: &self,
            peer: address,
            slot: slot.number(),
            work: seen,
            hash_rates: BTreeMap::new(),
        };
        let ended = drive(connection, &mut core, &mut host, &self.stop).await;
        for _ in 0..core.channels() {
            self.metrics.channels.dec();
        }
        self.metrics.clients.dec();
        let left = FromMiner::HashRate {
            slot: slot.number(),
            rate: 0.0,
        };
        // The desk may be gone only when the role stops.
        let _ = self.desk.send(left).await;
        info!(peer = %address, reason = %ended, "miner disconnected");
    }

    /// A block is told loudly, a share is counted, when nobody takes it.
    fn tell(&self, message: FromMiner) {
        match self.desk.try_send(message) {
            Ok(()) => {}
            Err(
                TrySendError::Full(FromMiner::Input(Input::Block(solution)))
                | TrySendError::Closed(FromMiner::Input(Input::Block(solution))),
            ) => {
                let hash = BlockHash::from_byte_array(solution.hash);
                error!(%hash, "block lost: the desk takes no more messages");
            }
            Err(_) => {
                let reason = Reason::from("desk-full");
                self.metrics.lost.get_or_create(&reason).inc();
            }
        }
    }
}

/// One miner's connection to the rest of the role.
struct Session<'a> {
    role: &'a Downstreams,
    peer: SocketAddr,
    slot: u32,
    /// Newest only: a slow connection skips what is outdated.
    work: watch::Receiver<Option<Work>>,
    /// Of each channel, in hashes a second.
    hash_rates: BTreeMap<u32, f32>,
}

impl Host<MiningServer> for Session<'_> {
    async fn next(&mut self) -> Option<ServerInput> {
        self.work.changed().await.ok()?;
        self.work.borrow_and_update().clone().map(ServerInput::Work)
    }

    fn event(&mut self, event: ServerEvent) {
        let peer = self.peer;
        let metrics = &self.role.metrics;
        match event {
            ServerEvent::Opened {
                channel_id,
                user_identity,
                target,
                ..
            } => {
                metrics.channels.inc();
                let difficulty = target.difficulty();
                info!(%peer, channel = channel_id, user = user_identity, difficulty, "channel opened");
                let rate = target.hashes() * self.role.policy.shares_per_minute / 60.0;
                self.set_hash_rate(channel_id, Some(rate as f32));
            }
            ServerEvent::OpenRefused(code) => info!(%peer, code, "channel refused"),
            ServerEvent::Closed { channel_id } => {
                metrics.channels.dec();
                info!(%peer, channel = channel_id, "channel closed");
                self.set_hash_rate(channel_id, None);
            }
            ServerEvent::Retargeted {
                channel_id,
                target,
                hashrate,
            } => {
                let difficulty = target.difficulty();
                debug!(%peer, channel = channel_id, difficulty, hashrate, "target changed");
                self.set_hash_rate(channel_id, Some(hashrate as f32));
            }
            ServerEvent::Accepted {
                channel_id,
                job_id,
                share,
                ..
            } => {
                metrics.accepted.inc();
                let hash = BlockHash::from_byte_array(share.hash);
                debug!(%peer, channel = channel_id, job = job_id, %hash, "share accepted");
                self.accepted(&share);
            }
            ServerEvent::Rejected {
                channel_id,
                job_id,
                code,
                ..
            } => {
                metrics.rejected.get_or_create(&Reason::from(code)).inc();
                debug!(%peer, channel = channel_id, job = job_id, code, "share rejected");
            }
            ServerEvent::Block {
                channel_id,
                job_id,
                user_identity,
                worker,
                solution,
                ..
            } => {
                let hash = BlockHash::from_byte_array(solution.hash);
                let height = solution.height;
                info!(
                    %peer, channel = channel_id, job = job_id, user = user_identity, worker = worker.as_deref(), %hash, height,
                    "block found"
                );
                self.role.tell(FromMiner::Input(Input::Block(solution)));
            }
            ServerEvent::Limited(limit) => self.role.reached.count(limit.into()),
            ServerEvent::Ignored(what) => debug!(%peer, what, "message ignored"),
            // Custom jobs are not offered.
            other => debug!(%peer, ?other, "nothing that concerns us"),
        }
    }
}

impl Session<'_> {
    fn accepted(&self, share: &Accepted) {
        // All our templates are jobs of the declarator, which has named them.
        let JobSource::Template { id: job, .. } = share.source else {
            return;
        };
        self.role.tell(FromMiner::Input(Input::Accepted {
            job,
            found: Found {
                nonce: share.nonce,
                ntime: share.ntime,
                version: share.version,
                extranonce: share.extranonce.as_bytes().to_vec(),
                hash: share.hash,
            },
            is_block: share.is_block,
        }));
    }

    fn set_hash_rate(&mut self, channel_id: u32, rate: Option<f32>) {
        match rate {
            Some(rate) => self.hash_rates.insert(channel_id, rate),
            None => self.hash_rates.remove(&channel_id),
        };
        let slot = self.slot;
        let rate = self.hash_rates.values().sum();
        self.role.tell(FromMiner::HashRate { slot, rate });
    }
}
