use std::sync::atomic::{AtomicBool, Ordering};

use protocol::error_code::{self, ErrorCode};
use protocol::payout::Payout;
use protocol::server::Worker;
use protocol::target::Target;

use super::*;

/// A client that is connected, as [`Connection`] would hear of it.
pub(crate) fn connect(stats: &Arc<Stats>) -> Connection {
    let who = setup::Client {
        flags: 0,
        vendor: "acme".to_owned(),
        hardware: "digger".to_owned(),
        firmware: "1".to_owned(),
        device_id: "7".to_owned(),
    };
    stats.connect(([127, 0, 0, 1], 4444).into(), who)
}

/// Opens a channel that says it does a million hashes a second.
pub(crate) fn open(connection: &mut Connection, channel_id: u32, user: &str, kind: ChannelKind) {
    let opening = Opening {
        channel_id,
        group_id: 1,
        user_identity: user.to_owned(),
        payout: Payout::Pool,
        kind,
        extranonce_prefix: vec![1, 2, 3, 4, 0, channel_id as u8],
    };
    let target = Target::one_in(1e7).unwrap();
    connection.opened(opening, Terms::declared(1e6, target, Target::MAX));
}

/// A share of a kind that takes ten million hashes, and one that twenty million were needed for.
pub(crate) fn share() -> ([u8; 32], f64) {
    (Target::one_in(2e7).unwrap().to_le_bytes(), 1e7)
}

pub(crate) fn worker(name: &str) -> Worker {
    Worker {
        name: name.into(),
        accepted: 0,
        rejected: 0,
        hashes: 0.0,
    }
}

#[test]
fn a_share_counts_for_its_worker_its_channel_and_its_client() {
    let stats = Arc::new(Stats::default());
    let mut connection = connect(&stats);
    open(&mut connection, 2, "a", ChannelKind::Standard);
    open(&mut connection, 3, "b", ChannelKind::Standard);
    connection.accepted((2, 41), share(), Some(&worker("w")));
    connection.accepted((2, 42), share(), None);
    connection.rejected(2, error_code::STALE_SHARE, Some(&worker("w")));
    connection.found_block(2);

    let client = stats.client(connection.client_id()).unwrap();
    let channel = client.channel(2).unwrap();
    for sums in [client.shares.sums(), channel.shares.sums(), stats.sums()] {
        assert_eq!((sums.accepted, sums.blocks), (2, 1));
        assert!((sums.hashes - 2e7).abs() < 1.0);
        assert_eq!(
            sums.by_reason().collect::<Vec<_>>(),
            [(error_code::STALE_SHARE, 1)]
        );
        assert!((sums.acceptance().unwrap() - 2.0 / 3.0).abs() < 1e-9);
        assert!((sums.best * 4_295_032_833.0 / 2e7 - 1.0).abs() < 1e-6);
        assert!(sums.last_ms > 0);
    }
    assert_eq!(channel.sequence_number.get(), 42);
    let workers = channel.workers();
    let [(name, shares)] = &workers[..] else {
        panic!("{workers:?}");
    };
    assert_eq!(&**name, "w");
    assert_eq!((shares.sums().accepted, shares.sums().rejected()), (1, 1));
    assert_eq!(client.channel(3).unwrap().shares.sums(), Sums::default());
}

#[test]
fn a_share_for_no_channel_counts_for_its_client() {
    let stats = Arc::new(Stats::default());
    let mut connection = connect(&stats);
    open(&mut connection, 2, "a", ChannelKind::Standard);
    connection.closed(2);
    for channel_id in [2, 99] {
        connection.rejected(channel_id, error_code::INVALID_CHANNEL_ID, None);
    }
    assert_eq!(stats.sums().rejected(), 2);
    assert_eq!(connection.client().open().channels(), 0);
}

#[test]
fn every_reason_there_is_has_a_count_of_its_own() {
    let published = include_str!("../../../../docs/error-codes.md");
    let rows = published
        .lines()
        .skip_while(|row| !row.starts_with("| SubmitShares.Error"))
        .enumerate()
        .take_while(|(at, row)| *at == 0 || row.starts_with("| |"));
    let codes: Vec<&str> = rows
        .map(|(_, row)| row.split('`').nth(1).unwrap())
        .collect();
    assert!(codes.len() > 5, "{codes:?}");
    for code in codes {
        assert!(REASONS.contains(&code), "{code}");
    }
    let stats = Arc::new(Stats::default());
    let mut connection = connect(&stats);
    let unheard_of: ErrorCode = "unheard-of";
    connection.rejected(1, unheard_of, None);
    assert_eq!(stats.sums().by_reason().collect::<Vec<_>>(), [("other", 1)]);
}

#[test]
fn what_a_client_repeats_does_not_undo_what_its_shares_have_shown() {
    let stats = Arc::new(Stats::default());
    let mut connection = connect(&stats);
    open(&mut connection, 2, "a", ChannelKind::Standard);
    let channel = connection.client().channel(2).unwrap();
    let [easy, hard] = [1e6, 1e9].map(|hashes| Target::one_in(hashes).unwrap());
    let steps = [
        (None, 5e6, hard, hard),
        (Some(1e6), 5e6, hard, hard),
        (Some(3e6), 3e6, easy, hard),
    ];
    for (declared, believed, target, max) in steps {
        match declared {
            None => connection.retargeted(2, believed, target),
            Some(rate) => connection.updated(2, Terms::declared(rate, target, max)),
        }
        let terms = channel.terms();
        assert!((terms.believed - believed).abs() < 1.0, "{terms:?}");
        assert_eq!(terms.target, target);
    }
    assert_eq!(channel.terms().max_target, hard);
}

#[test]
fn clients_are_listed_as_long_as_they_are_connected_and_their_ids_are_not_used_again() {
    let stats = Arc::new(Stats::default());
    let first = connect(&stats);
    let second = connect(&stats);
    let ids = || {
        stats
            .clients()
            .iter()
            .map(|client| client.id)
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(), [1, 2]);
    drop(first);
    assert_eq!(ids(), [2]);
    drop(second);
    let _third = connect(&stats);
    assert_eq!(ids(), [3]);
    assert!(stats.client(1).is_none());
}

#[test]
fn the_sums_never_fall_whoever_comes_and_goes_meanwhile() {
    const MINERS: u64 = 4;
    const VISITS: u64 = 200;
    const SHARES: u64 = 20;
    let stats = Arc::new(Stats::default());
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let looker = scope.spawn(|| {
            let mut before = Sums::default();
            while !done.load(Ordering::Acquire) {
                let sums = stats.sums();
                assert!(sums.accepted >= before.accepted, "{before:?} {sums:?}");
                assert!(sums.rejected() >= before.rejected());
                before = sums;
            }
        });
        let miners: Vec<_> = (0..MINERS)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..VISITS {
                        let mut connection = connect(&stats);
                        open(&mut connection, 2, "a", ChannelKind::Standard);
                        for number in 0..SHARES {
                            connection.accepted((2, number as u32), share(), None);
                            connection.rejected(2, error_code::STALE_SHARE, None);
                        }
                        connection.closed(2);
                    }
                })
            })
            .collect();
        for miner in miners {
            miner.join().unwrap();
        }
        done.store(true, Ordering::Release);
        looker.join().unwrap();
    });
    let sums = stats.sums();
    let all = MINERS * VISITS * SHARES;
    assert_eq!((sums.accepted, sums.rejected()), (all, all));
    assert!(stats.clients().is_empty());
}
