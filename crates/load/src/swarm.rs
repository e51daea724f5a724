//! Many miners on one pool.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use daemon::drive::{Ended, Joined, drive};
use daemon::wire::{Connection, split};
use protocol::keys::AuthorityPublicKey;
use protocol::message;
use protocol::message::common::Protocol;
use protocol::setup::Request;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::miner::{Channel, Miner, MinerEvent, Pace};
use crate::pool::Pool;
use crate::stamped::{Stamp, Stamped};
use crate::tally::Tally;

/// Payload bytes a frame of the pool may announce.
const MAX_PAYLOAD: usize = 1 << 20;
/// How long a connection may take from TCP to its first work.
const PATIENCE: Duration = Duration::from_secs(30);

/// The miners.
pub(crate) struct Swarm {
    to: Endpoint,
    channel: Channel,
    miners: JoinSet<()>,
    pace: watch::Sender<Pace>,
    pub(crate) tally: Arc<Tally>,
    stop: CancellationToken,
}

#[derive(Debug, Clone, Copy)]
struct Endpoint {
    address: SocketAddr,
    authority: AuthorityPublicKey,
}

/// How long the steps of a connection took, all from the call that opens it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Steps {
    pub(crate) opened: Duration,
    pub(crate) work: Duration,
}

impl Swarm {
    pub(crate) fn new(pool: &Pool, channel: Channel) -> Self {
        Self {
            to: Endpoint {
                address: pool.address,
                authority: pool.authority,
            },
            channel,
            miners: JoinSet::new(),
            pace: watch::Sender::new(Pace::Silent),
            tally: Arc::default(),
            stop: CancellationToken::new(),
        }
    }

    /// Connects `count` more miners, so many at once, and waits until all have work.
    pub(crate) async fn grow(
        &mut self,
        count: usize,
        at_once: usize,
    ) -> anyhow::Result<Vec<Steps>> {
        let gate = Arc::new(Semaphore::new(at_once));
        let mut ready = Vec::with_capacity(count);
        for index in 0..count {
            let (sender, receiver) = oneshot::channel();
            ready.push(receiver);
            let (to, gate, stop) = (self.to, Arc::clone(&gate), self.stop.clone());
            let tally = Arc::clone(&self.tally);
            let mut pace = self.pace.subscribe();
            pace.mark_changed();
            let miner = Miner::new(self.channel, index as f64 / count as f64);
            self.miners.spawn(async move {
                let Ok(permit) = gate.acquire_owned().await else {
                    return;
                };
                let started = Instant::now();
                let (connection, stamp) = match connect(to).await {
                    Ok(connected) => connected,
                    Err(error) => {
                        let _ = sender.send(Err(error));
                        return;
                    }
                };
                let watcher = Watcher {
                    tally,
                    stamp,
                    started,
                    opened: Duration::ZERO,
                    first: Some((sender, permit)),
                };
                watcher.mine(connection, miner, pace, stop).await;
            });
        }
        let mut steps = Vec::with_capacity(count);
        for receiver in ready {
            let arrived = tokio::time::timeout(PATIENCE, receiver).await;
            let arrived = arrived.context("a miner got no work in time")?;
            steps.push(arrived.context("the pool closed a connection during set-up")??);
        }
        Ok(steps)
    }

    /// Tells every miner how to send shares from now on.
    pub(crate) fn set_pace(&self, pace: Pace) {
        self.pace.send_replace(pace);
    }

    /// Disconnects every miner.
    pub(crate) async fn leave(&mut self) {
        self.stop.cancel();
        while self.miners.join_next().await.is_some() {}
        self.stop = CancellationToken::new();
    }
}

type MinerConnection = Connection<Stamped, OwnedWriteHalf>;

/// Connects until the pool is up and has work: it may have been started just now.
pub(crate) async fn wait_until_ready(pool: &Pool) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut probe = Swarm::new(pool, Channel::Extended);
        match probe.grow(1, 1).await {
            Ok(_) => {
                probe.leave().await;
                return Ok(());
            }
            Err(error) if Instant::now() > deadline => {
                return Err(error.context("the pool does not become ready"));
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

async fn connect(to: Endpoint) -> anyhow::Result<(MinerConnection, Stamp)> {
    let stream = TcpStream::connect(to.address).await?;
    let (reader, writer) = split(stream)?;
    let (reader, stamp) = Stamped::new(reader)?;
    let mut connection = Connection::initiate(reader, writer, &to.authority, MAX_PAYLOAD).await?;
    let request = Request {
        protocol: Protocol::MiningProtocol,
        flags: 0,
        endpoint_host: to.address.ip().to_string(),
        endpoint_port: to.address.port(),
        role: "load",
        device_id: String::new(),
    };
    let mut frame = Vec::new();
    message::encode(request.message(), &mut frame);
    connection.send(&frame).await?;
    request.read_answer(connection.receive().await?)?;
    Ok((connection, stamp))
}

/// Writes down what one miner sees.
struct Watcher {
    tally: Arc<Tally>,
    stamp: Stamp,
    started: Instant,
    opened: Duration,
    /// Until the first work: whom to tell, and the right to be connecting.
    first: Option<(
        oneshot::Sender<anyhow::Result<Steps>>,
        tokio::sync::OwnedSemaphorePermit,
    )>,
}

impl Watcher {
    async fn mine(
        mut self,
        mut connection: MinerConnection,
        mut miner: Miner,
        pace: watch::Receiver<Pace>,
        stop: CancellationToken,
    ) {
        if connection.send(&miner.connected()).await.is_err() {
            return;
        }
        let mut host = Joined {
            inputs: pace,
            on_event: |event| self.on_event(event),
        };
        let ended = drive(connection, &mut miner, &mut host, &stop).await;
        if !matches!(ended, Ended::Stopping) {
            self.tally.lose();
        }
        if let Some((sender, _)) = self.first {
            let _ = sender.send(Err(anyhow!("{ended}")));
        }
    }

    fn on_event(&mut self, event: MinerEvent) {
        match event {
            MinerEvent::Opened => self.opened = self.started.elapsed(),
            MinerEvent::Tip => match self.first.take() {
                Some((sender, _permit)) => {
                    let steps = Steps {
                        opened: self.opened,
                        work: self.started.elapsed(),
                    };
                    // Nobody waits any longer when another connection has failed.
                    let _ = sender.send(Ok(steps));
                }
                None => self.tally.tip(self.stamp.nanoseconds()),
            },
            MinerEvent::Accepted(ages) => self.tally.accept(ages.into_iter()),
            MinerEvent::Rejected => self.tally.reject(),
        }
    }
}
