//! One task per miner: it owns the connection and judges its shares.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bitcoin::BlockHash;
use bitcoin::hashes::Hash;
use daemon::accept::{Limit, Reached};
use daemon::clock;
use daemon::label::Reason;
use daemon::stream::{Connection, Guest, StreamHost, drive};
use protocol::target::Target;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::WatchStream;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use crate::desk::{FromMiner, Seat, Told};
use crate::metrics::Metrics;
use crate::miner::{Accepted, Miner, MinerEvent, MinerInput};
use crate::policy::Policy;
use crate::proxy::Input;
use crate::stats::{self, Client, Stats};

/// What every miner's connection shares.
pub(crate) struct Downstreams {
    pub(crate) policy: Arc<Policy>,
    pub(crate) desk: mpsc::Sender<FromMiner>,
    pub(crate) stats: Arc<Stats>,
    pub(crate) metrics: Metrics,
    pub(crate) reached: Reached,
    pub(crate) stop: CancellationToken,
}

impl Downstreams {
    /// Serves one miner until it leaves, whatever becomes of the upstreams meanwhile.
    pub(crate) async fn serve(self: Arc<Self>, connection: Connection, guest: Guest) {
        let Guest {
            address: peer,
            slot: place,
        } = guest;
        let slot = place.number();
        debug!(%peer, "miner connected");
        let mut miner = Miner::new(Arc::clone(&self.policy));
        let mut host = Session {
            role: &self,
            peer,
            slot,
            client: self.stats.connect(slot, peer),
            seat: None,
            feed: None,
            unsaid: VecDeque::new(),
        };
        let ended = drive(connection, &mut miner, &mut host, &self.stop).await;
        self.stats.disconnect(slot);
        // The desk may be gone only when the role stops. Only then is the place free again.
        let _ = self.desk.send(FromMiner::Input(Input::Left(slot))).await;
        info!(%peer, reason = %ended, "miner disconnected");
        drop(place);
    }
}

/// One miner's connection to the rest of the role.
struct Session<'a> {
    role: &'a Downstreams,
    peer: SocketAddr,
    slot: u32,
    client: Arc<Client>,
    /// While it subscribes.
    seat: Option<oneshot::Receiver<Seat>>,
    /// Once it has.
    feed: Option<WatchStream<Told>>,
    /// What the desk has no room for: at most what one read brings.
    unsaid: VecDeque<FromMiner>,
}

impl StreamHost<Miner> for Session<'_> {
    async fn next(&mut self) -> Option<MinerInput> {
        if !self.unsaid.is_empty() {
            while !self.unsaid.is_empty() {
                let room = self.role.desk.reserve().await.ok()?;
                if let Some(first) = self.unsaid.pop_front() {
                    room.send(first);
                }
            }
            return Some(MinerInput::GoOn);
        }
        if let Some(waiting) = &mut self.seat {
            let Seat { extranonce1, feed } = waiting.await.ok()?;
            // What is there already is the first it is told.
            (self.seat, self.feed) = (None, Some(WatchStream::new(feed)));
            let _ = self.client.extranonce1.set(extranonce1.to_string());
            return Some(MinerInput::Seated(extranonce1));
        }
        let Some(feed) = &mut self.feed else {
            return std::future::pending().await;
        };
        Some(match feed.next().await? {
            Told::Work(work) => {
                let channel = work.as_ref().map(|work| work.origin.channel_id);
                self.client.channel_id.set(channel);
                MinerInput::Work(work)
            }
            Told::Close(reason) => MinerInput::Close(reason),
        })
    }

    fn event(&mut self, event: MinerEvent) {
        let (peer, slot) = (self.peer, self.slot);
        match event {
            MinerEvent::Subscribe(resumed) => {
                let (seat, waiting) = oneshot::channel();
                self.seat = Some(waiting);
                self.say(FromMiner::Join {
                    slot,
                    resumed,
                    seat,
                });
            }
            MinerEvent::Agent(agent) => {
                let _ = self.client.agent.set(agent);
            }
            MinerEvent::Authorized(worker) => {
                let agent = self.client.agent.get();
                info!(%peer, worker = &*worker, agent = agent.map(|agent| &**agent), "miner authorized");
                let _ = self.client.worker.set(Arc::clone(&worker));
                self.tell(Input::Authorized { slot, worker });
            }
            MinerEvent::VersionRolling {
                mask,
                min_bit_count,
            } => self.client.set_version_rolling(mask, min_bit_count),
            MinerEvent::Difficulty(difficulty) => {
                debug!(%peer, difficulty, "difficulty changed");
                self.client.difficulty.set(difficulty);
            }
            MinerEvent::HashRate(rate) => {
                self.client.hash_rate.set(rate);
                self.tell(Input::HashRate { slot, rate });
            }
            MinerEvent::Accepted(accepted) => self.accepted(accepted),
            MinerEvent::Rejected(rejection) => {
                let reason = stats::reason(&rejection);
                debug!(%peer, %rejection, "share rejected");
                self.client.rejected(&rejection);
                let rejected = &self.role.metrics.rejected;
                rejected.get_or_create(&Reason::from(reason)).inc();
            }
            MinerEvent::Unreadable(what) => {
                debug!(%peer, what, "a line that means nothing");
                self.role.metrics.unreadable.inc();
            }
            MinerEvent::LineTooLong => self.role.reached.count(Limit::FrameSize),
        }
    }

    fn accepts(&self) -> bool {
        self.unsaid.is_empty()
    }
}

impl Session<'_> {
    fn accepted(&mut self, accepted: Box<Accepted>) {
        let client = &self.client;
        let hash = BlockHash::from_byte_array(accepted.share.hash);
        debug!(peer = %self.peer, job = accepted.work.id, %hash, "share accepted");
        self.role.metrics.accepted.inc();
        client.accepted.fetch_add(1, Ordering::Relaxed);
        client.work.add(accepted.hashes);
        client.measured.add(clock::unix_ms(), accepted.hashes);
        let difficulty = Target::from_le_bytes(accepted.share.hash).difficulty();
        client
            .best_difficulty
            .set(difficulty.max(client.best_difficulty.get()));
        if accepted.is_block {
            info!(peer = %self.peer, worker = accepted.share.worker.as_deref(), %hash, "block found");
            client.blocks.fetch_add(1, Ordering::Relaxed);
        }
        if accepted.is_wanted {
            self.tell(Input::Share {
                slot: self.slot,
                accepted,
            });
        }
    }

    fn tell(&mut self, input: Input) {
        self.say(FromMiner::Input(input));
    }

    /// When the desk takes no more, the miner waits, and nothing is lost.
    fn say(&mut self, message: FromMiner) {
        if !self.unsaid.is_empty() {
            return self.unsaid.push_back(message);
        }
        // A desk that is gone is gone with the role.
        if let Err(TrySendError::Full(message)) = self.role.desk.try_send(message) {
            self.unsaid.push_back(message);
        }
    }
}

#[cfg(test)]
mod tests;
