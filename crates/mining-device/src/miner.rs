//! The connections to a Stratum V1 server: work in, shares out, dialled again for ever.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use daemon::clock;
use daemon::dial::{HostPort, STABLE, backoff_up_to};
use daemon::shutdown::Shutdown;
use daemon::wire::split;
use protocol::client::FoundShare;
use protocol::core::Outbox;
use protocol::target::Target;
use sv1::Lines;
use sv1::client::{Event, Miner as Client};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tracing::{debug, info, warn};

use crate::board::{Board, Standing};
use crate::config::StratumV1;
use crate::hasher::Hasher;

/// For a connection, and for the server to take what is sent.
const STEP: Duration = Duration::from_secs(5);

/// Bytes of the longest line: a job with the largest coinbase is shorter.
const MAX_LINE: usize = 1 << 20;

/// The longest wait a server may ask for.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// Shares one connection has yet to send. When it is full the server is away or does not read, and
/// further ones are dropped.
const MAX_FOUND: usize = 256;

/// All of a device's connections to one server, each a miner of its own.
#[derive(Debug)]
pub(crate) struct Crew {
    pub(crate) pool: StratumV1,
    /// Connections.
    pub(crate) size: u32,
    pub(crate) hasher: Arc<Hasher>,
    pub(crate) board: Arc<Board>,
}

impl Crew {
    /// Mines until the role stops.
    pub(crate) async fn run(self, mut found: mpsc::Receiver<FoundShare>, shutdown: &Shutdown) {
        let (mut desks, mut tasks) = (Vec::new(), Vec::new());
        for number in 0..self.size {
            let (desk, shares) = mpsc::channel(MAX_FOUND);
            let miner = Miner {
                pool: self.pool.clone(),
                number,
                hasher: Arc::clone(&self.hasher),
                board: Arc::clone(&self.board),
            };
            tasks.push(shutdown.spawn(miner.run(shares)));
            desks.push(desk);
        }
        loop {
            let share = tokio::select! {
                biased;
                () = self.board.stop.cancelled() => None,
                share = found.recv() => share,
            };
            let Some(share) = share else { break };
            if let Some(desk) = desks.get(share.channel_id as usize) {
                let _ = desk.try_send(share);
            }
        }
        for task in tasks {
            // One that panicked has said so.
            let _ = task.await;
        }
    }
}

/// One connection after the other.
struct Miner {
    pool: StratumV1,
    /// Of the connection; its assignments and shares carry it.
    number: u32,
    hasher: Arc<Hasher>,
    board: Arc<Board>,
}

/// What lasts from one connection to the next.
struct State<'a> {
    client: Client,
    found: mpsc::Receiver<FoundShare>,
    standing: Standing<'a>,
    /// What a hash must not exceed to be a block.
    block_target: Target,
    /// Where to connect next,
    next: HostPort,
    /// and what the server wants to have passed before.
    wait: Duration,
}

impl Miner {
    async fn run(self, found: mpsc::Receiver<FoundShare>) {
        let home = &self.pool.address;
        let mut state = State {
            client: Client::new(self.pool.identity.clone(), &*home.host, self.number),
            found,
            standing: self.board.standing(),
            block_target: Target::from_compact(0),
            next: home.clone(),
            wait: Duration::ZERO,
        };
        state.standing.away("not connected yet");
        let mut pauses = self.pauses();
        let mut attempts = 0u32;
        loop {
            let address = std::mem::replace(&mut state.next, home.clone());
            let stream = tokio::select! {
                biased;
                () = self.board.stop.cancelled() => return,
                stream = timeout(STEP, TcpStream::connect((&*address.host, address.port))) => stream,
            };
            let late = |_| io::Error::from(io::ErrorKind::TimedOut);
            match stream.map_err(late).flatten().and_then(split) {
                Ok(halves) => {
                    let since = Instant::now();
                    info!(server = %address, "connected");
                    state.standing.away("no share accepted yet");
                    let ended = self.talk(halves, &mut state).await;
                    self.hasher.rest(self.number);
                    state.standing.away(&ended);
                    if self.board.stop.is_cancelled() {
                        return;
                    }
                    warn!(server = %address, reason = ended, "connection lost, reconnecting");
                    if since.elapsed() > STABLE {
                        pauses = self.pauses();
                    }
                    attempts = 0;
                }
                // A server that is not up yet is normal while a network comes up.
                Err(error) => {
                    attempts += 1;
                    if attempts.is_power_of_two() && attempts > 4 {
                        warn!(server = %address, %error, attempts, "cannot connect, still trying");
                    }
                    let why = format!("cannot connect to {address}: {error}");
                    state.standing.away(&why);
                }
            }
            let pause = pauses.next().unwrap_or(self.pool.retry_pause);
            let pause = pause.max(std::mem::take(&mut state.wait));
            tokio::select! {
                biased;
                () = self.board.stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    fn pauses(&self) -> impl Iterator<Item = Duration> + use<> {
        backoff_up_to(self.pool.retry_pause)
    }

    /// One connection from hello to its end; why it ended.
    async fn talk(
        &self,
        (mut reader, mut writer): (OwnedReadHalf, OwnedWriteHalf),
        state: &mut State<'_>,
    ) -> String {
        let mut lines = Lines::new(MAX_LINE);
        let mut arrived = [0; 4096];
        let mut out = Outbox::default();
        state.client.connected(clock::now(), &mut out);
        loop {
            for event in out.take_events() {
                self.on_event(event, state);
            }
            if let Err(reason) = send(&mut writer, out.frames()).await {
                return reason;
            }
            if let Some(reason) = out.take_close() {
                return reason;
            }
            let deadline = state.client.deadline();
            let overdue = clock::until(deadline);
            tokio::select! {
                biased;
                () = self.board.stop.cancelled() => return "leaving".to_owned(),
                count = reader.read(&mut arrived) => match count {
                    Ok(0) => return "the server closed the connection".to_owned(),
                    Ok(count) => {
                        lines.push(&arrived[..count]);
                        loop {
                            match lines.next_line() {
                                Ok(Some(line)) => {
                                    state.client.received(clock::now(), line, &mut out);
                                }
                                Ok(None) => break,
                                Err(error) => return error.to_string(),
                            }
                        }
                    }
                    Err(error) => return error.to_string(),
                },
                share = state.found.recv() => match share {
                    Some(share) => state.client.found(clock::now(), share, &mut out),
                    None => return "leaving".to_owned(),
                },
                () = overdue => state.client.wake(&mut out),
            }
        }
    }

    fn on_event(&self, event: Event, state: &mut State<'_>) {
        let block_target = state.block_target;
        let is_block = |share: &FoundShare| Target::from_le_bytes(share.hash) <= block_target;
        let stats = &self.board.stats;
        match event {
            Event::Authorized => {
                stats.send_modify(|stats| stats.connections += 1);
                // The first share of a connection comes at once, whatever the pace: only a share
                // that is accepted proves that the connection is good.
                self.hasher.release(1);
            }
            Event::Mine(assignment) => {
                let difficulty = assignment.target.difficulty();
                debug!(job = assignment.job_id, difficulty, "new job");
                state.block_target = Target::from_compact(assignment.n_bits);
                self.hasher.mine(assignment);
            }
            Event::Submitted(share) => {
                let is_block = is_block(&share);
                debug!(job = share.job_id, is_block, "share sent");
                stats.send_modify(|stats| stats.sent(is_block));
            }
            Event::Late(share) => {
                debug!(job = share.job_id, "share too late, its job has ended");
                stats.send_modify(|stats| stats.shares_late += 1);
            }
            Event::Accepted(share) => {
                debug!(job = share.job_id, "share accepted");
                state.standing.good();
                let is_block = is_block(&share);
                self.board.accepted(|stats| stats.credited(is_block));
            }
            Event::Rejected(share, reason) => {
                info!(job = share.job_id, %reason, "share rejected");
                stats.send_modify(|stats| stats.refused(reason.to_string()));
            }
            Event::Message(text) => info!(text, "the server says"),
            Event::Reconnect { port, wait } => {
                state.next.port = port.unwrap_or(state.next.port);
                state.wait = wait.min(MAX_WAIT);
            }
            Event::Ignored(what) => debug!(what, "ignored"),
        }
    }
}

/// Sends all, and leaves the buffer empty.
async fn send(writer: &mut OwnedWriteHalf, bytes: &mut Vec<u8>) -> Result<(), String> {
    if !bytes.is_empty() {
        let sent = timeout(STEP, writer.write_all(bytes)).await;
        bytes.clear();
        match sent {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(error.to_string()),
            Err(_) => return Err("the server does not read".to_owned()),
        }
    }
    Ok(())
}
