//! Templates from Bitcoin Core over JSON-RPC (`getblocktemplate`, BIP-0022 and BIP-0145), for nodes
//! without an IPC socket or on another machine.
//!
//! ```text
//! client task ── Feed ── feed task ──┐
//!                                    ├── watch ── poll task ── getblocktemplate ── bitcoin-node
//! client task ── Feed ── feed task ──┘                         (long poll)
//!                            └─────────────────── submitblock ──┘
//! ```
//!
//! The node knows nothing of a client's constraints: it makes one template for all, in one long
//! poll. What differs is pure: `protocol::selection` drops the transactions that a client's
//! coinbase needs the room of, and `block` counts fees, merkle path and witness commitment anew. The
//! transactions stay here, so neither their list nor a solution asks the node for anything but
//! `submitblock`.
//!
//! Compared with [`ipc`](super::ipc), the node makes no second template of a tip within six
//! seconds, and every template travels as JSON with all its transactions. A long poll that is given
//! up when the role stops keeps one of the node's RPC threads (`-rpcthreads`, 16 by default) until
//! the next tip, or a minute when there are new transactions: the node does not notice.

mod block;
mod feed;
mod parse;
mod poll;
mod submit;

use std::io;
use std::rc::Rc;

use daemon::node::{self, NodeError, NodeRpc};

use super::thread::{self, Source, SourceThread};
use super::{Constraints, Template};

/// Starts the source. The node need not be there yet.
///
/// # Errors
/// When the operating system gives no thread or no event queue.
pub fn start(node: &NodeRpc) -> io::Result<(Source, SourceThread)> {
    let node = node.clone();
    thread::start("rpc", move || {
        let view = poll::start(&node);
        move |purpose, end| feed::run(node.clone(), view.clone(), purpose, end)
    })
}

/// What a client with these constraints gets when the node answers `getblocktemplate` with `body`:
/// all that happens between the two, without either.
///
/// # Errors
/// The answer is none, or makes no sense.
pub fn offer(body: &[u8], constraints: Constraints) -> Result<Template, NodeError> {
    let answer = parse::template(node::result("getblocktemplate", body)?)?;
    let block = block::Block::new(Rc::new(answer), constraints);
    Ok(block.template().clone())
}
