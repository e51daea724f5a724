//! Blocks to be checked by the node before they are worked on.

use std::sync::Arc;
use std::time::Duration;

use daemon::node::{NOT_A_BLOCK, NodeError, NodeRpc};
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::block::Block;
use crate::core::Judgement;

/// Proposals the node has at once. It checks one after the other; the next ones are on their way
/// meanwhile. The others wait here, first come, first served.
const AT_ONCE: usize = 3;
/// Proposals of one client among those, so that a busy client takes turns with the others.
const AT_ONCE_OF_ONE: usize = 1;

/// How long a job may take to be judged, its turn included. Its client does not wait for ever.
const PATIENCE: Duration = Duration::from_secs(8);

/// Where proposals go. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Proposals {
    node: NodeRpc,
    /// All clients'.
    turns: Arc<Semaphore>,
    /// This client's.
    own_turns: Arc<Semaphore>,
}

impl Proposals {
    pub(crate) fn new(node: NodeRpc) -> Self {
        Self {
            node,
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            own_turns: Arc::new(Semaphore::new(AT_ONCE_OF_ONE)),
        }
    }

    /// For one more client.
    pub(crate) fn of_client(&self) -> Self {
        Self {
            own_turns: Arc::new(Semaphore::new(AT_ONCE_OF_ONE)),
            ..self.clone()
        }
    }

    /// What the node says of a block that lacks nothing but work (BIP-0023).
    pub(crate) async fn judge(&self, block: &Block) -> Judgement {
        let judged = timeout(PATIENCE, self.ask(block)).await;
        judged.unwrap_or_else(|_| {
            let seconds = PATIENCE.as_secs();
            Judgement::Unavailable(format!("the node did not judge the job within {seconds} s"))
        })
    }

    async fn ask(&self, block: &Block) -> Judgement {
        // They fail only once the semaphores are closed, which nobody does.
        let _own_turn = self.own_turns.acquire().await;
        let _turn = self.turns.acquire().await;
        let params = json!([{ "mode": "proposal", "data": block.to_hex() }]);
        let answer: Result<Option<String>, NodeError> =
            self.node.call("getblocktemplate", params).await;
        match answer {
            Ok(None) => Judgement::Valid,
            Ok(Some(reason)) => match reason.as_str() {
                "inconclusive-not-best-prevblk" => Judgement::NotBest,
                // The very same block was mined.
                "duplicate" => Judgement::Valid,
                _ => Judgement::Invalid(reason),
            },
            Err(NodeError::Rpc {
                code: NOT_A_BLOCK,
                message,
                ..
            }) => Judgement::Invalid(message),
            Err(error) => Judgement::Unavailable(error.to_string()),
        }
    }
}
