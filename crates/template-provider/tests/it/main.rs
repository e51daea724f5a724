//! The template provider against a real Bitcoin Core on regtest: first the source alone, then the
//! program over the wire.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod chain;
mod follow;
mod full;
mod node;
mod outage;
mod program;
mod serve;
mod setup;
mod solve;
mod watch;
