//! How fast the explorer is, and what it needs: cold start, pages under load, a block's way into an
//! open page, memory.
//!
//!   cargo bench -p explorer --bench pages [-- BLOCKS [spread]]
//!
//! Measures on a chain of 1000 blocks, and with BLOCKS on a longer one as well. All of them pay one
//! address, as a lab's do; `spread` has each pay another, which is the most there is to remember.
//! The explorer has one processor, on which others may be busy, too.

#![allow(clippy::unwrap_used, reason = "a measurement fails by panicking")]

use std::ops::Range;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bitcoin::hashes::Hash;
use bitcoin::{Address, Network, ScriptBuf, WPubkeyHash};

use regtest::chain::address;
use regtest::{ANY_AGE, Node, Port, free_port};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Requests a second, and for how long.
const RATE: u32 = 200;
const SECONDS: u32 = 10;
/// Blocks that are followed into an open page.
const FOLLOWED: u32 = 20;

struct Explorer {
    process: Child,
    port: Port,
    _directory: TempDir,
    client: reqwest::Client,
}

impl Explorer {
    fn start(node: &Node) -> Self {
        let directory = TempDir::new().unwrap();
        let port = free_port();
        let access = node.reader_access();
        let config = format!("listen_address = \"127.0.0.1:{port}\"\n[node]\n{access}");
        std::fs::write(directory.path().join("config.toml"), config).unwrap();
        let process = Command::new("taskset")
            .args(["--cpu-list", "0"])
            .arg(PathBuf::from(env!("CARGO_BIN_EXE_explorer")))
            .arg("--config")
            .arg(directory.path().join("config.toml"))
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self {
            process,
            port,
            _directory: directory,
            // Less than what the explorer keeps an idle connection for.
            client: reqwest::Client::builder()
                .pool_idle_timeout(Duration::from_secs(5))
                .build()
                .unwrap(),
        }
    }

    async fn get(&self, path: &str) -> Option<String> {
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        let request = self.client.get(url).header("accept", "text/html");
        let answer = request.send().await.ok()?.error_for_status().ok()?;
        answer.text().await.ok()
    }

    /// Waits until the home page shows this block.
    async fn shows(&self, hash: &str) {
        while !self.get("/").await.is_some_and(|page| page.contains(hash)) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// In MiB: now, and at most ever.
    fn memory(&self) -> String {
        let status = format!("/proc/{}/status", self.process.id());
        let status = std::fs::read_to_string(status).unwrap();
        let mib = |key: &str| {
            let line = status.lines().find(|line| line.starts_with(key)).unwrap();
            let kib: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
            kib / 1024.0
        };
        format!(
            "{:>8.1} MiB, at most {:.1} MiB",
            mib("VmRSS:"),
            mib("VmHWM:")
        )
    }
}

impl Drop for Explorer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn main() {
    let has = |word: &str| std::env::args().any(|argument| argument == word);
    let blocks = std::env::args().find_map(|argument| argument.parse().ok());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let chain = LongChain::begin(blocks.unwrap_or(1000), has("spread")).await;
        for height in [1000].into_iter().chain(blocks) {
            chain.grow(height).await;
            measure(&chain.node).await;
        }
    });
}

/// A chain whose blocks say that they were found a second apart, up to now. Made as fast as they
/// are, their times would run ahead of the clock, which a node allows for two hours only.
struct LongChain {
    node: Node,
    began: u64,
    spread: bool,
}

impl LongChain {
    async fn begin(blocks: u32, spread: bool) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Self {
            // As a lab's.
            node: Node::start(&[ANY_AGE, "-rest=1"]).await,
            began: now.as_secs() - u64::from(blocks),
            spread,
        }
    }

    async fn grow(&self, height: u32) {
        loop {
            let tip = self.node.height().await;
            let count = height.saturating_sub(tip).min(1000);
            if count == 0 {
                return;
            }
            let clock = self.began + u64::from(tip + count);
            self.node.rpc("setmocktime", json!([clock])).await;
            match self.spread {
                true => self.mine_spread(tip..tip + count).await,
                false => drop(self.node.mine(count).await),
            }
        }
    }

    /// A block for each number, each to an address of its own.
    async fn mine_spread(&self, numbers: Range<u32>) {
        let params = numbers.map(|number| {
            let owner = WPubkeyHash::hash(&number.to_le_bytes());
            let script = ScriptBuf::new_p2wpkh(&owner);
            let address = Address::from_script(&script, Network::Regtest).unwrap();
            json!([1, address.to_string()])
        });
        let params: Vec<Value> = params.collect();
        let rpc = self.node.rpc_client();
        let made = rpc.batch::<Value>("generatetoaddress", &params).await;
        made.unwrap().into_iter().for_each(|one| drop(one.unwrap()));
    }
}

async fn measure(node: &Node) {
    let height = node.height().await;
    let tip = node.tip().await;
    let began = Instant::now();
    let explorer = Explorer::start(node);
    explorer.shows(&tip).await;
    println!("{height} blocks");
    println!(
        "  cold start to the home page with the tip  {:>8.0} ms",
        ms(began.elapsed())
    );
    println!(
        "  memory after it                           {}",
        explorer.memory()
    );
    let paths = paths(node).await;
    for path in &paths {
        load(&explorer, std::slice::from_ref(path), 2).await;
    }
    load(&explorer, &paths, SECONDS).await;
    println!(
        "  memory under load                         {}",
        explorer.memory()
    );
    follow(&explorer, node).await;
}

async fn paths(node: &Node) -> Vec<String> {
    let (coin, _) = node.coinbase_of(2).await;
    let tip = node.height().await;
    let mut paths = vec![
        format!("/block/{tip}"),
        "/block/2".to_owned(),
        format!("/tx/{}", coin.txid),
        format!("/address/{}", address()),
        format!("/search?q={tip}"),
        "/api/v1/home".to_owned(),
        "/api/blocks/tip/height".to_owned(),
        format!("/api/address/{}/txs", address()),
        format!("/api/address/{}", address()),
        "/api/blocks/11".to_owned(),
    ];
    let plain = [
        "/", "/blocks", "/mempool", "/miners", "/tips", "/work", "/about",
    ];
    paths.extend(plain.map(str::to_owned));
    paths
}

/// Asks at a steady rate, whether or not answers have come, and tells how long they took. The
/// explorer may refuse what is more than its node gives it: those are counted, not timed.
async fn load(explorer: &Explorer, paths: &[String], seconds: u32) {
    let began = tokio::time::Instant::now();
    let mut asked = Vec::new();
    for number in 0..RATE * seconds {
        tokio::time::sleep_until(began + Duration::from_secs(1) / RATE * number).await;
        let path = &paths[number as usize % paths.len()];
        let url = format!("http://127.0.0.1:{}{path}", explorer.port);
        let request = explorer.client.get(url).header("accept", "text/html");
        asked.push(tokio::spawn(async move {
            let began = Instant::now();
            let answer = request.send().await.unwrap();
            let status = answer.status();
            answer.bytes().await.unwrap();
            match status {
                StatusCode::SERVICE_UNAVAILABLE => None,
                status => {
                    assert!(status.is_success(), "{status}");
                    Some(began.elapsed())
                }
            }
        }));
    }
    let mut times = Vec::new();
    let mut refused = 0;
    for answer in asked {
        match answer.await.unwrap() {
            Some(time) => times.push(time),
            None => refused += 1,
        }
    }
    let what = match paths {
        [path] => path.chars().take(24).collect(),
        all => format!("{} pages in turn", all.len()),
    };
    tell(&format!("{RATE}/s {what}"), &mut times);
    if refused > 0 {
        println!(
            "  {:40}  {refused} of {} (503)",
            "of these refused",
            RATE * seconds
        );
    }
}

/// From the node's answer that it has a block to the page that shows it, as an open page gets there:
/// told by an event, it fetches itself.
async fn follow(explorer: &Explorer, node: &Node) {
    let url = format!("http://127.0.0.1:{}/api/v1/events?types=tip", explorer.port);
    let mut events = explorer.client.get(url).send().await.unwrap();
    let mut times = Vec::new();
    for _ in 0..FOLLOWED {
        let hash = node.mine(1).await;
        let began = Instant::now();
        let mut text = String::new();
        while !text.contains(&hash) {
            let chunk = events.chunk().await.unwrap().unwrap();
            text += std::str::from_utf8(&chunk).unwrap();
        }
        explorer.shows(&hash).await;
        times.push(began.elapsed());
    }
    tell("node's tip to an open page", &mut times);
}

fn tell(what: &str, times: &mut [Duration]) {
    if times.is_empty() {
        return println!("  {what:40}  no answer");
    }
    times.sort();
    let at = |share: f64| ms(times[((times.len() - 1) as f64 * share) as usize]);
    println!(
        "  {what:40}  p50 {:>7.2} ms  p99 {:>7.2} ms  max {:>7.2} ms",
        at(0.5),
        at(0.99),
        at(1.0)
    );
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
