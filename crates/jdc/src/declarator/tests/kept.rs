//! Shares that outlive a connection: none that was acknowledged to a miner vanishes.

use super::*;

#[test]
fn shares_wait_for_a_jds_that_comes_back() {
    let mut desk = Desk::new(1);
    desk.servers[0].jds = Manner::Mute;
    desk.connect(0);
    desk.tip(1);
    desk.find(7);
    desk.lose_jds(0);
    desk.servers[0].jds = Manner::Takes;
    desk.pass(Duration::from_secs(5));
    desk.connect_jds(0);
    assert_eq!(desk.relayed_nonces(), [7]);
    assert!(desk.lost().is_empty());
    assert_eq!(desk.declarator.active(), Some(0), "that was its proof");
}

#[test]
fn shares_wait_for_a_pool_that_comes_back_as_it_was() {
    let mut desk = Desk::working(1);
    desk.find(7);
    desk.find(8);
    let (_, unanswered) = desk.relayed.pop().unwrap();
    desk.relayed.clear();
    desk.lose_pool(0, vec![unanswered]);
    // Found before the miners heard of it.
    desk.find_on(1, 9);
    desk.pass(Duration::from_secs(5));
    desk.connect_pool(0);
    assert_eq!(desk.relayed_nonces(), [8, 9]);
    let names: Vec<u32> = desk.relayed.iter().map(|(_, share)| share.job_id).collect();
    assert_eq!(names, [1001, 1001]);
    assert!(desk.lost().is_empty());
}

#[test]
fn shares_are_lost_aloud_with_a_pool_that_comes_back_as_another() {
    for other_payout in [true, false] {
        let mut desk = Desk::working(1);
        desk.find(7);
        let (_, unanswered) = desk.relayed.pop().unwrap();
        desk.lose_pool(0, vec![unanswered]);
        desk.lose_jds(0);
        match other_payout {
            true => {
                desk.connect_pool(0);
                let payout = DeclarationEvent::Payout(payout(50));
                desk.step(Input::Jds(0, payout));
            }
            false => {
                desk.step(Input::Pool(0, seated(50)));
                desk.connect_jds(0);
            }
        }
        desk.pass(Duration::from_secs(5));
        assert!(desk.relayed.is_empty());
        assert_eq!(desk.lost(), [(1, "other-terms")]);
    }
}

#[test]
fn shares_are_lost_aloud_when_the_tip_changes_before_the_upstream_is_back() {
    let mut desk = Desk::working(1);
    desk.find(7);
    let (_, unanswered) = desk.relayed.pop().unwrap();
    desk.lose_pool(0, vec![unanswered]);
    desk.tip(2);
    assert_eq!(desk.lost(), [(1, "stale")]);
    // An answer that never came for a share of an earlier tip is lost too.
    let mut desk = Desk::working(1);
    desk.find(7);
    let (_, unanswered) = desk.relayed.pop().unwrap();
    desk.tip(2);
    desk.lose_pool(0, vec![unanswered]);
    assert_eq!(desk.lost(), [(1, "unanswered")]);
    desk.connect_pool(0);
    desk.pass(Duration::from_secs(5));
    assert!(desk.relayed.is_empty());
}

#[test]
fn shares_of_an_earlier_template_of_the_same_tip_are_kept_too() {
    let mut desk = Desk::new(1);
    desk.servers[0].jds = Manner::Mute;
    desk.connect(0);
    desk.tip(1);
    desk.find(7);
    desk.template(2);
    desk.find(8);
    desk.lose_jds(0);
    // Templates go on while it is away.
    desk.template(3);
    desk.template(4);
    desk.servers[0].jds = Manner::Takes;
    desk.pass(Duration::from_secs(5));
    desk.connect_jds(0);
    assert_eq!(desk.relayed_nonces(), [7, 8]);
    let names: Vec<u32> = desk.relayed.iter().map(|(_, share)| share.job_id).collect();
    assert_eq!(names, [1001, 1002]);
    assert!(desk.lost().is_empty());
}

#[test]
fn every_accepted_share_is_accounted_for() {
    // JDC-35: over every trouble there is.
    let mut desk = Desk::new(2);
    desk.connect(0);
    desk.connect(1);
    desk.tip(1);
    let mut hash = 0u8;
    for round in 0..40u8 {
        for _ in 0..3 {
            hash = hash.wrapping_add(1);
            desk.find(hash);
        }
        let upstream = usize::from(round % 2);
        match round % 7 {
            0 => desk.servers[upstream].pool = Manner::Mute,
            1 => desk.lose_pool(upstream, vec![]),
            2 => desk.connect_pool(upstream),
            3 => desk.lose_jds(upstream),
            4 => {
                desk.servers[upstream].pool = Manner::Takes;
                desk.connect_jds(upstream);
            }
            5 => desk.template(u64::from(round) + 100),
            _ => desk.tip(round + 2),
        }
        desk.pass(Duration::from_millis(700));
    }
    let jobs = desk.declarator.jobs();
    let (mut accepted, mut accounted) = (0, 0);
    for job in jobs.filter(|job| job.terms.is_some()) {
        accepted += job.tally.accepted;
        let waiting = job.cache.len() as u64;
        accounted += job.tally.relayed + job.tally.below_target + job.tally.lost + waiting;
    }
    assert!(accepted > 20, "{accepted}");
    assert_eq!(accepted, accounted);
}
