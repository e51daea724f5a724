//! For tests only: a real Bitcoin Core on regtest, transactions for it, our roles as programs, and
//! terminals to run them in.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

pub mod chain;
mod events;
mod node;
mod port;
mod program;
mod pty;
mod server;
mod sv1_miner;

pub use events::Events;
pub use node::{ANY_AGE, LIMIT, Node};
pub use port::{Port, free_port};
pub use program::Program;
pub use pty::Pty;
pub use server::{Fake, Line};
pub use sv1_miner::{Sv1Miner, Sv1Share};
