//! Labels that metrics of several roles have in common.

use prometheus_client::encoding::EncodeLabelSet;

/// Why something was refused or lost.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Reason {
    /// One of few, since each is a series of its own.
    pub reason: String,
}

impl From<&str> for Reason {
    fn from(reason: &str) -> Self {
        let reason = reason.to_owned();
        Self { reason }
    }
}

/// Whom it belongs to, of several servers above a role.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Upstream {
    /// The address that is dialled, `host:port`.
    pub upstream: String,
}
