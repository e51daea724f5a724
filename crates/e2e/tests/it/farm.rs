//! A farm that makes its own templates, and the pools it mines for.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use protocol::message::common::Protocol;
use regtest::{Node, Program, free_port};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::site::{program, until};

pub(crate) const SECRET: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// Blocks of both nodes at the start: enough coins to spend.
pub(crate) const BLOCKS: u32 = 160;

/// The pool of an upstream, by its number, or the farm itself.
pub(crate) const SOLO: u8 = 0xff;

/// A pool with its job declarator server.
pub(crate) struct Upstream {
    pub(crate) pool: Program,
    pub(crate) jds: Program,
}

/// Everything.
pub(crate) struct Farm {
    /// The farm's own, and the pools' if they have no other.
    pub(crate) node: Node,
    /// A node of the pools' that knows nobody: a block or a transaction reaches it over our programs
    /// only.
    pools_node: Option<Node>,
    _providers: [Program; 2],
    pub(crate) upstreams: Vec<Upstream>,
    pub(crate) jdc: Program,
    directory: TempDir,
}

impl Farm {
    /// With so many upstreams, all of them connected and the first one worked for. They share one
    /// node.
    pub(crate) async fn start(mode: &str, upstreams: u8) -> Self {
        let node = Node::with_blocks(BLOCKS).await;
        Self::around(node, None, (mode, ""), upstreams).await
    }

    /// Around this node, with further sections of its configuration; [`apart`](Self::apart) or not.
    pub(crate) async fn choosing(node: Node, mode: &str, is_apart: bool, sections: &str) -> Self {
        let pools_node = if is_apart {
            let pools_node = Node::with_blocks(0).await;
            copy_blocks(&node, &pools_node).await;
            Some(pools_node)
        } else {
            None
        };
        let sections = format!("[node]\n{}{sections}", node.rpc_access());
        Self::around(node, pools_node, (mode, &sections), 1).await
    }

    /// With one upstream that has a node of its own.
    pub(crate) async fn apart(mode: &str) -> Self {
        let node = Node::with_blocks(BLOCKS).await;
        let pools_node = Node::with_blocks(0).await;
        copy_blocks(&node, &pools_node).await;
        Self::around(node, Some(pools_node), (mode, ""), 1).await
    }

    async fn around(
        node: Node,
        pools_node: Option<Node>,
        (mode, further): (&str, &str),
        upstreams: u8,
    ) -> Self {
        let directory = TempDir::new().unwrap();
        let theirs = pools_node.as_ref().unwrap_or(&node);
        let provider = template_provider(&node);
        let pools_provider = template_provider(theirs);
        let mut sections = String::new();
        let mut running = Vec::new();
        for number in 0..upstreams {
            let ledger = directory.path().join(format!("ledger{number}"));
            let (upstream, section) = start_upstream(number, theirs, &pools_provider, &ledger);
            running.push(upstream);
            sections += &section;
        }
        let keys = format!(
            "mode = \"{mode}\"\ncoinbase_reward_script = \"{}\"\nshare_batch_size = 1\n{}{further}{sections}",
            reward_script(SOLO),
            server_section(
                "template_provider",
                &provider,
                Protocol::TemplateDistributionProtocol
            ),
        );
        for upstream in &running {
            upstream.pool.wait_for_health(0);
            upstream.jds.wait_for_health(0);
        }
        let jdc = Program::start(program("jdc"), free_port(), &keys);
        jdc.wait_for_health(0);
        Self {
            node,
            pools_node,
            _providers: [provider, pools_provider],
            upstreams: running,
            jdc,
            directory,
        }
    }

    /// Mines until so many blocks were accepted; the device's report.
    pub(crate) fn mine(&self, blocks: u32) -> Value {
        let blocks = blocks.to_string();
        let mut device = self.device(&["--until-blocks", &blocks, "--share-interval", "0.25"]);
        device.process.wait().unwrap();
        device.report()
    }

    /// A device that finds about this many blocks a second, until it is stopped.
    pub(crate) fn steady_device(&self) -> Device {
        self.device(&["--share-interval", "0.25"])
    }

    fn device(&self, arguments: &[&str]) -> Device {
        let report = self.directory.path().join("report.json");
        let _ = std::fs::remove_file(&report);
        let upstream = self.jdc.upstream(Protocol::MiningProtocol);
        let process = Command::new(program("mining-device"))
            .args(["--pool-address", &upstream.address.to_string()])
            .args(["--pool-public-key", &upstream.authority.to_string()])
            // So slow that each share is found at once.
            .args(["--user-identity", "farm.rig", "--nominal-hashrate", "1"])
            .args(["--threads", "1"])
            .args(["--report-file", report.to_str().unwrap()])
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Device { process, report }
    }

    /// The newest jobs, newest first.
    pub(crate) fn jobs(&self) -> Vec<Value> {
        let answer = self.jdc.get("/api/v1/declared-jobs?limit=100");
        let body = answer.split("\r\n\r\n").nth(1).unwrap();
        let list: Value = serde_json::from_str(body).unwrap();
        list["items"].as_array().unwrap().clone()
    }

    /// Waits until there is a job as it is wanted.
    pub(crate) async fn job(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        until(what, async || {
            let jobs = self.jobs();
            let found = jobs.iter().find(|job| wanted(job));
            let newest = jobs.first();
            found
                .cloned()
                .ok_or_else(|| format!("the newest is {newest:?}"))
        })
        .await
    }

    /// Waits until the miners' node has a block above `height` that pays whom it should, and
    /// returns its hash.
    pub(crate) async fn block_for(&self, payee: u8, height: u32) -> String {
        let what = format!("a block above {height} for {payee}");
        until(&what, async || {
            let found = self.paid_above(height, payee).await;
            found.ok_or_else(|| "none so far".to_owned())
        })
        .await
    }

    /// The lowest block above `height` that pays whom it should.
    pub(crate) async fn paid_above(&self, height: u32, payee: u8) -> Option<String> {
        let tip = self.node.height().await;
        for height in height + 1..=tip {
            let hash = self.hash_at(height).await;
            if paid(&self.node, &hash).await == script(payee) {
                return Some(hash);
            }
        }
        None
    }

    async fn hash_at(&self, height: u32) -> String {
        let hash = self.node.rpc("getblockhash", json!([height])).await;
        hash.as_str().unwrap().to_owned()
    }

    /// Waits until the pools' node has this block too.
    pub(crate) async fn reaches_pool(&self, hash: &str) {
        until("the block at the pools' node", async || {
            let header = self.pools_node().try_rpc("getblockheader", json!([hash]));
            header.await.map(drop).map_err(|error| error.to_string())
        })
        .await;
    }

    /// The pools'.
    pub(crate) fn pools_node(&self) -> &Node {
        self.pools_node.as_ref().unwrap_or(&self.node)
    }

    /// As if the nodes had met.
    pub(crate) async fn meet(&self) {
        copy_blocks(&self.node, self.pools_node()).await;
    }
}

/// A miner.
pub(crate) struct Device {
    process: Child,
    report: PathBuf,
}

impl Device {
    /// Ends it in order; its report.
    pub(crate) fn stop(mut self) -> Value {
        let pid = Pid::from_raw(self.process.id().try_into().unwrap());
        kill(pid, Signal::SIGTERM).unwrap();
        self.process.wait().unwrap();
        self.report()
    }

    fn report(&self) -> Value {
        let text = std::fs::read_to_string(&self.report).unwrap();
        serde_json::from_str(&text).unwrap()
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn template_provider(node: &Node) -> Program {
    let keys = format!(
        "min_interval = 1\nfee_threshold = 1\n[node]\nsource = \"ipc\"\nipc_socket = \"{}\"\n",
        node.socket().display()
    );
    Program::start(program("template-provider"), free_port(), &keys)
}

/// The programs, and the section by which the farm knows them.
fn start_upstream(
    number: u8,
    node: &Node,
    provider: &Program,
    ledger: &Path,
) -> (Upstream, String) {
    let node = node.rpc_access();
    let pool_keys = format!(
        "coinbase_reward_script = \"{}\"\npool_signature = \"/pool/\"\nshare_batch_size = 1\n\
         [ledger]\ndirectory = \"{}\"\n[job_declaration]\nsecret = \"{SECRET}\"\n[node]\n{node}{}",
        reward_script(number),
        ledger.display(),
        server_section(
            "template_provider",
            provider,
            Protocol::TemplateDistributionProtocol
        ),
    );
    let jds_keys = format!(
        "coinbase_reward_script = \"{}\"\n[job_declaration]\nsecret = \"{SECRET}\"\n[node]\n{node}",
        reward_script(number),
    );
    let pool = Program::start(program("pool"), free_port(), &pool_keys);
    let jds = Program::start(program("jds"), free_port(), &jds_keys);
    let (to_pool, to_jds) = (
        pool.upstream(Protocol::MiningProtocol),
        jds.upstream(Protocol::JobDeclarationProtocol),
    );
    let section = format!(
        "[[upstreams]]\nauthority_pubkey = \"{}\"\npool_address = \"127.0.0.1\"\npool_port = {}\n\
         jds_authority_pubkey = \"{}\"\njds_address = \"127.0.0.1\"\njds_port = {}\n\
         user_identity = \"farm\"\n",
        to_pool.authority, to_pool.address.port, to_jds.authority, to_jds.address.port,
    );
    (Upstream { pool, jds }, section)
}

fn server_section(name: &str, server: &Program, protocol: Protocol) -> String {
    let upstream = server.upstream(protocol);
    format!(
        "[{name}]\naddress = \"{}\"\npublic_key = \"{}\"\n",
        upstream.address, upstream.authority
    )
}

fn reward_script(payee: u8) -> String {
    format!("raw({})", script(payee))
}

/// A P2WPKH script that says whose it is.
fn script(payee: u8) -> String {
    format!("0014{}", format!("{payee:02x}").repeat(20))
}

/// The first script that a block pays.
async fn paid(node: &Node, hash: &str) -> String {
    let block = node.rpc("getblock", json!([hash, 2])).await;
    let script = &block["tx"][0]["vout"][0]["scriptPubKey"]["hex"];
    script.as_str().unwrap().to_owned()
}

async fn copy_blocks(from: &Node, to: &Node) {
    for height in 1..=from.height().await {
        let hash = from.rpc("getblockhash", json!([height])).await;
        if to.try_rpc("getblock", json!([hash])).await.is_err() {
            let block = from.rpc("getblock", json!([hash, 0])).await;
            to.rpc("submitblock", json!([block])).await;
        }
    }
}
