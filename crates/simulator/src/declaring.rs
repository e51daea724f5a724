//! Job declaration in one thread: a job declarator client with its miners, and the pools and job
//! declarator servers that it works for.
//!
//! [`run`] plays one simulation. A seed decides who is slow, what is cut, who crashes and when, what
//! the pools' nodes know of the miners' transactions and how late they hear of a block. The miners
//! stand next to their client; nothing is ever lost between them. When the script is over,
//! everybody is left in peace for longer than any upstream ever rests, and must have found back.
//!
//! Cores and coordination are the programs': `protocol`, [`jdc::declarator`], [`jds::core`]. What is
//! modelled is their edge.

mod devices;
mod farm;
mod upstream;
mod witness;

use std::collections::BTreeMap;
use std::time::Duration;

use bitcoin::consensus::deserialize;
use bitcoin::hashes::Hash;
use bitcoin::{Block, Txid};
use protocol::client::FoundShare;
use protocol::core::{Core, Now, Outbox};
use protocol::message::TemplateDistributionOwned;
use protocol::message::template::RequestTransactionDataSuccessOwned;
use protocol::message::{self, AnyMessage, Received, TemplateDistribution};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::clock::{Agenda, Clock};
use crate::frames;
use crate::miner::Miner;
use crate::network::{End, Fate, LinkId, Network, Quality};
use crate::provider::{Act, Provider};
use farm::Farm;
use upstream::{Answer, Tip, Upstream};
use witness::Witness;

pub use witness::{Counts, Fault, Property};

/// What came out of one seed.
pub type Report = crate::Report<Counts, Property>;

/// Longer than any upstream rests (300 s), and than it takes to find back then.
const PEACE: Duration = Duration::from_secs(360);
/// How long the miners may be left with a job of an upstream that is known to be lost (SV2 6.2).
const FALLBACK: Duration = Duration::from_secs(2);
/// How long a server that crashed is gone at most.
const RESTART: Duration = Duration::from_secs(6);
/// How much later than the miners' node a pool's hears of a block, at most.
const BEHIND: Duration = Duration::from_millis(1_500);

/// Plays one simulation.
pub fn run(seed: u64) -> Report {
    World::new(seed, None).play()
}

/// Plays one simulation and writes down all that happens.
pub fn replay(seed: u64) -> Report {
    let mut world = World::new(seed, None);
    world.witness.trace = Some(Vec::new());
    world.play()
}

/// Plays one simulation in which something is broken on purpose.
pub fn run_broken(seed: u64, fault: Fault) -> Report {
    World::new(seed, Some(fault)).play()
}

/// Somebody who is dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Peer {
    /// The farm's template provider.
    Provider,
    /// The pool of an upstream.
    Pool(usize),
    /// The job declarator server of an upstream.
    Jds(usize),
    /// The farm, by a miner.
    Farm(usize),
}

/// Something that happens.
#[derive(Debug)]
enum Step {
    /// A frame arrives.
    Arrive {
        link: LinkId,
        to: End,
        frame: Vec<u8>,
    },
    /// An end learns that its connection is gone.
    Gone { link: LinkId, to: End },
    /// The network breaks.
    Cut { link: LinkId },
    /// Somebody is dialled.
    Dial(Peer),
    /// The provider plays the next line of its script.
    Play,
    /// An upstream's node hears of a block.
    Hear { upstream: usize, tip: Tip },
    /// An upstream's node has looked at something.
    Answer { link: LinkId, answer: Answer },
    /// The farm's node tells fees.
    Fees {
        session: u64,
        template_id: u64,
        txids: Vec<Txid>,
    },
    /// The farm's node is given a block of chosen transactions.
    Submit { hash: [u8; 32], block: Vec<u8> },
    /// A server is killed.
    Crash(Peer),
    /// It is started again.
    Restart(Peer),
    /// The declarator's deadline.
    WakeDesk,
    /// An end's deadline.
    Wake { link: LinkId, end: End },
    /// A miner's connection looks at the newest work.
    Look { link: LinkId },
    /// A device finds a share.
    Find { miner: usize, search: u64 },
    /// The share gets from the hasher to the connection.
    HandIn {
        miner: usize,
        share: Box<FoundShare>,
    },
    /// By now no miner works for the one that was lost then.
    Check { lost: usize, at: Duration },
    /// The script is over: nothing more is found, cut or killed.
    Calm,
}

/// A core on its end of a connection.
#[derive(Debug)]
struct Line<C> {
    link: LinkId,
    core: C,
    wake: Option<Duration>,
}

/// What a step of a core brought.
struct Stepped<E> {
    frames: Vec<Vec<u8>>,
    events: Vec<E>,
    close: Option<String>,
    /// A new deadline.
    wake: Option<Duration>,
}

impl<C: Core> Line<C> {
    fn new(link: LinkId, core: C) -> Self {
        Self {
            link,
            core,
            wake: None,
        }
    }

    fn step(
        &mut self,
        clock: &Clock,
        step: impl FnOnce(&mut C, Now, &mut Outbox<C::Event>),
    ) -> Stepped<C::Event> {
        let mut out = Outbox::default();
        step(&mut self.core, clock.now(), &mut out);
        let wake = self.core.deadline().map(|due| clock.when(due));
        let is_new = wake.is_some() && wake != self.wake;
        self.wake = wake;
        Stepped {
            frames: frames::split(out.frames()),
            events: out.take_events().collect(),
            close: out.take_close(),
            wake: wake.filter(|_| is_new),
        }
    }
}

/// Wakes a core if it is due.
fn wake<C: Core>(core: &mut C, now: Now, out: &mut Outbox<C::Event>) {
    if core.deadline().is_some_and(|due| due <= now.instant) {
        core.wake(now, out);
    }
}

/// Everything.
#[derive(Debug)]
struct World {
    seed: u64,
    fault: Option<Fault>,
    rng: StdRng,
    clock: Clock,
    agenda: Agenda<Step>,
    network: Network,
    /// Whom a connection leads to.
    peers: BTreeMap<LinkId, Peer>,
    provider: Provider,
    /// The provider's connection, as it knows it.
    provider_link: Option<LinkId>,
    upstreams: Vec<Upstream>,
    farm: Farm,
    miners: Vec<Miner>,
    searches: u64,
    is_calm: bool,
    witness: Witness,
}

impl World {
    fn new(seed: u64, fault: Option<Fault>) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let clock = Clock::new();
        let quality = Quality {
            max_latency: Duration::from_millis([1, 40, 150, 400][rng.gen_range(0..4)]),
            repeated: [0, 10_000, 50_000][rng.gen_range(0..3)],
            cutting: [0, 1_000, 5_000][rng.gen_range(0..3)],
        };
        // Blocks by every sixteenth hash, now and then, or never.
        let n_bits = [0x200f_ffff, 0x2000_ffff, 0x1d00_ffff][rng.gen_range(0..3)];
        let provider = Provider::new(&mut rng, n_bits, clock.now());
        let miners = (0..rng.gen_range(1..=3)).map(|number| Miner::new(&mut rng, number));
        let miners: Vec<Miner> = miners.collect();
        let tip = Tip::of(&provider);
        let upstreams: Vec<_> = (0..rng.gen_range(1..=2))
            .map(|number| Upstream::new(number, tip))
            .collect();
        let mut world = Self {
            seed,
            fault,
            farm: Farm::new(&mut rng, upstreams.len(), clock.now()),
            rng,
            clock,
            agenda: Agenda::new(),
            network: Network::new(quality),
            peers: BTreeMap::new(),
            provider,
            provider_link: None,
            upstreams,
            miners,
            searches: 0,
            is_calm: false,
            witness: Witness::default(),
        };
        world.begin();
        world
    }

    fn begin(&mut self) {
        let end = self
            .rng
            .gen_range(Duration::from_secs(10)..Duration::from_secs(30));
        self.agenda.plan(Duration::ZERO, Step::WakeDesk);
        self.agenda.plan(Duration::ZERO, Step::Play);
        self.agenda.plan(end, Step::Calm);
        for upstream in 0..self.upstreams.len() {
            for peer in [Peer::Pool(upstream), Peer::Jds(upstream)] {
                self.plan_within(Duration::from_millis(500), Step::Dial(peer));
                if self.rng.gen_bool(0.4) {
                    self.plan_within(end, Step::Crash(peer));
                }
            }
            // Both at once, so that nobody is left to work for, or nobody knows the blocks.
            if self.rng.gen_bool(0.2) {
                let at = self.rng.gen_range(Duration::ZERO..end);
                self.agenda.plan(at, Step::Crash(Peer::Pool(upstream)));
                self.agenda.plan(at, Step::Crash(Peer::Jds(upstream)));
            }
        }
        for miner in 0..self.miners.len() {
            self.plan_within(Duration::from_secs(3), Step::Dial(Peer::Farm(miner)));
        }
    }

    fn play(mut self) -> Report {
        let mut end = None;
        while let Some((at, step)) = self.agenda.next() {
            if end.is_some_and(|end| at > end) {
                break;
            }
            self.clock.advance(at);
            self.witness.now = at;
            if matches!(step, Step::Calm) {
                end = Some(at + PEACE);
            }
            self.step(step);
        }
        self.judge();
        Report {
            seed: self.seed,
            test: "replay_of_one_declaring_seed",
            counts: self.witness.counts,
            violations: self.witness.violations,
            trace: self.witness.trace.unwrap_or_default(),
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Arrive { link, to, frame } => self.arrive(link, to, frame),
            Step::Gone { link, to } => self.gone(link, to),
            Step::Cut { link } if !self.is_calm => self.cut(link),
            Step::Dial(peer) => self.dial(peer),
            Step::Play if !self.is_calm => self.play_script(),
            Step::Hear { upstream, tip } => self.hear(upstream, tip),
            Step::Answer { link, answer } => self.answer(link, answer),
            Step::Fees {
                session,
                template_id,
                txids,
            } => self.tell_fees(session, template_id, &txids),
            Step::Submit { hash, block } => self.submit(hash, &block),
            Step::Crash(peer) if !self.is_calm => self.crash(peer),
            Step::Restart(peer) => self.restart(peer),
            Step::WakeDesk => self.wake_desk(),
            Step::Wake { link, end } => self.wake(link, end),
            Step::Look { link } => self.look_at_work(link),
            Step::Find { miner, search } if !self.is_calm => self.find(miner, search),
            Step::HandIn { miner, share } => self.hand_in(miner, *share),
            Step::Check { lost, at } => self.check_fallback(lost, at),
            Step::Calm => {
                self.is_calm = true;
                self.network.calm();
            }
            Step::Cut { .. } | Step::Play | Step::Crash(_) | Step::Find { .. } => {}
        }
    }

    fn arrive(&mut self, link: LinkId, to: End, frame: Vec<u8>) {
        if !self.network.reaches(link, to) {
            return;
        }
        self.witness.saw(link, to, &frame);
        let mut frame = frame;
        match (self.peers.get(&link).copied(), to) {
            (Some(Peer::Provider), End::Client) => self.farm_hears_provider(frame),
            (Some(Peer::Provider), End::Server) => self.provider_received(link, &frame),
            (Some(Peer::Pool(upstream)), End::Client) => {
                self.step_pool_client(upstream, link, |core, now, out| {
                    core.received(now, frames::borrow(&mut frame), out);
                });
            }
            (Some(Peer::Pool(upstream)), End::Server) => {
                self.step_pool(upstream, link, |core, now, out| {
                    core.received(now, frames::borrow(&mut frame), out);
                });
            }
            (Some(Peer::Jds(upstream)), End::Client) => {
                self.step_jds_client(upstream, link, |core, now, out| {
                    core.received(now, frames::borrow(&mut frame), out);
                });
            }
            (Some(Peer::Jds(upstream)), End::Server) => {
                self.step_jds(upstream, link, |core, now, out| {
                    core.received(now, frames::borrow(&mut frame), out);
                });
            }
            (Some(Peer::Farm(miner)), End::Client) => {
                self.step_device(miner, |core, now, out| {
                    core.received(now, frames::borrow(&mut frame), out);
                });
            }
            (Some(Peer::Farm(_)), End::Server) => self.step_server(link, |core, now, out| {
                core.received(now, frames::borrow(&mut frame), out);
            }),
            (None, _) => {}
        }
    }

    fn wake(&mut self, link: LinkId, end: End) {
        match (self.peers.get(&link).copied(), end) {
            (Some(Peer::Pool(upstream)), End::Client) => {
                self.step_pool_client(upstream, link, wake);
            }
            (Some(Peer::Pool(upstream)), End::Server) => self.step_pool(upstream, link, wake),
            (Some(Peer::Jds(upstream)), End::Client) => {
                self.step_jds_client(upstream, link, wake);
            }
            (Some(Peer::Jds(upstream)), End::Server) => self.step_jds(upstream, link, wake),
            (Some(Peer::Farm(_)), End::Server) => self.step_server(link, wake),
            _ => {}
        }
    }

    /// An end takes note that its connection is over. It may have done so before.
    fn gone(&mut self, link: LinkId, to: End) {
        self.network.close(link, to);
        match (self.peers.get(&link).copied(), to) {
            (Some(Peer::Provider), End::Client) => self.farm_loses_provider(link),
            (Some(Peer::Provider), End::Server) => {
                self.provider_link.take_if(|known| *known == link);
            }
            (Some(Peer::Pool(upstream)), End::Client) => self.farm_loses_pool(upstream, link),
            (Some(Peer::Pool(upstream)), End::Server) => {
                self.upstreams[upstream].pool.sessions.remove(&link);
            }
            (Some(Peer::Jds(upstream)), End::Client) => self.farm_loses_jds(upstream, link),
            (Some(Peer::Jds(upstream)), End::Server) => {
                self.upstreams[upstream].jds.sessions.remove(&link);
            }
            (Some(Peer::Farm(_)), _) => {
                let what = format!("{link} of a miner is gone");
                self.witness.breach(Property::MinersStay, what);
            }
            (None, _) => {}
        }
    }

    fn send(&mut self, link: LinkId, to: End, frame: Vec<u8>) {
        let now = self.clock.elapsed();
        match self.network.send(&mut self.rng, now, link, to) {
            Fate::Arrives(at) => self.agenda.plan(at, Step::Arrive { link, to, frame }),
            Fate::Cuts => self.cut(link),
            Fate::Lost => {}
        }
    }

    /// Passes on what a core's step brought, but its events.
    fn carry<E>(&mut self, link: LinkId, end: End, stepped: Stepped<E>) -> Vec<E> {
        for frame in stepped.frames {
            self.send(link, end.other(), frame);
        }
        if let Some(at) = stepped.wake {
            self.agenda.plan(at, Step::Wake { link, end });
        }
        if let Some(reason) = stepped.close {
            self.witness.note(|| format!("{link}: closed: {reason}"));
            let now = self.clock.elapsed();
            self.agenda.plan(now, Step::Gone { link, to: end });
            let to = end.other();
            match self.network.send(&mut self.rng, now, link, to) {
                Fate::Arrives(at) => self.agenda.plan(at, Step::Gone { link, to }),
                Fate::Cuts => self.cut(link),
                Fate::Lost => {}
            }
        }
        stepped.events
    }

    fn cut(&mut self, link: LinkId) {
        if !self.network.cut(link) {
            return;
        }
        self.witness.note(|| format!("{link} is cut"));
        self.witness.counts.cuts += 1;
        for to in [End::Client, End::Server] {
            self.plan_within(Duration::from_millis(800), Step::Gone { link, to });
        }
    }

    /// Plans a step for a moment not farther away than that.
    fn plan_within(&mut self, time: Duration, step: Step) {
        let at = self.clock.elapsed() + self.rng.gen_range(Duration::ZERO..=time);
        self.agenda.plan(at, step);
    }

    /// Something happens at the provider, whether or not anybody listens.
    fn play_script(&mut self) {
        let act = match self.rng.gen_range(0..100) {
            0..60 => Act::Fees,
            60..70 => Act::Future,
            _ => Act::Tip,
        };
        let now = self.clock.now();
        let before = self.provider.prev_hash();
        let frames = self.provider.act(act, &mut self.rng, now);
        self.provider_sends(&frames);
        self.spread(before);
        let pause = if self.rng.gen_bool(0.2) { 20 } else { 3_000 };
        self.plan_within(Duration::from_millis(pause), Step::Play);
    }

    /// The pools' nodes hear of a new tip, each in its own time.
    fn spread(&mut self, before: [u8; 32]) {
        if self.provider.prev_hash() == before {
            return;
        }
        let tip = Tip::of(&self.provider);
        for upstream in 0..self.upstreams.len() {
            self.plan_within(BEHIND, Step::Hear { upstream, tip });
        }
    }

    fn provider_received(&mut self, link: LinkId, frame: &[u8]) {
        let mut bytes = frame.to_vec();
        let received = message::decode(frames::borrow(&mut bytes));
        let Ok(Received::Message(AnyMessage::TemplateDistribution(message))) = received else {
            let what = format!("the provider is sent {received:?}");
            return self.witness.breach(Property::NothingUnexpected, what);
        };
        let is_heard = self.provider_link == Some(link);
        let before = self.provider.prev_hash();
        let frames = match message {
            TemplateDistribution::CoinbaseOutputConstraints(_) if !is_heard => {
                self.provider_link = Some(link);
                self.provider.welcome()
            }
            TemplateDistribution::RequestTransactionData(request) if is_heard => {
                let id = request.template_id;
                let Some(list) = self.provider.transactions(id) else {
                    let what = format!("transactions of template {id}, which was not sent");
                    return self.witness.breach(Property::NothingUnexpected, what);
                };
                let list = list.iter().map(|one| one.clone().try_into());
                let list: Result<Vec<_>, _> = list.collect();
                let answer = RequestTransactionDataSuccessOwned {
                    template_id: id,
                    excess_data: Vec::new().try_into().expect("nothing fits"),
                    transaction_list: list
                        .expect("transactions are short")
                        .try_into()
                        .expect("they are few"),
                };
                let mut frames = Vec::new();
                let answer = TemplateDistributionOwned::RequestTransactionDataSuccess(answer);
                message::encode(answer, &mut frames);
                frames
            }
            TemplateDistribution::SubmitSolution(solution) if is_heard => {
                match self.provider.judge(&solution) {
                    Ok(hash) => {
                        self.witness.submitted(hash);
                        if !self.provider.is_current(solution.template_id) {
                            return;
                        }
                        self.witness.counts.chained += 1;
                        let now = self.clock.now();
                        self.provider.found(hash, &mut self.rng, now)
                    }
                    Err(bad) => {
                        let what = format!("a solution is none: {}", bad.0);
                        return self.witness.breach(Property::BlocksAreGood, what);
                    }
                }
            }
            // More room is asked for, or it comes from a connection that was replaced.
            _ => return,
        };
        self.provider_sends(&frames);
        self.spread(before);
    }

    /// A block that the provider knows nothing of, until its node has it.
    fn submit(&mut self, hash: [u8; 32], bytes: &[u8]) {
        self.witness.counts.chosen += 1;
        self.witness.submitted(hash);
        let block = deserialize::<Block>(bytes);
        let is_good = |block: &Block| {
            let own = block.block_hash().to_byte_array();
            own == hash && block.check_merkle_root() && block.check_witness_commitment()
        };
        let Some(block) = block.ok().filter(is_good) else {
            let what = "the node is given what is no block".to_owned();
            return self.witness.breach(Property::BlocksAreGood, what);
        };
        let before = self.provider.prev_hash();
        if block.header.prev_blockhash.to_byte_array() == before {
            let now = self.clock.now();
            let frames = self.provider.found(hash, &mut self.rng, now);
            self.provider_sends(&frames);
            self.spread(before);
        }
    }

    fn provider_sends(&mut self, bytes: &[u8]) {
        if let Some(link) = self.provider_link {
            for frame in frames::split(bytes) {
                self.send(link, End::Client, frame);
            }
        }
    }
}
