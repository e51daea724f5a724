use proptest::prelude::*;

use super::*;

/// `count` bytes, different for each seed.
fn bytes_of(seed: u8, count: usize) -> Vec<u8> {
    (0..count)
        .map(|i| (i as u8).wrapping_mul(31).wrapping_add(seed))
        .collect()
}

#[test]
fn a_message_with_a_hole_hashes_like_the_whole_message() {
    // Every place of the hole and of the end within a block.
    for start in 0..130 {
        for end in (0..130).chain([1000]) {
            let (start, end) = (bytes_of(1, start), bytes_of(2, end));
            let halves = start.split_at(start.len() / 2);
            let midstate = Midstate::new(&[halves.0, halves.1], 16, &end);
            for unknown in [[0; 16], [255; 16]] {
                let whole = [&start[..], &unknown, &end].concat();
                assert_eq!(midstate.sha256d(&unknown), sha256d(&whole));
            }
        }
    }
}

#[test]
fn a_hole_may_have_any_length_up_to_a_block() {
    for unknown in 0..=64 {
        let (start, end, bytes) = (bytes_of(1, 77), bytes_of(2, 87), bytes_of(3, unknown));
        let midstate = Midstate::new(&[&start], unknown, &end);
        let whole = [&start[..], &bytes, &end].concat();
        assert_eq!(midstate.sha256d(&bytes), sha256d(&whole));
    }
}

#[test]
fn a_wrong_length_gives_a_hash_and_no_panic() {
    let midstate = Midstate::new(&[&[1; 70]], 16, &[2; 10]);
    assert_ne!(midstate.sha256d(&[0; 3]), midstate.sha256d(&[9; 500]));
}

proptest! {
    #[test]
    fn a_header_hashes_like_any_bytes(first: [u8; 32], rest: [u8; 48]) {
        let bytes = [&first[..], &rest].concat().try_into().unwrap();
        prop_assert_eq!(header(&bytes), sha256d(&bytes));
    }

    #[test]
    fn folding_a_path_hashes_pairs(leaf: [u8; 32], path in prop::collection::vec(any::<[u8; 32]>(), 0..14)) {
        let pair = |node: [u8; 32], sibling: &[u8; 32]| sha256d(&[node, *sibling].concat());
        prop_assert_eq!(merkle_root(leaf, &path), path.iter().fold(leaf, pair));
    }
}
