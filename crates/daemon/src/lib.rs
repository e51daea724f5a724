//! The I/O that every role needs, once.
//!
//! `protocol` holds the rules and knows no socket; this crate joins those rules to the world:
//!
//! - [`wire`] and [`drive`]: an encrypted connection, and the loop that steps a
//!   [`protocol::core::Core`] with it;
//! - [`accept`] and [`dial`]: the two ends of a connection, with limits, time-outs and back-off;
//! - [`role`], [`config`], [`telemetry`], [`http`], [`shutdown`]: what a program needs around it;
//! - [`node`]: Bitcoin Core's JSON-RPC; [`payout`] and [`policy`]: whom blocks pay and
//!   what is wanted of miners.
//!
//! No rule of the protocol is decided here.

pub mod accept;
pub mod clock;
pub mod config;
pub mod dial;
pub mod drive;
pub mod http;
pub mod node;
pub mod payout;
pub mod policy;
pub mod role;
pub mod shutdown;
pub mod telemetry;
pub mod wire;
