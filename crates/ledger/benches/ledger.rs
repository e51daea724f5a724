//! What it costs to record a share: as a row in SQLite, and in the ledger's log.
//!
//! `cargo bench -p ledger`; the column of items per second counts shares. `TMPDIR`
//! says on which disk: on one that syncs in no time (`/dev/shm`) only the processor is left.

#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]

use std::net::SocketAddr;
use std::sync::Arc;

use bitcoin::BlockHash;
use bitcoin::hashes::Hash;
use divan::Bencher;
use divan::counter::ItemsCount;
use ledger::{Outcome, Record, Recorder, Settings, Share, Source};
use rusqlite::{Connection, params};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

fn main() {
    divan::main();
}

/// Shares that become durable together.
const COMMITS: [usize; 4] = [1, 10, 100, 1000];

fn source(channel_id: u32) -> Arc<Source> {
    let peer = SocketAddr::from(([10, 10, 0, 10], 50_000));
    Arc::new(Source::new(
        peer,
        channel_id,
        format!("miner{channel_id}"),
        None,
    ))
}

fn share(source: &Arc<Source>, number: u64) -> Record {
    let mut hash = [7; 32];
    hash[..8].copy_from_slice(&number.to_le_bytes());
    Record::Share(Share {
        source: Arc::clone(source),
        time_ms: 1_700_000_000_000 + number,
        job_id: 1,
        outcome: Outcome::Accepted {
            hash: BlockHash::from_byte_array(hash),
            hashes: 4_295_032_833.0,
        },
    })
}

#[divan::bench(args = COMMITS)]
fn rows(bencher: Bencher, commit: usize) {
    let directory = TempDir::new().unwrap();
    let mut database = Connection::open(directory.path().join("rows.sqlite")).unwrap();
    database.pragma_update(None, "journal_mode", "wal").unwrap();
    database.pragma_update(None, "synchronous", "full").unwrap();
    let schema = "CREATE TABLE shares (id INTEGER PRIMARY KEY, time_ms INTEGER, channel INTEGER,
                      job INTEGER, hash BLOB, hashes REAL);
                  CREATE TABLE workers (id INTEGER PRIMARY KEY, accepted INTEGER, hashes REAL);
                  INSERT INTO workers VALUES (1, 0, 0);";
    database.execute_batch(schema).unwrap();
    let mut number = 0u64;
    bencher.counter(ItemsCount::new(commit)).bench_local(|| {
        let transaction = database.transaction().unwrap();
        let mut add = transaction
            .prepare_cached(
                "INSERT INTO shares (time_ms, channel, job, hash, hashes) VALUES (?, 1, 1, ?, ?)",
            )
            .unwrap();
        for _ in 0..commit {
            number += 1;
            let hash = [number.to_le_bytes(); 4].concat();
            add.execute(params![number, hash, 1.0]).unwrap();
        }
        drop(add);
        let sum = "UPDATE workers SET accepted = accepted + ?, hashes = hashes + ? WHERE id = 1";
        transaction
            .prepare_cached(sum)
            .unwrap()
            .execute(params![commit, 1.0])
            .unwrap();
        transaction.commit().unwrap();
    });
}

#[divan::bench(args = COMMITS)]
fn log(bencher: Bencher, commit: usize) {
    path(bencher, 1, commit);
}

/// As many connections, each with a batch of ten.
#[divan::bench(args = [10, 100, 500])]
fn connections(bencher: Bencher, connections: usize) {
    path(bencher, connections, 10);
}

/// All of the way: into recorders, to the disk, and the word back to each connection.
fn path(bencher: Bencher, connections: usize, batch: usize) {
    let directory = TempDir::new().unwrap();
    let settings = Settings {
        directory: directory.path().join("ledger"),
        keep: 64 << 20,
    };
    let runtime = Runtime::new().unwrap();
    let (_ledger, recorders, _closed) =
        ledger::open(&settings, connections, CancellationToken::new()).unwrap();
    let mut all: Vec<(Recorder, Arc<Source>)> = (0..connections)
        .map(|index| (recorders.recorder(), source(index as u32)))
        .collect();
    let mut number = 0;
    bencher
        .counter(ItemsCount::new(connections * batch))
        .bench_local(|| {
            runtime.block_on(async {
                for (recorder, source) in &mut all {
                    for _ in 0..batch {
                        number += 1;
                        recorder.record(share(source, number));
                    }
                    recorder.hand_over();
                }
                for (recorder, _) in &mut all {
                    recorder.recorded().await;
                }
            });
        });
}
