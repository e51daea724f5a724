//! A miner's connection.

use std::net::SocketAddr;
use std::time::Instant;

use daemon::clock;
use sv1::Lines;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::{Miner, Out};
use crate::stamped::Stamped;
use crate::swarm::{Orders, Place, Player, Watcher};

/// Bytes of the longest line of a translator.
const MAX_LINE: usize = 64 * 1024;

/// Miners of one translator.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sv1Miner {
    pub(crate) address: SocketAddr,
}

impl Player for Sv1Miner {
    async fn play(self, place: Place, orders: Orders, watcher: &mut Watcher) -> anyhow::Result<()> {
        let stream = TcpStream::connect(self.address).await?;
        mine(stream, Miner::new(place), orders, watcher).await
    }
}

/// Until it is told to stop.
async fn mine(
    stream: TcpStream,
    mut miner: Miner,
    mut orders: Orders,
    watcher: &mut Watcher,
) -> anyhow::Result<()> {
    let (reader, mut writer) = daemon::wire::split(stream)?;
    let (reader, stamp) = Stamped::new(reader)?;
    let mut lines = Lines::new(MAX_LINE);
    let mut out = Out::default();
    miner.connected(&mut out);
    loop {
        if !out.lines.is_empty() {
            writer.write_all(&out.lines).await?;
            out.lines.clear();
        }
        for event in out.events.drain(..) {
            watcher.on_event(event, &stamp);
        }
        if let Some(why) = out.failed {
            anyhow::bail!("the translator says: {why}");
        }
        let deadline = miner.deadline();
        let due = clock::until(deadline);
        // Ten thousand of these are held at once.
        let mut bytes = Vec::new();
        tokio::select! {
            biased;
            () = orders.stop.cancelled() => return Ok(()),
            Ok(()) = reader.readable() => {
                bytes.resize(4096, 0);
                match reader.try_read(&mut bytes) {
                    Ok(0) => anyhow::bail!("the translator closed the connection"),
                    Ok(count) => lines.push(&bytes[..count]),
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error.into()),
                }
                // When the kernel had it: this thread serves thousands of miners.
                let now = Instant::now();
                let arrived = now.checked_sub(stamp.age()).unwrap_or(now);
                while let Some(line) = lines.next_line()? {
                    miner.received(arrived, line, &mut out);
                }
                miner.submit(Instant::now(), &mut out);
            }
            Ok(()) = orders.pace.changed() => {
                let pace = *orders.pace.borrow_and_update();
                miner.set_pace(Instant::now(), pace, &mut out);
            }
            () = due => miner.submit(Instant::now(), &mut out),
        }
    }
}
