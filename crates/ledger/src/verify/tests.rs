use std::fs;

use rusqlite::Connection;
use tempfile::TempDir;

use super::super::samples::ledger;
use super::super::segment;
use super::*;

#[test]
fn a_ledger_that_fits_has_no_faults_though_the_database_is_behind() {
    let directory = TempDir::new().unwrap();
    let _open = ledger(directory.path());
    let report = verify(directory.path()).unwrap();
    let expected = "log: 3 commits with 4 shares accepted, 2 rejected, 1 blocks; checksums and \
                    numbers checked\n\
                    database: 3 workers compared with the log, 1 commits to follow\n\
                    nothing is wrong\n";
    assert_eq!(report.to_string(), expected);
}

#[test]
fn whatever_is_changed_in_the_database_is_found() {
    let table = [
        (
            "UPDATE workers SET accepted = accepted + 1 WHERE user = 'alice'",
            "user \"alice\", worker \"\": 4 shares accepted in the database, 3 in the log",
        ),
        (
            "UPDATE workers SET hashes = hashes * 1.01 WHERE user = 'bob'",
            "user \"bob\", worker \"rig,1\": 1010.505 hashes in the database, 1000.5 in the log",
        ),
        (
            "UPDATE workers SET rejected = 0 WHERE user = 'alice'",
            "user \"alice\", worker \"\": 0 shares rejected in the database, 1 in the log",
        ),
        (
            "DELETE FROM workers WHERE user = 'bob'",
            "1 workers are in the log only",
        ),
        (
            "INSERT INTO workers VALUES (9, 'mallory', '', 5, 0, 1.0, 0)",
            "user \"mallory\", worker \"\": 5 shares accepted in the database, 0 in the log",
        ),
        (
            "UPDATE minutes SET accepted = accepted + 1",
            "accepted shares: the sum of workers.accepted is 4, of minutes.accepted 5",
        ),
        (
            "DELETE FROM rejections",
            "rejected shares: the sum of workers.rejected is 2, of rejections.shares 0",
        ),
        ("DELETE FROM blocks", "is in the log only"),
        (
            "UPDATE blocks SET verdict = 'stale'",
            "is stale in the database, accepted in the log",
        ),
        (
            "UPDATE position SET next_commit = 9",
            "counted up to commit 8 in segment 1 of the log, but that is not there",
        ),
        (
            "UPDATE position SET offset = 99",
            "they do not belong together",
        ),
    ];
    for (change, expected) in table {
        let directory = TempDir::new().unwrap();
        drop(ledger(directory.path()));
        let connection = Connection::open(database::path(directory.path())).unwrap();
        connection
            .pragma_update(None, "foreign_keys", false)
            .unwrap();
        connection.execute(change, []).unwrap();
        let report = verify(directory.path()).unwrap();
        let found = report.faults.iter().any(|fault| fault.contains(expected));
        assert!(found, "{change}: {report}");
        assert!(report.to_string().contains("wrong: "));
    }
}

#[test]
fn a_wrong_byte_in_the_log_is_found() {
    let directory = TempDir::new().unwrap();
    drop(ledger(directory.path()));
    let path = segment::path(directory.path(), 1);
    let mut bytes = fs::read(&path).unwrap();
    bytes[100] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let report = verify(directory.path()).unwrap();
    let [fault] = &*report.faults else {
        panic!("{report}");
    };
    assert!(
        fault.contains("commit 1 does not match its checksum"),
        "{fault}"
    );
}

#[test]
fn what_is_no_ledger_is_an_error() {
    let directory = TempDir::new().unwrap();
    let error = format!("{:#}", verify(directory.path()).unwrap_err());
    assert!(
        error.starts_with(&database::path(directory.path()).display().to_string()),
        "{error}"
    );
}
