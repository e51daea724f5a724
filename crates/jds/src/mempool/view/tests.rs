use super::*;
use crate::testing::transaction;

#[test]
fn transactions_are_found_by_wtxid_and_not_by_txid() {
    // JDS-14
    let known = transaction(1);
    assert_ne!(known.txid(), known.wtxid());
    let mut view = View::default();
    view.insert(Arc::clone(&known));
    let found = view.find(&[transaction(2).wtxid(), known.wtxid(), known.txid()]);
    assert_eq!(found, [None, Some(known), None]);
}

#[test]
fn the_view_follows_what_the_node_lists() {
    // JDS-32
    let [one, two, three] = [1, 2, 3].map(transaction);
    let mut view = View::default();
    view.insert(Arc::clone(&one));
    view.insert(Arc::clone(&two));
    view.insert(Arc::clone(&two));
    assert_eq!(
        (view.len(), view.bytes()),
        (2, one.bytes().len() + two.bytes().len())
    );

    let listing = [two.txid(), three.txid()];
    assert_eq!(view.missing(&listing), [three.txid()]);
    assert!(view.retain(&listing));
    assert_eq!((view.len(), view.bytes()), (1, two.bytes().len()));
    assert!(!view.retain(&listing));
    assert_eq!(view.find(&[one.wtxid(), two.wtxid()]), [None, Some(two)]);
    assert!(view.retain(&[]));
    assert!(view.is_empty());
    assert_eq!(view.bytes(), 0);
}
