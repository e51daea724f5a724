//! The coinbase's place in a block's merkle tree.

use bitcoin::hashes::{Hash, HashEngine, sha256d};

/// The hashes that [`fold`] needs to get from the leftmost leaf to the root, deepest first, given
/// the leaves to the right of it.
pub(super) fn path(others: impl Iterator<Item = [u8; 32]>) -> Vec<[u8; 32]> {
    let mut path = Vec::new();
    // A level of the tree without its leftmost node, which only the client will know.
    let mut level: Vec<_> = others.collect();
    while let Some((sibling, rest)) = level.split_first() {
        path.push(*sibling);
        // A level's last node without a partner is its own.
        let parent = |pair: &[[u8; 32]]| node(&pair[0], pair.last().unwrap_or(&pair[0]));
        level = rest.chunks(2).map(parent).collect();
    }
    path
}

/// The root above the leftmost leaf (SV2 5.3.16).
pub(super) fn fold(leaf: [u8; 32], path: &[[u8; 32]]) -> [u8; 32] {
    path.iter().fold(leaf, |left, right| node(&left, right))
}

/// The hash of two hashes.
pub(super) fn node(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    let mut engine = sha256d::Hash::engine();
    engine.input(left);
    engine.input(right);
    sha256d::Hash::from_engine(engine).to_byte_array()
}

#[cfg(test)]
mod tests;
