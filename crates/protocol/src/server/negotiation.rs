//! Extensions on a connection (0x0001).

use super::{MiningServer, Out, ServerEvent};
use crate::frame::{Frame, FrameHeader};
use crate::message::{self, ExtensionsNegotiation};

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
}
