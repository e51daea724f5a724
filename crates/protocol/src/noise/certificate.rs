//! The certificate a server proves its static key with (SV2 4.5.2, 4.5.3).

use std::time::Duration;

use rand::{CryptoRng, Rng};
use secp256k1::schnorr::Signature;
use secp256k1::{Message, SECP256K1, XOnlyPublicKey};

use super::EncodedKey;
use super::symmetric::sha256;
use crate::keys::{AuthorityKey, AuthorityPublicKey};

/// The spec names no value; every deployed implementation says 0.
const VERSION: u16 = 0;

/// How far two machines' clocks may be apart: certificates are dated back by this much.
const CLOCK_SKEW: Duration = Duration::from_secs(3600);

/// Why a server's certificate is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Signed by another authority, or not signed over this static key.
    #[error(
        "the server's certificate is not signed by authority key {0}; \
         check the configured public key against the server's"
    )]
    Signature(AuthorityPublicKey),
    /// The validity has not begun.
    #[error(
        "the server's certificate is valid from {valid_from}, it is {now} here; check the clocks"
    )]
    NotYetValid {
        /// Unix seconds.
        valid_from: u32,
        /// Unix seconds.
        now: u64,
    },
    /// The validity has ended.
    #[error(
        "the server's certificate expired at {not_valid_after}, it is {now} here; \
         check the clocks or restart the server"
    )]
    Expired {
        /// Unix seconds.
        not_valid_after: u32,
        /// Unix seconds.
        now: u64,
    },
}

/// SIGNATURE_NOISE_MESSAGE: 74 bytes on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Always 0 today.
    pub version: u16,
    /// Unix seconds.
    pub valid_from: u32,
    /// Unix seconds.
    pub not_valid_after: u32,
    /// BIP340, by the authority key.
    pub signature: [u8; 64],
}

impl Certificate {
    /// Bytes on the wire, before encryption.
    pub const LEN: usize = 74;

    /// Reads the wire form.
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Self {
        let u32_at = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|i| bytes[at + i]));
        Self {
            version: u16::from_le_bytes([bytes[0], bytes[1]]),
            valid_from: u32_at(2),
            not_valid_after: u32_at(6),
            signature: bytes[10..].try_into().expect("74 - 10 = 64"),
        }
    }

    /// The wire form.
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[0..2].copy_from_slice(&self.version.to_le_bytes());
        bytes[2..6].copy_from_slice(&self.valid_from.to_le_bytes());
        bytes[6..10].copy_from_slice(&self.not_valid_after.to_le_bytes());
        bytes[10..].copy_from_slice(&self.signature);
        bytes
    }

    /// Checks signature and validity.
    ///
    /// # Errors
    /// What is wrong, with the key or the times compared.
    pub fn verify(
        &self,
        server: &XOnlyPublicKey,
        authority: &AuthorityPublicKey,
        unix_time: u64,
    ) -> Result<(), CertificateError> {
        let signature = Signature::from_slice(&self.signature)
            .map_err(|_| CertificateError::Signature(*authority))?;
        SECP256K1
            .verify_schnorr(&signature, &self.message(server), authority.x_only())
            .map_err(|_| CertificateError::Signature(*authority))?;
        if unix_time < u64::from(self.valid_from) {
            return Err(CertificateError::NotYetValid {
                valid_from: self.valid_from,
                now: unix_time,
            });
        }
        if unix_time > u64::from(self.not_valid_after) {
            return Err(CertificateError::Expired {
                not_valid_after: self.not_valid_after,
                now: unix_time,
            });
        }
        Ok(())
    }

    /// SV2 4.5.3.1: what is signed.
    fn message(&self, server: &XOnlyPublicKey) -> Message {
        Message::from_digest(sha256(&[
            &self.version.to_le_bytes(),
            &self.valid_from.to_le_bytes(),
            &self.not_valid_after.to_le_bytes(),
            &server.serialize(),
        ]))
    }
}

/// What a server shows its clients: a static key and the certificate for it.
///
/// Made once and used for many handshakes, so that no connection costs a signature.
pub struct ServerIdentity {
    static_key: EncodedKey,
    certificate: Certificate,
}

impl ServerIdentity {
    /// Makes a fresh static key and signs it. `unix_time` is in seconds.
    pub fn issue(
        authority: &AuthorityKey,
        validity: Duration,
        unix_time: u64,
        rng: &mut (impl Rng + CryptoRng),
    ) -> Self {
        let static_key = EncodedKey::generate(rng);
        let server = static_key.secret.x_only_public_key(SECP256K1).0;
        let seconds = |time: u64| u32::try_from(time).unwrap_or(u32::MAX);
        let mut certificate = Certificate {
            version: VERSION,
            valid_from: seconds(unix_time.saturating_sub(CLOCK_SKEW.as_secs())),
            not_valid_after: seconds(unix_time.saturating_add(validity.as_secs())),
            signature: [0; 64],
        };
        certificate.signature = SECP256K1
            .sign_schnorr_with_rng(&certificate.message(&server), authority.keypair(), rng)
            .serialize();
        Self {
            static_key,
            certificate,
        }
    }

    /// The certificate sent in every handshake.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    pub(super) fn static_key(&self) -> &EncodedKey {
        &self.static_key
    }
}
