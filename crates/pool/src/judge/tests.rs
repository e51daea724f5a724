use super::*;

#[test]
fn what_the_node_says_later_changes_a_verdict_or_not() {
    use Verdict::{Accepted, Rejected, Stale, Unknown};
    let header = |confirmations, height| {
        Some(BlockHeader {
            confirmations,
            height,
        })
    };
    let table = [
        // Taken, and lost again to a longer chain, or to one that is shorter for now.
        (Some(Accepted), header(3, 100), Some(Accepted)),
        (Some(Accepted), header(-1, 100), Some(Stale)),
        (Some(Accepted), header(-1, 103), Some(Stale)),
        // Lost, and back.
        (Some(Stale), header(1, 100), Some(Accepted)),
        (Some(Stale), header(-1, 103), Some(Stale)),
        // Not asked about in time.
        (None, header(1, 100), Some(Accepted)),
        (None, header(-1, 102), Some(Stale)),
        (None, header(-1, 103), None),
        (None, None, Some(Rejected)),
        (Some(Unknown), None, Some(Rejected)),
        (Some(Unknown), header(1, 100), Some(Accepted)),
        // Known late after all.
        (Some(Rejected), header(1, 100), Some(Accepted)),
        (Some(Rejected), header(-1, 100), Some(Stale)),
        (Some(Rejected), None, None),
        // Of another node's chain.
        (Some(Accepted), None, None),
        (Some(Stale), None, None),
    ];
    for (before, header, expected) in table {
        assert_eq!(
            reviewed(before, header.as_ref(), 102),
            expected,
            "{before:?}, {header:?}"
        );
    }
}

#[test]
fn a_chain_that_only_grew_changes_what_is_not_in_it_and_above() {
    use Verdict::{Accepted, Rejected, Stale};
    let case = |height, verdict| Case {
        hash: BlockHash::all_zeros(),
        height,
        verdict,
    };
    let table = [
        (case(Some(103), Some(Stale)), true),
        (case(Some(103), Some(Rejected)), true),
        (case(Some(103), None), true),
        (case(None, Some(Stale)), true),
        (case(Some(103), Some(Accepted)), false),
        (case(Some(102), Some(Stale)), false),
    ];
    for (case, expected) in table {
        assert_eq!(case.may_change(Some(102)), expected, "{case:?}");
        assert!(case.may_change(None), "the chain has turned");
    }
}
