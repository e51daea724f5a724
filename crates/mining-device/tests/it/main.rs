//! The whole device against a pool that a test plays, well or badly.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod extended;
mod pool;
mod relay;
mod scripts;
mod stratum_v1;
