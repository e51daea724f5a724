use proptest::prelude::*;

use super::*;

const PLENTY: Room = Room {
    weight: 4_000_000,
    sigops: 80_000,
};

/// Fee, weight, sigops, and the places of what it depends on.
type Row<'a> = (u64, u64, u64, &'a [usize]);

fn candidate((fee, weight, sigops, depends): Row<'_>) -> Candidate {
    Candidate {
        depends: depends.to_vec(),
        fee,
        needs: Room { weight, sigops },
    }
}

fn weight(weight: u64) -> Room {
    Room { weight, ..PLENTY }
}

#[track_caller]
fn check(rows: &[Row<'_>], room: Room, expected: &[usize]) {
    check_by(rows, &Rules::fitting(room), expected);
}

#[track_caller]
fn check_by(rows: &[Row<'_>], rules: &Rules, expected: &[usize]) {
    let transactions: Vec<_> = rows.iter().copied().map(candidate).collect();
    assert_eq!(select(&transactions, rules), expected);
}

/// With plenty of room.
fn rules(min_fee_rate: u64, pinned: &[usize], banned: &[usize]) -> Rules {
    Rules {
        min_fee_rate: FeeRate::from_sat_per_kwu(min_fee_rate),
        pinned: pinned.iter().copied().collect(),
        banned: banned.iter().copied().collect(),
        ..Rules::fitting(PLENTY)
    }
}

#[test]
fn what_pays_less_than_the_least_rate_goes() {
    // 10, 9 and 11 satoshis for 1,000 weight units.
    let rows = [
        (4, 400, 0, &[][..]),
        (9, 1_000, 0, &[]),
        (11, 1_000, 0, &[]),
    ];
    check_by(&rows, &rules(10, &[], &[]), &[0, 2]);
    check_by(&rows, &rules(9, &[], &[]), &[0, 1, 2]);
    check_by(&rows, &rules(12, &[], &[]), &[]);
}

#[test]
fn a_child_pays_the_least_rate_for_its_parent() {
    let rows = [(0, 1_000, 0, &[][..]), (20, 1_000, 0, &[0])];
    check_by(&rows, &rules(10, &[], &[]), &[0, 1]);
    check_by(&rows, &rules(11, &[], &[]), &[]);
}

#[test]
fn a_child_of_one_that_pays_too_little_goes_with_it() {
    // It pays well, but does not make up for the parent.
    let rows = [
        (1, 10_000, 0, &[][..]),
        (50, 1_000, 0, &[]),
        (20, 1_000, 0, &[0]),
    ];
    check_by(&rows, &rules(10, &[], &[]), &[1]);
}

#[test]
fn a_banned_one_takes_all_its_descendants_along_and_nobody_else() {
    let rows = [
        (9, 400, 0, &[][..]),
        (9, 400, 0, &[0]),
        (9, 400, 0, &[1]),
        (9, 400, 0, &[]),
        (9, 400, 0, &[2, 3]),
    ];
    check_by(&rows, &rules(0, &[], &[1]), &[0, 3]);
    check_by(&rows, &rules(0, &[], &[4]), &[0, 1, 2, 3]);
    check_by(&rows, &rules(0, &[], &[0, 3]), &[]);
}

#[test]
fn a_parent_that_a_banned_child_paid_for_is_judged_alone() {
    let rows = [(1, 1_000, 0, &[][..]), (50, 1_000, 0, &[0])];
    check_by(&rows, &rules(10, &[], &[]), &[0, 1]);
    check_by(&rows, &rules(10, &[], &[1]), &[]);
    check_by(&rows, &rules(1, &[], &[1]), &[0]);
}

#[test]
fn a_pinned_one_stays_with_all_it_needs_whatever_it_pays() {
    let rows = [
        (0, 400, 0, &[][..]),
        (0, 400, 0, &[0]),
        (0, 400, 0, &[]),
        (9, 400, 0, &[1]),
    ];
    check_by(&rows, &rules(20, &[1], &[]), &[0, 1, 3]);
}

#[test]
fn pinned_ones_have_the_first_choice_of_room() {
    let rows = [(9, 400, 0, &[][..]), (5, 400, 0, &[]), (0, 400, 0, &[])];
    let rules = |weight| Rules {
        room: Room { weight, ..PLENTY },
        ..rules(1, &[2], &[])
    };
    check_by(&rows, &rules(800), &[0, 2]);
    check_by(&rows, &rules(400), &[2]);
    check_by(&rows, &rules(399), &[]);
}

#[test]
fn a_pinned_one_that_needs_a_banned_one_goes() {
    let rows = [(9, 400, 0, &[][..]), (9, 400, 0, &[0])];
    check_by(&rows, &rules(0, &[1], &[0]), &[]);
    check_by(&rows, &rules(0, &[1], &[1]), &[0]);
}

#[test]
fn places_beyond_the_list_mean_nothing() {
    let rows = [(9, 400, 0, &[][..])];
    check_by(&rows, &rules(0, &[7], &[8]), &[0]);
}

#[test]
fn all_stay_while_there_is_room() {
    check(&[], PLENTY, &[]);
    check(&[], Room::default(), &[]);
    let rows = [(9, 400, 4, &[][..]), (5, 400, 4, &[]), (1, 400, 4, &[1])];
    check(&rows, PLENTY, &[0, 1, 2]);
    check(&rows, weight(1_200), &[0, 1, 2]);
}

#[test]
fn last_and_worst_paying_goes_first() {
    let rows = [(9, 400, 0, &[][..]), (5, 400, 0, &[]), (1, 400, 0, &[])];
    check(&rows, weight(1_199), &[0, 1]);
    check(&rows, weight(799), &[0]);
    check(&rows, weight(399), &[]);
}

#[test]
fn small_one_behind_takes_the_room_a_large_one_cannot_use() {
    let rows = [(9, 400, 0, &[][..]), (50, 4_000, 0, &[]), (1, 300, 0, &[])];
    check(&rows, weight(4_300), &[0, 2]);
}

#[test]
fn descendants_of_one_that_goes_go_too() {
    let rows = [
        (9, 400, 0, &[][..]),
        (50, 4_000, 0, &[]),
        (1, 100, 0, &[1]),
        (1, 100, 0, &[2]),
        (1, 200, 0, &[0]),
    ];
    check(&rows, weight(4_300), &[0, 4]);
}

#[test]
fn parent_that_only_its_child_pays_for_goes_with_it() {
    let rows = [
        (9, 400, 0, &[][..]),
        (0, 400, 0, &[]),
        (8, 800, 0, &[1]),
        (1, 400, 0, &[]),
    ];
    // The parent alone would fit, but pays nothing.
    check(&rows, weight(1_200), &[0, 3]);
    check(&rows, weight(1_600), &[0, 1, 2]);
}

#[test]
fn child_that_pays_for_two_parents_takes_both_along() {
    let rows = [(0, 400, 0, &[][..]), (1, 400, 0, &[]), (9, 400, 0, &[0, 1])];
    check(&rows, weight(1_199), &[]);
    check(&rows, weight(1_200), &[0, 1, 2]);
}

#[test]
fn child_that_pays_worse_than_its_parent_stays_apart() {
    let rows = [(9, 400, 0, &[][..]), (1, 400, 0, &[0])];
    check(&rows, weight(799), &[0]);
}

// TPS-20
#[test]
fn signature_operations_are_counted_like_weight() {
    let rows = [
        (9, 400, 80, &[][..]),
        (8, 400, 20_000, &[]),
        (1, 400, 40, &[]),
    ];
    let sigops = |sigops| Room { sigops, ..PLENTY };
    check(&rows, sigops(20_120), &[0, 1, 2]);
    check(&rows, sigops(20_119), &[0, 1]);
    check(&rows, sigops(20_079), &[0, 2]);
    check(&rows, sigops(0), &[]);
}

#[test]
fn fee_rates_beyond_64_bits_are_compared() {
    let most = 21_000_000 * 100_000_000;
    let rows = [(most - 1, 3_999_000, 0, &[][..]), (most, 400, 0, &[0])];
    check(&rows, weight(3_999_000), &[]);
}

/// Any list a node may send: each depends on some that come before it.
fn transactions() -> impl Strategy<Value = Vec<Candidate>> {
    let row = (
        0_u64..1_000,
        1_u64..1_000,
        0_u64..100,
        prop::collection::vec(any::<prop::sample::Index>(), 0..3),
    );
    prop::collection::vec(row, 0..60).prop_map(|rows| {
        let entries = rows.into_iter().enumerate();
        let entry = |(place, (fee, weight, sigops, depends)): (usize, (_, _, _, Vec<_>))| {
            // About every second one is free.
            let depends: Vec<_> = depends
                .iter()
                .map(|index: &prop::sample::Index| index.index(2 * place + 1))
                .filter(|needed| *needed < place)
                .collect();
            candidate((fee, weight, sigops, &depends))
        };
        entries.map(entry).collect()
    })
}

fn needs(transactions: &[Candidate], kept: &[usize]) -> Room {
    kept.iter()
        .map(|place| transactions[*place].needs)
        .fold(Room::default(), Room::plus)
}

proptest! {
    #[test]
    fn selection_fits_and_nothing_in_it_lacks_what_it_depends_on(
        transactions in transactions(),
        weight in 0_u64..40_000,
        sigops in 0_u64..4_000,
        rate in 0_u64..2_000,
        pinned in prop::collection::btree_set(0_usize..60, 0..4),
        banned in prop::collection::btree_set(0_usize..60, 0..4),
    ) {
        let room = Room { weight, sigops };
        let min_fee_rate = FeeRate::from_sat_per_kwu(rate);
        let rules = Rules { room, min_fee_rate, pinned, banned };
        let kept = select(&transactions, &rules);
        prop_assert!(kept.is_sorted_by(|a, b| a < b));
        for place in &kept {
            prop_assert!(!rules.banned.contains(place));
            for needed in &transactions[*place].depends {
                prop_assert!(kept.binary_search(needed).is_ok());
            }
        }
        prop_assert!(room.without(needs(&transactions, &kept)).is_some());
    }

    #[test]
    fn nothing_is_dropped_that_could_have_stayed(
        transactions in transactions(),
        weight in 0_u64..40_000,
        sigops in 0_u64..4_000,
    ) {
        let room = Room { weight, sigops };
        let kept = select(&transactions, &Rules::fitting(room));
        let left = room.without(needs(&transactions, &kept)).unwrap();
        let list = List::new(&transactions, |_| true);
        for package in list.packages() {
            let is_kept = |place| kept.binary_search(&place).is_ok();
            prop_assert!(
                is_kept(package.span.start)
                    || left.without(package.needs).is_none()
                    || !list.needed(&package).all(is_kept)
            );
        }
    }

    #[test]
    fn packages_cover_the_list_in_order(transactions in transactions()) {
        let mut next = 0;
        for package in List::new(&transactions, |_| true).packages() {
            prop_assert_eq!(package.span.start, next);
            prop_assert!(!package.span.is_empty());
            let places: Vec<_> = package.span.clone().collect();
            prop_assert_eq!(package.needs, needs(&transactions, &places));
            next = package.span.end;
        }
        prop_assert_eq!(next, transactions.len());
    }

    #[test]
    fn everything_stays_in_exactly_enough_room(transactions in transactions()) {
        let all: Vec<_> = (0..transactions.len()).collect();
        let exactly = Rules::fitting(needs(&transactions, &all));
        prop_assert_eq!(select(&transactions, &exactly), all);
    }
}
