use bitcoin::hashes::Hash;
use bitcoin::{
    Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness, absolute, transaction,
};
use stratum_core::mining_sv2::{SetCustomMiningJob, SetCustomMiningJobSuccess};

use super::*;
use crate::setup::REQUIRES_WORK_SELECTION;
use crate::token::{Commitment, CustomJob, Scope, Token};

const TIP: [u8; 32] = [1; 32];
const UNKNOWN: [u8; 32] = [0x55; 32];

fn secret() -> Secret {
    Secret::new(&[9; 32])
}

fn miner() -> Miner {
    miner_with(true, REQUIRES_WORK_SELECTION)
}

fn miner_with(declares: bool, flags: u32) -> Miner {
    let policy = Policy {
        job_declaration: declares.then(secret),
        ..policy()
    };
    Miner::with_policy(policy, flags)
}

fn pay(script: ScriptBuf, sats: u64) -> TxOut {
    TxOut {
        value: Amount::from_sat(sats),
        script_pubkey: script,
    }
}

fn pool_script() -> ScriptBuf {
    plan().reward_script
}

fn commitment() -> TxOut {
    let mut script = vec![0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed];
    script.extend([0xcc; 32]);
    pay(script.into(), 0)
}

/// What a client wants to mine.
#[derive(Debug, Clone)]
struct Wish {
    channel_id: u32,
    request_id: u32,
    version: u32,
    prev_hash: [u8; 32],
    min_ntime: u32,
    nbits: u32,
    coinbase_tx_version: u32,
    coinbase_prefix: Vec<u8>,
    sequence: u32,
    outputs: Vec<TxOut>,
    locktime: u32,
    path: Vec<[u8; 32]>,
    scope: Scope,
    expires: u64,
    id: [u8; 16],
    secret: Secret,
}

/// A good one on the pool's tip, declared.
fn wish(channel_id: u32, number: u8) -> Wish {
    Wish {
        channel_id,
        request_id: 1000 + u32::from(number),
        version: 0x2000_0000,
        prev_hash: TIP,
        min_ntime: MIN_NTIME,
        nbits: 0x207f_ffff,
        coinbase_tx_version: 2,
        coinbase_prefix: vec![1, 102, 2, number, 22],
        sequence: 0xffff_fffe,
        outputs: vec![pay(pool_script(), 5_000_000_000), commitment()],
        locktime: 101,
        path: vec![[0xaa; 32], [0xbb; 32]],
        scope: Scope::Declared,
        expires: UNIX + 60,
        id: [number; 16],
        secret: secret(),
    }
}

impl Wish {
    fn token(&self) -> Vec<u8> {
        let outputs = bitcoin::consensus::serialize(&self.outputs);
        let commitment = match self.scope {
            Scope::Declared => Commitment::declared(&CustomJob {
                version: self.version,
                prev_hash: &self.prev_hash,
                coinbase_tx_version: self.coinbase_tx_version,
                coinbase_prefix: &self.coinbase_prefix,
                coinbase_tx_input_sequence: self.sequence,
                coinbase_tx_outputs: &outputs,
                coinbase_tx_locktime: self.locktime,
                merkle_path: &self.path,
            }),
            _ => Commitment::payout([pool_script().as_script()]),
        };
        let token = Token {
            scope: self.scope,
            expires: self.expires,
            id: self.id,
        };
        token.issue(&self.secret, &commitment)
    }

    fn message(&self) -> MiningOwned {
        self.message_with(&self.token(), &bitcoin::consensus::serialize(&self.outputs))
    }

    fn message_with(&self, token: &[u8], outputs: &[u8]) -> MiningOwned {
        let path: Vec<_> = self.path.iter().map(U256::from).collect();
        let message = SetCustomMiningJob {
            channel_id: self.channel_id,
            request_id: self.request_id,
            token: token.try_into().unwrap(),
            version: self.version,
            prev_hash: U256::from(&self.prev_hash),
            min_ntime: self.min_ntime,
            nbits: self.nbits,
            coinbase_tx_version: self.coinbase_tx_version,
            coinbase_prefix: self.coinbase_prefix[..].try_into().unwrap(),
            coinbase_tx_input_n_sequence: self.sequence,
            coinbase_tx_outputs: outputs.try_into().unwrap(),
            coinbase_tx_locktime: self.locktime,
            merkle_path: path.try_into().unwrap(),
        };
        MiningOwned::SetCustomMiningJob(message.into_owned())
    }

    /// The job as the client mines it: the transaction is built by another library (POOL-85).
    fn job(&self, id: u32) -> Job {
        let mut script_sig = self.coinbase_prefix.clone();
        script_sig.extend([0xee; EXTRANONCE_LEN]);
        let transaction = Transaction {
            version: transaction::Version(self.coinbase_tx_version as i32),
            lock_time: absolute::LockTime::from_consensus(self.locktime),
            input: vec![TxIn {
                previous_output: OutPoint::null(),
                script_sig: script_sig.into(),
                sequence: Sequence(self.sequence),
                witness: Witness::new(),
            }],
            output: self.outputs.clone(),
        };
        let bytes = bitcoin::consensus::serialize(&transaction);
        let at = 4 + 1 + 36 + 1 + self.coinbase_prefix.len();
        Job {
            id,
            version: self.version,
            root: Root::Coinbase {
                prefix: bytes[..at].to_vec(),
                suffix: bytes[at + EXTRANONCE_LEN..].to_vec(),
                path: self.path.clone(),
            },
        }
    }
}

/// Opens a channel; nothing but the success comes back (T-39).
fn open(miner: &mut Miner, hashes: f32) -> Opened {
    let answer = miner.send(open_extended(5, hashes, &[0xff; 32], 8));
    let [MiningOwned::OpenExtendedMiningChannelSuccess(success)] = &answer[..] else {
        panic!("not a success alone: {answer:?}");
    };
    Opened {
        channel_id: success.channel_id,
        group_id: success.group_channel_id,
        target: Target::from_le_bytes(success.target.to_array()),
        prefix: success.extranonce_prefix.to_owned_bytes(),
        size: usize::from(success.extranonce_size),
        job: Job {
            id: 0,
            version: 0,
            root: Root::Known([0; 32]),
        },
        nbits: 0x207f_ffff,
        prev_hash: TIP,
    }
}

/// Tells the server what became of a token.
fn spent(miner: &mut Miner, id: [u8; 16], is_first: bool) -> Vec<MiningOwned> {
    let mut out = Outbox::default();
    let input = ServerInput::TokenSpent { id, is_first };
    miner.server.input(miner.now, input, &mut out);
    miner.collect(out)
}

/// Sends a wish whose token nobody has shown.
fn set(miner: &mut Miner, wish: &Wish) -> Vec<MiningOwned> {
    let answer = miner.send(wish.message());
    if answer.is_empty() {
        return spent(miner, wish.id, true);
    }
    answer
}

#[track_caller]
fn success(answer: &[MiningOwned]) -> &SetCustomMiningJobSuccess {
    match answer {
        [MiningOwned::SetCustomMiningJobSuccess(success)] => success,
        other => panic!("not a success: {other:?}"),
    }
}

/// Channel, request and code of a refusal.
#[track_caller]
fn refused(answer: &[MiningOwned]) -> (u32, u32, String) {
    match answer {
        [MiningOwned::SetCustomMiningJobError(error)] => (
            error.channel_id,
            error.request_id,
            error.error_code.as_utf8_or_hex(),
        ),
        other => panic!("not a refusal: {other:?}"),
    }
}

/// Not rejected: on a tip the pool does not know, a share may be a block, which is acknowledged at
/// once.
#[track_caller]
fn assert_credited(answer: &[MiningOwned]) {
    if !answer.is_empty() {
        acknowledged(answer);
    }
}

/// A channel with its first custom job.
fn working() -> (Miner, Opened, Wish) {
    let mut miner = miner();
    let mut opened = open(&mut miner, 4.0);
    let wish = wish(opened.channel_id, 1);
    opened.job = wish.job(success(&set(&mut miner, &wish)).job_id);
    (miner, opened, wish)
}

#[test]
fn only_a_connection_that_selects_work_sets_custom_jobs_and_only_where_they_are_taken() {
    // POOL-75
    for (declares, flags) in [(true, 0), (false, 0), (false, REQUIRES_WORK_SELECTION)] {
        let mut miner = miner_with(declares, flags);
        miner.send(open_extended(5, 4.0, &[0xff; 32], 8));
        let wish = wish(2, 1);
        let code = refused(&miner.send(wish.message())).2;
        assert_eq!(code, "jd-not-supported", "{declares} {flags}");
    }
}

#[test]
fn a_custom_job_is_for_a_channel_or_a_group_that_is_there() {
    // POOL-76
    let mut miner = miner();
    let (a, b) = (open(&mut miner, 4.0), open(&mut miner, 4.0));
    let answer = set(&mut miner, &wish(99, 1));
    assert_eq!(refused(&answer).2, "invalid-channel-id");
    let wish = wish(a.group_id, 2);
    let answer = set(&mut miner, &wish);
    let success = success(&answer);
    assert_eq!(success.channel_id, a.group_id);
    for opened in [a, b] {
        assert!(
            miner
                .send(opened.good(&wish.job(success.job_id)))
                .is_empty()
        );
    }
}

#[test]
fn answers_name_channel_and_request() {
    // POOL-77
    let mut miner = miner();
    let opened = open(&mut miner, 4.0);
    let good = Wish {
        request_id: 0xdead_beef,
        ..wish(opened.channel_id, 1)
    };
    let answer = set(&mut miner, &good);
    let success = success(&answer);
    assert_eq!(
        (success.channel_id, success.request_id),
        (opened.channel_id, 0xdead_beef)
    );
    let bad = Wish {
        request_id: 7,
        nbits: 0,
        ..good
    };
    let answer = miner.send(bad.message());
    assert_eq!(
        refused(&answer),
        (opened.channel_id, 7, "invalid-nbits".to_owned())
    );
}

#[test]
fn a_token_that_is_not_good_for_the_job_is_refused() {
    // POOL-78, 79
    let mut miner = miner();
    let opened = open(&mut miner, 4.0);
    let good = wish(opened.channel_id, 1);
    let forged = Wish {
        secret: Secret::new(&[8; 32]),
        ..good.clone()
    };
    let expired = Wish {
        expires: UNIX,
        ..good.clone()
    };
    let allocated = Wish {
        scope: Scope::Allocated,
        ..good.clone()
    };
    let outputs = bitcoin::consensus::serialize(&good.outputs);
    let cases = [
        good.message_with(&[5; 58], &outputs),
        good.message_with(&[], &outputs),
        forged.message(),
        expired.message(),
        allocated.message(),
    ];
    for (i, message) in cases.into_iter().enumerate() {
        let code = refused(&miner.send(message)).2;
        assert_eq!(code, "invalid-mining-job-token", "case {i}");
    }
}

#[test]
fn a_token_that_was_used_before_is_refused() {
    // POOL-78: the role knows; until it has said so the client hears nothing.
    let mut miner = miner();
    let opened = open(&mut miner, 4.0);
    let wish = wish(opened.channel_id, 1);
    for is_first in [true, false] {
        assert!(miner.send(wish.message()).is_empty());
        let shown = miner.events.last();
        let Some(ServerEvent::TokenShown { id, expires }) = shown else {
            panic!("not a token: {shown:?}");
        };
        assert_eq!((*id, *expires), (wish.id, wish.expires));
        let answer = spent(&mut miner, wish.id, is_first);
        if is_first {
            success(&answer);
        } else {
            assert_eq!(refused(&answer).2, "invalid-mining-job-token");
        }
    }
    assert!(spent(&mut miner, wish.id, true).is_empty());
}

#[test]
fn jobs_whose_tokens_are_not_spent_yet_are_bounded_and_end_with_their_channel() {
    let mut miner = miner();
    let opened = open(&mut miner, 4.0);
    for number in 0..16 {
        let wish = wish(opened.channel_id, number);
        assert!(miner.send(wish.message()).is_empty());
    }
    let answer = miner.send(wish(opened.channel_id, 16).message());
    assert_eq!(refused(&answer).2, "job-not-yet-validated");
    miner.send(close_channel(opened.channel_id));
    let answer = spent(&mut miner, [0; 16], true);
    assert_eq!(refused(&answer).2, "invalid-channel-id");
}

#[test]
fn every_output_with_a_value_pays_the_pool() {
    // POOL-80, T-18
    let other = || ScriptBuf::from(vec![0x51]);
    let cases = [
        (vec![pay(pool_script(), 50), commitment()], true),
        (vec![commitment(), pay(pool_script(), 50)], true),
        (vec![pay(pool_script(), 20), pay(pool_script(), 30)], true),
        (vec![pay(other(), 0), pay(pool_script(), 50)], true),
        (vec![pay(other(), 50), commitment()], false),
        (vec![pay(pool_script(), 0), commitment()], false),
        (vec![pay(pool_script(), 0), pay(other(), 50)], false),
        (vec![pay(pool_script(), 49), pay(other(), 1)], false),
        (vec![], false),
    ];
    for (number, (outputs, is_good)) in cases.into_iter().enumerate() {
        for scope in [Scope::Declared, Scope::CoinbaseOnly] {
            let mut miner = miner();
            let opened = open(&mut miner, 4.0);
            let wish = Wish {
                outputs: outputs.clone(),
                scope,
                ..wish(opened.channel_id, 1)
            };
            let answer = set(&mut miner, &wish);
            if is_good {
                success(&answer);
            } else {
                let code = refused(&answer).2;
                assert_eq!(code, "invalid-coinbase-tx-outputs", "case {number}");
            }
        }
    }
}

#[test]
fn a_channel_may_be_paid_itself_as_its_name_says() {
    // POOL-80
    const ADDRESS: &str = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";
    let address: bitcoin::Address<_> = ADDRESS.parse().unwrap();
    let script = address.assume_checked().script_pubkey();
    let mut miner = miner();
    let mut open = open_extended(5, 4.0, &[0xff; 32], 8);
    if let MiningOwned::OpenExtendedMiningChannel(open) = &mut open {
        open.user_identity = message::text(&format!("sri/donate/20/{ADDRESS}"));
    }
    let answer = miner.send(open);
    let [MiningOwned::OpenExtendedMiningChannelSuccess(opened)] = &answer[..] else {
        panic!("not a success: {answer:?}");
    };
    for (pool, own, is_good) in [(20, 80, true), (19, 81, false), (100, 0, true)] {
        let wish = Wish {
            outputs: vec![pay(script.clone(), own), pay(pool_script(), pool)],
            ..wish(opened.channel_id, pool as u8)
        };
        let answer = set(&mut miner, &wish);
        let is_success = matches!(answer[..], [MiningOwned::SetCustomMiningJobSuccess(_)]);
        assert_eq!(is_success, is_good, "{pool} of 100");
    }
}

#[test]
fn outputs_that_are_no_list_of_outputs_are_refused() {
    // POOL-81
    let mut miner = miner();
    let opened = open(&mut miner, 4.0);
    let wish = wish(opened.channel_id, 1);
    let whole = bitcoin::consensus::serialize(&wish.outputs);
    let cases = [
        &whole[1..],
        &whole[..whole.len() - 1],
        &[&whole[..], &[0]].concat(),
        &[],
        &[0xff; 9],
    ];
    for outputs in cases {
        let answer = miner.send(wish.message_with(&wish.token(), outputs));
        assert_eq!(refused(&answer).2, "invalid-coinbase-tx-outputs");
    }
}

#[test]
fn a_job_that_is_not_the_declared_one_is_refused() {
    // POOL-82
    let mut miner = miner();
    let opened = open(&mut miner, 4.0);
    let declared = wish(opened.channel_id, 1);
    let changes: [fn(&mut Wish); 8] = [
        |job| job.version ^= 1,
        |job| job.prev_hash = UNKNOWN,
        |job| job.coinbase_tx_version = 1,
        |job| job.coinbase_prefix.push(1),
        |job| job.sequence -= 1,
        |job| job.outputs.swap(0, 1),
        |job| job.locktime += 1,
        |job| job.path.swap(0, 1),
    ];
    for (i, change) in changes.into_iter().enumerate() {
        let mut job = declared.clone();
        change(&mut job);
        let outputs = bitcoin::consensus::serialize(&job.outputs);
        let answer = miner.send(job.message_with(&declared.token(), &outputs));
        assert_eq!(refused(&answer).2, "invalid-mining-job-token", "change {i}");
    }
    success(&set(&mut miner, &declared));
}

#[test]
fn what_a_coinbase_only_token_leaves_open_is_open() {
    // SV2 6.3.1: it binds who is paid, and nothing else.
    let mut miner = miner();
    let opened = open(&mut miner, 4.0);
    let wish = Wish {
        scope: Scope::CoinbaseOnly,
        ..wish(opened.channel_id, 1)
    };
    let token = wish.token();
    let other = Wish {
        path: vec![],
        locktime: 0,
        ..wish
    };
    let outputs = bitcoin::consensus::serialize(&other.outputs);
    assert!(miner.send(other.message_with(&token, &outputs)).is_empty());
    success(&spent(&mut miner, other.id, true));
}

#[test]
fn the_header_fits_the_tip() {
    // POOL-82
    let mut miner = miner();
    let opened = open(&mut miner, 4.0);
    let good = wish(opened.channel_id, 1);
    let far = UNIX as u32 + 8000;
    let cases = [
        (good.nbits - 1, MIN_NTIME, "invalid-nbits"),
        (0, MIN_NTIME, "invalid-nbits"),
        (good.nbits, far, "invalid-min-ntime"),
    ];
    for (nbits, min_ntime, code) in cases {
        let wish = Wish {
            nbits,
            min_ntime,
            ..good.clone()
        };
        assert_eq!(refused(&miner.send(wish.message())).2, code);
    }
    // The client's provider may well have begun a little earlier.
    let early = Wish {
        min_ntime: MIN_NTIME - 5,
        ..good
    };
    success(&set(&mut miner, &early));
}

#[test]
fn a_prefix_may_be_as_long_as_a_coinbase_allows() {
    // POOL-84, T-25
    let mut miner = miner();
    let opened = open(&mut miner, 4.0);
    for (number, len) in [0, 8, 9, 100 - EXTRANONCE_LEN].into_iter().enumerate() {
        let wish = Wish {
            coinbase_prefix: vec![1; len],
            ..wish(opened.channel_id, number as u8)
        };
        let job_id = success(&set(&mut miner, &wish)).job_id;
        assert_credited(&miner.send(opened.good(&wish.job(job_id))));
    }
    let long = Wish {
        coinbase_prefix: vec![1; 101 - EXTRANONCE_LEN],
        ..wish(opened.channel_id, 9)
    };
    let code = refused(&miner.send(long.message())).2;
    assert_eq!(code, "invalid-coinbase-prefix");
}

#[test]
fn shares_on_a_custom_job_are_judged_and_credited() {
    // POOL-85, 86
    let (mut miner, opened, _) = working();
    for ntime in [MIN_NTIME, MIN_NTIME + 1] {
        let job = &opened.job;
        let share = opened.mine_with(job, ntime, job.version ^ 0x20, |hash| hash <= opened.target);
        assert!(miner.send(opened.submit(share)).is_empty());
    }
    let Some(ServerEvent::Accepted { share, .. }) = miner.events.last() else {
        panic!("not accepted: {:?}", miner.events);
    };
    let token = [1; 16];
    assert_eq!(share.source, JobSource::Custom { token });
    let bad = opened.mine(&opened.job, |hash| hash > opened.target);
    let answer = miner.send(opened.submit(bad));
    assert_eq!(rejected(&answer), "difficulty-too-low");
    assert_eq!(acknowledged(&miner.wait(Duration::from_secs(1))).1, 2);
}

#[test]
fn custom_jobs_on_one_tip_are_valid_together_and_have_their_own_ids() {
    // POOL-87
    let (mut miner, opened, _) = working();
    let second = wish(opened.channel_id, 2);
    let second = second.job(success(&set(&mut miner, &second)).job_id);
    assert_ne!(opened.job.id, second.id);
    assert!(miner.send(opened.good(&second)).is_empty());
    assert!(miner.send(opened.good(&opened.job)).is_empty());
}

#[test]
fn a_custom_job_on_a_new_tip_ends_the_earlier_ones() {
    // POOL-83, 88, T-40: the pool does not know the tip yet.
    let (mut miner, opened, _) = working();
    let wish = Wish {
        prev_hash: UNKNOWN,
        ..wish(opened.channel_id, 2)
    };
    let job = wish.job(success(&set(&mut miner, &wish)).job_id);
    let old = opened.good(&opened.job);
    assert_eq!(rejected(&miner.send(old)), "stale-share");
    let ahead = Opened {
        prev_hash: UNKNOWN,
        ..opened
    };
    assert_credited(&miner.send(ahead.good(&job)));
}

/// The pool learns of a tip.
fn learn(miner: &mut Miner, template: u64, tip: u8) {
    assert!(miner.future_template(template).is_empty());
    assert!(miner.prev_hash(template, tip).is_empty());
}

#[test]
fn a_job_on_a_tip_the_pool_does_not_know_stays_good_when_it_becomes_the_pools() {
    // POOL-58, 83, T-39
    let (mut miner, opened, _) = working();
    let wish = Wish {
        prev_hash: [9; 32],
        ..wish(opened.channel_id, 2)
    };
    let job = wish.job(success(&set(&mut miner, &wish)).job_id);
    miner.wait(Duration::from_secs(5));
    learn(&mut miner, 2, 9);
    miner.wait(Duration::from_secs(3600));
    let opened = Opened {
        prev_hash: [9; 32],
        ..opened
    };
    assert_credited(&miner.send(opened.good(&job)));
}

#[test]
fn a_tip_that_never_becomes_the_pools_is_not_worked_on_for_long() {
    // POOL-83
    let (mut miner, opened, _) = working();
    let ahead = |number, tip| Wish {
        prev_hash: [tip; 32],
        ..wish(opened.channel_id, number)
    };
    let first = ahead(2, 0x55);
    let job = first.job(success(&set(&mut miner, &first)).job_id);
    miner.wait(Duration::from_secs(6));
    // Another one does not gain time.
    let second = ahead(3, 0x56);
    success(&set(&mut miner, &second));
    let due = miner.server.deadline().unwrap();
    assert_eq!(due - miner.now.instant, Duration::from_secs(4));
    miner.wait(Duration::from_secs(4));
    assert_eq!(rejected(&miner.send(opened.good(&job))), "stale-share");
    let answer = set(&mut miner, &ahead(4, 0x57));
    assert_eq!(refused(&answer).2, "stale-chain-tip");
    // The tip itself is always welcome, and a new one brings new trust.
    success(&set(&mut miner, &wish(opened.channel_id, 5)));
    learn(&mut miner, 2, 9);
    success(&set(&mut miner, &ahead(6, 0x58)));
}

#[test]
fn a_tip_that_the_pool_has_left_is_good_for_a_while_longer() {
    // POOL-88, T-39: the client's node may hear of a block a little later, or the client may have
    // found it itself, on a job that was still on its way.
    let (mut miner, opened, _) = working();
    let late = wish(opened.channel_id, 2);
    assert!(miner.send(late.message()).is_empty());
    learn(&mut miner, 2, 9);
    let job = late.job(success(&spent(&mut miner, late.id, true)).job_id);
    assert!(miner.send(opened.good(&job)).is_empty());
    success(&set(&mut miner, &wish(opened.channel_id, 3)));
    assert!(miner.send(opened.good(&opened.job)).is_empty());

    let pending = wish(opened.channel_id, 4);
    assert!(miner.send(pending.message()).is_empty());
    miner.wait(Duration::from_secs(10));
    let job = &opened.job;
    let share = opened.mine_with(job, MIN_NTIME + 1, job.version, |hash| {
        hash <= opened.target
    });
    assert_eq!(rejected(&miner.send(opened.submit(share))), "stale-share");
    let answer = spent(&mut miner, pending.id, true);
    assert_eq!(refused(&answer).2, "stale-chain-tip");
    let answer = set(&mut miner, &wish(opened.channel_id, 5));
    assert_eq!(refused(&answer).2, "stale-chain-tip");
}

#[test]
fn nobody_goes_back_to_a_tip_that_the_pool_has_left() {
    // POOL-88, T-39
    let (mut miner, opened, _) = working();
    learn(&mut miner, 2, 9);
    // It is on the pool's tip itself, where a job for another one would end its work.
    let next = Wish {
        prev_hash: [9; 32],
        ..wish(opened.channel_id, 2)
    };
    success(&set(&mut miner, &next));
    let answer = set(&mut miner, &wish(opened.channel_id, 3));
    assert_eq!(refused(&answer).2, "stale-chain-tip");

    // Two blocks further it is no matter of a moment.
    let (mut miner, opened, _) = working();
    learn(&mut miner, 2, 9);
    learn(&mut miner, 3, 10);
    let answer = set(&mut miner, &wish(opened.channel_id, 2));
    assert_eq!(refused(&answer).2, "stale-chain-tip");

    // Nor for a client that knows more than the pool.
    let (mut miner, opened, _) = working();
    learn(&mut miner, 2, 9);
    let ahead = Wish {
        prev_hash: UNKNOWN,
        ..wish(opened.channel_id, 2)
    };
    let job = ahead.job(success(&set(&mut miner, &ahead)).job_id);
    let answer = set(&mut miner, &wish(opened.channel_id, 3));
    assert_eq!(refused(&answer).2, "stale-chain-tip");
    let opened = Opened {
        prev_hash: UNKNOWN,
        ..opened
    };
    assert_credited(&miner.send(opened.good(&job)));
}

#[test]
fn the_time_of_a_tip_that_was_left_is_counted_from_when_it_was() {
    // POOL-88: not from when a client came, or was told the tip again.
    let (mut miner, opened, _) = working();
    learn(&mut miner, 2, 9);
    miner.wait(Duration::from_secs(9));
    learn(&mut miner, 3, 9);
    success(&set(&mut miner, &wish(opened.channel_id, 2)));
    miner.wait(Duration::from_secs(1));
    let answer = set(&mut miner, &wish(opened.channel_id, 3));
    assert_eq!(refused(&answer).2, "stale-chain-tip");

    let mut later = self::miner();
    learn(&mut miner, 4, 10);
    let work = harden(miner.tracker.work().unwrap(), None, later.block_target);
    let policy = Arc::clone(&later.server.policy);
    let flags = REQUIRES_WORK_SELECTION;
    later.server = MiningServer::new(policy, flags, space([7, 0, 0, 1]), work);
    let opened = open(&mut later, 4.0);
    let left = Wish {
        prev_hash: [9; 32],
        ..wish(opened.channel_id, 1)
    };
    assert_eq!(refused(&set(&mut later, &left)).2, "stale-chain-tip");
}

#[test]
fn the_target_of_a_tip_that_was_left_is_known() {
    // POOL-82
    let (mut miner, opened, _) = working();
    learn(&mut miner, 2, 9);
    let easier = Wish {
        nbits: 0x2100_ffff,
        ..wish(opened.channel_id, 2)
    };
    assert_eq!(refused(&set(&mut miner, &easier)).2, "invalid-nbits");
}

#[test]
fn a_client_that_comes_back_to_a_tip_is_not_paid_twice() {
    // POOL-52: two jobs that make the same blocks, with another tip in between.
    let (mut miner, opened, first) = working();
    let good = opened.mine(&opened.job, |hash| hash <= opened.target);
    assert!(miner.send(opened.submit(good.clone())).is_empty());
    let elsewhere = Wish {
        prev_hash: UNKNOWN,
        ..wish(opened.channel_id, 2)
    };
    success(&set(&mut miner, &elsewhere));
    let again = Wish {
        id: [3; 16],
        ..first
    };
    let job_id = success(&set(&mut miner, &again)).job_id;
    let share = SubmitSharesExtended { job_id, ..good };
    let answer = miner.send(opened.submit(share));
    assert_eq!(rejected(&answer), "duplicate-share");
}

#[test]
fn a_block_of_a_custom_job_is_told_whole() {
    // The pool has no template for it: whoever asks the node needs the hash, the ledger the rest.
    let mut miner = miner();
    miner.block_target = Target::one_in(2.0).unwrap();
    learn(&mut miner, 2, 9);
    let opened = Opened {
        prev_hash: [9; 32],
        ..open(&mut miner, 4.0)
    };
    let wish = Wish {
        prev_hash: [9; 32],
        ..wish(opened.channel_id, 1)
    };
    let job = wish.job(success(&set(&mut miner, &wish)).job_id);
    let answer = miner.send(opened.good(&job));
    assert_eq!(acknowledged(&answer).1, 1);
    assert!(miner.blocks().is_empty());
    let told = miner.events.iter().find_map(|event| match event {
        ServerEvent::CustomBlock { block, .. } => Some(block),
        _ => None,
    });
    let block = told.unwrap();
    assert_eq!(sha256d(&block.header), block.hash);
    assert_eq!(block.height, Some(102));
    assert_eq!(block.token, wish.id);
    let coinbase: Transaction = bitcoin::consensus::deserialize(&block.coinbase).unwrap();
    assert!(!coinbase.input[0].witness.is_empty());
    let txid = coinbase.compute_txid().to_byte_array();
    assert_eq!(block.header[36..68], merkle_root(txid, &wish.path));
}

#[test]
fn targets_follow_the_shares_of_custom_jobs() {
    let policy = Policy {
        job_declaration: Some(secret()),
        vardiff: true,
        ..policy()
    };
    let mut miner = Miner::with_policy(policy, REQUIRES_WORK_SELECTION);
    let opened = open(&mut miner, 1e6);
    // Silence without a job says nothing.
    assert_eq!(miner.server.deadline(), None);
    success(&set(&mut miner, &wish(opened.channel_id, 1)));
    let due = miner.server.deadline().unwrap();
    let messages = miner.wait(due - miner.now.instant);
    let [MiningOwned::SetTarget(target)] = &messages[..] else {
        panic!("not a target alone: {messages:?}");
    };
    // It is for the next job (SV2 5.3.21).
    let easier = Target::from_le_bytes(target.maximum_target.to_array());
    assert!(easier > opened.target);
    let second = wish(opened.channel_id, 2);
    let job = second.job(success(&set(&mut miner, &second)).job_id);
    let share = opened.mine(&job, |hash| hash <= easier && hash > opened.target);
    assert!(miner.send(opened.submit(share)).is_empty());
}
