//! Mempools with more than a block has room for.

use bitcoin::consensus::deserialize;
use bitcoin::{Amount, ScriptBuf, Transaction, Weight};
use regtest::chain::with_sigops;
use template_provider::source::{Constraints, Verdict};

use crate::chain::{coinbase, solve};
use crate::node::{Kind, Node};
use crate::watch::{TIPS_ONLY, Watcher};

/// A node whose mempool holds some 4.6 million weight units.
async fn crowded() -> Node {
    let node = Node::with_blocks(112).await;
    for height in 1..=12 {
        node.spend_coinbase_with_data(height, 200_000, 95_000).await;
    }
    node
}

/// Replaces what the coinbase pays with as large an output as the constraints allow.
fn fill(coinbase: &mut Transaction, constraints: Constraints) {
    let script_sig = [coinbase.input[0].script_sig.as_bytes(), &[0; 100]].concat();
    coinbase.input[0].script_sig = ScriptBuf::from(script_sig[..100].to_vec());
    let size = usize::try_from(constraints.max_additional_size).unwrap();
    // Eight bytes of value, five of length, OP_RETURN.
    let script = [&[0x6a][..], &vec![0; size - 14]].concat();
    coinbase.output[0].value = Amount::ZERO;
    coinbase.output[0].script_pubkey = ScriptBuf::from(script);
    assert_eq!(coinbase.output[0].size(), size);
}

// TPS-19, TPS-21
#[tokio::test]
async fn largest_coinbase_within_the_constraints_fits_a_full_block() {
    for kind in Kind::BOTH {
        let node = crowded().await;
        let mut watcher = Watcher::of(&node, kind, TIPS_ONLY).await;
        let before = watcher.template().await;
        let constraints = Constraints {
            max_additional_size: 100_000,
            max_additional_sigops: 0,
        };
        watcher.constrain(constraints).await;
        let received = watcher.template().await;

        let mut weight = Weight::ZERO;
        for transaction in watcher.transactions(received.key).await.unwrap() {
            weight += deserialize::<Transaction>(&transaction).unwrap().weight();
        }
        assert!(weight.to_wu() <= 4_000_000 - 1_168 - 400_000, "{weight}");
        // One transaction more would not have fitted, and fewer would waste fees.
        assert!(weight.to_wu() > 4_000_000 - 1_168 - 800_000, "{weight}");
        let whole = watcher.transactions(before.key).await.unwrap();
        assert!(whole.len() > watcher.transactions(received.key).await.unwrap().len());

        let mut largest = coinbase(&received.template);
        fill(&mut largest, constraints);
        let solution = solve(&received.template, &largest);
        assert_eq!(
            watcher.submit(received.key, solution).await,
            Verdict::Accepted
        );
    }
}

// TPS-23: what just fits is possible, and what does not fit never reaches the node.
#[tokio::test]
async fn constraints_of_a_whole_block_leave_no_transactions() {
    for kind in Kind::BOTH {
        let node = crowded().await;
        let mut watcher = Watcher::of(&node, kind, TIPS_ONLY).await;
        watcher.template().await;
        let constraints = Constraints {
            max_additional_size: 999_708,
            max_additional_sigops: u16::MAX,
        };
        assert!(constraints.is_possible());
        watcher.constrain(constraints).await;
        let received = watcher.template().await;
        assert!(received.template.merkle_path.is_empty());
        let mut largest = coinbase(&received.template);
        fill(&mut largest, constraints);
        let solution = solve(&received.template, &largest);
        assert_eq!(
            watcher.submit(received.key, solution).await,
            Verdict::Accepted
        );
    }
}

// TPS-20, TPS-21
#[tokio::test]
async fn signature_operations_asked_for_are_left_free() {
    const RESERVED: u16 = 40_000;
    let node = Node::start(&["-maxtipage=3153600000", "-acceptnonstdtxn=1"]).await;
    for kind in Kind::BOTH {
        node.mine(112).await;
        let height = node.height().await;
        // 96,000 in all, of 80,000 that a block may have.
        for coin in 0..6 {
            node.spend_coinbase_with_sigops(height - 105 + coin, 200_000, 16_000)
                .await;
        }
        // A tip for which the node has made no template yet, and the mempool as it is.
        node.mine_nothing().await;
        let mut watcher = Watcher::of(&node, kind, TIPS_ONLY).await;
        let crowded = watcher.template().await;
        assert_eq!(watcher.transactions(crowded.key).await.unwrap().len(), 4);

        let constraints = Constraints {
            max_additional_size: 600,
            max_additional_sigops: RESERVED,
        };
        watcher.constrain(constraints).await;
        let received = watcher.template().await;
        assert_eq!(watcher.transactions(received.key).await.unwrap().len(), 2);

        // What was asked for makes a block of the one template and none of the other.
        for (received, verdict) in [
            (
                crowded,
                Verdict::Rejected {
                    reason: "bad-blk-sigops".to_owned(),
                },
            ),
            (received, Verdict::Accepted),
        ] {
            let mut heavy = coinbase(&received.template);
            heavy.output[0] = with_sigops(RESERVED.into());
            let solution = solve(&received.template, &heavy);
            assert_eq!(watcher.submit(received.key, solution).await, verdict);
        }
        // The rest of them.
        node.mine(2).await;
    }
}

// T-36: a package stays or goes as a whole, and its fees with it.
#[tokio::test]
async fn chain_that_pays_best_stays_whole_when_room_gets_scarce() {
    let node = crowded().await;
    // A chain that pays better than all others stays when they have to go.
    let coins = node.fan_out(13, 20).await;
    node.mine_nothing().await;
    let mut coin = coins[0];
    for fee in [1_000, 500_000, 400_000] {
        coin = node.spend(coin, fee).await;
    }
    node.mine_nothing().await;
    for kind in Kind::BOTH {
        let mut watcher = Watcher::of(&node, kind, TIPS_ONLY).await;
        watcher.template().await;
        let constraints = Constraints {
            max_additional_size: 990_000,
            max_additional_sigops: 0,
        };
        watcher.constrain(constraints).await;
        let received = watcher.template().await;
        let transactions = watcher.transactions(received.key).await.unwrap();
        assert_eq!(transactions.len(), 3);
        assert_eq!(
            received.template.coinbase_tx_value_remaining % 100_000_000,
            901_000
        );
    }
}
