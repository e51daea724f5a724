use bitcoin::constants::genesis_block;
use bitcoin::hashes::Hash;
use bitcoin::{Network, Witness};

use super::*;

/// The coinbase of the genesis block, cut where four bytes of its scriptSig begin.
fn genesis() -> (Transaction, Vec<u8>, [u8; 4], Vec<u8>) {
    let coinbase = genesis_block(Network::Bitcoin).txdata.remove(0);
    let bytes = serialize(&coinbase);
    let (prefix, rest) = bytes.split_at(50);
    let (extranonce, suffix) = rest.split_first_chunk().unwrap();
    (coinbase, prefix.to_vec(), *extranonce, suffix.to_vec())
}

#[test]
fn a_share_s_header_is_that_of_its_block() {
    // PROXY-15, 20: the first block, as a miner would have found it.
    let block = genesis_block(Network::Bitcoin);
    let (_, coinb1, extranonce, coinb2) = genesis();
    let job = Notify {
        job_id: String::new(),
        prev_hash: *block.header.prev_blockhash.as_byte_array(),
        coinb1,
        coinb2,
        merkle_path: Vec::new(),
        version: 1,
        n_bits: 0x1d00_ffff,
        ntime: 0,
        clean_jobs: true,
    };
    let (one, two) = extranonce.split_at(1);
    let header = job.header(&[one, two], 1, block.header.time, block.header.nonce);
    assert_eq!(header[..], serialize(&block.header));
}

#[test]
fn a_coinbase_with_witness_loses_it() {
    // PROXY-17
    let (mut coinbase, prefix, extranonce, suffix) = genesis();
    coinbase.input[0].witness = Witness::from_slice(&[[0; 32]]);
    let bytes = serialize(&coinbase);
    let at = prefix.len() + MARKER.len();
    let (with, rest) = (&bytes[..at], &bytes[at + extranonce.len()..]);
    assert_eq!(
        stripped(with, extranonce.len(), rest),
        Some((prefix, suffix))
    );
}

#[test]
fn a_coinbase_without_witness_stays_as_it_is() {
    // PROXY-17
    let (_, prefix, extranonce, suffix) = genesis();
    assert_eq!(stripped(&prefix, extranonce.len(), &suffix), None);
    for nonsense in [
        &[][..],
        &[2, 0, 0, 0, 0, 1],
        &[0; 6],
        &[2, 0, 0, 0, 0, 1, 1],
    ] {
        assert_eq!(stripped(nonsense, 4, nonsense), None);
    }
}
