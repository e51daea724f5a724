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

    /// Connects, runs `session`, and begins again when it ends, until `stop`.
    ///
    /// The pause between attempts starts at 20 ms and doubles, jittered, up to 5 s, so that a lab
    /// comes up fast and a lost server is not stormed when it returns.
    pub async fn keep<S>(&self, stop: &CancellationToken, mut session: S)
    where
        S: AsyncFnMut(TcpConnection, Accepted) -> Ended,
    {
        let mut pauses = backoff();
        let mut attempts = 0u32;
        loop {
            let connected = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                connected = self.connect() => connected,
            };
            match connected {
                Ok((connection, accepted)) => {
                    attempts = 0;
                    let since = Instant::now();
                    info!(upstream = %self.address, "connected");
                    let ended = session(connection, accepted).await;
                    if stop.is_cancelled() {
                        return;
                    }
                    warn!(upstream = %self.address, reason = %ended, "connection lost, reconnecting");
                    if since.elapsed() > STABLE {
                        pauses = backoff();
                    }
                }
                Err(error) => {
                    attempts += 1;
                    // The first failures are normal while a network comes up, the same one for the
                    // hundredth time is no news.
                    if attempts.is_power_of_two() && attempts > 2 {
                        warn!(%error, attempts, "still trying");
                    }
                }
            }
            let pause = pauses.next().unwrap_or(STEP);
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
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
