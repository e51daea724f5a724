//! Reading the log from segment to segment.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::log::Position;
use crate::record::Record;
use crate::segment::{self, Segment};

/// One commit and its place.
#[derive(Debug)]
pub(crate) struct Commit {
    pub(crate) start: Position,
    pub(crate) end: Position,
    pub(crate) records: Vec<Record>,
}

/// Reads the commits of consecutive segments, and checks that nothing is missing between them.
#[derive(Debug)]
pub(crate) struct Walk {
    directory: PathBuf,
    /// The numbers of the segments not yet begun.
    ahead: VecDeque<u32>,
    segment: Option<Segment>,
    end: Position,
}

impl Walk {
    /// From the beginning of segment `first`.
    pub(crate) fn new(directory: &Path, first: u32) -> anyhow::Result<Self> {
        let shown = directory.display();
        let listed = segment::list(directory).with_context(|| shown.to_string())?;
        let numbers = listed.into_iter().map(|(number, _)| number);
        let ahead: VecDeque<u32> = numbers.filter(|number| *number >= first).collect();
        for (number, expected) in ahead.iter().zip(first..) {
            if *number != expected {
                bail!(
                    "{shown}: segment {expected} of the log is missing, but segment {number} is \
                     there; bring the directory back from a copy, or move it away to begin a new \
                     ledger"
                );
            }
        }
        Ok(Self {
            directory: directory.to_owned(),
            ahead,
            segment: None,
            end: Position::START,
        })
    }

    /// The next commit; `None` at the end of the log.
    pub(crate) fn next(&mut self) -> anyhow::Result<Option<Commit>> {
        loop {
            if let Some(segment) = &mut self.segment {
                let start = segment.position();
                if let Some(records) = segment.next()? {
                    self.end = segment.position();
                    return Ok(Some(Commit {
                        start,
                        end: self.end,
                        records,
                    }));
                }
            }
            if !self.advance()? {
                return Ok(None);
            }
        }
    }

    /// Begins the next segment, if there is one.
    fn advance(&mut self) -> anyhow::Result<bool> {
        let Some(number) = self.ahead.pop_front() else {
            return Ok(false);
        };
        let Some(next) = Segment::open(&self.directory, number)? else {
            if self.ahead.is_empty() {
                // A crash came before its header was on disk; so nothing is in it.
                return Ok(false);
            }
            bail!(segment::without_header(&self.directory, number));
        };
        if let Some(segment) = &self.segment {
            if segment.rest() > 0 {
                let what = "a part of a commit, yet another segment follows".to_owned();
                return Err(segment.damage(what).into());
            }
            let (due, found) = (segment.position().commit, next.position().commit);
            if due != found {
                let what = format!("the segment begins with commit {found} where {due} is due");
                return Err(next.damage(what).into());
            }
        }
        self.end = next.position();
        self.segment = Some(next);
        Ok(true)
    }

    /// Where the log ends, as far as it was read.
    pub(crate) fn end(&self) -> Position {
        self.end
    }

    /// Sources defined in the last segment.
    pub(crate) fn sources(&self) -> u32 {
        self.segment.as_ref().map_or(0, Segment::sources)
    }

    /// Bytes behind the end, of a commit that is not whole.
    pub(crate) fn torn(&self) -> usize {
        self.segment.as_ref().map_or(0, Segment::rest)
    }

    /// Whether there was no segment at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.segment.is_none()
    }
}
