//! The pool from outside: its ledger in processes that end badly.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod crash;
