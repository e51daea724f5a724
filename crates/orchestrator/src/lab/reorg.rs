//! A chain that turns: the newest blocks are replaced by one more of the node's own.

use std::time::Duration;

use anyhow::Result;
use bitcoin::BlockHash;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::overview::{BlockView, TemplateView};
use super::{Lab, MinedBlock, MinedBy};
use crate::fault::Fault;
use crate::progress::{Event, Progress};
use crate::service::btc_node::BOOTSTRAP_BLOCKS;

/// How long pools and clients may take to see it.
const PATIENCE: Duration = Duration::from_secs(15);
/// Pause between two looks.
const POLL: Duration = Duration::from_millis(100);

/// What was replaced, and what everybody makes of it.
#[derive(Debug, Clone, Serialize)]
pub struct Reorg {
    /// Blocks that are in the chain no longer, the lowest first.
    pub replaced: Vec<BlockHash>,
    /// Those that are instead, one more.
    pub mined: Vec<MinedBlock>,
    /// The replaced ones in the pools' ledgers, with what these say of them now.
    pub ledger: Vec<BlockView>,
    /// What miners of pools and clients work on now.
    pub templates: Vec<TemplateView>,
    /// Whether everybody has seen it: no ledger holds a replaced block for accepted, and all work
    /// is on the new chain.
    pub settled: bool,
}

impl Lab {
    /// Replaces the newest `depth` blocks, and waits until pools and clients have seen it.
    ///
    /// # Errors
    /// When the chain is not that long, or the node refuses.
    pub async fn reorg(&self, depth: u64, progress: Progress<'_>) -> Result<Reorg> {
        let rpc = self.rpc()?;
        let tip = rpc.block_count().await?;
        if tip < BOOTSTRAP_BLOCKS + depth {
            return Err(Fault::usage(
                format!(
                    "the chain has {} blocks above the first {BOOTSTRAP_BLOCKS}, too few for a \
                     depth of {depth}",
                    tip.saturating_sub(BOOTSTRAP_BLOCKS)
                ),
                format!("mine more, or take fewer: lab mine {depth}"),
            )
            .into());
        }
        let mut replaced = Vec::new();
        for height in tip - depth + 1..=tip {
            replaced.push(rpc.block_hash(height).await?);
        }
        progress(Event::Step(format!("replacing {depth} blocks")));
        rpc.call::<Value>("invalidateblock", json!([replaced[0]]))
            .await?;
        // What was found meanwhile makes the new chain only longer.
        let mined = self.mine(depth + 1, MinedBy::Rpc, progress).await?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            progress(Event::Step("asking pools and clients".to_owned()));
            let seen = self.overview().await?;
            let is_replaced =
                |block: &BlockView| replaced.iter().any(|hash| hash.to_string() == block.hash);
            let ledger: Vec<BlockView> = seen.blocks.into_iter().filter(is_replaced).collect();
            let height = seen.chain.map_or(0, |chain| chain.height);
            let settled = is_settled(&ledger, &seen.templates, height);
            if settled || Instant::now() > deadline {
                return Ok(Reorg {
                    replaced,
                    mined,
                    ledger,
                    templates: seen.templates,
                    settled,
                });
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

fn is_settled(ledger: &[BlockView], templates: &[TemplateView], height: u64) -> bool {
    let is_out = |block: &BlockView| !matches!(block.verdict.as_deref(), None | Some("accepted"));
    let is_on = |template: &TemplateView| template.height == Some(height + 1);
    ledger.iter().all(is_out) && templates.iter().all(is_on)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(verdict: Option<&str>) -> BlockView {
        BlockView {
            height: Some(5),
            hash: String::new(),
            time_ms: 0,
            pool: "pool".to_owned(),
            user: String::new(),
            worker: None,
            declared: false,
            verdict: verdict.map(str::to_owned),
        }
    }

    fn template(height: u64) -> TemplateView {
        TemplateView {
            service: "pool".to_owned(),
            height: Some(height),
            age_ms: None,
            value: None,
            fees: None,
            transactions: None,
            weight: None,
            left_out: None,
        }
    }

    #[test]
    fn it_is_settled_when_ledgers_and_templates_agree_with_the_chain() {
        for (verdict, height, expected) in [
            (Some("stale"), 8, true),
            (Some("accepted"), 8, false),
            (None, 8, false),
            (Some("stale"), 7, false),
        ] {
            let settled = is_settled(&[block(verdict)], &[template(height)], 7);
            assert_eq!(settled, expected, "{verdict:?} {height}");
        }
        assert!(is_settled(&[], &[], 7));
    }
}
