use super::*;

#[track_caller]
fn check_weight(max_additional_size: u32, expected: u64) {
    let constraints = Constraints {
        max_additional_size,
        max_additional_sigops: 0,
    };
    assert_eq!(constraints.block_reserved_weight(), expected);
}

// TPS-19
#[test]
fn reserved_weight_is_base_and_four_per_byte_but_never_below_the_nodes_floor() {
    check_weight(0, 2_000);
    check_weight(208, 2_000);
    check_weight(209, 2_004);
    check_weight(100_000, 1_168 + 400_000);
    check_weight(u32::MAX, 1_168 + 4 * u64::from(u32::MAX));
}

// TPS-23
#[test]
fn constraints_above_a_whole_block_are_impossible() {
    let possible = |max_additional_size| {
        Constraints {
            max_additional_size,
            max_additional_sigops: u16::MAX,
        }
        .is_possible()
    };
    assert!(possible(999_708), "the reserve is exactly one block");
    assert!(!possible(999_709));
    assert!(!possible(u32::MAX));
}
