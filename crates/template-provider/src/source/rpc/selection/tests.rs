use std::rc::Rc;

use bitcoin::hashes::Hash;
use bitcoin::{Txid, Wtxid};
use proptest::prelude::*;

use super::*;

const PLENTY: Room = Room {
    weight: 4_000_000,
    sigops: 80_000,
};

/// Fee, weight, sigops, and the places of what it depends on.
type Row<'a> = (u64, u64, u64, &'a [usize]);

fn entry((fee, weight, sigops, depends): Row<'_>) -> Entry {
    Entry {
        data: Rc::default(),
        txid: Txid::all_zeros(),
        wtxid: Wtxid::all_zeros(),
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
    let transactions: Vec<_> = rows.iter().copied().map(entry).collect();
    assert_eq!(select(&transactions, room), expected);
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
fn transactions() -> impl Strategy<Value = Vec<Entry>> {
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
            entry((fee, weight, sigops, &depends))
        };
        entries.map(entry).collect()
    })
}

fn needs(transactions: &[Entry], kept: &[usize]) -> Room {
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
    ) {
        let room = Room { weight, sigops };
        let kept = select(&transactions, room);
        prop_assert!(kept.is_sorted_by(|a, b| a < b));
        for place in &kept {
            for needed in &transactions[*place].depends {
                prop_assert!(kept.binary_search(needed).is_ok());
            }
        }
        let left = room.without(needs(&transactions, &kept));
        prop_assert!(left.is_some());
        // Nothing is dropped that could have stayed.
        let left = left.unwrap();
        for package in packages(&transactions) {
            let is_kept = |place| kept.binary_search(&place).is_ok();
            prop_assert!(
                is_kept(package.places.start)
                    || left.without(package.needs).is_none()
                    || !package.depends(&transactions).all(is_kept)
            );
        }
    }

    #[test]
    fn packages_cover_the_list_in_order(transactions in transactions()) {
        let mut next = 0;
        for package in packages(&transactions) {
            prop_assert_eq!(package.places.start, next);
            prop_assert!(!package.places.is_empty());
            let places: Vec<_> = package.places.clone().collect();
            prop_assert_eq!(package.needs, needs(&transactions, &places));
            next = package.places.end;
        }
        prop_assert_eq!(next, transactions.len());
    }

    #[test]
    fn everything_stays_in_exactly_enough_room(transactions in transactions()) {
        let all: Vec<_> = (0..transactions.len()).collect();
        prop_assert_eq!(select(&transactions, needs(&transactions, &all)), all);
    }
}
