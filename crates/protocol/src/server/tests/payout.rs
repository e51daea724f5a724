use bitcoin::consensus::deserialize;
use bitcoin::{ScriptBuf, Transaction};

use super::*;

const ALICE: &str = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";
const BOB: &str = "bcrt1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqdku202";

fn open_as(identity: &str, extended: bool) -> MiningOwned {
    let user_identity = Str0255::try_from(identity).unwrap();
    let mut message = if extended {
        open_extended(1, 4.0, &[0xff; 32], 0)
    } else {
        open_standard(1, 4.0, &[0xff; 32])
    };
    match &mut message {
        MiningOwned::OpenStandardMiningChannel(open) => {
            open.user_identity = user_identity.into_owned();
        }
        MiningOwned::OpenExtendedMiningChannel(open) => {
            open.user_identity = user_identity.into_owned();
        }
        other => unreachable!("{other:?}"),
    }
    message
}

fn open(miner: &mut Miner, identity: &str, extended: bool) -> Opened {
    Opened::read(&miner.send(open_as(identity, extended)))
}

fn script(address: &str) -> ScriptBuf {
    let address: bitcoin::Address<_> = address.parse().unwrap();
    address.assume_checked().script_pubkey()
}

/// Whom an extended job pays how much.
fn paid(job: &Job) -> Vec<(u64, ScriptBuf)> {
    let Root::Coinbase { prefix, suffix, .. } = &job.root else {
        panic!("not an extended job: {job:?}");
    };
    outputs(&[&prefix[..], &[0; EXTRANONCE_LEN], suffix].concat())
}

fn outputs(coinbase: &[u8]) -> Vec<(u64, ScriptBuf)> {
    let transaction: Transaction = deserialize(coinbase).unwrap();
    let outputs = transaction.output.into_iter();
    outputs
        .filter(|output| !output.script_pubkey.is_op_return())
        .map(|output| (output.value.to_sat(), output.script_pubkey))
        .collect()
}

fn addresses(messages: &[MiningOwned]) -> Vec<u32> {
    messages
        .iter()
        .map(|message| match message {
            MiningOwned::NewExtendedMiningJob(job) => job.channel_id,
            MiningOwned::NewMiningJob(job) => job.channel_id,
            MiningOwned::SetNewPrevHash(tip) => tip.channel_id,
            other => panic!("unexpected {other:?}"),
        })
        .collect()
}

#[test]
fn each_channel_s_blocks_pay_whom_its_name_says() {
    let total = 5_000_000_000;
    let cases = [
        ("carol".to_owned(), vec![(total, plan().reward_script)]),
        (format!("{ALICE}.rig"), vec![(total, script(ALICE))]),
        (format!("sri/solo/{BOB}/rig"), vec![(total, script(BOB))]),
        (
            format!("sri/donate/10/{ALICE}/rig"),
            vec![
                (total / 10, plan().reward_script),
                (total / 10 * 9, script(ALICE)),
            ],
        ),
    ];
    let mut miner = Miner::new(0);
    let opened: Vec<Opened> = cases
        .iter()
        .map(|(identity, _)| open(&mut miner, identity, true))
        .collect();
    for (opened, (identity, expected)) in opened.iter().zip(&cases) {
        assert_eq!(&paid(&opened.job), expected, "{identity}");
    }
    // And so do later jobs, each addressed to the group of those who are paid alike.
    let messages = miner.template(2);
    // POOL-36: they differ in whom they pay only.
    for message in &messages {
        let Root::Coinbase { path, .. } = Job::read(message).root else {
            panic!("not an extended job: {message:?}");
        };
        assert_eq!(path, miner.server.work.template.merkle_path);
    }
    assert_eq!(messages.len(), cases.len());
    for (opened, (identity, expected)) in opened.iter().zip(&cases) {
        let at = addresses(&messages)
            .iter()
            .position(|id| *id == opened.group_id);
        let job = Job::read(&messages[at.unwrap()]);
        assert_eq!(&paid(&job), expected, "{identity}");
        assert!(miner.send(opened.good(&job)).len() <= 1);
    }
    let accepted = |event: &&ServerEvent| matches!(event, ServerEvent::Accepted { .. });
    assert_eq!(miner.events.iter().filter(accepted).count(), cases.len());
}

#[test]
fn the_block_that_is_found_pays_whom_the_name_says() {
    // POOL-59
    for extended in [false, true] {
        let mut miner = Miner::new(0);
        miner.block_target = Target::MAX;
        let opened = open(&mut miner, ALICE, extended);
        miner.future_template(2);
        let messages = miner.prev_hash(2, 9);
        assert_eq!(addresses(&messages), [opened.group_id]);
        let job = Job::read(&miner.template(3)[0]);
        let opened = Opened {
            prev_hash: [9; 32],
            ..opened
        };
        miner.send(opened.good(&job));
        let blocks = miner.blocks();
        assert_eq!(
            outputs(&blocks[0].coinbase),
            [(5_000_000_000, script(ALICE))]
        );
    }
}

#[test]
fn channels_that_are_paid_alike_share_a_group_and_its_jobs() {
    // POOL-15, 16, 20, 28, T-12
    let mut miner = Miner::new(0);
    let a = open(&mut miner, &format!("{ALICE}.1"), true);
    let b = open(&mut miner, &format!("sri/solo/{ALICE}/2"), false);
    let c = open(&mut miner, "carol", true);
    let d = open(&mut miner, "sri/donate/dave", false);
    assert_eq!(a.group_id, b.group_id);
    assert_eq!(c.group_id, d.group_id);
    assert_ne!(a.group_id, c.group_id);
    let channels = [&a, &b, &c, &d].map(|opened| opened.channel_id);
    assert!(!channels.contains(&a.group_id) && !channels.contains(&c.group_id));
    assert_eq!(b.prefix.len(), a.prefix.len() + a.size);

    assert_eq!(addresses(&miner.template(2)), [c.group_id, a.group_id]);
    let both = [c.group_id, a.group_id];
    assert_eq!(addresses(&miner.future_template(3)), both);
    // Only the group with a late joiner gets its future job anew (T-10).
    open(&mut miner, ALICE, false);
    let expected = [a.group_id, c.group_id, a.group_id];
    assert_eq!(addresses(&miner.prev_hash(3, 9)), expected);
}

#[test]
fn who_requires_standard_jobs_is_paid_alike() {
    // POOL-27, 32
    let mut miner = Miner::new(setup::REQUIRES_STANDARD_JOBS);
    let (a, c) = (
        open(&mut miner, ALICE, false),
        open(&mut miner, "carol", false),
    );
    let expected = [a.channel_id, c.channel_id];
    let messages = miner.template(2);
    assert_eq!(addresses(&messages), expected);
    for (opened, message) in [&a, &c].into_iter().zip(&messages) {
        assert!(miner.send(opened.good(&Job::read(message))).is_empty());
    }
    miner.block_target = Target::MAX;
    miner.future_template(3);
    let tips = miner.prev_hash(3, 9);
    assert_eq!(addresses(&tips), expected);
    let jobs = miner.template(4);
    let a = Opened {
        prev_hash: [9; 32],
        ..a
    };
    miner.send(a.good(&Job::read(&jobs[0])));
    let coinbase = &miner.blocks()[0].coinbase;
    assert_eq!(outputs(coinbase), [(5_000_000_000, script(ALICE))]);
}

#[test]
fn a_payout_that_cannot_be_given_is_refused() {
    let mut miner = Miner::new(0);
    let mainnet = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4";
    let identities = [
        "sri/solo/carol/rig".to_owned(),
        format!("sri/donate/100/{ALICE}/rig"),
        mainnet.to_owned(),
    ];
    for identity in identities {
        for extended in [false, true] {
            let answer = miner.send(open_as(&identity, extended));
            let [MiningOwned::OpenMiningChannelError(error)] = &answer[..] else {
                panic!("{identity}: {answer:?}");
            };
            assert_eq!(error.error_code.as_utf8_or_hex(), "invalid-user-identity");
        }
    }
    assert_eq!(miner.server.channels(), 0);
}

#[test]
fn a_server_that_pays_nobody_else_takes_any_name() {
    let policy = Policy {
        network: None,
        ..policy()
    };
    let mut miner = Miner::with_policy(policy, 0);
    for identity in [ALICE, "sri/solo/nonsense", "sri/donate/100"] {
        let opened = open(&mut miner, identity, true);
        assert_eq!(opened.group_id, GROUP_ID, "{identity}");
        let total = 5_000_000_000;
        assert_eq!(paid(&opened.job), [(total, plan().reward_script)]);
    }
}

#[test]
fn a_group_ends_with_its_last_member_and_its_id_is_not_used_again() {
    // POOL-69, 71
    let mut miner = Miner::new(0);
    let a = open(&mut miner, &format!("{ALICE}.1"), true);
    let b = open(&mut miner, &format!("{ALICE}.2"), false);
    let c = open(&mut miner, "carol", true);
    miner.send(close_channel(a.group_id));
    assert_eq!(rejected(&miner.send(a.good(&a.job))), "invalid-channel-id");
    assert_eq!(rejected(&miner.send(b.good(&b.job))), "invalid-channel-id");
    assert!(miner.send(c.good(&c.job)).is_empty());
    assert_eq!(miner.server.groups.len(), 1);
    let again = open(&mut miner, ALICE, true);
    let earlier = [a.group_id, a.channel_id, b.channel_id, c.channel_id];
    assert!(!earlier.contains(&again.group_id) && !earlier.contains(&again.channel_id));
}

#[test]
fn a_payout_s_coinbase_is_built_once_per_template_and_kept_no_longer() {
    let mut miner = Miner::new(0);
    for worker in 0..10 {
        open(&mut miner, &format!("{ALICE}.{worker}"), worker % 2 == 0);
    }
    for id in 2..8 {
        miner.future_template(2 * id);
        miner.prev_hash(2 * id, id as u8);
        miner.template(2 * id + 1);
    }
    let template = Arc::clone(&miner.server.work.template);
    let group = miner.server.groups.values_mut().last().unwrap();
    let first = group.coinbase(&template);
    assert!(Arc::ptr_eq(&first, &group.coinbase(&template)));
    // Held by its cache, by this test, and by the last job of each channel.
    assert_eq!(Arc::strong_count(&template), 1 + 1 + 1 + 1 + 10);
}
