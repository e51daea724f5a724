//! What must be true of every simulation of job declaration, whatever the seed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jdc::declarator::Report;
use protocol::message;

use crate::Violation;
use crate::frames;
use crate::network::{End, LinkId};

/// The rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Property {
    /// No miner is dropped, whatever becomes of upstreams and provider.
    MinersStay,
    /// What a pool has acknowledged it has credited, once, and a crash loses none of it.
    AcknowledgedIsCredited,
    /// Every share accepted from a miner was acknowledged, rejected, too easy, or is told as lost.
    SharesAreAccounted,
    /// No pool takes the token of a declared job twice.
    TakenOnce,
    /// An upstream refuses a job for no other reason than its tip, and a share only for being late.
    JobsAreGood,
    /// Two seconds after a loss is known no miner works for whom was lost.
    FallsBackInTime,
    /// When everybody is there again, the best upstream is worked for.
    FindsBack,
    /// Every block that a miner finds makes the block it should, at the provider and at the job
    /// declarator server.
    BlocksAreGood,
    /// Nobody says what means nothing.
    NothingUnexpected,
}

/// Faults put in on purpose, to show that the properties see them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The farm closes a miner's connection when an upstream is lost.
    DroppedMiners,
    /// The pool acknowledges shares that it does not credit.
    EmptyAcknowledgements,
    /// The declarator is not told of shares that the pool accepts.
    ForgottenAnswers,
    /// The pool takes every token as often as it is shown, and each job is shown twice.
    JobsTwice,
    /// The pool's secret is another one.
    OtherSecret,
    /// The miners are not told of new work after a loss.
    StuckMiners,
    /// The declarator is never woken.
    SleepingDesk,
    /// The job declarator server hears of blocks that nobody found.
    WrongSolutions,
}

/// PushSolution does not name its job, and so easy are blocks here that one found on one job now and
/// then makes one of another that the server tries before it (T-23, T-32).
const MOST_BY_CHANCE: u64 = 2;

/// How much happened; a simulation in which nothing happens proves nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections cut, whoever's.
    pub cuts: u64,
    /// Servers killed.
    pub crashes: u64,
    /// Jobs that were declared.
    pub declared: u64,
    /// Declarations for which transactions had to be provided.
    pub provided: u64,
    /// Jobs that a pool took.
    pub taken: u64,
    /// Jobs refused for their tip.
    pub stale: u64,
    /// Changes to another upstream.
    pub switches: u64,
    /// Changes to solo work.
    pub solo: u64,
    /// Shares accepted from miners.
    pub accepted: u64,
    /// Shares that pools acknowledged.
    pub acknowledged: u64,
    /// Shares told as lost.
    pub lost: u64,
    /// Blocks that a job declarator server could put together.
    pub solved: u64,
    /// Blocks found that became part of the chain.
    pub chained: u64,
    /// Blocks of chosen transactions.
    pub chosen: u64,
    /// Templates mined without transactions because these, or their fees, came too late.
    pub emptied: u64,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.cuts += other.cuts;
        self.crashes += other.crashes;
        self.declared += other.declared;
        self.provided += other.provided;
        self.taken += other.taken;
        self.stale += other.stale;
        self.switches += other.switches;
        self.solo += other.solo;
        self.accepted += other.accepted;
        self.acknowledged += other.acknowledged;
        self.lost += other.lost;
        self.solved += other.solved;
        self.chained += other.chained;
        self.chosen += other.chosen;
        self.emptied += other.emptied;
    }
}

/// Sees everything.
#[derive(Debug, Default)]
pub(super) struct Witness {
    pub(super) now: Duration,
    pub(super) counts: Counts,
    pub(super) violations: Vec<Violation<Property>>,
    pub(super) trace: Option<Vec<String>>,
    /// By upstream; on disk, so no crash takes them away.
    credited: BTreeSet<(usize, [u8; 32])>,
    acknowledged: BTreeSet<(usize, [u8; 32])>,
    tokens: BTreeSet<(usize, [u8; 16])>,
    /// That miners found.
    blocks: BTreeSet<[u8; 32]>,
    /// When the miners were given to each upstream last.
    chosen: BTreeMap<usize, Duration>,
    /// Blocks that a server put together and nobody found.
    by_chance: u64,
    /// The declarator's name of a job of a miner's connection.
    jobs: BTreeMap<(LinkId, u32), u64>,
}

impl Witness {
    pub(super) fn breach(&mut self, property: Property, what: String) {
        self.note(|| format!("VIOLATION {property:?}: {what}"));
        let at = self.now;
        self.violations.push(Violation { at, property, what });
    }

    /// Writes a line of the trace; nothing is formatted unless it is wanted.
    pub(super) fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>9.3} {}", self.now.as_secs_f64(), line()));
        }
    }

    /// A frame arrives.
    pub(super) fn saw(&mut self, link: LinkId, to: End, frame: &[u8]) {
        self.note(
            || match message::decode(frames::borrow(&mut frame.to_vec())) {
                Ok(message::Received::Message(message)) => format!("{link} > {to:?}: {message}"),
                other => format!("{link} > {to:?}: {other:?}"),
            },
        );
    }

    pub(super) fn report(&mut self, report: &Report) {
        self.note(|| format!("desk: {report:?}"));
        match report {
            Report::Switched(Some(upstream)) => {
                self.counts.switches += 1;
                self.chosen.insert(*upstream, self.now);
            }
            Report::Switched(None) => self.counts.solo += 1,
            Report::Emptied { .. } => self.counts.emptied += 1,
            Report::Lost { count, .. } => self.counts.lost += count,
            Report::BlockLost { hash } => {
                let what = format!("nobody is told of block {hash:02x?}");
                self.breach(Property::BlocksAreGood, what);
            }
            _ => {}
        }
    }

    /// A pool takes a job.
    pub(super) fn taken(&mut self, upstream: usize, token: [u8; 16]) {
        self.counts.taken += 1;
        if !self.tokens.insert((upstream, token)) {
            let what = format!("pool {upstream} takes token {token:02x?} again");
            self.breach(Property::TakenOnce, what);
        }
    }

    /// A job, or the share of one, is refused.
    pub(super) fn refused(&mut self, who: &str, code: &str) {
        self.note(|| format!("{who} refuses: {code}"));
        if code == protocol::error_code::STALE_CHAIN_TIP {
            self.counts.stale += 1;
        } else {
            self.breach(Property::JobsAreGood, format!("{who} refuses: {code}"));
        }
    }

    pub(super) fn credited(&mut self, upstream: usize, hash: [u8; 32]) {
        if !self.credited.insert((upstream, hash)) {
            let what = format!("pool {upstream} credits {hash:02x?} again");
            self.breach(Property::AcknowledgedIsCredited, what);
        }
    }

    pub(super) fn acknowledged(&mut self, upstream: usize, hash: [u8; 32]) {
        self.counts.acknowledged += 1;
        let is_first = self.acknowledged.insert((upstream, hash));
        if !is_first || !self.credited.contains(&(upstream, hash)) {
            let what = format!("pool {upstream} acknowledges {hash:02x?}");
            self.breach(Property::AcknowledgedIsCredited, what);
        }
    }

    /// A miner finds a block.
    pub(super) fn found(&mut self, hash: [u8; 32]) {
        self.blocks.insert(hash);
    }

    /// The provider could put a block together.
    pub(super) fn submitted(&mut self, hash: [u8; 32]) {
        if !self.blocks.contains(&hash) {
            let what = format!("the provider is given {hash:02x?}, which nobody found");
            self.breach(Property::BlocksAreGood, what);
        }
    }

    /// A job declarator server could.
    pub(super) fn solved(&mut self, hash: [u8; 32]) {
        self.counts.solved += 1;
        self.by_chance += u64::from(!self.blocks.contains(&hash));
        if self.by_chance > MOST_BY_CHANCE {
            let what = format!("a server puts {hash:02x?} together, which nobody found");
            self.breach(Property::BlocksAreGood, what);
        }
    }

    /// A miner is given a job.
    pub(super) fn job(&mut self, link: LinkId, job_id: u32, job: u64) {
        self.jobs.insert((link, job_id), job);
    }

    /// Whether the miners were given to an upstream again after that.
    pub(super) fn is_back(&self, upstream: usize, after: Duration) -> bool {
        self.chosen.get(&upstream).is_some_and(|at| *at > after)
    }

    /// The declarator's name of what a miner works on.
    pub(super) fn job_of(&self, link: LinkId, job_id: u32) -> Option<u64> {
        self.jobs.get(&(link, job_id)).copied()
    }
}
