//! Stratum V2 rules without I/O.
//!
//! Everything here is a value: bytes and messages in, bytes and messages out. No socket, no clock,
//! no task, no lock, and no randomness of its own; time and randomness are parameters. The crate
//! does not know tokio, so the compiler keeps it that way. `daemon` joins it to the world.
//!
//! The protocol is pinned to the SV2 specification at commit `0f38d51`; section numbers in comments
//! are that commit's.

pub mod client;
pub mod coinbase;
pub mod core;
pub mod custom_work;
pub mod declaration;
pub mod error_code;
pub mod extension;
pub mod frame;
pub mod keys;
pub mod message;
pub mod noise;
pub mod payout;
pub mod provider;
pub mod ranking;
pub mod selection;
pub mod server;
pub mod setup;
pub mod sha256d;
pub mod target;
pub mod token;
pub mod transactions;
pub mod unanswered;
pub mod vardiff;
pub mod work;

#[cfg(test)]
mod testing;
