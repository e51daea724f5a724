//! The listening end: limits, time-outs, handshake, SetupConnection.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use protocol::keys::{AuthorityKey, AuthorityPublicKey};
use protocol::message;
use protocol::noise::ServerIdentity;
use protocol::setup::{Answer, Client, Offer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tracing::{debug, info, warn};

use crate::clock;
use crate::config::Reader;
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

/// Where a role listens, and who signs the certificates it shows.
#[derive(Debug, Clone)]
pub struct Listen {
    /// Where clients connect.
    pub address: SocketAddr,
    /// Signs the certificate that clients check.
    pub authority: AuthorityKey,
    /// How long a certificate is valid; it is renewed after half of it.
    pub cert_validity: Duration,
}

impl Listen {
    /// Takes `listen_address`, the authority's two keys and `cert_validity_sec` out of `reader`;
    /// `None` when a problem was noted.
    pub fn read(reader: &mut Reader) -> Option<Self> {
        let address = reader.parsed("listen_address");
        let authority = read_authority(reader);
        let cert_validity = reader.or("cert_validity_sec", 3600);
        if cert_validity == 0 {
            let what = "0: a certificate has to be valid for some time";
            reader.problem("cert_validity_sec", what);
        }
        Some(Self {
            address: address?,
            authority: authority?,
            cert_validity: Duration::from_secs(cert_validity),
        })
    }
}

/// Both halves of the key. The public one says nothing new, but whoever copies only one of the two
/// learns of it here and not from clients that are turned away.
fn read_authority(reader: &mut Reader) -> Option<AuthorityKey> {
    const SECRET: &str = "authority_secret_key";
    const PUBLIC: &str = "authority_public_key";
    let public = reader.parsed::<AuthorityPublicKey>(PUBLIC);
    if !reader.has(SECRET) {
        reader.problem(SECRET, "missing");
        return None;
    }
    // The secret itself is never repeated.
    let secret: String = reader.required(SECRET);
    let authority = AuthorityKey::from_secret_text(&secret)
        .map_err(|error| reader.problem(SECRET, error))
        .ok()?;
    authority
        .check_public(public?)
        .map_err(|error| reader.problem(PUBLIC, error))
        .ok()?;
    Some(authority)
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
    /// Listens.
    ///
    /// # Errors
    /// The address is taken or not this machine's.
    pub async fn bind(listen: Listen, offer: Offer, limits: Limits) -> io::Result<Self> {
        let address = listen.address;
        let listener = TcpListener::bind(address).await.map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("cannot listen on {address}: {error}; free the address or change the configuration"),
            )
        })?;
        info!(address = %listener.local_addr()?, "listening");
        Ok(Self {
            listener,
            identity: Identity::new(listen.authority, listen.cert_validity),
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
