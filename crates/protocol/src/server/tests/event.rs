//! What the rest of the role is told, beside shares.

use super::*;

/// Channel or group, job and whether it was sent ahead, of every job in `messages`.
fn sent(messages: &[MiningOwned]) -> Vec<(u32, u32, bool)> {
    let jobs = messages.iter().filter_map(|message| match message {
        MiningOwned::NewMiningJob(job) => Some((job.channel_id, job.job_id, &job.min_ntime)),
        MiningOwned::NewExtendedMiningJob(job) => {
            Some((job.channel_id, job.job_id, &job.min_ntime))
        }
        _ => None,
    });
    jobs.map(|(channel, id, min_ntime)| (channel, id, min_ntime.as_ref().is_none()))
        .collect()
}

/// The same of what was told, and which template it was.
fn told(miner: &mut Miner) -> (Vec<(u32, u32, bool)>, Vec<u64>) {
    let jobs = miner.events.drain(..).filter_map(|event| match event {
        ServerEvent::JobCreated {
            channel_id,
            job_id,
            template_id,
            is_future,
        } => Some(((channel_id, job_id, is_future), template_id)),
        _ => None,
    });
    jobs.unzip()
}

#[test]
fn every_job_is_told_once_with_its_template() {
    for flags in [0, setup::REQUIRES_STANDARD_JOBS] {
        let mut miner = Miner::new(flags);
        for _ in 0..3 {
            miner.received.clear();
            miner.open_standard(1.0);
            let sent = sent(&miner.received);
            assert_eq!(told(&mut miner), (sent, vec![1]));
        }
        let jobs = if flags == 0 { 1 } else { 3 };
        for (id, is_future) in [(2, false), (3, true), (4, true)] {
            let messages = match is_future {
                true => miner.future_template(id),
                false => miner.template(id),
            };
            let sent = sent(&messages);
            assert!(sent.iter().all(|(.., ahead)| *ahead == is_future));
            assert_eq!(told(&mut miner), (sent, vec![id; jobs]));
        }
        // What is activated was told when it was sent.
        miner.prev_hash(3, 9);
        assert_eq!(told(&mut miner), (vec![], vec![]));
    }
}

#[test]
fn who_gets_no_jobs_is_told_of_none() {
    let mut miner = Miner::new(setup::REQUIRES_WORK_SELECTION);
    miner.send(open_extended(1, 1.0, &[0xff; 32], 0));
    miner.template(2);
    assert_eq!(told(&mut miner), (vec![], vec![]));
}

#[test]
fn a_channel_is_told_as_it_was_answered() {
    for extended in [false, true] {
        let mut miner = Miner::new(0);
        let max = [0x7f; 32];
        let answer = miner.send(match extended {
            true => open_extended(1, 8.0, &max, 8),
            false => open_standard(1, 8.0, &max),
        });
        let opened = Opened::read(&answer);
        let Some(ServerEvent::Opened {
            channel_id,
            group_id,
            extranonce_prefix,
            hashrate,
            target,
            max_target,
            ..
        }) = miner.events.first()
        else {
            panic!("{:?}", miner.events);
        };
        assert_eq!(
            (*channel_id, *group_id),
            (opened.channel_id, opened.group_id)
        );
        assert_eq!(extranonce_prefix.as_bytes(), opened.prefix);
        assert_eq!(
            (*target, *max_target),
            (opened.target, Target::from_le_bytes(max))
        );
        assert!((*hashrate - 8.0).abs() < f32::EPSILON);
    }
}

#[test]
fn what_a_client_says_of_its_channel_later_is_told() {
    for vardiff in [false, true] {
        let mut miner = Miner::with_policy(
            Policy {
                vardiff,
                ..policy()
            },
            0,
        );
        let opened = miner.open_standard(8.0);
        miner.events.clear();
        let max = [0x11; 32];
        let answer = miner.send(update_channel(opened.channel_id, 1000.0, &max));
        let Some(MiningOwned::SetTarget(set)) = answer.first() else {
            panic!("{answer:?}");
        };
        let Some(ServerEvent::Updated {
            channel_id,
            hashrate,
            target,
            max_target,
        }) = miner.events.first()
        else {
            panic!("{:?}", miner.events);
        };
        assert_eq!(*channel_id, opened.channel_id);
        assert_eq!(
            *target,
            Target::from_le_bytes(set.maximum_target.to_array())
        );
        assert_eq!(*max_target, Target::from_le_bytes(max));
        assert!((*hashrate - 1000.0).abs() < f32::EPSILON);
    }
}
