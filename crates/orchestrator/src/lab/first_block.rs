//! Waiting for the first block that the lab's own miner found.

use std::time::Duration;

use anyhow::Result;
use bitcoin::{Block, BlockHash};
use tokio::time::Instant;

use crate::fault::Fault;
use crate::rpc::Rpc;

/// Pause between two looks at the chain.
const POLL: Duration = Duration::from_millis(10);
/// A miner paced to a block every ten seconds finds one in this time, with plenty to spare.
const DEADLINE: Duration = Duration::from_secs(60);

/// A block of the lab's own miner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstBlock {
    /// Its height.
    pub height: u64,
    /// Its hash.
    pub hash: BlockHash,
    /// When the node had it, since the command began.
    pub after: Duration,
}

/// Waits for a block above the height `above` whose coinbase carries the pool's signature.
pub(super) async fn wait(
    rpc: &Rpc,
    signature: &[u8],
    above: u64,
    began: Instant,
) -> Result<FirstBlock> {
    let deadline = Instant::now() + DEADLINE;
    let mut looked_at = above;
    loop {
        while looked_at < rpc.block_count().await? {
            looked_at += 1;
            let hash = rpc.block_hash(looked_at).await?;
            if carries(&rpc.block(hash).await?, signature) {
                return Ok(FirstBlock {
                    height: looked_at,
                    hash,
                    after: began.elapsed(),
                });
            }
        }
        if Instant::now() > deadline {
            return Err(Fault::failed(
                format!(
                    "everything is ready, but no block of our own miner came within {} s (the \
                     chain is at height {looked_at})",
                    DEADLINE.as_secs()
                ),
                "look at what it waits for: lab up --keep, then lab logs mining-device pool; or \
                 do not wait: --no-wait-block",
            )
            .into());
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Whether the coinbase's input holds these bytes.
fn carries(block: &Block, signature: &[u8]) -> bool {
    let script = block
        .coinbase()
        .and_then(|coinbase| coinbase.input.first())
        .map(|input| input.script_sig.as_bytes());
    let holds = |script: &[u8]| script.windows(signature.len()).any(|w| w == signature);
    signature.is_empty() || script.is_some_and(holds)
}

#[cfg(test)]
mod tests {
    use bitcoin::Network;
    use bitcoin::blockdata::constants::genesis_block;

    use super::*;

    #[test]
    fn a_signature_is_found_inside_the_coinbase_only_whole() {
        let block = genesis_block(Network::Regtest);
        assert!(carries(&block, b"The Times 03/Jan/2009"));
        assert!(!carries(&block, b"/sv2-lab/"));
        assert!(carries(&block, b""));
    }
}
