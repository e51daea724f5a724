//! The listening end: limits, time-outs, handshake, SetupConnection.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use protocol::keys::AuthorityKey;
use protocol::message;
use protocol::noise::ServerIdentity;
use protocol::setup::{Answer, Client, Offer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tracing::{debug, info, warn};

use crate::clock;
use crate::shutdown::Shutdown;
use crate::wire::{Connection, TcpConnection, WireError, split};

/// What a listening port allows.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at once; further ones are closed at once.
    pub max_connections: u32,
    /// From TCP accept to the last byte of the handshake.
    pub handshake: Duration,
    /// From the handshake to SetupConnection.
    pub setup: Duration,
    /// Payload bytes a client's frame may announce.
    pub max_payload: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            handshake: Duration::from_secs(10),
            setup: Duration::from_secs(10),
            max_payload: 1 << 20,
        }
    }
}

/// A connected client.
#[derive(Debug)]
pub struct Peer {
    /// Where it dialled from.
    pub address: SocketAddr,
    /// What it asked for and which software it is.
    pub client: Client,
    /// A number no other connected client has, below `max_connections`; it is given out again as
    /// late as possible after the client left.
    pub slot: Slot,
}

/// A listening port.
pub struct Server {
    listener: TcpListener,
    identity: Identity,
    offer: Offer,
    limits: Limits,
}

/// Renews the certificate long before it expires.
struct Identity {
    authority: AuthorityKey,
    validity: Duration,
    current: Arc<ServerIdentity>,
    renew_at: u64,
}

impl Identity {
    fn new(authority: AuthorityKey, validity: Duration) -> Self {
        let now = clock::unix();
        let rng = &mut rand::thread_rng();
        Self {
            current: Arc::new(ServerIdentity::issue(&authority, validity, now, rng)),
            renew_at: now + validity.as_secs() / 2,
            authority,
            validity,
        }
    }

    fn current(&mut self) -> Arc<ServerIdentity> {
        if clock::unix() >= self.renew_at {
            *self = Self::new(self.authority.clone(), self.validity);
        }
        Arc::clone(&self.current)
    }
}

impl Server {
    /// Listens on `address`.
    ///
    /// # Errors
    /// The address is taken or not this machine's.
    pub async fn bind(
        address: SocketAddr,
        authority: AuthorityKey,
        validity: Duration,
        offer: Offer,
        limits: Limits,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await.map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("cannot listen on {address}: {error}; free the address or change the configuration"),
            )
        })?;
        info!(address = %listener.local_addr()?, "listening");
        Ok(Self {
            listener,
            identity: Identity::new(authority, validity),
            offer,
            limits,
        })
    }

    /// Where it listens; tells the port when it was bound to port 0.
    ///
    /// # Errors
    /// The operating system does not know.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Accepts clients until `shutdown`; each that sets up is served by `serve` in its own task.
    pub async fn run<F>(
        mut self,
        shutdown: Shutdown,
        serve: impl Fn(TcpConnection, Peer) -> F + Clone + Send + Sync + 'static,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let mut slots = Slots::new(self.limits.max_connections);
        loop {
            let accepted = tokio::select! {
                biased;
                () = shutdown.stop().cancelled() => return,
                accepted = self.listener.accept() => accepted,
            };
            let (stream, address) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of file descriptors, usually: give connections a moment to end.
                    warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let Some(slot) = slots.take() else {
                warn!(peer = %address, limit = self.limits.max_connections, "too many connections, one more closed");
                continue;
            };
            let identity = self.identity.current();
            let (offer, limits, serve) = (self.offer, self.limits, serve.clone());
            shutdown.spawn(async move {
                match set_up(stream, &identity, &offer, limits).await {
                    Ok(Some((connection, client))) => {
                        serve(
                            connection,
                            Peer {
                                address,
                                client,
                                slot,
                            },
                        )
                        .await;
                    }
                    Ok(None) => {}
                    Err(error) => debug!(peer = %address, %error, "connection not set up"),
                }
            });
        }
    }
}

/// From TCP accept to an accepted SetupConnection; `None` for a client that was refused.
async fn set_up(
    stream: TcpStream,
    identity: &ServerIdentity,
    offer: &Offer,
    limits: Limits,
) -> Result<Option<(TcpConnection, Client)>, WireError> {
    let late = |_| io::Error::from(io::ErrorKind::TimedOut);
    let (reader, writer) = split(stream)?;
    let handshake = Connection::accept(reader, writer, identity, limits.max_payload);
    let mut connection = timeout(limits.handshake, handshake).await.map_err(late)??;
    let frame = timeout(limits.setup, connection.receive())
        .await
        .map_err(late)??;
    let mut reply = Vec::new();
    match offer.answer(frame) {
        Answer::Accept(message, client) => {
            message::encode(message, &mut reply);
            connection.send(&reply).await?;
            Ok(Some((connection, client)))
        }
        Answer::Refuse(message, code) => {
            info!(code, "connection refused");
            message::encode(message, &mut reply);
            timeout(limits.setup, connection.send(&reply))
                .await
                .map_err(late)??;
            connection.close().await;
            Ok(None)
        }
        Answer::Close(reason) => {
            info!(reason, "connection closed");
            Ok(None)
        }
    }
}

/// The free slots. A queue, so that a slot rests as long as possible before it is used again.
struct Slots {
    free: mpsc::Receiver<u32>,
    give_back: mpsc::Sender<u32>,
}

impl Slots {
    fn new(count: u32) -> Self {
        // Never full: it has room for every slot there is.
        let (give_back, free) = mpsc::channel(count.max(1) as usize);
        for slot in 0..count {
            give_back
                .try_send(slot)
                .expect("there is room for every slot");
        }
        Self { free, give_back }
    }

    fn take(&mut self) -> Option<Slot> {
        let number = self.free.try_recv().ok()?;
        Some(Slot {
            number,
            give_back: self.give_back.clone(),
        })
    }
}

/// A connection's place among all connections; free again when dropped.
#[derive(Debug)]
pub struct Slot {
    number: u32,
    give_back: mpsc::Sender<u32>,
}

impl Slot {
    /// Its number.
    pub fn number(&self) -> u32 {
        self.number
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // Fails only when the server is gone, and its slots with it.
        let _ = self.give_back.try_send(self.number);
    }
}

#[cfg(test)]
mod tests;
