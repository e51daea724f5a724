//! A listening port, and who may come in.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tracing::{info, warn};

use super::handshakes::{Handshake, Handshakes};
use super::limits::{Limit, Limits, Reached};
use super::places::{Places, Slot};

/// A listening port.
pub(crate) struct Door {
    listener: TcpListener,
    limits: Limits,
    reached: Reached,
    places: Places,
    handshakes: Handshakes,
}

/// A client that has a place.
pub(crate) struct Arrival {
    pub(crate) stream: TcpStream,
    pub(crate) address: SocketAddr,
    pub(crate) slot: Slot,
    /// To be held until the connection is set up.
    pub(crate) handshake: Handshake,
}

impl Door {
    /// Listens.
    pub(crate) async fn open(address: SocketAddr, limits: Limits) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await.map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("cannot listen on {address}: {error}; free the address or change the configuration"),
            )
        })?;
        info!(address = %listener.local_addr()?, "listening");
        Ok(Self {
            listener,
            reached: Reached::default(),
            places: Places::new(&limits),
            handshakes: Handshakes::new(limits.max_handshakes),
            limits,
        })
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) fn reached(&self) -> &Reached {
        &self.reached
    }

    /// The next client there is a place for. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Arrival {
        loop {
            let (stream, address, handshake) = match self.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of file descriptors, usually: give connections a moment to end.
                    warn!(%error, "cannot accept a connection");
                    sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            match self.places.take(address.ip()) {
                Ok(slot) => {
                    return Arrival {
                        stream,
                        address,
                        slot,
                        handshake,
                    };
                }
                Err(limit) => self.turned_away(address, limit),
            }
        }
    }

    /// The next connection, once there is room for its handshake.
    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr, Handshake)> {
        let handshake = match self.handshakes.try_enter() {
            Some(handshake) => handshake,
            None => {
                self.reached.count(Limit::Handshakes);
                self.handshakes.enter().await
            }
        };
        let (stream, address) = self.listener.accept().await?;
        Ok((stream, address, handshake))
    }

    fn turned_away(&self, peer: SocketAddr, limit: Limit) {
        self.reached.count(limit);
        // Whoever dials a thousand times a second is not to fill the log as well.
        let times = self.reached.times(limit);
        if times.is_power_of_two() {
            warn!(%peer, ?limit, times, "too many connections, closed at once");
        }
    }
}
