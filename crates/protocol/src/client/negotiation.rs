//! Extensions on a connection (0x0001), and what workers' names do to shares (0x0002).

use std::time::Duration;

use stratum_core::mining_sv2::SubmitSharesExtendedOwned;

use super::{MiningClient, Out};
use crate::core::Now;
use crate::error_code::ErrorCode;
use crate::extension::{self, WORKER_TRACKING};
use crate::frame::{Frame, FrameHeader, HEADER_LEN};
use crate::message::{self, ExtensionsNegotiation, MiningOwned};

/// How long an answer to RequestExtensions is waited for. A server that knows no extensions ignores
/// the request (extension 0x0001, 4.3).
const PATIENCE: Duration = Duration::from_secs(2);

/// The only request of a connection.
const REQUEST_ID: u16 = 1;

impl MiningClient {
    /// The connection was set up: its first frames. With extensions to negotiate the channels are
    /// asked for only when the server has answered (extension 0x0001, 4.2), or was silent too long.
    ///
    /// # Errors
    /// As [`connected`](Self::connected).
    pub fn begin(&mut self, now: Now) -> Result<Vec<u8>, ErrorCode> {
        if self.extensions.supported.is_empty() {
            return self.connected();
        }
        let mut frames = Vec::new();
        let request = extension::request(REQUEST_ID, &self.extensions.supported);
        message::encode(request, &mut frames);
        self.negotiating = Some(now.instant + PATIENCE);
        Ok(frames)
    }

    pub(super) fn negotiated(&mut self, frame: Frame<'_>, out: &mut Out) {
        let FrameHeader {
            extension,
            msg_type,
            ..
        } = frame.header;
        let ignored = format!("type 0x{msg_type:02x} of extension {extension}");
        let answer = match message::negotiation(frame) {
            Ok(answer) => answer.filter(|_| self.negotiating.is_some()),
            Err(error) => return out.close(error.to_string()),
        };
        match answer {
            Some(ExtensionsNegotiation::RequestExtensionsSuccess(success)) => {
                let granted = success.supported_extensions.iter().copied();
                self.granted = self.extensions.granted(granted);
            }
            Some(ExtensionsNegotiation::RequestExtensionsError(error)) => {
                let required = error.required_extensions.iter().copied();
                if let Some(unknown) = self.extensions.unsupported(required) {
                    return out.close(format!("the server requires extension {unknown}"));
                }
            }
            _ => return out.event(super::ClientEvent::Ignored(ignored)),
        }
        self.negotiation_over(out);
    }

    /// Whatever was granted is granted; now for the channels.
    pub(super) fn negotiation_over(&mut self, out: &mut Out) {
        self.negotiating = None;
        if let Some(missing) = self.extensions.missing(&self.granted) {
            return out.close(format!("the server does not grant extension {missing}"));
        }
        match self.connected() {
            Ok(frames) => out.send_encoded(&frames),
            Err(reason) => out.close(reason),
        }
    }

    pub(super) fn names_workers(&self) -> bool {
        self.granted.has(WORKER_TRACKING)
    }
}

/// Sends a share, with the name of its worker behind the known fields if there is one.
pub(super) fn submit(message: SubmitSharesExtendedOwned, worker: Option<&str>, out: &mut Out) {
    let message = MiningOwned::SubmitSharesExtended(message);
    let Some(worker) = worker else {
        return out.send(message);
    };
    let mut frame = Vec::new();
    message::encode(message, &mut frame);
    let (header, fields) = frame.split_at(HEADER_LEN);
    let header: [u8; HEADER_LEN] = header.try_into().expect("a header was encoded");
    let header = FrameHeader::from_bytes(header);
    out.send_with(header.msg_type, header.channel_msg, |payload| {
        payload.extend_from_slice(fields);
        extension::name_worker(worker, payload);
    });
}
