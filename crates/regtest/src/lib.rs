//! For tests only: a real Bitcoin Core on regtest, transactions for it, and our roles as programs.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

pub mod chain;
mod node;
mod program;

pub use node::{LIMIT, Node};
pub use program::{Program, free_port};
