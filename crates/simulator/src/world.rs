//! One simulation: everything in it, and what happens to it step by step.

mod mining;
mod pool;
mod providing;
mod recording;
mod serving;

use std::collections::BTreeMap;
use std::time::Duration;

use protocol::client::FoundShare;
use protocol::server::{Acknowledge, Policy};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::clock::{Agenda, Clock};
use crate::fault::Fault;
use crate::miner::Miner;
use crate::network::{End, Fate, LinkId, Network, Quality};
use crate::properties::{Property, Terms, Witness};
use crate::provider::{Act, Provider};
use crate::report::Report;
use pool::Pool;
use recording::Ledger;

/// Far more steps than any seed takes; a simulation that gets there never becomes quiet.
const MAX_STEPS: u64 = 1_000_000;

/// Something that happens.
#[derive(Debug)]
pub(crate) enum Step {
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
    /// The pool dials its provider.
    Reach,
    /// The provider plays the next line of its script.
    Play,
    /// A connection's task looks at the newest work.
    Work { link: LinkId },
    /// A connection's deadline.
    Wake { link: LinkId },
    /// A connection gets another part of the search space.
    Move { link: LinkId },
    /// The ledger has committed, in that life of the pool.
    Commit { life: u32 },
    /// A connection's task learns how many of its shares are recorded.
    Recorded { link: LinkId, number: u64 },
    /// The pool is killed.
    Crash,
    /// The pool is started again.
    Restart,
    /// A device dials the pool.
    Connect { miner: usize },
    /// A device finds a share.
    Find { miner: usize, search: u64 },
    /// The share gets from the hasher to the connection.
    HandIn {
        miner: usize,
        link: LinkId,
        share: Box<FoundShare>,
    },
    /// A device updates or closes a channel.
    Whim { miner: usize, link: LinkId },
    /// A device closes all channels and its connection.
    Leave { miner: usize, link: LinkId },
    /// The script is over: nothing more is mined or lost.
    Calm,
}

/// Who is at the client's end of a connection.
#[derive(Debug, Clone, Copy)]
enum Client {
    Miner(usize),
    Pool,
}

/// Everything.
#[derive(Debug)]
pub(crate) struct World {
    seed: u64,
    fault: Option<Fault>,
    rng: StdRng,
    clock: Clock,
    agenda: Agenda<Step>,
    network: Network,
    clients: BTreeMap<LinkId, Client>,
    provider: Provider,
    /// The provider's connection, as it knows it.
    provider_link: Option<LinkId>,
    pool: Pool,
    miners: Vec<Miner>,
    searches: u64,
    is_calm: bool,
    witness: Witness,
}

impl World {
    pub(crate) fn new(seed: u64, fault: Option<Fault>) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let clock = Clock::new();
        let policy = draw_policy(&mut rng);
        let network = Network::new(draw_quality(&mut rng));
        // Blocks by every other hash, now and then, or never.
        let n_bits = [0x207f_ffff, 0x2007_ffff, 0x2000_ffff, 0x1d00_ffff][rng.gen_range(0..4)];
        let provider = Provider::new(&mut rng, n_bits, clock.now());
        let miners: Vec<Miner> = (0..rng.gen_range(1..=5))
            .map(|number| Miner::new(&mut rng, number))
            .collect();
        let witness = Witness::new(Terms {
            ack_delay: policy.ack_delay,
            max_jobs: policy.max_jobs as u32,
            block_target: provider.target(),
            is_durable: policy.acknowledge == Acknowledge::Recorded,
        });
        let max_jobs = match fault {
            Some(Fault::FewerJobs) => 1,
            _ => policy.max_jobs,
        };
        let ledger = Ledger::new(draw_commit(&mut rng));
        let mut world = Self {
            seed,
            fault,
            rng,
            clock,
            agenda: Agenda::new(),
            network,
            clients: BTreeMap::new(),
            provider,
            provider_link: None,
            pool: Pool::new(Policy { max_jobs, ..policy }, ledger),
            miners,
            searches: 0,
            is_calm: false,
            witness,
        };
        world.begin();
        world
    }

    pub(crate) fn traced(mut self) -> Self {
        self.witness.trace = Some(Vec::new());
        self
    }

    /// Plays until the script is over and all is quiet, then lets everybody leave.
    pub(crate) fn play(mut self) -> Report {
        self.play_until_quiet();
        self.witness.quiet(self.provider.prev_hash());
        for (miner, device) in self.miners.iter().enumerate() {
            if let Some(session) = &device.session {
                let link = session.link;
                let now = self.clock.elapsed();
                self.agenda.plan(now, Step::Leave { miner, link });
            }
        }
        self.play_until_quiet();
        self.witness.finished();
        Report {
            seed: self.seed,
            test: "replay_of_one_seed",
            counts: self.witness.counts,
            violations: self.witness.violations,
            trace: self.witness.trace.unwrap_or_default(),
        }
    }

    fn begin(&mut self) {
        let end = self
            .rng
            .gen_range(Duration::from_secs(5)..Duration::from_secs(15));
        self.agenda.plan(Duration::ZERO, Step::Reach);
        self.agenda.plan(Duration::ZERO, Step::Play);
        self.agenda.plan(end, Step::Calm);
        if self.rng.gen_bool(0.3) {
            self.plan_within(end, Step::Crash);
        }
        for miner in 0..self.miners.len() {
            // Some are there from the start, some join late.
            let at = self.rng.gen_range(Duration::ZERO..end) * u32::from(self.rng.gen_bool(0.6));
            self.agenda.plan(at, Step::Connect { miner });
        }
    }

    fn play_until_quiet(&mut self) {
        let mut steps = 0;
        while let Some((at, step)) = self.agenda.next() {
            self.clock.advance(at);
            self.witness.now = at;
            self.step(step);
            steps += 1;
            if steps == MAX_STEPS {
                let what = format!("{steps} steps, and still not quiet");
                self.witness.breach(Property::WorkGoesOn, what);
                return;
            }
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Arrive { link, to, frame } => self.arrive(link, to, frame),
            Step::Gone { link, to } => self.gone(link, to),
            Step::Cut { link } if !self.is_calm => self.cut(link),
            Step::Reach => self.reach_provider(),
            Step::Play if !self.is_calm => self.play_script(),
            Step::Work { link } => self.look_at_work(link),
            Step::Wake { link } => self.wake(link),
            Step::Move { link } if !self.is_calm => self.move_space(link),
            Step::Commit { life } => self.commit(life),
            Step::Recorded { link, number } => self.tell_recorded(link, number),
            Step::Crash if !self.is_calm => self.crash(),
            Step::Restart => self.restart(),
            Step::Connect { miner } => self.connect(miner),
            Step::Find { miner, search } if !self.is_calm => self.find(miner, search),
            Step::HandIn { miner, link, share } => self.hand_in(miner, link, *share),
            Step::Whim { miner, link } if !self.is_calm => self.whim(miner, link),
            Step::Leave { miner, link } => self.leave(miner, link),
            Step::Calm => self.calm(),
            Step::Cut { .. }
            | Step::Play
            | Step::Move { .. }
            | Step::Crash
            | Step::Find { .. }
            | Step::Whim { .. } => {}
        }
    }

    /// From here on everybody finishes what is under way, and nothing new begins.
    fn calm(&mut self) {
        self.is_calm = true;
        self.network.calm();
        // Who has closed all its channels would be thrown out for idling, and rightly so.
        for (miner, device) in self.miners.iter().enumerate() {
            if let Some(session) = &device.session
                && session.is_idle()
            {
                let link = session.link;
                let now = self.clock.elapsed();
                self.agenda.plan(now, Step::Leave { miner, link });
            }
        }
    }

    fn arrive(&mut self, link: LinkId, to: End, frame: Vec<u8>) {
        if !self.network.reaches(link, to) {
            return;
        }
        match (self.clients.get(&link), to) {
            (Some(Client::Miner(miner)), End::Client) => self.miner_received(*miner, link, frame),
            (Some(Client::Miner(_)), End::Server) => self.pool_received(link, frame),
            (Some(Client::Pool), End::Client) => self.hear_provider(frame),
            (Some(Client::Pool), End::Server) => self.provider_received(link, &frame),
            (None, _) => {}
        }
    }

    /// An end takes note that its connection is over. It may have done so before.
    fn gone(&mut self, link: LinkId, to: End) {
        self.network.close(link, to);
        match (self.clients.get(&link), to) {
            (Some(Client::Miner(miner)), End::Client) => self.miner_lost(*miner, link),
            (Some(Client::Miner(_)), End::Server) => self.pool_lost(link),
            (Some(Client::Pool), End::Client) => self.provider_lost(link),
            (Some(Client::Pool), End::Server) => {
                if self.provider_link == Some(link) {
                    self.provider_link = None;
                }
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

    /// An end closes its connection in order: the other one learns it behind all that was sent.
    fn close(&mut self, link: LinkId, end: End) {
        let (now, to) = (self.clock.elapsed(), end.other());
        match self.network.send(&mut self.rng, now, link, to) {
            Fate::Arrives(at) => self.agenda.plan(at, Step::Gone { link, to }),
            Fate::Cuts => self.cut(link),
            Fate::Lost => {}
        }
        self.gone(link, end);
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
}

fn draw_policy(rng: &mut StdRng) -> Policy {
    Policy {
        shares_per_minute: [30.0, 60.0, 120.0][rng.gen_range(0..3)],
        share_batch_size: rng.gen_range(1..=6),
        ack_delay: Duration::from_millis(rng.gen_range(100..=1500)),
        acknowledge: if rng.gen_bool(0.8) {
            Acknowledge::Recorded
        } else {
            Acknowledge::AtOnce
        },
        max_jobs: rng.gen_range(2..=10),
        max_channels: if rng.gen_bool(0.2) { 2 } else { 100 },
        vardiff: rng.gen_bool(0.5),
        network: Some(bitcoin::Network::Regtest),
        ..Policy::default()
    }
}

/// How long a commit takes at most: on a good disk, on a bad one.
fn draw_commit(rng: &mut StdRng) -> Duration {
    Duration::from_millis([2, 50, 1500][rng.gen_range(0..3)])
}

fn draw_quality(rng: &mut StdRng) -> Quality {
    Quality {
        max_latency: Duration::from_millis([1, 40, 150, 600][rng.gen_range(0..4)]),
        repeated: [0, 10_000, 50_000][rng.gen_range(0..3)],
        cutting: [0, 1_000, 5_000][rng.gen_range(0..3)],
    }
}

/// The scripts' mixture.
fn draw_act(rng: &mut StdRng) -> Act {
    match rng.gen_range(0..100) {
        0..40 => Act::Fees,
        40..48 => Act::Repeat,
        48..72 => Act::Future,
        _ => Act::Tip,
    }
}
