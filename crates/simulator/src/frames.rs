//! Frames between cores, in the clear: encryption is below what is simulated.

use protocol::frame::{Frame, FrameHeader, HEADER_LEN};
use protocol::message::{self, AnyMessage, MiningOwned, Received};

/// Cuts what an outbox holds into its frames.
pub(crate) fn split(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    while let Some((header, _)) = bytes.split_first_chunk::<HEADER_LEN>() {
        let len = HEADER_LEN + FrameHeader::from_bytes(*header).len;
        let (frame, rest) = bytes.split_at(len);
        frames.push(frame.to_vec());
        bytes = rest;
    }
    frames
}

/// The frame as a core takes it.
pub(crate) fn borrow(bytes: &mut [u8]) -> Frame<'_> {
    let (header, payload) = bytes
        .split_first_chunk_mut::<HEADER_LEN>()
        .expect("a frame has a header");
    Frame {
        header: FrameHeader::from_bytes(*header),
        payload,
    }
}

/// The type in its header.
pub(crate) fn message_type(bytes: &[u8]) -> Option<u8> {
    let (header, _) = bytes.split_first_chunk::<HEADER_LEN>()?;
    Some(FrameHeader::from_bytes(*header).msg_type)
}

/// The mining message it carries.
pub(crate) fn mining(bytes: &[u8]) -> Option<MiningOwned> {
    match message::decode(borrow(&mut bytes.to_vec())) {
        Ok(Received::Message(AnyMessage::Mining(message))) => Some(message.into_owned()),
        _ => None,
    }
}
