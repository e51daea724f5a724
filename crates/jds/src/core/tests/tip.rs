//! Jobs for another block than the next one, and a node that is away.

use protocol::error_code::{INTERNAL_ERROR, STALE_CHAIN_TIP};

use super::*;

const PATIENCE: Duration = crate::core::declaration::NODE_PATIENCE;

#[test]
fn a_job_for_a_block_the_node_has_is_stale() {
    // JDS-23
    for height in [NEXT + 1, NEXT + 50] {
        let mut client = Client::with(policy(), DECLARE_TX_DATA, tip(1, height));
        client
            .declare(job(5, &[]))
            .is_refused(5, STALE_CHAIN_TIP, "height 102");
    }
}

#[test]
fn a_new_tip_ends_what_is_declared_for_the_old_one_at_every_stage() {
    // JDS-23, T-22
    let new_tip = || tip(2, NEXT + 1);
    let known = numbered([1]);

    let mut client = Client::full_template();
    let looking = client.declare(job(5, &known));
    client.node(new_tip()).is_refused(5, STALE_CHAIN_TIP, "");
    assert!(client.look_up(&looking, &known).is_quiet());

    let mut client = Client::full_template();
    let looking = client.declare(job(5, &known));
    client.look_up(&looking, &[]);
    client.node(new_tip()).is_refused(5, STALE_CHAIN_TIP, "");
    assert!(client.provide(5, &[known[0].bytes().to_vec()]).is_quiet());

    let mut client = Client::full_template();
    let proposed = client.declare(job(5, &[]));
    client.node(new_tip()).is_refused(5, STALE_CHAIN_TIP, "");
    assert!(client.judge(&proposed, Judgement::Valid).is_quiet());
}

#[test]
fn another_tip_at_the_same_height_is_what_the_job_is_checked_on() {
    // A block replaced by its sibling: the job may be for either.
    let mut client = Client::full_template();
    let step = client.declare(job(5, &numbered([1])));
    assert!(client.node(tip(2, NEXT)).is_quiet());
    let step = client.look_up(&step, &numbered([1]));
    let step = client.judge(&step, Judgement::Valid);
    assert_eq!(step.report().prev_hash, Some([2; 32]));
}

#[test]
fn a_node_that_lags_behind_the_client_s_is_waited_for() {
    let mut client = Client::with(policy(), DECLARE_TX_DATA, tip(1, NEXT - 1));
    let step = client.declare(job(5, &[]));
    assert!(step.is_quiet() && step.events.is_empty(), "{step:?}");
    assert!(client.pass(PATIENCE / 2).is_quiet());
    client.node(tip(2, NEXT)).proposal();

    let mut client = Client::with(policy(), DECLARE_TX_DATA, tip(1, NEXT - 1));
    client.declare(job(5, &[]));
    client
        .pass(PATIENCE)
        .is_refused(5, STALE_CHAIN_TIP, "the next block has height 101");
}

#[test]
fn a_node_that_is_away_is_waited_for_and_then_named() {
    for (node, why) in [(away(), "cannot reach"), (NodeView::Syncing, "downloads")] {
        let mut client = Client::with(policy(), DECLARE_TX_DATA, node.clone());
        assert!(client.declare(job(5, &[])).is_quiet());
        assert!(client.pass(PATIENCE - Duration::from_millis(1)).is_quiet());
        client
            .pass(Duration::from_millis(1))
            .is_refused(5, INTERNAL_ERROR, why);

        let mut client = Client::with(policy(), DECLARE_TX_DATA, node);
        client.declare(job(5, &[]));
        client.node(tip(1, NEXT)).proposal();
    }
}

#[test]
fn a_node_that_has_left_the_tip_is_asked_again_on_the_next_one() {
    let mut client = Client::full_template();
    let step = client.declare(job(5, &[]));
    // Its view of the tip is a moment late.
    assert!(client.judge(&step, Judgement::NotBest).is_quiet());
    let step = client.node(tip(2, NEXT));
    let step = client.judge(&step, Judgement::Valid);
    assert!(matches!(step.sent[..], [Sent::Declared { .. }]));

    let step = client.declare(job(6, &[]));
    client.judge(&step, Judgement::NotBest);
    client
        .node(tip(3, NEXT + 1))
        .is_refused(6, STALE_CHAIN_TIP, "");
}

#[test]
fn a_node_that_never_says_what_it_left_the_tip_for_is_not_waited_for_without_end() {
    let mut client = Client::full_template();
    let step = client.declare(job(5, &[]));
    client.judge(&step, Judgement::NotBest);
    client.pass(PATIENCE).is_refused(5, STALE_CHAIN_TIP, "");
}

#[test]
fn a_view_that_came_before_the_node_s_answer_is_used_at_once() {
    let mut client = Client::full_template();
    let step = client.declare(job(5, &[]));
    client.node(tip(2, NEXT));
    client.judge(&step, Judgement::NotBest).proposal();
}
