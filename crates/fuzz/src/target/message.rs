//! Every message type: what decodes says the same when it is encoded and decoded again.

use protocol::extension;
use protocol::frame::{Frame, FrameHeader};
use protocol::message::{self, Received};

use crate::script::{Line, Script, frame, line};

/// A script of frames.
pub(crate) fn run(bytes: &[u8]) {
    for line in Script(bytes) {
        if let Line::Frame(header, payload) = line {
            let Some(again) = encoded(header, &payload) else {
                continue;
            };
            // Fields it does not know are gone, and all it does know is there.
            assert!(again.len() <= payload.len() + protocol::frame::HEADER_LEN);
            let [Line::Frame(header, payload)] = &Script(&again).collect::<Vec<_>>()[..] else {
                panic!("one message is one frame: {again:02x?}");
            };
            assert_eq!(encoded(*header, payload), Some(again));
        }
    }
}

/// The message in a frame, as we would send it; `None` for what is no message.
fn encoded(header: FrameHeader, payload: &[u8]) -> Option<Vec<u8>> {
    let payload = &mut payload.to_vec()[..];
    let received = Frame { header, payload };
    if header.extension == extension::NEGOTIATION {
        let message = message::negotiation(received).ok()??.into_owned();
        let message = message::ExtensionsOwned::ExtensionsNegotiation(message);
        return Some(frame(message::Message::Extensions(message)));
    }
    match message::decode(received).ok()? {
        Received::Message(message) => Some(frame(message.into_owned())),
        Received::Unknown { .. } => None,
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    // Zeros are a message of nearly every type: all its lists are empty.
    let types = (0..=4)
        .chain(0x10..=0x25)
        .chain(0x50..=0x60)
        .chain(0x70..=0x76);
    let core = types.map(|msg_type| line(0, msg_type, &[0; 160]));
    let negotiation = (0..=2).map(|msg_type| line(1, msg_type, &[0; 8]));
    core.chain(negotiation).collect()
}
