//! Jobs for another block than the next one, and a node that is away.

use bitcoin::block::{Header, Version};
use bitcoin::consensus::deserialize;
use bitcoin::hashes::Hash;
use bitcoin::{Amount, BlockHash, CompactTarget, TxMerkleNode};
use protocol::error_code::{INTERNAL_ERROR, STALE_CHAIN_TIP};

use super::*;
use crate::testing::with_output;

const PATIENCE: Duration = crate::core::declaration::NODE_PATIENCE;

#[test]
fn a_job_for_a_block_the_node_has_is_stale() {
    // JDS-23
    for height in [NEXT + 2, NEXT + 50] {
        let mut client = Client::with(policy(), DECLARE_TX_DATA, tip(1, height));
        client
            .declare(job(5, &[]))
            .is_refused(5, STALE_CHAIN_TIP, "height 102");
    }
    // It may be this one.
    let mut client = Client::with(policy(), DECLARE_TX_DATA, tip(1, NEXT + 1));
    let step = client.declare(job(5, &[]));
    assert!(step.is_quiet());
    assert!(matches!(step.events[..], [Event::Overtaken { hash, .. }] if hash == [1; 32]));
    client
        .mined(&step, None)
        .is_refused(5, STALE_CHAIN_TIP, "height 102");
    // A node that goes away meanwhile is no reason to call it stale.
    let step = client.declare(job(6, &[]));
    assert!(client.node(away()).is_quiet());
    client
        .mined(&step, None)
        .is_refused(6, INTERNAL_ERROR, "cannot reach");
}

#[test]
fn a_new_tip_ends_what_is_declared_for_the_old_one_at_every_stage() {
    // JDS-23, T-22
    let new_tip = || tip(2, NEXT + 2);
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
        .node(tip(3, NEXT + 2))
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

/// A block of `job` with `transactions`, on the block called 1.
fn block(job: &DeclareMiningJobOwned, transactions: &[Arc<Transaction>]) -> bitcoin::Block {
    let (prefix, suffix) = (&job.coinbase_tx_prefix, &job.coinbase_tx_suffix);
    let extranonce = [0xe7; EXTRANONCE_LEN as usize];
    let coinbase = [prefix.as_bytes(), &extranonce, suffix.as_bytes()].concat();
    let others = transactions.iter().map(|known| known.bytes());
    let all = std::iter::once(&coinbase[..]).chain(others);
    bitcoin::Block {
        header: Header {
            version: version(VERSION ^ (1 << 13)),
            prev_blockhash: BlockHash::from_byte_array([1; 32]),
            merkle_root: TxMerkleNode::all_zeros(),
            time: NOW as u32,
            bits: CompactTarget::from_consensus(REGTEST_BITS),
            nonce: 0,
        },
        txdata: all.map(|bytes| deserialize(bytes).unwrap()).collect(),
    }
}

fn version(version: u32) -> Version {
    Version::from_consensus(version.cast_signed())
}

#[test]
fn a_job_whose_block_the_node_has_is_declared_at_every_stage() {
    // JDC-21, T-23: found on a job that was still on its way.
    let known = numbered([1, 2]);
    let found = |client: &mut Client| {
        let step = client.node(tip(2, NEXT + 1));
        assert!(step.is_quiet());
        // It has been asked, so what happens meanwhile changes nothing.
        assert!(client.node(tip(3, NEXT + 2)).is_quiet());
        let step = client.mined(&step, Some(block(&job(5, &known), &known)));
        let [Sent::Declared { request_id: 5, .. }] = step.sent[..] else {
            panic!("not declared: {step:?}");
        };
        assert_eq!(step.report().prev_hash, Some([1; 32]));
        // The solution that comes now is one of this job.
        let solved = |nonce| {
            let step = client.push(solution(nonce));
            matches!(step.events[..], [Event::Solved { .. }])
        };
        assert!((0..100).any(solved), "half of all hashes are blocks");
    };
    let mut behind = Client::with(policy(), DECLARE_TX_DATA, tip(1, NEXT - 1));
    behind.declare(job(5, &known));
    found(&mut behind);

    let mut looking = Client::full_template();
    let step = looking.declare(job(5, &known));
    found(&mut looking);
    assert!(looking.look_up(&step, &known).is_quiet());

    let mut asked = Client::full_template();
    let step = asked.declare(job(5, &known));
    asked.look_up(&step, &[]);
    found(&mut asked);

    let mut proposed = Client::full_template();
    let step = proposed.declare(job(5, &known));
    let step = proposed.look_up(&step, &known);
    found(&mut proposed);
    assert!(proposed.judge(&step, Judgement::NotBest).is_quiet());
}

fn solution(nonce: u32) -> PushSolutionOwned {
    PushSolutionOwned {
        extranonce: vec![0xe7; EXTRANONCE_LEN.into()].try_into().unwrap(),
        prev_hash: [1; 32].into(),
        nonce,
        ntime: NOW as u32 + 1,
        nbits: REGTEST_BITS,
        version: VERSION,
    }
}

#[test]
fn another_block_than_the_declared_one_makes_it_stale() {
    // JDS-23
    let known = numbered([1, 2]);
    let declared = job(5, &known);
    let other = deserialize(&with_output(2, vec![0x52])).unwrap();
    let wrong: [&dyn Fn(&mut bitcoin::Block); 7] = [
        &|block| block.header.version = version(VERSION ^ (1 << 4)),
        &|block| block.txdata.clear(),
        &|block| block.txdata[0].output[0].value += Amount::ONE_SAT,
        &|block| {
            let longer = [block.txdata[0].input[0].script_sig.as_bytes(), &[0]].concat();
            block.txdata[0].input[0].script_sig = longer.into();
        },
        &|block| drop(block.txdata.pop()),
        &|block| block.txdata.swap(1, 2),
        &|block| block.txdata[2] = Clone::clone(&other),
    ];
    for change in wrong {
        let mut block = block(&declared, &known);
        change(&mut block);
        let mut client = Client::full_template();
        client.declare(declared.clone());
        let step = client.node(tip(2, NEXT + 1));
        client
            .mined(&step, Some(block))
            .is_refused(5, STALE_CHAIN_TIP, "height 102");
    }
}

#[test]
fn nobody_is_told_of_a_block_that_was_not_asked_about() {
    let mut client = Client::full_template();
    let step = client.declare(job(5, &[]));
    let (number, _) = step.proposal();
    let block = Some(Arc::new(block(&job(5, &[]), &[])));
    let step = client.input(Input::Mined { number, block });
    assert!(step.is_quiet() && step.events.is_empty());
}
