//! The node, as far as declarations depend on it.

use std::cmp::Ordering;

use protocol::coinbase::Header;

/// What the next block is built on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tip {
    /// Its hash, in header order.
    pub hash: [u8; 32],
    /// Its height.
    pub height: u32,
    /// The compact target of the next block.
    pub n_bits: u32,
    /// Unix seconds; the next block must be later.
    pub median_time: u32,
}

impl Tip {
    /// The header of a block that lacks nothing but work.
    pub(super) fn header<'a>(
        &'a self,
        version: u32,
        merkle_root: &'a [u8; 32],
        now_unix: u64,
    ) -> Header<'a> {
        let now = u32::try_from(now_unix).unwrap_or(u32::MAX);
        Header {
            version,
            prev_hash: &self.hash,
            merkle_root,
            ntime: now.max(self.median_time.saturating_add(1)),
            n_bits: self.n_bits,
            nonce: 0,
        }
    }
}

/// How the node looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeView {
    /// Not reached yet, or lost.
    Away {
        /// Why, and what to look at.
        reason: String,
    },
    /// It still downloads the chain.
    Syncing,
    /// It builds on this block.
    At(Tip),
}

/// Where a job stands that is for a certain height.
pub(super) enum Place {
    /// It is for the next block.
    Next(Tip),
    /// The node is behind, or away: it may come to it.
    Ahead,
    /// The node has a block there.
    Past,
}

impl NodeView {
    /// The tip, if there is one to build on.
    pub fn tip(&self) -> Option<&Tip> {
        match self {
            Self::At(tip) => Some(tip),
            Self::Away { .. } | Self::Syncing => None,
        }
    }

    pub(super) fn place(&self, height: u32) -> Place {
        let Some(tip) = self.tip() else {
            return Place::Ahead;
        };
        match height.cmp(&tip.height.saturating_add(1)) {
            Ordering::Less => Place::Past,
            Ordering::Equal => Place::Next(*tip),
            Ordering::Greater => Place::Ahead,
        }
    }
}
