//! One task per miner connection: it owns the connection's channels and judges their shares.

use std::net::SocketAddr;
use std::sync::Arc;

use bitcoin::BlockHash;
use bitcoin::hashes::Hash;
use daemon::accept::{Peer, Reached};
use daemon::clock;
use daemon::drive::{Host, drive};
use daemon::wire::TcpConnection;
use protocol::provider::ProviderInput;
use protocol::server::{ChannelKind, MAX_PENDING_CUSTOM_JOBS, MiningServer, Policy};
use protocol::server::{ServerEvent, ServerInput, Solution, Worker};
use protocol::work::Work;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info};

use crate::blocks::Found;
use crate::extranonce;
use crate::metrics::{Metrics, Rejection};
use crate::tokens::Shown;

/// What every miner connection shares.
pub(crate) struct Downstreams {
    pub(crate) policy: Arc<Policy>,
    pub(crate) server_id: u8,
    pub(crate) work: watch::Receiver<Option<Work>>,
    pub(crate) solutions: mpsc::Sender<ProviderInput>,
    pub(crate) found: mpsc::Sender<Found>,
    pub(crate) tokens: mpsc::Sender<Shown>,
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
        self.metrics.clients.inc();
        let space = extranonce::space(self.server_id, slot.number());
        let mut core = MiningServer::new(Arc::clone(&self.policy), client.flags, space, work);
        core.connected(clock::now());
        // As many answers as jobs may wait for one: it is never full.
        let (answer, answers) = mpsc::channel(MAX_PENDING_CUSTOM_JOBS);
        let mut host = Session {
            pool: &self,
            peer: address,
            work: seen,
            answer,
            answers,
        };
        let ended = drive(connection, &mut core, &mut host, &self.stop).await;
        for _ in 0..core.channels() {
            self.metrics.channels.dec();
        }
        self.metrics.clients.dec();
        info!(peer = %address, reason = %ended, "miner disconnected");
    }

    fn on_event(&self, peer: SocketAddr, event: ServerEvent) {
        match event {
            ServerEvent::Opened {
                channel_id,
                user_identity,
                payout,
                kind,
                target,
                ..
            } => {
                self.metrics.channels.inc();
                info!(
                    %peer, channel = channel_id, user = user_identity, kind = kind_name(kind), ?payout,
                    difficulty = target.difficulty(), "channel opened"
                );
            }
            ServerEvent::OpenRefused(code) => info!(%peer, code, "channel refused"),
            ServerEvent::Closed { channel_id } => {
                self.metrics.channels.dec();
                info!(%peer, channel = channel_id, "channel closed");
            }
            ServerEvent::Retargeted {
                channel_id,
                target,
                hashrate,
            } => {
                self.metrics.retargets.inc();
                let difficulty = target.difficulty();
                debug!(%peer, channel = channel_id, difficulty, hashrate, "target changed");
            }
            ServerEvent::Accepted {
                channel_id,
                job_id,
                share,
                worker,
                ..
            } => {
                self.metrics.accepted.inc();
                debug!(
                    %peer, channel = channel_id, job = job_id, worker = name(worker.as_ref()),
                    hash = %BlockHash::from_byte_array(share.hash), "share accepted"
                );
            }
            ServerEvent::Rejected {
                channel_id,
                job_id,
                code,
                worker,
            } => {
                let reason = Rejection { reason: code };
                self.metrics.rejected.get_or_create(&reason).inc();
                debug!(
                    %peer, channel = channel_id, job = job_id, worker = name(worker.as_ref()),
                    code, "share rejected"
                );
            }
            ServerEvent::Block {
                channel_id,
                job_id,
                user_identity,
                solution,
                ..
            } => {
                let found = Found {
                    hash: BlockHash::from_byte_array(solution.hash),
                    height: solution.height,
                    template_id: Some(solution.template_id),
                    user: user_identity,
                    peer,
                    channel_id,
                    job_id,
                };
                self.block(found, Some(solution));
            }
            ServerEvent::Limited(limit) => self.reached.count(limit.into()),
            ServerEvent::Ignored(what) => debug!(%peer, what, "message ignored"),
            other => self.on_custom(peer, other),
        }
    }

    /// What happens to work that a client selects itself.
    fn on_custom(&self, peer: SocketAddr, event: ServerEvent) {
        match event {
            ServerEvent::CustomJobSet {
                channel_id,
                job_id,
                prev_hash,
                height,
            } => debug!(
                %peer, channel = channel_id, job = job_id, height,
                prev_hash = %BlockHash::from_byte_array(prev_hash), "custom job set"
            ),
            ServerEvent::CustomJobRefused { channel_id, code } => {
                info!(%peer, channel = channel_id, code, "custom job refused");
            }
            ServerEvent::CustomBlock {
                channel_id,
                job_id,
                user_identity,
                block,
                ..
            } => {
                let found = Found {
                    hash: BlockHash::from_byte_array(block.hash),
                    height: block.height,
                    template_id: None,
                    user: user_identity,
                    peer,
                    channel_id,
                    job_id,
                };
                self.block(found, None);
            }
            _ => {}
        }
    }

    /// `solution` is for our template provider; a custom job's client submits its block itself.
    fn block(&self, found: Found, solution: Option<Solution>) {
        info!(
            hash = %found.hash, height = found.height, template = found.template_id,
            user = found.user, channel = found.channel_id, job = found.job_id, "block found"
        );
        if let Some(solution) = solution
            && let Err(full) = self.solutions.try_send(ProviderInput::Solve(solution))
        {
            error!(hash = %found.hash, reason = %full, "block not handed to the template provider");
        }
        if let Err(full) = self.found.try_send(found) {
            error!(reason = %full, "nobody will ask the node about this block");
        }
    }
}

fn kind_name(kind: ChannelKind) -> &'static str {
    match kind {
        ChannelKind::Standard => "standard",
        ChannelKind::Extended { .. } => "extended",
    }
}

fn name(worker: Option<&Worker>) -> Option<&str> {
    worker.map(|worker| &*worker.name)
}

/// One miner's connection to the rest of the pool.
struct Session<'a> {
    pool: &'a Downstreams,
    peer: SocketAddr,
    /// Newest only: a slow connection skips what is outdated.
    work: watch::Receiver<Option<Work>>,
    /// Where the fate of tokens shown on this connection is told.
    answer: mpsc::Sender<ServerInput>,
    answers: mpsc::Receiver<ServerInput>,
}

impl Session<'_> {
    fn show(&self, id: [u8; 16], expires: u64) {
        let answer = self.answer.clone();
        let shown = Shown {
            id,
            expires,
            answer,
        };
        if let Err(full) = self.pool.tokens.try_send(shown) {
            error!(peer = %self.peer, reason = %full, "job token refused: nobody can say whether it was used");
            let is_first = false;
            let _ = self
                .answer
                .try_send(ServerInput::TokenSpent { id, is_first });
        }
    }
}

impl Host<MiningServer> for Session<'_> {
    async fn next(&mut self) -> Option<ServerInput> {
        tokio::select! {
            answer = self.answers.recv() => answer,
            changed = self.work.changed() => {
                changed.ok()?;
                self.work.borrow_and_update().clone().map(ServerInput::Work)
            }
        }
    }

    fn event(&mut self, event: ServerEvent) {
        match event {
            ServerEvent::TokenShown { id, expires } => self.show(id, expires),
            event => self.pool.on_event(self.peer, event),
        }
    }
}
