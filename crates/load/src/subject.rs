//! What is measured, as the scenarios see it.

use crate::miner::Channel;
use crate::process::Process;
use crate::swarm::Player;

/// A program under test with all that it needs around it but its miners.
pub(crate) trait Subject {
    /// A miner for it.
    type Player: Player;

    /// What its resources are read from.
    fn process(&self) -> &Process;

    /// Ends it.
    fn stop(self) -> impl Future<Output = anyhow::Result<()>>;

    /// How miners of that kind play; where there is only one kind, that one.
    fn player(&self, channel: Channel) -> Self::Player;

    /// Shares it has passed on so far, if it passes them on to somebody.
    fn passed_on(&self) -> Option<u64> {
        None
    }

    /// Gives it a new tip. Returns the moment before, in nanoseconds since 1970.
    fn new_tip(&mut self) -> impl Future<Output = anyhow::Result<u64>>;
}
