//! Where a role listens, and what it shows its clients.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use protocol::keys::{AuthorityKey, AuthorityPublicKey};
use protocol::noise::ServerIdentity;

use crate::clock;
use crate::config::Reader;

/// Where a role listens, and who signs the certificates it shows.
#[derive(Debug, Clone)]
pub struct Listen {
    /// Where clients connect.
    pub address: SocketAddr,
    /// Signs the certificate that clients check.
    pub authority: AuthorityKey,
    /// How long a certificate is valid; it is renewed after half of it.
    pub cert_validity: Duration,
}

impl Listen {
    /// Takes `listen_address`, the authority's two keys and `cert_validity_sec` out of `reader`;
    /// `None` when a problem was noted.
    pub fn read(reader: &mut Reader) -> Option<Self> {
        let address = reader.parsed("listen_address");
        let authority = read_authority(reader);
        let cert_validity = reader.or("cert_validity_sec", 3600);
        if cert_validity == 0 {
            let what = "0: a certificate has to be valid for some time";
            reader.problem("cert_validity_sec", what);
        }
        Some(Self {
            address: address?,
            authority: authority?,
            cert_validity: Duration::from_secs(cert_validity),
        })
    }
}

/// Both halves of the key. The public one says nothing new, but whoever copies only one of the two
/// learns of it here and not from clients that are turned away.
fn read_authority(reader: &mut Reader) -> Option<AuthorityKey> {
    const SECRET: &str = "authority_secret_key";
    const PUBLIC: &str = "authority_public_key";
    let public = reader.parsed::<AuthorityPublicKey>(PUBLIC);
    if !reader.has(SECRET) {
        reader.problem(SECRET, "missing");
        return None;
    }
    // The secret itself is never repeated.
    let secret: String = reader.required(SECRET);
    let authority = AuthorityKey::from_secret_text(&secret)
        .map_err(|error| reader.problem(SECRET, error))
        .ok()?;
    authority
        .check_public(public?)
        .map_err(|error| reader.problem(PUBLIC, error))
        .ok()?;
    Some(authority)
}

/// Renews the certificate long before it expires.
pub(super) struct Identity {
    authority: AuthorityKey,
    validity: Duration,
    current: Arc<ServerIdentity>,
    renew_at: u64,
}

impl Identity {
    pub(super) fn new(authority: AuthorityKey, validity: Duration) -> Self {
        let now = clock::unix();
        let rng = &mut rand::thread_rng();
        Self {
            current: Arc::new(ServerIdentity::issue(&authority, validity, now, rng)),
            renew_at: now + validity.as_secs() / 2,
            authority,
            validity,
        }
    }

    pub(super) fn current(&mut self) -> Arc<ServerIdentity> {
        if clock::unix() >= self.renew_at {
            *self = Self::new(self.authority.clone(), self.validity);
        }
        Arc::clone(&self.current)
    }
}
