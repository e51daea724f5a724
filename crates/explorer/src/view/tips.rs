//! Branches beside the chain, and how the chain turned.

use serde::Serialize;
use utoipa::ToSchema;

use super::tree::Tree;
use super::{App, BlockLine};
use crate::chain::{Brief, Chain, Tip};
use crate::service::Board;

/// Blocks of a branch shown.
const MAX_BRANCH: usize = 50;
/// Branches and turns shown.
const MAX_SHOWN: usize = 20;

/// Branches and turns.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Tips {
    /// Null until a block is known.
    pub(crate) tree: Option<Tree>,
    /// As the node tells of them.
    pub(crate) tips: Vec<Tip>,
    /// The highest first.
    pub(crate) forks: Vec<Fork>,
    /// Those that the explorer saw, the newest first.
    pub(crate) turns: Vec<Turn>,
}

/// Two branches on one block.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Fork {
    /// The highest block both have.
    pub(crate) height: u32,
    pub(crate) hash: Option<String>,
    /// Of the branch: as the node says it.
    pub(crate) status: String,
    /// The branch that is not the chain, from the fork upwards.
    pub(crate) branch: Vec<BlockLine>,
    /// The chain at the same heights and one above.
    pub(crate) chain: Vec<BlockLine>,
}

/// The chain left some blocks for others.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Turn {
    pub(crate) at_ms: u64,
    /// The highest block that stayed.
    pub(crate) fork: u32,
    /// Blocks that were left.
    pub(crate) depth: u32,
    pub(crate) old_tip: String,
    pub(crate) old_height: u32,
}

impl Tips {
    pub(crate) fn of(app: &App) -> Self {
        let chain = app.chain.borrow();
        let turns = chain.reorgs().take(MAX_SHOWN).map(|reorg| Turn {
            at_ms: reorg.at_ms,
            fork: reorg.fork,
            depth: reorg.old_height - reorg.fork,
            old_tip: reorg.old_tip.to_string(),
            old_height: reorg.old_height,
        });
        let tips = chain.tips();
        let beside = tips.iter().filter(|tip| tip.branch_len > 0);
        let forks = beside.take(MAX_SHOWN);
        Self {
            tree: Tree::of(&chain, &app.board),
            forks: forks.map(|tip| Fork::of(tip, &chain, &app.board)).collect(),
            turns: turns.collect(),
            tips: tips.to_vec(),
        }
    }
}

impl Fork {
    fn of(tip: &Tip, chain: &Chain, board: &Board) -> Self {
        let mut branch = Vec::new();
        let mut hash = tip.hash;
        while let Some(brief) = chain.find_stale(&hash)
            && branch.len() < MAX_BRANCH
        {
            hash = brief.previous;
            branch.push(BlockLine::of(brief, board));
        }
        branch.reverse();
        let height = tip.height.saturating_sub(tip.branch_len);
        let above = (height + 1..=tip.height + 1).take(MAX_BRANCH);
        let line = |brief: &Brief| BlockLine::of(brief, board);
        Self {
            height,
            hash: chain.at(height).map(|brief| brief.hash.to_string()),
            status: tip.status.clone(),
            branch,
            chain: above
                .filter_map(|height| chain.at(height))
                .map(line)
                .collect(),
        }
    }
}
