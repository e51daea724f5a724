//! The port of a link, and its connections.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use daemon::clock;
use daemon::shutdown::Shutdown;
use daemon::wire::{Connection, WireError, split};
use protocol::keys::AuthorityKey;
use protocol::noise::ServerIdentity;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::{debug, info, warn};

use crate::config::Protocol;
use crate::line::Line;
use crate::pump::{Pump, Sink, Source};
use crate::rule::Direction;

/// Connections of one link at once; further ones wait in the kernel.
const MAX_CONNECTIONS: usize = 4096;
/// For each of TCP and the two handshakes.
const STEP: Duration = Duration::from_secs(5);
/// Every connection gets a certificate of its own, so none gets old.
const CERTIFICATE: Duration = Duration::from_secs(3600);
/// The largest there is: what is too long is for the roles to say.
const MAX_PAYLOAD: usize = protocol::frame::MAX_PAYLOAD;

/// A link that listens.
pub(crate) struct Link {
    line: Arc<Line>,
    authority: AuthorityKey,
    listener: TcpListener,
}

impl Link {
    pub(crate) async fn bind(line: Arc<Line>, authority: AuthorityKey) -> anyhow::Result<Self> {
        let address = line.settings.listen_address;
        let listener = TcpListener::bind(address).await.with_context(|| {
            format!(
                "link {}: cannot listen on {address}; free the address or change the key",
                line.name()
            )
        })?;
        Ok(Self {
            line,
            authority,
            listener,
        })
    }

    /// Takes connections until the role stops.
    pub(crate) async fn run(self, shutdown: Shutdown) {
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let stop = shutdown.stop().clone();
        loop {
            let next = async {
                let place = Arc::clone(&places).acquire_owned().await;
                let place = place.expect("the semaphore is never closed");
                self.listener
                    .accept()
                    .await
                    .map(|(stream, _)| (stream, place))
            };
            let accepted = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                accepted = next => accepted,
            };
            let (stream, place) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of file descriptors, usually: give connections a moment to end.
                    warn!(link = self.line.name(), %error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let (line, authority) = (Arc::clone(&self.line), self.authority.clone());
            let stop = stop.clone();
            shutdown.spawn(async move {
                let _place = place;
                let connection = line.opened();
                info!(link = line.name(), connection, "connected");
                let relayed = tokio::select! {
                    () = stop.cancelled() => Ok(()),
                    relayed = relay(stream, &line, &authority, connection) => relayed,
                };
                match relayed {
                    Ok(()) => info!(link = line.name(), connection, "disconnected"),
                    Err(error) => {
                        info!(link = line.name(), connection, %error, "disconnected");
                    }
                }
                line.closed();
            });
        }
    }
}

/// Joins a client to the server until one of them leaves.
async fn relay(
    client: TcpStream,
    line: &Arc<Line>,
    authority: &AuthorityKey,
    connection: u64,
) -> Result<(), WireError> {
    line.passable().await;
    let server = timeout(STEP, TcpStream::connect(line.settings.server_address));
    let server = server.await.map_err(late)??;
    let (from_client, to_client) = split(client)?;
    let (from_server, to_server) = split(server)?;
    let (up, down) = match line.settings.protocol {
        Protocol::Tcp => (
            (Source::Bytes(from_client), Sink::Bytes(to_server)),
            (Source::Bytes(from_server), Sink::Bytes(to_client)),
        ),
        Protocol::Sv2 => {
            // The server first: a client that is let in where nobody is would not try again.
            let authority_public = authority.public();
            let dialled =
                Connection::initiate(from_server, to_server, &authority_public, MAX_PAYLOAD);
            let server = timeout(STEP, dialled).await.map_err(late)??;
            let rng = &mut rand::rngs::OsRng;
            let identity = ServerIdentity::issue(authority, CERTIFICATE, clock::unix(), rng);
            let accepted = Connection::accept(from_client, to_client, &identity, MAX_PAYLOAD);
            let client = timeout(STEP, accepted).await.map_err(late)??;
            let (from_client, to_client) = client.halves();
            let (from_server, to_server) = server.halves();
            (
                (
                    Source::Frames(from_client.into()),
                    Sink::Frames(to_server.into()),
                ),
                (
                    Source::Frames(from_server.into()),
                    Sink::Frames(to_client.into()),
                ),
            )
        }
    };
    let pump = |direction| Pump {
        line: Arc::clone(line),
        connection,
        direction,
    };
    let ended = tokio::select! {
        ended = pump(Direction::Up).run(up.0, up.1) => ended,
        ended = pump(Direction::Down).run(down.0, down.1) => ended,
    };
    debug!(link = line.name(), connection, "one side has left");
    ended
}

fn late<E>(_elapsed: E) -> WireError {
    io::Error::from(io::ErrorKind::TimedOut).into()
}
