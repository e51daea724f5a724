//! The ledger from outside: what is left of it after its process ended badly.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod crash;
