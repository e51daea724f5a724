//! What becomes of templates of which the miner does not want everything.

use bitcoin::consensus::{deserialize, serialize};
use bitcoin::hashes::Hash;
use bitcoin::{
    Amount, Block, FeeRate, OutPoint, Sequence, Transaction, TxIn, TxOut, Witness, absolute,
    transaction,
};
use protocol::coinbase::{merkle_path, merkle_root, witness_commitment};

use super::*;

/// Of the test templates.
const SUBSIDY: u64 = 50 * 100_000_000;

/// One that spends `parents`, and is unlike all others with another number.
fn transaction(number: u8, parents: &[&Transaction]) -> Transaction {
    let parents = parents.iter().map(|parent| parent.compute_txid());
    let coins = parents.chain([Txid::from_byte_array([number; 32])]);
    let input = coins.map(|txid| TxIn {
        previous_output: OutPoint::new(txid, 0),
        sequence: Sequence::MAX,
        witness: Witness::from_slice(&[[number; 40]]),
        ..TxIn::default()
    });
    Transaction {
        version: transaction::Version::TWO,
        lock_time: absolute::LockTime::ZERO,
        input: input.collect(),
        output: vec![TxOut {
            value: Amount::from_sat(1_000),
            script_pubkey: script(number),
        }],
    }
}

fn wanted() -> Selection {
    Selection::all(Network::Regtest)
}

/// More than 1 satoshi for a virtual byte.
fn well_paid() -> Selection {
    Selection {
        min_fee_rate: FeeRate::from_sat_per_kwu(250),
        ..wanted()
    }
}

fn txid(transaction: &Transaction) -> Txid {
    transaction.compute_txid()
}

/// A provider's template of these transactions, on a tip of its own.
fn offer(desk: &mut Desk, tip: u8, transactions: &[(&Transaction, u64)]) {
    let bytes: Vec<Vec<u8>> = transactions
        .iter()
        .map(|(one, _)| serialize(*one))
        .collect();
    let data = TransactionData::of(&[7], bytes.iter().map(Vec::as_slice));
    let txids = transactions
        .iter()
        .map(|(one, _)| txid(one).to_byte_array());
    let fees: u64 = transactions.iter().map(|(_, fee)| fee).sum();
    let wtxids = data.wtxids().to_vec();
    let template = template(u64::from(tip)).with_transactions(txids, wtxids, SUBSIDY + fees);
    desk.transactions = Arc::new(data);
    if let Some(known) = &mut desk.fees {
        known.extend(transactions.iter().map(|(one, fee)| (txid(one), *fee)));
    }
    desk.give(Work {
        prev_hash: prev_hash(tip),
        template: Arc::new(template),
        futures: Vec::new(),
        past: Arc::default(),
    });
}

fn desk(selection: Selection) -> Desk {
    let mut desk = Desk::choosing(Mode::FullTemplate, selection, 1);
    desk.connect(0);
    desk
}

/// The block of a solution of the job that the miners have, which only the node can be given.
fn solve(desk: &mut Desk) -> Block {
    desk.find_block();
    assert!(desk.solved.is_empty(), "the provider cannot");
    let (_, block) = desk.submitted.pop().unwrap();
    let block: Block = deserialize(&block).unwrap();
    assert!(block.check_merkle_root());
    assert!(block.check_witness_commitment());
    block
}

fn paid(block: &Block) -> u64 {
    let outputs = block.txdata[0].output.iter();
    outputs.map(|output| output.value.to_sat()).sum()
}

#[test]
fn what_pays_too_little_is_left_out_of_job_declaration_and_block() {
    // JDC-09, 19, 21
    let mut desk = desk(well_paid());
    let (rich, poor, other) = (
        transaction(1, &[]),
        transaction(2, &[]),
        transaction(3, &[]),
    );
    offer(&mut desk, 1, &[(&rich, 5_000), (&poor, 10), (&other, 900)]);
    let left_out = LeftOut {
        transactions: Some(1),
        fees: 10,
    };
    assert_eq!(desk.job().left_out, left_out);
    assert_eq!(desk.job().transactions, Some(2));
    let (_, declaration) = &desk.declared[0];
    let wtxids = [&rich, &other].map(|one| one.compute_wtxid().to_byte_array());
    assert_eq!(declaration.transactions.wtxids(), wtxids);
    assert_eq!(declaration.transactions.excess_data, [7]);
    let (_, custom) = &desk.set[0];
    let txids = [&rich, &other].map(|one| txid(one).to_byte_array());
    assert_eq!(custom.merkle_path, merkle_path(txids));
    let commitment = witness_commitment(wtxids);
    let outputs: Vec<TxOut> = deserialize(&custom.coinbase_tx_outputs).unwrap();
    assert_eq!(outputs.last().unwrap().script_pubkey, commitment);

    let block = solve(&mut desk);
    assert_eq!(block.txdata[1..], [rich, other]);
    assert_eq!(paid(&block), SUBSIDY + 5_900);
    assert_eq!(block.header.prev_blockhash.to_byte_array(), [1; 32]);
    assert_eq!(desk.pushed.len(), 1, "the job declarator server has them");
    assert_eq!(desk.relayed.len(), 1);
}

#[test]
fn a_template_of_which_everything_is_wanted_stays_the_providers() {
    let mut desk = desk(well_paid());
    let (one, other) = (transaction(1, &[]), transaction(2, &[]));
    offer(&mut desk, 1, &[(&one, 5_000), (&other, 5_000)]);
    assert_eq!(desk.job().left_out.transactions, Some(0));
    assert_eq!(desk.asked, [1], "once, for selection and declaration");
    desk.find_block();
    assert_eq!((desk.solved.len(), desk.submitted.len()), (1, 0));
}

#[test]
fn who_wants_everything_asks_for_nothing() {
    // JDC-13
    let mut desk = Desk::in_mode(Mode::CoinbaseOnly, 1);
    desk.connect(0);
    offer(&mut desk, 1, &[(&transaction(1, &[]), 5_000)]);
    assert!(desk.asked.is_empty());
    assert_eq!(desk.taken.len(), 1);
}

#[test]
fn a_banned_transaction_goes_with_all_that_need_it_in_every_mode() {
    let (banned, free) = (transaction(1, &[]), transaction(2, &[]));
    let child = transaction(3, &[&banned]);
    let grandchild = transaction(4, &[&free, &child]);
    for mode in [Mode::FullTemplate, Mode::CoinbaseOnly, Mode::Solo] {
        let selection = Selection {
            banned: [txid(&banned)].into(),
            ..wanted()
        };
        let mut desk = Desk::choosing(mode, selection, 1);
        if mode != Mode::Solo {
            desk.connect(0);
        }
        let all = [(&banned, 10), (&free, 20), (&child, 40), (&grandchild, 80)];
        offer(&mut desk, 1, &all);
        assert_eq!(desk.job().left_out.transactions, Some(3));
        let block = solve(&mut desk);
        assert_eq!(block.txdata[1..], *std::slice::from_ref(&free));
        assert_eq!(paid(&block), SUBSIDY + 20);
    }
}

#[test]
fn a_block_is_kept_below_the_weight_wanted() {
    let transactions: Vec<Transaction> = (1..=60).map(|n| transaction(n, &[])).collect();
    let selection = Selection {
        max_weight: 10_000,
        ..wanted()
    };
    let mut desk = desk(selection);
    // What the protocol has a field for is asked of the provider: 31 bytes of output, and all
    // that is above.
    let above = (4_000_000 - 10_000) / 4;
    assert_eq!(desk.constraints.last().unwrap().size, 31 + above);
    // It does not do as it is asked.
    let offered: Vec<_> = transactions.iter().zip(1_000..).collect();
    offer(&mut desk, 1, &offered);
    let block = solve(&mut desk);
    assert!(block.weight().to_wu() <= 10_000, "{}", block.weight());
    let next = transactions[0].weight().to_wu();
    assert!(block.weight().to_wu() + next > 9_000, "{}", block.weight());
}

#[test]
fn a_pinned_transaction_stays_whatever_it_pays() {
    let (poor, pinned) = (transaction(1, &[]), transaction(2, &[]));
    let child = transaction(3, &[&pinned]);
    let mut desk = desk(Selection {
        pinned: [txid(&child)].into(),
        ..well_paid()
    });
    offer(&mut desk, 1, &[(&poor, 1), (&pinned, 0), (&child, 0)]);
    assert_eq!(solve(&mut desk).txdata[1..], [pinned, child.clone()]);
    let pins: Vec<_> = desk.declarator.selector().pins().collect();
    assert_eq!(pins, [(txid(&child), Pin::Included)]);
    assert!(desk.pins.is_empty(), "nobody has to be asked");
}

#[test]
fn the_node_is_asked_for_pinned_transactions_once_for_each_tip() {
    let (pinned, other) = (transaction(1, &[]), transaction(2, &[]));
    let name = txid(&pinned);
    let mut desk = desk(Selection {
        pinned: [name].into(),
        ..wanted()
    });
    let state = |desk: &Desk| desk.declarator.selector().pins().next().unwrap().1;
    offer(&mut desk, 1, &[(&other, 10)]);
    assert_eq!(desk.pins, [[name]]);
    assert_eq!(state(&desk), Pin::Unknown);
    desk.step(Input::Pins(vec![(name, Pin::Waiting)]));
    assert_eq!(state(&desk), Pin::Waiting);
    desk.template(1);
    assert_eq!(desk.pins.len(), 1);
    offer(&mut desk, 2, &[(&other, 10), (&pinned, 0)]);
    assert_eq!((state(&desk), desk.pins.len()), (Pin::Included, 1));
    // An answer of before.
    desk.step(Input::Pins(vec![(name, Pin::Absent)]));
    assert_eq!(state(&desk), Pin::Included);
    offer(&mut desk, 3, &[]);
    assert_eq!(desk.pins, [[name], [name]]);
    desk.step(Input::Pins(vec![(name, Pin::Confirmed)]));
    assert!(!state(&desk).is_missing());
}

#[test]
fn a_pinned_transaction_that_needs_a_banned_one_is_barred() {
    let banned = transaction(1, &[]);
    let pinned = transaction(2, &[&banned]);
    let mut desk = desk(Selection {
        pinned: [txid(&pinned)].into(),
        banned: [txid(&banned)].into(),
        ..wanted()
    });
    offer(&mut desk, 1, &[(&banned, 10), (&pinned, 10)]);
    let (_, state) = desk.declarator.selector().pins().next().unwrap();
    assert_eq!(state, Pin::Barred);
    assert!(state.is_missing());
    assert!(solve(&mut desk).txdata[1..].is_empty());
}

#[test]
fn a_fee_is_asked_for_once() {
    let mut desk = desk(well_paid());
    let (old, new) = (transaction(1, &[]), transaction(2, &[]));
    offer(&mut desk, 1, &[(&old, 5_000)]);
    // The node has forgotten; we have not.
    desk.fees.as_mut().unwrap().clear();
    desk.fees.as_mut().unwrap().insert(txid(&new), 6_000);
    offer(&mut desk, 2, &[(&old, 5_000), (&new, 6_000)]);
    assert_eq!(desk.job().left_out.transactions, Some(0));
}

#[test]
fn a_transaction_whose_fee_nobody_knows_counts_as_one_that_pays_nothing() {
    let mut desk = desk(well_paid());
    let (known, unknown) = (transaction(1, &[]), transaction(2, &[]));
    let bytes = [&known, &unknown].map(serialize);
    let data = TransactionData::of(&[], bytes.iter().map(Vec::as_slice));
    let txids = [&known, &unknown].map(|one| txid(one).to_byte_array());
    let wtxids = data.wtxids().to_vec();
    let template = template(1).with_transactions(txids, wtxids, SUBSIDY + 12_000);
    desk.transactions = Arc::new(data);
    desk.fees = Some([(txid(&known), 5_000)].into());
    desk.give(Work {
        prev_hash: prev_hash(1),
        template: Arc::new(template),
        futures: Vec::new(),
        past: Arc::default(),
    });
    let block = solve(&mut desk);
    assert_eq!(block.txdata[1..], [known]);
    assert_eq!(
        paid(&block),
        SUBSIDY + 5_000,
        "not a satoshi that may not be there"
    );
}

#[test]
fn miners_keep_the_template_before_while_the_next_is_looked_at() {
    let mut desk = desk(well_paid());
    let one = transaction(1, &[]);
    offer(&mut desk, 1, &[(&one, 5_000)]);
    let before = desk.published.len();
    desk.provider = Manner::Mute;
    offer(&mut desk, 2, &[(&one, 5_000)]);
    assert_eq!(desk.published.len(), before);
    desk.step(Input::Transactions {
        session: 1,
        template_id: 2,
        transactions: Arc::clone(&desk.transactions),
    });
    assert_eq!(desk.published.len(), before + 1);
    assert_eq!(desk.job().prev_hash, Some(prev_hash(2)));
}

#[test]
fn a_template_without_transactions_waits_for_nobody() {
    let mut desk = desk(well_paid());
    desk.provider = Manner::Mute;
    offer(&mut desk, 1, &[]);
    assert_eq!(desk.published.len(), 1);
    assert_eq!(desk.job().left_out.transactions, Some(0));
}

#[test]
fn whoever_cannot_be_chosen_from_is_mined_without_transactions() {
    type Trouble = fn(&mut Desk);
    let one = transaction(1, &[]);
    let troubles: [Trouble; 4] = [
        |desk| desk.provider = Manner::Mute,
        |desk| desk.provider = Manner::Refuses("zzz"),
        |desk| desk.fees = None,
        |_| {},
    ];
    for (number, trouble) in troubles.into_iter().enumerate() {
        let mut desk = desk(well_paid());
        trouble(&mut desk);
        if number == 3 {
            // Others than the template has.
            offer(&mut desk, 1, &[]);
            let lie = template(2).with_transactions([[1; 32]], [[1; 32]], SUBSIDY + 5);
            desk.give(Work {
                prev_hash: prev_hash(2),
                template: Arc::new(lie),
                futures: Vec::new(),
                past: Arc::default(),
            });
        } else {
            offer(&mut desk, 2, &[(&one, 5_000)]);
        }
        desk.pass(Duration::from_secs(1));
        assert_eq!(desk.job().prev_hash, Some(prev_hash(2)), "{number}");
        // What comes too late changes nothing.
        desk.step(Input::Transactions {
            session: 1,
            template_id: 2,
            transactions: Arc::clone(&desk.transactions),
        });
        let block = solve(&mut desk);
        assert_eq!((block.txdata.len(), paid(&block)), (1, SUBSIDY), "{number}");
        let (_, last) = desk.declared.last().unwrap();
        assert!(last.transactions.is_empty());
    }
}

#[test]
fn a_future_template_is_cut_before_its_tip_comes() {
    let mut desk = desk(well_paid());
    offer(&mut desk, 1, &[]);
    let (rich, poor) = (transaction(1, &[]), transaction(2, &[]));
    let bytes = [&rich, &poor].map(serialize);
    let data = TransactionData::of(&[], bytes.iter().map(Vec::as_slice));
    let txids = [&rich, &poor].map(|one| txid(one).to_byte_array());
    let wtxids = data.wtxids().to_vec();
    let future = Arc::new(template(2).with_transactions(txids, wtxids, SUBSIDY + 5_001));
    desk.transactions = Arc::new(data);
    desk.fees = Some([(txid(&rich), 5_000), (txid(&poor), 1)].into());
    let work = desk.work.clone().unwrap();
    desk.give(Work {
        futures: vec![Arc::clone(&future)],
        ..work.clone()
    });
    let cut = Arc::clone(&desk.published.last().unwrap().futures[0]);
    let root = |template: &Template| merkle_root([9; 32], &template.merkle_path);
    assert_ne!(root(&cut), root(&future));
    desk.provider = Manner::Mute;
    desk.give(Work {
        template: future,
        futures: Vec::new(),
        prev_hash: prev_hash(2),
        ..work
    });
    assert!(Arc::ptr_eq(&desk.published.last().unwrap().template, &cut));
    assert_eq!(solve(&mut desk).txdata[1..], [rich]);
}

#[test]
fn own_outputs_stand_in_every_coinbase_and_share_out_solo_work_only() {
    // JDC-15, 16, 17
    let data = ScriptBuf::from(vec![0x6a, 2, 1, 2]);
    let kit = CoinbaseKit {
        outputs: vec![
            OwnOutput {
                script: data.clone(),
                percent: 0,
            },
            OwnOutput {
                script: script(7),
                percent: 30,
            },
        ],
        ..kit()
    };
    let template = template(1);
    let outputs = |terms: Option<&Terms>| -> Vec<(ScriptBuf, u64)> {
        let coinbase = kit.build(&template, 1, terms);
        let outputs: Vec<TxOut> = deserialize(coinbase.outputs()).unwrap();
        let pairs = outputs.into_iter();
        pairs
            .map(|output| (output.script_pubkey, output.value.to_sat()))
            .collect()
    };
    let CustomWorkEvent::Seated(seat) = seated(0) else {
        unreachable!()
    };
    let terms = Terms {
        upstream: 0,
        seat,
        payout: payout(0),
    };
    let pool = outputs(Some(&terms));
    assert_eq!(pool[..2], [(script(0), SUBSIDY), (data.clone(), 0)]);
    assert_eq!(pool.len(), 3, "and the template's");
    let solo = outputs(None);
    let (most, part) = (SUBSIDY / 10 * 7, SUBSIDY / 10 * 3);
    assert_eq!(
        solo[..3],
        [(script(99), most), (data, 0), (script(7), part)]
    );
    assert_eq!(kit.constraints(None).size, 31 + 13 + 31);
    assert_eq!(kit.constraints(Some(&payout(0))).size, 31 + 13);
}
