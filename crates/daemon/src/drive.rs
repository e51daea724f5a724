//! The loop that joins a protocol core to its connection.
//!
//! One task per connection owns the socket and the core, so shares of different connections are
//! judged on different cores of the machine and no state is shared. The loop has one rule: receive
//! one thing, step the core, empty the outbox, only then receive again.

mod bounds;

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use protocol::core::{Core, Outbox};
use protocol::frame::{FrameError, FrameReader};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, watch};
use tokio::task::yield_now;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::wire::{self, Connection, Outgoing};

pub(crate) use bounds::Bounds;

/// How long a peer may take to read what it is told last.
pub(crate) const FAREWELL: Duration = Duration::from_secs(2);

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    /// The core closed it, with its reason.
    #[error("{0}")]
    ByUs(String),
    /// The peer closed it.
    #[error("the peer closed the connection")]
    ByPeer,
    /// The peer's bytes are no frames.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The network broke.
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    /// The peer reads less than it is sent.
    #[error("the peer does not read: {unread} bytes are waiting")]
    Slow {
        /// Sealed bytes not taken.
        unread: usize,
    },
    /// The peer reads nothing.
    #[error("the peer has read nothing for {} s", .0.as_secs())]
    Stalled(Duration),
    /// The program stops, or the part of it that this connection serves.
    #[error("stopping")]
    Stopping,
}

/// The rest of the role, as one connection meets it: one object between [`drive`] and the role, so
/// that what comes in and what goes out can share state.
pub trait Host<C: Core> {
    /// Waits for the next input; `None` when there will be no more, which ends the connection.
    /// Must be cancel-safe: nothing is lost when the future is dropped.
    fn next(&mut self) -> impl Future<Output = Option<C::Input>> + Send;

    /// An input that waits behind the one that [`next`](Self::next) gave, if that is known without
    /// waiting. A burst of them is one step, and goes out in one write.
    fn another(&mut self) -> Option<C::Input> {
        None
    }

    /// Takes an event. Called in order, after the step that made it and before the next step.
    fn event(&mut self, event: C::Event);

    /// A step is over and its events were taken: the moment to hand a batch of them on.
    fn stepped(&mut self) {}

    /// Whether the peer may say more. While it may not, nothing is read from it, so it is slowed
    /// down by its own socket; inputs, deadlines and writes go on. Asked anew after each of them:
    /// what makes it true again comes as an input.
    fn accepts(&self) -> bool {
        true
    }
}

/// A [`Host`] made of a source of inputs and a closure that takes the events.
#[derive(Debug)]
pub struct Joined<I, F> {
    /// Where inputs come from.
    pub inputs: I,
    /// Called with each event.
    pub on_event: F,
}

impl<C, I, F> Host<C> for Joined<I, F>
where
    C: Core,
    I: Inputs<Input = C::Input>,
    F: FnMut(C::Event),
{
    fn next(&mut self) -> impl Future<Output = Option<C::Input>> + Send {
        self.inputs.next()
    }

    fn event(&mut self, event: C::Event) {
        (self.on_event)(event);
    }
}

/// Where a core's inputs come from. Receiving must be cancel-safe: nothing is lost when the
/// future is dropped.
pub trait Inputs {
    /// What is received.
    type Input;
    /// Waits for the next input; `None` when there will be no more.
    fn next(&mut self) -> impl Future<Output = Option<Self::Input>> + Send;
}

/// So that a source outlives the connection it serves.
impl<I: Inputs> Inputs for &mut I {
    type Input = I::Input;
    fn next(&mut self) -> impl Future<Output = Option<Self::Input>> + Send {
        (**self).next()
    }
}

impl<T: Send> Inputs for mpsc::Receiver<T> {
    type Input = T;
    async fn next(&mut self) -> Option<T> {
        self.recv().await
    }
}

/// Only the newest value matters: a slow connection skips old ones instead of queueing them.
impl<T: Clone + Send + Sync> Inputs for watch::Receiver<T> {
    type Input = T;
    async fn next(&mut self) -> Option<T> {
        self.changed().await.ok()?;
        Some(self.borrow_and_update().clone())
    }
}

/// For cores that nobody tells anything.
#[derive(Debug, Clone, Copy)]
pub struct NoInputs;

impl Inputs for NoInputs {
    type Input = std::convert::Infallible;
    async fn next(&mut self) -> Option<Self::Input> {
        std::future::pending().await
    }
}

/// Runs `core` on `connection` until either ends it.
pub async fn drive<C, R, W, H>(
    mut connection: Connection<R, W>,
    core: &mut C,
    host: &mut H,
    stop: &CancellationToken,
) -> Ended
where
    C: Core,
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
    H: Host<C>,
{
    // Told to stop, the loop is dropped where it waits; nothing is half-done there.
    let ended = tokio::select! {
        () = stop.cancelled() => Ended::Stopping,
        ended = turn(&mut connection, core, host) => ended,
    };
    connection.bounds.ended(&ended);
    if matches!(ended, Ended::ByUs(_) | Ended::Stopping) {
        // What the core said last, an error message perhaps, is to arrive.
        let flush = connection.send(&[]);
        if tokio::time::timeout(FAREWELL, flush)
            .await
            .is_ok_and(|sent| sent.is_ok())
        {
            connection.close().await;
        }
    }
    ended
}

/// The loop itself; returns why it ended.
async fn turn<C, R, W, H>(connection: &mut Connection<R, W>, core: &mut C, host: &mut H) -> Ended
where
    C: Core,
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
    H: Host<C>,
{
    let mut timer = Timer::default();
    let mut unread_since: Option<Instant> = None;
    loop {
        let Connection {
            reader,
            writer,
            frames,
            outgoing,
            bounds,
        } = &mut *connection;
        let unread = outgoing.pending().len();
        let closed_until = bounds.rate.closed_until(Instant::now());
        let accepts = closed_until.is_none() && unread <= bounds.answers_first && host.accepts();
        let is_here = match frames.has_frame() {
            Ok(is_here) => is_here,
            Err(error) => return error.into(),
        };
        let stalled = unread_since.map(|since| since + bounds.stall);
        let dues = [core.deadline(), stalled, closed_until];
        timer.set(dues.into_iter().flatten().min());
        // Anew for each turn: the allocator gives what the last connection used, which is near the
        // processor, and who waits keeps nothing.
        let mut out = Outbox::default();
        // Arms only receive; the work is done in the bodies, so nothing is lost half-done. None goes
        // first: neither a peer that floods nor a role that does keeps the others out.
        tokio::select! {
            written = writer.write(outgoing.pending()), if unread > 0 => {
                if let Err(ended) = took(outgoing, written) {
                    return ended;
                }
                unread_since = (!outgoing.is_empty()).then(Instant::now);
                continue;
            }
            count = wire::read(reader, frames), if accepts && !is_here => match count {
                Ok(0) => return Ended::ByPeer,
                Ok(_) => {
                    if let Err(error) = receive(frames, bounds, core, &mut out) {
                        return error.into();
                    }
                }
                Err(error) => return Ended::Io(error),
            },
            () = yield_now(), if accepts && is_here => {
                if let Err(error) = receive(frames, bounds, core, &mut out) {
                    return error.into();
                }
            }
            input = host.next() => match input {
                Some(input) => give(input, host, core, &mut out),
                None => return Ended::Stopping,
            },
            () = timer.passed() => wake(core, &mut out),
        }
        outgoing.seal(out.frames());
        out.take_events().for_each(|event| host.event(event));
        host.stepped();
        if let Some(reason) = out.take_close() {
            return Ended::ByUs(reason);
        }
        // Without a turn of its own: nearly always the socket takes it all, and who has said
        // everything waits in one turn less.
        if let Some(written) = write_at_once(writer, outgoing.pending()).await {
            if let Err(ended) = took(outgoing, written) {
                return ended;
            }
            unread_since = None;
        }
        let unread = outgoing.pending().len();
        if unread > bounds.max_unread {
            return Ended::Slow { unread };
        }
        // After a try to write: it may be our own process that stood still.
        if unread > 0 && unread_since.get_or_insert_with(Instant::now).elapsed() >= bounds.stall {
            return Ended::Stalled(bounds.stall);
        }
    }
}

/// Writes what is taken without waiting; returns how many bytes, `None` if there is no room or
/// nothing to write.
async fn write_at_once(
    writer: &mut (impl AsyncWrite + Unpin),
    bytes: &[u8],
) -> Option<io::Result<usize>> {
    if bytes.is_empty() {
        return None;
    }
    poll_fn(|context| {
        let written = Pin::new(&mut *writer).poll_write(context, bytes);
        Poll::Ready(match written {
            Poll::Ready(written) => Some(written),
            Poll::Pending => None,
        })
    })
    .await
}

/// Notes what the socket took.
fn took(outgoing: &mut Outgoing, written: io::Result<usize>) -> Result<(), Ended> {
    match written? {
        0 => Err(Ended::ByPeer),
        count => {
            outgoing.advance(count);
            Ok(())
        }
    }
}

/// Hands the frames that are here to the core, but not so many that other connections wait long.
fn receive<C: Core>(
    frames: &mut FrameReader,
    bounds: &mut Bounds,
    core: &mut C,
    out: &mut Outbox<C::Event>,
) -> Result<(), FrameError> {
    let now = clock::now();
    for _ in 0..bounds::TURN {
        if out.is_closing() || bounds.rate.closed_until(now.instant).is_some() {
            break;
        }
        let Some(frame) = frames.next_frame()? else {
            break;
        };
        bounds.received(now.instant, frame.header.len);
        core.received(now, frame, out);
    }
    Ok(())
}

/// Hands over an input and those behind it, but not so many that the peer waits long.
fn give<C: Core, H: Host<C>>(
    first: C::Input,
    host: &mut H,
    core: &mut C,
    out: &mut Outbox<C::Event>,
) {
    let now = clock::now();
    core.input(now, first, out);
    for _ in 1..bounds::TURN {
        if out.is_closing() {
            break;
        }
        let Some(input) = host.another() else { break };
        core.input(now, input, out);
    }
}

/// Wakes the core if it is due: the timer is also for others.
fn wake<C: Core>(core: &mut C, out: &mut Outbox<C::Event>) {
    let now = clock::now();
    if core.deadline().is_some_and(|due| due <= now.instant) {
        core.wake(now, out);
    }
}

/// One timer that is registered anew only when the deadline really changes.
#[derive(Default)]
pub(crate) struct Timer {
    deadline: Option<Instant>,
    sleep: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl Timer {
    pub(crate) fn set(&mut self, deadline: Option<Instant>) {
        if self.deadline == deadline {
            return;
        }
        self.deadline = deadline;
        let Some(at) = deadline else { return };
        match &mut self.sleep {
            Some(sleep) => sleep.as_mut().reset(at.into()),
            None => self.sleep = Some(Box::pin(tokio::time::sleep_until(at.into()))),
        }
    }

    pub(crate) async fn passed(&mut self) {
        match (&self.deadline, &mut self.sleep) {
            (Some(_), Some(sleep)) => {
                sleep.as_mut().await;
                // The next turn sets it again, even to the same moment.
                self.deadline = None;
            }
            _ => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests;
