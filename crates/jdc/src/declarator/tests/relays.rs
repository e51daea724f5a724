use super::*;

/// Met by hashes of up to 100 as [`found`] makes them.
fn target() -> Target {
    Target::from_le_bytes([100; 32])
}

#[test]
fn shares_wait_until_the_pool_takes_their_job() {
    // JDC-08, 24
    let mut desk = Desk::new(1);
    desk.servers[0].pool = Manner::Mute;
    desk.connect(0);
    desk.tip(1);
    for hash in [30, 10, 20] {
        desk.find(hash);
    }
    assert!(desk.relayed.is_empty());
    desk.step(Input::Pool(0, job_set(1, Target::MAX)));
    assert_eq!(desk.relayed_nonces(), [10, 20, 30], "best first");
    desk.find(40);
    assert_eq!(desk.relayed_nonces(), [10, 20, 30, 40]);
    for (_, share) in &desk.relayed {
        assert_eq!(share.job_id, 1001, "the pool's name for the job");
        assert_eq!(share.extranonce.len(), LOCAL_EXTRANONCE + 2);
        assert!(share.extranonce.ends_with(&found(0).extranonce));
        assert_eq!((share.version, share.ntime), (0x2000_0020, 1_800_000_001));
    }
}

#[test]
fn what_the_pool_did_not_ask_for_it_does_not_get() {
    // JDC-25
    let mut desk = Desk::new(1);
    desk.servers[0].pool = Manner::Mute;
    desk.connect(0);
    desk.tip(1);
    desk.find(100);
    desk.find(101);
    desk.step(Input::Pool(0, job_set(1, target())));
    desk.find(99);
    desk.find(200);
    assert_eq!(desk.relayed_nonces(), [100, 99]);
    let tally = desk.job().tally;
    assert_eq!(
        (tally.accepted, tally.relayed, tally.below_target),
        (4, 2, 2)
    );
    assert!(desk.lost().is_empty());
}

#[test]
fn a_job_keeps_the_target_it_was_taken_with() {
    // T-30
    let mut desk = Desk::new(1);
    desk.servers[0].target = target();
    desk.connect(0);
    desk.tip(1);
    let easier = CustomWorkEvent::Target(Target::from_le_bytes([150; 32]));
    desk.step(Input::Pool(0, easier));
    desk.find_on(1, 120);
    assert!(desk.relayed.is_empty());
}

#[test]
fn only_the_best_of_many_wait() {
    let mut desk = Desk::new(1);
    desk.servers[0].pool = Manner::Mute;
    desk.connect(0);
    desk.tip(1);
    for hash in 0..150 {
        desk.find(hash);
    }
    assert_eq!(desk.lost(), [(1, "cache-full"); 50]);
    desk.step(Input::Pool(0, job_set(1, Target::MAX)));
    assert_eq!(desk.relayed_nonces(), (0..100).collect::<Vec<u32>>());
    assert_eq!(desk.job().tally.lost, 50);
}

#[test]
fn what_the_pool_says_of_a_share_is_counted_where_it_belongs() {
    // JDC-35
    let mut desk = Desk::working(1);
    for hash in 0..4 {
        desk.find(hash);
    }
    let shares: Vec<CustomShare> = desk
        .relayed
        .iter()
        .map(|(_, share)| share.clone())
        .collect();
    desk.step(Input::Pool(
        0,
        CustomWorkEvent::Accepted {
            shares: shares[..2].to_vec(),
            count: 2,
        },
    ));
    desk.step(Input::Pool(
        0,
        CustomWorkEvent::Rejected {
            share: shares[2].clone(),
            code: "zzz-unknown".to_owned(),
        },
    ));
    desk.step(Input::Pool(0, CustomWorkEvent::GivenUp(shares[3].clone())));
    let tally = desk.job().tally;
    assert_eq!(tally.relayed, 4);
    assert_eq!((tally.acknowledged, tally.rejected, tally.lost), (2, 1, 1));
    assert!(desk.reports.contains(&Report::Acknowledged {
        upstream: 0,
        count: 2
    }));
    assert!(desk.reports.contains(&Report::Rejected {
        upstream: 0,
        code: "zzz-unknown".to_owned()
    }));
    assert_eq!(desk.lost(), [(1, "unanswered")]);
}

#[test]
fn shares_of_a_superseded_job_are_relayed_under_its_own_name() {
    // T-20, POOL-43
    let mut desk = Desk::working(1);
    desk.template(2);
    desk.find_on(1, 5);
    desk.find_on(2, 6);
    let names: Vec<u32> = desk.relayed.iter().map(|(_, share)| share.job_id).collect();
    assert_eq!(names, [1001, 1002]);
}

#[test]
fn solo_shares_go_nowhere() {
    let mut desk = Desk::in_mode(Mode::Solo, 0);
    desk.tip(1);
    desk.find(1);
    assert!(desk.relayed.is_empty() && desk.lost().is_empty());
    assert_eq!(desk.job().tally.accepted, 1);
}

#[test]
fn a_job_the_pool_is_about_to_take_outlives_its_tip() {
    // T-40; a lab's blocks come faster than a pool's answers.
    let mut desk = Desk::new(1);
    desk.servers[0].pool = Manner::Mute;
    desk.connect(0);
    desk.tip(1);
    desk.find(7);
    desk.tip(2);
    assert!(desk.lost().is_empty());
    desk.step(Input::Pool(0, job_set(1, Target::MAX)));
    assert_eq!(desk.relayed_nonces(), [7]);
}

#[test]
fn a_declared_job_of_an_old_tip_is_set_if_it_has_shares_and_the_pool_knows_no_newer() {
    for (has_share, knows_newer, is_set) in [
        (true, false, true),
        (false, false, false),
        (true, true, false),
    ] {
        let mut desk = Desk::new(1);
        desk.servers[0].jds = Manner::Mute;
        desk.connect(0);
        desk.tip(1);
        if has_share {
            desk.find(7);
        }
        desk.tip(2);
        if knows_newer {
            desk.step(Input::Jds(0, declared(2)));
        }
        desk.step(Input::Jds(0, declared(1)));
        let set = desk.set.iter().any(|(_, job)| job.job == 1);
        assert_eq!(set, is_set, "share {has_share}, newer {knows_newer}");
        let lost = usize::from(has_share && !is_set);
        assert_eq!(desk.lost(), vec![(1, "stale"); lost]);
        assert!(desk.failures().is_empty());
    }
}

#[test]
fn a_refusal_for_a_tip_that_is_gone_harms_nobody() {
    for by_pool in [true, false] {
        let mut desk = Desk::new(1);
        let (jds, pool) = match by_pool {
            true => (Manner::Takes, Manner::Mute),
            false => (Manner::Mute, Manner::Takes),
        };
        desk.servers[0].jds = jds;
        desk.servers[0].pool = pool;
        desk.connect(0);
        desk.tip(1);
        desk.find(7);
        desk.tip(2);
        let code = "zzz-unknown".to_owned();
        let job = 1;
        desk.step(match by_pool {
            true => Input::Pool(0, CustomWorkEvent::JobRefused { job, code }),
            false => Input::Jds(0, refused(job, &code)),
        });
        assert!(desk.failures().is_empty());
        assert_eq!(desk.lost(), [(1, "stale")]);
    }
}

#[test]
fn a_slow_server_is_asked_for_the_newest_jobs_and_not_for_all() {
    let mut desk = Desk::new(1);
    desk.servers[0].jds = Manner::Mute;
    desk.connect(0);
    desk.tip(1);
    for id in 2..=9 {
        desk.template(id);
    }
    let jobs = |desk: &Desk| {
        desk.declared
            .iter()
            .map(|(_, one)| one.job)
            .collect::<Vec<_>>()
    };
    assert_eq!(jobs(&desk), [1, 2, 3, 4]);
    desk.servers[0].jds = Manner::Takes;
    desk.step(Input::Jds(0, declared(1)));
    assert_eq!(jobs(&desk), [1, 2, 3, 4, 9]);
    assert!(matches!(desk.job().stage, Stage::Set { .. }));
}
