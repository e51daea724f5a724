use super::*;
use crate::testing::{new_template, plan, set_new_prev_hash};

fn ids(work: &Work) -> (u64, Vec<u64>) {
    (
        work.template.id,
        work.futures.iter().map(|template| template.id).collect(),
    )
}

#[test]
fn the_prev_hash_picks_one_of_the_future_templates() {
    // TPC-05, 08
    let mut tracker = WorkTracker::new(plan());
    tracker.new_template(&new_template(10, true)).unwrap();
    tracker.new_template(&new_template(11, true)).unwrap();
    assert_eq!(tracker.work(), None);
    tracker
        .set_new_prev_hash(&set_new_prev_hash(10, 7))
        .unwrap();
    assert_eq!(ids(&tracker.work().unwrap()), (10, vec![]));
}

#[test]
fn future_templates_wait_beside_the_current_work() {
    // TPC-06
    let mut tracker = WorkTracker::new(plan());
    tracker.new_template(&new_template(1, true)).unwrap();
    tracker.set_new_prev_hash(&set_new_prev_hash(1, 7)).unwrap();
    tracker.new_template(&new_template(2, true)).unwrap();
    tracker.new_template(&new_template(3, true)).unwrap();
    assert_eq!(ids(&tracker.work().unwrap()), (1, vec![2, 3]));
}

#[test]
fn a_template_for_the_current_tip_replaces_the_template_only() {
    // TPC-09
    let mut tracker = WorkTracker::new(plan());
    tracker.new_template(&new_template(1, true)).unwrap();
    tracker.set_new_prev_hash(&set_new_prev_hash(1, 7)).unwrap();
    let before = tracker.work().unwrap();
    tracker.new_template(&new_template(2, false)).unwrap();
    let after = tracker.work().unwrap();
    assert_eq!(after.template.id, 2);
    assert!(Arc::ptr_eq(&before.prev_hash, &after.prev_hash));
}

#[test]
fn a_prev_hash_for_an_unknown_template_changes_nothing() {
    // TPC-16
    let mut tracker = WorkTracker::new(plan());
    tracker.new_template(&new_template(1, true)).unwrap();
    tracker.set_new_prev_hash(&set_new_prev_hash(1, 7)).unwrap();
    let before = tracker.work();
    let error = tracker.set_new_prev_hash(&set_new_prev_hash(999, 8));
    assert_eq!(error, Err(WorkError::UnknownTemplate(999)));
    assert_eq!(tracker.work(), before);
}

#[test]
fn work_outlives_the_connection_but_its_tip_takes_no_new_templates() {
    // TPC-17
    let mut tracker = WorkTracker::new(plan());
    tracker.new_template(&new_template(1, true)).unwrap();
    tracker.set_new_prev_hash(&set_new_prev_hash(1, 7)).unwrap();
    let before = tracker.work();
    tracker.reconnected();
    assert_eq!(tracker.work(), before);
    let error = tracker.new_template(&new_template(2, false));
    assert_eq!(error, Err(WorkError::NoPrevHash(2)));
    tracker.new_template(&new_template(1, true)).unwrap();
    tracker.set_new_prev_hash(&set_new_prev_hash(1, 7)).unwrap();
    assert!(
        !tracker
            .work()
            .unwrap()
            .template
            .is(&before.unwrap().template)
    );
}

#[test]
fn heights_are_read_from_the_bip34_push() {
    // T-35
    let cases: [(&[u8], Option<u64>); 6] = [
        (&[0x51], Some(1)),
        (&[0x60], Some(16)),
        (&[1, 17], Some(17)),
        (&[2, 128, 0], Some(128)),
        (&[3, 1, 2], None),
        (&[], None),
    ];
    for (prefix, height) in cases {
        let mut template = Template::new(0, &new_template(1, true), &Arc::new(plan()));
        template.coinbase_prefix = prefix.to_vec();
        assert_eq!(template.height(), height, "{prefix:?}");
    }
}

#[test]
fn the_number_of_future_templates_is_bounded() {
    let mut tracker = WorkTracker::new(plan());
    for id in 0..100 {
        tracker.new_template(&new_template(id, true)).unwrap();
    }
    assert_eq!(tracker.futures.len(), MAX_FUTURES);
    assert!(tracker.set_new_prev_hash(&set_new_prev_hash(99, 1)).is_ok());
}

#[test]
fn a_template_no_coinbase_can_be_made_of_changes_nothing() {
    let mut tracker = WorkTracker::new(plan());
    tracker.new_template(&new_template(1, true)).unwrap();
    tracker.set_new_prev_hash(&set_new_prev_hash(1, 7)).unwrap();
    let before = tracker.work();
    let mut refused = |template: NewTemplate<'_>| match tracker.new_template(&template) {
        Err(WorkError::Coinbase { id: 2, problem }) => problem,
        other => panic!("{other:?}"),
    };
    let good = || new_template(2, false);

    // 22 bytes of extranonce, 4 of signature, and the two opcodes that push them.
    let max = 100 - 22 - 4 - 2;
    let long = [1; 73];
    let prefix = NewTemplate {
        coinbase_prefix: (&long[..]).try_into().unwrap(),
        ..good()
    };
    let found = long.len();
    assert_eq!(refused(prefix), BadTemplate::Prefix { found, max });

    for count in [0, 2, u32::MAX] {
        let miscounted = NewTemplate {
            coinbase_tx_outputs_count: count,
            ..good()
        };
        assert_eq!(refused(miscounted), BadTemplate::Outputs { count });
    }
    // One output whose script has all the room there is in the message.
    let mut huge = vec![0; 8];
    huge.extend([0xfd, 0xf0, 0xff]);
    huge.resize(8 + 3 + 0xfff0, 0);
    let len = huge.len();
    let too_long = NewTemplate {
        coinbase_tx_outputs: huge.as_slice().try_into().unwrap(),
        ..good()
    };
    assert_eq!(refused(too_long), BadTemplate::TooLong { len });
    assert_eq!(tracker.work(), before);
}
