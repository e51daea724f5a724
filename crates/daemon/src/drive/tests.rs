use std::time::Duration;

use protocol::core::Now;
use protocol::frame::{Frame, FrameHeader};
use protocol::keys::AuthorityKey;
use protocol::noise::ServerIdentity;
use tokio::io::{ReadHalf, WriteHalf, duplex, split};

use super::*;

type Duplex = tokio::io::DuplexStream;
type MemoryConnection = Connection<ReadHalf<Duplex>, WriteHalf<Duplex>>;

/// Answers each frame with its type plus one, greets inputs, and does what some types ask for.
#[derive(Default)]
struct Echo {
    deadline: Option<Instant>,
}

const CLOSE: u8 = 100;
const BLAST: u8 = 101;
const ALARM: u8 = 102;

impl Core for Echo {
    type Input = u8;
    type Event = String;

    fn received(&mut self, now: Now, frame: Frame<'_>, out: &mut Outbox<String>) {
        let msg_type = frame.header.msg_type;
        out.event(format!("received {msg_type}"));
        match msg_type {
            BLAST => (0..600).for_each(|_| out.send_encoded(&plain(1, &[0; 60_000]))),
            ALARM => self.deadline = Some(now.instant + Duration::from_millis(10)),
            _ => out.send_encoded(&plain(msg_type + 1, frame.payload)),
        }
        if msg_type == CLOSE {
            out.close("asked to");
        }
    }

    fn input(&mut self, now: Now, input: u8, out: &mut Outbox<String>) {
        if input == ALARM {
            self.deadline = Some(now.instant + Duration::from_millis(10));
        }
        out.send_encoded(&plain(input, b"input"));
    }

    fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    fn wake(&mut self, _now: Now, out: &mut Outbox<String>) {
        self.deadline = None;
        out.send_encoded(&plain(7, b"woken"));
    }
}

fn plain(msg_type: u8, payload: &[u8]) -> Vec<u8> {
    let header = FrameHeader {
        extension: 0,
        channel_msg: false,
        msg_type,
        len: payload.len(),
    };
    [&header.to_bytes()[..], payload].concat()
}

/// A client and a server over an in-memory stream with room for `room` bytes.
async fn pair(room: usize) -> (MemoryConnection, MemoryConnection) {
    let rng = &mut rand::thread_rng();
    let authority = AuthorityKey::generate(rng);
    let hour = Duration::from_secs(3600);
    let identity = ServerIdentity::issue(&authority, hour, clock::unix(), rng);
    let (client, server) = duplex(room);
    let (client_reader, client_writer) = split(client);
    let (server_reader, server_writer) = split(server);
    let public = authority.public();
    let (client, server) = tokio::join!(
        Connection::initiate(client_reader, client_writer, &public, 1 << 20),
        Connection::accept(server_reader, server_writer, &identity, 1 << 20),
    );
    (client.unwrap(), server.unwrap())
}

struct Running {
    client: MemoryConnection,
    inputs: mpsc::Sender<u8>,
    stop: CancellationToken,
    server: tokio::task::JoinHandle<(Ended, Vec<String>)>,
}

/// Writes down what it is told. Input `SHUT` shuts the door to the peer, `OPEN` opens it.
struct Diary {
    inputs: mpsc::Receiver<u8>,
    events: Vec<String>,
    is_shut: bool,
}

const SHUT: u8 = 200;
const OPEN: u8 = 201;

impl Host<Echo> for Diary {
    async fn next(&mut self) -> Option<u8> {
        let input = self.inputs.recv().await?;
        self.is_shut = match input {
            SHUT => true,
            OPEN => false,
            _ => self.is_shut,
        };
        Some(input)
    }

    fn event(&mut self, event: String) {
        self.events.push(event);
    }

    fn stepped(&mut self) {
        if self.events.last().is_some_and(|event| event != "stepped") {
            self.events.push("stepped".to_owned());
        }
    }

    fn accepts(&self) -> bool {
        !self.is_shut
    }
}

async fn running(room: usize) -> Running {
    let (client, server) = pair(room).await;
    let (inputs, receiver) = mpsc::channel(4);
    let stop = CancellationToken::new();
    let token = stop.clone();
    let server = tokio::spawn(async move {
        let mut host = Diary {
            inputs: receiver,
            events: Vec::new(),
            is_shut: false,
        };
        let ended = drive(server, &mut Echo::default(), &mut host, &token).await;
        (ended, host.events)
    });
    Running {
        client,
        inputs,
        stop,
        server,
    }
}

async fn received(client: &mut MemoryConnection) -> (u8, usize) {
    let frame = client.receive().await.unwrap();
    (frame.header.msg_type, frame.payload.len())
}

#[tokio::test]
async fn frames_inputs_and_deadlines_reach_the_core() {
    let mut run = running(1 << 16).await;
    run.client.send(&plain(1, &[0; 9])).await.unwrap();
    assert_eq!(received(&mut run.client).await, (2, 9));
    run.inputs.send(50).await.unwrap();
    assert_eq!(received(&mut run.client).await, (50, 5));
    run.client.send(&plain(ALARM, &[])).await.unwrap();
    assert_eq!(received(&mut run.client).await, (7, 5));
    drop(run.client);
    let (ended, events) = run.server.await.unwrap();
    assert!(matches!(ended, Ended::ByPeer), "{ended}");
    let expected = ["received 1", "stepped", "received 102", "stepped"];
    assert_eq!(events, expected);
}

#[tokio::test]
async fn a_host_that_accepts_no_more_stops_the_peer_and_nothing_else() {
    let mut run = running(1 << 16).await;
    run.inputs.send(SHUT).await.unwrap();
    assert_eq!(received(&mut run.client).await, (SHUT, 5));
    run.client.send(&plain(1, &[0; 9])).await.unwrap();
    // Inputs, what they make the core say, and deadlines pass the waiting frame by.
    for input in 20..40 {
        run.inputs.send(input).await.unwrap();
        assert_eq!(received(&mut run.client).await, (input, 5));
    }
    run.inputs.send(ALARM).await.unwrap();
    assert_eq!(received(&mut run.client).await, (ALARM, 5));
    assert_eq!(received(&mut run.client).await, (7, 5));
    run.inputs.send(OPEN).await.unwrap();
    assert_eq!(received(&mut run.client).await, (OPEN, 5));
    assert_eq!(received(&mut run.client).await, (2, 9));
}

/// All of its inputs are there from the start.
struct Burst {
    inputs: std::vec::IntoIter<u8>,
    steps: usize,
}

impl Host<Echo> for Burst {
    async fn next(&mut self) -> Option<u8> {
        match self.inputs.next() {
            Some(input) => Some(input),
            None => std::future::pending().await,
        }
    }

    fn another(&mut self) -> Option<u8> {
        self.inputs.next()
    }

    fn event(&mut self, _event: String) {}

    fn stepped(&mut self) {
        self.steps += 1;
    }
}

#[tokio::test]
async fn inputs_that_wait_behind_one_another_are_one_step() {
    let (mut client, server) = pair(1 << 16).await;
    let stop = CancellationToken::new();
    let token = stop.clone();
    let server = tokio::spawn(async move {
        let inputs: Vec<u8> = (0..200).collect();
        let mut host = Burst {
            inputs: inputs.into_iter(),
            steps: 0,
        };
        drive(server, &mut Echo::default(), &mut host, &token).await;
        host.steps
    });
    for input in 0..200 {
        assert_eq!(received(&mut client).await, (input, 5));
    }
    stop.cancel();
    assert_eq!(server.await.unwrap(), 200usize.div_ceil(bounds::TURN));
}

#[tokio::test]
async fn what_a_core_says_before_it_closes_arrives() {
    // CONN-09, T-47
    let mut run = running(256).await;
    run.client.send(&plain(CLOSE, &[0; 5000])).await.unwrap();
    assert_eq!(received(&mut run.client).await, (101, 5000));
    assert!(run.client.receive().await.is_err());
    drop(run.client);
    let (ended, _) = run.server.await.unwrap();
    assert_eq!(ended.to_string(), "asked to");
}

#[tokio::test]
async fn a_peer_that_never_reads_is_closed_and_costs_bounded_memory() {
    let mut run = running(4096).await;
    run.client.send(&plain(BLAST, &[])).await.unwrap();
    let (ended, _) = run.server.await.unwrap();
    assert!(
        matches!(ended, Ended::Slow { unread } if unread > 16 << 20),
        "{ended}"
    );
}

#[tokio::test]
async fn a_peer_that_reads_while_we_stand_still_is_not_given_up() {
    const STALL: Duration = Duration::from_millis(1);
    const SAID: u8 = 40;
    // A message and a half.
    let (mut client, mut server) = pair(64).await;
    server.bounds.stall = STALL;
    let said: Vec<u8> = (0..SAID).collect();
    let mut host = Burst {
        inputs: said.into_iter(),
        steps: 0,
    };
    let (mut core, stop) = (Echo::default(), CancellationToken::new());
    let mut serving = std::pin::pin!(drive(server, &mut core, &mut host, &stop));
    let mut heard = 0;
    while heard < SAID {
        tokio::select! {
            biased;
            ended = &mut serving => panic!("after {heard} messages: {ended}"),
            () = std::future::ready(()) => {}
        }
        // The client has read it all; then the time is up, and only then the server goes on.
        while let Some(Ok(_)) = tokio::select! {
            biased;
            frame = client.receive() => Some(frame),
            () = std::future::ready(()) => None,
        } {
            heard += 1;
        }
        let stands_since = Instant::now();
        while stands_since.elapsed() < 2 * STALL {}
        yield_now().await;
    }
}

#[tokio::test]
async fn bytes_that_do_not_decrypt_end_the_connection() {
    // NOISE-11
    let mut run = running(1 << 16).await;
    run.client.writer.write_all(&[0; 64]).await.unwrap();
    let (ended, events) = run.server.await.unwrap();
    assert!(
        matches!(ended, Ended::Frame(FrameError::Decrypt)),
        "{ended}"
    );
    assert_eq!(events, Vec::<String>::new());
}

#[tokio::test]
async fn stopping_ends_the_connection_in_order() {
    let mut run = running(1 << 16).await;
    run.stop.cancel();
    assert!(run.client.receive().await.is_err());
    drop(run.client);
    let (ended, _) = run.server.await.unwrap();
    assert!(matches!(ended, Ended::Stopping), "{ended}");
}
