//! Job tokens that prove themselves.
//!
//! The server that hands out a token and the pool that is shown it may be different programs, and
//! several of each (SV2 6.4.5 lets a token carry "a cryptographic commitment from JDS"). So a token
//! holds what it permits and until when, and a MAC over that and over what it was given for, under
//! a secret both share. The pool rebuilds the [`Commitment`] from the SetCustomMiningJob it was
//! sent and asks nobody. What a MAC cannot do stays with the verifier: refusing a second use, by
//! [`Token::id`].
//!
//! ```text
//! version 1 | scope 1 | expires 8, little-endian | id 16 | HMAC-SHA-256 32
//! ```

use std::fmt;
use std::str::FromStr;

use bitcoin::Script;
use bitcoin::hex::FromHex;
use ring::digest::{Context, SHA256};
use ring::hmac;

use crate::server::VERSION_ROLLING_MASK;

/// The only layout there is.
const VERSION: u8 = 1;
/// Bytes in front of the MAC.
const BODY_LEN: usize = 26;
/// Bytes of an encoded token; SV2 leaves room for 255.
pub const TOKEN_LEN: usize = BODY_LEN + 32;

/// The key under which tokens are made and checked: the same for job declarator servers and pools
/// that belong together. Never shown, not even in `Debug` output.
#[derive(Clone)]
pub struct Secret(hmac::Key);

/// A text that is no secret. It does not repeat the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected 64 hexadecimal digits, the same for the pool and the job declarator server")]
pub struct InvalidSecret;

impl Secret {
    /// From 32 random bytes.
    pub fn new(bytes: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }
}

impl FromStr for Secret {
    type Err = InvalidSecret;

    fn from_str(text: &str) -> Result<Self, InvalidSecret> {
        let bytes = <[u8; 32]>::from_hex(text.trim()).map_err(|_| InvalidSecret)?;
        Ok(Self::new(&bytes))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What a token permits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// To declare one job (SV2 6.4.4). Worth nothing to a pool.
    Allocated,
    /// To set one custom job nobody declared, as long as it pays the pool (SV2 6.3.1).
    CoinbaseOnly,
    /// To set the one custom job that was declared and found valid (SV2 6.4.5).
    Declared,
}

impl Scope {
    fn to_byte(self) -> u8 {
        match self {
            Self::Allocated => 0,
            Self::CoinbaseOnly => 1,
            Self::Declared => 2,
        }
    }

    fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Allocated),
            1 => Some(Self::CoinbaseOnly),
            2 => Some(Self::Declared),
            _ => None,
        }
    }
}

/// What a SetCustomMiningJob fixes, as far as a declaration knows it (SV2 5.3.18). Its `min_ntime`
/// and `nbits` belong to the tip, which the pool knows itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CustomJob<'a> {
    /// Of the block header. Bits that miners may roll (BIP-0323) are not committed to.
    pub version: u32,
    /// In header order.
    pub prev_hash: &'a [u8; 32],
    /// Of the coinbase transaction.
    pub coinbase_tx_version: u32,
    /// All of the scriptSig that stands before the extranonce.
    pub coinbase_prefix: &'a [u8],
    /// nSequence of the coinbase's input.
    pub coinbase_tx_input_sequence: u32,
    /// Consensus-serialised, behind their number as a CompactSize.
    pub coinbase_tx_outputs: &'a [u8],
    /// Of the coinbase transaction.
    pub coinbase_tx_locktime: u32,
    /// Txids in header order, deepest first.
    pub merkle_path: &'a [[u8; 32]],
}

/// What a token was given for: SHA-256 over an encoding that no two different things share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Commitment([u8; 32]);

impl Commitment {
    /// For [`Scope::Declared`]: this job and no other.
    pub fn declared(job: &CustomJob<'_>) -> Self {
        let mut hash = Canonical::new(b"declared");
        hash.number(job.version & !VERSION_ROLLING_MASK);
        hash.bytes(job.prev_hash);
        hash.number(job.coinbase_tx_version);
        hash.bytes(job.coinbase_prefix);
        hash.number(job.coinbase_tx_input_sequence);
        hash.bytes(job.coinbase_tx_outputs);
        hash.number(job.coinbase_tx_locktime);
        hash.bytes(job.merkle_path.as_flattened());
        hash.finish()
    }

    /// For [`Scope::Allocated`] and [`Scope::CoinbaseOnly`]: whatever pays these scripts, in the
    /// order in which AllocateMiningJobToken.Success lists them.
    pub fn payout<'a>(scripts: impl IntoIterator<Item = &'a Script>) -> Self {
        let mut hash = Canonical::new(b"payout");
        for script in scripts {
            hash.bytes(script.as_bytes());
        }
        hash.finish()
    }
}

/// Hashes fields so that none runs into the next.
struct Canonical(Context);

impl Canonical {
    fn new(kind: &[u8]) -> Self {
        let mut canonical = Self(Context::new(&SHA256));
        canonical.bytes(kind);
        canonical
    }

    fn number(&mut self, number: u32) {
        self.0.update(&number.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    fn finish(self) -> Commitment {
        let mut digest = [0; 32];
        digest.copy_from_slice(self.0.finish().as_ref());
        Commitment(digest)
    }
}

/// What a token says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Token {
    /// What it permits.
    pub scope: Scope,
    /// Unix seconds; from then on it is refused.
    pub expires: u64,
    /// Random, unlike that of any other token.
    pub id: [u8; 16],
}

/// Why a token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not the bytes of a token.
    #[error("{len} bytes that are no job token")]
    Malformed {
        /// How many bytes there were.
        len: usize,
    },
    /// Made with another secret, or changed, or shown for something else than it was given for.
    #[error("the job token was not given for this job by a server with our secret")]
    Forged,
    /// It was good once.
    #[error("the job token expired {ago} s ago")]
    Expired {
        /// Seconds since then.
        ago: u64,
    },
}

impl Token {
    /// The token's bytes, [`TOKEN_LEN`] of them.
    pub fn issue(&self, secret: &Secret, commitment: &Commitment) -> Vec<u8> {
        let mut bytes = self.body().to_vec();
        bytes.extend_from_slice(hmac::sign(&secret.0, &self.signed(commitment)).as_ref());
        bytes
    }

    /// Checks that these are the bytes of a token given for `commitment`, and still good.
    ///
    /// # Errors
    /// It is not. Only what was ours can have expired.
    pub fn verify(
        secret: &Secret,
        bytes: &[u8],
        commitment: &Commitment,
        now_unix: u64,
    ) -> Result<Self, TokenError> {
        let (token, mac) = Self::parse(bytes)?;
        hmac::verify(&secret.0, &token.signed(commitment), mac).map_err(|_| TokenError::Forged)?;
        match now_unix.checked_sub(token.expires) {
            Some(ago) => Err(TokenError::Expired { ago }),
            None => Ok(token),
        }
    }

    /// What the bytes claim to permit, so that whoever verifies them knows which [`Commitment`] to
    /// rebuild. Nothing but [`verify`](Self::verify) makes it true.
    ///
    /// # Errors
    /// Not the bytes of a token.
    pub fn claimed_scope(bytes: &[u8]) -> Result<Scope, TokenError> {
        Ok(Self::parse(bytes)?.0.scope)
    }

    fn parse(bytes: &[u8]) -> Result<(Self, &[u8]), TokenError> {
        let malformed = TokenError::Malformed { len: bytes.len() };
        let (body, mac) = bytes.split_first_chunk::<BODY_LEN>().ok_or(malformed)?;
        let [version, scope, rest @ ..] = body;
        let scope = Scope::from_byte(*scope).ok_or(malformed)?;
        let (expires, id) = rest.split_at(8);
        if *version != VERSION || mac.len() != TOKEN_LEN - BODY_LEN {
            return Err(malformed);
        }
        let token = Self {
            scope,
            expires: u64::from_le_bytes(expires.try_into().map_err(|_| malformed)?),
            id: id.try_into().map_err(|_| malformed)?,
        };
        Ok((token, mac))
    }

    fn body(&self) -> [u8; BODY_LEN] {
        let mut body = [0; BODY_LEN];
        body[0] = VERSION;
        body[1] = self.scope.to_byte();
        body[2..10].copy_from_slice(&self.expires.to_le_bytes());
        body[10..].copy_from_slice(&self.id);
        body
    }

    /// What the MAC covers.
    fn signed(&self, commitment: &Commitment) -> [u8; BODY_LEN + 32] {
        let mut signed = [0; BODY_LEN + 32];
        signed[..BODY_LEN].copy_from_slice(&self.body());
        signed[BODY_LEN..].copy_from_slice(&commitment.0);
        signed
    }
}

#[cfg(test)]
mod tests;
