//! What came out of a simulation.

use std::fmt;

use crate::properties::{Property, Violation};

/// How much happened; a simulation in which nothing happens proves nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections of miners.
    pub connections: u64,
    /// Connections cut, whoever's.
    pub cuts: u64,
    /// Channels opened.
    pub opened: u64,
    /// Channels closed by their miner.
    pub closed: u64,
    /// Channels that ended with their connection.
    pub abandoned: u64,
    /// Shares sent.
    pub submitted: u64,
    /// Shares not sent because their job had ended.
    pub late: u64,
    /// Shares accepted.
    pub accepted: u64,
    /// Shares rejected.
    pub rejected: u64,
    /// Of those, because a newer tip was on its way.
    pub stale: u64,
    /// Of those, because they were seen before.
    pub duplicate: u64,
    /// Times the pool gave a connection another part of the search space.
    pub moves: u64,
    /// Times the pool was killed.
    pub crashes: u64,
    /// Shares accepted that were not recorded when the pool was killed.
    pub lost: u64,
    /// Blocks found.
    pub blocks: u64,
    /// Of those, the ones that became part of the chain.
    pub chained: u64,
    /// SetNewPrevHash messages.
    pub tips: u64,
    /// SetTarget messages.
    pub targets: u64,
    /// New work that a connection never saw because there was newer work at once.
    pub skipped: u64,
}

/// What came out of one seed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report<C = Counts, P = Property> {
    /// The seed.
    pub seed: u64,
    /// The test that plays it again.
    pub test: &'static str,
    /// How much happened.
    pub counts: C,
    /// What should not have.
    pub violations: Vec<Violation<P>>,
    /// All that happened, if it was asked for.
    pub trace: Vec<String>,
}

/// The trace, the violations, and how to see them again.
impl<C, P: fmt::Debug> fmt::Display for Report<C, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.trace {
            writeln!(f, "{line}")?;
        }
        for violation in &self.violations {
            writeln!(f, "seed {}: {violation}", self.seed)?;
        }
        if !self.violations.is_empty() {
            let Self { seed, test, .. } = self;
            writeln!(
                f,
                "replay: SIM_SEED={seed} cargo test -p simulator {test} -- --nocapture"
            )?;
        }
        Ok(())
    }
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.connections += other.connections;
        self.cuts += other.cuts;
        self.opened += other.opened;
        self.closed += other.closed;
        self.abandoned += other.abandoned;
        self.submitted += other.submitted;
        self.late += other.late;
        self.accepted += other.accepted;
        self.rejected += other.rejected;
        self.stale += other.stale;
        self.duplicate += other.duplicate;
        self.moves += other.moves;
        self.crashes += other.crashes;
        self.lost += other.lost;
        self.blocks += other.blocks;
        self.chained += other.chained;
        self.tips += other.tips;
        self.targets += other.targets;
        self.skipped += other.skipped;
    }
}
