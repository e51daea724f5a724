//! The task that owns the [`Proxy`]: it hears what upstreams and miners say, and tells them what the
//! proxy wants done.

mod report;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use daemon::clock;
use daemon::http::Health;
use daemon::label::Upstream;
use daemon::line;
use protocol::client::{ClientEvent, ClientInput};
use protocol::core::Now;
use sv1::Extranonce;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::config::{Config, Server};
use crate::metrics::Metrics;
use crate::proxy::{Action, Input, Proxy};
use crate::show::Shown;
use crate::stats::Stats;
use crate::work::CurrentWork;

/// Messages of miners that are one step, as far as the clock and what is shown are concerned.
const MINERS_AT_ONCE: usize = 64;

/// Actions whose room is kept from one step to the next.
const MAX_KEPT: usize = 1024;

/// What is shown to people is at most this old.
const SHOW_EVERY: Duration = Duration::from_millis(100);

/// From a connection to an upstream.
#[derive(Debug)]
pub(crate) enum Message {
    /// It is there; this is how it is told something.
    Up(usize, mpsc::Sender<ClientInput>),
    /// What happened in one step.
    Events(usize, Vec<ClientEvent>),
    /// It is over, for this reason.
    Lost(usize, String),
}

/// From a miner's connection.
#[derive(Debug)]
pub(crate) enum FromMiner {
    /// It subscribes.
    Join {
        /// Its place among all.
        slot: u32,
        /// The extranonce1 it had before.
        resumed: Option<u32>,
        /// Where its seat goes.
        seat: oneshot::Sender<Seat>,
    },
    /// Anything else.
    Input(Input),
}

/// What a miner gets when it subscribes.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) extranonce1: Extranonce,
    /// What it is told from now on. Newest only: a slow miner skips what is outdated.
    pub(crate) feed: watch::Receiver<Told>,
}

/// What a miner is told.
#[derive(Debug, Clone)]
pub(crate) enum Told {
    /// To mine this.
    Work(CurrentWork),
    /// That it cannot be served.
    Close(String),
}

/// The ends of the desk's own channels.
pub(crate) struct Ends {
    pub(crate) health: watch::Sender<Health>,
    pub(crate) shown: watch::Sender<Arc<Shown>>,
    pub(crate) stats: Arc<Stats>,
    pub(crate) metrics: Metrics,
}

fn label(server: &Server) -> Upstream {
    let upstream = server.upstream.address.to_string();
    Upstream { upstream }
}

/// Waits until a line takes more shares.
async fn room(full: Option<&mpsc::Sender<ClientInput>>) {
    if let Some(line) = full {
        line::room(line).await;
    }
}

/// The task's state.
pub(crate) struct Desk {
    proxy: Proxy,
    servers: Vec<Server>,
    /// What they are called in logs and metrics.
    labels: Vec<Upstream>,
    /// How an upstream is told something, while it is connected.
    lines: Vec<Option<mpsc::Sender<ClientInput>>>,
    /// To all miners, if they share a channel.
    shared: Option<watch::Sender<Told>>,
    /// To those that have one of their own.
    feeds: BTreeMap<u32, watch::Sender<Told>>,
    /// Of the miner that is being seated.
    seat: Option<oneshot::Sender<Seat>>,
    /// When the proxy was stepped last.
    stepped: Instant,
    /// What it wants done; empty between two steps.
    actions: Vec<Action>,
    ends: Ends,
    shown_at: Option<Instant>,
    /// When to show what is new, if anything is.
    show_at: Option<Instant>,
}

impl Desk {
    pub(crate) fn new(config: &Config, ends: Ends) -> Self {
        let terms = config.upstreams.iter().map(|server| server.terms.clone());
        let is_aggregated = config.is_aggregated;
        // By chance: a proxy that is started again has forgotten which shares were credited.
        let first = rand::random();
        Self {
            proxy: Proxy::new(is_aggregated, &config.policy, terms.collect(), first),
            labels: config.upstreams.iter().map(label).collect(),
            servers: config.upstreams.clone(),
            lines: config.upstreams.iter().map(|_| None).collect(),
            shared: is_aggregated.then(|| watch::Sender::new(Told::Work(None))),
            feeds: BTreeMap::new(),
            seat: None,
            stepped: Instant::now(),
            actions: Vec::new(),
            ends,
            shown_at: None,
            show_at: None,
        }
    }

    /// Until the role stops.
    pub(crate) async fn run(
        mut self,
        mut messages: mpsc::Receiver<Message>,
        mut miners: mpsc::Receiver<FromMiner>,
        stop: CancellationToken,
    ) {
        let mut heard = Vec::with_capacity(MINERS_AT_ONCE);
        loop {
            let due = self.deadline();
            // Miners wait while an upstream is slower than they are.
            let full = self.full_line();
            tokio::select! {
                () = stop.cancelled() => return,
                Some(message) = messages.recv() => self.hear(message),
                1.. = miners.recv_many(&mut heard, MINERS_AT_ONCE), if full.is_none() => {
                    let now = self.now();
                    for message in heard.drain(..) {
                        self.hear_miner(now, message);
                    }
                    self.show(now.instant);
                }
                () = room(full), if full.is_some() => {}
                () = clock::until(due) => self.wake(),
            }
        }
    }

    /// One that takes no more shares.
    fn full_line(&self) -> Option<&mpsc::Sender<ClientInput>> {
        let mut lines = self.lines.iter().flatten();
        lines.find(|line| !line::has_room(line))
    }

    fn deadline(&self) -> Option<Instant> {
        let proxy = self.proxy.deadline(self.stepped);
        proxy.into_iter().chain(self.show_at).min()
    }

    fn now(&mut self) -> Now {
        let now = clock::now();
        self.stepped = now.instant;
        now
    }

    fn wake(&mut self) {
        let now = self.now();
        self.proxy.wake(now, &mut self.actions);
        self.act();
        self.show(now.instant);
    }

    fn hear(&mut self, message: Message) {
        let input = match message {
            Message::Up(upstream, line) => {
                self.lines[upstream] = Some(line);
                Input::Up(upstream)
            }
            Message::Events(upstream, events) => Input::Events(upstream, events),
            Message::Lost(upstream, reason) => {
                self.lines[upstream] = None;
                Input::Lost { upstream, reason }
            }
        };
        let now = self.now();
        self.step(now, input);
        self.show(now.instant);
    }

    fn hear_miner(&mut self, now: Now, message: FromMiner) {
        match message {
            FromMiner::Join {
                slot,
                resumed,
                seat,
            } => {
                self.seat = Some(seat);
                self.step(now, Input::Joined { slot, resumed });
            }
            FromMiner::Input(input) => {
                if let Input::Left(slot) = &input {
                    self.feeds.remove(slot);
                }
                self.step(now, input);
            }
        }
    }

    fn step(&mut self, now: Now, input: Input) {
        self.proxy.step(now, input, &mut self.actions);
        self.act();
    }

    fn act(&mut self) {
        let mut actions = std::mem::take(&mut self.actions);
        for action in actions.drain(..) {
            match action {
                Action::Tell(upstream, input) => self.tell(upstream, input),
                Action::Seat(slot, extranonce1) => self.seat(slot, extranonce1),
                Action::Give(slot, work) => self.give(slot, Told::Work(work)),
                Action::Close(slot, reason) => self.give(Some(slot), Told::Close(reason)),
                Action::Fate(slot, fate) => self.ends.stats.fate(slot, &fate),
                Action::Report(report) => self.report(report),
            }
        }
        // Their room is used again, unless it was an upstream's whole farm.
        if actions.capacity() <= MAX_KEPT {
            self.actions = actions;
        }
    }

    /// Ends the session whose line is full by dropping it: it must not miss what it was told.
    fn tell(&mut self, upstream: usize, input: ClientInput) {
        let line = &mut self.lines[upstream];
        let Some(open) = line else { return };
        if let Err(full) = open.try_send(input) {
            error!(reason = %full, "an upstream does not keep up, its connection is made anew");
            *line = None;
        }
    }

    fn seat(&mut self, slot: u32, extranonce1: Extranonce) {
        let feed = match &self.shared {
            Some(shared) => shared.subscribe(),
            None => {
                let (feed, feed_seen) = watch::channel(Told::Work(None));
                self.feeds.insert(slot, feed);
                feed_seen
            }
        };
        if let Some(seat) = self.seat.take() {
            // It may have left already.
            let _ = seat.send(Seat { extranonce1, feed });
        }
    }

    fn give(&self, slot: Option<u32>, told: Told) {
        let feed = match slot {
            None => self.shared.as_ref(),
            Some(slot) => self.feeds.get(&slot),
        };
        if let Some(feed) = feed {
            feed.send_replace(told);
        }
    }

    /// Publishes readiness at once, and what people may look at now and then.
    fn show(&mut self, now: Instant) {
        let health = match self.proxy.active() {
            Some(_) => Health::Ready,
            None => Health::not_ready("no upstream gives work"),
        };
        health.publish(&self.ends.health);
        let next = self.shown_at.map_or(now, |at| at + SHOW_EVERY);
        if next > now {
            self.show_at = Some(next);
            return;
        }
        (self.shown_at, self.show_at) = (Some(now), None);
        let metrics = &self.ends.metrics;
        metrics.channels.set(self.proxy.channels() as i64);
        metrics.hash_rate.set(self.proxy.hash_rate());
        let shown = Shown::of(&self.proxy, &self.servers, now);
        self.ends.shown.send_replace(Arc::new(shown));
    }
}
