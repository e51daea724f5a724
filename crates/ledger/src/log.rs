//! The log: segments in a directory, of which the last is appended to.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use crate::bytes;
use crate::record::{Record, Source};
use crate::segment::{self, FRAME_LEN, HEADER_LEN};
use crate::tail::Tail;

/// A place between two commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    /// The segment.
    pub(crate) segment: u32,
    /// The byte in its file where the next commit begins.
    pub(crate) offset: u64,
    /// The number of that commit.
    pub(crate) commit: u64,
}

impl Position {
    /// Where every log begins.
    pub(crate) const START: Self = Self {
        segment: 1,
        offset: HEADER_LEN as u64,
        commit: 1,
    };
}

/// The end of the log.
#[derive(Debug)]
pub(crate) struct Log {
    directory: PathBuf,
    segment: u32,
    tail: Tail,
    next_commit: u64,
    /// Sources defined in this segment.
    sources: u32,
    /// The next commit as it will stand in the file; empty when there is nothing to write.
    staged: Vec<u8>,
}

impl Log {
    /// Goes on behind `position`, where `sources` are defined in the segment. What stands behind
    /// is cut off.
    pub(crate) fn resume(directory: &Path, position: Position, sources: u32) -> io::Result<Self> {
        let path = segment::path(directory, position.segment);
        let file = OpenOptions::new().write(true).open(path)?;
        Ok(Self {
            directory: directory.to_owned(),
            segment: position.segment,
            tail: Tail::cut(file, position.offset)?,
            next_commit: position.commit,
            sources,
            staged: Vec::new(),
        })
    }

    /// Begins segment `number` with commit `first_commit`.
    pub(crate) fn create(directory: &Path, number: u32, first_commit: u64) -> io::Result<Self> {
        let file = create_segment(directory, number, first_commit)?;
        Ok(Self {
            directory: directory.to_owned(),
            segment: number,
            tail: Tail::cut(file, HEADER_LEN as u64)?,
            next_commit: first_commit,
            sources: 0,
            staged: Vec::new(),
        })
    }

    /// The end of what is durable.
    pub(crate) fn position(&self) -> Position {
        Position {
            segment: self.segment,
            offset: self.tail.len(),
            commit: self.next_commit,
        }
    }

    /// Bytes staged.
    pub(crate) fn staged(&self) -> usize {
        self.staged.len()
    }

    /// Puts `record` into the next commit.
    pub(crate) fn stage(&mut self, record: &Record) {
        if self.staged.is_empty() {
            self.staged.resize(FRAME_LEN, 0);
        }
        let number = match record {
            Record::Share(share) => self.number(&share.source),
            Record::Found(found) => self.number(&found.source),
            Record::Judged(_) => 0,
        };
        bytes::put(record, number, &mut self.staged);
    }

    /// The number of `source`, which is defined if this segment does not know it.
    fn number(&mut self, source: &Source) -> u32 {
        if let Some(number) = source.number_in(self.segment) {
            return number;
        }
        let number = self.sources;
        self.sources += 1;
        source.note(self.segment, number);
        bytes::put_source(source, number, &mut self.staged);
        number
    }

    /// Makes what is staged durable. After an error it is staged still, and nothing of it counts.
    pub(crate) fn commit(&mut self) -> io::Result<()> {
        if self.staged.is_empty() {
            return Ok(());
        }
        segment::seal(self.next_commit, &mut self.staged);
        self.tail.append(&self.staged)?;
        self.next_commit += 1;
        self.staged.clear();
        Ok(())
    }

    /// Goes on in a new segment. Nothing may be staged, and everything must be rolled up: sources
    /// get other numbers.
    pub(crate) fn rotate(&mut self) -> io::Result<()> {
        let next = Self::create(&self.directory, self.segment + 1, self.next_commit)?;
        *self = next;
        Ok(())
    }
}

/// The file with its header, durable, and so its name in the directory.
fn create_segment(directory: &Path, number: u32, first_commit: u64) -> io::Result<File> {
    let path = segment::path(directory, number);
    let file = File::create(&path)?;
    let created = io::Write::write_all(&mut &file, &segment::header(number, first_commit))
        .and_then(|()| file.sync_all())
        .and_then(|()| File::open(directory)?.sync_all());
    if let Err(error) = created {
        // Without its header it would be taken for a segment that a crash cut short.
        let _ = fs::remove_file(&path);
        return Err(error);
    }
    Ok(file)
}
