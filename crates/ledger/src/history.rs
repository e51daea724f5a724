//! Reading what was rolled up, also while a pool writes.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use rusqlite::{Connection, OpenFlags, Row};
use serde::Serialize;
use utoipa::ToSchema;

use crate::database;
use crate::record::Verdict;
use crate::tally::Tally;

/// How long to wait for somebody who holds the database locked.
const PATIENCE: Duration = Duration::from_secs(5);

/// Everything together.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Totals {
    /// Shares accepted.
    pub accepted: u64,
    /// Hashes that they took on average.
    pub hashes: f64,
    /// Shares rejected, by error code.
    pub rejected: BTreeMap<String, u64>,
    /// Blocks found.
    pub blocks: u64,
    /// How often each verdict was given. A block that leaves the chain has two.
    pub verdicts: BTreeMap<Verdict, u64>,
}

impl Totals {
    /// Adds a tally, of whose blocks `new_blocks` were not known.
    pub(crate) fn add(&mut self, tally: &Tally, new_blocks: u64) {
        self.accepted = tally.accepted;
        for (_, sum) in tally.sources.values() {
            self.hashes += sum.hashes;
            for (reason, count) in &sum.rejected {
                *self.rejected.entry(reason.clone()).or_default() += count;
            }
        }
        self.blocks += new_blocks;
        for judged in &tally.judged {
            *self.verdicts.entry(judged.verdict).or_default() += 1;
        }
    }
}

/// What one worker did.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct WorkerTotals {
    /// Whom its channel is for.
    pub user: String,
    /// The worker, where miners name one for each share.
    pub worker: Option<String>,
    /// Shares accepted.
    pub accepted: u64,
    /// Hashes that they took on average.
    pub hashes: f64,
    /// Shares rejected, by error code.
    pub rejected: BTreeMap<String, u64>,
    /// When its last share was judged, in milliseconds since 1970.
    pub last_share_ms: u64,
}

/// What happened in one minute.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct MinuteTotals {
    /// When it began, in milliseconds since 1970.
    pub minute_ms: u64,
    /// Shares accepted.
    pub accepted: u64,
    /// Shares rejected.
    pub rejected: u64,
    /// Hashes that the accepted ones took on average.
    pub hashes: f64,
}

/// A block and its story.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Block {
    /// Its hash, as RPC and explorers write it.
    pub hash: String,
    /// Its height, if the template said it.
    pub height: Option<u64>,
    /// When it was found, in milliseconds since 1970.
    pub time_ms: u64,
    /// Whom the channel is for.
    pub user: String,
    /// Who found it, if the miner says so.
    pub worker: Option<String>,
    /// The miner's address and port.
    pub peer: String,
    /// The channel on that connection.
    pub channel_id: u32,
    /// The job on that channel.
    pub job_id: u32,
    /// The template, unless it was declared.
    pub template_id: Option<u64>,
    /// The token under which its miner declared it, as hex.
    pub token: Option<String>,
    /// The number of the accepted share that it is, if it counts as one.
    pub share: Option<u64>,
    /// What the node says of it; `None` until it has been asked.
    pub verdict: Option<Verdict>,
    /// Since when the node says so, in milliseconds since 1970.
    pub verdict_ms: Option<u64>,
    /// Why it is not in the chain.
    pub reason: Option<String>,
}

/// A connection that only reads. One transaction spans all its reads, so that they agree.
#[derive(Debug)]
pub struct History(Connection);

impl History {
    /// Opens the ledger in `directory`.
    ///
    /// # Errors
    /// There is none, or it is of another version.
    pub fn open(directory: &Path) -> anyhow::Result<Self> {
        let path = database::path(directory);
        let open = || {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = Connection::open_with_flags(&path, flags)?;
            connection.busy_timeout(PATIENCE)?;
            let version = database::version(&connection)?;
            if version < database::CURRENT {
                bail!("schema {version} is old; start a pool of this version on it once");
            }
            connection.execute_batch("BEGIN")?;
            Ok(Self(connection))
        };
        open().with_context(|| path.display().to_string())
    }

    /// Within the transaction.
    pub(crate) fn connection(&self) -> &Connection {
        &self.0
    }

    /// Everything together.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn totals(&self) -> rusqlite::Result<Totals> {
        totals(&self.0)
    }

    /// Workers there are.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn count_workers(&self) -> rusqlite::Result<usize> {
        let count = "SELECT count(*) FROM workers";
        self.0.query_row(count, [], |row| row.get(0))
    }

    /// Workers, the most recent first.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn workers(&self, offset: u32, limit: u32) -> rusqlite::Result<Vec<WorkerTotals>> {
        let mut rejections = self
            .0
            .prepare("SELECT reason, shares FROM rejections WHERE worker_id = ?")?;
        let mut workers = self.0.prepare(
            "SELECT id, user, worker, accepted, hashes, last_share_ms FROM workers
             ORDER BY last_share_ms DESC, id LIMIT ? OFFSET ?",
        )?;
        let mut rows = workers.query([limit, offset])?;
        let mut all = Vec::new();
        while let Some(row) = rows.next()? {
            let id: i64 = row.get(0)?;
            let pair = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
            let rejected = rejections.query_map([id], pair)?;
            all.push(WorkerTotals {
                user: row.get(1)?,
                worker: named(row, 2)?,
                accepted: row.get(3)?,
                hashes: row.get(4)?,
                rejected: rejected.collect::<rusqlite::Result<_>>()?,
                last_share_ms: row.get(5)?,
            });
        }
        Ok(all)
    }

    /// The first minutes that began at `since_ms` or later, in order; those without shares are left
    /// out.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn minutes(&self, since_ms: u64, limit: u32) -> rusqlite::Result<Vec<MinuteTotals>> {
        let mut minutes = self.0.prepare(
            "SELECT minute_ms, accepted, rejected, hashes FROM minutes
             WHERE minute_ms >= ? ORDER BY minute_ms LIMIT ?",
        )?;
        let minutes = minutes.query_map([since_ms as i64, i64::from(limit)], |row| {
            Ok(MinuteTotals {
                minute_ms: row.get(0)?,
                accepted: row.get(1)?,
                rejected: row.get(2)?,
                hashes: row.get(3)?,
            })
        })?;
        minutes.collect()
    }

    /// Blocks there are.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn count_blocks(&self) -> rusqlite::Result<usize> {
        count_blocks(&self.0)
    }

    /// Blocks, the newest first.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn blocks(&self, offset: u32, limit: u32) -> rusqlite::Result<Vec<Block>> {
        let mut blocks = self.0.prepare(
            "SELECT hash, height, time_ms, user, worker, peer, channel_id, job_id, template_id,
                 token, share, verdict, verdict_ms, reason
             FROM blocks ORDER BY id DESC LIMIT ? OFFSET ?",
        )?;
        let blocks = blocks.query_map([limit, offset], block)?;
        blocks.collect()
    }
}

fn count_blocks(connection: &Connection) -> rusqlite::Result<usize> {
    connection.query_row("SELECT count(*) FROM blocks", [], |row| row.get(0))
}

/// Everything together, in the database of `connection`.
pub(crate) fn totals(connection: &Connection) -> rusqlite::Result<Totals> {
    let sums = "SELECT coalesce(sum(accepted), 0), total(hashes) FROM workers";
    let (accepted, hashes): (u64, f64) =
        connection.query_row(sums, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut rejected =
        connection.prepare("SELECT reason, sum(shares) FROM rejections GROUP BY reason")?;
    let rejected = rejected.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut verdicts =
        connection.prepare("SELECT verdict, count(*) FROM verdicts GROUP BY verdict")?;
    let verdicts = verdicts.query_map([], |row| {
        Ok((Verdict::named(row.get_ref(0)?.as_str()?), row.get(1)?))
    })?;
    let verdicts = verdicts.filter_map(|pair| match pair {
        Ok((verdict, count)) => Some(Ok((verdict?, count))),
        Err(error) => Some(Err(error)),
    });
    Ok(Totals {
        accepted,
        hashes,
        rejected: rejected.collect::<rusqlite::Result<_>>()?,
        blocks: count_blocks(connection)? as u64,
        verdicts: verdicts.collect::<rusqlite::Result<_>>()?,
    })
}

fn block(row: &Row<'_>) -> rusqlite::Result<Block> {
    let unsigned = |index| -> rusqlite::Result<Option<u64>> {
        Ok(row
            .get::<_, Option<i64>>(index)?
            .map(|number| number as u64))
    };
    let verdict: Option<String> = row.get(11)?;
    Ok(Block {
        hash: row.get(0)?,
        height: unsigned(1)?,
        time_ms: row.get(2)?,
        user: row.get(3)?,
        worker: named(row, 4)?,
        peer: row.get(5)?,
        channel_id: row.get(6)?,
        job_id: row.get(7)?,
        template_id: unsigned(8)?,
        token: row.get(9)?,
        share: row.get(10)?,
        verdict: verdict.as_deref().and_then(Verdict::named),
        verdict_ms: row.get(12)?,
        reason: row.get(13)?,
    })
}

/// A worker's name, if there is one.
fn named(row: &Row<'_>, index: usize) -> rusqlite::Result<Option<String>> {
    let name: String = row.get(index)?;
    Ok(Some(name).filter(|name| !name.is_empty()))
}
