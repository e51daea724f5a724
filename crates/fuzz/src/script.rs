//! What fuzzed bytes mean to a core: frames, one behind the other, as they would come off the wire
//! once they are decrypted. Every byte string is such a script.

use protocol::frame::{FrameHeader, HEADER_LEN};
use protocol::message::{self, Encodable, GetSize, IsSv2Message};

/// Frames of this extension are not heard by the core: their types say what happens around it.
const WORLD: u16 = 0x7fff;

/// What happens next.
#[derive(Debug)]
pub(crate) enum Line {
    /// The peer sends a frame.
    Frame(FrameHeader, Vec<u8>),
    /// Something happens in the role; what it is and means is the target's to say.
    World(u8, Vec<u8>),
}

/// Reads a script. A frame that is cut off by its end is as long as what is there.
#[derive(Debug)]
pub(crate) struct Script<'a>(pub(crate) &'a [u8]);

impl Script<'_> {
    /// A first byte for the target's own use.
    pub(crate) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }
}

impl Iterator for Script<'_> {
    type Item = Line;

    fn next(&mut self) -> Option<Line> {
        let (header, rest) = self.0.split_first_chunk::<HEADER_LEN>()?;
        let header = FrameHeader::from_bytes(*header);
        let (payload, rest) = rest.split_at(header.len.min(rest.len()));
        self.0 = rest;
        let payload = payload.to_vec();
        Some(match header.extension {
            WORLD => Line::World(header.msg_type, payload),
            _ => {
                let len = payload.len();
                Line::Frame(FrameHeader { len, ..header }, payload)
            }
        })
    }
}

/// A number out of a payload: as many of its bytes as there are, the others zero.
pub(crate) fn number(payload: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    let len = payload.len().min(bytes.len());
    bytes[..len].copy_from_slice(&payload[..len]);
    u64::from_le_bytes(bytes)
}

/// For seeds: a line of any kind.
pub(crate) fn line(extension: u16, msg_type: u8, payload: &[u8]) -> Vec<u8> {
    let header = FrameHeader {
        extension,
        channel_msg: false,
        msg_type,
        len: payload.len(),
    };
    [&header.to_bytes()[..], payload].concat()
}

/// For seeds: something happens in the role.
pub(crate) fn world(what: u8, payload: &[u8]) -> Vec<u8> {
    line(WORLD, what, payload)
}

/// For seeds: the peer sends a message.
pub(crate) fn frame(message: impl IsSv2Message + GetSize + Encodable) -> Vec<u8> {
    let mut frame = Vec::new();
    message::encode(message, &mut frame);
    frame
}
