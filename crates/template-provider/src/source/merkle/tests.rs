use bitcoin::merkle_tree::calculate_root;
use proptest::prelude::*;

use bitcoin::hashes::{Hash, sha256d};

use super::*;

/// SV2 5.3.16 and 7.2, trap "empty blocks hide merkle bugs": against an independent root.
#[track_caller]
fn check(leaves: &[[u8; 32]]) {
    let path = path(leaves[1..].iter().copied());
    let hashes = leaves.iter().copied().map(sha256d::Hash::from_byte_array);
    let root = calculate_root(hashes).unwrap();
    assert_eq!(fold(leaves[0], &path), root.to_byte_array());
    let depth = leaves.len().next_power_of_two().trailing_zeros();
    assert_eq!(path.len(), depth as usize);
}

fn leaf(number: u16) -> [u8; 32] {
    sha256d::Hash::hash(&number.to_le_bytes()).to_byte_array()
}

#[test]
fn coinbase_alone_is_the_root() {
    assert_eq!(path(std::iter::empty()), Vec::<[u8; 32]>::new());
    assert_eq!(fold(leaf(7), &[]), leaf(7));
}

#[test]
fn path_leads_to_the_root_for_every_small_number_of_leaves() {
    for count in 1..=70 {
        check(&(0..count).map(leaf).collect::<Vec<_>>());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn path_leads_to_the_root(leaves in prop::collection::vec(any::<[u8; 32]>(), 1..600)) {
        check(&leaves);
    }
}
