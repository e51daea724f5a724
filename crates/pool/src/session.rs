//! One miner's connection to the rest of the pool: what happens on it is logged, counted, told to
//! whoever listens, and done.

use std::net::SocketAddr;

use bitcoin::BlockHash;
use bitcoin::hashes::Hash;
use daemon::drive::Host;
use ledger::Found;
use protocol::provider::ProviderInput;
use protocol::server::{MiningServer, ServerEvent, ServerInput, Worker};
use protocol::target::HASHES_PER_DIFFICULTY;
use protocol::work::Work;
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::WatchStream;
use tracing::{debug, error, info};

use crate::downstream::Downstreams;
use crate::event::PoolEvent;
use crate::recording::Recording;
use crate::stats::{Connection, Opening, Terms, kind_name};
use crate::tokens::Shown;

/// One miner's connection to the rest of the pool.
pub(crate) struct Session<'a> {
    pub(crate) pool: &'a Downstreams,
    pub(crate) peer: SocketAddr,
    pub(crate) stats: Connection,
    pub(crate) recording: Recording,
    /// Newest only: a slow connection skips what is outdated. A stream stays in the list of those
    /// who wait, where a plain receiver would enter and leave it with every share.
    pub(crate) work: WatchStream<Option<Work>>,
    /// Where the fate of tokens shown on this connection is told.
    pub(crate) answer: mpsc::Sender<ServerInput>,
    pub(crate) answers: mpsc::Receiver<ServerInput>,
    /// Answers that are to come. Who was asked nothing is not listened to with every share.
    pub(crate) awaited: usize,
}

impl Host<MiningServer> for Session<'_> {
    async fn next(&mut self) -> Option<ServerInput> {
        tokio::select! {
            answer = self.answers.recv(), if self.awaited > 0 => {
                self.awaited -= 1;
                answer
            }
            number = self.recording.recorded() => Some(ServerInput::Recorded(number)),
            work = self.work.next() => work.flatten().map(ServerInput::Work),
        }
    }

    fn event(&mut self, event: ServerEvent) {
        if let Some(found) = self.recording.take(&event) {
            return self.on_block(found, event);
        }
        match event {
            ServerEvent::Opened { .. }
            | ServerEvent::OpenRefused(_)
            | ServerEvent::Closed { .. } => self.on_channel(event),
            ServerEvent::Updated { .. } | ServerEvent::Retargeted { .. } => self.on_terms(&event),
            ServerEvent::JobCreated { .. }
            | ServerEvent::CustomJobSet { .. }
            | ServerEvent::CustomJobRefused { .. } => self.on_job(&event),
            ServerEvent::TokenShown { id, expires } => self.show(id, expires),
            ServerEvent::Accepted { .. } | ServerEvent::Rejected { .. } => self.on_share(&event),
            // The recording's.
            ServerEvent::Block { .. }
            | ServerEvent::CustomBlock { .. }
            | ServerEvent::RecordAwaited(_) => {}
            ServerEvent::Limited(limit) => self.pool.reached.count(limit.into()),
            ServerEvent::Ignored(what) => debug!(peer = %self.peer, what, "message ignored"),
        }
    }

    fn stepped(&mut self) {
        self.recording.stepped();
    }

    fn accepts(&self) -> bool {
        !self.recording.is_full()
    }
}

impl Session<'_> {
    /// The connection is over. What is left to do is to finish its recording.
    pub(crate) fn end(self) -> Recording {
        self.recording
    }

    fn on_channel(&mut self, event: ServerEvent) {
        let (peer, client_id) = (self.peer, self.stats.client_id());
        match event {
            ServerEvent::Opened {
                channel_id,
                group_id,
                user_identity,
                payout,
                kind,
                extranonce_prefix,
                hashrate,
                target,
                max_target,
            } => {
                let (user, channel_type) = (&user_identity, kind_name(kind));
                info!(
                    %peer, channel = channel_id, user, kind = channel_type, ?payout,
                    difficulty = target.difficulty(), "channel opened"
                );
                self.pool.feed.tell(|| PoolEvent::ChannelOpened {
                    client_id,
                    channel_id,
                    group_channel_id: group_id,
                    user_identity: user.clone(),
                    channel_type,
                    difficulty: target.difficulty(),
                });
                let opening = Opening {
                    channel_id,
                    group_id,
                    user_identity,
                    payout,
                    kind,
                    extranonce_prefix: extranonce_prefix.as_bytes().to_vec(),
                };
                self.stats
                    .opened(opening, Terms::declared(hashrate, target, max_target));
            }
            ServerEvent::OpenRefused(code) => info!(%peer, code, "channel refused"),
            ServerEvent::Closed { channel_id } => {
                info!(%peer, channel = channel_id, "channel closed");
                self.stats.closed(channel_id);
                self.pool.feed.tell(|| PoolEvent::ChannelClosed {
                    client_id,
                    channel_id,
                });
            }
            _ => {}
        }
    }

    fn on_terms(&self, event: &ServerEvent) {
        let (peer, client_id) = (self.peer, self.stats.client_id());
        match *event {
            ServerEvent::Updated {
                channel_id,
                hashrate,
                target,
                max_target,
            } => {
                let declared = Terms::declared(hashrate, target, max_target);
                self.stats.updated(channel_id, declared);
            }
            ServerEvent::Retargeted {
                channel_id,
                target,
                hashrate,
            } => {
                let difficulty = target.difficulty();
                debug!(%peer, channel = channel_id, difficulty, hashrate, "target changed");
                self.stats.retargeted(channel_id, hashrate, target);
                self.pool.metrics.targets_changed.inc();
                self.pool.feed.tell(|| PoolEvent::ChannelRetargeted {
                    client_id,
                    channel_id,
                    difficulty,
                    hashrate,
                });
            }
            _ => {}
        }
    }

    fn on_job(&self, event: &ServerEvent) {
        let (peer, client_id) = (self.peer, self.stats.client_id());
        match *event {
            ServerEvent::JobCreated {
                channel_id,
                job_id,
                template_id,
                is_future,
            } => self.pool.feed.tell(|| PoolEvent::JobCreated {
                client_id,
                channel_id,
                job_id,
                template_id: Some(template_id),
                is_future,
            }),
            ServerEvent::CustomJobSet {
                channel_id,
                job_id,
                prev_hash,
                height,
            } => {
                debug!(
                    %peer, channel = channel_id, job = job_id, height,
                    prev_hash = %BlockHash::from_byte_array(prev_hash), "custom job set"
                );
                self.pool.feed.tell(|| PoolEvent::JobCreated {
                    client_id,
                    channel_id,
                    job_id,
                    template_id: None,
                    is_future: false,
                });
            }
            ServerEvent::CustomJobRefused { channel_id, code } => {
                info!(%peer, channel = channel_id, code, "custom job refused");
            }
            _ => {}
        }
    }

    fn on_share(&mut self, event: &ServerEvent) {
        let (peer, client_id) = (self.peer, self.stats.client_id());
        match *event {
            ServerEvent::Accepted {
                channel_id,
                job_id,
                sequence_number,
                ref share,
                ref worker,
                ..
            } => {
                let hash = BlockHash::from_byte_array(share.hash);
                let worker = worker.as_ref();
                debug!(
                    %peer, channel = channel_id, job = job_id, worker = name(worker), %hash,
                    "share accepted"
                );
                let number = (channel_id, sequence_number);
                let worth = (share.hash, share.hashes);
                self.stats.accepted(number, worth, worker);
                self.pool.feed.tell(|| PoolEvent::ShareAccepted {
                    client_id,
                    channel_id,
                    job_id,
                    hash: hash.to_string(),
                    difficulty: share.hashes / HASHES_PER_DIFFICULTY,
                    worker: name(worker).map(str::to_owned),
                });
            }
            ServerEvent::Rejected {
                channel_id,
                job_id,
                code,
                ref worker,
            } => {
                let worker = worker.as_ref();
                debug!(
                    %peer, channel = channel_id, job = job_id, worker = name(worker), code,
                    "share rejected"
                );
                self.stats.rejected(channel_id, code, worker);
                self.pool.feed.tell(|| PoolEvent::ShareRejected {
                    client_id,
                    channel_id,
                    job_id,
                    error_code: code,
                    worker: name(worker).map(str::to_owned),
                });
            }
            _ => {}
        }
    }

    fn on_block(&self, found: Found, event: ServerEvent) {
        let (client_id, channel_id) = (self.stats.client_id(), found.source.channel_id);
        info!(
            hash = %found.hash, height = found.height, template = found.template_id(),
            token = found.token(), user = found.source.user, channel = channel_id,
            job = found.job_id, "block found"
        );
        self.stats.found_block(channel_id);
        self.pool.feed.tell(|| PoolEvent::BlockFound {
            client_id,
            channel_id,
            job_id: found.job_id,
            hash: found.hash.to_string(),
            height: found.height,
            template_id: found.template_id(),
            user_identity: found.source.user.clone(),
        });
        // A custom job's client submits its block itself.
        if let ServerEvent::Block { solution, .. } = event
            && let Err(full) = self.pool.solutions.try_send(ProviderInput::Solve(solution))
        {
            error!(hash = %found.hash, reason = %full, "block not handed to the template provider");
        }
        if let Err(full) = self.pool.found.try_send(found) {
            error!(reason = %full, "nobody will ask the node about this block");
        }
    }

    fn show(&mut self, id: [u8; 16], expires: u64) {
        self.awaited += 1;
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

fn name(worker: Option<&Worker>) -> Option<&str> {
    worker.map(|worker| &*worker.name)
}
