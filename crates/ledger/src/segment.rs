//! A segment: one file of the log.
//!
//! It begins with a header: magic (8 bytes), format version, its own number, and the number of its
//! first commit (4, 4 and 8 bytes), checksum (4). Commits follow, each of them one group of records
//! that was made durable at once: length of the payload (4), checksum of what follows (4), number
//! of the commit (8), payload. Numbers are little-endian, checksums CRC-32, and commits are numbered
//! through all segments without a gap.
//!
//! A commit is written only after the one before it is on disk. So a crash can leave at most one
//! that is not whole, at the very end, and nobody was told that it was recorded; anything else that
//! does not fit is damage.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::bytes::Records;
use crate::log::Position;
use crate::record::{Record, Source};

const MAGIC: [u8; 8] = *b"SV2SHARE";
/// Of the file format. Raise it when a reader of today would misunderstand.
const VERSION: u32 = 1;
/// Bytes of a header.
pub(crate) const HEADER_LEN: usize = 28;
/// Bytes of a commit before its payload.
pub(crate) const FRAME_LEN: usize = 16;

/// What is wrong with a file of the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{file}: at byte {offset}: {what}; bring the ledger's directory back from a copy, or move it \
     away to begin a new ledger",
    file = file.display()
)]
pub(crate) struct Damage {
    /// The file.
    pub(crate) file: PathBuf,
    /// Where in it.
    pub(crate) offset: u64,
    /// What is there.
    pub(crate) what: String,
}

/// Why a file could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SegmentError {
    /// It says something wrong.
    #[error(transparent)]
    Damage(#[from] Damage),
    /// It was written by a newer program.
    #[error(
        "{file}: format {found} is newer than the {VERSION} that this program knows; use the \
         program that wrote it, or a newer one",
        file = file.display()
    )]
    Newer {
        /// The file.
        file: PathBuf,
        /// Its version.
        found: u32,
    },
    /// The disk.
    #[error("{file}: {source}", file = file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// The path of segment `number`.
pub(crate) fn path(directory: &Path, number: u32) -> PathBuf {
    directory.join(format!("shares-{number:010}.log"))
}

/// The segments in `directory`, by number and size in bytes.
pub(crate) fn list(directory: &Path) -> io::Result<Vec<(u32, u64)>> {
    let mut segments = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let number = name
            .to_str()
            .and_then(|name| name.strip_prefix("shares-")?.strip_suffix(".log"))
            .and_then(|number| number.parse().ok());
        if let Some(number) = number {
            segments.push((number, entry.metadata()?.len()));
        }
    }
    segments.sort_unstable();
    Ok(segments)
}

/// That segment `number` has no header.
pub(crate) fn without_header(directory: &Path, number: u32) -> Damage {
    Damage {
        file: path(directory, number),
        offset: 0,
        what: "the header is missing".to_owned(),
    }
}

/// The header of a segment.
pub(crate) fn header(number: u32, first_commit: u64) -> [u8; HEADER_LEN] {
    let mut header = [0; HEADER_LEN];
    header[..8].copy_from_slice(&MAGIC);
    header[8..12].copy_from_slice(&VERSION.to_le_bytes());
    header[12..16].copy_from_slice(&number.to_le_bytes());
    header[16..24].copy_from_slice(&first_commit.to_le_bytes());
    let checksum = crc32fast::hash(&header[..24]);
    header[24..].copy_from_slice(&checksum.to_le_bytes());
    header
}

/// Fills in the first [`FRAME_LEN`] bytes of `frame`, behind which the payload stands.
pub(crate) fn seal(commit: u64, frame: &mut [u8]) {
    let len = (frame.len() - FRAME_LEN) as u32;
    frame[8..16].copy_from_slice(&commit.to_le_bytes());
    let checksum = crc32fast::hash(&frame[8..]);
    frame[..4].copy_from_slice(&len.to_le_bytes());
    frame[4..8].copy_from_slice(&checksum.to_le_bytes());
}

/// A segment, read from the beginning.
#[derive(Debug)]
pub(crate) struct Segment {
    file: PathBuf,
    number: u32,
    bytes: Vec<u8>,
    offset: usize,
    next_commit: u64,
    sources: Vec<Arc<Source>>,
}

impl Segment {
    /// Opens segment `number`. `None` if its header was never written: a crash came first.
    pub(crate) fn open(directory: &Path, number: u32) -> Result<Option<Self>, SegmentError> {
        let file = path(directory, number);
        let bytes = match fs::read(&file) {
            Ok(bytes) => bytes,
            Err(source) => return Err(SegmentError::Io { file, source }),
        };
        let Some(found) = bytes.first_chunk::<HEADER_LEN>() else {
            return Ok(None);
        };
        let version = u32_at(found, 8);
        let first_commit = u64_at(found, 16);
        if *found != header(number, first_commit) {
            if found[..8] == MAGIC && version > VERSION {
                let found = version;
                return Err(SegmentError::Newer { file, found });
            }
            if bytes.iter().all(|byte| *byte == 0) {
                return Ok(None);
            }
            let what = format!("this is not the header of segment {number}");
            return Err(Damage {
                file,
                offset: 0,
                what,
            }
            .into());
        }
        Ok(Some(Self {
            file,
            number,
            bytes,
            offset: HEADER_LEN,
            next_commit: first_commit,
            sources: Vec::new(),
        }))
    }

    /// Where the next commit begins.
    pub(crate) fn position(&self) -> Position {
        Position {
            segment: self.number,
            offset: self.offset as u64,
            commit: self.next_commit,
        }
    }

    /// Sources defined so far.
    pub(crate) fn sources(&self) -> u32 {
        self.sources.len() as u32
    }

    /// Bytes that were not read: after the last commit, those of one that is not whole.
    pub(crate) fn rest(&self) -> usize {
        self.bytes.len() - self.offset
    }

    /// The records of the next commit; `None` at the end, also if a part of a commit stands there.
    pub(crate) fn next(&mut self) -> Result<Option<Vec<Record>>, Damage> {
        let Some(end) = whole(&self.bytes, self.offset) else {
            return match self.later_commit() {
                None => Ok(None),
                Some(later) => Err(self.damage(format!(
                    "commit {} does not match its checksum, yet commit {later} follows",
                    self.next_commit
                ))),
            };
        };
        let number = u64_at(&self.bytes, self.offset + 8);
        if number != self.next_commit {
            let due = self.next_commit;
            return Err(self.damage(format!("commit {number} stands where {due} is due")));
        }
        let payload = &self.bytes[self.offset + FRAME_LEN..end];
        let mut reader = Records::new(payload, self.number, &mut self.sources);
        let mut records = Vec::new();
        loop {
            match reader.next() {
                Ok(Some(record)) => records.push(record),
                Ok(None) => break,
                Err(malformed) => return Err(self.damage(format!("commit {number}: {malformed}"))),
            }
        }
        self.offset = end;
        self.next_commit += 1;
        Ok(Some(records))
    }

    /// A whole commit somewhere behind one that is not.
    fn later_commit(&self) -> Option<u64> {
        let starts = self.offset + 1..self.bytes.len().saturating_sub(FRAME_LEN - 1);
        starts
            .filter(|start| {
                let ahead = u64_at(&self.bytes, start + 8).wrapping_sub(self.next_commit);
                // Cheap to ask first: what is no number of a near commit is none at all.
                (1..1 << 32).contains(&ahead)
            })
            .find(|start| whole(&self.bytes, *start).is_some())
            .map(|start| u64_at(&self.bytes, start + 8))
    }

    /// That `what` stands where the next commit is due.
    pub(crate) fn damage(&self, what: String) -> Damage {
        Damage {
            file: self.file.clone(),
            offset: self.offset as u64,
            what,
        }
    }
}

/// The end of the commit that begins at `start`, if all of it is there and matches its checksum.
fn whole(bytes: &[u8], start: usize) -> Option<usize> {
    let frame = bytes.get(start..)?;
    let _: &[u8; FRAME_LEN] = frame.first_chunk()?;
    let len = FRAME_LEN + u32_at(frame, 0) as usize;
    let matches = crc32fast::hash(frame.get(8..len)?) == u32_at(frame, 4);
    matches.then_some(start + len)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let bytes = bytes[at..at + 4].try_into();
    u32::from_le_bytes(bytes.expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let bytes = bytes[at..at + 8].try_into();
    u64::from_le_bytes(bytes.expect("eight bytes"))
}

#[cfg(test)]
mod tests;
