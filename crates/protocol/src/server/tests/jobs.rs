use bitcoin::consensus::deserialize;

use super::super::draft::{Basis, Draft};
use super::*;

/// Channel, job and kind of each message: `J` standard, `E` extended job, lower case if for a
/// future tip, `P` prev hash.
fn sketch(messages: &[MiningOwned]) -> Vec<(char, u32, u32)> {
    messages
        .iter()
        .map(|message| match message {
            MiningOwned::NewMiningJob(job) => {
                let future = job.min_ntime.as_ref().is_none();
                (if future { 'j' } else { 'J' }, job.channel_id, job.job_id)
            }
            MiningOwned::NewExtendedMiningJob(job) => {
                let future = job.min_ntime.as_ref().is_none();
                (if future { 'e' } else { 'E' }, job.channel_id, job.job_id)
            }
            MiningOwned::SetNewPrevHash(tip) => ('P', tip.channel_id, tip.job_id),
            other => panic!("unexpected {other:?}"),
        })
        .collect()
}

#[test]
fn a_channel_begins_with_a_future_job_and_the_tip_that_activates_it() {
    // POOL-21, 22, 23, 26
    let mut miner = Miner::new(0);
    let answer = miner.send(open_standard(1, 1.0, &[0xff; 32]));
    assert_eq!(sketch(&answer[1..]), [('j', 2, 1), ('P', 2, 1)]);
    let answer = miner.send(open_extended(1, 1.0, &[0xff; 32], 0));
    assert_eq!(sketch(&answer[1..]), [('e', 3, 2), ('P', 3, 2)]);
}

#[test]
fn a_group_gets_one_job_and_one_prev_hash() {
    // POOL-28, 35: for ten channels as for one.
    let mut miner = Miner::new(0);
    for _ in 0..5 {
        miner.open_standard(1.0);
        miner.open_extended(1.0);
    }
    assert_eq!(sketch(&miner.template(2)), [('E', 1, 11)]);
    miner.future_template(3);
    assert_eq!(sketch(&miner.prev_hash(3, 9)), [('P', 1, 12)]);
    // A template and its tip that arrive together.
    miner.tracker.new_template(&new_template(4, true)).unwrap();
    let messages = miner.prev_hash(4, 10);
    assert_eq!(sketch(&messages), [('e', 1, 13), ('P', 1, 13)]);
}

#[test]
fn who_requires_standard_jobs_gets_nothing_else() {
    // POOL-27
    let mut miner = Miner::new(setup::REQUIRES_STANDARD_JOBS);
    for _ in 0..3 {
        miner.open_standard(1.0);
    }
    let jobs = [('J', 2, 4), ('J', 3, 5), ('J', 4, 6)];
    assert_eq!(sketch(&miner.template(2)), jobs);
    miner.tracker.new_template(&new_template(3, true)).unwrap();
    let expected = [
        ('j', 2, 7),
        ('j', 3, 8),
        ('j', 4, 9),
        ('P', 2, 7),
        ('P', 3, 8),
        ('P', 4, 9),
    ];
    assert_eq!(sketch(&miner.prev_hash(3, 9)), expected);
}

#[test]
fn who_selects_work_gets_no_jobs() {
    // POOL-22's exception, T-39
    let mut miner = Miner::new(setup::REQUIRES_WORK_SELECTION);
    let answer = miner.send(open_extended(1, 1.0, &[0xff; 32], 0));
    assert_eq!(answer.len(), 1);
    miner.future_template(2);
    assert!(miner.prev_hash(2, 9).is_empty());
    assert!(miner.template(3).is_empty());
}

#[test]
fn all_future_templates_are_announced_and_the_named_one_is_activated() {
    // TPC-05, 06, POOL-24
    let mut miner = Miner::new(0);
    let opened = miner.open_extended(4.0);
    let first = miner.future_template(10);
    let second = miner.future_template(11);
    assert_eq!(sketch(&first), [('e', 1, 2)]);
    assert_eq!(sketch(&second), [('e', 1, 3)]);
    assert_eq!(sketch(&miner.prev_hash(10, 9)), [('P', 1, 2)]);

    let mut opened = opened;
    opened.prev_hash = [9; 32];
    let (old, dropped, active) = (
        opened.job.clone(),
        Job::read(&second[0]),
        Job::read(&first[0]),
    );
    assert_eq!(rejected(&miner.send(opened.good(&old))), "stale-share");
    assert_eq!(rejected(&miner.send(opened.good(&dropped))), "stale-share");
    assert!(miner.send(opened.good(&active)).is_empty());
}

#[test]
fn a_late_joiner_is_never_activated_on_a_job_it_has_not_seen() {
    // T-10, POOL-24
    let mut miner = Miner::new(0);
    miner.open_extended(1.0);
    assert_eq!(sketch(&miner.future_template(10)), [('e', 1, 2)]);
    let mut late = miner.open_standard(4.0);
    let messages = miner.prev_hash(10, 9);
    assert_eq!(sketch(&messages), [('e', 1, 4), ('P', 1, 4)]);
    // The standard member mines the group's job with its own prefix (T-11, POOL-37).
    late.prev_hash = [9; 32];
    let job = Job::read(&messages[0]);
    assert!(miner.send(late.good(&job)).is_empty());
    assert!(matches!(
        miner.events.last(),
        Some(ServerEvent::Accepted { .. })
    ));
}

#[test]
fn job_ids_are_never_used_twice() {
    // POOL-25, 87
    for flags in [0, setup::REQUIRES_STANDARD_JOBS] {
        let mut miner = Miner::new(flags);
        for id in 2..20 {
            miner.open_standard(1.0);
            miner.template(2 * id);
            miner.future_template(2 * id + 1);
            miner.prev_hash(2 * id + 1, id as u8);
        }
        let mut ids: Vec<u32> = miner
            .received
            .iter()
            .filter_map(|message| match message {
                MiningOwned::NewMiningJob(job) => Some(job.job_id),
                MiningOwned::NewExtendedMiningJob(job) => Some(job.job_id),
                _ => None,
            })
            .collect();
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count);
    }
}

#[test]
fn the_coinbase_is_stripped_and_announces_its_true_length() {
    // POOL-29, 30, 31, 32
    let mut miner = Miner::new(0);
    let (standard, extended) = (miner.open_standard(1.0), miner.open_extended(1.0));
    let Root::Coinbase { prefix, suffix, .. } = &extended.job.root else {
        panic!("an extended channel got a standard job");
    };
    assert_ne!(prefix[4..6], [0, 1]);
    let script_len = usize::from(prefix[41]);
    assert_eq!(script_len, prefix.len() - 42 + EXTRANONCE_LEN);
    let whole = [&prefix[..], &[1; EXTRANONCE_LEN], suffix].concat();
    let coinbase: bitcoin::Transaction = deserialize(&whole).unwrap();
    assert!((2..=100).contains(&coinbase.input[0].script_sig.len()));
    // The standard channel's root is the same coinbase with its own extranonce.
    assert_eq!(
        standard.job.root.with(&[]),
        extended.job.root.with(&standard.prefix)
    );
}

#[test]
fn our_own_encoding_of_a_job_is_the_codec_s() {
    let mut miner = Miner::new(0);
    miner.open_extended(1.0);
    let mut template = (*miner.server.work.template).clone();
    template.merkle_path = vec![[1; 32], [2; 32], [3; 32]];
    for min_ntime in [None, Some(77)] {
        let mut out = Outbox::<ServerEvent>::default();
        let draft = Draft {
            coinbase: Arc::clone(&template.coinbase),
            basis: Basis::Template(Arc::new(template.clone())),
        };
        super::super::fanout::send_extended_job(8, 9, min_ntime, &draft, &mut out);
        let bytes = out.frames().clone();
        let message = miner.collect(out).pop().unwrap();
        let MiningOwned::NewExtendedMiningJob(job) = &message else {
            panic!("{message:?}");
        };
        assert_eq!((job.channel_id, job.job_id), (8, 9));
        assert_eq!(job.merkle_path.len(), 3);
        let mut again = Vec::new();
        message::encode(message, &mut again);
        assert_eq!(again, bytes);
    }
}

#[test]
fn version_rolling_is_always_allowed() {
    // POOL-03, 04, 06: whatever the client requires, the server does not fix the version.
    for flags in 0..8 {
        assert_eq!(success_flags(flags) & setup::REQUIRES_FIXED_VERSION, 0);
    }
    let mut miner = Miner::new(setup::REQUIRES_VERSION_ROLLING);
    miner.open_extended(1.0);
    miner.template(2);
    for message in &miner.received {
        if let MiningOwned::NewExtendedMiningJob(job) = message {
            assert!(job.version_rolling_allowed);
        }
    }
}

#[test]
fn nothing_more_is_said_to_a_closed_channel() {
    // POOL-68, 69, 70, 89
    let mut miner = Miner::new(setup::REQUIRES_STANDARD_JOBS);
    let (a, b) = (miner.open_standard(4.0), miner.open_standard(4.0));
    assert!(miner.send(a.good(&a.job)).is_empty());
    assert!(miner.send(close_channel(a.channel_id)).is_empty());
    assert!(miner.wait(Duration::from_secs(5)).is_empty());
    let messages = miner.template(2);
    assert_eq!(sketch(&messages), [('J', b.channel_id, 3)]);
    assert_eq!(rejected(&miner.send(a.good(&a.job))), "invalid-channel-id");
    assert!(miner.send(b.good(&b.job)).is_empty());

    assert!(miner.send(close_channel(4711)).is_empty());
    assert!(miner.send(close_channel(b.group_id)).is_empty());
    assert_eq!(rejected(&miner.send(b.good(&b.job))), "invalid-channel-id");
    assert_eq!(miner.closed, None);
}

#[test]
fn a_coalesced_update_still_announces_before_it_activates() {
    // Work may jump over several templates when a connection is slow.
    let mut miner = Miner::new(0);
    miner.open_extended(1.0);
    for (id, tip) in [(2, 5), (3, 6)] {
        miner.tracker.new_template(&new_template(id, true)).unwrap();
        let message = set_new_prev_hash(id, tip);
        miner.tracker.set_new_prev_hash(&message).unwrap();
    }
    miner.tracker.new_template(&new_template(4, false)).unwrap();
    assert_eq!(sketch(&miner.publish()), [('e', 1, 2), ('P', 1, 2)]);
}

#[test]
fn a_future_job_that_comes_with_a_tip_comes_after_it() {
    // T-09, POOL-24: a tip ends every future job before it.
    let mut miner = Miner::new(0);
    miner.open_extended(4.0);
    miner.future_template(2);
    let tip = set_new_prev_hash(2, 5);
    miner.tracker.set_new_prev_hash(&tip).unwrap();
    miner.tracker.new_template(&new_template(3, true)).unwrap();
    let messages = miner.publish();
    assert_eq!(sketch(&messages), [('P', 1, 2), ('e', 1, 3)]);
    assert_eq!(sketch(&miner.prev_hash(3, 6)), [('P', 1, 3)]);
}
