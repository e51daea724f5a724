use std::path::Path;

use rusqlite::Connection;
use tempfile::TempDir;

use super::samples::{accepted, found, judged, rejected, source};
use super::*;

fn opened(directory: &Path) -> (Ledger, Recorders, Closed) {
    let settings = Settings {
        directory: directory.to_owned(),
        keep: 1 << 30,
    };
    open(&settings, 2, CancellationToken::new()).unwrap()
}

/// Records of one of each kind.
fn some() -> [Record; 4] {
    let alice = source(2, "alice", None);
    [
        found(&alice, 1, Origin::Template(7)),
        accepted(&alice, 1),
        rejected(&alice, "stale-share"),
        judged(1, Verdict::Accepted, None),
    ]
}

async fn record(recorder: &mut Recorder, records: impl IntoIterator<Item = Record>) -> u64 {
    records
        .into_iter()
        .for_each(|record| recorder.record(record));
    recorder.hand_over();
    recorder.recorded().await
}

#[tokio::test]
async fn what_is_recorded_is_shown() {
    let directory = TempDir::new().unwrap();
    let (ledger, recorders, _closed) = opened(directory.path());
    let mut commits = ledger.subscribe();
    let mut recorder = recorders.recorder();
    assert_eq!(record(&mut recorder, some()).await, 1);
    let commit = commits.recv().await.unwrap();
    let shown = serde_json::to_value(&*commit).unwrap();
    let kinds = ["found", "share", "share", "judged"];
    for (record, kind) in shown.as_array().unwrap().iter().zip(kinds) {
        assert_eq!(record["event"], kind);
    }
    assert_eq!(shown[0]["user"], "alice");
    assert_eq!(shown[0]["template_id"], 7);
    assert_eq!(shown[2]["reason"], "stale-share");

    let mut totals = ledger.totals.clone();
    let totals = totals
        .wait_for(|totals| totals.accepted == 1)
        .await
        .unwrap()
        .clone();
    assert_eq!(totals.rejected["stale-share"], 1);
    assert_eq!((totals.blocks, totals.verdicts[&Verdict::Accepted]), (1, 1));
    let outcomes: Vec<bool> = ledger
        .recent()
        .iter()
        .map(|share| matches!(share.outcome, Outcome::Accepted { .. }))
        .collect();
    assert_eq!(outcomes, [false, true], "the newest first");
    let blocks = ledger
        .history(|history| history.blocks(0, 10))
        .await
        .unwrap();
    assert_eq!(
        (blocks[0].share, blocks[0].verdict),
        (Some(1), Some(Verdict::Accepted))
    );
}

#[tokio::test]
async fn a_recorder_counts_the_accepted_shares_that_are_durable() {
    let directory = TempDir::new().unwrap();
    let (_ledger, recorders, _closed) = opened(directory.path());
    let mut recorder = recorders.recorder();
    let alice = source(2, "alice", None);
    assert_eq!(record(&mut recorder, [accepted(&alice, 1)]).await, 1);
    assert_eq!(
        record(&mut recorder, [rejected(&alice, "stale-share")]).await,
        1
    );
    let two = [accepted(&alice, 2), accepted(&alice, 3)];
    assert_eq!(record(&mut recorder, two).await, 3);
    // What came while a batch was on its way follows it without a word.
    recorder.record(accepted(&alice, 4));
    recorder.hand_over();
    recorder.record(accepted(&alice, 5));
    recorder.hand_over();
    assert_eq!(recorder.recorded().await, 4);
    assert_eq!(recorder.recorded().await, 5);
}

#[tokio::test]
async fn a_recorder_is_full_until_its_records_are_durable() {
    let directory = TempDir::new().unwrap();
    let (_ledger, recorders, _closed) = opened(directory.path());
    let mut recorder = recorders.recorder();
    let alice = source(2, "alice", None);
    assert!(!recorder.has_much());
    for number in 0..1999 {
        recorder.record(accepted(&alice, number));
    }
    assert!(!recorder.is_full() && recorder.has_much());
    recorder.record(rejected(&alice, "stale-share"));
    assert!(recorder.is_full());
    recorder.hand_over();
    assert!(recorder.is_full());
    recorder.recorded().await;
    assert!(!recorder.is_full());
}

#[tokio::test]
async fn a_ledger_closes_when_nobody_records_and_has_everything() {
    let directory = TempDir::new().unwrap();
    let (_ledger, recorders, closed) = opened(directory.path());
    let mut recorder = recorders.recorder();
    some()
        .into_iter()
        .for_each(|record| recorder.record(record));
    recorder.hand_over();
    recorder.record(accepted(&source(2, "alice", None), 2));
    recorder.finish().await;
    drop(recorders);
    closed.await.unwrap();
    let report = verify(directory.path()).unwrap();
    assert_eq!(report.faults, Vec::<String>::new());
    assert_eq!((report.accepted, report.ahead), (2, 0));
    let (ledger, ..) = opened(directory.path());
    assert_eq!(ledger.totals().borrow().accepted, 2);
    assert_eq!(ledger.recent().len(), 3);
}

#[tokio::test]
async fn shares_are_recorded_while_somebody_locks_the_database() {
    let directory = TempDir::new().unwrap();
    let (ledger, recorders, closed) = opened(directory.path());
    let other = Connection::open(database::path(directory.path())).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut recorder = recorders.recorder();
    assert_eq!(record(&mut recorder, some()).await, 1);
    let trouble = ledger
        .trouble()
        .wait_for(Option::is_some)
        .await
        .unwrap()
        .clone();
    let expected = format!(
        "cannot update {}: database is locked; shares are recorded, but totals stand still",
        database::path(directory.path()).display()
    );
    assert_eq!(trouble, Some(expected));
    assert_eq!(record(&mut recorder, some()).await, 2);
    assert_eq!(ledger.totals().borrow().accepted, 0);
    other.execute_batch("COMMIT").unwrap();
    drop((recorder, recorders));
    closed.await.unwrap();
    assert_eq!(*ledger.trouble().borrow(), None);
    assert_eq!(ledger.totals().borrow().accepted, 2);
}
