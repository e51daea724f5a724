//! The pool of a translator under test: opens every channel, takes every share, and has a new tip
//! whenever the scenario says so. It judges nothing, so that it costs next to nothing beside the
//! translator, and it has a thread of its own, so that no miner keeps it waiting.

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use daemon::clock;
use daemon::drive::{Joined, drive};
use daemon::wire::{Connection, TcpConnection, split};
use protocol::coinbase::sha256d;
use protocol::core::{Core, Now, Outbox};
use protocol::frame::Frame;
use protocol::keys::{AuthorityKey, AuthorityPublicKey};
use protocol::message::common::Protocol;
use protocol::message::mining::{
    NewExtendedMiningJobOwned, OpenExtendedMiningChannelSuccessOwned, SetNewPrevHashOwned,
    SetTargetOwned, SubmitSharesSuccess,
};
use protocol::message::{self, AnyMessage, Mining, MiningOwned, Received};
use protocol::noise::ServerIdentity;
use protocol::setup::{Answer, Offer};
use protocol::target::Target;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// Payload bytes a frame of the translator may announce.
const MAX_PAYLOAD: usize = 1 << 20;
/// Transactions of a full block make a path of this length.
const MERKLE_DEPTH: u32 = 12;
/// As hard as on the main network.
const N_BITS: u32 = 0x1702_3a04;
/// Bytes in front of what a channel may choose, as our pool has them.
const PREFIX_LEN: usize = 6;
/// Shares of one acknowledgement.
const BATCH: u32 = 10;
/// How long the last shares wait for more.
const BATCH_TIME: Duration = Duration::from_millis(100);
/// Tips on their way; the scenario waits for each.
const MAX_TIPS: usize = 1;

/// A new tip is wanted; tells the moment before it is sent.
type Tip = oneshot::Sender<u64>;

/// The pool, from the scenario's side. Its thread ends with it.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    pub(crate) authority: AuthorityPublicKey,
    tips: mpsc::Sender<Tip>,
}

impl Upstream {
    /// Listens for translators, one connection after the other.
    pub(crate) fn start() -> anyhow::Result<Self> {
        let authority = AuthorityKey::generate(&mut rand::thread_rng());
        let public = authority.public();
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (tips, wanted) = mpsc::channel(MAX_TIPS);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        std::thread::Builder::new()
            .name("upstream".into())
            .spawn(move || {
                if let Err(error) = runtime.block_on(serve(listener, &authority, wanted)) {
                    eprintln!("the translator's pool: {error:#}");
                }
            })?;
        Ok(Self {
            address,
            authority: public,
            tips,
        })
    }

    /// A future job and the tip that activates it, in one write, as a pool's new block makes them.
    pub(crate) async fn new_tip(&self) -> anyhow::Result<u64> {
        let (tip, sent) = oneshot::channel();
        let told = self.tips.send(tip).await;
        told.context("the translator's pool has ended")?;
        sent.await.context("the translator has left its pool")
    }
}

async fn serve(
    listener: std::net::TcpListener,
    authority: &AuthorityKey,
    mut tips: mpsc::Receiver<Tip>,
) -> anyhow::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let mut pool = Pool::default();
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
        let Ok(connection) = admit(stream, authority).await else {
            continue;
        };
        pool.channels.clear();
        let mut host = Joined {
            inputs: &mut tips,
            on_event: |never: std::convert::Infallible| match never {},
        };
        drive(connection, &mut pool, &mut host, &CancellationToken::new()).await;
    }
}

async fn admit(
    stream: tokio::net::TcpStream,
    authority: &AuthorityKey,
) -> anyhow::Result<TcpConnection> {
    let (reader, writer) = split(stream)?;
    let day = Duration::from_secs(86_400);
    let rng = &mut rand::thread_rng();
    let identity = ServerIdentity::issue(authority, day, clock::unix(), rng);
    let mut connection = Connection::accept(reader, writer, &identity, MAX_PAYLOAD).await?;
    let offer = Offer {
        protocol: Protocol::MiningProtocol,
        supported_flags: u32::MAX,
        success_flags: |_| 0,
    };
    let answer = offer.answer(connection.receive().await?);
    let Answer::Accept(answer, _) = answer else {
        anyhow::bail!("SetupConnection is not for a pool");
    };
    let mut frame = Vec::new();
    message::encode(answer, &mut frame);
    connection.send(&frame).await?;
    Ok(connection)
}

/// What it knows.
#[derive(Debug, Default)]
struct Pool {
    channels: Vec<Channel>,
    tip: u32,
    /// When shares that wait for others are acknowledged.
    due: Option<Instant>,
}

#[derive(Debug)]
struct Channel {
    id: u32,
    /// Not acknowledged, and the newest of them.
    unanswered: u32,
    newest: u32,
}

type Out = Outbox<std::convert::Infallible>;

impl Pool {
    fn mining(&mut self, now: Now, message: Mining<'_>, out: &mut Out) {
        match message {
            Mining::OpenExtendedMiningChannel(request) => {
                // 1 is the group.
                let id = self.channels.len() as u32 + 2;
                let mut prefix = [0; PREFIX_LEN];
                prefix[PREFIX_LEN - 4..].copy_from_slice(&id.to_be_bytes());
                let success = OpenExtendedMiningChannelSuccessOwned {
                    request_id: request.request_id,
                    channel_id: id,
                    target: Target::MAX.to_le_bytes().into(),
                    extranonce_size: request.min_extranonce_size,
                    extranonce_prefix: prefix.to_vec().try_into().expect("6 bytes fit"),
                    group_channel_id: 1,
                };
                out.send(MiningOwned::OpenExtendedMiningChannelSuccess(success));
                self.channels.push(Channel {
                    id,
                    unanswered: 0,
                    newest: 0,
                });
                work(id, self.tip.max(1), out);
            }
            Mining::UpdateChannel(update) => {
                out.send(MiningOwned::SetTarget(SetTargetOwned {
                    channel_id: update.channel_id,
                    maximum_target: Target::MAX.to_le_bytes().into(),
                }));
            }
            Mining::SubmitSharesExtended(share) => {
                let find = |channel: &&mut Channel| channel.id == share.channel_id;
                if let Some(channel) = self.channels.iter_mut().find(find) {
                    channel.unanswered += 1;
                    channel.newest = share.sequence_number;
                    channel.acknowledge(BATCH, out);
                    self.due.get_or_insert(now.instant + BATCH_TIME);
                }
            }
            _ => {}
        }
    }
}

impl Channel {
    /// When there are so many at least.
    fn acknowledge(&mut self, least: u32, out: &mut Out) {
        if self.unanswered >= least {
            out.send(MiningOwned::SubmitSharesSuccess(SubmitSharesSuccess {
                channel_id: self.id,
                last_sequence_number: self.newest,
                new_submits_accepted_count: std::mem::take(&mut self.unanswered),
                new_shares_sum: 0,
            }));
        }
    }
}

impl Core for Pool {
    type Input = Tip;
    type Event = std::convert::Infallible;

    fn received(&mut self, now: Now, frame: Frame<'_>, out: &mut Out) {
        if let Ok(Received::Message(AnyMessage::Mining(message))) = message::decode(frame) {
            self.mining(now, message, out);
        }
    }

    fn input(&mut self, _now: Now, tip: Tip, out: &mut Out) {
        self.tip += 1;
        for channel in &self.channels {
            work(channel.id, self.tip, out);
        }
        let at = SystemTime::now().duration_since(UNIX_EPOCH);
        // Nobody waits for it after a time-out.
        let _ = tip.send(at.map_or(0, |at| at.as_nanos() as u64));
    }

    fn deadline(&self) -> Option<Instant> {
        self.due
    }

    fn wake(&mut self, _now: Now, out: &mut Out) {
        self.due = None;
        for channel in &mut self.channels {
            channel.acknowledge(1, out);
        }
    }
}

/// A future job with the sizes of today's blocks, and its tip.
fn work(channel_id: u32, tip: u32, out: &mut Out) {
    let sibling = |depth: u32| sha256d(&[tip, depth].map(u32::to_le_bytes).concat()).into();
    let path: Vec<_> = (0..MERKLE_DEPTH).map(sibling).collect();
    // Version, input, height, signature; sequence, two outputs, lock time.
    let (prefix, suffix) = (
        vec![1; 4 + 1 + 36 + 1 + 4 + 23],
        vec![2; 4 + 1 + 31 + 47 + 4],
    );
    out.send(MiningOwned::NewExtendedMiningJob(
        NewExtendedMiningJobOwned {
            channel_id,
            job_id: tip,
            min_ntime: message::option(None),
            version: 0x2000_0000,
            version_rolling_allowed: true,
            merkle_path: path.try_into().expect("12 hashes fit"),
            coinbase_tx_prefix: prefix.try_into().expect("fits"),
            coinbase_tx_suffix: suffix.try_into().expect("fits"),
        },
    ));
    out.send(MiningOwned::SetNewPrevHash(SetNewPrevHashOwned {
        channel_id,
        job_id: tip,
        prev_hash: sha256d(&tip.to_le_bytes()).into(),
        min_ntime: clock::unix() as u32,
        nbits: N_BITS,
    }));
}
