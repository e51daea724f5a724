//! How long a new tip takes from the node to a client: from the moment the node's log gives for
//! `UpdateTip` to SetNewPrevHash, decrypted, in the client's hands.
//!
//! Unless the tip begins with an empty template, the node builds and checks a whole one in between,
//! so its build and its mempool matter more than anything of ours; the bench prints the figures for
//! an empty mempool and for a filled one.
#![allow(
    dead_code,
    reason = "the harness of the tests has more than is used here"
)]
#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]

#[path = "../tests/it/chain.rs"]
mod chain;
#[path = "../tests/it/node.rs"]
mod node;
#[path = "../tests/it/program.rs"]
mod program;
#[path = "../tests/it/watch.rs"]
mod watch;

use std::collections::HashMap;
use std::ops::Range;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use node::{Kind, Node};
use program::Program;
use regtest::free_port;

const TIPS: usize = 200;
/// Transactions of the filled mempool.
const FILLED: u32 = 2_000;

#[tokio::main]
async fn main() {
    for transactions in [0, FILLED] {
        let node = Node::start(&[
            "-maxtipage=3153600000",
            "-logtimemicros=1",
            // Transactions that need more than this stay in the mempool whatever is mined.
            "-blockmintxfee=0.00000100",
        ])
        .await;
        node.mine(103).await;
        if transactions > 0 {
            node.spend_fan_out(1, transactions, 5_000).await;
        }
        let ipc = |empty_first| {
            let access = Kind::Ipc.access(&node);
            (
                format!("ipc, empty_first = {empty_first}"),
                format!("{access}empty_first = {empty_first}\n"),
            )
        };
        let rpc = ("rpc".to_owned(), Kind::Rpc.access(&node));
        for (name, access) in [ipc(true), ipc(false), rpc] {
            let mut latencies = measure(&node, &access).await;
            latencies.sort();
            let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize];
            println!(
                "{name}, {transactions} transactions, {} tips: median {:?}, 95 % within {:?}, worst {:?}",
                latencies.len(),
                at(0.5),
                at(0.95),
                at(1.0)
            );
        }
    }
}

/// Makes tips by empty blocks, so that the mempool stays, and compares the client's clock with the
/// node's log.
async fn measure(node: &Node, access: &str) -> Vec<Duration> {
    let program = Program::start_on(access, free_port());
    let mut client = program.client().await;
    client.constrain(100).await;
    let full = client.work().await.new.merkle_path.len();
    let mut seen = HashMap::new();
    for _ in 0..TIPS {
        let next = async {
            let mut work = client.work().await;
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
            let tip = work.prev_hash();
            // Tips do not follow each other while the node is still at work on a template.
            while work.new.merkle_path.len() != full {
                work = client.work().await;
            }
            (tip, now)
        };
        // At once, for the answer to the call may come later than the work.
        let (_, (tip, at)) = tokio::join!(node.mine_nothing(), next);
        seen.insert(tip, at);
    }
    tips(node)
        .into_iter()
        .filter_map(|(hash, at)| seen.get(&hash)?.checked_sub(at))
        .collect()
}

/// The tips the node has had since its start, and when.
fn tips(node: &Node) -> Vec<(String, Duration)> {
    let log = std::fs::read_to_string(node.directory.path().join("regtest/debug.log")).unwrap();
    let tip = |line: &str| {
        let (time, rest) = line.split_once(' ')?;
        let hash = rest
            .split_once("UpdateTip: new best=")?
            .1
            .split(' ')
            .next()?;
        Some((hash.to_owned(), since_1970(time)))
    };
    log.lines().filter_map(tip).collect()
}

/// Reads `2025-01-31T23:59:59.123456Z`.
fn since_1970(time: &str) -> Duration {
    let number = |range: Range<usize>| time[range].parse::<u64>().unwrap();
    let (year, month, day) = (number(0..4), number(5..7), number(8..10));
    // Days of the Gregorian calendar, with the year beginning in March.
    let (year, month) = if month < 3 {
        (year - 1, month + 9)
    } else {
        (year, month - 3)
    };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    let seconds = (days - 719_468) * 86_400 + number(11..13) * 3_600 + number(14..16) * 60;
    Duration::from_secs(seconds + number(17..19)) + Duration::from_micros(number(20..26))
}
