//! The program over the wire.

use std::time::{Duration, Instant};

use bitcoin::Transaction;
use bitcoin::consensus::deserialize;
use nix::sys::signal::Signal;
use regtest::free_port;
use serde_json::{Value, json};
use template_provider::source::Solution;

use crate::chain::merkle_root;
use crate::node::{Kind, Node};
use crate::program::{Client, Program, Work};

/// A client with work on the node's tip.
async fn at_work(program: &Program) -> (Client, Work) {
    let mut client = program.client().await;
    client.constrain(100).await;
    let work = client.work().await;
    (client, work)
}

// TPS-03, TPS-04, TPS-05, TPS-28
#[tokio::test]
async fn client_mines_a_block_and_gets_the_next_work() {
    for kind in Kind::BOTH {
        let node = Node::with_blocks(101).await;
        let program = Program::start(&node, kind);
        let mut client = program.client().await;
        assert!(client.is_quiet(Duration::from_millis(500)).await);
        client.constrain(100).await;
        let mut tip = node.tip().await;
        for count in 1..=5 {
            let work = client.work().await;
            assert_eq!(work.prev_hash(), tip);
            let solution = work.solve();
            tip = solution.block_hash.to_string();
            client.submit(work.template_id(), solution).await;
            // Built upon before the node was asked, it would not be the tip any more.
            let accepted = format!("sv2_tdp_solutions_total{{verdict=\"accepted\"}} {count}");
            program.wait_for_metric(&accepted);
        }
        assert_eq!(client.work().await.prev_hash(), tip);
        assert_eq!(node.tip().await, tip);
    }
}

// TPS-30
#[tokio::test]
async fn rolled_versions_are_accepted() {
    let node = Node::with_blocks(101).await;
    let program = Program::start(&node, Kind::Ipc);
    let (mut client, mut work) = at_work(&program).await;
    for flipped in [0x0000_2000, 0x0000_0020] {
        work.new.version ^= flipped;
        let solution = work.solve();
        let tip = solution.block_hash.to_string();
        client.submit(work.template_id(), solution).await;
        work = client.work().await;
        assert_eq!(work.prev_hash(), tip);
    }
}

// TPS-32
#[tokio::test]
async fn bad_solutions_get_no_answer_and_do_no_harm() {
    let node = Node::with_blocks(101).await;
    let program = Program::start(&node, Kind::Ipc);
    let (mut client, work) = at_work(&program).await;
    let good = work.solve();
    let mut garbage = good.clone();
    garbage.coinbase = vec![0xff; 60_000];
    let mut greedy = work.new.clone();
    greedy.coinbase_tx_value_remaining += 1;
    let greedy = Work {
        new: greedy,
        set: work.set.clone(),
    }
    .solve();
    let mut rolled = good.clone();
    rolled.version ^= 1;
    client.submit(work.template_id(), garbage).await;
    client.submit(work.template_id(), greedy).await;
    client.submit(work.template_id(), rolled).await;
    client.submit(u64::MAX, good.clone()).await;
    // The first nonce that solves is the good one.
    for nonce in 0..good.nonce {
        client
            .submit(
                work.template_id(),
                Solution {
                    nonce,
                    ..good.clone()
                },
            )
            .await;
    }
    assert!(client.is_quiet(Duration::from_millis(500)).await);
    let tip = good.block_hash.to_string();
    client.submit(work.template_id(), good).await;
    assert_eq!(client.work().await.prev_hash(), tip);
}

// TPS-24, TPS-25, TPS-27, TPS-33: more than four noise blocks.
#[tokio::test]
async fn transactions_of_a_large_template_arrive_whole() {
    for kind in Kind::BOTH {
        let node = Node::with_blocks(102).await;
        node.spend_fan_out(1, 2_000, 5_000).await;
        let program = Program::start(&node, kind);
        let (mut client, work) = at_work(&program).await;
        let transactions = client.transactions(work.template_id()).await.unwrap();
        assert_eq!(transactions.len(), 2_000);
        let mut hashes: Vec<_> = transactions
            .iter()
            .map(|bytes| {
                deserialize::<Transaction>(bytes)
                    .unwrap()
                    .compute_txid()
                    .to_raw_hash()
            })
            .collect();
        let coinbase: Transaction = deserialize(&work.solve().coinbase).unwrap();
        hashes.insert(0, coinbase.compute_txid().to_raw_hash());
        let path: Vec<_> = work
            .new
            .merkle_path
            .iter()
            .map(|hash| *hash.as_array())
            .collect();
        assert_eq!(
            merkle_root(coinbase.compute_txid(), &path).to_raw_hash(),
            bitcoin::merkle_tree::calculate_root(hashes.into_iter()).unwrap()
        );
        assert_eq!(
            client.transactions(1 << 63).await.unwrap_err(),
            "template-id-not-found"
        );

        let solution = work.solve();
        let tip = solution.block_hash.to_string();
        client.submit(work.template_id(), solution).await;
        assert_eq!(client.work().await.prev_hash(), tip);
        // Within the grace the old template's transactions are still there.
        assert_eq!(
            client.transactions(work.template_id()).await.unwrap().len(),
            2_000
        );
    }
}

// TPS-05, TPS-08, TPS-09: the full template of a tip that began empty is not of the future.
#[tokio::test]
async fn tip_begins_with_an_empty_template_unless_that_is_switched_off() {
    let node = Node::with_blocks(102).await;
    node.spend_fan_out(1, 300, 5_000).await;
    for empty_first in [true, false] {
        let access = format!("{}empty_first = {empty_first}\n", Kind::Ipc.access(&node));
        let program = Program::start_on(&access, free_port());
        let (mut client, _) = at_work(&program).await;
        let tip = node.mine_nothing().await;
        if empty_first {
            let empty = client.work().await;
            assert_eq!(empty.prev_hash(), tip);
            assert!(empty.new.merkle_path.is_empty());
        }
        let full = client.work().await;
        assert_eq!(full.set.is_none(), empty_first);
        assert_eq!(full.new.merkle_path.len(), 9);
    }
}

// TPS-09
#[tokio::test]
async fn higher_fees_are_a_template_for_now() {
    let node = Node::with_blocks(102).await;
    let program = Program::start(&node, Kind::Ipc);
    let (mut client, first) = at_work(&program).await;
    node.spend_coinbase(1, 10_000).await;
    let second = client.work().await;
    assert!(second.set.is_none());
    assert_eq!(
        second.new.coinbase_tx_value_remaining,
        first.new.coinbase_tx_value_remaining + 10_000
    );
    let told = program.get("/api/v1/templates?limit=2");
    let (_, body) = told.split_once("\r\n\r\n").unwrap();
    let told: Value = serde_json::from_str(body).unwrap();
    let fees = told["items"].as_array().unwrap().iter();
    let fees: Vec<_> = fees.map(|template| template["fees"].as_u64()).collect();
    assert_eq!(fees, [Some(10_000), Some(0)], "{told}");
}

// TPS-34, TPS-36
#[tokio::test]
async fn clients_have_their_own_limits_and_ids_and_all_see_a_new_tip() {
    let node = Node::with_blocks(102).await;
    node.spend_coinbase(1, 10_000).await;
    let program = Program::start(&node, Kind::Ipc);
    let (mut roomy, first) = at_work(&program).await;
    node.mine(1).await;
    assert_eq!(
        (first.template_id(), roomy.work().await.template_id()),
        (1, 2)
    );
    // Not before the tip's first template is made, or it would be in that one.
    node.spend_coinbase(2, 10_000).await;
    let mut tight = program.client().await;
    tight.constrain(999_700).await;
    let work = tight.work().await;
    assert_eq!((work.template_id(), work.new.merkle_path.len()), (1, 0));
    let refreshed = roomy.work().await;
    assert_eq!(
        (refreshed.template_id(), refreshed.new.merkle_path.len()),
        (3, 1)
    );
    let tip = node.mine(1).await;
    assert_eq!(tight.work().await.prev_hash(), tip);
    assert_eq!(roomy.work().await.prev_hash(), tip);
}

// TPS-22, TPS-23
#[tokio::test]
async fn impossible_constraints_cost_a_client_its_connection_and_others_nothing() {
    for kind in Kind::BOTH {
        let node = Node::with_blocks(101).await;
        let program = Program::start(&node, kind);
        let (mut bystander, _) = at_work(&program).await;
        let (mut client, _) = at_work(&program).await;
        client.constrain(200).await;
        assert!(client.work().await.set.is_some(), "the tip again");
        client.constrain(u32::MAX).await;
        assert!(client.receive().await.is_err());
        let tip = node.mine(1).await;
        assert_eq!(bystander.work().await.prev_hash(), tip);
    }
}

// TPS-37
#[tokio::test]
async fn clients_stay_connected_while_the_node_is_killed_paused_and_restarted() {
    for kind in Kind::BOTH {
        let mut node = Node::with_blocks(101).await;
        // What a killed node has not written down is gone.
        node.stop().await;
        node.spawn();
        node.wait_for_rpc().await;
        let program = Program::start(&node, kind);
        let (mut one, first) = at_work(&program).await;
        let (mut two, _) = at_work(&program).await;
        program.wait_for_health(0);

        node.kill();
        let reason = program.wait_for_health(1);
        assert!(reason.contains("\"ready\":false"), "{reason}");
        node.spawn();
        let again = one.work().await;
        assert!(again.set.is_none(), "the tip is the same");
        two.work().await;
        program.wait_for_health(0);

        // The block found for the template of before the restart is not lost.
        let solution = first.solve();
        let tip = solution.block_hash.to_string();
        one.submit(first.template_id(), solution).await;
        assert_eq!(one.work().await.prev_hash(), tip);
        assert_eq!(two.work().await.prev_hash(), tip);

        node.pause();
        assert!(one.is_quiet(Duration::from_millis(500)).await);
        node.resume();
        let tip = node.mine(1).await;
        assert_eq!(one.work().await.prev_hash(), tip);
        assert_eq!(two.work().await.prev_hash(), tip);
    }
}

#[tokio::test]
async fn program_is_ready_when_the_node_has_made_a_template() {
    for kind in Kind::BOTH {
        let mut node = Node::with_blocks(101).await;
        node.stop().await;
        let program = Program::start(&node, kind);
        let reason = program.wait_for_health(1);
        assert!(reason.contains("node"), "{reason}");
        // Clients may come before the node.
        let mut client = program.client().await;
        client.constrain(100).await;
        assert!(client.is_quiet(Duration::from_millis(300)).await);
        node.spawn();
        client.work().await;
        program.wait_for_health(0);
        node.wait_for_rpc().await;
        let status = program.get("/api/v1/status");
        let (_, body) = status.split_once("\r\n\r\n").unwrap();
        let status: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(status["clients"], 1);
        assert_eq!(status["node"]["tip"], json!(node.tip().await));
        assert_eq!(status["node"]["height"], 101);
    }
}

#[tokio::test]
async fn signal_ends_the_program_cleanly_whatever_its_neighbours_do() {
    for kind in Kind::BOTH {
        for (paused, signal) in [(false, Signal::SIGTERM), (true, Signal::SIGINT)] {
            let node = Node::with_blocks(101).await;
            let mut program = Program::start(&node, kind);
            let (mut client, _) = at_work(&program).await;
            if paused {
                node.pause();
            }
            program.signal(signal);
            assert!(client.receive().await.is_err());
            let (status, log) = program.end();
            assert!(status.success(), "{log}");
            assert!(!log.contains("tasks did not end in time"), "{log}");
            if paused {
                node.resume();
            }
            node.mine(1).await;
        }
    }
}

#[tokio::test]
async fn program_that_was_killed_leaves_the_node_fit_for_the_next() {
    let node = Node::with_blocks(101).await;
    let mut program = Program::start(&node, Kind::Ipc);
    at_work(&program).await;
    let mut quickest = Duration::MAX;
    for _ in 0..4 {
        program.kill();
        let started = Instant::now();
        program = Program::start(&node, Kind::Ipc);
        let (mut client, _) = at_work(&program).await;
        quickest = quickest.min(started.elapsed());
        let tip = node.mine(1).await;
        assert_eq!(client.work().await.prev_hash(), tip);
    }
    assert!(quickest < Duration::from_secs(4), "{quickest:?}");
}

#[tokio::test]
async fn taken_port_is_named() {
    let port = free_port();
    let address = format!("127.0.0.1:{port}");
    let _taken = std::net::TcpListener::bind(&address).unwrap();
    let missing = "ipc_socket = \"/nonexistent/node.sock\"";
    let (status, log) = Program::start_on(missing, port).end();
    assert_eq!(status.code(), Some(1));
    assert!(log.contains(&address), "{log}");
}
