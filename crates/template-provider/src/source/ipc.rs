//! Templates from Bitcoin Core over its Cap'n Proto socket (`-ipcbind=unix:…`, Core 31 or later).
//!
//! ```text
//! client task ── Feed ──┐                    ┌── feed task ── own connection ──┐
//!                       ├── one OS thread ───┤                                 ├── bitcoin-node
//! client task ── Feed ──┘  (capnp is !Send)  └── feed task ── own connection ──┘
//! ```
//!
//! Every feed has a connection of its own, so that no client waits for another's calls inside the
//! node. A feed outlives its node: it dials again for ever, answers requests meanwhile, and makes
//! a fresh template as soon as the node is back.

mod call;
mod feed;
mod follow;
mod node;
mod parse;
mod tips;
mod watch;
mod work;

use std::io;
use std::path::PathBuf;

use bitcoin_capnp_types::capnp::data_list;
use bitcoin_capnp_types::mining_capnp::coinbase_tx;

use super::Template;
use super::thread::{self, Source, SourceThread};

/// The node, and how it is asked.
#[derive(Clone, Debug)]
pub struct Access {
    /// The node's IPC socket.
    pub socket: PathBuf,
    /// Whether a new tip may begin with an empty template, which the node makes in a fraction of
    /// the time that a full one takes; that one follows at once.
    pub empty_first: bool,
}

/// Starts the source. The node need not be there yet.
///
/// # Errors
/// When the operating system gives no thread or no event queue.
pub fn start(access: Access) -> io::Result<(Source, SourceThread)> {
    thread::start("ipc", move || {
        move |purpose, end| feed::run(access.clone(), purpose, end)
    })
}

/// What the node's answers to `getBlockHeader`, `getCoinbaseTx` and `getCoinbaseMerklePath` come to.
///
/// # Errors
/// What in them makes no sense.
pub fn offer(
    header: &[u8],
    coinbase: coinbase_tx::Reader<'_>,
    path: data_list::Reader<'_>,
) -> Result<Template, String> {
    parse::template(header, coinbase, path).map_err(|error| error.to_string())
}

/// The transactions in the node's answer to `getBlock`, serialised, without the coinbase.
///
/// # Errors
/// What in it is no block.
pub fn transactions(block: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    parse::transactions(block).map_err(|error| error.to_string())
}
