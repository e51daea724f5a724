//! The I/O that every role needs, once.
//!
//! `protocol` holds the rules and knows no socket; this crate joins those rules to the world:
//!
//! - [`wire`] and [`drive`]: an encrypted connection, and the loop that steps a
//!   [`protocol::core::Core`] with it;
//! - [`stream`]: the same for plain bytes, as Stratum V1 has them;
//! - [`accept`] and [`dial`]: the two ends of a connection, with limits, time-outs and back-off;
//! - [`mod@line`]: the queue to a session, with room kept for what must not wait;
//! - [`role`], [`config`], [`telemetry`], [`http`], [`shutdown`], [`label`]: what a program needs around
//!   it;
//! - [`node`]: Bitcoin Core's JSON-RPC; [`payout`], [`job_secret`] and [`policy`]: whom
//!   blocks pay, what job tokens are made with, and what is wanted of miners; [`number`] and
//!   [`rate`]: what one task counts and any task reads.
//!
//! No rule of the protocol is decided here.

pub mod accept;
pub mod clock;
pub mod config;
pub mod dial;
pub mod drive;
pub mod http;
pub mod job_secret;
pub mod label;
pub mod line;
pub mod node;
pub mod number;
pub mod payout;
pub mod policy;
pub mod rate;
pub mod role;
pub mod shutdown;
pub mod stream;
pub mod telemetry;
pub mod wire;
