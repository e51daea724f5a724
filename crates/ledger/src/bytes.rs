//! Records as bytes. Numbers are little-endian.
//!
//! | tag | record | fields |
//! |---|---|---|
//! | 1 | a source | number, channel id (4 each); peer, user, worker (text) |
//! | 2 | accepted share | source (4), time (8), job (4), hash (32), hashes (8) |
//! | 3 | rejected share | source (4), time (8), job (4), reason (text) |
//! | 4 | block of a template | source (4), time (8), job (4), hash (32), height (8), template (8) |
//! | 5 | block of a declared job | the same, with the token (text) for the template |
//! | 6 | fate of a block | hash (32), time (8), verdict (1), reason (text) |
//!
//! Text is its length (2) and its bytes; an optional one that is absent has the length 65,535, an
//! absent height is 2^64-1. A source is defined before the first record of a segment that refers
//! to it.

use std::borrow::Cow;
use std::sync::Arc;

use bitcoin::BlockHash;
use bitcoin::hashes::Hash;

use crate::record::{Found, Judged, Origin, Outcome, Record, Share, Source, Verdict};

const SOURCE: u8 = 1;
const ACCEPTED: u8 = 2;
const REJECTED: u8 = 3;
const FOUND_TEMPLATE: u8 = 4;
const FOUND_DECLARED: u8 = 5;
const JUDGED: u8 = 6;

const NO_TEXT: u16 = u16::MAX;
const NO_HEIGHT: u64 = u64::MAX;

/// What a commit's payload says instead of a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Malformed(String);

/// Defines `source` as `number`.
pub(crate) fn put_source(source: &Source, number: u32, out: &mut Vec<u8>) {
    out.push(SOURCE);
    out.extend(number.to_le_bytes());
    out.extend(source.channel_id.to_le_bytes());
    put_text(&source.peer.to_string(), out);
    put_text(&source.user, out);
    put_optional(source.worker.as_deref(), out);
}

/// Appends `record`, whose source has `number`.
pub(crate) fn put(record: &Record, number: u32, out: &mut Vec<u8>) {
    match record {
        Record::Share(share) => {
            let common = |tag| head(tag, number, share.time_ms, share.job_id);
            match &share.outcome {
                Outcome::Accepted { hash, hashes } => {
                    out.extend(common(ACCEPTED));
                    out.extend(hash.as_byte_array());
                    out.extend(hashes.to_le_bytes());
                }
                Outcome::Rejected { reason } => {
                    out.extend(common(REJECTED));
                    put_text(reason, out);
                }
            }
        }
        Record::Found(found) => {
            let tag = match found.origin {
                Origin::Template(_) => FOUND_TEMPLATE,
                Origin::Declared(_) => FOUND_DECLARED,
            };
            out.extend(head(tag, number, found.time_ms, found.job_id));
            out.extend(found.hash.as_byte_array());
            out.extend(found.height.unwrap_or(NO_HEIGHT).to_le_bytes());
            match &found.origin {
                Origin::Template(id) => out.extend(id.to_le_bytes()),
                Origin::Declared(token) => put_bytes(token, out),
            }
        }
        Record::Judged(judged) => {
            out.push(JUDGED);
            out.extend(judged.hash.as_byte_array());
            out.extend(judged.time_ms.to_le_bytes());
            out.push(judged.verdict as u8);
            put_optional(judged.reason.as_deref(), out);
        }
    }
}

/// What most records begin with.
fn head(tag: u8, number: u32, time_ms: u64, job_id: u32) -> [u8; 17] {
    let mut head = [0; 17];
    head[0] = tag;
    head[1..5].copy_from_slice(&number.to_le_bytes());
    head[5..13].copy_from_slice(&time_ms.to_le_bytes());
    head[13..].copy_from_slice(&job_id.to_le_bytes());
    head
}

fn put_optional(text: Option<&str>, out: &mut Vec<u8>) {
    match text {
        Some(text) => put_text(text, out),
        None => out.extend(NO_TEXT.to_le_bytes()),
    }
}

/// Nothing that a message can carry is as long as what is cut off here.
fn put_text(text: &str, out: &mut Vec<u8>) {
    let len = text.floor_char_boundary(usize::from(NO_TEXT) - 1);
    put_bytes(&text.as_bytes()[..len], out);
}

fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    let len = bytes.len().min(usize::from(NO_TEXT) - 1);
    out.extend((len as u16).to_le_bytes());
    out.extend(&bytes[..len]);
}

/// Reads the records of one commit.
pub(crate) struct Records<'a> {
    rest: &'a [u8],
    segment: u32,
    /// Those of the segment so far, by number.
    sources: &'a mut Vec<Arc<Source>>,
}

impl<'a> Records<'a> {
    pub(crate) fn new(payload: &'a [u8], segment: u32, sources: &'a mut Vec<Arc<Source>>) -> Self {
        Self {
            rest: payload,
            segment,
            sources,
        }
    }

    /// The next record; definitions of sources are taken in on the way.
    pub(crate) fn next(&mut self) -> Result<Option<Record>, Malformed> {
        while !self.rest.is_empty() {
            let [tag] = self.array()?;
            match tag {
                SOURCE => self.source()?,
                ACCEPTED | REJECTED => return self.share(tag).map(Some),
                FOUND_TEMPLATE | FOUND_DECLARED => return self.found(tag).map(Some),
                JUDGED => return self.judged().map(Some),
                tag => return Err(Malformed(format!("there is no record with tag {tag}"))),
            }
        }
        Ok(None)
    }

    fn source(&mut self) -> Result<(), Malformed> {
        let number = self.u32()?;
        let channel_id = self.u32()?;
        let peer = self.text()?;
        let peer = peer
            .parse()
            .map_err(|_| Malformed(format!("{peer:?} is no address")))?;
        let source = Source::new(peer, channel_id, self.text()?, self.optional()?);
        if self.sources.len() != number as usize {
            let expected = self.sources.len();
            return Err(Malformed(format!(
                "source {number} is defined where {expected} is due"
            )));
        }
        source.note(self.segment, number);
        self.sources.push(Arc::new(source));
        Ok(())
    }

    fn share(&mut self, tag: u8) -> Result<Record, Malformed> {
        Ok(Record::Share(Share {
            source: self.known()?,
            time_ms: self.u64()?,
            job_id: self.u32()?,
            outcome: if tag == ACCEPTED {
                Outcome::Accepted {
                    hash: self.hash()?,
                    hashes: f64::from_le_bytes(self.array()?),
                }
            } else {
                Outcome::Rejected {
                    reason: Cow::Owned(self.text()?),
                }
            },
        }))
    }

    fn found(&mut self, tag: u8) -> Result<Record, Malformed> {
        Ok(Record::Found(Box::new(Found {
            source: self.known()?,
            time_ms: self.u64()?,
            job_id: self.u32()?,
            hash: self.hash()?,
            height: Some(self.u64()?).filter(|height| *height != NO_HEIGHT),
            origin: if tag == FOUND_TEMPLATE {
                Origin::Template(self.u64()?)
            } else {
                Origin::Declared(self.bytes()?.unwrap_or_default().to_vec())
            },
        })))
    }

    fn judged(&mut self) -> Result<Record, Malformed> {
        let hash = self.hash()?;
        let time_ms = self.u64()?;
        let [verdict] = self.array()?;
        let known = Verdict::ALL
            .into_iter()
            .find(|known| *known as u8 == verdict);
        Ok(Record::Judged(Box::new(Judged {
            hash,
            time_ms,
            verdict: known.ok_or_else(|| Malformed(format!("there is no verdict {verdict}")))?,
            reason: self.optional()?,
        })))
    }

    fn known(&mut self) -> Result<Arc<Source>, Malformed> {
        let number = self.u32()?;
        let source = self.sources.get(number as usize).map(Arc::clone);
        source.ok_or_else(|| Malformed(format!("source {number} is not defined")))
    }

    fn hash(&mut self) -> Result<BlockHash, Malformed> {
        self.array().map(BlockHash::from_byte_array)
    }

    fn text(&mut self) -> Result<String, Malformed> {
        let text = self.optional()?;
        text.ok_or_else(|| Malformed("a text is missing".to_owned()))
    }

    fn optional(&mut self) -> Result<Option<String>, Malformed> {
        let Some(bytes) = self.bytes()? else {
            return Ok(None);
        };
        String::from_utf8(bytes.to_vec())
            .map(Some)
            .map_err(|_| Malformed("a text is not UTF-8".to_owned()))
    }

    fn bytes(&mut self) -> Result<Option<&'a [u8]>, Malformed> {
        match u16::from_le_bytes(self.array()?) {
            NO_TEXT => Ok(None),
            len => self.take(usize::from(len)).map(Some),
        }
    }

    fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_le_bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let bytes = self.take(N)?;
        Ok(bytes.try_into().expect("exactly that many were taken"))
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self
            .rest
            .split_at_checked(len)
            .ok_or_else(|| Malformed("a record ends early".to_owned()))?;
        self.rest = rest;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests;
