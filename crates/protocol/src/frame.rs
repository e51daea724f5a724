//! SV2 frames (3.2) and their way through the encrypted byte stream (4.6).

use crate::noise::{Decryptor, MAC_LEN, encrypted_len};

/// Bytes of a frame header before encryption.
pub const HEADER_LEN: usize = 6;
/// Bytes of a frame header on the wire.
pub const SEALED_HEADER_LEN: usize = HEADER_LEN + MAC_LEN;
/// The largest payload a 24-bit length can announce.
pub const MAX_PAYLOAD: usize = (1 << 24) - 1;

/// Bit 15 of `extension_type`: the payload starts with a channel id (SV2 3.2.1).
const CHANNEL_BIT: u16 = 0x8000;

/// Room for what most peers send at a time: a few shares, or one job.
const QUIET_ROOM: usize = 2 * 1024;
/// Room for a peer that filled it. More is read at a time then, and a core gets more to do in one
/// step.
const BUSY_ROOM: usize = 16 * 1024;
/// Reads that would have fitted half of [`QUIET_ROOM`], one after the other, that make a peer a
/// quiet one.
const QUIET_READS: u8 = 16;

/// The six bytes before every payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// 0 for the core protocols, without the channel bit.
    pub extension: u16,
    /// Whether the payload begins with a channel id.
    pub channel_msg: bool,
    /// Meaningful only together with `extension`.
    pub msg_type: u8,
    /// Payload bytes before encryption, at most [`MAX_PAYLOAD`].
    pub len: usize,
}

impl FrameHeader {
    /// Reads the wire form. Every bit pattern is a header.
    pub fn from_bytes(bytes: [u8; HEADER_LEN]) -> Self {
        let extension_type = u16::from_le_bytes([bytes[0], bytes[1]]);
        Self {
            extension: extension_type & !CHANNEL_BIT,
            channel_msg: extension_type & CHANNEL_BIT != 0,
            msg_type: bytes[2],
            len: u32::from_le_bytes([bytes[3], bytes[4], bytes[5], 0]) as usize,
        }
    }

    /// The wire form.
    pub fn to_bytes(self) -> [u8; HEADER_LEN] {
        debug_assert!(self.len <= MAX_PAYLOAD, "the length does not fit 24 bits");
        let bit = if self.channel_msg { CHANNEL_BIT } else { 0 };
        let [low, high] = (self.extension | bit).to_le_bytes();
        let len = (self.len as u32).to_le_bytes();
        [low, high, self.msg_type, len[0], len[1], len[2]]
    }
}

/// One frame as received: decrypted in place, borrowed from the receive buffer.
#[derive(Debug)]
pub struct Frame<'a> {
    /// What kind of message it is.
    pub header: FrameHeader,
    /// Its bytes; mutable because the codec decodes in place.
    pub payload: &'a mut [u8],
}

/// Why a byte stream stops being a stream of frames. There is no way to go on after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The peer's bytes do not decrypt.
    #[error("the peer's bytes do not decrypt")]
    Decrypt,
    /// The announced payload is longer than this side accepts.
    #[error("the peer announced a frame of {len} bytes; at most {max} are accepted")]
    TooLong {
        /// Announced payload bytes.
        len: usize,
        /// Accepted payload bytes.
        max: usize,
    },
}

/// Cuts an encrypted byte stream into frames: bytes in, frames out, however TCP split them.
pub struct FrameReader {
    decryptor: Decryptor,
    max_payload: usize,
    buffer: Vec<u8>,
    /// `buffer[start..end]` was received and not yet consumed.
    start: usize,
    end: usize,
    /// The header of the frame whose payload is awaited; its bytes are consumed already.
    pending: Option<FrameHeader>,
    /// What the buffer has when it is empty.
    room: usize,
    /// Small reads since the last larger one.
    quiet_reads: u8,
}

impl FrameReader {
    /// `max_payload`: longer announced frames are an error before any memory is set aside for them.
    pub fn new(decryptor: Decryptor, max_payload: usize) -> Self {
        Self {
            decryptor,
            max_payload,
            buffer: Vec::new(),
            start: 0,
            end: 0,
            pending: None,
            room: QUIET_ROOM,
            quiet_reads: 0,
        }
    }

    /// Where to put the next received bytes; never empty. Follow with [`filled`](Self::filled).
    pub fn space(&mut self) -> &mut [u8] {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            if self.buffer.len() != self.room {
                // One large frame must not keep its memory for the life of the connection.
                self.buffer.resize(self.room, 0);
                self.buffer.shrink_to_fit();
            }
        }
        // Memory at most doubles what has really arrived: announcing a length is not enough.
        let held = self.end - self.start;
        let wanted = self.missing().clamp(1, held.max(self.room));
        if self.buffer.len() - self.end < wanted {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, held);
            let needed = (held + wanted).max(self.room);
            if self.buffer.len() < needed {
                self.buffer.resize(needed, 0);
            }
        }
        &mut self.buffer[self.end..]
    }

    /// Tells that `count` bytes were written to [`space`](Self::space).
    pub fn filled(&mut self, count: usize) {
        self.end += count;
        debug_assert!(
            self.end <= self.buffer.len(),
            "more filled than there was space"
        );
        if self.end == self.buffer.len() {
            (self.room, self.quiet_reads) = (BUSY_ROOM, 0);
        } else if count > QUIET_ROOM / 2 {
            self.quiet_reads = 0;
        } else {
            self.quiet_reads = self.quiet_reads.saturating_add(1);
            if self.quiet_reads >= QUIET_READS {
                self.room = QUIET_ROOM;
            }
        }
    }

    /// The next whole frame, or `None` until more bytes arrive.
    ///
    /// # Errors
    /// The stream cannot be read any further.
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, FrameError> {
        let Some(header) = self.pending_whole()? else {
            return Ok(None);
        };
        let sealed_len = encrypted_len(header.len);
        let sealed = &mut self.buffer[self.start..self.start + sealed_len];
        self.decryptor
            .open_payload(sealed)
            .map_err(|_| FrameError::Decrypt)?;
        self.start += sealed_len;
        self.pending = None;
        Ok(Some(Frame {
            header,
            payload: &mut sealed[..header.len],
        }))
    }

    /// Whether [`next_frame`](Self::next_frame) would give one.
    ///
    /// # Errors
    /// The stream cannot be read any further.
    pub fn has_frame(&mut self) -> Result<bool, FrameError> {
        Ok(self.pending_whole()?.is_some())
    }

    /// The header of the next frame once all of that frame is here.
    fn pending_whole(&mut self) -> Result<Option<FrameHeader>, FrameError> {
        let header = match self.pending {
            Some(header) => header,
            None => {
                if self.end - self.start < SEALED_HEADER_LEN {
                    return Ok(None);
                }
                let sealed = &mut self.buffer[self.start..self.start + SEALED_HEADER_LEN];
                let bytes = self
                    .decryptor
                    .open_header(sealed)
                    .map_err(|_| FrameError::Decrypt)?;
                self.start += SEALED_HEADER_LEN;
                let header = FrameHeader::from_bytes(bytes);
                if header.len > self.max_payload {
                    return Err(FrameError::TooLong {
                        len: header.len,
                        max: self.max_payload,
                    });
                }
                self.pending = Some(header);
                header
            }
        };
        let whole = self.end - self.start >= encrypted_len(header.len);
        Ok(whole.then_some(header))
    }

    /// Bytes still to come before the next call of `next_frame` can make progress.
    fn missing(&self) -> usize {
        let needed = self
            .pending
            .map_or(SEALED_HEADER_LEN, |header| encrypted_len(header.len));
        needed.saturating_sub(self.end - self.start)
    }
}

impl std::fmt::Debug for FrameReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FrameReader")
            .field("buffered", &(self.end - self.start))
            .field("pending", &self.pending)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
