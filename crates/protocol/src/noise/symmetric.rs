//! The symmetric state of the Noise framework: chaining key, handshake hash, cipher key.

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use ring::{digest, hmac};

use super::{HandshakeError, MAC_LEN};

/// SV2 4.5.1: the name whose hash starts the transcript.
const PROTOCOL_NAME: &[u8] = b"Noise_NX_Secp256k1+EllSwift_ChaChaPoly_SHA256";

pub(super) struct Symmetric {
    chaining_key: [u8; 32],
    hash: [u8; 32],
    cipher: Option<LessSafeKey>,
}

impl Symmetric {
    pub(super) fn new() -> Self {
        let chaining_key = sha256(&[PROTOCOL_NAME]);
        Self {
            chaining_key,
            hash: sha256(&[&chaining_key]),
            cipher: None,
        }
    }

    pub(super) fn mix_hash(&mut self, data: &[u8]) {
        self.hash = sha256(&[&self.hash, data]);
    }

    pub(super) fn mix_key(&mut self, input: &[u8]) {
        let (chaining_key, key) = hkdf(&self.chaining_key, input);
        self.chaining_key = chaining_key;
        self.cipher = Some(cipher(&key));
    }

    /// Writes ciphertext and code of `plaintext` to `out`, which is longer by [`MAC_LEN`].
    pub(super) fn encrypt_and_hash(&mut self, plaintext: &[u8], out: &mut [u8]) {
        let (body, tag) = out.split_at_mut(plaintext.len());
        body.copy_from_slice(plaintext);
        let sealed = self
            .key()
            .seal_in_place_separate_tag(first_nonce(), Aad::from(self.hash), body)
            .expect("handshake messages are far below the cipher's length limit");
        tag.copy_from_slice(sealed.as_ref());
        self.mix_hash(out);
    }

    pub(super) fn decrypt_and_hash(
        &mut self,
        ciphertext: &[u8],
    ) -> Result<Vec<u8>, HandshakeError> {
        let mut plaintext = ciphertext.to_vec();
        self.key()
            .open_in_place(first_nonce(), Aad::from(self.hash), &mut plaintext)
            .map_err(|_| HandshakeError::Decrypt)?;
        plaintext.truncate(ciphertext.len() - MAC_LEN);
        self.mix_hash(ciphertext);
        Ok(plaintext)
    }

    /// The two transport keys: initiator to responder, responder to initiator.
    pub(super) fn split(&self) -> ([u8; 32], [u8; 32]) {
        hkdf(&self.chaining_key, &[])
    }

    fn key(&self) -> &LessSafeKey {
        self.cipher
            .as_ref()
            .expect("the NX pattern mixes a key before it encrypts")
    }
}

/// Each key of the handshake encrypts exactly one message: `MixKey` resets the counter.
fn first_nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

pub(super) fn cipher(key: &[u8; 32]) -> LessSafeKey {
    LessSafeKey::new(
        UnboundKey::new(&CHACHA20_POLY1305, key).expect("the key length is the cipher's"),
    )
}

pub(super) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(part);
    }
    context
        .finish()
        .as_ref()
        .try_into()
        .expect("SHA-256 gives 32 bytes")
}

/// SV2 4.4.2 `HKDF`: the two-output form.
fn hkdf(chaining_key: &[u8; 32], input: &[u8]) -> ([u8; 32], [u8; 32]) {
    let temp = hmac_sha256(chaining_key, &[input]);
    let first = hmac_sha256(&temp, &[&[1]]);
    let second = hmac_sha256(&temp, &[&first, &[2]]);
    (first, second)
}

fn hmac_sha256(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    for part in parts {
        context.update(part);
    }
    context
        .sign()
        .as_ref()
        .try_into()
        .expect("HMAC-SHA-256 gives 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn initial_state_is_the_spec_constant() {
        // NOISE-04
        let state = Symmetric::new();
        let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
        assert_eq!(
            hex(&state.chaining_key),
            "2eb47881208e9eee1f669f67c66ee70ea9ea88090d503fe830dc4bc83e29bf10"
        );
        assert_eq!(
            hex(&state.hash),
            "922fa32e4f487c0d59caa3bed7899ce3d98db7e13dbd3b7cf2d23dd433dc6104"
        );
    }
}
