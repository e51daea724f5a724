use super::*;

/// RequestExtensions for 0x0002.
const REQUEST: [u8; 12] = [1, 0, 0, 6, 0, 0, 9, 9, 1, 0, 2, 0];
const SUCCESS: u8 = 1;

/// A connection on which workers are named, and its channel.
fn tracked() -> (Miner, Opened) {
    let mut miner = Miner::new(0);
    assert!(miner.send_frame(&mut REQUEST.to_vec()).is_empty());
    assert_eq!(miner.negotiated, Some(SUCCESS));
    let opened = miner.open_extended(4.0);
    (miner, opened)
}

/// Submits a share with bytes behind its known fields.
fn submit(miner: &mut Miner, share: MiningOwned, tail: &[u8]) -> Vec<MiningOwned> {
    let mut bytes = Vec::new();
    message::encode(share, &mut bytes);
    bytes.extend_from_slice(tail);
    let len = (bytes.len() - HEADER_LEN) as u32;
    bytes[3..6].copy_from_slice(&len.to_le_bytes()[..3]);
    // EXT-18: it is still a message of the core.
    assert_eq!(bytes[..3], [0, 0x80, 0x1b]);
    miner.send_frame(&mut bytes)
}

fn named(name: &str) -> Vec<u8> {
    let mut tail = vec![2, 0, 1];
    tail.extend((name.len() as u16).to_le_bytes());
    tail.extend(name.bytes());
    tail
}

fn share(opened: &Opened, later: u32) -> MiningOwned {
    let job = &opened.job;
    let meets = |hash| hash <= opened.target;
    opened.submit(opened.mine_with(job, MIN_NTIME + later, job.version, meets))
}

/// The worker of the last share, and its counts.
fn last_worker(miner: &Miner) -> Option<(String, u64, u64)> {
    let event = miner.events.last().unwrap();
    let (ServerEvent::Accepted { worker, .. } | ServerEvent::Rejected { worker, .. }) = event
    else {
        panic!("not about a share: {event:?}");
    };
    let worker = worker.as_ref()?;
    Some((worker.name.to_string(), worker.accepted, worker.rejected))
}

#[test]
fn shares_are_counted_for_the_worker_they_name() {
    // EXT-16, 18
    let (mut miner, opened) = tracked();
    submit(&mut miner, share(&opened, 0), &named("a"));
    assert_eq!(last_worker(&miner), Some(("a".into(), 1, 0)));
    submit(&mut miner, share(&opened, 1), &named("b"));
    assert_eq!(last_worker(&miner), Some(("b".into(), 1, 0)));
    submit(&mut miner, share(&opened, 2), &named("a"));
    assert_eq!(last_worker(&miner), Some(("a".into(), 2, 0)));
    let answer = submit(&mut miner, share(&opened, 2), &named("a"));
    assert_eq!(rejected(&answer), "duplicate-share");
    assert_eq!(last_worker(&miner), Some(("a".into(), 2, 1)));
    // One that names nobody still counts.
    submit(&mut miner, share(&opened, 3), &[]);
    assert_eq!(last_worker(&miner), None);
}

#[test]
fn unknown_fields_are_skipped_in_any_order() {
    // EXT-14, FRAME-15
    let (mut miner, opened) = tracked();
    let other = [1, 0x40, 9, 2, 0, 7, 7];
    let tails = [
        [&named("rig")[..], &other].concat(),
        [&other, &named("rig")[..]].concat(),
    ];
    for (later, tail) in (0..).zip(tails) {
        submit(&mut miner, share(&opened, later), &tail);
        let (name, accepted, _) = last_worker(&miner).unwrap();
        assert_eq!((&name[..], accepted), ("rig", u64::from(later) + 1));
    }
}

#[test]
fn a_name_that_is_too_long_rejects_the_share_but_not_the_block() {
    // EXT-15, POOL-59
    let (mut miner, opened) = tracked();
    let answer = submit(&mut miner, share(&opened, 0), &named(&"x".repeat(33)));
    assert_eq!(rejected(&answer), "invalid-user-identity");
    assert!(miner.blocks().is_empty());

    miner.block_target = Target::MAX;
    miner.future_template(2);
    miner.prev_hash(2, 9);
    let job = Job::read(&miner.template(3)[0]);
    let opened = Opened {
        prev_hash: [9; 32],
        job,
        ..opened
    };
    let answer = submit(&mut miner, share(&opened, 0), &named(&"x".repeat(33)));
    assert_eq!(rejected(&answer), "invalid-user-identity");
    assert_eq!(miner.blocks().len(), 1);
    submit(&mut miner, share(&opened, 1), &named("rig"));
    let finders = miner.events.iter().filter_map(|event| match event {
        ServerEvent::Block { worker, .. } => Some(worker.as_deref()),
        _ => None,
    });
    assert_eq!(finders.collect::<Vec<_>>(), [None, Some("rig")]);
}

#[test]
fn what_was_not_negotiated_is_ignored() {
    // EXT-12, 17, FRAME-15
    let mut miner = Miner::new(0);
    let opened = miner.open_extended(4.0);
    for (later, tail) in (0..).zip([named("a"), named(&"x".repeat(33)), vec![0xff; 15]]) {
        submit(&mut miner, share(&opened, later), &tail);
        assert!(matches!(
            miner.events.last(),
            Some(ServerEvent::Accepted { worker: None, .. })
        ));
    }
}

#[test]
fn the_number_of_workers_is_bounded() {
    let (mut miner, opened) = tracked();
    let first = share(&opened, 0);
    for worker in 0..1100 {
        submit(&mut miner, first.clone(), &named(&format!("rig-{worker}")));
    }
    assert_eq!(last_worker(&miner), None);
    submit(&mut miner, share(&opened, 1), &named("rig-0"));
    assert_eq!(last_worker(&miner), Some(("rig-0".into(), 2, 0)));
}

#[test]
fn who_does_not_negotiate_what_is_required_is_not_served() {
    // EXT-06, 07
    let policy = || Policy {
        extensions: Extensions {
            supported: vec![2],
            required: vec![2],
        },
        ..policy()
    };
    let mut miner = Miner::with_policy(policy(), 0);
    miner.send(open_standard(1, 1.0, &[0xff; 32]));
    assert!(miner.closed.unwrap().contains("extension 2"));

    let mut miner = Miner::with_policy(policy(), 0);
    miner.send_frame(&mut [1, 0, 0, 6, 0, 0, 9, 9, 1, 0, 3, 0]);
    assert_eq!((miner.negotiated, &miner.closed), (Some(2), &None));
    // A second try counts.
    miner.send_frame(&mut REQUEST.to_vec());
    assert_eq!(miner.negotiated, Some(SUCCESS));
    miner.open_standard(1.0);
    assert_eq!(miner.closed, None);

    let mut miner = Miner::with_policy(policy(), 0);
    miner.server.connected(miner.now);
    miner.wait(Duration::from_secs(11));
    assert!(miner.closed.unwrap().contains("extension"));
}
