//! Records for tests.

use std::path::Path;
use std::sync::Arc;

use bitcoin::BlockHash;
use bitcoin::hashes::Hash;

use crate::database::Database;
use crate::log::Log;
use crate::record::{Found, Judged, Origin, Outcome, Record, Share, Source, Verdict};
use crate::recovery::{self, Opened};
use crate::tally::Tally;

pub(crate) fn source(channel_id: u32, user: &str, worker: Option<&str>) -> Arc<Source> {
    let peer = ([10, 10, 0, 10], 50_000).into();
    Arc::new(Source::new(
        peer,
        channel_id,
        user.to_owned(),
        worker.map(str::to_owned),
    ))
}

pub(crate) fn hash(number: u64) -> BlockHash {
    let mut bytes = [7; 32];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    BlockHash::from_byte_array(bytes)
}

pub(crate) fn accepted(source: &Arc<Source>, number: u64) -> Record {
    Record::Share(Share {
        source: Arc::clone(source),
        time_ms: 1_700_000_000_000 + number * 1000,
        job_id: 3,
        outcome: Outcome::Accepted {
            hash: hash(number),
            hashes: 1000.5,
        },
    })
}

pub(crate) fn rejected(source: &Arc<Source>, reason: &'static str) -> Record {
    Record::Share(Share {
        source: Arc::clone(source),
        time_ms: 1_700_000_000_000,
        job_id: 3,
        outcome: Outcome::Rejected {
            reason: reason.into(),
        },
    })
}

pub(crate) fn found(source: &Arc<Source>, number: u64, origin: Origin) -> Record {
    Record::Found(Box::new(Found {
        hash: hash(number),
        height: Some(102),
        source: Arc::clone(source),
        time_ms: 1_700_000_000_000,
        job_id: 3,
        origin,
    }))
}

pub(crate) fn judged(number: u64, verdict: Verdict, reason: Option<&str>) -> Record {
    Record::Judged(Box::new(Judged {
        hash: hash(number),
        time_ms: 1_700_000_000_500,
        verdict,
        reason: reason.map(str::to_owned),
    }))
}

pub(crate) fn commit(log: &mut Log, records: &[Record]) {
    records.iter().for_each(|record| log.stage(record));
    log.commit().unwrap();
}

/// A ledger with 4 accepted and 2 rejected shares of 3 workers and one block, rolled up, and behind
/// that a commit with 2 accepted ones, which is not.
pub(crate) fn ledger(directory: &Path) -> (Log, Database) {
    let Opened {
        mut log,
        mut database,
        ..
    } = recovery::open(directory).unwrap();
    let (alice, rig) = (source(2, "alice", None), source(3, "bob", Some("rig,1")));
    let first = [
        accepted(&alice, 1),
        rejected(&alice, "stale-share"),
        found(&rig, 2, Origin::Template(7)),
        accepted(&rig, 2),
    ];
    let second = [
        judged(2, Verdict::Accepted, None),
        accepted(&alice, 3),
        accepted(&alice, 4),
        rejected(&source(2, "\"carol\"", None), "stale-share"),
    ];
    let mut tally = Tally::after(0);
    for records in [&first, &second] {
        commit(&mut log, records);
        records.iter().for_each(|record| tally.add(record));
    }
    database.roll_up(&tally, log.position()).unwrap();
    commit(&mut log, &[accepted(&alice, 5), accepted(&rig, 6)]);
    (log, database)
}
