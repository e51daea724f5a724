use super::*;

/// A miner whose server follows its shares: 60 a minute wanted, so its settling asks for 120.
fn watched(flags: u32) -> Miner {
    let policy = Policy {
        vardiff: true,
        ..policy()
    };
    Miner::with_policy(policy, flags)
}

/// Target, job id and earliest time of a new target that takes effect at once.
#[track_caller]
fn retargeted(messages: &[MiningOwned], channel_id: u32) -> (Target, Job, u32) {
    let [MiningOwned::SetTarget(target), job] = messages else {
        panic!("not a target and its job: {messages:?}");
    };
    let (id, min_ntime) = match job {
        MiningOwned::NewMiningJob(job) => (job.channel_id, job.min_ntime.as_ref().copied()),
        MiningOwned::NewExtendedMiningJob(job) => (job.channel_id, job.min_ntime.as_ref().copied()),
        other => panic!("not a job: {other:?}"),
    };
    assert_eq!((target.channel_id, id), (channel_id, channel_id));
    let target = Target::from_le_bytes(target.maximum_target.to_array());
    (target, Job::read(job), min_ntime.unwrap())
}

fn open(miner: &mut Miner, extended: bool, hashes: f32) -> Opened {
    if extended {
        miner.open_extended(hashes)
    } else {
        miner.open_standard(hashes)
    }
}

/// Lets the channels be silent until the server does something about it, or gives up.
fn silence(miner: &mut Miner) -> Vec<MiningOwned> {
    while let Some(deadline) = miner.server.deadline() {
        let mut messages = miner.wait(deadline - miner.now.instant);
        messages.retain(|message| !matches!(message, MiningOwned::SubmitSharesSuccess(_)));
        if !messages.is_empty() {
            return messages;
        }
    }
    Vec::new()
}

/// Sends different shares on `job` until the server does something about it.
fn flood(miner: &mut Miner, opened: &Opened, job: &Job, from: u32) -> Vec<MiningOwned> {
    for ntime in from..from + 50 {
        let share = opened.mine_with(job, ntime, job.version, |hash| hash <= opened.target);
        let mut messages = miner.send(opened.submit(share));
        messages.retain(|message| !matches!(message, MiningOwned::SubmitSharesSuccess(_)));
        if !messages.is_empty() {
            return messages;
        }
    }
    panic!("nothing was done about a flood");
}

#[test]
fn a_silent_channel_gets_an_easier_target_and_a_job_on_which_it_counts() {
    // POOL-26, 66: the running job keeps its target, so there must be a new one.
    for extended in [false, true] {
        let mut miner = watched(0);
        let opened = open(&mut miner, extended, 4000.0);
        let (target, job, min_ntime) = retargeted(&silence(&mut miner), opened.channel_id);
        assert!(target > opened.target);
        let between = |hash| hash <= target && hash > opened.target;
        let old = opened.mine(&opened.job, between);
        assert_eq!(
            rejected(&miner.send(opened.submit(old))),
            "difficulty-too-low"
        );
        let new = opened.mine_with(&job, min_ntime, job.version, between);
        assert!(miner.send(opened.submit(new)).is_empty());
    }
}

#[test]
fn a_flood_gets_a_harder_target_and_a_job_on_which_it_counts() {
    for extended in [false, true] {
        let mut miner = watched(0);
        let opened = open(&mut miner, extended, 4.0);
        let messages = flood(&mut miner, &opened, &opened.job, MIN_NTIME);
        let (target, job, min_ntime) = retargeted(&messages, opened.channel_id);
        assert!(target < opened.target);
        let between = |hash| hash > target && hash <= opened.target;
        let share = opened.mine_with(&job, min_ntime, job.version, between);
        assert_eq!(
            rejected(&miner.send(opened.submit(share))),
            "difficulty-too-low"
        );
        // What was found for the job before is still paid.
        let share = opened.mine_with(&opened.job, MIN_NTIME + 60, opened.job.version, between);
        let accepted = |event: &ServerEvent| matches!(event, ServerEvent::Accepted { .. });
        let before = miner.events.iter().filter(|event| accepted(event)).count();
        miner.send(opened.submit(share));
        let after = miner.events.iter().filter(|event| accepted(event)).count();
        assert_eq!(after, before + 1);
    }
}

#[test]
fn a_repeated_job_begins_where_no_earlier_one_can_have_got() {
    let mut miner = watched(0);
    let opened = miner.open_extended(1e6);
    let mut latest = MIN_NTIME;
    let begin = miner.now.instant;
    for _ in 0..3 {
        let messages = silence(&mut miner);
        let (_, job, min_ntime) = retargeted(&messages, opened.channel_id);
        // SV2 5.3.11: a miner counts up once a second.
        let waited = miner.now.instant.duration_since(begin).as_secs() as u32;
        assert!(min_ntime > latest && min_ntime > MIN_NTIME + waited);
        assert!(min_ntime < MIN_NTIME + waited + 10);
        latest = min_ntime;
        // The same template: without another time it would be the same work.
        assert_eq!(job.root.with(&[]), opened.job.root.with(&[]));
    }
    // A new tip begins at its own time.
    miner.future_template(2);
    let messages = miner.prev_hash(2, 9);
    let [MiningOwned::SetNewPrevHash(tip)] = &messages[..] else {
        panic!("{messages:?}");
    };
    assert_eq!(tip.min_ntime, MIN_NTIME);
}

#[test]
fn no_target_is_easier_than_the_client_takes() {
    // POOL-65
    let mut miner = watched(0);
    let limit = Target::one_in(3000.0).unwrap();
    let answer = miner.send(open_standard(1, 4000.0, &limit.to_le_bytes()));
    let opened = Opened::read(&answer);
    let (target, ..) = retargeted(&silence(&mut miner), opened.channel_id);
    assert_eq!(target, limit);
    assert!(silence(&mut miner).is_empty());
    // It may take less from now on.
    let harder = Target::one_in(3500.0).unwrap();
    let update = update_channel(opened.channel_id, 4000.0, &harder.to_le_bytes());
    let (target, ..) = retargeted(&miner.send(update), opened.channel_id);
    assert_eq!(target, harder);
}

#[test]
fn a_repeated_declaration_does_not_undo_what_shares_have_shown() {
    let mut miner = watched(0);
    let opened = miner.open_standard(4000.0);
    let easy = [0xff; 32];
    let (target, ..) = retargeted(&silence(&mut miner), opened.channel_id);
    let same = update_channel(opened.channel_id, 4000.0, &easy);
    assert!(miner.send(same).is_empty());
    let other = update_channel(opened.channel_id, 2000.0, &easy);
    let (declared, ..) = retargeted(&miner.send(other), opened.channel_id);
    assert!(declared < target);
    assert!((declared.hashes() / 2000.0 - 1.0).abs() < 1e-3);
}

#[test]
fn only_those_are_watched_who_get_jobs_and_only_if_wanted() {
    let mut miner = watched(setup::REQUIRES_WORK_SELECTION);
    miner.send(open_extended(1, 1e9, &[0xff; 32], 8));
    assert_eq!(miner.server.deadline(), None);
    let mut miner = Miner::new(0);
    let opened = miner.open_standard(4.0);
    assert_eq!(miner.server.deadline(), None);
    for ntime in MIN_NTIME..MIN_NTIME + 30 {
        let version = opened.job.version;
        let share = opened.mine_with(&opened.job, ntime, version, |hash| hash <= opened.target);
        miner.send(opened.submit(share));
    }
    let is_target = |message: &MiningOwned| matches!(message, MiningOwned::SetTarget(_));
    assert!(!miner.received.iter().any(is_target));
}

#[test]
fn each_channel_is_watched_by_itself() {
    // POOL-89
    let mut miner = watched(0);
    // The first is at the lowest rate already, so that its silence changes nothing.
    let (a, b) = (miner.open_standard(4.0), miner.open_extended(1e9));
    let messages = flood(&mut miner, &a, &a.job, MIN_NTIME);
    retargeted(&messages, a.channel_id);
    miner.send(close_channel(a.channel_id));
    let messages = silence(&mut miner);
    retargeted(&messages, b.channel_id);
    miner.send(close_channel(b.channel_id));
    miner.wait(Duration::from_secs(3600));
    let closed = |event: &ServerEvent| matches!(event, ServerEvent::Retargeted { channel_id, .. } if *channel_id == b.channel_id);
    assert_eq!(miner.events.iter().filter(|event| closed(event)).count(), 1);
}
