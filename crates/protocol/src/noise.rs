//! The Noise NX handshake of SV2 chapter 4 and the encrypted transport that follows it.
//!
//! Only values: bytes in, bytes out, the clock and the randomness are parameters. The primitives
//! are libsecp256k1 (through `bitcoin`) and `ring`; why not `noise_sv2` is told in
//! `docs/adr/0001-noise-on-ring.md`.
//!
//! ```text
//! initiator                                   responder
//!   Initiator::start     ── 64 bytes ──▶      respond(..)
//!   Initiator::finish    ◀── 234 bytes ──     → Transport
//!   → Transport
//! ```

mod certificate;
mod symmetric;
mod transport;

pub use certificate::{Certificate, CertificateError, ServerIdentity};
pub use transport::{Decryptor, Encryptor, MAC_LEN, encrypted_len};

use rand::{CryptoRng, Rng};
use secp256k1::ellswift::{ElligatorSwift, ElligatorSwiftParty};
use secp256k1::{PublicKey, SECP256K1, SecretKey};

use crate::keys::AuthorityPublicKey;
use symmetric::Symmetric;

/// Bytes of act 1: one ElligatorSwift encoding (SV2 4.5.1.1).
pub const ACT1_LEN: usize = 64;
/// Bytes of act 2: ephemeral key, encrypted static key, encrypted certificate (SV2 4.5.2.1).
pub const ACT2_LEN: usize = ELLSWIFT_LEN + ENCRYPTED_KEY_LEN + ENCRYPTED_CERTIFICATE_LEN;

const ELLSWIFT_LEN: usize = 64;
const ENCRYPTED_KEY_LEN: usize = ELLSWIFT_LEN + MAC_LEN;
const ENCRYPTED_CERTIFICATE_LEN: usize = Certificate::LEN + MAC_LEN;

/// Why a handshake failed. The session ends; nothing is sent in answer (SV2 4.5).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// A message authentication code is wrong.
    #[error("the peer's handshake message does not decrypt")]
    Decrypt,
    /// The certificate is not acceptable.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

/// Both directions of an established session.
#[derive(Debug)]
pub struct Transport {
    /// Seals what this side sends.
    pub encryptor: Encryptor,
    /// Opens what the other side sent.
    pub decryptor: Decryptor,
}

/// An ephemeral or static key with the one encoding of it that is used throughout a session:
/// ElligatorSwift encodings are not unique, and the ECDH hashes the very bytes transmitted.
struct EncodedKey {
    secret: SecretKey,
    encoding: ElligatorSwift,
}

impl EncodedKey {
    fn generate(rng: &mut (impl Rng + CryptoRng)) -> Self {
        let secret = SecretKey::new(rng);
        let encoding = ElligatorSwift::from_seckey(SECP256K1, secret, Some(rng.r#gen()));
        Self { secret, encoding }
    }

    /// BIP324's x-only ECDH; the initiator's encoding comes first whichever side computes it.
    fn ecdh(&self, theirs: ElligatorSwift, party: ElligatorSwiftParty) -> [u8; 32] {
        let (initiator, responder) = match party {
            ElligatorSwiftParty::A => (self.encoding, theirs),
            ElligatorSwiftParty::B => (theirs, self.encoding),
        };
        ElligatorSwift::shared_secret(initiator, responder, self.secret, party, None)
            .to_secret_bytes()
    }
}

/// The client's half of a handshake, between act 1 and act 2.
pub struct Initiator {
    symmetric: Symmetric,
    ephemeral: EncodedKey,
}

impl Initiator {
    /// Begins a handshake: the state to keep and the bytes of act 1.
    pub fn start(rng: &mut (impl Rng + CryptoRng)) -> (Self, [u8; ACT1_LEN]) {
        let ephemeral = EncodedKey::generate(rng);
        let act1 = ephemeral.encoding.to_array();
        let mut symmetric = Symmetric::new();
        symmetric.mix_hash(&act1);
        // The empty payload of act 1 is hashed too.
        symmetric.mix_hash(&[]);
        (
            Self {
                symmetric,
                ephemeral,
            },
            act1,
        )
    }

    /// Ends the handshake with the bytes of act 2.
    ///
    /// `authority` is the key the server's certificate must be signed with; `unix_time` is in
    /// seconds.
    ///
    /// # Errors
    /// The session must be dropped without sending another byte (SV2 4.5, step 3).
    pub fn finish(
        mut self,
        act2: &[u8; ACT2_LEN],
        authority: &AuthorityPublicKey,
        unix_time: u64,
    ) -> Result<Transport, HandshakeError> {
        let (ephemeral, rest) = act2.split_at(ELLSWIFT_LEN);
        let (encrypted_static, encrypted_certificate) = rest.split_at(ENCRYPTED_KEY_LEN);

        self.symmetric.mix_hash(ephemeral);
        let theirs = encoding(ephemeral);
        self.symmetric
            .mix_key(&self.ephemeral.ecdh(theirs, ElligatorSwiftParty::A));

        let static_key = self.symmetric.decrypt_and_hash(encrypted_static)?;
        let static_key = encoding(&static_key);
        self.symmetric
            .mix_key(&self.ephemeral.ecdh(static_key, ElligatorSwiftParty::A));

        let certificate = self.symmetric.decrypt_and_hash(encrypted_certificate)?;
        let certificate = Certificate::from_bytes(
            certificate
                .as_slice()
                .try_into()
                .expect("split to the certificate's length above"),
        );
        let server = PublicKey::from_ellswift(static_key).x_only_public_key().0;
        certificate.verify(&server, authority, unix_time)?;

        let (ours, theirs) = self.symmetric.split();
        Ok(Transport {
            encryptor: Encryptor::new(&ours),
            decryptor: Decryptor::new(&theirs),
        })
    }
}

/// The server's whole handshake: answers act 1 with act 2.
pub fn respond(
    identity: &ServerIdentity,
    act1: &[u8; ACT1_LEN],
    rng: &mut (impl Rng + CryptoRng),
) -> ([u8; ACT2_LEN], Transport) {
    let ephemeral = EncodedKey::generate(rng);
    let theirs = ElligatorSwift::from_array(*act1);
    let mut symmetric = Symmetric::new();
    symmetric.mix_hash(act1);
    symmetric.mix_hash(&[]);

    let mut act2 = [0; ACT2_LEN];
    let (out_ephemeral, rest) = act2.split_at_mut(ELLSWIFT_LEN);
    let (out_static, out_certificate) = rest.split_at_mut(ENCRYPTED_KEY_LEN);

    out_ephemeral.copy_from_slice(&ephemeral.encoding.to_array());
    symmetric.mix_hash(out_ephemeral);
    symmetric.mix_key(&ephemeral.ecdh(theirs, ElligatorSwiftParty::B));

    let static_key = identity.static_key();
    symmetric.encrypt_and_hash(&static_key.encoding.to_array(), out_static);
    symmetric.mix_key(&static_key.ecdh(theirs, ElligatorSwiftParty::B));

    symmetric.encrypt_and_hash(&identity.certificate().to_bytes(), out_certificate);

    // SV2 4.5.2.1 step 9: the first key is the initiator's sending direction.
    let (theirs, ours) = symmetric.split();
    let transport = Transport {
        encryptor: Encryptor::new(&ours),
        decryptor: Decryptor::new(&theirs),
    };
    (act2, transport)
}

fn encoding(bytes: &[u8]) -> ElligatorSwift {
    ElligatorSwift::from_array(bytes.try_into().expect("split to 64 bytes by the caller"))
}

#[cfg(test)]
mod tests;
