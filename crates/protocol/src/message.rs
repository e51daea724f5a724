//! Typed messages: which bytes they are, and back.
//!
//! The message types and their codec are `stratum-core`'s. This module adds what a server on the
//! open network needs around them: dispatch on extension *and* type, no panic on any bytes, and
//! frames that are appended to a buffer instead of allocated one by one.

use stratum_core::binary_sv2;
pub use stratum_core::binary_sv2::{Encodable, GetSize};
pub use stratum_core::parsers_sv2::IsSv2Message;

use crate::frame::{Frame, FrameHeader, HEADER_LEN, MAX_PAYLOAD};

pub use stratum_core::parsers_sv2::{
    AnyMessage, AnyMessageOwned as Message, CommonMessages, CommonMessagesOwned, Extensions,
    ExtensionsNegotiation, ExtensionsOwned, JobDeclaration, JobDeclarationOwned, Mining,
    MiningOwned, TemplateDistribution, TemplateDistributionOwned,
};
pub use stratum_core::{
    common_messages_sv2 as common, job_declaration_sv2 as declaration, mining_sv2 as mining,
    template_distribution_sv2 as template,
};

/// A decoded frame.
#[derive(Debug)]
pub enum Received<'a> {
    /// A message of the core protocol.
    Message(AnyMessage<'a>),
    /// A type or an extension this implementation does not know; to be ignored (SV2 3.4.1).
    Unknown {
        /// Without the channel bit.
        extension: u16,
        /// Meaningful only together with `extension`.
        msg_type: u8,
    },
}

/// A frame whose payload is not what its type says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("malformed message of type 0x{msg_type:02x}: {reason}")]
pub struct DecodeError {
    /// The type of the frame.
    pub msg_type: u8,
    /// What the codec says.
    pub reason: String,
}

/// Decodes a frame in place. Bytes behind the known fields are a TLV region and are ignored
/// unless an extension was negotiated (SV2 3.4.3).
///
/// # Errors
/// The payload is truncated, or an inner length is impossible.
pub fn decode(frame: Frame<'_>) -> Result<Received<'_>, DecodeError> {
    let FrameHeader {
        extension,
        msg_type,
        ..
    } = frame.header;
    let payload = frame.payload;
    let malformed = |error: &dyn std::fmt::Debug| DecodeError {
        msg_type,
        reason: format!("{error:?}"),
    };
    // Types are told apart by extension and type together: extension 1 reuses 0x00 to 0x02.
    let message = match (extension, msg_type) {
        (0, 0x00..=0x04) => AnyMessage::Common(
            (msg_type, payload)
                .try_into()
                .map_err(|error| malformed(&error))?,
        ),
        (0, 0x10..=0x1d | 0x1f..=0x25) => AnyMessage::Mining(
            (msg_type, payload)
                .try_into()
                .map_err(|error| malformed(&error))?,
        ),
        (0, 0x50 | 0x51 | 0x55..=0x59 | 0x60) => AnyMessage::JobDeclaration(
            (msg_type, payload)
                .try_into()
                .map_err(|error| malformed(&error))?,
        ),
        (0, 0x70..=0x76) => AnyMessage::TemplateDistribution(
            (msg_type, payload)
                .try_into()
                .map_err(|error| malformed(&error))?,
        ),
        _ => {
            return Ok(Received::Unknown {
                extension,
                msg_type,
            });
        }
    };
    Ok(Received::Message(message))
}

/// Decodes a frame of extension 0x0001; `None` for a type it does not have. Separate from
/// [`decode`], since for a role without that extension it is an unknown one.
///
/// # Errors
/// As [`decode`].
pub fn negotiation(frame: Frame<'_>) -> Result<Option<ExtensionsNegotiation<'_>>, DecodeError> {
    let msg_type = frame.header.msg_type;
    if msg_type > 2 {
        return Ok(None);
    }
    let message = Extensions::try_from((frame.header.extension, msg_type, frame.payload));
    match message {
        Ok(Extensions::ExtensionsNegotiation(message)) => Ok(Some(message)),
        Err(error) => Err(DecodeError {
            msg_type,
            reason: format!("{error:?}"),
        }),
    }
}

/// Appends the plaintext frame of `message` to `out`.
///
/// # Panics
/// If the message is longer than a frame can be; ours are bounded where they are made.
pub fn encode<M>(message: M, out: &mut Vec<u8>)
where
    M: IsSv2Message + GetSize + Encodable,
{
    let mut header = FrameHeader {
        extension: message.extension_type(),
        channel_msg: message.channel_bit(),
        msg_type: message.message_type(),
        len: 0,
    };
    let start = out.len();
    let len = message.get_size();
    assert!(len <= MAX_PAYLOAD, "a message of {len} bytes fits no frame");
    header.len = len;
    out.reserve(HEADER_LEN + len);
    out.extend_from_slice(&header.to_bytes());
    out.resize(start + HEADER_LEN + len, 0);
    binary_sv2::to_writer(message, &mut out[start + HEADER_LEN..])
        .expect("the buffer has the size the message announced");
}

/// Builds a frame by hand, for messages that are sent to many peers with few bytes changed.
pub fn encode_with(
    msg_type: u8,
    channel_msg: bool,
    out: &mut Vec<u8>,
    payload: impl FnOnce(&mut Vec<u8>),
) {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER_LEN]);
    payload(out);
    let header = FrameHeader {
        extension: 0,
        channel_msg,
        msg_type,
        len: out.len() - start - HEADER_LEN,
    };
    out[start..start + HEADER_LEN].copy_from_slice(&header.to_bytes());
}

/// An optional number as the protocol's option type.
pub fn option(value: Option<u32>) -> binary_sv2::Sv2OptionOwned<u32> {
    binary_sv2::Sv2OptionOwned::new(value)
}

/// A short text as the protocol's string type, cut at 255 bytes.
pub fn text(value: &str) -> binary_sv2::Str0255Owned {
    let end = value.floor_char_boundary(255);
    value[..end]
        .to_owned()
        .try_into()
        .expect("at most 255 bytes after the cut")
}

#[cfg(test)]
mod tests;
