//! Connections of plain bytes, without frames and encryption, as Stratum V1 has them: the listening
//! end, and the loop that steps a core with one.
//!
//! Limits, time-outs and the rule of the loop are those of [`accept`](crate::accept) and
//! [`drive`](mod@crate::drive). A quiet connection holds no buffer, since there may be many thousands
//! of them.

use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use protocol::core::{Now, Outbox};
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::accept::{Arrival, Door, Handshake, Limit, Limits, Reached, Slot};
use crate::clock;
use crate::drive::{Bounds, Ended, FAREWELL, Timer};
use crate::shutdown::Shutdown;
use crate::wire::{LINGER, prepare};

/// Bytes read at a time; a core gets no more to do in one step.
const ROOM: usize = 4096;

/// The protocol rules of one connection. As with [`Core`](protocol::core::Core), no method fails.
pub trait StreamCore {
    /// What the rest of the role tells this connection.
    type Input;
    /// What this connection tells the rest of the role.
    type Event;

    /// Bytes arrived. Returns how many messages they brought to an end, for the limit on messages.
    fn received(&mut self, now: Now, bytes: &[u8], out: &mut Outbox<Self::Event>) -> usize;

    /// The role says something.
    fn input(&mut self, now: Now, input: Self::Input, out: &mut Outbox<Self::Event>);

    /// When [`wake`](Self::wake) wants to be called if nothing else happens before.
    fn deadline(&self) -> Option<Instant>;

    /// The deadline has passed.
    fn wake(&mut self, now: Now, out: &mut Outbox<Self::Event>);

    /// Whether the client has said what it is here for. Until then it has
    /// [`Limits::setup`], or less when others wait.
    fn is_set_up(&self) -> bool;
}

/// The rest of the role, as one connection meets it; see [`Host`](crate::drive::Host).
pub trait StreamHost<C: StreamCore> {
    /// Waits for the next input; `None` when there will be no more, which ends the connection.
    /// Must be cancel-safe.
    fn next(&mut self) -> impl Future<Output = Option<C::Input>> + Send;

    /// Takes an event.
    fn event(&mut self, event: C::Event);

    /// Whether the client may say more; see [`Host::accepts`](crate::drive::Host::accepts).
    fn accepts(&self) -> bool {
        true
    }
}

/// A listening port.
pub struct Server {
    door: Door,
}

/// A client that has just come in.
#[derive(Debug)]
pub struct Guest {
    /// Where it dialled from.
    pub address: SocketAddr,
    /// Its place among all connections.
    pub slot: Slot,
}

impl Server {
    /// Listens.
    ///
    /// # Errors
    /// The address is taken or not this machine's.
    pub async fn bind(address: SocketAddr, limits: Limits) -> io::Result<Self> {
        let door = Door::open(address, limits).await?;
        Ok(Self { door })
    }

    /// Where it listens; tells the port when it was bound to port 0.
    ///
    /// # Errors
    /// The operating system does not know.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.door.local_addr()
    }

    /// How often clients reached a limit.
    pub fn reached(&self) -> &Reached {
        self.door.reached()
    }

    /// Accepts clients until `shutdown`; each is served by `serve` in its own task.
    pub async fn run<F>(
        mut self,
        shutdown: Shutdown,
        serve: impl Fn(Connection, Guest) -> F + Send + Sync + 'static,
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
            if let Err(error) = prepare(&stream) {
                debug!(peer = %address, %error, "connection not set up");
                continue;
            }
            let limits = self.door.limits();
            let connection = Connection {
                stream,
                outgoing: Vec::new(),
                written: 0,
                bounds: Bounds::of_client(limits, self.door.reached().clone()),
                admission: Some(Admission {
                    handshake,
                    since: tokio::time::Instant::now(),
                    due: Instant::now() + limits.setup,
                }),
            };
            shutdown.spawn(serve(connection, Guest { address, slot }));
        }
    }
}

/// Between TCP accept and the client's having set up.
#[derive(Debug)]
struct Admission {
    handshake: Handshake,
    since: tokio::time::Instant,
    due: Instant,
}

/// One client's connection.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    outgoing: Vec<u8>,
    written: usize,
    bounds: Bounds,
    /// `None` once the client has set up.
    admission: Option<Admission>,
}

impl Connection {
    fn pending(&self) -> &[u8] {
        &self.outgoing[self.written..]
    }

    /// Queues what a core said.
    fn put(&mut self, bytes: &mut Vec<u8>) {
        if self.pending().is_empty() {
            // Its old room goes, unless it is what a few answers need.
            self.outgoing.clear();
            self.written = 0;
            std::mem::swap(&mut self.outgoing, bytes);
        } else {
            self.outgoing.append(bytes);
        }
        *bytes = Vec::new();
    }

    /// Writes as much as the kernel takes now.
    fn write(&mut self) -> io::Result<()> {
        while !self.pending().is_empty() {
            match self.stream.try_write(self.pending()) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        self.outgoing = Vec::new();
        self.written = 0;
        Ok(())
    }

    /// Reads once, and steps `core` with it. `None` when the client is gone.
    fn read<C: StreamCore>(
        &mut self,
        core: &mut C,
        out: &mut Outbox<C::Event>,
    ) -> io::Result<Option<()>> {
        let mut room = [0; ROOM];
        match self.stream.try_read(&mut room) {
            Ok(0) => return Ok(None),
            Ok(count) => {
                let now = clock::now();
                let messages = core.received(now, &room[..count], out);
                for _ in 0..messages {
                    self.bounds.received(now.instant, count / messages);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        Ok(Some(()))
    }

    /// Waits until the client has had its time to set up, and another one wants its place.
    async fn outstayed(admission: &mut Option<Admission>) {
        match admission {
            Some(admission) => admission.handshake.outstayed(admission.since).await,
            None => std::future::pending().await,
        }
    }

    /// So that what was said last arrives.
    async fn close(mut self) {
        let goodbye = async {
            let pending = std::mem::take(&mut self.outgoing);
            self.stream.write_all(&pending[self.written..]).await?;
            self.stream.shutdown().await?;
            let mut unread = [0; 64];
            let rest = async {
                while self.stream.read(&mut unread).await? > 0 {}
                io::Result::Ok(())
            };
            // A client that stays or breaks is dropped all the same.
            let _ = tokio::time::timeout(LINGER, rest).await;
            io::Result::Ok(())
        };
        let _ = tokio::time::timeout(FAREWELL, goodbye).await;
    }
}

/// Runs `core` on `connection` until either ends it.
pub async fn drive<C: StreamCore, H: StreamHost<C>>(
    mut connection: Connection,
    core: &mut C,
    host: &mut H,
    stop: &CancellationToken,
) -> Ended {
    // Told to stop, the loop is dropped where it waits; nothing is half-done there.
    let ended = tokio::select! {
        () = stop.cancelled() => Ended::Stopping,
        ended = turn(&mut connection, core, host) => ended,
    };
    connection.bounds.ended(&ended);
    if matches!(ended, Ended::ByUs(_) | Ended::Stopping) {
        connection.close().await;
    }
    ended
}

/// The loop itself; returns why it ended.
async fn turn<C: StreamCore, H: StreamHost<C>>(
    connection: &mut Connection,
    core: &mut C,
    host: &mut H,
) -> Ended {
    let mut out = Outbox::default();
    let mut timer = Timer::default();
    let mut unread_since: Option<Instant> = None;
    loop {
        let unread = connection.pending().len();
        let closed_until = connection.bounds.rate.closed_until(Instant::now());
        let accepts =
            closed_until.is_none() && unread <= connection.bounds.answers_first && host.accepts();
        let stalled = unread_since.map(|since| since + connection.bounds.stall);
        let late = connection.admission.as_ref().map(|admission| admission.due);
        let dues = [core.deadline(), stalled, closed_until, late];
        timer.set(dues.into_iter().flatten().min());
        let interest = match (accepts, unread > 0) {
            (true, true) => Interest::READABLE | Interest::WRITABLE,
            (true, false) => Interest::READABLE,
            (false, _) => Interest::WRITABLE,
        };
        let Connection {
            stream, admission, ..
        } = &mut *connection;
        // Arms only receive.
        tokio::select! {
            ready = stream.ready(interest), if accepts || unread > 0 => {
                let ready = match ready {
                    Ok(ready) => ready,
                    Err(error) => return Ended::Io(error),
                };
                if accepts && ready.is_readable() {
                    match connection.read(core, &mut out) {
                        Ok(Some(())) => {}
                        Ok(None) => return Ended::ByPeer,
                        Err(error) => return Ended::Io(error),
                    }
                }
            }
            input = host.next() => match input {
                Some(input) => core.input(clock::now(), input, &mut out),
                None => return Ended::Stopping,
            },
            () = Connection::outstayed(admission) => return unset(connection),
            () = timer.passed() => {
                let now = clock::now();
                let is_due = |due: Option<Instant>| due.is_some_and(|due| due <= now.instant);
                if is_due(late) {
                    return unset(connection);
                }
                if is_due(core.deadline()) {
                    core.wake(now, &mut out);
                }
            }
        }
        if !out.frames().is_empty() {
            connection.put(out.frames());
        }
        out.take_events().for_each(|event| host.event(event));
        if connection.admission.is_some() && core.is_set_up() {
            connection.admission = None;
        }
        let reason = out.take_close();
        let before = connection.pending().len();
        if let Err(error) = connection.write() {
            return Ended::Io(error);
        }
        if let Some(reason) = reason {
            return Ended::ByUs(reason);
        }
        let unread = connection.pending().len();
        if unread > connection.bounds.max_unread {
            return Ended::Slow { unread };
        }
        unread_since = match unread {
            0 => None,
            _ if unread < before => Some(Instant::now()),
            _ => Some(unread_since.unwrap_or_else(Instant::now)),
        };
        // After a try to write: it may be our own process that stood still.
        if unread_since.is_some_and(|since| since.elapsed() >= connection.bounds.stall) {
            return Ended::Stalled(connection.bounds.stall);
        }
    }
}

/// The client did not set up in time.
fn unset(connection: &Connection) -> Ended {
    connection.bounds.reached(Limit::SetupTime);
    Ended::ByUs("it has not said in time what it is here for".to_owned())
}

#[cfg(test)]
mod tests;
