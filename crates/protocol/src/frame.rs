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
    /// `buffer[start..]` was received and not yet consumed.
    start: usize,
    /// The header of the frame whose payload is awaited; its bytes are consumed already.
    pending: Option<FrameHeader>,
}

impl FrameReader {
    /// `max_payload`: longer announced frames are an error before any memory is set aside for them.
    pub fn new(decryptor: Decryptor, max_payload: usize) -> Self {
        Self {
            decryptor,
            max_payload,
            buffer: Vec::new(),
            start: 0,
            pending: None,
        }
    }

    /// Takes what was received. Memory at most doubles what has really arrived: announcing a length
    /// is not enough.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.start);
        self.start = 0;
        self.buffer.extend_from_slice(bytes);
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
        if self.start == self.buffer.len() {
            // Who waits keeps no memory, least of all that of a large frame; and what was given back
            // last is near the processor when the next connection takes it.
            (self.buffer, self.start) = (Vec::new(), 0);
        }
        let header = match self.pending {
            Some(header) => header,
            None => {
                if self.buffer.len() - self.start < SEALED_HEADER_LEN {
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
        let whole = self.buffer.len() - self.start >= encrypted_len(header.len);
        Ok(whole.then_some(header))
    }
}

impl std::fmt::Debug for FrameReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FrameReader")
            .field("buffered", &(self.buffer.len() - self.start))
            .field("pending", &self.pending)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
