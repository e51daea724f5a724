//! A server that is played for a program under test. It judges nothing, so that it costs next to
//! nothing beside the program, and it has a thread of its own, so that no miner keeps it waiting.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use daemon::clock;
use daemon::drive::{Joined, drive};
use daemon::wire::{Connection, TcpConnection, split};
use protocol::core::{Core, Outbox};
use protocol::keys::{AuthorityKey, AuthorityPublicKey};
use protocol::message;
use protocol::message::common::Protocol;
use protocol::noise::ServerIdentity;
use protocol::setup::{Answer, Offer};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// Payload bytes a frame of the program may announce.
const MAX_PAYLOAD: usize = 1 << 20;
/// Tips on their way; the scenario waits for each.
const MAX_TIPS: usize = 1;

/// A new tip is wanted; tells the moment before it is sent.
#[derive(Debug)]
pub(crate) struct Tip(oneshot::Sender<u64>);

impl Tip {
    /// It is about to be sent.
    pub(crate) fn now(self) {
        let at = SystemTime::now().duration_since(UNIX_EPOCH);
        // Nobody waits for it after a time-out.
        let _ = self.0.send(at.map_or(0, |at| at.as_nanos() as u64));
    }
}

/// What a played server sends goes to the program only.
pub(crate) type Out = Outbox<Infallible>;

/// A played server, from the scenario's side. Its thread ends with it.
#[derive(Debug)]
pub(crate) struct Played {
    pub(crate) address: SocketAddr,
    pub(crate) authority: AuthorityPublicKey,
    tips: mpsc::Sender<Tip>,
}

impl Played {
    /// Listens for the program, one connection after the other, each with a core of its own.
    pub(crate) fn start<C>(
        protocol: Protocol,
        authority: AuthorityKey,
        core: impl Fn() -> C + Send + 'static,
    ) -> anyhow::Result<Self>
    where
        C: Core<Input = Tip, Event = Infallible> + Send + 'static,
    {
        let public = authority.public();
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (tips, wanted) = mpsc::channel(MAX_TIPS);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        std::thread::Builder::new()
            .name("played".into())
            .spawn(move || {
                let served = serve(listener, protocol, &authority, wanted, core);
                if let Err(error) = runtime.block_on(served) {
                    eprintln!("a played server: {error:#}");
                }
            })?;
        Ok(Self {
            address,
            authority: public,
            tips,
        })
    }

    /// Has it send a tip. Returns the moment before, in nanoseconds since 1970.
    pub(crate) async fn new_tip(&self) -> anyhow::Result<u64> {
        let (tip, sent) = oneshot::channel();
        let told = self.tips.send(Tip(tip)).await;
        told.context("the played server has ended")?;
        sent.await.context("the program has left its server")
    }
}

async fn serve<C>(
    listener: std::net::TcpListener,
    protocol: Protocol,
    authority: &AuthorityKey,
    mut tips: mpsc::Receiver<Tip>,
    core: impl Fn() -> C,
) -> anyhow::Result<()>
where
    C: Core<Input = Tip, Event = Infallible> + Send,
{
    let listener = TcpListener::from_std(listener)?;
    loop {
        // Ends when nobody can want a tip any more.
        let stream = tokio::select! {
            accepted = listener.accept() => accepted?.0,
            tip = tips.recv() => match tip {
                // Dropped: it goes to nobody.
                Some(_) => continue,
                None => return Ok(()),
            },
        };
        // A probe that only looks whether the port is there.
        let Ok(connection) = admit(stream, protocol, authority).await else {
            continue;
        };
        let mut host = Joined {
            inputs: &mut tips,
            on_event: |never: Infallible| match never {},
        };
        drive(
            connection,
            &mut core(),
            &mut host,
            &CancellationToken::new(),
        )
        .await;
    }
}

async fn admit(
    stream: tokio::net::TcpStream,
    protocol: Protocol,
    authority: &AuthorityKey,
) -> anyhow::Result<TcpConnection> {
    let (reader, writer) = split(stream)?;
    let day = Duration::from_secs(86_400);
    let rng = &mut rand::thread_rng();
    let identity = ServerIdentity::issue(authority, day, clock::unix(), rng);
    let mut connection = Connection::accept(reader, writer, &identity, MAX_PAYLOAD).await?;
    let offer = Offer {
        protocol,
        supported_flags: u32::MAX,
        success_flags: |_| 0,
    };
    let answer = offer.answer(connection.receive().await?);
    let Answer::Accept(answer, _) = answer else {
        anyhow::bail!("SetupConnection is for another server");
    };
    let mut frame = Vec::new();
    message::encode(answer, &mut frame);
    connection.send(&frame).await?;
    Ok(connection)
}
