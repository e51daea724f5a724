//! The pool's template provider: a new tip whenever the scenario says so, with a target that no
//! share of ours ever meets.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use daemon::clock;
use daemon::wire::{Connection, TcpConnection, split};
use protocol::coinbase::sha256d;
use protocol::keys::{AuthorityKey, AuthorityPublicKey};
use protocol::message::common::Protocol;
use protocol::message::template::{NewTemplateOwned, SetNewPrevHashOwned};
use protocol::message::{self, TemplateDistributionOwned};
use protocol::noise::ServerIdentity;
use protocol::setup::{Answer, Offer};
use protocol::target::Target;
use tokio::net::TcpListener;

/// Payload bytes a frame of the pool may announce.
const MAX_PAYLOAD: usize = 1 << 20;
/// Transactions of a full block make a path of this length.
const MERKLE_DEPTH: u32 = 12;
/// As hard as on the main network.
const N_BITS: u32 = 0x1702_3a04;

/// Waits for the pool.
#[derive(Debug)]
pub(crate) struct Listener {
    listener: TcpListener,
    authority: AuthorityKey,
}

/// Connected to the pool.
#[derive(Debug)]
pub(crate) struct Provider {
    connection: TcpConnection,
    tips: u32,
}

impl Listener {
    pub(crate) async fn bind() -> anyhow::Result<Self> {
        Ok(Self {
            listener: TcpListener::bind("127.0.0.1:0").await?,
            authority: AuthorityKey::generate(&mut rand::thread_rng()),
        })
    }

    pub(crate) fn address(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.listener.local_addr()?)
    }

    pub(crate) fn public_key(&self) -> AuthorityPublicKey {
        self.authority.public()
    }

    /// Lets the pool in and gives it its first tip.
    pub(crate) async fn accept(self) -> anyhow::Result<Provider> {
        let (stream, _) = self.listener.accept().await?;
        let (reader, writer) = split(stream)?;
        let day = Duration::from_secs(86_400);
        let rng = &mut rand::thread_rng();
        let identity = ServerIdentity::issue(&self.authority, day, clock::unix(), rng);
        let mut connection = Connection::accept(reader, writer, &identity, MAX_PAYLOAD).await?;
        let offer = Offer {
            protocol: Protocol::TemplateDistributionProtocol,
            supported_flags: u32::MAX,
            success_flags: |_| 0,
        };
        let Answer::Accept(answer, _) = offer.answer(connection.receive().await?) else {
            bail!("the pool's SetupConnection is not for a template provider");
        };
        let mut frame = Vec::new();
        message::encode(answer, &mut frame);
        connection.send(&frame).await?;
        // CoinbaseOutputConstraints: ours always fit.
        connection.receive().await?;
        let mut provider = Provider {
            connection,
            tips: 0,
        };
        provider.new_tip().await?;
        Ok(provider)
    }
}

impl Provider {
    /// A future template and the tip that activates it, in one write, as a node's new block makes
    /// them. Returns the moment before the write, in nanoseconds since 1970.
    pub(crate) async fn new_tip(&mut self) -> anyhow::Result<u64> {
        self.tips += 1;
        let frames = frames(self.tips);
        let at = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos() as u64;
        let sent = self.connection.send(&frames).await;
        sent.context("the pool left its template provider")?;
        Ok(at)
    }
}

/// NewTemplate and SetNewPrevHash.
pub(crate) fn frames(tip: u32) -> Vec<u8> {
    let mut frames = Vec::new();
    let template = TemplateDistributionOwned::NewTemplate(template(tip));
    message::encode(template, &mut frames);
    message::encode(
        TemplateDistributionOwned::SetNewPrevHash(SetNewPrevHashOwned {
            template_id: u64::from(tip),
            prev_hash: sha256d(&tip.to_le_bytes()).into(),
            header_timestamp: clock::unix() as u32,
            n_bits: N_BITS,
            target: Target::from_compact(N_BITS).to_le_bytes().into(),
        }),
        &mut frames,
    );
    frames
}

/// With the length of path and coinbase that a full block of today has.
fn template(id: u32) -> NewTemplateOwned {
    let mut commitment = vec![0; 8];
    commitment.extend([0x26, 0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed]);
    commitment.extend(sha256d(b"commitment"));
    let sibling = |depth: u32| sha256d(&[id, depth].map(u32::to_le_bytes).concat()).into();
    let path: Vec<_> = (0..MERKLE_DEPTH).map(sibling).collect();
    NewTemplateOwned {
        template_id: u64::from(id),
        future_template: true,
        version: 0x2000_0000,
        coinbase_tx_version: 2,
        // BIP-0034: height 900,000.
        coinbase_prefix: vec![3, 0xa0, 0xbb, 0x0d].try_into().expect("4 bytes fit"),
        coinbase_tx_input_sequence: 0xffff_fffe,
        coinbase_tx_value_remaining: 312_500_000,
        coinbase_tx_outputs_count: 1,
        coinbase_tx_outputs: commitment.try_into().expect("47 bytes fit"),
        coinbase_tx_locktime: 0,
        merkle_path: path.try_into().expect("12 hashes fit"),
    }
}
