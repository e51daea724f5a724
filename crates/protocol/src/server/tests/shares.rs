use super::*;

fn set_target(messages: &[MiningOwned]) -> Option<Target> {
    match messages {
        [] => None,
        [MiningOwned::SetTarget(message)] => {
            Some(Target::from_le_bytes(message.maximum_target.to_array()))
        }
        other => panic!("unexpected {other:?}"),
    }
}

fn both(hashes: f32, check: impl Fn(&mut Miner, Opened)) {
    let mut miner = Miner::new(0);
    let opened = miner.open_standard(hashes);
    check(&mut miner, opened);
    let mut miner = Miner::new(0);
    let opened = miner.open_extended(hashes);
    check(&mut miner, opened);
}

#[test]
fn a_share_that_meets_its_target_is_accepted_and_acknowledged_within_the_delay() {
    // POOL-37, 55, 56, 90
    both(4.0, |miner, opened| {
        assert!(miner.send(opened.good(&opened.job)).is_empty());
        assert!(miner.wait(Duration::from_millis(900)).is_empty());
        let sequence = opened.mine(&opened.job, |hash| hash <= opened.target).nonce;
        let (last, count, _) = acknowledged(&miner.wait(Duration::from_millis(100)));
        assert_eq!((last, count), (sequence, 1));
        assert!(miner.wait(Duration::from_secs(9)).is_empty());
    });
}

#[test]
fn a_hash_above_the_target_is_too_easy() {
    // POOL-38
    both(4.0, |miner, opened| {
        let share = opened.mine(&opened.job, |hash| hash > opened.target);
        let answer = miner.send(opened.submit(share));
        assert_eq!(rejected(&answer), "difficulty-too-low");
    });
}

#[test]
fn every_wrong_share_is_answered_at_once_with_its_own_number() {
    // POOL-39, 40, 41, 44, 45, 46, 48, 50
    let mut miner = Miner::new(0);
    let (standard, extended) = (miner.open_standard(1.0), miner.open_extended(1.0));
    let good = extended.mine(&extended.job, |_| true);
    let with = |change: &dyn Fn(&mut SubmitSharesExtended<'static>)| {
        let mut share = good.clone();
        change(&mut share);
        MiningOwned::SubmitSharesExtended(share.into_owned())
    };
    let long: &'static [u8] = &[3; 17];
    let cases: Vec<(MiningOwned, &str)> = vec![
        (
            with(&|share| share.channel_id = 0xdead_beef),
            "invalid-channel-id",
        ),
        (
            with(&|share| share.channel_id = extended.group_id),
            "invalid-channel-id",
        ),
        (
            with(&|share| share.channel_id = standard.channel_id),
            "invalid-channel-id",
        ),
        (with(&|share| share.job_id = u32::MAX), "invalid-job-id"),
        (
            with(&|share| share.extranonce = long[..15].try_into().unwrap()),
            "bad-extranonce-size",
        ),
        (
            with(&|share| share.extranonce = long.try_into().unwrap()),
            "bad-extranonce-size",
        ),
        (
            with(&|share| share.extranonce = [][..].try_into().unwrap()),
            "bad-extranonce-size",
        ),
        (with(&|share| share.ntime = MIN_NTIME - 1), "invalid-share"),
        (with(&|share| share.ntime = u32::MAX), "invalid-share"),
        (
            with(&|share| share.ntime = UNIX as u32 + 10_000),
            "invalid-share",
        ),
        (
            with(&|share| share.version ^= 0x1),
            "invalid-non-rollable-version-bit",
        ),
        (
            with(&|share| share.version ^= 0x10),
            "invalid-non-rollable-version-bit",
        ),
        (
            with(&|share| share.version ^= 0x2000_0000),
            "invalid-non-rollable-version-bit",
        ),
    ];
    for (i, (mut message, code)) in cases.into_iter().enumerate() {
        if let MiningOwned::SubmitSharesExtended(share) = &mut message {
            share.sequence_number = i as u32;
        }
        let answer = miner.send(message);
        assert_eq!(rejected(&answer), code, "case {i}");
        let [MiningOwned::SubmitSharesError(error)] = &answer[..] else {
            unreachable!("checked by `rejected`");
        };
        assert_eq!(error.sequence_number, i as u32);
    }
    // The other message on an extended channel.
    let wrong_kind = Opened {
        size: 0,
        ..extended.clone()
    };
    let answer = miner.send(wrong_kind.submit(good));
    assert_eq!(rejected(&answer), "invalid-channel-id");
    assert_eq!(miner.closed, None);
}

#[test]
fn time_and_version_roll_within_their_bounds() {
    // POOL-47, 49, 90
    both(4.0, |miner, opened| {
        let job = &opened.job;
        for ntime in [MIN_NTIME + 1, MIN_NTIME + 100, MIN_NTIME + 600] {
            let share = opened.mine_with(job, ntime, job.version, |hash| hash <= opened.target);
            miner.send(opened.submit(share));
        }
        for bits in [0x0000_0020, 0x1000_0000, VERSION_ROLLING_MASK] {
            let version = job.version ^ bits;
            let share = opened.mine_with(job, MIN_NTIME, version, |hash| hash <= opened.target);
            miner.send(opened.submit(share));
        }
        let accepted = |event: &&ServerEvent| matches!(event, ServerEvent::Accepted { .. });
        assert_eq!(miner.events.iter().filter(accepted).count(), 6);
    });
}

#[test]
fn a_job_of_the_old_tip_is_stale_and_a_superseded_one_is_not() {
    // POOL-41, 42, 43
    both(4.0, |miner, mut opened| {
        miner.template(2);
        assert!(miner.send(opened.good(&opened.job)).is_empty());
        let future = Job::read(&miner.future_template(3)[0]);
        opened.prev_hash = [9; 32];
        assert_eq!(
            rejected(&miner.send(opened.good(&future))),
            "invalid-job-id"
        );
        miner.prev_hash(3, 9);
        let old = opened.job.clone();
        assert_eq!(rejected(&miner.send(opened.good(&old))), "stale-share");
        assert!(miner.send(opened.good(&future)).is_empty());
    });
}

#[test]
fn only_so_many_jobs_of_a_tip_stay_valid() {
    both(4.0, |miner, opened| {
        for id in 2..2 + policy().max_jobs as u64 {
            miner.template(id);
        }
        assert_eq!(
            rejected(&miner.send(opened.good(&opened.job))),
            "stale-share"
        );
    });
}

#[test]
fn a_share_counts_once() {
    // POOL-52
    both(4.0, |miner, opened| {
        let share = opened.good(&opened.job);
        assert!(miner.send(share.clone()).is_empty());
        assert_eq!(rejected(&miner.send(share)), "duplicate-share");
    });
}

#[test]
fn acknowledgements_count_each_good_share_once() {
    // POOL-53, 54, 57: batches of three; bad shares in between do not count.
    let mut miner = Miner::new(0);
    let opened = miner.open_extended(2.0);
    let mut shares = Vec::new();
    let mut ntime = MIN_NTIME;
    while shares.len() < 7 {
        let job = &opened.job;
        shares.push(opened.mine_with(job, ntime, job.version, |hash| hash <= opened.target));
        ntime += 1;
    }
    let mut answers = Vec::new();
    for (i, mut share) in shares.into_iter().enumerate() {
        share.sequence_number = [5, 5, 3, 10, 11, 12, 13][i];
        answers.extend(miner.send(opened.submit(share)));
        let bad = opened.mine(&opened.job, |hash| hash > opened.target);
        assert_eq!(
            rejected(&miner.send(opened.submit(bad))),
            "difficulty-too-low"
        );
    }
    answers.extend(miner.wait(Duration::from_secs(1)));
    let counts: Vec<_> = answers
        .iter()
        .map(|answer| acknowledged(std::slice::from_ref(answer)))
        .collect();
    assert_eq!(counts, [(3, 3, 0), (12, 3, 0), (13, 1, 0)]);
}

#[test]
fn a_block_goes_to_the_node_and_is_acknowledged_at_once() {
    // POOL-59, 60
    both(4.0, |miner, opened| {
        miner.block_target = Target::one_in(2.0).unwrap();
        miner.future_template(2);
        let messages = miner.prev_hash(2, 9);
        let job = match &miner.received[miner.received.len() - 2] {
            MiningOwned::SetNewPrevHash(_) => panic!("no job before {messages:?}"),
            job => Job::read(job),
        };
        let opened = Opened {
            prev_hash: [9; 32],
            ..opened
        };
        let share = opened.mine(&job, |hash| hash <= opened.target);
        let answer = miner.send(opened.submit(share.clone()));
        assert_eq!(acknowledged(&answer).1, 1);
        let [solution] = &miner.blocks()[..] else {
            panic!("not one block");
        };
        assert_eq!((solution.template_id, solution.height), (2, Some(102)));
        assert_eq!(solution.nonce, share.nonce);
        let coinbase: bitcoin::Transaction =
            bitcoin::consensus::deserialize(&solution.coinbase).unwrap();
        assert!(!coinbase.input[0].witness.is_empty());
        let script_sig = coinbase.input[0].script_sig.as_bytes();
        let extranonce = [&opened.prefix[..], share.extranonce.as_bytes()].concat();
        assert!(script_sig.ends_with(&extranonce));
    });
}

#[test]
fn a_block_that_misses_the_share_target_is_submitted_but_not_credited() {
    // POOL-61, T-32: what most hashes on regtest are.
    both(1e6, |miner, opened| {
        miner.block_target = Target::one_in(2.0).unwrap();
        miner.future_template(2);
        miner.prev_hash(2, 9);
        let job = Job::read(&miner.received[miner.received.len() - 2].clone());
        let opened = Opened {
            prev_hash: [9; 32],
            ..opened
        };
        let block_target = miner.block_target;
        let block = |hash| hash <= block_target && hash > opened.target;
        let share = opened.submit(opened.mine(&job, block));
        assert_eq!(rejected(&miner.send(share.clone())), "difficulty-too-low");
        assert_eq!(miner.blocks().len(), 1);
        assert_eq!(rejected(&miner.send(share)), "duplicate-share");
        assert_eq!(miner.blocks().len(), 1);
    });
}

#[test]
fn blocks_are_judged_by_the_providers_target_not_by_nbits() {
    // TPC-11, T-33: the provider's target is stricter than the regtest nBits of the header.
    both(2.0, |miner, opened| {
        let easy = |hash| hash <= Target::one_in(2.0).unwrap();
        miner.send(opened.submit(opened.mine(&opened.job, easy)));
        assert_eq!(opened.nbits, 0x207f_ffff);
        assert!(miner.blocks().is_empty());
    });
}

#[test]
fn an_update_is_answered_by_a_target_only_when_it_changes() {
    // POOL-62, 63, 65
    both(4.0, |miner, opened| {
        let easy = [0xff; 32];
        let id = opened.channel_id;
        assert_eq!(
            set_target(&miner.send(update_channel(id, 4.0, &easy))),
            None
        );
        let quarter = Target::one_in(16.0).unwrap();
        let answer = miner.send(update_channel(id, 4.0, &quarter.to_le_bytes()));
        assert_eq!(set_target(&answer), Some(quarter));
        let answer = miner.send(update_channel(id, 64.0, &easy));
        assert_eq!(set_target(&answer), Target::one_in(64.0));
    });
}

#[test]
fn an_update_that_makes_no_sense_is_an_error_and_changes_nothing() {
    // POOL-64
    let easy = [0xff; 32];
    let mut miner = Miner::new(0);
    let opened = miner.open_extended(4.0);
    let cases = [
        (99, 1.0, easy, "invalid-channel-id"),
        (
            opened.channel_id,
            f32::NAN,
            easy,
            "invalid-nominal-hashrate",
        ),
        (opened.channel_id, 1.0, [0; 32], "max-target-out-of-range"),
    ];
    for (id, hashes, target, code) in cases {
        let answer = miner.send(update_channel(id, hashes, &target));
        let [MiningOwned::UpdateChannelError(error)] = &answer[..] else {
            panic!("{answer:?}");
        };
        assert_eq!(error.error_code.as_utf8_or_hex(), code);
    }
    assert!(miner.send(opened.good(&opened.job)).is_empty());
}

#[test]
fn a_new_target_leaves_the_active_job_alone_and_takes_future_ones() {
    // POOL-66, T-30
    both(4.0, |miner, opened| {
        let future = Job::read(&miner.future_template(2)[0]);
        let hard = Target::one_in(64.0).unwrap();
        let update = update_channel(opened.channel_id, 64.0, &[0xff; 32]);
        assert_eq!(set_target(&miner.send(update)), Some(hard));
        let between = |hash: Target| hash <= opened.target && hash > hard;
        let share = opened.submit(opened.mine(&opened.job, between));
        assert!(miner.send(share).is_empty());

        miner.prev_hash(2, 9);
        let opened = Opened {
            prev_hash: [9; 32],
            ..opened
        };
        let share = opened.submit(opened.mine(&future, between));
        assert_eq!(rejected(&miner.send(share)), "difficulty-too-low");
    });
}

#[test]
fn channels_do_not_touch_each_other() {
    // POOL-89
    let mut miner = Miner::new(0);
    let (a, b) = (miner.open_standard(4.0), miner.open_extended(4.0));
    miner.send(update_channel(a.channel_id, 1e9, &[0xff; 32]));
    assert!(miner.send(b.good(&b.job)).is_empty());
    miner.send(close_channel(a.channel_id));
    let share = b.mine_with(&b.job, MIN_NTIME + 1, b.job.version, |hash| {
        hash <= b.target
    });
    assert!(miner.send(b.submit(share)).is_empty());
}

#[test]
fn a_tip_that_is_announced_again_does_not_pay_twice() {
    // POOL-52: a template provider that reconnects begins with the tip there is.
    both(4.0, |miner, opened| {
        miner.send(opened.good(&opened.job));
        let tip = Arc::clone(&miner.server.work.prev_hash);
        miner.tracker.reconnected();
        miner.tracker.new_template(&new_template(1, true)).unwrap();
        let message = set_new_prev_hash(1, 1);
        miner.tracker.set_new_prev_hash(&message).unwrap();
        let mut work = miner.tracker.work().unwrap();
        work.prev_hash = Arc::new((*tip).clone());
        let mut out = Outbox::default();
        miner
            .server
            .input(miner.now, ServerInput::Work(work), &mut out);
        let messages = miner.collect(out);
        let again = Job::read(&messages[0]);
        let answer = miner.send(opened.good(&again));
        assert_eq!(rejected(&answer), "duplicate-share");
    });
}
