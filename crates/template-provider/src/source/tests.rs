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

#[test]
fn fees_are_what_the_coinbase_may_pay_beyond_the_subsidy() {
    const COIN: u64 = 100_000_000;
    for (bits, height, value, fees) in [
        (REGTEST_BITS, 149, 50 * COIN + 7, Some(7)),
        (REGTEST_BITS, 150, 25 * COIN, Some(0)),
        // A private signet, on which nothing has halved yet.
        (0x1e03_77ae, 150, 50 * COIN + 9, Some(9)),
        (0x1d00_ffff, 210_000, 25 * COIN + 9, Some(9)),
        // Whoever sends such a template pays out less than there is.
        (REGTEST_BITS, 1, COIN, Some(0)),
    ] {
        let prefix = bitcoin::script::Builder::new().push_int(height);
        let template = Template {
            version: 0,
            coinbase_tx_version: 2,
            coinbase_prefix: prefix.into_bytes(),
            coinbase_tx_input_sequence: 0,
            coinbase_tx_value_remaining: value,
            coinbase_tx_outputs_count: 0,
            coinbase_tx_outputs: Vec::new(),
            coinbase_tx_locktime: 0,
            merkle_path: Vec::new(),
            prev_hash: [0; 32],
            header_timestamp: 0,
            n_bits: bits,
            target: [0xff; 32],
        };
        assert_eq!(template.fees(), fees, "{bits:x} {height}");
        let unread = Template {
            coinbase_prefix: Vec::new(),
            ..template
        };
        assert_eq!(unread.fees(), None);
    }
}
