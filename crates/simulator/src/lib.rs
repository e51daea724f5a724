//! The roles' protocol cores in one thread, on a virtual clock and a virtual network.
//!
//! [`run`] plays one simulation: a pool (`protocol::server`, `protocol::provider`), mining devices
//! (`protocol::client`) and a scripted template provider. A seed decides everything: who joins when,
//! latencies, lost packets, cut connections, crashes of the pool, new tips in quick succession, fee
//! updates, future templates that are never used, channels that are updated and closed. Shares are
//! real: their hashes meet real targets, only the luck of finding them is drawn.
//!
//! Meanwhile a witness keeps its own account of every message and event, and compares: see
//! [`Property`]. It is the same seed that makes the same simulation, so a failing one is replayed
//! with `SIM_SEED=<seed> cargo test -p simulator replay_of_one_seed -- --nocapture`, which prints every
//! message.
//!
//! Nothing here reads a socket or sleeps. The cores are exactly those the programs run; what is
//! modelled is their edge: `daemon::drive`, the pool's queue-less watch of the newest work and its
//! ledger, TCP.
//!
//! [`declaring`] is a second world: a job declarator client between its miners and the upstreams it
//! may lose.
//!
//! - `clock`: virtual time and what is to happen when;
//! - `network`: ordered, late, lossy connections;
//! - `provider`, `miner`: the models at both ends;
//! - `world`: joins them and plays the seed;
//! - `properties`: the witness.

mod clock;
pub mod declaring;
mod fault;
mod frames;
mod miner;
mod network;
mod properties;
mod provider;
mod report;
mod world;

pub use fault::Fault;
pub use properties::{Property, Violation};
pub use report::{Counts, Report};

use world::World;

/// Plays one simulation.
pub fn run(seed: u64) -> Report {
    World::new(seed, None).play()
}

/// Plays one simulation and writes down all that happens.
pub fn replay(seed: u64) -> Report {
    World::new(seed, None).traced().play()
}

/// Plays one simulation in which something is broken on purpose.
pub fn run_broken(seed: u64, fault: Fault) -> Report {
    World::new(seed, Some(fault)).play()
}
