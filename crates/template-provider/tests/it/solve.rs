//! Solutions become blocks, or the node says why not.

use bitcoin::{Amount, ScriptBuf, Witness};
use regtest::chain::text;
use serde_json::json;
use template_provider::source::{Request, Verdict};

use crate::chain::{coinbase, solve};
use crate::node::{Kind, Node};
use crate::watch::{EAGER, Received, TIPS_ONLY, Watcher};

fn rejected(reason: &str) -> Verdict {
    Verdict::Rejected {
        reason: reason.to_owned(),
    }
}

// TPS-28, TPS-13, TPS-18, T-35
#[tokio::test]
async fn solution_built_from_the_fields_is_the_new_tip_at_every_height() {
    for kind in Kind::BOTH {
        let node = Node::start(&["-maxtipage=3153600000"]).await;
        let mut watcher = Watcher::of(&node, kind, TIPS_ONLY).await;
        // Across the encodings of the height (1, 17, 128, 256) and a halving (150).
        for height in 1..=300 {
            let received = watcher.template().await;
            let solution = solve(&received.template, &coinbase(&received.template));
            let hash = solution.block_hash.to_string();
            assert_eq!(
                watcher.submit(received.key, solution).await,
                Verdict::Accepted,
                "{height}"
            );
            assert_eq!(node.tip().await, hash);
        }
        assert_eq!(node.rpc("getblockcount", json!([])).await, 300);
    }
}

// TPS-16, T-34
#[tokio::test]
async fn solution_with_segwit_transactions_is_the_new_tip() {
    for kind in Kind::BOTH {
        let node = Node::with_blocks(110).await;
        for height in 1..=5 {
            node.spend_coinbase(height, 10_000).await;
        }
        let mut watcher = Watcher::of(&node, kind, TIPS_ONLY).await;
        let received = watcher.template().await;
        let solution = solve(&received.template, &coinbase(&received.template));
        assert_eq!(
            watcher.submit(received.key, solution).await,
            Verdict::Accepted
        );
        let block = node.rpc("getblock", json!([node.tip().await, 1])).await;
        assert_eq!(block["tx"].as_array().unwrap().len(), 6);
        assert_eq!(watcher.template().await.prev_hash(), text(&block["hash"]));
    }
}

// TPS-29
#[tokio::test]
async fn solution_of_an_earlier_template_of_the_tip_is_accepted() {
    for kind in Kind::BOTH {
        let node = Node::with_blocks(102).await;
        let mut watcher = Watcher::of(&node, kind, EAGER).await;
        let first = watcher.template().await;
        node.spend_coinbase(1, 10_000).await;
        assert_ne!(
            watcher.template().await.template.merkle_path,
            first.template.merkle_path
        );
        let solution = solve(&first.template, &coinbase(&first.template));
        assert_eq!(watcher.submit(first.key, solution).await, Verdict::Accepted);
    }
}

#[tokio::test]
async fn solution_that_comes_again_or_late_is_told_from_a_refused_one() {
    for kind in Kind::BOTH {
        let node = Node::with_blocks(101).await;
        let mut watcher = Watcher::of(&node, kind, TIPS_ONLY).await;
        let received = watcher.template().await;
        let first = coinbase(&received.template);
        let mut rival = first.clone();
        rival.input[0].script_sig =
            ScriptBuf::from([first.input[0].script_sig.as_bytes(), b"!"].concat());
        let (first, rival) = (
            solve(&received.template, &first),
            solve(&received.template, &rival),
        );
        assert_eq!(
            watcher.submit(received.key, first.clone()).await,
            Verdict::Accepted
        );
        assert_eq!(
            watcher.submit(received.key, first.clone()).await,
            Verdict::Accepted,
            "again"
        );
        assert_eq!(watcher.submit(received.key, rival).await, Verdict::NotTip);
        node.mine(1).await;
        assert_eq!(
            watcher.submit(received.key, first).await,
            Verdict::NotTip,
            "built upon"
        );
    }
}

// TPS-31, TPS-32
#[tokio::test]
async fn node_says_why_it_refuses_a_block() {
    for kind in Kind::BOTH {
        let node = Node::with_blocks(101).await;
        let mut watcher = Watcher::of(&node, kind, TIPS_ONLY).await;
        let received = watcher.template().await;
        let good = coinbase(&received.template);

        let mut stripped = good.clone();
        stripped.input[0].witness = Witness::new();
        let mut greedy = good.clone();
        greedy.output[0].value += Amount::ONE_SAT;
        let mut wrong_height = good.clone();
        wrong_height.input[0].script_sig = ScriptBuf::from(vec![1, 99, 0]);
        let mut no_commitment_witness = good.clone();
        no_commitment_witness.output.truncate(1);
        // TPS-31: submitblock repairs this one, see the next test.
        let stripped = (kind == Kind::Ipc).then_some((stripped, "bad-witness-nonce-size"));
        let cases = [
            (greedy, "bad-cb-amount"),
            (wrong_height, "bad-cb-height"),
            (no_commitment_witness, "unexpected-witness"),
        ];
        for (coinbase, reason) in stripped.into_iter().chain(cases) {
            let solution = solve(&received.template, &coinbase);
            assert_eq!(
                watcher.submit(received.key, solution).await,
                rejected(reason)
            );
        }
        // The feed is as good as before.
        let solution = solve(&received.template, &good);
        assert_eq!(
            watcher.submit(received.key, solution).await,
            Verdict::Accepted
        );
    }
}

// TPS-31
#[tokio::test]
async fn coinbase_without_its_witness_is_repaired_by_a_node_over_rpc() {
    let node = Node::with_blocks(101).await;
    let mut watcher = Watcher::of(&node, Kind::Rpc, TIPS_ONLY).await;
    let received = watcher.template().await;
    let mut stripped = coinbase(&received.template);
    stripped.input[0].witness = Witness::new();
    let solution = solve(&received.template, &stripped);
    assert_eq!(
        watcher.submit(received.key, solution).await,
        Verdict::Accepted
    );
}

// A client may leave as soon as it has sent what it found.
#[tokio::test]
async fn solution_of_a_client_that_leaves_at_once_is_the_new_tip() {
    let node = Node::with_blocks(101).await;
    let mut watcher = Watcher::of(&node, Kind::Rpc, TIPS_ONLY).await;
    let Received { key, template, .. } = watcher.template().await;
    let solution = solve(&template, &coinbase(&template));
    let hash = solution.block_hash.to_string();
    watcher.request(Request::Submit { key, solution }).await;
    watcher.leave().await;
    assert_eq!(node.tip().await, hash);
}

// TPS-32
#[tokio::test]
async fn block_refused_once_is_refused_again() {
    let node = Node::with_blocks(101).await;
    for kind in Kind::BOTH {
        let mut watcher = Watcher::of(&node, kind, TIPS_ONLY).await;
        let received = watcher.template().await;
        let mut greedy = coinbase(&received.template);
        greedy.output[0].value += Amount::ONE_SAT;
        let solution = solve(&received.template, &greedy);
        for _ in 0..2 {
            let verdict = watcher.submit(received.key, solution.clone()).await;
            assert!(matches!(verdict, Verdict::Rejected { .. }), "{verdict:?}");
        }
        node.mine(1).await;
    }
}
