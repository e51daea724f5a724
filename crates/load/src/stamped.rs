//! A socket's receiving half that knows when the kernel got the last bytes read.
//!
//! Miners and pool share the machine's processors, so the moment a miner's task runs says little
//! about the moment it was served.

use std::io::{self, IoSliceMut};
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::cmsg_space;
use nix::sys::socket::sockopt::ReceiveTimestampns;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt};
use nix::sys::time::TimeSpec;
use tokio::io::{AsyncRead, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;

/// When the newest bytes arrived, in nanoseconds since 1970. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stamp(Arc<AtomicU64>);

impl Stamp {
    pub(crate) fn nanoseconds(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// How long ago that was.
    pub(crate) fn age(&self) -> Duration {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |now| now.as_nanos() as u64);
        Duration::from_nanos(now.saturating_sub(self.nanoseconds()))
    }

    fn set(&self, at: TimeSpec) {
        let nanoseconds = at.tv_sec() as u64 * 1_000_000_000 + at.tv_nsec() as u64;
        self.0.store(nanoseconds, Ordering::Relaxed);
    }
}

/// The receiving half.
#[derive(Debug)]
pub(crate) struct Stamped {
    half: OwnedReadHalf,
    stamp: Stamp,
}

impl Stamped {
    pub(crate) fn new(half: OwnedReadHalf) -> io::Result<(Self, Stamp)> {
        setsockopt(half.as_ref(), ReceiveTimestampns, &true)?;
        let stamp = Stamp::default();
        let reader = Self {
            half,
            stamp: stamp.clone(),
        };
        Ok((reader, stamp))
    }

    /// Waits until there is something to read, holding no buffer meanwhile.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        let socket: &TcpStream = self.half.as_ref();
        socket.readable().await
    }

    /// Reads what is there.
    pub(crate) fn try_read(&self, into: &mut [u8]) -> io::Result<usize> {
        let socket: &TcpStream = self.half.as_ref();
        socket.try_io(Interest::READABLE, || self.receive(socket, into))
    }

    fn receive(&self, socket: &TcpStream, into: &mut [u8]) -> io::Result<usize> {
        let mut control = cmsg_space!(TimeSpec);
        let mut parts = [IoSliceMut::new(into)];
        let flags = MsgFlags::MSG_DONTWAIT;
        let message = recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut control), flags)?;
        for part in message.cmsgs()? {
            if let ControlMessageOwned::ScmTimestampns(at) = part {
                self.stamp.set(at);
            }
        }
        Ok(message.bytes)
    }
}

impl AsyncRead for Stamped {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let socket: &TcpStream = self.half.as_ref();
        loop {
            ready!(socket.poll_read_ready(context))?;
            let into = buffer.initialize_unfilled();
            match socket.try_io(Interest::READABLE, || self.receive(socket, into)) {
                Ok(count) => {
                    buffer.advance(count);
                    return Poll::Ready(Ok(()));
                }
                // The readiness was used up; ask again.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}
