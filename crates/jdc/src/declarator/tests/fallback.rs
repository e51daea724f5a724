use super::*;

type Trouble = (&'static str, fn(&mut Desk));

/// What makes the first upstream fail, on the job the miners have (JDC-26 to 29).
const TROUBLES: [Trouble; 7] = [
    ("pool lost", |desk| desk.lose_pool(0, vec![])),
    ("jds lost", |desk| desk.lose_jds(0)),
    ("declaration refused", |desk| {
        desk.servers[0].jds = Manner::Refuses("invalid-job");
        desk.template(2);
    }),
    ("declaration refused for a reason nobody knows", |desk| {
        // CONN-20
        desk.servers[0].jds = Manner::Refuses("zzz-unknown");
        desk.template(2);
    }),
    ("job refused", |desk| {
        desk.servers[0].pool = Manner::Refuses("invalid-mining-job-token");
        desk.template(2);
    }),
    ("job refused for a reason nobody knows", |desk| {
        desk.servers[0].pool = Manner::Refuses("zzz-unknown");
        desk.template(2);
    }),
    ("valid shares rejected", |desk| {
        for hash in 0..5 {
            desk.find(hash);
            reject_newest(desk);
        }
    }),
];

fn reject_newest(desk: &mut Desk) {
    let (upstream, share) = desk.relayed.last().unwrap().clone();
    desk.step(Input::Pool(
        upstream,
        CustomWorkEvent::Rejected {
            share,
            code: "zzz-unknown".to_owned(),
        },
    ));
}

#[test]
fn trouble_brings_the_miners_to_the_next_upstream_at_once() {
    // JDC-26 to 30
    for (name, trouble) in TROUBLES {
        let mut desk = Desk::working(2);
        trouble(&mut desk);
        assert_eq!(desk.declarator.active(), Some(1), "{name}");
        assert_eq!(desk.job().upstream(), Some(1), "{name}");
        assert!(matches!(desk.job().stage, Stage::Set { .. }), "{name}");
        assert_eq!(desk.failures().len(), 1, "{name}");
        assert_eq!(desk.failures()[0].0, 0, "{name}");
        desk.find(9);
        assert_eq!(desk.relayed.last().unwrap().0, 1, "{name}");
    }
}

#[test]
fn trouble_with_the_last_brings_solo_work_at_once_and_from_there_back() {
    // JDC-30
    for (name, trouble) in TROUBLES {
        let mut desk = Desk::working(1);
        trouble(&mut desk);
        assert_eq!(desk.declarator.active(), None, "{name}");
        assert_eq!(desk.job().stage, Stage::Solo, "{name}");
        desk.servers[0].jds = Manner::Takes;
        desk.servers[0].pool = Manner::Takes;
        desk.connect(0);
        assert_eq!(desk.declarator.active(), None, "{name}: not at once");
        desk.pass(Duration::from_secs(1));
        assert_eq!(desk.declarator.active(), Some(0), "{name}");
        assert!(matches!(desk.job().stage, Stage::Set { .. }), "{name}");
    }
}

#[test]
fn the_better_one_gets_the_miners_back_when_it_has_taken_a_job() {
    let mut desk = Desk::working(2);
    desk.lose_jds(0);
    desk.connect_jds(0);
    desk.servers[0].pool = Manner::Mute;
    let before = desk.published.len();
    desk.pass(Duration::from_secs(1));
    let trial = desk.set.last().unwrap().1.job;
    assert_eq!(desk.set.last().unwrap().0, 0);
    assert_eq!(desk.published.len(), before, "the miners notice nothing");
    desk.template(2);
    assert_eq!(desk.job().upstream(), Some(1));
    desk.step(Input::Pool(0, job_set(trial, Target::MAX)));
    assert_eq!(desk.declarator.active(), Some(0));
    assert_eq!(desk.job().upstream(), Some(0));
}

#[test]
fn a_better_one_that_fails_its_trial_rests_longer_and_harms_nobody() {
    let mut desk = Desk::working(2);
    desk.servers[0].jds = Manner::Refuses("zzz-unknown");
    desk.template(2);
    let before = desk.published.len();
    for rest in [1, 2, 4, 8] {
        desk.pass(Duration::from_secs(rest));
    }
    assert_eq!(desk.failures().len(), 5);
    assert_eq!(desk.published.len(), before);
    assert_eq!(desk.declarator.active(), Some(1));
}

#[test]
fn an_upstream_that_does_not_know_the_tip_yet_is_asked_again() {
    // T-22, JDC-27
    for by_pool in [true, false] {
        let behind = Manner::Refuses("stale-chain-tip");
        let mut desk = Desk::working(1);
        match by_pool {
            true => desk.servers[0].pool = behind,
            false => desk.servers[0].jds = behind,
        }
        desk.tip(2);
        desk.find(7);
        desk.pass(Duration::from_secs(3));
        assert_eq!(desk.declared.len(), 1 + 7, "each half second");
        assert_eq!(desk.declarator.active(), Some(0));
        desk.servers[0].pool = Manner::Takes;
        desk.servers[0].jds = Manner::Takes;
        desk.pass(Duration::from_millis(500));
        assert_eq!(desk.relayed_nonces(), [7]);
        assert!(desk.failures().is_empty());
    }
}

#[test]
fn an_upstream_that_stays_behind_fails() {
    let mut desk = Desk::working(2);
    desk.servers[0].jds = Manner::Refuses("stale-chain-tip");
    desk.tip(2);
    desk.pass(Duration::from_millis(9_900));
    assert_eq!(desk.declarator.active(), Some(0));
    desk.pass(Duration::from_millis(100));
    assert_eq!(desk.declarator.active(), Some(1));
}

#[test]
fn rejections_of_late_shares_are_nobodys_fault() {
    // JDC-29, T-40
    let mut desk = Desk::working(1);
    for hash in 0..10 {
        desk.find(hash);
    }
    desk.tip(2);
    for (_, share) in desk.relayed.clone() {
        desk.step(Input::Pool(
            0,
            CustomWorkEvent::Rejected {
                share,
                code: "stale-share".to_owned(),
            },
        ));
    }
    assert!(desk.failures().is_empty());
}

#[test]
fn one_accepted_share_makes_up_for_the_rejected_ones_before_it() {
    let mut desk = Desk::working(1);
    for round in 0..10 {
        for hash in 0..4 {
            desk.find(round * 10 + hash);
            reject_newest(&mut desk);
        }
        let shares = vec![desk.relayed.last().unwrap().1.clone()];
        desk.step(Input::Pool(
            0,
            CustomWorkEvent::Accepted { shares, count: 1 },
        ));
    }
    assert!(desk.failures().is_empty());
}

#[test]
fn a_standby_that_comes_and_goes_harms_nobody() {
    let mut desk = Desk::working(2);
    let before = desk.published.len();
    for _ in 0..10 {
        desk.lose_pool(1, vec![]);
        desk.connect_pool(1);
    }
    assert_eq!(desk.published.len(), before);
    desk.lose_jds(0);
    assert_eq!(desk.declarator.active(), Some(1), "and it is still trusted");
}

#[test]
fn what_upstreams_are_doing_can_be_looked_at() {
    let mut desk = Desk::working(2);
    let state = |desk: &Desk, upstream| {
        let (state, reason) = desk.declarator.state(upstream, desk.now.instant);
        (state, reason.map(str::to_owned))
    };
    assert_eq!(state(&desk, 0), (State::Active, None));
    assert_eq!(state(&desk, 1), (State::Standby, None));
    desk.lose_pool(0, vec![]);
    let reason = Some("pool: gone".to_owned());
    assert_eq!(state(&desk, 0), (State::Resting, reason.clone()));
    assert_eq!(state(&desk, 1), (State::Active, None));
    desk.pass(Duration::from_secs(1));
    assert_eq!(state(&desk, 0), (State::Connecting, reason.clone()));
    desk.servers[0].jds = Manner::Mute;
    desk.connect(0);
    assert_eq!(state(&desk, 0), (State::OnProbation, reason));
}
