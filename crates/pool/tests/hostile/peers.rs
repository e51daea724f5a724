//! Peers that mean no good, by what they do. What each is to get for it has a test of its own in
//! `daemon::accept` or `protocol::server`; here it is what they do to others.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use daemon::clock;
use daemon::dial::Upstream;
use protocol::extension::NEGOTIATION;
use protocol::frame::{FrameHeader, HEADER_LEN};
use protocol::message::mining::SubmitSharesStandard;
use protocol::message::template::RequestTransactionData;
use protocol::message::{self, Encodable, GetSize, IsSv2Message};
use protocol::message::{MiningOwned, TemplateDistributionOwned};
use protocol::noise::{ACT2_LEN, Encryptor, Initiator};
use rand::RngCore;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Between two attempts of one peer.
const PAUSE: Duration = Duration::from_millis(100);

/// What a peer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Sends random bytes from the first one on.
    Garbage,
    /// Sends half of act 1 and no more.
    HalfHandshake,
    /// Shakes hands and says nothing.
    Silent,
    /// Sets up, then sends bytes that do not decrypt.
    Undecryptable,
    /// Announces the longest frame there can be.
    Oversize,
    /// Leaves in the middle of a frame, again and again.
    Truncated,
    /// Sends a byte a second.
    Dripping,
    /// Sends types and extensions that nobody knows, as fast as it can.
    Unknown,
    /// Takes the pool for a template provider.
    OtherRole,
    /// Asks as fast as it can and never reads an answer.
    Deaf,
    /// Submits shares for channels it does not have, as fast as it can.
    Liar,
}

impl Kind {
    pub(super) const ALL: [Self; 11] = [
        Self::Garbage,
        Self::HalfHandshake,
        Self::Silent,
        Self::Undecryptable,
        Self::Oversize,
        Self::Truncated,
        Self::Dripping,
        Self::Unknown,
        Self::OtherRole,
        Self::Deaf,
        Self::Liar,
    ];

    /// Whether the pool must end it. Who says nonsense that is well-formed is only slowed down, and
    /// who leaves by itself cannot be closed.
    pub(super) fn is_closed(self) -> bool {
        !matches!(self, Self::Truncated | Self::Unknown | Self::Liar)
    }

    /// Until the pool closes the connection, or it leaves by itself: `false`.
    async fn attempt(self, upstream: &Upstream) -> io::Result<bool> {
        match self {
            Self::Garbage => {
                let mut stream = dial(upstream).await?;
                stream.write_all(&random(1000)).await?;
                read_all(&mut stream).await
            }
            Self::HalfHandshake => {
                let mut stream = dial(upstream).await?;
                stream.write_all(&random(32)).await?;
                read_all(&mut stream).await
            }
            Self::Silent => Wire::shaken(upstream).await?.read_all().await,
            Self::Undecryptable => {
                let mut wire = Wire::set_up(upstream).await?;
                wire.stream.write_all(&random(1000)).await?;
                wire.read_all().await
            }
            Self::Oversize => {
                let mut wire = Wire::set_up(upstream).await?;
                let header = header(0x1a, (1 << 24) - 1).to_bytes();
                wire.say(&header).await?;
                wire.read_all().await
            }
            Self::Truncated => {
                let mut wire = Wire::set_up(upstream).await?;
                let sealed = wire.sealed(&unknown());
                wire.stream.write_all(&sealed[..30]).await?;
                Ok(false)
            }
            Self::Dripping => {
                let mut wire = Wire::set_up(upstream).await?;
                for byte in wire.sealed(&unknown()) {
                    wire.stream.write_all(&[byte]).await?;
                    let closed = read_all(&mut wire.stream);
                    if let Ok(closed) = timeout(Duration::from_secs(1), closed).await {
                        return closed;
                    }
                }
                Ok(false)
            }
            Self::OtherRole => {
                let mut wire = Wire::set_up(upstream).await?;
                let request = RequestTransactionData { template_id: 1 };
                let request = TemplateDistributionOwned::RequestTransactionData(request);
                wire.say(&frame(request)).await?;
                wire.read_all().await
            }
            Self::Unknown => flood(upstream, &unknown(), true).await,
            Self::Liar => flood(upstream, &frame(lie()), true).await,
            Self::Deaf => flood(upstream, &question(), false).await,
        }
    }
}

/// Says it until it is closed, and reads the answers or does not.
async fn flood(upstream: &Upstream, frame: &[u8], reads: bool) -> io::Result<bool> {
    let mut wire = Wire::set_up(upstream).await?;
    let mut answers = vec![0; 1 << 16];
    loop {
        let sealed = wire.sealed(&frame.repeat(100));
        let (mut reader, mut writer) = wire.stream.split();
        let write = writer.write_all(&sealed);
        tokio::pin!(write);
        loop {
            tokio::select! {
                written = &mut write => break written?,
                count = reader.read(&mut answers), if reads => if count? == 0 {
                    return Ok(true);
                }
            }
        }
    }
}

/// A connection up to some point of being set up.
struct Wire {
    stream: TcpStream,
    encryptor: Encryptor,
}

impl Wire {
    async fn shaken(upstream: &Upstream) -> io::Result<Self> {
        let mut stream = dial(upstream).await?;
        let (initiator, act1) = Initiator::start(&mut rand::thread_rng());
        stream.write_all(&act1).await?;
        let mut act2 = [0; ACT2_LEN];
        stream.read_exact(&mut act2).await?;
        let transport = initiator.finish(&act2, &upstream.authority, clock::unix());
        let encryptor = transport.map_err(io::Error::other)?.encryptor;
        Ok(Self { stream, encryptor })
    }

    async fn set_up(upstream: &Upstream) -> io::Result<Self> {
        let mut wire = Self::shaken(upstream).await?;
        wire.say(&frame(upstream.request.message())).await?;
        Ok(wire)
    }

    /// The plaintext frames as they go over the wire.
    fn sealed(&mut self, mut frames: &[u8]) -> Vec<u8> {
        let mut sealed = Vec::new();
        while let Some((header, rest)) = frames.split_first_chunk::<HEADER_LEN>() {
            let len = FrameHeader::from_bytes(*header).len.min(rest.len());
            let (payload, rest) = rest.split_at(len);
            self.encryptor.seal_frame(*header, payload, &mut sealed);
            frames = rest;
        }
        sealed
    }

    async fn say(&mut self, frames: &[u8]) -> io::Result<()> {
        let sealed = self.sealed(frames);
        self.stream.write_all(&sealed).await
    }

    async fn read_all(mut self) -> io::Result<bool> {
        read_all(&mut self.stream).await
    }
}

/// With little room for what is not read.
async fn dial(upstream: &Upstream) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(16 * 1024)?;
    let address = upstream.address.to_string();
    socket
        .connect(address.parse().map_err(io::Error::other)?)
        .await
}

/// Reads until the pool closes.
async fn read_all(stream: &mut TcpStream) -> io::Result<bool> {
    let mut bytes = [0; 1024];
    while stream.read(&mut bytes).await? > 0 {}
    Ok(true)
}

fn random(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    rand::thread_rng().fill_bytes(&mut bytes);
    bytes
}

fn header(msg_type: u8, len: usize) -> FrameHeader {
    FrameHeader {
        extension: 0,
        channel_msg: false,
        msg_type,
        len,
    }
}

fn frame(message: impl IsSv2Message + GetSize + Encodable) -> Vec<u8> {
    let mut frame = Vec::new();
    message::encode(message, &mut frame);
    frame
}

/// A frame of an unknown type and one of an unknown extension.
fn unknown() -> Vec<u8> {
    let of_extension = FrameHeader {
        extension: 0x4abc,
        ..header(0, 9)
    };
    let frame = |header: FrameHeader| [&header.to_bytes()[..], &[1; 9]].concat();
    [frame(header(0x7f, 9)), frame(of_extension)].concat()
}

fn lie() -> MiningOwned {
    MiningOwned::SubmitSharesStandard(SubmitSharesStandard {
        channel_id: 77,
        sequence_number: 1,
        job_id: 1,
        nonce: 1,
        ntime: 1,
        version: 1,
    })
}

/// Asks for extensions that nobody has; each of them is in the answer.
fn question() -> Vec<u8> {
    let mut payload = vec![1, 0, 32, 0];
    payload.extend((1000..1032).flat_map(u16::to_le_bytes));
    let header = FrameHeader {
        extension: NEGOTIATION,
        ..header(0, payload.len())
    };
    [&header.to_bytes()[..], &payload].concat()
}

/// Peers of all kinds, and how often the pool has closed each kind.
#[derive(Debug, Clone)]
pub(super) struct Peers {
    upstream: Upstream,
    closed: Arc<[AtomicU32; Kind::ALL.len()]>,
}

impl Peers {
    pub(super) fn new(upstream: Upstream) -> Self {
        Self {
            upstream,
            closed: Arc::default(),
        }
    }

    pub(super) fn closed(&self, kind: Kind) -> u32 {
        self.closed[kind as usize].load(Ordering::Relaxed)
    }

    /// Goes on for ever, with so many at a time.
    pub(super) async fn attack(self, count: usize) {
        let mut peers = JoinSet::new();
        for kind in Kind::ALL.into_iter().cycle().take(count) {
            let this = self.clone();
            peers.spawn(async move {
                loop {
                    // What breaks was closed by the pool with bytes that it had not read.
                    if this.attempt(kind).await {
                        this.closed[kind as usize].fetch_add(1, Ordering::Relaxed);
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            });
        }
        peers.join_all().await;
    }

    async fn attempt(&self, kind: Kind) -> bool {
        kind.attempt(&self.upstream).await.unwrap_or(true)
    }
}
