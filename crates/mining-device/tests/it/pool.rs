//! A pool whose every word a test chooses, and a device connected to it.

use std::time::Duration;

use daemon::accept::{Limits, Listen, Peer, Server};
use daemon::dial::{HostPort, Upstream};
use daemon::role::Role;
use daemon::shutdown::Shutdown;
use daemon::wire::TcpConnection;
use mining_device::hasher::Speed;
use mining_device::kernel::Kernel;
use mining_device::{Config, MiningDevice, Nominal, StratumV2};
use protocol::client::ChannelRequest;
use protocol::coinbase::Header;
use protocol::frame::FrameHeader;
use protocol::keys::AuthorityKey;
use protocol::message::common::Protocol;
use protocol::message::{
    self, AnyMessage, Encodable, GetSize, IsSv2Message, MiningOwned, Received, mining,
};
use protocol::setup::{Offer, REQUIRES_STANDARD_JOBS};
use protocol::target::Target;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Nothing a device does on its own takes longer.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) const CHANNEL: u32 = 2;
pub(crate) const MIN_NTIME: u32 = 1_800_000_000;
pub(crate) const N_BITS: u32 = 0x207f_ffff;

/// The listening pool.
pub(crate) struct Pool {
    pub(crate) authority: AuthorityKey,
    pub(crate) address: HostPort,
    connections: mpsc::Receiver<TcpConnection>,
    shutdown: Shutdown,
}

impl Pool {
    pub(crate) async fn start(success_flags: fn(u32) -> u32) -> Self {
        Self::with_authority(
            AuthorityKey::generate(&mut rand::thread_rng()),
            success_flags,
        )
        .await
    }

    pub(crate) async fn with_authority(
        authority: AuthorityKey,
        success_flags: fn(u32) -> u32,
    ) -> Self {
        let offer = Offer {
            protocol: Protocol::MiningProtocol,
            supported_flags: 0b111,
            success_flags,
        };
        Self::serving(offer, authority).await
    }

    pub(crate) async fn serving(offer: Offer, authority: AuthorityKey) -> Self {
        let listen = Listen {
            address: "127.0.0.1:0".parse().unwrap(),
            authority: authority.clone(),
            cert_validity: Duration::from_secs(3600),
        };
        let server = Server::bind(listen, offer, Limits::default())
            .await
            .unwrap();
        let address = HostPort::from(server.local_addr().unwrap());
        let (connected, connections) = mpsc::channel(16);
        let shutdown = Shutdown::default();
        let serve = move |connection: TcpConnection, _: Peer| {
            let connected = connected.clone();
            async move {
                let _ = connected.send(connection).await;
            }
        };
        shutdown.spawn(server.run(shutdown.clone(), serve));
        Self {
            authority,
            address,
            connections,
            shutdown,
        }
    }

    /// The next connection of a device, before it has said anything but SetupConnection.
    pub(crate) async fn connection(&mut self) -> Link {
        let next = tokio::time::timeout(PATIENCE, self.connections.recv());
        let connection = next.await.expect("a device connects").unwrap();
        Link { connection }
    }

    /// A connection with one open channel of the kind the device asked for.
    pub(crate) async fn opened(&mut self) -> Link {
        let mut link = self.connection().await;
        link.open(Target::MAX).await;
        link
    }

    pub(crate) async fn stop(self) {
        self.shutdown.finish().await;
    }
}

/// One connection, seen from the pool.
pub(crate) struct Link {
    connection: TcpConnection,
}

/// A share as the pool reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) channel_id: u32,
    pub(crate) sequence_number: u32,
    pub(crate) job_id: u32,
    pub(crate) nonce: u32,
    pub(crate) ntime: u32,
    pub(crate) version: u32,
}

impl Link {
    /// The next message of the device; `None` when it has left.
    pub(crate) async fn hear(&mut self) -> Option<MiningOwned> {
        let frame = tokio::time::timeout(PATIENCE, self.connection.receive());
        let frame = frame.await.expect("the device says something").ok()?;
        match message::decode(frame).unwrap() {
            Received::Message(AnyMessage::Mining(message)) => Some(message.into_owned()),
            other => panic!("the device sent {other:?}"),
        }
    }

    pub(crate) async fn say(&mut self, message: impl IsSv2Message + GetSize + Encodable) {
        let mut bytes = Vec::new();
        message::encode(message, &mut bytes);
        self.connection.send(&bytes).await.unwrap();
    }

    /// A frame of any kind.
    pub(crate) async fn say_raw(&mut self, extension: u16, msg_type: u8, payload: &[u8]) {
        let header = FrameHeader {
            extension,
            channel_msg: true,
            msg_type,
            len: payload.len(),
        };
        let bytes = [&header.to_bytes()[..], payload].concat();
        self.connection.send(&bytes).await.unwrap();
    }

    /// Answers the request to open a channel; the id of the request.
    pub(crate) async fn open(&mut self, target: Target) -> u32 {
        let request = self.hear().await.unwrap();
        let MiningOwned::OpenStandardMiningChannel(request) = request else {
            panic!("not a request to open: {request:?}");
        };
        self.say(success(request.request_id, target)).await;
        request.request_id
    }

    pub(crate) async fn job(&mut self, job_id: u32, version: u32, min_ntime: Option<u32>) {
        self.say(MiningOwned::NewMiningJob(mining::NewMiningJobOwned {
            channel_id: CHANNEL,
            job_id,
            min_ntime: protocol::message::option(min_ntime),
            version,
            merkle_root: [job_id as u8; 32].into(),
        }))
        .await;
    }

    pub(crate) async fn tip(&mut self, job_id: u32, tip: u8) {
        self.say(MiningOwned::SetNewPrevHash(mining::SetNewPrevHashOwned {
            channel_id: CHANNEL,
            job_id,
            prev_hash: [tip; 32].into(),
            min_ntime: MIN_NTIME,
            nbits: N_BITS,
        }))
        .await;
    }

    pub(crate) async fn share(&mut self) -> Share {
        match self.hear().await {
            Some(MiningOwned::SubmitSharesStandard(share)) => Share {
                channel_id: share.channel_id,
                sequence_number: share.sequence_number,
                job_id: share.job_id,
                nonce: share.nonce,
                ntime: share.ntime,
                version: share.version,
            },
            other => panic!("not a share: {other:?}"),
        }
    }

    /// Nothing comes for a while in which a device that was wrong would have sent many shares.
    pub(crate) async fn silence(&mut self) {
        let silence = Duration::from_millis(300);
        let heard = tokio::time::timeout(silence, self.connection.receive()).await;
        assert!(
            heard.is_err(),
            "the device sent {:?}",
            heard.map(|frame| frame.map(|f| f.header))
        );
    }

    /// Whether the device has left.
    pub(crate) async fn is_over(&mut self) -> bool {
        while let Ok(frame) = tokio::time::timeout(PATIENCE, self.connection.receive()).await {
            if frame.is_err() {
                return true;
            }
        }
        false
    }
}

pub(crate) fn success(request_id: u32, target: Target) -> MiningOwned {
    let success = mining::OpenStandardMiningChannelSuccessOwned {
        request_id,
        channel_id: CHANNEL,
        target: target.to_le_bytes().into(),
        extranonce_prefix: vec![1; 8].try_into().unwrap(),
        group_channel_id: 1,
    };
    MiningOwned::OpenStandardMiningChannelSuccess(success)
}

/// The hash of a share on the job `Link::job` sends and the tip `Link::tip` sends.
pub(crate) fn hash(share: &Share, tip: u8) -> Target {
    let header = Header {
        version: share.version,
        prev_hash: &[tip; 32],
        merkle_root: &[share.job_id as u8; 32],
        ntime: share.ntime,
        n_bits: N_BITS,
        nonce: share.nonce,
    };
    Target::from_le_bytes(header.hash())
}

/// One thread, one channel, so many shares a second at most.
pub(crate) fn config(max_hashrate: f64, pool: mining_device::Pool) -> Config {
    Config {
        pool,
        channels: 1,
        speed: Speed {
            threads: 1,
            kernel: Kernel::best(),
            max_hashrate: Some(max_hashrate),
            cpu_percent: 100,
            share_interval: Duration::ZERO,
        },
        until_blocks: None,
        until_shares: None,
        monitoring_address: None,
        report_file: None,
    }
}

/// A running device.
pub(crate) struct Device {
    shutdown: Shutdown,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Device {
    /// One thread, one standard channel, so many shares a second at most.
    pub(crate) fn start(pool: &Pool, max_hashrate: f64) -> Self {
        Self::start_with(pool, max_hashrate, |_, _| {})
    }

    /// The same, but for what `change` changes.
    pub(crate) fn start_with(
        pool: &Pool,
        max_hashrate: f64,
        change: impl FnOnce(&mut Config, &mut StratumV2),
    ) -> Self {
        let mut upstream = Upstream::new(
            pool.address.clone(),
            pool.authority.public(),
            Protocol::MiningProtocol,
            "mining-device",
        );
        upstream.request.flags = REQUIRES_STANDARD_JOBS;
        let mut v2 = StratumV2 {
            upstream,
            request: ChannelRequest {
                user_identity: "test".to_owned(),
                nominal_hash_rate: 1000.0,
                max_target: Target::MAX,
                min_extranonce_size: None,
            },
            nominal: Nominal::Declared,
        };
        let mut config = config(max_hashrate, mining_device::Pool::V2(v2.clone()));
        change(&mut config, &mut v2);
        config.pool = mining_device::Pool::V2(v2);
        Self::run(config)
    }

    /// With any configuration.
    pub(crate) fn run(config: Config) -> Self {
        let shutdown = Shutdown::default();
        let task = tokio::spawn(MiningDevice::run(config, shutdown.clone()));
        Self { shutdown, task }
    }

    /// Waits until it ends by itself.
    pub(crate) async fn ended(self) {
        let ended = tokio::time::timeout(PATIENCE, self.task).await;
        ended.expect("the device ends").unwrap().unwrap();
    }

    /// Ends it in order; it must not have failed.
    pub(crate) async fn stop(self) {
        self.shutdown.finish().await;
        self.task.await.unwrap().unwrap();
    }
}
