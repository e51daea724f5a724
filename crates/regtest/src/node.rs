//! A node of a test's own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use daemon::node::{NodeError, NodeRpc, reader_lines};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{Port, chain, free_port};

/// How long anything a test waits for may take. Nothing does unless it fails: a machine that is busy
/// with other things makes everything many times slower.
pub const LIMIT: Duration = Duration::from_secs(60);

/// Keeps an old chain from being taken for one that is still downloaded.
pub const ANY_AGE: &str = "-maxtipage=3153600000";

/// A Bitcoin Core on regtest with a directory of its own; both are gone when it is dropped.
pub struct Node {
    /// Its data and its log.
    pub directory: TempDir,
    arguments: Vec<String>,
    process: Option<Child>,
    port: Port,
    rpc: NodeRpc,
}

impl Node {
    /// A node with this many blocks.
    pub async fn with_blocks(count: u32) -> Self {
        let node = Self::start(&[ANY_AGE]).await;
        node.mine(count).await;
        node
    }

    /// A node without blocks and with further arguments, once it answers.
    pub async fn start(arguments: &[&str]) -> Self {
        let port = free_port();
        let directory = TempDir::new().unwrap();
        fs::write(
            directory.path().join("bitcoin.conf"),
            format!(
                "regtest=1\n[regtest]\nrpcuser=test\nrpcpassword=test\nrpcport={port}\n\
                 rpcbind=127.0.0.1\nrpcallowip=127.0.0.1\nlisten=0\n{}",
                reader_lines("reader", "reader")
            ),
        )
        .unwrap();
        let mut node = Self {
            directory,
            arguments: arguments.iter().map(ToString::to_string).collect(),
            process: None,
            rpc: NodeRpc::new(format!("127.0.0.1:{port}"), "test", "test"),
            port,
        };
        node.spawn();
        node.wait_for_rpc().await;
        node
    }

    /// Starts the program, again if need be, without waiting for it.
    pub fn spawn(&mut self) {
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

    /// Waits until it answers.
    pub async fn wait_for_rpc(&self) {
        let deadline = Instant::now() + LIMIT;
        while let Err(error) = self.try_rpc("getblockcount", json!([])).await {
            assert!(
                Instant::now() < deadline,
                "the node does not answer: {error}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Of its mining interface.
    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("node.sock")
    }

    /// The node, for somebody else.
    pub fn rpc_as(&self, user: &str, password: &str) -> NodeRpc {
        NodeRpc::new(format!("127.0.0.1:{}", self.port), user, password)
    }

    /// Its RPC interface.
    pub fn rpc_client(&self) -> &NodeRpc {
        &self.rpc
    }

    /// The keys by which a role's `[node]` section names it.
    pub fn rpc_access(&self) -> String {
        self.access_of("test")
    }

    /// The same for a role that only reads.
    pub fn reader_access(&self) -> String {
        self.access_of("reader")
    }

    fn access_of(&self, user: &str) -> String {
        format!(
            "rpc_address = \"127.0.0.1:{}\"\nrpc_user = \"{user}\"\nrpc_password = \"{user}\"\n",
            self.port
        )
    }

    /// Stops it where it is. When this returns none of its threads runs: the signal alone reaches
    /// them a moment later, in which they may still answer.
    pub fn pause(&self) {
        kill(self.pid(), Signal::SIGSTOP).unwrap();
        waitid(Id::Pid(self.pid()), WaitPidFlag::WSTOPPED).unwrap();
    }

    /// Lets it go on.
    pub fn resume(&self) {
        kill(self.pid(), Signal::SIGCONT).unwrap();
    }

    fn pid(&self) -> Pid {
        let process = self.process.as_ref().unwrap();
        Pid::from_raw(process.id().try_into().unwrap())
    }

    /// As a power cut would.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Ends it in order.
    pub async fn stop(&mut self) {
        self.rpc("stop", json!([])).await;
        self.process.take().unwrap().wait().unwrap();
    }

    /// Calls its RPC interface.
    pub async fn try_rpc(&self, method: &str, params: Value) -> Result<Value, NodeError> {
        self.rpc.call(method, params).await
    }

    /// The same where it cannot fail.
    #[track_caller]
    pub fn rpc(&self, method: &str, params: Value) -> impl Future<Output = Value> {
        let call = format!("{method} {params}");
        let answer = self.try_rpc(method, params);
        async move {
            answer
                .await
                .unwrap_or_else(|error| panic!("{call}: {error}"))
        }
    }

    /// Mines blocks whose coinbases anybody can spend; returns the tip's hash.
    pub async fn mine(&self, count: u32) -> String {
        let address = chain::address();
        self.rpc("generatetoaddress", json!([count, address.to_string()]))
            .await;
        self.tip().await
    }

    /// Mines a block without transactions, whatever the mempool holds; returns its hash.
    pub async fn mine_nothing(&self) -> String {
        let address = chain::address();
        self.rpc("generateblock", json!([address.to_string(), []]))
            .await;
        self.tip().await
    }

    /// Hash of the tip.
    pub async fn tip(&self) -> String {
        self.rpc("getbestblockhash", json!([]))
            .await
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// Height of the tip.
    pub async fn height(&self) -> u32 {
        let height = self.rpc("getblockcount", json!([])).await;
        height.as_u64().unwrap().try_into().unwrap()
    }

    /// What it would mine next.
    pub async fn block_template(&self) -> Value {
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
