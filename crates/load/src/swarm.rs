//! Many miners on one program.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::miner::{MinerEvent, Pace};
use crate::stamped::Stamp;
use crate::tally::Tally;

/// How long a connection may take from TCP to its first work.
const PATIENCE: Duration = Duration::from_secs(60);

/// How one miner connects and mines.
pub(crate) trait Player: Copy + Send + 'static {
    /// Does so until it is told to stop. Errors end the connection, and the measurement if they come
    /// before the first work.
    fn play(
        self,
        place: Place,
        orders: Orders,
        watcher: &mut Watcher,
    ) -> impl Future<Output = anyhow::Result<()>> + Send;
}

/// Which of many a miner is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    /// From 0.
    pub(crate) index: usize,
    /// Where in a period its shares fall: 0 to 1, different for each miner.
    pub(crate) phase: f64,
}

/// What all miners are told.
#[derive(Debug)]
pub(crate) struct Orders {
    pub(crate) pace: watch::Receiver<Pace>,
    pub(crate) stop: CancellationToken,
}

/// The miners.
pub(crate) struct Swarm<P> {
    player: P,
    miners: JoinSet<()>,
    pace: watch::Sender<Pace>,
    pub(crate) tally: Arc<Tally>,
    stop: CancellationToken,
}

/// How long the steps of a connection took, all from the call that opens it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Steps {
    pub(crate) opened: Duration,
    pub(crate) work: Duration,
}

impl<P: Player> Swarm<P> {
    pub(crate) fn new(player: P) -> Self {
        Self {
            player,
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
            let (player, gate, stop) = (self.player, Arc::clone(&gate), self.stop.clone());
            let tally = Arc::clone(&self.tally);
            let mut pace = self.pace.subscribe();
            pace.mark_changed();
            self.miners.spawn(async move {
                let Ok(permit) = gate.acquire_owned().await else {
                    return;
                };
                let mut watcher = Watcher {
                    tally,
                    started: Instant::now(),
                    opened: Duration::ZERO,
                    first: Some((sender, permit)),
                };
                let phase = index as f64 / count as f64;
                let place = Place { index, phase };
                let orders = Orders { pace, stop };
                if let Err(error) = player.play(place, orders, &mut watcher).await {
                    watcher.fail(error);
                }
            });
        }
        let mut steps = Vec::with_capacity(count);
        for receiver in ready {
            let arrived = tokio::time::timeout(PATIENCE, receiver).await;
            let arrived = arrived.context("a miner got no work in time")?;
            steps.push(arrived.context("a connection was closed during set-up")??);
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

/// Connects until the program is up and has work: it may have been started just now.
pub(crate) async fn wait_until_ready(player: impl Player) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut probe = Swarm::new(player);
        match probe.grow(1, 1).await {
            Ok(_) => {
                probe.leave().await;
                return Ok(());
            }
            Err(error) if Instant::now() > deadline => {
                return Err(error.context("it does not become ready"));
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

/// Writes down what one miner sees.
pub(crate) struct Watcher {
    tally: Arc<Tally>,
    started: Instant,
    opened: Duration,
    /// Until the first work: whom to tell, and the right to be connecting.
    first: Option<(oneshot::Sender<anyhow::Result<Steps>>, OwnedSemaphorePermit)>,
}

impl Watcher {
    /// Something happened, brought by bytes that arrived at `stamp`.
    pub(crate) fn on_event(&mut self, event: MinerEvent, stamp: &Stamp) {
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
                None => self.tally.tip(stamp.nanoseconds()),
            },
            MinerEvent::Accepted(ages) => self.tally.accept(ages.into_iter()),
            MinerEvent::Rejected(reason) => self.tally.reject(reason),
        }
    }

    fn fail(&mut self, error: anyhow::Error) {
        match self.first.take() {
            Some((sender, _permit)) => {
                let _ = sender.send(Err(error));
            }
            None => self.tally.lose(),
        }
    }
}
