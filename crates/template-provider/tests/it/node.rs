//! A node of a test's own, and the two ways to it.

pub(crate) use regtest::{LIMIT, Node};
use template_provider::source::{Source, SourceThread, ipc, rpc};

/// A source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Ipc,
    Rpc,
}

impl Kind {
    pub(crate) const BOTH: [Self; 2] = [Self::Ipc, Self::Rpc];

    pub(crate) fn start(self, node: &Node) -> (Source, SourceThread) {
        // Names the source of a test that fails.
        println!("{self:?}");
        match self {
            Self::Ipc => ipc::start(ipc::Access {
                socket: node.socket(),
                empty_first: true,
            }),
            Self::Rpc => rpc::start(node.rpc_client()),
        }
        .unwrap()
    }

    /// The `[node]` section of a configuration.
    pub(crate) fn access(self, node: &Node) -> String {
        match self {
            Self::Ipc => format!("ipc_socket = {:?}\n", node.socket()),
            Self::Rpc => format!("source = \"rpc\"\n{}", node.rpc_access()),
        }
    }
}
