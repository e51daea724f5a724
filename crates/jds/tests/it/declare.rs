//! Declarations the node has everything for.

use bitcoin::consensus::serialize;
use bitcoin::hashes::Hash;
use bitcoin::{Amount, ScriptBuf, TxOut};
use protocol::coinbase::merkle_path;
use protocol::token::{Commitment, CustomJob, Scope, Token};
use regtest::Node;
use regtest::chain::{spending, to_anyone};

use crate::jdc::{Answer, Jds, secret};
use crate::job::Job;

#[tokio::test(flavor = "multi_thread")]
async fn templates_of_any_size_are_declared_and_their_tokens_good_for_the_pool() {
    // JDS-12, JDS-31, T-34
    let node = Node::with_blocks(110).await;
    let jds = Jds::ready(&node);
    let mut jdc = jds.client().await;
    for count in 0..=5 {
        if count > 0 {
            node.spend_coinbase(count, 10_000).await;
        }
        let job = Job::best(&node).await;
        assert_eq!(job.block.txdata.len(), count as usize + 1);
        let token = jdc.declared(&job).await;
        check_token(&token, &job);
    }
    let newest = &jds.declarations()[0];
    assert_eq!(newest["transactions"], 5);
    assert_eq!(newest["missing"], 0);
    assert_eq!(newest["user"], "alice");
    assert_eq!(newest["prev_hash"], node.tip().await);
    assert_eq!(newest["error_code"], serde_json::Value::Null);
    jds.wait_for_metric("sv2_jds_declarations_total{answer=\"declared\"} 6");
}

/// The pool rebuilds this from SetCustomMiningJob.
#[track_caller]
fn check_token(token: &[u8], job: &Job) {
    let coinbase = &job.block.txdata[0];
    let script_sig = coinbase.input[0].script_sig.as_bytes();
    let txids = job.block.txdata[1..]
        .iter()
        .map(|known| known.compute_txid().to_byte_array());
    let custom = CustomJob {
        version: job.block.header.version.to_consensus().cast_unsigned(),
        prev_hash: job.block.header.prev_blockhash.as_byte_array(),
        coinbase_tx_version: 2,
        coinbase_prefix: &script_sig[..script_sig.len() - 20],
        coinbase_tx_input_sequence: u32::MAX,
        coinbase_tx_outputs: &serialize(&coinbase.output),
        coinbase_tx_locktime: 0,
        merkle_path: &merkle_path(txids),
    };
    let commitment = Commitment::declared(&custom);
    let token = Token::verify(&secret(), token, &commitment, daemon::clock::unix()).unwrap();
    assert_eq!(token.scope, Scope::Declared);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_came_this_moment_is_known() {
    // JDS-32
    let node = Node::with_blocks(110).await;
    let jds = Jds::ready(&node);
    let mut jdc = jds.client().await;
    for height in 1..=5 {
        node.spend_coinbase(height, 10_000).await;
        jdc.declared(&Job::best(&node).await).await;
    }
    // Mined transactions leave the view again.
    node.mine(1).await;
    jds.wait_for_metric("sv2_jds_mempool_transactions 0");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_node_refuses_is_refused_with_its_reason() {
    // JDS-19, JDS-20
    let node = Node::with_blocks(110).await;
    let jds = Jds::ready(&node);
    let mut jdc = jds.client().await;
    for height in 1..=2 {
        node.spend_coinbase(height, 10_000).await;
    }
    let good = Job::best(&node).await;

    let mut rich = good.clone();
    rich.coinbase().output[0].value += Amount::ONE_BTC;
    let mut uncommitted = good.clone();
    uncommitted.block.txdata.swap(1, 2);
    let mut bare = good.clone();
    bare.coinbase().output.pop();
    for (job, reason) in [
        (rich, "bad-cb-amount"),
        (uncommitted, "bad-witness-merkle-match"),
        (bare, "unexpected-witness"),
    ] {
        let (code, details) = jdc.refused(&job).await;
        assert_eq!((code.as_str(), details.as_str()), ("invalid-job", reason));
    }
    let mut greedy = good.clone();
    greedy.coinbase().output[0].script_pubkey = ScriptBuf::from(vec![0x51]);
    assert_eq!(jdc.refused(&greedy).await.0, "invalid-coinbase-tx");
    let mut shared = good.clone();
    let output = &mut shared.coinbase().output;
    output[0].value -= Amount::from_sat(1_000);
    output.insert(
        0,
        TxOut {
            value: Amount::from_sat(1_000),
            script_pubkey: vec![0x51].into(),
        },
    );
    assert_eq!(jdc.refused(&shared).await.0, "invalid-coinbase-tx");
    let mut moved = good.clone();
    let output = moved.coinbase().output[0].clone();
    moved.coinbase().output[0].value = Amount::ZERO;
    moved.coinbase().output[0].script_pubkey = vec![0x51].into();
    moved.coinbase().output.insert(1, output);
    jdc.declared(&moved).await;
    jdc.declared(&good).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_that_do_not_go_together_are_refused() {
    // JDS-20: all of them provided by the client, none in the node's mempool.
    let node = Node::with_blocks(110).await;
    let jds = Jds::ready(&node);
    let mut jdc = jds.client().await;
    let (coin, value) = node.coinbase_of(1).await;
    let parent = spending(coin, vec![to_anyone(value)]);
    let rival = spending(coin, vec![to_anyone(value - Amount::ONE_SAT)]);
    let child_coin = bitcoin::OutPoint::new(parent.compute_txid(), 0);
    let child = spending(child_coin, vec![to_anyone(value)]);
    // Far too heavy for a block, though within the bytes one can have.
    let mut script = vec![0x6a, 0x4e];
    script.extend(1_100_000u32.to_le_bytes());
    script.resize(script.len() + 1_100_000, 0);
    let heavy = spending(
        coin,
        vec![TxOut {
            value,
            script_pubkey: ScriptBuf::from(script),
        }],
    );
    for (transactions, reason) in [
        (vec![child.clone()], "bad-txns-inputs-missingorspent"),
        (
            vec![child, parent.clone()],
            "bad-txns-inputs-missingorspent",
        ),
        (vec![parent, rival], "bad-txns-inputs-missingorspent"),
        (vec![heavy], "bad-blk-length"),
    ] {
        let job = Job::with(&node, transactions).await;
        let request_id = jdc.start(&job).await;
        let Answer::Missing { positions, .. } = jdc.receive().await else {
            panic!("known transactions");
        };
        jdc.provide(request_id, job.transactions(&positions)).await;
        let Answer::Refused { code, details, .. } = jdc.receive().await else {
            panic!("{reason} was not noticed");
        };
        assert_eq!((code.as_str(), details.as_str()), ("invalid-job", reason));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_clients_declare_at_once_and_none_waits_for_a_slow_one() {
    let node = Node::with_blocks(110).await;
    for height in 1..=5 {
        node.spend_coinbase(height, 10_000).await;
    }
    let jds = Jds::ready(&node);
    let job = Job::best(&node).await;
    // Asked for a transaction, and never answers.
    let (coin, value) = node.coinbase_of(6).await;
    let private = spending(coin, vec![to_anyone(value)]);
    let slow_job = Job::with(&node, vec![private]).await;
    let mut slow = jds.client().await;
    let open = slow.start(&slow_job).await;
    assert!(matches!(slow.receive().await, Answer::Missing { .. }));

    let mut clients = Vec::new();
    for _ in 0..16 {
        clients.push(jds.client().await);
    }
    let mut tasks = tokio::task::JoinSet::new();
    for mut client in clients {
        let job = job.clone();
        tasks.spawn(async move {
            for _ in 0..5 {
                client.declared(&job).await;
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    // Not even the slow client's own.
    slow.declared(&job).await;
    slow.provide(open, slow_job.transactions(&[0])).await;
    assert!(
        matches!(slow.receive().await, Answer::Declared { request_id, .. } if request_id == open)
    );
}
