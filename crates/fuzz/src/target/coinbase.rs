//! A declared coinbase in its two parts: what is taken for one is a transaction whatever extranonce
//! stands in between.

use bitcoin::consensus::deserialize;
use bitcoin::hashes::Hash;
use bitcoin::{Amount, Transaction};
use jds::core::DeclaredCoinbase;
use protocol::work;

use crate::script::Script;

/// The first byte is the length of the prefix, then come prefix and suffix.
pub(crate) fn run(bytes: &[u8]) {
    let mut script = Script(bytes);
    let at = usize::from(script.byte()).min(script.0.len());
    let (prefix, suffix) = script.0.split_at(at);
    // What a pool makes of any scriptSig.
    let _ = work::height(prefix);
    let Ok(coinbase) = DeclaredCoinbase::parse(prefix, suffix) else {
        return;
    };
    let extranonce = vec![0x5a; coinbase.extranonce_len()];
    let whole: Transaction = deserialize(&coinbase.full(&extranonce)).expect("a transaction");
    assert!(whole.is_coinbase());
    assert_eq!(
        whole.compute_txid().to_byte_array(),
        coinbase.txid(&extranonce)
    );
    let value: Amount = whole.output.iter().map(|output| output.value).sum();
    assert_eq!(value.to_sat(), coinbase.value());
    let script_sig = whole.input[0].script_sig.as_bytes();
    let job = coinbase.custom_job(1, &[0; 32], &[]);
    assert_eq!(script_sig, [job.coinbase_prefix, &extranonce].concat());
    if let Some(height) = work::height(script_sig) {
        assert_eq!(height, u64::from(coinbase.height()));
    }
}

/// Both parts of a coinbase for that height, below 128, which pays `script` 50 satoshis.
pub(crate) fn parts(has_witness: bool, height: u8, script: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut prefix = vec![2, 0, 0, 0];
    if has_witness {
        prefix.extend([0, 1]);
    }
    prefix.push(1);
    prefix.extend([0; 32]);
    prefix.extend([0xff; 4]);
    prefix.push(4 + 8);
    prefix.extend([1, height, b'h', b'i']);
    let mut suffix = vec![0xfe, 0xff, 0xff, 0xff, 1, 50, 0, 0, 0, 0, 0, 0, 0];
    suffix.push(script.len() as u8);
    suffix.extend_from_slice(script);
    if has_witness {
        suffix.extend([1, 32]);
        suffix.extend([0; 32]);
    }
    suffix.extend([height - 1, 0, 0, 0]);
    (prefix, suffix)
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let seed = |has_witness| {
        let (prefix, suffix) = parts(has_witness, 102, &[0x51]);
        [&[prefix.len() as u8][..], &prefix, &suffix].concat()
    };
    [true, false].map(seed).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seeds_are_coinbases() {
        for has_witness in [true, false] {
            let (prefix, suffix) = parts(has_witness, 102, &[0x51]);
            assert!(DeclaredCoinbase::parse(&prefix, &suffix).is_ok());
        }
    }
}
