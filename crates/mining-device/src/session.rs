//! The connection to the pool: work in, shares out, dialled again for ever.

use std::sync::Arc;
use std::time::{Duration, Instant};

use daemon::dial::Upstream;
use daemon::drive::{Inputs, Joined, drive};
use daemon::http::Health;
use daemon::shutdown::Shutdown;
use protocol::client::{ChannelRequest, ClientEvent, ClientInput, FoundShare, MiningClient};
use protocol::target::Target;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::hasher::Hasher;
use crate::stats::Stats;

/// How often hashes and rates are brought up to date.
const SETTLE: Duration = Duration::from_secs(1);

/// One device, over all its connections.
pub(crate) struct Session {
    pub(crate) upstream: Upstream,
    pub(crate) requests: Vec<ChannelRequest>,
    pub(crate) until_blocks: Option<u64>,
    pub(crate) until_shares: Option<u64>,
    pub(crate) hasher: Arc<Hasher>,
    pub(crate) stats: watch::Sender<Stats>,
    pub(crate) health: watch::Sender<Health>,
    pub(crate) shutdown: Shutdown,
}

impl Session {
    /// Mines until the role stops, or enough blocks were accepted.
    pub(crate) async fn run(self, found: mpsc::Receiver<FoundShare>) {
        let stop = self.shutdown.stop().clone();
        let mut sessions = self.upstream.sessions(&stop);
        let mut inputs = DeviceInputs {
            found,
            stop: stop.clone(),
            left: false,
        };
        self.away("not connected yet");
        self.shutdown.spawn(settle(
            self.stats.clone(),
            Arc::clone(&self.hasher),
            stop.clone(),
        ));
        while let Some((mut connection, accepted)) = sessions.next().await {
            let mut client = MiningClient::new(self.requests.clone(), accepted.flags);
            let opening = match client.connected() {
                Ok(frames) => connection
                    .send(&frames)
                    .await
                    .map_err(|error| error.to_string()),
                Err(reason) => Err(reason.to_owned()),
            };
            if let Err(reason) = opening {
                warn!(upstream = %self.upstream.address, reason, "cannot open a channel");
                self.away(&reason);
                continue;
            }
            self.stats.send_modify(Stats::connected);
            // The first share of a connection comes at once, whatever the pace: only a share that
            // is accepted proves that the connection is good.
            self.hasher.release(1);
            self.away("no share accepted yet");
            let mut redirect = None;
            let mut block_target = Target::from_compact(0);
            let mut host = Joined {
                inputs: &mut inputs,
                on_event: |event| self.on_event(event, &mut block_target, &mut redirect),
            };
            // The role's own token would end the connection before the channel is closed.
            let hard_stop = CancellationToken::new();
            let ended = drive(connection, &mut client, &mut host, &hard_stop).await;
            self.hasher.rest_all();
            self.away(&ended.to_string());
            sessions.ended(&ended);
            if let Some((host, port)) = redirect {
                sessions.redirect(&host, port);
            }
        }
        let hashes = self.hasher.hashes();
        self.stats
            .send_modify(|stats| stats.settle(hashes, Instant::now()));
    }

    fn away(&self, reason: &str) {
        self.health.send_replace(Health::not_ready(reason));
    }

    fn on_event(
        &self,
        event: ClientEvent,
        block_target: &mut Target,
        redirect: &mut Option<(String, u16)>,
    ) {
        match event {
            ClientEvent::Opened { channel_id, target } => {
                info!(
                    channel = channel_id,
                    difficulty = target.difficulty(),
                    "channel open"
                );
            }
            ClientEvent::OpenRefused { code, .. } => {
                warn!(code, "the pool refuses the channel");
                self.away(&format!("the pool refuses the channel: {code}"));
            }
            ClientEvent::Mine(assignment) => {
                debug!(
                    channel = assignment.channel_id,
                    job = assignment.job_id,
                    "new job"
                );
                *block_target = Target::from_compact(assignment.n_bits);
                self.hasher.mine(assignment);
            }
            ClientEvent::Rest { channel_id } => {
                debug!(channel = channel_id, "nothing to mine");
                self.hasher.rest(channel_id);
            }
            ClientEvent::Submitted {
                share,
                sequence_number,
            } => {
                let is_block = Target::from_le_bytes(share.hash) <= *block_target;
                debug!(job = share.job_id, sequence_number, is_block, "share sent");
                self.stats
                    .send_modify(|stats| stats.submitted(sequence_number, is_block));
            }
            ClientEvent::Late(share) => {
                debug!(job = share.job_id, "share too late, its job has ended");
                self.stats.send_modify(|stats| stats.shares_late += 1);
            }
            ClientEvent::Accepted {
                count,
                last_sequence_number,
                ..
            } => self.accepted(count, last_sequence_number),
            ClientEvent::Rejected {
                sequence_number,
                code,
                ..
            } => {
                info!(sequence_number, code, "share rejected");
                self.stats
                    .send_modify(|stats| stats.rejected(sequence_number, code));
            }
            ClientEvent::Reconnect { host, port } => *redirect = Some((host, port)),
            ClientEvent::Ignored(what) => debug!(what, "message ignored"),
        }
    }

    fn accepted(&self, count: u32, last_sequence_number: u32) {
        let before = self.stats.borrow().blocks_accepted;
        self.stats
            .send_modify(|stats| stats.accepted(count, last_sequence_number));
        self.health.send_replace(Health::Ready);
        let (blocks, shares) = {
            let stats = self.stats.borrow();
            (stats.blocks_accepted, stats.shares_accepted)
        };
        debug!(count, last_sequence_number, "shares accepted");
        if blocks > before {
            info!(blocks, "block accepted by the pool");
        }
        let enough = |done: u64, wanted: Option<u64>| wanted.is_some_and(|wanted| done >= wanted);
        if enough(blocks, self.until_blocks) || enough(shares, self.until_shares) {
            info!(blocks, shares, "enough, stopping");
            self.shutdown.stop().cancel();
        }
    }
}

/// Shares to submit; and, when the role stops, the request to leave in order.
struct DeviceInputs {
    found: mpsc::Receiver<FoundShare>,
    stop: CancellationToken,
    left: bool,
}

impl Inputs for DeviceInputs {
    type Input = ClientInput;

    async fn next(&mut self) -> Option<ClientInput> {
        tokio::select! {
            biased;
            () = self.stop.cancelled(), if !self.left => {
                self.left = true;
                Some(ClientInput::Leave)
            }
            share = self.found.recv() => share.map(ClientInput::Share),
        }
    }
}

/// Keeps times and rates current for whoever looks.
async fn settle(stats: watch::Sender<Stats>, hasher: Arc<Hasher>, stop: CancellationToken) {
    let mut tick = tokio::time::interval(SETTLE);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {}
        }
        stats.send_modify(|stats| stats.settle(hasher.hashes(), Instant::now()));
    }
}
