use tempfile::TempDir;

use super::super::history::History;
use super::super::recovery;
use super::super::samples::{accepted, commit, ledger, source};
use super::super::verify::verify;
use super::*;

/// A ledger with a segment that may go, and the current one.
fn two_segments(directory: &Path) -> Database {
    drop(ledger(directory));
    let mut opened = recovery::open(directory).unwrap();
    opened.log.rotate().unwrap();
    let alice = source(2, "alice", None);
    commit(&mut opened.log, &[accepted(&alice, 7)]);
    let mut tally = Tally::after(6);
    tally.add(&accepted(&alice, 7));
    opened
        .database
        .roll_up(&tally, opened.log.position())
        .unwrap();
    opened.database
}

fn segments(directory: &Path) -> Vec<u32> {
    let segments = segment::list(directory).unwrap();
    segments.into_iter().map(|(number, _)| number).collect()
}

#[test]
fn the_oldest_segments_go_and_what_is_left_can_be_verified() {
    let directory = TempDir::new().unwrap();
    let mut database = two_segments(directory.path());
    trim(directory.path(), 0, 2, &mut database).unwrap();
    assert_eq!(segments(directory.path()), [2]);
    let report = verify(directory.path()).unwrap();
    assert_eq!(report.faults, Vec::<String>::new());
    assert_eq!((report.accepted, report.workers), (1, 3));
    drop(database);
    let opened = recovery::open(directory.path()).unwrap();
    assert_eq!(opened.totals.accepted, 7);
}

#[test]
fn what_is_within_the_limit_stays() {
    let directory = TempDir::new().unwrap();
    let mut database = two_segments(directory.path());
    trim(directory.path(), 1 << 20, 2, &mut database).unwrap();
    assert_eq!(segments(directory.path()), [1, 2]);
}

#[test]
fn a_segment_stays_while_somebody_reads_an_older_state() {
    let directory = TempDir::new().unwrap();
    let mut database = two_segments(directory.path());
    let reader = History::open(directory.path()).unwrap();
    reader.totals().unwrap();
    trim(directory.path(), 0, 2, &mut database).unwrap();
    assert_eq!(segments(directory.path()), [1, 2]);
    drop(reader);
    trim(directory.path(), 0, 2, &mut database).unwrap();
    assert_eq!(segments(directory.path()), [2]);
}

#[test]
fn a_segment_noted_as_gone_goes_when_the_ledger_is_opened() {
    let directory = TempDir::new().unwrap();
    let mut database = two_segments(directory.path());
    let tally = read(directory.path(), 1).unwrap();
    database.archive(1, &tally).unwrap();
    drop(database);
    // The lock went with the log in `two_segments`.
    assert_eq!(segments(directory.path()), [1, 2]);
    drop(recovery::open(directory.path()).unwrap());
    assert_eq!(segments(directory.path()), [2]);
    assert_eq!(
        verify(directory.path()).unwrap().faults,
        Vec::<String>::new()
    );
}

#[test]
fn a_damaged_segment_is_not_thrown_away() {
    let directory = TempDir::new().unwrap();
    let mut database = two_segments(directory.path());
    let path = segment::path(directory.path(), 1);
    let mut bytes = fs::read(&path).unwrap();
    bytes[100] ^= 1;
    fs::write(&path, &bytes).unwrap();
    trim(directory.path(), 0, 2, &mut database).unwrap_err();
    assert_eq!(segments(directory.path()), [1, 2]);
    assert_eq!(database.archived().unwrap(), 0);
}
