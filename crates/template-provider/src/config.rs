//! The role's configuration.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use daemon::accept::{Limits, Listen};
use daemon::config::Reader;
use daemon::node::NodeRpc;

use crate::source::{Refresh, ipc};

const IPC_SOCKET: &str = "node.ipc_socket";
const EMPTY_FIRST: &str = "node.empty_first";
const RPC_ADDRESS: &str = "node.rpc_address";
const RPC_USER: &str = "node.rpc_user";
const RPC_PASSWORD: &str = "node.rpc_password";
/// A Unix socket's address has room for so many bytes and a terminator.
const MAX_SOCKET_PATH: usize = 107;
/// Satoshis; a tenth of what a typical transaction pays.
const DEFAULT_FEE_THRESHOLD: u64 = 1_000;
/// Seconds.
const DEFAULT_MIN_INTERVAL: u64 = 5;

/// Each client costs the node, over IPC, four threads and the templates it has been sent.
const DEFAULT_MAX_CONNECTIONS: u32 = 128;

/// All that can be set.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where clients connect.
    pub listen: Listen,
    /// What a client's connection may do.
    pub limits: Limits,
    /// Where `/healthz` and `/metrics` are served.
    pub monitoring_address: SocketAddr,
    /// How the node is reached.
    pub node: NodeAccess,
    /// When clients get a new template without a new tip.
    pub refresh: Refresh,
}

/// Where templates come from: `node.source`.
#[derive(Debug, Clone)]
pub enum NodeAccess {
    /// `"ipc"`, the default.
    Ipc(ipc::Access),
    /// `"rpc"`, for a node that has no IPC socket or is on another machine.
    Rpc(NodeRpc),
}

impl Config {
    /// Takes the configuration out of `reader`, which collects what is wrong with it.
    pub fn read(reader: &mut Reader) -> Option<Self> {
        let listen = Listen::read(reader);
        let defaults = Limits {
            max_connections: DEFAULT_MAX_CONNECTIONS,
            ..Limits::default()
        };
        let limits = Limits::read(reader, defaults);
        let monitoring_address = reader.parsed("monitoring_address");
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
            listen: listen?,
            limits,
            monitoring_address: monitoring_address?,
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
            for key in [IPC_SOCKET, EMPTY_FIRST] {
                refuse(reader, key, "ipc");
            }
            NodeRpc::read(reader).map(NodeAccess::Rpc)
        }
        other => {
            reader.problem(
                "node.source",
                format!("{other:?} is neither \"ipc\" nor \"rpc\""),
            );
            // Whether these are right depends on the source.
            for key in [IPC_SOCKET, EMPTY_FIRST, RPC_ADDRESS, RPC_USER, RPC_PASSWORD] {
                skip(reader, key);
            }
            None
        }
    }
}

fn refuse(reader: &mut Reader, key: &str, source: &str) {
    if reader.has(key) {
        skip(reader, key);
        reader.problem(
            key,
            format!("only for node.source = \"{source}\"; set that, or leave this out"),
        );
    }
}

/// Takes a key out, whatever its type.
fn skip(reader: &mut Reader, key: &str) {
    reader.or(key, serde_json::Value::Null);
}

fn ipc(reader: &mut Reader) -> NodeAccess {
    let socket: PathBuf = reader.required(IPC_SOCKET);
    if socket.as_os_str().len() > MAX_SOCKET_PATH {
        reader.problem(
            IPC_SOCKET,
            format!("a socket's path may have {MAX_SOCKET_PATH} bytes; use a shorter one"),
        );
    }
    NodeAccess::Ipc(ipc::Access {
        socket,
        empty_first: reader.or(EMPTY_FIRST, true),
    })
}

#[cfg(test)]
mod tests;
