use std::fs::OpenOptions;

use rusqlite::Connection;
use tempfile::TempDir;

use super::super::database;
use super::super::samples::{accepted, commit, ledger, source};
use super::super::segment::HEADER_LEN;
use super::super::verify::verify;
use super::*;

/// Opens and closes the ledger; what it holds then must fit together.
fn accepted_after(directory: &Path) -> u64 {
    let opened = open(directory).unwrap();
    let accepted = opened.totals.accepted;
    drop(opened);
    let report = verify(directory).unwrap();
    assert_eq!(report.faults, Vec::<String>::new());
    assert_eq!(
        (report.accepted, report.ahead, report.torn),
        (accepted, 0, 0)
    );
    accepted
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[test]
fn what_the_log_has_beyond_the_database_is_added_once() {
    let directory = TempDir::new().unwrap();
    drop(ledger(directory.path()));
    for _ in 0..3 {
        assert_eq!(accepted_after(directory.path()), 6);
    }
}

#[test]
fn a_crash_at_any_byte_of_a_commit_loses_that_commit_alone() {
    let directory = TempDir::new().unwrap();
    let (log, database) = ledger(directory.path());
    let rolled_up = database.position().unwrap();
    let end = log.position();
    drop((log, database));
    for len in rolled_up.offset..=end.offset {
        let crashed = TempDir::new().unwrap();
        copy(directory.path(), crashed.path());
        let file = segment::path(crashed.path(), 1);
        let file = OpenOptions::new().write(true).open(file).unwrap();
        file.set_len(len).unwrap();
        let expected = if len == end.offset { 6 } else { 4 };
        assert_eq!(
            accepted_after(crashed.path()),
            expected,
            "cut at byte {len}"
        );
    }
}

#[test]
fn after_a_torn_commit_the_log_goes_on() {
    let directory = TempDir::new().unwrap();
    let (log, _) = ledger(directory.path());
    let end = log.position();
    drop(log);
    let file = segment::path(directory.path(), 1);
    let file = OpenOptions::new().write(true).open(file).unwrap();
    file.set_len(end.offset - 1).unwrap();
    let mut opened = open(directory.path()).unwrap();
    commit(&mut opened.log, &[accepted(&source(2, "alice", None), 7)]);
    drop(opened);
    assert_eq!(accepted_after(directory.path()), 5);
}

#[test]
fn a_lost_database_is_made_again_from_the_log() {
    let directory = TempDir::new().unwrap();
    drop(ledger(directory.path()));
    let before = open(directory.path()).unwrap().totals;
    fs::remove_file(database::path(directory.path())).unwrap();
    assert_eq!(open(directory.path()).unwrap().totals, before);
    assert_eq!(accepted_after(directory.path()), 6);
}

#[test]
fn sums_follow_the_log_over_the_end_of_a_segment() {
    let directory = TempDir::new().unwrap();
    let (mut log, _) = ledger(directory.path());
    // As a pool never does: the database is not up to date, and sources get other numbers.
    log.rotate().unwrap();
    let carol = source(9, "carol", None);
    commit(&mut log, &[accepted(&carol, 8), accepted(&carol, 9)]);
    drop(log);
    assert_eq!(accepted_after(directory.path()), 8);
}

#[test]
fn a_segment_that_a_crash_kept_from_beginning_is_begun_again() {
    for len in [0, 5, HEADER_LEN - 1] {
        let directory = TempDir::new().unwrap();
        drop(ledger(directory.path()));
        let unborn = segment::path(directory.path(), 2);
        fs::write(&unborn, &segment::header(2, 4)[..len]).unwrap();
        assert_eq!(accepted_after(directory.path()), 6);
        let mut log = open(directory.path()).unwrap().log;
        log.rotate().unwrap();
        commit(&mut log, &[accepted(&source(2, "alice", None), 8)]);
        drop(log);
        assert_eq!(accepted_after(directory.path()), 7);
    }
}

#[test]
fn the_newest_shares_are_remembered() {
    let directory = TempDir::new().unwrap();
    drop(ledger(directory.path()));
    let recent = open(directory.path()).unwrap().recent;
    let users: Vec<&str> = recent.iter().map(|share| &*share.source.user).collect();
    let expected = [
        "alice",
        "alice",
        "bob",
        "alice",
        "alice",
        "\"carol\"",
        "alice",
        "bob",
    ];
    assert_eq!(users, expected);
}

#[test]
fn a_directory_serves_one_pool() {
    let directory = TempDir::new().unwrap();
    let _first = open(directory.path()).unwrap();
    let error = open(directory.path()).unwrap_err().to_string();
    let expected = format!(
        "{}: process {} has it; every pool needs a directory of its own, see the key \
         ledger.directory",
        directory.path().display(),
        std::process::id()
    );
    assert_eq!(error, expected);
}

type Spoil = fn(&Path);

#[test]
fn a_log_and_a_database_that_do_not_belong_together_are_refused() {
    let spoil: [(Spoil, &str); 5] = [
        (
            |directory| fs::remove_file(segment::path(directory, 2)).unwrap(),
            "counted up to commit 4 in segment 2 of the log, but that is not there",
        ),
        (
            |directory| {
                fs::remove_file(segment::path(directory, 1)).unwrap();
                fs::remove_file(database::path(directory)).unwrap();
            },
            "segment 1 of the log is missing, but segment 2 is there",
        ),
        (
            |directory| {
                for number in [1, 2] {
                    fs::remove_file(segment::path(directory, number)).unwrap();
                }
            },
            "counted up to commit 4 in segment 2 of the log, but that is not there",
        ),
        (
            |directory| {
                let connection = Connection::open(database::path(directory)).unwrap();
                connection
                    .execute("UPDATE position SET offset = offset + 1", [])
                    .unwrap();
            },
            "they do not belong together",
        ),
        (
            |directory| {
                let path = segment::path(directory, 2);
                let mut bytes = fs::read(&path).unwrap();
                bytes[..HEADER_LEN].copy_from_slice(&segment::header(2, 5));
                fs::write(&path, &bytes).unwrap();
            },
            "commit 4 stands where 5 is due",
        ),
    ];
    for (spoil, expected) in spoil {
        let directory = TempDir::new().unwrap();
        drop(ledger(directory.path()));
        let mut opened = open(directory.path()).unwrap();
        opened.log.rotate().unwrap();
        commit(&mut opened.log, &[accepted(&source(2, "alice", None), 8)]);
        drop(opened);
        assert_eq!(accepted_after(directory.path()), 7);
        spoil(directory.path());
        let error = format!("{:#}", open(directory.path()).unwrap_err());
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_newer_schema_is_refused_and_an_older_one_is_brought_up_to_date() {
    let directory = TempDir::new().unwrap();
    drop(ledger(directory.path()));
    let path = database::path(directory.path());
    let set = |version| {
        let connection = Connection::open(&path).unwrap();
        connection
            .pragma_update(None, "user_version", version)
            .unwrap();
    };
    set(database::CURRENT + 1);
    let expected = format!(
        "{}: schema {} is newer than the {} that this program knows; use the program that wrote \
         it, or a newer one",
        path.display(),
        database::CURRENT + 1,
        database::CURRENT
    );
    let refused = format!("{:#}", open(directory.path()).unwrap_err());
    assert_eq!(refused, expected);
    let refused = format!("{:#}", verify(directory.path()).unwrap_err());
    assert_eq!(refused, expected);
    // Version 0 is an empty database: all migrations run.
    fs::remove_file(&path).unwrap();
    Connection::open(&path)
        .unwrap()
        .execute_batch("VACUUM")
        .unwrap();
    let refused = format!("{:#}", verify(directory.path()).unwrap_err());
    assert!(refused.ends_with("schema 0 is old; start a pool of this version on it once"));
    assert_eq!(accepted_after(directory.path()), 6);
}
