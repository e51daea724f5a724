//! A server whose every word a test chooses: template provider, job declarator server or pool.

use std::time::Duration;

use daemon::accept::{Limits, Listen, Peer, Server};
use daemon::dial::HostPort;
use daemon::shutdown::Shutdown;
use daemon::wire::TcpConnection;
use protocol::keys::AuthorityKey;
use protocol::message::common::Protocol;
use protocol::message::{self, Encodable, GetSize, IsSv2Message, Message, Received};
use protocol::setup::Offer;
use regtest::Program;
use tokio::sync::mpsc;

/// Nothing the program does on its own takes longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A listening server.
pub(crate) struct Fake {
    protocol: Protocol,
    pub(crate) authority: AuthorityKey,
    pub(crate) address: HostPort,
    connections: mpsc::Receiver<(TcpConnection, u32)>,
    shutdown: Shutdown,
}

impl Fake {
    pub(crate) async fn start(protocol: Protocol) -> Self {
        let authority = AuthorityKey::generate(&mut rand::thread_rng());
        Self::listen(protocol, authority, "127.0.0.1:0".to_owned()).await
    }

    async fn listen(protocol: Protocol, authority: AuthorityKey, address: String) -> Self {
        let offer = Offer {
            protocol,
            supported_flags: 0b111,
            success_flags: |_| 0,
        };
        let listen = Listen {
            address: address.parse().unwrap(),
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
            connections,
            shutdown,
        }
    }

    /// The next connection, set up, with the flags it asked for.
    pub(crate) async fn connection(&mut self) -> (Line, u32) {
        let next = tokio::time::timeout(PATIENCE, self.connections.recv());
        let (connection, flags) = next.await.expect("somebody connects").unwrap();
        (Line { connection }, flags)
    }

    /// Whether nobody has connected for a moment.
    pub(crate) async fn is_alone(&mut self) -> bool {
        let moment = Duration::from_millis(200);
        tokio::time::timeout(moment, self.connections.recv())
            .await
            .is_err()
    }

    /// Goes away, and comes back at the same address.
    pub(crate) async fn restart(self) -> Self {
        let Self {
            protocol,
            authority,
            address,
            shutdown,
            ..
        } = self;
        shutdown.finish().await;
        Self::listen(protocol, authority, address.to_string()).await
    }
}

/// One connection.
pub(crate) struct Line {
    connection: TcpConnection,
}

impl Line {
    /// As a miner of the program, with the flags it answers.
    pub(crate) async fn dial(program: &Program, flags: u32) -> (Self, u32) {
        let mut upstream = program.upstream(Protocol::MiningProtocol);
        upstream.request.flags = flags;
        let (connection, accepted) = program.connect(&upstream).await.unwrap();
        (Self { connection }, accepted.flags)
    }

    /// The next message; `None` when the program has left.
    pub(crate) async fn try_hear(&mut self) -> Option<Message> {
        let frame = tokio::time::timeout(PATIENCE, self.connection.receive());
        let frame = frame.await.expect("the program says something").ok()?;
        match message::decode(frame).unwrap() {
            Received::Message(message) => Some(message.into_owned()),
            other => panic!("the program sent {other:?}"),
        }
    }

    pub(crate) async fn hear(&mut self) -> Message {
        self.try_hear().await.expect("the program has left")
    }

    pub(crate) async fn say(&mut self, message: impl IsSv2Message + GetSize + Encodable) {
        let mut bytes = Vec::new();
        message::encode(message, &mut bytes);
        self.connection.send(&bytes).await.unwrap();
    }
}

/// The named message out of a message of any kind.
macro_rules! want {
    ($message:expr, Mining::$kind:ident) => {
        want!(@ $message, Mining, MiningOwned, $kind)
    };
    ($message:expr, JobDeclaration::$kind:ident) => {
        want!(@ $message, JobDeclaration, JobDeclarationOwned, $kind)
    };
    ($message:expr, TemplateDistribution::$kind:ident) => {
        want!(@ $message, TemplateDistribution, TemplateDistributionOwned, $kind)
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
pub(crate) use want;
