//! The node goes away and comes back; the feed stays.

use std::time::{Duration, Instant};

use template_provider::source::{Constraints, Event, Verdict, rpc};

use crate::chain::{coinbase, solve};
use crate::node::{Kind, Node};
use crate::watch::{EAGER, SMALL, TIPS_ONLY, Watcher};

// TPS-37
#[tokio::test]
async fn killed_node_is_found_again_and_templates_go_on() {
    for kind in Kind::BOTH {
        let mut node = Node::with_blocks(101).await;
        let mut watcher = Watcher::of(&node, kind, TIPS_ONLY).await;
        let before = watcher.template().await;
        node.kill();
        watcher.lost().await;
        node.spawn();
        let started = Instant::now();
        let after = watcher.template().await;
        println!(
            "template {:?} after the start of the node",
            started.elapsed()
        );
        assert!(after.key > before.key);

        // What a killed node had not written down is gone, so its tip may be an older one.
        node.wait_for_rpc().await;
        let solution = solve(&after.template, &coinbase(&after.template));
        assert_eq!(watcher.submit(after.key, solution).await, Verdict::Accepted);
        let solution = solve(&before.template, &coinbase(&before.template));
        let verdict = watcher.submit(before.key, solution).await;
        assert!(matches!(verdict, Verdict::Unknown { .. }), "{verdict:?}");
    }
}

// TPS-37
#[tokio::test]
async fn stopped_node_is_found_again_on_the_same_tip() {
    for kind in Kind::BOTH {
        let mut node = Node::with_blocks(101).await;
        let mut watcher = Watcher::of(&node, kind, EAGER).await;
        let before = watcher.template().await;
        node.stop().await;
        watcher.lost().await;
        watcher.transactions(before.key).await.unwrap_err();
        node.spawn();
        let after = watcher.template().await;
        assert!(after.template.makes_same_block_as(&before.template));
    }
}

#[tokio::test]
async fn node_that_starts_after_the_feed_is_found() {
    for kind in Kind::BOTH {
        let mut node = Node::with_blocks(101).await;
        node.stop().await;
        let mut watcher = Watcher::of(&node, kind, TIPS_ONLY).await;
        let reason = watcher.lost().await;
        let remedy = match kind {
            Kind::Ipc => ["node.sock", "-ipcbind"],
            Kind::Rpc => ["127.0.0.1:", "-server"],
        };
        assert!(remedy.iter().all(|part| reason.contains(part)), "{reason}");
        node.spawn();
        watcher.template().await;
    }
}

#[tokio::test]
async fn absence_is_reported_once_and_not_at_every_attempt() {
    for kind in Kind::BOTH {
        let mut node = Node::with_blocks(1).await;
        node.stop().await;
        let mut watcher = Watcher::of(&node, kind, TIPS_ONLY).await;
        watcher.lost().await;
        assert!(watcher.is_quiet(Duration::from_secs(2)).await);
    }
}

// TPS-37
#[tokio::test]
async fn paused_node_goes_on_where_it_was() {
    for kind in Kind::BOTH {
        let node = Node::with_blocks(101).await;
        let mut watcher = Watcher::of(&node, kind, TIPS_ONLY).await;
        watcher.template().await;
        node.pause();
        assert!(watcher.is_quiet(Duration::from_secs(1)).await);
        node.resume();
        let tip = node.mine(1).await;
        watcher.at(&tip).await;
    }
}

// TPS-37: a pause that is longer than any call may take.
#[tokio::test]
async fn node_that_hangs_is_lost_and_found_again() {
    let node = Node::with_blocks(101).await;
    let mut over_ipc = Watcher::of(&node, Kind::Ipc, TIPS_ONLY).await;
    let mut over_rpc = Watcher::of(&node, Kind::Rpc, TIPS_ONLY).await;
    over_ipc.template().await;
    over_rpc.template().await;
    node.pause();
    over_rpc.lost().await;
    over_ipc.lost().await;
    node.resume();
    over_ipc.template().await;
    over_rpc.template().await;
    let tip = node.mine(1).await;
    over_ipc.at(&tip).await;
    over_rpc.at(&tip).await;
}

#[tokio::test]
async fn constraints_set_while_the_node_is_away_hold_when_it_is_back() {
    for kind in Kind::BOTH {
        let mut node = Node::with_blocks(101).await;
        node.stop().await;
        let (source, _thread) = kind.start(&node);
        let mut watcher = Watcher::on(&source, TIPS_ONLY).await;
        watcher.constrain(Default::default()).await;
        watcher.lost().await;
        watcher.constrain(SMALL).await;
        node.spawn();
        assert_eq!(watcher.template().await.constraints, SMALL);
    }
}

#[tokio::test]
async fn source_ends_when_its_clients_have_left_whatever_the_node_does() {
    for kind in Kind::BOTH {
        let node = Node::with_blocks(101).await;
        // The node is asked to give up the wait, so nobody waits for its end.
        let mut quickest = Duration::MAX;
        for _ in 0..5 {
            let mut at_work = Watcher::of(&node, kind, TIPS_ONLY).await;
            at_work.template().await;
            let left = Instant::now();
            at_work.leave().await;
            quickest = quickest.min(left.elapsed());
        }
        assert!(quickest < Duration::from_secs(1), "{quickest:?}");

        let mut paused = Watcher::of(&node, kind, TIPS_ONLY).await;
        paused.template().await;
        node.pause();
        paused.leave().await;
        node.resume();

        let mut killed = Watcher::of(&node, kind, TIPS_ONLY).await;
        killed.template().await;
        let mut node = node;
        node.kill();
        assert!(matches!(killed.event().await, Event::NodeLost { .. }));
        killed.leave().await;
    }
}

// TPS-23
#[tokio::test]
async fn constraints_that_the_node_refuses_are_named_and_do_not_stay_in_the_way() {
    let node = Node::start(&["-maxtipage=3153600000", "-blockmaxweight=100000"]).await;
    node.mine(101).await;
    let mut watcher = Watcher::of(&node, Kind::Ipc, TIPS_ONLY).await;
    watcher.template().await;
    let refused = Constraints {
        max_additional_size: 50_000,
        max_additional_sigops: 0,
    };
    watcher.constrain(refused).await;
    let reason = watcher.lost().await;
    assert!(
        reason.contains("createNewBlock") && reason.contains("201168"),
        "{reason}"
    );
    watcher.constrain(SMALL).await;
    assert_eq!(watcher.template().await.constraints, SMALL);
}

#[tokio::test]
async fn wrong_password_is_named() {
    let node = Node::with_blocks(1).await;
    let (source, _thread) = rpc::start(&node.rpc_as("someone", "else")).unwrap();
    let mut watcher = Watcher::on(&source, TIPS_ONLY).await;
    watcher.constrain(SMALL).await;
    let reason = watcher.lost().await;
    assert!(
        reason.contains("rpc_user") && reason.contains("someone"),
        "{reason}"
    );
}

// TPS-34: what a client asks for is its own affair, also when it is absurd.
#[tokio::test]
async fn absurd_constraints_leave_the_others_their_transactions() {
    let node = Node::with_blocks(103).await;
    node.spend_coinbase(1, 10_000).await;
    let (source, _thread) = Kind::Rpc.start(&node);
    let mut absurd = Watcher::on(&source, TIPS_ONLY).await;
    let mut modest = Watcher::on(&source, TIPS_ONLY).await;
    absurd
        .constrain(Constraints {
            max_additional_size: u32::MAX,
            max_additional_sigops: u16::MAX,
        })
        .await;
    modest.constrain(SMALL).await;
    let received = absurd.template().await;
    assert!(absurd.transactions(received.key).await.unwrap().is_empty());
    let received = modest.template().await;
    assert_eq!(modest.transactions(received.key).await.unwrap().len(), 1);
}
