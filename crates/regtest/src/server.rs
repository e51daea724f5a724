//! A server whose every word a test chooses: template provider, job declarator server or pool.

use std::time::Duration;

use daemon::accept::{Limits, Listen, Peer, Server};
use daemon::dial::HostPort;
use daemon::shutdown::Shutdown;
use daemon::wire::TcpConnection;
use protocol::frame::FrameHeader;
use protocol::keys::AuthorityKey;
use protocol::message::common::Protocol;
use protocol::message::{self, Encodable, GetSize, IsSv2Message, Message, Received};
use protocol::setup::Offer;
use tokio::sync::mpsc;

use crate::{LIMIT, Port, Program, free_port};

/// A listening server.
pub struct Fake {
    protocol: Protocol,
    /// Signs its certificate.
    pub authority: AuthorityKey,
    /// Where it listens.
    pub address: HostPort,
    /// Kept also while nobody listens on it.
    port: Port,
    connections: mpsc::Receiver<(TcpConnection, u32)>,
    shutdown: Shutdown,
}

impl Fake {
    /// Listens on a port of its own.
    pub async fn start(protocol: Protocol) -> Self {
        let authority = AuthorityKey::generate(&mut rand::thread_rng());
        Self::listen(protocol, authority, free_port()).await
    }

    async fn listen(protocol: Protocol, authority: AuthorityKey, port: Port) -> Self {
        let offer = Offer {
            protocol,
            supported_flags: 0b111,
            success_flags: |_| 0,
        };
        let listen = Listen {
            address: ([127, 0, 0, 1], port.number()).into(),
            authority: authority.clone(),
            cert_validity: Duration::from_secs(3600),
        };
        let server = Server::bind(listen, offer, Limits::default()).await;
        let server = server.unwrap();
        let address = HostPort::from(server.local_addr().unwrap());
        let (connected, connections) = mpsc::channel(16);
        let shutdown = Shutdown::default();
        let serve = move |connection: TcpConnection, peer: Peer| {
            let (connected, flags) = (connected.clone(), peer.client.flags);
            async move {
                let _ = connected.send((connection, flags)).await;
            }
        };
        shutdown.spawn(server.run(shutdown.clone(), serve));
        Self {
            protocol,
            authority,
            address,
            port,
            connections,
            shutdown,
        }
    }

    /// The next connection, set up, with the flags it asked for.
    pub async fn connection(&mut self) -> (Line, u32) {
        let next = tokio::time::timeout(LIMIT, self.connections.recv());
        let (connection, flags) = next.await.expect("somebody connects").unwrap();
        (Line { connection }, flags)
    }

    /// Whether nobody has connected for a moment.
    pub async fn is_alone(&mut self) -> bool {
        let moment = Duration::from_millis(200);
        tokio::time::timeout(moment, self.connections.recv())
            .await
            .is_err()
    }

    /// Goes away, and comes back at the same address.
    pub async fn restart(self) -> Self {
        let Self {
            protocol,
            authority,
            port,
            shutdown,
            ..
        } = self;
        shutdown.finish().await;
        Self::listen(protocol, authority, port).await
    }
}

/// One connection.
pub struct Line {
    connection: TcpConnection,
}

impl Line {
    /// As a miner of the program, with the flags it answers.
    pub async fn dial(program: &Program, flags: u32) -> (Self, u32) {
        let mut upstream = program.upstream(Protocol::MiningProtocol);
        upstream.request.flags = flags;
        let (connection, accepted) = program.connect(&upstream).await.unwrap();
        (Self { connection }, accepted.flags)
    }

    /// The next message; `None` when the program has left.
    pub async fn try_hear(&mut self) -> Option<Message> {
        let frame = tokio::time::timeout(LIMIT, self.connection.receive());
        let frame = frame.await.expect("the program says something").ok()?;
        match message::decode(frame).unwrap() {
            Received::Message(message) => Some(message.into_owned()),
            other => panic!("the program sent {other:?}"),
        }
    }

    /// The next frame as it came: its header's extension and type, and its payload.
    pub async fn hear_frame(&mut self) -> (u16, u8, Vec<u8>) {
        let frame = tokio::time::timeout(LIMIT, self.connection.receive());
        let frame = frame.await.expect("the program says something").unwrap();
        let header = frame.header;
        (header.extension, header.msg_type, frame.payload.to_vec())
    }

    /// The next message.
    pub async fn hear(&mut self) -> Message {
        self.try_hear().await.expect("the program has left")
    }

    /// Sends a frame of an extension.
    pub async fn say_raw(&mut self, extension: u16, msg_type: u8, payload: &[u8]) {
        let header = FrameHeader {
            extension,
            channel_msg: false,
            msg_type,
            len: payload.len(),
        };
        let frame = [&header.to_bytes()[..], payload].concat();
        self.connection.send(&frame).await.unwrap();
    }

    /// Sends a message.
    pub async fn say(&mut self, message: impl IsSv2Message + GetSize + Encodable) {
        let mut bytes = Vec::new();
        message::encode(message, &mut bytes);
        self.connection.send(&bytes).await.unwrap();
    }
}

/// The named message out of a message of any kind.
#[macro_export]
macro_rules! want {
    ($message:expr, Mining::$kind:ident) => {
        $crate::want!(@ $message, Mining, MiningOwned, $kind)
    };
    ($message:expr, JobDeclaration::$kind:ident) => {
        $crate::want!(@ $message, JobDeclaration, JobDeclarationOwned, $kind)
    };
    ($message:expr, TemplateDistribution::$kind:ident) => {
        $crate::want!(@ $message, TemplateDistribution, TemplateDistributionOwned, $kind)
    };
    (@ $message:expr, $protocol:ident, $owned:ident, $kind:ident) => {
        match $message {
            protocol::message::Message::$protocol(protocol::message::$owned::$kind(message)) => {
                message
            }
            other => panic!(concat!("not ", stringify!($kind), ": {:?}"), other),
        }
    };
}
