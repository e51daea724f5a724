//! Waiting for the first block on each way from a miner to the chain.

use std::time::Duration;

use anyhow::Result;
use bitcoin::{Block, BlockHash, Network};
use tokio::time::Instant;

use crate::fault::Fault;
use crate::progress::{Event, Progress};
use crate::rpc::Rpc;
use crate::topology::MiningPath;

/// Pause between two looks at the chain.
const POLL: Duration = Duration::from_millis(10);
/// How long to wait for blocks on a chain.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// What comes by itself has come by then.
    first_hurry: Duration,
    /// A miner whose block lost against another one's gets on with the next after this time.
    hurry: Duration,
    /// A miner finds a block in this time, with plenty to spare.
    deadline: Duration,
}

impl Pace {
    fn on(network: Network) -> Self {
        match network {
            // Miners are paced to a block every ten seconds.
            Network::Regtest => Self {
                first_hurry: Duration::from_millis(500),
                hurry: Duration::from_millis(500),
                deadline: Duration::from_secs(60),
            },
            // One in a hurry takes a second, or several where others want the processor, too.
            _ => Self {
                first_hurry: Duration::from_secs(2),
                hurry: Duration::from_secs(15),
                deadline: Duration::from_secs(240),
            },
        }
    }
}

/// The first block of a miner of the lab.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstBlock {
    /// The way it came: everybody its share passed, the miner first.
    pub path: Vec<String>,
    /// Its height.
    pub height: u64,
    /// Its hash.
    pub hash: BlockHash,
    /// When the node had it, since the command began.
    pub after: Duration,
}

/// What came before the blocks that are waited for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Since {
    /// The chain's height.
    pub(super) above: u64,
    /// When the command began.
    pub(super) began: Instant,
    /// The chain.
    pub(super) network: Network,
}

/// Waits until each path has a block of its own, told by its signature in the
/// coinbase. `hurry` lets a miner find its next block without a pause: two miners may find their
/// first ones at the same moment, and only one of them stays in the chain.
pub(super) async fn wait(
    rpc: &Rpc,
    paths: Vec<MiningPath>,
    since: Since,
    progress: Progress<'_>,
    hurry: impl AsyncFn(&str),
) -> Result<Vec<FirstBlock>> {
    let Since {
        above,
        began,
        network,
    } = since;
    let pace = Pace::on(network);
    let deadline = Instant::now() + pace.deadline;
    let mut hurry_at = Instant::now() + pace.first_hurry;
    let mut looked_at = above;
    let mut missing = paths;
    let mut found = Vec::new();
    loop {
        while looked_at < rpc.block_count().await? {
            looked_at += 1;
            let hash = rpc.block_hash(looked_at).await?;
            let block = rpc.block(hash).await?;
            let is_of = |path: &MiningPath| carries(&block, path.signature.as_bytes());
            let (here, others) = missing.into_iter().partition(is_of);
            missing = others;
            for path in here {
                let after = began.elapsed();
                progress(Event::FirstBlock {
                    path: path.hops.clone(),
                    after,
                });
                found.push(FirstBlock {
                    path: path.hops,
                    height: looked_at,
                    hash,
                    after,
                });
            }
        }
        if missing.is_empty() {
            return Ok(found);
        }
        if Instant::now() > deadline {
            return Err(none(&missing, looked_at, pace.deadline).into());
        }
        if Instant::now() > hurry_at {
            for miner in missing.iter().filter_map(|path| path.hops.first()) {
                hurry(miner).await;
            }
            hurry_at = Instant::now() + pace.hurry;
        }
        tokio::time::sleep(POLL).await;
    }
}

fn none(missing: &[MiningPath], height: u64, deadline: Duration) -> Fault {
    let paths: Vec<_> = missing.iter().map(|path| path.hops.join(" -> ")).collect();
    let hops = missing.first().map(|path| path.hops.join(" "));
    Fault::failed(
        format!(
            "everything is ready, but no block came through {} within {} s (the chain is at \
             height {height})",
            paths.join(", nor through "),
            deadline.as_secs()
        ),
        format!(
            "look at what it waits for: lab up --keep, then lab logs {}; or do not wait: \
             --no-wait-block",
            hops.unwrap_or_default()
        ),
    )
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
