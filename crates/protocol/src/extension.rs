//! Extensions: their negotiation (0x0001) and worker-specific hash rate tracking (0x0002).
//!
//! The second has no messages. Its client appends the name of the worker to every
//! SubmitSharesExtended, as a TLV field: type (extension U16, field U8), length U16, value. The
//! specification's example is big-endian while its rule for integers, and every deployed peer, is
//! little-endian; so is this.

use stratum_core::extensions_sv2::{
    RequestExtensions, RequestExtensionsErrorOwned, RequestExtensionsOwned,
    RequestExtensionsSuccessOwned,
};
use stratum_core::parsers_sv2::{ExtensionsNegotiationOwned, ExtensionsOwned};

/// The negotiation itself.
pub const NEGOTIATION: u16 = 0x0001;
/// Worker-specific hash rate tracking.
pub const WORKER_TRACKING: u16 = 0x0002;

/// Bytes of a TLV field before its value.
const TLV_HEADER_LEN: usize = 5;
/// The field of [`WORKER_TRACKING`] that names a worker.
const USER_IDENTITY: u8 = 0x01;
/// Bytes of a worker's name at most.
pub const MAX_WORKER_LEN: usize = 32;

/// What one side negotiates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extensions {
    /// Offered by a server, asked for by a client.
    pub supported: Vec<u16>,
    /// Without these the other side is not worked with.
    pub required: Vec<u16>,
}

impl Default for Extensions {
    fn default() -> Self {
        Self {
            supported: vec![WORKER_TRACKING],
            required: Vec::new(),
        }
    }
}

/// What one client was granted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Granted(Vec<u16>);

impl Granted {
    /// Whether `extension` was.
    pub fn has(&self, extension: u16) -> bool {
        self.0.contains(&extension)
    }
}

impl Extensions {
    /// The first required extension that was not granted.
    pub fn missing(&self, granted: &Granted) -> Option<u16> {
        let mut required = self.required.iter().copied();
        required.find(|extension| !granted.has(*extension))
    }

    /// What a server's answer grants, of what was asked for.
    pub(crate) fn granted(&self, answer: impl Iterator<Item = u16>) -> Granted {
        Granted(answer.filter(|e| self.supported.contains(e)).collect())
    }

    /// The first of these that is not supported.
    pub(crate) fn unsupported(&self, mut extensions: impl Iterator<Item = u16>) -> Option<u16> {
        extensions.find(|extension| !self.supported.contains(extension))
    }

    /// Answers a client's request; what was granted replaces what was before.
    pub fn answer(&self, request: &RequestExtensions<'_>) -> (Granted, ExtensionsOwned) {
        let mut requested: Vec<u16> = Vec::new();
        for extension in request.requested_extensions.iter() {
            if !requested.contains(extension) {
                requested.push(*extension);
            }
            // Nobody has so many; a list of 65,535 different ones is not to be searched.
            if requested.len() > MAX_REQUESTED {
                break;
            }
        }
        let asked = |extension: &u16| requested.contains(extension);
        let required: Vec<u16> = self
            .required
            .iter()
            .copied()
            .filter(|e| !asked(e))
            .collect();
        let (granted, unsupported): (Vec<u16>, Vec<u16>) = requested
            .iter()
            .partition(|extension| self.supported.contains(extension));
        let request_id = request.request_id;
        let list = |list: Vec<u16>| list.try_into().expect("a short list");
        let refused = !required.is_empty() || (granted.is_empty() && !unsupported.is_empty());
        if refused {
            let error = RequestExtensionsErrorOwned {
                request_id,
                unsupported_extensions: list(unsupported),
                required_extensions: list(required),
            };
            let message = ExtensionsNegotiationOwned::RequestExtensionsError(error);
            return (
                Granted::default(),
                ExtensionsOwned::ExtensionsNegotiation(message),
            );
        }
        let success = RequestExtensionsSuccessOwned {
            request_id,
            supported_extensions: list(granted.clone()),
        };
        let message = ExtensionsNegotiationOwned::RequestExtensionsSuccess(success);
        (
            Granted(granted),
            ExtensionsOwned::ExtensionsNegotiation(message),
        )
    }
}

/// A client's request for `extensions`, of which there are few.
pub(crate) fn request(request_id: u16, extensions: &[u16]) -> ExtensionsOwned {
    let extensions = extensions.to_vec().try_into().expect("a short list");
    let message = RequestExtensionsOwned {
        request_id,
        requested_extensions: extensions,
    };
    ExtensionsOwned::ExtensionsNegotiation(ExtensionsNegotiationOwned::RequestExtensions(message))
}

/// Appends the field that names a worker.
pub(crate) fn name_worker(name: &str, out: &mut Vec<u8>) {
    let name = short_name(name);
    out.extend_from_slice(&WORKER_TRACKING.to_le_bytes());
    out.push(USER_IDENTITY);
    out.extend_from_slice(&(name.len() as u16).to_le_bytes());
    out.extend_from_slice(name.as_bytes());
}

/// A worker's name as it fits the field. One that is too long is that of its worker alone, which is
/// what follows the last dot: `ADDRESS.rig7` becomes `rig7`. Whatever is still too long is cut.
pub fn short_name(name: &str) -> &str {
    let is_short = |name: &&str| !name.is_empty() && name.len() <= MAX_WORKER_LEN;
    let worker = name.rsplit_once('.').map(|(_, worker)| worker);
    let fits = [Some(name), worker].into_iter().flatten().find(is_short);
    fits.unwrap_or_else(|| &name[..name.floor_char_boundary(MAX_WORKER_LEN)])
}

/// Different extensions of one request that are looked at.
const MAX_REQUESTED: usize = 32;

/// A TLV field longer than its extension allows: its message is to be rejected (SV2 3.4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a worker's name of {0} bytes; at most {MAX_WORKER_LEN} are allowed")]
pub struct TooLong(pub usize);

/// The worker that is named in what follows the known fields of a SubmitSharesExtended. Unknown
/// fields are skipped, and what is no field at all ends the search.
///
/// # Errors
/// The name is too long.
pub fn worker(mut tail: &[u8]) -> Result<Option<&[u8]>, TooLong> {
    while let Some((header, rest)) = tail.split_first_chunk::<TLV_HEADER_LEN>() {
        let extension = u16::from_le_bytes([header[0], header[1]]);
        let len = usize::from(u16::from_le_bytes([header[3], header[4]]));
        let is_worker = (extension, header[2]) == (WORKER_TRACKING, USER_IDENTITY);
        if is_worker && len > MAX_WORKER_LEN {
            return Err(TooLong(len));
        }
        let Some((value, next)) = rest.split_at_checked(len) else {
            break;
        };
        if is_worker {
            return Ok((len > 0).then_some(value));
        }
        tail = next;
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
