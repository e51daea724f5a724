//! A node that goes away and comes back.

use regtest::Node;

use crate::jdc::Jds;
use crate::job::Job;

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_away_stops_declarations_only_and_is_found_again() {
    let mut node = Node::with_blocks(101).await;
    let jds = Jds::ready(&node);
    let mut jdc = jds.client().await;
    let job = Job::best(&node).await;
    jdc.declared(&job).await;

    node.kill();
    let reason = jds.wait_for_health(1);
    assert!(reason.contains("cannot reach the node"), "{reason}");
    jdc.token().await;
    let (code, details) = jdc.refused(&job).await;
    assert_eq!(code, "internal-error");
    assert!(details.contains("cannot reach the node"), "{details}");

    node.spawn();
    node.wait_for_rpc().await;
    jds.wait_for_health(0);
    jdc.declared(&Job::best(&node).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_found_while_the_node_is_away_is_submitted_when_it_is_back() {
    // JDS-24
    let mut node = Node::with_blocks(101).await;
    let jds = Jds::ready(&node);
    let mut jdc = jds.client().await;
    let job = Job::best(&node).await;
    jdc.declared(&job).await;
    node.stop().await;
    jds.wait_for_health(1);
    let (block, solution) = job.solve();
    jdc.push(solution).await;
    node.spawn();
    node.wait_for_rpc().await;
    jds.wait_for_metric("sv2_jds_solutions_total{verdict=\"accepted\"} 1");
    assert_eq!(node.tip().await, block.block_hash().to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_hangs_is_not_waited_for_without_end() {
    let node = Node::with_blocks(101).await;
    let jds = Jds::ready(&node);
    let mut jdc = jds.client().await;
    let job = Job::best(&node).await;
    node.pause();
    let (code, details) = jdc.refused(&job).await;
    assert_eq!(code, "internal-error");
    assert!(details.contains("did not judge the job"), "{details}");
    node.resume();
    jds.wait_for_health(0);
    jdc.declared(&job).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_starts_before_its_node_gets_ready_with_it() {
    let mut node = Node::with_blocks(101).await;
    node.kill();
    let jds = Jds::start(&node);
    jds.wait_for_health(1);
    node.spawn();
    jds.wait_for_health(0);
    node.wait_for_rpc().await;
    jds.client().await.declared(&Job::best(&node).await).await;
}
