//! The coinbase that a job's halves make.

use bitcoin::Transaction;
use bitcoin::consensus::{deserialize, serialize};
use protocol::coinbase::{Header, merkle_root, sha256d};

use crate::notice::Notify;

/// Marker and flag of BIP141.
const MARKER: [u8; 2] = [0, 1];
/// Where they stand: behind the version.
const MARKER_AT: usize = 4;

/// The two halves without witness, when they were sent with one: what is hashed has none
/// (SV2 3.7.1, PROXY-17). `None` when there is nothing to strip, or no transaction.
pub fn stripped(prefix: &[u8], extranonce_len: usize, suffix: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    if prefix.get(MARKER_AT..MARKER_AT + MARKER.len()) != Some(&MARKER) {
        return None;
    }
    let whole = [prefix, &vec![0; extranonce_len], suffix].concat();
    let mut transaction: Transaction = deserialize(&whole).ok()?;
    for input in &mut transaction.input {
        input.witness.clear();
    }
    let bytes = serialize(&transaction);
    let at = prefix.len() - MARKER.len();
    let (prefix, rest) = bytes.split_at_checked(at)?;
    let suffix = rest.get(extranonce_len..)?;
    Some((prefix.to_vec(), suffix.to_vec()))
}

impl Notify {
    /// The header of a share of this job. The coinbase is `coinb1`, the extranonce's parts and
    /// `coinb2`.
    pub fn header(&self, extranonce: &[&[u8]], version: u32, ntime: u32, nonce: u32) -> [u8; 80] {
        let coinbase = [&[&self.coinb1[..]], extranonce, &[&self.coinb2[..]]].concat();
        Header {
            version,
            prev_hash: &self.prev_hash,
            merkle_root: &merkle_root(sha256d(&coinbase.concat()), &self.merkle_path),
            ntime,
            n_bits: self.n_bits,
            nonce,
        }
        .to_bytes()
    }
}

#[cfg(test)]
mod tests;
