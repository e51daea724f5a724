//! The encrypted transport: one key and one counter per direction (SV2 4.6).

use ring::aead::{Aad, LessSafeKey, Nonce};

use super::symmetric::cipher;

/// Bytes of the authentication code behind each encrypted block.
pub const MAC_LEN: usize = 16;

/// Plaintext bytes of a full payload block; its ciphertext is 65,535 bytes.
const BLOCK_LEN: usize = 65_535 - MAC_LEN;

/// Bytes a payload of `plaintext` bytes takes on the wire (SV2 4.6 `pt_len_to_ct_len`).
///
/// An exact multiple of the block length has no extra empty block, an empty payload none at all.
pub const fn encrypted_len(plaintext: usize) -> usize {
    plaintext + plaintext.div_ceil(BLOCK_LEN) * MAC_LEN
}

/// The bytes are not what the peer sealed at this place of the stream: the session is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadMac;

/// Seals the frames of one direction.
pub struct Encryptor {
    key: LessSafeKey,
    counter: Counter,
}

impl Encryptor {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        Self {
            key: cipher(key),
            counter: Counter(0),
        }
    }

    /// Appends the sealed `header` and `payload` to `out`.
    pub fn seal_frame(&mut self, header: [u8; 6], payload: &[u8], out: &mut Vec<u8>) {
        out.reserve(header.len() + MAC_LEN + encrypted_len(payload.len()));
        self.seal(&header, out);
        for block in payload.chunks(BLOCK_LEN) {
            self.seal(block, out);
        }
    }

    fn seal(&mut self, plaintext: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(plaintext);
        let tag = self
            .key
            .seal_in_place_separate_tag(self.counter.next(), Aad::empty(), &mut out[start..])
            .expect("a block is far below the cipher's length limit");
        out.extend_from_slice(tag.as_ref());
    }
}

impl std::fmt::Debug for Encryptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encryptor").finish_non_exhaustive()
    }
}

/// Opens the frames of one direction.
pub struct Decryptor {
    key: LessSafeKey,
    counter: Counter,
}

impl Decryptor {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        Self {
            key: cipher(key),
            counter: Counter(0),
        }
    }

    /// Opens a 22-byte header.
    pub(crate) fn open_header(&mut self, sealed: &mut [u8]) -> Result<[u8; 6], BadMac> {
        self.open(sealed)?;
        Ok(sealed[..6]
            .try_into()
            .expect("the caller passes header and code"))
    }

    /// Opens the blocks of a payload in place; the plaintext ends up at the front of `sealed`.
    pub(crate) fn open_payload(&mut self, sealed: &mut [u8]) -> Result<(), BadMac> {
        let (mut from, mut to) = (0, 0);
        while from < sealed.len() {
            let block = (sealed.len() - from).min(BLOCK_LEN + MAC_LEN);
            self.open(&mut sealed[from..from + block])?;
            let plaintext = block - MAC_LEN;
            if from != to {
                sealed.copy_within(from..from + plaintext, to);
            }
            from += block;
            to += plaintext;
        }
        Ok(())
    }

    fn open(&mut self, sealed: &mut [u8]) -> Result<(), BadMac> {
        self.key
            .open_in_place(self.counter.next(), Aad::empty(), sealed)
            .map(drop)
            .map_err(|_| BadMac)
    }
}

impl std::fmt::Debug for Decryptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decryptor").finish_non_exhaustive()
    }
}

/// SV2 4.4.1: four zero bytes, then a 64-bit counter that grows by one with each block.
struct Counter(u64);

impl Counter {
    fn next(&mut self) -> Nonce {
        let mut nonce = [0; 12];
        nonce[4..].copy_from_slice(&self.0.to_le_bytes());
        // 2^64 blocks cannot be sent in the lifetime of a connection.
        self.0 += 1;
        Nonce::assume_unique_for_key(nonce)
    }
}
