//! The chain as the explorer knows it: every block in short, the newest ones whole, and what was
//! replaced. A plain value; one task owns it and keeps it at the node's tip.

mod index;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use bitcoin::consensus::encode::serialize;
use bitcoin::{Block, BlockHash};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::coinbase::{self, Maker};

pub use index::{Coin, Index, ScriptHash, Summary, Touch, script_hash};

/// Serialized bytes of the newest blocks that are kept whole.
const WHOLE_BYTES: usize = 4 << 20;
/// The newest blocks that are kept whole.
const WHOLE_BLOCKS: usize = 256;
/// Replaced blocks that are remembered: the newest.
const MAX_STALE: usize = 1000;
/// Reorganisations that are remembered: the newest.
const MAX_REORGS: usize = 100;
/// Signatures that blocks share in memory; further ones cost each block its own.
const MAX_SIGNATURES: usize = 4096;

/// A block in short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brief {
    /// Its hash.
    pub hash: BlockHash,
    /// The block below it.
    pub previous: BlockHash,
    /// Blocks below it.
    pub height: u32,
    /// Its header's time, in Unix seconds.
    pub time: u32,
    /// When it was first seen, in milliseconds since 1970; 0 if it was there before the explorer.
    pub arrived_ms: u64,
    /// How many it has, the coinbase included.
    pub transactions: u32,
    /// Serialized bytes.
    pub size: u32,
    /// BIP-0141.
    pub weight: u32,
    /// Satoshis that the coinbase pays out.
    pub reward: u64,
    /// Who made it, as far as its coinbase tells.
    pub maker: Maker,
}

/// Blocks that others took the place of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reorg {
    /// When it was noticed, in milliseconds since 1970.
    pub at_ms: u64,
    /// The highest block that stayed.
    pub fork: u32,
    /// The tip that was.
    pub old_tip: BlockHash,
    /// Its height.
    pub old_height: u32,
}

/// The end of a branch, as the node tells of it (`getchaintips`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Tip {
    /// Blocks below it.
    pub height: u32,
    /// Its hash.
    #[schema(value_type = String)]
    pub hash: BlockHash,
    /// Blocks of the branch that are not in the chain.
    #[serde(rename = "branchlen")]
    pub branch_len: u32,
    /// `active`, `valid-fork`, `valid-headers`, `headers-only` or `invalid`.
    pub status: String,
}

/// A block that does not stand on the chain's tip.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the block does not stand on the tip")]
pub struct NotOnTip;

/// The chain.
#[derive(Debug)]
pub struct Chain {
    max_blocks: usize,
    /// From height `base` on, without gaps.
    blocks: VecDeque<Brief>,
    base: u32,
    heights: HashMap<BlockHash, u32>,
    /// The newest, the tip last.
    whole: VecDeque<(Arc<Block>, usize)>,
    whole_bytes: usize,
    /// Replaced, the newest last.
    stale: VecDeque<Brief>,
    /// The newest last.
    reorgs: VecDeque<Reorg>,
    /// `None` once the chain is longer than what is kept.
    index: Option<Index>,
    tips: Vec<Tip>,
    signatures: HashSet<Arc<str>>,
}

impl Chain {
    /// Without blocks; at most the newest `max_blocks` are kept, and the first one beside them.
    pub fn new(max_blocks: usize) -> Self {
        Self {
            max_blocks: max_blocks.max(1),
            blocks: VecDeque::new(),
            base: 0,
            heights: HashMap::new(),
            whole: VecDeque::new(),
            whole_bytes: 0,
            stale: VecDeque::new(),
            reorgs: VecDeque::new(),
            index: Some(Index::default()),
            tips: Vec::new(),
            signatures: HashSet::new(),
        }
    }

    /// The highest block.
    pub fn tip(&self) -> Option<&Brief> {
        self.blocks.back()
    }

    /// How many blocks are kept at most, not counting the first one.
    pub fn max_blocks(&self) -> usize {
        self.max_blocks
    }

    /// The lowest height that is kept.
    pub fn base(&self) -> u32 {
        self.base
    }

    /// How many blocks are kept.
    pub fn len(&self) -> usize {
        self.blocks.len()
    }

    /// How many of them somebody mined: all but the first one.
    pub fn mined(&self) -> usize {
        self.blocks.len() - usize::from(self.at(0).is_some())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// Of the chain.
    pub fn at(&self, height: u32) -> Option<&Brief> {
        self.blocks.get(height.checked_sub(self.base)? as usize)
    }

    /// Of the chain, by its hash.
    pub fn find(&self, hash: &BlockHash) -> Option<&Brief> {
        self.at(*self.heights.get(hash)?)
    }

    /// One that is not in the chain.
    pub fn find_stale(&self, hash: &BlockHash) -> Option<&Brief> {
        self.stale.iter().rev().find(|brief| brief.hash == *hash)
    }

    /// Whole, if it is one of the newest of the chain.
    pub fn whole(&self, hash: &BlockHash) -> Option<Arc<Block>> {
        let height = self.find(hash)?.height;
        let above = self.tip()?.height.checked_sub(height)? as usize;
        let place = self.whole.len().checked_sub(above + 1)?;
        self.whole.get(place).map(|(block, _)| Arc::clone(block))
    }

    /// Downwards from `height`.
    pub fn down_from(&self, height: u32) -> impl Iterator<Item = &Brief> {
        let above = self
            .tip()
            .map_or(0, |tip| tip.height.saturating_sub(height) as usize);
        self.blocks.iter().rev().skip(above)
    }

    /// Blocks that others took the place of, the newest first.
    pub fn stale(&self) -> impl Iterator<Item = &Brief> {
        self.stale.iter().rev()
    }

    /// Those that were noticed, the newest first.
    pub fn reorgs(&self) -> impl Iterator<Item = &Reorg> {
        self.reorgs.iter().rev()
    }

    /// Transactions by address; `None` when the chain is longer than what is kept.
    pub fn index(&self) -> Option<&Index> {
        self.index.as_ref()
    }

    /// What the node said last of its branches.
    pub fn tips(&self) -> &[Tip] {
        &self.tips
    }

    /// The node says this now.
    pub fn set_tips(&mut self, tips: Vec<Tip>) {
        self.tips = tips;
    }

    /// Puts a block on the tip. The first one is at `height` if the chain is empty.
    ///
    /// # Errors
    /// It belongs elsewhere.
    pub fn connect(&mut self, block: Block, height: u32, arrived_ms: u64) -> Result<(), NotOnTip> {
        match self.tip() {
            Some(tip) if tip.hash != block.header.prev_blockhash || tip.height + 1 != height => {
                return Err(NotOnTip);
            }
            Some(_) => {}
            None => self.base = height,
        }
        if height > 0 && self.base == height {
            // Not all of the chain is known from here on.
            self.index = None;
        }
        let mut brief = self.brief(&block, height);
        // One that comes back was seen before.
        let earlier = self.stale.iter().position(|old| old.hash == brief.hash);
        let earlier = earlier.and_then(|place| self.stale.remove(place));
        brief.arrived_ms = earlier.map_or(arrived_ms, |old| old.arrived_ms);
        if let Some(index) = &mut self.index {
            index.connect(&block, height);
            if index.is_full() {
                self.index = None;
            }
        }
        self.heights.insert(brief.hash, height);
        let size = brief.size as usize;
        self.blocks.push_back(brief);
        self.whole.push_back((Arc::new(block), size));
        self.whole_bytes += size;
        while self.whole.len() > WHOLE_BLOCKS || self.whole_bytes > WHOLE_BYTES {
            match self.whole.pop_front() {
                Some((_, size)) => self.whole_bytes -= size,
                None => break,
            }
        }
        while self.mined() > self.max_blocks {
            self.forget_lowest();
        }
        Ok(())
    }

    /// Takes away every block above `fork`, because the node has others there now.
    pub fn roll_back(&mut self, fork: u32, at_ms: u64) {
        let Some(tip) = self.tip() else { return };
        let reorg = Reorg {
            at_ms,
            fork,
            old_tip: tip.hash,
            old_height: tip.height,
        };
        let mut replaced = Vec::new();
        while self.tip().is_some_and(|tip| tip.height > fork) {
            if let Some(brief) = self.blocks.pop_back() {
                self.heights.remove(&brief.hash);
                replaced.push(brief);
            }
            if let Some((_, size)) = self.whole.pop_back() {
                self.whole_bytes -= size;
            }
        }
        if replaced.is_empty() {
            return;
        }
        if fork == 0 {
            // Nothing but the first block is left: this is another lab.
            self.stale.clear();
            self.reorgs.clear();
        } else {
            if self.reorgs.len() == MAX_REORGS {
                self.reorgs.pop_front();
            }
            self.reorgs.push_back(reorg);
            for brief in replaced.into_iter().rev() {
                self.remember(brief);
            }
        }
        if let Some(index) = &mut self.index {
            index.roll_back(fork);
        }
    }

    /// Remembers a block that is not in the chain.
    pub fn add_stale(&mut self, block: &Block, height: u32) {
        let brief = self.brief(block, height);
        if !self.heights.contains_key(&brief.hash) && self.find_stale(&brief.hash).is_none() {
            self.remember(brief);
        }
    }

    /// Forgets everything: the node has another chain, down to its first block.
    pub fn clear(&mut self) {
        *self = Self::new(self.max_blocks);
    }

    fn remember(&mut self, brief: Brief) {
        if self.stale.len() == MAX_STALE {
            self.stale.pop_front();
        }
        self.stale.push_back(brief);
    }

    fn forget_lowest(&mut self) {
        if let Some(lowest) = self.blocks.pop_front() {
            self.heights.remove(&lowest.hash);
            self.base = lowest.height + 1;
        }
        self.index = None;
    }

    fn brief(&mut self, block: &Block, height: u32) -> Brief {
        let coinbase = block.txdata.first();
        let maker = coinbase.map_or(Maker::Unknown, |coinbase| {
            self.shared(coinbase::maker(coinbase, height))
        });
        let outputs = coinbase.into_iter().flat_map(|coinbase| &coinbase.output);
        Brief {
            hash: block.block_hash(),
            previous: block.header.prev_blockhash,
            height,
            time: block.header.time,
            arrived_ms: 0,
            transactions: block.txdata.len() as u32,
            size: block.total_size() as u32,
            weight: block.weight().to_wu() as u32,
            reward: outputs.map(|output| output.value.to_sat()).sum(),
            maker,
        }
    }

    /// The same, with a signature that others have too.
    fn shared(&mut self, maker: Maker) -> Maker {
        let Maker::Signed(text) = maker else {
            return maker;
        };
        if let Some(known) = self.signatures.get(&text) {
            return Maker::Signed(Arc::clone(known));
        }
        if self.signatures.len() < MAX_SIGNATURES {
            self.signatures.insert(Arc::clone(&text));
        }
        Maker::Signed(text)
    }
}

/// The 80 bytes that are hashed.
pub fn header_bytes(block: &Block) -> Vec<u8> {
    serialize(&block.header)
}

#[cfg(test)]
mod tests;
