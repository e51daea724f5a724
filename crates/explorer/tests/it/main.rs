//! One binary for the tests of the program, against a real Bitcoin Core.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod actions;
mod chain;
mod esplora;
mod hearing;
mod pages;
mod site;
mod wallet;
