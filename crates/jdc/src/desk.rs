//! The task that owns the [`Declarator`]: it hears what all connections say, and tells them what the
//! declarator wants done.
//!
//! Miners wait while a line to another server is half full, and nothing they were told is good is
//! dropped. That cannot deadlock, since nobody who is waited for waits in turn:
//!
//! - a miner's connection waits for the desk to take what it found, and goes on taking new work;
//! - the desk waits for lines with miners' words only. It takes messages of other servers meanwhile,
//!   and never waits to hand anything on: work is a watch channel, and half of each line is kept for
//!   what is no miner's;
//! - a connection to another server waits, before it takes from its line, for the desk to take its
//!   messages, which the desk always does. It does not wait for the server, but ends when that does
//!   not read.
//!
//! Messages and miners' words have queues of their own, and each has its turn: a template or a tip is
//! never behind shares.

mod report;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bitcoin::Network;
use daemon::clock;
use daemon::http::Health;
use daemon::line;
use protocol::core::Now;
use protocol::custom_work::CustomWorkInput;
use protocol::declaration::client::DeclarationInput;
use protocol::provider::ProviderInput;
use protocol::work::Work;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::config::{Config, Pair};
use crate::declarator::{Action, Declarator, Input, Mode};
use crate::links::LinksSeen;
use crate::metrics::Metrics;
use crate::miner::Miner;
use crate::node::Request;
use crate::show::{self, Shown};

/// What is shown to people is at most this old when something happens.
const SHOW_EVERY: Duration = Duration::from_millis(100);
/// And at most this old when nothing does: connections come and go, and miners' shares are counted,
/// without a word to the desk.
const SHOW_AGAIN: Duration = Duration::from_millis(500);

/// From a connection to another server.
#[derive(Debug)]
pub(crate) enum Message {
    /// For the declarator.
    Input(Input),
    /// The template provider is connected, or is not.
    ProviderUp(bool),
    /// An upstream's pool is connected; this is how it is told something.
    PoolUp(usize, mpsc::Sender<CustomWorkInput>),
    /// An upstream's job declarator server is connected.
    JdsUp(usize, mpsc::Sender<DeclarationInput>),
}

/// From a miner's connection.
#[derive(Debug)]
pub(crate) enum FromMiner {
    /// It is there.
    Came {
        /// The connection's place among all.
        slot: u32,
        /// What its task tells of it.
        miner: Arc<Miner>,
    },
    /// It is gone.
    Left {
        /// The connection's place among all.
        slot: u32,
    },
    /// For the declarator.
    Input(Input),
    /// What all channels of a connection do together, in hashes a second.
    HashRate {
        /// The connection's place among all.
        slot: u32,
        /// As far as it is believed.
        rate: f32,
    },
}

/// The ends of the desk's own channels.
pub(crate) struct Ends {
    pub(crate) work: watch::Sender<Option<Work>>,
    pub(crate) requests: mpsc::Sender<ProviderInput>,
    /// To the miner's own node, if it has a say.
    pub(crate) node: mpsc::Sender<Request>,
    pub(crate) hash_rate: watch::Sender<f32>,
    pub(crate) health: watch::Sender<Health>,
    pub(crate) shown: watch::Sender<Arc<Shown>>,
    pub(crate) metrics: Metrics,
}

/// How an upstream's two servers are told something, while they are connected.
#[derive(Debug, Default)]
struct Lines {
    pool: Option<mpsc::Sender<CustomWorkInput>>,
    jds: Option<mpsc::Sender<DeclarationInput>>,
}

/// The task's state.
pub(crate) struct Desk {
    declarator: Declarator,
    mode: Mode,
    upstreams: Vec<Pair>,
    lines: Vec<Lines>,
    provider_up: bool,
    links: LinksSeen,
    /// By their connections' places, with the hash rate each is believed to have.
    miners: BTreeMap<u32, (Arc<Miner>, f32)>,
    network: Network,
    /// When the declarator was stepped last.
    stepped: Instant,
    ends: Ends,
    /// When people were shown something.
    shown_at: Option<Instant>,
    /// When they are to be shown what is new, if anything is.
    show_at: Option<Instant>,
}

impl Desk {
    pub(crate) fn new(config: &Config, links: LinksSeen, ends: Ends) -> Self {
        let count = config.upstreams.len();
        let now = clock::now();
        Self {
            declarator: Declarator::new(
                config.mode,
                config.kit.clone(),
                config.selection.clone(),
                count,
                now,
            ),
            mode: config.mode,
            upstreams: config.upstreams.clone(),
            lines: (0..count).map(|_| Lines::default()).collect(),
            provider_up: false,
            links,
            miners: BTreeMap::new(),
            network: config.network,
            stepped: now.instant,
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
        self.wake();
        loop {
            let due = self.deadline();
            let has_room = self.has_room();
            tokio::select! {
                () = stop.cancelled() => return,
                Some(message) = messages.recv() => self.hear(message),
                Some(message) = miners.recv(), if has_room => self.hear_miner(message),
                () = self.room(), if !has_room => {}
                () = clock::until(due) => self.wake(),
            }
        }
    }

    /// Whether everybody can be told of what a miner finds.
    fn has_room(&self) -> bool {
        let has_room = |lines: &Lines| {
            lines.pool.as_ref().is_none_or(line::has_room)
                && lines.jds.as_ref().is_none_or(line::has_room)
        };
        self.lines.iter().all(has_room)
            && (!self.provider_up || line::has_room(&self.ends.requests))
            && line::has_room(&self.ends.node)
    }

    /// Waits until they can, as far as can be told in advance. Cancel-safe.
    async fn room(&self) {
        for Lines { pool, jds } in &self.lines {
            if let Some(pool) = pool {
                line::room(pool).await;
            }
            if let Some(jds) = jds {
                line::room(jds).await;
            }
        }
        if self.provider_up {
            line::room(&self.ends.requests).await;
        }
        line::room(&self.ends.node).await;
    }

    fn deadline(&self) -> Option<Instant> {
        let declarator = self.declarator.deadline(self.stepped);
        declarator.into_iter().chain(self.show_at).min()
    }

    fn now(&mut self) -> Now {
        let now = clock::now();
        self.stepped = now.instant;
        now
    }

    fn wake(&mut self) {
        let mut actions = Vec::new();
        let now = self.now();
        self.declarator.wake(now, &mut actions);
        self.act(actions);
    }

    fn hear(&mut self, message: Message) {
        match message {
            Message::ProviderUp(up) => self.provider_up = up,
            Message::PoolUp(upstream, line) => self.lines[upstream].pool = Some(line),
            Message::JdsUp(upstream, line) => self.lines[upstream].jds = Some(line),
            Message::Input(input) => {
                match &input {
                    Input::PoolLost { upstream, .. } => self.lines[*upstream].pool = None,
                    Input::JdsLost { upstream, .. } => self.lines[*upstream].jds = None,
                    _ => {}
                }
                return self.step(input);
            }
        }
        self.act(Vec::new());
    }

    fn hear_miner(&mut self, message: FromMiner) {
        match message {
            FromMiner::Input(input) => self.step(input),
            FromMiner::Came { slot, miner } => {
                self.miners.insert(slot, (miner, 0.0));
                self.show();
            }
            FromMiner::Left { slot } => {
                self.miners.remove(&slot);
                self.tell_hash_rate();
            }
            FromMiner::HashRate { slot, rate } => {
                if let Some((_, believed)) = self.miners.get_mut(&slot) {
                    *believed = rate;
                }
                self.tell_hash_rate();
            }
        }
    }

    fn tell_hash_rate(&mut self) {
        let total = self.miners.values().map(|(_, rate)| rate).sum();
        self.ends.hash_rate.send_replace(total);
        self.step(Input::HashRate(total));
    }

    fn step(&mut self, input: Input) {
        let mut actions = Vec::new();
        let now = self.now();
        self.declarator.step(now, input, &mut actions);
        self.act(actions);
    }

    fn act(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Publish(work) => {
                    self.ends.work.send_replace(Some(work));
                }
                Action::Provider(input) => self.tell_provider(input),
                Action::Fees {
                    session,
                    template_id,
                    txids,
                } => self.ask_node(Request::Fees {
                    session,
                    template_id,
                    txids,
                }),
                Action::Pin(txids) => self.ask_node(Request::Pin(txids)),
                Action::Submit { hash, block } => self.ask_node(Request::Submit { hash, block }),
                Action::Pool(upstream, input) => tell(&mut self.lines[upstream].pool, input),
                Action::Jds(upstream, input) => tell(&mut self.lines[upstream].jds, input),
                Action::Report(report) => self.report(report),
            }
        }
        self.show();
    }

    fn tell_provider(&self, input: ProviderInput) {
        // Nobody waits for a provider that is away: a block is on a template that it will have
        // forgotten when it is back. What is asked of it then keeps its place.
        if matches!(input, ProviderInput::Solve(_)) && !line::has_room(&self.ends.requests) {
            return error!("block not submitted to the provider, which is away");
        }
        if let Err(full) = self.ends.requests.try_send(input) {
            error!(reason = %full, "the template provider was not told something");
        }
    }

    fn ask_node(&self, request: Request) {
        if let Err(full) = self.ends.node.try_send(request) {
            error!(reason = %full, "the node was not told something");
        }
    }

    /// Publishes readiness at once, and what people may look at now and then.
    fn show(&mut self) {
        let health = self.health();
        health.publish(&self.ends.health);
        let now = Instant::now();
        let next = self.shown_at.map_or(now, |at| at + SHOW_EVERY);
        if next > now {
            self.show_at = Some(next);
            return;
        }
        (self.shown_at, self.show_at) = (Some(now), Some(now + SHOW_AGAIN));
        self.measure_selection();
        let shown = Shown::of(&show::Facts {
            declarator: &self.declarator,
            upstreams: &self.upstreams,
            links: &self.links,
            miners: &self.miners,
            network: self.network,
            now: clock::now(),
            now_ms: clock::unix_ms(),
        });
        self.ends.metrics.show(&shown);
        self.ends.shown.send_replace(Arc::new(shown));
    }

    /// Ready: pool, job declarator server and template provider connected, a template held.
    fn health(&self) -> Health {
        if !self.provider_up {
            return Health::not_ready("no template provider");
        }
        if self.declarator.published().is_none() {
            return Health::not_ready("no template yet");
        }
        if self.mode != Mode::Solo && self.declarator.active().is_none() {
            return Health::not_ready("solo work: no upstream can be worked for");
        }
        Health::Ready
    }
}

/// Ends the session whose line is full by dropping it: it must not miss what it was told.
fn tell<T>(line: &mut Option<mpsc::Sender<T>>, input: T) {
    let Some(open) = line else { return };
    if let Err(full) = open.try_send(input) {
        error!(reason = %full, "a connection does not keep up, it is made anew");
        *line = None;
    }
}

#[cfg(test)]
mod tests;
