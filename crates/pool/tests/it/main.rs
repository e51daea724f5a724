//! The pool from outside: how it starts again, and how people see its ledger.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod miner;
mod provider;
mod restart;
mod verbs;
