use bitcoin::absolute::LockTime;
use bitcoin::consensus::{deserialize, serialize};
use bitcoin::hashes::Hash;
use bitcoin::{OutPoint, ScriptBuf, Sequence, Transaction, TxIn, Witness, transaction};
use proptest::prelude::*;

use super::*;

const PAYOUT: &[u8] = &[0x51];

/// A coinbase at height 102 with two bytes of text and eight of extranonce, paying `PAYOUT` second.
fn transaction(has_witness: bool) -> Transaction {
    let output = |sats, script: &[u8]| TxOut {
        value: Amount::from_sat(sats),
        script_pubkey: ScriptBuf::from(script.to_vec()),
    };
    let witness: &[[u8; 32]] = if has_witness { &[[0; 32]] } else { &[] };
    Transaction {
        version: transaction::Version::TWO,
        lock_time: LockTime::from_consensus(101),
        input: vec![TxIn {
            previous_output: OutPoint::null(),
            script_sig: ScriptBuf::from([&[1, 102, b'h', b'i'][..], &[0; 8]].concat()),
            sequence: Sequence(0xffff_fffe),
            witness: Witness::from_slice(witness),
        }],
        output: vec![
            output(7, &[0x6a]),
            output(50, PAYOUT),
            output(0, &[0x6a; 38]),
        ],
    }
}

/// The bytes before and after the extranonce.
fn split(transaction: &Transaction) -> (Vec<u8>, Vec<u8>) {
    let bytes = serialize(transaction);
    let head = if transaction.input[0].witness.is_empty() {
        42
    } else {
        44
    };
    (bytes[..head + 4].to_vec(), bytes[head + 12..].to_vec())
}

fn parse(transaction: &Transaction) -> Result<DeclaredCoinbase, CoinbaseFault> {
    let (prefix, suffix) = split(transaction);
    DeclaredCoinbase::parse(&prefix, &suffix)
}

#[test]
fn a_coinbase_with_and_without_witness_is_read_back_as_the_transaction_it_is() {
    // JDS-21, T-15, T-16
    for has_witness in [true, false] {
        let mut expected = transaction(has_witness);
        let coinbase = parse(&expected).unwrap();
        assert_eq!(coinbase.height(), 102);
        assert_eq!(coinbase.extranonce_len(), 8);
        assert_eq!(coinbase.value(), 57);

        expected.input[0].script_sig = [&[1, 102, b'h', b'i'][..], &[9; 8]].concat().into();
        let full: Transaction = deserialize(&coinbase.full(&[9; 8])).unwrap();
        assert_eq!(full, expected);
        assert_eq!(
            coinbase.txid(&[9; 8]),
            expected.compute_txid().to_byte_array()
        );
    }
}

#[test]
fn the_payout_is_found_by_its_script() {
    // JDS-19, T-18
    let mut transaction = transaction(true);
    let payout = Script::from_bytes(PAYOUT);
    assert_eq!(parse(&transaction).unwrap().value_to(payout), 50);
    let again = transaction.output[1].clone();
    transaction.output.insert(0, again);
    assert_eq!(parse(&transaction).unwrap().value_to(payout), 100);
    assert_eq!(parse(&transaction).unwrap().value_to(Script::new()), 0);
}

#[test]
fn the_custom_job_says_what_the_transaction_says() {
    // JDS-31, JDC-16, T-17
    for has_witness in [true, false] {
        let transaction = transaction(has_witness);
        let coinbase = parse(&transaction).unwrap();
        let job = coinbase.custom_job(0x2000_0000, &[1; 32], &[]);
        assert_eq!(job.version, 0x2000_0000);
        assert_eq!(job.coinbase_tx_version, 2);
        assert_eq!(job.coinbase_prefix, [1, 102, b'h', b'i']);
        assert_eq!(job.coinbase_tx_input_sequence, 0xffff_fffe);
        assert_eq!(job.coinbase_tx_outputs, serialize(&transaction.output));
        assert_eq!(job.coinbase_tx_locktime, 101);
    }
}

#[test]
fn every_fault_of_a_coinbase_is_named() {
    // JDS-21
    let (prefix, suffix) = split(&transaction(true));
    let check = |prefix: &[u8], suffix: &[u8], fault| {
        assert_eq!(DeclaredCoinbase::parse(prefix, suffix).err(), Some(fault));
    };
    let with = |bytes: &[u8], at: usize, byte: u8| {
        let mut bytes = bytes.to_vec();
        bytes[at] = byte;
        bytes
    };
    let suffix_with = |transaction: &Transaction| split(transaction).1;
    check(&[], &suffix, CoinbaseFault::Short("coinbase_tx_prefix"));
    check(&prefix, &[], CoinbaseFault::Short("coinbase_tx_suffix"));
    check(&with(&prefix, 5, 2), &suffix, CoinbaseFault::Flag(2));
    check(&with(&prefix, 6, 2), &suffix, CoinbaseFault::Input);
    check(&with(&prefix, 20, 1), &suffix, CoinbaseFault::Input);
    check(&with(&prefix, 43, 1), &suffix, CoinbaseFault::ScriptSig(1));
    check(
        &with(&prefix, 43, 0xfd),
        &suffix,
        CoinbaseFault::ScriptSig(0xfd),
    );
    let too_much = |len, before| CoinbaseFault::Extranonce { len, before };
    check(&with(&prefix, 43, 3), &suffix, too_much(3, 4));
    check(&with(&prefix, 43, 37), &suffix, too_much(37, 4));
    check(&with(&prefix, 44, 0x6a), &suffix, CoinbaseFault::Height);
    check(&prefix, &with(&suffix, 4, 0xff), CoinbaseFault::Outputs);
    check(&prefix, &with(&suffix, 4, 0xfc), CoinbaseFault::Outputs);
    let mut rich = transaction(true);
    rich.output[0].value = Amount::MAX_MONEY;
    check(&prefix, &suffix_with(&rich), CoinbaseFault::Value);
    rich.output[0].value = Amount::from_sat(u64::MAX);
    check(&prefix, &suffix_with(&rich), CoinbaseFault::Value);
    let mut other = transaction(true);
    other.input[0].witness = Witness::from_slice(&[[0; 31]]);
    check(&prefix, &suffix_with(&other), CoinbaseFault::Witness);
    // The witness of a prefix without marker is surplus, and the other way round.
    let (stripped, no_witness) = split(&transaction(false));
    check(&stripped, &suffix, CoinbaseFault::Long(34));
    check(&prefix, &no_witness, CoinbaseFault::Witness);
}

#[test]
fn a_coinbase_cut_short_anywhere_is_refused() {
    // JDS-21: a prefix below 43 bytes above all.
    let (prefix, suffix) = split(&transaction(true));
    for len in 0..prefix.len() - 2 {
        DeclaredCoinbase::parse(&prefix[..len], &suffix).unwrap_err();
    }
    for len in 0..suffix.len() {
        DeclaredCoinbase::parse(&prefix, &suffix[..len]).unwrap_err();
    }
}

proptest! {
    #[test]
    fn no_bytes_are_more_than_refused(
        prefix in prop::collection::vec(any::<u8>(), 0..120),
        suffix in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let _ = DeclaredCoinbase::parse(&prefix, &suffix);
    }

    /// Bytes that are nearly right reach further.
    #[test]
    fn what_is_taken_for_a_coinbase_is_one(
        has_witness in any::<bool>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let (mut prefix, mut suffix) = split(&transaction(has_witness));
        for (at, byte) in changes {
            let at = at.index(prefix.len() + suffix.len());
            match at.checked_sub(prefix.len()) {
                None => prefix[at] = byte,
                Some(at) => suffix[at] = byte,
            }
        }
        if let Ok(coinbase) = DeclaredCoinbase::parse(&prefix, &suffix) {
            let extranonce = vec![0; coinbase.extranonce_len()];
            let full: Transaction = deserialize(&coinbase.full(&extranonce)).unwrap();
            prop_assert!(full.is_coinbase());
            prop_assert_eq!(coinbase.txid(&extranonce), full.compute_txid().to_byte_array());
        }
    }
}
