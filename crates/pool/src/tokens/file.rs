//! Used tokens on disk, for the pool that comes after this one.
//!
//! ```text
//! expires 8, little-endian | id 16        for each, in the order of their use
//! ```
//! What was written outlives the process, however it ends. Nothing waits for the disk: what a power
//! cut takes is good for a few minutes more, for the very job it was given for.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::Spent;

const NAME: &str = "spent-tokens";
const RECORD: usize = 8 + 16;
/// Records that may have expired before the file is written anew.
const MAX_EXPIRED: usize = 4096;

#[derive(Debug)]
pub(super) struct File {
    path: PathBuf,
    file: fs::File,
    records: usize,
}

impl File {
    /// Opens it, or begins one, with those in it that are good.
    pub(super) fn open(
        directory: &Path,
        is_good: impl Fn(&Spent) -> bool,
    ) -> anyhow::Result<(Self, BTreeSet<Spent>)> {
        let path = directory.join(NAME);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error).context(path.display().to_string()),
        };
        // A record that was not finished is nobody's: its token was not answered yet.
        let records = bytes.as_chunks::<RECORD>().0.iter().map(read);
        let spent: BTreeSet<Spent> = records.filter(is_good).collect();
        let file = write(&path, &spent).with_context(|| path.display().to_string())?;
        let records = spent.len();
        let file = Self {
            path,
            file,
            records,
        };
        Ok((file, spent))
    }

    /// Adds one of `all`, which are those that are still good.
    pub(super) fn add(&mut self, token: Spent, all: &BTreeSet<Spent>) -> io::Result<()> {
        if self.records >= all.len() + MAX_EXPIRED {
            self.file = write(&self.path, all)?;
            self.records = all.len();
            return Ok(());
        }
        // At its place: half a record, left by an attempt that failed, is written over.
        let place = (self.records * RECORD) as u64;
        self.file.write_all_at(&record(&token), place)?;
        self.records += 1;
        Ok(())
    }
}

/// A file of these and no others, in place of the one before.
fn write(path: &Path, all: &BTreeSet<Spent>) -> io::Result<fs::File> {
    let bytes: Vec<u8> = all.iter().flat_map(record).collect();
    let beside = path.with_extension("new");
    let mut options = OpenOptions::new();
    let file = options
        .write(true)
        .create(true)
        .truncate(true)
        .open(&beside)?;
    file.write_all_at(&bytes, 0)?;
    fs::rename(&beside, path)?;
    Ok(file)
}

fn record((expires, id): &Spent) -> [u8; RECORD] {
    let mut record = [0; RECORD];
    record[..8].copy_from_slice(&expires.to_le_bytes());
    record[8..].copy_from_slice(id);
    record
}

fn read(record: &[u8; RECORD]) -> Spent {
    let (mut expires, mut id) = ([0; 8], [0; 16]);
    expires.copy_from_slice(&record[..8]);
    id.copy_from_slice(&record[8..]);
    (u64::from_le_bytes(expires), id)
}
