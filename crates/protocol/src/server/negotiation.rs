//! Extensions on a connection (0x0001), and the fields they add to shares.

use super::{MiningServer, Out, ServerEvent};
use crate::extension;
use crate::frame::{Frame, FrameHeader};
use crate::message::{self, ExtensionsNegotiation};

/// Type of SubmitSharesExtended.
const SUBMIT_SHARES_EXTENDED: u8 = 0x1b;
/// Where in its payload the extranonce begins, with its length.
const EXTRANONCE_AT: usize = 24;

impl MiningServer {
    pub(super) fn negotiate(&mut self, frame: Frame<'_>, out: &mut Out) {
        let FrameHeader {
            extension,
            msg_type,
            ..
        } = frame.header;
        let message = message::negotiation(frame);
        match message {
            Ok(Some(ExtensionsNegotiation::RequestExtensions(request))) => {
                let (granted, answer) = self.policy.extensions.answer(&request);
                self.granted = granted;
                out.send(answer);
            }
            Ok(_) => out.event(ServerEvent::Ignored(format!(
                "type 0x{msg_type:02x} of extension {extension}"
            ))),
            Err(error) => out.close(error.to_string()),
        }
    }

    /// Takes the TLV fields off a share, if they were negotiated; otherwise the decoder ignores
    /// them.
    pub(super) fn split_tail<'a>(&self, frame: Frame<'a>) -> (Frame<'a>, &'a [u8]) {
        let Frame { header, payload } = frame;
        let is_share = (header.extension, header.msg_type) == (0, SUBMIT_SHARES_EXTENDED);
        let end = match payload.get(EXTRANONCE_AT) {
            Some(len) if is_share && self.granted.has(extension::WORKER_TRACKING) => {
                payload.len().min(EXTRANONCE_AT + 1 + usize::from(*len))
            }
            _ => payload.len(),
        };
        let (payload, tail) = payload.split_at_mut(end);
        (Frame { header, payload }, tail)
    }
}
