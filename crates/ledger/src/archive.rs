//! Letting old segments go.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail};
use tracing::debug;

use crate::database::Database;
use crate::segment::{self, Segment};
use crate::tally::Tally;

/// Removes the oldest segments before `current` until no more than `keep` bytes are left. What is
/// in them stays in the database, with a sum of its own, so that the rest can be verified.
pub(crate) fn trim(
    directory: &Path,
    keep: u64,
    current: u32,
    database: &mut Database,
) -> anyhow::Result<()> {
    let mut segments = segment::list(directory)?;
    segments.retain(|(number, _)| *number < current);
    let mut size: u64 = segments.iter().map(|(_, size)| size).sum();
    for (number, bytes) in segments {
        if size <= keep {
            break;
        }
        if number > database.archived()? {
            database.archive(number, &read(directory, number)?)?;
        }
        // Only when the sum is on the disk; until then the file is needed to count it again.
        if !database.settle()? {
            debug!(
                segment = number,
                "somebody reads the ledger, the segment stays for now"
            );
            break;
        }
        let path = segment::path(directory, number);
        fs::remove_file(&path).with_context(|| path.display().to_string())?;
        size -= bytes;
    }
    Ok(())
}

fn read(directory: &Path, number: u32) -> anyhow::Result<Tally> {
    let Some(mut segment) = Segment::open(directory, number)? else {
        bail!(segment::without_header(directory, number));
    };
    let mut tally = Tally::default();
    while let Some(records) = segment.next()? {
        records.iter().for_each(|record| tally.add(record));
    }
    Ok(tally)
}

#[cfg(test)]
mod tests;
