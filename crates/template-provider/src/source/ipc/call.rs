//! What can go wrong with a call to the node.

use std::path::PathBuf;
use std::time::Duration;
use std::{fmt, io};

use bitcoin_capnp_types::capnp;

/// Why the node could not be reached or understood. Every kind ends the connection; the feed then
/// dials again.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    #[error(
        "cannot open the node's IPC socket {}: {source}; is the node running, and with \
         -ipcbind=unix:{}?", path.display(), path.display()
    )]
    Connect { path: PathBuf, source: io::Error },
    #[error(
        "the node does not know {call}; its version is older than the mining interface of Bitcoin \
         Core 31 ({source})"
    )]
    Unknown {
        call: &'static str,
        source: capnp::Error,
    },
    #[error("{call} failed in the node: {source}")]
    Failed {
        call: &'static str,
        source: capnp::Error,
    },
    #[error("the node gave no answer to {call} within {} s", limit.as_secs())]
    Silent { call: &'static str, limit: Duration },
    #[error("the node's answer to {call} makes no sense: {problem}")]
    Malformed { call: &'static str, problem: String },
    #[error("the node closed the connection")]
    Closed,
}

/// Names the call that a Cap'n Proto error belongs to.
pub(super) trait During<T> {
    fn during(self, call: &'static str) -> Result<T, CallError>;
}

impl<T> During<T> for Result<T, capnp::Error> {
    fn during(self, call: &'static str) -> Result<T, CallError> {
        self.map_err(|source| match source.kind {
            capnp::ErrorKind::Disconnected => CallError::Closed,
            capnp::ErrorKind::Unimplemented => CallError::Unknown { call, source },
            _ => CallError::Failed { call, source },
        })
    }
}

/// An answer that Cap'n Proto decoded but Bitcoin would not.
pub(super) fn malformed(call: &'static str, problem: &dyn fmt::Display) -> CallError {
    CallError::Malformed {
        call,
        problem: problem.to_string(),
    }
}
