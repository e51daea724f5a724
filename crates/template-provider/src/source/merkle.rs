//! The coinbase's place in a block's merkle tree.

pub(super) use protocol::coinbase::{merkle_path as path, merkle_root as fold};

/// The hash of two hashes: a tree with one level.
pub(super) fn node(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    fold(*left, &[*right])
}
