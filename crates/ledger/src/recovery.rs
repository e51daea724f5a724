//! Taking up a ledger where it was left, by a stop or by a crash.

use std::collections::VecDeque;
use std::fs;
use std::path::Path;

use anyhow::{Context, bail};
use tracing::{info, warn};

use crate::database::Database;
use crate::directory::{self, Lock};
use crate::history::{self, Totals};
use crate::log::{Log, Position};
use crate::record::{Record, Share};
use crate::segment;
use crate::tally::Tally;
use crate::walk::Walk;
use crate::writer::RECENT;

/// A ledger that can be written.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) lock: Lock,
    pub(crate) log: Log,
    pub(crate) database: Database,
    pub(crate) totals: Totals,
    /// The newest shares, the newest last.
    pub(crate) recent: VecDeque<Share>,
}

/// Takes the ledger in `directory` and brings the database up to the end of the log.
pub(crate) fn open(directory: &Path) -> anyhow::Result<Opened> {
    let lock = directory::lock(directory)?;
    let mut database = Database::open(directory)?;
    remove_archived(directory, database.archived()?)?;
    let (log, recent) = replay(directory, &mut database)?;
    let totals = history::totals(database.connection())?;
    info!(
        directory = %directory.display(), accepted = totals.accepted, blocks = totals.blocks,
        "ledger opened"
    );
    Ok(Opened {
        lock,
        log,
        database,
        totals,
        recent,
    })
}

/// A crash may come between the note that a segment may go and its going.
fn remove_archived(directory: &Path, archived: u32) -> anyhow::Result<()> {
    for (number, _) in segment::list(directory)? {
        if number <= archived {
            let path = segment::path(directory, number);
            fs::remove_file(&path).with_context(|| path.display().to_string())?;
        }
    }
    Ok(())
}

/// Adds to the database what the log has beyond it. Returns the end of the log and the newest
/// shares.
fn replay(directory: &Path, database: &mut Database) -> anyhow::Result<(Log, VecDeque<Share>)> {
    let rolled_up = database.position()?;
    let mut walk = Walk::new(directory, rolled_up.segment)?;
    let mut accepted = history::totals(database.connection())?.accepted;
    let mut tally = Tally::after(accepted);
    let mut recent = VecDeque::new();
    let mut before = rolled_up;
    while let Some(commit) = walk.next()? {
        check_place(directory, commit.start, rolled_up)?;
        if commit.start.segment != before.segment && !tally.is_empty() {
            // Sources have other numbers there.
            database.roll_up(&tally, before)?;
            accepted = tally.accepted;
            tally = Tally::after(accepted);
        }
        if commit.start.commit >= rolled_up.commit {
            commit.records.iter().for_each(|record| tally.add(record));
            before = commit.end;
        }
        remember(commit.records, &mut recent);
    }
    let end = walk.end();
    check_end(directory, end, rolled_up)?;
    if walk.torn() > 0 {
        warn!(
            segment = end.segment,
            offset = end.offset,
            bytes = walk.torn(),
            "the last commit was cut short by a crash and is dropped; nobody was told that it was \
             recorded"
        );
    }
    if !tally.is_empty() {
        database.roll_up(&tally, end)?;
    }
    let log = if walk.is_empty() {
        Log::create(directory, end.segment, end.commit)
    } else {
        Log::resume(directory, end, walk.sources())
    };
    let log = log.with_context(|| segment::path(directory, end.segment).display().to_string())?;
    Ok((log, recent))
}

/// The database counts whole commits of this very log: `place` is one between two of them.
pub(crate) fn check_place(
    directory: &Path,
    place: Position,
    rolled_up: Position,
) -> anyhow::Result<()> {
    // The end of one segment and the beginning of the next are the same place.
    let is_near = place.commit == rolled_up.commit && place.segment == rolled_up.segment;
    if is_near && place != rolled_up {
        bail!(
            "{}: commit {} is at byte {} of segment {}, but the database has counted up to byte {}; \
             they do not belong together; bring the directory back from a copy",
            directory.display(),
            place.commit,
            place.offset,
            place.segment,
            rolled_up.offset
        );
    }
    Ok(())
}

/// The log, which ends at `end`, has all that the database counts.
pub(crate) fn check_end(
    directory: &Path,
    end: Position,
    rolled_up: Position,
) -> anyhow::Result<()> {
    check_place(directory, end, rolled_up)?;
    if end.commit < rolled_up.commit {
        bail!(
            "{}: the database has counted up to commit {} in segment {} of the log, but that is \
             not there; bring the directory back from a copy, or move it away to begin a new \
             ledger",
            directory.display(),
            rolled_up.commit - 1,
            rolled_up.segment,
        );
    }
    Ok(())
}

/// Keeps the newest shares.
pub(crate) fn remember(records: Vec<Record>, recent: &mut VecDeque<Share>) {
    for record in records {
        if let Record::Share(share) = record {
            if recent.len() == RECENT {
                recent.pop_front();
            }
            recent.push_back(share);
        }
    }
}

#[cfg(test)]
mod tests;
