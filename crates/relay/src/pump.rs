//! One direction of one connection.

use std::sync::Arc;

use daemon::wire::{Receiver, Sender, WireError};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::line::Line;
use crate::rule::Direction;

/// Messages on the line. When it is full nothing more is read, and TCP tells the sender.
const ON_THE_LINE: usize = 256;
/// Bytes read at a time of what is no Stratum V2.
const CHUNK: usize = 16 * 1024;

/// Where a direction begins.
pub(crate) enum Source {
    /// Frames, decrypted.
    Frames(Box<Receiver<OwnedReadHalf>>),
    /// Bytes as they come.
    Bytes(OwnedReadHalf),
}

/// Where it ends.
pub(crate) enum Sink {
    /// Frames, to be encrypted.
    Frames(Box<Sender<OwnedWriteHalf>>),
    /// Bytes as they came.
    Bytes(OwnedWriteHalf),
}

/// Something that arrives at a time.
struct Held {
    arrives: Instant,
    bytes: Vec<u8>,
}

/// Which direction of which connection.
pub(crate) struct Pump {
    pub(crate) line: Arc<Line>,
    pub(crate) connection: u64,
    pub(crate) direction: Direction,
}

impl Pump {
    /// Moves what comes from `source` to `sink`, until one of them is closed.
    pub(crate) async fn run(self, source: Source, sink: Sink) -> Result<(), WireError> {
        let (line, held) = mpsc::channel(ON_THE_LINE);
        // What is on the line still arrives after its sender has left.
        tokio::try_join!(self.read(source, line), self.write(held, sink))?;
        Ok(())
    }

    async fn read(&self, mut source: Source, line: mpsc::Sender<Held>) -> Result<(), WireError> {
        let mut chance = StdRng::from_entropy();
        let mut last = Instant::now();
        loop {
            let bytes = match source.next().await {
                Ok(bytes) => bytes,
                Err(WireError::Closed) => return Ok(()),
                Err(error) => return Err(error),
            };
            let goes_on = match source {
                Source::Frames(_) => {
                    let (connection, direction) = (self.connection, self.direction);
                    self.line.examine(connection, direction, bytes)
                }
                Source::Bytes(_) => Some(bytes),
            };
            let Some(bytes) = goes_on else { continue };
            // Nothing overtakes anything.
            last = last.max(Instant::now() + self.line.holds_back(&mut chance));
            let held = Held {
                arrives: last,
                bytes,
            };
            if line.send(held).await.is_err() {
                return Ok(());
            }
        }
    }

    async fn write(&self, mut line: mpsc::Receiver<Held>, mut sink: Sink) -> Result<(), WireError> {
        while let Some(held) = line.recv().await {
            tokio::time::sleep_until(held.arrives).await;
            self.line.passable().await;
            self.line.count(self.direction, held.bytes.len());
            match &mut sink {
                Sink::Frames(sender) => sender.send(&held.bytes).await?,
                Sink::Bytes(writer) => writer.write_all(&held.bytes).await?,
            }
        }
        // Nobody is told of a close while nothing passes.
        self.line.passable().await;
        Ok(())
    }
}

impl Source {
    async fn next(&mut self) -> Result<Vec<u8>, WireError> {
        match self {
            Self::Frames(receiver) => {
                let frame = receiver.receive().await?;
                Ok([&frame.header.to_bytes(), &*frame.payload].concat())
            }
            Self::Bytes(reader) => {
                let mut bytes = Vec::with_capacity(CHUNK);
                match reader.read_buf(&mut bytes).await? {
                    0 => Err(WireError::Closed),
                    _ => Ok(bytes),
                }
            }
        }
    }
}
