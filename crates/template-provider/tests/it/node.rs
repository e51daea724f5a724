//! A Bitcoin Core of a test's own.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use daemon::node::{NodeError, NodeRpc};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;
use template_provider::source::{Source, SourceThread, ipc, rpc};

/// How long anything a test waits for may take.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// Keeps an old chain from being taken for one that is still downloaded.
const ANY_AGE: &str = "-maxtipage=3153600000";

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
            Self::Ipc => ipc::start(node.socket()),
            Self::Rpc => rpc::start(&node.rpc),
        }
        .unwrap()
    }
}

pub(crate) struct Node {
    pub(crate) directory: TempDir,
    arguments: Vec<String>,
    process: Option<Child>,
    port: u16,
    rpc: NodeRpc,
}

impl Node {
    /// A node with this many blocks.
    pub(crate) async fn with_blocks(count: u32) -> Self {
        let node = Self::start(&[ANY_AGE]).await;
        node.mine(count).await;
        node
    }

    pub(crate) async fn start(arguments: &[&str]) -> Self {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let mut node = Self {
            directory: TempDir::new().unwrap(),
            arguments: arguments.iter().map(ToString::to_string).collect(),
            process: None,
            port,
            rpc: NodeRpc::new(format!("127.0.0.1:{port}"), "test", "test"),
        };
        fs::write(
            node.directory.path().join("bitcoin.conf"),
            format!(
                "regtest=1\n[regtest]\nrpcuser=test\nrpcpassword=test\nrpcport={port}\n\
                 rpcbind=127.0.0.1\nrpcallowip=127.0.0.1\nlisten=0\n"
            ),
        )
        .unwrap();
        node.spawn();
        node.wait_for_rpc().await;
        node
    }

    /// Starts the program, again if need be, without waiting for it.
    pub(crate) fn spawn(&mut self) {
        let child = Command::new(program())
            .arg(format!("-datadir={}", self.directory.path().display()))
            .arg(format!("-ipcbind=unix:{}", self.socket().display()))
            .args(["-printtoconsole=0", "-dnsseed=0"])
            // What regtest checks after every transaction and block takes longer the more there are.
            .args(["-checkmempool=0", "-checkblockindex=0"])
            .args(&self.arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.process = Some(child);
    }

    pub(crate) async fn wait_for_rpc(&self) {
        let deadline = Instant::now() + LIMIT;
        while let Err(error) = self.try_rpc("getblockcount", json!([])).await {
            assert!(
                Instant::now() < deadline,
                "the node does not answer: {error}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.path().join("node.sock")
    }

    /// The node, for somebody else.
    pub(crate) fn rpc_as(&self, user: &str, password: &str) -> NodeRpc {
        NodeRpc::new(format!("127.0.0.1:{}", self.port), user, password)
    }

    /// The `[node]` section of a template provider's configuration.
    pub(crate) fn access(&self, kind: Kind) -> String {
        match kind {
            Kind::Ipc => format!("ipc_socket = {:?}\n", self.socket()),
            Kind::Rpc => format!(
                "source = \"rpc\"\nrpc_address = \"127.0.0.1:{}\"\nrpc_user = \"test\"\n\
                 rpc_password = \"test\"\n",
                self.port
            ),
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let process = self.process.as_ref().unwrap();
        kill(Pid::from_raw(process.id().try_into().unwrap()), signal).unwrap();
    }

    /// As a power cut would.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    pub(crate) async fn stop(&mut self) {
        self.rpc("stop", json!([])).await;
        self.process.take().unwrap().wait().unwrap();
    }

    pub(crate) async fn try_rpc(&self, method: &str, params: Value) -> Result<Value, NodeError> {
        self.rpc.call(method, params).await
    }

    #[track_caller]
    pub(crate) fn rpc(&self, method: &str, params: Value) -> impl Future<Output = Value> {
        let call = format!("{method} {params}");
        let answer = self.try_rpc(method, params);
        async move {
            answer
                .await
                .unwrap_or_else(|error| panic!("{call}: {error}"))
        }
    }

    /// Mines blocks whose coinbases anybody can spend; returns the tip's hash.
    pub(crate) async fn mine(&self, count: u32) -> String {
        let address = crate::chain::address();
        self.rpc("generatetoaddress", json!([count, address.to_string()]))
            .await;
        self.tip().await
    }

    /// Mines a block without transactions, whatever the mempool holds; returns its hash.
    pub(crate) async fn mine_nothing(&self) -> String {
        let address = crate::chain::address();
        self.rpc("generateblock", json!([address.to_string(), []]))
            .await;
        self.tip().await
    }

    pub(crate) async fn tip(&self) -> String {
        self.rpc("getbestblockhash", json!([]))
            .await
            .as_str()
            .unwrap()
            .to_owned()
    }

    pub(crate) async fn height(&self) -> u32 {
        let height = self.rpc("getblockcount", json!([])).await;
        height.as_u64().unwrap().try_into().unwrap()
    }

    pub(crate) async fn block_template(&self) -> Value {
        self.rpc("getblocktemplate", json!([{"rules": ["segwit"]}]))
            .await
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

/// `BITCOIN_NODE`, or where `scripts/bitcoin-core.sh` puts its build.
fn program() -> PathBuf {
    if let Some(program) = std::env::var_os("BITCOIN_NODE") {
        return program.into();
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/bitcoin-core.sh");
    let output = Command::new(script).arg("--where").output().unwrap();
    let directory = String::from_utf8(output.stdout).unwrap();
    let program = Path::new(directory.trim()).join("bitcoin-node");
    assert!(
        program.exists(),
        "no Bitcoin Core; run scripts/bitcoin-core.sh or set BITCOIN_NODE"
    );
    program
}
