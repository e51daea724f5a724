//! The two messages that bring a share, read from their bytes (SV2 5.3.11, 5.3.12).
//!
//! Nothing else arrives as often, and the codec allocates for each field.

use super::verdict::Share;
use crate::extension::{self, TooLong};
use crate::frame::{Frame, FrameHeader};
use crate::message::DecodeError;
use crate::message::mining::{
    MESSAGE_TYPE_SUBMIT_SHARES_EXTENDED, MESSAGE_TYPE_SUBMIT_SHARES_STANDARD,
};

/// Bytes of an extranonce at most (B0_32).
const MAX_EXTRANONCE: usize = 32;

/// One of the two messages.
#[derive(Debug)]
pub(super) struct Submission<'a> {
    pub(super) channel_id: u32,
    pub(super) sequence_number: u32,
    pub(super) is_standard: bool,
    pub(super) share: Share<'a>,
    /// Who has found it, if the client is to say so.
    pub(super) worker: Result<Option<&'a [u8]>, TooLong>,
}

impl<'a> Submission<'a> {
    /// `None` for any other message. `names_workers`: whether fields behind the known ones were
    /// negotiated; they are ignored otherwise (SV2 3.4.3).
    pub(super) fn read(
        frame: &'a Frame<'_>,
        names_workers: bool,
    ) -> Option<Result<Self, DecodeError>> {
        let FrameHeader {
            extension,
            msg_type,
            ..
        } = frame.header;
        let is_standard = match (extension, msg_type) {
            (0, MESSAGE_TYPE_SUBMIT_SHARES_STANDARD) => true,
            (0, MESSAGE_TYPE_SUBMIT_SHARES_EXTENDED) => false,
            _ => return None,
        };
        let submission = Self::fields(frame.payload, is_standard, names_workers);
        Some(submission.ok_or_else(|| DecodeError {
            msg_type,
            reason: "the message ends early, or its extranonce is too long".to_owned(),
        }))
    }

    fn fields(payload: &'a [u8], is_standard: bool, names_workers: bool) -> Option<Self> {
        let (fields, rest) = payload.split_first_chunk::<24>()?;
        let (fields, _) = fields.as_chunks::<4>();
        let field = |index: usize| u32::from_le_bytes(fields[index]);
        let (extranonce, tail) = if is_standard {
            (&[][..], rest)
        } else {
            let (len, rest) = rest.split_first()?;
            let len = usize::from(*len);
            rest.split_at_checked(len)
                .filter(|_| len <= MAX_EXTRANONCE)?
        };
        let worker = if names_workers && !is_standard {
            extension::worker(tail)
        } else {
            Ok(None)
        };
        Some(Self {
            channel_id: field(0),
            sequence_number: field(1),
            is_standard,
            share: Share {
                job_id: field(2),
                nonce: field(3),
                ntime: field(4),
                version: field(5),
                extranonce,
            },
            worker,
        })
    }
}

#[cfg(test)]
mod tests;
