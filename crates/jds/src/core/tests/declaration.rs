//! DeclareMiningJob: what is accepted, and for what reason it is not.

use bitcoin::Block as BitcoinBlock;
use bitcoin::consensus::deserialize;
use bitcoin::hex::FromHex;
use protocol::coinbase::merkle_path;
use protocol::error_code::{INTERNAL_ERROR, INVALID_COINBASE_TX, INVALID_JOB};
use protocol::token::{Commitment, CustomJob};

use super::*;

fn parsed(block: &Block) -> BitcoinBlock {
    deserialize(&Vec::<u8>::from_hex(&block.to_hex()).unwrap()).unwrap()
}

#[test]
fn known_and_valid_transactions_are_declared() {
    // JDS-12, T-21, T-34
    for count in [0, 1, 2, 3, 4, 5, 300] {
        let transactions = numbered(0..count);
        let mut client = Client::full_template();
        let mut step = client.declare(job(5, &transactions));
        if count > 0 {
            let wtxids: Vec<_> = transactions.iter().map(|known| known.wtxid()).collect();
            assert_eq!(step.lookup().1, wtxids);
            step = client.look_up(&step, &transactions);
        }
        let block = parsed(step.proposal().1);
        assert_eq!(block.txdata.len(), transactions.len() + 1);
        assert!(block.check_merkle_root());
        let step = client.judge(&step, Judgement::Valid);
        assert!(
            matches!(step.sent[..], [Sent::Declared { request_id: 5, .. }]),
            "{step:?}"
        );
        let report = step.report();
        assert_eq!(
            (report.transactions, report.missing),
            (transactions.len(), 0)
        );
        assert_eq!((report.height, report.pool_value), (NEXT, 50));
        assert_eq!(
            (report.user.as_str(), report.prev_hash),
            ("alice", Some([1; 32]))
        );
    }
}

#[test]
fn the_proposed_block_lacks_nothing_but_work() {
    // JDS-20, JDS-21
    let transactions = numbered(0..3);
    let mut client = Client::full_template();
    let step = client.declare(job(5, &transactions));
    let step = client.look_up(&step, &transactions);
    let block = parsed(step.proposal().1);
    assert_eq!(block.header.prev_blockhash.to_string(), "01".repeat(32));
    assert_eq!(block.header.bits.to_consensus(), REGTEST_BITS);
    assert_eq!(block.header.version.to_consensus().cast_unsigned(), VERSION);
    assert_eq!(u64::from(block.header.time), NOW);
    let coinbase = &block.txdata[0];
    assert!(coinbase.is_coinbase());
    // The extranonce in its full size.
    let script_sig = coinbase.input[0].script_sig.as_bytes();
    assert_eq!(
        script_sig,
        [&[1, NEXT as u8, b'h', b'i'][..], &[0; 8]].concat()
    );
    assert_eq!(coinbase.input[0].witness.to_vec(), [[0; 32]]);
}

#[test]
fn a_chain_whose_time_runs_ahead_is_followed() {
    // T-26: blocks mined within a second drag the median time past the clock.
    let mut client = Client::full_template();
    let NodeView::At(ahead) = tip(1, NEXT) else {
        unreachable!()
    };
    let median_time = NOW as u32 + 500;
    client.node(NodeView::At(Tip {
        median_time,
        ..ahead
    }));
    let block = parsed(client.declare(job(5, &[])).proposal().1);
    assert_eq!(block.header.time, median_time + 1);
}

#[test]
fn the_new_token_is_good_for_the_declared_job_at_the_pool_and_no_other() {
    // JDS-31, JDC-14, T-17
    let transactions = numbered(0..3);
    let token = Client::full_template().declared(5, &transactions);
    let outputs = [vec![1], output(50, payout().as_bytes())].concat();
    let path = merkle_path(transactions.iter().map(|known| known.txid()));
    let custom = CustomJob {
        version: VERSION,
        prev_hash: &[1; 32],
        coinbase_tx_version: 2,
        coinbase_prefix: &[1, NEXT as u8, b'h', b'i'],
        coinbase_tx_input_sequence: 0xffff_fffe,
        coinbase_tx_outputs: &outputs,
        coinbase_tx_locktime: NEXT - 1,
        merkle_path: &path,
    };
    let verify = |job| Token::verify(&secret(), &token, &Commitment::declared(&job), NOW);
    assert_eq!(verify(custom).unwrap().scope, Scope::Declared);
    let other = CustomJob {
        prev_hash: &[2; 32],
        ..custom
    };
    verify(other).unwrap_err();
}

#[test]
fn a_coinbase_that_does_not_pay_the_pool_everything_is_refused() {
    // JDS-19, T-18
    let payout = payout();
    let pool = |sats| output(sats, payout.as_bytes());
    let own = |sats| output(sats, &[0x51]);
    for (outputs, is_fine) in [
        (vec![pool(50)], true),
        (vec![own(0), pool(49)], true),
        (vec![own(1), own(0), pool(49)], false),
        (vec![pool(0), pool(50)], true),
        (vec![pool(0)], false),
        (vec![own(50)], false),
        (vec![pool(0), own(50)], false),
        (vec![], false),
    ] {
        let mut declaration = job(5, &[]);
        let (_, suffix) = coinbase(NEXT, &outputs);
        declaration.coinbase_tx_suffix = suffix.try_into().unwrap();
        let step = Client::full_template().declare(declaration);
        if is_fine {
            step.proposal();
        } else {
            step.is_refused(5, INVALID_COINBASE_TX, "must get all");
        }
    }
}

#[test]
fn bytes_that_are_no_coinbase_are_refused() {
    // JDS-21
    for len in 0..43 {
        let mut declaration = job(5, &[]);
        declaration.coinbase_tx_prefix = vec![0; len].try_into().unwrap();
        let step = Client::full_template().declare(declaration);
        step.is_refused(5, INVALID_COINBASE_TX, "");
        assert_eq!(step.closed, None);
    }
}

#[test]
fn the_node_s_reason_is_passed_on() {
    // JDS-20, JDS-30
    let mut client = Client::full_template();
    let step = client.declare(job(5, &[]));
    let step = client.judge(
        &step,
        Judgement::Invalid("bad-txns-inputs-missingorspent".to_owned()),
    );
    step.is_refused(5, INVALID_JOB, "bad-txns-inputs-missingorspent");
    let step = client.declare(job(6, &[]));
    let step = client.judge(&step, Judgement::Invalid(String::new()));
    step.is_refused(6, INVALID_JOB, "");
    let step = client.declare(job(7, &[]));
    let step = client.judge(&step, Judgement::Unavailable("out of reach".to_owned()));
    step.is_refused(7, INTERNAL_ERROR, "out of reach");
    let step = client.declare(job(8, &[]));
    let step = client.judge(&step, Judgement::Invalid("x".repeat(70_000)));
    step.is_refused(8, INVALID_JOB, "xxx");
}

#[test]
fn a_transaction_listed_twice_is_refused() {
    // JDS-20
    let step = Client::full_template().declare(job(5, &numbered([1, 2, 1])));
    step.is_refused(5, INVALID_JOB, "twice");
}

#[test]
fn more_bytes_than_a_block_can_have_are_never_put_together() {
    let large = |number: u32| {
        let mut script = vec![0x6a; 990_000];
        script[1..5].copy_from_slice(&number.to_le_bytes());
        let bytes = crate::testing::with_output(number, script);
        Arc::new(Transaction::parse(bytes).unwrap())
    };
    let transactions: Vec<_> = (0..5).map(large).collect();
    let mut client = Client::full_template();
    let step = client.declare(job(5, &transactions));
    let step = client.look_up(&step, &transactions);
    step.is_refused(5, INVALID_JOB, "bytes of transactions");
}

#[test]
fn several_declarations_are_open_at_once_and_answered_each_by_its_id() {
    // JDS-17
    let mut client = Client::full_template();
    let [a, b] = [numbered([1]), numbered([2])];
    let first = client.declare(job(10, &a));
    let second = client.declare(job(20, &b));
    let second = client.look_up(&second, &b);
    let first = client.look_up(&first, &a);
    let step = client.judge(&second, Judgement::Invalid("bad".to_owned()));
    step.is_refused(20, INVALID_JOB, "bad");
    let step = client.judge(&first, Judgement::Valid);
    assert!(matches!(
        step.sent[..],
        [Sent::Declared { request_id: 10, .. }]
    ));
}

#[test]
fn open_declarations_are_bounded_and_their_ids_distinct() {
    let mut client = Client::full_template();
    let opened: Vec<Step> = (0..4).map(|id| client.declare(job(id, &[]))).collect();
    let same = client.declare(job(3, &[]));
    same.is_refused(3, INVALID_JOB, "still in use");
    let fifth = client.declare(job(4, &[]));
    fifth.is_refused(4, INTERNAL_ERROR, "4 declarations are open");
    for step in &opened {
        let step = client.judge(step, Judgement::Valid);
        assert!(matches!(step.sent[..], [Sent::Declared { .. }]));
    }
    // Answered ids can be used again.
    client.declare(job(3, &[])).proposal();
}

#[test]
fn answers_that_nobody_waits_for_change_nothing() {
    // T-50
    let mut client = Client::full_template();
    let step = client.declare(job(5, &numbered([1])));
    for number in [0, 1, 2, u64::MAX] {
        let judgement = Judgement::Valid;
        assert!(client.input(Input::Judged { number, judgement }).is_quiet());
    }
    let proposed = client.look_up(&step, &numbered([1]));
    assert!(client.look_up(&step, &[]).is_quiet());
    client.judge(&proposed, Judgement::Valid);
    assert!(client.judge(&proposed, Judgement::Valid).is_quiet());
}

#[test]
fn equal_request_ids_of_two_clients_do_not_mix() {
    // JDS-28
    let (mut a, mut b) = (Client::full_template(), Client::full_template());
    let step_a = a.declare(job(5, &numbered([1])));
    let step_b = b.declare(job(5, &numbered([2])));
    let missing = a.look_up(&step_a, &[]);
    assert!(matches!(
        missing.sent[..],
        [Sent::Missing { request_id: 5, .. }]
    ));
    assert!(b.provide(5, &[transaction(1).bytes().to_vec()]).is_quiet());
    let step_b = b.look_up(&step_b, &numbered([2]));
    assert!(matches!(
        b.judge(&step_b, Judgement::Valid).sent[..],
        [Sent::Declared { .. }]
    ));
    a.provide(5, &[transaction(1).bytes().to_vec()]).proposal();
}
