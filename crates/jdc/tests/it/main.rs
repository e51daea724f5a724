//! The whole program between servers that a test plays, well or badly.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod flood;
mod miner;
mod scripts;
mod site;
mod view;
