//! Templates follow the node.

use std::time::{Duration, Instant};

use bitcoin::consensus::deserialize;
use bitcoin::consensus::encode::serialize_hex;
use bitcoin::hashes::Hash;
use bitcoin::{Transaction, Txid};
use regtest::chain::text;
use serde_json::{Value, json};
use template_provider::source::{Constraints, Event, Refresh, Request, Template, Verdict};

use crate::chain::{coinbase, merkle_root, solve};
use crate::node::{Kind, Node};
use crate::watch::{EAGER, Received, SMALL, TIPS_ONLY, Watcher};

/// The parts of the two that have to be equal.
#[track_caller]
fn check_equal(received: &Received, expected: &Value) {
    let template = &received.template;
    // TPS-10
    assert_eq!(received.prev_hash(), text(&expected["previousblockhash"]));
    assert_eq!(format!("{:08x}", template.n_bits), text(&expected["bits"]));
    // TPS-11: the node writes it big-endian.
    let target: String = template
        .target
        .iter()
        .rev()
        .map(|b| format!("{b:02x}"))
        .collect();
    assert_eq!(target, text(&expected["target"]));
    // TPS-12
    let mintime = expected["mintime"].as_u64().unwrap();
    let curtime = expected["curtime"].as_u64().unwrap();
    assert!((mintime..=curtime).contains(&template.header_timestamp.into()));
    // TPS-14
    assert_eq!(
        template.coinbase_tx_value_remaining,
        expected["coinbasevalue"].as_u64().unwrap()
    );
    let paid = expected["transactions"].as_array().unwrap().iter();
    let fees: u64 = paid.map(|paid| paid["fee"].as_u64().unwrap()).sum();
    assert_eq!(template.fees(), Some(fees));
    // TPS-18
    assert_eq!(
        u64::from(template.version),
        expected["version"].as_u64().unwrap()
    );
    let height = expected["height"].as_u64().unwrap();
    assert_eq!(u64::from(template.coinbase_tx_locktime), height - 1);
    assert_eq!(template.coinbase_tx_input_sequence, 0xffff_fffe);
    // TPS-15, TPS-16
    let commitment = text(&expected["default_witness_commitment"]);
    let outputs: String = template
        .coinbase_tx_outputs
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    assert_eq!(outputs, format!("000000000000000026{commitment}"));
    assert_eq!(template.coinbase_tx_outputs_count, 1);
    check_merkle_path(template, expected);
}

// TPS-17, T-34
#[track_caller]
fn check_merkle_path(template: &Template, expected: &Value) {
    let own = coinbase(template).compute_txid();
    let transactions = expected["transactions"].as_array().unwrap();
    let others = transactions
        .iter()
        .map(|tx| text(&tx["txid"]).parse::<Txid>().unwrap());
    let txids = std::iter::once(own).chain(others).map(Txid::to_raw_hash);
    let root = bitcoin::merkle_tree::calculate_root(txids).unwrap();
    let folded = merkle_root(own, &template.merkle_path);
    assert_eq!(folded.to_byte_array(), root.to_byte_array());
    let depth = (transactions.len() + 1)
        .next_power_of_two()
        .trailing_zeros();
    assert_eq!(template.merkle_path.len(), depth as usize);
}

// TPS-10 to 18
#[tokio::test]
async fn templates_of_both_sources_equal_getblocktemplate_with_any_number_of_transactions() {
    let node = Node::with_blocks(101).await;
    let mut coins = node.fan_out(1, 2_015).await.into_iter();
    let mut over_ipc = Watcher::of(&node, Kind::Ipc, TIPS_ONLY).await;
    let mut over_rpc = Watcher::of(&node, Kind::Rpc, TIPS_ONLY).await;
    over_ipc.template().await;
    over_rpc.template().await;
    for count in [0, 1, 2, 3, 4, 5, 2_000] {
        for coin in coins.by_ref().take(count) {
            node.spend(coin, 5_000).await;
        }
        // A new tip that leaves the mempool as it is.
        let tip = node.mine_nothing().await;
        let (ipc, rpc) = (over_ipc.at(&tip).await, over_rpc.at(&tip).await);
        let expected = node.block_template().await;
        assert_eq!(expected["transactions"].as_array().unwrap().len(), count);
        check_equal(&ipc, &expected);
        check_equal(&rpc, &expected);
        let transactions = over_ipc.transactions(ipc.key).await.unwrap();
        assert_eq!(transactions.len(), count);
        assert!(transactions == over_rpc.transactions(rpc.key).await.unwrap());
        let timeless = |received: &Received| Template {
            header_timestamp: 0,
            ..Template::clone(&received.template)
        };
        assert_eq!(timeless(&ipc), timeless(&rpc));
        node.mine(1).await;
    }
}

// TPS-13, TPS-14
#[tokio::test]
async fn coinbase_begins_with_the_height_and_pays_what_the_height_allows() {
    for kind in Kind::BOTH {
        let node = Node::start(&["-maxtipage=3153600000"]).await;
        let mut watcher = Watcher::of(&node, kind, TIPS_ONLY).await;
        let mut height: u16 = 1;
        loop {
            let [low, high] = height.to_le_bytes();
            let expected = match height {
                1..=16 => vec![0x50 + low],
                17..=127 => vec![1, low],
                _ => vec![2, low, high],
            };
            let template = watcher.template().await.template;
            assert_eq!(template.coinbase_prefix, expected, "{height}");
            // On regtest every 150 blocks.
            let subsidy = 5_000_000_000 >> (height / 150);
            assert_eq!(template.coinbase_tx_value_remaining, subsidy, "{height}");
            if height == 257 {
                break;
            }
            node.mine(1).await;
            height += 1;
        }
    }
}

// TPS-08
#[tokio::test]
async fn every_new_tip_is_a_template_at_once() {
    for kind in Kind::BOTH {
        let node = Node::with_blocks(101).await;
        // A long interval throttles only templates of one tip.
        let refresh = Refresh {
            fee_threshold: Some(1),
            min_interval: Duration::from_secs(3600),
        };
        let mut watcher = Watcher::of(&node, kind, refresh).await;
        watcher.template().await;
        let mut quickest = Duration::MAX;
        for _ in 0..5 {
            let tip = node.mine(1).await;
            let mined = Instant::now();
            assert_eq!(watcher.template().await.prev_hash(), tip);
            quickest = quickest.min(mined.elapsed());
        }
        assert!(quickest < Duration::from_secs(1), "{quickest:?}");
    }
}

// TPS-08: the node needs long for the template, and nobody should mine on the old tip meanwhile.
#[tokio::test]
async fn large_template_of_a_new_tip_comes_after_an_empty_one_that_makes_blocks_too() {
    let node = Node::with_blocks(102).await;
    node.spend_fan_out(1, 300, 5_000).await;
    let mut watcher = Watcher::of(&node, Kind::Ipc, EAGER).await;
    let first = watcher.template().await;
    assert_eq!(first.template.merkle_path.len(), 9);
    let mut tip = node.mine_nothing().await;
    for solves_the_empty_one in [true, false] {
        let (empty, full) = (watcher.template().await, watcher.template().await);
        assert_eq!((empty.prev_hash(), full.prev_hash()), (tip.clone(), tip));
        assert!(empty.template.merkle_path.is_empty());
        assert!(watcher.transactions(empty.key).await.unwrap().is_empty());
        assert_eq!(watcher.transactions(full.key).await.unwrap().len(), 300);
        assert_eq!(
            full.template.coinbase_tx_value_remaining,
            empty.template.coinbase_tx_value_remaining + 300 * 5_000
        );
        let solved = if solves_the_empty_one { empty } else { full };
        let solution = solve(&solved.template, &coinbase(&solved.template));
        tip = solution.block_hash.to_string();
        let verdict = watcher.submit(solved.key, solution).await;
        assert_eq!(verdict, Verdict::Accepted);
    }
    // Nothing is left to be filled in, until there is; and the next tip needs no haste.
    assert_eq!(watcher.template().await.prev_hash(), tip);
    assert!(watcher.is_quiet(Duration::from_millis(500)).await);
    node.spend_coinbase(2, 10_000).await;
    assert_eq!(watcher.template().await.template.merkle_path.len(), 1);
    let tip = node.mine(1).await;
    assert_eq!(watcher.template().await.prev_hash(), tip);
    assert!(watcher.is_quiet(Duration::from_millis(500)).await);
}

// TPS-35
#[tokio::test]
async fn reorganisation_is_a_template_on_the_new_tip() {
    for kind in Kind::BOTH {
        let node = Node::with_blocks(101).await;
        let mut watcher = Watcher::of(&node, kind, TIPS_ONLY).await;
        let old = watcher.template().await.prev_hash();
        node.rpc("invalidateblock", json!([old])).await;
        let back = watcher.template().await.prev_hash();
        assert_eq!(back, node.tip().await);
        // To another address, or it could be the very same block.
        node.rpc("generatetodescriptor", json!([1, "raw(51)#8lvh9jxk"]))
            .await;
        let rival = node.tip().await;
        assert_ne!(rival, old);
        assert_eq!(watcher.template().await.prev_hash(), rival);
    }
}

// TPS-09
#[tokio::test]
async fn only_fees_above_the_threshold_make_a_template_of_the_same_tip() {
    for kind in Kind::BOTH {
        let node = Node::with_blocks(103).await;
        let refresh = Refresh {
            fee_threshold: Some(30_000),
            min_interval: Duration::ZERO,
        };
        let mut watcher = Watcher::of(&node, kind, refresh).await;
        let first = watcher.template().await;
        node.spend_coinbase(1, 20_000).await;
        // The node looks at the fees once a second; over RPC it makes a template every six at most.
        let looked = match kind {
            Kind::Ipc => Duration::from_millis(2_500),
            Kind::Rpc => Duration::from_millis(7_500),
        };
        assert!(watcher.is_quiet(looked).await);
        node.spend_coinbase(2, 20_000).await;
        let second = watcher.template().await;
        assert_eq!(second.template.prev_hash, first.template.prev_hash);
        assert_eq!(
            second.template.coinbase_tx_value_remaining,
            first.template.coinbase_tx_value_remaining + 40_000
        );
    }
}

// TPS-09
#[tokio::test]
async fn templates_of_one_tip_keep_the_interval() {
    let node = Node::with_blocks(102).await;
    check_interval(&node, Kind::Ipc, Duration::from_secs(3)).await;
}

// TPS-09: longer than the node's own interval.
#[tokio::test]
async fn templates_over_rpc_of_one_tip_keep_the_interval() {
    let node = Node::with_blocks(102).await;
    check_interval(&node, Kind::Rpc, Duration::from_secs(8)).await;
}

// TPS-09
#[tokio::test]
async fn templates_of_an_old_tip_keep_the_interval() {
    let node = node_with_old_tip().await;
    check_interval(&node, Kind::Ipc, Duration::from_secs(3)).await;
}

async fn check_interval(node: &Node, kind: Kind, min_interval: Duration) {
    let refresh = Refresh {
        fee_threshold: Some(1),
        min_interval,
    };
    // Either may be long under way, but the first was not made before this.
    let before = Instant::now();
    let mut watcher = Watcher::of(node, kind, refresh).await;
    watcher.template().await;
    node.spend_coinbase(1, 20_000).await;
    watcher.template().await;
    let interval = before.elapsed();
    assert!(interval >= min_interval, "{interval:?}");
}

/// Tips of a test chain that are older than 20 minutes make the node offer a template each second.
async fn node_with_old_tip() -> Node {
    let node = Node::start(&["-maxtipage=3153600000", "-mocktime=1600000000"]).await;
    node.mine(102).await;
    node.rpc("setmocktime", json!([0])).await;
    node
}

#[tokio::test]
async fn old_tip_alone_makes_no_further_templates() {
    let node = node_with_old_tip().await;
    for refresh in [TIPS_ONLY, EAGER] {
        let mut watcher = Watcher::of(&node, Kind::Ipc, refresh).await;
        watcher.template().await;
        assert!(watcher.is_quiet(Duration::from_millis(2_500)).await);
    }
}

// TPS-19, TPS-22
#[tokio::test]
async fn other_constraints_bring_a_fresh_template_that_keeps_them() {
    for kind in Kind::BOTH {
        let node = Node::with_blocks(103).await;
        node.spend_coinbase(1, 10_000).await;
        let mut watcher = Watcher::of(&node, kind, EAGER).await;
        let first = watcher.template().await;
        assert_eq!(
            (first.constraints, first.template.merkle_path.len()),
            (SMALL, 1)
        );
        // Room for nothing but the coinbase.
        let whole_block = Constraints {
            max_additional_size: 999_700,
            max_additional_sigops: 0,
        };
        // The same ones again are a wish for a fresh template, too.
        let mut quickest = Duration::MAX;
        let mut last = first.key;
        for _ in 0..5 {
            let asked = Instant::now();
            watcher.constrain(whole_block).await;
            let next = watcher.template().await;
            quickest = quickest.min(asked.elapsed());
            assert_eq!(next.constraints, whole_block);
            assert!(next.template.merkle_path.is_empty());
            assert!(next.key > last);
            last = next.key;
        }
        assert!(quickest < Duration::from_secs(1), "{quickest:?}");
    }
}

// TPS-34
#[tokio::test]
async fn feeds_do_not_share_constraints() {
    for kind in Kind::BOTH {
        let node = Node::with_blocks(103).await;
        node.spend_coinbase(1, 10_000).await;
        let (source, _thread) = kind.start(&node);
        let mut roomy = Watcher::on(&source, TIPS_ONLY).await;
        let mut tight = Watcher::on(&source, TIPS_ONLY).await;
        roomy.constrain(SMALL).await;
        tight
            .constrain(Constraints {
                max_additional_size: 999_700,
                max_additional_sigops: 0,
            })
            .await;
        assert_eq!(roomy.template().await.template.merkle_path.len(), 1);
        assert_eq!(tight.template().await.template.merkle_path.len(), 0);
        let tip = node.mine(1).await;
        assert_eq!(roomy.template().await.prev_hash(), tip);
        assert_eq!(tight.template().await.prev_hash(), tip);
    }
}

// TPS-24
#[tokio::test]
async fn transaction_data_are_the_blocks_transactions_without_the_coinbase() {
    for kind in Kind::BOTH {
        let node = Node::with_blocks(106).await;
        for height in 1..=3 {
            node.spend_coinbase(height, 10_000).await;
        }
        let mut watcher = Watcher::of(&node, kind, TIPS_ONLY).await;
        let received = watcher.template().await;
        let transactions = watcher.transactions(received.key).await.unwrap();
        let expected = node.block_template().await;
        let expected = expected["transactions"].as_array().unwrap();
        assert_eq!(transactions.len(), 3);
        for (transaction, expected) in transactions.iter().zip(expected) {
            let parsed: Transaction = deserialize(transaction).unwrap();
            assert_eq!(serialize_hex(&parsed), text(&expected["data"]));
            assert_eq!(parsed.compute_wtxid().to_string(), text(&expected["hash"]));
        }
        // An older template keeps its own until it is released.
        node.mine(1).await;
        watcher.template().await;
        assert_eq!(
            watcher.transactions(received.key).await.unwrap(),
            transactions
        );
        watcher.request(Request::Release(vec![received.key])).await;
        watcher.transactions(received.key).await.unwrap_err();
    }
}

#[tokio::test]
async fn feed_without_constraints_is_quiet() {
    for kind in Kind::BOTH {
        let node = Node::with_blocks(1).await;
        let (source, _thread) = kind.start(&node);
        let mut watcher = Watcher::on(&source, EAGER).await;
        assert!(watcher.is_quiet(Duration::from_millis(300)).await);
    }
}

#[tokio::test]
async fn node_that_downloads_the_chain_is_waited_for() {
    for kind in Kind::BOTH {
        // An old tip counts as an unfinished download.
        let node = Node::start(&[]).await;
        let mut watcher = Watcher::of(&node, kind, TIPS_ONLY).await;
        assert!(matches!(watcher.event().await, Event::NodeBack));
        assert!(matches!(watcher.event().await, Event::NodeSyncing));
        let tip = node.mine(1).await;
        assert_eq!(watcher.template().await.prev_hash(), tip);
    }
}
