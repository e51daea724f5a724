//! Mempools with more than a block has room for.

use bitcoin::consensus::deserialize;
use bitcoin::{Amount, ScriptBuf, Transaction, Weight};
use template_provider::source::{Constraints, Verdict};

use crate::chain::{coinbase, solve};
use crate::node::Node;
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
    let node = crowded().await;
    let mut watcher = Watcher::of(&node, TIPS_ONLY).await;
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

// TPS-23: what just fits is possible, and what does not fit never reaches the node.
#[tokio::test]
async fn constraints_of_a_whole_block_leave_no_transactions() {
    let node = crowded().await;
    let mut watcher = Watcher::of(&node, TIPS_ONLY).await;
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
