//! The job declarator server as a program, against a real Bitcoin Core on regtest and with a
//! client that speaks SV2 to it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod declare;
mod hostile;
mod jdc;
mod job;
mod missing;
mod outage;
mod setup;
mod solution;
