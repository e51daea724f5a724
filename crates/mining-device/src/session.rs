//! The connection to a Stratum V2 pool: work in, shares out, dialled again for ever.

use std::sync::Arc;

use daemon::dial::{Link, Upstream};
use daemon::drive::{Inputs, Joined, drive};
use protocol::client::{ChannelRequest, ClientEvent, ClientInput, FoundShare, MiningClient};
use protocol::target::Target;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::board::{Board, Standing};
use crate::hasher::Hasher;
use crate::stats::Stats;

/// One device, over all its connections.
pub(crate) struct Session {
    pub(crate) upstream: Upstream,
    pub(crate) requests: Vec<ChannelRequest>,
    pub(crate) hasher: Arc<Hasher>,
    pub(crate) link: watch::Sender<Link>,
    pub(crate) board: Arc<Board>,
}

impl Session {
    /// Mines until the role stops.
    pub(crate) async fn run(self, found: mpsc::Receiver<FoundShare>) {
        let stop = self.board.stop.clone();
        let sessions = self.upstream.sessions(&stop);
        let mut sessions = sessions.shown_by(self.link.clone());
        let mut inputs = DeviceInputs {
            found,
            stop: stop.clone(),
            left: false,
        };
        let mut standing = self.board.standing();
        standing.away("not connected yet");
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
                standing.away(&reason);
                continue;
            }
            self.board.stats.send_modify(Stats::connected);
            // The first share of a connection comes at once, whatever the pace: only a share that
            // is accepted proves that the connection is good.
            self.hasher.release(1);
            standing.away("no share accepted yet");
            let mut redirect = None;
            let mut block_target = Target::from_compact(0);
            let mut host = Joined {
                inputs: &mut inputs,
                on_event: |event| {
                    self.on_event(event, &mut standing, &mut block_target, &mut redirect);
                },
            };
            // The role's own token would end the connection before the channel is closed.
            let hard_stop = CancellationToken::new();
            let ended = drive(connection, &mut client, &mut host, &hard_stop).await;
            self.hasher.rest_all();
            standing.away(&ended.to_string());
            sessions.ended(&ended);
            if let Some((host, port)) = redirect {
                sessions.redirect(&host, port);
            }
        }
    }

    fn on_event(
        &self,
        event: ClientEvent,
        standing: &mut Standing<'_>,
        block_target: &mut Target,
        redirect: &mut Option<(String, u16)>,
    ) {
        match event {
            ClientEvent::Opened {
                channel_id, target, ..
            } => {
                info!(
                    channel = channel_id,
                    difficulty = target.difficulty(),
                    "channel open"
                );
            }
            ClientEvent::OpenRefused { code, .. } => {
                warn!(code, "the pool refuses the channel");
                standing.away(&format!("the pool refuses the channel: {code}"));
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
            ClientEvent::Closed { channel_id, reason } => {
                info!(channel = channel_id, reason, "the pool closed the channel");
                self.hasher.rest(channel_id);
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
                self.board
                    .stats
                    .send_modify(|stats| stats.submitted(sequence_number, is_block));
            }
            ClientEvent::Late(share) => {
                debug!(job = share.job_id, "share too late, its job has ended");
                self.board.stats.send_modify(|stats| stats.shares_late += 1);
            }
            ClientEvent::Accepted {
                count,
                last_sequence_number,
                ..
            } => {
                debug!(count, last_sequence_number, "shares accepted");
                standing.good();
                self.board
                    .accepted(|stats| stats.accepted(count, last_sequence_number));
            }
            ClientEvent::Rejected {
                sequence_number,
                code,
                ..
            } => {
                info!(sequence_number, code, "share rejected");
                self.board
                    .stats
                    .send_modify(|stats| stats.rejected(sequence_number, code));
            }
            ClientEvent::Reconnect { host, port } => *redirect = Some((host, port)),
            ClientEvent::Ignored(what) => debug!(what, "message ignored"),
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
