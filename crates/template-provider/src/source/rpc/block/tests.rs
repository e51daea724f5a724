use bitcoin::absolute::LockTime;
use bitcoin::hashes::sha256d;
use bitcoin::{OutPoint, ScriptBuf, Sequence, TxIn, TxMerkleNode, Witness, transaction};
use proptest::prelude::*;

use super::*;

const REGTEST_BITS: u32 = 0x207f_ffff;
const SUBSIDY: u64 = 5_000_000_000;

fn numbered(number: u32) -> Transaction {
    Transaction {
        version: transaction::Version::TWO,
        lock_time: LockTime::from_consensus(number),
        input: vec![TxIn {
            previous_output: OutPoint::null(),
            script_sig: ScriptBuf::new(),
            sequence: Sequence::MAX,
            witness: Witness::from_slice(&[number.to_le_bytes()]),
        }],
        output: Vec::new(),
    }
}

/// A node's list whose transaction `n` pays `1,000 + n`.
fn offered(height: u32, count: u32) -> Rc<NodeTemplate> {
    let entry = |number| {
        let transaction = numbered(number);
        Entry {
            data: serialize(&transaction).into(),
            txid: transaction.compute_txid(),
            wtxid: transaction.compute_wtxid(),
            candidate: Candidate {
                depends: Vec::new(),
                fee: 1_000 + u64::from(number),
                needs: Room {
                    weight: transaction.weight().to_wu(),
                    sigops: 4,
                },
            },
        }
    };
    let fees: u64 = (0..count).map(|number| 1_000 + u64::from(number)).sum();
    Rc::new(NodeTemplate {
        id: "id".to_owned(),
        received: Instant::now(),
        version: 0x2000_0000,
        prev_hash: BlockHash::from_byte_array([7; 32]),
        height,
        coinbase_value: SUBSIDY + fees,
        bits: CompactTarget::from_consensus(REGTEST_BITS),
        time: 1_700_000_000,
        limits: Room {
            weight: 4_000_000,
            sigops: 80_000,
        },
        transactions: (0..count).map(entry).collect(),
    })
}

fn room_for(max_additional_size: u32, max_additional_sigops: u16) -> Constraints {
    Constraints {
        max_additional_size,
        max_additional_sigops,
    }
}

/// A coinbase built literally from a template's fields (SV2 7.2).
fn coinbase(template: &Template) -> Transaction {
    Transaction {
        version: transaction::Version(template.coinbase_tx_version.cast_signed()),
        lock_time: LockTime::from_consensus(template.coinbase_tx_locktime),
        input: vec![TxIn {
            previous_output: OutPoint::null(),
            script_sig: ScriptBuf::from(template.coinbase_prefix.clone()),
            sequence: Sequence(template.coinbase_tx_input_sequence),
            witness: Witness::from_slice(&[[0; 32]]),
        }],
        output: vec![deserialize(&template.coinbase_tx_outputs).unwrap()],
    }
}

fn solution(template: &Template) -> Solution {
    let coinbase = coinbase(template);
    let header = template.header(coinbase.compute_txid(), template.version, 1, 2);
    Solution {
        template_id: 1,
        block_hash: header.block_hash(),
        version: template.version,
        timestamp: 1,
        nonce: 2,
        coinbase: serialize(&coinbase),
    }
}

// TPS-13, T-35
#[test]
fn coinbase_prefix_is_the_minimal_push_of_the_height() {
    let cases: [(u32, &[u8]); 12] = [
        (1, &[0x51]),
        (2, &[0x52]),
        (16, &[0x60]),
        (17, &[1, 17]),
        (127, &[1, 127]),
        (128, &[2, 128, 0]),
        (255, &[2, 255, 0]),
        (256, &[2, 0, 1]),
        (32_767, &[2, 255, 127]),
        (32_768, &[3, 0, 128, 0]),
        (8_388_607, &[3, 255, 255, 127]),
        (8_388_608, &[4, 0, 0, 128, 0]),
    ];
    for (height, expected) in cases {
        assert_eq!(height_push(height), expected, "{height}");
    }
}

// TPS-10, TPS-11, TPS-12, TPS-14, TPS-15, TPS-18
#[test]
fn fields_are_the_nodes_or_those_of_its_own_coinbases() {
    let block = Block::new(offered(102, 0), room_for(100, 4));
    let template = block.template();
    assert_eq!(template.coinbase_tx_version, 2);
    assert_eq!(template.coinbase_tx_input_sequence, 0xffff_fffe);
    assert_eq!(template.coinbase_tx_locktime, 101);
    assert_eq!(template.coinbase_tx_value_remaining, SUBSIDY);
    assert_eq!(template.version, 0x2000_0000);
    assert_eq!(template.prev_hash, [7; 32]);
    assert_eq!(template.n_bits, REGTEST_BITS);
    assert_eq!(template.target[29..], [0xff, 0xff, 0x7f]);
    assert_eq!(template.target[..29], [0; 29]);
    assert_eq!(template.header_timestamp, 1_700_000_000);
    assert!(template.merkle_path.is_empty());
}

// TPS-15, TPS-16: 8 bytes of value, the script's length, OP_RETURN, a push of 36 bytes.
#[test]
fn commitment_is_there_without_any_transaction() {
    let block = Block::new(offered(1, 0), room_for(0, 0));
    let outputs = &block.template().coinbase_tx_outputs;
    assert_eq!(block.template().coinbase_tx_outputs_count, 1);
    assert_eq!(outputs.len(), 47);
    assert_eq!(
        outputs[..15],
        [&[0; 8][..], &[0x26, 0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed]].concat()
    );
    // The well-known commitment of a block with nothing but its coinbase.
    let empty = "e2f61c3f71d1defd3fa999dfa36953755c690689799962b48bebd836974e8cf9";
    assert_eq!(
        bitcoin::hex::DisplayHex::to_lower_hex_string(&outputs[15..]),
        empty
    );
}

#[test]
fn transactions_of_two_templates_are_held_once() {
    let earlier = offered(102, 3);
    let mut next = Rc::into_inner(offered(102, 5)).unwrap();
    next.share_data_with(&earlier);
    let is_shared = |place: usize| {
        let held = earlier.transactions.get(place);
        held.is_some_and(|held| Rc::ptr_eq(&held.data, &next.transactions[place].data))
    };
    assert_eq!(
        [0, 1, 2, 3, 4].map(is_shared),
        [true, true, true, false, false]
    );
}

// TPS-12
#[test]
fn template_asked_for_late_starts_at_the_time_it_is_asked_for() {
    let mut node = Rc::into_inner(offered(102, 0)).unwrap();
    node.received -= Duration::from_secs(90);
    let block = Block::new(Rc::new(node), room_for(0, 0));
    assert!((1_700_000_090..1_700_000_100).contains(&block.template().header_timestamp));
}

#[test]
fn solution_with_garbage_for_a_coinbase_is_no_block() {
    let block = Block::new(offered(102, 3), room_for(0, 0));
    let mut solution = solution(block.template());
    solution.coinbase.pop();
    block.solved(&solution).unwrap_err();
}

/// The block must be what an independent implementation takes for one.
#[track_caller]
fn check_block(block: &Block) -> bitcoin::Block {
    let template = block.template();
    let solution = solution(template);
    let parsed: bitcoin::Block = deserialize(&block.solved(&solution).unwrap()).unwrap();
    assert_eq!(parsed.block_hash(), solution.block_hash);
    assert!(parsed.check_merkle_root(), "TPS-17");
    assert!(parsed.check_witness_commitment(), "TPS-16");
    let root = protocol::coinbase::merkle_root(
        parsed.txdata[0].compute_txid().to_byte_array(),
        &template.merkle_path,
    );
    let root = TxMerkleNode::from_raw_hash(sha256d::Hash::from_byte_array(root));
    assert_eq!(parsed.header.merkle_root, root);
    parsed
}

// TPS-16, TPS-17, TPS-24, T-34
#[test]
fn block_of_any_size_is_whole() {
    for count in [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 252, 253, 2_000] {
        let parsed = check_block(&Block::new(offered(102, count), room_for(100, 4)));
        let expected: Vec<_> = (0..count).map(numbered).collect();
        assert_eq!(parsed.txdata[1..], expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    // TPS-14, TPS-16, TPS-17, TPS-19, TPS-20, TPS-21, T-36
    #[test]
    fn block_under_any_constraints_is_whole_and_leaves_the_room_asked_for(
        count in 0_u32..60,
        missing in 0_u64..16_000,
        max_additional_sigops in prop_oneof![0_u16..400, Just(u16::MAX)],
        sigop_limit in prop_oneof![0_u64..800, Just(80_000)],
    ) {
        let mut node = Rc::into_inner(offered(102, count)).unwrap();
        node.limits.sigops = sigop_limit;
        let size = u32::try_from((4_000_000 - 1_168 - missing) / 4).unwrap();
        let constraints = room_for(size, max_additional_sigops);
        let node = Rc::new(node);
        let block = Block::new(Rc::clone(&node), constraints);
        let parsed = check_block(&block);

        let weight: u64 = parsed.txdata[1..].iter().map(|tx| tx.weight().to_wu()).sum();
        prop_assert!(weight + constraints.block_reserved_weight() <= 4_000_000);
        let sigops = 4 * (parsed.txdata.len() as u64 - 1);
        prop_assert!(sigops == 0 || sigops + u64::from(max_additional_sigops) <= sigop_limit);
        let paid: u64 = parsed.txdata[1..]
            .iter()
            .map(|tx| 1_000 + u64::from(tx.lock_time.to_consensus_u32()))
            .sum();
        prop_assert_eq!(block.template().coinbase_tx_value_remaining, SUBSIDY + paid);
    }
}

// TPS-23
#[test]
fn constraints_beyond_a_block_leave_no_transactions() {
    let block = Block::new(offered(102, 50), room_for(u32::MAX, u16::MAX));
    assert_eq!(block.transactions().count(), 0);
    assert_eq!(block.template().coinbase_tx_value_remaining, SUBSIDY);
    check_block(&block);
}
