use std::time::Duration;

use ledger::{History, Settings};
use tempfile::TempDir;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::*;

/// Records with `fill` on a connection of its own, and reads the ledger afterwards.
async fn recorded(fill: impl FnOnce(&mut Recording)) -> (TempDir, History) {
    let directory = TempDir::new().unwrap();
    let settings = Settings {
        directory: directory.path().to_owned(),
        keep: 1 << 30,
    };
    let (_, recorders, closed) = ledger::open(&settings, 1, CancellationToken::new()).unwrap();
    let mut recording = Recording::new(([10, 10, 0, 10], 50_000).into(), recorders.recorder());
    drop(recorders);
    fill(&mut recording);
    recording.finish().await;
    closed.await.unwrap();
    let history = History::open(directory.path()).unwrap();
    (directory, history)
}

fn accepted(number: u8) -> Outcome {
    Outcome::Accepted {
        hash: BlockHash::from_byte_array([number; 32]),
        hashes: 2.0,
    }
}

#[tokio::test]
async fn shares_count_for_the_user_and_worker_that_sent_them() {
    let (_directory, history) = recorded(|recording| {
        let (rig, other): (Arc<str>, Arc<str>) = ("rig".into(), "other".into());
        recording.open(2, "alice");
        recording.open(3, "bob");
        recording.share(2, 1, Some(&rig), accepted(1));
        recording.share(2, 1, Some(&rig), accepted(2));
        recording.share(2, 1, Some(&other), accepted(3));
        recording.share(3, 1, None, accepted(4));
        // Sent for a channel that never was, and for one that is closed.
        let reason = || Outcome::Rejected {
            reason: "invalid-channel-id".into(),
        };
        recording.share(9, 1, None, reason());
        recording.take(&ServerEvent::Closed { channel_id: 3 });
        recording.share(3, 1, None, reason());
    })
    .await;
    let mut workers: Vec<_> = history
        .workers(0, 100)
        .unwrap()
        .into_iter()
        .map(|worker| {
            let rejected = worker.rejected.values().sum::<u64>();
            (worker.user, worker.worker, worker.accepted, rejected)
        })
        .collect();
    workers.sort();
    let expected = [
        ("", None, 0, 2),
        ("alice", Some("other"), 1, 0),
        ("alice", Some("rig"), 2, 0),
        ("bob", None, 1, 0),
    ];
    let expected = expected.map(|(user, worker, accepted, rejected)| {
        (
            user.to_owned(),
            worker.map(str::to_owned),
            accepted,
            rejected,
        )
    });
    assert_eq!(workers, expected);
}

#[tokio::test]
async fn a_block_is_recorded_with_its_story_and_the_share_that_it_is() {
    let (_directory, history) = recorded(|recording| {
        let rig: Arc<str> = "rig".into();
        recording.open(2, "alice");
        recording.share(2, 4, None, accepted(1));
        let source = recording.source(2, Some(&rig));
        let block = ([2; 32], Some(102));
        recording.found(source, 5, block, Origin::Declared(vec![0xab]));
        recording.share(2, 5, Some(&rig), accepted(2));
        // One that misses the channel's target is no share (POOL-59).
        let source = recording.source(2, None);
        recording.found(source, 6, ([3; 32], None), Origin::Template(7));
    })
    .await;
    let blocks = history.blocks(0, 100).unwrap();
    let [second, first] = &blocks[..] else {
        panic!("not two blocks: {blocks:?}");
    };
    assert_eq!(
        (&*first.user, first.worker.as_deref()),
        ("alice", Some("rig"))
    );
    assert_eq!((first.height, first.share), (Some(102), Some(2)));
    assert_eq!((first.channel_id, first.job_id), (2, 5));
    assert_eq!(first.token.as_deref(), Some("ab"));
    assert_eq!(first.peer, "10.10.0.10:50000");
    assert_eq!((second.template_id, second.share), (Some(7), None));
    assert_eq!((second.verdict, second.worker.as_deref()), (None, None));
}

#[tokio::test]
async fn a_share_waits_in_memory_until_somebody_waits_for_it() {
    let directory = TempDir::new().unwrap();
    let settings = Settings {
        directory: directory.path().to_owned(),
        keep: 1 << 30,
    };
    let (_ledger, recorders, _closed) =
        ledger::open(&settings, 1, CancellationToken::new()).unwrap();
    let mut recording = Recording::new(([10, 10, 0, 10], 50_000).into(), recorders.recorder());
    recording.open(2, "alice");
    recording.share(2, 1, None, accepted(1));
    recording.stepped();
    // Nothing is on its way, so there is nothing that time could change.
    timeout(Duration::ZERO, recording.recorded())
        .await
        .unwrap_err();
    recording.share(2, 1, None, accepted(2));
    recording.take(&ServerEvent::RecordAwaited(2));
    recording.stepped();
    assert_eq!(recording.recorded().await, 2);
    recording.take(&ServerEvent::Rejected {
        channel_id: 2,
        job_id: 1,
        code: "stale-share",
        worker: None,
    });
    recording.stepped();
    assert_eq!(recording.recorded().await, 2);
    // Much goes by itself.
    for number in 0..500 {
        recording.share(2, 1, None, accepted(number as u8));
        recording.stepped();
    }
    assert_eq!(recording.recorded().await, 502);
}
