//! Fifty peers that mean no good beside fifty that do: the good ones do not notice. A test program of
//! its own, so that no other test is what they wait for.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod miner;
mod peers;
mod provider;

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use protocol::message::common::Protocol;
use regtest::{Program, free_port};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Barrier, watch};
use tokio::task::JoinSet;

use miner::{Miner, Phase, Tally};
use peers::{Kind, Peers};
use provider::Provider;

/// Miners that mean well, and as many of the others.
const EACH: usize = 50;
/// Of a phase without the others, and of one with them.
const LENGTH: Duration = Duration::from_secs(4);
/// Phases of either kind, in turns: whatever else the machine does falls into both.
const ROUNDS: usize = 3;
/// What a share may be later for the others' sake.
const LATER: Duration = Duration::from_millis(100);
/// Bytes of memory that they may cost.
const MEMORY: u64 = 64 << 20;

/// A pool whose shares are never blocks, and whose limits are reached within a phase.
fn pool(provider: &Provider, ledger: &TempDir) -> Program {
    let keys = format!(
        "coinbase_reward_script = \"addr(bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080)\"\n\
         pool_signature = \"/hostile/\"\n\
         shares_per_minute = 1000.0\n\
         share_batch_size = 1\n\
         handshake_timeout_sec = 1\n\
         setup_timeout_sec = 1\n\
         idle_timeout_sec = 1\n\
         unread_timeout_sec = 1\n\
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_hostile_peers_cost_fifty_miners_no_share_and_no_time() {
    // POOL-91
    let ledger = tempfile::tempdir().unwrap();
    let provider = Provider::bind().await;
    let pool = pool(&provider, &ledger);
    tokio::spawn(provider.serve());
    let upstream = pool.upstream(Protocol::MiningProtocol);

    let (phase, seen) = watch::channel(Phase::Quiet);
    let ready = Arc::new(Barrier::new(EACH + 1));
    let mut miners = JoinSet::new();
    for number in 0..EACH {
        let (connection, _) = pool.connect(&upstream).await.unwrap();
        let (ready, seen) = (Arc::clone(&ready), seen.clone());
        miners.spawn(async move {
            let mut miner = Miner::open(connection).await;
            ready.wait().await;
            miner.run(number, seen).await
        });
    }
    ready.wait().await;

    // On threads of their own, so that those who flood keep nobody but the pool busy.
    let threads = threads();
    let peers = Peers::new(upstream);
    let (mut before, mut after) = (0, 0);
    for round in 0..ROUNDS {
        phase.send_replace(Phase::Quiet);
        tokio::time::sleep(LENGTH).await;
        if round == 0 {
            before = resident(pool.pid());
        }
        phase.send_replace(Phase::Hostile);
        let attack = threads.spawn(peers.clone().attack(EACH));
        tokio::time::sleep(LENGTH).await;
        after = after.max(resident(pool.pid()));
        attack.abort();
    }
    phase.send_replace(Phase::Over);
    // A miner whose share was lost or refused has failed.
    let tallies = miners.join_all().await;
    threads.shutdown_background();

    for kind in Kind::ALL {
        let closed = peers.closed(kind);
        assert!(closed > 0 || !kind.is_closed(), "{kind:?} was never closed");
    }
    let metrics = pool.get("/metrics");
    for limit in [
        "handshake_time",
        "setup_time",
        "idle",
        "frame_size",
        "messages",
    ] {
        let never = format!("sv2_limits_reached_total{{limit=\"{limit}\"}} 0\n");
        assert!(!metrics.contains(&never), "{limit} was never reached");
    }
    assert!(after < before + MEMORY, "{before} bytes, then {after}");
    assert_in_time(tallies);
}

/// Compared with the same miners' own quiet minutes on the same machine.
fn assert_in_time(tallies: Vec<Tally>) {
    let (mut quiet, mut hostile) = (Vec::new(), Vec::new());
    for tally in tallies {
        quiet.extend(tally.quiet);
        hostile.extend(tally.hostile);
    }
    for late in [&mut quiet, &mut hostile] {
        late.sort_unstable();
        let (count, half) = (late.len(), late[late.len() / 2]);
        let (p99, max) = (late[late.len() * 99 / 100], late[late.len() - 1]);
        println!(
            "{count} shares answered: half within {half:?}, 99% within {p99:?}, all within {max:?}"
        );
    }
    // The one that is last of all was kept waiting by whatever else runs on the machine.
    for part in [50, 90, 99] {
        let of = |late: &[Duration]| late[(late.len() * part / 100).min(late.len() - 1)];
        let (quiet, hostile) = (of(&quiet), of(&hostile));
        assert!(
            hostile <= quiet + LATER,
            "{part}% within {quiet:?} without, {hostile:?} beside them"
        );
    }
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
