//! What people query: totals, minutes, blocks and workers, in SQLite.
//!
//! Sums and the place in the log up to which they count change in one transaction. SQLite need not
//! wait for the disk then: what a crash takes back is added again from the log.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use rusqlite::{CachedStatement, Connection, Transaction, params};

use crate::log::Position;
use crate::record::{Found, Judged};
use crate::tally::{FoundBlock, Sum, Tally};

/// Turns a database of the version that is its index into one of the next version.
const MIGRATIONS: &[&str] = &[include_str!("database/schema-1.sql")];

/// Marks the file as ours; `file` and others look there.
const APPLICATION_ID: i32 = i32::from_be_bytes(*b"SV2L");

/// How long the writer waits for somebody who holds the database locked.
const PATIENCE: Duration = Duration::from_millis(250);

/// The database's file in the ledger's directory.
pub(crate) fn path(directory: &Path) -> PathBuf {
    directory.join("ledger.sqlite")
}

/// Whether the version of `connection` is ours. An older one is 0 or what it was written with.
pub(crate) fn version(connection: &Connection) -> anyhow::Result<usize> {
    let version: usize = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let known = MIGRATIONS.len();
    if version > known {
        bail!(
            "schema {version} is newer than the {known} that this program knows; use the program \
             that wrote it, or a newer one"
        );
    }
    Ok(version)
}

/// The newest version, which everything but the migration works with.
pub(crate) const CURRENT: usize = MIGRATIONS.len();

/// The connection that writes.
#[derive(Debug)]
pub(crate) struct Database(Connection);

impl Database {
    /// Opens the database in `directory`; makes it, or brings it up to date, first.
    pub(crate) fn open(directory: &Path) -> anyhow::Result<Self> {
        let path = path(directory);
        let open = || -> anyhow::Result<Self> {
            let mut connection = Connection::open(&path)?;
            connection.busy_timeout(PATIENCE)?;
            connection.pragma_update(None, "journal_mode", "wal")?;
            connection.pragma_update(None, "synchronous", "normal")?;
            migrate(&mut connection)?;
            Ok(Self(connection))
        };
        open().with_context(|| path.display().to_string())
    }

    /// Up to where the log is counted.
    pub(crate) fn position(&self) -> rusqlite::Result<Position> {
        position(&self.0)
    }

    /// The newest segment whose file may be gone.
    pub(crate) fn archived(&self) -> rusqlite::Result<u32> {
        archived(&self.0)
    }

    /// For reading while nothing is written.
    pub(crate) fn connection(&self) -> &Connection {
        &self.0
    }

    /// Adds `tally`, which ends at `position`. Returns how many blocks were not known yet.
    pub(crate) fn roll_up(&mut self, tally: &Tally, position: Position) -> rusqlite::Result<u64> {
        let transaction = self.0.transaction()?;
        add_workers(
            &transaction,
            tally
                .sources
                .values()
                .map(|(source, sum)| ((&*source.user, source.worker.as_deref()), sum)),
        )?;
        add_minutes(&transaction, tally)?;
        let new_blocks = add_blocks(&transaction, &tally.found)?;
        add_verdicts(&transaction, &tally.judged)?;
        transaction
            .prepare_cached("UPDATE position SET segment = ?, offset = ?, next_commit = ?")?
            .execute(params![position.segment, position.offset, position.commit])?;
        transaction.commit()?;
        Ok(new_blocks)
    }

    /// Notes what workers did in `segment`, the oldest one.
    pub(crate) fn archive(&mut self, segment: u32, tally: &Tally) -> rusqlite::Result<()> {
        let transaction = self.0.transaction()?;
        {
            let mut add = transaction.prepare_cached(
                "INSERT INTO archive SELECT id, ?, ?, ? FROM workers WHERE user = ? AND worker = ?
                 ON CONFLICT DO UPDATE SET accepted = accepted + excluded.accepted,
                     rejected = rejected + excluded.rejected, hashes = hashes + excluded.hashes",
            )?;
            for (source, sum) in tally.sources.values() {
                let worker = source.worker.as_deref().unwrap_or_default();
                let (user, rejected) = (&source.user, sum.rejections());
                add.execute(params![sum.accepted, rejected, sum.hashes, user, worker])?;
            }
        }
        transaction.execute("UPDATE position SET archived = ?", [segment])?;
        transaction.commit()
    }

    /// Moves everything from the write-ahead log to the disk. `false` if somebody reads an older
    /// state.
    pub(crate) fn settle(&self) -> rusqlite::Result<bool> {
        let busy: bool = self
            .0
            .query_row("PRAGMA wal_checkpoint(truncate)", [], |row| row.get(0))?;
        Ok(!busy)
    }
}

/// Up to where the log is in the database of `connection`.
pub(crate) fn position(connection: &Connection) -> rusqlite::Result<Position> {
    connection.query_row(
        "SELECT segment, offset, next_commit FROM position",
        [],
        |row| {
            Ok(Position {
                segment: row.get(0)?,
                offset: row.get(1)?,
                commit: row.get(2)?,
            })
        },
    )
}

/// The newest segment whose file may be gone.
pub(crate) fn archived(connection: &Connection) -> rusqlite::Result<u32> {
    connection.query_row("SELECT archived FROM position", [], |row| row.get(0))
}

fn migrate(connection: &mut Connection) -> anyhow::Result<()> {
    let before = version(connection)?;
    let transaction = connection.transaction()?;
    for migration in &MIGRATIONS[before..] {
        transaction.execute_batch(migration)?;
    }
    if before < CURRENT {
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", CURRENT)?;
    }
    let start = Position::START;
    transaction.execute(
        "INSERT INTO position VALUES (1, ?, ?, ?, 0) ON CONFLICT DO NOTHING",
        params![start.segment, start.offset, start.commit],
    )?;
    transaction.commit()?;
    Ok(())
}

/// By user and worker.
type Named<'a> = (&'a str, Option<&'a str>);

fn add_workers<'a>(
    transaction: &Transaction<'_>,
    sums: impl Iterator<Item = (Named<'a>, &'a Sum)>,
) -> rusqlite::Result<()> {
    let mut add = transaction.prepare_cached(
        "INSERT INTO workers (user, worker, accepted, rejected, hashes, last_share_ms)
         VALUES (?, ?, ?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET accepted = accepted + excluded.accepted,
             rejected = rejected + excluded.rejected, hashes = hashes + excluded.hashes,
             last_share_ms = max(last_share_ms, excluded.last_share_ms)
         RETURNING id",
    )?;
    let mut reject = transaction.prepare_cached(
        "INSERT INTO rejections VALUES (?, ?, ?)
         ON CONFLICT DO UPDATE SET shares = shares + excluded.shares",
    )?;
    for ((user, worker), sum) in sums {
        let row = params![
            user,
            worker.unwrap_or_default(),
            sum.accepted,
            sum.rejections(),
            sum.hashes,
            sum.last_ms
        ];
        let id: i64 = add.query_row(row, |row| row.get(0))?;
        for (reason, count) in &sum.rejected {
            reject.execute(params![id, reason, count])?;
        }
    }
    Ok(())
}

fn add_minutes(transaction: &Transaction<'_>, tally: &Tally) -> rusqlite::Result<()> {
    let mut add = transaction.prepare_cached(
        "INSERT INTO minutes VALUES (?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET accepted = accepted + excluded.accepted,
             rejected = rejected + excluded.rejected, hashes = hashes + excluded.hashes",
    )?;
    for (minute, sum) in &tally.minutes {
        let minute_ms = minute * 60_000;
        add.execute(params![minute_ms, sum.accepted, sum.rejected, sum.hashes])?;
    }
    Ok(())
}

fn add_blocks(transaction: &Transaction<'_>, blocks: &[FoundBlock]) -> rusqlite::Result<u64> {
    let mut add = transaction.prepare_cached(
        "INSERT INTO blocks (hash, height, time_ms, user, worker, peer, channel_id, job_id,
             template_id, token, share)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
    )?;
    let mut new = 0;
    for FoundBlock { found, share } in blocks {
        new += add_block(&mut add, found, *share)? as u64;
    }
    Ok(new)
}

fn add_block(
    add: &mut CachedStatement<'_>,
    found: &Found,
    share: Option<u64>,
) -> rusqlite::Result<usize> {
    let source = &found.source;
    // SQLite's numbers have a sign; what others choose must not be refused for that.
    let height = found.height.map(|height| height as i64);
    let template = found.template_id().map(|id| id as i64);
    add.execute(params![
        found.hash.to_string(),
        height,
        found.time_ms,
        source.user,
        source.worker.as_deref().unwrap_or_default(),
        source.peer.to_string(),
        source.channel_id,
        found.job_id,
        template,
        found.token(),
        share
    ])
}

fn add_verdicts(transaction: &Transaction<'_>, verdicts: &[Judged]) -> rusqlite::Result<()> {
    let mut add = transaction.prepare_cached("INSERT INTO verdicts VALUES (?, ?, ?, ?)")?;
    let mut newest = transaction.prepare_cached(
        "UPDATE blocks SET verdict_ms = ?, verdict = ?, reason = ? WHERE hash = ?",
    )?;
    for judged in verdicts {
        let Judged {
            hash,
            time_ms,
            verdict,
            reason,
        } = judged;
        let hash = hash.to_string();
        add.execute(params![hash, time_ms, verdict.name(), reason])?;
        newest.execute(params![time_ms, verdict.name(), reason, hash])?;
    }
    Ok(())
}
