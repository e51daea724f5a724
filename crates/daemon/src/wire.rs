//! An encrypted connection over any pair of byte streams.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Poll, ready};
use std::time::Duration;

use protocol::frame::FrameHeader;
use protocol::frame::{Frame, FrameError, FrameReader, HEADER_LEN};
use protocol::keys::AuthorityPublicKey;
use protocol::noise::ServerIdentity;
use protocol::noise::{self, ACT1_LEN, ACT2_LEN, Encryptor, HandshakeError, Initiator, Transport};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use crate::accept::{Limits, Reached};
use crate::clock;
use crate::drive::Bounds;

/// How long a closing side waits for the other to read what was sent last.
pub(crate) const LINGER: Duration = Duration::from_secs(1);

/// A connection over TCP.
pub type TcpConnection = Connection<OwnedReadHalf, OwnedWriteHalf>;

/// An established, encrypted connection.
#[derive(Debug)]
pub struct Connection<R, W> {
    pub(crate) reader: R,
    pub(crate) writer: W,
    pub(crate) frames: FrameReader,
    pub(crate) outgoing: Outgoing,
    pub(crate) bounds: Bounds,
}

/// Why a handshake or a single read failed.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The other side closed.
    #[error("the peer closed the connection")]
    Closed,
    /// The operating system says so.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The handshake is not acceptable.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// The stream is not a stream of frames.
    #[error(transparent)]
    Frame(#[from] FrameError),
}

impl<R, W> Connection<R, W>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    /// Shakes hands as the server.
    ///
    /// # Errors
    /// The peer left or sent less than a handshake. Put a time-out around it.
    pub async fn accept(
        mut reader: R,
        mut writer: W,
        identity: &ServerIdentity,
        max_payload: usize,
    ) -> Result<Self, WireError> {
        let mut act1 = [0; ACT1_LEN];
        read_exact(&mut reader, &mut act1).await?;
        let (act2, transport) = noise::respond(identity, &act1, &mut rand::thread_rng());
        writer.write_all(&act2).await?;
        Ok(Self::new(reader, writer, transport, max_payload))
    }

    /// Shakes hands as the client; nothing more is sent to a server whose certificate is not
    /// signed by `authority`.
    ///
    /// # Errors
    /// The peer left, or is not who it should be. Put a time-out around it.
    pub async fn initiate(
        mut reader: R,
        mut writer: W,
        authority: &AuthorityPublicKey,
        max_payload: usize,
    ) -> Result<Self, WireError> {
        let (initiator, act1) = Initiator::start(&mut rand::thread_rng());
        writer.write_all(&act1).await?;
        let mut act2 = [0; ACT2_LEN];
        read_exact(&mut reader, &mut act2).await?;
        let transport = initiator.finish(&act2, authority, clock::unix())?;
        Ok(Self::new(reader, writer, transport, max_payload))
    }

    fn new(reader: R, writer: W, transport: Transport, max_payload: usize) -> Self {
        Self {
            reader,
            writer,
            frames: FrameReader::new(transport.decryptor, max_payload),
            outgoing: Outgoing {
                encryptor: transport.encryptor,
                sealed: Vec::new(),
                written: 0,
            },
            bounds: Bounds::of_server(),
        }
    }

    /// Holds the client at the other end to `limits`, and counts in `reached`.
    pub(crate) fn held_to(self, limits: &Limits, reached: Reached) -> Self {
        Self {
            bounds: Bounds::of_client(limits, reached),
            ..self
        }
    }

    /// The next frame. Not for use beside [`crate::drive`]: it is for the few messages before.
    ///
    /// # Errors
    /// The connection is over.
    pub async fn receive(&mut self) -> Result<Frame<'_>, WireError> {
        next_frame(&mut self.reader, &mut self.frames).await
    }

    /// Seals plaintext frames, as [`protocol::message::encode`] makes them, and writes them.
    ///
    /// # Errors
    /// The connection is over.
    pub async fn send(&mut self, frames: &[u8]) -> Result<(), WireError> {
        write_frames(&mut self.writer, &mut self.outgoing, frames).await
    }

    /// Both directions apart, for who only passes frames on and holds nobody to limits.
    pub fn halves(self) -> (Receiver<R>, Sender<W>) {
        let receiver = Receiver {
            reader: self.reader,
            frames: self.frames,
        };
        let sender = Sender {
            writer: self.writer,
            outgoing: self.outgoing,
        };
        (receiver, sender)
    }

    /// Ends the connection so that what was sent last arrives: half-closes, then waits a moment
    /// for the peer to close too. Dropping a socket with unread bytes would reset it and lose the
    /// error message just written.
    pub async fn close(mut self) {
        let goodbye = async {
            self.writer.shutdown().await?;
            let mut unread = [0; 1024];
            while self.reader.read(&mut unread).await? > 0 {}
            io::Result::Ok(())
        };
        // A peer that stays connected or breaks is dropped all the same.
        let _ = tokio::time::timeout(LINGER, goodbye).await;
    }
}

/// The direction in which frames come.
#[derive(Debug)]
pub struct Receiver<R> {
    reader: R,
    frames: FrameReader,
}

impl<R: AsyncRead + Unpin> Receiver<R> {
    /// The next frame.
    ///
    /// # Errors
    /// The connection is over.
    pub async fn receive(&mut self) -> Result<Frame<'_>, WireError> {
        next_frame(&mut self.reader, &mut self.frames).await
    }
}

/// The direction in which frames go.
#[derive(Debug)]
pub struct Sender<W> {
    writer: W,
    outgoing: Outgoing,
}

impl<W: AsyncWrite + Unpin> Sender<W> {
    /// Seals plaintext frames and writes them.
    ///
    /// # Errors
    /// The connection is over.
    pub async fn send(&mut self, frames: &[u8]) -> Result<(), WireError> {
        write_frames(&mut self.writer, &mut self.outgoing, frames).await
    }
}

async fn next_frame<'a>(
    reader: &mut (impl AsyncRead + Unpin),
    frames: &'a mut FrameReader,
) -> Result<Frame<'a>, WireError> {
    // Asked twice because a borrow returned from a loop would last for the whole loop.
    while !frames.has_frame()? {
        if read(reader, frames).await? == 0 {
            return Err(WireError::Closed);
        }
    }
    frames.next_frame()?.ok_or(WireError::Closed)
}

/// Most that is read at once: a core gets no more to do in one step.
const ROOM: usize = 16 * 1024;

/// Reads what is there into `frames`; returns how many bytes, 0 at the end of the stream.
///
/// It comes by way of the stack, which is near the processor: a buffer of each connection's own is
/// not, when hundreds take turns, and is memory that waits with it. Cancel-safe.
pub(crate) async fn read(
    reader: &mut (impl AsyncRead + Unpin),
    frames: &mut FrameReader,
) -> io::Result<usize> {
    poll_fn(|context| {
        let mut room = [const { MaybeUninit::uninit() }; ROOM];
        let mut room = ReadBuf::uninit(&mut room);
        ready!(Pin::new(&mut *reader).poll_read(context, &mut room))?;
        frames.push(room.filled());
        Poll::Ready(Ok(room.filled().len()))
    })
    .await
}

async fn write_frames(
    writer: &mut (impl AsyncWrite + Unpin),
    outgoing: &mut Outgoing,
    frames: &[u8],
) -> Result<(), WireError> {
    outgoing.seal(frames);
    while !outgoing.is_empty() {
        let count = writer.write(outgoing.pending()).await?;
        if count == 0 {
            return Err(WireError::Closed);
        }
        outgoing.advance(count);
    }
    Ok(())
}

/// Bytes that the kernel takes for a peer that has no room for them. By default it takes megabytes
/// of its own memory for every peer that does not read; here they are counted.
const UNSENT: u32 = 64 * 1024;

/// A peer whose machine or network is gone does not even close; its kernel is asked whether it is
/// still there once nothing was heard for this long, and it is given up a minute after that.
const KEEPALIVE: TcpKeepalive = TcpKeepalive::new()
    .with_time(Duration::from_secs(30))
    .with_interval(Duration::from_secs(20))
    .with_retries(3);

/// Prepares a TCP socket: without `TCP_NODELAY` a second small frame waits for an
/// acknowledgement, tens of milliseconds.
///
/// # Errors
/// The socket is dead already.
pub fn split(stream: TcpStream) -> io::Result<(OwnedReadHalf, OwnedWriteHalf)> {
    prepare(&stream)?;
    Ok(stream.into_split())
}

/// What [`split`] does, without splitting.
pub(crate) fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(&KEEPALIVE)?;
    socket.set_tcp_notsent_lowat(UNSENT)
}

async fn read_exact(
    reader: &mut (impl AsyncRead + Unpin),
    bytes: &mut [u8],
) -> Result<(), WireError> {
    match reader.read_exact(bytes).await {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(WireError::Closed),
        Err(error) => Err(error.into()),
    }
}

/// Sealed bytes on their way out.
#[derive(Debug)]
pub(crate) struct Outgoing {
    encryptor: Encryptor,
    sealed: Vec<u8>,
    written: usize,
}

impl Outgoing {
    /// Seals plaintext frames, one behind the other.
    pub(crate) fn seal(&mut self, mut frames: &[u8]) {
        while let Some((header, rest)) = frames.split_first_chunk::<HEADER_LEN>() {
            let (payload, rest) = rest.split_at(FrameHeader::from_bytes(*header).len);
            self.encryptor
                .seal_frame(*header, payload, &mut self.sealed);
            frames = rest;
        }
        debug_assert!(frames.is_empty(), "half a header was encoded");
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pending().is_empty()
    }

    pub(crate) fn pending(&self) -> &[u8] {
        &self.sealed[self.written..]
    }

    pub(crate) fn advance(&mut self, count: usize) {
        self.written += count;
        if self.is_empty() {
            (self.sealed, self.written) = (Vec::new(), 0);
        }
    }
}
