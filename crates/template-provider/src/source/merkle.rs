//! The coinbase's place in a block's merkle tree.

pub(super) use protocol::coinbase::merkle_root as fold;

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

/// The hash of two hashes: a tree with one level.
pub(super) fn node(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    fold(*left, &[*right])
}

#[cfg(test)]
mod tests;
