//! One binary for all end-to-end tests.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod accessibility;
mod beside;
mod browser;
mod cards;
mod changes;
mod chosen;
mod compose;
mod conformance;
mod daemon;
mod declared;
mod device;
mod disturbed;
mod explorer;
mod failures;
mod farm;
mod faults;
mod first_block;
mod job_declaration;
mod killed;
mod ledger;
mod monitoring;
mod month;
mod old_miners;
mod overview;
mod report;
mod scenarios;
mod signet;
mod site;
mod snapshot;
mod tidy;
mod tokens;
mod top;
mod topologies;
mod traffic;
