//! The role's configuration.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use daemon::config::Reader;
use protocol::keys::{AuthorityKey, AuthorityPublicKey};

use crate::source::Refresh;

/// A Unix socket's address has room for so many bytes and a terminator.
const MAX_SOCKET_PATH: usize = 107;
/// Satoshis; a tenth of what a typical transaction pays.
const DEFAULT_FEE_THRESHOLD: u64 = 1_000;
/// Seconds.
const DEFAULT_MIN_INTERVAL: u64 = 5;
/// Seconds.
const DEFAULT_CERT_VALIDITY: u64 = 3_600;

/// All that can be set.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where clients connect.
    pub listen_address: SocketAddr,
    /// Where `/healthz` and `/metrics` are served.
    pub monitoring_address: SocketAddr,
    /// What signs the certificate that clients check.
    pub authority: AuthorityKey,
    /// How long a certificate is valid.
    pub cert_validity: Duration,
    /// The node's IPC socket.
    pub ipc_socket: PathBuf,
    /// When clients get a new template without a new tip.
    pub refresh: Refresh,
}

impl Config {
    /// Takes the configuration out of `reader`, which collects what is wrong with it.
    pub fn read(reader: &mut Reader) -> Option<Self> {
        let listen_address = reader.parsed("listen_address");
        let monitoring_address = reader.parsed("monitoring_address");
        let authority = authority(reader);
        let cert_validity = reader.or("cert_validity_sec", DEFAULT_CERT_VALIDITY);
        if cert_validity == 0 {
            reader.problem(
                "cert_validity_sec",
                "a certificate has to be valid for some time",
            );
        }
        let fee_threshold = reader.or("fee_threshold", DEFAULT_FEE_THRESHOLD);
        if fee_threshold == 0 {
            reader.problem(
                "fee_threshold",
                "0 would make a template every second; set at least 1",
            );
        }
        let min_interval = reader.or("min_interval", DEFAULT_MIN_INTERVAL);
        let ipc_socket: PathBuf = reader.required("node.ipc_socket");
        if ipc_socket.as_os_str().len() > MAX_SOCKET_PATH {
            reader.problem(
                "node.ipc_socket",
                format!("a socket's path may have {MAX_SOCKET_PATH} bytes; use a shorter one"),
            );
        }
        Some(Self {
            listen_address: listen_address?,
            monitoring_address: monitoring_address?,
            authority: authority?,
            cert_validity: Duration::from_secs(cert_validity),
            ipc_socket,
            refresh: Refresh {
                fee_threshold: Some(fee_threshold),
                min_interval: Duration::from_secs(min_interval),
            },
        })
    }
}

/// Both halves of the key. The public one says nothing new, but whoever copies only one of the two
/// learns of it here and not from clients that are turned away.
fn authority(reader: &mut Reader) -> Option<AuthorityKey> {
    const SECRET: &str = "authority_secret_key";
    const PUBLIC: &str = "authority_public_key";
    let public = reader.parsed::<AuthorityPublicKey>(PUBLIC);
    if !reader.has(SECRET) {
        reader.problem(SECRET, "missing");
        return None;
    }
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

#[cfg(test)]
mod tests;
