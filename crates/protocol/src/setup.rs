//! SetupConnection, both sides (SV2 3.6).

use stratum_core::common_messages_sv2::{
    Protocol, SetupConnectionErrorOwned, SetupConnectionOwned, SetupConnectionSuccess,
};

use crate::error_code::{self, ErrorCode};
use crate::frame::{Frame, FrameHeader};
use crate::message::{
    self, AnyMessage, CommonMessages, CommonMessagesOwned, Message, Received, text,
};

/// The only protocol version there is.
pub const VERSION: u16 = 2;

/// Mining flags of a client: it cannot process extended jobs.
pub const REQUIRES_STANDARD_JOBS: u32 = 1 << 0;
/// Mining flags of a client: it will send `SetCustomMiningJob`.
pub const REQUIRES_WORK_SELECTION: u32 = 1 << 1;
/// Mining flags of a client: jobs must allow version rolling.
pub const REQUIRES_VERSION_ROLLING: u32 = 1 << 2;
/// Mining flags of a server: it accepts no change of the version.
pub const REQUIRES_FIXED_VERSION: u32 = 1 << 0;
/// Mining flags of a server: it refuses standard channels.
pub const REQUIRES_EXTENDED_CHANNELS: u32 = 1 << 1;
/// Job declaration flags of a client: it declares its transactions, instead of only its coinbase.
pub const DECLARE_TX_DATA: u32 = 1 << 0;

/// What a server offers on its port.
#[derive(Debug, Clone, Copy)]
pub struct Offer {
    /// The protocol served here.
    pub protocol: Protocol,
    /// The client flags this server can satisfy.
    pub supported_flags: u32,
    /// The flags of the answer, given the client's. They are the server's own requirements, with
    /// bits of another meaning than the client's; never an echo.
    pub success_flags: fn(u32) -> u32,
}

/// A client whose SetupConnection was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// The flags it asked for, all of them supported.
    pub flags: u32,
    /// Who made it.
    pub vendor: String,
    /// What it runs on, or which kind of program it is; often empty.
    pub hardware: String,
    /// Which software it runs.
    pub firmware: String,
    /// Which device it is; often empty.
    pub device_id: String,
}

/// What to do with a client's first frame.
#[derive(Debug)]
pub enum Answer {
    /// Send the message and go on.
    Accept(Message, Client),
    /// Send the message, flush it, close (SV2 3.6.3).
    Refuse(Message, ErrorCode),
    /// Not a SetupConnection that can be answered: close.
    Close(String),
}

impl Offer {
    /// Judges the first frame of a connection.
    pub fn answer(&self, frame: Frame<'_>) -> Answer {
        let FrameHeader {
            extension,
            msg_type,
            ..
        } = frame.header;
        if (extension, msg_type) != (0, 0) {
            return Answer::Close(format!(
                "the first message has type 0x{msg_type:02x} of extension {extension}, \
                 not SetupConnection"
            ));
        }
        // The codec refuses a protocol number it does not know, but the spec wants an answer.
        let known = match frame.payload.first_mut() {
            Some(protocol) if *protocol > 2 => {
                *protocol = 0;
                false
            }
            _ => true,
        };
        let request = match message::decode(frame) {
            Ok(Received::Message(AnyMessage::Common(CommonMessages::SetupConnection(request)))) => {
                request
            }
            Ok(_) => return Answer::Close("the first message is not SetupConnection".into()),
            Err(error) => return Answer::Close(error.to_string()),
        };
        if !known || request.protocol != self.protocol {
            return refuse(error_code::UNSUPPORTED_PROTOCOL, 0);
        }
        if !(request.min_version..=request.max_version).contains(&VERSION) {
            return refuse(error_code::PROTOCOL_VERSION_MISMATCH, 0);
        }
        let unsupported = request.flags & !self.supported_flags;
        if unsupported != 0 {
            return refuse(error_code::UNSUPPORTED_FEATURE_FLAGS, unsupported);
        }
        let success = SetupConnectionSuccess {
            used_version: VERSION,
            flags: (self.success_flags)(request.flags),
        };
        Answer::Accept(
            Message::Common(CommonMessagesOwned::SetupConnectionSuccess(success)),
            Client {
                flags: request.flags,
                vendor: request.vendor.as_utf8_or_hex(),
                hardware: request.hardware_version.as_utf8_or_hex(),
                firmware: request.firmware.as_utf8_or_hex(),
                device_id: request.device_id.as_utf8_or_hex(),
            },
        )
    }
}

fn refuse(code: ErrorCode, flags: u32) -> Answer {
    let error = SetupConnectionErrorOwned {
        flags,
        error_code: text(code),
    };
    Answer::Refuse(
        Message::Common(CommonMessagesOwned::SetupConnectionError(error)),
        code,
    )
}

/// What a client asks for.
#[derive(Debug, Clone)]
pub struct Request {
    /// The protocol to speak.
    pub protocol: Protocol,
    /// The client's requirements.
    pub flags: u32,
    /// The host dialled, as the user wrote it.
    pub endpoint_host: String,
    /// The port dialled.
    pub endpoint_port: u16,
    /// Which role this is; with its version it becomes vendor and firmware.
    pub role: &'static str,
    /// Empty unless the user named the device.
    pub device_id: String,
}

/// A server that accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// The server's requirements.
    pub flags: u32,
}

/// Why a connection cannot be set up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The server says no.
    #[error("the server refuses the connection: {code} (flags it lacks: 0x{flags:x})")]
    ByServer {
        /// Its reason.
        code: String,
        /// The requested flags it does not support; 0 for other reasons.
        flags: u32,
    },
    /// The server's answer is no answer.
    #[error("the server answers SetupConnection with {0}")]
    Unexpected(String),
}

impl Request {
    /// The message to send first.
    pub fn message(&self) -> Message {
        Message::Common(CommonMessagesOwned::SetupConnection(SetupConnectionOwned {
            protocol: self.protocol,
            min_version: VERSION,
            max_version: VERSION,
            flags: self.flags,
            endpoint_host: text(&self.endpoint_host),
            endpoint_port: self.endpoint_port,
            vendor: text("sv2-lab"),
            hardware_version: text(std::env::consts::ARCH),
            firmware: text(&format!("{}/{}", self.role, env!("CARGO_PKG_VERSION"))),
            device_id: text(&self.device_id),
        }))
    }

    /// Judges the server's first frame.
    ///
    /// # Errors
    /// The server refused, or spoke out of turn.
    pub fn read_answer(&self, frame: Frame<'_>) -> Result<Accepted, Refused> {
        let unexpected = |what: &str| Refused::Unexpected(what.to_owned());
        match message::decode(frame) {
            Ok(Received::Message(AnyMessage::Common(answer))) => match answer {
                CommonMessages::SetupConnectionSuccess(success)
                    if success.used_version == VERSION =>
                {
                    Ok(Accepted {
                        flags: success.flags,
                    })
                }
                CommonMessages::SetupConnectionSuccess(success) => Err(Refused::Unexpected(
                    format!("protocol version {}", success.used_version),
                )),
                CommonMessages::SetupConnectionError(error) => Err(Refused::ByServer {
                    code: error.error_code.as_utf8_or_hex(),
                    flags: error.flags,
                }),
                other => Err(Refused::Unexpected(other.to_string())),
            },
            Ok(Received::Message(_)) => Err(unexpected("a message of another protocol")),
            Ok(Received::Unknown { msg_type, .. }) => {
                Err(Refused::Unexpected(format!("type 0x{msg_type:02x}")))
            }
            Err(error) => Err(Refused::Unexpected(error.to_string())),
        }
    }
}

#[cfg(test)]
mod tests;
