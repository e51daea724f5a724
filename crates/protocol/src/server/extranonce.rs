//! The extranonce and how it is shared out: first a connection's prefix, then two bytes for the
//! channel, then what the miner rolls (SV2 5.1.2.1).

use stratum_core::binary_sv2::B032Owned;
use stratum_core::mining_sv2::SetExtranoncePrefixOwned;

use super::{ChannelKind, MiningServer, Out};
use crate::message::MiningOwned;

/// Most bytes of an extranonce (SV2 3.1: B0_32).
pub const MAX_EXTRANONCE: usize = 32;
/// Bytes that tell a connection's channels apart.
const CHANNEL_LEN: usize = 2;

/// An extranonce or a part of one, in place.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Extranonce {
    bytes: [u8; MAX_EXTRANONCE],
    len: u8,
}

impl Extranonce {
    /// One part behind the other; what is longer than [`MAX_EXTRANONCE`] is cut off.
    fn join(parts: [&[u8]; 2]) -> Self {
        let mut joined = Self {
            bytes: [0; MAX_EXTRANONCE],
            len: 0,
        };
        for part in parts {
            let start = usize::from(joined.len);
            let end = MAX_EXTRANONCE.min(start + part.len());
            joined.bytes[start..end].copy_from_slice(&part[..end - start]);
            joined.len = end as u8;
        }
        joined
    }

    /// With `part` behind it.
    pub(super) fn with(&self, part: &[u8]) -> Self {
        Self::join([self.as_bytes(), part])
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    pub(super) fn to_message(self) -> B032Owned {
        let bytes = self.as_bytes().to_vec();
        bytes
            .try_into()
            .expect("an extranonce has at most 32 bytes")
    }
}

impl std::fmt::Debug for Extranonce {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for byte in self.as_bytes() {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

/// The extranonces of one connection. All its channels have the same length, so that all fit one
/// group: the coinbase prefix a group gets contains the length of the scriptSig (T-12).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExtranonceSpace {
    prefix: Extranonce,
    rollable: usize,
}

/// More than an extranonce may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} bytes are too long for an extranonce; at most {MAX_EXTRANONCE} fit")]
pub struct ExtranonceTooLong(pub usize);

impl ExtranonceSpace {
    /// Every channel's extranonce begins with `prefix` (what is shared out further up included)
    /// and ends with `rollable` bytes, which the miners of extended channels choose.
    ///
    /// # Errors
    /// Together with the two bytes in between they are too long.
    pub fn new(prefix: &[u8], rollable: usize) -> Result<Self, ExtranonceTooLong> {
        let len = prefix.len() + CHANNEL_LEN + rollable;
        if len > MAX_EXTRANONCE {
            return Err(ExtranonceTooLong(len));
        }
        Ok(Self {
            prefix: Extranonce::join([prefix, &[]]),
            rollable,
        })
    }

    /// Bytes of the whole extranonce: the coinbases of this connection must have room for it.
    pub fn extranonce_len(&self) -> usize {
        self.prefix.as_bytes().len() + CHANNEL_LEN + self.rollable
    }

    /// Bytes that an extended channel's miner chooses.
    pub(super) fn rollable(&self) -> usize {
        self.rollable
    }

    /// What a channel's extranonce begins with. A standard channel has nothing to add.
    pub(super) fn channel_prefix(&self, index: u16, kind: ChannelKind) -> Extranonce {
        let prefix = self.prefix.with(&index.to_be_bytes());
        match kind {
            ChannelKind::Standard => prefix.with(&[0; MAX_EXTRANONCE][..self.rollable]),
            ChannelKind::Extended { .. } => prefix,
        }
    }
}

impl MiningServer {
    /// The connection's part of the search space is another one, because somebody further up shared
    /// it out anew. Jobs from now on are in it; earlier ones keep theirs (SV2 5.3.10).
    pub(super) fn move_to(&mut self, space: ExtranonceSpace, out: &mut Out) {
        let lengths = |space: &ExtranonceSpace| (space.extranonce_len(), space.rollable);
        if lengths(&space) != lengths(&self.space) {
            // No message changes what an open channel may roll.
            return out.close("the extranonce has another size from now on");
        }
        self.space = space;
        for channel in self.channels.values_mut() {
            channel.extranonce_prefix = space.channel_prefix(channel.index, channel.kind);
            out.send(MiningOwned::SetExtranoncePrefix(SetExtranoncePrefixOwned {
                channel_id: channel.id,
                extranonce_prefix: channel.extranonce_prefix.to_message(),
            }));
        }
    }
}
