//! Blocks that were found: to the node, whose answer is the verdict.

use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::json;
use tokio::time::sleep;
use tracing::warn;
use utoipa::ToSchema;

use super::{NOT_A_BLOCK, NodeError, NodeRpc};
use crate::dial::backoff;

/// How long a node that cannot be reached is tried.
const PATIENCE: Duration = Duration::from_secs(30);

/// What became of a block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case", tag = "verdict", content = "reason")]
pub enum Verdict {
    /// The node has it from us.
    Accepted,
    /// The node had it before: the client's template provider was faster (SV2 6.4.9).
    Duplicate,
    /// The node has it, but does not build on it; the client's template provider may have been
    /// faster, or another block.
    Inconclusive,
    /// The node refuses it, for this reason.
    Rejected(String),
    /// The node did not answer, for this reason.
    Unknown(String),
}

impl Verdict {
    /// For metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Duplicate => "duplicate",
            Self::Inconclusive => "inconclusive",
            Self::Rejected(_) => "rejected",
            Self::Unknown(_) => "unknown",
        }
    }

    /// By the node's answer (BIP-0022).
    fn read(answer: Option<&str>) -> Self {
        match answer {
            None => Self::Accepted,
            Some("duplicate") => Self::Duplicate,
            Some("inconclusive" | "duplicate-inconclusive") => Self::Inconclusive,
            Some(reason) => Self::Rejected(reason.to_owned()),
        }
    }
}

/// Submits a block, serialised and in hexadecimal digits, again and again while the node is away.
pub async fn submit(node: &NodeRpc, block: String) -> Verdict {
    let params = json!([block]);
    let since = Instant::now();
    let mut pauses = backoff();
    loop {
        let answer: Result<Option<String>, NodeError> =
            node.call("submitblock", params.clone()).await;
        let error = match answer {
            Ok(answer) => return Verdict::read(answer.as_deref()),
            Err(NodeError::Rpc {
                code: NOT_A_BLOCK,
                message,
                ..
            }) => return Verdict::Rejected(message),
            Err(error) => error,
        };
        if since.elapsed() > PATIENCE {
            return Verdict::Unknown(error.to_string());
        }
        warn!(%error, "a block is not submitted yet, trying again");
        sleep(pauses.next().unwrap_or(PATIENCE)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_the_node_has_already_is_no_failure() {
        // JDS-24, T-23
        for (answer, verdict) in [
            (None, Verdict::Accepted),
            (Some("duplicate"), Verdict::Duplicate),
            (Some("duplicate-inconclusive"), Verdict::Inconclusive),
            (Some("inconclusive"), Verdict::Inconclusive),
            (Some("high-hash"), Verdict::Rejected("high-hash".to_owned())),
        ] {
            assert_eq!(Verdict::read(answer), verdict);
        }
    }
}
