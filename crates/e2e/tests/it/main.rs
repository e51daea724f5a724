//! One binary for all end-to-end tests.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod conformance;
mod declared;
mod device;
mod farm;
mod faults;
mod first_block;
mod job_declaration;
mod killed;
mod ledger;
mod monitoring;
mod site;
mod tidy;
