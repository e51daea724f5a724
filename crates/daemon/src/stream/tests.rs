use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::*;

const PATIENCE: Duration = Duration::from_secs(60);

/// Says back whole lines, in as many copies as its first byte says; `!` closes.
#[derive(Default)]
struct Parrot {
    heard: Vec<u8>,
    is_set_up: bool,
    due: Option<Instant>,
}

impl StreamCore for Parrot {
    type Input = &'static str;
    type Event = String;

    fn received(&mut self, now: Now, bytes: &[u8], out: &mut Outbox<String>) -> usize {
        self.heard.extend_from_slice(bytes);
        let mut lines = 0;
        while let Some(end) = self.heard.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.heard.drain(..=end).collect();
            lines += 1;
            self.is_set_up = true;
            out.event(String::from_utf8_lossy(&line).trim().to_owned());
            match line[0] {
                b'!' => {
                    out.send_encoded(b"bye\n");
                    out.close("asked to");
                }
                b'@' => self.due = Some(now.instant),
                b'#' => out.send_encoded(&vec![b'#'; 1 << 20]),
                _ => out.send_encoded(&line),
            }
        }
        lines
    }

    fn input(&mut self, _now: Now, input: &'static str, out: &mut Outbox<String>) {
        out.send_encoded(input.as_bytes());
    }

    fn deadline(&self) -> Option<Instant> {
        self.due
    }

    fn wake(&mut self, _now: Now, out: &mut Outbox<String>) {
        self.due = None;
        out.send_encoded(b"awake\n");
    }

    fn is_set_up(&self) -> bool {
        self.is_set_up
    }
}

struct Ear(mpsc::UnboundedSender<String>, &'static str);

impl StreamHost<Parrot> for Ear {
    async fn next(&mut self) -> Option<&'static str> {
        match std::mem::take(&mut self.1) {
            "" => std::future::pending().await,
            said => Some(said),
        }
    }

    fn event(&mut self, event: String) {
        self.0.send(event).unwrap();
    }
}

struct Running {
    address: SocketAddr,
    shutdown: Shutdown,
    reached: Reached,
    heard: mpsc::UnboundedReceiver<String>,
    ended: mpsc::UnboundedReceiver<Ended>,
}

impl Running {
    async fn start(limits: Limits, greeting: &'static str) -> Self {
        let server = Server::bind("127.0.0.1:0".parse().unwrap(), limits)
            .await
            .unwrap();
        let (hear, heard) = mpsc::unbounded_channel();
        let (end, ended) = mpsc::unbounded_channel();
        let shutdown = Shutdown::default();
        let running = Self {
            address: server.local_addr().unwrap(),
            reached: server.reached().clone(),
            shutdown: shutdown.clone(),
            heard,
            ended,
        };
        let stop = shutdown.stop().clone();
        let serve = move |connection, guest: Guest| {
            let (hear, end, stop) = (hear.clone(), end.clone(), stop.clone());
            async move {
                // Its place is free when it is dropped.
                let _guest = guest;
                let mut host = Ear(hear, greeting);
                let ended = drive(connection, &mut Parrot::default(), &mut host, &stop).await;
                let _ = end.send(ended);
            }
        };
        shutdown.spawn(server.run(shutdown.clone(), serve));
        running
    }

    async fn connect(&self) -> BufReader<TcpStream> {
        BufReader::new(TcpStream::connect(self.address).await.unwrap())
    }

    async fn ended(&mut self) -> Ended {
        let ended = timeout(PATIENCE, self.ended.recv());
        ended.await.unwrap().unwrap()
    }
}

async fn say(client: &mut BufReader<TcpStream>, text: &str) {
    client.get_mut().write_all(text.as_bytes()).await.unwrap();
}

/// The next line; empty at the end.
async fn hear(client: &mut BufReader<TcpStream>) -> String {
    let mut line = String::new();
    let read = timeout(PATIENCE, client.read_line(&mut line));
    read.await.unwrap().unwrap();
    line
}

#[tokio::test]
async fn what_a_core_says_arrives_and_its_last_words_too() {
    let mut running = Running::start(Limits::default(), "hello\n").await;
    let mut client = running.connect().await;
    assert_eq!(hear(&mut client).await, "hello\n");
    say(&mut client, "one\ntw").await;
    assert_eq!(hear(&mut client).await, "one\n");
    say(&mut client, "o\n@\n").await;
    assert_eq!(hear(&mut client).await, "two\n");
    assert_eq!(hear(&mut client).await, "awake\n");
    say(&mut client, "!\n").await;
    assert_eq!(hear(&mut client).await, "bye\n");
    assert_eq!(hear(&mut client).await, "");
    drop(client);
    assert!(matches!(running.ended().await, Ended::ByUs(reason) if reason == "asked to"));
    assert_eq!(running.heard.recv().await.unwrap(), "one");
}

#[tokio::test]
async fn who_does_not_set_up_in_time_is_closed() {
    let limits = Limits {
        // Long for who says something at once, on a machine that is busy with other things.
        setup: Duration::from_secs(2),
        ..Limits::default()
    };
    let mut running = Running::start(limits, "").await;
    let mut idle = running.connect().await;
    let mut active = running.connect().await;
    say(&mut active, "here\n").await;
    assert_eq!(hear(&mut active).await, "here\n");
    assert_eq!(hear(&mut idle).await, "");
    drop(idle);
    assert!(matches!(running.ended().await, Ended::ByUs(_)));
    assert_eq!(running.reached.times(Limit::SetupTime), 1);
    // Long after: who has set up may be as quiet as it likes.
    say(&mut active, "still\n").await;
    assert_eq!(hear(&mut active).await, "still\n");
}

#[tokio::test]
async fn who_does_not_read_is_closed() {
    let limits = Limits {
        max_unread: 1 << 16,
        ..Limits::default()
    };
    let mut running = Running::start(limits, "").await;
    let mut client = running.connect().await;
    for _ in 0..64 {
        // The last ones may find the connection closed.
        let _ = client.get_mut().write_all(b"#\n").await;
    }
    assert!(matches!(
        running.ended().await,
        Ended::Slow { .. } | Ended::Io(_)
    ));
    assert_eq!(running.reached.times(Limit::UnreadBytes), 1);
}

#[tokio::test]
async fn one_more_than_there_may_be_is_closed_and_a_free_place_is_given_again() {
    let limits = Limits {
        max_connections: 1,
        ..Limits::default()
    };
    let mut running = Running::start(limits, "").await;
    let mut first = running.connect().await;
    say(&mut first, "a\n").await;
    assert_eq!(hear(&mut first).await, "a\n");
    let mut second = running.connect().await;
    assert_eq!(hear(&mut second).await, "");
    drop(first);
    assert!(matches!(running.ended().await, Ended::ByPeer));
    let mut third = running.connect().await;
    say(&mut third, "b\n").await;
    assert_eq!(hear(&mut third).await, "b\n");
}

#[tokio::test]
async fn a_stop_ends_every_connection() {
    let mut running = Running::start(Limits::default(), "").await;
    let mut client = running.connect().await;
    say(&mut client, "a\n").await;
    assert_eq!(hear(&mut client).await, "a\n");
    running.shutdown.stop().cancel();
    assert_eq!(hear(&mut client).await, "");
    drop(client);
    assert!(matches!(running.ended().await, Ended::Stopping));
}

/// Accepts nothing more once it has heard `hush`, until it is told to `open`.
struct Gate {
    inputs: mpsc::Receiver<&'static str>,
    is_shut: bool,
}

impl StreamHost<Parrot> for Gate {
    async fn next(&mut self) -> Option<&'static str> {
        let input = self.inputs.recv().await?;
        self.is_shut &= input != "open\n";
        Some(input)
    }

    fn event(&mut self, event: String) {
        self.is_shut |= event == "hush";
    }

    fn accepts(&self) -> bool {
        !self.is_shut
    }
}

#[tokio::test]
async fn a_host_that_accepts_no_more_stops_the_client_and_nothing_else() {
    let local = "127.0.0.1:0".parse().unwrap();
    let server = Server::bind(local, Limits::default()).await.unwrap();
    let address = server.local_addr().unwrap();
    let shutdown = Shutdown::default();
    let (inputs, receiver) = mpsc::channel(1);
    let receiver = std::sync::Mutex::new(Some(receiver));
    let stop = shutdown.stop().clone();
    let serve = move |connection, guest: Guest| {
        let inputs = receiver.lock().unwrap().take().unwrap();
        let stop = stop.clone();
        async move {
            let _guest = guest;
            let is_shut = false;
            let mut host = Gate { inputs, is_shut };
            drive(connection, &mut Parrot::default(), &mut host, &stop).await;
        }
    };
    shutdown.spawn(server.run(shutdown.clone(), serve));
    let mut client = BufReader::new(TcpStream::connect(address).await.unwrap());
    say(&mut client, "hush\n").await;
    assert_eq!(hear(&mut client).await, "hush\n");
    say(&mut client, "later\n").await;
    // What the host says passes the waiting line by.
    for _ in 0..20 {
        inputs.send("now\n").await.unwrap();
        assert_eq!(hear(&mut client).await, "now\n");
    }
    inputs.send("open\n").await.unwrap();
    assert_eq!(hear(&mut client).await, "open\n");
    assert_eq!(hear(&mut client).await, "later\n");
    shutdown.stop().cancel();
}
