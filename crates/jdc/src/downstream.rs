//! One task per miner connection: it owns the connection's channels and judges their shares.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

use bitcoin::BlockHash;
use bitcoin::hashes::Hash;
use daemon::accept::{Peer, Reached};
use daemon::clock;
use daemon::drive::{Host, drive};
use daemon::label::Reason;
use daemon::wire::TcpConnection;
use protocol::server::{
    Accepted, ChannelKind, JobSource, MiningServer, Policy, ServerEvent, ServerInput, Solution,
};
use protocol::target::Target;
use protocol::work::Work;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, watch};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::WatchStream;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use crate::declarator::{Found, Input, space};
use crate::desk::FromMiner;
use crate::found::{Blocks, Seat};
use crate::metrics::Metrics;
use crate::miner::Miner;

/// What every miner connection shares.
pub(crate) struct Downstreams {
    pub(crate) policy: Arc<Policy>,
    pub(crate) work: watch::Receiver<Option<Work>>,
    pub(crate) desk: mpsc::Sender<FromMiner>,
    pub(crate) blocks: Blocks,
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
        let miner = Arc::new(Miner::new(address, client.clone()));
        let came = FromMiner::Came {
            slot: slot.number(),
            miner: Arc::clone(&miner),
        };
        // The desk may be gone only when the role stops.
        let _ = self.desk.send(came).await;
        let space = space(slot.number());
        let mut core = MiningServer::new(Arc::clone(&self.policy), client.flags, space, work);
        core.connected(clock::now());
        let mut host = Session {
            role: &self,
            peer: address,
            slot: slot.number(),
            work: WatchStream::from_changes(seen),
            miner,
            channels: BTreeMap::new(),
            unsaid: VecDeque::new(),
        };
        let ended = drive(connection, &mut core, &mut host, &self.stop).await;
        // What it was told is good counts, also when it does not wait for it.
        host.said().await;
        for _ in 0..core.channels() {
            self.metrics.channels.dec();
        }
        self.metrics.clients.dec();
        let left = FromMiner::Left {
            slot: slot.number(),
        };
        // The desk may be gone only when the role stops.
        let _ = self.desk.send(left).await;
        info!(peer = %address, reason = %ended, "miner disconnected");
    }
}

/// A channel that is open.
struct Channel {
    kind: ChannelKind,
    /// Hashes a second that it is believed to do.
    rate: f32,
    /// What a share takes.
    target: Target,
}

/// One miner's connection to the rest of the role.
struct Session<'a> {
    role: &'a Downstreams,
    peer: SocketAddr,
    slot: u32,
    /// Newest only: a slow connection skips what is outdated. A stream stays in the list of those
    /// who wait, where a plain receiver would enter and leave it with every share.
    work: WatchStream<Option<Work>>,
    miner: Arc<Miner>,
    channels: BTreeMap<u32, Channel>,
    /// What the desk has no room for: at most what one read brings, and a hash rate.
    unsaid: VecDeque<FromMiner>,
}

impl Host<MiningServer> for Session<'_> {
    async fn next(&mut self) -> Option<ServerInput> {
        let work = if self.accepts() {
            self.work.next().await
        } else {
            // None goes first: new work waits for no share.
            tokio::select! {
                work = self.work.next() => work,
                () = said(&self.role.desk, &mut self.unsaid) => return Some(ServerInput::GoOn),
            }
        };
        work.flatten().map(ServerInput::Work)
    }

    fn accepts(&self) -> bool {
        self.unsaid.is_empty()
    }

    fn event(&mut self, event: ServerEvent) {
        let peer = self.peer;
        let metrics = &self.role.metrics;
        match event {
            ServerEvent::Opened {
                channel_id,
                user_identity,
                kind,
                target,
                ..
            } => {
                metrics.channels.inc();
                self.miner.opened(kind, &user_identity);
                let difficulty = target.difficulty();
                info!(%peer, channel = channel_id, user = user_identity, difficulty, "channel opened");
                let rate = target.hashes() * self.role.policy.shares_per_minute / 60.0;
                let rate = rate as f32;
                self.channels
                    .insert(channel_id, Channel { kind, rate, target });
                self.tell_hash_rate();
            }
            ServerEvent::OpenRefused(code) => info!(%peer, code, "channel refused"),
            ServerEvent::Closed { channel_id } => {
                metrics.channels.dec();
                info!(%peer, channel = channel_id, "channel closed");
                if let Some(channel) = self.channels.remove(&channel_id) {
                    self.miner.closed(channel.kind);
                }
                self.tell_hash_rate();
            }
            ServerEvent::Retargeted {
                channel_id,
                target,
                hashrate,
            } => self.retargeted(channel_id, target, hashrate),
            ServerEvent::Accepted {
                channel_id,
                job_id,
                share,
                ..
            } => {
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
                self.miner.reject();
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
                let seat = Seat {
                    channel_id,
                    job_id,
                    user_identity: &user_identity,
                    worker: worker.as_deref(),
                    target: self.channels.get(&channel_id).map(|open| open.target),
                };
                self.found(seat, solution);
            }
            ServerEvent::Limited(limit) => self.role.reached.count(limit.into()),
            ServerEvent::Ignored(what) => debug!(%peer, what, "message ignored"),
            // Custom jobs are not offered.
            other => debug!(%peer, ?other, "nothing that concerns us"),
        }
    }
}

impl Session<'_> {
    fn retargeted(&mut self, channel_id: u32, target: Target, hashrate: f64) {
        let difficulty = target.difficulty();
        debug!(peer = %self.peer, channel = channel_id, difficulty, hashrate, "target changed");
        if let Some(channel) = self.channels.get_mut(&channel_id) {
            channel.rate = hashrate as f32;
            channel.target = target;
        }
        self.tell_hash_rate();
    }

    fn found(&mut self, seat: Seat<'_>, solution: Solution) {
        let hash = BlockHash::from_byte_array(solution.hash);
        info!(
            peer = %self.peer, channel = seat.channel_id, job = seat.job_id,
            user = seat.user_identity, worker = seat.worker, %hash, height = solution.height,
            "block found"
        );
        self.miner.blocks.add(1);
        self.role.blocks.found(&self.miner, seat, &solution);
        self.tell(FromMiner::Input(Input::Block(solution)));
    }

    fn accepted(&mut self, share: &Accepted) {
        self.role.metrics.accepted.inc();
        self.miner.accept(share.hashes);
        // All our templates are jobs of the declarator, which has named them.
        let JobSource::Template { id: job, .. } = share.source else {
            return;
        };
        self.tell(FromMiner::Input(Input::Accepted {
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

    fn tell_hash_rate(&mut self) {
        let slot = self.slot;
        let rate = self.channels.values().map(|channel| channel.rate).sum();
        // One that the desk has not heard is out of date.
        let is_rate = |unsaid: &FromMiner| matches!(unsaid, FromMiner::HashRate { .. });
        self.unsaid.retain(|unsaid| !is_rate(unsaid));
        self.tell(FromMiner::HashRate { slot, rate });
    }

    /// When the desk takes no more, the miner waits, and nothing is lost.
    fn tell(&mut self, message: FromMiner) {
        if !self.unsaid.is_empty() {
            return self.unsaid.push_back(message);
        }
        // A desk that is gone is gone with the role.
        if let Err(TrySendError::Full(message)) = self.role.desk.try_send(message) {
            self.unsaid.push_back(message);
        }
    }

    /// Until the desk has taken everything.
    async fn said(&mut self) {
        said(&self.role.desk, &mut self.unsaid).await;
    }
}

/// Until the desk has taken everything: one by one, so that every miner has its turn. Cancel-safe.
async fn said(desk: &mpsc::Sender<FromMiner>, unsaid: &mut VecDeque<FromMiner>) {
    while !unsaid.is_empty() {
        let room = desk.reserve().await;
        let first = unsaid.pop_front();
        // A desk that is gone is gone with the role.
        if let (Ok(room), Some(first)) = (room, first) {
            room.send(first);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
