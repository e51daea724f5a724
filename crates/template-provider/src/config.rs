//! The role's configuration.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use daemon::config::Reader;
use daemon::node::NodeRpc;
use protocol::keys::{AuthorityKey, AuthorityPublicKey};

use crate::source::Refresh;

const IPC_SOCKET: &str = "node.ipc_socket";
const RPC_ADDRESS: &str = "node.rpc_address";
const RPC_USER: &str = "node.rpc_user";
const RPC_PASSWORD: &str = "node.rpc_password";
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
    /// How the node is reached.
    pub node: NodeAccess,
    /// When clients get a new template without a new tip.
    pub refresh: Refresh,
}

/// Where templates come from: `node.source`.
#[derive(Debug, Clone)]
pub enum NodeAccess {
    /// `"ipc"`, the default.
    Ipc {
        /// The node's IPC socket.
        socket: PathBuf,
    },
    /// `"rpc"`, for a node that has no IPC socket or is on another machine.
    Rpc(NodeRpc),
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
        let node = node(reader);
        Some(Self {
            listen_address: listen_address?,
            monitoring_address: monitoring_address?,
            authority: authority?,
            cert_validity: Duration::from_secs(cert_validity),
            node: node?,
            refresh: Refresh {
                fee_threshold: Some(fee_threshold),
                min_interval: Duration::from_secs(min_interval),
            },
        })
    }
}

/// How the node is reached. What belongs to the other way is reported, for it would do nothing.
fn node(reader: &mut Reader) -> Option<NodeAccess> {
    let source: String = reader.or("node.source", "ipc".to_owned());
    match source.as_str() {
        "ipc" => {
            for key in [RPC_ADDRESS, RPC_USER, RPC_PASSWORD] {
                refuse(reader, key, "rpc");
            }
            Some(ipc(reader))
        }
        "rpc" => {
            refuse(reader, IPC_SOCKET, "ipc");
            Some(rpc(reader))
        }
        other => {
            reader.problem(
                "node.source",
                format!("{other:?} is neither \"ipc\" nor \"rpc\""),
            );
            // Whether these are right depends on the source.
            for key in [IPC_SOCKET, RPC_ADDRESS, RPC_USER, RPC_PASSWORD] {
                reader.or(key, String::new());
            }
            None
        }
    }
}

fn refuse(reader: &mut Reader, key: &str, source: &str) {
    if reader.has(key) {
        reader.or(key, String::new());
        reader.problem(
            key,
            format!("only for node.source = \"{source}\"; set that, or leave this out"),
        );
    }
}

fn ipc(reader: &mut Reader) -> NodeAccess {
    let socket: PathBuf = reader.required(IPC_SOCKET);
    if socket.as_os_str().len() > MAX_SOCKET_PATH {
        reader.problem(
            IPC_SOCKET,
            format!("a socket's path may have {MAX_SOCKET_PATH} bytes; use a shorter one"),
        );
    }
    NodeAccess::Ipc { socket }
}

fn rpc(reader: &mut Reader) -> NodeAccess {
    let address: String = reader.required(RPC_ADDRESS);
    let has_port = |(host, port): (&str, &str)| !host.is_empty() && port.parse::<u16>().is_ok();
    if !address.is_empty() && !address.rsplit_once(':').is_some_and(has_port) {
        reader.problem(
            RPC_ADDRESS,
            format!("{address:?} is not host:port, such as 127.0.0.1:18443"),
        );
    }
    let user: String = reader.required(RPC_USER);
    let password: String = reader.required(RPC_PASSWORD);
    NodeAccess::Rpc(NodeRpc::new(address, user, password))
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
