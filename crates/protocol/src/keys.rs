//! Authority keys and their text form (SV2 4.7).
//!
//! The authority key signs the certificate of a server's static Noise key. Clients know its
//! public half only, as the short text printed by [`AuthorityPublicKey`].

use std::fmt;
use std::str::FromStr;

use bitcoin::base58;
use rand::{CryptoRng, Rng};
use secp256k1::{Keypair, SECP256K1, SecretKey, XOnlyPublicKey};

/// The two bytes before the key in the text form of a public key (SV2 4.7: version 1, little-endian).
const PUBLIC_KEY_VERSION: [u8; 2] = [1, 0];

/// Why a text is not a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not base58, or its checksum is wrong.
    #[error("not base58check: {0}")]
    Base58(String),
    /// The version bytes are not the ones of SV2 4.7.
    #[error("version bytes are {0:02x?}, expected [01, 00]")]
    Version([u8; 2]),
    /// Too many or too few bytes.
    #[error("holds {found} bytes, expected {expected}")]
    Length {
        /// Bytes the text decodes to, without the checksum.
        found: usize,
        /// Bytes a key of this kind has.
        expected: usize,
    },
    /// The right number of bytes, but no key of the curve.
    #[error("is not a secp256k1 key")]
    NotOnCurve,
    /// A secret and a public key that do not belong together.
    #[error("the secret key belongs to {0}, not to the public key given")]
    Mismatch(AuthorityPublicKey),
}

/// The public half of an authority key: 32 bytes, x-only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AuthorityPublicKey(XOnlyPublicKey);

impl AuthorityPublicKey {
    /// The point, for checking signatures.
    pub fn x_only(&self) -> &XOnlyPublicKey {
        &self.0
    }
}

impl fmt::Display for AuthorityPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = PUBLIC_KEY_VERSION.to_vec();
        bytes.extend_from_slice(&self.0.serialize());
        f.write_str(&base58::encode_check(&bytes))
    }
}

impl FromStr for AuthorityPublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let bytes = decode(text)?;
        if bytes.len() != 34 {
            return Err(KeyError::Length {
                found: bytes.len(),
                expected: 34,
            });
        }
        if bytes[..2] != PUBLIC_KEY_VERSION {
            return Err(KeyError::Version([bytes[0], bytes[1]]));
        }
        XOnlyPublicKey::from_slice(&bytes[2..])
            .map(Self)
            .map_err(|_| KeyError::NotOnCurve)
    }
}

/// An authority key pair. Its secret never appears in `Debug` output.
#[derive(Clone, PartialEq, Eq)]
pub struct AuthorityKey(Keypair);

impl AuthorityKey {
    /// A new random key.
    pub fn generate(rng: &mut (impl Rng + CryptoRng)) -> Self {
        Self(Keypair::new(SECP256K1, rng))
    }

    /// Reads the secret half from its text form: base58check over the 32 bytes.
    ///
    /// # Errors
    /// Names what is wrong with the text; never repeats it.
    pub fn from_secret_text(text: &str) -> Result<Self, KeyError> {
        let bytes = decode(text)?;
        if bytes.len() != 32 {
            return Err(KeyError::Length {
                found: bytes.len(),
                expected: 32,
            });
        }
        let secret = SecretKey::from_slice(&bytes).map_err(|_| KeyError::NotOnCurve)?;
        Ok(Self(Keypair::from_secret_key(SECP256K1, &secret)))
    }

    /// The secret half as text. Write it only to files that nobody else may read.
    pub fn secret_text(&self) -> String {
        base58::encode_check(&self.0.secret_bytes())
    }

    /// The public half as text.
    pub fn public_text(&self) -> String {
        self.public().to_string()
    }

    /// The public half.
    pub fn public(&self) -> AuthorityPublicKey {
        AuthorityPublicKey(self.0.x_only_public_key().0)
    }

    /// Checks that `public` is this key's public half.
    ///
    /// # Errors
    /// [`KeyError::Mismatch`] names the public key that does belong to the secret.
    pub fn check_public(&self, public: AuthorityPublicKey) -> Result<(), KeyError> {
        if self.public() == public {
            Ok(())
        } else {
            Err(KeyError::Mismatch(self.public()))
        }
    }

    pub(crate) fn keypair(&self) -> &Keypair {
        &self.0
    }
}

impl fmt::Debug for AuthorityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorityKey")
            .field("public", &self.public_text())
            .finish_non_exhaustive()
    }
}

fn decode(text: &str) -> Result<Vec<u8>, KeyError> {
    base58::decode_check(text.trim()).map_err(|error| KeyError::Base58(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of SV2 4.7.1.
    const TEXT: &str = "9bXiEd8boQVhq7WddEcERUL5tyyJVFYdU8th3HfbNXK3Yw6GRXh";
    const BYTES: &str = "76637000979c1c11af0c300bcd8c7fe48610fce9b9c11e3daee35ae0b08a7455";

    #[test]
    fn spec_vector_is_read_and_written() {
        // NOISE-16
        let key: AuthorityPublicKey = TEXT.parse().unwrap();
        assert_eq!(key.x_only().to_string(), BYTES);
        assert_eq!(key.to_string(), TEXT);
    }

    #[test]
    fn malformed_public_keys_are_refused_with_their_fault() {
        // NOISE-16: wrong version, bad checksum, 33-byte key.
        let body: Vec<u8> = base58::decode_check(TEXT).unwrap();
        let mut version = body.clone();
        version[..2].copy_from_slice(&[0, 1]);
        let mut long = body.clone();
        long.push(7);
        let mut checksum = TEXT.to_owned();
        checksum.replace_range(50..51, "i");

        assert_eq!(
            base58::encode_check(&version).parse::<AuthorityPublicKey>(),
            Err(KeyError::Version([0, 1]))
        );
        assert_eq!(
            base58::encode_check(&long).parse::<AuthorityPublicKey>(),
            Err(KeyError::Length {
                found: 35,
                expected: 34
            })
        );
        assert!(matches!(
            checksum.parse::<AuthorityPublicKey>(),
            Err(KeyError::Base58(_))
        ));
    }

    #[test]
    fn secret_text_round_trips_and_stays_out_of_debug() {
        let key = AuthorityKey::generate(&mut rand::thread_rng());
        let again = AuthorityKey::from_secret_text(&key.secret_text()).unwrap();
        assert_eq!(again, key);
        assert!(!format!("{key:?}").contains(&key.secret_text()));
    }

    #[test]
    fn a_foreign_public_key_is_a_mismatch() {
        let mut rng = rand::thread_rng();
        let (ours, theirs) = (
            AuthorityKey::generate(&mut rng),
            AuthorityKey::generate(&mut rng),
        );
        assert_eq!(ours.check_public(ours.public()), Ok(()));
        assert_eq!(
            ours.check_public(theirs.public()),
            Err(KeyError::Mismatch(ours.public()))
        );
    }
}
