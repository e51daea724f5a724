use std::sync::Arc;

use bitcoin::consensus::deserialize;
use bitcoin::hashes::Hash;
use bitcoin::{Transaction, Txid, merkle_tree};
use proptest::prelude::*;

use super::*;
use crate::testing::{new_template, plan};

fn template() -> Template {
    Template::new(0, &new_template(1, true), &Arc::new(plan()))
}

#[test]
fn the_coinbase_with_its_extranonce_is_the_transaction_the_template_asks_for() {
    // TPC-10, TPC-12, POOL-29, 30, 31, T-15, T-16
    let (plan, template) = (plan(), template());
    let coinbase = plan.build(&template, &Payout::Pool);
    let extranonce: Vec<u8> = (1..=22).collect();
    let (first, rest) = extranonce.split_at(6);

    let stripped = [&coinbase.prefix[..], &extranonce, &coinbase.suffix].concat();
    assert_ne!(stripped[4..6], [0, 1]);
    let legacy: Transaction = deserialize(&stripped).unwrap();
    let full: Transaction = deserialize(&coinbase.full(&[first, rest])).unwrap();

    assert_eq!(legacy.compute_txid(), full.compute_txid());
    assert_eq!(full.version.0, 2);
    assert_eq!(full.lock_time.to_consensus_u32(), 101);
    assert_eq!(full.input.len(), 1);
    assert!(full.is_coinbase());
    assert_eq!(full.input[0].sequence.0, 0xffff_fffe);
    assert_eq!(full.input[0].witness.to_vec(), vec![vec![0; 32]]);
    let script_sig = full.input[0].script_sig.as_bytes();
    assert!(script_sig.starts_with(&template.coinbase_prefix));
    assert!(script_sig.ends_with(&extranonce));
    assert!(script_sig.windows(4).any(|bytes| bytes == b"test"));
    assert!((2..=MAX_SCRIPT_SIG).contains(&script_sig.len()));
    assert_eq!(full.output.len(), 2);
    assert_eq!(full.output[0].value.to_sat(), 5_000_000_000);
    assert_eq!(full.output[0].script_pubkey, plan.reward_script);
    assert_eq!(full.output[1].value.to_sat(), 0);
    assert!(full.output[1].script_pubkey.is_op_return());
}

#[test]
fn a_custom_jobs_fields_are_those_of_the_coinbase_its_miners_hash() {
    // JDC-10, 16, 17, 19, T-15, T-17, T-25
    let reward = plan().reward_script;
    for witness in [true, false] {
        let mut template = template();
        if !witness {
            template.coinbase_tx_outputs.clear();
            template.coinbase_tx_outputs_count = 0;
        }
        let start = [7; 5];
        let parts = Parts {
            signature: b"",
            extranonce_start: &start,
            extranonce_len: 19,
        };
        let coinbase = Coinbase::build(&template, parts, vec![(&reward, 5), (&reward, 0)]);
        let miners = [8; 14];
        let whole: Transaction = deserialize(&coinbase.full(&[&miners])).unwrap();
        let script_sig = whole.input[0].script_sig.as_bytes();

        let custom = [coinbase.script_sig_start(), &start, &miners].concat();
        assert_eq!(script_sig, custom);
        assert!(coinbase.script_sig_start().len() <= 8);
        let outputs: Vec<TxOut> = deserialize(coinbase.outputs()).unwrap();
        assert_eq!(outputs, whole.output);

        let (prefix, suffix) = coinbase.declared();
        let declared = [&prefix[..], &start, &miners, &suffix].concat();
        assert_eq!(deserialize::<Transaction>(&declared).unwrap(), whole);
        let length_at = if witness { 43 } else { 41 };
        let in_prefix = prefix.len() - length_at - 1;
        assert_eq!(usize::from(prefix[length_at]) - in_prefix, 19);

        assert_eq!(coinbase.extranonce_in(&coinbase.full(&[&miners])), miners);
        assert_eq!(coinbase.extranonce_in(&[]), []);
    }
}

#[test]
fn without_a_commitment_the_coinbase_has_no_witness() {
    // T-16
    let mut template = template();
    template.coinbase_tx_outputs.clear();
    template.coinbase_tx_outputs_count = 0;
    let full = plan().build(&template, &Payout::Pool).full(&[&[0; 22]]);
    let transaction: Transaction = deserialize(&full).unwrap();
    assert!(transaction.input[0].witness.is_empty());
    assert_eq!(transaction.output.len(), 1);
}

#[test]
fn the_prepared_hash_is_the_txid() {
    let coinbase = Arc::new(plan().build(&template(), &Payout::Pool));
    let midstate = coinbase.midstate(&[9; 6], 16);
    for rolled in [[0; 16], [255; 16]] {
        let transaction: Transaction = deserialize(&coinbase.full(&[&[9; 6], &rolled])).unwrap();
        let txid = transaction.compute_txid().to_byte_array();
        assert_eq!(midstate.sha256d(&rolled), txid);
    }
}

/// SV2 5.3.16 and 7.2: against an independent root.
#[track_caller]
fn check_path(leaves: &[[u8; 32]]) {
    let path = merkle_path(leaves[1..].iter().copied());
    let txids = leaves.iter().copied().map(Txid::from_byte_array);
    let root = merkle_tree::calculate_root(txids).unwrap();
    assert_eq!(merkle_root(leaves[0], &path), root.to_byte_array());
    let depth = leaves.len().next_power_of_two().trailing_zeros();
    assert_eq!(path.len(), depth as usize);
}

#[test]
fn the_path_leads_to_the_root_for_every_small_number_of_transactions() {
    // TPS-17, POOL-32, T-34
    for count in 1..=70u8 {
        check_path(&(0..count).map(|i| sha256d(&[i])).collect::<Vec<_>>());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn the_path_leads_to_the_root(leaves in prop::collection::vec(any::<[u8; 32]>(), 1..600)) {
        check_path(&leaves);
    }
}

#[test]
fn a_signature_that_does_not_fit_is_refused() {
    let mut plan = plan();
    plan.signature = vec![b'x'; 68];
    assert_eq!(plan.check(), Ok(()));
    plan.signature.push(b'x');
    assert_eq!(plan.check(), Err(SignatureTooLong { found: 69, max: 68 }));
}

#[test]
fn a_split_block_pays_both_before_the_template_s_outputs() {
    // SV2 7.2: the template's outputs come last.
    let payout = Payout::Miner {
        script: vec![0x52].into(),
        pool_percent: 10,
    };
    let full = plan().build(&template(), &payout).full(&[&[0; 22]]);
    let transaction: Transaction = deserialize(&full).unwrap();
    let outputs: Vec<_> = transaction
        .output
        .iter()
        .map(|output| (output.value.to_sat(), output.script_pubkey.clone()))
        .collect();
    assert_eq!(outputs[0], (500_000_000, plan().reward_script));
    assert_eq!(outputs[1], (4_500_000_000, vec![0x52].into()));
    assert!(outputs[2].1.is_op_return());
    assert_eq!(outputs.len(), 3);
}

#[test]
fn announced_output_size_covers_the_largest_payout_that_is_built() {
    // TPC-03
    let template = template();
    let bare = 4 + 1 + 4;
    let template_outputs = 47;
    let size = |payout: &Payout| {
        let suffix = plan().build(&template, payout).suffix;
        suffix.len() - bare - template_outputs
    };
    let largest = Payout::Miner {
        script: vec![0; MAX_ADDRESS_SCRIPT].into(),
        pool_percent: 1,
    };
    assert_eq!(plan().outputs_size() as usize, size(&largest));
    assert!(size(&Payout::Pool) < size(&largest));
    // One OP_CHECKSIG of a miner's P2PKH output; the pool's own is in the witness.
    assert_eq!(plan().outputs_sigops(), 4);
}

#[test]
fn the_subsidy_halves() {
    // T-35
    const BITCOIN: u64 = 100_000_000;
    let rows = [
        (Network::Regtest, 149, 50 * BITCOIN),
        (Network::Regtest, 150, 25 * BITCOIN),
        (Network::Regtest, 4_949, 1),
        (Network::Regtest, 4_950, 0),
        (Network::Regtest, u64::MAX, 0),
        (Network::Bitcoin, 209_999, 50 * BITCOIN),
        (Network::Bitcoin, 840_000, 312_500_000),
    ];
    for (network, height, expected) in rows {
        assert_eq!(subsidy(height, network), expected, "{network} {height}");
    }
}
