//! The listening end: limits, time-outs, handshake, SetupConnection.

mod door;
mod handshakes;
mod limits;
mod listen;
mod places;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use protocol::message;
use protocol::noise::ServerIdentity;
use protocol::setup::{Answer, Client, Offer};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};
use tracing::{debug, info};

use crate::shutdown::Shutdown;
use crate::wire::{Connection, TcpConnection, WireError, split};

use listen::Identity;

pub(crate) use door::{Arrival, Door};
pub(crate) use handshakes::Handshake;
pub use limits::{Limit, Limits, Reached};
pub use listen::Listen;
pub use places::Slot;

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
    door: Door,
    identity: Identity,
    offer: Offer,
}

impl Server {
    /// Listens.
    ///
    /// # Errors
    /// The address is taken or not this machine's.
    pub async fn bind(listen: Listen, offer: Offer, limits: Limits) -> io::Result<Self> {
        Ok(Self {
            door: Door::open(listen.address, limits).await?,
            identity: Identity::new(listen.authority, listen.cert_validity),
            offer,
        })
    }

    /// Where it listens; tells the port when it was bound to port 0.
    ///
    /// # Errors
    /// The operating system does not know.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.door.local_addr()
    }

    /// How often clients reached a limit. The role registers it with its other metrics, and counts
    /// here what only it can see.
    pub fn reached(&self) -> &Reached {
        self.door.reached()
    }

    /// Accepts clients until `shutdown`; each that sets up is served by `serve` in its own task.
    pub async fn run<F>(
        mut self,
        shutdown: Shutdown,
        serve: impl Fn(TcpConnection, Peer) -> F + Clone + Send + Sync + 'static,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        loop {
            let arrival = tokio::select! {
                biased;
                () = shutdown.stop().cancelled() => return,
                arrival = self.door.next() => arrival,
            };
            let Arrival {
                stream,
                address,
                slot,
                handshake,
            } = arrival;
            let identity = self.identity.current();
            let (offer, serve, stop) = (self.offer, serve.clone(), shutdown.stop().clone());
            let set_up = SetUp {
                handshake,
                since: Instant::now(),
                limits: *self.door.limits(),
                reached: self.door.reached().clone(),
            };
            shutdown.spawn(async move {
                let set_up = tokio::select! {
                    () = stop.cancelled() => return,
                    set_up = set_up.run(stream, &identity, &offer) => set_up,
                };
                match set_up {
                    Ok(Some((connection, client))) => {
                        let peer = Peer {
                            address,
                            client,
                            slot,
                        };
                        serve(connection, peer).await;
                    }
                    Ok(None) => {}
                    Err(error) => debug!(peer = %address, %error, "connection not set up"),
                }
            });
        }
    }
}

/// A connection between TCP accept and its accepted SetupConnection.
struct SetUp {
    handshake: Handshake,
    since: Instant,
    limits: Limits,
    reached: Reached,
}

impl SetUp {
    /// `None` for a client that was refused.
    async fn run(
        mut self,
        stream: TcpStream,
        identity: &ServerIdentity,
        offer: &Offer,
    ) -> Result<Option<(TcpConnection, Client)>, WireError> {
        let Limits {
            handshake,
            setup,
            max_payload,
            ..
        } = self.limits;
        let (reader, writer) = split(stream)?;
        let accept = Connection::accept(reader, writer, identity, max_payload);
        let mut connection = self.step(Limit::HandshakeTime, handshake, accept).await?;
        let answer = async {
            let answer = offer.answer(connection.receive().await?);
            let mut reply = Vec::new();
            if let Answer::Accept(message, _) | Answer::Refuse(message, _) = &answer {
                message::encode(message.clone(), &mut reply);
            }
            connection.send(&reply).await?;
            Ok(answer)
        };
        let answer = self.step(Limit::SetupTime, setup, answer).await;
        if let Err(WireError::Frame(error)) = &answer {
            self.reached.frame(error);
        }
        match answer? {
            Answer::Accept(_, client) => Ok(Some((
                connection.held_to(&self.limits, self.reached),
                client,
            ))),
            Answer::Refuse(_, code) => {
                info!(code, "connection refused");
                connection.close().await;
                Ok(None)
            }
            Answer::Close(reason) => {
                info!(reason, "connection closed");
                Ok(None)
            }
        }
    }

    async fn step<T>(
        &mut self,
        limit: Limit,
        time: Duration,
        step: impl Future<Output = Result<T, WireError>>,
    ) -> Result<T, WireError> {
        tokio::select! {
            biased;
            done = step => return done,
            () = sleep(time) => {}
            () = self.handshake.outstayed(self.since) => {}
        }
        self.reached.count(limit);
        Err(io::Error::from(io::ErrorKind::TimedOut).into())
    }
}

#[cfg(test)]
mod tests;
