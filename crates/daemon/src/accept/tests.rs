mod hostile;

use std::sync::{Arc, Mutex};

use protocol::core::{Core, Now, Outbox};
use protocol::frame::{Frame, FrameHeader};
use protocol::keys::AuthorityKey;
use protocol::message::common::Protocol;
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::clock;
use crate::dial::{DialError, HostPort, Upstream};
use crate::drive::{Joined, NoInputs, drive};

const OFFER: Offer = Offer {
    protocol: Protocol::MiningProtocol,
    supported_flags: 1,
    success_flags: |_| 0,
};

/// Says what it hears.
struct Parrot;

impl Core for Parrot {
    type Input = std::convert::Infallible;
    type Event = ();

    fn received(&mut self, _now: Now, frame: Frame<'_>, out: &mut Outbox<()>) {
        let Frame { header, payload } = frame;
        out.send_encoded(&[&header.to_bytes()[..], payload].concat());
    }

    fn input(&mut self, _now: Now, input: Self::Input, _out: &mut Outbox<()>) {
        match input {}
    }
}

/// A plaintext frame of an unknown type.
fn plain(payload: &[u8]) -> Vec<u8> {
    let header = FrameHeader {
        extension: 0,
        channel_msg: false,
        msg_type: 0x7f,
        len: payload.len(),
    };
    [&header.to_bytes()[..], payload].concat()
}

struct Running {
    upstream: Upstream,
    shutdown: Shutdown,
    slots: Arc<Mutex<Vec<u32>>>,
    reached: Reached,
}

impl Running {
    /// A connection that has not said anything yet.
    async fn stream(&self) -> TcpStream {
        TcpStream::connect(self.upstream.address.to_string())
            .await
            .unwrap()
    }

    /// A connection after its handshake.
    async fn shaken(&self) -> TcpConnection {
        let (reader, writer) = split(self.stream().await).unwrap();
        Connection::initiate(reader, writer, &self.upstream.authority, 1000)
            .await
            .unwrap()
    }
}

/// What arrives until the server closes.
async fn rest_of(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    // It may also reset the connection, when there are bytes it has not read.
    let _ = stream.read_to_end(&mut bytes).await;
    bytes
}

/// A server on a free port of the loopback interface that echoes what its clients say.
async fn running(limits: Limits) -> Running {
    let authority = AuthorityKey::generate(&mut rand::thread_rng());
    let listen = Listen {
        address: "127.0.0.1:0".parse().unwrap(),
        authority: authority.clone(),
        cert_validity: Duration::from_secs(3600),
    };
    let server = Server::bind(listen, OFFER, limits).await.unwrap();
    let address = server.local_addr().unwrap();
    let reached = server.reached().clone();
    let shutdown = Shutdown::default();
    let slots = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&slots);
    let stop = shutdown.stop().clone();
    let serve = move |connection: TcpConnection, peer: Peer| {
        seen.lock().unwrap().push(peer.slot.number());
        let stop = stop.clone();
        async move {
            let mut host = Joined {
                inputs: NoInputs,
                on_event: |()| {},
            };
            drive(connection, &mut Parrot, &mut host, &stop).await;
            drop(peer);
        }
    };
    shutdown.spawn(server.run(shutdown.clone(), serve));
    let upstream = Upstream {
        max_payload: 1 << 20,
        ..Upstream::new(
            HostPort::from(address),
            authority.public(),
            Protocol::MiningProtocol,
            "test",
        )
    };
    Running {
        upstream,
        shutdown,
        slots,
        reached,
    }
}

#[tokio::test]
async fn a_client_sets_up_and_a_refused_one_reads_why() {
    // CONN-02, 06, 09
    let mut run = running(Limits::default()).await;
    assert!(run.upstream.connect().await.is_ok());
    run.upstream.request.flags = 0b110;
    let refused = run.upstream.connect().await.unwrap_err().to_string();
    assert!(
        refused.contains("unsupported-feature-flags") && refused.contains("0x6"),
        "{refused}"
    );
    run.shutdown.finish().await;
}

/// Act 2 of a server with that authority.
fn answer_of(authority: &AuthorityKey, act1: &[u8; 64]) -> [u8; 234] {
    let rng = &mut rand::thread_rng();
    let hour = Duration::from_secs(3600);
    let identity = ServerIdentity::issue(authority, hour, clock::unix(), rng);
    protocol::noise::respond(&identity, act1, rng).0
}

#[tokio::test]
async fn a_client_sends_nothing_to_a_server_of_another_authority() {
    // NOISE-14, DEV-26
    let authority = AuthorityKey::generate(&mut rand::thread_rng());
    let rogue = AuthorityKey::generate(&mut rand::thread_rng());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut run = running(Limits::default()).await;
    run.upstream.address = HostPort::from(listener.local_addr().unwrap());
    run.upstream.authority = authority.public();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut act1 = [0; 64];
        stream.read_exact(&mut act1).await.unwrap();
        let act2 = answer_of(&rogue, &act1);
        stream.write_all(&act2).await.unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        rest
    });
    let error = run.upstream.connect().await.unwrap_err();
    assert!(matches!(error, DialError::Wire { .. }), "{error}");
    assert!(
        error.to_string().contains(&authority.public_text()),
        "{error}"
    );
    assert_eq!(server.await.unwrap(), Vec::<u8>::new());
    run.shutdown.finish().await;
}

#[tokio::test]
async fn stalled_handshakes_do_not_hold_up_others_and_are_closed() {
    // NOISE-24
    let limits = Limits {
        handshake: Duration::from_millis(300),
        ..Limits::default()
    };
    let run = running(limits).await;
    let mut stalled = Vec::new();
    for _ in 0..50 {
        let mut stream = run.stream().await;
        stream.write_all(&[1; 10]).await.unwrap();
        stalled.push(stream);
    }
    assert!(run.upstream.connect().await.is_ok());
    for mut stream in stalled {
        assert!(rest_of(&mut stream).await.is_empty());
    }
    assert_eq!(run.reached.times(Limit::HandshakeTime), 50);
    run.shutdown.finish().await;
}

#[tokio::test]
async fn newcomers_wait_for_a_handshake_to_end_and_a_stalled_one_makes_room() {
    // NOISE-24: within the ordinary time limits the third would wait twenty seconds.
    let limits = Limits {
        max_handshakes: 2,
        ..Limits::default()
    };
    let run = running(limits).await;
    let mut silent = run.stream().await;
    let mut shaken = run.shaken().await;
    assert!(run.upstream.connect().await.is_ok());
    assert!(rest_of(&mut silent).await.is_empty());
    assert!(shaken.receive().await.is_err());
    assert!(run.reached.times(Limit::Handshakes) > 0);
    assert_eq!(run.reached.times(Limit::HandshakeTime), 1);
    assert_eq!(run.reached.times(Limit::SetupTime), 1);
    run.shutdown.finish().await;
}

#[tokio::test]
async fn a_plaintext_client_learns_nothing() {
    // NOISE-01, 02: 63 bytes get no answer, and what comes after the 64th is no frame.
    let limits = Limits {
        handshake: Duration::from_millis(300),
        ..Limits::default()
    };
    let run = running(limits).await;
    let mut stream = run.stream().await;
    stream.write_all(&[0; 63]).await.unwrap();
    assert!(rest_of(&mut stream).await.is_empty());

    let mut stream = run.stream().await;
    stream.write_all(&[0; 64 + 100]).await.unwrap();
    assert_eq!(rest_of(&mut stream).await.len(), 234);
    run.shutdown.finish().await;
}

#[tokio::test]
async fn a_client_that_does_not_set_up_is_told_nothing_and_closed() {
    // CONN-03
    let limits = Limits {
        setup: Duration::from_millis(300),
        ..Limits::default()
    };
    let run = running(limits).await;
    let mut connection = run.shaken().await;
    assert!(connection.receive().await.is_err());
    assert_eq!(run.reached.times(Limit::SetupTime), 1);
    run.shutdown.finish().await;
}

#[tokio::test]
async fn a_frame_over_the_limit_closes_the_connection_at_its_header() {
    // FRAME-16
    let limits = Limits {
        max_payload: 2000,
        ..Limits::default()
    };
    let run = running(limits).await;
    let mut connection = run.shaken().await;
    connection.send(&plain(&[0; 2001])).await.unwrap();
    assert!(connection.receive().await.is_err());
    assert_eq!(run.reached.times(Limit::FrameSize), 1);

    // Once it is set up it may still send no more.
    let (mut connection, _) = run.upstream.connect().await.unwrap();
    connection.send(&plain(&[0; 2000])).await.unwrap();
    assert!(connection.receive().await.is_ok());
    connection.send(&plain(&[0; 2001])).await.unwrap();
    assert!(connection.receive().await.is_err());
    assert_eq!(run.reached.times(Limit::FrameSize), 2);
    run.shutdown.finish().await;
}

#[tokio::test]
async fn a_connection_over_the_limit_is_closed_and_the_others_stay() {
    let limits = Limits {
        max_connections: 1,
        ..Limits::default()
    };
    let run = running(limits).await;
    let (mut first, _) = run.upstream.connect().await.unwrap();
    assert!(run.upstream.connect().await.is_err());
    assert!(first.send(&[]).await.is_ok());
    assert_eq!(run.reached.times(Limit::Connections), 1);
    assert_eq!(*run.slots.lock().unwrap(), [0]);
    drop(first);
    run.shutdown.finish().await;
}

#[tokio::test]
async fn one_address_cannot_take_the_places_of_others() {
    let limits = Limits {
        max_connections_per_address: 1,
        ..Limits::default()
    };
    let run = running(limits).await;
    let first = run.upstream.connect().await.unwrap();
    assert!(run.upstream.connect().await.is_err());
    assert_eq!(run.reached.times(Limit::ConnectionsPerAddress), 1);

    let elsewhere = TcpSocket::new_v4().unwrap();
    elsewhere.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let address = run.upstream.address.to_string().parse().unwrap();
    let (reader, writer) = split(elsewhere.connect(address).await.unwrap()).unwrap();
    let authority = &run.upstream.authority;
    let let_in = Connection::initiate(reader, writer, authority, 1000).await;
    assert!(let_in.is_ok());
    drop(first);
    run.shutdown.finish().await;
}

#[tokio::test]
async fn stopping_waits_for_no_handshake() {
    // Nothing but the stop can end it.
    let limits = Limits {
        handshake: Duration::from_secs(86_400),
        ..Limits::default()
    };
    let run = running(limits).await;
    let mut silent = run.stream().await;
    // It is accepted before this one is.
    let accepted = run.upstream.connect().await.unwrap();
    drop(accepted);
    run.shutdown.stop().cancel();
    assert!(rest_of(&mut silent).await.is_empty());
    run.shutdown.finish().await;
}

#[tokio::test]
async fn a_lost_connection_is_dialled_again() {
    // DEV-29
    let run = running(Limits::default()).await;
    let stop = CancellationToken::new();
    let mut sessions = run.upstream.sessions(&stop);
    for _ in 0..3 {
        let session = tokio::time::timeout(Duration::from_secs(60), sessions.next());
        drop(session.await.unwrap().unwrap());
        sessions.ended(&crate::drive::Ended::ByPeer);
    }
    stop.cancel();
    assert!(sessions.next().await.is_none());
    run.shutdown.finish().await;
}

#[tokio::test]
async fn the_kernel_is_to_notice_a_server_that_vanishes() {
    let run = running(Limits::default()).await;
    let (connection, _) = run.upstream.connect().await.unwrap();
    let socket = SockRef::from(connection.reader.as_ref());
    // In silence, and with something on its way.
    assert!(socket.keepalive().unwrap());
    let patience = socket.tcp_user_timeout().unwrap();
    assert_eq!(patience, Some(Duration::from_secs(30)));
}
