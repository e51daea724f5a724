//! What the clients of a listening port may do, and how often they were stopped from doing more.

use std::ops::RangeInclusive;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use protocol::frame::{FrameError, MAX_PAYLOAD};
use protocol::server;

use crate::config::Reader;

/// What a listening port allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once; further ones are closed at once.
    pub max_connections: u32,
    /// Connections at once from one IPv4 address or one IPv6 network of 64 bits, or 0 for as many
    /// as there may be in all. That is the default, because in a lab, and behind a NAT or a proxy,
    /// all miners have one address.
    pub max_connections_per_address: u32,
    /// Connections at once that are not set up yet; further ones wait to be accepted.
    pub max_handshakes: u32,
    /// From TCP accept to the last byte of the handshake.
    pub handshake: Duration,
    /// From the handshake to SetupConnection.
    pub setup: Duration,
    /// How long a client may stay without what its protocol is for.
    pub idle: Duration,
    /// Payload bytes a client's frame may announce.
    pub max_payload: usize,
    /// Messages a second from one client, on average, of which a long one counts once for each
    /// kilobyte; a second's worth may come at once. While there were more nothing is read. 0 for no
    /// limit.
    pub max_messages_per_second: u32,
    /// Sealed bytes a client may leave unread.
    pub max_unread: usize,
    /// How long a client may leave sent bytes unread without reading any.
    pub stall: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            max_connections_per_address: 0,
            max_handshakes: 256,
            handshake: Duration::from_secs(10),
            setup: Duration::from_secs(10),
            idle: Duration::from_secs(300),
            max_payload: 1 << 20,
            max_messages_per_second: 10_000,
            // Room for the whole transaction data of a full block.
            max_unread: 16 << 20,
            stall: Duration::from_secs(15),
        }
    }
}

/// The slots of a role's connections are told apart by three bytes of the extranonce.
const CONNECTIONS: RangeInclusive<u32> = 1..=1 << 24;
/// Room for a SetupConnection with texts as long as can be, and no more than a header can announce.
const PAYLOAD: RangeInclusive<usize> = 13 + 5 * 256..=MAX_PAYLOAD;
/// A burst of answers, and less than would hurt anybody.
const UNREAD: RangeInclusive<usize> = 1 << 16..=1 << 30;
/// Seconds; a day stands for no limit.
const TIMEOUT: RangeInclusive<u64> = 1..=86_400;

impl Limits {
    /// Takes them out of `reader`; what is not there is as in `defaults`.
    pub fn read(reader: &mut Reader, defaults: Self) -> Self {
        let seconds = |reader: &mut Reader, key, default: Duration| {
            Duration::from_secs(reader.within(key, default.as_secs(), TIMEOUT))
        };
        let max_connections =
            reader.within("max_connections", defaults.max_connections, CONNECTIONS);
        Self {
            max_connections,
            max_connections_per_address: reader.or(
                "max_connections_per_address",
                defaults.max_connections_per_address,
            ),
            max_handshakes: reader.within("max_handshakes", defaults.max_handshakes, CONNECTIONS),
            handshake: seconds(reader, "handshake_timeout_sec", defaults.handshake),
            setup: seconds(reader, "setup_timeout_sec", defaults.setup),
            idle: seconds(reader, "idle_timeout_sec", defaults.idle),
            max_payload: reader.within("max_frame_bytes", defaults.max_payload, PAYLOAD),
            max_messages_per_second: reader
                .or("max_messages_per_second", defaults.max_messages_per_second),
            max_unread: reader.within("max_unread_bytes", defaults.max_unread, UNREAD),
            stall: seconds(reader, "unread_timeout_sec", defaults.stall),
        }
    }
}

/// A limit, by what it limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Limit {
    /// [`Limits::max_connections`]: one more was closed.
    Connections,
    /// [`Limits::max_connections_per_address`]: one more was closed.
    ConnectionsPerAddress,
    /// [`Limits::max_handshakes`]: the next ones had to wait.
    Handshakes,
    /// [`Limits::handshake`], or less when others wait.
    HandshakeTime,
    /// [`Limits::setup`], or less when others wait.
    SetupTime,
    /// [`Limits::max_payload`].
    FrameSize,
    /// [`Limits::idle`].
    Idle,
    /// [`Limits::max_messages_per_second`]: nothing was read for a moment.
    Messages,
    /// [`Limits::max_unread`].
    UnreadBytes,
    /// [`Limits::stall`].
    UnreadTime,
    /// Channels of a connection: one more was refused.
    Channels,
    /// Time to negotiate an extension that is required.
    Extension,
}

impl Limit {
    const ALL: [Self; 12] = [
        Self::Connections,
        Self::ConnectionsPerAddress,
        Self::Handshakes,
        Self::HandshakeTime,
        Self::SetupTime,
        Self::FrameSize,
        Self::Idle,
        Self::Messages,
        Self::UnreadBytes,
        Self::UnreadTime,
        Self::Channels,
        Self::Extension,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::ConnectionsPerAddress => "connections_per_address",
            Self::Handshakes => "handshakes",
            Self::HandshakeTime => "handshake_time",
            Self::SetupTime => "setup_time",
            Self::FrameSize => "frame_size",
            Self::Idle => "idle",
            Self::Messages => "messages",
            Self::UnreadBytes => "unread_bytes",
            Self::UnreadTime => "unread_time",
            Self::Channels => "channels",
            Self::Extension => "extension",
        }
    }
}

impl From<server::Limit> for Limit {
    fn from(limit: server::Limit) -> Self {
        match limit {
            server::Limit::Idle => Self::Idle,
            server::Limit::Channels => Self::Channels,
            server::Limit::Extension => Self::Extension,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Label {
    limit: &'static str,
}

/// How often each limit was reached. Cheap to clone; the counters are shared.
#[derive(Debug, Clone, Default)]
pub struct Reached(Family<Label, Counter>);

impl Reached {
    /// Counts.
    pub fn count(&self, limit: Limit) {
        self.of(limit).inc();
    }

    /// How often so far.
    pub fn times(&self, limit: Limit) -> u64 {
        self.of(limit).get()
    }

    /// Shows every limit in `/metrics`, also those that were never reached.
    pub fn register(&self, registry: &mut Registry) {
        for limit in Limit::ALL {
            self.of(limit);
        }
        let help = "How often a limit was reached, by limit";
        registry.register("sv2_limits_reached", help, self.0.clone());
    }

    pub(crate) fn frame(&self, error: &FrameError) {
        if let FrameError::TooLong { .. } = error {
            self.count(Limit::FrameSize);
        }
    }

    fn of(&self, limit: Limit) -> Counter {
        let limit = limit.name();
        self.0.get_or_create_owned(&Label { limit })
    }
}

#[cfg(test)]
mod tests;
