//! The dialling end: connect, shake hands, set up, and do it again for ever.

use std::io;
use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBuilder};
use protocol::keys::AuthorityPublicKey;
use protocol::message;
use protocol::setup::{Accepted, Refused, Request};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::drive::Ended;
use crate::wire::{Connection, TcpConnection, WireError, split};

/// For each of TCP, handshake and answer to SetupConnection.
const STEP: Duration = Duration::from_secs(5);

/// A session this long counts as a success: the next attempt starts with the shortest pause.
const STABLE: Duration = Duration::from_secs(10);

/// A server to connect to.
#[derive(Debug, Clone)]
pub struct Upstream {
    /// `host:port`.
    pub address: String,
    /// Who must have signed its certificate.
    pub authority: AuthorityPublicKey,
    /// What to ask of it.
    pub request: Request,
    /// Payload bytes a frame of the server may announce.
    pub max_payload: usize,
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
    /// Connects once.
    ///
    /// # Errors
    /// Which step failed, and why.
    pub async fn connect(&self) -> Result<(TcpConnection, Accepted), DialError> {
        let address = || self.address.clone();
        let wire = |source| DialError::Wire {
            address: address(),
            source,
        };
        let late = |_| io::Error::from(io::ErrorKind::TimedOut);
        let stream = timeout(STEP, TcpStream::connect(&self.address))
            .await
            .map_err(late)
            .flatten()
            .map_err(|source| DialError::Connect {
                address: address(),
                source,
            })?;
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
        }
    }
}

/// The endless sequence of connections to one server.
pub struct Sessions<'a> {
    upstream: Upstream,
    /// The configured address, to return to when another one was only suggested.
    home: String,
    stop: &'a CancellationToken,
    pauses: Box<dyn Iterator<Item = Duration> + Send>,
    /// Since when the current session lasts.
    connected: Option<Instant>,
}

impl Sessions<'_> {
    /// Connects, however long it takes; `None` once the role stops.
    pub async fn next(&mut self) -> Option<(TcpConnection, Accepted)> {
        if let Some(since) = self.connected.take() {
            if since.elapsed() > STABLE {
                self.pauses = Box::new(backoff());
            }
            self.pause().await?;
        }
        let mut attempts = 0u32;
        loop {
            let connected = tokio::select! {
                biased;
                () = self.stop.cancelled() => return None,
                connected = self.upstream.connect() => connected,
            };
            match connected {
                Ok(session) => {
                    info!(upstream = %self.upstream.address, "connected");
                    self.connected = Some(Instant::now());
                    return Some(session);
                }
                // A server that is not up yet is normal while a network comes up; any other
                // failure is told at once, and both again when they last.
                Err(error) => {
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
        if !self.stop.is_cancelled() {
            warn!(upstream = %self.upstream.address, %reason, "connection lost, reconnecting");
        }
    }

    /// Dials another address next, as a server's Reconnect asks (SV2 3.6.5): an empty host or port
    /// 0 mean the same as now. The authority stays the same, and when the other address does not
    /// answer the configured one is dialled again.
    pub fn redirect(&mut self, host: &str, port: u16) {
        let (old_host, old_port) = self
            .upstream
            .address
            .rsplit_once(':')
            .unwrap_or((&self.upstream.address, "0"));
        let host = if host.is_empty() { old_host } else { host };
        let address = match port {
            0 => format!("{host}:{old_port}"),
            port => format!("{host}:{port}"),
        };
        info!(from = %self.upstream.address, to = %address, "redirected");
        self.upstream.address = address;
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

/// Endless, jittered pauses for reconnecting.
pub fn backoff() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(20))
        .with_max_delay(Duration::from_secs(5))
        .with_jitter()
        .without_max_times()
        .build()
}
