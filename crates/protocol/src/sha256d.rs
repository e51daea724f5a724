//! Double SHA-256 as blocks use it: over coinbases, merkle paths and headers.
//!
//! This is most of what judging a share costs, so it works on the hash function's own blocks, with
//! their padding laid out once.

use sha2::digest::generic_array::GenericArray;
use sha2::digest::typenum::U64;
use sha2::{Digest, Sha256, compress256};

/// What the compression function takes at once.
type Block = GenericArray<u8, U64>;

const BLOCK_LEN: usize = 64;
/// Behind a message: one bit, then zeros, then its length in bits.
const LENGTH_LEN: usize = 8;

/// FIPS 180-4, 5.3.3.
const INITIAL: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// Of any bytes.
pub fn sha256d(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(Sha256::digest(bytes)).into()
}

/// Of a block's header.
pub fn header(header: &[u8; 80]) -> [u8; 32] {
    let mut blocks = [Block::default(); 2];
    pad(header.len(), &mut blocks);
    write(&mut blocks, 0, header);
    let mut state = INITIAL;
    compress256(&mut state, &blocks);
    second(state)
}

/// The merkle root over a leftmost leaf and its siblings, deepest first (SV2 5.3.16).
pub fn merkle_root(leaf: [u8; 32], path: &[[u8; 32]]) -> [u8; 32] {
    let mut pair = [Block::default(); 2];
    pad(BLOCK_LEN, &mut pair);
    path.iter().fold(leaf, |node, sibling| {
        pair[0][..32].copy_from_slice(&node);
        pair[0][32..].copy_from_slice(sibling);
        let mut state = INITIAL;
        compress256(&mut state, &pair);
        second(state)
    })
}

/// A message that is known but for a few bytes in its midst. What is before those is hashed once.
#[derive(Debug, Clone)]
pub struct Midstate {
    state: [u32; 8],
    /// The blocks that follow, padding included.
    tail: Vec<Block>,
    /// Where in `tail` the unknown bytes begin; they end in its second block at the latest.
    hole: usize,
}

impl Midstate {
    /// For `start`, then `unknown` bytes, at most 64, then `end`.
    pub fn new(start: &[&[u8]], unknown: usize, end: &[u8]) -> Self {
        let mut message = start.concat();
        let hole = message.len() % BLOCK_LEN;
        let known = message.len() / BLOCK_LEN;
        message.resize(message.len() + unknown, 0);
        message.extend_from_slice(end);
        let mut blocks = vec![Block::default(); (message.len() + LENGTH_LEN) / BLOCK_LEN + 1];
        pad(message.len(), &mut blocks);
        write(&mut blocks, 0, &message);
        let tail = blocks.split_off(known);
        let mut state = INITIAL;
        compress256(&mut state, &blocks);
        Self { state, tail, hole }
    }

    /// The double hash with these bytes in the place of the unknown ones, which must be as many.
    pub fn sha256d(&self, unknown: &[u8]) -> [u8; 32] {
        let (open, rest) = self.tail.split_at(self.tail.len().min(2));
        let mut filled = [Block::default(); 2];
        let filled = &mut filled[..open.len()];
        filled.copy_from_slice(open);
        write(filled, self.hole, unknown);
        let mut state = self.state;
        compress256(&mut state, filled);
        compress256(&mut state, rest);
        second(state)
    }
}

/// The second hash, of the first one's 32 bytes.
fn second(first: [u32; 8]) -> [u8; 32] {
    let mut block = [Block::default()];
    pad(32, &mut block);
    block[0][..32].copy_from_slice(&bytes(first));
    let mut state = INITIAL;
    compress256(&mut state, &block);
    bytes(state)
}

fn bytes(state: [u32; 8]) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (to, word) in bytes.chunks_exact_mut(4).zip(state) {
        to.copy_from_slice(&word.to_be_bytes());
    }
    bytes
}

/// Lays out the padding of a message of `len` bytes in blocks that are zero elsewhere.
fn pad(len: usize, blocks: &mut [Block]) {
    blocks[len / BLOCK_LEN][len % BLOCK_LEN] = 0x80;
    if let Some(last) = blocks.last_mut() {
        let bits = len as u64 * 8;
        last[BLOCK_LEN - LENGTH_LEN..].copy_from_slice(&bits.to_be_bytes());
    }
}

/// Puts `bytes` at `at`, across blocks; what would lie behind the last one is dropped.
fn write(blocks: &mut [Block], at: usize, mut bytes: &[u8]) {
    let mut offset = at % BLOCK_LEN;
    for block in &mut blocks[at / BLOCK_LEN..] {
        let (here, there) = bytes.split_at(bytes.len().min(BLOCK_LEN - offset));
        block[offset..offset + here.len()].copy_from_slice(here);
        (bytes, offset) = (there, 0);
    }
}

#[cfg(test)]
mod tests;
