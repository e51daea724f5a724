//! `pool ledger …`, as people call it.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use bitcoin::BlockHash;
use bitcoin::hashes::Hash;
use ledger::{Outcome, Record, Settings, Share, Source};
use rusqlite::Connection;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

fn pool(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pool"));
    command.args(args).output().unwrap()
}

/// A ledger with one accepted share of alice, closed.
fn ledger(directory: &Path) {
    let settings = Settings {
        directory: directory.to_owned(),
        keep: 1 << 30,
    };
    let (_, recorders, closed) = ledger::open(&settings, 1, CancellationToken::new()).unwrap();
    let mut recorder = recorders.recorder();
    let peer = ([10, 10, 0, 10], 50_000).into();
    let source = Source::new(peer, 2, "alice".to_owned(), None);
    recorder.record(Record::Share(Share {
        source: Arc::new(source),
        time_ms: 1_700_000_000_001,
        job_id: 1,
        outcome: Outcome::Accepted {
            hash: BlockHash::from_byte_array([7; 32]),
            hashes: 1.0,
        },
    }));
    recorder.hand_over();
    drop((recorder, recorders));
    closed.blocking_recv().unwrap();
}

#[test]
fn verify_says_what_it_checked_and_exits_with_1_when_something_is_wrong() {
    let directory = TempDir::new().unwrap();
    ledger(directory.path());
    let shown = directory.path().to_str().unwrap();
    let verified = pool(&["ledger", "verify", "--directory", shown]);
    assert_eq!(verified.status.code(), Some(0), "{verified:?}");
    let said = String::from_utf8(verified.stdout).unwrap();
    assert!(said.contains("1 commits with 1 shares accepted"), "{said}");
    assert!(said.ends_with("nothing is wrong\n"), "{said}");

    let database = Connection::open(directory.path().join("ledger.sqlite")).unwrap();
    database
        .execute("UPDATE workers SET accepted = 2", [])
        .unwrap();
    let verified = pool(&["ledger", "verify", "--directory", shown]);
    assert_eq!(verified.status.code(), Some(1), "{verified:?}");
    let said = String::from_utf8(verified.stdout).unwrap();
    assert!(said.contains("wrong: user \"alice\""), "{said}");
}

#[test]
fn export_writes_what_was_asked_for() {
    let directory = TempDir::new().unwrap();
    ledger(directory.path());
    let shown = directory.path().to_str().unwrap();
    let table: [(&[&str], &str); 5] = [
        (&["--csv"], "time_ms,user,worker"),
        (&["--csv", "--shares"], "time_ms,user,worker"),
        (&["--csv", "--blocks"], "hash,height,time_ms"),
        (&["--csv", "--minutes"], "minute_ms,accepted"),
        (&["--json", "--workers"], "[\n{\"user\":\"alice\","),
    ];
    for (args, begin) in table {
        let exported = pool(&[&["ledger", "export", "--directory", shown], args].concat());
        assert_eq!(exported.status.code(), Some(0), "{exported:?}");
        let text = String::from_utf8(exported.stdout).unwrap();
        assert!(text.starts_with(begin), "{text}");
    }
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let directory = TempDir::new().unwrap();
    let shown = directory.path().to_str().unwrap();
    for args in [&["export"][..], &["export", "--csv", "--json"], &[]] {
        let refused = pool(&[&["ledger", "--directory", shown], args].concat());
        assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    }
    let no_ledger = pool(&["ledger", "verify", "--directory", shown]);
    assert_eq!(no_ledger.status.code(), Some(1), "{no_ledger:?}");
    let no_configuration = pool(&["ledger", "verify"]);
    assert_eq!(
        no_configuration.status.code(),
        Some(64),
        "{no_configuration:?}"
    );
}
