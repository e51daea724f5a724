//! The Stratum V1 dialect without I/O: lines, calls, answers, notices, and how all of it maps to
//! Stratum V2.
//!
//! Stratum V1 was never written down in one place; what it is, is what firmware does. So what is
//! read here is read tolerantly, as long as it can mean only one thing, and what is written is what
//! the oldest firmware understands.
//!
//! ```text
//!                  Lines ──▶ from_miner ──▶ FromMiner: Call, or answer to a notice's question
//!   server side                             Answer, Notice ──▶ write ──▶ bytes
//!
//!                  Lines ──▶ from_server ──▶ FromServer: Notice, or answer to a call
//!   miner's side                             Call ──▶ write ──▶ bytes
//! ```
//!
//! - [`line`](mod@line): bytes to lines, within a limit;
//! - [`call`]: what a miner asks for; [`answer`]: what it is answered; [`notice`]: what a server
//!   says unasked, jobs above all;
//! - [`difficulty`], [`extranonce`], [`version`], [`coinbase`]: the mapping to Stratum V2, one rule
//!   each;
//! - [`client`]: a miner's end of a connection;
//! - [`dialogue`]: what firmware of several kinds says, for tests.

pub mod answer;
pub mod call;
pub mod client;
pub mod coinbase;
pub mod dialogue;
pub mod difficulty;
pub mod extranonce;
mod hexadecimal;
pub mod json;
pub mod line;
mod message;
pub mod notice;
pub mod version;

pub use answer::{Answer, Configured, Rejection, Subscribed};
pub use call::{Call, Configure, Info, Submit, VersionRolling};
pub use extranonce::Extranonce;
pub use json::{Id, Json};
pub use line::{Lines, TooLong};
pub use message::{FromMiner, FromServer, Reply, Unreadable, from_miner, from_server};
pub use notice::{Notice, Notify};
