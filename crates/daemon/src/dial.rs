//! The dialling end: connect, shake hands, set up, and do it again for ever.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBuilder};
use protocol::keys::AuthorityPublicKey;
use protocol::message;
use protocol::message::common::Protocol;
use protocol::setup::{Accepted, Refused, Request};
use serde::Serialize;
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use utoipa::ToSchema;

use crate::clock;
use crate::drive::Ended;
use crate::wire::{Connection, TcpConnection, WireError, split};

/// For each of TCP, handshake and answer to SetupConnection.
const STEP: Duration = Duration::from_secs(5);

/// How long what we said may stay unacknowledged by the server's kernel.
const VANISHED: Duration = Duration::from_secs(30);

/// A session this long counts as a success: the next attempt starts with the shortest pause.
pub const STABLE: Duration = Duration::from_secs(10);

/// A host, by name or address, and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort {
    /// Never empty.
    pub host: String,
    /// Its port.
    pub port: u16,
}

/// A text that is no [`HostPort`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected host:port, such as 127.0.0.1:34254")]
pub struct NotHostPort;

impl FromStr for HostPort {
    type Err = NotHostPort;

    fn from_str(text: &str) -> Result<Self, NotHostPort> {
        let (host, port) = text.rsplit_once(':').ok_or(NotHostPort)?;
        let port = port.parse().map_err(|_| NotHostPort)?;
        let host = host.to_owned();
        if host.is_empty() {
            return Err(NotHostPort);
        }
        Ok(Self { host, port })
    }
}

impl From<SocketAddr> for HostPort {
    fn from(address: SocketAddr) -> Self {
        Self {
            host: address.ip().to_string(),
            port: address.port(),
        }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Payload bytes a server's frame may announce unless a role asks for more: a job is far smaller.
const MAX_PAYLOAD: usize = 1 << 20;

/// A server to connect to.
#[derive(Debug, Clone)]
pub struct Upstream {
    /// Where it listens.
    pub address: HostPort,
    /// Who must have signed its certificate.
    pub authority: AuthorityPublicKey,
    /// What to ask of it.
    pub request: Request,
    /// Payload bytes a frame of the server may announce.
    pub max_payload: usize,
}

/// How far the connection to a server has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// There is none; it is dialled again and again.
    #[default]
    Disconnected,
    /// Connected, and not set up yet: Noise and SetupConnection.
    Handshake,
    /// Set up.
    Open,
}

/// The connection to a server, for people to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// How far it has come.
    pub stage: Stage,
    /// Since when.
    pub since: Instant,
    /// Why it failed last; none before the first failure.
    pub failure: Option<String>,
}

/// The same as roles tell it over HTTP.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct LinkView {
    /// How far it has come.
    pub stage: Stage,
    /// Since when, in milliseconds since 1970.
    pub since_ms: u64,
    /// Why it failed last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// And to whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct LinkTo {
    /// What the server is, such as `pool`.
    pub server: &'static str,
    /// Where it is dialled.
    pub address: String,
    /// The connection.
    #[serde(flatten)]
    pub link: LinkView,
}

impl Link {
    /// For HTTP.
    pub fn view(&self) -> LinkView {
        let passed = clock::now().instant.saturating_duration_since(self.since);
        LinkView {
            stage: self.stage,
            since_ms: clock::unix_ms().saturating_sub(passed.as_millis() as u64),
            failure: self.failure.clone(),
        }
    }

    /// For HTTP, as the one to that server.
    pub fn to(&self, server: &'static str, address: &HostPort) -> LinkTo {
        LinkTo {
            server,
            address: address.to_string(),
            link: self.view(),
        }
    }
}

impl Default for Link {
    fn default() -> Self {
        Self {
            stage: Stage::Disconnected,
            since: Instant::now(),
            failure: None,
        }
    }
}

/// Why a server cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// No TCP connection.
    #[error("cannot connect to {address}: {source}")]
    Connect {
        /// The address dialled.
        address: String,
        /// The reason.
        source: io::Error,
    },
    /// Connected, but something went wrong on the wire before SetupConnection was answered.
    #[error("{address}: {source}")]
    Wire {
        /// The address dialled.
        address: String,
        /// The reason.
        source: WireError,
    },
    /// The server refused.
    #[error("{address}: {source}")]
    Refused {
        /// The address dialled.
        address: String,
        /// The reason.
        source: Refused,
    },
}

impl Upstream {
    /// Asks for `protocol` without flags.
    pub fn new(
        address: HostPort,
        authority: AuthorityPublicKey,
        protocol: Protocol,
        role: &'static str,
    ) -> Self {
        Self {
            request: Request {
                protocol,
                flags: 0,
                endpoint_host: address.host.clone(),
                endpoint_port: address.port,
                role,
                device_id: String::new(),
            },
            address,
            authority,
            max_payload: MAX_PAYLOAD,
        }
    }

    /// Connects once.
    ///
    /// # Errors
    /// Which step failed, and why.
    pub async fn connect(&self) -> Result<(TcpConnection, Accepted), DialError> {
        self.connect_and(|| ()).await
    }

    /// Calls `connected` before the handshake.
    async fn connect_and(
        &self,
        connected: impl FnOnce(),
    ) -> Result<(TcpConnection, Accepted), DialError> {
        let address = || self.address.to_string();
        let wire = |source| DialError::Wire {
            address: address(),
            source,
        };
        let late = |_| io::Error::from(io::ErrorKind::TimedOut);
        let stream = timeout(
            STEP,
            TcpStream::connect((self.address.host.as_str(), self.address.port)),
        )
        .await
        .map_err(late)
        .flatten()
        .map_err(|source| DialError::Connect {
            address: address(),
            source,
        })?;
        connected();
        // Whoever serves us can be replaced, so a server that has vanished with what we said last on
        // its way is not waited for as long as the kernel would: a quarter of an hour.
        SockRef::from(&stream)
            .set_tcp_user_timeout(Some(VANISHED))
            .map_err(|error| wire(error.into()))?;
        let (reader, writer) = split(stream).map_err(|error| wire(error.into()))?;
        let handshake = Connection::initiate(reader, writer, &self.authority, self.max_payload);
        let mut connection = timeout(STEP, handshake)
            .await
            .map_err(|elapsed| wire(late(elapsed).into()))?
            .map_err(wire)?;

        let mut request = Vec::new();
        message::encode(self.request.message(), &mut request);
        connection.send(&request).await.map_err(wire)?;
        let frame = timeout(STEP, connection.receive())
            .await
            .map_err(|elapsed| wire(late(elapsed).into()))?
            .map_err(wire)?;
        let accepted = self
            .request
            .read_answer(frame)
            .map_err(|source| DialError::Refused {
                address: address(),
                source,
            })?;
        Ok((connection, accepted))
    }

    /// One session after the other, until `stop`: ask for the next with [`Sessions::next`].
    ///
    /// The pause between attempts starts at 20 ms and doubles, jittered, up to 5 s, so that a lab
    /// comes up fast and a lost server is not stormed when it returns.
    pub fn sessions<'a>(&self, stop: &'a CancellationToken) -> Sessions<'a> {
        Sessions {
            upstream: self.clone(),
            home: self.address.clone(),
            stop,
            pauses: Box::new(backoff()),
            connected: None,
            link: watch::Sender::default(),
        }
    }
}

/// The endless sequence of connections to one server.
pub struct Sessions<'a> {
    upstream: Upstream,
    /// The configured address, to return to when another one was only suggested.
    home: HostPort,
    stop: &'a CancellationToken,
    pauses: Box<dyn Iterator<Item = Duration> + Send>,
    /// Since when the current session lasts.
    connected: Option<Instant>,
    /// Only the newest matters to whoever looks.
    link: watch::Sender<Link>,
}

impl Sessions<'_> {
    /// Tells how far the connection has come.
    pub fn shown_by(mut self, link: watch::Sender<Link>) -> Self {
        self.link = link;
        self
    }

    /// Connects, however long it takes; `None` once the role stops.
    pub async fn next(&mut self) -> Option<(TcpConnection, Accepted)> {
        if let Some(since) = self.connected.take() {
            if self.link.borrow().stage == Stage::Open {
                at(&self.link, Stage::Disconnected);
            }
            if since.elapsed() > STABLE {
                self.pauses = Box::new(backoff());
            }
            self.pause().await?;
        }
        let mut attempts = 0u32;
        loop {
            let link = &self.link;
            let reached = || at(link, Stage::Handshake);
            let connected = tokio::select! {
                biased;
                () = self.stop.cancelled() => return None,
                connected = self.upstream.connect_and(reached) => connected,
            };
            match connected {
                Ok(session) => {
                    info!(upstream = %self.upstream.address, "connected");
                    self.connected = Some(Instant::now());
                    at(&self.link, Stage::Open);
                    return Some(session);
                }
                // A server that is not up yet is normal while a network comes up; any other
                // failure is told at once, and both again when they last.
                Err(error) => {
                    self.failed(&error);
                    self.upstream.address.clone_from(&self.home);
                    let early = matches!(error, DialError::Connect { .. }) && attempts < 4;
                    attempts += 1;
                    if attempts.is_power_of_two() && !early {
                        warn!(%error, attempts, "cannot connect, still trying");
                    }
                }
            }
            self.pause().await?;
        }
    }

    /// Tells why the session ended.
    pub fn ended(&self, reason: &Ended) {
        self.failed(reason);
        if !self.stop.is_cancelled() {
            warn!(upstream = %self.upstream.address, %reason, "connection lost, reconnecting");
        }
    }

    /// Dials another address next, as a server's Reconnect asks (SV2 3.6.5): an empty host or port
    /// 0 mean the same as now. The authority stays the same, and when the other address does not
    /// answer the configured one is dialled again.
    pub fn redirect(&mut self, host: &str, port: u16) {
        let mut address = self.upstream.address.clone();
        if !host.is_empty() {
            host.clone_into(&mut address.host);
        }
        if port != 0 {
            address.port = port;
        }
        info!(from = %self.upstream.address, to = %address, "redirected");
        self.upstream.address = address;
    }

    /// One attempt after the other without a connection is one time without a connection.
    fn failed(&self, reason: &impl fmt::Display) {
        self.link.send_modify(|link| {
            if link.stage == Stage::Open {
                link.since = Instant::now();
            }
            link.stage = Stage::Disconnected;
            link.failure = Some(reason.to_string());
        });
    }

    async fn pause(&mut self) -> Option<()> {
        let pause = self.pauses.next().unwrap_or(STEP);
        tokio::select! {
            biased;
            () = self.stop.cancelled() => None,
            () = tokio::time::sleep(pause) => Some(()),
        }
    }
}

fn at(link: &watch::Sender<Link>, stage: Stage) {
    link.send_modify(|link| (link.stage, link.since) = (stage, Instant::now()));
}

/// Endless, jittered pauses for reconnecting.
pub fn backoff() -> impl Iterator<Item = Duration> {
    backoff_up_to(STEP)
}

/// The same, but for the longest.
pub fn backoff_up_to(longest: Duration) -> impl Iterator<Item = Duration> {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(20).min(longest))
        .with_max_delay(longest)
        .with_jitter()
        .without_max_times()
        .build()
}
