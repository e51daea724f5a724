use super::super::acknowledgement::Batch;
use super::*;

/// A miner whose shares are acknowledged, three at a time, when they are recorded.
fn durable() -> Miner {
    let policy = Policy {
        acknowledge: Acknowledge::Recorded,
        ..policy()
    };
    Miner::with_policy(policy, 0)
}

fn recorded(miner: &mut Miner, number: u64) -> Vec<MiningOwned> {
    let mut out = Outbox::default();
    let input = ServerInput::Recorded(number);
    miner.server.input(miner.now, input, &mut out);
    miner.collect(out)
}

/// Sends the channel's `nth` good share, with that sequence number. Returns what comes back.
fn share(miner: &mut Miner, opened: &Opened, nth: u32) -> Vec<MiningOwned> {
    let (job, ntime) = (&opened.job, MIN_NTIME + nth);
    let mut share = opened.mine_with(job, ntime, job.version, |hash| hash <= opened.target);
    share.sequence_number = nth;
    miner.send(opened.submit(share))
}

fn numbers(miner: &Miner) -> Vec<u64> {
    let events = miner.events.iter();
    events
        .filter_map(|event| match event {
            ServerEvent::Accepted { number, .. } => Some(*number),
            _ => None,
        })
        .collect()
}

/// The numbers that acknowledgements wait for, of all that was told.
fn awaited(miner: &Miner) -> Vec<u64> {
    let events = miner.events.iter();
    events
        .filter_map(|event| match event {
            ServerEvent::RecordAwaited(number) => Some(*number),
            _ => None,
        })
        .collect()
}

#[test]
fn difficulty_below_one_is_carried_to_the_next_acknowledgement() {
    // POOL-54, T-29
    let mut acknowledgements = Acknowledgements::new(Acknowledge::AtOnce);
    let mut batch = Batch::default();
    let mut sums = Vec::new();
    for i in 1..=10 {
        let due = Instant::now();
        acknowledgements.accept(&mut batch, i, 4_295_032_833.0 / 4.0, due);
        let mut out = Outbox::default();
        acknowledgements.complete(2, &mut batch, &mut out);
        sums.push(acknowledged(&Miner::new(0).collect(out)).2);
    }
    assert_eq!(sums, [0, 0, 0, 1, 0, 0, 0, 1, 0, 0]);
}

#[test]
fn a_complete_batch_waits_until_its_last_share_is_recorded() {
    // POOL-53: one acknowledgement covers what it covered before, whenever it is sent.
    let mut miner = durable();
    let opened = miner.open_extended(2.0);
    for i in 0..7 {
        assert!(share(&mut miner, &opened, i).is_empty());
    }
    assert_eq!(numbers(&miner), [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(awaited(&miner), [3, 6]);
    assert!(recorded(&mut miner, 2).is_empty());
    assert_eq!(acknowledged(&recorded(&mut miner, 5)), (2, 3, 0));
    assert_eq!(acknowledged(&recorded(&mut miner, 7)), (5, 3, 0));
    assert!(recorded(&mut miner, 7).is_empty());
    let last = miner.wait(Duration::from_secs(1));
    assert_eq!(acknowledged(&last), (6, 1, 0));
    assert_eq!(awaited(&miner), [3, 6], "the last one was recorded before");
}

#[test]
fn a_batch_whose_shares_were_recorded_first_is_acknowledged_when_it_is_complete() {
    // POOL-56
    let mut miner = durable();
    let opened = miner.open_standard(2.0);
    share(&mut miner, &opened, 0);
    assert!(recorded(&mut miner, 1).is_empty());
    share(&mut miner, &opened, 1);
    assert!(recorded(&mut miner, 2).is_empty());
    let second = miner.wait(Duration::from_secs(1));
    assert_eq!(acknowledged(&second), (1, 2, 0));
}

#[test]
fn a_small_batch_waits_for_the_delay_and_then_for_its_own_shares_only() {
    // POOL-56: the other channel's share, though older than the delay's end, is not its business.
    let mut miner = durable();
    let (a, b) = (miner.open_standard(2.0), miner.open_extended(2.0));
    for i in 0..3 {
        share(&mut miner, &b, i);
    }
    share(&mut miner, &a, 9);
    share(&mut miner, &b, 3);
    assert!(miner.wait(Duration::from_secs(1)).is_empty());
    assert_eq!(awaited(&miner), [3, 4, 5]);
    let answers = recorded(&mut miner, 4);
    let [of_b, of_a] = &answers[..] else {
        panic!("not two acknowledgements: {answers:?}");
    };
    assert_eq!(acknowledged(std::slice::from_ref(of_b)), (2, 3, 0));
    assert_eq!(acknowledged(std::slice::from_ref(of_a)), (9, 1, 0));
    assert_eq!(acknowledged(&recorded(&mut miner, 5)), (3, 1, 0));
}

#[test]
fn what_is_said_of_shares_to_come_is_not_believed() {
    let mut miner = durable();
    let opened = miner.open_extended(2.0);
    recorded(&mut miner, u64::MAX);
    for i in 0..3 {
        assert!(share(&mut miner, &opened, i).is_empty());
    }
    assert_eq!(acknowledged(&recorded(&mut miner, 3)), (2, 3, 0));
}

#[test]
fn a_block_is_told_at_once_and_acknowledged_when_its_share_is_recorded() {
    // POOL-59
    let mut miner = durable();
    miner.block_target = Target::one_in(2.0).unwrap();
    let opened = miner.open_extended(4.0);
    miner.future_template(2);
    miner.prev_hash(2, 9);
    let job = Job::read(&miner.received[miner.received.len() - 2].clone());
    let opened = Opened {
        prev_hash: [9; 32],
        job,
        ..opened
    };
    assert!(miner.send(opened.good(&opened.job)).is_empty());
    assert_eq!(miner.blocks().len(), 1);
    assert_eq!(acknowledged(&recorded(&mut miner, 1)).1, 1);
}

#[test]
fn a_rejection_waits_for_nothing() {
    // POOL-39
    let mut miner = durable();
    let opened = miner.open_extended(4.0);
    share(&mut miner, &opened, 0);
    let bad = opened.mine(&opened.job, |hash| hash > opened.target);
    let answer = miner.send(opened.submit(bad));
    assert_eq!(rejected(&answer), "difficulty-too-low");
    assert_eq!(numbers(&miner), [1]);
}

#[test]
fn a_closed_channel_is_acknowledged_nothing() {
    // POOL-68
    let mut miner = durable();
    let (a, b) = (miner.open_extended(2.0), miner.open_extended(2.0));
    for i in 0..3 {
        share(&mut miner, &a, i);
    }
    for i in 0..3 {
        share(&mut miner, &b, i);
    }
    miner.send(close_channel(a.channel_id));
    let answer = recorded(&mut miner, 6);
    let [MiningOwned::SubmitSharesSuccess(success)] = &answer[..] else {
        panic!("not one acknowledgement: {answer:?}");
    };
    assert_eq!(success.channel_id, b.channel_id);
}

#[test]
fn a_complete_batch_leaves_no_timer_behind() {
    let mut miner = Miner::new(0);
    let opened = miner.open_extended(2.0);
    let idle = miner.server.deadline();
    for i in 0..3 {
        share(&mut miner, &opened, i);
    }
    assert_eq!(miner.server.deadline(), idle);
}

#[test]
fn each_channel_s_batch_has_a_delay_of_its_own() {
    // POOL-56
    let half = Duration::from_millis(500);
    let mut miner = Miner::new(0);
    let (a, b) = (miner.open_standard(2.0), miner.open_extended(2.0));
    share(&mut miner, &a, 1);
    assert!(miner.wait(half).is_empty());
    share(&mut miner, &b, 2);
    assert_eq!(acknowledged(&miner.wait(half)), (1, 1, 0));
    assert_eq!(miner.server.deadline(), Some(miner.now.instant + half));
    assert_eq!(acknowledged(&miner.wait(half)), (2, 1, 0));
}

#[test]
fn a_closed_channel_s_batch_needs_no_timer() {
    let mut miner = Miner::new(0);
    let (a, _b) = (miner.open_standard(2.0), miner.open_standard(2.0));
    share(&mut miner, &a, 1);
    assert!(miner.server.deadline().is_some());
    miner.send(close_channel(a.channel_id));
    assert_eq!(miner.server.deadline(), None);
}
