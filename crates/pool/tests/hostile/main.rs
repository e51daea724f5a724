//! Fifty peers that mean no good beside fifty that do: the good ones do not notice. A test program of
//! its own, so that no other test is what they wait for.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod miner;
mod peers;
mod processor;
mod provider;
mod stopwatch;

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::message::common::Protocol;
use regtest::{Program, free_port};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use miner::Miner;
use peers::{Kind, Peers};
use processor::{Processor, stretched};
use provider::Provider;
use stopwatch::Stopwatch;

/// Miners of each pool, and those who mean no good.
const EACH: usize = 50;
/// Seconds they go on at least.
const LENGTH: usize = 12;
/// Of these, in how many a share may be late.
const LATE: usize = LENGTH / 4;
/// What a share may be later for their sake, if the pool always has the processor it asks for.
const LATER: Duration = Duration::from_millis(100);
/// After this time the pool will not close any more who it has not closed yet, and its miners will
/// not be served in time any more.
const PATIENCE: Duration = Duration::from_secs(120);
/// Bytes of memory that they may cost.
const MEMORY: u64 = 64 << 20;
/// What they run into.
const LIMITS: [&str; 6] = [
    "handshake_time",
    "setup_time",
    "idle",
    "frame_size",
    "messages",
    "unread_time",
];

/// A pool with its miners, and where it keeps its shares.
struct Site {
    pool: Program,
    _ledger: TempDir,
    miners: JoinSet<Miner>,
}

impl Site {
    async fn start() -> Self {
        // In memory where there is such a place: how long a disk takes is not what is asked.
        let ledger = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        let ledger = ledger.unwrap();
        let provider = Provider::bind().await;
        let pool = pool(&provider, &ledger);
        tokio::spawn(provider.serve());
        let upstream = pool.upstream(Protocol::MiningProtocol);
        let mut miners = JoinSet::new();
        for _ in 0..EACH {
            let (connection, _) = pool.connect(&upstream).await.unwrap();
            miners.spawn(Miner::open(connection));
        }
        Self {
            pool,
            _ledger: ledger,
            miners,
        }
    }

    /// Has the miners mine. One whose share was lost or refused has failed.
    async fn mine(&mut self, over: &CancellationToken, began: Instant) -> Arc<Stopwatch> {
        let stopwatch = Arc::new(Stopwatch::new(began));
        let miners = std::mem::take(&mut self.miners).join_all().await;
        for (number, mut miner) in miners.into_iter().enumerate() {
            let (stopwatch, over) = (Arc::clone(&stopwatch), over.clone());
            self.miners.spawn(async move {
                miner.run(number, &stopwatch, over).await;
                miner
            });
        }
        stopwatch
    }
}

/// A pool whose shares are never blocks, and whose limits are soon reached.
fn pool(provider: &Provider, ledger: &TempDir) -> Program {
    let keys = format!(
        "coinbase_reward_script = \"addr(bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080)\"\n\
         pool_signature = \"/hostile/\"\n\
         shares_per_minute = 1000.0\n\
         share_batch_size = 1\n\
         handshake_timeout_sec = 3\n\
         setup_timeout_sec = 3\n\
         idle_timeout_sec = 3\n\
         unread_timeout_sec = 3\n\
         max_frame_bytes = 65536\n\
         max_messages_per_second = 200\n\
         [ledger]\ndirectory = \"{}\"\n\
         [template_provider]\naddress = \"{}\"\npublic_key = \"{}\"\n",
        ledger.path().display(),
        provider.address(),
        provider.public_key(),
    );
    Program::start(env!("CARGO_BIN_EXE_pool"), free_port(), &keys)
}

/// Beside the pool that they attack stands one that they do not: what the machine does to its
/// miners at the same moments is not the attack's doing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_hostile_peers_cost_fifty_miners_no_share_and_no_time() {
    // POOL-91
    let mut attacked = Site::start().await;
    let mut left_alone = Site::start().await;
    let before = resident(attacked.pool.pid());

    let (over, began) = (CancellationToken::new(), Instant::now());
    let mut processor = Processor::watch(attacked.pool.pid(), began);
    let with = attacked.mine(&over, began).await;
    let without = left_alone.mine(&over, began).await;
    // On threads of their own, so that those who flood keep nobody but the pool busy.
    let threads = threads();
    let peers = Peers::new(attacked.pool.upstream(Protocol::MiningProtocol));
    threads.spawn(peers.clone().attack(EACH));
    loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        for site in [&mut attacked, &mut left_alone] {
            let ended = site.miners.try_join_next();
            assert!(ended.is_none(), "a miner lost its share");
        }
        let unharmed = unharmed(&attacked.pool, &peers);
        let seconds = seconds(&with, &without, &mut processor);
        if unharmed.is_empty() && are_in_time(&seconds) {
            println!("{seconds:#?}");
            break;
        }
        assert!(
            began.elapsed() < PATIENCE,
            "never reached: {unharmed:?}; {seconds:#?}"
        );
    }
    let after = resident(attacked.pool.pid());
    over.cancel();
    threads.shutdown_background();
    for site in [attacked, left_alone] {
        assert_eq!(site.miners.join_all().await.len(), EACH);
    }
    assert!(after < before + MEMORY, "{before} bytes, then {after}");
}

/// The latest shares of one second.
#[derive(Debug)]
struct Second {
    with: Duration,
    without: Duration,
    /// Of the processor that the attacked pool asked for.
    granted: f64,
}

impl Second {
    /// Who has much to do is hit harder when others want the processors too, so what may be later
    /// for their sake is counted in time that the pool was granted.
    fn is_late(&self) -> bool {
        self.with > self.without + stretched(LATER, self.granted)
    }
}

fn seconds(with: &Stopwatch, without: &Stopwatch, processor: &mut Processor) -> Vec<Second> {
    let (with, without) = (with.latest(), without.latest());
    let both = with.into_iter().zip(without);
    let all = both.zip(processor.granted());
    let all = all.map(|((with, without), granted)| Second {
        with,
        without,
        granted: *granted,
    });
    all.collect()
}

/// Whether few of the newest seconds have seen a share that came late for the others' sake.
///
/// The attack is the same in every second, and what it does is seen in most of them. That one of two
/// pools does not get a processor for a while is the machine's doing, and passes.
fn are_in_time(seconds: &[Second]) -> bool {
    let newest = seconds.rchunks(LENGTH).next().unwrap_or_default();
    let late = newest.iter().filter(|second| second.is_late());
    newest.len() == LENGTH && late.count() <= LATE
}

/// Who has got away so far, and which limit nobody has reached.
fn unharmed(pool: &Program, peers: &Peers) -> Vec<String> {
    let kinds = Kind::ALL.into_iter();
    let kinds = kinds.filter(|kind| kind.is_closed() && peers.closed(*kind) == 0);
    let metrics = pool.get("/metrics");
    let limits = LIMITS.into_iter().filter(|limit| {
        let never = format!("sv2_limits_reached_total{{limit=\"{limit}\"}} 0\n");
        metrics.contains(&never)
    });
    let kinds = kinds.map(|kind| format!("{kind:?}"));
    kinds.chain(limits.map(str::to_owned)).collect()
}

fn threads() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

/// Bytes of memory that a process has.
fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.unwrap().trim().trim_end_matches(" kB");
    kilobytes.parse::<u64>().unwrap() * 1024
}
