//! Transactions the node does not know, and tips that change meanwhile.

use bitcoin::Amount;
use regtest::Node;
use regtest::chain::{spending, to_anyone};

use crate::jdc::{Answer, Jdc, Jds};
use crate::job::Job;

/// Reads what is asked for.
async fn missing(jdc: &mut Jdc) -> Vec<u16> {
    match jdc.receive().await {
        Answer::Missing { positions, .. } => positions,
        other => panic!("nothing is missing: {other:?}"),
    }
}

/// A node, and a job on it of which only the second and fourth of four transactions are in its
/// mempool.
async fn half_known() -> (Node, Job) {
    let node = Node::with_blocks(110).await;
    let mut transactions = Vec::new();
    for height in 1..=4 {
        let (coin, value) = node.coinbase_of(height).await;
        let fee = Amount::from_sat(10_000);
        let transaction = spending(coin, vec![to_anyone(value - fee)]);
        if height % 2 == 0 {
            node.send(&transaction).await;
        }
        transactions.push(transaction);
    }
    let job = Job::with(&node, transactions).await;
    (node, job)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_is_asked_for_what_the_node_does_not_know() {
    // JDS-13, JDS-15
    let (node, job) = half_known().await;
    let jds = Jds::ready(&node);
    let mut jdc = jds.client().await;
    let request_id = jdc.start(&job).await;
    assert_eq!(missing(&mut jdc).await, [0, 2]);
    jdc.provide(request_id, job.transactions(&[0, 2])).await;
    let answer = jdc.receive().await;
    assert!(matches!(answer, Answer::Declared { request_id: id, .. } if id == request_id));
    // Not again.
    jdc.declared(&job).await;
    // But of another client they are (JDS-28).
    let mut other = jds.client().await;
    other.start(&job).await;
    assert_eq!(missing(&mut other).await, [0, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_can_be_completed_in_parts_and_in_two_flows_at_once() {
    // JDS-16, JDS-17, T-22
    let (node, job) = half_known().await;
    let jds = Jds::ready(&node);
    let mut jdc = jds.client().await;
    let first = jdc.start(&job).await;
    assert_eq!(missing(&mut jdc).await, [0, 2]);
    let second = jdc.start(&job).await;
    assert_eq!(missing(&mut jdc).await, [0, 2]);
    jdc.provide(first, job.transactions(&[0])).await;
    assert_eq!(missing(&mut jdc).await, [2]);
    jdc.provide(second, job.transactions(&[0, 2])).await;
    assert!(
        matches!(jdc.receive().await, Answer::Declared { request_id, .. } if request_id == second)
    );
    jdc.provide(first, job.transactions(&[2])).await;
    assert!(
        matches!(jdc.receive().await, Answer::Declared { request_id, .. } if request_id == first)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn two_clients_with_the_same_request_ids_complete_their_own_jobs() {
    // JDS-17, JDS-28
    let (node, job) = half_known().await;
    let (coin, value) = node.coinbase_of(9).await;
    let private = spending(coin, vec![to_anyone(value)]);
    let other_job = Job::with(&node, vec![private]).await;
    let jds = Jds::ready(&node);
    let (mut one, mut other) = (jds.client().await, jds.client().await);
    let (first, second) = (one.start(&job).await, other.start(&other_job).await);
    assert_eq!(first, second, "the same name for two jobs");
    assert_eq!(missing(&mut one).await, [0, 2]);
    assert_eq!(missing(&mut other).await, [0]);
    other.provide(second, other_job.transactions(&[0])).await;
    let answer = other.receive().await;
    assert!(matches!(answer, Answer::Declared { request_id, .. } if request_id == second));
    one.provide(first, job.transactions(&[0, 2])).await;
    let answer = one.receive().await;
    assert!(matches!(answer, Answer::Declared { request_id, .. } if request_id == first));
    // Each block is the one of its client.
    let (block, solution) = other_job.solve();
    other.push(solution).await;
    jds.wait_for_metric("sv2_jds_solutions_total{verdict=\"accepted\"} 1");
    assert_eq!(node.tip().await, block.block_hash().to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_transactions_are_refused_and_the_connection_stays() {
    // JDS-16, JDS-18
    let (node, job) = half_known().await;
    let jds = Jds::ready(&node);
    let mut jdc = jds.client().await;
    for positions in [&[2, 0][..], &[1, 3], &[], &[0, 2, 2]] {
        let request_id = jdc.start(&job).await;
        assert_eq!(missing(&mut jdc).await, [0, 2]);
        jdc.provide(request_id, job.transactions(positions)).await;
        let Answer::Refused { code, .. } = jdc.receive().await else {
            panic!("{positions:?} are not refused");
        };
        assert_eq!(code, "missing-txs");
        jdc.provide(request_id, job.transactions(&[0, 2])).await;
    }
    jdc.token().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tip_that_changes_while_the_client_is_asked_makes_the_job_stale() {
    // JDS-23, T-22
    let (node, job) = half_known().await;
    let jds = Jds::ready(&node);
    let mut jdc = jds.client().await;
    let request_id = jdc.start(&job).await;
    assert_eq!(missing(&mut jdc).await, [0, 2]);
    node.mine_nothing().await;
    let Answer::Refused {
        request_id: id,
        code,
        ..
    } = jdc.receive().await
    else {
        panic!("the new tip was not noticed");
    };
    assert_eq!((id, code.as_str()), (request_id, "stale-chain-tip"));
    jdc.provide(request_id, job.transactions(&[0, 2])).await;
    jdc.token().await;
    // Declared for the tip that is gone.
    assert_eq!(jdc.refused(&job).await.0, "stale-chain-tip");
    jdc.declared(&Job::best(&node).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_while_it_is_asked_harms_nobody() {
    // JDS-28
    let (node, job) = half_known().await;
    let jds = Jds::ready(&node);
    let mut leaving = jds.client().await;
    leaving.start(&job).await;
    assert_eq!(missing(&mut leaving).await, [0, 2]);
    drop(leaving);
    jds.wait_for_metric("sv2_jds_clients 0");
    jds.client().await.declared(&Job::best(&node).await).await;
}
