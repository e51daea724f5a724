use bitcoin::absolute::LockTime;
use bitcoin::block::{Header, Version};
use bitcoin::hashes::Hash;
use bitcoin::{
    Amount, CompactTarget, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxMerkleNode, TxOut,
    Txid, Witness,
};

use super::*;

fn script(owner: u8) -> ScriptBuf {
    ScriptBuf::from(vec![0x51, owner])
}

fn pay(input: OutPoint, script_sig: ScriptBuf, outputs: &[(u8, u64)]) -> Transaction {
    Transaction {
        version: bitcoin::transaction::Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: input,
            script_sig,
            sequence: Sequence::MAX,
            witness: Witness::new(),
        }],
        output: outputs
            .iter()
            .map(|(owner, value)| TxOut {
                value: Amount::from_sat(*value),
                script_pubkey: script(*owner),
            })
            .collect(),
    }
}

/// A block on `previous` that pays 50 to `miner`. `salt` tells it from others there.
fn block(previous: BlockHash, height: u32, (miner, salt): (u8, u8), more: &[Transaction]) -> Block {
    let mut script_sig = ScriptBuf::builder()
        .push_int(i64::from(height))
        .into_script()
        .into_bytes();
    script_sig.extend([4, b's', b'a', b'l', salt + b'a']);
    let coinbase = pay(
        OutPoint::null(),
        ScriptBuf::from(script_sig),
        &[(miner, 50)],
    );
    let mut txdata = vec![coinbase];
    txdata.extend_from_slice(more);
    Block {
        header: Header {
            version: Version::TWO,
            prev_blockhash: previous,
            merkle_root: TxMerkleNode::all_zeros(),
            time: height,
            bits: CompactTarget::from_consensus(0x207f_ffff),
            nonce: u32::from(salt) << 8 | height,
        },
        txdata,
    }
}

/// Adds a block and returns its coinbase's id.
fn grow(chain: &mut Chain, miner: (u8, u8), more: &[Transaction]) -> Txid {
    let (previous, height) = match chain.tip() {
        Some(tip) => (tip.hash, tip.height + 1),
        None => (BlockHash::all_zeros(), 0),
    };
    let block = block(previous, height, miner, more);
    let coinbase = block.txdata[0].compute_txid();
    chain
        .connect(block, height, 1000 + u64::from(height))
        .unwrap();
    coinbase
}

fn chain(height: u32, max: usize) -> Chain {
    let mut chain = Chain::new(max);
    for _ in 0..=height {
        grow(&mut chain, (1, 0), &[]);
    }
    chain
}

fn has(chain: &Chain, owner: u8) -> (u64, usize) {
    let index = chain.index().unwrap();
    let tip = chain.tip().unwrap().height;
    let hash = script_hash(&script(owner));
    let summary = index.summary(&hash, tip);
    let coins: u64 = index.coins(&hash).map(|coin| coin.value).sum();
    assert_eq!(summary.funded - summary.spent, coins);
    (coins, summary.transactions)
}

#[test]
fn blocks_are_found_by_height_and_hash() {
    let chain = chain(5, 100);
    let third = chain.at(3).unwrap();
    assert_eq!(chain.find(&third.hash), Some(third));
    assert_eq!(chain.whole(&third.hash).unwrap().block_hash(), third.hash);
    let down: Vec<u32> = chain.down_from(2).map(|brief| brief.height).collect();
    assert_eq!(down, [2, 1, 0]);
    assert!(chain.at(6).is_none());
}

#[test]
fn a_block_elsewhere_than_on_the_tip_is_refused() {
    let mut chain = chain(3, 100);
    let first = chain.at(1).unwrap().hash;
    assert_eq!(
        chain.connect(block(first, 2, (1, 9), &[]), 2, 0),
        Err(NotOnTip)
    );
    let tip = chain.tip().unwrap().hash;
    assert_eq!(
        chain.connect(block(tip, 7, (1, 9), &[]), 7, 0),
        Err(NotOnTip)
    );
}

#[test]
fn what_is_spent_is_gone_and_comes_back_when_the_chain_turns() {
    let mut chain = chain(0, 100);
    let coinbase = grow(&mut chain, (1, 0), &[]);
    let coin = OutPoint::new(coinbase, 0);
    let payment = pay(coin, ScriptBuf::new(), &[(2, 30), (1, 15)]);
    grow(&mut chain, (3, 0), std::slice::from_ref(&payment));
    assert_eq!(has(&chain, 1), (15, 2));
    assert_eq!(has(&chain, 2), (30, 1));
    let index = chain.index().unwrap();
    let spent = index.spending(&coin);
    assert_eq!(spent, Some((50, Some((payment.compute_txid(), 2)))));
    let history: Vec<_> = index.history(&script_hash(&script(1)), 0, 10).collect();
    assert_eq!((history[0].received, history[0].spent), (15, 50));
    assert_eq!((history[1].received, history[1].spent), (50, 0));

    let old_tip = chain.tip().unwrap().hash;
    chain.roll_back(1, 77);
    assert_eq!(
        (has(&chain, 1), has(&chain, 2), has(&chain, 3)),
        ((50, 1), (0, 0), (0, 0))
    );
    assert_eq!(chain.index().unwrap().spending(&coin), Some((50, None)));
    grow(&mut chain, (4, 1), &[]);
    assert_eq!(has(&chain, 4), (50, 1));
    let reorg = chain.reorgs().next().unwrap();
    assert_eq!((reorg.fork, reorg.old_tip, reorg.at_ms), (1, old_tip, 77));
    assert_eq!(chain.find_stale(&old_tip).unwrap().height, 2);
    assert!(chain.find(&old_tip).is_none() && chain.whole(&old_tip).is_none());
}

#[test]
fn a_coin_made_and_spent_in_one_block_is_followed() {
    let mut chain = chain(0, 100);
    let coinbase = grow(&mut chain, (1, 0), &[]);
    let first = pay(OutPoint::new(coinbase, 0), ScriptBuf::new(), &[(2, 50)]);
    let coin = OutPoint::new(first.compute_txid(), 0);
    let second = pay(coin, ScriptBuf::new(), &[(3, 50)]);
    grow(&mut chain, (9, 0), &[first, second]);
    assert_eq!((has(&chain, 2), has(&chain, 3)), ((0, 2), (50, 1)));
}

#[test]
fn rewards_are_immature_for_a_hundred_blocks() {
    let mut chain = chain(0, 1000);
    grow(&mut chain, (7, 0), &[]);
    for _ in 0..98 {
        grow(&mut chain, (1, 0), &[]);
    }
    let immature = |chain: &Chain| {
        let tip = chain.tip().unwrap().height;
        let index = chain.index().unwrap();
        index.summary(&script_hash(&script(7)), tip).immature
    };
    assert_eq!((chain.tip().unwrap().height, immature(&chain)), (99, 50));
    grow(&mut chain, (1, 0), &[]);
    assert_eq!(immature(&chain), 0);
}

#[test]
fn a_block_that_comes_back_is_stale_no_more_and_keeps_its_time() {
    let mut chain = chain(2, 100);
    let tip = chain.tip().unwrap().clone();
    let whole = chain.whole(&tip.hash).unwrap();
    chain.roll_back(1, 0);
    assert_eq!(chain.stale().count(), 1);
    chain.connect((*whole).clone(), 2, 99_999).unwrap();
    assert_eq!((chain.stale().count(), chain.tip()), (0, Some(&tip)));
}

#[test]
fn another_lab_leaves_nothing_of_the_one_before() {
    let mut chain = chain(3, 100);
    chain.roll_back(0, 0);
    assert_eq!((chain.stale().count(), chain.reorgs().count()), (0, 0));
    assert_eq!(has(&chain, 1), (0, 0));
}

#[test]
fn of_a_long_chain_the_newest_blocks_are_kept_and_no_addresses() {
    let mut chain = chain(10, 10);
    // The first block, which nobody mined, does not count.
    assert_eq!((chain.mined(), chain.len()), (10, 11));
    assert!(chain.index().is_some());
    grow(&mut chain, (1, 0), &[]);
    assert_eq!((chain.base(), chain.mined(), chain.len()), (2, 10, 10));
    assert!(chain.at(1).is_none() && chain.at(11).is_some() && chain.index().is_none());
    // One that begins in the middle has none either.
    let mut late = Chain::new(10);
    late.connect(block(BlockHash::all_zeros(), 500, (1, 0), &[]), 500, 0)
        .unwrap();
    assert!(late.index().is_none() && late.at(500).is_some());
}

#[test]
fn only_the_newest_blocks_are_kept_whole() {
    let chain = chain(WHOLE_BLOCKS as u32 + 5, 10_000);
    let whole = |height| chain.whole(&chain.at(height).unwrap().hash);
    assert!(whole(0).is_none() && whole(5).is_none());
    for height in [6, 100, WHOLE_BLOCKS as u32 + 5] {
        assert_eq!(
            whole(height).unwrap().block_hash(),
            chain.at(height).unwrap().hash
        );
    }
}
